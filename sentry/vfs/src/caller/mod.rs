//! What a file operation may ask of the task that makes it.

mod kernel;

pub use kernel::KernelCaller;

use bevor_abi::Errno;
use bevor_base::Credentials;
use bevor_memory::MemoryManager;
use std::any::Any;
use std::sync::Arc;

/// The task on whose behalf a file operation runs. Implemented by the kernel crate.
pub trait Caller {
    /// Its credentials.
    fn cred(&self) -> Arc<Credentials>;

    /// Its memory.
    fn mm(&self) -> &Arc<MemoryManager>;

    /// Its file-creation mask.
    fn umask(&self) -> u32;

    /// Thread group id, as the initial pid namespace of the container numbers it.
    fn tgid(&self) -> i32;

    /// Thread id.
    fn tid(&self) -> i32;

    /// Process group, session and controlling terminal questions of terminals.
    fn terminal(&self) -> &dyn JobControl;

    /// Soft limit of a resource (`RLIMIT_*`).
    fn rlimit(&self, resource: u32) -> u64;

    /// Sends the task a signal (`SIGPIPE`, `SIGXFSZ`).
    fn raise(&self, signo: i32);

    /// The kernel's own task object, for the few file systems that need it (procfs).
    fn as_any(&self) -> &dyn Any;
}

/// Sessions and process groups as a terminal sees them (`credentials(7)`, `tty_ioctl(4)`).
pub trait JobControl {
    /// The caller's session.
    fn sid(&self) -> i32;

    /// The caller's process group.
    fn pgid(&self) -> i32;

    /// Whether the caller leads its session.
    fn is_session_leader(&self) -> bool;

    /// Whether `pgid` is a group of session `sid`.
    fn group_in_session(&self, pgid: i32, sid: i32) -> bool;

    /// Whether process group `pgid` is orphaned.
    fn is_orphaned(&self, pgid: i32) -> bool;

    /// Whether the caller blocks or ignores signal `signo`.
    fn ignores(&self, signo: i32) -> bool;

    /// Sends `signo` to every process of group `pgid`.
    fn signal_group(&self, pgid: i32, signo: i32);

    /// The id of the caller's controlling terminal, if it has one.
    fn controlling_tty(&self) -> Option<u64>;

    /// Makes terminal `tty` the controlling terminal of the caller's session.
    ///
    /// # Errors
    /// `EPERM`.
    fn set_controlling_tty(&self, tty: u64) -> Result<(), Errno>;

    /// Gives up the controlling terminal (`TIOCNOTTY`).
    fn drop_controlling_tty(&self);
}
