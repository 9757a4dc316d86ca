//! Sockets of the host: its network, for `--net host`, and what it looks like; unix sockets, for
//! `--host-uds`.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::netlink::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, Nlmsghdr, RTM_GETADDR, RTM_GETLINK,
    RTM_GETROUTE,
};
use bevor_net::host::{Interfaces, Network};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use zerocopy::{FromBytes, IntoBytes};

/// Longest datagram the kernel answers a dump with, bytes.
const ANSWER_BYTES: usize = 64 << 10;
/// Descriptors the sentry keeps for memory, files and stubs.
const RESERVED: u64 = 2048;
/// Bytes of one dump that are kept: a host may have a million routes.
const MAX_DUMP: usize = 1 << 20;

/// Asks the host for its interfaces, addresses and routes. Opens a netlink socket, which is closed
/// again: call it before the walls.
///
/// # Errors
/// The host's: no netlink sockets, no memory.
pub fn interfaces() -> io::Result<Interfaces> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let mut answers = Vec::new();
    for kind in [RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE] {
        // The body is one that all three take: a family, any.
        let body = [0_u8; 16];
        let len = u32::try_from(size_of::<Nlmsghdr>() + body.len()).unwrap_or(0);
        let head = Nlmsghdr {
            nlmsg_len: len,
            nlmsg_type: kind,
            nlmsg_flags: NLM_F_REQUEST | NLM_F_DUMP,
            ..Nlmsghdr::default()
        };
        send(netlink.as_raw_fd(), &[head.as_bytes(), &body].concat(), MsgFlags::empty())?;
        let mut kept = 0;
        loop {
            let mut answer = vec![0; ANSWER_BYTES];
            let len = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
            answer.truncate(len);
            let last = ends(&answer);
            kept += answer.len();
            if kept <= MAX_DUMP {
                answers.push(answer);
            }
            if last {
                break;
            }
        }
    }
    Ok(Interfaces::of(&answers))
}

/// Whether a datagram holds the end of a dump.
fn ends(answer: &[u8]) -> bool {
    let mut rest = answer;
    while let Ok((head, _)) = Nlmsghdr::read_from_prefix(rest) {
        if matches!(head.nlmsg_type, NLMSG_DONE | NLMSG_ERROR) {
            return true;
        }
        let len = usize::try_from(head.nlmsg_len).unwrap_or(usize::MAX);
        if len < size_of::<Nlmsghdr>() {
            break;
        }
        rest = len.checked_next_multiple_of(4).and_then(|len| rest.get(len..)).unwrap_or_default();
    }
    // A datagram that holds nothing ends it, too: there would be no other.
    answer.len() < size_of::<Nlmsghdr>()
}

/// Starts what guests' sockets need, before the filter: with `interfaces` for those of the internet,
/// and for unix sockets if those are wanted. Answers the network for internet sockets.
///
/// # Errors
/// What the host answers.
pub fn start(interfaces: Option<Interfaces>, unix: bool) -> Result<Option<Arc<Network>>, Errno> {
    let (internet, interfaces) = match interfaces {
        Some(interfaces) => (true, interfaces),
        None if unix => (false, Interfaces::of_namespace()),
        None => return Ok(None),
    };
    let network = start_with(interfaces)?;
    if unix {
        bevor_net::host::unix::allow(network.clone());
    }
    Ok(internet.then_some(network))
}

fn start_with(interfaces: Interfaces) -> Result<Arc<Network>, Errno> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let sockets = limit.saturating_sub(RESERVED).max(limit / 2);
    Network::start(interfaces, usize::try_from(sockets).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_a_loopback_interface() {
        let found = interfaces().expect("the host answers");
        assert!(found.list.iter().any(|interface| interface.name == b"lo"), "{found:?}");
    }
}
