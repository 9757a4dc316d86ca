//! Inodes of anonymous files.

use crate::inode::{Attr, FileTime, FileType, FsStat, Inode, SetAttr};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EOPNOTSUPP};
use bevor_abi::stat::ANON_INODE_FS_MAGIC;
use std::any::Any;

/// The inode all plain anonymous files share, or the root of their file system.
pub struct AnonInode {
    dev: u64,
    ino: u64,
    kind: FileType,
    born: FileTime,
}

impl AnonInode {
    pub(super) fn directory(dev: u64) -> Self {
        Self { dev, ino: 1, kind: FileType::Directory, born: FileTime::now() }
    }

    pub(super) fn shared(dev: u64) -> Self {
        Self { dev, ino: 2, kind: FileType::Regular, born: FileTime::now() }
    }

    pub(super) fn socket(dev: u64, ino: u64) -> Self {
        Self { dev, ino, kind: FileType::Socket, born: FileTime::now() }
    }
}

impl Inode for AnonInode {
    fn file_type(&self) -> FileType {
        self.kind
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        // Linux reports no file type for anonymous inodes.
        let mode = match self.kind {
            FileType::Directory => 0o040_755,
            FileType::Socket => FileType::Socket.mode_bits() | 0o777,
            _ => 0o600,
        };
        Ok(Attr {
            dev: self.dev,
            ino: self.ino,
            mode,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            size: 0,
            blocks: 0,
            blksize: 4096,
            atime: self.born,
            mtime: self.born,
            ctime: self.born,
            btime: None,
            attributes: 0,
        })
    }

    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        if change.size.is_some() {
            return Err(EINVAL.because("no regular file"));
        }
        Err(EOPNOTSUPP.because("anonymous inode"))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(FsStat {
            magic: ANON_INODE_FS_MAGIC,
            block_size: 4096,
            name_len: 255,
            ..FsStat::default()
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
