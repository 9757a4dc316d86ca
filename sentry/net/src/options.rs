//! Socket options (`socket(7)`, `tcp(7)`, `ip(7)`, `ipv6(7)`).

mod number;

use crate::channel::DEFAULT_BYTES;
use crate::options::number::SO_RCVLOWAT;
use crate::packet;
use crate::socket::{Kind, Socket};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EOPNOTSUPP};
use bevor_abi::inet::{IP_RECVERR, IPV6_RECVERR, UDP_GRO};
use bevor_abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SO_SELECT_ERR_QUEUE, SOL_NETLINK};
use std::collections::HashMap;

pub(crate) const SOL_SOCKET: u32 = 1;
pub(crate) const IPPROTO_IP: u32 = 0;
const IPPROTO_TCP: u32 = 6;
const TCP_SYNCNT: u32 = 7;
pub(crate) const IPPROTO_UDP: u32 = 17;
const IPPROTO_UDPLITE: u32 = 136;
pub(crate) const IPPROTO_IPV6: u32 = 41;

const SO_REUSEADDR: u32 = 2;
const SO_TYPE: u32 = 3;
const SO_ERROR: u32 = 4;
const SO_SNDBUF: u32 = 7;
const SO_RCVBUF: u32 = 8;
const SO_OOBINLINE: u32 = 10;
const SO_LINGER: u32 = 13;
const SO_REUSEPORT: u32 = 15;
const SO_PASSCRED: u32 = 16;
const SO_PEERCRED: u32 = 17;
const SO_RCVTIMEO: u32 = 20;
const SO_SNDTIMEO: u32 = 21;
const SO_ACCEPTCONN: u32 = 30;
const SO_SNDBUFFORCE: u32 = 32;
const SO_RCVBUFFORCE: u32 = 33;
const SO_PROTOCOL: u32 = 38;
const SO_DOMAIN: u32 = 39;
const IPV6_V6ONLY: u32 = 26;
const TCP_MAXSEG: u32 = 2;
const TCP_INFO: u32 = 11;
/// Bytes of `struct tcp_info`.
const TCP_INFO_BYTES: usize = 248;

/// Options of level `SOL_SOCKET` that are a stored number and change nothing on a loopback without
/// packets.
const STORED: [u32; 5] = [1, 36, 37, 46, 47];

/// What the code looks at, and the numbers that are only kept.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `SO_REUSEADDR`.
    pub reuse_addr: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `SO_PASSCRED`.
    pub pass_cred: bool,
    /// `SO_OOBINLINE`.
    pub oob_inline: bool,
    /// `IPV6_V6ONLY`.
    pub v6_only: bool,
    /// `SO_RCVTIMEO`.
    pub receive_timeout_ns: Option<u64>,
    /// `SO_SNDTIMEO`.
    pub send_timeout_ns: Option<u64>,
    /// `SO_SNDBUF`, doubled as Linux does; 0 for the default.
    send_bytes: i32,
    /// `SO_RCVBUF`, doubled.
    receive_bytes: i32,
    /// `SO_LINGER`: whether to linger, and the seconds.
    pub linger: [i32; 2],
    /// Which of the options that ask for times of arrival is on.
    pub timestamp: Option<u32>,
    stored: HashMap<(u32, u32), i32>,
}

impl Options {
    /// The size of the receive buffer, if one was asked for.
    #[must_use]
    pub fn receive_buffer(&self) -> Option<usize> {
        usize::try_from(self.receive_bytes).ok().filter(|&bytes| bytes != 0)
    }

    /// `SO_SNDBUF` as it was given, if it was.
    #[must_use]
    pub const fn send_buffer(&self) -> Option<i32> {
        if self.send_bytes == 0 { None } else { Some(self.send_bytes / 2) }
    }

    /// How many bytes a blocking read of a stream waits for (`SO_RCVLOWAT`).
    #[must_use]
    pub fn low_water(&self) -> u64 {
        let bytes = self.stored(SOL_SOCKET, SO_RCVLOWAT);
        bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(1)
    }

    /// Whether errors make a socket readable for `POLLPRI` (`SO_SELECT_ERR_QUEUE`).
    pub(crate) fn errors_are_urgent(&self) -> bool {
        self.stored(SOL_SOCKET, SO_SELECT_ERR_QUEUE).is_some_and(|value| value != 0)
    }

    /// Whether datagrams sent at once come as one (`UDP_GRO`).
    pub(crate) fn joins_datagrams(&self) -> bool {
        self.stored(IPPROTO_UDP, UDP_GRO).is_some_and(|value| value != 0)
    }

    /// The number last given for an option that is only kept.
    #[must_use]
    pub fn stored(&self, level: u32, option: u32) -> Option<i32> {
        self.stored.get(&(level, option)).copied()
    }
}

fn int(value: &[u8]) -> Result<i32, Errno> {
    let bytes = value.get(..4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(i32::from_ne_bytes).ok_or_else(|| EINVAL.into())
}

/// Decodes `SO_RCVTIMEO` and `SO_SNDTIMEO`: nanoseconds, `None` for ever.
///
/// # Errors
/// `EINVAL`, `EDOM`.
pub(crate) fn timeout(value: &[u8]) -> Result<Option<u64>, Errno> {
    let word = |at: usize| {
        let bytes = value.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(i64::from_ne_bytes).ok_or_else(|| Errno::from(EINVAL))
    };
    let (sec, usec) = (word(0)?, word(8)?);
    if !(0..1_000_000).contains(&usec) {
        return Err(bevor_abi::errno::EDOM.into());
    }
    let ns = sec.saturating_mul(1_000_000_000).saturating_add(usec * 1000);
    Ok(u64::try_from(ns).ok().filter(|&ns| ns != 0))
}

/// Whether a level is one of the socket's own protocols.
fn has_level(socket: &Socket, level: u32) -> bool {
    let is_stream = socket.kind == Kind::Stream;
    match socket.family {
        AF_INET | AF_INET6 => match level {
            IPPROTO_IP => true,
            IPPROTO_IPV6 => socket.family == AF_INET6,
            IPPROTO_TCP => is_stream,
            IPPROTO_UDP => !is_stream,
            _ => socket.lite,
        },
        _ => false,
    }
}

/// The bytes of `SO_RCVTIMEO` and `SO_SNDTIMEO`.
pub(crate) fn show_timeout(ns: Option<u64>) -> Vec<u8> {
    let ns = ns.unwrap_or(0);
    let words = [ns / 1_000_000_000, ns % 1_000_000_000 / 1000];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// `setsockopt(2)`.
///
/// # Errors
/// `EINVAL`, `EDOM`, `ENOPROTOOPT`.
pub fn set(socket: &Socket, level: u32, option: u32, value: &[u8]) -> Result<(), Errno> {
    if (level, option) == (IPPROTO_IPV6, IPV6_V6ONLY) && socket.is_bound() {
        return Err(EINVAL.because("bound already"));
    }
    let mut options = socket.options.lock();
    if let Some(number) = number::find(socket, level, option) {
        let value = match value {
            [byte] if level != SOL_SOCKET => i32::from(*byte),
            _ => int(value)?,
        };
        let value = number.accept(socket, value)?;
        options.stored.insert((level, option), value);
        drop(options);
        if matches!((level, option), (IPPROTO_IP, IP_RECVERR) | (IPPROTO_IPV6, IPV6_RECVERR))
            && value == 0
        {
            socket.reports.clear();
        }
        if (level, option) == (SOL_SOCKET, SO_RCVLOWAT) && has_level(socket, IPPROTO_TCP) {
            socket.set_low_water(usize::try_from(value).unwrap_or(1));
        }
        return Ok(());
    }
    let is_unix = socket.family == AF_UNIX;
    let is_inet = matches!(socket.family, AF_INET | AF_INET6);
    match (level, option) {
        (SOL_SOCKET, SO_REUSEPORT) if is_unix && int(value)? != 0 => {
            return Err(EOPNOTSUPP.into());
        }
        (SOL_SOCKET, SO_PASSCRED) if is_inet => return Err(EOPNOTSUPP.into()),
        (SOL_SOCKET, SO_REUSEADDR) => options.reuse_addr = int(value)? != 0,
        (SOL_SOCKET, SO_REUSEPORT) => options.reuse_port = int(value)? != 0,
        (SOL_SOCKET, SO_PASSCRED) => options.pass_cred = int(value)? != 0,
        (SOL_SOCKET, SO_RCVTIMEO) => options.receive_timeout_ns = timeout(value)?,
        (SOL_SOCKET, SO_SNDTIMEO) => options.send_timeout_ns = timeout(value)?,
        (SOL_SOCKET, SO_SNDBUF | SO_SNDBUFFORCE) => {
            options.send_bytes = int(value)?.clamp(2304, 212_992) * 2;
        }
        (SOL_SOCKET, SO_RCVBUF | SO_RCVBUFFORCE) => {
            let bytes = int(value)?.clamp(1152, 212_992) * 2;
            options.receive_bytes = bytes;
            drop(options);
            socket.set_receive_buffer(usize::try_from(bytes).unwrap_or(DEFAULT_BYTES));
        }
        (SOL_SOCKET, SO_LINGER) => {
            let off = int(value)?;
            options.linger = [i32::from(off != 0), int(value.get(4..).unwrap_or_default())?];
        }
        (SOL_SOCKET, SO_OOBINLINE) => {
            let inline = int(value)? != 0;
            options.oob_inline = inline;
            drop(options);
            socket.set_inline(inline);
        }
        (SOL_SOCKET, option) if packet::is_timestamp(option) => {
            options.timestamp = (int(value)? != 0).then_some(option);
            packet::want_times();
        }
        (SOL_SOCKET, option) if STORED.contains(&option) => {
            options.stored.insert((level, option), int(value)?);
        }
        (IPPROTO_IPV6, IPV6_V6ONLY) if socket.family == AF_INET6 => {
            options.v6_only = int(value)? != 0
        }
        // Answers are short, nothing is ever lost, and no group has news.
        (SOL_NETLINK, 1..=12) if socket.family == AF_NETLINK => {
            options.stored.insert((level, option), int(value)?);
        }
        (IPPROTO_IP | IPPROTO_TCP | IPPROTO_UDP | IPPROTO_UDPLITE | IPPROTO_IPV6, option)
            if has_level(socket, level) && option < 80 =>
        {
            let stored = match value {
                [byte] => i32::from(*byte),
                _ => int(value)?,
            };
            options.stored.insert((level, option), stored);
        }
        _ => return Err(number::unknown(socket, level, true).into()),
    }
    Ok(())
}

/// `getsockopt(2)`: the value's bytes.
///
/// # Errors
/// `ENOPROTOOPT`.
pub fn get(socket: &Socket, level: u32, option: u32) -> Result<Vec<u8>, Errno> {
    let options = socket.options.lock();
    let number = |value: i32| Ok(value.to_ne_bytes().to_vec());
    let flag = |value: bool| number(i32::from(value));
    let time = |ns: Option<u64>| Ok(show_timeout(ns));
    let default_bytes = i32::try_from(DEFAULT_BYTES).unwrap_or(i32::MAX);
    let bytes = |bytes: i32| number(if bytes == 0 { default_bytes } else { bytes });
    if let Some(kept) = number::find(socket, level, option) {
        return number(options.stored(level, option).unwrap_or_else(|| kept.default()));
    }
    match (level, option) {
        (SOL_SOCKET, SO_PASSCRED) if matches!(socket.family, AF_INET | AF_INET6) => {
            Err(EOPNOTSUPP.into())
        }
        (SOL_SOCKET, SO_REUSEADDR) => flag(options.reuse_addr),
        (SOL_SOCKET, SO_REUSEPORT) => flag(options.reuse_port),
        (SOL_SOCKET, SO_PASSCRED) => flag(options.pass_cred),
        (SOL_SOCKET, SO_OOBINLINE) => flag(options.oob_inline),
        (SOL_SOCKET, option) if packet::is_timestamp(option) => {
            flag(options.timestamp == Some(option))
        }
        (SOL_SOCKET, SO_RCVTIMEO) => time(options.receive_timeout_ns),
        (SOL_SOCKET, SO_SNDTIMEO) => time(options.send_timeout_ns),
        (SOL_SOCKET, SO_SNDBUF) => bytes(options.send_bytes),
        (SOL_SOCKET, SO_RCVBUF) => bytes(options.receive_bytes),
        (SOL_SOCKET, SO_LINGER) => {
            Ok(options.linger.iter().flat_map(|word| word.to_ne_bytes()).collect())
        }
        (SOL_SOCKET, SO_TYPE) => number(socket.kind.number()),
        (SOL_SOCKET, SO_DOMAIN) => number(i32::from(socket.family)),
        (SOL_SOCKET, SO_PROTOCOL) => number(match (socket.family, socket.kind.number()) {
            (AF_UNIX, _) => 0,
            (AF_NETLINK, _) => {
                socket.link().map_or(0, |link| i32::try_from(link.protocol()).unwrap_or(0))
            }
            (_, 1) => 6,
            _ if socket.lite => 136,
            _ => 17,
        }),
        (SOL_SOCKET, SO_ERROR) => {
            drop(options);
            number(socket.take_error())
        }
        (SOL_SOCKET, SO_ACCEPTCONN) => {
            drop(options);
            flag(socket.is_listening())
        }
        (SOL_SOCKET, SO_PEERCRED) => {
            drop(options);
            let cred = socket.peer_cred();
            let mut out = cred.pid.to_ne_bytes().to_vec();
            out.extend_from_slice(&cred.uid.to_ne_bytes());
            out.extend_from_slice(&cred.gid.to_ne_bytes());
            Ok(out)
        }
        (SOL_SOCKET, option) if STORED.contains(&option) => {
            number(options.stored.get(&(level, option)).copied().unwrap_or(0))
        }
        (IPPROTO_IPV6, IPV6_V6ONLY) if socket.family == AF_INET6 => flag(options.v6_only),
        (SOL_NETLINK, 3..=12) if socket.family == AF_NETLINK => {
            number(options.stored.get(&(level, option)).copied().unwrap_or(0))
        }
        (IPPROTO_TCP, TCP_INFO) if matches!(socket.family, AF_INET | AF_INET6) => {
            drop(options);
            let mut info = vec![0; TCP_INFO_BYTES];
            // tcpi_state: ESTABLISHED, LISTEN or CLOSE.
            let state = if socket.is_listening() {
                10
            } else if socket.peer().is_ok() {
                1
            } else {
                7
            };
            if let Some(first) = info.first_mut() {
                *first = state;
            }
            Ok(info)
        }
        (IPPROTO_TCP, TCP_MAXSEG) if matches!(socket.family, AF_INET | AF_INET6) => number(65_483),
        (IPPROTO_IP | IPPROTO_TCP | IPPROTO_UDP | IPPROTO_UDPLITE | IPPROTO_IPV6, option)
            if has_level(socket, level) && option < 80 =>
        {
            number(options.stored.get(&(level, option)).copied().unwrap_or(0))
        }
        _ => Err(number::unknown(socket, level, false).into()),
    }
}

/// How long a connection of `socket` may take whose other end does not answer, nanoseconds: each attempt
/// waits twice as long as the one before, up to two minutes, and `TCP_SYNCNT` of them follow the first.
#[must_use]
pub fn connect_patience_ns(socket: &Socket) -> u64 {
    /// `net.ipv4.tcp_syn_retries`.
    const RETRIES: i32 = 6;
    const LONGEST_S: u64 = 120;
    let retries = socket.options.lock().stored(IPPROTO_TCP, TCP_SYNCNT).unwrap_or(RETRIES);
    let waits = (0..=retries).map(|attempt| (1_u64 << attempt.clamp(0, 7)).min(LONGEST_S));
    waits.sum::<u64>() * 1_000_000_000
}
