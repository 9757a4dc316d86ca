//! Device files: the drivers behind device numbers, the memory devices, and the usual `/dev`.

mod devtmpfs;
mod mem;
mod random;
mod zero;

pub use devtmpfs::{populate, register as register_fs, superblock};

use crate::caller::Caller;
use crate::file::{FileOps, OpenFlags};
use crate::inode::FileType;
use bevor_abi::Errno;
use bevor_abi::errno::{ENODEV, ENXIO};
use bevor_abi::stat::{major, makedev, minor};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Opens the devices of one major number.
pub trait Driver: Send + Sync {
    /// Makes the operations of an open file of device `rdev`.
    ///
    /// # Errors
    /// `ENXIO` for minor numbers it does not know, and the device's own.
    fn open(
        &self,
        rdev: u64,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno>;
}

/// Drivers of character devices by major number.
static DRIVERS: RwLock<BTreeMap<u32, Arc<dyn Driver>>> = RwLock::new(BTreeMap::new());

/// Major number of the memory devices.
const MEM_MAJOR: u32 = 1;
/// Major number of the miscellaneous devices.
const MISC_MAJOR: u32 = 10;

/// `/dev/null`.
pub const NULL: u64 = makedev(MEM_MAJOR, 3);
/// `/dev/zero`.
pub const ZERO: u64 = makedev(MEM_MAJOR, 5);
/// `/dev/full`.
pub const FULL: u64 = makedev(MEM_MAJOR, 7);
/// `/dev/random`.
pub const RANDOM: u64 = makedev(MEM_MAJOR, 8);
/// `/dev/urandom`.
pub const URANDOM: u64 = makedev(MEM_MAJOR, 9);
/// `/dev/tty`.
pub const TTY: u64 = makedev(5, 0);
/// `/dev/console`.
pub const CONSOLE: u64 = makedev(5, 1);
/// `/dev/ptmx`.
pub const PTMX: u64 = makedev(5, 2);

/// Makes `driver` serve the character devices of `major`.
pub fn register(major: u32, driver: Arc<dyn Driver>) {
    DRIVERS.write().insert(major, driver);
}

/// Opens the device `rdev`.
///
/// # Errors
/// `ENXIO` if there is no such device, `ENODEV` for the miscellaneous ones; the driver's own.
pub fn open(
    kind: FileType,
    rdev: u64,
    flags: OpenFlags,
    caller: &dyn Caller,
) -> Result<Box<dyn FileOps>, Errno> {
    if kind != FileType::CharDevice {
        return Err(ENXIO.because("there are no block devices"));
    }
    if major(rdev) == MEM_MAJOR {
        return match minor(rdev) {
            3 => Ok(Box::new(mem::Null)),
            5 => Ok(Box::new(zero::Zero::new(caller))),
            7 => Ok(Box::new(mem::Full)),
            8 => Ok(Box::new(random::Random { blocking_pool: true })),
            9 => Ok(Box::new(random::Random { blocking_pool: false })),
            _ => Err(ENXIO.into()),
        };
    }
    let driver = DRIVERS.read().get(&major(rdev)).cloned();
    // One driver owns all miscellaneous numbers, and says so of each that nobody has.
    let unknown = if major(rdev) == MISC_MAJOR { ENODEV } else { ENXIO };
    driver.ok_or(unknown)?.open(rdev, flags, caller)
}
