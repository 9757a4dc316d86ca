//! The operations: each takes its request apart, does it, and writes its reply.

mod content;
mod dir;
mod lock;
mod make;
mod modify;
mod read;
mod socket;
mod walk;
mod xattr;

pub use content::{read, write};
pub use dir::{Streams, readdir};
pub use lock::{Locks, get_lock, lock};
pub use make::{create, link, mkdir, mknod, symlink};
pub use modify::{rename, setattr, sync, unlink};
pub use read::{getattr, hello, open, open_files, readlink, statfs};
pub use socket::{bind, connect};
pub use walk::walk;
pub use xattr::{getxattr, listxattr, removexattr, setxattr};
