//! Waiting for processes: `<linux/wait.h>`.

use crate::macros::uapi;

uapi! {
    /// Option of `wait4(2)` and `waitid(2)`.
    flags WAIT_OPTIONS: u32 {
        WNOHANG = 0x1,
        WUNTRACED = 0x2,
        WSTOPPED = 0x2,
        WEXITED = 0x4,
        WCONTINUED = 0x8,
        WNOWAIT = 0x0100_0000,
        __WNOTHREAD = 0x2000_0000,
        __WALL = 0x4000_0000,
        __WCLONE = 0x8000_0000,
    }

    /// Kind of id of `waitid(2)`.
    values ID_TYPES: u32 {
        P_ALL = 0,
        P_PID = 1,
        P_PGID = 2,
        P_PIDFD = 3,
    }
}

/// Wait status of a process that exited, `wait(2)`.
#[must_use]
pub const fn status_exited(code: i32) -> i32 {
    (code & 0xff) << 8
}

/// Wait status of a process killed by a signal, `wait(2)`.
#[must_use]
pub const fn status_signaled(signal: i32, core_dumped: bool) -> i32 {
    (signal & 0x7f) | if core_dumped { 0x80 } else { 0 }
}

/// Wait status of a stopped process, `wait(2)`; `code` carries a ptrace event above bit 8.
#[must_use]
pub const fn status_stopped(code: i32) -> i32 {
    (code << 8) | 0x7f
}

/// Wait status of a continued process, `wait(2)`.
pub const STATUS_CONTINUED: i32 = 0xffff;
