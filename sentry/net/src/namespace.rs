//! Names of one network namespace: abstract unix names, ports, and sockets bound to inodes.

use crate::addr::canonical;
use crate::host::{Interface, Network};
use crate::socket::Socket;
use bevor_abi::Errno;
use bevor_abi::errno::{EADDRINUSE, ECONNREFUSED};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, OnceLock, Weak};

/// First port given out by itself (`ip_local_port_range`).
const FIRST_EPHEMERAL: u16 = 32_768;
/// Last one.
const LAST_EPHEMERAL: u16 = 60_999;

/// A transport with ports of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    UdpLite,
}

struct Bound {
    ip: IpAddr,
    v6: bool,
    v6_only: bool,
    reuse: bool,
    socket: Weak<Socket>,
}

/// The names of a namespace.
#[derive(Default)]
pub struct NetNamespace {
    abstracts: Mutex<HashMap<Vec<u8>, Weak<Socket>>>,
    ports: Mutex<Ports>,
    /// Ports of netlink sockets, by protocol.
    netlink: Mutex<HashSet<(u32, u32)>>,
    /// All its sockets, by number.
    sockets: Mutex<BTreeMap<u64, Weak<Socket>>>,
    /// The host's network, if internet sockets are the host's.
    host: OnceLock<Arc<Network>>,
}

#[derive(Default)]
struct Ports {
    bound: HashMap<(Transport, u16), Vec<Bound>>,
    next: u16,
}

static NAMESPACES: LazyLock<Mutex<HashMap<u64, Arc<NetNamespace>>>> = LazyLock::new(Mutex::default);

/// The interfaces of a namespace of the sandbox's own.
static LOOPBACK: LazyLock<[Interface; 1]> = LazyLock::new(|| [Interface::loopback()]);

/// Sockets bound to inodes, by device and inode number.
static INODES: LazyLock<Mutex<ByInode>> = LazyLock::new(Mutex::default);

type ByInode = HashMap<(u64, u64), Weak<Socket>>;

/// How a port is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PortRequest {
    /// Transport.
    pub transport: Transport,
    /// Address; port 0 asks for any.
    pub addr: SocketAddr,
    /// Whether the socket is an IPv6 one.
    pub v6: bool,
    /// `IPV6_V6ONLY`.
    pub v6_only: bool,
    /// `SO_REUSEADDR` or `SO_REUSEPORT`.
    pub reuse: bool,
}

impl NetNamespace {
    /// The namespace with this number; made when first asked for.
    #[must_use]
    pub fn of(id: u64) -> Arc<Self> {
        NAMESPACES.lock().entry(id).or_default().clone()
    }

    /// Makes internet sockets of this namespace sockets of the host from now on.
    pub fn join_host(&self, network: Arc<Network>) {
        // A namespace that joined before stays where it is.
        let _ = self.host.set(network);
    }

    /// The host's network, if this is its namespace.
    #[must_use]
    pub fn host(&self) -> Option<&Arc<Network>> {
        self.host.get()
    }

    /// The interfaces there are.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        self.host.get().map_or(LOOPBACK.as_slice(), |network| &network.interfaces.list)
    }

    /// Notes a new socket.
    pub(crate) fn add(&self, number: u64, socket: &Arc<Socket>) {
        self.sockets.lock().insert(number, Arc::downgrade(socket));
    }

    /// Forgets a socket.
    pub(crate) fn remove(&self, number: u64) {
        self.sockets.lock().remove(&number);
    }

    /// All its sockets, the oldest first.
    #[must_use]
    pub fn sockets(&self) -> Vec<Arc<Socket>> {
        // Collected first: the last to let go of a socket takes the lock.
        let all: Vec<_> = self.sockets.lock().values().cloned().collect();
        all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Gives a socket an abstract name.
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub fn bind_abstract(&self, name: &[u8], socket: &Arc<Socket>) -> Result<(), Errno> {
        let mut names = self.abstracts.lock();
        if names.get(name).is_some_and(|bound| bound.strong_count() > 0) {
            return Err(EADDRINUSE.into());
        }
        names.insert(name.to_vec(), Arc::downgrade(socket));
        Ok(())
    }

    /// Takes a netlink port: `port`, or if that is 0 the caller's number `wish` or another.
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub fn take_netlink_port(&self, protocol: u32, port: u32, wish: i32) -> Result<u32, Errno> {
        let mut taken = self.netlink.lock();
        if port != 0 {
            let free = taken.insert((protocol, port));
            return if free { Ok(port) } else { Err(EADDRINUSE.into()) };
        }
        // As on Linux, further sockets of a process get numbers no process has.
        let others = (1 << 31..u32::MAX - 4096).rev();
        let wish = u32::try_from(wish).ok().filter(|&wish| wish != 0);
        let found = wish.into_iter().chain(others).find(|&port| taken.insert((protocol, port)));
        found.ok_or_else(|| EADDRINUSE.into())
    }

    /// Gives a netlink port back.
    pub fn release_netlink_port(&self, protocol: u32, port: u32) {
        self.netlink.lock().remove(&(protocol, port));
    }

    /// Finds the socket with an abstract name.
    ///
    /// # Errors
    /// `ECONNREFUSED`.
    pub fn find_abstract(&self, name: &[u8]) -> Result<Arc<Socket>, Errno> {
        let found = self.abstracts.lock().get(name).and_then(Weak::upgrade);
        found.ok_or_else(|| ECONNREFUSED.into())
    }

    /// Forgets an abstract name.
    pub fn release_abstract(&self, name: &[u8]) {
        self.abstracts.lock().remove(name);
    }

    /// Binds a socket to a port and returns the address with it.
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub fn bind_port(
        &self,
        request: PortRequest,
        socket: &Arc<Socket>,
    ) -> Result<SocketAddr, Errno> {
        let mut ports = self.ports.lock();
        let mut addr = request.addr;
        if addr.port() == 0 {
            addr.set_port(ports.ephemeral(&request)?);
        } else if ports.conflicts(&request, addr.port()) {
            return Err(EADDRINUSE.into());
        }
        let entry = Bound {
            ip: canonical(addr.ip()),
            v6: request.v6,
            v6_only: request.v6_only,
            reuse: request.reuse,
            socket: Arc::downgrade(socket),
        };
        ports.bound.entry((request.transport, addr.port())).or_default().push(entry);
        Ok(addr)
    }

    /// Gives a port back.
    pub fn release_port(&self, transport: Transport, port: u16, socket: *const Socket) {
        let mut ports = self.ports.lock();
        if let Some(entries) = ports.bound.get_mut(&(transport, port)) {
            entries.retain(|entry| !std::ptr::eq(entry.socket.as_ptr(), socket));
            if entries.is_empty() {
                ports.bound.remove(&(transport, port));
            }
        }
    }

    /// The sockets that `addr` reaches, most specific first.
    #[must_use]
    pub fn find_port(&self, transport: Transport, addr: SocketAddr) -> Vec<Arc<Socket>> {
        let ports = self.ports.lock();
        let Some(entries) = ports.bound.get(&(transport, addr.port())) else { return Vec::new() };
        let ip = canonical(addr.ip());
        let ip = match ip {
            IpAddr::V4(any) if any.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(any) if any.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let reaches = |entry: &&Bound| {
            entry.ip == ip
                || (entry.ip.is_unspecified()
                    && if ip.is_ipv6() { entry.v6 } else { !entry.v6 || !entry.v6_only })
        };
        let mut found: Vec<(bool, Arc<Socket>)> = entries
            .iter()
            .filter(reaches)
            .filter_map(|entry| Some((entry.ip.is_unspecified(), entry.socket.upgrade()?)))
            .collect();
        found.sort_by_key(|(any, _)| *any);
        found.into_iter().map(|(_, socket)| socket).collect()
    }
}

impl Ports {
    fn conflicts(&self, request: &PortRequest, port: u16) -> bool {
        let ip = canonical(request.addr.ip());
        let Some(entries) = self.bound.get(&(request.transport, port)) else { return false };
        entries.iter().any(|entry| {
            let Some(other) = entry.socket.upgrade() else { return false };
            let families_meet = entry.v6 == request.v6
                || (entry.v6 && !entry.v6_only && entry.ip.is_unspecified())
                || (request.v6 && !request.v6_only && ip.is_unspecified());
            let addresses_meet = entry.ip == ip || entry.ip.is_unspecified() || ip.is_unspecified();
            // SO_REUSEADDR lets a port be shared unless somebody listens on it.
            let shareable = entry.reuse
                && request.reuse
                && (request.transport != Transport::Tcp || !other.is_listening());
            families_meet && addresses_meet && !shareable
        })
    }

    fn ephemeral(&mut self, request: &PortRequest) -> Result<u16, Errno> {
        let span = LAST_EPHEMERAL - FIRST_EPHEMERAL + 1;
        for _ in 0..span {
            let port = FIRST_EPHEMERAL + self.next % span;
            self.next = self.next.wrapping_add(1);
            if !self.bound.contains_key(&(request.transport, port)) {
                return Ok(port);
            }
        }
        Err(EADDRINUSE.because("no ephemeral port is free"))
    }
}

/// Binds a socket to the inode of its path.
pub fn bind_inode(dev: u64, ino: u64, socket: &Arc<Socket>) {
    INODES.lock().insert((dev, ino), Arc::downgrade(socket));
}

/// Finds the socket bound to an inode.
///
/// # Errors
/// `ECONNREFUSED`.
pub fn find_inode(dev: u64, ino: u64) -> Result<Arc<Socket>, Errno> {
    let found = INODES.lock().get(&(dev, ino)).and_then(Weak::upgrade);
    found.ok_or_else(|| ECONNREFUSED.into())
}

/// Forgets the inode of a closed socket.
pub fn release_inode(dev: u64, ino: u64) {
    INODES.lock().remove(&(dev, ino));
}
