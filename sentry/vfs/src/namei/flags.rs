//! Flags of inodes: `FS_IOC_SETFLAGS`, `FS_IOC_FSSETXATTR`, `file_setattr(2)`.

use crate::inode::Attr;
use crate::mount::Path;
use crate::namei::perm;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_LINUX_IMMUTABLE;
use bevor_abi::errno::{EOPNOTSUPP, EPERM};
use bevor_abi::stat::{
    FS_APPEND_FL, FS_DAX_FL, FS_IMMUTABLE_FL, FS_NOATIME_FL, FS_NODUMP_FL, FS_PROJINHERIT_FL,
    FS_SYNC_FL, STATX_ATTR_NODUMP,
};
use bevor_base::Credentials;

/// The flags a file system in the sentry's memory keeps.
pub const KEPT: u32 = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL;

/// `FS_*_FL` and `FS_XFLAG_*` that say the same.
const BOTH: [(u32, u32); 7] = [
    (FS_IMMUTABLE_FL, 0x8),
    (FS_APPEND_FL, 0x10),
    (FS_SYNC_FL, 0x20),
    (FS_NOATIME_FL, 0x40),
    (FS_NODUMP_FL, 0x80),
    (FS_PROJINHERIT_FL, 0x200),
    (FS_DAX_FL, 0x8000),
];

/// `FS_XFLAG_*` that are known at all.
pub const XFLAGS_KNOWN: u32 = 0x8001_ffff;
/// Those that tell something and are not set.
const XFLAGS_TOLD: u32 = 0x8000_0002;

/// `FS_*_FL` as `FS_XFLAG_*`.
#[must_use]
pub fn to_xflags(flags: u32) -> u32 {
    BOTH.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, xflag)| xflag).sum()
}

/// `FS_XFLAG_*` as `FS_*_FL`; `None` if some have no such form.
fn from_xflags(xflags: u32) -> Option<u32> {
    let xflags = xflags & !XFLAGS_TOLD;
    let known: u32 = BOTH.iter().map(|(_, xflag)| xflag).sum();
    let flags = BOTH.iter().filter(|(_, xflag)| xflags & xflag != 0).map(|(flag, _)| flag).sum();
    (xflags & !known == 0).then_some(flags)
}

/// `STATX_ATTR_*` for flags an inode keeps.
#[must_use]
pub const fn attributes(flags: u32) -> u64 {
    let mut attributes = 0;
    if flags & FS_IMMUTABLE_FL != 0 {
        attributes |= perm::ATTR_IMMUTABLE;
    }
    if flags & FS_APPEND_FL != 0 {
        attributes |= perm::ATTR_APPEND;
    }
    if flags & FS_NODUMP_FL != 0 {
        attributes |= STATX_ATTR_NODUMP;
    }
    attributes
}

/// What is to be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewFlags {
    /// `FS_*_FL`.
    Flags(u32),
    /// `FS_XFLAG_*`, and whether extent sizes or a project go with them.
    Extended {
        /// The flags.
        xflags: u32,
        /// Whether something else is set.
        more: bool,
    },
}

/// Sets the flags of a file.
///
/// # Errors
/// `EPERM`, `EROFS`; `EOPNOTSUPP` for flags the file system does not keep, or without any.
pub fn set(path: &Path, cred: &Credentials, new: NewFlags) -> Result<(), Errno> {
    perm::want_write(path)?;
    let inode = path.inode();
    let old = inode.flags().ok_or(EOPNOTSUPP)?;
    let attr: Attr = inode.attr()?;
    if !perm::owner_or_capable(cred, &attr) {
        return Err(EPERM.into());
    }
    let (flags, fits) = match new {
        NewFlags::Flags(flags) => (flags, true),
        NewFlags::Extended { xflags, more } => match from_xflags(xflags) {
            Some(flags) => (flags, !more),
            None => (old, false),
        },
    };
    let guarded = FS_IMMUTABLE_FL | FS_APPEND_FL;
    if (old ^ flags) & guarded != 0 && !perm::capable(cred, CAP_LINUX_IMMUTABLE) {
        return Err(EPERM.because("needs CAP_LINUX_IMMUTABLE"));
    }
    if !fits || flags & !KEPT != 0 {
        return Err(EOPNOTSUPP.because("flags the file system does not keep"));
    }
    inode.set_flags(flags)
}
