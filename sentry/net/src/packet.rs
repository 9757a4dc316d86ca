//! What the headers of a datagram say, and the control messages that show it (`ip(7)`, `ipv6(7)`,
//! `SO_TIMESTAMP` of `socket(7)`).

use crate::addr::Addr;
use crate::options::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, SOL_SOCKET};
use crate::socket::{Kind, Socket};
use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use bevor_abi::inet::{UDP_GRO, UDP_SEGMENT};
use bevor_abi::socket::{AF_INET, AF_INET6};
use bevor_base::clock;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

const IP_TOS: u32 = 1;
const IP_TTL: u32 = 2;
const IP_PKTINFO: u32 = 8;
const IP_RECVTTL: u32 = 12;
const IP_RECVTOS: u32 = 13;
const IP_ORIGDSTADDR: u32 = 20;
const IPV6_2292PKTINFO: u32 = 2;
const IPV6_2292HOPLIMIT: u32 = 8;
const IPV6_UNICAST_HOPS: u32 = 16;
const IPV6_RECVPKTINFO: u32 = 49;
const IPV6_PKTINFO: u32 = 50;
const IPV6_RECVHOPLIMIT: u32 = 51;
const IPV6_HOPLIMIT: u32 = 52;
const IPV6_RECVTCLASS: u32 = 66;
const IPV6_TCLASS: u32 = 67;
const IPV6_ORIGDSTADDR: u32 = 74;
const SO_TIMESTAMP: u32 = 29;
const SO_TIMESTAMPNS: u32 = 35;
const SO_TIMESTAMPING: u32 = 37;
const SO_TIMESTAMP_NEW: u32 = 63;
const SO_TIMESTAMPNS_NEW: u32 = 64;
/// `SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE`.
const TIMESTAMPING_SOFTWARE: i32 = 0x18;
/// Hop limit of what is sent unless told otherwise.
const DEFAULT_HOPS: u8 = 64;
/// Index of `lo`.
const LO: i32 = 1;

/// Headers of a datagram. What a sender leaves open, its socket's options say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packet {
    /// Source address, if not the socket's own.
    pub from: Option<IpAddr>,
    /// Where it goes.
    pub to: Option<SocketAddr>,
    /// Time to live, or hop limit.
    pub hops: Option<u8>,
    /// Type of service, or traffic class.
    pub class: Option<u8>,
    /// When it arrived, if anybody wants to know.
    pub time_ns: Option<u64>,
    /// Bytes of each of the datagrams it is to be made into (`UDP_SEGMENT`).
    pub segment: Option<u16>,
    /// Bytes of each of the datagrams that were put together (`UDP_GRO`).
    pub joined: Option<u16>,
}

fn realtime_ns() -> u64 {
    u64::try_from(clock::realtime_ns()).unwrap_or(0)
}

/// Whether some socket wants to know when its messages arrive.
static TIMES_WANTED: AtomicBool = AtomicBool::new(false);

/// From now on messages are given their time of arrival.
pub fn want_times() {
    TIMES_WANTED.store(true, Ordering::Relaxed);
}

/// The time of arrival of a message, if anybody wants to know.
#[must_use]
pub fn arrival() -> Option<u64> {
    TIMES_WANTED.load(Ordering::Relaxed).then(realtime_ns)
}

/// Whether a number is one of the options that ask for times of arrival.
#[must_use]
pub const fn is_timestamp(option: u32) -> bool {
    matches!(option, SO_TIMESTAMP | SO_TIMESTAMPNS | SO_TIMESTAMP_NEW | SO_TIMESTAMPNS_NEW)
}

/// One control message.
pub struct Control {
    /// `cmsg_level`.
    pub level: u32,
    /// `cmsg_type`.
    pub kind: u32,
    /// What follows.
    pub data: Vec<u8>,
}

fn int(value: i32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

impl Packet {
    /// Fills in what the sender left open.
    pub(crate) fn complete(&mut self, socket: &Socket, to: SocketAddr) {
        let (level, hops, class) = if to.ip().to_canonical().is_ipv4() {
            (IPPROTO_IP, IP_TTL, IP_TOS)
        } else {
            (IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_TCLASS)
        };
        let options = socket.options.lock();
        let byte =
            |option| options.stored(level, option).and_then(|value| u8::try_from(value).ok());
        self.to = Some(to);
        self.hops = self.hops.or_else(|| byte(hops)).or(Some(DEFAULT_HOPS));
        self.class = self.class.or_else(|| byte(class)).or(Some(0));
        self.time_ns = arrival();
    }

    /// Takes one control message of a sender (`sendmsg(2)` on a UDP socket).
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn take(
        &mut self,
        socket: &Socket,
        level: u32,
        kind: u32,
        data: &[u8],
    ) -> Result<(), Errno> {
        let whole = data.try_into().map(i32::from_ne_bytes);
        // Minus one asks for the default.
        let byte_or_default = || match whole {
            Ok(-1) => Ok(None),
            Ok(value) => u8::try_from(value).map(Some).map_err(|_| Errno::from(EINVAL)),
            Err(_) => Err(EINVAL.into()),
        };
        let bytes =
            |range: std::ops::Range<usize>| data.get(range).ok_or_else(|| Errno::from(EINVAL));
        match (socket.family, level, kind) {
            (AF_INET, IPPROTO_IP, IP_TTL) => {
                let ttl = byte_or_default()?.filter(|&ttl| ttl != 0);
                self.hops = Some(ttl.ok_or(EINVAL)?);
            }
            (AF_INET, IPPROTO_IP, IP_TOS) => {
                self.class = match data {
                    [tos] => Some(*tos),
                    _ => Some(byte_or_default()?.ok_or(EINVAL)?),
                };
            }
            (AF_INET, IPPROTO_IP, IP_PKTINFO) if data.len() == 12 => {
                let source: [u8; 4] = bytes(4..8)?.try_into().map_err(|_| EINVAL)?;
                self.set_source(Ipv4Addr::from(source).into())?;
            }
            (AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO | IPV6_2292PKTINFO) => {
                let source: [u8; 16] = bytes(0..16)?.try_into().map_err(|_| EINVAL)?;
                bytes(16..20)?;
                self.set_source(Ipv6Addr::from(source).into())?;
            }
            (AF_INET6, IPPROTO_IPV6, IPV6_HOPLIMIT | IPV6_2292HOPLIMIT) => {
                self.hops = byte_or_default()?;
            }
            (AF_INET6, IPPROTO_IPV6, IPV6_TCLASS) => self.class = byte_or_default()?,
            (_, IPPROTO_UDP, UDP_SEGMENT) => {
                let size = data.try_into().map_err(|_| EINVAL)?;
                self.segment = Some(u16::from_ne_bytes(size));
            }
            (AF_INET, IPPROTO_IP, _) | (AF_INET6, IPPROTO_IPV6, _) | (_, IPPROTO_UDP, _) => {
                return Err(EINVAL.into());
            }
            _ => {}
        }
        Ok(())
    }

    fn set_source(&mut self, ip: IpAddr) -> Result<(), Errno> {
        if ip.is_unspecified() {
            return Ok(());
        }
        if !crate::addr::is_local(ip) {
            return Err(EINVAL.because("not an address of this host"));
        }
        self.from = Some(ip);
        Ok(())
    }

    /// The control messages `socket` has asked for with a message it received.
    #[must_use]
    pub fn messages(&self, socket: &Socket) -> Vec<Control> {
        let mut found = Vec::new();
        let options = socket.options.lock();
        if socket.kind == Kind::Datagram || self.time_ns.is_some() {
            self.times(options.timestamp, options.stored(SOL_SOCKET, SO_TIMESTAMPING), &mut found);
        }
        if let Some(size) = self.joined {
            found.push(Control { level: IPPROTO_UDP, kind: UDP_GRO, data: int(i32::from(size)) });
        }
        let Some(to) = self.to else { return found };
        let mut put = |level, option, kind, data: &dyn Fn() -> Vec<u8>| {
            if options.stored(level, option).is_some_and(|value| value != 0) {
                found.push(Control { level, kind, data: data() });
            }
        };
        let is_v4 = to.ip().to_canonical().is_ipv4();
        let hops = || int(i32::from(self.hops.unwrap_or(DEFAULT_HOPS)));
        let class = self.class.unwrap_or(0);
        if socket.family == AF_INET6 {
            let info = || {
                let mut info = as_v6(to.ip()).octets().to_vec();
                info.extend(LO.to_ne_bytes());
                info
            };
            let wide = || int(i32::from(class));
            put(IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_PKTINFO, &info);
            if !is_v4 {
                put(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT, &hops);
                put(IPPROTO_IPV6, IPV6_RECVTCLASS, IPV6_TCLASS, &wide);
                put(IPPROTO_IPV6, IPV6_2292PKTINFO, IPV6_2292PKTINFO, &info);
                put(IPPROTO_IPV6, IPV6_2292HOPLIMIT, IPV6_2292HOPLIMIT, &hops);
                put(IPPROTO_IPV6, IPV6_ORIGDSTADDR, IPV6_ORIGDSTADDR, &|| {
                    Addr::Inet(to).encode(AF_INET6)
                });
            }
        }
        if let IpAddr::V4(ip) = to.ip().to_canonical() {
            put(IPPROTO_IP, IP_PKTINFO, IP_PKTINFO, &|| {
                [LO.to_ne_bytes(), ip.octets(), ip.octets()].concat()
            });
            put(IPPROTO_IP, IP_RECVTTL, IP_TTL, &hops);
            put(IPPROTO_IP, IP_RECVTOS, IP_TOS, &|| vec![class]);
            put(IPPROTO_IP, IP_ORIGDSTADDR, IP_ORIGDSTADDR, &|| {
                Addr::Inet((ip, to.port()).into()).encode(AF_INET)
            });
        }
        found
    }

    fn times(&self, timestamp: Option<u32>, timestamping: Option<i32>, found: &mut Vec<Control>) {
        const SECOND_NS: u64 = 1_000_000_000;
        let detailed = timestamping.unwrap_or(0) & TIMESTAMPING_SOFTWARE == TIMESTAMPING_SOFTWARE;
        if timestamp.is_none() && !detailed {
            return;
        }
        let ns = self.time_ns.unwrap_or_else(realtime_ns);
        let pair = |fraction: u64| {
            [ns / SECOND_NS, fraction]
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect::<Vec<_>>()
        };
        if let Some(kind) = timestamp {
            let micros = matches!(kind, SO_TIMESTAMP | SO_TIMESTAMP_NEW);
            let data = pair(if micros { ns % SECOND_NS / 1000 } else { ns % SECOND_NS });
            found.push(Control { level: SOL_SOCKET, kind, data });
        }
        if detailed {
            let mut data = pair(ns % SECOND_NS);
            // No hardware has stamped it.
            data.resize(48, 0);
            found.push(Control { level: SOL_SOCKET, kind: SO_TIMESTAMPING, data });
        }
    }
}
