# bevor-test: timeout=300
"""Sandboxes started with at most 1,024 descriptors, soft and hard: for their processes on the host, too.

A walk over many files, and programs with as many files open as they may have. Guest programs say `files=few`.
"""
import os
import resource
import subprocess
import sys

RUN = os.environ.get("RUN", "").split()
LIMIT = 1024

OPEN_MANY = r"""
import errno, os, subprocess, sys
folder = sys.argv[1]
mode = os.O_RDWR if sys.argv[2] == 'rw' else os.O_RDONLY

def name(number):
    return f'{folder}/{number // 150 % 40}/{number % 150}'

def opened(start, count):
    fds = []
    for number in range(start, start + count):
        try:
            fds.append(os.open(name(number), mode))
        except OSError as error:
            return fds, errno.errorcode[error.errno]
    return fds, None

# One after the other: those closed give way, also when they are opened again in another way.
for number in range(2000):
    os.close(os.open(name(number), os.O_RDONLY))
for number in range(0, 2000, 7):
    os.close(os.open(name(number), mode))
fds, why = opened(0, 2000)
print('all it may have', len(fds) + len(os.listdir('/proc/self/fd')) - len(fds) >= 1000, why)
for fd in fds:
    os.close(fd)
fds, why = opened(0, 900)
print('with files open', len(fds), why)
for fd in fds:
    assert os.pread(fd, 100, 0).startswith(b'number ')
print(subprocess.run(['/bin/echo', 'others start'], stdout=subprocess.PIPE).stdout)
if mode == os.O_RDWR:
    for number, fd in enumerate(fds):
        assert os.pwrite(fd, b'written %d' % number, 2000) == len(b'written %d' % number)
        os.ftruncate(fd, 3000)
    for number, fd in enumerate(fds):
        assert os.pread(fd, 100, 2000).rstrip(b'\0') == b'written %d' % number
        assert os.fstat(fd).st_size == 3000
        os.lseek(fd, 0, os.SEEK_END)
        with open(name(number), 'ab') as file:
            file.write(b'appended' * 1000)
        assert os.pread(fd, 10000, 3000) == b'appended' * 1000
        os.ftruncate(fd, 20)
    made = []
    for number in range(100):
        made.append(os.open(f'{folder}/made{number}', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        os.write(made[-1], b'made')
    assert all(os.pread(fd, 10, 0) == b'made' for fd in made)
    for number, fd in enumerate(made):
        os.close(fd)
        os.unlink(f'{folder}/made{number}')
# More than one process may have, by several at once.
children = []
for child in range(3):
    reader, writer = os.pipe()
    ready, go = os.pipe()
    if os.fork() == 0:
        for fd in fds:
            os.close(fd)
        os.close(go)
        mine, why = opened(1000 + 900 * child, 900)
        good = sum(os.pread(fd, 100, 0).startswith(b'number ') for fd in mine)
        os.write(writer, f'{len(mine)} {why} {good}'.encode())
        os.read(ready, 1)
        os._exit(0)
    os.close(writer)
    os.close(ready)
    children.append((reader, go))
for reader, go in children:
    print('at once', os.read(reader, 100).decode())
for reader, go in children:
    os.close(go)
    os.wait()
"""


def inside(folder, *argv):
    run = RUN and RUN[:2] + [f"--rw={folder}", f"--cwd={folder}"] + RUN[2:]
    sys.stdout.flush()
    process = subprocess.run(run + list(argv), cwd=folder, stdout=subprocess.PIPE, timeout=200)
    print(process.stdout.decode(errors="replace").rstrip(), process.returncode)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    here = os.getcwd()
    tree = os.path.join(here, "tree")
    for number in range(6000):
        folder = f"{tree}/{number // 150 % 40}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{number % 150}", "w") as file:
            file.write(f"number {number}\n")
    inside(tree, "sh", "-c", "find . -type f | wc -l; find . -type f -print0 | xargs -0 cat | wc -c")
    inside(tree, "sh", "-c", "find . -newer 0/0 -size +0 | wc -l > ../none; ls -lR | grep -c '^-'")
    inside(tree, "/usr/bin/python3", "-c", OPEN_MANY, tree, "ro")
    inside(tree, "/usr/bin/python3", "-c", OPEN_MANY, tree, "rw")


main()
