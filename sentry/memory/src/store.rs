//! The content of tmpfs files, memfds and shared memory: pages of memory files, with holes.

use crate::account::Account;
use crate::addr::{PAGE_SIZE, page_ceil, page_floor};
use crate::era::{Era, Pinned};
use crate::extents::Place;
use crate::file::{AllocOpts, FileRange, MemoryFile};
use crate::host;
use crate::io::{IoDst, IoSrc};
use crate::large::{Ahead, LargeFiles, UNIT};
use crate::mappable::{BackingRun, MappingSet, next_mappable_id};
use crate::pool::MemoryPool;
use crate::rangemap::{Piece, RangeMap};
use bevor_abi::Errno;
use bevor_abi::errno::{EFBIG, EINVAL, ENOMEM, ENOSPC, ENXIO};
use parking_lot::RwLock;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Largest file size (`MAX_LFS_FILESIZE`).
const MAX_SIZE: u64 = i64::MAX.cast_unsigned();

/// Bytes from which on new pages are written by the host and not through the window.
const HOST_WRITE: u64 = 4 * PAGE_SIZE;

/// Bytes of pages in all contents together (`Shmem` of `/proc/meminfo`).
static IN_STORES: AtomicU64 = AtomicU64::new(0);

/// Bytes of pages that tmpfs files, memfds and shared memory have.
#[must_use]
pub fn bytes_in_stores() -> u64 {
    IN_STORES.load(Ordering::Relaxed)
}

/// What the files of one file system may use together (`size=` of tmpfs).
#[derive(Debug)]
pub struct SpaceLimit {
    limit: AtomicU64,
    used: AtomicU64,
}

impl SpaceLimit {
    /// A limit of `limit` bytes, `u64::MAX` for none.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit: AtomicU64::new(limit), used: AtomicU64::new(0) })
    }

    /// The limit, bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit (remount).
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), Errno> {
        let limit = self.limit();
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= limit)
            })
            .map_err(|_| ENOSPC.because("the file system is full"))?;
        IN_STORES.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        IN_STORES.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Piece for FileRange {
    fn len(&self) -> u64 {
        FileRange::len(self)
    }

    fn split_off(&mut self, at: u64) -> Self {
        FileRange::split_off(self, at)
    }

    fn try_join(&mut self, next: Self) -> Result<(), Self> {
        if !self.precedes(&next) {
            return Err(next);
        }
        self.join(next);
        Ok(())
    }
}

/// What pages are made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Bytes that are about to be written to them.
    Bytes,
    /// Mappings and reservations: most may never be touched.
    Room,
}

/// Page-granular content with holes, of one inode.
///
/// Lock order: `state` is below every `MemoryManager`'s; it is never held while guest memory is
/// touched (an [`Era`] keeps pages meanwhile).
pub struct PageStore {
    id: u64,
    limit: Arc<SpaceLimit>,
    state: RwLock<Content>,
    mappings: MappingSet,
}

struct Content {
    file: Arc<MemoryFile>,
    large: Arc<LargeFiles>,
    /// What is set aside for the bytes that come next, once there are many.
    ahead: Option<Ahead>,
    size: u64,
    extents: RangeMap<FileRange>,
    allocated: u64,
    era: Arc<Era>,
    /// Whether extents exist that nobody wrote: mapped holes, which the host may not have filled.
    sparse: bool,
}

impl PageStore {
    /// Makes an empty content, paid by `account`, counted against `limit`.
    ///
    /// # Errors
    /// `ENOMEM`: the host refused a memory file.
    pub fn new(
        pool: &MemoryPool,
        account: &Arc<Account>,
        limit: Arc<SpaceLimit>,
    ) -> Result<Self, Errno> {
        let content = Content {
            file: pool.pick(account)?,
            large: Arc::clone(pool.large()),
            ahead: None,
            size: 0,
            extents: RangeMap::default(),
            allocated: 0,
            era: Arc::default(),
            sparse: false,
        };
        Ok(Self {
            id: next_mappable_id(),
            limit,
            state: RwLock::new(content),
            mappings: MappingSet::new(),
        })
    }

    /// The content's [`crate::Mappable::id`].
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who maps it.
    #[must_use]
    pub fn mappings(&self) -> &MappingSet {
        &self.mappings
    }

    /// Length, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state.read().size
    }

    /// Bytes of pages in use (`st_blocks` is this / 512).
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        let state = self.state.read();
        if !state.sparse {
            return state.allocated;
        }
        let mut sum = 0;
        for (_, pages) in state.extents.iter() {
            let mut at = 0;
            while let Some(data) = committed_after(pages, at) {
                let end = hole_after(pages, data);
                sum += end - data;
                at = end;
            }
        }
        sum
    }

    /// Reads from `offset` into `dst`; returns how many bytes, 0 at the end.
    ///
    /// # Errors
    /// `EFAULT` if nothing could be put.
    pub fn read_at(&self, offset: u64, dst: &mut IoDst<'_>) -> Result<usize, Errno> {
        let mut at = offset;
        let mut total = 0;
        loop {
            let (piece, len) = {
                let state = self.state.read();
                let left = state.size.saturating_sub(at).min(dst.remaining());
                if left == 0 {
                    return Ok(total);
                }
                state.pin(at, left)
            };
            let moved = match &piece {
                Some(pages) => dst.copy_from_memory(pages),
                None => dst.put_zeros(len),
            };
            match moved {
                Ok(moved) => {
                    total += moved;
                    at += moved as u64;
                    if (moved as u64) < len {
                        return Ok(total);
                    }
                }
                Err(error) if total == 0 => return Err(error),
                Err(_) => return Ok(total),
            }
        }
    }

    /// Writes `src` from `offset` on, filling holes and extending the file; returns how many bytes.
    ///
    /// # Errors
    /// `EFAULT` if nothing could be taken; `EFBIG`; `ENOSPC`, `ENOMEM` if no page could be had.
    pub fn write_at(&self, offset: u64, src: &mut IoSrc<'_>) -> Result<usize, Errno> {
        let wanted = src.remaining();
        if wanted == 0 {
            return Ok(0);
        }
        let end = offset.checked_add(wanted).ok_or(EFBIG)?.min(MAX_SIZE);
        if offset >= end {
            return Err(EFBIG.into());
        }
        let mut at = offset;
        let mut failure = None;
        while at < end {
            // Fills at most this much in one go, so that a short source wastes little.
            let chunk = (end - at).min(4 << 20);
            let mut state = self.state.write();
            let seen = state.file.account().reclaims();
            let (size, is_fresh) = (state.size, state.extents.get(at).is_none());
            let filled = self.fill(&mut state, at..at + chunk, Purpose::Bytes).or_else(|error| {
                // The page at hand may be there, or fit alone.
                let page_end = (page_floor(at) + PAGE_SIZE).min(end);
                self.fill(&mut state, at..page_end, Purpose::Bytes).map_err(|_| error)
            });
            if let Err(error) = filled {
                let account = Arc::clone(state.file.account());
                drop(state);
                if error == ENOMEM && account.make_room(seen) {
                    continue;
                }
                failure = Some(error);
                break;
            }
            let (piece, len) = state.pin(at, chunk);
            drop(state);
            let Some(pages) = piece else { break };
            let by_host = is_fresh && len >= HOST_WRITE;
            let moved = if by_host {
                // Into pages the host has not made yet: it need not clear them, nor map them here.
                src.host_write(pages.file().fd().as_fd(), Some(pages.offset()), pages.len())
            } else {
                src.copy_to_memory(&pages)
            };
            match moved {
                Ok(moved) => {
                    at += moved as u64;
                    if at > size {
                        let mut state = self.state.write();
                        state.size = state.size.max(at);
                    }
                    // The host takes a limited number of pieces; the rest goes through the window.
                    let goes_on = by_host && moved > 0 && src.remaining() > 0;
                    if (moved as u64) < len && !goes_on {
                        break;
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        match failure {
            Some(error) if at == offset => Err(error),
            _ => Ok(usize::try_from(at - offset).unwrap_or(usize::MAX)),
        }
    }

    /// Sets the length (ftruncate(2)). Mappings lose the pages beyond it.
    ///
    /// # Errors
    /// `EFBIG`.
    pub fn truncate(&self, size: u64) -> Result<(), Errno> {
        if size > MAX_SIZE {
            return Err(EFBIG.into());
        }
        let removed = {
            let mut state = self.state.write();
            let shrinks = size < state.size;
            state.size = size;
            if !shrinks {
                return Ok(());
            }
            let keep = page_ceil(size).unwrap_or(u64::MAX);
            state.zero(size..keep);
            self.free(&mut state, keep..u64::MAX)
        };
        self.mappings.invalidate(self.id, size..u64::MAX);
        drop(removed);
        Ok(())
    }

    /// Frees the pages of a range, which then reads as zeros; the length stays.
    pub fn punch_hole(&self, range: Range<u64>) {
        let removed = {
            let mut state = self.state.write();
            let first = page_ceil(range.start).unwrap_or(u64::MAX);
            let last = page_floor(range.end);
            if first > last {
                state.zero(range.clone());
                return;
            }
            state.zero(range.start..first);
            state.zero(last..range.end);
            if first == last {
                return;
            }
            self.free(&mut state, first..last)
        };
        self.mappings.invalidate(self.id, range);
        drop(removed);
    }

    /// Fills the holes of a range (fallocate(2) without flags; the length is the caller's).
    ///
    /// # Errors
    /// `ENOSPC`, `ENOMEM`, `EFBIG`.
    pub fn allocate(&self, range: Range<u64>) -> Result<(), Errno> {
        if range.end > MAX_SIZE {
            return Err(EFBIG.into());
        }
        self.fill(&mut self.state.write(), range, Purpose::Room)
    }

    /// The next data at or after `offset` (`SEEK_DATA`).
    ///
    /// # Errors
    /// `ENXIO`: none, or beyond the end.
    pub fn seek_data(&self, offset: u64) -> Result<u64, Errno> {
        let state = self.state.read();
        for (start, pages) in state.extents.overlapping(offset..state.size.max(offset)) {
            if let Some(data) = committed_after(pages, offset.saturating_sub(start))
                && start + data < state.size
            {
                return Ok((start + data).max(offset));
            }
        }
        Err(ENXIO.into())
    }

    /// The next hole at or after `offset` (`SEEK_HOLE`); the end of the file counts as one.
    ///
    /// # Errors
    /// `ENXIO`: beyond the end.
    pub fn seek_hole(&self, offset: u64) -> Result<u64, Errno> {
        let state = self.state.read();
        if offset >= state.size {
            return Err(ENXIO.into());
        }
        let mut at = offset;
        for (start, pages) in state.extents.overlapping(offset..state.size) {
            if start > at {
                break;
            }
            let hole = hole_after(pages, at - start);
            at = start + hole;
            if hole < pages.len() {
                break;
            }
        }
        Ok(at.min(state.size))
    }

    /// Answers [`crate::Mappable::backing`]: pages, made where there are none, and nothing beyond
    /// the end of the file.
    ///
    /// # Errors
    /// `ENOSPC`, `ENOMEM`.
    pub fn backing(&self, offset: u64, len: u64) -> Result<Vec<BackingRun>, Errno> {
        if !(offset | len).is_multiple_of(PAGE_SIZE) {
            return Err(EINVAL.because("not page aligned"));
        }
        let mut state = self.state.write();
        let end = offset.saturating_add(len);
        let inside = end.min(page_ceil(state.size).unwrap_or(u64::MAX));
        let mut runs = Vec::new();
        if offset < inside {
            if !state.extents.covers(offset..inside) {
                self.fill(&mut state, offset..inside, Purpose::Room)?;
                state.sparse = true;
            }
            for (start, pages) in state.extents.overlapping(offset..inside) {
                let part = start.max(offset)..(start + pages.len()).min(inside);
                let run = pages.share_part(part.start - start, part.end - part.start);
                runs.push(BackingRun::memory(run));
            }
        }
        let beyond = end - inside.clamp(offset, end);
        if beyond > 0 {
            runs.push(BackingRun::none(beyond));
        }
        Ok(runs)
    }

    /// Nobody writes for now: gives back what was set aside for more.
    pub fn settle(&self) {
        if self.state.read().ahead.is_some() {
            let ahead = self.state.write().ahead.take();
            drop(ahead);
        }
    }

    /// Makes pages for the holes of a range.
    fn fill(&self, state: &mut Content, range: Range<u64>, why: Purpose) -> Result<(), Errno> {
        let pages = page_floor(range.start)..page_ceil(range.end).ok_or(EFBIG)?;
        if state.extents.covers(pages.clone()) {
            return Ok(());
        }
        for mut gap in state.extents.gaps(pages) {
            self.limit.take(gap.end - gap.start)?;
            while gap.start < gap.end {
                let made = state.make_pages(&gap, why).and_then(|pages| {
                    pages.file().commit(pages.offset(), pages.len())?;
                    Ok(pages)
                });
                match made {
                    Ok(pages) => {
                        let at = gap.start;
                        gap.start += pages.len();
                        state.allocated += pages.len();
                        state.extents.insert(at, pages);
                    }
                    Err(error) => {
                        self.limit.give_back(gap.end - gap.start);
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the pages of a range out. They are freed when what this returns is dropped, once nobody
    /// maps them or copies from or to them.
    fn free(&self, state: &mut Content, range: Range<u64>) -> Arc<Era> {
        let removed = state.extents.remove(range);
        state.ahead = None;
        let removed: Vec<FileRange> = removed.into_iter().map(|(_, pages)| pages).collect();
        let bytes = removed.iter().map(FileRange::len).sum();
        state.allocated -= bytes;
        self.limit.give_back(bytes);
        Era::pass(&mut state.era, removed)
    }
}

impl Content {
    /// Makes pages for a gap, or for the first part of it.
    fn make_pages(&mut self, gap: &Range<u64>, why: Purpose) -> Result<FileRange, Errno> {
        let mut end = gap.end;
        if why == Purpose::Bytes {
            if gap.start.is_multiple_of(UNIT) && self.is_long(gap) {
                let account = Arc::clone(self.file.account());
                self.ahead = self.large.set_aside(&account, gap.start);
            }
            if let Some(pages) = self.ahead.as_mut().and_then(|ahead| ahead.take(gap)) {
                self.ahead.take_if(|ahead| ahead.is_empty());
                return Ok(pages);
            }
            let next = (gap.start & !(UNIT - 1)) + UNIT;
            if !gap.start.is_multiple_of(UNIT) && next < end {
                end = next;
            }
        }
        let place = match self.extents.prev_before(gap.start) {
            Some((start, before))
                if start + before.len() == gap.start && Arc::ptr_eq(before.file(), &self.file) =>
            {
                Place::StartingAt(before.offset() + before.len())
            }
            _ => Place::Anywhere,
        };
        self.file.alloc(end - gap.start, AllocOpts { place, ..AllocOpts::default() })
    }

    /// Whether a unit should be set aside for a gap: all of it is wanted, or so many bytes went before
    /// that it will be.
    fn is_long(&self, gap: &Range<u64>) -> bool {
        let end = gap.start + UNIT;
        if gap.end >= end {
            return true;
        }
        gap.start >= UNIT
            && self.extents.covers(gap.start - UNIT..gap.start)
            && self.extents.next_from(gap.start).is_none_or(|(start, _)| start >= end)
    }

    /// The pages at `at`; `None` for a hole. And how many bytes, at most `max`, it goes on for.
    fn pin(&self, at: u64, max: u64) -> (Option<Pinned>, u64) {
        match self.extents.get(at) {
            Some((start, pages)) => {
                let within = at - start;
                let len = max.min(pages.len() - within);
                (Some(Pinned::new(pages, within, len, &self.era)), len)
            }
            None => {
                let next = self.extents.next_from(at).map_or(u64::MAX, |(start, _)| start);
                (None, max.min(next - at))
            }
        }
    }

    /// Zeroes bytes that lie in existing pages.
    fn zero(&self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        for (start, pages) in self.extents.overlapping(range.clone()) {
            let part = start.max(range.start)..(start + pages.len()).min(range.end);
            pages.zero(part.start - start, part.end - part.start);
        }
    }
}

impl Drop for PageStore {
    fn drop(&mut self) {
        self.limit.give_back(self.state.get_mut().allocated);
    }
}

impl std::fmt::Debug for PageStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PageStore({}, {} bytes)", self.id, self.size())
    }
}

/// The first byte at or after `at` of `pages` that the host has committed.
fn committed_after(pages: &FileRange, at: u64) -> Option<u64> {
    let data = host::seek_data(pages.file().fd().as_fd(), pages.offset() + at)?;
    Some(data - pages.offset()).filter(|&data| data < pages.len())
}

/// The first byte at or after `at` of `pages` that the host has not committed, or the length.
fn hole_after(pages: &FileRange, at: u64) -> u64 {
    host::seek_hole(pages.file().fd().as_fd(), pages.offset() + at)
        .map_or(pages.len(), |hole| (hole - pages.offset()).min(pages.len()))
}
