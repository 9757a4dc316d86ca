//! Shared anonymous memory: what `mmap(MAP_SHARED | MAP_ANONYMOUS)` makes.

use crate::extents::Place;
use crate::file::{AllocOpts, FileRange, MemoryFile};
use crate::mappable::{BackingRun, MapName, Mappable, MappingSet, next_mappable_id};
use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use parking_lot::Mutex;
use std::sync::Arc;

/// An unnamed memory object of fixed length, shared by the processes that inherited it.
pub(crate) struct SharedAnon {
    id: u64,
    len: u64,
    file: Arc<MemoryFile>,
    pages: Mutex<Option<FileRange>>,
    mappings: MappingSet,
}

impl SharedAnon {
    /// Makes an object of `len` bytes of zeros. Its pages are charged when first mapped.
    pub(crate) fn new(file: Arc<MemoryFile>, len: u64) -> Arc<Self> {
        Arc::new(Self {
            id: next_mappable_id(),
            len,
            file,
            pages: Mutex::new(None),
            mappings: MappingSet::new(),
        })
    }
}

impl Mappable for SharedAnon {
    fn id(&self) -> u64 {
        self.id
    }

    fn backing(&self, offset: u64, len: u64, _for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        let mut pages = self.pages.lock();
        let all = match &mut *pages {
            Some(all) => all,
            None => {
                let opts = AllocOpts { place: Place::Fresh(0), ..AllocOpts::default() };
                pages.insert(self.file.alloc(self.len, opts)?)
            }
        };
        let inside = end.min(self.len).saturating_sub(offset);
        let mut runs = Vec::new();
        if inside > 0 {
            runs.push(BackingRun::memory(all.share_part(offset, inside)));
        }
        if inside < len {
            runs.push(BackingRun::none(len - inside));
        }
        Ok(runs)
    }

    fn size(&self) -> u64 {
        self.len
    }

    fn describe(&self) -> MapName {
        MapName { path: b"/dev/zero (deleted)".to_vec(), dev: 1, ino: self.id }
    }

    fn mappings(&self) -> &MappingSet {
        &self.mappings
    }

    fn is_shmem(&self) -> bool {
        true
    }

    fn is_anonymous(&self) -> bool {
        true
    }

    fn punch_hole(&self, range: std::ops::Range<u64>) -> Result<(), Errno> {
        let end = range.end.min(self.len);
        if let Some(pages) = &*self.pages.lock()
            && range.start < end
        {
            pages.discard(range.start, end - range.start)?;
        }
        Ok(())
    }
}
