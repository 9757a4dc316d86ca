//! Host calls of the sentry after start-up.
//!
//! Descriptors are never opened by path here; what the sentry holds was inherited, donated by the
//! gofer, or made by it (memory files, event counters, sockets of its own).

use crate::row::Row;
use crate::{arg, form, row};

const MEMORY: &str = "memory::host";
const SURFACE: &str = "boot::surface";

/// The operation of a futex call, without where the word lies and which clock counts.
const FUTEX_OP: i32 = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);

/// Rows of every sentry.
pub const ROWS: &[Row] = &[
    row!(
        SYS_futex,
        [
            form!(arg!(1: int op & FUTEX_OP == libc::FUTEX_WAIT)),
            form!(arg!(1: int op & FUTEX_OP == libc::FUTEX_WAKE)),
            form!(arg!(1: int op & FUTEX_OP == libc::FUTEX_WAIT_BITSET)),
            form!(arg!(1: int op == libc::FUTEX_CMP_REQUEUE), arg!(2: int nr_wake == 0)),
        ],
        "locks, parked workers, hand-over to stub threads and the gofer",
        SURFACE
    )
    .hot(),
    row!(SYS_read, "donated files, event counters, the control socket", SURFACE).hot(),
    row!(SYS_write, "donated files, event counters, the control socket, logs", SURFACE).hot(),
    row!(SYS_pread64, "reads of donated files at the guest's own offset", SURFACE).hot(),
    row!(SYS_pwrite64, "writes of donated files at the guest's own offset", SURFACE).hot(),
    row!(SYS_preadv, "vectored reads of donated files", SURFACE),
    row!(SYS_pwritev, "vectored writes of donated files", SURFACE),
    row!(
        SYS_pwritev2,
        [form!(arg!(5: int flags == libc::RWF_APPEND))],
        "appends to donated files: the host finds the end",
        "cli/rw_append"
    ),
    row!(SYS_readv, "vectored reads of the standard streams", SURFACE),
    row!(SYS_writev, "vectored writes of the standard streams", SURFACE),
    row!(SYS_recvmsg, "control requests and descriptors from the client and the gofer", SURFACE),
    row!(SYS_sendmsg, "control replies and descriptors to the client and the gofer", SURFACE),
    row!(SYS_close, "donated descriptors and memory files that are no longer used", SURFACE),
    row!(SYS_ppoll, "waits for the control socket and the standard streams", SURFACE),
    row!(SYS_poll, "waits for the control socket and the standard streams", SURFACE),
    row!(
        SYS_mmap,
        [form!(
            arg!(2: int prot & (libc::PROT_EXEC) == 0),
            arg!(3: int flags & (libc::MAP_GROWSDOWN) == 0)
        )],
        "heap, windows on memory files and donated files; never executable",
        MEMORY
    ),
    row!(SYS_munmap, "heap and windows that are no longer used", MEMORY),
    row!(
        SYS_mprotect,
        [form!(arg!(2: int prot & (libc::PROT_EXEC) == 0))],
        "guard pages of heap arenas; never executable",
        MEMORY
    ),
    row!(SYS_mremap, "grows large heap blocks without copying", MEMORY),
    row!(SYS_brk, "the main heap arena", MEMORY),
    row!(
        SYS_madvise,
        [
            form!(arg!(2: int advice == libc::MADV_DONTNEED)),
            form!(arg!(2: int advice == libc::MADV_FREE)),
            form!(arg!(2: int advice == libc::MADV_HUGEPAGE)),
            form!(arg!(2: int advice == libc::MADV_NOHUGEPAGE)),
            form!(arg!(2: int advice == libc::MADV_POPULATE_READ)),
            form!(arg!(2: int advice == libc::MADV_POPULATE_WRITE)),
        ],
        "gives freed memory back, commits stock pages in one go",
        MEMORY
    ),
    row!(SYS_memfd_create, "memory files that back guest memory", MEMORY),
    row!(
        SYS_mincore,
        "which pages of a window are in memory: guest mincore, resident sizes",
        MEMORY
    ),
    row!(SYS_ftruncate, "sizes memory files and donated files", MEMORY),
    row!(SYS_fallocate, "punches holes in memory files, preallocates donated files", MEMORY),
    row!(SYS_fstat, "size and times of donated files", SURFACE),
    row!(
        SYS_newfstatat,
        [form!(arg!(3: int flags == libc::AT_EMPTY_PATH))],
        "the same, as some C libraries ask for it",
        SURFACE
    ),
    row!(SYS_lseek, "the host's own offset of inherited standard streams", SURFACE),
    row!(
        SYS_fcntl,
        [
            form!(arg!(1: int cmd == libc::F_GETFL)),
            form!(arg!(1: int cmd == libc::F_GETFD)),
            form!(arg!(1: int cmd == libc::F_SETFD)),
            form!(arg!(1: int cmd == libc::F_DUPFD_CLOEXEC)),
            form!(arg!(1: int cmd == libc::F_GET_SEALS)),
        ],
        "access mode of inherited descriptors, seals of the gofer's channel",
        SURFACE
    ),
    row!(
        SYS_ioctl,
        [
            form!(arg!(1: int cmd == libc::TCGETS)),
            form!(arg!(1: int cmd == libc::TCSETS)),
            form!(arg!(1: int cmd == libc::TCSETSW)),
            form!(arg!(1: int cmd == libc::TCSETSF)),
            form!(arg!(1: int cmd == libc::TCSBRK)),
            form!(arg!(1: int cmd == libc::TCXONC)),
            form!(arg!(1: int cmd == libc::TCFLSH)),
            form!(arg!(1: int cmd == libc::TIOCGWINSZ)),
            form!(arg!(1: int cmd == libc::TIOCSWINSZ)),
            form!(arg!(1: int cmd == libc::TIOCOUTQ)),
            form!(arg!(1: int cmd == libc::FIONREAD)),
        ],
        "modes and size of an inherited terminal; bytes waiting in an inherited pipe",
        "vfs::host"
    ),
    row!(SYS_fsync, "guest fsync of donated and inherited files", "vfs::host"),
    row!(SYS_fdatasync, "guest fdatasync and msync of donated and inherited files", "vfs::host"),
    row!(
        SYS_shutdown,
        [form!(arg!(1: int how == libc::SHUT_RDWR))],
        "ends the connection to a gofer",
        SURFACE
    ),
    row!(SYS_eventfd2, "wakes threads that wait in poll", SURFACE),
    row!(SYS_clock_gettime, "clocks the host's vDSO cannot answer", SURFACE),
    row!(SYS_clock_nanosleep, "timer thread and back-off", SURFACE),
    row!(SYS_nanosleep, "back-off while a stub dies", SURFACE),
    row!(SYS_getrandom, "hash seeds, guest getrandom, AT_RANDOM, address randomisation", SURFACE),
    row!(SYS_sched_yield, "spins that give the core away", SURFACE),
    row!(SYS_sched_getaffinity, "number of processors guests see", SURFACE),
    row!(SYS_getpid, "reports and panics", SURFACE),
    row!(SYS_gettid, "reports and panics", SURFACE),
    row!(SYS_rt_sigreturn, "returns from the fault-recovery handler", MEMORY),
    row!(SYS_rt_sigprocmask, "signal masks around thread ends and aborts", SURFACE),
    row!(SYS_rt_sigaction, "restores the default action before an abort", SURFACE),
    row!(SYS_sigaltstack, "ends a thread's alternate stack", SURFACE),
    row!(SYS_tgkill, "kicks running guests, aborts", SURFACE),
    row!(SYS_restart_syscall, "resumes a wait after the host stopped the process", SURFACE),
    row!(SYS_exit, "ends a thread", SURFACE),
    row!(SYS_exit_group, "ends the sandbox", SURFACE),
];

/// Rows the systrap platform adds.
pub const SYSTRAP: &[Row] = &[
    row!(
        SYS_sched_setaffinity,
        "keeps a worker and its guest on one core while no core is to spare",
        "platform::systrap"
    ),
    row!(
        SYS_kill,
        [form!(arg!(1: int sig == libc::SIGKILL))],
        "ends stub processes",
        "platform::systrap"
    ),
    row!(
        SYS_waitid,
        [
            form!(
                arg!(0: int idtype == libc::P_PGID),
                arg!(3: int options & (libc::WEXITED) == libc::WEXITED)
            ),
            form!(
                arg!(0: int idtype == libc::P_PID),
                arg!(3: int options & (libc::WEXITED) == libc::WEXITED)
            ),
        ],
        "learns of dead stub processes and reaps them",
        "platform::systrap"
    ),
];
