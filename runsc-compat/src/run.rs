//! `bevor do`: one program in a sandbox of its own.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use bevor_boot::config::{Log, SentryConfig, Trace, TraceKind};
use bevor_control::{ChangesForm, Create, Gofer, Limits, Process, Rlimit, Text, User};
use nix::sys::resource::{Resource, getrlimit};

use crate::address::Address;
use crate::cli::{Do, HostUds, LogFormat, NetArg};
use crate::failure::{Attempt, Failure};
use crate::fs;
use crate::launch::{Plan, launch};
use crate::overlay::Overlay;
use crate::session::Wishes;
use crate::session::{self, Session};
use crate::streams;
use crate::view::{self, View};

/// Name of the one container of a `do` sandbox.
pub const CONTAINER: &str = "do";

/// Runs the program to its end and returns its exit status.
///
/// # Errors
/// What kept it from running.
pub fn run(args: &Do) -> Result<u8, Failure> {
    let started = Instant::now();
    let clock = |what: &str| {
        if args.time_start {
            eprintln!("bevor: {:?}: {what}", started.elapsed());
        }
    };
    let mut wishes = Vec::new();
    for (path, form) in [(&args.diff, ChangesForm::Text), (&args.export, ChangesForm::Tar)] {
        if let Some(path) = path {
            wishes.push((form, fs::open(Some(path))?));
        }
    }
    if !wishes.is_empty() && args.overlay == Overlay::None {
        return Err(Failure::new("--overlay none keeps no changes to be listed or exported"));
    }
    let address = args.id.as_deref().map(Address::new).transpose()?;
    let signals = session::hold_signals()?;
    let by_root = nix::unistd::geteuid().is_root();
    let mut view = View::new(&view::Wishes {
        root: &args.root,
        cwd: args.cwd.as_deref(),
        ro: &args.ro,
        rw: &args.rw,
        host_locks: args.host_locks,
        host_home: args.host_home,
        host_net: args.net == NetArg::Host,
        overlay: &args.overlay,
        overlay_size: args.overlay_size,
        host_sockets: args.host_uds.into(),
    })?;
    let log = args.log.as_ref().map(|path| {
        let mut options = OpenOptions::new();
        options.append(true).create(true).custom_flags(libc::O_CLOEXEC);
        options.open(path).map(OwnedFd::from).attempt(path.display())
    });
    let log = log.transpose()?;
    let (trace, trace_file) = trace(args)?;
    let mut process = process(args, &view, &signals)?;
    let (mut fds, facts) = streams::ours()?;
    process.streams = facts;
    let hostname = match &args.hostname {
        Some(name) if name.len() > 64 || name.is_empty() => {
            return Err(Failure::new("--hostname: 1 to 64 bytes"));
        }
        Some(name) => name.clone(),
        None => nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .attempt("cannot read the host name")?,
    };
    let sentry = SentryConfig {
        platform: args.platform.into(),
        net: args.net.into(),
        host_unix: args.host_uds != HostUds::None,
        trace,
        log: log
            .is_some()
            .then_some(Log { json: args.log_format == LogFormat::Json, debug: args.debug }),
        cpus: args.cpus.map(usize::from),
        memory_bytes: args.memory,
        by_root,
        time_start: args.time_start,
        reload_waits: args.reload_waits,
    };
    let mut sandbox = launch(Plan { sentry, exports: &view.exports, log, trace: trace_file })?;

    let gofer = Gofer { descriptors: sandbox.channel.len() };
    fds.append(&mut sandbox.channel);
    let contents = view.overlay.contents.take();
    let has_contents = contents.is_some();
    fds.extend(contents);
    let create = Create {
        container: CONTAINER.into(),
        process,
        gofer: Some(gofer),
        contents: has_contents,
        root: view.root,
        mounts: view.mounts,
        hostname: Some(hostname),
        // It dies of signals as it would outside.
        protect_init: false,
        limits: Limits {
            memory_bytes: args.memory,
            cpu_millis: args.cpus.map(|count| u64::from(count) * 1000),
            pids: args.pids,
        },
    };
    let session = Session::begin(sandbox, create, fds)?;
    clock("the sandbox was asked to run the program");
    let deadline = args.timeout.map(|timeout| (Instant::now() + timeout, timeout));
    session.run(signals, Wishes { deadline, address, changes: wishes }, clock)
}

/// What is to be written of system calls, and the file for it.
fn trace(args: &Do) -> Result<(Option<Trace>, Option<OwnedFd>), Failure> {
    let path = args.record_calls.as_ref().or(args.strace_output.as_ref());
    let kind = match (&args.record_calls, args.strace, args.strace_summary) {
        (Some(_), ..) => TraceKind::Record,
        (None, true, true) => TraceKind::LinesAndSummary,
        (None, true, false) => TraceKind::Lines,
        (None, false, true) => TraceKind::Summary,
        (None, false, false) if path.is_some() => {
            return Err(Failure::new("--strace-output needs --strace or --strace-summary"));
        }
        (None, false, false) => return Ok((None, None)),
    };
    let file = path.map(|path| {
        let mut options = OpenOptions::new();
        options.create(true).custom_flags(libc::O_CLOEXEC);
        match kind {
            TraceKind::Record => options.append(true),
            _ => options.write(true).truncate(true),
        };
        options.open(path).map(OwnedFd::from).attempt(path.display())
    });
    let file = file.transpose()?;
    Ok((Some(Trace { kind, to_file: file.is_some() }), file))
}

/// The program with everything it would inherit from us if it ran here.
fn process(args: &Do, view: &View, signals: &session::Signals) -> Result<Process, Failure> {
    for word in &args.program {
        if word.as_bytes().contains(&0) {
            return Err(Failure::new("an argument contains a zero byte"));
        }
    }
    let user = match &args.user {
        Some(name) => User::Name(name.clone()),
        None => User::Ids {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: nix::unistd::getgroups()
                .attempt("cannot read the caller's groups")?
                .into_iter()
                .map(nix::unistd::Gid::as_raw)
                .collect(),
        },
    };
    // The mask can be read only by setting it.
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    nix::sys::stat::umask(umask);
    Ok(Process {
        args: args.program.iter().map(|word| Text::from(word.as_os_str())).collect(),
        env: environment(args)?,
        cwd: view.cwd.clone(),
        user,
        capabilities: None,
        no_new_privs: false,
        terminal: None,
        streams: Vec::new(),
        rlimits: rlimits(),
        umask: Some(umask.bits()),
        ignored_signals: signals.ignored.clone(),
    })
}

fn environment(args: &Do) -> Result<Vec<Text>, Failure> {
    let mut variables: Vec<(OsString, OsString)> =
        if args.clear_env { Vec::new() } else { std::env::vars_os().collect() };
    for wish in &args.env {
        let bytes = wish.as_bytes();
        let at = bytes.iter().position(|&byte| byte == b'=');
        let (name, value) = match at {
            Some(at) if at > 0 => (&bytes[..at], &bytes[at + 1..]),
            _ => {
                let wish = wish.to_string_lossy();
                return Err(Failure::new(format!("--env {wish}: expected NAME=VALUE")));
            }
        };
        variables.retain(|(have, _)| have.as_bytes() != name);
        variables.push((
            std::ffi::OsStr::from_bytes(name).to_owned(),
            std::ffi::OsStr::from_bytes(value).to_owned(),
        ));
    }
    Ok(variables
        .into_iter()
        .map(|(name, value)| {
            let mut entry = name.into_encoded_bytes();
            entry.push(b'=');
            entry.extend_from_slice(value.as_bytes());
            Text::from(entry)
        })
        .collect())
}

/// The caller's limits, which the program would inherit.
fn rlimits() -> Vec<Rlimit> {
    [
        Resource::RLIMIT_CPU,
        Resource::RLIMIT_FSIZE,
        Resource::RLIMIT_DATA,
        Resource::RLIMIT_STACK,
        Resource::RLIMIT_CORE,
        Resource::RLIMIT_RSS,
        Resource::RLIMIT_NPROC,
        Resource::RLIMIT_NOFILE,
        Resource::RLIMIT_MEMLOCK,
        Resource::RLIMIT_AS,
        Resource::RLIMIT_LOCKS,
        Resource::RLIMIT_SIGPENDING,
        Resource::RLIMIT_MSGQUEUE,
        Resource::RLIMIT_NICE,
        Resource::RLIMIT_RTPRIO,
        Resource::RLIMIT_RTTIME,
    ]
    .into_iter()
    .filter_map(|resource| {
        let (soft, hard) = getrlimit(resource).ok()?;
        Some(Rlimit { resource: resource as u32, soft, hard })
    })
    .collect()
}
