//! The system-call table and the handlers, one file per area.
//!
//! [`table`] has one row per call; [`table::dispatch`] is the `match` made of it. A handler is a
//! plain function `fn name(ctx: &mut Ctx<'_>, …) -> SysResult` in the file of its area.
#![forbid(unsafe_code)]

pub mod aio;
pub mod args;
pub mod async_io;
pub mod attr;
pub mod barrier;
pub mod clock;
pub mod copy;
pub mod credentials;
pub mod dir;
pub mod docs;
pub mod event;
mod extensible;
pub mod fd;
pub mod file_attr;
pub mod futex;
pub mod handles;
pub mod ids;
pub mod inotify;
pub mod io;
mod ipc;
pub mod kcmp;
pub mod landlock;
pub mod link;
pub mod locks;
pub mod lsm;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod mount_api;
pub mod mount_report;
pub mod mqueue;
pub mod msg;
pub mod namespaces;
pub mod numa;
pub mod open;
pub mod paths;
pub mod pidfd;
pub mod pipe;
pub mod poll;
pub mod prctl;
pub mod process;
pub mod proof;
pub mod ptrace;
pub mod record;
pub mod rlimit;
pub mod row;
pub mod sched;
pub mod seccomp;
pub mod sem;
pub mod sets;
pub mod shm;
pub mod signal;
pub mod signalfd;
pub mod sleep;
pub mod socket;
pub mod stat;
pub mod strace;
pub mod sync;
pub mod system;
pub mod table;
pub mod target;
pub mod timers;
pub mod tty;
pub mod xattr;

use bevor_abi::Errno;
pub use bevor_kernel::{Ctx, SysResult};

/// Counts a call nobody serves and fails it.
fn missing(ctx: &Ctx<'_>, nr: u64, errno: Errno) -> SysResult {
    ctx.kernel().note_unknown_syscall(nr);
    Err(errno.into())
}

/// The row of a call.
#[must_use]
pub fn row(nr: u64) -> Option<&'static row::Row> {
    let index = table::ROWS.binary_search_by_key(&nr, |row| row.nr).ok()?;
    table::ROWS.get(index)
}
