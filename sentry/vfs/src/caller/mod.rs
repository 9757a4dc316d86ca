//! What a file operation may ask of the task that makes it.

mod kernel;

pub use kernel::KernelCaller;

use crate::file::File;
use crate::tty::{Sessions, Terminal};
use bevor_abi::Errno;
use bevor_abi::errno::{EMFILE, ENOTTY, EPERM};
use bevor_base::Credentials;
use bevor_memory::MemoryManager;
use std::any::Any;
use std::sync::{Arc, Weak};

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

    /// Gives a file the lowest free descriptor (`TIOCGPTPEER`).
    ///
    /// # Errors
    /// `EMFILE`.
    fn install(&self, file: Arc<File>, close_on_exec: bool) -> Result<i32, Errno> {
        let _ = (file, close_on_exec);
        Err(EMFILE.because("a caller without descriptors"))
    }

    /// The kernel's own task object, for the few file systems that need it (procfs).
    fn as_any(&self) -> &dyn Any;
}

/// Sessions and process groups as a terminal sees them (`credentials(7)`, `ioctl_tty(2)`). Numbers
/// are those of the caller's pid namespace; terminals go by [`Terminal::id`].
pub trait JobControl {
    /// The sessions themselves, for what a terminal tells later.
    fn sessions(&self) -> Weak<dyn Sessions>;

    /// The caller's controlling terminal, if it has one.
    fn controlling_tty(&self) -> Option<Arc<dyn Terminal>>;

    /// Makes `tty` the controlling terminal of the caller's session (`TIOCSCTTY`), even if it is
    /// that of another with `steal`.
    ///
    /// # Errors
    /// `EPERM`: the caller leads no session, has a terminal, or another session has this one.
    fn take_terminal(&self, tty: &Arc<dyn Terminal>, steal: bool) -> Result<(), Errno>;

    /// Makes `tty` the controlling terminal of a caller that leads a session without one, if `tty`
    /// controls no session (`open(2)` without `O_NOCTTY`).
    ///
    /// # Errors
    /// `EPERM`: that is not so.
    fn take_free_terminal(&self, tty: &Arc<dyn Terminal>) -> Result<(), Errno>;

    /// Gives up the controlling terminal (`TIOCNOTTY`). If the caller leads its session all of it
    /// does, and the foreground group gets `SIGHUP` and `SIGCONT`.
    fn give_up_terminal(&self);

    /// Checks that the caller may use `tty`; one in the background is sent `signo`, together with
    /// its process group.
    ///
    /// # Errors
    /// `ERESTARTSYS` after the signal was sent; `EIO` if it cannot be: the group is orphaned, or
    /// `SIGTTIN` is blocked or ignored.
    fn check_background(&self, tty: u64, signo: i32) -> Result<(), Errno>;

    /// The foreground process group of `tty`; 0 if it has none.
    fn foreground(&self, tty: u64) -> i32;

    /// The session `tty` controls.
    fn session_of(&self, tty: u64) -> Option<i32>;

    /// Makes `pgid` the foreground group of `tty`.
    ///
    /// # Errors
    /// `ENOTTY` if it is not the caller's controlling terminal; `EINVAL`, `ESRCH`; `EPERM` for a
    /// group of another session.
    fn set_foreground(&self, tty: u64, pgid: i32) -> Result<(), Errno>;
}

/// Whoever has no session: the kernel itself.
pub struct NoSession;

impl JobControl for NoSession {
    fn sessions(&self) -> Weak<dyn Sessions> {
        Weak::<Deaf>::new()
    }

    fn controlling_tty(&self) -> Option<Arc<dyn Terminal>> {
        None
    }

    fn take_terminal(&self, tty: &Arc<dyn Terminal>, steal: bool) -> Result<(), Errno> {
        let _ = (tty, steal);
        Err(EPERM.into())
    }

    fn take_free_terminal(&self, tty: &Arc<dyn Terminal>) -> Result<(), Errno> {
        let _ = tty;
        Err(EPERM.into())
    }

    fn give_up_terminal(&self) {}

    fn check_background(&self, tty: u64, signo: i32) -> Result<(), Errno> {
        let _ = (tty, signo);
        Ok(())
    }

    fn foreground(&self, tty: u64) -> i32 {
        let _ = tty;
        0
    }

    fn session_of(&self, tty: u64) -> Option<i32> {
        let _ = tty;
        None
    }

    fn set_foreground(&self, tty: u64, pgid: i32) -> Result<(), Errno> {
        let _ = (tty, pgid);
        Err(ENOTTY.into())
    }
}

/// Sessions nobody is in.
struct Deaf;

impl Sessions for Deaf {
    fn signal_foreground(&self, tty: u64, signo: i32) {
        let _ = (tty, signo);
    }

    fn hung_up(&self, tty: u64) {
        let _ = tty;
    }
}
