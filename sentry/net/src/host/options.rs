//! Options of sockets of the host: which are the host's, which are kept here, which are refused.
//!
//! The list is also the host-call table's: a test compares them. What is missing is missing on
//! purpose: options that run programs in the host's kernel (`SO_ATTACH_*`), change who the socket
//! seems to be (`IP_TRANSPARENT`, `SO_MARK`), hand pages to the host (`SO_ZEROCOPY`), put other
//! protocols on top (`TCP_ULP`), or make a call wait inside the host (`SO_BUSY_POLL`).

use crate::host::calls;
use crate::host::socket::HostSocket;
use crate::options::{show_timeout, timeout};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOPROTOOPT};
use bevor_abi::inet::{
    IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, IP_BIND_ADDRESS_NO_PORT, IP_BLOCK_SOURCE,
    IP_DROP_MEMBERSHIP, IP_DROP_SOURCE_MEMBERSHIP, IP_FREEBIND, IP_MTU, IP_MTU_DISCOVER,
    IP_MULTICAST_ALL, IP_MULTICAST_IF, IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_PKTINFO, IP_RECVERR,
    IP_RECVTOS, IP_RECVTTL, IP_TOS, IP_TTL, IP_UNBLOCK_SOURCE, IPV6_ADD_MEMBERSHIP, IPV6_DONTFRAG,
    IPV6_DROP_MEMBERSHIP, IPV6_MTU, IPV6_MTU_DISCOVER, IPV6_MULTICAST_ALL, IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO,
    IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_UNICAST_HOPS, IPV6_V6ONLY, TCP_CONGESTION, TCP_CORK,
    TCP_DEFER_ACCEPT, TCP_INFO, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_LINGER2, TCP_MAXSEG,
    TCP_NODELAY, TCP_NOTSENT_LOWAT, TCP_QUICKACK, TCP_SYNCNT, TCP_USER_TIMEOUT, TCP_WINDOW_CLAMP,
    UDP_CORK,
};
use bevor_abi::socket::{
    SO_ACCEPTCONN, SO_BINDTODEVICE, SO_BROADCAST, SO_DOMAIN, SO_DONTROUTE, SO_ERROR, SO_KEEPALIVE,
    SO_LINGER, SO_OOBINLINE, SO_PASSCRED, SO_PEERCRED, SO_PRIORITY, SO_PROTOCOL, SO_RCVBUF,
    SO_RCVLOWAT, SO_RCVTIMEO_NEW, SO_RCVTIMEO_OLD, SO_REUSEADDR, SO_REUSEPORT, SO_RXQ_OVFL,
    SO_SNDBUF, SO_SNDLOWAT, SO_SNDTIMEO_NEW, SO_SNDTIMEO_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMP_OLD,
    SO_TIMESTAMPNS_NEW, SO_TIMESTAMPNS_OLD, SO_TYPE, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP,
    SOL_UDP,
};
use std::os::fd::AsFd;

/// Options a guest may set and ask for, by level.
pub const SETTABLE: [(u32, u32); 66] = [
    (SOL_SOCKET, SO_REUSEADDR),
    (SOL_SOCKET, SO_DONTROUTE),
    (SOL_SOCKET, SO_BROADCAST),
    (SOL_SOCKET, SO_SNDBUF),
    (SOL_SOCKET, SO_RCVBUF),
    (SOL_SOCKET, SO_KEEPALIVE),
    (SOL_SOCKET, SO_OOBINLINE),
    (SOL_SOCKET, SO_PRIORITY),
    (SOL_SOCKET, SO_LINGER),
    (SOL_SOCKET, SO_REUSEPORT),
    (SOL_SOCKET, SO_RCVLOWAT),
    (SOL_SOCKET, SO_BINDTODEVICE),
    (SOL_SOCKET, SO_TIMESTAMP_OLD),
    (SOL_SOCKET, SO_TIMESTAMPNS_OLD),
    (SOL_SOCKET, SO_RXQ_OVFL),
    (SOL_SOCKET, SO_TIMESTAMP_NEW),
    (SOL_SOCKET, SO_TIMESTAMPNS_NEW),
    (SOL_TCP, TCP_NODELAY),
    (SOL_TCP, TCP_MAXSEG),
    (SOL_TCP, TCP_CORK),
    (SOL_TCP, TCP_KEEPIDLE),
    (SOL_TCP, TCP_KEEPINTVL),
    (SOL_TCP, TCP_KEEPCNT),
    (SOL_TCP, TCP_SYNCNT),
    (SOL_TCP, TCP_LINGER2),
    (SOL_TCP, TCP_DEFER_ACCEPT),
    (SOL_TCP, TCP_WINDOW_CLAMP),
    (SOL_TCP, TCP_QUICKACK),
    (SOL_TCP, TCP_CONGESTION),
    (SOL_TCP, TCP_USER_TIMEOUT),
    (SOL_TCP, TCP_NOTSENT_LOWAT),
    (SOL_UDP, UDP_CORK),
    (SOL_IP, IP_TOS),
    (SOL_IP, IP_TTL),
    (SOL_IP, IP_PKTINFO),
    (SOL_IP, IP_MTU_DISCOVER),
    (SOL_IP, IP_RECVERR),
    (SOL_IP, IP_RECVTTL),
    (SOL_IP, IP_RECVTOS),
    (SOL_IP, IP_FREEBIND),
    (SOL_IP, IP_BIND_ADDRESS_NO_PORT),
    (SOL_IP, IP_MULTICAST_IF),
    (SOL_IP, IP_MULTICAST_TTL),
    (SOL_IP, IP_MULTICAST_LOOP),
    (SOL_IP, IP_ADD_MEMBERSHIP),
    (SOL_IP, IP_DROP_MEMBERSHIP),
    (SOL_IP, IP_UNBLOCK_SOURCE),
    (SOL_IP, IP_BLOCK_SOURCE),
    (SOL_IP, IP_ADD_SOURCE_MEMBERSHIP),
    (SOL_IP, IP_DROP_SOURCE_MEMBERSHIP),
    (SOL_IP, IP_MULTICAST_ALL),
    (SOL_IPV6, IPV6_UNICAST_HOPS),
    (SOL_IPV6, IPV6_MULTICAST_IF),
    (SOL_IPV6, IPV6_MULTICAST_HOPS),
    (SOL_IPV6, IPV6_MULTICAST_LOOP),
    (SOL_IPV6, IPV6_ADD_MEMBERSHIP),
    (SOL_IPV6, IPV6_DROP_MEMBERSHIP),
    (SOL_IPV6, IPV6_MTU_DISCOVER),
    (SOL_IPV6, IPV6_RECVERR),
    (SOL_IPV6, IPV6_V6ONLY),
    (SOL_IPV6, IPV6_MULTICAST_ALL),
    (SOL_IPV6, IPV6_RECVPKTINFO),
    (SOL_IPV6, IPV6_RECVHOPLIMIT),
    (SOL_IPV6, IPV6_DONTFRAG),
    (SOL_IPV6, IPV6_RECVTCLASS),
    (SOL_IPV6, IPV6_TCLASS),
];

/// Options a guest may only ask for.
pub const READABLE: [(u32, u32); 6] = [
    (SOL_SOCKET, SO_ERROR),
    (SOL_SOCKET, SO_ACCEPTCONN),
    (SOL_SOCKET, SO_SNDLOWAT),
    (SOL_TCP, TCP_INFO),
    (SOL_IP, IP_MTU),
    (SOL_IPV6, IPV6_MTU),
];

/// Of unix sockets of the host: options a guest may set and ask for.
pub const UNIX_SETTABLE: [(u32, u32); 3] =
    [(SOL_SOCKET, SO_SNDBUF), (SOL_SOCKET, SO_RCVBUF), (SOL_SOCKET, SO_PASSCRED)];

/// Of unix sockets of the host: options a guest may only ask for.
pub const UNIX_READABLE: [(u32, u32); 3] =
    [(SOL_SOCKET, SO_ERROR), (SOL_SOCKET, SO_ACCEPTCONN), (SOL_SOCKET, SO_PEERCRED)];

/// Longest value passed on.
const MAX_VALUE: usize = 1024;

/// What a socket keeps here rather than on the host.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// `SO_RCVTIMEO`.
    pub(super) receive_timeout_ns: Option<u64>,
    /// `SO_SNDTIMEO`.
    pub(super) send_timeout_ns: Option<u64>,
    /// `SO_RCVLOWAT`, which the host does not heed for a socket that does not block.
    pub(super) low_water: u64,
    /// Seconds of an `SO_LINGER` that is on.
    linger_s: Option<i32>,
}

fn refused() -> Errno {
    ENOPROTOOPT.because("not passed to the host")
}

fn int(value: &[u8], at: usize) -> Result<i32, Errno> {
    let bytes = value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(i32::from_ne_bytes).ok_or_else(|| EINVAL.into())
}

/// Whether an option of a unix socket is the host's, or kept with the host's socket. Others are as on a
/// socket of the sandbox.
#[must_use]
pub fn concerns_unix(level: u32, option: u32) -> bool {
    let known = (level, option);
    let kept = matches!(
        option,
        SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW | SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW | SO_RCVLOWAT
    );
    UNIX_SETTABLE.contains(&known)
        || UNIX_READABLE.contains(&known)
        || (level == SOL_SOCKET && kept)
}

/// `setsockopt(2)`.
///
/// # Errors
/// `EINVAL`, `EDOM`, `ENOPROTOOPT`; what the host answers.
pub fn set(socket: &HostSocket, level: u32, option: u32, value: &[u8]) -> Result<(), Errno> {
    match (level, option) {
        (SOL_SOCKET, SO_PASSCRED) if let Some(unix) = &socket.unix => {
            let wanted = int(value, 0)? != 0;
            // It stays on: see `Unix::control_room`.
            if wanted {
                calls::set_option(socket.fd.as_fd(), level, option, &1_i32.to_ne_bytes())?;
            }
            unix.want_cred(wanted);
        }
        (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF) if socket.unix.is_some() => {
            calls::set_option(socket.fd.as_fd(), level, option, &int(value, 0)?.to_ne_bytes())?;
        }
        (SOL_SOCKET, SO_RCVLOWAT) if socket.unix.is_some() => {
            socket.kept.lock().low_water = u64::try_from(int(value, 0)?).unwrap_or(u64::MAX);
        }
        (SOL_SOCKET, SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW) => {
            socket.kept.lock().receive_timeout_ns = timeout(value)?;
        }
        (SOL_SOCKET, SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW) => {
            socket.kept.lock().send_timeout_ns = timeout(value)?;
        }
        (SOL_SOCKET, SO_LINGER) if socket.unix.is_none() => {
            // The host would wait in close, blocking or not: it only learns to reset (a time of 0).
            let (on, seconds) = (int(value, 0)? != 0, int(value, 4)?);
            let reset = i32::from(on && seconds == 0);
            let told = [reset.to_ne_bytes(), 0_i32.to_ne_bytes()].concat();
            let mut kept = socket.kept.lock();
            calls::set_option(socket.fd.as_fd(), level, option, &told)?;
            kept.linger_s = on.then_some(seconds);
        }
        known if SETTABLE.contains(&known) && socket.unix.is_none() => {
            let value = value.get(..value.len().min(MAX_VALUE)).unwrap_or_default();
            calls::set_option(socket.fd.as_fd(), level, option, value)?;
            if known == (SOL_SOCKET, SO_RCVLOWAT) {
                socket.kept.lock().low_water = u64::try_from(int(value, 0)?).unwrap_or(u64::MAX);
            }
        }
        _ => return Err(refused()),
    }
    Ok(())
}

/// `getsockopt(2)`: the value's bytes, of which the guest has room for `room`.
///
/// # Errors
/// `ENOPROTOOPT`; what the host answers.
pub fn get(socket: &HostSocket, level: u32, option: u32, room: usize) -> Result<Vec<u8>, Errno> {
    let number = |value: i32| Ok(value.to_ne_bytes().to_vec());
    match (level, option) {
        (SOL_SOCKET, SO_TYPE) => number(socket.kind.number()),
        (SOL_SOCKET, SO_DOMAIN) => number(i32::from(socket.family)),
        (SOL_SOCKET, SO_PROTOCOL) => number(socket.protocol),
        (SOL_SOCKET, SO_PASSCRED) if let Some(unix) = &socket.unix => {
            number(i32::from(unix.wants_cred()))
        }
        (SOL_SOCKET, SO_PEERCRED) if let Some(ids) = socket.unix.as_ref().and_then(|u| u.peer) => {
            // No process that could be seen from here.
            Ok([0, ids.0, ids.1].iter().flat_map(|word| word.to_ne_bytes()).collect())
        }
        known
            if socket.unix.is_some()
                && (UNIX_SETTABLE.contains(&known) || UNIX_READABLE.contains(&known)) =>
        {
            calls::option(socket.fd.as_fd(), level, option, room.min(MAX_VALUE))
        }
        (SOL_SOCKET, SO_RCVLOWAT) if socket.unix.is_some() => {
            number(i32::try_from(socket.low_water().max(1)).unwrap_or(i32::MAX))
        }
        (SOL_SOCKET, SO_PEERCRED) => {
            // No process, nobody.
            Ok([0_i32, -1, -1].iter().flat_map(|word| word.to_ne_bytes()).collect())
        }
        (SOL_SOCKET, SO_RCVTIMEO_OLD | SO_RCVTIMEO_NEW) => {
            Ok(show_timeout(socket.kept.lock().receive_timeout_ns))
        }
        (SOL_SOCKET, SO_SNDTIMEO_OLD | SO_SNDTIMEO_NEW) => {
            Ok(show_timeout(socket.kept.lock().send_timeout_ns))
        }
        (SOL_SOCKET, SO_LINGER) if socket.unix.is_none() => {
            let linger_s = socket.kept.lock().linger_s;
            let words = [i32::from(linger_s.is_some()), linger_s.unwrap_or(0)];
            Ok(words.iter().flat_map(|word| word.to_ne_bytes()).collect())
        }
        known
            if socket.unix.is_none()
                && (SETTABLE.contains(&known) || READABLE.contains(&known)) =>
        {
            calls::option(socket.fd.as_fd(), level, option, room.min(MAX_VALUE))
        }
        _ => Err(refused()),
    }
}
