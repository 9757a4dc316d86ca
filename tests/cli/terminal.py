# bevor-test: timeout=60
"""A terminal passes through: size, echo, Ctrl-C, Ctrl-Z, Ctrl-D, colours of a shell."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

RUN = os.environ.get("RUN", "").split()


def spawn(argv):
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp((RUN + argv)[0], RUN + argv)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    return pid, fd


def until(fd, text, limit=20):
    data = b""
    end = time.time() + limit
    while time.time() < end and text not in data:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                got = os.read(fd, 1000)
            except OSError:
                break
            if not got:
                break
            data += got
    # What comes after it may or may not have come in the same read.
    return data[: data.index(text) + len(text)] if text in data else b"MISSING " + text + b" in " + data


def rest(fd):
    data = b""
    while True:
        try:
            got = os.read(fd, 1000)
        except OSError:
            return data
        if not got:
            return data
        data += got


def show(what, value):
    print(what, value, flush=True)


def end(pid):
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


pid, fd = spawn(["sh", "-c", "sleep 0.2; stty size; tty > /dev/null && echo is a tty; read x; echo got $x; exit 3"])
show("start", until(fd, b"tty\r\n"))
os.write(fd, b"line\n")
show("rest", rest(fd))
show("status", end(pid))

# A signal that comes just when bash begins to wait for a child makes bash 5.2 send itself that signal for
# ever: let it wait first.
pid, fd = spawn(["bash", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 10; done"])
until(fd, b"ready\r\n")
time.sleep(0.3)
os.write(fd, b"\x03")
show("interrupt", until(fd, b"caught")[-6:])
rest(fd)
show("status", end(pid))

pid, fd = spawn(["bash", "-c", "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"])
until(fd, b"ready\r\n")
time.sleep(0.1)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 111, 0, 0))
show("resized", until(fd, b"111"))
rest(fd)
show("status", end(pid))

pid, fd = spawn(["cat"])
os.write(fd, b"echo\n")
show("cat", until(fd, b"echo\r\necho\r\n"))
os.write(fd, b"\x04")
show("rest", rest(fd))
show("status", end(pid))

pid, fd = spawn(["bash", "--norc", "-i"])
os.write(fd, b"PS1='> '\n")
until(fd, b"\n> ")
os.write(fd, b"sh -c 'echo sl''eeping; exec sleep 100'\n")
until(fd, b"sleeping")
time.sleep(0.2)
os.write(fd, b"\x1a")
show("stopped", b"Stopped" in until(fd, b"Stopped"))
os.write(fd, b"jobs; kill %1; echo a''fter\n")
show("after", b"after" in until(fd, b"after"))
os.write(fd, b"sh -c 'echo sl''eeping; exec sleep 100'\n")
until(fd, b"sleeping")
time.sleep(0.2)
os.write(fd, b"\x03")
time.sleep(0.2)
os.write(fd, b"echo stat''us $?\n")
show("interrupted", re.findall(rb"status \d+", until(fd, b"status 1"))[:1])
os.write(fd, b"exit 9\n")
rest(fd)
show("status", end(pid))

# Closing the terminal ends what runs on it.
pid, fd = spawn(["sh", "-c", "echo ready; sleep 100"])
until(fd, b"ready\r\n")
os.close(fd)
show("hung up", end(pid))

# The terminal's settings are as before afterwards.
master, slave = pty.openpty()
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for n in range(3):
        os.dup2(slave, n)
    os.execvp((RUN + ["true"])[0], RUN + ["true"])
show("status", end(pid))
show("settings kept", termios.tcgetattr(slave) == before)

ASYNC = """
import fcntl, os, signal, struct
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fcntl.fcntl(0, fcntl.F_SETFL, os.O_RDWR | os.O_ASYNC)
kind, owner = struct.unpack("ii", fcntl.fcntl(0, 16, bytes(8)))  # F_GETOWN_EX
print("owner", kind == 2 and owner == os.getpgrp(), flush=True)
print("told", signal.sigtimedwait([signal.SIGIO], 20) is not None, os.read(0, 100), flush=True)
"""
pid, fd = spawn(["python3", "-c", ASYNC])
show("owner", until(fd, b"owner True"))
time.sleep(0.1)
os.write(fd, b"line\n")
show("told", until(fd, b"told True b'line\\\\n'")[-20:])
rest(fd)
show("status", end(pid))
