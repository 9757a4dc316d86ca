//! What hostile programs hand to sockets: addresses, netlink requests, options. Anything is answered; nothing
//! panics, and what is answered has the form it claims.

use crate::netlink::Link;
use crate::{Addr, Ancillary, Kind, Socket, options};
use bevor_abi::netlink::{NETLINK_ROUTE, Nlmsghdr};
use bevor_abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, Ucred};
use bevor_memory::IoSrc;
use proptest::prelude::*;
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

const NOBODY: Ucred = Ucred { pid: 1, uid: 0, gid: 0 };

/// Any number, those at the edges often.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => 0..96_u32,
        2 => (0..32_u32).prop_map(|bit| 1 << bit),
        1 => Just(u32::MAX),
        1 => Just(i32::MAX.cast_unsigned()),
        1 => any::<u32>(),
    ]
}

fn family() -> impl Strategy<Value = u16> {
    prop_oneof![Just(AF_UNIX), Just(AF_INET), Just(AF_INET6), Just(AF_NETLINK), any::<u16>()]
}

/// An attribute: its type, the length it claims, and what follows.
fn attribute() -> impl Strategy<Value = Vec<u8>> {
    let value = prop::collection::vec(any::<u8>(), 0..40);
    (0..64_u16, prop::option::weighted(0.2, any::<u16>()), value).prop_map(
        |(kind, claim, value)| {
            let len = claim.or_else(|| u16::try_from(value.len() + 4).ok()).unwrap_or(0);
            let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        },
    )
}

/// A request: mostly a known type with a sound length.
fn request() -> impl Strategy<Value = Vec<u8>> {
    (
        prop_oneof![4 => 16..96_u16, 1 => any::<u16>()],
        prop_oneof![Just(1_u16), Just(5), Just(0x301), Just(0x305), any::<u16>()],
        prop::option::weighted(0.2, number()),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(attribute(), 0..5),
    )
        .prop_map(|(nlmsg_type, nlmsg_flags, claim, fixed, attributes)| {
            let mut body = fixed;
            body.resize(body.len().next_multiple_of(4), 0);
            body.extend(attributes.concat());
            let len = u32::try_from(body.len() + size_of::<Nlmsghdr>()).unwrap_or(0);
            let nlmsg_len = claim.unwrap_or(len);
            let head = Nlmsghdr { nlmsg_len, nlmsg_type, nlmsg_flags, nlmsg_seq: 7, nlmsg_pid: 3 };
            let mut bytes = head.as_bytes().to_vec();
            bytes.extend(body);
            bytes
        })
}

/// The messages in a socket's inbox.
fn answers(socket: &Socket) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let mut message = Vec::new();
        let taken = socket.receive(1 << 20, false, &mut |bytes| {
            message.extend_from_slice(bytes);
            Ok(bytes.len())
        });
        match taken {
            Ok(_) if !message.is_empty() => all.push(message),
            _ => return all,
        }
    }
}

/// One socket of every kind there is.
fn sockets() -> Vec<Arc<Socket>> {
    let mut all = vec![Socket::udp_lite(AF_INET, 91, NOBODY)];
    for family in [AF_UNIX, AF_INET, AF_INET6] {
        for kind in [Kind::Stream, Kind::Datagram] {
            all.push(Socket::new(family, kind, 91, NOBODY));
        }
    }
    let link = Link::new(3, NETLINK_ROUTE.cast_signed(), true).expect("a protocol there is");
    all.push(Socket::netlink(link, 91, NOBODY));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn an_address_is_refused_or_kept(
        family in family(),
        given in prop::option::weighted(0.8, family()),
        bytes in prop::collection::vec(any::<u8>(), 0..140),
    ) {
        let mut bytes = bytes;
        if let Some(place) = bytes.get_mut(..2) {
            place.copy_from_slice(&given.unwrap_or(family).to_ne_bytes());
        }
        let Ok(addr) = Addr::decode(family, &bytes) else { return Ok(()) };
        let shown = addr.encode(family);
        prop_assert!(shown.len() <= 128, "{} bytes", shown.len());
        // A name without room for its NUL is shown longer than it may be given.
        let whole = !matches!(&addr, Addr::Path(path) if path.len() >= 108);
        if addr != Addr::Unnamed && whole {
            prop_assert_eq!(Addr::decode(family, &shown).ok(), Some(addr));
        }
    }

    #[test]
    fn netlink_answers_any_request(
        requests in prop::collection::vec(request(), 1..4),
        admin: bool,
        cut in 0..40_usize,
    ) {
        let link = Link::new(3, NETLINK_ROUTE.cast_signed(), admin).expect("a protocol there is");
        let socket = Socket::netlink(link, 92, NOBODY);
        let mut bytes = requests.concat();
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        let sent = socket.send(&mut IoSrc::kernel(&bytes), None, Ancillary::default());
        prop_assert_eq!(sent.ok(), Some(bytes.len()));
        for answer in answers(&socket) {
            let (head, _) = Nlmsghdr::read_from_prefix(&answer).expect("a head");
            // Of some request: what lies behind a short one may be read as one, too.
            let asked = bytes.windows(4).any(|word| word == head.nlmsg_seq.to_ne_bytes());
            prop_assert!(asked, "number {}", head.nlmsg_seq);
            prop_assert_eq!(usize::try_from(head.nlmsg_len).ok(), Some(answer.len()));
        }
    }

    #[test]
    fn options_take_any_value(
        which in 0..8_usize,
        level in prop_oneof![Just(0_u32), Just(1), Just(6), Just(17), Just(41), Just(136), Just(270), number()],
        option in number(),
        value in prop::collection::vec(prop_oneof![Just(0_u8), Just(0xff), any::<u8>()], 0..24),
    ) {
        let all = sockets();
        let socket = &all[which % all.len()];
        let _refused = options::set(socket, level, option, &value);
        if let Ok(shown) = options::get(socket, level, option) {
            prop_assert!(shown.len() <= 4096, "{} bytes", shown.len());
        }
    }
}
