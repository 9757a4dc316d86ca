//! Terminals (`tty(4)`, `termios(3)`, `ioctl_tty(2)`).
//!
//! [`line`] is the line discipline, [`Settings`] what `tcgetattr` shows, [`job_control`] the
//! commands about sessions and foreground groups. Pseudo-terminals ([`crate::devpts`]) and
//! terminals of the host ([`crate::host`]) are [`Terminal`]s; who is in the foreground of one is
//! the kernel's knowledge, asked for through [`JobControl`] and told through [`Sessions`].
//!
//! A terminal never calls either with a lock of its own held.
//!
//! [`JobControl`]: crate::caller::JobControl

mod device;
pub mod job_control;
pub mod line;
mod settings;

pub(crate) use device::PTS_MAJOR;
pub use device::register;
pub use line::{Line, Outlet};
pub use settings::Settings;

use crate::caller::Caller;
use crate::file::{FileOps, OpenFlags};
use bevor_abi::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A terminal that can control a session.
pub trait Terminal: Send + Sync + std::fmt::Debug {
    /// Its number, from [`next_id`].
    fn id(&self) -> u64;

    /// Its device number (`tty_nr` of `/proc/PID/stat`).
    fn rdev(&self) -> u64;

    /// Opens it for a process it controls (`/dev/tty`).
    ///
    /// # Errors
    /// `EIO` once it is hung up; `EBUSY` while it is exclusive.
    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno>;

    /// Takes it away from all who have it open (`vhangup(2)`).
    fn hang_up(&self);
}

/// The kernel's sessions as a terminal reaches them when nobody in particular calls.
pub trait Sessions: Send + Sync {
    /// Sends a signal to the foreground process group of a terminal, if it has one.
    fn signal_foreground(&self, tty: u64, signo: i32);

    /// A terminal is gone: the session it controls loses it, the session's leader gets `SIGHUP` and
    /// `SIGCONT`.
    fn hung_up(&self, tty: u64);
}

/// Draws the number of a new terminal.
#[must_use]
pub fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
