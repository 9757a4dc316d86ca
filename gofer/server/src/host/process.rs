//! Host calls on the process itself, made before it answers its first request.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use bevor_abi::Errno;

use super::{check, check_long, owned};

/// The user new files belong to.
pub fn effective_uid() -> u32 {
    // SAFETY: no pointers.
    unsafe { libc::geteuid() }
}

/// Makes new files have exactly the permissions asked for.
pub fn clear_umask() {
    // SAFETY: no pointers.
    unsafe { libc::umask(0) };
}

/// Keeps the heap in one arena, which grows by `brk` alone, and so small.
pub fn use_one_heap() {
    // SAFETY: sets a parameter of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Unblocks all signals: a launcher blocks them until its child has started.
pub fn unblock_signals() {
    // SAFETY: sigset_t is plain data, filled before it is used; the old mask is not asked for.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const all, std::ptr::null_mut());
    }
}

/// Ignores the signals a request could cause: a size beyond RLIMIT_FSIZE is EFBIG then, and a closed
/// report descriptor an error.
pub fn ignore_signals_of_requests() {
    for signal in [libc::SIGXFSZ, libc::SIGPIPE] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Opens a path of the launcher's choice with `O_PATH`.
///
/// # Errors
/// Those of `open(2)`.
pub fn open_path(path: &Path) -> Result<OwnedFd, Errno> {
    use std::os::unix::ffi::OsStrExt;

    let path = std::ffi::CString::new(path.as_os_str().as_bytes())
        .map_err(|_| bevor_abi::errno::EINVAL)?;
    // SAFETY: a C string.
    owned(unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) })
}

/// Leaves the mount, network, IPC and UTS namespaces for new ones.
///
/// # Errors
/// Those of `unshare(2)`.
pub fn unshare() -> Result<(), Errno> {
    let namespaces =
        libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    // SAFETY: no pointers.
    check(unsafe { libc::unshare(namespaces) }).map(drop)
}

/// Closes every descriptor that is not in `keep`.
///
/// # Errors
/// Those of `close_range(2)`.
pub fn close_others(mut keep: Vec<RawFd>) -> Result<(), Errno> {
    keep.sort_unstable();
    let mut from = 0_u32;
    for fd in keep {
        let Ok(fd) = u32::try_from(fd) else { continue };
        if fd > from {
            close_range(from, fd - 1)?;
        }
        from = from.max(fd + 1);
    }
    close_range(from, u32::MAX)
}

fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: no pointers. The caller owns no descriptor object for what is closed.
    check_long(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Writes to a descriptor, ignoring failure: there is nobody else to tell.
pub fn write_best_effort(fd: BorrowedFd<'_>, bytes: &[u8]) {
    // SAFETY: bytes is readable for the length given.
    let _ = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
}
