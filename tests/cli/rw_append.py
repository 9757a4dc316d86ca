# bevor-test: timeout=60
"""Appends to files of an --rw folder whose mode has come to forbid their owner to open them."""

import os
import subprocess
import sys

RUN = os.environ.get("RUN", "").split()
HERE = os.getcwd()

PROGRAM = r"""
import fcntl, os
flags = os.O_RDWR | os.O_CREAT
for mode in 0o600, 0o111, 0o000:
    name = f"f{mode:o}"
    log = os.open(name, flags | os.O_APPEND, 0o644)
    other = os.open(name, flags)
    os.chmod(name, mode)
    print(oct(mode), os.write(log, b"one\n"), os.lseek(log, 0, os.SEEK_CUR))
    print(os.pwrite(log, b"two\n", 1), os.lseek(log, 0, os.SEEK_CUR))
    print(os.pwritev(other, [b"three", b"\n"], 0, 16), os.lseek(other, 0, os.SEEK_CUR))
    print(os.writev(log, [b"four", b"", b"\n"]), os.lseek(log, 0, os.SEEK_CUR))
    # Nothing is no append: the position stays.
    os.lseek(log, 2, os.SEEK_SET)
    print(os.write(log, b""), os.lseek(log, 0, os.SEEK_CUR))
    fcntl.fcntl(other, fcntl.F_SETFL, os.O_APPEND)
    print(os.write(other, b"five\n"), os.lseek(other, 0, os.SEEK_CUR))
    print(os.pread(other, 100, 0), os.fstat(log).st_size)
"""

with open("program.py", "w", encoding="ascii") as file:
    file.write(PROGRAM)
run = RUN and RUN[:2] + [f"--rw={HERE}", f"--cwd={HERE}"] + RUN[2:]
sys.stdout.flush()
done = subprocess.run(run + ["python3", "program.py"], check=False, timeout=50)
print("status", done.returncode)
for mode in "600", "111", "0":
    os.chmod(f"f{mode}", 0o600)
    with open(f"f{mode}", encoding="ascii") as file:
        print(mode, file.read())
