# bevor-test: timeout=60
"""Locks with --host-locks: a program inside, one of another sandbox and one on the host exclude each other by flock,
POSIX and open-file-description locks; who waits gets the lock when it is given up, and can be interrupted."""
import os
import subprocess
import sys

RUN = os.environ.get("RUN", "").split()

PROGRAM = r"""
import errno, fcntl, os, signal, struct, sys
OFD_GET, OFD_SET, OFD_WAIT = 36, 37, 38
fds = {}
def lock(kind, start, size):
    return struct.pack('hhqqi', kind, 0, start, size, 0)
def show(answer):
    # Not by whom: to others a sandbox is one description, whose locks have no process.
    kind, _, start, size, _ = struct.unpack('hhqqi', answer)
    return 'free' if kind == 2 else f'{kind} {start} {size}'
def alarm(*_):
    raise InterruptedError
signal.signal(signal.SIGALRM, alarm)
for line in sys.stdin:
    deed, name, *rest = line.split()
    numbers = [int(word) for word in rest]
    try:
        said = 'done'
        if deed == 'open':
            fds[name] = os.open('file', os.O_RDWR)
        elif deed == 'openro':
            fds[name] = os.open('file', os.O_RDONLY)
        elif deed == 'dir':
            fds[name] = os.open('.', os.O_RDONLY)
        elif deed == 'close':
            os.close(fds.pop(name))
        elif deed == 'flock':
            fcntl.flock(fds[name], numbers[0])
        elif deed == 'posix':
            fcntl.fcntl(fds[name], fcntl.F_SETLK, lock(*numbers))
        elif deed == 'posixwait':
            fcntl.fcntl(fds[name], fcntl.F_SETLKW, lock(*numbers))
        elif deed == 'posixget':
            said = show(fcntl.fcntl(fds[name], fcntl.F_GETLK, lock(*numbers)))
        elif deed == 'ofd':
            fcntl.fcntl(fds[name], OFD_SET, lock(*numbers))
        elif deed == 'ofdget':
            said = show(fcntl.fcntl(fds[name], OFD_GET, lock(*numbers)))
        elif deed == 'interrupted':
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                fcntl.fcntl(fds[name], fcntl.F_SETLKW, lock(*numbers))
            except InterruptedError:
                said = 'interrupted'
        elif deed == 'interruptedflock':
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                fcntl.flock(fds[name], numbers[0])
            except InterruptedError:
                said = 'interrupted'
    except OSError as error:
        said = errno.errorcode[error.errno]
    print(said, flush=True)
"""

SH, EX, NB, UN = 1, 2, 4, 8
RD, WR, UNLCK = 0, 1, 2


class Program:
    """One that does what it is told, inside or on the host."""

    def __init__(self, name, run):
        self.name = name
        argv = run + ["/usr/bin/python3", "-c", PROGRAM]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)

    def start(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self, *words):
        print(self.name, *words, "→", self.process.stdout.readline().strip(), flush=True)

    def __call__(self, *words):
        self.start(*words)
        self.answer(*words)


def exchange(one, other):
    for program in (one, other):
        program("open", "a")
        program("open", "b")
    one("flock", "a", EX)
    other("flock", "a", SH | NB)
    one("flock", "a", SH)
    other("flock", "a", SH | NB)
    other("flock", "a", EX | NB)
    one("flock", "b", SH | NB)
    one("flock", "a", UN)
    other("flock", "a", EX | NB)
    one("flock", "b", UN)
    other("flock", "a", EX | NB)
    one("interruptedflock", "a", EX)
    one.start("flock", "a", EX)
    other("flock", "a", UN)
    one.answer("waited")
    one("close", "a")
    other("flock", "b", EX | NB)
    other("close", "b")
    one("open", "a")

    one("posix", "a", WR, 10, 10)
    other("posix", "a", RD, 0, 11)
    other("posix", "a", RD, 0, 10)
    other("posixget", "a", WR, 0, 0)
    one("posixget", "a", WR, 0, 0)
    one("posix", "a", RD, 12, 4)
    other("posix", "a", RD, 12, 4)
    other("posix", "a", WR, 12, 4)
    one("posix", "a", UNLCK, 10, 2)
    other("posix", "a", WR, 10, 2)
    other("posix", "a", WR, 16, 4)
    one("interrupted", "a", WR, 0, 5)
    one.start("posixwait", "a", WR, 0, 5)
    other("posix", "a", UNLCK, 0, 10)
    one.answer("waited")
    other("posixget", "a", WR, 0, 0)
    one("close", "b")
    other("posix", "a", WR, 0, 0)
    other("close", "a")
    one("posix", "a", WR, 0, 0)
    one("posix", "a", UNLCK, 0, 0)

    one("open", "b")
    other("open", "a")
    other("open", "b")
    one("ofd", "a", RD, 0, 100)
    other("ofdget", "a", WR, 60, 1)
    one("ofd", "b", RD, 50, 100)
    other("ofd", "a", WR, 60, 1)
    one("ofd", "a", UNLCK, 0, 0)
    other("ofd", "a", WR, 60, 1)
    other("ofd", "a", WR, 0, 50)
    one("close", "b")
    other("ofd", "a", WR, 60, 1)
    other("ofd", "b", WR, 60, 1)
    other("close", "a")
    one("ofd", "a", WR, 0, 0)
    one("ofd", "a", UNLCK, 0, 0)
    one("openro", "r")
    one("posix", "r", WR, 0, 1)
    one("posix", "r", RD, 0, 1)
    other("ofd", "b", WR, 0, 1)
    one("close", "r")
    one("dir", "d")
    other("dir", "d")
    one("flock", "d", EX | NB)
    other("flock", "d", EX | NB)


def main():
    with open("file", "w") as file:
        file.write("content")
    here = os.getcwd()
    flags = ["--host-locks", f"--rw={here}", f"--cwd={here}"]
    inside = RUN and RUN[:2] + flags + RUN[2:]
    for name, other in (("inside and the host", []), ("two sandboxes", inside)):
        print(name, flush=True)
        one, two = Program("one", inside), Program("other", other)
        exchange(one, two)
        # What the end of one gives up, too.
        two("flock", "b", SH | NB)
        one.process.kill()
        one.process.wait()
        two.start("flock", "d", EX)
        two.answer("waited for the end")
        two.process.stdin.close()
        two.process.wait()


sys.stdout.reconfigure(encoding="utf-8")
main()
