//! `/proc/PID/pagemap`: which pages are in memory (`pagemap` of the kernel's documentation).

use super::Subject;
use crate::node::Place;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EINVAL};
use bevor_memory::{IoDst, MapEntry, MemoryManager};
use bevor_vfs::caller::Caller;
use bevor_vfs::file::{File, FileOps, OpenFlags, seek_plain};
use bevor_vfs::inode::{Attr, FileType, FsStat, Inode, InodeRef};
use std::any::Any;
use std::sync::{Arc, Weak};

/// Bytes of a page.
const PAGE_BYTES: u64 = 4096;
/// Bytes that tell of a page.
const ENTRY_BYTES: u64 = 8;
/// Most pages told of in one go.
const MOST_PAGES: u64 = 16384;
/// Addresses end here (`TASK_SIZE`).
const END: u64 = 1 << 47;

/// The page is in memory.
const PRESENT: u64 = 1 << 63;
/// It is of a file or shared.
const FILE: u64 = 1 << 61;
/// It was written since `clear_refs`: writes are not tracked, and every page counts.
const SOFT_DIRTY: u64 = 1 << 55;

/// The file of a task.
pub fn file(subject: &Subject, name: &'static str) -> InodeRef {
    Arc::new(Pagemap { subject: subject.clone(), place: subject.place(), name })
}

struct Pagemap {
    subject: Subject,
    place: Place,
    name: &'static str,
}

impl Inode for Pagemap {
    fn file_type(&self) -> FileType {
        FileType::Regular
    }

    fn ino(&self) -> u64 {
        self.place.ino(self.name)
    }

    fn dev(&self) -> u64 {
        self.place.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        Ok(self.place.attr(self.name, 0o400, FileType::Regular))
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        if flags.writable() {
            return Err(EACCES.into());
        }
        self.subject.check_read(caller)?;
        let mm = self.subject.task()?.mm().map_or_else(Weak::new, |mm| Arc::downgrade(&mm));
        Ok(Box::new(OpenPagemap { mm }))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(self.place.statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct OpenPagemap {
    mm: Weak<MemoryManager>,
}

/// Whether private memory without a file holds the page of `addr`.
fn is_anonymous(maps: &[MapEntry], addr: u64) -> Option<bool> {
    let at = maps.partition_point(|map| map.range.end <= addr);
    let map = maps.get(at).filter(|map| map.range.start <= addr)?;
    Some(!map.shared && map.name.ino == 0)
}

impl FileOps for OpenPagemap {
    /// Whole entries only; 0 bytes beyond the last address.
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        let Some(mm) = self.mm.upgrade() else { return Ok(0) };
        let wanted = dst.remaining();
        if !at.is_multiple_of(ENTRY_BYTES) || !wanted.is_multiple_of(ENTRY_BYTES) {
            return Err(EINVAL.because("not a whole number of entries"));
        }
        let first = at / ENTRY_BYTES;
        let last = (END / PAGE_BYTES).min(first.saturating_add(wanted / ENTRY_BYTES));
        let maps = mm.maps();
        let mut done = 0;
        let mut page = first;
        while page < last {
            let count = (last - page).min(MOST_PAGES);
            let mut slots = vec![0; usize::try_from(count).map_err(|_| EINVAL)?];
            mm.resident_pages(page * PAGE_BYTES, &mut slots);
            let entries = slots.iter().zip(page..).map(|(slot, page)| {
                match is_anonymous(&maps, page * PAGE_BYTES) {
                    Some(true) if slot & 1 != 0 => PRESENT | SOFT_DIRTY,
                    Some(false) if slot & 1 != 0 => PRESENT | SOFT_DIRTY | FILE,
                    Some(_) => SOFT_DIRTY,
                    None => 0,
                }
            });
            let bytes: Vec<u8> = entries.flat_map(u64::to_ne_bytes).collect();
            done += dst.put(&bytes)?;
            page += count;
        }
        Ok(done)
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        seek_plain(at, offset, whence, || Err(EINVAL.into()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_between_mappings_belong_to_none() {
        assert_eq!(is_anonymous(&[], 4096), None);
    }
}
