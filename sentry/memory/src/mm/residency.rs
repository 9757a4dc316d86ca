//! Which pages are really in memory: `mincore`, resident set sizes.

use super::fault::to_usize;
use super::pma::{Pages, Pma};
use super::{MemoryManager, State};
use crate::addr::{PAGE_SIZE, UserAddr, page_ceil};
use crate::host;
use crate::rangemap::Piece;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOMEM};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

/// Pages looked at per host call.
const BATCH_PAGES: u64 = 4096;

/// Mappings up to this length count as resident where precision is not worth a host call.
const COUNTED_WHOLE: u64 = 256 << 10;

/// Resident bytes, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rss {
    /// Private pages (`RssAnon`).
    pub anon: u64,
    /// Pages of files (`RssFile`).
    pub file: u64,
    /// Pages of tmpfs, memfd and shared anonymous memory (`RssShmem`).
    pub shmem: u64,
}

impl Rss {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.anon + self.file + self.shmem
    }
}

impl MemoryManager {
    /// Tells which pages of a range are in memory (mincore(2)): a byte per page at `vec`.
    ///
    /// # Errors
    /// `EINVAL`: unaligned. `ENOMEM`: a gap. `EFAULT`: `vec`.
    pub fn mincore(&self, addr: u64, len: u64, vec: UserAddr) -> Result<(), Errno> {
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(EINVAL.because("address not page aligned"));
        }
        let end = page_ceil(len)
            .and_then(|len| addr.checked_add(len))
            .filter(|&end| end <= self.layout().end)
            .ok_or(ENOMEM)?;
        let (mut at, mut out) = (addr, vec);
        while at < end {
            let batch = at..end.min(at + BATCH_PAGES * PAGE_SIZE);
            let mut resident = vec![0u8; to_usize((batch.end - batch.start) / PAGE_SIZE)];
            {
                let st = self.state.read();
                if !st.vmas.covers(batch.clone()) {
                    return Err(ENOMEM.because("a gap in the range"));
                }
                st.residency(&batch, &mut resident);
            }
            self.write_bytes(out, &resident)?;
            out = out.add(resident.len() as u64)?;
            at = batch.end;
        }
        Ok(())
    }

    /// Resident bytes by kind. Asks the host about every mapping: not for hot paths.
    #[must_use]
    pub fn rss(&self) -> Rss {
        let st = self.state.read();
        let mut sum = Rss::default();
        for (start, pma) in st.pmas.iter() {
            let resident = pma.resident_bytes(0..pma.len());
            if !pma.of_file {
                sum.anon += resident;
            } else if st
                .vmas
                .get(start)
                .and_then(|(_, vma)| vma.file())
                .is_some_and(|f| f.is_shmem())
            {
                sum.shmem += resident;
            } else {
                sum.file += resident;
            }
        }
        self.peak_rss.fetch_max(sum.total(), Ordering::Relaxed);
        sum
    }

    /// Resident bytes. Asks the host about every mapping: not for hot paths.
    #[must_use]
    pub fn rss_bytes(&self) -> u64 {
        self.rss().total()
    }

    /// Which pages from `start` on are resident: one byte each, 1 for present.
    pub fn resident_pages(&self, start: u64, slots: &mut [u8]) {
        let len = PAGE_SIZE.saturating_mul(slots.len() as u64);
        let Some(end) = start.checked_add(len) else { return };
        self.state.read().residency(&(start..end), slots);
    }

    /// Forgets the most resident bytes so far (`clear_refs`).
    pub fn reset_peak_rss(&self) {
        self.peak_rss.store(0, Ordering::Relaxed);
    }

    /// The most resident bytes so far, this moment included (`ru_maxrss`). Small mappings and files
    /// count as wholly resident, so that a process that ends costs few host calls.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> u64 {
        let st = self.state.read();
        let mut sum = 0;
        for (_, pma) in st.pmas.iter() {
            let whole = pma.len() <= COUNTED_WHOLE || pma.memory().is_none();
            sum += if whole { pma.len() } else { pma.resident_bytes(0..pma.len()) };
        }
        drop(st);
        self.peak_rss.fetch_max(sum, Ordering::Relaxed).max(sum)
    }
}

impl MemoryManager {
    /// The most resident bytes seen so far.
    pub(super) fn peak_rss_seen(&self) -> u64 {
        self.peak_rss.load(Ordering::Relaxed)
    }
}

impl State {
    fn residency(&self, range: &Range<u64>, resident: &mut [u8]) {
        for (start, pma) in self.pmas.overlapping(range.clone()) {
            let part = start.max(range.start)..(start + pma.len()).min(range.end);
            let first = to_usize((part.start - range.start) / PAGE_SIZE);
            let count = to_usize((part.end - part.start) / PAGE_SIZE);
            if let Some(slots) = resident.get_mut(first..first + count) {
                pma.residency(part.start - start, slots);
            }
        }
        for slot in resident {
            *slot &= 1;
        }
    }
}

impl Pma {
    /// Fills in which pages from byte `at` on are in memory.
    fn residency(&self, at: u64, slots: &mut [u8]) {
        match &self.pages {
            Pages::Memory(range) => {
                let _ = range.file().window().resident(range.offset() + at, slots);
            }
            Pages::Host { file, offset, .. } => {
                file.resident(offset + at, slots);
            }
        }
    }

    /// Resident bytes of a part of it.
    pub(super) fn resident_bytes(&self, part: Range<u64>) -> u64 {
        let mut sum = 0;
        let mut at = part.start;
        while at < part.end {
            if let Pages::Memory(range) = &self.pages {
                // Holes may be terabytes long: skip them in one call.
                let from = range.offset() + at;
                match host::seek_data(range.file().fd().as_fd(), from) {
                    Some(data) => at += data.saturating_sub(from) / PAGE_SIZE * PAGE_SIZE,
                    None => break,
                }
                if at >= part.end {
                    break;
                }
            }
            let bytes = (part.end - at).min(BATCH_PAGES * PAGE_SIZE);
            let mut slots = vec![0u8; to_usize(bytes / PAGE_SIZE)];
            self.residency(at, &mut slots);
            sum += slots.iter().filter(|&&slot| slot & 1 == 1).count() as u64 * PAGE_SIZE;
            at += bytes;
        }
        sum
    }
}
