//! Sockets: unix of every type, and TCP and UDP over the sandbox's own loopback.
//!
//! A connection is a pair of [`Channel`]s between two sockets of the sandbox; no packet is made.
//!
//! Lock order: `Socket::state` of a listener → `Socket::state` of its clients → channels.

mod listen;
mod send;
pub mod show;

pub use listen::Connecting;

use crate::addr::{Addr, is_local};
use crate::channel::{Ancillary, Channel, Ears, Taken};
use crate::errors::Reports;
use crate::host::HostSocket;
use crate::host::unix::Before;
use crate::namespace::{self, NetNamespace, PortRequest, Transport};
use crate::netlink::Link;
use crate::options::Options;
use crate::packet::Packet;
use crate::socket::listen::{Attempt, Backlog};
use bevor_abi::errno::{
    EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, ENETUNREACH, ENOTCONN, ENOTTY,
};
use bevor_abi::ioctl::{FIONREAD, TIOCOUTQ};
use bevor_abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, Ucred};
use bevor_abi::{Code, Errno};
use bevor_base::landlock::Domain;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{IoDst, IoSrc, UserAddr};
use bevor_vfs::caller::Caller;
use bevor_vfs::fasync::{AsyncList, Band, Owner};
use bevor_vfs::file::{File, FileOps};
use parking_lot::Mutex;
use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// Type of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
    /// `SOCK_SEQPACKET`.
    SeqPacket,
}

impl Kind {
    /// The number `SO_TYPE` shows.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Stream => 1,
            Self::Datagram => 2,
            Self::SeqPacket => 5,
        }
    }

    const fn keeps_messages(self) -> bool {
        !matches!(self, Self::Stream)
    }

    const fn connects(self) -> bool {
        !matches!(self, Self::Datagram)
    }
}

/// Whether the next byte is the urgent one.
const SIOCATMARK: u32 = 0x8905;
/// Largest datagram.
const MAX_DATAGRAM: usize = 212_960;

/// A name in some table, given back when the socket closes.
enum Name {
    Abstract(Vec<u8>),
    Inode(u64, u64),
    Port(Transport, u16),
}

#[derive(Default)]
struct State {
    local: Addr,
    peer: Addr,
    name: Option<Name>,
    /// Where a connected socket writes.
    outgoing: Option<Arc<Channel>>,
    /// The other end of a connection, or where datagrams go by default.
    other: Option<Weak<Socket>>,
    backlog: Option<Backlog>,
    attempt: Attempt,
    error: Option<Code>,
    read_shut: bool,
    write_shut: bool,
    connected: bool,
    /// The other end has answered, or will answer, that it is gone: TCP's reset.
    reset: bool,
    peer_cred: Option<Ucred>,
    /// Device and number of the inode its name is of; accepted sockets have their listener's.
    bound_inode: Option<(u64, u64)>,
}

/// A socket.
pub struct Socket {
    this: Weak<Self>,
    /// `AF_UNIX`, `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// Type.
    pub kind: Kind,
    /// Whether it is a UDP-Lite one.
    pub lite: bool,
    ns: Arc<NetNamespace>,
    queue: WaitQueue,
    ears: Arc<Ears>,
    owner: OnceLock<Arc<Owner>>,
    incoming: Arc<Channel>,
    state: Mutex<State>,
    /// Options.
    pub options: Mutex<Options>,
    /// Who made it.
    pub cred: Ucred,
    /// The Landlock domain of who made it.
    pub domain: OnceLock<Arc<Domain>>,
    netlink: Option<Link>,
    /// The host's socket it became when it was connected or bound there.
    hosted: OnceLock<HostSocket>,
    /// A guest watches it for edges.
    edges: AtomicBool,
    /// What became of datagrams it sent.
    pub(crate) reports: Reports,
    /// Its number among all sockets (`SO_COOKIE`).
    number: u64,
    /// The inode of its file, once it has one.
    inode: OnceLock<u64>,
}

/// Numbers of sockets.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Drop for Socket {
    fn drop(&mut self) {
        self.ns.remove(self.number);
    }
}

/// What is special about a new socket.
enum Special {
    No,
    Lite,
    Netlink(Link),
}

impl Socket {
    /// An unconnected socket of network namespace `ns`.
    #[must_use]
    pub fn new(family: u16, kind: Kind, ns: u64, cred: Ucred) -> Arc<Self> {
        Self::with(family, kind, NetNamespace::of(ns), cred)
    }

    /// An unconnected socket of the same kind and place.
    #[must_use]
    pub fn another(&self, cred: Ucred) -> Arc<Self> {
        Self::with(self.family, self.kind, self.ns.clone(), cred)
    }

    /// A netlink socket.
    #[must_use]
    pub fn netlink(link: Link, ns: u64, cred: Ucred) -> Arc<Self> {
        Self::make(AF_NETLINK, Kind::Datagram, NetNamespace::of(ns), cred, Special::Netlink(link))
    }

    /// An unconnected UDP-Lite socket (`udplite(7)`).
    #[must_use]
    pub fn udp_lite(family: u16, ns: u64, cred: Ucred) -> Arc<Self> {
        Self::make(family, Kind::Datagram, NetNamespace::of(ns), cred, Special::Lite)
    }

    fn with(family: u16, kind: Kind, ns: Arc<NetNamespace>, cred: Ucred) -> Arc<Self> {
        Self::make(family, kind, ns, cred, Special::No)
    }

    fn make(
        family: u16,
        kind: Kind,
        ns: Arc<NetNamespace>,
        cred: Ucred,
        special: Special,
    ) -> Arc<Self> {
        let (lite, netlink) = match special {
            Special::No => (false, None),
            Special::Lite => (true, None),
            Special::Netlink(link) => (false, Some(link)),
        };
        let ears = Arc::new(Ears::default());
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let made = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            family,
            kind,
            lite,
            ns,
            incoming: Channel::new(kind.keeps_messages(), ears.clone()),
            queue: ears.queue.clone(),
            ears,
            owner: OnceLock::new(),
            state: Mutex::default(),
            options: Mutex::default(),
            cred,
            domain: OnceLock::new(),
            netlink,
            hosted: OnceLock::new(),
            edges: AtomicBool::new(false),
            reports: Reports::default(),
            number,
            inode: OnceLock::new(),
        });
        made.ns.add(number, &made);
        made
    }

    /// Two connected sockets (`socketpair(2)`).
    #[must_use]
    pub fn pair(family: u16, kind: Kind, ns: u64, cred: Ucred) -> (Arc<Self>, Arc<Self>) {
        let first = Self::new(family, kind, ns, cred);
        let second = Self::new(family, kind, ns, cred);
        first.join(&second);
        second.join(&first);
        (first, second)
    }

    /// Makes `self` write to `other`.
    fn join(&self, other: &Arc<Self>) {
        let mut state = self.state.lock();
        state.outgoing = Some(other.incoming.clone());
        state.other = Some(Arc::downgrade(other));
        state.connected = true;
        state.peer_cred = Some(other.cred);
        other.incoming.set_writer(self.ears.clone());
    }

    fn arc(&self) -> Result<Arc<Self>, Errno> {
        self.this.upgrade().ok_or_else(|| EINVAL.into())
    }

    const fn transport(&self) -> Transport {
        match self.kind {
            Kind::Datagram if self.lite => Transport::UdpLite,
            Kind::Datagram => Transport::Udp,
            _ => Transport::Tcp,
        }
    }

    const fn is_udp(&self) -> bool {
        matches!((self.family, self.kind), (AF_INET | AF_INET6, Kind::Datagram))
    }

    /// The host's socket it is, if it became one.
    #[must_use]
    pub fn hosted(&self) -> Option<&HostSocket> {
        self.hosted.get()
    }

    /// Makes it the host's socket from now on, which has this one's queue.
    ///
    /// # Errors
    /// `EISCONN` if it became one before; what the host answers.
    pub fn become_hosted(&self, socket: HostSocket) -> Result<(), Errno> {
        self.hosted.set(socket).map_err(|_| EISCONN)?;
        if self.edges.load(Ordering::SeqCst)
            && let Some(socket) = self.hosted.get()
        {
            socket.watched_for_edges()?;
        }
        self.queue.wake(Ready::ALL);
        Ok(())
    }

    /// What was asked of it so far that the host's socket must know.
    #[must_use]
    pub fn before_hosted(&self) -> Before {
        let options = self.options.lock();
        Before {
            pass_cred: options.pass_cred,
            receive_timeout_ns: options.receive_timeout_ns,
            send_timeout_ns: options.send_timeout_ns,
            send_bytes: options.send_buffer(),
            receive_bytes: options.receive_buffer().and_then(|bytes| i32::try_from(bytes / 2).ok()),
        }
    }

    /// Notes the inode of its file.
    pub fn set_inode(&self, ino: u64) {
        // A socket has one file.
        let _ = self.inode.set(ino);
    }

    /// Whether it accepts connections.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.state.lock().backlog.is_some()
    }

    /// Its own address.
    #[must_use]
    pub fn local(&self) -> Addr {
        if let Some(link) = &self.netlink {
            return link.local();
        }
        let state = self.state.lock();
        match (&state.local, self.family) {
            (Addr::Unnamed, AF_INET) => Addr::Inet((Ipv4Addr::UNSPECIFIED, 0).into()),
            (Addr::Unnamed, AF_INET6) => Addr::Inet((Ipv6Addr::UNSPECIFIED, 0).into()),
            (local, _) => local.clone(),
        }
    }

    /// The address it is connected to.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn peer(&self) -> Result<Addr, Errno> {
        if self.netlink.is_some() {
            return Ok(Addr::Netlink { port: 0, groups: 0 });
        }
        let state = self.state.lock();
        if !state.connected {
            return Err(ENOTCONN.into());
        }
        Ok(state.peer.clone())
    }

    /// Credentials of the other end (`SO_PEERCRED`).
    #[must_use]
    pub fn peer_cred(&self) -> Ucred {
        let nobody = Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
        self.state.lock().peer_cred.unwrap_or(nobody)
    }

    /// Sets what the next call fails with.
    pub(crate) fn set_error(&self, error: Option<Code>) {
        self.state.lock().error = error;
    }

    /// Tells who is sent signals.
    pub(crate) fn tell(&self, band: Band) {
        self.ears.listeners.tell(band);
    }

    /// Takes the pending error (`SO_ERROR`).
    #[must_use]
    pub fn take_error(&self) -> i32 {
        self.state.lock().error.take().map_or(0, |code| i32::from(code.0))
    }

    /// Binds to an abstract name or an internet address.
    ///
    /// # Errors
    /// `EINVAL` if bound already, `EADDRINUSE`, `EADDRNOTAVAIL`.
    pub fn bind(&self, addr: &Addr) -> Result<(), Errno> {
        let this = self.arc()?;
        let mut state = self.state.lock();
        if state.name.is_some() {
            return Err(EINVAL.because("bound already"));
        }
        match addr {
            Addr::Abstract(name) => {
                self.ns.bind_abstract(name, &this)?;
                state.name = Some(Name::Abstract(name.clone()));
                state.local = addr.clone();
            }
            Addr::Inet(addr) => {
                let multicast = addr.ip().is_multicast();
                let accepted = is_local(addr.ip()) || (multicast && self.kind == Kind::Datagram);
                if !accepted {
                    return Err(EADDRNOTAVAIL.into());
                }
                let bound = self.bind_port(*addr, &this)?;
                if let IpAddr::V6(ip) = addr.ip()
                    && !ip.is_unspecified()
                    && ip.to_ipv4_mapped().is_none()
                {
                    self.options.lock().v6_only = true;
                }
                state.name = Some(Name::Port(self.transport(), bound.port()));
                state.local = Addr::Inet(bound);
            }
            Addr::Netlink { port, groups } => {
                let link = self.netlink.as_ref().ok_or(EINVAL)?;
                link.bind(&self.ns, *port, *groups, self.cred.pid)?;
            }
            Addr::Unnamed | Addr::Path(_) => return Err(EINVAL.into()),
        }
        Ok(())
    }

    fn bind_port(&self, addr: SocketAddr, this: &Arc<Self>) -> Result<SocketAddr, Errno> {
        let options = self.options.lock();
        let request = PortRequest {
            transport: self.transport(),
            addr,
            v6: self.family == AF_INET6,
            v6_only: options.v6_only,
            reuse: options.reuse_addr || options.reuse_port,
        };
        drop(options);
        self.ns.bind_port(request, this)
    }

    /// Binds to the inode a path leads to: `dev` and `ino` are what it is found by, `shown` what
    /// `stat` says.
    ///
    /// # Errors
    /// `EINVAL` if bound already.
    pub fn bind_inode(
        &self,
        path: Vec<u8>,
        (dev, ino): (u64, u64),
        shown: (u64, u64),
    ) -> Result<(), Errno> {
        let this = self.arc()?;
        let mut state = self.state.lock();
        if state.name.is_some() {
            return Err(EINVAL.because("bound already"));
        }
        namespace::bind_inode(dev, ino, &this);
        state.name = Some(Name::Inode(dev, ino));
        state.bound_inode = Some(shown);
        state.local = Addr::Path(path);
        Ok(())
    }

    /// Whether it has a name.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.state.lock().name.is_some()
    }

    /// Binds to some free port (or, for unix sockets that ask for it, a free abstract name).
    ///
    /// # Errors
    /// `EADDRINUSE`.
    pub fn autobind(&self) -> Result<(), Errno> {
        match self.family {
            AF_INET if !self.is_bound() => {
                self.bind(&Addr::Inet((Ipv4Addr::UNSPECIFIED, 0).into()))
            }
            AF_INET6 if !self.is_bound() => {
                self.bind(&Addr::Inet((Ipv6Addr::UNSPECIFIED, 0).into()))
            }
            AF_UNIX if !self.is_bound() => {
                let tries = (0..=0xf_ffff_u32).map(|number| format!("{number:05x}").into_bytes());
                for name in tries {
                    match self.bind(&Addr::Abstract(name)) {
                        Err(errno) if errno == bevor_abi::errno::EADDRINUSE => {}
                        other => return other,
                    }
                }
                Err(bevor_abi::errno::EADDRINUSE.into())
            }
            _ => Ok(()),
        }
    }

    /// Finds whom an address of this socket's family names, except for paths.
    ///
    /// # Errors
    /// `ECONNREFUSED`, `ENETUNREACH`.
    pub fn find(&self, addr: &Addr) -> Result<Arc<Self>, Errno> {
        match addr {
            Addr::Abstract(name) => self.ns.find_abstract(name),
            Addr::Inet(addr) => {
                if !is_local(addr.ip()) {
                    return Err(ENETUNREACH.into());
                }
                let found = self.ns.find_port(self.transport(), *addr);
                let connects = self.kind.connects();
                let mut fitting =
                    found.into_iter().filter(|socket| !connects || socket.is_listening());
                fitting.next().ok_or_else(|| ECONNREFUSED.into())
            }
            Addr::Unnamed | Addr::Path(_) | Addr::Netlink { .. } => Err(ECONNREFUSED.into()),
        }
    }

    /// Undoes a datagram socket's connection (`connect` to `AF_UNSPEC`).
    pub fn disconnect(&self) {
        let mut state = self.state.lock();
        state.connected = false;
        state.peer = Addr::Unnamed;
        state.other = None;
        state.outgoing = None;
        state.attempt = Attempt::None;
    }

    /// Makes `addr` the peer of a UDP socket, whoever is there.
    ///
    /// # Errors
    /// `EADDRINUSE`: no port is free. `ENETUNREACH`.
    pub fn connect_datagram(&self, addr: SocketAddr) -> Result<(), Errno> {
        if !is_local(addr.ip()) {
            return Err(ENETUNREACH.into());
        }
        self.autobind()?;
        let peer = reachable(&Addr::Inet(addr));
        self.specialise(&peer);
        let mut state = self.state.lock();
        state.connected = true;
        state.peer = peer;
        Ok(())
    }

    /// A connected internet socket shows the loopback address, not "any".
    fn specialise(&self, peer: &Addr) {
        let Addr::Inet(peer) = peer else { return };
        let mut state = self.state.lock();
        if let Addr::Inet(local) = &mut state.local
            && local.ip().is_unspecified()
        {
            let v4 = is_v4(peer.ip());
            let ip: IpAddr = match (self.family, v4) {
                (AF_INET6, true) => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
                (AF_INET6, false) => Ipv6Addr::LOCALHOST.into(),
                _ => Ipv4Addr::LOCALHOST.into(),
            };
            local.set_ip(ip);
        }
    }

    /// Receives through `sink`.
    ///
    /// # Errors
    /// `EAGAIN`, `ECONNRESET`, `ENOTCONN`, `EINVAL`, `EFAULT`.
    pub fn receive(
        &self,
        max: usize,
        peek: bool,
        sink: &mut dyn FnMut(&[u8]) -> Result<usize, Errno>,
    ) -> Result<Taken, Errno> {
        let mut state = self.state.lock();
        let connected = state.connected;
        if self.kind.connects() && !connected {
            match (state.attempt, state.error.take()) {
                (Attempt::Calling, _) => return Err(EAGAIN.into()),
                (Attempt::Refused, None) => return Ok(Taken::default()),
                (Attempt::Refused, Some(code)) => return Err(code.into()),
                (_, error) => state.error = error,
            }
            return Err(if self.family == AF_UNIX { EINVAL } else { ENOTCONN }.into());
        }
        if let Some(code) = state.error.filter(|_| self.is_udp()) {
            state.error = None;
            return Err(code.into());
        }
        let error = state.error;
        let shut = state.read_shut;
        drop(state);
        let by_sender = self.options.lock().pass_cred;
        match self.incoming.take(max, peek, by_sender, sink) {
            Err(errno) if errno == EAGAIN => {
                if shut {
                    return Ok(Taken::default());
                }
                if let Some(code) = error {
                    state = self.state.lock();
                    state.error = None;
                    return Err(code.into());
                }
                Err(errno)
            }
            Ok(taken) if taken.bytes == 0 && taken.message == 0 && error.is_some() => {
                state = self.state.lock();
                let code = state.error.take();
                drop(state);
                code.map_or(Ok(taken), |code| Err(code.into()))
            }
            other => other,
        }
    }

    /// `shutdown(2)`. `how` is `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`.
    ///
    /// # Errors
    /// `EINVAL`, `ENOTCONN`.
    pub fn shutdown(&self, how: i32) -> Result<(), Errno> {
        if !(0..=2).contains(&how) {
            return Err(EINVAL.into());
        }
        let mut state = self.state.lock();
        if !state.connected && state.backlog.is_none() {
            return Err(ENOTCONN.into());
        }
        let (reads, writes) = (how != 1, how != 0);
        let news = writes && !state.write_shut;
        state.read_shut |= reads;
        state.write_shut |= writes;
        let outgoing = state.outgoing.clone();
        let other = state.other.clone();
        drop(state);
        if writes && let Some(outgoing) = outgoing {
            outgoing.close_write();
        }
        if news && let Some(other) = other.and_then(|other| other.upgrade()) {
            let both = if self.family == AF_UNIX { reads } else { other.state.lock().write_shut };
            other.ears.listeners.tell(if both { Band::HangUp } else { Band::In });
        }
        if reads && self.kind.connects() && self.family == AF_UNIX {
            self.incoming.close_write();
        }
        self.queue.wake(Ready::ALL);
        Ok(())
    }

    /// The far end went away; `reset` if it left bytes of ours unread.
    fn peer_closed(&self, reset: bool) {
        let mut state = self.state.lock();
        if reset {
            state.error = Some(ECONNRESET);
            state.reset = true;
        }
        let write_shut = state.write_shut;
        drop(state);
        let is_unix = self.family == AF_UNIX;
        let knew = self.incoming.is_write_closed();
        self.incoming.close_write();
        self.queue.wake(Ready::ALL);
        match (is_unix, reset) {
            (true, _) => self.ears.listeners.tell(Band::HangUp),
            (false, true) => self.ears.listeners.tell(Band::Error),
            (false, false) if knew => {}
            (false, false) if write_shut => self.ears.listeners.tell(Band::HangUp),
            (false, false) => self.ears.listeners.tell(Band::In),
        }
    }

    fn close(&self) {
        let mut state = self.state.lock();
        let name = state.name.take();
        let outgoing = state.outgoing.take();
        let other = state.other.take();
        let backlog = state.backlog.take();
        state.connected = false;
        state.attempt = Attempt::None;
        drop(state);
        match name {
            Some(Name::Abstract(name)) => self.ns.release_abstract(&name),
            Some(Name::Inode(dev, ino)) => namespace::release_inode(dev, ino),
            Some(Name::Port(transport, port)) => self.ns.release_port(transport, port, self),
            None => {}
        }
        // A lingering time of zero throws away what the other end has not read.
        let aborts = self.family != AF_UNIX && self.options.lock().linger == [1, 0];
        let lost = self.incoming.close_read() || aborts;
        if let Some(link) = &self.netlink {
            link.close(&self.ns);
        }
        if self.kind.connects() {
            if let Some(outgoing) = outgoing {
                outgoing.close_write();
            }
            if let Some(other) = other.and_then(|other| other.upgrade()) {
                other.peer_closed(lost);
            }
        }
        if let Some(backlog) = backlog {
            backlog.close();
        }
    }

    /// What it has been sent.
    pub(crate) const fn inbox(&self) -> &Arc<Channel> {
        &self.incoming
    }

    /// The network namespace it is of.
    pub(crate) const fn namespace(&self) -> &Arc<NetNamespace> {
        &self.ns
    }

    /// The netlink side of it, if it has one.
    #[must_use]
    pub const fn link(&self) -> Option<&Link> {
        self.netlink.as_ref()
    }

    /// What a blocked caller waits on.
    #[must_use]
    pub const fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Sets how many bytes make it readable (`SO_RCVLOWAT` of TCP).
    pub fn set_low_water(&self, bytes: usize) {
        self.incoming.set_low_water(bytes);
    }

    /// Sets how many bytes may wait to be read (`SO_RCVBUF`).
    pub fn set_receive_buffer(&self, bytes: usize) {
        self.incoming.set_capacity(bytes);
    }
}

fn is_v4(ip: IpAddr) -> bool {
    ip.to_canonical().is_ipv4()
}

/// "Any" as a destination or source is loopback.
pub(crate) fn reachable(addr: &Addr) -> Addr {
    let Addr::Inet(inet) = addr else { return addr.clone() };
    let mut inet = *inet;
    match inet.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => inet.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => inet.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Addr::Inet(inet)
}

/// Whom a datagram is for.
pub enum Destination {
    /// A unix socket.
    Socket(Arc<Socket>),
    /// Whoever has this address.
    Inet(SocketAddr),
    /// A netlink port.
    Netlink {
        /// Port, 0 for the kernel.
        port: u32,
        /// Multicast groups.
        groups: u32,
    },
}

/// A socket as an open file.
pub struct SocketFile(pub Arc<Socket>);

impl FileOps for SocketFile {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        if let Some(hosted) = self.0.hosted() {
            return hosted.read(file, dst, at);
        }
        let max = usize::try_from(dst.remaining()).unwrap_or(usize::MAX);
        Ok(self.0.receive(max, false, &mut |piece| dst.put(piece))?.bytes)
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        if let Some(hosted) = self.0.hosted() {
            return hosted.write(file, src, at);
        }
        let cred = Some(self.0.cred);
        self.0.send(src, None, Ancillary { files: Vec::new(), cred, packet: Packet::default() })
    }

    fn poll(&self) -> Ready {
        let socket = &self.0;
        if let Some(hosted) = socket.hosted() {
            return hosted.poll();
        }
        let state = socket.state.lock();
        if let Some(backlog) = &state.backlog {
            return Ready::READABLE.when(!backlog.is_empty());
        }
        let incoming = &socket.incoming;
        let ended = incoming.is_write_closed();
        let readable = incoming.is_readable() || state.read_shut;
        if socket.kind.connects() && !state.connected {
            let error = Ready::ERR.when(state.error.is_some());
            return match state.attempt {
                Attempt::Calling => Ready::default(),
                Attempt::Refused => {
                    Ready::READABLE | Ready::WRITABLE | Ready::HUP | Ready::RDHUP | error
                }
                // A stream that was never connected hangs up and takes no writes.
                _ => Ready::HUP | error | Ready::OUT.when(socket.family != AF_UNIX),
            };
        }
        let inbox = state.other.as_ref().filter(|_| !socket.kind.connects());
        let writable = match (&state.outgoing, inbox) {
            (Some(outgoing), _) => outgoing.is_writable() || state.write_shut,
            (None, Some(other)) => {
                other.upgrade().is_none_or(|other| !other.incoming.is_full(&socket.ears))
            }
            (None, None) => true,
        };
        if !writable {
            socket.ears.note_no_room();
        }
        let is_unix = socket.family == AF_UNIX;
        let shut_both = state.write_shut && (ended || state.read_shut);
        let failed = state.error.is_some() || socket.reports.any();
        let urgent = socket.kind == Kind::Stream && incoming.has_urgent();
        let gone = state.outgoing.as_ref().is_some_and(|outgoing| outgoing.is_read_closed());
        Ready::READABLE.when(readable)
            | Ready::WRITABLE.when(writable)
            | Ready::RDHUP.when(ended || state.read_shut)
            | Ready::PRI.when(urgent || (failed && socket.options.lock().errors_are_urgent()))
            | Ready::HUP.when(shut_both || state.reset || (ended && gone && is_unix))
            | Ready::ERR.when(failed)
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.queue)
    }

    fn async_list(&self) -> Option<&AsyncList> {
        Some(&self.0.ears.listeners)
    }

    fn owner_made(&self, owner: &Arc<Owner>) {
        let _ = self.0.owner.set(owner.clone());
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        if let Some(hosted) = self.0.hosted() {
            return hosted.ioctl(file, caller, cmd, arg);
        }
        let count = match cmd {
            FIONREAD if self.0.is_listening() => return Err(EINVAL.into()),
            FIONREAD => self.0.incoming.pending(),
            SIOCATMARK if self.0.kind == Kind::Stream => usize::from(self.0.incoming.is_at_mark()),
            TIOCOUTQ => {
                let outgoing = self.0.state.lock().outgoing.clone();
                outgoing.map_or(0, |outgoing| outgoing.pending())
            }
            _ => {
                let interfaces = self.0.ns.interfaces();
                let answer = crate::ioctl::interface(interfaces, caller, cmd, arg);
                return answer.unwrap_or(Err(ENOTTY.into()));
            }
        };
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        caller.mm().write(UserAddr(arg), &count)?;
        Ok(0)
    }

    fn watched_for_edges(&self) -> Result<(), Errno> {
        self.0.edges.store(true, Ordering::SeqCst);
        self.0.hosted().map_or(Ok(()), FileOps::watched_for_edges)
    }

    fn timeout_ns(&self, sending: bool) -> Option<u64> {
        if let Some(hosted) = self.0.hosted() {
            return hosted.timeout_ns(sending);
        }
        let options = self.0.options.lock();
        if sending { options.send_timeout_ns } else { options.receive_timeout_ns }
    }

    fn release(&self, file: &File) {
        let _ = file;
        self.0.close();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
