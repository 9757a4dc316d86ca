//! Host calls of the ptrace platform: what its tracer adds to the sentry, what its stubs may make.
//!
//! Stub threads make host calls only when the tracer injects them, all at one instruction: the
//! filter refuses every other instruction pointer, and a call there without the tracer's *key* (see
//! docs/decisions/filter.md). Guest threads run under `PTRACE_SYSEMU`, which stops before the filter
//! sees a call.

use crate::row::Row;
use crate::{arg, form, row};

const CONFORMANCE: &str = "platform::conformance";

// `linux/ptrace.h`; libc's signs differ between targets.
const PEEKDATA: i64 = 2;
const CONT: i64 = 7;
const GETREGS: i64 = 12;
const SETREGS: i64 = 13;
const SYSEMU: i64 = 31;
const GETSIGINFO: i64 = 0x4202;
const GETREGSET: i64 = 0x4204;
const SETREGSET: i64 = 0x4205;
const GET_SYSCALL_INFO: i64 = 0x420e;
const NT_PRSTATUS: i64 = 1;
const NT_X86_XSTATE: i64 = 0x202;
/// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE` and its registration (`linux/membarrier.h`).
const SYNC_CORE: i64 = 1 << 5;
const REGISTER_SYNC_CORE: i64 = 1 << 6;
/// `CLOSE_RANGE_UNSHARE` (`linux/close_range.h`).
const CLOSE_RANGE_UNSHARE: i64 = 2;

const MAP_FORM: i32 = libc::MAP_SHARED | libc::MAP_FIXED;
const PROT_ALL: i32 = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;

/// Flags of the call that makes a guest thread in an address space.
pub const CLONE_THREAD_FLAGS: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_PTRACE;

/// Flags of the call that makes a stub process: the tracer's child, sharing its descriptors.
pub const CLONE_SPACE_FLAGS: i32 =
    libc::CLONE_FILES | libc::CLONE_PARENT | libc::CLONE_PTRACE | libc::SIGCHLD;

/// Rows the tracer thread adds to the sentry's. It also makes calls every sentry may: `tgkill` (wakes
/// the tracer, kicks and kills stubs), `rt_sigreturn`, `clock_gettime` (CPU time of stubs), `futex`.
pub const SENTRY: &[Row] = &[
    row!(
        SYS_ptrace,
        [
            form!(arg!(0: long request == SYSEMU)),
            form!(arg!(0: long request == CONT)),
            form!(arg!(0: long request == GETREGS)),
            form!(arg!(0: long request == SETREGS)),
            form!(arg!(0: long request == SETREGSET), arg!(2: long set == NT_PRSTATUS)),
            form!(arg!(0: long request == GETREGSET), arg!(2: long set == NT_X86_XSTATE)),
            form!(arg!(0: long request == SETREGSET), arg!(2: long set == NT_X86_XSTATE)),
            form!(arg!(0: long request == GETSIGINFO)),
            form!(arg!(0: long request == GET_SYSCALL_INFO)),
            form!(arg!(0: long request == PEEKDATA)),
        ],
        "runs, stops and reads stub threads; never attaches",
        CONFORMANCE
    )
    .hot(),
    row!(
        SYS_wait4,
        [form!(
            arg!(0: int pid == -1),
            arg!(2: int options == libc::__WALL | libc::__WNOTHREAD),
            arg!(3: long rusage == 0)
        )],
        "waits for the next stub thread that stopped",
        CONFORMANCE
    )
    .hot(),
];

/// Injected calls of a stub process's first thread, and those that prepare a guest thread.
///
/// `@guest_end` is the end of the guest's addresses, `@orders` the address of the page of orders,
/// `@orders_fd` its file, `@key` what only the tracer knows.
pub const AGENT: &[Row] = &[
    row!(
        SYS_mmap,
        [
            form!(
                arg!(0: long addr < @guest_end),
                arg!(1: long len <= @guest_end),
                arg!(2: long prot <= PROT_ALL),
                arg!(3: long flags == MAP_FORM)
            ),
            form!(
                arg!(0: long addr < @guest_end),
                arg!(1: long len <= @guest_end),
                arg!(2: long prot <= PROT_ALL),
                arg!(3: long flags == MAP_FORM | libc::MAP_POPULATE)
            ),
            form!(
                arg!(0: long addr == @orders),
                arg!(1: long len == 4096),
                arg!(2: long prot == libc::PROT_READ),
                arg!(3: long flags == MAP_FORM),
                arg!(4: int fd == @orders_fd)
            ),
        ],
        "maps memory files and donated files into the guest, and the page that carries orders",
        CONFORMANCE
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
                arg!(0: long addr == @orders),
                arg!(1: long len == 4096),
                arg!(5: long key == @key)
            ),
        ],
        "unmaps guest memory, and the filter's page once it is on",
        CONFORMANCE
    ),
    row!(
        SYS_mprotect,
        [form!(
            arg!(0: long addr < @guest_end),
            arg!(1: long len <= @guest_end),
            arg!(2: long prot <= PROT_ALL),
            arg!(5: long key == @key)
        )],
        "changes rights of guest memory",
        CONFORMANCE
    ),
    row!(
        SYS_madvise,
        [
            form!(
                arg!(0: long addr < @guest_end),
                arg!(2: int advice == libc::MADV_HUGEPAGE),
                arg!(5: long key == @key)
            ),
            form!(
                arg!(0: long addr < @guest_end),
                arg!(2: int advice == libc::MADV_NOHUGEPAGE),
                arg!(5: long key == @key)
            ),
            form!(
                arg!(0: long addr < @guest_end),
                arg!(2: int advice == libc::MADV_POPULATE_READ),
                arg!(5: long key == @key)
            ),
            form!(
                arg!(0: long addr < @guest_end),
                arg!(2: int advice == libc::MADV_POPULATE_WRITE),
                arg!(5: long key == @key)
            ),
        ],
        "huge pages and early faulting of guest memory",
        CONFORMANCE
    ),
    row!(
        SYS_clone,
        [
            form!(arg!(0: long flags == CLONE_THREAD_FLAGS), arg!(5: long key == @key)),
            form!(arg!(0: long flags == CLONE_SPACE_FLAGS), arg!(5: long key == @key)),
        ],
        "makes guest threads, and stub processes from the first one",
        CONFORMANCE
    ),
    row!(
        SYS_close_range,
        [form!(
            arg!(0: int first == 0),
            arg!(1: int last == u32::MAX),
            arg!(2: int flags == CLOSE_RANGE_UNSHARE),
            arg!(5: long key == @key)
        )],
        "takes all descriptors from a guest thread before it runs guest code",
        CONFORMANCE
    ),
    row!(
        SYS_membarrier,
        [
            form!(
                arg!(0: int cmd == REGISTER_SYNC_CORE),
                arg!(1: int flags == 0),
                arg!(5: long key == @key)
            ),
            form!(
                arg!(0: int cmd == SYNC_CORE),
                arg!(1: int flags == 0),
                arg!(5: long key == @key)
            ),
        ],
        "serialises running guest threads",
        CONFORMANCE
    ),
];

/// Guest threads: none at all. A call from the vsyscall page, which `PTRACE_SYSEMU` does not see,
/// is trapped like everything else, and the sentry serves it.
pub const GUEST: &[Row] = &[];
