# bevor-test: timeout=60
"""Unix sockets of the host are out of reach, in a folder that may change, too: connecting is refused, as where nobody
listens, and what is bound inside is bound inside alone."""
import os
import socket
import subprocess
import sys

RUN = os.environ.get("RUN", "").split()

PROGRAM = r"""
import errno, os, socket, stat
def attempt(what, deed):
    try:
        deed()
        print(what, 'done')
    except OSError as error:
        print(what, errno.errorcode[error.errno])
print('a socket', stat.S_ISSOCK(os.stat('host').st_mode))
for kind in ('STREAM', 'DGRAM', 'SEQPACKET'):
    with socket.socket(socket.AF_UNIX, getattr(socket, 'SOCK_' + kind)) as it:
        attempt('connect ' + kind, lambda: it.connect('host'))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as it:
    attempt('send', lambda: it.sendto(b'x', 'host'))
attempt('open', lambda: os.open('host', os.O_RDWR))
with socket.socket(socket.AF_UNIX) as it:
    attempt('bind over it', lambda: it.bind('host'))
mine = socket.socket(socket.AF_UNIX)
attempt('bind', lambda: mine.bind('inside'))
mine.listen()
with socket.socket(socket.AF_UNIX) as it:
    attempt('connect to it', lambda: it.connect('inside'))
"""

EXPECTED = """a socket True
connect STREAM ECONNREFUSED
connect DGRAM ECONNREFUSED
connect SEQPACKET ECONNREFUSED
send ECONNREFUSED
open ENXIO
bind over it EADDRINUSE
bind done
connect to it done
from outside ECONNREFUSED
"""


def main():
    if not RUN:
        print(EXPECTED, end="")
        return
    here = os.getcwd()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("host")
    listener.listen()
    run = RUN[:2] + [f"--rw={here}", f"--cwd={here}"] + RUN[2:]
    sys.stdout.flush()
    subprocess.run(run + ["/usr/bin/python3", "-c", PROGRAM], timeout=50)
    with socket.socket(socket.AF_UNIX) as it:
        try:
            it.connect("inside")
            print("from outside connected")
        except ConnectionRefusedError:
            print("from outside ECONNREFUSED")


main()
