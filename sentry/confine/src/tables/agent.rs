//! Host calls of the agent: the stub thread that carries out mapping orders, the zygote that makes
//! address spaces, and a guest thread's first instructions.
//!
//! All stub threads are under one filter, put on the first of them and inherited: a filter for each
//! guest thread would let guests fill the host with filter programs (see docs/decisions/filter.md).
//! Every call is bound to its `syscall` instruction, and to a *key* as its sixth argument: a random
//! number that is in one register of each agent, and in nothing that a guest thread can read. What
//! has no key here is harmless in a guest thread: one has no descriptors to map.

use crate::row::Row;
use crate::sites::Site;
use crate::{arg, form, row};

const SYSTRAP: &str = "platform::systrap";

/// `linux/prctl.h`.
const PR_SET_SYSCALL_USER_DISPATCH: i32 = 59;
const PR_SYS_DISPATCH_ON: i32 = 1;

/// Flags of a mapping: shared memory of a descriptor, at a fixed place.
const MAP_FLAGS: i32 = libc::MAP_SHARED | libc::MAP_FIXED;
const MAP_FLAGS_POPULATE: i32 = MAP_FLAGS | libc::MAP_POPULATE;
/// Flags of the clone that makes a guest thread.
pub const THREAD_FLAGS: i32 = libc::CLONE_VM
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_FILES
    | libc::CLONE_FS
    | libc::CLONE_SYSVSEM;
/// Flags of the clone that makes an address space: a child of the sentry, no exit signal.
pub const SPACE_FLAGS: i32 = libc::CLONE_PARENT | libc::CLONE_FILES | libc::CLONE_FS;

/// The rows by the stub's symbol after the `syscall` instruction.
pub const SITES: &[Site] = &[
    Site {
        symbol: "agent_futex_ip",
        rows: &[row!(
            SYS_futex,
            [form!(
                arg!(1: int op == libc::FUTEX_WAIT),
                arg!(0: long uaddr == @agent_go),
                arg!(3: long timeout == 0),
                arg!(5: long key == @key)
            )],
            "waits for the next batch of orders",
            SYSTRAP
        )],
    },
    Site {
        symbol: "agent_call_ip",
        rows: &[
            row!(
                SYS_mmap,
                [
                    form!(
                        arg!(3: int flags == MAP_FLAGS),
                        arg!(0: long addr < @guest_end),
                        arg!(1: long len <= @guest_end),
                    ),
                    form!(
                        arg!(3: int flags == MAP_FLAGS_POPULATE),
                        arg!(0: long addr < @guest_end),
                        arg!(1: long len <= @guest_end),
                    ),
                    form!(
                        arg!(3: int flags == MAP_FLAGS),
                        arg!(0: long addr >= @areas),
                        arg!(0: long addr < @areas_end),
                        arg!(1: long len <= 0x1_0000),
                        arg!(2: int prot & (libc::PROT_EXEC) == 0),
                    ),
                ],
                "maps the sentry's files into the guest, and a new thread's area",
                SYSTRAP
            ),
            row!(
                SYS_munmap,
                [
                    form!(
                        arg!(0: long addr < @guest_end),
                        arg!(1: long len <= @guest_end),
                        arg!(5: long key == @key)
                    ),
                    form!(
                        arg!(0: long addr == @image),
                        arg!(1: long len == 0x1000),
                        arg!(5: long key == @key)
                    ),
                    form!(
                        arg!(0: long addr == @filter),
                        arg!(1: long len == 0x1_0000),
                        arg!(5: long key == @key)
                    ),
                ],
                "unmaps guest memory, the zygote's code in its children, and the pages of the filter",
                SYSTRAP
            ),
            row!(
                SYS_mprotect,
                [form!(
                    arg!(0: long addr < @guest_end),
                    arg!(1: long len <= @guest_end),
                    arg!(5: long key == @key)
                )],
                "changes rights of guest memory",
                SYSTRAP
            ),
            row!(
                SYS_madvise,
                [form!(
                    arg!(0: long addr < @guest_end),
                    arg!(1: long len <= @guest_end),
                    arg!(5: long key == @key)
                )],
                "huge pages and population of guest memory",
                SYSTRAP
            ),
            row!(
                SYS_membarrier,
                [
                    form!(
                        arg!(0: int cmd == libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED),
                        arg!(1: int flags == 0),
                        arg!(5: long key == @key)
                    ),
                    form!(
                        arg!(0: int cmd == libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED),
                        arg!(1: int flags == 0),
                        arg!(5: long key == @key)
                    ),
                ],
                "makes all threads of the guest process pass a barrier",
                SYSTRAP
            ),
            row!(
                SYS_prctl,
                [form!(
                    arg!(0: int option == libc::PR_SET_PDEATHSIG),
                    arg!(1: long signal == libc::SIGKILL),
                    arg!(5: long key == @key)
                )],
                "the second line: an address space dies with the sentry's main thread",
                SYSTRAP
            ),
            row!(
                SYS_mseal,
                [form!(
                    arg!(0: long addr >= @areas),
                    arg!(2: long flags == 0),
                    arg!(5: long key == @key)
                )],
                "seals the stub's own mappings",
                SYSTRAP
            ),
        ],
    },
    Site {
        symbol: "agent_write_ip",
        rows: &[row!(
            SYS_write,
            [form!(arg!(1: long buf == @one), arg!(2: long count == 8), arg!(5: long key == @key))],
            "confirms a batch on an eventfd no guest thread can reach",
            SYSTRAP
        )],
    },
    Site {
        symbol: "agent_clone_ip",
        rows: &[row!(
            SYS_clone,
            [form!(arg!(0: long flags == THREAD_FLAGS), arg!(5: long key == @key))],
            "makes a guest thread",
            SYSTRAP
        )],
    },
    Site {
        symbol: "start_close_ip",
        rows: &[row!(
            SYS_close_range,
            [form!(
                arg!(0: int first == 0),
                arg!(1: int last == u32::MAX),
                arg!(2: int flags == libc::CLOSE_RANGE_UNSHARE),
                arg!(5: long key == @key)
            )],
            "a new guest thread gives up all descriptors",
            SYSTRAP
        )],
    },
    Site {
        symbol: "start_stack_ip",
        rows: &[row!(
            SYS_sigaltstack,
            [form!(
                arg!(0: long ss >= @areas),
                arg!(0: long ss < @areas_end),
                arg!(1: long old_ss == 0),
                arg!(5: long key == @key)
            )],
            "a new guest thread sets its signal stack",
            SYSTRAP
        )],
    },
    Site {
        symbol: "start_mask_ip",
        rows: &[row!(
            SYS_rt_sigprocmask,
            [form!(
                arg!(0: int how == libc::SIG_SETMASK),
                arg!(1: long set == @sigmask),
                arg!(2: long old_set == 0)
            )],
            "a new guest thread takes the signals the stub handles",
            SYSTRAP
        )],
    },
    Site {
        symbol: "start_dispatch_ip",
        rows: &[row!(
            SYS_prctl,
            [form!(
                arg!(0: int option == PR_SET_SYSCALL_USER_DISPATCH),
                arg!(1: long mode == PR_SYS_DISPATCH_ON),
                arg!(2: long offset == @image),
                arg!(4: long selector == 0),
                arg!(5: long key == @key)
            )],
            "a new guest thread switches Syscall User Dispatch on",
            SYSTRAP
        )],
    },
    Site {
        symbol: "zygote_clone_ip",
        rows: &[row!(
            SYS_clone,
            [form!(
                arg!(0: long flags == SPACE_FLAGS),
                arg!(1: long stack == 0),
                arg!(5: long key == @key)
            )],
            "the zygote makes an address space",
            SYSTRAP
        )],
    },
    Site {
        symbol: "zygote_map_up_ip",
        rows: &[row!(
            SYS_mmap,
            [form!(arg!(0: long addr == @agent_up), arg!(3: int flags == MAP_FLAGS))],
            "a new address space maps its agent's results over the zygote's",
            SYSTRAP
        )],
    },
    Site {
        symbol: "zygote_map_down_ip",
        rows: &[row!(
            SYS_mmap,
            [form!(
                arg!(0: long addr == @agent_go),
                arg!(2: int prot == libc::PROT_READ),
                arg!(3: int flags == MAP_FLAGS)
            )],
            "a new address space maps its agent's orders over the zygote's",
            SYSTRAP
        )],
    },
];

/// The same, without the place.
pub const ROWS: &[&[Row]] = &[
    SITES[0].rows,
    SITES[1].rows,
    SITES[2].rows,
    SITES[3].rows,
    SITES[4].rows,
    SITES[5].rows,
    SITES[6].rows,
    SITES[7].rows,
    SITES[8].rows,
    SITES[9].rows,
    SITES[10].rows,
];
