//! Messages between guest memory and sockets of the host (`sendmsg(2)`, `recvmsg(2)`).

use crate::host;
use crate::io::{IoDst, IoSrc};
use bevor_abi::Errno;
use bevor_abi::errno::EFAULT;
use std::os::fd::BorrowedFd;

/// Longest address of a socket (`struct sockaddr_storage`).
pub const ADDRESS_BYTES: usize = 128;

/// What goes with the bytes of a message to a socket of the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// Whom it is for, as the host writes addresses; empty for the peer.
    pub to: &'a [u8],
    /// Control messages, as the host writes them.
    pub control: &'a [u8],
    /// `MSG_*`. The descriptor must not block, whatever they say.
    pub flags: i32,
    /// Whether the bytes are one message: all of them go, or none.
    pub whole: bool,
}

/// What comes with the bytes of a message from a socket of the host.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// `MSG_*`: before the call those asked for, afterwards those of the message.
    pub flags: i32,
    /// Who sent it, as the host writes addresses.
    pub from: [u8; ADDRESS_BYTES],
    /// Bytes of `from`: before the call the room there is, afterwards those that tell something.
    pub from_len: usize,
    /// Control messages: before the call as long as the room for them, afterwards as they came.
    pub control: Vec<u8>,
}

impl Incoming {
    /// Nothing but the bytes is wanted.
    #[must_use]
    pub const fn bytes_only(flags: i32) -> Self {
        Self { flags, from: [0; ADDRESS_BYTES], from_len: 0, control: Vec::new() }
    }
}

/// Checks that the pieces of memory are all of a message: what is beyond them cannot be reached.
fn is_whole(vecs: &[host::HostVec], wanted: u64) -> Result<(), Errno> {
    let reached: u64 = vecs.iter().map(|vec| vec.iov_len as u64).sum();
    if reached == wanted { Ok(()) } else { Err(EFAULT.into()) }
}

impl IoSrc<'_> {
    /// Sends straight from the source to a socket of the host.
    ///
    /// The memory stays locked meanwhile: the descriptor must not block.
    ///
    /// # Errors
    /// `EFAULT` if nothing can be read, or not all of a whole message; the host's error.
    pub fn host_send(
        &mut self,
        fd: BorrowedFd<'_>,
        message: &Outgoing<'_>,
    ) -> Result<usize, Errno> {
        let wanted = self.remaining();
        if wanted == 0 {
            // SAFETY: there is no vector.
            return unsafe { host::send_from(fd, &[], message) };
        }
        self.with_host(wanted, &mut |vecs| {
            if message.whole {
                is_whole(vecs, wanted)?;
            }
            // SAFETY: the vectors name memory that stays mapped during the call.
            unsafe { host::send_from(fd, vecs, message) }
        })
    }
}

impl IoDst<'_> {
    /// Receives from a socket of the host straight into the destination. Answers the host's number,
    /// which with `MSG_TRUNC` may be more than was put.
    ///
    /// The memory stays locked meanwhile: the descriptor must not block.
    ///
    /// # Errors
    /// `EFAULT` if nothing can be written; the host's error.
    pub fn host_receive(
        &mut self,
        fd: BorrowedFd<'_>,
        message: &mut Incoming,
    ) -> Result<usize, Errno> {
        let wanted = self.remaining();
        if wanted == 0 {
            // SAFETY: there is no vector.
            return unsafe { host::receive_into(fd, &[], message) };
        }
        let mut answered = 0;
        self.with_host(wanted, &mut |vecs| {
            let room: usize = vecs.iter().map(|vec| vec.iov_len).sum();
            // SAFETY: the vectors name memory that stays mapped during the call.
            answered = unsafe { host::receive_into(fd, vecs, message) }?;
            Ok(answered.min(room))
        })?;
        Ok(answered)
    }
}
