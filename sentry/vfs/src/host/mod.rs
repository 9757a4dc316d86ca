//! Descriptors of the host that guests inherit: the standard streams.
//!
//! The host's description is used as it is: a regular file at the host's own position, a pipe or a
//! terminal without changing its flags, since others share it. What would block is noticed before,
//! and waited for by one thread for all such files ([`poller`]).

pub(crate) mod calls;
mod file;
mod inode;
mod mapping;
mod poller;
mod tty;

#[cfg(test)]
mod tests;

pub use calls::random;
pub use inode::HostInode;
pub use poller::start as start_poller;
pub use tty::HostTty;

use crate::file::{File, OpenFlags};
use crate::inode::InodeRef;
use crate::mount::Path;
use bevor_abi::Errno;
use bevor_abi::fcntl::{O_ACCMODE, O_APPEND, O_NONBLOCK};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Makes an inherited descriptor a file of the guest.
///
/// # Errors
/// What the host answers; `ENOMEM` if the waiting thread cannot be started.
pub fn import(fd: OwnedFd) -> Result<Arc<File>, Errno> {
    poller::start()?;
    let host_flags = calls::status_flags(fd.as_fd())?;
    let inode = Arc::new(HostInode::new(fd, host_flags)?);
    let flags = OpenFlags(host_flags & (O_ACCMODE | O_APPEND | O_NONBLOCK));
    let ops = Box::new(file::HostFile::shared(inode.clone()));
    let name = inode.class().as_bytes().into();
    let inode: InodeRef = inode;
    Ok(File::new(ops, Path::anonymous(inode, name, true), flags))
}

/// The terminal behind an imported file, if it is one.
#[must_use]
pub fn tty_of(file: &File) -> Option<&HostTty> {
    file.inode().as_any().downcast_ref::<HostInode>()?.tty()
}
