//! Where things go in an address space: Linux's top-down layout with ASLR.

use super::State;
use super::vma::VmFlags;
use crate::addr::{GUEST_END, GUEST_MIN, PAGE_SIZE, page_ceil, page_floor};
use crate::rangemap::Piece;
use std::ops::Range;

/// Gap kept below a stack (`stack_guard_gap`).
pub(super) const STACK_GUARD_GAP: u64 = 256 * PAGE_SIZE;

/// Most a stack's top is moved down by ASLR (`__STACK_RND_MASK`).
const STACK_RND: u64 = 0x3f_ffff * PAGE_SIZE;

/// Pages `mmap_base` is moved down by ASLR: 26 bits. Linux has 28, but also 1/128 more room above:
/// the memory of programs under a thread sanitizer must lie above `0x7e80_0000_0000`.
const MMAP_RND_MASK: u64 = (1 << 26) - 1;

/// Where position-independent programs lie at least (`ELF_ET_DYN_BASE`): the very number Linux has,
/// which thread sanitizers and debuggers rely on.
const PIE_BASE: u64 = 0x5555_5555_4000;

/// Pages the program is moved up by ASLR: 28 bits.
const PIE_RND_MASK: u64 = (1 << 28) - 1;

/// The fixed points of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Lowest address a guest may map.
    pub min: u64,
    /// End of what a guest may map.
    pub end: u64,
    /// Where the search for free space starts, downwards.
    pub mmap_base: u64,
    /// Where the stack ends (its highest address), page aligned.
    pub stack_top: u64,
    /// Where position-independent programs are loaded when they have no interpreter of their own
    /// accord (`ELF_ET_DYN_BASE` plus randomness).
    pub pie_base: u64,
    /// Bytes to leave between the end of the program's data and the start of `brk`.
    pub brk_gap: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self::new(8 << 20, [0; 4])
    }
}

impl Layout {
    /// Lays an address space out for a stack limit, with four random words (zeros: no ASLR).
    #[must_use]
    pub fn new(stack_limit: u64, random: [u64; 4]) -> Self {
        let randomised = random != [0; 4];
        let stack_top = GUEST_END - if randomised { page_floor(random[0] & STACK_RND) } else { 0 };
        let stack_room = stack_limit
            .saturating_add(STACK_GUARD_GAP + if randomised { STACK_RND } else { 0 })
            .clamp(128 << 20, GUEST_END / 6 * 5);
        let mmap_base =
            page_floor(GUEST_END - stack_room) - (random[1] & MMAP_RND_MASK) * PAGE_SIZE;
        let pie_base = PIE_BASE + (random[2] & PIE_RND_MASK) * PAGE_SIZE;
        let brk_gap = if randomised { (random[3] & 0x1fff) * PAGE_SIZE } else { 0 };
        Self { min: GUEST_MIN, end: GUEST_END, mmap_base, stack_top, pie_base, brk_gap }
    }

    /// The addresses a guest may map.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.min..self.end
    }
}

impl State {
    /// Whether nothing is in `range`, nor closely below a stack that begins at its end.
    pub(super) fn is_vacant(&self, range: &Range<u64>) -> bool {
        if self.vmas.overlapping(range.clone()).next().is_some()
            || self.reserved_in(range).is_some()
        {
            return false;
        }
        match self.vmas.next_from(range.end) {
            Some((start, vma)) if vma.flags.contains(VmFlags::GROWSDOWN) => {
                start - range.end >= STACK_GUARD_GAP
            }
            _ => true,
        }
    }

    /// Finds `len` free bytes: at `hint` if possible, else as high below `mmap_base` as they go.
    pub(super) fn find_free(&self, hint: u64, len: u64) -> Option<u64> {
        let bounds = self.layout.range();
        if hint != 0
            && let Some(at) = page_ceil(hint)
            && at >= bounds.start
            && at.checked_add(len).is_some_and(|end| end <= bounds.end)
            && self.is_vacant(&(at..at + len))
        {
            return Some(at);
        }
        self.find_free_below(bounds.start..self.layout.mmap_base, len)
            .or_else(|| self.find_free_above(page_floor(bounds.end / 3)..bounds.end, len))
    }

    /// The highest free place within `bounds`.
    pub(super) fn find_free_below(&self, bounds: Range<u64>, len: u64) -> Option<u64> {
        let mut end = bounds.end;
        loop {
            let at = self.gap_below(bounds.start..end, len)?;
            match self.reserved_in(&(at..at + len)) {
                None => return Some(at),
                Some(held) => end = held.start,
            }
        }
    }

    fn gap_below(&self, bounds: Range<u64>, len: u64) -> Option<u64> {
        let mut end = bounds.end;
        // A VMA that lies across or above the upper bound limits the gap below it.
        if let Some((start, vma)) = self.vmas.next_from(end)
            && vma.flags.contains(VmFlags::GROWSDOWN)
        {
            end = end.min(start.saturating_sub(STACK_GUARD_GAP));
        }
        for (start, vma) in self.vmas.before(bounds.end) {
            let below = start + vma.len();
            if below <= end && end - below >= len {
                return Some(end - len).filter(|&at| at >= bounds.start);
            }
            let gap = if vma.flags.contains(VmFlags::GROWSDOWN) { STACK_GUARD_GAP } else { 0 };
            end = end.min(start.saturating_sub(gap));
            if end < bounds.start.saturating_add(len) {
                return None;
            }
        }
        end.checked_sub(len).filter(|&at| at >= bounds.start)
    }

    /// The lowest free place within `bounds`.
    pub(super) fn find_free_above(&self, bounds: Range<u64>, len: u64) -> Option<u64> {
        let mut start = bounds.start;
        loop {
            let at = self.gap_above(start..bounds.end, len)?;
            match self.reserved_in(&(at..at + len)) {
                None => return Some(at),
                Some(held) => start = held.end,
            }
        }
    }

    fn gap_above(&self, bounds: Range<u64>, len: u64) -> Option<u64> {
        let mut at = bounds.start;
        for (start, vma) in self.vmas.overlapping(bounds.clone()) {
            let gap = if vma.flags.contains(VmFlags::GROWSDOWN) { STACK_GUARD_GAP } else { 0 };
            if start.saturating_sub(gap) >= at && start.saturating_sub(gap) - at >= len {
                return Some(at);
            }
            at = at.max(start + vma.len());
        }
        at.checked_add(len).filter(|&end| end <= bounds.end).map(|_| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_sanitizers_find_programs_where_they_look() {
        let (lowest, highest) = (Layout::new(8 << 20, [u64::MAX; 4]), Layout::new(8 << 20, [0; 4]));
        assert!(lowest.mmap_base > 0x7e80_0000_0000 + (128 << 30));
        assert!(lowest.mmap_base < highest.mmap_base && highest.mmap_base < highest.end);
        assert!((0x5500_0000_0000..0x5680_0000_0000).contains(&lowest.pie_base));
        assert!((0x5500_0000_0000..0x5680_0000_0000).contains(&highest.pie_base));
    }
}
