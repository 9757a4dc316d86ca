//! Host calls of the gofer after start-up: the only process that resolves host paths.
//!
//! Names are looked up with `openat2` and `statx` relative to descriptors beneath its roots.
//! `openat`, and the calls that take a path without a descriptor, reach only `/proc/self/fd`, which
//! is also the current directory; the root directory is empty (or landlock refuses what is not
//! below a root).

use crate::row::Row;
use crate::{arg, form, row};

const SERVE: &str = "bevor-gofer::serve";
const PROCESS: &str = "bevor-gofer::process";

/// Rows of every gofer.
pub const ROWS: &[Row] = &[
    row!(
        SYS_futex,
        [
            form!(arg!(1: int op == libc::FUTEX_WAIT)),
            form!(arg!(1: int op == libc::FUTEX_WAKE)),
            form!(arg!(1: int op == libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG)),
            form!(arg!(1: int op == libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG)),
            form!(arg!(1: int op == libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG)),
        ],
        "waits for requests, wakes the sentry's threads, locks",
        SERVE
    )
    .hot(),
    row!(SYS_statx, "attributes of one name or descriptor", SERVE).hot(),
    row!(SYS_openat2, "opens one name beneath a directory, symlinks refused", SERVE).hot(),
    row!(SYS_close, "descriptors that are no longer kept, or were donated", SERVE).hot(),
    row!(
        SYS_openat,
        [form!(arg!(0: int dirfd == @self_fd), arg!(2: int flags & (libc::O_CREAT) == 0))],
        "opens what one of its own O_PATH descriptors stands for",
        SERVE
    )
    .hot(),
    row!(SYS_getdents64, "lists directories", SERVE).hot(),
    row!(SYS_sendmsg, "donates descriptors to the sentry", SERVE).hot(),
    row!(SYS_pread64, "contents of files the sentry has no descriptor left for", SERVE),
    row!(SYS_readlinkat, "targets of symlinks, for the sentry to follow", SERVE),
    row!(SYS_lseek, "continues a listing", SERVE),
    row!(SYS_fstatfs, "describes file systems", SERVE),
    row!(SYS_fsync, "writes a file to disk", SERVE),
    row!(SYS_fdatasync, "writes the content of a file to disk", SERVE),
    row!(SYS_syncfs, "writes a file system to disk", SERVE),
    row!(SYS_getxattr, "extended attributes, by way of /proc/self/fd", SERVE),
    row!(SYS_listxattr, "extended attributes, by way of /proc/self/fd", SERVE),
    row!(
        SYS_mmap,
        [form!(
            arg!(2: int prot & (libc::PROT_EXEC) == 0),
            arg!(3: int flags == libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)
        )],
        "heap; never executable, never a file",
        SERVE
    ),
    row!(SYS_munmap, "heap that is no longer used", SERVE),
    row!(SYS_mremap, "grows large heap blocks without copying", SERVE),
    row!(SYS_brk, "the heap", SERVE),
    row!(SYS_poll, "waits for the sentry's end", PROCESS),
    row!(SYS_shutdown, "tells the sentry that the channel is closed", PROCESS),
    row!(SYS_clock_gettime, "how long to watch for a request, where the vDSO cannot say", SERVE),
    row!(SYS_sched_yield, "contended locks", SERVE),
    row!(
        SYS_write,
        [form!(arg!(0: int fd == @report)), form!(arg!(0: int fd == @refused))],
        "reports faults, and refused host calls",
        PROCESS
    ),
    row!(
        SYS_fcntl,
        [form!(arg!(1: int cmd == libc::F_GETFD))],
        "debug builds look whether a descriptor is open before they close it",
        SERVE
    ),
    row!(SYS_rt_sigreturn, "leaves a signal handler", PROCESS),
    row!(SYS_restart_syscall, "a wait that was stopped and continued", PROCESS),
    row!(SYS_exit_group, "ends the process", PROCESS),
];

/// Rows of a gofer with a writable root.
pub const WRITABLE: &[Row] = &[
    row!(SYS_pwrite64, "contents of files the sentry has no descriptor left for", SERVE),
    row!(SYS_mkdirat, "makes directories", SERVE),
    row!(SYS_mknodat, "makes fifos, sockets and, where allowed, device nodes", SERVE),
    row!(SYS_symlinkat, "makes symlinks", SERVE),
    row!(
        SYS_linkat,
        [form!(arg!(0: int olddirfd == @self_fd), arg!(4: int flags == libc::AT_SYMLINK_FOLLOW))],
        "gives a file behind one of its descriptors one more name",
        SERVE
    ),
    row!(SYS_unlinkat, "removes names", SERVE),
    row!(SYS_renameat2, "moves names", SERVE),
    row!(
        SYS_fchmodat,
        [form!(arg!(0: int dirfd == @self_fd))],
        "permissions of a file behind one of its descriptors",
        SERVE
    ),
    row!(
        SYS_fchownat,
        [form!(arg!(4: int flags == libc::AT_EMPTY_PATH))],
        "owner of a file behind one of its descriptors",
        SERVE
    ),
    row!(
        SYS_utimensat,
        [form!(arg!(3: int flags == libc::AT_EMPTY_PATH))],
        "times of a file behind one of its descriptors",
        SERVE
    ),
    row!(SYS_ftruncate, "size of a file the sentry has not open for writing", SERVE),
    row!(SYS_setxattr, "extended attributes, by way of /proc/self/fd", SERVE),
    row!(SYS_removexattr, "extended attributes, by way of /proc/self/fd", SERVE),
];

/// Rows of a gofer that holds locks of its sandbox on the host.
pub const LOCKS: &[Row] = &[
    row!(
        SYS_flock,
        [
            form!(arg!(1: int operation == libc::LOCK_SH | libc::LOCK_NB)),
            form!(arg!(1: int operation == libc::LOCK_EX | libc::LOCK_NB)),
        ],
        "locks whole files, without waiting",
        SERVE
    ),
    row!(
        SYS_fcntl,
        [
            form!(arg!(1: int cmd == libc::F_OFD_SETLK)),
            form!(arg!(1: int cmd == libc::F_OFD_GETLK)),
        ],
        "locks some bytes of files, without waiting, and asks who else does",
        SERVE
    ),
];

/// Rows of a gofer that lets its sandbox use sockets of the host.
pub const SOCKETS: &[Row] = &[
    row!(
        SYS_socket,
        [form!(arg!(0: int domain == libc::AF_UNIX), arg!(2: int protocol == 0))],
        "a socket to donate",
        SERVE
    ),
    row!(SYS_connect, "connects it to a socket of the host", SERVE),
    row!(SYS_bind, "gives it a name beneath a writable root", SERVE),
    row!(
        SYS_getsockopt,
        [form!(arg!(1: int level == libc::SOL_SOCKET), arg!(2: int option == libc::SO_PEERCRED))],
        "whose socket it is connected to",
        SERVE
    ),
];

/// Optional parts of a gofer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// A root is writable.
    pub writable: bool,
    /// A root allows sockets of the host.
    pub sockets: bool,
    /// Locks of a root are held on the host, too.
    pub locks: bool,
}

/// The rows of a gofer with these parts.
pub fn rows(features: Features) -> impl Iterator<Item = &'static Row> {
    let none: &'static [Row] = &[];
    let writable = if features.writable { WRITABLE } else { none };
    let sockets = if features.sockets { SOCKETS } else { none };
    let locks = if features.locks { LOCKS } else { none };
    ROWS.iter().chain(writable).chain(sockets).chain(locks)
}
