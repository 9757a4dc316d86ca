//! What others may see of a socket (`/proc/net`).

use crate::addr::Addr;
use crate::namespace::NetNamespace;
use crate::socket::Socket;
use crate::socket::listen::Attempt;
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
        let bound = state.name.is_some() || local != Addr::Unnamed;
        Shown { local, peer: state.peer.clone(), bound, progress, unread }
    }
}
