//! Framing: a length and a tag, JSON, descriptors beside the first byte.
//!
//! A connection never blocks: bytes and descriptors wait in buffers on both sides of it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::host;

/// Longest message, bytes. A program's arguments and environment have to fit.
pub const MAX_MESSAGE: usize = 16 << 20;
/// Most descriptors beside one message.
pub const MAX_DESCRIPTORS: usize = 32;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side is gone.
    #[error("the other side of the control socket is gone")]
    Closed,
    /// A frame that is no message.
    #[error("bad message on the control socket: {0}")]
    Bad(String),
    /// The host's refusal.
    #[error("control socket: {0}")]
    Host(#[from] io::Error),
}

/// A frame starts with the length of its JSON and the number of its descriptors.
const HEAD: usize = 8;

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    input: Vec<u8>,
    received: VecDeque<OwnedFd>,
    output: VecDeque<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Connection {
    /// Takes over a connected stream socket. Its blocking mode does not matter.
    #[must_use]
    pub const fn new(socket: OwnedFd) -> Self {
        Self { socket, input: Vec::new(), received: VecDeque::new(), output: VecDeque::new() }
    }

    /// Queues a message and sends what the host takes at once.
    ///
    /// # Errors
    /// [`WireError`]; a message that is too long is [`WireError::Bad`].
    pub fn send(&mut self, message: &impl Serialize, fds: Vec<OwnedFd>) -> Result<(), WireError> {
        let mut bytes = vec![0; HEAD];
        serde_json::to_writer(&mut bytes, message).map_err(|e| WireError::Bad(e.to_string()))?;
        let len = bytes.len() - HEAD;
        if len > MAX_MESSAGE || fds.len() > MAX_DESCRIPTORS {
            return Err(WireError::Bad(format!("{len} bytes are too long for a message")));
        }
        let bad = |_| WireError::Bad("length".into());
        bytes[..4].copy_from_slice(&u32::try_from(len).map_err(bad)?.to_le_bytes());
        bytes[4..HEAD].copy_from_slice(&u32::try_from(fds.len()).map_err(bad)?.to_le_bytes());
        self.output.push_back(Outgoing { bytes, sent: 0, fds });
        self.flush()
    }

    /// Whether something waits until the socket is writable.
    #[must_use]
    pub fn wants_to_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Sends what the host takes now.
    ///
    /// # Errors
    /// [`WireError::Closed`], [`WireError::Host`].
    pub fn flush(&mut self) -> Result<(), WireError> {
        while let Some(front) = self.output.front_mut() {
            let raw: Vec<RawFd> = front.fds.iter().map(AsRawFd::as_raw_fd).collect();
            let rights = [ControlMessage::ScmRights(&raw)];
            // Descriptors go with the first byte only.
            let control = if front.sent == 0 && !raw.is_empty() { &rights[..] } else { &[] };
            let data = [IoSlice::new(&front.bytes[front.sent..])];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match sendmsg::<UnixAddr>(self.socket.as_raw_fd(), &data, control, flags, None) {
                Ok(count) => front.sent += count,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(WireError::Closed),
                Err(error) => return Err(WireError::Host(error.into())),
            }
            if front.sent == front.bytes.len() {
                self.output.pop_front();
            }
        }
        Ok(())
    }

    /// The next message that has arrived in full, with its descriptors. `None`: none yet.
    ///
    /// # Errors
    /// [`WireError::Closed`] when the other side is gone and all it sent was read.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<OwnedFd>)>, WireError> {
        loop {
            if let Some(message) = self.parse()? {
                return Ok(Some(message));
            }
            let mut chunk = [0_u8; 16 << 10];
            let mut space = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
            let mut data = [IoSliceMut::new(&mut chunk)];
            match host::receive(self.socket.as_fd(), &mut data, &mut space) {
                Ok((0, _)) => return Err(WireError::Closed),
                Ok((count, fds)) => {
                    self.input.extend_from_slice(&chunk[..count]);
                    self.received.extend(fds);
                    if self.received.len() > 2 * MAX_DESCRIPTORS {
                        return Err(WireError::Bad("descriptors without a message".into()));
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::ECONNRESET) => return Err(WireError::Closed),
                Err(error) => return Err(WireError::Host(error.into())),
            }
        }
    }

    /// Cuts a message off the input.
    fn parse<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<OwnedFd>)>, WireError> {
        let Some(&[a, b, c, d, e, f, g, h]) = self.input.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let word = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
        let (len, count) = (word([a, b, c, d]), word([e, f, g, h]));
        if len > MAX_MESSAGE || count > MAX_DESCRIPTORS {
            return Err(WireError::Bad(format!("a length of {len} bytes")));
        }
        let Some(json) = self.input.get(HEAD..HEAD + len) else { return Ok(None) };
        if self.received.len() < count {
            return Err(WireError::Bad("descriptors are missing".into()));
        }
        let message = serde_json::from_slice(json).map_err(|e| WireError::Bad(e.to_string()))?;
        self.input.drain(..HEAD + len);
        Ok(Some((message, self.received.drain(..count).collect())))
    }
}
