//! The host calls of this crate.
#![expect(unsafe_code, reason = "wraps host calls that no safe wrapper exists for")]

mod landlock;
mod mounts;
pub mod probe;
mod report;
mod spawn;

pub use landlock::{Landlock, LandlockRights, abi as landlock_abi};
pub use mounts::{
    MountTree, cover, empty_root, large_folio_files, pivot_into, private_mounts, uncover,
};
pub use report::report_refused_calls;
pub use spawn::{Child, Namespaces, Spawn, failed_step, spawn};

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use seccompiler::sock_filter;

use crate::filter::FilterError;

/// Which threads a filter is put on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// The calling one; threads it makes later inherit it.
    Caller,
    /// All of the process at once (`SECCOMP_FILTER_FLAG_TSYNC`).
    All,
}

/// Puts a filter on, with no-new-privs. It cannot be taken off.
///
/// # Errors
/// [`FilterError::Host`], [`FilterError::Thread`].
pub fn install(program: &[sock_filter], threads: Threads) -> Result<(), FilterError> {
    no_new_privs()?;
    let len = u16::try_from(program.len())
        .map_err(|_| seccompiler::BackendError::FilterTooLarge(program.len()))?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    let flags = match threads {
        Threads::Caller => 0,
        Threads::All => libc::SECCOMP_FILTER_FLAG_TSYNC,
    };
    // SAFETY: the kernel copies the program, whose pointer and length describe a live slice.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(&program),
        )
    };
    match result {
        0 => Ok(()),
        thread if thread > 0 => Err(FilterError::Thread(thread)),
        _ => Err(io::Error::last_os_error().into()),
    }
}

/// Sets no-new-privs on the calling thread.
///
/// # Errors
/// The host's, which has none for these arguments.
pub fn no_new_privs() -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Refuses, from now on, to make memory executable (`PR_SET_MDWE`). Children do not inherit it where
/// the host knows `PR_MDWE_NO_INHERIT` (Linux 6.6). `false`: the host has no such thing, or would
/// pass it on to children.
pub fn refuse_executable_memory() -> bool {
    let flags = libc::PR_MDWE_REFUSE_EXEC_GAIN | libc::PR_MDWE_NO_INHERIT;
    let flags = libc::c_ulong::from(flags);
    let zero: libc::c_ulong = 0;
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_MDWE, flags, zero, zero, zero) == 0 }
}

/// Ignores a signal.
///
/// # Errors
/// `EINVAL` for `SIGKILL` and `SIGSTOP`.
pub fn ignore(signal: nix::sys::signal::Signal) -> io::Result<()> {
    use nix::sys::signal::{SigHandler, signal as set};
    // SAFETY: no handler runs; what an earlier handler of this process relied on does not exist.
    unsafe { set(signal, SigHandler::SigIgn) }?;
    Ok(())
}

/// Keeps the C library to its one main heap. With more it opens files long after the walls are up: it
/// counts the processors in `/sys` when threads first compete for a heap, and looks for the overcommit
/// policy in `/proc` when it first gives memory of another heap back.
pub fn use_one_heap() {
    // SAFETY: takes numbers; called by a process that has one thread.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives memory of the heap that nobody uses back to the host.
pub fn give_heap_back() {
    // SAFETY: takes a number; the C library does its own locking.
    unsafe { libc::malloc_trim(0) };
}

unsafe extern "C" {
    /// The linker: where the program begins, and where its code ends.
    static __executable_start: u8;
    static etext: u8;
}

/// Gives up what is mapped of this program's code and constants: what is still needed comes back from the
/// page cache. A process that starts a sandbox and then waits needs little of what it ran.
pub fn forget_own_code() {
    const PAGE: usize = 4096;
    let start = (&raw const __executable_start).addr() & !(PAGE - 1);
    let end = (&raw const etext).addr() & !(PAGE - 1);
    // SAFETY: these pages are the program's file, mapped privately and never written.
    unsafe {
        let start = std::ptr::with_exposed_provenance_mut(start);
        libc::madvise(start, end.saturating_sub(start.addr()), libc::MADV_DONTNEED);
    }
}

/// Ends the process at once, all threads, without running anything.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: no pointers; does not return.
    unsafe { libc::_exit(status) }
}

/// Takes over a descriptor this process inherited under a number it agreed on with its parent.
///
/// # Errors
/// `EBADF` when nothing is open under the number.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, as just seen, and start-up code takes each agreed number once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The result of a call that returns a new descriptor.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(result) {
        // SAFETY: the kernel just made it for us; nobody else knows the number.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The result of a raw call without a value.
fn done(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What the tests of filters need: a child to put a filter on, and calls without a wrapper.
#[cfg(test)]
pub mod testing {
    use std::io;

    /// How a child ended.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum End {
        /// It returned this code.
        Exit(i32),
        /// This signal ended it.
        Signal(i32),
    }

    /// Runs `body` in a forked child. The body may only make host calls: the test process has
    /// threads, so that locks (the allocator's too) may be held for ever in the child.
    pub fn in_child(body: impl FnOnce() -> i32) -> End {
        // SAFETY: the child makes host calls only, see above.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", io::Error::last_os_error());
        if pid == 0 {
            let code = body();
            // SAFETY: no pointers; ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: `status` is a live local.
        let got = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!(got, pid);
        if libc::WIFSIGNALED(status) {
            End::Signal(libc::WTERMSIG(status))
        } else {
            End::Exit(libc::WEXITSTATUS(status))
        }
    }

    /// Makes a host call with arguments that are no pointers, or null. The errno when it fails.
    pub fn call(nr: i64, args: [u64; 6]) -> Result<i64, i32> {
        let [a, b, c, d, e, f] = args;
        // SAFETY: the callers pass numbers and null pointers only, which the kernel checks.
        let result = unsafe { libc::syscall(nr, a, b, c, d, e, f) };
        if result == -1 {
            Err(io::Error::last_os_error().raw_os_error().unwrap_or(0))
        } else {
            Ok(result)
        }
    }

    /// `getpid` through the 32-bit entry.
    pub fn int80_getpid() -> i64 {
        let result: i64;
        // SAFETY: takes no pointers; the 32-bit entry preserves what it does not name.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => result, out("r8") _,
                out("r9") _, out("r10") _, out("r11") _);
        }
        result
    }
}
