//! Executor, tasks, signals, futexes, timers, credentials, namespaces, descriptor tables.
//!
//! Lock order, outermost first:
//! ```text
//! Task::future                the polling worker's, for the length of a poll
//! └ Kernel::tree              process tree
//!   └ ThreadGroup::threads
//!     └ ThreadGroup::signals
//!       └ Task::signals
//!         └ leaves: Handlers, FdTable, Limits, Seccomp, wait queues, run queues
//!   └ Notifier (seccomp)      above FdTable
//! futex buckets               stand alone, above MemoryManager
//! ```
#![deny(unsafe_code)]

pub mod aio;
pub mod block;
pub mod clone;
pub mod container;
pub mod ctx;
pub mod exec;
pub mod executor;
pub mod exit;
pub mod fd;
pub mod fs;
pub mod futex;
pub mod group;
pub mod host;
pub mod inspect;
pub mod ipc;
pub mod kernel;
pub mod limits;
pub mod load;
pub mod ns;
pub mod nsfs;
pub mod oom;
pub mod pid;
pub mod ptrace;
pub mod seccomp;
pub mod session;
pub mod signal;
pub mod start;
pub mod task;
pub mod timers;
pub mod tree;
pub mod wait;

pub use block::{Block, Progress, Restart, Stop, SysResult};
pub use ctx::Ctx;
pub use kernel::{Dispatch, Kernel};
pub use task::Task;
