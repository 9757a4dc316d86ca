# bevor-test: timeout=180
# Python: threads, subprocess, multiprocessing, asyncio, mmap, sockets, files, signals.
cat > p.py <<'P'
import asyncio, ctypes, fcntl, hashlib, http.client, http.server, json, mmap, multiprocessing as mp, os, pathlib, queue, random
import resource, select, shutil, signal, socket, sqlite3, struct, subprocess, sys, tempfile, threading, time, zlib
from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor

def square(x): return x * x
def worker(q, n): q.put((n, sum(range(n * 1000))))

def main():
    print(sys.version_info[:2] >= (3, 8), os.getcwd() != "")
    # threads
    total, lock = [0], threading.Lock()
    def add():
        for _ in range(2000):
            with lock: total[0] += 1
    ts = [threading.Thread(target=add) for _ in range(8)]; [t.start() for t in ts]; [t.join() for t in ts]; print(total)
    q = queue.Queue(); threading.Thread(target=lambda: [q.put(i) for i in range(100)]).start(); print(sum(q.get() for _ in range(100)))
    e = threading.Event(); threading.Timer(0.02, e.set).start(); print(e.wait(5)); print(threading.Event().wait(0.01))
    with ThreadPoolExecutor(4) as ex: print(sum(ex.map(square, range(1000))))
    # subprocess
    print(subprocess.check_output(["sh", "-c", "echo out; echo err >&2"], stderr=subprocess.STDOUT))
    print(subprocess.run(["cat"], input=b"x" * 300000, stdout=subprocess.PIPE).stdout == b"x" * 300000)
    p = subprocess.Popen(["sleep", "100"]); p.terminate(); print(p.wait())
    try: subprocess.run(["sleep", "100"], timeout=0.1)
    except subprocess.TimeoutExpired: print("timeout")
    try: subprocess.run(["/nonexistent"])
    except FileNotFoundError as x: print(x.errno)
    print([subprocess.call(["sh", "-c", f"exit {i}"]) for i in range(10)])
    print(subprocess.run("exit 3", shell=True, preexec_fn=os.setsid).returncode)
    # multiprocessing
    for method in ("fork", "spawn", "forkserver"):
        c = mp.get_context(method)
        mq = c.Queue(); ps = [c.Process(target=worker, args=(mq, n)) for n in range(1, 4)]; [p.start() for p in ps]
        print(method, sorted(mq.get() for _ in ps)); [p.join() for p in ps]; print([p.exitcode for p in ps])
    with mp.Pool(3) as pool: print(pool.map(square, range(10)), pool.apply(square, (9,)))
    with ProcessPoolExecutor(2) as ex: print(sum(ex.map(square, range(100))))
    v, b = mp.Value("i", 0), mp.Barrier(3)
    def incr():
        for _ in range(200):
            with v.get_lock(): v.value += 1
        b.wait()
    ps = [mp.get_context("fork").Process(target=incr) for _ in range(3)]; [p.start() for p in ps]; [p.join() for p in ps]; print(v.value)
    from multiprocessing import shared_memory
    s = shared_memory.SharedMemory(create=True, size=4096); s.buf[:5] = b"hello"; t = shared_memory.SharedMemory(s.name); print(bytes(t.buf[:5])); t.close(); s.close(); s.unlink()
    # asyncio
    async def echo(r, w): w.write((await r.readline()).upper()); await w.drain(); w.close()
    async def amain():
        srv = await asyncio.start_server(echo, "127.0.0.1", 0); port = srv.sockets[0].getsockname()[1]
        async def client(i):
            r, w = await asyncio.open_connection("127.0.0.1", port); w.write(f"hello {i}\n".encode()); d = await r.read(); w.close(); return d
        print(await asyncio.gather(*(client(i) for i in range(5))))
        p = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1); print(await p.communicate(b"async")); print(p.returncode)
        print(await asyncio.wait_for(asyncio.sleep(0.01, "slept"), 1)); loop = asyncio.get_running_loop(); print(await loop.run_in_executor(None, square, 12))
        got = asyncio.Event(); loop.add_signal_handler(signal.SIGUSR1, got.set); os.kill(os.getpid(), signal.SIGUSR1); await got.wait(); print("signal")
        srv.close()
    asyncio.run(amain())
    # http
    class H(http.server.BaseHTTPRequestHandler):
        def do_GET(self): body = json.dumps({"path": self.path}).encode(); self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
        def log_message(self, *a): pass
    srv = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H); threading.Thread(target=srv.serve_forever, daemon=True).start()
    for i in range(3):
        c = http.client.HTTPConnection("127.0.0.1", srv.server_port); c.request("GET", f"/{i}"); print(c.getresponse().read()); c.close()
    srv.shutdown()
    # files, mmap, locks
    with tempfile.TemporaryDirectory(dir=".") as d:
        f = pathlib.Path(d) / "f"; f.write_text("héllo\n" * 1000, encoding="utf-8"); print(f.stat().st_size, hashlib.sha256(f.read_bytes()).hexdigest()[:16])
        with open(f, "r+b") as h:
            m = mmap.mmap(h.fileno(), 0); m[:5] = b"MMAP!"; m.flush(); print(m.find(b"llo"), len(m)); m.close(); fcntl.flock(h, fcntl.LOCK_EX)
        print(f.read_bytes()[:8]); shutil.copy(f, d + "/g"); os.symlink("f", d + "/l"); print(sorted(os.listdir(d)), os.readlink(d + "/l")); os.rename(d + "/g", d + "/h"); print([e.name for e in sorted(os.scandir(d), key=lambda e: e.name)])
    print(os.path.exists(d)); m = mmap.mmap(-1, 1 << 20); m[100] = 7; pid = os.fork()
    if pid == 0: m[200] = 8; os._exit(m[100])
    print(os.waitpid(pid, 0)[1] >> 8, m[200])
    r, w = os.pipe(); ep = select.epoll(); ep.register(r, select.EPOLLIN); print(ep.poll(0)); os.write(w, b"x"); print(len(ep.poll(1)))
    a, b = socket.socketpair(); socket.send_fds(a, [b"fd"], [w]); _, fds, _, _ = socket.recv_fds(b, 10, 1); os.write(fds[0], b"y"); print(os.read(r, 10))
    # signals and time
    signal.signal(signal.SIGALRM, lambda *_: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.02); signal.pause()
    t0 = time.monotonic(); time.sleep(0.05); print(0.04 < time.monotonic() - t0 < 5)
    try: signal.raise_signal(signal.SIGINT); time.sleep(1)
    except KeyboardInterrupt: print("interrupt")
    # computing
    random.seed(1); x = [random.random() for _ in range(50000)]; x.sort(); print(round(x[25000], 6)); print(zlib.crc32(b"abc" * 100000), len(zlib.compress(os.urandom(100000))) > 90000)
    db = sqlite3.connect(":memory:"); db.execute("create table t(a)"); db.executemany("insert into t values(?)", ((i,) for i in range(10000))); print(db.execute("select sum(a) from t").fetchone())
    libc = ctypes.CDLL(None); print(libc.getpid() == os.getpid(), ctypes.string_at(b"abc")); big = bytearray(100 << 20); big[-1] = 1; print(len(big)); del big
    def deep(n): return n and deep(n - 1)
    sys.setrecursionlimit(20000); threading.stack_size(256 << 20); t = threading.Thread(target=deep, args=(5000,)); t.start(); t.join(); print("deep")
    print(resource.getrlimit(resource.RLIMIT_CORE)[0], os.cpu_count() == os.sysconf("SC_NPROCESSORS_ONLN"))

if __name__ == "__main__": main()
P
python3 p.py
echo $?
{ python3 -c 'import os; os.abort()'; echo $?; } 2>/dev/null
python3 -c 'raise SystemExit(5)'; echo $?
python3 -c 'import sys; [print(l.strip()[::-1]) for l in sys.stdin]' <<< 'reversed'
