//! Messages and shared-memory channel between the sentry and the gofer, with its client.
//!
//! - [`client`] is what the sentry calls: one method per operation, from any thread.
//! - [`service`] is the gofer's end: claims requests, answers them.
//! - [`ring`] is the shared memory between them, [`wire`] the messages in it, [`codec`] how they
//!   are put together and taken apart.
//!
//! The launcher makes a channel with [`channel`] and hands one end to each side.
#![deny(unsafe_code)]

pub mod attr;
pub mod client;
pub mod codec;
mod host;
pub mod ring;
pub mod service;
mod spin;
pub mod wire;

use std::io;
use std::os::fd::OwnedFd;

pub use attr::{Attr, AttrFlags, Device, Time};
pub use client::{Client, Handle};

/// The descriptors of a new channel.
///
/// The memory goes to both sides, one socket to each. Every other copy of the sockets must be
/// closed: a side notices that the other is gone by the end of its socket.
#[derive(Debug)]
pub struct ChannelFds {
    /// The memory of the ring.
    pub memory: OwnedFd,
    /// The sentry's socket.
    pub client_socket: OwnedFd,
    /// The gofer's socket.
    pub server_socket: OwnedFd,
}

/// Makes the descriptors of a new channel, all close-on-exec.
///
/// # Errors
/// Those of `memfd_create(2)`, `mmap(2)` and `socketpair(2)`.
pub fn channel() -> io::Result<ChannelFds> {
    let memory = ring::Ring::create()?;
    let (client_socket, server_socket) = host::socket_pair()?;
    Ok(ChannelFds { memory, client_socket, server_socket })
}
