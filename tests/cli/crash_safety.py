# bevor-test: timeout=300
"""What a program was told is on disk survives the end of all processes of its sandbox, at any moment.

The program works on a folder of the host (--rw), syncs each step and says so; everything it runs in is killed
between two looks; then the host must have every step that was acknowledged. The kernel of the host goes on: what
would be lost is what only the sandbox knew.
"""
import mmap
import os
import random
import signal
import subprocess
import sys
import time

RUN = os.environ.get("RUN", "").split()
ROUNDS = 200 if os.environ.get("BEVOR_TEST_FULL") else 12


def text(step, size):
    return (b"%08d " % step * (size // 9 + 1))[:size]


def sync_dir():
    fd = os.open(".", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def guest(seed):
    """Works until it is killed. Each step leaves what `check` can find again, and is then said."""
    chance = random.Random(seed)
    log = os.open("log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    data = os.open("data", os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(data, 1 << 20)
    os.fsync(data)
    mapped = mmap.mmap(data, 1 << 20)
    sync_dir()
    step = 0
    while True:
        step += 1
        kind = step % 6
        if kind == 0:
            os.write(log, text(step, 100))
            chance.choice((os.fsync, os.fdatasync))(log)
        elif kind == 1:
            at = step % 250 * 4096
            mapped[at:at + 9] = text(step, 9)
            mapped.flush(at, 4096)
        elif kind == 2:
            fd = os.open("new.tmp", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            os.write(fd, text(step, 5000))
            os.fsync(fd)
            os.close(fd)
            os.rename("new.tmp", "current")
            sync_dir()
        elif kind == 3:
            os.mkdir(f"dir{step}")
            os.symlink(f"target{step}", f"dir{step}/link")
            sync_dir()
        elif kind == 4:
            fd = os.open(f"file{step}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_SYNC, 0o640)
            os.pwrite(fd, text(step, 300), 70000)
            os.ftruncate(fd, 70100)
            os.fsync(fd)
            os.close(fd)
            os.link(f"file{step}", f"hard{step}")
            sync_dir()
        else:
            os.rename(f"dir{step - 2}", f"moved{step}")
            os.unlink(f"file{step - 1}")
            os.utime(f"hard{step - 1}", ns=(step * 10**9, step * 10**9))
            sync_dir()
        os.write(1, b"%d\n" % step)


def check(folder, last):
    """What is missing of the steps up to `last`."""
    def read(name, at=0, size=1 << 20):
        with open(os.path.join(folder, name), "rb") as file:
            file.seek(at)
            return file.read(size)

    def there(name):
        return os.path.lexists(os.path.join(folder, name))

    def later(found, size):
        """Whether these are the words of a step, of this or one that was under way."""
        return len(found) == size and found == text(int(found[:8]), size) and int(found[:8])

    log = read("log") if last >= 6 else b""
    newest = {}
    for step in range(1, last + 1):
        kind = step % 6
        if kind == 0 and log[(step // 6 - 1) * 100:step // 6 * 100] != text(step, 100):
            yield f"step {step}: append"
        elif kind == 1:
            newest[step % 250] = step
        elif kind == 2:
            current = step
        elif kind == 3 and step + 2 > last:
            names = [name for name in (f"dir{step}", f"moved{step + 2}") if there(name)]
            if len(names) != 1 or os.readlink(f"{folder}/{names[0]}/link") != f"target{step}":
                yield f"step {step}: mkdir and symlink"
        elif kind == 4:
            found = read(f"hard{step}")
            right = bytes(70000) + text(step, 100)
            if found != right:
                yield f"step {step}: create, write, link"
        elif kind == 5:
            target = os.readlink(f"{folder}/moved{step}/link")
            if there(f"dir{step - 2}") or target != f"target{step - 2}":
                yield f"step {step}: rename"
            if there(f"file{step - 1}"):
                yield f"step {step}: unlink"
            if os.stat(f"{folder}/hard{step - 1}").st_mtime_ns != step * 10**9:
                yield f"step {step}: utime"
    for at, step in newest.items():
        if later(read("data", at * 4096, 9), 9) < step:
            yield f"step {step}: msync"
    if last >= 2 and later(read("current"), 5000) < current:
        yield f"step {current}: rename over a file"


def below(pid):
    """A process and all that came from it."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parents.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(name))
        except OSError:
            pass
    found = [pid]
    for parent in found:
        found += parents.get(parent, [])
    return found


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main():
    chance = random.Random("crash")
    steps = 0
    for number in range(ROUNDS):
        folder = os.path.abspath(f"round{number}")
        os.mkdir(folder)
        script = os.path.abspath(__file__)
        run = RUN
        if RUN:
            flags = [f"--rw={folder}:/tmp/it", "--cwd=/tmp/it", f"--ro={script}:/tmp/it.py"]
            run, script = RUN[:2] + flags + RUN[2:], "/tmp/it.py"
        argv = run + ["/usr/bin/python3", script, "guest", str(number)]
        child = subprocess.Popen(argv, cwd="/" if RUN else folder, stdout=subprocess.PIPE)
        first = child.stdout.readline()
        time.sleep(chance.random() * 0.15)
        pids = below(child.pid)
        chance.shuffle(pids)
        kill(pids)
        said = (first + child.stdout.read()).split(b"\n")
        child.wait()
        last = int(said[-2]) if len(said) > 1 else 0
        lost = list(check(folder, last))
        steps += last
        if lost or not last:
            print(f"round {number}: {last} steps were acknowledged, lost are", lost[:5], flush=True)
    print(f"{ROUNDS} rounds", "with some steps each" if steps > 6 * ROUNDS else f"and {steps} steps")


if sys.argv[1:2] == ["guest"]:
    guest(int(sys.argv[2]))
else:
    main()
