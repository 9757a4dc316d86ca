//! Sending: where a message goes, and what becomes of it.

use crate::addr::{Addr, canonical};
use crate::channel::{Ancillary, Channel};
use crate::errors;
use crate::netlink;
use crate::packet::Packet;
use crate::socket::listen::Attempt;
use crate::socket::{Destination, Kind, MAX_DATAGRAM, Socket, reachable};
use bevor_abi::Errno;
use bevor_abi::errno::{
    EAGAIN, ECONNREFUSED, EDESTADDRREQ, EMSGSIZE, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE, EPROTOTYPE,
};
use bevor_abi::socket::AF_UNIX;
use bevor_memory::IoSrc;
use std::net::SocketAddr;
use std::sync::Arc;

/// Most bytes that are sent before the other end is known to be gone.
const WINDOW: usize = 64 << 10;

impl Socket {
    /// Where a message goes, and whether it came from there: `None` if nobody is there.
    fn destination(&self, to: Option<&Destination>) -> Result<Option<Arc<Channel>>, Errno> {
        let mut state = self.state.lock();
        if state.reset && self.family == AF_UNIX && self.kind == Kind::Stream {
            // The error is for the next receive.
            return Err(EPIPE.into());
        }
        if let Some(code) = state.error.take() {
            return Err(code.into());
        }
        if state.write_shut {
            return Err(EPIPE.into());
        }
        let is_unix = self.family == AF_UNIX;
        if self.kind.connects() {
            let none = match state.attempt {
                Attempt::Calling => EAGAIN,
                _ if is_unix => ENOTCONN,
                _ => EPIPE,
            };
            return state.outgoing.clone().map(Some).ok_or_else(|| none.into());
        }
        if !is_unix {
            let peer = match (to, &state.peer) {
                (Some(Destination::Inet(to)), _) | (None, Addr::Inet(to)) => *to,
                _ => return Err(EDESTADDRREQ.into()),
            };
            drop(state);
            self.autobind()?;
            return Ok(self.receiver(peer).map(|socket| socket.incoming.clone()));
        }
        let other = match to {
            Some(Destination::Socket(to)) => to.clone(),
            _ => {
                let other = state.other.as_ref().ok_or(ENOTCONN)?;
                other.upgrade().ok_or(ECONNREFUSED)?
            }
        };
        drop(state);
        self.may_send(&other)?;
        Ok(Some(other.incoming.clone()))
    }

    /// Whether a unix datagram socket takes messages of this one: of the right kind, and connected
    /// to nobody else.
    pub(super) fn may_send(&self, other: &Self) -> Result<(), Errno> {
        if other.kind != self.kind {
            return Err(EPROTOTYPE.into());
        }
        let theirs = other.state.lock().other.clone();
        if theirs.is_some_and(|theirs| !std::ptr::eq(theirs.as_ptr(), self)) {
            return Err(EPERM.because("connected to another socket"));
        }
        Ok(())
    }

    /// The socket a datagram to `to` reaches: one connected to this socket, or to nobody.
    fn receiver(&self, to: SocketAddr) -> Option<Arc<Self>> {
        let Addr::Inet(own) = reachable(&self.local()) else { return None };
        let found = self.ns.find_port(self.transport(), to);
        let peer = |socket: &Arc<Self>| match &socket.state.lock().peer {
            Addr::Inet(peer) => Some((canonical(peer.ip()), peer.port())),
            _ => None,
        };
        let own = Some((canonical(own.ip()), own.port()));
        let connected = found.iter().find(|socket| peer(socket) == own);
        connected.or_else(|| found.iter().find(|socket| peer(socket).is_none())).cloned()
    }

    /// Sends one message, or a part of a stream.
    ///
    /// # Errors
    /// `EAGAIN`, `ECONNRESET`, `EDESTADDRREQ`, `EMSGSIZE`, `ENOTCONN`, `EPERM`, `EPIPE`, `EFAULT`.
    pub fn send(
        &self,
        src: &mut IoSrc<'_>,
        to: Option<&Destination>,
        ancillary: Ancillary,
    ) -> Result<usize, Errno> {
        self.send_as(src, to, ancillary, false)
    }

    /// Sends a part of a stream whose last byte is urgent (`MSG_OOB`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` for other sockets, and as [`Socket::send`].
    pub fn send_urgent(&self, src: &mut IoSrc<'_>, ancillary: Ancillary) -> Result<usize, Errno> {
        if self.kind != Kind::Stream {
            return Err(EOPNOTSUPP.into());
        }
        if self.family == AF_UNIX && src.remaining() == 0 {
            return Err(EOPNOTSUPP.into());
        }
        self.send_as(src, None, ancillary, true)
    }

    fn send_as(
        &self,
        src: &mut IoSrc<'_>,
        to: Option<&Destination>,
        mut ancillary: Ancillary,
        urgent: bool,
    ) -> Result<usize, Errno> {
        let wanted = usize::try_from(src.remaining()).unwrap_or(usize::MAX);
        if let Some(link) = &self.netlink {
            link.bind(&self.ns, 0, link.groups(), self.cred.pid)?;
            let to = match to {
                Some(Destination::Netlink { port, groups }) => Some((*port, *groups)),
                _ => None,
            };
            return netlink::send(self, link, src, to);
        }
        let target = self.destination(to)?;
        let is_udp = self.is_udp();
        let mut segment = None;
        if is_udp {
            self.check_length(to, wanted)?;
            segment = self.segment(&ancillary.packet, wanted)?;
        } else if self.kind.keeps_messages() && wanted > MAX_DATAGRAM {
            return Err(EMSGSIZE.into());
        }
        let Some(target) = target else {
            self.port_unreachable(to, src.take_vec(wanted)?);
            return Ok(wanted);
        };
        if let Some(size) = segment {
            return self.send_segments(&src.take_vec(wanted)?, to, &target, ancillary, size);
        }
        let room = match target.room(wanted) {
            // UDP loses what does not fit.
            Err(errno) if errno == EAGAIN && is_udp => {
                src.take_vec(wanted)?;
                return Ok(wanted);
            }
            Err(errno) if errno == EAGAIN && !self.kind.connects() => {
                target.note_writer(&self.ears);
                self.ears.note_no_room();
                // Room that came meanwhile has woken nobody.
                target.room(wanted)?
            }
            Err(errno) if errno == EPIPE && self.vanishes(wanted) => {
                // What would have been under way when the other end answers.
                let lost = wanted.min(WINDOW);
                src.take_vec(lost)?;
                return Ok(lost);
            }
            Err(errno) if errno == EPIPE && !self.kind.connects() => {
                return Err(ECONNREFUSED.into());
            }
            Err(errno) => {
                self.ears.note_no_room();
                // Room that came meanwhile has told nobody.
                target.room(wanted).map_err(|_| errno)?
            }
            Ok(room) => room,
        };
        let data = src.take_vec(room)?;
        let sent = data.len();
        if urgent && sent == wanted && sent > 0 {
            target.push_urgent(data, ancillary)?;
            let other = self.state.lock().other.clone();
            if let Some(other) = other.and_then(|other| other.upgrade()) {
                other.urgent_came();
            }
            return Ok(sent);
        }
        let mut from = if self.kind.connects() { Addr::Unnamed } else { reachable(&self.local()) };
        if is_udp {
            self.complete(to, &mut from, &mut ancillary.packet);
        }
        target.push(data, from, ancillary)?;
        Ok(sent)
    }

    /// Sends datagrams of `size` bytes each, or all as one to a socket that joins them (`UDP_GRO`).
    fn send_segments(
        &self,
        data: &[u8],
        to: Option<&Destination>,
        target: &Arc<Channel>,
        mut ancillary: Ancillary,
        size: usize,
    ) -> Result<usize, Errno> {
        let mut from = reachable(&self.local());
        self.complete(to, &mut from, &mut ancillary.packet);
        let receiver = self.aim(to).and_then(|aim| self.receiver(aim));
        let joins = receiver.is_some_and(|socket| socket.options.lock().joins_datagrams());
        let mut each = size;
        if joins {
            ancillary.packet.joined = errors::joined(size);
            each = data.len();
        }
        for piece in data.chunks(each) {
            // UDP loses what does not fit.
            if target.room(piece.len()).is_ok() {
                target.push(piece.to_vec(), from.clone(), ancillary.clone())?;
            }
        }
        Ok(data.len())
    }

    /// Fills in the headers of a datagram, and the source they say.
    fn complete(&self, to: Option<&Destination>, from: &mut Addr, packet: &mut Packet) {
        let peer = match to {
            Some(Destination::Inet(to)) => Addr::Inet(*to),
            _ => self.state.lock().peer.clone(),
        };
        if let Addr::Inet(to) = reachable(&peer) {
            packet.complete(self, to);
        }
        if let (Addr::Inet(from), Some(ip)) = (from, packet.from) {
            from.set_ip(ip);
        }
    }

    /// Tells the owner of urgent data.
    fn urgent_came(&self) {
        if self.owner.get().is_some_and(|owner| owner.tell_urgent()) {
            self.ears.listeners.tell_urgent();
        }
    }

    /// Takes the urgent byte (`MSG_OOB`), or only looks at it.
    ///
    /// # Errors
    /// `EINVAL` if there is none; `EOPNOTSUPP` for sockets that have none.
    pub fn receive_urgent(&self, peek: bool) -> Result<u8, Errno> {
        if self.kind != Kind::Stream {
            return Err(EOPNOTSUPP.into());
        }
        self.incoming.take_urgent(peek)
    }

    /// Sets whether urgent bytes are read like any other (`SO_OOBINLINE`).
    pub fn set_inline(&self, inline: bool) {
        self.incoming.set_inline(inline);
    }

    /// Whether bytes for the other end, which is gone, are taken all the same: a TCP connection
    /// learns of that by what it sends first.
    fn vanishes(&self, wanted: usize) -> bool {
        let mut state = self.state.lock();
        let first = self.family != AF_UNIX && self.kind.connects() && !state.reset;
        state.reset |= first && wanted > 0;
        first
    }
}
