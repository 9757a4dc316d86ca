//! Connections as they are made: listening sockets, what waits to be accepted, clients that go on
//! calling in the background.

use crate::addr::Addr;
use crate::socket::{Socket, State, reachable};
use bevor_abi::Errno;
use bevor_abi::errno::{
    EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EALREADY, ECONNABORTED, ECONNREFUSED, EINPROGRESS, EINVAL,
    EISCONN, EOPNOTSUPP, EPROTOTYPE,
};
use bevor_abi::socket::AF_UNIX;
use bevor_base::{Ready, WaitQueue};
use bevor_vfs::fasync::Band;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// Largest backlog (`somaxconn`).
const SOMAXCONN: usize = 4096;

/// What a listening socket holds.
pub(super) struct Backlog {
    /// The server's ends of connections nobody has accepted yet.
    waiting: VecDeque<Arc<Socket>>,
    limit: usize,
    /// TCP clients that found no room and did not want to wait, with the address they called.
    calling: VecDeque<(Weak<Socket>, Addr)>,
}

impl Backlog {
    fn is_full(&self) -> bool {
        self.waiting.len() > self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// The server's ends of what waits.
    pub(super) fn waiting(&self) -> Vec<Arc<Socket>> {
        self.waiting.iter().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Ends what waits, as its listener closes.
    pub(super) fn close(self) {
        for waiting in self.waiting {
            waiting.state.lock().error = Some(ECONNABORTED);
            waiting.close();
        }
        for client in self.calling.into_iter().filter_map(|(client, _)| client.upgrade()) {
            if client.state.lock().attempt == Attempt::Calling {
                client.refuse();
            }
        }
    }
}

/// How far a TCP connection is that a `connect` did not wait for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Attempt {
    /// There is none, or its end has been told.
    #[default]
    None,
    /// The listener has no room yet.
    Calling,
    /// Connected, which no `connect` has told yet.
    Connected,
    /// Nobody listens, which no `connect` has told yet.
    Refused,
}

/// Why a connection is not there yet.
pub enum Connecting {
    /// It never will be.
    Failed(Errno),
    /// The listener's backlog is full: wait on its queue.
    Wait(WaitQueue),
}

impl From<Errno> for Connecting {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl Socket {
    /// `listen(2)`.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EOPNOTSUPP`, `EINVAL` (connected, or an unbound unix socket).
    pub fn listen(&self, backlog: i32) -> Result<(), Errno> {
        if !self.kind.connects() {
            return Err(EOPNOTSUPP.into());
        }
        if self.family != AF_UNIX {
            self.autobind()?;
            if self.somebody_listens() {
                return Err(EADDRINUSE.into());
            }
        }
        let mut state = self.state.lock();
        if state.connected || state.name.is_none() {
            return Err(EINVAL.into());
        }
        let limit = usize::try_from(backlog).unwrap_or(SOMAXCONN).min(SOMAXCONN);
        match &mut state.backlog {
            Some(backlog) => backlog.limit = limit,
            None => {
                let (waiting, calling) = (VecDeque::new(), VecDeque::new());
                state.backlog = Some(Backlog { waiting, limit, calling });
            }
        }
        state.peer_cred = Some(self.cred);
        Ok(())
    }

    /// Whether another socket listens at its port, and does not share it (`SO_REUSEPORT`).
    fn somebody_listens(&self) -> bool {
        !self.options.lock().reuse_port && self.others_here().any(|other| other.is_listening())
    }

    /// Other internet sockets at its address.
    fn others_here(&self) -> impl Iterator<Item = Arc<Self>> + '_ {
        let here = match self.local() {
            Addr::Inet(local) => self.ns.find_port(self.transport(), local),
            _ => Vec::new(),
        };
        here.into_iter().filter(move |other| !std::ptr::eq(&raw const **other, self))
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// `EAGAIN` if none waits; `EINVAL` if it does not listen; `EOPNOTSUPP`.
    pub fn accept(&self) -> Result<Arc<Self>, Errno> {
        if !self.kind.connects() {
            return Err(EOPNOTSUPP.into());
        }
        let mut state = self.state.lock();
        let read_shut = state.read_shut;
        let backlog = state.backlog.as_mut().ok_or(EINVAL)?;
        let accepted = match backlog.waiting.pop_front() {
            Some(accepted) => accepted,
            None if read_shut => return Err(EINVAL.into()),
            None => return Err(EAGAIN.into()),
        };
        let next = self.answer_next(&mut state);
        drop(state);
        if let Some(client) = next {
            Self::announce(self, &client);
        }
        // Clients may wait for room.
        self.queue.wake(Ready::WRITABLE);
        Ok(accepted)
    }

    /// Connects the client that has been calling for longest, now that there is room.
    fn answer_next(&self, listener: &mut State) -> Option<Arc<Self>> {
        loop {
            let (client, addr) = listener.backlog.as_mut()?.calling.pop_front()?;
            let Some(client) = client.upgrade() else { continue };
            let mut calling = client.state.lock();
            if calling.attempt == Attempt::Calling {
                calling.attempt = Attempt::Connected;
                drop(calling);
                self.answer(listener, &client, &addr);
                return Some(client);
            }
        }
    }

    /// Makes a server's end for `client` and leaves it to be accepted.
    fn answer(&self, listener: &mut State, client: &Arc<Self>, addr: &Addr) {
        let local = match addr {
            Addr::Inet(_) => addr.clone(),
            _ => listener.local.clone(),
        };
        let server = Self::with(self.family, self.kind, self.ns.clone(), self.cred);
        let options = self.options.lock().clone();
        if let Some(bytes) = options.receive_buffer() {
            server.set_receive_buffer(bytes);
        }
        server.set_inline(options.oob_inline);
        *server.options.lock() = options;
        server.join(client);
        client.join(&server);
        let mut accepted = server.state.lock();
        accepted.local = reachable(&local);
        accepted.bound_inode = listener.bound_inode;
        accepted.peer = client.state.lock().local.clone();
        drop(accepted);
        client.state.lock().peer = reachable(addr);
        if let Some(backlog) = &mut listener.backlog {
            backlog.waiting.push_back(server);
        }
    }

    /// Tells who waits of a connection made.
    fn announce(listener: &Self, client: &Self) {
        listener.queue.wake(Ready::READABLE);
        listener.ears.listeners.tell(Band::In);
        client.queue.wake(Ready::WRITABLE);
        if client.family != AF_UNIX {
            client.ears.listeners.tell(Band::Out);
        }
    }

    /// Connects to `target`, found by `addr`. Answers the queue to wait on if the listener's
    /// backlog is full.
    ///
    /// # Errors
    /// `EISCONN`, `EPROTOTYPE`, `ECONNREFUSED`, `EADDRINUSE`, `EINVAL`.
    pub fn connect(&self, target: &Arc<Self>, addr: &Addr) -> Result<(), Connecting> {
        let this = self.arc()?;
        self.prepare(target)?;
        if !self.kind.connects() {
            self.may_send(target)?;
            let mut state = self.state.lock();
            state.other = Some(Arc::downgrade(target));
            state.connected = true;
            state.peer = addr.clone();
            return Ok(());
        }
        self.specialise(addr);
        let same = |other: Arc<Self>| other.peer().is_ok_and(|peer| peer == *addr);
        if self.family != AF_UNIX && self.others_here().any(same) {
            return Err(Errno::from(EADDRNOTAVAIL).into());
        }
        let mut listener = target.state.lock();
        let Some(backlog) = &listener.backlog else {
            return Err(Errno::from(ECONNREFUSED).into());
        };
        if backlog.is_full() {
            return Err(Connecting::Wait(target.queue.clone()));
        }
        target.answer(&mut listener, &this, addr);
        drop(listener);
        Self::announce(target, self);
        Ok(())
    }

    /// Whether a connection to `target` may be tried.
    fn prepare(&self, target: &Arc<Self>) -> Result<(), Errno> {
        if target.kind != self.kind {
            return Err(EPROTOTYPE.into());
        }
        if self.family != AF_UNIX {
            self.autobind()?;
        }
        let state = self.state.lock();
        if self.kind.connects() && state.backlog.is_some() {
            return Err(EINVAL.into());
        }
        if self.kind.connects() && state.connected {
            return Err(EISCONN.into());
        }
        Ok(())
    }

    /// Starts to connect a TCP socket to whoever listens at `addr`; `poll` and the next `connect`
    /// tell how it went.
    ///
    /// # Errors
    /// `EINPROGRESS` if it was started; `EADDRINUSE`, `EINVAL`, `ENETUNREACH`.
    pub fn start_to_connect(&self, addr: &Addr) -> Result<(), Errno> {
        let this = self.arc()?;
        let target = match self.find(addr) {
            Err(errno) if errno == ECONNREFUSED => None,
            found => Some(found?),
        };
        let Some(target) = target else {
            self.refuse();
            return Err(EINPROGRESS.into());
        };
        self.prepare(&target)?;
        self.specialise(addr);
        let mut listener = target.state.lock();
        match &mut listener.backlog {
            None => {
                drop(listener);
                self.refuse();
            }
            Some(backlog) if backlog.is_full() => {
                self.state.lock().attempt = Attempt::Calling;
                if backlog.calling.len() == backlog.calling.capacity() {
                    backlog.calling.retain(|(client, _)| client.strong_count() > 0);
                }
                backlog.calling.push_back((Arc::downgrade(&this), addr.clone()));
            }
            Some(_) => {
                self.state.lock().attempt = Attempt::Connected;
                target.answer(&mut listener, &this, addr);
                drop(listener);
                Self::announce(&target, self);
            }
        }
        Err(EINPROGRESS.into())
    }

    fn refuse(&self) {
        let mut state = self.state.lock();
        state.attempt = Attempt::Refused;
        state.error = Some(ECONNREFUSED);
        drop(state);
        self.queue.wake(Ready::ALL);
        self.ears.listeners.tell(Band::Error);
    }

    /// Tells a `connect` how far an earlier one is that did not wait: `None` if there was none.
    ///
    /// # Errors
    /// `EALREADY` while it goes on; why it failed, or `ECONNABORTED` if that was told already.
    pub fn started_connection(&self) -> Result<Option<()>, Errno> {
        let mut state = self.state.lock();
        match state.attempt {
            Attempt::None => Ok(None),
            Attempt::Calling => Err(EALREADY.into()),
            Attempt::Connected => {
                state.attempt = Attempt::None;
                Ok(Some(()))
            }
            Attempt::Refused => {
                state.attempt = Attempt::None;
                Err(state.error.take().unwrap_or(ECONNABORTED).into())
            }
        }
    }
}
