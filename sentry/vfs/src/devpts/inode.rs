//! Inodes of devpts: the directory, `ptmx`, and the slaves.

use crate::caller::Caller;
use crate::dev::PTMX;
use crate::devpts::dir::DirFile;
use crate::devpts::{DevPts, DevPtsOptions, Pair};
use crate::file::{FileOps, OpenFlags};
use crate::inode::{
    Attr, CachePolicy, FileType, FsStat, Inode, InodeRef, NewAttr, NewNode, SetAttr,
};
use crate::meta::Meta;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EINVAL, ENOENT, EPERM};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;

/// Inode numbers of the directory, of `ptmx`, and of slave 0.
pub(super) const ROOT_INO: u64 = 1;
pub(super) const PTMX_INO: u64 = 2;
pub(super) const FIRST_INO: u64 = 3;

const ROOT: NewAttr = NewAttr { mode: 0o755, uid: 0, gid: 0 };

fn change(meta: &Mutex<Meta>, change: &SetAttr) -> Result<(), Errno> {
    if change.size.is_some() {
        return Err(EINVAL.into());
    }
    meta.lock().apply(change);
    Ok(())
}

/// The directory.
pub(super) struct RootInode {
    pub(super) fs: Arc<DevPts>,
    ptmx: Arc<PtmxInode>,
    meta: Mutex<Meta>,
}

impl RootInode {
    pub(super) fn new(fs: &Arc<DevPts>) -> Self {
        let attr = NewAttr { mode: fs.options.lock().ptmx_mode, ..ROOT };
        let ptmx =
            PtmxInode { fs: fs.clone(), meta: Mutex::new(Meta::new(FileType::CharDevice, attr)) };
        Self {
            fs: fs.clone(),
            ptmx: Arc::new(ptmx),
            meta: Mutex::new(Meta::new(FileType::Directory, ROOT)),
        }
    }
}

impl Inode for RootInode {
    fn file_type(&self) -> FileType {
        FileType::Directory
    }

    fn ino(&self) -> u64 {
        ROOT_INO
    }

    fn dev(&self) -> u64 {
        self.fs.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        Ok(self.meta.lock().attr(self.fs.dev, ROOT_INO, 2))
    }

    fn set_attr(&self, wanted: &SetAttr) -> Result<(), Errno> {
        change(&self.meta, wanted)
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if name == b"ptmx" {
            return Ok(self.ptmx.clone());
        }
        Ok(self.fs.entry(name).ok_or(ENOENT)?)
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>, attr: NewAttr) -> Result<InodeRef, Errno> {
        let _ = (name, attr);
        // Linux has two answers for file systems in which nothing can be made.
        Err(if *node == NewNode::Regular { EACCES } else { EPERM }.into())
    }

    fn cache_policy(&self) -> CachePolicy {
        CachePolicy::Revalidate
    }

    fn revalidate(&self, name: &[u8], child: Option<&InodeRef>) -> bool {
        let found = self.lookup(name).ok();
        match (found, child) {
            (Some(found), Some(child)) => {
                std::ptr::addr_eq(Arc::as_ptr(&found), Arc::as_ptr(child))
            }
            (None, None) => true,
            _ => false,
        }
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = (flags, caller);
        Ok(Box::new(DirFile { root: self }))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(DevPts::statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `ptmx`: each open makes a pseudo-terminal.
pub struct PtmxInode {
    fs: Arc<DevPts>,
    meta: Mutex<Meta>,
}

impl Inode for PtmxInode {
    fn file_type(&self) -> FileType {
        FileType::CharDevice
    }

    fn ino(&self) -> u64 {
        PTMX_INO
    }

    fn dev(&self) -> u64 {
        self.fs.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let attr = self.meta.lock().attr(self.fs.dev, PTMX_INO, 1);
        Ok(Attr { rdev: PTMX, blksize: 1024, ..attr })
    }

    fn set_attr(&self, wanted: &SetAttr) -> Result<(), Errno> {
        change(&self.meta, wanted)
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = flags;
        Ok(Box::new(self.fs.new_pair(caller)?))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(DevPts::statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A slave.
pub struct PtsInode {
    dev: u64,
    pair: Arc<Pair>,
}

impl PtsInode {
    pub(super) fn new(
        dev: u64,
        pair: Arc<Pair>,
        options: &DevPtsOptions,
        caller: &dyn Caller,
    ) -> Self {
        let cred = caller.cred();
        let attr = NewAttr {
            mode: options.mode,
            uid: options.uid.unwrap_or(cred.fsuid),
            gid: options.gid.unwrap_or(cred.fsgid),
        };
        *pair.meta.lock() = Meta::new(FileType::CharDevice, attr);
        Self { dev, pair }
    }
}

impl Inode for PtsInode {
    fn file_type(&self) -> FileType {
        FileType::CharDevice
    }

    fn ino(&self) -> u64 {
        FIRST_INO + u64::from(self.pair.number())
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let attr = self.pair.meta.lock().attr(self.dev, self.ino(), 1);
        Ok(Attr { rdev: self.pair.device(), blksize: 1024, ..attr })
    }

    fn set_attr(&self, wanted: &SetAttr) -> Result<(), Errno> {
        change(&self.pair.meta, wanted)
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        Ok(Box::new(self.pair.open_slave(flags, caller)?))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(DevPts::statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
