//! Calls that wait for a lock.

use crate::locks::{Kind, Owner, Record};
use bevor_base::WaitQueue;

/// A wait for a lock: register on `queue`, then make the call again with it.
#[derive(Clone, Debug)]
pub struct Wait {
    /// Names the wait.
    pub id: u64,
    /// Woken when the lock may be free.
    pub queue: WaitQueue,
    /// Others on the host are in the way, who wake nobody here: ask again after a while.
    pub on_host: bool,
}

/// What is waited for.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Record(Record),
    Whole(Kind),
}

pub(super) struct Waiter {
    pub(super) id: u64,
    pub(super) owner: Owner,
    pub(super) wanted: Wanted,
    pub(super) queue: WaitQueue,
}
