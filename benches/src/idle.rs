//! What an idle sandbox costs: resident memory and processor time.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::side::Side;

/// How long a sandbox is given to come to rest.
const SETTLE: Duration = Duration::from_millis(1500);
/// How long its processor time is watched.
const WATCH: Duration = Duration::from_secs(5);

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Proportional set size of all processes, in bytes.
    pub pss_bytes: f64,
    /// Processor time used per second of wall time, in nanoseconds.
    pub cpu_ns_per_s: f64,
}

/// Starts a sleeping sandbox, looks at it, and ends it.
///
/// The caller must be a child subreaper: some sides leave their first process.
pub fn measure(side: &Side) -> Result<Idle, String> {
    let mut child = side
        .command(&["/bin/sleep", "1000"])
        .spawn()
        .map_err(|error| format!("{side}: {error}"))?;
    thread::sleep(SETTLE);
    let result = look(&mut child, side);
    let _ = child.kill();
    let _ = child.wait();
    end_rest();
    result
}

fn look(child: &mut Child, side: &Side) -> Result<Idle, String> {
    if let Ok(Some(status)) = child.try_wait() {
        return Err(format!("{side}: the sleeping program ended with {status}"));
    }
    let before = processor_ns();
    let started = Instant::now();
    thread::sleep(WATCH);
    let used_ns = processor_ns() - before;
    let pss_bytes = descendants().into_iter().map(pss).sum();
    Ok(Idle { pss_bytes, cpu_ns_per_s: used_ns / started.elapsed().as_secs_f64() })
}

fn end_rest() {
    for _ in 0..200 {
        let rest = descendants();
        if rest.is_empty() {
            return;
        }
        for pid in rest {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(10));
        while matches!(
            nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)),
            Ok(status) if status != nix::sys::wait::WaitStatus::StillAlive
        ) {}
    }
}

fn pss(pid: i32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|word| word.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}

/// Processor time of all threads of all processes below this one.
fn processor_ns() -> f64 {
    let mut total = 0.0;
    for pid in descendants() {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            total +=
                text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        }
    }
    total
}

/// Living processes below this one.
fn descendants() -> Vec<i32> {
    let mut parents: Vec<(i32, i32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let (Some(state), Some(Ok(parent))) = (fields.next(), fields.next().map(str::parse)) else {
            continue;
        };
        if state != "Z" {
            parents.push((pid, parent));
        }
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = vec![own];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        at += 1;
        found.extend(parents.iter().filter(|(_, above)| *above == parent).map(|(pid, _)| *pid));
    }
    found.remove(0);
    // Our own load processes are not part of any side.
    found.retain(|pid| {
        fs::read_link(format!("/proc/{pid}/exe")).ok() != std::env::current_exe().ok()
    });
    found
}
