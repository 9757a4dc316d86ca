//! Small shared kernel vocabulary: wait queues, timers, clocks, credentials, identifiers.
//!
//! Lowest crate with state. Nothing here knows what a file, a page or a task is.
#![deny(unsafe_code)]

pub mod clock;
pub mod cred;
pub mod landlock;
pub mod ready;
mod setid;
pub mod timer;
pub mod wait;

pub use cred::{Credentials, UserNamespace};
pub use ready::Ready;
pub use wait::{Registration, WaitQueue, Wakeable};
