//! Sockets: unix, inet over the sandbox's own loopback or through the host's network, and netlink.
#![deny(unsafe_code)]

pub mod addr;
pub mod channel;
pub mod errors;
pub mod host;
#[cfg(test)]
mod hostile_tests;
mod ioctl;
pub mod namespace;
pub mod netlink;
pub mod options;
pub mod packet;
pub mod socket;

pub use addr::Addr;
pub use channel::Ancillary;
pub use socket::{Connecting, Destination, Kind, Socket, SocketFile};
