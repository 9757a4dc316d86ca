//! Inodes of imported descriptors.

use crate::caller::Caller;
use crate::fasync::AsyncList;
use crate::file::{FileOps, OpenFlags};
use crate::host::Origin;
use crate::host::calls;
use crate::host::file::HostFile;
use crate::host::poller::Watched;
use crate::host::tty::HostTty;
use crate::inode::{Attr, FileTime, FileType, FsStat, Inode, SetAttr};
use crate::superblock::next_anonymous_dev;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EINVAL, ENXIO, EPERM};
use bevor_abi::fcntl::{O_ACCMODE, O_RDONLY, O_RDWR, O_WRONLY};
use bevor_abi::stat::{ANON_INODE_FS_MAGIC, PIPEFS_MAGIC};
use bevor_base::WaitQueue;
use bevor_memory::{MappingSet, next_mappable_id};
use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, LazyLock};

static HOST_DEV: LazyLock<u64> = LazyLock::new(next_anonymous_dev);

/// An imported descriptor.
pub struct HostInode {
    pub(super) fd: Arc<OwnedFd>,
    kind: FileType,
    ino: u64,
    /// The host's status flags when it was imported.
    host_flags: u32,
    uid: u32,
    gid: u32,
    queue: WaitQueue,
    listeners: AsyncList,
    watched: Watched,
    tty: Option<HostTty>,
    pub(super) map_id: u64,
    pub(super) mappings: MappingSet,
}

impl HostInode {
    pub(super) fn new(fd: OwnedFd, origin: &Origin) -> Result<Self, Errno> {
        let stat = calls::stat(fd.as_fd())?;
        let host_flags = calls::status_flags(fd.as_fd())?;
        let kind = FileType::from_mode(stat.st_mode).unwrap_or(FileType::CharDevice);
        let fd = Arc::new(fd);
        let (queue, listeners) = (WaitQueue::new(), AsyncList::new());
        Ok(Self {
            watched: Watched::new(fd.clone(), queue.clone(), listeners.clone())?,
            tty: HostTty::detect(&fd, kind, stat.st_rdev),
            fd,
            kind,
            ino: stat.st_ino,
            host_flags,
            uid: origin.uid,
            gid: origin.gid,
            queue,
            listeners,
            map_id: next_mappable_id(),
            mappings: MappingSet::new(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What its name in `/proc/PID/fd` begins with, if it has no path.
    pub(super) const fn class(&self) -> Option<&'static str> {
        match self.kind {
            FileType::Fifo => Some("pipe"),
            FileType::Socket => Some("socket"),
            _ => None,
        }
    }

    /// The terminal, if it is one.
    #[must_use]
    pub const fn tty(&self) -> Option<&HostTty> {
        self.tty.as_ref()
    }

    /// Whether it has no position.
    pub(super) fn is_stream(&self) -> bool {
        !matches!(self.kind, FileType::Regular | FileType::BlockDevice | FileType::Directory)
    }

    pub(super) fn is_pipe(&self) -> bool {
        self.kind == FileType::Fifo
    }

    /// Whether the host itself would not block.
    pub(super) const fn host_nonblocking(&self) -> bool {
        self.host_flags & OpenFlags::NONBLOCK != 0
    }

    pub(super) const fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Who is sent signals when it becomes ready.
    pub(super) const fn listeners(&self) -> &AsyncList {
        &self.listeners
    }

    /// Wants the queue woken when one of `events` is ready.
    pub(super) fn arm(&self, events: u32) {
        self.watched.arm(events);
    }
}

/// A host time.
fn time(sec: i64, nsec: i64) -> FileTime {
    FileTime { sec, nsec: u32::try_from(nsec).unwrap_or(0) }
}

impl Inode for HostInode {
    fn file_type(&self) -> FileType {
        self.kind
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn dev(&self) -> u64 {
        *HOST_DEV
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let stat = calls::stat(self.fd())?;
        Ok(Attr {
            dev: self.dev(),
            ino: self.ino,
            mode: stat.st_mode,
            nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            uid: self.uid,
            gid: self.gid,
            rdev: stat.st_rdev,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            blksize: u32::try_from(stat.st_blksize).unwrap_or(4096),
            atime: time(stat.st_atime, stat.st_atime_nsec),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            btime: None,
            attributes: 0,
        })
    }

    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        let only_size = SetAttr { size: None, ..*change } == SetAttr::default();
        let Some(size) = change.size.filter(|_| only_size) else {
            return Err(EPERM.because("the host keeps the attributes of inherited files"));
        };
        if self.kind != FileType::Regular {
            return Err(EINVAL.into());
        }
        calls::truncate(self.fd(), size)?;
        self.mappings.invalidate(self.map_id, size..u64::MAX);
        Ok(())
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = caller;
        if self.kind == FileType::Socket {
            return Err(ENXIO.into());
        }
        let (wanted, held) = (flags.0 & O_ACCMODE, self.host_flags & O_ACCMODE);
        let enough = held == O_RDWR || wanted == held;
        if !enough || !matches!(wanted, O_RDONLY | O_WRONLY | O_RDWR) {
            return Err(EACCES.because("inherited with another access mode"));
        }
        Ok(Box::new(HostFile::reopened(self)))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        let magic = if self.is_pipe() { PIPEFS_MAGIC } else { ANON_INODE_FS_MAGIC };
        Ok(FsStat { magic, block_size: 4096, name_len: 255, ..FsStat::default() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
