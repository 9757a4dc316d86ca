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
const HUGE: u64 = 2 << 20;

/// Pages with equal reference counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    len: u64,
    refs: u32,
    charged: bool,
}

/// Pages whose last reference went away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Freed {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) charged: bool,
}

/// Free runs (by offset and by size) and allocated runs of one file.
#[derive(Debug)]
pub(crate) struct Extents {
    free: BTreeMap<u64, u64>,
    by_size: BTreeSet<(u64, u64)>,
    runs: BTreeMap<u64, Run>,
    allocated: u64,
}

impl Extents {
    pub(crate) fn new(size: u64) -> Self {
        let mut this = Self {
            free: BTreeMap::new(),
            by_size: BTreeSet::new(),
            runs: BTreeMap::new(),
            allocated: 0,
        };
        this.insert_free(0, size);
        this
    }

    /// Bytes in allocated runs.
    pub(crate) fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Takes `len` bytes; their first reference belongs to the caller.
    pub(crate) fn alloc(&mut self, len: u64, place: Place, charged: bool) -> Option<u64> {
        let offset = self.find(len, place)?;
        self.take_free(offset, len);
        self.runs.insert(offset, Run { len, refs: 1, charged });
        self.merge_at(offset);
        self.merge_at(offset + len);
        self.allocated += len;
        Some(offset)
    }

    fn find(&self, len: u64, place: Place) -> Option<u64> {
        match place {
            Place::EndingAt(end) => end
                .checked_sub(len)
                .filter(|&at| self.is_free(at, len))
                .or_else(|| self.fresh(len, end)),
            Place::StartingAt(at) if self.is_free(at, len) => Some(at),
            Place::StartingAt(at) | Place::Fresh(at) => self.fresh(len, at),
            Place::Anywhere => self.by_size.range((len, 0)..).next().map(|&(_, at)| at),
        }
    }

    /// A place in the largest free run, apart from its start.
    fn fresh(&self, len: u64, like: u64) -> Option<u64> {
        let &(size, start) = self.by_size.last()?;
        let slack = size.checked_sub(len)?;
        if slack < 4 * HUGE {
            return Some(start);
        }
        let apart = start + ROOM.min(slack / 2);
        Some((apart & !(HUGE - 1)) + (like & (HUGE - 1)))
            .filter(|&at| self.is_free(at, len))
            .or(Some(start))
    }

    fn is_free(&self, at: u64, len: u64) -> bool {
        self.free.range(..=at).next_back().is_some_and(|(&start, &size)| {
            at.checked_add(len).is_some_and(|end| end <= start + size)
        })
    }

    fn take_free(&mut self, at: u64, len: u64) {
        let (&start, &size) =
            self.free.range(..=at).next_back().expect("`find` returned a part of a free run");
        self.remove_free(start, size);
        if start < at {
            self.insert_free(start, at - start);
        }
        if at + len < start + size {
            self.insert_free(at + len, start + size - at - len);
        }
    }

    fn insert_free(&mut self, start: u64, size: u64) {
        self.free.insert(start, size);
        self.by_size.insert((size, start));
    }

    fn remove_free(&mut self, start: u64, size: u64) {
        self.free.remove(&start);
        self.by_size.remove(&(size, start));
    }

    /// Makes freed pages allocatable again, once they read as zeros.
    pub(crate) fn recycle(&mut self, offset: u64, len: u64) {
        let (mut start, mut size) = (offset, len);
        if let Some((&before, &before_size)) = self.free.range(..offset).next_back()
            && before + before_size == offset
        {
            self.remove_free(before, before_size);
            start = before;
            size += before_size;
        }
        if let Some(&after_size) = self.free.get(&(offset + len)) {
            self.remove_free(offset + len, after_size);
            size += after_size;
        }
        self.insert_free(start, size);
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
            freed.push(Freed { offset: at, len: run.len, charged: run.charged });
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
        let alike = run.refs == next.refs && run.charged == next.charged && next.refs != 0;
        if alike && start + run.len == at {
            run.len += next.len;
            self.runs.remove(&at);
        }
    }
}
