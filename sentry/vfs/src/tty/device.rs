//! `/dev/tty` (`tty(4)`): the controlling terminal of whoever opens it.

use crate::caller::Caller;
use crate::dev::{self, Driver, PTMX, TTY};
use crate::file::{FileOps, OpenFlags};
use bevor_abi::Errno;
use bevor_abi::errno::{EIO, ENODEV, ENXIO};
use bevor_abi::stat::major;
use std::sync::Arc;

/// Major number of the slaves of pseudo-terminals.
pub(crate) const PTS_MAJOR: u32 = 136;

struct TtyDriver;

impl Driver for TtyDriver {
    fn open(
        &self,
        rdev: u64,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        match rdev {
            TTY => caller.terminal().controlling_tty().ok_or(ENXIO)?.open(flags, caller),
            PTMX => Err(ENODEV.because("no devpts beside it")),
            _ if major(rdev) == PTS_MAJOR => Err(EIO.because("a pseudo-terminal outside devpts")),
            _ => Err(ENXIO.into()),
        }
    }
}

/// Makes the terminal devices known.
pub fn register() {
    let driver = Arc::new(TtyDriver);
    dev::register(major(TTY), driver.clone());
    dev::register(PTS_MAJOR, driver);
}
