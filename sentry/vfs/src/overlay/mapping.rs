//! Mappings of files that may be copied up: they show where the contents are at the moment.

use crate::file::{File, OpenFlags};
use crate::inode::Inode;
use crate::mount::{MountFlags, Path};
use crate::overlay::OverlayInode;
use crate::usage;
use bevor_abi::Errno;
use bevor_memory::{BackingRun, MapName, Mappable, MappingSet};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

/// A regular file with something below, as the memory crate maps it.
pub(super) struct OverlayMapping {
    inode: Arc<OverlayInode>,
    path: Path,
    flags: OpenFlags,
    /// The file of the layer the contents were in.
    opened: Arc<dyn Mappable>,
    /// Whether that is the upper one.
    above: bool,
    /// The upper layer's, after a copy-up.
    later: OnceLock<Arc<dyn Mappable>>,
}

impl OverlayMapping {
    pub(super) fn new(
        inode: Arc<OverlayInode>,
        file: &File,
        opened: Arc<dyn Mappable>,
        above: bool,
    ) -> Self {
        let (path, flags) = (file.path().clone(), file.flags());
        Self { inode, path, flags, opened, above, later: OnceLock::new() }
    }

    /// The file that has the contents now.
    fn now(&self) -> &dyn Mappable {
        if self.above || !self.inode.data_above.load(Ordering::Acquire) {
            return &*self.opened;
        }
        if let Some(later) = self.later.get() {
            return &**later;
        }
        let open = || {
            let ops = self.inode.data()?.open(self.flags, &self.inode.fs.kernel)?;
            let file =
                File::new(ops, self.path.clone(), OpenFlags(self.flags.0 | OpenFlags::UNSEEN));
            file.ops().mappable(&file)
        };
        match open() {
            Ok(later) => &**self.later.get_or_init(|| later),
            // The old contents are better than none.
            Err(_) => &*self.opened,
        }
    }
}

impl Mappable for OverlayMapping {
    fn id(&self) -> u64 {
        self.inode.mappable_id
    }

    fn backing(&self, offset: u64, len: u64, for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        self.now().backing(offset, len, for_write)
    }

    fn size(&self) -> u64 {
        self.now().size()
    }

    fn describe(&self) -> MapName {
        MapName {
            path: self.path.absolute_text().for_link(),
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

    fn has_writers(&self) -> bool {
        self.flags.writable() || usage::is_written(self.path.inode())
    }

    fn may_exec(&self) -> bool {
        !self.path.mount.flags().has(MountFlags::NOEXEC)
    }

    fn is_shmem(&self) -> bool {
        self.now().is_shmem()
    }

    fn msync(&self, range: Range<u64>) -> Result<(), Errno> {
        self.now().msync(range)
    }

    fn punch_hole(&self, range: Range<u64>) -> Result<(), Errno> {
        self.now().punch_hole(range.clone())?;
        self.inode.mappings.invalidate(self.inode.mappable_id, range);
        Ok(())
    }
}
