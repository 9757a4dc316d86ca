//! Netlink sockets (`netlink(7)`): requests to the sentry, answered at once into the sender's inbox.

mod bytecode;
mod diag;
mod hosted;
mod message;
mod route;

use crate::addr::Addr;
use crate::channel::Ancillary;
use crate::namespace::NetNamespace;
use crate::packet::Packet;
use crate::socket::Socket;
use bevor_abi::Errno;
use bevor_abi::errno::{ECONNREFUSED, EINVAL, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT};
use bevor_abi::netlink::{
    NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE, NETLINK_SOCK_DIAG, NLM_F_ACK, NLM_F_REQUEST,
    NLMSG_MIN_TYPE, Nlmsghdr,
};
use bevor_abi::socket::Ucred;
use bevor_memory::IoSrc;
use message::Request;
use parking_lot::Mutex;
use zerocopy::FromBytes;

/// Bytes of `struct sockaddr_nl`.
pub(crate) const ADDR_BYTES: usize = 12;
/// Longest request.
const MAX_REQUEST: usize = 212_960;
/// `SOCK_DGRAM`, `SOCK_RAW`.
const KINDS: [u32; 2] = [2, 3];

/// What a netlink socket is beside a datagram socket.
#[derive(Debug)]
pub struct Link {
    protocol: u32,
    /// Whether its maker may change the network.
    admin: bool,
    /// Its port, 0 for none yet, and the multicast groups it listens to.
    bound: Mutex<(u32, u32)>,
}

impl Link {
    /// A socket of `protocol`.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`.
    pub fn new(kind: u32, protocol: i32, admin: bool) -> Result<Self, Errno> {
        if !KINDS.contains(&kind) {
            return Err(ESOCKTNOSUPPORT.into());
        }
        let protocol = u32::try_from(protocol).map_err(|_| EPROTONOSUPPORT)?;
        if !matches!(protocol, NETLINK_ROUTE | NETLINK_KOBJECT_UEVENT | NETLINK_SOCK_DIAG) {
            return Err(EPROTONOSUPPORT.into());
        }
        Ok(Self { protocol, admin, bound: Mutex::default() })
    }

    /// Its protocol.
    #[must_use]
    pub const fn protocol(&self) -> u32 {
        self.protocol
    }

    /// The multicast groups it listens to.
    pub(crate) fn groups(&self) -> u32 {
        self.bound.lock().1
    }

    /// Its own address.
    #[must_use]
    pub fn local(&self) -> Addr {
        let (port, groups) = *self.bound.lock();
        Addr::Netlink { port, groups }
    }

    /// Binds to `port`, or some port if that is 0 and it has none; `wish` is what is tried first.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EINVAL`: bound to another port already.
    pub(crate) fn bind(
        &self,
        ns: &NetNamespace,
        port: u32,
        groups: u32,
        wish: i32,
    ) -> Result<(), Errno> {
        let mut bound = self.bound.lock();
        if bound.0 == 0 {
            bound.0 = ns.take_netlink_port(self.protocol, port, wish)?;
        } else if port != 0 && port != bound.0 {
            return Err(EINVAL.because("bound to another port"));
        }
        bound.1 = groups;
        Ok(())
    }

    /// Gives its port back.
    pub(crate) fn close(&self, ns: &NetNamespace) {
        let port = std::mem::take(&mut *self.bound.lock()).0;
        if port != 0 {
            ns.release_netlink_port(self.protocol, port);
        }
    }
}

/// Serves what `socket` sends: one datagram of requests.
///
/// # Errors
/// `ECONNREFUSED`, `EPERM` (not to the kernel), `EFAULT`, `EMSGSIZE`.
pub(crate) fn send(
    socket: &Socket,
    link: &Link,
    src: &mut IoSrc<'_>,
    to: Option<(u32, u32)>,
) -> Result<usize, Errno> {
    match to {
        None | Some((0, 0)) => {}
        Some((0, _)) => return Err(EPERM.because("multicast from a guest")),
        Some(_) => return Err(ECONNREFUSED.into()),
    }
    let wanted = usize::try_from(src.remaining()).unwrap_or(usize::MAX);
    if wanted > MAX_REQUEST {
        return Err(bevor_abi::errno::EMSGSIZE.into());
    }
    let bytes = src.take_vec(wanted)?;
    let Addr::Netlink { port, .. } = link.local() else { return Err(EINVAL.into()) };
    let mut rest = bytes.as_slice();
    while let Ok((head, _)) = Nlmsghdr::read_from_prefix(rest) {
        let len = usize::try_from(head.nlmsg_len).map_err(|_| EINVAL)?;
        let Some(body) = rest.get(size_of::<Nlmsghdr>()..len) else { break };
        let request = Request { head, body, port };
        serve(socket, link, &request);
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(wanted)
}

fn serve(socket: &Socket, link: &Link, request: &Request<'_>) {
    let flags = request.head.nlmsg_flags;
    let mut result = Ok(Vec::new());
    if flags & NLM_F_REQUEST != 0 && request.head.nlmsg_type >= NLMSG_MIN_TYPE {
        result = match link.protocol {
            NETLINK_ROUTE => match socket.namespace().host() {
                Some(network) => hosted::serve(request, &network.interfaces),
                None => route::serve(request, link.admin),
            },
            NETLINK_SOCK_DIAG => diag::serve(request, socket.namespace(), link.admin),
            _ => Err(EOPNOTSUPP.into()),
        };
    }
    let acknowledge = match &result {
        Ok(_) => flags & NLM_F_ACK != 0,
        Err(_) => true,
    };
    let error = result.as_ref().err().copied();
    for answer in result.unwrap_or_default() {
        deliver(socket, answer);
    }
    if acknowledge {
        deliver(socket, request.acknowledge(error));
    }
}

/// Puts a message of the kernel into a socket's inbox; one that is full loses it, as on Linux.
pub fn deliver(socket: &Socket, message: Vec<u8>) {
    let cred = Some(Ucred { pid: 0, uid: 0, gid: 0 });
    let kernel = Ancillary { files: Vec::new(), cred, packet: Packet::default() };
    let inbox = socket.inbox();
    if inbox.room(message.len()).is_ok() {
        // A socket that is closed meanwhile needs no answer.
        let _ = inbox.push(message, Addr::Netlink { port: 0, groups: 0 }, kernel);
    }
}
