//! Host calls of stub threads that run guest code.
//!
//! Each is allowed at one `syscall` instruction of the stub only, and there with arguments that are
//! harmless whoever chose them: guest code may jump to it with any registers.

use crate::row::Row;
use crate::sites::Site;
use crate::{arg, form, row};

const SYSTRAP: &str = "platform::systrap";
/// `INT_MAX`.
const INT_MAX: i32 = i32::MAX;

/// The rows by the stub's symbol after the `syscall` instruction, the hot ones first.
pub const SITES: &[Site] = &[
    Site {
        symbol: "guest_wait_ip",
        rows: &[row!(
            SYS_futex,
            [form!(
                arg!(1: int op == libc::FUTEX_WAIT),
                arg!(0: long uaddr >= @areas),
                arg!(0: long uaddr < @areas_end),
                arg!(3: long timeout == 0),
            )],
            "a parked guest thread waits to be resumed, on slots of its own address space",
            SYSTRAP
        )],
    },
    Site {
        symbol: "guest_wake_ip",
        rows: &[row!(
            SYS_futex,
            [form!(
                arg!(1: int op == libc::FUTEX_WAKE),
                arg!(0: long uaddr >= @bells),
                arg!(0: long uaddr < @bells_end),
                arg!(2: int val == INT_MAX),
            )],
            "rings the doorbell of a worker that sleeps; all waiters, so that none steals the wake",
            SYSTRAP
        )],
    },
    Site {
        symbol: "guest_yield_ip",
        rows: &[row!(
            SYS_sched_yield,
            "a guest's sched_yield: the host's scheduler knows who else wants the core",
            "platform::systrap::tests::answers"
        )],
    },
];

/// What the shared filter lets guest threads make at instructions of agents and of new threads: the
/// calls there that want no key.
const KEYLESS: &[Row] = &[
    row!(
        SYS_mmap,
        [
            form!(arg!(3: int flags == libc::MAP_SHARED | libc::MAP_FIXED)),
            form!(arg!(3: int flags == libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE)),
        ],
        "an agent's call, by a jump to it: fails, as a guest thread has no descriptor",
        SYSTRAP
    ),
    row!(
        SYS_rt_sigprocmask,
        [form!(
            arg!(0: int how == libc::SIG_SETMASK),
            arg!(1: long set == @sigmask),
            arg!(2: long old_set == 0)
        )],
        "a new thread's call, by a jump to it: sets the mask every guest thread has",
        SYSTRAP
    ),
];

/// The same, without the place, and what else guest threads can reach.
pub const ROWS: &[&[Row]] = &[SITES[0].rows, SITES[1].rows, SITES[2].rows, KEYLESS];
