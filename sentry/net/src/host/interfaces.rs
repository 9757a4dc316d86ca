//! Interfaces, addresses and routes of the host, as it told of them (`rtnetlink(7)`).

use bevor_abi::inet::{ARPHRD_LOOPBACK, IFF_LOOPBACK, IFF_LOWER_UP, IFF_RUNNING, IFF_UP};
use bevor_abi::netlink::{
    IFA_BROADCAST, IFA_LOCAL, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_TXQLEN, Ifaddrmsg,
    Ifinfomsg, Nlattr, Nlmsghdr, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
};
use bevor_abi::socket::AF_INET;
use zerocopy::FromBytes;

/// An interface as the `ioctl`s of `netdevice(7)` show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Index.
    pub index: i32,
    /// Name, without NUL.
    pub name: Vec<u8>,
    /// `IFF_*`.
    pub flags: u32,
    /// Bytes of the longest packet.
    pub mtu: u32,
    /// Packets its queue takes.
    pub queue: u32,
    /// `ARPHRD_*`.
    pub hardware: u16,
    /// Hardware address.
    pub address: Vec<u8>,
    /// IPv4 addresses: address, bits of the prefix, broadcast address.
    pub v4: Vec<([u8; 4], u8, [u8; 4])>,
}

impl Interface {
    /// `lo`, as every network namespace has it.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            index: 1,
            name: b"lo".to_vec(),
            flags: IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP,
            mtu: 65_536,
            queue: 1000,
            hardware: ARPHRD_LOOPBACK,
            address: vec![0; 6],
            v4: vec![([127, 0, 0, 1], 8, [0; 4])],
        }
    }
}

/// What the host has.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    /// The interfaces, in the host's order.
    pub list: Vec<Interface>,
    /// Messages `RTM_NEWLINK`, `RTM_NEWADDR` and `RTM_NEWROUTE`, with their heads.
    messages: Vec<Vec<u8>>,
}

/// The value of attribute `kind` of a message whose fixed part after the head is `T`.
fn attribute<T>(message: &[u8], kind: u16) -> Option<&[u8]> {
    let mut rest = message.get(size_of::<Nlmsghdr>() + size_of::<T>().next_multiple_of(4)..)?;
    while let Ok((head, _)) = Nlattr::read_from_prefix(rest) {
        let value = rest.get(size_of::<Nlattr>()..usize::from(head.nla_len))?;
        if head.nla_type & 0x3fff == kind {
            return Some(value);
        }
        rest = rest.get(usize::from(head.nla_len).next_multiple_of(4)..)?;
    }
    None
}

fn number(value: Option<&[u8]>) -> u32 {
    value.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn fixed<T: FromBytes>(message: &[u8]) -> Option<T> {
    let body = message.get(size_of::<Nlmsghdr>()..)?;
    T::read_from_prefix(body).ok().map(|(value, _)| value)
}

fn link(message: &[u8]) -> Option<Interface> {
    let fixed: Ifinfomsg = fixed(message)?;
    let name = attribute::<Ifinfomsg>(message, IFLA_IFNAME)?;
    Some(Interface {
        index: fixed.ifi_index,
        name: name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
        flags: fixed.ifi_flags,
        mtu: number(attribute::<Ifinfomsg>(message, IFLA_MTU)),
        queue: number(attribute::<Ifinfomsg>(message, IFLA_TXQLEN)),
        hardware: fixed.ifi_type,
        address: attribute::<Ifinfomsg>(message, IFLA_ADDRESS).unwrap_or_default().to_vec(),
        v4: Vec::new(),
    })
}

impl Interfaces {
    /// Those of a network namespace of the sandbox's own: loopback.
    #[must_use]
    pub fn of_namespace() -> Self {
        Self { list: vec![Interface::loopback()], messages: Vec::new() }
    }

    /// Takes in what the host answered to requests for dumps: datagrams of messages.
    #[must_use]
    pub fn of(answers: &[Vec<u8>]) -> Self {
        let mut found = Self::default();
        for answer in answers {
            let mut rest = answer.as_slice();
            while let Ok((head, _)) = Nlmsghdr::read_from_prefix(rest) {
                let len = usize::try_from(head.nlmsg_len).unwrap_or(usize::MAX);
                let Some(message) = rest.get(..len).filter(|_| len >= size_of::<Nlmsghdr>()) else {
                    break;
                };
                found.add(head.nlmsg_type, message);
                rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
            }
        }
        found
    }

    fn add(&mut self, kind: u16, message: &[u8]) {
        match kind {
            RTM_NEWLINK => self.list.extend(link(message)),
            RTM_NEWADDR => {
                let Some(fixed) = fixed::<Ifaddrmsg>(message) else { return };
                let of = |kind| attribute::<Ifaddrmsg>(message, kind)?.try_into().ok();
                let index = i32::try_from(fixed.ifa_index).unwrap_or(0);
                let interface = self.list.iter_mut().find(|known| known.index == index);
                if let (Some(interface), Some(local)) = (interface, of(IFA_LOCAL))
                    && u16::from(fixed.ifa_family) == AF_INET
                {
                    let broadcast = of(IFA_BROADCAST).unwrap_or_default();
                    interface.v4.push((local, fixed.ifa_prefixlen, broadcast));
                }
            }
            RTM_NEWROUTE => {}
            _ => return,
        }
        self.messages.push(message.to_vec());
    }

    /// The messages of one type.
    pub(crate) fn messages(&self, kind: u16) -> impl Iterator<Item = &[u8]> {
        let of_kind =
            move |message: &&Vec<u8>| message.get(4..6) == Some(kind.to_ne_bytes().as_slice());
        self.messages.iter().filter(of_kind).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    fn message(kind: u16, fixed: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = fixed.to_vec();
        for (kind, value) in attributes {
            let len = u16::try_from(value.len() + 4).unwrap();
            body.extend_from_slice(Nlattr { nla_len: len, nla_type: *kind }.as_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let len = u32::try_from(body.len() + 16).unwrap();
        let head = Nlmsghdr { nlmsg_len: len, nlmsg_type: kind, ..Nlmsghdr::default() };
        [head.as_bytes(), &body].concat()
    }

    fn sample() -> Vec<u8> {
        let link = Ifinfomsg { ifi_index: 7, ifi_flags: 0x1043, ifi_type: 1, ..Default::default() };
        let address = Ifaddrmsg {
            ifa_family: 2,
            ifa_prefixlen: 24,
            ifa_flags: 0,
            ifa_scope: 0,
            ifa_index: 7,
        };
        let mtu = 1400_u32.to_ne_bytes();
        [
            message(RTM_NEWLINK, link.as_bytes(), &[(IFLA_IFNAME, b"veth0\0"), (IFLA_MTU, &mtu)]),
            message(RTM_NEWADDR, address.as_bytes(), &[(IFA_LOCAL, &[10, 0, 0, 1])]),
        ]
        .concat()
    }

    #[test]
    fn an_interface_has_its_address() {
        let found = Interfaces::of(&[sample()]);
        assert_eq!(found.list.len(), 1);
        let veth = &found.list[0];
        assert_eq!((veth.index, veth.name.as_slice(), veth.mtu), (7, b"veth0".as_slice(), 1400));
        assert_eq!(veth.v4, [([10, 0, 0, 1], 24, [0; 4])]);
        assert_eq!(found.messages(RTM_NEWADDR).count(), 1);
    }

    proptest! {
        #[test]
        fn damaged_answers_are_survived(at in 0_usize..100, value: u8, cut in 0_usize..100) {
            let mut bytes = sample();
            let (at, cut) = (at % bytes.len(), cut % bytes.len());
            bytes[at] = value;
            let _ = Interfaces::of(&[bytes[..cut].to_vec(), bytes.clone()]);
        }
    }
}
