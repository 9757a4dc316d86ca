//! The guest program, and reading what it prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::side::Side;

/// The rows that the guest program measures.
pub const ROWS: &[&str] = &[
    "getpid",
    "clock",
    "read",
    "stat",
    "stat-missing",
    "open-close",
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
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
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
    let status =
        side.command(&["/bin/true"]).status().map_err(|error| format!("{side}: {error}"))?;
    let took_ns = started.elapsed().as_secs_f64() * 1e9;
    if status.success() {
        Ok(took_ns)
    } else {
        Err(format!("{side}: /bin/true ended with {status}"))
    }
}
