//! Bookkeeping of one memory file: which runs are free, and how many references the others have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Where an allocation should go in its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Place {
    /// Wherever it fits best.
    #[default]
    Anywhere,
    /// Right before this offset, if free; else as `Fresh`.
    EndingAt(u64),
    /// Right at this offset, if free; else as `Fresh`.
    StartingAt(u64),
    /// Away from others, with room to grow on both sides, at an offset congruent to this guest
    /// address modulo the huge page size.
    Fresh(u64),
}

/// Room left around a fresh allocation, bytes.
const ROOM: u64 = 1 << 30;
/// Size and alignment of a huge page, bytes.
const HUGE: u64 = 2 << 20;

/// Pages with equal reference counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    len: u64,
    refs: u32,
    charged: bool,
    /// The host has committed all of it: it came from the stock.
    committed: bool,
}

/// Pages whose last reference went away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Freed {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) charged: bool,
    pub(crate) committed: bool,
}

/// Unallocated runs, by offset and by size.
#[derive(Debug, Default)]
struct FreeRuns {
    by_offset: BTreeMap<u64, u64>,
    by_size: BTreeSet<(u64, u64)>,
}

/// Free runs (holes), the stock (free runs that are committed and hold old content), and allocated
/// runs of one file.
#[derive(Debug)]
pub(crate) struct Extents {
    free: FreeRuns,
    stock: FreeRuns,
    stock_bytes: u64,
    runs: BTreeMap<u64, Run>,
    allocated: u64,
}

impl Extents {
    pub(crate) fn new(size: u64) -> Self {
        let mut this = Self {
            free: FreeRuns::default(),
            stock: FreeRuns::default(),
            stock_bytes: 0,
            runs: BTreeMap::new(),
            allocated: 0,
        };
        this.free.insert(0, size);
        this
    }

    /// Bytes in allocated runs.
    pub(crate) fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Takes `len` bytes of holes; their first reference belongs to the caller.
    pub(crate) fn alloc(&mut self, len: u64, place: Place, charged: bool) -> Option<u64> {
        let offset = self.find(len, place)?;
        self.free.take(offset, len);
        self.insert_run(offset, Run { len, refs: 1, charged, committed: false });
        Some(offset)
    }

    /// Takes `len` bytes of holes behind everything that was ever taken, from byte `end` on: right there
    /// if what ends there is still allocated, else where a huge page begins. `None` without room.
    pub(crate) fn alloc_at_end(&mut self, len: u64, end: u64) -> Option<u64> {
        let before = self.runs.range(..end).next_back();
        let follows = before.is_some_and(|(&start, run)| start + run.len == end);
        let offset = if follows { end } else { end.checked_next_multiple_of(HUGE)? };
        if !self.free.contains(offset, len) {
            return None;
        }
        self.free.take(offset, len);
        self.insert_run(offset, Run { len, refs: 1, charged: true, committed: false });
        Some(offset)
    }

    /// The free bytes around a run just freed, as far as the huge pages reach in which it lies.
    pub(crate) fn free_around(&self, offset: u64, len: u64) -> Range<u64> {
        let end = offset + len;
        let floor =
            self.runs.range(..offset).next_back().map_or(0, |(&start, run)| start + run.len);
        let ceiling = self.runs.range(end..).next().map_or(u64::MAX, |(&start, _)| start);
        let huge_end = end.checked_next_multiple_of(HUGE).unwrap_or(end);
        floor.max(offset & !(HUGE - 1))..ceiling.min(huge_end)
    }

    /// Takes `len` committed bytes with old content, if the stock has a run of that length.
    pub(crate) fn alloc_stock(&mut self, len: u64) -> Option<u64> {
        let &(_, offset) = self.stock.by_size.range((len, 0)..).next()?;
        self.stock.take(offset, len);
        self.stock_bytes -= len;
        self.insert_run(offset, Run { len, refs: 1, charged: true, committed: true });
        Some(offset)
    }

    fn insert_run(&mut self, offset: u64, run: Run) {
        self.runs.insert(offset, run);
        self.merge_at(offset);
        self.merge_at(offset + run.len);
        self.allocated += run.len;
    }

    fn find(&self, len: u64, place: Place) -> Option<u64> {
        match place {
            Place::EndingAt(end) => end
                .checked_sub(len)
                .filter(|&at| self.free.contains(at, len))
                .or_else(|| self.fresh(len, end)),
            Place::StartingAt(at) if self.free.contains(at, len) => Some(at),
            Place::StartingAt(at) | Place::Fresh(at) => self.fresh(len, at),
            Place::Anywhere => self.free.by_size.range((len, 0)..).next().map(|&(_, at)| at),
        }
    }

    /// A place in the largest free run, apart from its start.
    fn fresh(&self, len: u64, like: u64) -> Option<u64> {
        let &(size, start) = self.free.by_size.last()?;
        let slack = size.checked_sub(len)?;
        if slack < 4 * HUGE {
            return Some(start);
        }
        let apart = start + ROOM.min(slack / 2);
        Some((apart & !(HUGE - 1)) + (like & (HUGE - 1)))
            .filter(|&at| self.free.contains(at, len))
            .or(Some(start))
    }

    /// Makes freed pages allocatable again, once they are holes.
    pub(crate) fn recycle(&mut self, offset: u64, len: u64) {
        self.free.give_back(offset, len);
    }

    /// Puts freed pages that are committed into the stock.
    pub(crate) fn restock(&mut self, offset: u64, len: u64) {
        self.stock.give_back(offset, len);
        self.stock_bytes += len;
    }

    /// Bytes in the stock.
    pub(crate) fn stock_bytes(&self) -> u64 {
        self.stock_bytes
    }

    /// Takes everything out of the stock, to be punched and recycled.
    pub(crate) fn drain_stock(&mut self) -> Vec<(u64, u64)> {
        self.stock_bytes = 0;
        let stock = std::mem::take(&mut self.stock);
        stock.by_offset.into_iter().collect()
    }

    /// Adds a reference to each page.
    pub(crate) fn acquire(&mut self, offset: u64, len: u64) {
        self.update(offset, len, |run| run.refs += 1);
    }

    /// Takes a reference from each page; returns those that had no other.
    pub(crate) fn release(&mut self, offset: u64, len: u64) -> Vec<Freed> {
        let mut freed: Vec<Freed> = Vec::new();
        self.update(offset, len, |run| run.refs -= 1);
        let dead: Vec<_> = self
            .runs
            .range(offset..offset + len)
            .filter(|(_, run)| run.refs == 0)
            .map(|(&at, &run)| (at, run))
            .collect();
        for (at, run) in dead {
            self.runs.remove(&at);
            self.allocated -= run.len;
            freed.push(Freed {
                offset: at,
                len: run.len,
                charged: run.charged,
                committed: run.committed,
            });
        }
        freed
    }

    /// The highest reference count in the range.
    pub(crate) fn max_refs(&self, offset: u64, len: u64) -> u32 {
        let first = self.runs.range(..=offset).next_back().map_or(0, |(_, run)| run.refs);
        self.runs.range(offset..offset + len).map(|(_, run)| run.refs).fold(first, u32::max)
    }

    /// The reference counts within the range.
    pub(crate) fn reference_runs(&self, offset: u64, len: u64) -> Vec<(Range<u64>, u32)> {
        let end = offset + len;
        let first = self.runs.range(..=offset).next_back().map_or(offset, |(&start, _)| start);
        self.runs
            .range(first..end)
            .map(|(&start, run)| (start.max(offset)..(start + run.len).min(end), run.refs))
            .filter(|(run, _)| run.start < run.end)
            .collect()
    }

    /// Bytes of the range that are reserved only.
    pub(crate) fn uncharged(&mut self, offset: u64, len: u64) -> u64 {
        self.split_at(offset);
        self.split_at(offset + len);
        let runs = self.runs.range(offset..offset + len);
        runs.filter(|(_, run)| !run.charged).map(|(_, run)| run.len).sum()
    }

    /// Marks the range as charged.
    pub(crate) fn set_charged(&mut self, offset: u64, len: u64) {
        self.update(offset, len, |run| run.charged = true);
    }

    fn update(&mut self, offset: u64, len: u64, change: impl Fn(&mut Run)) {
        self.split_at(offset);
        self.split_at(offset + len);
        for (_, run) in self.runs.range_mut(offset..offset + len) {
            change(run);
        }
        self.merge_at(offset);
        self.merge_at(offset + len);
    }

    fn split_at(&mut self, at: u64) {
        if let Some((&start, run)) = self.runs.range_mut(..at).next_back()
            && start + run.len > at
        {
            let back = Run { len: start + run.len - at, ..*run };
            run.len = at - start;
            self.runs.insert(at, back);
        }
    }

    /// Joins the runs on both sides of `at` if they are alike. Runs without references stay apart,
    /// for `release` to find.
    fn merge_at(&mut self, at: u64) {
        let Some(&next) = self.runs.get(&at) else { return };
        let Some((&start, run)) = self.runs.range_mut(..at).next_back() else { return };
        let alike = run.refs == next.refs
            && run.charged == next.charged
            && run.committed == next.committed
            && next.refs != 0;
        if alike && start + run.len == at {
            run.len += next.len;
            self.runs.remove(&at);
        }
    }
}

impl FreeRuns {
    fn contains(&self, at: u64, len: u64) -> bool {
        self.by_offset.range(..=at).next_back().is_some_and(|(&start, &size)| {
            at.checked_add(len).is_some_and(|end| end <= start + size)
        })
    }

    /// Takes a part of one run out.
    fn take(&mut self, at: u64, len: u64) {
        let run = self.by_offset.range(..=at).next_back().map(|(&start, &size)| (start, size));
        let Some((start, size)) = run.filter(|(start, size)| at + len <= start + size) else {
            debug_assert!(false, "not part of a free run");
            return;
        };
        self.remove(start, size);
        if start < at {
            self.insert(start, at - start);
        }
        if at + len < start + size {
            self.insert(at + len, start + size - at - len);
        }
    }

    /// Puts a run in, joined with its neighbours.
    fn give_back(&mut self, offset: u64, len: u64) {
        let (mut start, mut size) = (offset, len);
        if let Some((&before, &before_size)) = self.by_offset.range(..offset).next_back()
            && before + before_size == offset
        {
            self.remove(before, before_size);
            start = before;
            size += before_size;
        }
        if let Some(&after_size) = self.by_offset.get(&(offset + len)) {
            self.remove(offset + len, after_size);
            size += after_size;
        }
        self.insert(start, size);
    }

    fn insert(&mut self, start: u64, size: u64) {
        self.by_offset.insert(start, size);
        self.by_size.insert((size, start));
    }

    fn remove(&mut self, start: u64, size: u64) {
        self.by_offset.remove(&start);
        self.by_size.remove(&(size, start));
    }
}
