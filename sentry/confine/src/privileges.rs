//! Gives up privileges, step by step. The order matters: identity, user namespace, capabilities.

use std::io::{self, Write};

use caps::{CapSet, Capability, CapsHashSet};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid};

pub use crate::host::{no_new_privs, refuse_executable_memory};

/// The identity a sentry started by root has on the host: nobody.
pub const NOBODY: u32 = 65534;

/// Gives up root's identity and groups for [`NOBODY`]'s. All capabilities go with them.
///
/// # Errors
/// `EPERM` for a caller without `CAP_SETUID` and `CAP_SETGID`.
pub fn become_nobody() -> io::Result<()> {
    nix::unistd::setgroups(&[])?;
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    Ok(())
}

/// Moves the process into mount, IPC, UTS and cgroup namespaces of its own, and a network namespace
/// if `net`. The process namespace is made where the process is started.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` when the host allows no more namespaces.
pub fn enter_namespaces(net: bool) -> io::Result<()> {
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if net {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    Ok(nix::sched::unshare(flags)?)
}

/// Moves the (single-threaded) process into a user namespace of its own, without any mapped user.
///
/// # Errors
/// `EPERM`, `ENOSPC` when the host allows no (more) user namespaces.
pub fn enter_user_namespace() -> io::Result<()> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWUSER)?)
}

/// Maps our own user and group, and nobody else, into the user namespace of the child `pid`: what it
/// is outside it is inside, and can own files there.
///
/// # Errors
/// The host's, for one that is not our child or has no namespace of its own.
pub fn map_own_identity(pid: i32) -> io::Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1")),
        ("gid_map", format!("{gid} {gid} 1")),
    ];
    for (name, content) in maps {
        let file = std::fs::File::options().write(true).open(format!("/proc/{pid}/{name}"));
        file?.write_all(content.as_bytes())?;
    }
    Ok(())
}

/// Gives up every capability for good: ambient, bounding, inheritable, permitted, effective.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP` while there are capabilities in the bounding set.
pub fn drop_capabilities() -> io::Result<()> {
    keep_capabilities(&[])
}

/// Whether the process has any capability now.
#[must_use]
pub fn has_capabilities() -> bool {
    caps::read(None, CapSet::Permitted).is_ok_and(|permitted| !permitted.is_empty())
}

/// Gives up every capability but these. What is kept stays permitted and effective, and cannot be
/// passed on.
///
/// # Errors
/// `EPERM` for a capability the process does not have.
pub fn keep_capabilities(kept: &[Capability]) -> io::Result<()> {
    caps::clear(None, CapSet::Ambient).map_err(io::Error::other)?;
    caps::clear(None, CapSet::Bounding).map_err(io::Error::other)?;
    let kept: CapsHashSet = kept.iter().copied().collect();
    caps::set(None, CapSet::Effective, &kept).map_err(io::Error::other)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(io::Error::other)?;
    caps::clear(None, CapSet::Inheritable).map_err(io::Error::other)?;
    Ok(())
}

/// Closes the process to debuggers and core dumps of its own user.
///
/// # Errors
/// None known.
pub fn not_dumpable() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// Asks for `SIGKILL` when the thread that started this process ends. A change of identity or of
/// capabilities undoes it: ask last.
///
/// # Errors
/// None known.
pub fn die_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}

/// Leaves signals of the terminal and of job control to the command line, which forwards them to the
/// guest, and lets all others through again (a role starts with all blocked).
///
/// # Errors
/// None known.
pub fn ignore_terminal_signals() -> io::Result<()> {
    use nix::sys::signal::Signal::{
        SIGALRM, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1,
        SIGUSR2, SIGWINCH,
    };
    for signal in [
        SIGALRM, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1,
        SIGUSR2, SIGWINCH,
    ] {
        crate::host::ignore(signal)?;
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Names the process for `ps` and `top`: up to 15 bytes.
pub fn set_name(name: &std::ffi::CStr) {
    // For people only: nothing depends on it.
    let _named = nix::sys::prctl::set_name(name);
}

/// Descriptors the table has room for from the start.
const TABLE_ROOM: u64 = 4096;

/// Raises the number of descriptors to the hard limit and returns it. Call it while the process has one
/// thread: the table gets its size now, which later, shared, waits for an RCU grace period each time it
/// doubles.
///
/// # Errors
/// None known.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (_soft, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let highest = i32::try_from(hard.min(TABLE_ROOM).saturating_sub(1)).unwrap_or(0);
    // Without it the table grows when it must.
    if let Ok(number) = fcntl(io::stderr(), FcntlArg::F_DUPFD_CLOEXEC(highest)) {
        nix::unistd::close(number)?;
    }
    Ok(hard)
}

/// Makes the host's OOM killer choose this process before others. Needs the host's /proc.
///
/// # Errors
/// The host's for `/proc/self/oom_score_adj`.
pub fn first_to_die() -> io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", "1000")
}
