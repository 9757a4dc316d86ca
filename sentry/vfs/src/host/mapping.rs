//! Imported regular files as the memory crate maps them.

use crate::file::{File, OpenFlags};
use crate::host::calls;
use crate::host::inode::HostInode;
use crate::inode::Inode;
use crate::mount::Path;
use bevor_abi::Errno;
use bevor_memory::{BackingRun, MapName, Mappable, MappingSet};
use std::ops::Range;
use std::sync::Arc;

/// A mapping of an imported regular file.
pub(super) struct HostMapping {
    inode: Arc<HostInode>,
    path: Path,
    flags: OpenFlags,
}

impl HostMapping {
    pub(super) fn new(inode: Arc<HostInode>, file: &File) -> Self {
        Self { inode, path: file.path().clone(), flags: file.flags() }
    }
}

impl Mappable for HostMapping {
    fn id(&self) -> u64 {
        self.inode.map_id
    }

    fn backing(&self, offset: u64, len: u64, for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        let _ = for_write;
        Ok(vec![BackingRun::host(self.inode.fd.clone(), self.id(), offset, len)])
    }

    fn size(&self) -> u64 {
        self.inode.attr().map_or(0, |attr| attr.size)
    }

    fn describe(&self) -> MapName {
        MapName {
            path: self.path.dentry.anonymous_name(),
            dev: self.inode.dev(),
            ino: self.inode.ino(),
        }
    }

    fn mappings(&self) -> &MappingSet {
        &self.inode.mappings
    }

    fn may_write(&self) -> bool {
        self.flags.writable()
    }

    fn msync(&self, range: Range<u64>) -> Result<(), Errno> {
        let _ = range;
        calls::sync(self.inode.fd(), true)
    }
}
