//! The sentry's end of a channel: one method per operation, from any thread.
//!
//! A call takes a free slot, publishes its request, and waits for the reply: watching for a few
//! microseconds, then sleeping. A sleeper looks every [`LIVENESS_CHECK`] whether the gofer still
//! lives; once it is gone every call, waiting or new, fails with EIO.
//!
//! Lock order: `slots` and `descriptors` are leaves; neither is held while waiting for a reply.

mod call;
mod content;
mod dir;
mod handle;
mod ops;

pub use call::LIVENESS_CHECK;
pub use content::{HostLock, LockKind, MAX_WRITE};
pub use dir::{DirEntries, DirEntry, Places};
pub use handle::Handle;
pub use ops::{
    Ahead, AheadOf, Created, MakeArgs, Opened, Renamed, Root, SetAttrArgs, TimeChange, Walk,
    WalkNode, WalkStop,
};

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use call::Shared;

/// The sentry's end of a channel. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

impl Client {
    /// Takes the sentry's end of a channel. Speaks to the gofer only when [`Client::roots`] or
    /// another method is called.
    ///
    /// # Errors
    /// Those of [`crate::ring::Ring::map`].
    pub fn new(memory: BorrowedFd<'_>, socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { shared: Arc::new(Shared::new(memory, socket)?) })
    }

    /// Whether the gofer is known to be gone; then every call fails with EIO.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.is_lost()
    }

    /// Ends the connection; the gofer exits. Every later call fails with EIO.
    pub fn shutdown(&self) {
        self.shared.shutdown();
    }
}
