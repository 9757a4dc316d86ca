//! A guest's socket that is a socket of the host.

use crate::host::calls;
use crate::host::options::Kept;
use crate::host::poller::{ALL, Watched};
use crate::host::unix::{self, Unix};
use crate::host::{Network, control};
use crate::socket::Kind;
use bevor_abi::Errno;
use bevor_abi::errno::{
    EAFNOSUPPORT, EAGAIN, EINTR, EINVAL, ENFILE, ENOTTY, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
};
use bevor_abi::inet::{IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP};
use bevor_abi::ioctl::{FIONREAD, SIOCATMARK, TIOCOUTQ};
use bevor_abi::socket::{
    AF_INET, AF_INET6, AF_UNSPEC, MSG_CONFIRM, MSG_DONTROUTE, MSG_DONTWAIT, MSG_EOR, MSG_ERRQUEUE,
    MSG_FASTOPEN, MSG_MORE, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK, MSG_TRUNC,
};
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{ADDRESS_BYTES, Incoming, IoDst, IoSrc, Outgoing, UserAddr};
use bevor_vfs::caller::Caller;
use bevor_vfs::file::{File, FileOps};
use parking_lot::Mutex;
use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Flags that are the host's business when something is sent.
const SEND_FLAGS: u32 = MSG_OOB | MSG_DONTROUTE | MSG_EOR | MSG_CONFIRM | MSG_MORE;
/// Flags that are the host's business when something is received.
const RECEIVE_FLAGS: u32 = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE;
/// Most bytes of a stream thrown away in one call.
const MAX_AWAY: usize = 64 << 10;
/// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_RAW`.
const STREAM: u32 = 1;
const DATAGRAM: u32 = 2;
const RAW: u32 = 3;

/// A socket of the host, made for a guest.
pub struct HostSocket {
    // Dropped first: the host forgets what it watches when it is closed.
    pub(super) fd: OwnedFd,
    /// `AF_INET`, `AF_INET6` or `AF_UNIX`.
    pub family: u16,
    /// Type.
    pub kind: Kind,
    pub(super) protocol: i32,
    queue: WaitQueue,
    watched: Watched,
    pub(super) kept: Mutex<Kept>,
    pub(super) network: Arc<Network>,
    /// What a unix socket has more.
    pub(super) unix: Option<Unix>,
}

/// Why a connection is not there yet.
pub enum Connecting {
    /// It never will be.
    Failed(Errno),
    /// The host is at it: with `EINPROGRESS` since now, with `EALREADY` since before.
    Wait(Errno),
}

/// Which host socket a guest gets: its type and protocol.
fn form(family: u16, kind: u32, protocol: i32) -> Result<(Kind, u32), Errno> {
    let protocol = u32::try_from(protocol).map_err(|_| EPROTONOSUPPORT)?;
    let ping = if family == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    match kind {
        STREAM if matches!(protocol, IPPROTO_IP | IPPROTO_TCP) => Ok((Kind::Stream, IPPROTO_TCP)),
        DATAGRAM if matches!(protocol, IPPROTO_IP | IPPROTO_UDP) => {
            Ok((Kind::Datagram, IPPROTO_UDP))
        }
        DATAGRAM if protocol == ping => Ok((Kind::Datagram, ping)),
        STREAM | DATAGRAM => Err(EPROTONOSUPPORT.into()),
        RAW => Err(EPERM.because("raw sockets are not offered")),
        0 | 4..=10 => Err(ESOCKTNOSUPPORT.into()),
        _ => Err(EINVAL.into()),
    }
}

impl HostSocket {
    /// Makes a socket.
    ///
    /// # Errors
    /// `EACCES`, `EAFNOSUPPORT`, `EINVAL`, `ENFILE`, `EPERM`, `EPROTONOSUPPORT`,
    /// `ESOCKTNOSUPPORT`; what the host answers.
    pub fn new(
        network: &Arc<Network>,
        family: u16,
        kind: u32,
        protocol: i32,
    ) -> Result<Self, Errno> {
        if !matches!(family, AF_INET | AF_INET6) {
            return Err(EAFNOSUPPORT.into());
        }
        let (kind, protocol) = form(family, kind, protocol)?;
        let protocol = i32::try_from(protocol).map_err(|_| EINVAL)?;
        Self::counted(network, || calls::socket(family, kind.number(), protocol))
            .map(|fd| Self::around(network, fd, (family, kind, protocol), WaitQueue::new()))
    }

    /// Makes a descriptor, unless there are too many sockets.
    pub(super) fn counted<T>(
        network: &Arc<Network>,
        make: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if network.sockets.fetch_add(1, Ordering::Relaxed) >= network.max_sockets {
            network.sockets.fetch_sub(1, Ordering::Relaxed);
            return Err(ENFILE.because("the sentry needs its other descriptors itself"));
        }
        make().inspect_err(|_| {
            network.sockets.fetch_sub(1, Ordering::Relaxed);
        })
    }

    pub(super) fn around(
        network: &Arc<Network>,
        fd: OwnedFd,
        (family, kind, protocol): (u16, Kind, i32),
        queue: WaitQueue,
    ) -> Self {
        let watched = Watched::new(&network.poller, queue.clone());
        let (kept, network) = (Mutex::default(), network.clone());
        Self { fd, family, kind, protocol, queue, watched, kept, network, unix: None }
    }

    /// Checks an address a guest gave: of the internet, or of no family.
    fn check(&self, addr: &[u8]) -> Result<(), Errno> {
        if self.unix.is_some() {
            return Err(EOPNOTSUPP.because("the gofer names unix sockets of the host"));
        }
        let family = addr.get(..2).and_then(|bytes| bytes.try_into().ok());
        let family = u16::from_ne_bytes(family.ok_or(EINVAL)?);
        let least = match (family, self.family) {
            (AF_UNSPEC, _) => 2,
            (AF_INET, _) | (_, AF_INET) => 16,
            _ => 24,
        };
        if addr.len() < least {
            return Err(EINVAL.because("address too short"));
        }
        if !matches!(family, AF_UNSPEC | AF_INET | AF_INET6) || addr.len() > ADDRESS_BYTES {
            return Err(EAFNOSUPPORT.into());
        }
        Ok(())
    }

    /// `bind(2)`.
    ///
    /// # Errors
    /// `EAFNOSUPPORT`, `EINVAL`; what the host answers.
    pub fn bind(&self, addr: &[u8]) -> Result<(), Errno> {
        self.check(addr)?;
        calls::bind(self.fd.as_fd(), addr)
    }

    /// `connect(2)`, also to ask how an attempt goes.
    ///
    /// # Errors
    /// `EAFNOSUPPORT`, `EINVAL`; what the host answers.
    pub fn connect(&self, addr: &[u8]) -> Result<(), Connecting> {
        use bevor_abi::errno::{EALREADY, EINPROGRESS};
        self.check(addr).map_err(Connecting::Failed)?;
        match calls::connect(self.fd.as_fd(), addr) {
            Ok(()) => Ok(()),
            // Over the loopback it is done by now: whoever waits asks again first.
            Err(errno) if errno == EINPROGRESS => {
                self.watched.want_room(self.fd.as_fd()).map_err(Connecting::Failed)?;
                Err(Connecting::Wait(errno))
            }
            Err(errno) if errno == EALREADY => {
                let armed = self.watched.arm(self.fd.as_fd(), Ready::OUT | Ready::RDHUP);
                armed.map_err(Connecting::Failed)?;
                Err(Connecting::Wait(errno))
            }
            Err(errno) => Err(Connecting::Failed(errno)),
        }
    }

    /// `listen(2)`.
    ///
    /// # Errors
    /// What the host answers.
    pub fn listen(&self, backlog: i32) -> Result<(), Errno> {
        calls::listen(self.fd.as_fd(), backlog)
    }

    /// Takes a connection: it, and whom it is with.
    ///
    /// # Errors
    /// `EAGAIN` if none waits; `ENFILE`; what the host answers.
    pub fn accept(&self) -> Result<(Self, Vec<u8>), Errno> {
        self.accept_into(WaitQueue::new())
    }

    /// The same, with the queue that those who wait for the new socket will be in.
    ///
    /// # Errors
    /// As [`HostSocket::accept`].
    pub fn accept_into(&self, queue: WaitQueue) -> Result<(Self, Vec<u8>), Errno> {
        // Before the host hands its options on: see `Unix::control_room`.
        let unix = self.unix.as_ref().map(Unix::accepted);
        let accepted = Self::counted(&self.network, || calls::accept(self.fd.as_fd()));
        let (fd, peer) = self.after(accepted, Ready::IN)?;
        let form = (self.family, self.kind, self.protocol);
        let mut accepted = Self::around(&self.network, fd, form, queue);
        accepted.kept = Mutex::new(self.kept.lock().clone());
        accepted.unix = unix;
        Ok((accepted, peer))
    }

    /// Its own address.
    ///
    /// # Errors
    /// What the host answers.
    pub fn local(&self) -> Result<Vec<u8>, Errno> {
        if let Some(unix) = &self.unix {
            return Ok(unix.local.clone());
        }
        calls::local(self.fd.as_fd())
    }

    /// The address it is connected to.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn peer(&self) -> Result<Vec<u8>, Errno> {
        calls::peer(self.fd.as_fd())
    }

    /// `shutdown(2)`.
    ///
    /// # Errors
    /// `EINVAL`, `ENOTCONN`.
    pub fn shutdown(&self, how: i32) -> Result<(), Errno> {
        if !(0..=2).contains(&how) {
            return Err(EINVAL.into());
        }
        calls::shutdown(self.fd.as_fd(), how)
    }

    /// Asks to be told when a call that found nothing may be made again.
    fn after<T>(&self, result: Result<T, Errno>, events: Ready) -> Result<T, Errno> {
        match result {
            // The sentry's threads are not interrupted on behalf of guests.
            Err(errno) if errno == EAGAIN || errno == EINTR => {
                self.watched.arm(self.fd.as_fd(), events)?;
                Err(EAGAIN.into())
            }
            other => other,
        }
    }

    /// Sends one message, or a part of a stream, to the peer or to an address.
    ///
    /// # Errors
    /// `EAGAIN`, `EAFNOSUPPORT`, `EFAULT`, `EINVAL`, `EOPNOTSUPP`; what the host answers.
    pub fn send(
        &self,
        src: &mut IoSrc<'_>,
        to: &[u8],
        messages: &[u8],
        flags: u32,
    ) -> Result<usize, Errno> {
        if flags & MSG_FASTOPEN != 0 {
            return Err(EOPNOTSUPP.because("not passed to the host"));
        }
        if !to.is_empty() {
            self.check(to)?;
        }
        let control = control::outgoing(messages)?;
        let flags = (flags & SEND_FLAGS) | MSG_DONTWAIT | MSG_NOSIGNAL;
        let whole = self.kind != Kind::Stream;
        let flags = flags.cast_signed();
        let message = Outgoing { to, control: &control, flags, whole };
        let sent = src.host_send(self.fd.as_fd(), &message);
        let sent = self.after(sent, Ready::OUT)?;
        if !whole && src.remaining() > 0 {
            // The caller may wait for room for the rest without another try.
            self.watched.arm(self.fd.as_fd(), Ready::OUT)?;
        }
        Ok(sent)
    }

    /// Bytes of a stream a receiver that blocks waits for (`SO_RCVLOWAT`).
    #[must_use]
    pub fn low_water(&self) -> u64 {
        self.kept.lock().low_water
    }

    /// Asks to be told when there is more to receive, after some of what was wanted came.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`: the host watches no more.
    pub fn expect_more(&self) -> Result<(), Errno> {
        self.watched.arm(self.fd.as_fd(), Ready::IN)
    }

    /// Receives a message, or a part of a stream. `message` names the `MSG_*` flags and what is
    /// wanted beside the bytes; afterwards it holds what came. Answers the host's number.
    ///
    /// # Errors
    /// `EAGAIN`, `EFAULT`; what the host answers.
    pub fn receive(&self, dst: &mut IoDst<'_>, message: &mut Incoming) -> Result<usize, Errno> {
        let asked = message.flags.cast_unsigned();
        let flags = (asked & RECEIVE_FLAGS) | MSG_DONTWAIT;
        message.flags = flags.cast_signed();
        let room = message.control.len();
        if let Some(unix) = &self.unix {
            message.control.resize(unix.control_room(), 0);
        }
        let throws_away = self.kind == Kind::Stream && self.unix.is_none();
        let received = if throws_away && flags & MSG_TRUNC != 0 {
            // A stream throws the bytes away; there need be no memory for them.
            let all = usize::try_from(dst.remaining()).unwrap_or(usize::MAX);
            let mut away = vec![0; all.min(MAX_AWAY)];
            IoDst::kernel(&mut away).host_receive(self.fd.as_fd(), message)
        } else {
            dst.host_receive(self.fd.as_fd(), message)
        };
        // Neither the error queue nor an out-of-band byte is waited for.
        let received = match asked & (MSG_ERRQUEUE | MSG_OOB) {
            0 => self.after(received, Ready::IN)?,
            _ => received?,
        };
        match &self.unix {
            Some(unix) => unix::show(unix, room, message),
            None => message.control = control::incoming(&message.control),
        }
        Ok(received)
    }
}

impl Drop for HostSocket {
    fn drop(&mut self) {
        self.network.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FileOps for HostSocket {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        self.receive(dst, &mut Incoming::bytes_only(0))
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        self.send(src, &[], &[], 0)
    }

    fn poll(&self) -> Ready {
        let fd = self.fd.as_fd();
        let wanted = Ready::READABLE | Ready::WRITABLE | Ready::PRI | Ready::RDHUP | Ready::RDBAND;
        let ready = Ready(calls::ready_now(fd, wanted.0).unwrap_or(Ready::ERR.0));
        let missing = ALL & !ready;
        if !missing.any() || ready.intersects(Ready::HUP | Ready::ERR) {
            return ready;
        }
        match self.watched.arm(fd, missing) {
            Ok(()) => ready,
            // Nobody would be woken: better to look again in vain.
            Err(_) => ready | Ready::ERR,
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn watched_for_edges(&self) -> Result<(), Errno> {
        self.watched.arm_edges(self.fd.as_fd())
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let _ = file;
        if self.unix.is_some() && self.kind != Kind::Stream && cmd == SIOCATMARK {
            return Err(ENOTTY.into());
        }
        if !matches!(cmd, FIONREAD | TIOCOUTQ | SIOCATMARK) {
            let answer = crate::ioctl::interface(&self.network.interfaces.list, caller, cmd, arg);
            return answer.unwrap_or_else(|| Err(ENOTTY.into()));
        }
        let number = calls::ioctl_number(self.fd.as_fd(), cmd)?;
        caller.mm().write(UserAddr(arg), &number)?;
        Ok(0)
    }

    fn timeout_ns(&self, sending: bool) -> Option<u64> {
        let kept = self.kept.lock();
        if sending { kept.send_timeout_ns } else { kept.receive_timeout_ns }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
