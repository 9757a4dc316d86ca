//! Random system calls by hostile guests: the sentry must neither panic nor hang, whatever they do.
//!
//! `fuzz/guest.c` makes generation after generation of processes that issue random calls; what it does
//! follows from its seed. A run must end in time with its last line, say nothing of the sentry's own,
//! and leave nothing behind on the host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::case::{self, Platform, User};
use crate::places::make_dir;
use crate::runner::{Context, RELOAD_WAITS};
use crate::supervise;

/// One test: the same guests in one kind of sandbox.
pub struct Kind {
    /// Name of the test.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&Context, Platform, User) -> Result<(), String>,
    /// Only in the long tier.
    pub full: bool,
}

/// Every kind of sandbox.
pub const KINDS: &[Kind] = &[
    Kind { name: "fuzz/calls", run: |c, p, u| run(c, p, u, Mode::Plain), full: false },
    Kind { name: "fuzz/calls-rw", run: |c, p, u| run(c, p, u, Mode::Rw), full: false },
    Kind { name: "fuzz/calls-reload", run: |c, p, u| run(c, p, u, Mode::Reload), full: true },
    Kind { name: "fuzz/calls-few", run: |c, p, u| run(c, p, u, Mode::Few), full: true },
];

/// What is special about a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    /// The guests' folder is one of the host's.
    Rw,
    /// Waiting calls are saved and reloaded.
    Reload,
    /// The sandbox's own processes have few descriptors.
    Few,
}

/// Seeds of the short tier, and of the long one.
const SHORT: u64 = 2;
const LONG: u64 = 8;
/// Generations of guests per seed.
const GENERATIONS: u64 = 12;
/// Seconds one seed may take: about one and a half on an idle machine.
const LIMIT_S: u64 = 60;
/// Seconds by which the host's clock may be corrected meanwhile.
const CLOCK_S: f64 = 3.0;
/// Descriptors of the sandbox's processes where they are few.
const FEW: u64 = 1024;

fn run(context: &Context, platform: Platform, user: User, mode: Mode) -> Result<(), String> {
    let guest = case::find(&context.places, "fuzz")?.pop().ok_or("no tests/fuzz/guest.c")?;
    let guest = context.builder.prepare(&context.places, &guest)?;
    let (first, last) =
        context.options.seeds.unwrap_or((1, if context.options.full { LONG } else { SHORT }));
    for seed in first..=last {
        one(context, platform, user, mode, &guest, seed).map_err(|problem| {
            format!("seed {seed} (--seeds {seed}-{seed}, {GENERATIONS} generations): {problem}")
        })?;
    }
    Ok(())
}

fn one(
    context: &Context,
    platform: Platform,
    user: User,
    mode: Mode,
    guest: &[String],
    seed: u64,
) -> Result<(), String> {
    let stem = format!("fuzz-{mode:?}-{platform}-{user}").to_lowercase();
    let dir = context.places.run.join("work").join(&stem);
    let _ = fs::remove_dir_all(&dir);
    make_dir(&dir, 0o777)?;
    let folder = if mode == Mode::Rw { dir.display().to_string() } else { "/tmp".to_owned() };
    let mut flags: Vec<String> =
        ["--memory=1G", "--pids=300", "--overlay-size=256M"].map(str::to_owned).into();
    match mode {
        Mode::Rw => flags.extend(["--rw".to_owned(), folder.clone()]),
        Mode::Reload => flags.push(RELOAD_WAITS.to_owned()),
        Mode::Plain | Mode::Few => {}
    }
    let mut argv = guest.to_vec();
    argv.extend([seed.to_string(), GENERATIONS.to_string(), folder]);
    // The guest starts only where it is told that it cannot harm the machine.
    flags.push("--env=BEVOR_FUZZ_SANDBOX=1".to_owned());
    let argv = context.bevor_do(platform, &flags, &argv);
    let out = context.places.out.join(&stem);
    let mut order = supervise::order(argv, &dir, user, LIMIT_S, &out);
    order.max_files = (mode == Mode::Few).then_some(FEW);
    let before = Host::look()?;
    let outcome = supervise::run(&order)?;
    let _ = fs::remove_dir_all(&dir);
    before.compare(&Host::look()?)?;
    let (shown, said) =
        (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    let reached = shown.lines().last().unwrap_or("nothing");
    if outcome.timed_out {
        return Err(format!("hangs after `{reached}`"));
    }
    if !outcome.leftover.is_empty() {
        return Err(format!("left running: {}", outcome.leftover.join(" ")));
    }
    if outcome.status != 0 || !reached.starts_with("done") || !said.is_empty() {
        return Err(format!("status {} after `{reached}`\n{}", outcome.status, said.trim_end()));
    }
    Ok(())
}

/// What guests try to change of the host, and must not.
struct Host {
    /// Its name.
    name: String,
    /// When it was started, by its clock: the two do not move against each other.
    started_s: f64,
    /// Files the guests know of: mode, owner, group, links, length.
    files: Vec<(&'static str, [u64; 5])>,
    /// How many mounts there are.
    mounts: usize,
}

impl Host {
    fn look() -> Result<Self, String> {
        let read = |path| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let uptime = read("/proc/uptime")?;
        let uptime_s = uptime.split(' ').next().and_then(|text| text.parse::<f64>().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut files = Vec::new();
        for path in ["/etc/passwd", "/bin/true", "/bin/sh", "/usr", "/dev/null", "/dev/zero"] {
            let meta = fs::metadata(path).map_err(|error| format!("{path}: {error}"))?;
            let owner = [meta.uid(), meta.gid()].map(u64::from);
            files.push((path, [meta.mode().into(), owner[0], owner[1], meta.nlink(), meta.len()]));
        }
        Ok(Self {
            name: read("/proc/sys/kernel/hostname")?,
            started_s: now.as_secs_f64() - uptime_s.unwrap_or_default(),
            files,
            mounts: read("/proc/self/mountinfo")?.lines().count(),
        })
    }

    fn compare(&self, after: &Self) -> Result<(), String> {
        let same = self.name == after.name
            && self.files == after.files
            && self.mounts == after.mounts
            && (self.started_s - after.started_s).abs() < CLOCK_S;
        if same {
            Ok(())
        } else {
            Err("the host's name, clock, mounts or files changed".to_owned())
        }
    }
}
