//! What others may see of a socket (`/proc/net`).

use crate::addr::Addr;
use crate::channel::DEFAULT_BYTES;
use crate::namespace::NetNamespace;
use crate::socket::Socket;
use crate::socket::listen::{Attempt, Backlog};
use bevor_abi::conv::{high_u32, low_u32};
use bevor_abi::inet::{
    TCP_CLOSE, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_FIN_WAIT2, TCP_LISTEN, TCP_SYN_SENT,
};
use std::sync::Arc;

/// How far a connection is, under TCP's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Neither connected nor listening.
    Closed,
    /// `LISTEN`.
    Listening,
    /// `SYN_SENT`.
    Calling,
    /// `ESTABLISHED`; also a datagram socket with a peer.
    Connected,
    /// `FIN_WAIT2`: this end has said all.
    Finished,
    /// `CLOSE_WAIT`: the other end has said all.
    Finishing,
}

impl Progress {
    /// TCP's number for it (`net/tcp_states.h`).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Connected => TCP_ESTABLISHED,
            Self::Calling => TCP_SYN_SENT,
            Self::Finished => TCP_FIN_WAIT2,
            Self::Closed => TCP_CLOSE,
            Self::Finishing => TCP_CLOSE_WAIT,
            Self::Listening => TCP_LISTEN,
        }
    }
}

/// A socket as it is just now.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its own address.
    pub local: Addr,
    /// The address it is connected to, if it is.
    pub peer: Addr,
    /// Whether it has a name of its own, or an address the kernel chose.
    pub bound: bool,
    /// How far it is.
    pub progress: Progress,
    /// Bytes that can be read, or connections to accept.
    pub unread: usize,
    /// Connections a listening socket has room for.
    pub room: usize,
    /// Whether it has a peer.
    pub connected: bool,
    /// What was shut down: 1 for receiving, 2 for sending.
    pub shut: u8,
}

impl Socket {
    /// Whether it belongs to a network namespace.
    #[must_use]
    pub fn is_in(&self, ns: &Arc<NetNamespace>) -> bool {
        Arc::ptr_eq(&self.ns, ns)
    }

    /// What is to be seen of it.
    #[must_use]
    pub fn show(&self) -> Shown {
        let local = self.local();
        let said_all = self.inbox().is_write_closed();
        let pending = self.inbox().pending();
        let state = self.state.lock();
        let (progress, unread) = match (&state.backlog, state.attempt) {
            (Some(backlog), _) => (Progress::Listening, backlog.len()),
            (None, Attempt::Calling) => (Progress::Calling, 0),
            _ if !state.connected => (Progress::Closed, pending),
            _ if !self.kind.connects() => (Progress::Connected, pending),
            _ => match (state.write_shut, said_all) {
                (false, false) => (Progress::Connected, pending),
                (true, false) => (Progress::Finished, pending),
                (false, true) => (Progress::Finishing, pending),
                (true, true) => (Progress::Closed, pending),
            },
        };
        let room = state.backlog.as_ref().map_or(0, Backlog::limit);
        let connected = state.connected;
        let (deaf, mute) = (state.read_shut || said_all, state.write_shut);
        let shut = u8::from(deaf) | u8::from(mute) << 1;
        let bound = state.name.is_some() || local != Addr::Unnamed;
        let peer = state.peer.clone();
        Shown { local, peer, bound, progress, unread, room, connected, shut }
    }

    /// Its number among all sockets, in two halves.
    #[must_use]
    pub const fn cookie(&self) -> [u32; 2] {
        [low_u32(self.number), high_u32(self.number)]
    }

    /// The inode of its file; 0 while it has none.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode.get().copied().unwrap_or(0)
    }

    /// Bytes to read, and the sizes of the buffers for receiving and sending.
    #[must_use]
    pub fn memory(&self) -> (usize, usize, usize) {
        let unread = self.inbox().pending();
        let options = self.options.lock();
        let receive = options.receive_buffer().unwrap_or(DEFAULT_BYTES);
        let send = options.send_buffer().and_then(|bytes| usize::try_from(bytes).ok());
        (unread, receive, send.map_or(DEFAULT_BYTES, |bytes| bytes * 2))
    }

    /// Device and number of the inode its name is of.
    #[must_use]
    pub fn bound_inode(&self) -> Option<(u64, u64)> {
        self.state.lock().bound_inode
    }

    /// The inode of the socket it is connected to, if that is still there.
    #[must_use]
    pub fn peer_inode(&self) -> Option<u64> {
        let other = self.state.lock().other.clone()?;
        Some(other.upgrade()?.inode())
    }

    /// The inodes of clients that wait to be accepted.
    #[must_use]
    pub fn callers(&self) -> Vec<u64> {
        let waiting = self.state.lock().backlog.as_ref().map_or_else(Vec::new, Backlog::waiting);
        waiting.iter().map(|server| server.peer_inode().unwrap_or(0)).collect()
    }
}
