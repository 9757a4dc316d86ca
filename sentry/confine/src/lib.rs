//! Host-call tables of every role, their seccomp filters, namespaces and privileges.
//!
//! A table ([`tables`]) is a list of [`Row`]s; [`compile`] makes the seccomp program from it,
//! [`install`] puts it on. The same rows are what `bevor surface` prints.
#![deny(unsafe_code)]

mod filter;
#[cfg(test)]
mod filter_tests;
mod host;
mod row;
pub mod tables;

pub use filter::{FilterError, Foreign, Options, Values, compile, ip_within};
pub use host::{Threads, install};
#[doc(hidden)]
pub use libc;
pub use row::{Arg, Form, Row, Test, Value, call_name, register};
pub use seccompiler::{BpfProgram, sock_filter};
