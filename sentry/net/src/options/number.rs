//! Options whose value is one number: what they are at first, and what becomes of a value.

use crate::options::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, SOL_SOCKET};
use crate::socket::{Kind, Socket};
use bevor_abi::Code;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOPROTOOPT, EOPNOTSUPP};
use bevor_abi::socket::{AF_INET, AF_INET6, AF_UNIX};

/// What a value given becomes.
#[derive(Clone, Copy)]
enum Form {
    /// 1 for anything but 0.
    Flag,
    /// 0 or 1, else `EINVAL`.
    Bit,
    /// Any.
    Any,
    /// Something between the two, else `EINVAL`.
    Range(i32, i32),
    /// The same, with -1 for what it was at first.
    OrDefault(i32, i32),
    /// Type of service or traffic class; the bits of ECN are TCP's own.
    Class,
    /// Seconds before the last step of a connection's end is given up (`TCP_LINGER2`).
    Linger,
    /// Seconds, rounded up to what as many retransmissions take (`TCP_DEFER_ACCEPT`).
    Defer,
    /// `SO_RCVLOWAT`.
    LowWater,
    /// No value is taken.
    Refused(Code),
}

/// Which sockets have an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    Unix,
    Inet,
    Inet6,
    Tcp,
    Udp,
}

/// One option.
pub struct Number {
    level: u32,
    option: u32,
    of: Of,
    /// What it is at first.
    default: i32,
    form: Form,
}

const fn row(level: u32, option: u32, of: Of, default: i32, form: Form) -> Number {
    Number { level, option, of, default, form }
}

/// The first row that fits a socket counts.
const NUMBERS: &[Number] = &[
    // SO_DONTROUTE, SO_BROADCAST, SO_KEEPALIVE, SO_NO_CHECK, SO_PRIORITY.
    row(SOL_SOCKET, 5, Of::All, 0, Form::Flag),
    row(SOL_SOCKET, 6, Of::All, 0, Form::Flag),
    row(SOL_SOCKET, 9, Of::All, 0, Form::Flag),
    row(SOL_SOCKET, 11, Of::All, 0, Form::Flag),
    row(SOL_SOCKET, 12, Of::All, 0, Form::Any),
    // SO_RCVLOWAT, SO_SNDLOWAT.
    row(SOL_SOCKET, SO_RCVLOWAT, Of::All, 1, Form::LowWater),
    row(SOL_SOCKET, 19, Of::All, 1, Form::Refused(ENOPROTOOPT)),
    // SO_RXQ_OVFL, SO_NOFCS, SO_SELECT_ERR_QUEUE.
    row(SOL_SOCKET, 40, Of::All, 0, Form::Flag),
    row(SOL_SOCKET, 43, Of::All, 0, Form::Flag),
    row(SOL_SOCKET, 45, Of::All, 0, Form::Flag),
    // IP_TOS, IP_TTL, IP_HDRINCL, IP_RECVOPTS, IP_RETOPTS, IP_PKTINFO.
    row(IPPROTO_IP, 1, Of::Inet, 0, Form::Class),
    row(IPPROTO_IP, 2, Of::Inet, 64, Form::OrDefault(1, 255)),
    row(IPPROTO_IP, 3, Of::Inet, 0, Form::Refused(ENOPROTOOPT)),
    row(IPPROTO_IP, 6, Of::Inet, 0, Form::Flag),
    row(IPPROTO_IP, 7, Of::Inet, 0, Form::Flag),
    row(IPPROTO_IP, 8, Of::Inet, 0, Form::Flag),
    // IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_FREEBIND.
    row(IPPROTO_IP, 10, Of::Inet, 1, Form::Range(0, 5)),
    row(IPPROTO_IP, 11, Of::Inet, 0, Form::Flag),
    row(IPPROTO_IP, 12, Of::Inet, 0, Form::Flag),
    row(IPPROTO_IP, 13, Of::Inet, 0, Form::Flag),
    row(IPPROTO_IP, 15, Of::Inet, 0, Form::Flag),
    // IP_ORIGDSTADDR, IP_MINTTL, IP_BIND_ADDRESS_NO_PORT.
    row(IPPROTO_IP, 20, Of::Inet, 0, Form::Flag),
    row(IPPROTO_IP, 21, Of::Inet, 0, Form::Range(0, 255)),
    row(IPPROTO_IP, 24, Of::Inet, 0, Form::Flag),
    // IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL.
    row(IPPROTO_IP, 33, Of::Tcp, 1, Form::Refused(EINVAL)),
    row(IPPROTO_IP, 33, Of::Udp, 1, Form::OrDefault(0, 255)),
    row(IPPROTO_IP, 34, Of::Inet, 1, Form::Flag),
    row(IPPROTO_IP, 49, Of::Inet6, 0, Form::Bit),
    row(IPPROTO_IP, 49, Of::Inet, 1, Form::Bit),
    // IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_MTU_DISCOVER, IPV6_RECVERR.
    row(IPPROTO_IPV6, 16, Of::Inet6, 64, Form::OrDefault(0, 255)),
    row(IPPROTO_IPV6, 18, Of::Tcp, 1, Form::Refused(ENOPROTOOPT)),
    row(IPPROTO_IPV6, 18, Of::Udp, 1, Form::OrDefault(0, 255)),
    row(IPPROTO_IPV6, 19, Of::Inet6, 1, Form::Bit),
    row(IPPROTO_IPV6, 23, Of::Inet6, 1, Form::Range(0, 5)),
    row(IPPROTO_IPV6, 25, Of::Inet6, 0, Form::Flag),
    // IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVHOPOPTS, IPV6_RECVRTHDR, IPV6_RECVDSTOPTS.
    row(IPPROTO_IPV6, 49, Of::Inet6, 0, Form::Flag),
    row(IPPROTO_IPV6, 51, Of::Inet6, 0, Form::Flag),
    row(IPPROTO_IPV6, 53, Of::Inet6, 0, Form::Flag),
    row(IPPROTO_IPV6, 56, Of::Inet6, 0, Form::Flag),
    row(IPPROTO_IPV6, 58, Of::Inet6, 0, Form::Flag),
    // IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_ORIGDSTADDR.
    row(IPPROTO_IPV6, 66, Of::Inet6, 0, Form::Flag),
    row(IPPROTO_IPV6, 67, Of::Inet6, 0, Form::Class),
    row(IPPROTO_IPV6, 74, Of::Inet6, 0, Form::Flag),
    // TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT.
    row(IPPROTO_TCP, 1, Of::Tcp, 0, Form::Flag),
    row(IPPROTO_TCP, 3, Of::Tcp, 0, Form::Flag),
    row(IPPROTO_TCP, 4, Of::Tcp, 7200, Form::Range(1, 32_767)),
    row(IPPROTO_TCP, 5, Of::Tcp, 75, Form::Range(1, 32_767)),
    row(IPPROTO_TCP, 6, Of::Tcp, 9, Form::Range(1, 127)),
    row(IPPROTO_TCP, 7, Of::Tcp, 6, Form::Range(1, 127)),
    // TCP_LINGER2, TCP_DEFER_ACCEPT, TCP_QUICKACK, TCP_USER_TIMEOUT.
    row(IPPROTO_TCP, 8, Of::Tcp, 60, Form::Linger),
    row(IPPROTO_TCP, 9, Of::Tcp, 0, Form::Defer),
    row(IPPROTO_TCP, 12, Of::Tcp, 1, Form::Flag),
    row(IPPROTO_TCP, 18, Of::Tcp, 0, Form::Range(0, i32::MAX)),
    // UDP_CORK.
    row(IPPROTO_UDP, 1, Of::Udp, 0, Form::Flag),
    // UDP_NO_CHECK6_TX, UDP_NO_CHECK6_RX, UDP_SEGMENT, UDP_GRO.
    row(IPPROTO_UDP, 101, Of::Udp, 0, Form::Flag),
    row(IPPROTO_UDP, 102, Of::Udp, 0, Form::Flag),
    row(IPPROTO_UDP, 103, Of::Udp, 0, Form::Range(0, 65_535)),
    row(IPPROTO_UDP, 104, Of::Udp, 0, Form::Flag),
];

/// Largest `SO_RCVLOWAT` of a TCP socket: half of the largest receive buffer (`tcp_rmem`).
const MOST_LOW_WATER: i32 = 16 << 20;
/// Most seconds of `TCP_LINGER2`.
const MOST_LINGER_S: i32 = 120;
/// Most retransmissions `TCP_DEFER_ACCEPT` counts.
const MOST_RETRANSMISSIONS: u32 = 255;
/// Longest pause before a retransmission, seconds.
const LONGEST_PAUSE_S: i32 = 120;

impl Of {
    const fn fits(self, socket: &Socket) -> bool {
        let stream = matches!(socket.kind, Kind::Stream);
        let inet = matches!(socket.family, AF_INET | AF_INET6);
        match self {
            Self::All => true,
            Self::Unix => socket.family == AF_UNIX,
            Self::Inet => inet,
            Self::Inet6 => socket.family == AF_INET6,
            Self::Tcp => inet && stream,
            Self::Udp => inet && !stream,
        }
    }
}

/// `SO_RCVLOWAT`.
pub const SO_RCVLOWAT: u32 = 18;

/// The option of this number, if `socket` has it here.
pub fn find(socket: &Socket, level: u32, option: u32) -> Option<&'static Number> {
    if level == IPPROTO_IPV6 && socket.family != AF_INET6 {
        return None;
    }
    let mut rows = NUMBERS.iter().filter(|row| row.level == level && row.option == option);
    rows.find(|row| row.of.fits(socket))
}

impl Number {
    /// What it is at first.
    pub const fn default(&self) -> i32 {
        self.default
    }

    /// What `value` becomes.
    ///
    /// # Errors
    /// `EINVAL`, `ENOPROTOOPT`.
    pub fn accept(&self, socket: &Socket, value: i32) -> Result<i32, Errno> {
        let is_stream = socket.kind == Kind::Stream;
        let within = |low: i32, high: i32| {
            if (low..=high).contains(&value) { Ok(value) } else { Err(Errno::from(EINVAL)) }
        };
        match self.form {
            Form::Flag => Ok(i32::from(value != 0)),
            Form::Bit => within(0, 1),
            Form::Any => Ok(value),
            Form::Range(low, high) => within(low, high),
            Form::OrDefault(..) if value == -1 => Ok(self.default),
            Form::OrDefault(low, high) => within(low, high),
            Form::Class => {
                let class = match self.level {
                    IPPROTO_IP => value & 0xff,
                    _ if value == -1 => 0,
                    _ => within(0, 255)?,
                };
                Ok(if is_stream { class & !3 } else { class })
            }
            Form::Linger => Ok(match value {
                0 => self.default,
                ..0 => -1,
                _ => value.min(MOST_LINGER_S),
            }),
            Form::Defer => Ok(round_up_to_retransmissions(value)),
            Form::LowWater => Ok(match value {
                0 => 1,
                ..0 if is_stream && socket.family != AF_UNIX => MOST_LOW_WATER,
                ..0 => i32::MAX,
                _ => value,
            }),
            Form::Refused(code) => Err(code.into()),
        }
    }
}

/// The shortest time that is over when a retransmission is due, not below `seconds`.
fn round_up_to_retransmissions(seconds: i32) -> i32 {
    let (mut period, mut pause) = (i32::from(seconds > 0), 1);
    let mut count = 1;
    while seconds > period && count < MOST_RETRANSMISSIONS {
        count += 1;
        pause = (pause * 2).min(LONGEST_PAUSE_S);
        period += pause;
    }
    period
}

/// What a socket answers for a level or an option it does not have.
pub const fn unknown(socket: &Socket, level: u32, setting: bool) -> Code {
    let own = match level {
        SOL_SOCKET => true,
        IPPROTO_IP => matches!(socket.family, AF_INET | AF_INET6),
        IPPROTO_IPV6 => socket.family == AF_INET6,
        IPPROTO_TCP => Of::Tcp.fits(socket),
        IPPROTO_UDP => Of::Udp.fits(socket),
        _ => false,
    };
    let is_unix = Of::Unix.fits(socket);
    if is_unix && !own || (socket.family == AF_INET && !own && !setting) {
        EOPNOTSUPP
    } else {
        ENOPROTOOPT
    }
}
