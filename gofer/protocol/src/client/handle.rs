//! Names of files the gofer found for us.

use std::fmt;
use std::sync::Arc;

use super::call::Shared;
use crate::wire::WireHandle;

/// A file the gofer knows by a number. Dropping it gives the number back (in batches).
///
/// A handle costs the gofer a table entry and no descriptor. It stays valid while the file is
/// where it was found, moves when [`Client::rename`](super::Client::rename) is told of it, and
/// answers ESTALE once something else is in its place.
pub struct Handle {
    number: WireHandle,
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(number: WireHandle, shared: &Arc<Shared>) -> Self {
        Self { number, shared: Arc::clone(shared) }
    }

    /// The number on the wire, for traces.
    #[must_use]
    pub const fn number(&self) -> WireHandle {
        self.number
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close_later(self.number);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:#x})", self.number)
    }
}
