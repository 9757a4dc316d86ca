//! Inodes of pipes, and what the inode of a fifo of any file system holds.

use crate::anon;
use crate::caller::Caller;
use crate::file::{FileOps, OpenFlags};
use crate::inode::{Attr, FileType, FsStat, Inode, NewAttr, SetAttr};
use crate::meta::Meta;
use crate::pipe::{Pipe, PipeEnd};
use crate::superblock::next_anonymous_dev;
use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use bevor_abi::stat::PIPEFS_MAGIC;
use bevor_base::Credentials;
use parking_lot::Mutex;
use std::any::Any;
use std::sync::{Arc, LazyLock, Weak};

static PIPEFS_DEV: LazyLock<u64> = LazyLock::new(next_anonymous_dev);

/// The inode of a pipe made with `pipe(2)`.
pub struct PipeInode {
    ino: u64,
    pipe: Arc<Pipe>,
    meta: Mutex<Meta>,
}

impl PipeInode {
    pub(super) fn new(pipe: Arc<Pipe>, cred: &Credentials) -> Self {
        let attr = NewAttr { mode: 0o600, uid: cred.fsuid, gid: cred.fsgid };
        Self { ino: anon::next_ino(), pipe, meta: Mutex::new(Meta::new(FileType::Fifo, attr)) }
    }
}

impl Inode for PipeInode {
    fn file_type(&self) -> FileType {
        FileType::Fifo
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn dev(&self) -> u64 {
        *PIPEFS_DEV
    }

    fn attr(&self) -> Result<Attr, Errno> {
        Ok(self.meta.lock().attr(self.dev(), self.ino, 1))
    }

    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        if change.size.is_some() {
            return Err(EINVAL.into());
        }
        self.meta.lock().apply(change);
        Ok(())
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = caller;
        Ok(Box::new(PipeEnd::attach_unnamed(&self.pipe, flags)))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(FsStat { magic: PIPEFS_MAGIC, block_size: 4096, name_len: 255, ..FsStat::default() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The pipe behind a fifo's name; it exists while somebody has the fifo open.
#[derive(Default)]
pub struct FifoNode {
    pipe: Mutex<Weak<Pipe>>,
}

impl FifoNode {
    /// Opens an end. The `open(2)` that calls this waits while [`PipeEnd::awaits_peer`], unless
    /// `O_NONBLOCK` is set.
    ///
    /// [`PipeEnd::awaits_peer`]: crate::pipe::PipeEnd::awaits_peer
    ///
    /// # Errors
    /// `ENXIO` for writing with `O_NONBLOCK` while nobody reads.
    pub fn open(&self, flags: OpenFlags) -> Result<Box<dyn FileOps>, Errno> {
        let mut slot = self.pipe.lock();
        let pipe = slot.upgrade().unwrap_or_else(|| {
            let pipe = Pipe::new();
            *slot = Arc::downgrade(&pipe);
            pipe
        });
        Ok(Box::new(pipe.open(flags)?))
    }
}
