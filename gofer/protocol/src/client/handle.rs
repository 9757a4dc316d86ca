//! Names of files the gofer found for us.

use std::fmt;
use std::sync::Arc;

use super::call::Shared;
use crate::wire::WireHandle;

/// A file the gofer knows by a number. Dropping it gives the number back, by way of
/// the next request.
///
/// A handle costs the gofer a table entry and no descriptor. It stays valid while the file is
/// where it was found, moves with it under [`Client::rename`](super::Client::rename), and answers
/// ESTALE once someone else put something else in its place.
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
