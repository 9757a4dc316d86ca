//! Host-call tables of every role, their seccomp filters, namespaces and privileges.
//!
//! A table ([`tables`]) is a list of [`Row`]s; [`compile`] makes the seccomp program from it,
//! [`install`] puts it on. The same rows are what `bevor surface` prints.
#![deny(unsafe_code)]

mod arch;
mod filter;
#[cfg(test)]
mod filter_tests;
mod host;
pub mod privileges;
mod row;
mod sites;
pub mod tables;

pub use filter::{FilterError, Foreign, Options, Values, compile, ip_within};
pub use host::{
    Child, Landlock, LandlockRights, MountTree, Namespaces, Spawn, Threads, cover, empty_root,
    exit_now, failed_step, forget_own_code, give_heap_back, inherited, install, landlock_abi,
    large_folio_files, pivot_into, private_mounts, probe, report_refused_calls, spawn, uncover,
    use_one_heap,
};
#[doc(hidden)]
pub use libc;
pub use row::{Arg, Form, Row, Test, Value, call_name, register};
pub use seccompiler::{BpfProgram, sock_filter};
pub use sites::{Site, compile_sites};
