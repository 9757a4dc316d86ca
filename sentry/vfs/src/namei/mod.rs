//! Operations on names: what the path system calls do once their arguments are read.
//!
//! Each takes an [`At`](crate::walk::At) (where the look-up starts, for whom) and a path, checks in
//! the order Linux checks, changes the file system and the dentry cache together, and tells
//! [`notify`](crate::notify).

pub mod attr;
pub mod flags;
mod make;
mod open;
pub mod perm;
mod remove;
mod rename;
pub mod xattr;

pub use make::{bind_socket, link, may_mknod, mkdir, mknod, symlink};
pub use open::{OpenHow, PathOnly, open, open_handle, open_path, waits_for_peer};
pub use remove::{rmdir, unlink};
pub use rename::{check_rename_flags, rename};

use std::sync::atomic::{AtomicBool, AtomicU32};

/// `fs.protected_hardlinks`: only owners link files they could not also write.
pub static PROTECTED_HARDLINKS: AtomicBool = AtomicBool::new(true);

/// `fs.protected_fifos`: other users' fifos in sticky directories are not opened by `O_CREAT`; 1 for
/// world-writable directories, 2 for group-writable ones too.
pub static PROTECTED_FIFOS: AtomicU32 = AtomicU32::new(0);

/// `fs.protected_regular`: the same for regular files.
pub static PROTECTED_REGULAR: AtomicU32 = AtomicU32::new(0);
