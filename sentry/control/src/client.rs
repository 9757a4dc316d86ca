//! A client: sends requests, waits for answers.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::message::{Answer, Envelope, Refusal, Reply, Request, RequestId};
use crate::wire::{Connection, WireError};

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The sandbox answered, with a refusal.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection failed.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// One connection to a sandbox, used by one thread.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    last_id: RequestId,
    early: VecDeque<Answer>,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

impl Client {
    /// Takes over a connected socket.
    #[must_use]
    pub const fn new(socket: OwnedFd) -> Self {
        Self { connection: Connection::new(socket), last_id: 0, early: VecDeque::new() }
    }

    /// Sends a request and returns the number its answers will carry. Requests may be sent without
    /// waiting for earlier answers; the sandbox takes them in order.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn send(&mut self, request: Request, fds: Vec<OwnedFd>) -> Result<RequestId, WireError> {
        self.last_id += 1;
        let id = self.last_id;
        self.connection.send(&Envelope { id, request }, fds)?;
        Ok(id)
    }

    /// Whether [`Client::try_next`] has to be called when the socket is writable.
    #[must_use]
    pub fn wants_to_write(&self) -> bool {
        self.connection.wants_to_write()
    }

    /// The next answer that has arrived. Never blocks.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn try_next(&mut self) -> Result<Option<Answer>, WireError> {
        if let Some(answer) = self.early.pop_front() {
            return Ok(Some(answer));
        }
        self.connection.flush()?;
        Ok(self.connection.receive()?.map(|(answer, _fds)| answer))
    }

    /// Blocks until the answer to request `id` arrives; others are kept for [`Client::try_next`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn wait_for(&mut self, id: RequestId) -> Result<Reply, ClientError> {
        if let Some(at) = self.early.iter().position(|answer| answer.id == id)
            && let Some(answer) = self.early.remove(at)
        {
            return Ok(answer.result?);
        }
        loop {
            self.connection.flush()?;
            while let Some((answer, _fds)) = self.connection.receive::<Answer>()? {
                if answer.id == id {
                    return Ok(answer.result?);
                }
                self.early.push_back(answer);
            }
            let mut events = PollFlags::POLLIN;
            if self.connection.wants_to_write() {
                events |= PollFlags::POLLOUT;
            }
            let mut fds = [PollFd::new(self.connection.as_fd(), events)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(WireError::Host(error.into()).into()),
            }
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn call(&mut self, request: Request, fds: Vec<OwnedFd>) -> Result<Reply, ClientError> {
        let id = self.send(request, fds)?;
        self.wait_for(id)
    }
}
