//! Starts a role: one `clone3` into its namespaces, then this same binary again.

use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Namespaces a role gets of its own: `CLONE_NEW*` flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Namespaces(u64);

impl Namespaces {
    /// None.
    pub const NONE: Self = Self(0);
    /// User identities and capabilities.
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u64);
    /// Process numbers; the child is number 1.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    /// Mounts.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    /// Network; empty, not even loopback is up.
    pub const NET: Self = Self(libc::CLONE_NEWNET as u64);
    /// System V IPC and message queues.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    /// Host name.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// Cgroup root.
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The program, open (`O_PATH` suffices).
    pub exe: BorrowedFd<'a>,
    /// Its arguments, the first its name. The environment is empty.
    pub argv: &'a [&'a CStr],
    /// Descriptors 0, 1, 2 and on; nothing else is inherited.
    pub fds: &'a [BorrowedFd<'a>],
    /// Namespaces made for it.
    pub namespaces: Namespaces,
    /// Capabilities that survive the start although the process has no mapped user: the few its
    /// set-up needs. It drops them itself.
    pub ambient: &'a [caps::Capability],
}

/// A started role.
#[derive(Debug)]
pub struct Child {
    /// Its process number in our namespace.
    pub pid: i32,
    /// Its process descriptor.
    pub pidfd: OwnedFd,
}

/// Exit codes of a child that could not become the role, by the step that failed.
const FAILED_CAPS: i32 = 121;
const FAILED_FDS: i32 = 122;
const FAILED_EXEC: i32 = 123;

/// Says what an exit code of a child that never started means.
#[must_use]
pub const fn failed_step(code: i32) -> Option<&'static str> {
    match code {
        FAILED_CAPS => Some("could not keep its capabilities"),
        FAILED_FDS => Some("could not arrange its descriptors"),
        FAILED_EXEC => Some("could not execute the bevor binary again"),
        _ => None,
    }
}

/// Signal handlers do not reach the child (`linux/sched.h`; libc's constant has too narrow a type).
const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;

const MAX_ARGS: usize = 7;

/// Starts a role. It is killed when the calling thread ends. All signals are blocked in it until it
/// unblocks them.
///
/// Safe to call while other threads run: the child makes only host calls before it executes.
///
/// # Errors
/// The host's: `EPERM` and `ENOSPC` when it allows no (more) user namespaces.
///
/// # Panics
/// When there are more arguments than any role has.
pub fn spawn(spawn: &Spawn<'_>) -> io::Result<Child> {
    assert!(spawn.argv.len() <= MAX_ARGS, "a role has few arguments");
    // Where the child notes its copies of the descriptors: it may not allocate.
    let mut copies = vec![-1; spawn.fds.len() + 1];
    let mut argv: [*const c_char; MAX_ARGS + 1] = [ptr::null(); MAX_ARGS + 1];
    for (slot, arg) in argv.iter_mut().zip(spawn.argv) {
        *slot = arg.as_ptr();
    }
    let mut pidfd: RawFd = -1;
    // SAFETY: an all-zero `clone_args` asks for a plain fork.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = spawn.namespaces.0 | libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND;
    args.pidfd = ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD.cast_unsigned().into();

    let blocked = AllBlocked::new()?;
    // SAFETY: without CLONE_VM the child runs on its own copy of this stack and memory; the pidfd
    // pointer is a live local; the child below never returns from here.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, ptr::from_ref(&args), size_of::<libc::clone_args>())
    };
    if pid == 0 {
        // SAFETY: this is the child; it makes host calls only and ends in exec or exit.
        unsafe { become_role(spawn, &argv, &mut copies) }
    }
    let error = io::Error::last_os_error();
    drop(blocked);
    if pid < 0 {
        return Err(error);
    }
    // SAFETY: the kernel stored a descriptor made for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Ok(Child { pid, pidfd })
}

/// All signals are blocked on this thread while it lives.
struct AllBlocked(libc::sigset_t);

impl AllBlocked {
    fn new() -> io::Result<Self> {
        // SAFETY: `sigset_t` is plain data; both sets are live locals.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut old: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old) {
                0 => Ok(Self(old)),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        // SAFETY: restores the mask that was read; it cannot fail for a valid `how`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// The child's way from `clone3` to `execveat`.
///
/// # Safety
/// Runs in a forked child whose other threads are gone: no allocation, no locks.
unsafe fn become_role(
    spawn: &Spawn<'_>,
    argv: &[*const c_char; MAX_ARGS + 1],
    copies: &mut [RawFd],
) -> ! {
    let zero: libc::c_ulong = 0;
    // SAFETY: numbers and pointers to live arrays, see the arguments; `_exit` ends the child.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, zero, zero, zero) != 0
            || !spawn.ambient.is_empty() && !keep(spawn.ambient)
        {
            libc::_exit(FAILED_CAPS);
        }
        // First all are copied to where none is put in place, so that none is overwritten.
        let above = RawFd::try_from(copies.len()).unwrap_or(RawFd::MAX).saturating_add(3);
        for (copy, fd) in copies.iter_mut().zip(spawn.fds.iter().chain([&spawn.exe])) {
            *copy = libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, above);
            if *copy < 0 {
                libc::_exit(FAILED_FDS);
            }
        }
        let Some((exe, copies)) = copies.split_last() else { libc::_exit(FAILED_FDS) };
        let mut next = 0;
        for &copy in copies {
            if libc::dup2(copy, next) < 0 {
                libc::_exit(FAILED_FDS);
            }
            next += 1;
        }
        // Every higher one is closed by the exec, whether its owner thought of it or not.
        let flags = libc::CLOSE_RANGE_CLOEXEC;
        if libc::syscall(libc::SYS_close_range, next.max(3), libc::c_uint::MAX, flags) != 0 {
            libc::_exit(FAILED_FDS);
        }
        let environment: [*const c_char; 1] = [ptr::null()];
        libc::syscall(
            libc::SYS_execveat,
            *exe,
            c"".as_ptr(),
            argv.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        libc::_exit(FAILED_EXEC)
    }
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Makes capabilities inheritable and ambient, so that a process without a mapped user keeps them
/// over an exec. Host calls only.
fn keep(capabilities: &[caps::Capability]) -> bool {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = CapHeader { version: VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: `_LINUX_CAPABILITY_VERSION_3` reads two data elements; both locals are live.
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) } != 0 {
        return false;
    }
    for capability in capabilities {
        let index = capability.index();
        data[usize::from(index / 32)].inheritable |= 1 << (index % 32);
    }
    // SAFETY: as above; the kernel only reads the data.
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) } != 0 {
        return false;
    }
    capabilities.iter().all(|capability| {
        let index = libc::c_ulong::from(capability.index());
        let raise = libc::PR_CAP_AMBIENT_RAISE;
        // SAFETY: no pointers.
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, index, 0_u64, 0_u64) == 0 }
    })
}
