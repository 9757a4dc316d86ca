//! The guest program, and reading what it prints.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::side::Side;

/// The rows that the guest program measures.
pub const ROWS: &[&str] = &[
    "getpid",
    "clock",
    "read",
    "stat",
    "stat-missing",
    "open-close",
    "readdir-1000",
    "create-unlink",
    "pread-4k",
    "pwrite-4k",
    "seq-read-mib",
    "seq-write-mib",
    "pipe",
    "futex",
    "futex-same-core",
    "touch-cold",
    "touch-stock",
    "mmap-munmap",
    "fork",
    "exec",
    "thread",
];

/// The rows that run other programs: name and program.
pub const PROGRAMS: &[(&str, &str)] = &[
    ("find-usr", "find"),
    ("find-usr-again", "find"),
    ("dd-bs1-200k", "dd"),
    ("python-start", "python3"),
    ("git-status", "git"),
    ("tar-small-files", "tar"),
    ("git-status-10k", "git"),
    ("git-status-10k-again", "git"),
    ("tar-20k", "tar"),
    ("tar-20k-again", "tar"),
    ("untar-20k", "tar"),
    ("gcc-compile", "gcc"),
];

/// Whether a program lies in one of the usual places.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// How long one measurement may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills a process that does not end: one sandbox that hangs shall not stop all of the run.
struct Watch {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn over(child: &Child) -> Self {
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let (over, ended) = channel();
        let thread = thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        Self { over: Some(over), thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Compiles the guest program to a place that every user and sandbox can read.
pub fn build(dir: &Path) -> Result<PathBuf, String> {
    let program = dir.join("rows");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/rows.c");
    let status = Command::new("gcc")
        .args(["-O2", "-static", "-pthread", "-o"])
        .arg(&program)
        .arg(source)
        .status()
        .map_err(|error| format!("gcc: {error}"))?;
    if status.success() { Ok(program) } else { Err("gcc failed".to_owned()) }
}

/// Runs rows on a side; nanoseconds for one iteration of each, in order.
///
/// `iterations` 0 means as many as fill a fifth of a second.
pub fn measure(
    side: &Side,
    program: &Path,
    iterations: u64,
    rows: &[&str],
) -> Result<Vec<(String, f64)>, String> {
    let count = iterations.to_string();
    let shown = program.display().to_string();
    let argv: Vec<&str> =
        [shown.as_str(), &count].into_iter().chain(rows.iter().copied()).collect();
    let output = side
        .command(&argv)
        .current_dir(program.parent().unwrap_or(Path::new("/")))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|child| {
            let watch = Watch::over(&child);
            let output = child.wait_with_output();
            drop(watch);
            output
        })
        .map_err(|error| format!("{side}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut results = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        if let (Some(row), Some(Ok(count)), Some(Ok(took_ns))) =
            (words.next(), words.next().map(str::parse::<f64>), words.next().map(str::parse::<f64>))
        {
            results.push((row.to_owned(), took_ns / count));
        }
    }
    if !output.status.success() || results.len() != rows.len() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{side}: {} after {} rows: {}",
            output.status,
            results.len(),
            errors.trim_end()
        ));
    }
    Ok(results)
}

/// Wall time of `true` on a side, from start to end, in nanoseconds.
pub fn start_and_end(side: &Side) -> Result<f64, String> {
    let started = Instant::now();
    let status = side.command(&["/bin/true"]).spawn().and_then(|mut child| {
        let watch = Watch::over(&child);
        let status = child.wait();
        drop(watch);
        status
    });
    let status = status.map_err(|error| format!("{side}: {error}"))?;
    let took_ns = started.elapsed().as_secs_f64() * 1e9;
    if status.success() {
        Ok(took_ns)
    } else {
        Err(format!("{side}: /bin/true ended with {status}"))
    }
}
