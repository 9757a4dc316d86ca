# bevor-test: timeout=120
"""The host's network: servers outside and clients inside, and the reverse; nothing of it without the flag.

Everything runs in a network namespace of the test's own where that can be made, else on the host's loopback.
"""
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading

RUN = os.environ.get("RUN", "").split()
HOST = RUN[:2] + ["--net=host"] + RUN[2:] if RUN else []


def inside(*argv, run=HOST, **more):
    return subprocess.Popen(run + list(argv), stdout=subprocess.PIPE, text=True, **more)


def python(code, *args, **more):
    return inside("/usr/bin/python3", "-c", code, *args, **more)


def answer(process):
    out, _ = process.communicate(timeout=60)
    print(out.strip(), process.returncode, flush=True)


CLIENT = """
import socket, sys
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == 'tcp':
    s = socket.create_connection((host, port), timeout=30)
    s.sendall(b'from inside ' * 100000)
    s.shutdown(socket.SHUT_WR)
    total = b''
    while piece := s.recv(100000):
        total += piece
    print('client', host, total == b'from outside ' * 100000)
else:
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(30)
    s.sendto(b'ask', (host, port))
    print('client', host, s.recvfrom(100)[0])
"""

SERVER = """
import os, socket, sys
kind, host = sys.argv[1:]
family = socket.AF_INET6 if ':' in host else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
s.bind((host, 0))
if kind == 'tcp':
    s.listen()
print(s.getsockname()[1], flush=True)
if kind == 'tcp':
    while True:
        c, _ = s.accept()
        word = c.recv(100)
        if word == b'end':
            break
        c.sendall(b'served ' + word)
        c.close()
else:
    word, peer = s.recvfrom(100)
    s.sendto(b'served ' + word, peer)
print('server', host, 'ends')
"""


def serve_tcp(listener):
    connection, _ = listener.accept()
    while connection.recv(100000):
        pass
    connection.sendall(b"from outside " * 100000)
    connection.close()


def serve_udp(sock):
    _, peer = sock.recvfrom(100)
    sock.sendto(b"answer", peer)


def outside_serves(kind, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    server.bind((host, 0))
    if kind == "tcp":
        server.listen()
    thread = threading.Thread(target=serve_tcp if kind == "tcp" else serve_udp, args=(server,), daemon=True)
    thread.start()
    answer(python(CLIENT, kind, host, str(server.getsockname()[1])))
    thread.join(30)


def inside_serves(kind, host):
    process = python(SERVER, kind, host)
    port = int(process.stdout.readline())
    if kind == "tcp":
        for word in (b"one", b"two", b"end"):
            with socket.create_connection((host, port), timeout=30) as client:
                client.sendall(word)
                if word != b"end":
                    print(client.recv(100))
    else:
        client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(30)
        client.sendto(b"word", (host, port))
        print(client.recv(100))
    answer(process)


def names():
    """A name server of ours, asked by the C library's resolver."""
    if not RUN:
        print("10.1.2.3 0")
        return
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))

    def serve():
        while True:
            query, peer = server.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            kind = struct.unpack(">H", query[end - 4 : end - 2])[0]
            head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if kind == 1 else 0, 0, 0)
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([10, 1, 2, 3])
            server.sendto(head + query[12:end] + (record if kind == 1 else b""), peer)

    threading.Thread(target=serve, daemon=True).start()
    with open("resolv.conf", "w") as conf:
        conf.write("nameserver 127.0.0.1\n")
    resolve = "import socket; print(socket.gethostbyname('some.name.example'))"
    run = HOST[:2] + ["--ro", os.path.abspath("resolv.conf") + ":/etc/resolv.conf"] + HOST[2:]
    answer(python(resolve, run=run))


def secrets():
    """What is not passed on: abstract names of the host, other families, the flag's absence."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0bevor-test-%d" % os.getpid())
    listener.listen()
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); print('abstract', s.connect_ex('\\0' + sys.argv[1]))"
    process = python(code, "bevor-test-%d" % os.getpid())
    out, _ = process.communicate(timeout=60)
    expected = "abstract 111" if RUN else "abstract 0"
    print("abstract as it should be" if out.strip() == expected else out)
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    code = "import socket, sys; print('without', socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1]))))"
    process = python(code, str(server.getsockname()[1]), run=RUN)
    out, _ = process.communicate(timeout=60)
    expected = "without 111" if RUN else "without 0"
    print("nothing without the flag" if out.strip() == expected else out)
    ready = select.select([server], [], [], 0)[0]
    print("nobody came" if not RUN and ready or RUN and not ready else "somebody came")


def interfaces():
    seen = "import socket; print(socket.if_nameindex(), [socket.if_nametoindex(n) for _, n in socket.if_nameindex()])"
    answer(python(seen))


def own_network():
    """Moves to a network of our own, so that any address and port will do."""
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(0x40000000) != 0:
        return False
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 0x49))
    return True


own = own_network()
for kind in ("tcp", "udp"):
    for host in ("127.0.0.1", "::1"):
        outside_serves(kind, host)
        inside_serves(kind, host)
secrets()
interfaces()
if own:
    names()
