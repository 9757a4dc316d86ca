//! Regular files of tmpfs, and of memfds.

use crate::file::{File, FileOps, OpenFlags};
use crate::mount::{MountFlags, Path};
use crate::tmpfs::{TmpFs, TmpInode};
use crate::usage;
use bevor_abi::Errno;
use bevor_abi::errno::ENXIO;
use bevor_abi::errno::{EBUSY, EFBIG, ENODEV, EOPNOTSUPP, EPERM};
use bevor_abi::fcntl::{
    F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE,
    FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, SEEK_DATA, SEEK_HOLE,
};
use bevor_memory::{BackingRun, IoDst, IoSrc, MapName, Mappable, MappingSet, PAGE_SIZE, PageStore};
use parking_lot::Mutex;
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The contents of a regular file.
pub(crate) struct Content {
    pub(super) store: PageStore,
    /// Held while the size changes or bytes are written, so that appends are atomic.
    write: Mutex<()>,
    /// `F_SEAL_*` bits.
    seals: AtomicU32,
}

impl Content {
    pub(super) fn new(fs: &TmpFs) -> Result<Self, Errno> {
        // Only a memfd made with MFD_ALLOW_SEALING can be sealed further.
        let seals = AtomicU32::new(F_SEAL_SEAL);
        Ok(Self { store: fs.new_store()?, write: Mutex::default(), seals })
    }

    fn sealed(&self, seals: u32) -> bool {
        self.seals.load(Ordering::Acquire) & seals != 0
    }

    /// `F_SEAL_*` bits.
    pub(crate) fn seals(&self) -> u32 {
        self.seals.load(Ordering::Acquire)
    }

    /// Lets a new memfd be sealed.
    pub(crate) fn allow_sealing(&self) {
        self.seals.store(0, Ordering::Release);
    }

    /// Adds seals (`F_ADD_SEALS`).
    ///
    /// # Errors
    /// `EPERM` if sealed against sealing, `EBUSY` while mapped writable.
    pub(crate) fn add_seals(&self, seals: u32) -> Result<(), Errno> {
        let _write = self.write.lock();
        if self.sealed(F_SEAL_SEAL) {
            return Err(EPERM.because("F_SEAL_SEAL is set"));
        }
        if seals & F_SEAL_WRITE != 0
            && !self.sealed(F_SEAL_WRITE)
            && self.store.mappings().is_writable()
        {
            return Err(EBUSY.because("mapped shared and writable"));
        }
        self.seals.fetch_or(seals, Ordering::AcqRel);
        Ok(())
    }

    /// Truncates or extends.
    pub(super) fn set_size(&self, size: u64) -> Result<(), Errno> {
        let _write = self.write.lock();
        let old = self.store.size();
        if (size < old && self.sealed(F_SEAL_SHRINK)) || (size > old && self.sealed(F_SEAL_GROW)) {
            return Err(EPERM.because("sealed"));
        }
        self.store.truncate(size)
    }

    fn write(&self, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _write = self.write.lock();
        let size = self.store.size();
        let at = if at == u64::MAX { size } else { at };
        if self.seals.load(Ordering::Acquire) != F_SEAL_SEAL {
            if self.sealed(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) {
                return Err(EPERM.because("sealed"));
            }
            if self.sealed(F_SEAL_GROW) && at.saturating_add(src.remaining()) > size {
                let room = size.saturating_sub(at);
                if room == 0 {
                    return Err(EPERM.because("sealed"));
                }
                src.limit(room);
            }
        }
        self.store.write_at(at, src)
    }

    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        if mode & !(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE) != 0 {
            return Err(EOPNOTSUPP.into());
        }
        if mode == FALLOC_FL_PUNCH_HOLE {
            return Err(EOPNOTSUPP.because("a hole that would change the size"));
        }
        let end = offset.checked_add(len).ok_or(EFBIG)?;
        let _write = self.write.lock();
        if mode & FALLOC_FL_PUNCH_HOLE != 0 {
            if self.sealed(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) {
                return Err(EPERM.because("sealed"));
            }
            self.store.punch_hole(offset..end);
            return Ok(());
        }
        let size = self.store.size();
        if end > size && mode & FALLOC_FL_KEEP_SIZE == 0 && self.sealed(F_SEAL_GROW) {
            return Err(EPERM.because("sealed"));
        }
        self.store.allocate(offset..end)?;
        if end > size && mode & FALLOC_FL_KEEP_SIZE == 0 {
            self.store.truncate(end)?;
        }
        Ok(())
    }
}

/// An open regular file.
pub(super) struct RegularFile {
    pub(super) inode: Arc<TmpInode>,
}

impl FileOps for RegularFile {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        self.inode.content()?.store.read_at(at, dst)
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        if src.remaining() == 0 {
            return Ok(0); // not even the times change
        }
        let done = self.inode.content()?.write(src, at)?;
        self.inode.meta.write().modified();
        Ok(done)
    }

    fn size(&self) -> Result<u64, Errno> {
        Ok(self.inode.content()?.store.size())
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        let store = &self.inode.content()?.store;
        match whence {
            SEEK_DATA => store.seek_data(u64::try_from(offset).map_err(|_| ENXIO)?),
            SEEK_HOLE => store.seek_hole(u64::try_from(offset).map_err(|_| ENXIO)?),
            _ => crate::file::seek_plain(at, offset, whence, || Ok(store.size())),
        }
    }

    fn cached_pages(&self, range: Range<u64>) -> Result<u64, Errno> {
        let store = &self.inode.content()?.store;
        let (mut at, mut pages) = (range.start, 0);
        while at < range.end {
            let Ok(data) = store.seek_data(at) else { break };
            let hole = store.seek_hole(data)?.min(range.end);
            pages += hole.saturating_sub(data).div_ceil(PAGE_SIZE);
            at = hole.max(at + 1);
        }
        Ok(pages)
    }

    fn mappable(&self, file: &File) -> Result<Arc<dyn Mappable>, Errno> {
        Ok(Arc::new(StoreMapping::new(self.inode.clone(), file)?))
    }

    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        let _ = data_only;
        Ok(())
    }

    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        self.inode.content()?.fallocate(mode, offset, len)?;
        self.inode.meta.write().modified();
        Ok(())
    }

    fn release(&self, file: &File) {
        if file.flags().writable()
            && let Ok(content) = self.inode.content()
        {
            content.store.settle();
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A regular file of tmpfs as the memory crate maps it.
pub struct StoreMapping {
    inode: Arc<TmpInode>,
    path: Path,
    flags: OpenFlags,
}

impl StoreMapping {
    fn new(inode: Arc<TmpInode>, file: &File) -> Result<Self, Errno> {
        inode.content().map_err(|_| ENODEV)?;
        Ok(Self { inode, path: file.path().clone(), flags: file.flags() })
    }

    fn content(&self) -> &Content {
        match self.inode.content() {
            Ok(content) => content,
            Err(_) => unreachable!("checked when it was made"),
        }
    }
}

impl Mappable for StoreMapping {
    fn id(&self) -> u64 {
        self.content().store.id()
    }

    fn backing(&self, offset: u64, len: u64, for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        let _ = for_write;
        self.content().store.backing(offset, len)
    }

    fn size(&self) -> u64 {
        self.content().store.size()
    }

    fn describe(&self) -> MapName {
        MapName {
            path: self.path.absolute_text().for_link(),
            dev: self.path.inode().dev(),
            ino: self.path.inode().ino(),
        }
    }

    fn mappings(&self) -> &MappingSet {
        self.content().store.mappings()
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

    fn seals(&self) -> u32 {
        self.content().seals()
    }

    fn is_shmem(&self) -> bool {
        true
    }

    fn punch_hole(&self, range: Range<u64>) -> Result<(), Errno> {
        if self.content().sealed(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) {
            return Err(EPERM.because("sealed"));
        }
        self.content().store.punch_hole(range);
        Ok(())
    }
}
