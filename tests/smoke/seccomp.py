# Programs under a filter they did not ask for: no sockets, nothing made or removed. bevor-test: timeout=60
import ctypes, errno, os, socket, struct, subprocess, threading

libc = ctypes.CDLL(None, use_errno=True)


def install(code):
    code = b"".join(struct.pack("HBBI", *insn) for insn in code)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    result = libc.syscall(317, 1, 0, filter)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


refused = {"socket": 41, "mkdir": 83, "unlink": 87, "mkdirat": 258, "unlinkat": 263}
code = [(0x20, 0, 0, 4), (0x15, 1, 0, 0xC000003E), (6, 0, 0, 0), (0x20, 0, 0, 0)]
code += [(0x15, len(refused) - i, 0, nr) for i, nr in enumerate(refused.values())]
code += [(6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x50000 | errno.EPERM)]
if os.geteuid():
    print("before no_new_privs:", install(code))
libc.prctl(38, 1, 0, 0, 0)
print("installed:", install(code))


def attempt(what, call):
    try:
        call()
        print(what, "worked")
    except OSError as error:
        print(what, errno.errorcode[error.errno])


attempt("socket", socket.socket)
attempt("mkdir", lambda: os.mkdir("never"))
attempt("unlink", lambda: os.unlink("never"))
attempt("listdir", lambda: os.listdir("/"))
shell = """
mkdir never; echo "mkdir: $?"
for i in 1 2 3; do (echo $i); done | sort -r
grep Seccomp /proc/self/status
python3 -c 'print(sum(range(10)))'
file -b /dev/null
"""
print(subprocess.run(["bash", "-c", shell], capture_output=True, text=True))
sums = []
threads = [threading.Thread(target=lambda: sums.append(sum(range(1000)))) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sums)
