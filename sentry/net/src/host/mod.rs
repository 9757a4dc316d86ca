//! The host's network (`--net host`): sockets of a guest that are sockets of the host.
//!
//! The sentry makes them, in the network namespace it was started in, under a filter that knows
//! `AF_INET` and `AF_INET6` alone. Everything else a network namespace has stays the sentry's own:
//! unix and netlink sockets, whose answers about interfaces and routes are those the host gave when
//! the sandbox started ([`Interfaces`]).
//!
//! - [`HostSocket`] is the open file; it blocks nobody, and [`poller`] tells when to try again.
//! - [`options`] and [`control`] list what passes; [`calls`] holds every host call.

mod calls;
pub mod control;
mod interfaces;
pub mod options;
mod poller;
mod socket;
pub mod unix;

pub use interfaces::{Interface, Interfaces};
pub use socket::{Connecting, HostSocket};

use bevor_abi::Errno;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// The host's network, as this sentry may use it.
pub struct Network {
    poller: Arc<poller::Poller>,
    /// What it looked like when the sandbox started.
    pub interfaces: Interfaces,
    sockets: AtomicUsize,
    max_sockets: usize,
}

impl Network {
    /// Starts to use the host's network, with at most `max_sockets` sockets at a time. Makes a thread
    /// and host calls no filter allows: call it before the filter.
    ///
    /// # Errors
    /// `ENOMEM`, `EMFILE`; what the host answers.
    pub fn start(interfaces: Interfaces, max_sockets: usize) -> Result<Arc<Self>, Errno> {
        let (poller, sockets) = (poller::Poller::start()?, AtomicUsize::new(0));
        Ok(Arc::new(Self { poller, interfaces, sockets, max_sockets }))
    }
}
