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
use crate::mount::Path;
use crate::superblock::{FileSystem, Superblock};
use bevor_abi::Errno;
use bevor_abi::errno::ENOTTY;
use bevor_abi::fcntl::{O_ACCMODE, O_APPEND, O_LARGEFILE, O_NONBLOCK};
use bevor_base::UserNamespace;
use std::any::Any;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What a sentry cannot see of an inherited descriptor: its own identity is nobody's, and the
/// descriptor may have been opened anew so that it does not block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// `O_*` flags of the description that was inherited (`F_GETFL`).
    pub flags: u32,
    /// Owner of the file.
    pub uid: u32,
    /// Group of the file.
    pub gid: u32,
    /// Where `/proc/self/fd/N` led.
    pub path: Vec<u8>,
}

impl Origin {
    /// What can be seen of `fd` here.
    ///
    /// # Errors
    /// What the host answers.
    pub fn of(fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        let stat = calls::stat(fd)?;
        let flags = calls::status_flags(fd)?;
        Ok(Self { flags, uid: stat.st_uid, gid: stat.st_gid, path: Vec::new() })
    }
}

/// Makes an inherited descriptor a file of the guest.
///
/// # Errors
/// What the host answers; `ENOMEM` if the waiting thread cannot be started.
pub fn import(fd: OwnedFd, origin: Origin) -> Result<Arc<File>, Errno> {
    poller::start()?;
    let flags = OpenFlags(origin.flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_LARGEFILE));
    let inode = Arc::new(HostInode::new(fd, &origin)?);
    if let Some(tty) = inode.tty() {
        tty.announce(&inode);
    }
    let ops = Box::new(file::HostFile::shared(inode.clone()));
    let path = match inode.class() {
        // A name like `pipe:[1234]`.
        Some(class) => Path::anonymous(inode, class.as_bytes().into(), true),
        None => Path::anonymous(inode, origin.path.into(), false),
    };
    Ok(File::new(ops, path, flags))
}

/// A file system whose root is the terminal behind an imported file, to be mounted over a device
/// file: the terminal then has a name. `None` for other files.
#[must_use]
pub fn tty_superblock(file: &File, user_ns: Arc<UserNamespace>) -> Option<Arc<Superblock>> {
    tty_of(file)?;
    Some(Superblock::new(Box::new(TtyFs), file.inode().clone(), user_ns))
}

/// The same open terminal, found at `path`.
///
/// # Errors
/// `ENOTTY` if the file is none.
pub fn tty_at(file: &File, path: Path) -> Result<Arc<File>, Errno> {
    let inode = path.inode().clone() as Arc<dyn Any + Send + Sync>;
    let inode = inode.downcast::<HostInode>().map_err(|_| ENOTTY)?;
    inode.tty().ok_or(ENOTTY)?;
    Ok(File::new(Box::new(file::HostFile::shared(inode)), path, file.flags()))
}

struct TtyFs;

impl FileSystem for TtyFs {
    fn name(&self) -> &'static str {
        "devpts"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The terminal behind an imported file, if it is one.
#[must_use]
pub fn tty_of(file: &File) -> Option<&HostTty> {
    file.inode().as_any().downcast_ref::<HostInode>()?.tty()
}
