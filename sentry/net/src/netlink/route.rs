//! Links, addresses and routes (`rtnetlink(7)`): the sandbox has `lo`, which is up and stays so.

use super::message::{Answer, Request};
use bevor_abi::Errno;
use bevor_abi::errno::{ENETUNREACH, ENODEV, EOPNOTSUPP, EPERM};
use bevor_abi::netlink::{
    IFA_ADDRESS, IFA_CACHEINFO, IFA_F_PERMANENT, IFA_FLAGS, IFA_LABEL, IFA_LOCAL, IFLA_ADDRESS,
    IFLA_BROADCAST, IFLA_CARRIER, IFLA_GROUP, IFLA_IFNAME, IFLA_LINKMODE, IFLA_MAX_MTU,
    IFLA_MIN_MTU, IFLA_MTU, IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES, IFLA_OPERSTATE,
    IFLA_PROMISCUITY, IFLA_QDISC, IFLA_STATS, IFLA_STATS64, IFLA_TXQLEN, IfaCacheinfo, Ifaddrmsg,
    Ifinfomsg, NLM_F_DUMP, NLM_F_DUMP_FILTERED, NLM_F_MULTI, RT_SCOPE_HOST, RT_SCOPE_LINK,
    RT_TABLE_LOCAL, RTA_DST, RTA_OIF, RTA_PREFSRC, RTA_TABLE, RTM_GETADDR, RTM_GETLINK,
    RTM_GETNEIGH, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, RTM_SETLINK, RTN_BROADCAST,
    RTN_LOCAL, RTPROT_KERNEL, Rtmsg,
};
use bevor_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::IntoBytes;

/// Index of `lo`.
const LO: u32 = 1;
/// Its name, with the NUL.
const LO_NAME: &[u8] = b"lo\0";
/// `IFF_UP`.
const IFF_UP: u32 = 1;
/// `IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP`.
const LO_FLAGS: u32 = 0x1_0049;
/// `ARPHRD_LOOPBACK`.
const ARPHRD_LOOPBACK: u16 = 772;
/// Bytes of `struct rtnl_link_stats` and `struct rtnl_link_stats64`.
const STATS_BYTES: (usize, usize) = (96, 200);
/// Longest text a dump puts into one datagram, bytes.
const DUMP_BYTES: usize = 4000;

/// The addresses of `lo`, with the lengths of their prefixes.
const ADDRESSES: [(IpAddr, u8); 2] =
    [(IpAddr::V4(Ipv4Addr::LOCALHOST), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];

/// The datagrams that answer a request.
pub(super) fn serve(request: &Request<'_>, admin: bool) -> Result<Vec<Vec<u8>>, Errno> {
    let kind = request.head.nlmsg_type;
    // The third of each four asks; all others change something.
    if kind % 4 != 2 && !admin {
        return Err(EPERM.because("needs CAP_NET_ADMIN"));
    }
    let dumps = request.head.nlmsg_flags & NLM_F_DUMP == NLM_F_DUMP;
    match kind {
        RTM_GETLINK if dumps => Ok(dump(request, vec![link(request, NLM_F_MULTI)])),
        RTM_GETLINK => {
            named_link(request)?;
            Ok(vec![link(request, 0).finish()])
        }
        RTM_NEWLINK | RTM_SETLINK => {
            named_link(request)?;
            let wanted: Ifinfomsg = request.fixed();
            if wanted.ifi_change & IFF_UP != 0 && wanted.ifi_flags & IFF_UP == 0 {
                return Err(EOPNOTSUPP.because("lo stays up"));
            }
            Ok(Vec::new())
        }
        RTM_GETADDR if dumps => {
            let wanted: Ifaddrmsg = request.fixed();
            let fits =
                |ip: IpAddr| is_of(ip, wanted.ifa_family) && matches!(wanted.ifa_index, 0 | LO);
            let shown = ADDRESSES.iter().filter(|(ip, _)| fits(*ip));
            Ok(dump(request, shown.map(|&(ip, bits)| address(request, ip, bits)).collect()))
        }
        RTM_GETROUTE if dumps => {
            let family = request.fixed::<Rtmsg>().rtm_family;
            let shown = ROUTES.iter().filter(|route| is_of(route.to, family));
            let shown = shown.map(|entry| route(request, entry, NLM_F_MULTI)).collect();
            Ok(dump(request, shown))
        }
        RTM_GETROUTE => {
            let to = destination(request).filter(|to| to.is_loopback()).ok_or(ENETUNREACH)?;
            let source = if to.is_ipv4() { ADDRESSES[0].0 } else { ADDRESSES[1].0 };
            let bits = if to.is_ipv4() { 32 } else { 128 };
            let entry = Route { to, bits, kind: RTN_LOCAL, scope: 0, source };
            Ok(vec![route(request, &entry, 0).finish()])
        }
        // Nobody is on the other side of `lo`.
        RTM_GETNEIGH if dumps => Ok(dump(request, Vec::new())),
        _ => Err(EOPNOTSUPP.into()),
    }
}

fn is_of(ip: IpAddr, family: u8) -> bool {
    let own = if ip.is_ipv4() { AF_INET } else { AF_INET6 };
    u16::from(family) == AF_UNSPEC || u16::from(family) == own
}

/// Puts answers into as few datagrams as they fit, and the end of the dump behind.
pub(super) fn dump(request: &Request<'_>, answers: Vec<Answer>) -> Vec<Vec<u8>> {
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for answer in answers {
        let bytes = answer.finish();
        match datagrams.last_mut() {
            Some(last) if last.len() + bytes.len() <= DUMP_BYTES => last.extend(bytes),
            _ => datagrams.push(bytes),
        }
    }
    datagrams.push(request.done());
    datagrams
}

/// Checks that a request names `lo`, by index or by name.
fn named_link(request: &Request<'_>) -> Result<(), Errno> {
    let wanted: Ifinfomsg = request.fixed();
    if wanted.ifi_index != 0 {
        return if wanted.ifi_index == 1 { Ok(()) } else { Err(ENODEV.into()) };
    }
    let name = request.attribute::<Ifinfomsg>(IFLA_IFNAME).unwrap_or_default();
    if name.split(|&byte| byte == 0).next() == Some(b"lo") { Ok(()) } else { Err(ENODEV.into()) }
}

fn link(request: &Request<'_>, flags: u16) -> Answer {
    let fixed = Ifinfomsg {
        ifi_type: ARPHRD_LOOPBACK,
        ifi_index: 1,
        ifi_flags: LO_FLAGS,
        ..Ifinfomsg::default()
    };
    request
        .answer(RTM_NEWLINK, flags, &fixed)
        .with(IFLA_IFNAME, LO_NAME)
        .with_u32(IFLA_TXQLEN, 1000)
        .with(IFLA_OPERSTATE, &[0])
        .with(IFLA_LINKMODE, &[0])
        .with_u32(IFLA_MTU, 65_536)
        .with_u32(IFLA_MIN_MTU, 0)
        .with_u32(IFLA_MAX_MTU, 0)
        .with_u32(IFLA_GROUP, 0)
        .with_u32(IFLA_PROMISCUITY, 0)
        .with_u32(IFLA_NUM_TX_QUEUES, 1)
        .with_u32(IFLA_NUM_RX_QUEUES, 1)
        .with(IFLA_CARRIER, &[1])
        .with(IFLA_QDISC, b"noqueue\0")
        .with(IFLA_ADDRESS, &[0; 6])
        .with(IFLA_BROADCAST, &[0; 6])
        .with(IFLA_STATS64, &[0; STATS_BYTES.1])
        .with(IFLA_STATS, &[0; STATS_BYTES.0])
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn family_of(ip: IpAddr) -> u8 {
    let family = if ip.is_ipv4() { AF_INET } else { AF_INET6 };
    u8::try_from(family).unwrap_or(0)
}

fn address(request: &Request<'_>, ip: IpAddr, bits: u8) -> Answer {
    let fixed = Ifaddrmsg {
        ifa_family: family_of(ip),
        ifa_prefixlen: bits,
        ifa_flags: u8::try_from(IFA_F_PERMANENT).unwrap_or(0),
        ifa_scope: RT_SCOPE_HOST,
        ifa_index: LO,
    };
    let forever =
        IfaCacheinfo { ifa_prefered: u32::MAX, ifa_valid: u32::MAX, ..IfaCacheinfo::default() };
    let filtered =
        if request.fixed::<Ifaddrmsg>().ifa_index != 0 { NLM_F_DUMP_FILTERED } else { 0 };
    let mut answer =
        request.answer(RTM_NEWADDR, NLM_F_MULTI | filtered, &fixed).with(IFA_ADDRESS, &octets(ip));
    if ip.is_ipv4() {
        answer = answer.with(IFA_LOCAL, &octets(ip)).with(IFA_LABEL, LO_NAME);
    }
    answer.with_u32(IFA_FLAGS, IFA_F_PERMANENT).with(IFA_CACHEINFO, forever.as_bytes())
}

/// A route of the local table.
struct Route {
    to: IpAddr,
    bits: u8,
    kind: u8,
    scope: u8,
    source: IpAddr,
}

const fn v4(a: u8, d: u8, bits: u8, kind: u8, scope: u8) -> Route {
    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (b, c) = if a == 127 && d == 255 { (255, 255) } else { (0, 0) };
    Route { to: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits, kind, scope, source }
}

/// What `lo` brings with it.
const ROUTES: [Route; 4] = [
    v4(127, 0, 8, RTN_LOCAL, RT_SCOPE_HOST),
    v4(127, 1, 32, RTN_LOCAL, RT_SCOPE_HOST),
    v4(127, 255, 32, RTN_BROADCAST, RT_SCOPE_LINK),
    Route {
        to: IpAddr::V6(Ipv6Addr::LOCALHOST),
        bits: 128,
        kind: RTN_LOCAL,
        scope: 0,
        source: IpAddr::V6(Ipv6Addr::LOCALHOST),
    },
];

fn route(request: &Request<'_>, route: &Route, flags: u16) -> Answer {
    let fixed = Rtmsg {
        rtm_family: family_of(route.to),
        rtm_dst_len: route.bits,
        rtm_table: u8::try_from(RT_TABLE_LOCAL).unwrap_or(0),
        rtm_protocol: RTPROT_KERNEL,
        rtm_scope: route.scope,
        rtm_type: route.kind,
        ..Rtmsg::default()
    };
    let answer = request
        .answer(RTM_NEWROUTE, flags, &fixed)
        .with_u32(RTA_TABLE, RT_TABLE_LOCAL)
        .with(RTA_DST, &octets(route.to))
        .with_u32(RTA_OIF, LO);
    // A v6 route names no source of its own.
    if route.to.is_ipv4() { answer.with(RTA_PREFSRC, &octets(route.source)) } else { answer }
}

/// Where a look-up of a route is to lead.
fn destination(request: &Request<'_>) -> Option<IpAddr> {
    let bytes = request.attribute::<Rtmsg>(RTA_DST)?;
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}
