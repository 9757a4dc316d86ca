//! Open regular files of overlay.

use crate::caller::Caller;
use crate::file::{File, FileOps, OpenFlags};
use crate::overlay::OverlayInode;
use crate::overlay::mapping::OverlayMapping;
use bevor_abi::Errno;
use bevor_abi::fcntl::FALLOC_FL_KEEP_SIZE;
use bevor_memory::{IoDst, IoSrc, Mappable};
use std::any::Any;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

/// An open regular file. One opened for reading below goes on above once somebody writes.
pub(super) struct OverlayFile {
    inode: Arc<OverlayInode>,
    ops: Box<dyn FileOps>,
    /// Whether `ops` is of the upper layer.
    above: bool,
    /// The upper layer's file, opened after a copy-up.
    later: OnceLock<Box<dyn FileOps>>,
}

impl OverlayFile {
    pub(super) fn open(
        inode: Arc<OverlayInode>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Self, Errno> {
        if flags.writable() {
            let ops = inode.writable()?.open(flags, caller)?;
            return Ok(Self { inode, ops, above: true, later: OnceLock::new() });
        }
        let above = inode.data_above.load(Ordering::Acquire);
        let ops = inode.data()?.open(flags, caller)?;
        Ok(Self { inode, ops, above, later: OnceLock::new() })
    }

    /// The operations that see the current contents.
    fn now(&self) -> &dyn FileOps {
        if self.above || !self.inode.data_above.load(Ordering::Acquire) {
            return &*self.ops;
        }
        if let Some(later) = self.later.get() {
            return &**later;
        }
        let kernel = &self.inode.fs.kernel;
        let opened = self.inode.data().and_then(|data| data.open(OpenFlags::default(), kernel));
        match opened {
            Ok(opened) => &**self.later.get_or_init(|| opened),
            // The old contents are better than none.
            Err(_) => &*self.ops,
        }
    }
}

impl FileOps for OverlayFile {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        self.now().read(file, dst, at)
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        self.now().write(file, src, at)
    }

    fn end_after_append(&self, written: usize) -> u64 {
        self.now().end_after_append(written)
    }

    fn size(&self) -> Result<u64, Errno> {
        self.now().size()
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        self.now().seek(at, offset, whence)
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        self.now().ioctl(file, caller, cmd, arg)
    }

    fn mappable(&self, file: &File) -> Result<Arc<dyn Mappable>, Errno> {
        let above = self.above || self.inode.data_above.load(Ordering::Acquire);
        let opened = self.now().mappable(file)?;
        if !self.inode.has_lower() {
            return Ok(opened);
        }
        Ok(Arc::new(OverlayMapping::new(self.inode.clone(), file, opened, above)))
    }

    fn cached_pages(&self, range: Range<u64>) -> Result<u64, Errno> {
        self.now().cached_pages(range)
    }

    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        self.now().fsync(data_only)
    }

    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        self.now().fallocate(mode, offset, len)?;
        if mode & !FALLOC_FL_KEEP_SIZE != 0 {
            // Pages may have gone, or moved.
            let end = offset.saturating_add(len).min(i64::MAX.cast_unsigned());
            self.inode.mappings.invalidate(self.inode.mappable_id, offset..end);
        }
        Ok(())
    }

    fn flush(&self, file: &File) -> Result<(), Errno> {
        self.now().flush(file)
    }

    fn release(&self, file: &File) {
        self.ops.release(file);
        if let Some(later) = self.later.get() {
            later.release(file);
        }
    }

    fn flags_changed(&self, file: &File) {
        self.now().flags_changed(file);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
