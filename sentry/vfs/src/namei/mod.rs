//! Operations on names: what the path system calls do once their arguments are read.
//!
//! Each takes an [`At`](crate::walk::At) (where the look-up starts, for whom) and a path, checks in
//! the order Linux checks, changes the file system and the dentry cache together, and tells
//! [`notify`](crate::notify).

pub mod attr;
mod make;
mod open;
pub mod perm;
mod remove;
mod rename;
pub mod xattr;

pub use make::{link, mkdir, mknod, symlink};
pub use open::{OpenHow, PathOnly, open, open_path};
pub use remove::{rmdir, unlink};
pub use rename::rename;

/// `fs.protected_hardlinks`: only owners link files they could not also write.
pub const PROTECTED_HARDLINKS: bool = true;
