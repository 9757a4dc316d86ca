//! Host calls of sentries whose guests have sockets of the host, however they came by them.
//!
//! Those of `--host-uds` are connected or bound by the gofer and donated: the sentry cannot make one,
//! nor choose whom it talks to. What is made before the filter (the epoll instance) needs no row.

use crate::row::Row;
use crate::{arg, form, row};

const CLI: &str = "cli/net_host";
const UDS: &str = "cli/host_uds";
const OPTIONS: &str = "guest/net_host";

/// What every socket is: non-blocking, closed on exec.
pub(super) const FLAGS: i32 = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
/// `SIOCATMARK`.
const SIOCATMARK: i32 = 0x8905;

/// One option of `setsockopt` or `getsockopt`.
macro_rules! option {
    ($level:expr, $option:expr) => {
        form!(arg!(1: int level == $level), arg!(2: int option == $option))
    };
}
pub(super) use option;

/// Rows of both `--net host` and `--host-uds`.
pub const ROWS: &[Row] = &[
    row!(SYS_listen, "guest listen", CLI),
    row!(SYS_accept4, [form!(arg!(3: int flags == FLAGS))], "guest accept", CLI),
    row!(SYS_getpeername, "peers of guests' sockets", CLI),
    row!(
        SYS_shutdown,
        [form!(arg!(1: int how == libc::SHUT_RD)), form!(arg!(1: int how == libc::SHUT_WR)),],
        "guest shutdown of one direction",
        CLI
    ),
    row!(
        SYS_setsockopt,
        [option!(libc::SOL_SOCKET, libc::SO_SNDBUF), option!(libc::SOL_SOCKET, libc::SO_RCVBUF),],
        "sizes of the host's buffers",
        OPTIONS
    ),
    row!(
        SYS_getsockopt,
        [
            option!(libc::SOL_SOCKET, libc::SO_SNDBUF),
            option!(libc::SOL_SOCKET, libc::SO_RCVBUF),
            option!(libc::SOL_SOCKET, libc::SO_ERROR),
            option!(libc::SOL_SOCKET, libc::SO_ACCEPTCONN),
        ],
        "pending errors, sizes of the host's buffers, whether it listens",
        OPTIONS
    ),
    row!(
        SYS_ioctl,
        [form!(arg!(1: int cmd == SIOCATMARK))],
        "whether a stream is at its urgent byte",
        OPTIONS
    ),
    row!(
        SYS_epoll_ctl,
        [
            form!(arg!(1: int op == libc::EPOLL_CTL_ADD)),
            form!(arg!(1: int op == libc::EPOLL_CTL_MOD)),
        ],
        "what guests wait for",
        CLI
    ),
    row!(SYS_epoll_wait, "the thread that waits for all guests' sockets", CLI),
];

/// Rows of `--host-uds` alone.
pub const UNIX: &[Row] = &[
    row!(
        SYS_setsockopt,
        [option!(libc::SOL_SOCKET, libc::SO_PASSCRED)],
        "asks for the credentials of who sends",
        UDS
    ),
    row!(
        SYS_getsockopt,
        [option!(libc::SOL_SOCKET, libc::SO_PEERCRED)],
        "who connected from the host",
        UDS
    ),
];
