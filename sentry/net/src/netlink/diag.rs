//! Sockets as `sock_diag(7)` shows them: internet, unix and netlink ones of a network namespace.

use super::bytecode::{self, Ends};
use super::message::{Answer, Request};
use super::route::dump;
use crate::addr::Addr;
use crate::namespace::NetNamespace;
use crate::options;
use crate::socket::show::Progress;
use crate::socket::{Kind, Socket};
use bevor_abi::Errno;
use bevor_abi::conv::{low_u32, saturating_u32};
use bevor_abi::errno::{EINVAL, ENOENT, EOPNOTSUPP, EPERM, ESTALE};
use bevor_abi::inet::{IP_TOS, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, TCP_INFO};
use bevor_abi::netlink::{
    InetDiagMsg, InetDiagReqV2, InetDiagSockid, NLM_F_DUMP, NLM_F_MULTI, SOCK_DESTROY,
    SOCK_DIAG_BY_FAMILY, UnixDiagMsg, UnixDiagReq,
};
use bevor_abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use zerocopy::FromBytes;

/// Attributes of a request for internet sockets.
const INET_DIAG_REQ_BYTECODE: u16 = 1;
/// Attributes of an answer about one, also asked for by bit number less one.
const INET_DIAG_MEMINFO: u16 = 1;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_CONG: u16 = 4;
const INET_DIAG_TOS: u16 = 5;
const INET_DIAG_TCLASS: u16 = 6;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_SHUTDOWN: u16 = 8;
const INET_DIAG_SKV6ONLY: u16 = 11;
/// Attributes of an answer about a unix socket; the first six are asked for by bit number.
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_ICONS: u16 = 3;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_MEMINFO: u16 = 5;
const UNIX_DIAG_SHUTDOWN: u16 = 6;
const UNIX_DIAG_UID: u16 = 7;
const UDIAG_SHOW_UID: u32 = 1 << 6;
/// Protocol number that asks for netlink sockets of all.
const NDIAG_PROTO_ALL: u8 = 255;
/// `TCP_CLOSE`, `TCP_ESTABLISHED`, `TCP_LISTEN`.
const CLOSE: u8 = 7;
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;
/// Bytes of `SK_MEMINFO_VARS` numbers.
const SKMEMINFO_BYTES: usize = 9 * 4;

/// The datagrams that answer a request.
pub(super) fn serve(
    request: &Request<'_>,
    ns: &NetNamespace,
    admin: bool,
) -> Result<Vec<Vec<u8>>, Errno> {
    match request.head.nlmsg_type {
        SOCK_DIAG_BY_FAMILY => {}
        SOCK_DESTROY if !admin => return Err(EPERM.into()),
        SOCK_DESTROY => return Err(EOPNOTSUPP.because("connections are not ended from outside")),
        _ => return Err(EINVAL.into()),
    }
    let (family, protocol) = match request.body {
        [family, protocol, ..] => (u16::from(*family), *protocol),
        _ => return Err(EINVAL.into()),
    };
    let dumps = request.head.nlmsg_flags & NLM_F_DUMP == NLM_F_DUMP;
    match family {
        AF_INET | AF_INET6 => inet(request, ns, dumps),
        AF_UNIX => unix(request, ns, dumps),
        AF_NETLINK if dumps => Ok(dump(request, netlink(request, ns, protocol))),
        // There are none.
        AF_PACKET if dumps => Ok(dump(request, Vec::new())),
        AF_NETLINK | AF_PACKET => Err(EOPNOTSUPP.into()),
        46.. => Err(EINVAL.into()),
        _ => Err(ENOENT.into()),
    }
}

/// The whole request, which must be there.
fn whole<T: FromBytes>(request: &Request<'_>) -> Result<T, Errno> {
    match T::read_from_prefix(request.body) {
        Ok((value, _)) => Ok(value),
        Err(_) => Err(EINVAL.because("too short")),
    }
}

/// Whether a cookie is this socket's, or none.
fn check_cookie(socket: &Socket, cookie: [u32; 2]) -> Result<(), Errno> {
    if cookie == [u32::MAX; 2] || cookie == socket.cookie() { Ok(()) } else { Err(ESTALE.into()) }
}

fn address(addr: &Addr, family: u16) -> SocketAddr {
    match (addr, family) {
        (Addr::Inet(addr), _) => *addr,
        (_, AF_INET6) => SocketAddr::from(([0_u16; 8], 0)),
        _ => SocketAddr::from(([0_u8; 4], 0)),
    }
}

fn octets(ip: IpAddr, family: u16) -> [u8; 16] {
    let mut out = [0; 16];
    match (ip, family) {
        (IpAddr::V4(ip), AF_INET6) => out = ip.to_ipv6_mapped().octets(),
        (IpAddr::V4(ip), _) => {
            for (to, from) in out.iter_mut().zip(ip.octets()) {
                *to = from;
            }
        }
        (IpAddr::V6(ip), _) => out = ip.octets(),
    }
    out
}

/// An internet socket and what is shown of it.
struct Found {
    socket: Arc<Socket>,
    body: InetDiagMsg,
    shut: u8,
}

fn find(socket: Arc<Socket>) -> Option<Found> {
    let (shown, family) = (socket.show(), socket.family);
    let tcp = socket.kind == Kind::Stream;
    let (local, peer) = (address(&shown.local, family), address(&shown.peer, family));
    let state =
        if tcp || shown.progress == Progress::Connected { shown.progress.number() } else { CLOSE };
    if local.port() == 0 || (tcp && state == CLOSE) {
        return None;
    }
    let id = InetDiagSockid {
        idiag_sport: local.port().to_be_bytes(),
        idiag_dport: peer.port().to_be_bytes(),
        idiag_src: octets(local.ip(), family),
        idiag_dst: octets(peer.ip(), family),
        idiag_if: 0,
        idiag_cookie: socket.cookie(),
    };
    // The end of a stream counts as one byte.
    let end = usize::from(tcp && shown.progress == Progress::Finishing);
    let body = InetDiagMsg {
        idiag_family: u8::try_from(family).unwrap_or(0),
        idiag_state: state,
        idiag_timer: 0,
        idiag_retrans: 0,
        id,
        idiag_expires: 0,
        idiag_rqueue: saturating_u32((shown.unread + end) as u64),
        idiag_wqueue: saturating_u32(shown.room as u64),
        idiag_uid: socket.cred.uid,
        idiag_inode: low_u32(socket.inode()),
    };
    Some(Found { socket, body, shut: shown.shut })
}

fn inet(request: &Request<'_>, ns: &NetNamespace, dumps: bool) -> Result<Vec<Vec<u8>>, Errno> {
    let wanted: InetDiagReqV2 = whole(request)?;
    let protocol = u32::from(wanted.sdiag_protocol);
    let (kind, lite) = match protocol {
        IPPROTO_TCP => (Kind::Stream, false),
        IPPROTO_UDP => (Kind::Datagram, false),
        IPPROTO_UDPLITE => (Kind::Datagram, true),
        _ => return Err(ENOENT.into()),
    };
    let of_protocol = |socket: &Arc<Socket>| {
        matches!(socket.family, AF_INET | AF_INET6) && socket.kind == kind && socket.lite == lite
    };
    let found = ns.sockets().into_iter().filter(of_protocol).filter_map(find);
    let family = wanted.sdiag_family;
    if !dumps {
        let id = &wanted.id;
        let mut same = found.filter(|found| {
            let own = &found.body.id;
            let listens = found.body.idiag_state == LISTEN && id.idiag_dport == [0; 2];
            found.body.idiag_family == family
                && own.idiag_sport == id.idiag_sport
                && own.idiag_dport == id.idiag_dport
                && (listens || (own.idiag_src == id.idiag_src && own.idiag_dst == id.idiag_dst))
        });
        let found = same.next().ok_or(ENOENT)?;
        check_cookie(&found.socket, id.idiag_cookie).map_err(|_| ENOENT)?;
        return Ok(vec![inet_answer(request, &found, wanted.idiag_ext, 0).finish()]);
    }
    let filter = request.attribute::<InetDiagReqV2>(INET_DIAG_REQ_BYTECODE);
    if let Some(filter) = filter {
        bytecode::check(filter)?;
    }
    let fits = |found: &Found| {
        let (body, id) = (&found.body, &wanted.id);
        let bit = 1_u32.checked_shl(u32::from(body.idiag_state)).unwrap_or(0);
        let port = |wanted: [u8; 2], own: [u8; 2]| wanted == [0; 2] || wanted == own;
        let passes = |filter| {
            let shown = found.socket.show();
            let ends = Ends {
                family: body.idiag_family,
                own: address(&shown.local, found.socket.family),
                other: address(&shown.peer, found.socket.family),
                bound: shown.bound,
            };
            bytecode::run(filter, &ends)
        };
        body.idiag_family == family
            && wanted.idiag_states & bit != 0
            && port(id.idiag_sport, body.id.idiag_sport)
            && port(id.idiag_dport, body.id.idiag_dport)
            && filter.is_none_or(passes)
    };
    let answers = found.filter(fits);
    let answers = answers.map(|found| inet_answer(request, &found, wanted.idiag_ext, NLM_F_MULTI));
    Ok(dump(request, answers.collect()))
}

fn inet_answer(request: &Request<'_>, found: &Found, ext: u8, flags: u16) -> Answer {
    let socket = &found.socket;
    let asked = |kind: u16| ext & 1_u8.checked_shl(u32::from(kind) - 1).unwrap_or(0) != 0;
    let mut answer = request
        .answer(SOCK_DIAG_BY_FAMILY, flags, &found.body)
        .with(INET_DIAG_SHUTDOWN, &[found.shut]);
    if asked(INET_DIAG_TOS) {
        let tos = options::get(socket, IPPROTO_IP, IP_TOS).unwrap_or_default();
        answer = answer.with(INET_DIAG_TOS, tos.get(..1).unwrap_or(&[0]));
    }
    if socket.family == AF_INET6 {
        if asked(INET_DIAG_TCLASS) {
            answer = answer.with(INET_DIAG_TCLASS, &[0]);
        }
        if matches!(found.body.idiag_state, LISTEN | CLOSE) {
            let only = u8::from(socket.options.lock().v6_only);
            answer = answer.with(INET_DIAG_SKV6ONLY, &[only]);
        }
    }
    if asked(INET_DIAG_MEMINFO) {
        answer = answer.with(INET_DIAG_MEMINFO, &[0; 16]);
    }
    if asked(INET_DIAG_SKMEMINFO) {
        answer = answer.with(INET_DIAG_SKMEMINFO, &memory(socket));
    }
    if socket.kind == Kind::Stream {
        if asked(INET_DIAG_INFO) {
            let info = options::get(socket, IPPROTO_TCP, TCP_INFO).unwrap_or_default();
            answer = answer.with(INET_DIAG_INFO, &info);
        }
        if asked(INET_DIAG_CONG) {
            answer = answer.with(INET_DIAG_CONG, b"cubic\0");
        }
    }
    answer
}

/// `SK_MEMINFO_*`: bytes to read, the sizes of both buffers; nothing else is counted.
fn memory(socket: &Socket) -> [u8; SKMEMINFO_BYTES] {
    let (unread, receive, send) = socket.memory();
    let mut out = [0; SKMEMINFO_BYTES];
    for (at, value) in [(0, unread), (1, receive), (3, send)] {
        if let Some(to) = out.get_mut(at * 4..at * 4 + 4) {
            to.copy_from_slice(&saturating_u32(value as u64).to_ne_bytes());
        }
    }
    out
}

fn unix(request: &Request<'_>, ns: &NetNamespace, dumps: bool) -> Result<Vec<Vec<u8>>, Errno> {
    let wanted: UnixDiagReq = whole(request)?;
    let mut found = ns.sockets().into_iter().filter(|socket| socket.family == AF_UNIX);
    if !dumps {
        if wanted.udiag_ino == 0 {
            return Err(EINVAL.into());
        }
        let same = found.find(|socket| low_u32(socket.inode()) == wanted.udiag_ino);
        let socket = same.ok_or(ENOENT)?;
        check_cookie(&socket, wanted.udiag_cookie)?;
        return Ok(vec![unix_answer(request, &socket, wanted.udiag_show, 0).1.finish()]);
    }
    let answers = found.map(|socket| unix_answer(request, &socket, wanted.udiag_show, NLM_F_MULTI));
    let fits = |state: u8| wanted.udiag_states & 1_u32.checked_shl(state.into()).unwrap_or(0) != 0;
    let answers = answers.filter(|(state, _)| fits(*state)).map(|(_, answer)| answer);
    Ok(dump(request, answers.collect()))
}

/// A unix socket's state, and the answer about it.
fn unix_answer(request: &Request<'_>, socket: &Socket, show: u32, flags: u16) -> (u8, Answer) {
    let shown = socket.show();
    let state = match shown.progress {
        Progress::Listening => LISTEN,
        _ if shown.connected => ESTABLISHED,
        _ => CLOSE,
    };
    let body = UnixDiagMsg {
        udiag_family: u8::try_from(AF_UNIX).unwrap_or(0),
        udiag_type: u8::try_from(socket.kind.number()).unwrap_or(0),
        udiag_state: state,
        pad: 0,
        udiag_ino: low_u32(socket.inode()),
        udiag_cookie: socket.cookie(),
    };
    let asked = |kind: u16| show & (1 << kind) != 0;
    let numbers = |list: &[u64]| -> Vec<u8> {
        list.iter().flat_map(|&number| low_u32(number).to_ne_bytes()).collect()
    };
    let mut answer = request.answer(SOCK_DIAG_BY_FAMILY, flags, &body);
    let name = shown.local.encode(AF_UNIX);
    let name = name.get(2..).unwrap_or_default();
    if asked(UNIX_DIAG_NAME) && !name.is_empty() {
        answer = answer.with(UNIX_DIAG_NAME, name);
    }
    if asked(UNIX_DIAG_VFS)
        && let Some((dev, ino)) = socket.bound_inode()
    {
        // The kernel's own form of a device number.
        let (major, minor) = (dev >> 8 & 0xfff, (dev & 0xff) | (dev >> 12 & 0xf_ff00));
        answer = answer.with(UNIX_DIAG_VFS, &numbers(&[ino, major << 20 | minor]));
    }
    if asked(UNIX_DIAG_PEER)
        && let Some(peer) = socket.peer_inode()
    {
        answer = answer.with(UNIX_DIAG_PEER, &numbers(&[peer]));
    }
    if asked(UNIX_DIAG_ICONS) && state == LISTEN {
        answer = answer.with(UNIX_DIAG_ICONS, &numbers(&socket.callers()));
    }
    if asked(UNIX_DIAG_RQLEN) {
        let queues = [shown.unread as u64, shown.room as u64];
        answer = answer.with(UNIX_DIAG_RQLEN, &numbers(&queues));
    }
    if asked(UNIX_DIAG_MEMINFO) {
        answer = answer.with(UNIX_DIAG_MEMINFO, &memory(socket));
    }
    answer = answer.with(UNIX_DIAG_SHUTDOWN, &[shown.shut]);
    if show & UDIAG_SHOW_UID != 0 {
        answer = answer.with_u32(UNIX_DIAG_UID, socket.cred.uid);
    }
    (state, answer)
}

/// Netlink sockets (`struct netlink_diag_msg`).
fn netlink(request: &Request<'_>, ns: &NetNamespace, protocol: u8) -> Vec<Answer> {
    let mut answers = Vec::new();
    for socket in ns.sockets() {
        let Some(link) = socket.link() else { continue };
        let Addr::Netlink { port, groups } = link.local() else { continue };
        let own = u8::try_from(link.protocol()).unwrap_or(NDIAG_PROTO_ALL);
        if protocol != NDIAG_PROTO_ALL && protocol != own {
            continue;
        }
        let family = u8::try_from(AF_NETLINK).unwrap_or(0);
        let [low, high] = socket.cookie();
        let head = u32::from_ne_bytes([family, 3, own, CLOSE]);
        let body = [head, port, 0, 0, low_u32(socket.inode()), low, high];
        let mut answer = request.answer(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &body);
        if request.body.get(8).is_some_and(|show| show & 1 != 0) {
            answer = answer.with(0, &memory(&socket));
        }
        if request.body.get(8).is_some_and(|show| show & 2 != 0) {
            answer = answer.with_u32(1, groups);
        }
        answers.push(answer);
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_abi::netlink::Nlmsghdr;
    use bevor_abi::socket::Ucred;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_request_is_answered(
            family in 0_u8..50,
            mut body in proptest::collection::vec(any::<u8>(), 0..200),
            flags: u16,
        ) {
            let cred = Ucred { pid: 1, uid: 0, gid: 0 };
            let (one, _other) = Socket::pair(AF_UNIX, Kind::Stream, 77, cred);
            let udp = Socket::new(AF_INET6, Kind::Datagram, 77, cred);
            prop_assert!(udp.autobind().is_ok());
            if let Some(first) = body.first_mut() {
                *first = family;
            }
            let head = Nlmsghdr { nlmsg_type: SOCK_DIAG_BY_FAMILY, nlmsg_flags: flags, ..Nlmsghdr::default() };
            let request = Request { head, body: &body, port: 1 };
            let _ = serve(&request, one.namespace(), false);
        }
    }
}
