# bevor-test: timeout=120
# node: http on the loopback, worker threads, child processes, timers, files.
cat > n.js <<'J'
const http = require('http'), fs = require('fs'), os = require('os'), crypto = require('crypto'), zlib = require('zlib'), path = require('path');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { execSync, spawn, fork } = require('child_process');
if (process.argv[2] === 'child') { process.on('message', m => { process.send(m * 2); process.disconnect(); }); }
else if (!isMainThread) { let s = 0; for (let i = 0; i < 1e6; i++) s += i % workerData; parentPort.postMessage(s); }
else (async () => {
  console.log(process.version.startsWith('v'), process.argv.length);
  const server = http.createServer((q, r) => { let b = ''; q.on('data', d => b += d); q.on('end', () => { r.setHeader('x', 'y'); r.end(q.method + q.url + b.length); }); });
  await new Promise(r => server.listen(0, '127.0.0.1', r));
  const get = (p, body) => new Promise((res, rej) => { const q = http.request({ port: server.address().port, host: '127.0.0.1', path: p, method: body ? 'POST' : 'GET' }, r => { let b = ''; r.on('data', d => b += d); r.on('end', () => res(r.statusCode + b)); }); q.on('error', rej); q.end(body); });
  console.log(await get('/a'), await get('/b', 'x'.repeat(1e6)));
  console.log((await Promise.all(Array.from({ length: 30 }, (_, i) => get('/' + i)))).join(' '));
  server.close();
  console.log(await Promise.all([1, 2, 3, 4].map(n => new Promise((res, rej) => { const w = new Worker(__filename, { workerData: n + 1 }); w.on('message', res); w.on('error', rej); }))));
  console.log(execSync('echo from shell').toString().trim());
  const c = spawn('cat'); c.stdin.end('piped'); let o = ''; for await (const d of c.stdout) o += d; console.log(o);
  const k = spawn('sleep', ['100']); k.kill(); console.log(await new Promise(r => k.on('exit', (code, sig) => r(sig))));
  const f = fork(__filename, ['child']); f.send(21); console.log(await new Promise(r => f.on('message', r)));
  fs.writeFileSync('f', 'text'); await fs.promises.appendFile('f', ' more'); console.log(fs.readFileSync('f', 'utf8'), fs.statSync('f').size); fs.mkdirSync('d/e', { recursive: true }); fs.renameSync('f', 'd/e/f'); console.log(fs.readdirSync('d/e'));
  const w = fs.watch('d'); const ev = new Promise(r => w.on('change', (t, n) => r(n))); setTimeout(() => fs.writeFileSync('d/new', ''), 20); console.log(await ev); w.close();
  console.log(crypto.createHash('sha256').update('abc').digest('hex').slice(0, 16), await new Promise(r => crypto.pbkdf2('p', 's', 1000, 16, 'sha256', (e, b) => r(b.toString('hex')))));
  console.log(zlib.gunzipSync(zlib.gzipSync(Buffer.alloc(1e6))).length);
  let n = 0; await new Promise(r => { const t = setInterval(() => { if (++n === 5) { clearInterval(t); r(); } }, 2); }); console.log(n);
  process.once('SIGUSR2', () => console.log('signal')); process.kill(process.pid, 'SIGUSR2'); await new Promise(r => setTimeout(r, 50));
  let a = []; for (let i = 0; i < 2e6; i++) a.push({ i }); console.log(a.reduce((s, x) => s + x.i, 0)); a = null;
  const fib = n => n < 2 ? n : fib(n - 1) + fib(n - 2); console.log(fib(27)); console.log(os.cpus().length > 0, path.basename(process.execPath));
})();
J
node n.js; echo $?
node -e 'process.exit(7)'; echo $?
node -e 'throw 1' 2> /dev/null; echo $?
echo 'console.log("stdin")' | node -
