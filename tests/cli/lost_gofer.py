# bevor-test: timeout=60
"""A sandbox whose gofer is killed, or whose sentry sends its gofer what no sentry sends, ends at once: a line that says
why, and the status of Bevor's own failures."""
import os
import signal
import struct
import subprocess
import time

RUN = os.environ.get("RUN", "").split()

EXPECTED = """killed: 125
bevor: the sandbox failed: its gofer was killed by SIGKILL
malformed: 125
bevor: gofer: malformed message: a slot that does not exist is pending; the sentry may be compromised
bevor: the sandbox failed: its gofer ended with status 1
"""

# It asks for files all the time, so that the gofer's end is met in the middle of a request, too.
PROGRAM = r"""
import os
print('ready', flush=True)
while True:
    try:
        os.stat('file')
    except OSError:
        pass
"""


def role(bevor, name):
    """The process of the sandbox with this name."""
    with open(f"/proc/{bevor}/task/{bevor}/children") as children:
        for child in children.read().split():
            with open(f"/proc/{child}/cmdline") as cmdline:
                if cmdline.read().startswith(name):
                    return int(child)
    raise LookupError(name)


def kill(gofer):
    os.kill(gofer, signal.SIGKILL)


def scribble(gofer):
    """Says in the channel's memory that slot 30 has a request. There are 24."""
    with open(f"/proc/{gofer}/maps") as maps:
        at = next(int(line.split("-")[0], 16) for line in maps if "bevor-gofer-channel" in line)
    with open(f"/proc/{gofer}/mem", "r+b", buffering=0) as memory:
        memory.seek(at + 64)
        (pending,) = struct.unpack("I", memory.read(4))
        memory.seek(at + 64)
        memory.write(struct.pack("I", pending | 1 << 30))


def lose(what, deed):
    run = RUN[:2] + [f"--rw={os.getcwd()}", f"--cwd={os.getcwd()}"] + RUN[2:]
    command = run + ["/usr/bin/python3", "-c", PROGRAM]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    deed(role(process.pid, "bevor-gofer"))
    begun = time.monotonic()
    _, err = process.communicate(timeout=30)
    print(f"{what}: {process.returncode}")
    print(err, end="")
    if time.monotonic() - begun > 20:
        print("after a long time")


if RUN:
    open("file", "w").close()
    lose("killed", kill)
    if os.geteuid() == 0:
        lose("malformed", scribble)
    else:
        # The gofer's memory is out of an ordinary user's reach, the one's it runs as included.
        print(EXPECTED[EXPECTED.index("malformed") :], end="")
else:
    print(EXPECTED, end="")
