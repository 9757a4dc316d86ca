//! Starts a sentry: confinement, kernel, root file system, control server.
//!
//! [`sentry_role`] is the main function of the process. The order of its steps is what makes the
//! walls complete: everything that needs the host's good will (namespaces, identities, the first stub
//! process) comes before the privileges go, and no byte of a guest is read before the filter is on.
#![forbid(unsafe_code)]

mod changes;
mod clock;
pub mod config;
pub mod confinement;
mod control;
mod logging;
mod network;
mod role;
mod tree;
mod users;

pub use role::sentry_role;
