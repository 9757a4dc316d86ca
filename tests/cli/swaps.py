# bevor-test: timeout=120
"""Someone on the host swaps directories with links that lead out of what a sandbox is shown, while a program inside
uses them in every way it can. Nothing outside is read or changed, by a mount that may change and by one that may not.
"""
import ctypes
import os
import subprocess
import sys
import threading

RUN = os.environ.get("RUN", "").split()
SECRET = "what lies outside"

PROGRAM = r"""
import os, random, sys
chance = random.Random(sys.argv[1])
seen = {'inside': 0, 'failed': 0}

def read(path):
    with open(path) as file:
        text = file.read()
    if 'outside' in text:
        print('BAD: read what lies outside', path, flush=True)
    seen['inside'] += 'inside' in text

def write(path):
    with open(path, 'w') as file:
        file.write('inside')

def listing(path):
    if 'only-outside' in os.listdir(path):
        print('BAD: listed what lies outside', path, flush=True)

def dirfd(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in ('secret', '../secret', '../../secret', '../outside/secret'):
            try:
                found = os.open(name, os.O_RDWR, dir_fd=fd)
                if b'outside' in os.read(found, 100):
                    print('BAD: opened', name, flush=True)
                os.close(found)
            except OSError:
                pass
        os.stat('file', dir_fd=fd)
        os.close(os.open('made', os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    finally:
        os.close(fd)

deeds = [
    read, read, write, listing, dirfd,
    lambda path: os.chmod(path, 0o700),
    lambda path: os.truncate(path, 6),
    lambda path: os.utime(path, (1, 1)),
    lambda path: os.unlink(path),
    lambda path: os.mkdir(path),
    lambda path: os.rename(path, path + '2'),
    lambda path: os.rename('dir/file', path),
    lambda path: os.link('file', path + str(chance.random())),
    lambda path: os.symlink('../outside', path),
    lambda path: os.setxattr(path, 'user.a', b'b'),
    lambda path: os.readlink(path),
    lambda path: os.mknod(path + '3', 0o600),
]
paths = ['dir', 'dir/file', 'dir/secret', 'dir/sub', 'dir/sub/file', 'dir/../../secret', 'dir/new',
         'swap', 'swap/secret']
for _ in range(int(sys.argv[2])):
    try:
        chance.choice(deeds)(chance.choice(paths))
    except OSError:
        seen['failed'] += 1
print('the program', 'read and failed' if all(seen.values()) else seen)
"""


def exchange(one, other):
    libc = ctypes.CDLL(None)
    return libc.renameat2(-100, one.encode(), -100, other.encode(), 2) == 0


def swap(folder, what, stop):
    while not stop.is_set():
        if not exchange(f"{folder}/{what}", f"{folder}/swap"):
            for name in ("dir", "dir/sub"):
                try:
                    os.mkdir(f"{folder}/{name}")
                    with open(f"{folder}/{name}/file", "x") as file:
                        file.write("inside")
                except OSError:
                    pass


def around(top):
    """All that is not shown, with what it says."""
    found = {}
    for folder, names, files in os.walk(top):
        if folder == top:
            names.remove("root")
        for name in names + files:
            path = os.path.join(folder, name)
            stat = os.lstat(path)
            text = open(path).read() if name in files else ""
            found[path] = (stat.st_mode, stat.st_uid, stat.st_size, stat.st_nlink, text)
            if name in files:
                found[path] += (stat.st_mtime_ns,)
    return found


def main():
    swaps = [("--rw", "dir"), ("--rw", "dir/sub"), ("--rw", "dir/file"), ("--ro", "dir")]
    targets = {"dir": "../outside", "dir/sub": "../../outside", "dir/file": "../outside/secret"}
    for number, (flag, what) in enumerate(swaps):
        top = os.path.abspath(f"swaps{number}")
        for name in ("root/dir/sub", "outside/sub"):
            os.makedirs(f"{top}/{name}")
        names = ("secret", "only-outside", "file", "sub/file", "../secret")
        for name in (f"outside/{name}" for name in names):
            with open(f"{top}/{name}", "w") as file:
                file.write(SECRET)
        for name in ("file", "dir/file", "dir/sub/file"):
            with open(f"{top}/root/{name}", "w") as file:
                file.write("inside")
        os.symlink(targets[what], f"{top}/root/swap")
        before = around(top)
        if not RUN:
            print("the program read and failed")
            print(flag, what, "nothing outside changed")
            continue
        stop = threading.Event()
        swapper = threading.Thread(target=swap, args=(f"{top}/root", what, stop))
        swapper.start()
        run = RUN[:2] + [f"{flag}={top}/root:/tmp/here/root", "--cwd=/tmp/here/root"] + RUN[2:]
        argv = run + ["/usr/bin/python3", "-c", PROGRAM, str(number), "1200"]
        sys.stdout.flush()
        subprocess.run(argv, cwd="/", timeout=100)
        stop.set()
        swapper.join()
        after = around(top)
        paths = before.keys() | after.keys()
        changed = [path for path in paths if before.get(path) != after.get(path)]
        print(flag, what, changed or "nothing outside changed", flush=True)


main()
