//! The gofer: resolves every host path on behalf of a confined sentry.
//!
//! The sentry opens no path. It asks the gofer over a channel ([`bevor_gofer_protocol`]) and gets
//! attributes, listings and descriptors of regular files back. The gofer takes the sentry for
//! hostile: every message is validated, every name is looked up beneath one of the roots it was
//! given, no symlink is followed, nothing but regular files and directories is ever opened, and
//! the process is confined so that its roots are all it could reach if it were taken over.
//!
//! [`run`] is the process; [`Server`] alone, without confinement, serves tests and benches.
#![deny(unsafe_code)]

pub mod config;
mod confine;
mod hidden;
mod host;
mod moves;
mod ops;
mod process;
mod resolve;
mod root;
mod server;
mod table;

pub use config::{Config, Confine, HostSockets, IdRange, RootConfig, Sharing, Source};
pub use confine::{StartError, Step};
pub use process::{EXIT_CLOSED, EXIT_MALFORMED, run};
pub use server::{Limits, Server};
