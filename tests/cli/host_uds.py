# bevor-test: timeout=120
"""Unix sockets that cross the border with --host-uds: servers outside and clients inside, and the reverse; bytes cross,
descriptors do not, and the flag allows no more than it says."""
import array
import os
import socket
import subprocess
import sys
import threading

RUN = os.environ.get("RUN", "").split()
HERE = os.getcwd()
KINDS = ("STREAM", "SEQPACKET", "DGRAM")


def inside(mode, code, *args):
    run = RUN[:2] + [f"--host-uds={mode}", f"--rw={HERE}", f"--cwd={HERE}"] + RUN[2:] if RUN else []
    argv = run + ["/usr/bin/python3", "-c", HEAD + code, "yes" if RUN else "no", *args]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(process):
    out, _ = process.communicate(timeout=100)
    print(out.strip(), process.returncode, flush=True)


HEAD = r"""
import array, errno, os, select, socket, struct, sys
sandboxed = sys.argv[1] == 'yes'
def attempt(what, deed):
    try:
        result = deed()
        print(what, 'done' if result is None else result, flush=True)
    except OSError as error:
        print(what, errno.errorcode[error.errno], flush=True)
def differs(what, natively, in_bevor, found):
    expected = in_bevor if sandboxed else natively
    print(what, 'as it should be' if found == expected else (found, expected), flush=True)
def outcome(deed):
    try:
        return deed()
    except OSError as error:
        return errno.errorcode[error.errno]
"""

CLIENT = r"""
kind, uid = sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_UNIX, getattr(socket, 'SOCK_' + kind))
early = select.epoll()
early.register(s, select.EPOLLIN | select.EPOLLET)
s.settimeout(60)
attempt('connect', lambda: s.connect('host-' + kind))
s.settimeout(None)
print(kind, repr(s.getsockname()), s.getpeername(), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
pid, user, group = struct.unpack('iII', s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
if kind != 'DGRAM':
    print('server is', user == uid, pid == 0 if sandboxed else pid > 0)
    attempt('nothing yet', lambda: s.recv(10, socket.MSG_DONTWAIT))
    attempt('connect again', lambda: s.connect('host-' + kind))
attempt('bind later', lambda: s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100000))
r, w = os.pipe()
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w]))]
differs('rights', 1, 'EPERM', outcome(lambda: s.sendmsg([b'r'], rights)))
if sandboxed:
    s.send(b'r')
own = struct.pack('iII', os.getpid(), os.getuid(), os.getgid())
attempt('own credentials', lambda: s.sendmsg([b'c'], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, own)]))
attempt('none such', lambda: s.sendmsg([b'c'], [(socket.SOL_SOCKET, 77, own)]))
if kind == 'DGRAM':
    s.send(b'end')
elif kind == 'SEQPACKET':
    for word in (b'one', b'three', b'four'):
        s.send(word)
    print(s.recv(100), s.recv(2), s.recv(100))
    attempt('too long', lambda: s.send(b'x' * 10000000))
    s.send(b'end')
else:
    print('edge', early.poll(60))
    print(s.recv(100, socket.MSG_PEEK), s.recv(100))
    s.sendall(b'from inside ' * 100000)
    s.shutdown(socket.SHUT_WR)
    total = b''
    while piece := s.recv(100000):
        total += piece
    print(total == b'from outside ' * 100000)
    attempt('after the end', lambda: s.send(b'x', socket.MSG_NOSIGNAL))
    print(select.select([s], [s], [], 10)[:2] == ([s], [s]))
    attempt('shut', lambda: s.shutdown(socket.SHUT_RDWR))
"""


def serve(kind, listener, got):
    if kind == "DGRAM":
        while (word := listener.recv(100)) != b"end":
            got.append(word)
        return
    connection, _ = listener.accept()
    while len(got) < 2:
        word = connection.recv(1)
        got.append(word)
    if kind == "SEQPACKET":
        while (word := connection.recv(100)) != b"end":
            connection.send(b"echo " + word)
    else:
        connection.send(b"hello")
        size = 0
        while piece := connection.recv(100000):
            size += len(piece)
        got.append(size)
        connection.sendall(b"from outside " * 100000)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def outside_serves(kind):
    listener = socket.socket(socket.AF_UNIX, getattr(socket, "SOCK_" + kind))
    listener.bind("host-" + kind)
    if kind != "DGRAM":
        listener.listen()
    got = []
    thread = threading.Thread(target=serve, args=(kind, listener, got), daemon=True)
    thread.start()
    answer(inside("open", CLIENT, kind, str(os.getuid())))
    thread.join(30)
    print(got)
    listener.close()


SERVER = r"""
kind = sys.argv[2]
s = socket.socket(socket.AF_UNIX, getattr(socket, 'SOCK_' + kind))
os.umask(0o27)
attempt('bind', lambda: s.bind('inside-' + kind))
attempt('bind again', lambda: s.bind('other'))
with socket.socket(socket.AF_UNIX) as other:
    attempt('name in use', lambda: other.bind('inside-' + kind))
print(s.getsockname(), oct(os.stat('inside-' + kind).st_mode))
if kind == 'DGRAM':
    print('ready', flush=True)
    word, peer = s.recvfrom(100)
    print(word, repr(peer))
    s.sendto(b'served ' + word, 'reply')
else:
    s.listen()
    print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 'ready', flush=True)
    poll = select.epoll()
    poll.register(s, select.EPOLLIN)
    while True:
        poll.poll(60)
        c, peer = s.accept()
        print(repr(peer), c.getsockname(), c.family.name, c.type.name)
        word = c.recv(100)
        c.send(b'served ' + word)
        if word == b'end':
            break
    _, user, _ = struct.unpack('iII', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    differs('client', os.getuid(), os.getuid() or 65534, user)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    c.send(b'go on')
    word, control, flags, _ = c.recvmsg(100, 1000)
    _, user, _ = struct.unpack('iII', control[0][2])
    differs('sender', os.getuid(), os.getuid() or 65534, user)
    print(word, [entry[:2] for entry in control], flags)
    c.send(b'go on')
    word, control, flags, _ = c.recvmsg(100, 1000)
    rights = [entry for entry in control if entry[1] == socket.SCM_RIGHTS]
    differs('rights', (1, 0), (0, socket.MSG_CTRUNC), (len(rights), flags))
    c.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    for entry in rights:
        os.close(array.array('i', entry[2])[0])
    c.send(b'go on')
    word, control, flags, _ = c.recvmsg(100, 1000)
    differs('rights', (1, 0), (0, socket.MSG_CTRUNC), (len(control), flags))
    for entry in control:
        os.close(array.array('i', entry[2])[0])
    c.send(b'closed')
    print(c.recv(100))
os.unlink('inside-' + kind)
print('ends')
"""


def exchange(kind):
    client = socket.socket(socket.AF_UNIX, getattr(socket, "SOCK_" + kind))
    client.settimeout(30)
    client.connect("inside-" + kind)
    return client


def inside_serves(kind):
    process = inside("all", SERVER, kind)
    while "ready" not in (line := process.stdout.readline()):
        print(line.strip())
        if not line:
            break
    if kind == "DGRAM":
        reply = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        reply.bind("reply")
        exchange(kind).send(b"word")
        reply.settimeout(30)
        print(reply.recv(100))
        os.unlink("reply")
    else:
        for word in (b"one", b"two", b"end"):
            client = exchange(kind)
            client.send(word)
            print(client.recv(len(b"served " + word)))
        print(client.recv(5))
        client.send(b"who")
        print(client.recv(5))
        pipes = [os.pipe(), os.pipe()]
        for r, w in pipes:
            client.sendmsg([b"take"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [w]))])
            os.close(w)
            client.recv(5 if r == pipes[0][0] else 6)
        # Nobody has the other ends any more.
        print([os.read(r, 1) for r, _ in pipes])
        client.send(b"bye")
    answer(process)
    print("left behind", os.path.exists("inside-" + kind))


LIMITS = r"""
s = socket.socket(socket.AF_UNIX)
differs('connect', 'None', sys.argv[2], str(outcome(lambda: s.connect('there'))))
s = socket.socket(socket.AF_UNIX)
attempt('bind', lambda: s.bind('here'))
s.listen()
with socket.socket(socket.AF_UNIX) as c:
    differs('connect to it', 'None', sys.argv[3], str(outcome(lambda: c.connect('here'))))
print(sys.stdin.readline().strip())
"""


def limits(mode, connects, reaches_itself, reachable):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("there")
    listener.listen()
    process = inside(mode, LIMITS, connects, reaches_itself)
    for _ in range(3):
        print(mode, process.stdout.readline().strip())
    with socket.socket(socket.AF_UNIX) as it:
        found = it.connect_ex("here")
        print("from outside", "as it should be" if (found == 0) == (reachable or not RUN) else found)
    process.stdin.write("end\n")
    answer(process)
    os.unlink("there")
    os.unlink("here")


for kind in KINDS:
    outside_serves(kind)
    inside_serves(kind)
limits("none", "ECONNREFUSED", "None", False)
limits("open", "None", "None", False)
limits("create", "ECONNREFUSED", "ECONNREFUSED", True)
limits("all", "None", "None", True)
