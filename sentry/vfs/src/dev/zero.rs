//! `/dev/zero` (`zero(4)`).

use crate::caller::Caller;
use crate::file::{File, FileOps};
use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_memory::{
    Account, BackingRun, IoDst, IoSrc, MapName, Mappable, MappingSet, MemoryPool, PAGE_SIZE,
    PageStore, SpaceLimit, page_floor,
};
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

/// Reads as zeros, takes everything, maps as anonymous memory.
pub(super) struct Zero {
    pool: Arc<MemoryPool>,
    account: Arc<Account>,
}

impl Zero {
    pub(super) fn new(caller: &dyn Caller) -> Self {
        let mm = caller.mm();
        Self { pool: mm.pool().clone(), account: mm.account().clone() }
    }
}

impl FileOps for Zero {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        dst.put_zeros(dst.remaining())
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        Ok(usize_of(src.remaining()))
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        let _ = (at, offset, whence);
        Ok(0)
    }

    fn mappable(&self, file: &File) -> Result<Arc<dyn Mappable>, Errno> {
        // Each mapping is an object of its own, as large as an offset can be.
        let store = PageStore::new(&self.pool, &self.account, SpaceLimit::new(u64::MAX))?;
        store.truncate(page_floor(i64::MAX.cast_unsigned()))?;
        let inode = file.inode();
        Ok(Arc::new(ZeroMapping {
            store,
            name: MapName { path: b"/dev/zero".to_vec(), dev: inode.dev(), ino: inode.ino() },
            may_write: file.flags().writable(),
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct ZeroMapping {
    store: PageStore,
    name: MapName,
    may_write: bool,
}

impl Mappable for ZeroMapping {
    fn id(&self) -> u64 {
        self.store.id()
    }

    fn backing(&self, offset: u64, len: u64, for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        let _ = for_write;
        self.store.backing(offset, len)
    }

    fn size(&self) -> u64 {
        self.store.size().next_multiple_of(PAGE_SIZE)
    }

    fn describe(&self) -> MapName {
        self.name.clone()
    }

    fn mappings(&self) -> &MappingSet {
        self.store.mappings()
    }

    fn may_write(&self) -> bool {
        self.may_write
    }

    fn is_shmem(&self) -> bool {
        true
    }

    fn punch_hole(&self, range: Range<u64>) -> Result<(), Errno> {
        self.store.punch_hole(range);
        Ok(())
    }
}
