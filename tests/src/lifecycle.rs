//! Checks of whole sandboxes: many of them, killed ones, and what is left.

use std::fs;
use std::os::unix::process::CommandExt;

use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::case::{Platform, User};
use crate::hanging;
use crate::leaks;
use crate::runner::Context;
use crate::supervise;

/// One check.
pub struct Check {
    /// `life/NAME`.
    pub name: &'static str,
    /// Only in the long tier.
    pub full: bool,
    /// Wants the machine alone.
    pub alone: bool,
    /// The check itself.
    pub run: fn(&Context, Platform, User) -> Result<(), String>,
}

/// All checks.
pub const CHECKS: &[Check] = &[
    Check {
        name: "life/in-sequence-50",
        full: false,
        alone: true,
        run: |c, p, u| in_sequence(c, p, u, 50),
    },
    Check {
        name: "life/at-once-20",
        full: false,
        alone: true,
        run: |c, p, u| at_once(c, p, u, 20),
    },
    Check {
        name: "life/in-sequence-1000",
        full: true,
        alone: true,
        run: |c, p, u| in_sequence(c, p, u, 1000),
    },
    Check {
        name: "life/at-once-200",
        full: true,
        alone: true,
        run: |c, p, u| at_once(c, p, u, 200),
    },
    Check { name: "life/kill-the-cli", full: false, alone: true, run: kill_the_cli },
    Check { name: "life/kill-each-process", full: false, alone: true, run: kill_each_process },
    Check { name: "life/stub-of-a-child", full: false, alone: true, run: stub_of_a_child },
    Check { name: "life/stopped-gofer", full: false, alone: true, run: hanging::stopped_gofer },
];

/// How long a sandbox may take to vanish after one of its processes was killed.
const VANISH: Duration = Duration::from_millis(1000);

fn sandbox(context: &Context, platform: Platform, user: User, argv: &[&str]) -> Command {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let words = context.bevor_do(platform, &[], &argv);
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .current_dir("/tmp")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.env("HOME", "/tmp").process_group(0);
    if nix::unistd::geteuid().is_root() {
        command.uid(user.id()).gid(user.id());
    }
    command
}

fn expect_success(number: usize, child: Child) -> Result<(), String> {
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("sandbox {number}: {}: {}", output.status, errors.trim_end()))
}

/// Sandboxes one after another leave nothing, in the end and in memory.
fn in_sequence(
    context: &Context,
    platform: Platform,
    user: User,
    count: usize,
) -> Result<(), String> {
    let before = leaks::look();
    for number in 1..=count {
        let child = sandbox(context, platform, user, &["/bin/true"])
            .spawn()
            .map_err(|error| error.to_string())?;
        expect_success(number, child)?;
    }
    leaks::compare(&before)
}

/// Sandboxes at once all end well and leave nothing.
fn at_once(context: &Context, platform: Platform, user: User, count: usize) -> Result<(), String> {
    let before = leaks::look();
    let script = "read x < /proc/uptime; sleep 2; exit 0";
    let mut children = Vec::new();
    for _ in 0..count {
        let spawned = sandbox(context, platform, user, &["/bin/sh", "-c", script]).spawn();
        children.push(spawned.map_err(|error| error.to_string())?);
    }
    let mut problems = Vec::new();
    for (number, child) in children.into_iter().enumerate() {
        problems.extend(expect_success(number + 1, child).err());
    }
    if let Some(first) = problems.first() {
        return Err(format!("{} of {count} failed; first: {first}", problems.len()));
    }
    leaks::compare(&before)
}

/// A sandbox that has started and now sleeps.
pub struct Sleeping {
    child: Child,
}

impl Sleeping {
    fn start(
        context: &Context,
        platform: Platform,
        user: User,
        script: &str,
    ) -> Result<Self, String> {
        Self::start_program(context, platform, user, &["/bin/sh", "-c", script])
    }

    /// Starts a program and waits for the first byte of its output.
    pub fn start_program(
        context: &Context,
        platform: Platform,
        user: User,
        argv: &[&str],
    ) -> Result<Self, String> {
        use std::io::Read;
        let mut command = sandbox(context, platform, user, argv);
        command.stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut byte = [0_u8; 1];
        let mut stdout = child.stdout.take().ok_or("no stdout")?;
        stdout.read_exact(&mut byte).map_err(|error| {
            let _ = child.kill();
            let _ = child.wait();
            format!("the guest did not start: {error}")
        })?;
        child.stdout = Some(stdout);
        Ok(Self { child })
    }

    /// The other end of its standard output.
    pub fn take_stdout(&mut self) -> Result<ChildStdout, String> {
        self.child.stdout.take().ok_or_else(|| "no stdout".to_owned())
    }

    /// The command line.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// Processes below the command line, as a tree walk finds them.
    pub fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        let mut parents = vec![self.pid()];
        while let Some(parent) = parents.pop() {
            for child in children_of(parent) {
                found.push(child);
                parents.push(child);
            }
        }
        found
    }

    /// Waits for all of these to be gone.
    pub fn vanished(&mut self, processes: &[i32]) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let _ = self.child.try_wait();
            let alive: Vec<String> =
                processes.iter().filter(|pid| alive(**pid)).map(|pid| describe(*pid)).collect();
            if alive.is_empty() {
                return Ok(());
            }
            if started.elapsed() > VANISH * supervise::slower() {
                return Err(format!("still there after a second: {}", alive.join(", ")));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        let below = self.processes();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in below {
            if alive(pid) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

fn stat(pid: i32) -> Option<(String, String, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let mut fields = text[close + 1..].split_whitespace();
    let state = fields.next()?.to_owned();
    let parent = fields.next()?.parse().ok()?;
    Some((text[open + 1..close].to_owned(), state, parent))
}

fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(_, state, _)| state != "Z" && state != "X")
}

/// The name of a process.
pub fn name_of(pid: i32) -> String {
    stat(pid).map_or(String::new(), |(name, _, _)| name)
}

fn describe(pid: i32) -> String {
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&cmdline).replace('\0', " ");
    let name = name_of(pid);
    format!("{pid} ({name}: {})", words.trim_end().chars().take(120).collect::<String>())
}

fn children_of(parent: i32) -> Vec<i32> {
    let listing = fs::read_dir("/proc").into_iter().flatten().flatten();
    listing
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()))
        .filter(|pid| stat(*pid).is_some_and(|(_, state, above)| above == parent && state != "Z"))
        .collect()
}

/// Kills a process; `false` if it has ended since it was found, as the stub of a program that was
/// replaced does.
fn killed(victim: i32) -> Result<bool, String> {
    match kill(Pid::from_raw(victim), Signal::SIGKILL) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a process has a file mapped whose path ends in `name`. Only root can see that of stubs.
fn maps_program(pid: i32, name: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines().any(|line| line.ends_with(name))
}

/// Killing the command line takes everything down within a second.
fn kill_the_cli(context: &Context, platform: Platform, user: User) -> Result<(), String> {
    let before = leaks::look();
    for _ in 0..5 {
        let mut sleeping =
            Sleeping::start(context, platform, user, "sleep 1000 & echo x; sleep 1000")?;
        let below = sleeping.processes();
        if below.len() < 2 {
            return Err(format!("expected a sentry and a gofer, found {} processes", below.len()));
        }
        kill(Pid::from_raw(sleeping.pid()), Signal::SIGKILL).map_err(|error| error.to_string())?;
        sleeping.vanished(&below)?;
    }
    leaks::compare(&before)
}

/// Killing any one process below the command line ends the whole sandbox
/// within a second, unless it is one the guest does not depend on.
///
/// The command line must end too, with a status that is not success and, if it
/// says anything, one line.
fn kill_each_process(context: &Context, platform: Platform, user: User) -> Result<(), String> {
    let before = leaks::look();
    let mut ended = 0;
    let mut index = 0;
    loop {
        let mut sleeping = Sleeping::start(context, platform, user, "echo x; exec sleep 1000")?;
        let below = sleeping.processes();
        let Some(&victim) = below.get(index) else { break };
        index += 1;
        let name = describe(victim);
        if !killed(victim)? {
            continue;
        }
        let started = Instant::now();
        let mut status = None;
        while status.is_none() && started.elapsed() < VANISH * supervise::slower() {
            status = sleeping.child.try_wait().map_err(|error| error.to_string())?;
            thread::sleep(Duration::from_millis(5));
        }
        let Some(status) = status else { continue };
        ended += 1;
        if status.success() {
            return Err(format!("killed {name}: the command line ended with success"));
        }
        sleeping.vanished(&below).map_err(|error| format!("killed {name}: {error}"))?;
    }
    if ended < 3 {
        return Err(format!(
            "of {index} processes only {ended} mattered: expected sentry, gofer and the guest's stub"
        ));
    }
    leaks::compare(&before)
}

/// A killed stub is the SIGKILL of that one guest process, seen by its parent.
fn stub_of_a_child(context: &Context, platform: Platform, user: User) -> Result<(), String> {
    use std::io::Read;
    let script = "sleep 777 & sleep 0.5; echo x; wait $!; echo status $?; sleep 0.2; echo done";
    let mut index = 0;
    loop {
        let mut sleeping = Sleeping::start(context, platform, user, script)?;
        let mut below = sleeping.processes();
        // The most likely one first: which processes serve whom differs from run to run.
        below.sort_by_key(|&pid| !maps_program(pid, "/sleep"));
        let Some(&victim) = below.get(index) else {
            return Err(format!("no process of {index} was the child's stub"));
        };
        index += 1;
        if !killed(victim)? {
            continue;
        }
        let started = Instant::now();
        let mut ended = None;
        while ended.is_none() && started.elapsed() < 2 * VANISH * supervise::slower() {
            thread::sleep(Duration::from_millis(20));
            ended = sleeping.child.try_wait().map_err(|error| error.to_string())?;
        }
        if ended.is_some_and(|status| status.success()) {
            let mut text = String::new();
            if let Some(stdout) = sleeping.child.stdout.as_mut() {
                stdout.read_to_string(&mut text).map_err(|error| error.to_string())?;
            }
            return if text.contains("status 137\ndone") {
                Ok(())
            } else {
                Err(format!("the parent saw: {text:?}"))
            };
        }
    }
}
