//! Starts the processes of a sandbox.
//!
//! Both are cloned straight into their process (and, for an ordinary user, user) namespace and
//! execute this binary again; each makes its other namespaces itself, so that the two starts
//! overlap. Their configuration goes through a pipe whose end also tells them that their identities
//! are set up.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use bevor_boot::config::SentryConfig;
use bevor_confine::{Child, Namespaces, Spawn, failed_step, privileges, spawn};
use bevor_control::Client;
use caps::Capability;

use crate::failure::{Attempt, Failure};
use crate::roles;
use crate::view::Export;

/// What a sandbox is started with.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The sentry's configuration.
    pub sentry: SentryConfig,
    /// What the gofer serves.
    pub exports: &'a [Export],
    /// The sentry's log.
    pub log: Option<OwnedFd>,
    /// The file of a trace of system calls.
    pub trace: Option<OwnedFd>,
}

/// The processes of a running sandbox and the way to talk to it.
#[derive(Debug)]
pub struct Sandbox {
    /// The control socket.
    pub client: Client,
    /// The sentry.
    pub sentry: Child,
    /// The gofer.
    pub gofer: Child,
    /// The sentry's end of the gofer's channel, to go with `Create`.
    pub channel: Vec<OwnedFd>,
}

/// Starts the sentry and the gofer. They die with the calling thread.
///
/// # Errors
/// A line that says what the host refused and what to do about it.
pub fn launch(plan: Plan<'_>) -> Result<Sandbox, Failure> {
    let by_root = plan.sentry.by_root;
    let exe = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/proc/self/exe");
    let exe = exe.attempt("cannot find the bevor binary through /proc")?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").attempt("/dev/null")?;
    let stderr = std::io::stderr();
    let channel = bevor_gofer_protocol::channel().attempt("cannot make the gofer's channel")?;
    let (ours, theirs) = bevor_control::pair().attempt("cannot make the control socket")?;

    let (sentry_config, sentry_pipe) = std::io::pipe().attempt("cannot make a pipe")?;
    let mut fds: Vec<BorrowedFd<'_>> =
        vec![null.as_fd(), null.as_fd(), stderr.as_fd(), sentry_config.as_fd(), theirs.as_fd()];
    if let Some(trace) = &plan.trace {
        fds.push(plan.log.as_ref().map_or(null.as_fd(), AsFd::as_fd));
        fds.push(trace.as_fd());
    } else {
        fds.extend(plan.log.as_ref().map(AsFd::as_fd));
    }
    let own_user = if by_root { Namespaces::NONE } else { Namespaces::USER };
    let ambient: &[Capability] =
        if by_root { &[] } else { &[Capability::CAP_SYS_ADMIN, Capability::CAP_SETPCAP] };
    let sentry = spawn(&Spawn {
        exe: exe.as_fd(),
        argv: &[c"bevor-sentry", roles::SENTRY],
        fds: &fds,
        namespaces: own_user.and(Namespaces::PID),
        ambient,
    })
    .map_err(|error| refused(&error, by_root))?;
    if !by_root {
        // Without it the sentry cannot make files of large folios, and does without.
        let _ = privileges::map_own_identity(sentry.pid);
    }
    send(sentry_pipe, &plan.sentry)?;

    let (gofer_config, gofer_pipe) = std::io::pipe().attempt("cannot make a pipe")?;
    let mut fds: Vec<BorrowedFd<'_>> = vec![
        null.as_fd(),
        null.as_fd(),
        stderr.as_fd(),
        gofer_config.as_fd(),
        channel.memory.as_fd(),
        channel.server_socket.as_fd(),
    ];
    if !by_root {
        fds.extend(plan.exports.iter().map(|export| export.fd.as_fd()));
    }
    let (namespaces, ambient): (_, &[Capability]) = if by_root {
        (Namespaces::USER.and(Namespaces::PID), roles::GOFER_CAPABILITIES)
    } else {
        (Namespaces::NONE, &[])
    };
    let gofer = spawn(&Spawn {
        exe: exe.as_fd(),
        argv: &[c"bevor-gofer", roles::GOFER],
        fds: &fds,
        namespaces,
        ambient,
    })
    .map_err(|error| refused(&error, by_root))?;
    if by_root {
        map_identities(gofer.pid)?;
    }
    send(gofer_pipe, &roles::gofer_config(plan.exports, by_root))?;
    Ok(Sandbox {
        client: Client::new(ours),
        sentry,
        gofer,
        channel: vec![channel.memory, channel.client_socket],
    })
}

/// Writes a configuration and closes the pipe.
fn send(mut pipe: std::io::PipeWriter, config: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_vec(config).attempt("cannot write a configuration")?;
    // The child died if the pipe is broken; how it died says more, and is asked for later.
    match pipe.write_all(&json) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot send a configuration: {error}")))
        }
        _ => Ok(()),
    }
}

/// Gives the process the identities we have, each as itself: it sees owners as they are, while its
/// capabilities reach no further than its namespace.
fn map_identities(pid: i32) -> Result<(), Failure> {
    for name in ["uid_map", "gid_map"] {
        let ours = std::fs::read_to_string(format!("/proc/self/{name}")).attempt(name)?;
        let mut map = String::new();
        for line in ours.lines() {
            let mut numbers = line.split_whitespace();
            if let (Some(inside), Some(_), Some(count)) =
                (numbers.next(), numbers.next(), numbers.next())
            {
                map.push_str(&format!("{inside} {inside} {count}\n"));
            }
        }
        let file = File::options().write(true).open(format!("/proc/{pid}/{name}"));
        file.and_then(|mut file| file.write_all(map.as_bytes())).attempt(format_args!(
            "cannot map identities for the gofer (root needs CAP_SETUID and CAP_SETGID): {name}"
        ))?;
    }
    Ok(())
}

/// Says what it means that a process could not be cloned.
fn refused(error: &std::io::Error, by_root: bool) -> Failure {
    let hint = match error.raw_os_error() {
        Some(libc::EPERM) if by_root => "root lacks CAP_SYS_ADMIN here",
        Some(libc::EPERM) => "this host allows no user namespaces to ordinary users",
        Some(libc::ENOSPC) => "too many namespaces: see /proc/sys/user/max_*_namespaces",
        Some(libc::EAGAIN) => "too many processes: see ulimit -u",
        Some(libc::EINVAL | libc::ENOSYS) => "the kernel is too old or has no namespaces",
        _ => "the host refused",
    };
    Failure::new(format!("cannot start a sandbox: {hint} ({error}); try bevor doctor"))
}

/// Describes how a process of the sandbox ended, for people.
pub fn describe_end(status: nix::sys::wait::WaitStatus) -> String {
    use nix::sys::wait::WaitStatus::{Exited, Signaled};
    match status {
        Exited(_, code) => match failed_step(code) {
            Some(step) => step.to_owned(),
            None => format!("ended with status {code}"),
        },
        Signaled(_, signal, _) => format!("was killed by {signal}"),
        other => format!("{other:?}"),
    }
}
