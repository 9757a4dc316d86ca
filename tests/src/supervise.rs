//! Runs one program under a watch that nothing can outlive.
//!
//! The supervisor is a process of its own (this binary again) and the reaper of
//! every orphan below it. It enforces the time limit, then looks for processes
//! that are still there although the program has ended: a leak.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::case::User;

/// First word of the command line that makes this binary a supervisor.
pub const COMMAND: &str = "supervise";

/// How long processes below a program may take to vanish after its end.
const GRACE: Duration = Duration::from_millis(1000);

/// What to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Folder to run in, made by the caller.
    pub dir: PathBuf,
    /// User and group id.
    pub id: u32,
    /// Time limit in milliseconds.
    pub timeout_ms: u64,
    /// File for standard input; empty if none.
    pub stdin: Option<PathBuf>,
    /// Most descriptors of a process, soft and hard.
    #[serde(default)]
    pub max_files: Option<u64>,
    /// More variables of the environment.
    pub env: Vec<(String, String)>,
    /// Where `stdout` and `stderr` are written.
    pub out: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Exit status, 128+N for a signal, as a shell shows it.
    pub status: i32,
    /// The time limit struck.
    pub timed_out: bool,
    /// Names of processes that outlived the program.
    pub leftover: Vec<String>,
    /// Run time in milliseconds.
    pub duration_ms: u64,
    /// Standard output.
    #[serde(skip)]
    pub stdout: Vec<u8>,
    /// Standard error.
    #[serde(skip)]
    pub stderr: Vec<u8>,
}

/// Runs a program to its end and collects everything about it.
pub fn run(order: &Order) -> Result<Outcome, String> {
    fs::create_dir_all(&order.out).map_err(|error| format!("{}: {error}", order.out.display()))?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let words = serde_json::to_string(order).map_err(|error| error.to_string())?;
    let output = Command::new(own)
        .args([COMMAND, &words])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("supervisor: {error}"))?;
    let mut outcome: Outcome = serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("supervisor: {error}: {}", String::from_utf8_lossy(&output.stdout))
    })?;
    outcome.stdout = fs::read(order.out.join("stdout")).map_err(|error| error.to_string())?;
    outcome.stderr = fs::read(order.out.join("stderr")).map_err(|error| error.to_string())?;
    Ok(outcome)
}

/// By how much to extend time limits: `BEVOR_TEST_SLOWER`, for machines that are no measure.
pub fn slower() -> u32 {
    std::env::var("BEVOR_TEST_SLOWER").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// An order for a program with the defaults of this run.
pub fn order(argv: Vec<String>, dir: &Path, user: User, timeout_s: u64, out: &Path) -> Order {
    Order {
        argv,
        dir: dir.to_owned(),
        id: user.id(),
        timeout_ms: timeout_s * 1000 * u64::from(slower()),
        stdin: None,
        max_files: None,
        env: Vec::new(),
        out: out.to_owned(),
    }
}

/// Starts a program. One that was just written may still be open in a child that another thread is
/// about to turn into something else.
fn spawn(command: &mut Command) -> std::io::Result<std::process::Child> {
    for _ in 0..100 {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
    command.spawn()
}

/// Main function of the supervisor process.
pub fn main(argv: &[String]) -> ExitCode {
    let order: Order = match argv.first().map(|word| serde_json::from_str(word)) {
        Some(Ok(order)) => order,
        _ => return ExitCode::from(2),
    };
    match supervise(&order) {
        Ok(outcome) => {
            println!("{}", serde_json::to_string(&outcome).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(order: &Order) -> Result<Outcome, String> {
    nix::sys::prctl::set_child_subreaper(true).map_err(|error| format!("subreaper: {error}"))?;
    // A core file would take time and show in the wait status.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|error| format!("core limit: {error}"))?;
    if let Some(most) = order.max_files {
        let limited = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        limited.map_err(|error| format!("descriptor limit: {error}"))?;
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let open = |name: &str| {
        let path = order.out.join(name);
        let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(file)
    };
    let stdin = match &order.stdin {
        Some(path) => {
            Stdio::from(File::open(path).map_err(|error| format!("{}: {error}", path.display()))?)
        }
        None => Stdio::null(),
    };
    let program = order.argv.first().ok_or("nothing to run")?;
    let started = Instant::now();
    let mut command = Command::new(program);
    command
        .args(&order.argv[1..])
        .current_dir(&order.dir)
        .env_clear()
        .envs([
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin",
            ),
            ("HOME", "/tmp"),
            ("LC_ALL", "C.UTF-8"),
            ("TERM", "dumb"),
            ("USER", "tester"),
            ("SHELL", "/bin/bash"),
        ])
        .envs(order.env.iter().cloned())
        .stdin(stdin)
        .stdout(open("stdout")?)
        .stderr(open("stderr")?)
        .process_group(0);
    if nix::unistd::geteuid().is_root() {
        command.uid(order.id).gid(order.id);
    }
    let mut child = spawn(&mut command).map_err(|error| format!("{program}: {error}"))?;
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let _ = sender.send(child.wait());
    });
    let (status, timed_out) = match receiver.recv_timeout(Duration::from_millis(order.timeout_ms)) {
        Ok(status) => (status, false),
        Err(_) => {
            let _ = kill(pid, Signal::SIGKILL);
            (receiver.recv().map_err(|error| error.to_string())?, true)
        }
    };
    let status = status.map_err(|error| format!("wait: {error}"))?;
    let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(127));
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let leftover = settle();
    Ok(Outcome { status, timed_out, leftover, duration_ms, stdout: Vec::new(), stderr: Vec::new() })
}

/// Waits for everything below to vanish, names what did not, and ends it.
fn settle() -> Vec<String> {
    let deadline = Instant::now() + GRACE;
    let mut pause = Duration::from_millis(1);
    let mut names: Vec<String> = Vec::new();
    loop {
        reap();
        let alive = descendants();
        if alive.is_empty() {
            return names;
        }
        if Instant::now() >= deadline {
            for (pid, name) in &alive {
                if names.len() < 20 {
                    names.push(name.clone());
                }
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
        }
        if Instant::now() >= deadline + Duration::from_secs(20) {
            names.push("(cannot be killed)".to_owned());
            return names;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn reap() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(nix::sys::wait::WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Living processes below this one: pid and name.
fn descendants() -> Vec<(i32, String)> {
    let mut children: HashMap<i32, Vec<(i32, String)>> = HashMap::new();
    let Ok(listing) = fs::read_dir("/proc") else { return Vec::new() };
    for entry in listing.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else { continue };
        let mut fields = stat[close + 1..].split_whitespace();
        let (Some(state), Some(parent)) = (fields.next(), fields.next()) else { continue };
        if state == "Z" || state == "X" {
            continue;
        }
        let Ok(parent) = parent.parse() else { continue };
        children.entry(parent).or_default().push((pid, stat[open + 1..close].to_owned()));
    }
    let mut found = Vec::new();
    let mut parents = vec![i32::try_from(std::process::id()).unwrap_or(0)];
    while let Some(parent) = parents.pop() {
        for (pid, name) in children.remove(&parent).unwrap_or_default() {
            parents.push(pid);
            found.push((pid, name));
        }
    }
    found
}
