//! Host calls `--net host` adds to the sentry's, beside those of [every socket of the
//! host](crate::tables::host_sockets).
//!
//! The sentry makes the sockets itself, of the two internet families only: no unix socket, whose
//! abstract names are the host's here, no netlink, packet, raw or vsock socket. Which addresses they
//! are bound and connected to a filter cannot see; a socket of one family cannot reach another.
//! What is made before the filter (the epoll instance) needs no row.

use crate::row::Row;
use crate::tables::host_sockets::{FLAGS, option};
use crate::{arg, form, row};

const CLI: &str = "cli/net_host";
const OPTIONS: &str = "guest/net_host";

const STREAM: i32 = libc::SOCK_STREAM | FLAGS;
const DGRAM: i32 = libc::SOCK_DGRAM | FLAGS;
/// Names `libc` does not have.
const IP_MTU: i32 = 14;
const IP_MULTICAST_ALL: i32 = 49;
const IPV6_MULTICAST_ALL: i32 = 29;
const UDP_CORK: i32 = 1;
const SO_TIMESTAMP_NEW: i32 = 63;
const SO_TIMESTAMPNS_NEW: i32 = 64;
const SOL_IPV6: i32 = libc::IPPROTO_IPV6;

/// One kind of socket.
macro_rules! socket {
    ($family:expr, $kind:expr, $protocol:expr) => {
        form!(
            arg!(0: int family == $family),
            arg!(1: int kind == $kind),
            arg!(2: int protocol == $protocol)
        )
    };
}

/// The rows.
pub const ROWS: &[Row] = &[
    row!(
        SYS_socket,
        [
            socket!(libc::AF_INET, STREAM, libc::IPPROTO_TCP),
            socket!(libc::AF_INET, DGRAM, libc::IPPROTO_UDP),
            socket!(libc::AF_INET, DGRAM, libc::IPPROTO_ICMP),
            socket!(libc::AF_INET6, STREAM, libc::IPPROTO_TCP),
            socket!(libc::AF_INET6, DGRAM, libc::IPPROTO_UDP),
            socket!(libc::AF_INET6, DGRAM, libc::IPPROTO_ICMPV6),
        ],
        "TCP, UDP and ping sockets of guests",
        CLI
    ),
    row!(SYS_bind, "guest bind; only internet sockets there are can be bound", CLI),
    row!(SYS_connect, "guest connect; only internet sockets there are can be connected", CLI),
    row!(SYS_getsockname, "own addresses of guests' sockets", CLI),
    row!(
        SYS_setsockopt,
        [
            option!(libc::SOL_SOCKET, libc::SO_REUSEADDR),
            option!(libc::SOL_SOCKET, libc::SO_DONTROUTE),
            option!(libc::SOL_SOCKET, libc::SO_BROADCAST),
            option!(libc::SOL_SOCKET, libc::SO_KEEPALIVE),
            option!(libc::SOL_SOCKET, libc::SO_OOBINLINE),
            option!(libc::SOL_SOCKET, libc::SO_PRIORITY),
            option!(libc::SOL_SOCKET, libc::SO_LINGER),
            option!(libc::SOL_SOCKET, libc::SO_REUSEPORT),
            option!(libc::SOL_SOCKET, libc::SO_RCVLOWAT),
            option!(libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
            option!(libc::SOL_SOCKET, libc::SO_TIMESTAMP),
            option!(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
            option!(libc::SOL_SOCKET, libc::SO_RXQ_OVFL),
            option!(libc::SOL_SOCKET, SO_TIMESTAMP_NEW),
            option!(libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW),
            option!(libc::IPPROTO_TCP, libc::TCP_NODELAY),
            option!(libc::IPPROTO_TCP, libc::TCP_MAXSEG),
            option!(libc::IPPROTO_TCP, libc::TCP_CORK),
            option!(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
            option!(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
            option!(libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
            option!(libc::IPPROTO_TCP, libc::TCP_SYNCNT),
            option!(libc::IPPROTO_TCP, libc::TCP_LINGER2),
            option!(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
            option!(libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP),
            option!(libc::IPPROTO_TCP, libc::TCP_QUICKACK),
            option!(libc::IPPROTO_TCP, libc::TCP_CONGESTION),
            option!(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
            option!(libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
            option!(libc::IPPROTO_UDP, UDP_CORK),
            option!(libc::IPPROTO_IP, libc::IP_TOS),
            option!(libc::IPPROTO_IP, libc::IP_TTL),
            option!(libc::IPPROTO_IP, libc::IP_PKTINFO),
            option!(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
            option!(libc::IPPROTO_IP, libc::IP_RECVERR),
            option!(libc::IPPROTO_IP, libc::IP_RECVTTL),
            option!(libc::IPPROTO_IP, libc::IP_RECVTOS),
            option!(libc::IPPROTO_IP, libc::IP_FREEBIND),
            option!(libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT),
            option!(libc::IPPROTO_IP, libc::IP_MULTICAST_IF),
            option!(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL),
            option!(libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP),
            option!(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
            option!(libc::IPPROTO_IP, libc::IP_DROP_MEMBERSHIP),
            option!(libc::IPPROTO_IP, libc::IP_UNBLOCK_SOURCE),
            option!(libc::IPPROTO_IP, libc::IP_BLOCK_SOURCE),
            option!(libc::IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP),
            option!(libc::IPPROTO_IP, libc::IP_DROP_SOURCE_MEMBERSHIP),
            option!(libc::IPPROTO_IP, IP_MULTICAST_ALL),
            option!(SOL_IPV6, libc::IPV6_UNICAST_HOPS),
            option!(SOL_IPV6, libc::IPV6_MULTICAST_IF),
            option!(SOL_IPV6, libc::IPV6_MULTICAST_HOPS),
            option!(SOL_IPV6, libc::IPV6_MULTICAST_LOOP),
            option!(SOL_IPV6, libc::IPV6_ADD_MEMBERSHIP),
            option!(SOL_IPV6, libc::IPV6_DROP_MEMBERSHIP),
            option!(SOL_IPV6, libc::IPV6_MTU_DISCOVER),
            option!(SOL_IPV6, libc::IPV6_RECVERR),
            option!(SOL_IPV6, libc::IPV6_V6ONLY),
            option!(SOL_IPV6, IPV6_MULTICAST_ALL),
            option!(SOL_IPV6, libc::IPV6_RECVPKTINFO),
            option!(SOL_IPV6, libc::IPV6_RECVHOPLIMIT),
            option!(SOL_IPV6, libc::IPV6_DONTFRAG),
            option!(SOL_IPV6, libc::IPV6_RECVTCLASS),
            option!(SOL_IPV6, libc::IPV6_TCLASS),
        ],
        "guest setsockopt of the options that pass",
        OPTIONS
    ),
    row!(
        SYS_getsockopt,
        [
            option!(libc::SOL_SOCKET, libc::SO_REUSEADDR),
            option!(libc::SOL_SOCKET, libc::SO_DONTROUTE),
            option!(libc::SOL_SOCKET, libc::SO_BROADCAST),
            option!(libc::SOL_SOCKET, libc::SO_KEEPALIVE),
            option!(libc::SOL_SOCKET, libc::SO_OOBINLINE),
            option!(libc::SOL_SOCKET, libc::SO_PRIORITY),
            option!(libc::SOL_SOCKET, libc::SO_REUSEPORT),
            option!(libc::SOL_SOCKET, libc::SO_RCVLOWAT),
            option!(libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
            option!(libc::SOL_SOCKET, libc::SO_TIMESTAMP),
            option!(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
            option!(libc::SOL_SOCKET, libc::SO_RXQ_OVFL),
            option!(libc::SOL_SOCKET, SO_TIMESTAMP_NEW),
            option!(libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW),
            option!(libc::IPPROTO_TCP, libc::TCP_NODELAY),
            option!(libc::IPPROTO_TCP, libc::TCP_MAXSEG),
            option!(libc::IPPROTO_TCP, libc::TCP_CORK),
            option!(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
            option!(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
            option!(libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
            option!(libc::IPPROTO_TCP, libc::TCP_SYNCNT),
            option!(libc::IPPROTO_TCP, libc::TCP_LINGER2),
            option!(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
            option!(libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP),
            option!(libc::IPPROTO_TCP, libc::TCP_QUICKACK),
            option!(libc::IPPROTO_TCP, libc::TCP_CONGESTION),
            option!(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
            option!(libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
            option!(libc::IPPROTO_UDP, UDP_CORK),
            option!(libc::IPPROTO_IP, libc::IP_TOS),
            option!(libc::IPPROTO_IP, libc::IP_TTL),
            option!(libc::IPPROTO_IP, libc::IP_PKTINFO),
            option!(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
            option!(libc::IPPROTO_IP, libc::IP_RECVERR),
            option!(libc::IPPROTO_IP, libc::IP_RECVTTL),
            option!(libc::IPPROTO_IP, libc::IP_RECVTOS),
            option!(libc::IPPROTO_IP, libc::IP_FREEBIND),
            option!(libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT),
            option!(libc::IPPROTO_IP, libc::IP_MULTICAST_IF),
            option!(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL),
            option!(libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP),
            option!(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
            option!(libc::IPPROTO_IP, libc::IP_DROP_MEMBERSHIP),
            option!(libc::IPPROTO_IP, libc::IP_UNBLOCK_SOURCE),
            option!(libc::IPPROTO_IP, libc::IP_BLOCK_SOURCE),
            option!(libc::IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP),
            option!(libc::IPPROTO_IP, libc::IP_DROP_SOURCE_MEMBERSHIP),
            option!(libc::IPPROTO_IP, IP_MULTICAST_ALL),
            option!(SOL_IPV6, libc::IPV6_UNICAST_HOPS),
            option!(SOL_IPV6, libc::IPV6_MULTICAST_IF),
            option!(SOL_IPV6, libc::IPV6_MULTICAST_HOPS),
            option!(SOL_IPV6, libc::IPV6_MULTICAST_LOOP),
            option!(SOL_IPV6, libc::IPV6_ADD_MEMBERSHIP),
            option!(SOL_IPV6, libc::IPV6_DROP_MEMBERSHIP),
            option!(SOL_IPV6, libc::IPV6_MTU_DISCOVER),
            option!(SOL_IPV6, libc::IPV6_RECVERR),
            option!(SOL_IPV6, libc::IPV6_V6ONLY),
            option!(SOL_IPV6, IPV6_MULTICAST_ALL),
            option!(SOL_IPV6, libc::IPV6_RECVPKTINFO),
            option!(SOL_IPV6, libc::IPV6_RECVHOPLIMIT),
            option!(SOL_IPV6, libc::IPV6_DONTFRAG),
            option!(SOL_IPV6, libc::IPV6_RECVTCLASS),
            option!(SOL_IPV6, libc::IPV6_TCLASS),
            option!(libc::SOL_SOCKET, libc::SO_SNDLOWAT),
            option!(libc::IPPROTO_TCP, libc::TCP_INFO),
            option!(libc::IPPROTO_IP, IP_MTU),
            option!(SOL_IPV6, libc::IPV6_MTU),
        ],
        "guest getsockopt of the options that pass",
        OPTIONS
    ),
];
