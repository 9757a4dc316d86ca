//! What this process was started with, looked at before Rust's runtime changes it: that opens
//! `/dev/null` in place of closed standard streams and ignores SIGPIPE.
#![expect(unsafe_code, reason = "runs before main, and asks the host directly")]

use std::sync::atomic::{AtomicU32, Ordering};

/// Bit N: descriptor N was closed.
static CLOSED: AtomicU32 = AtomicU32::new(0);
/// Bit N: signal N was ignored.
static IGNORED: AtomicU32 = AtomicU32::new(0);

// SAFETY: the C library calls the functions of this section before main, with its own state set up;
// this one makes host calls and stores to an atomic.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let mut closed = 0;
    for fd in 0..3 {
        // SAFETY: no pointers.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            closed |= 1 << fd;
        }
    }
    CLOSED.store(closed, Ordering::Relaxed);
    let mut ignored = 0;
    for signo in 1..32 {
        // SAFETY: an all-zero action is a valid one, and a null new action only asks for the old.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let asked = libc::sigaction(signo, std::ptr::null(), &raw mut action);
            if asked == 0 && action.sa_sigaction == libc::SIG_IGN {
                ignored |= 1 << signo;
            }
        }
    }
    IGNORED.store(ignored, Ordering::Relaxed);
}

/// Whether standard stream `fd` was closed when this process was started.
pub fn was_closed(fd: i32) -> bool {
    (0..3).contains(&fd) && CLOSED.load(Ordering::Relaxed) & (1 << fd) != 0
}

/// The standard signals this process was started with ignored.
pub fn ignored_signals() -> Vec<i32> {
    let ignored = IGNORED.load(Ordering::Relaxed);
    (1..32).filter(|signo| ignored & (1 << signo) != 0).collect()
}
