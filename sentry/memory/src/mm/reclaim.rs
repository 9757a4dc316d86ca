//! Finding room under a memory limit: mapped pages that nobody has touched are taken back.
//!
//! Memory is charged when it is mapped, since the host then commits pages without asking. What a
//! guest mapped and never touched is therefore charged for nothing; when a charge does not fit,
//! such pages are unmapped and uncharged, and come back on a fault.

use super::fault::to_usize;
use super::pma::{Pages, Pma};
use super::{MemoryManager, State};
use crate::account::Account;
use crate::addr::PAGE_SIZE;
use crate::rangemap::Piece;
use bevor_platform::Order;
use std::ops::Range;

impl Account {
    /// Takes untouched pages back from all address spaces that this account pays for; returns the
    /// bytes uncharged. Call it without any memory manager's lock.
    pub fn reclaim(&self) -> u64 {
        self.address_spaces().iter().map(|mm| mm.reclaim()).sum()
    }
}

impl MemoryManager {
    /// Takes untouched private pages back; returns the bytes uncharged.
    fn reclaim(&self) -> u64 {
        let mut freed = Vec::new();
        let result = self.change(|st| {
            let taken = st.take_untouched();
            st.flush()?;
            freed = st.return_touched(taken);
            Ok(())
        });
        match result {
            Ok(()) => freed.iter().map(Piece::len).sum(),
            Err(_) => 0,
        }
    }
}

impl State {
    /// Takes mappings of pages that are not committed out, and orders them to be unmapped.
    fn take_untouched(&mut self) -> Vec<(u64, Pma)> {
        let untouched: Vec<Range<u64>> = self
            .pmas
            .iter()
            .filter(|(_, pma)| !pma.of_file && !pma.cow)
            .flat_map(|(start, pma)| {
                let holes = pma.untouched();
                holes.into_iter().map(move |hole| start + hole.start..start + hole.end)
            })
            .collect();
        let mut taken = Vec::new();
        for range in untouched {
            self.order(Order::Unmap { addr: range.start, len: range.end - range.start });
            taken.extend(self.pmas.remove(range));
        }
        taken
    }

    /// Puts those pages back that the guest touched before they were unmapped; returns the rest.
    fn return_touched(&mut self, taken: Vec<(u64, Pma)>) -> Vec<Pma> {
        let mut rest = Vec::new();
        for (start, pma) in taken {
            let mut pieces = crate::rangemap::RangeMap::default();
            let holes = pma.untouched();
            let len = pma.len();
            pieces.insert_alone(0, pma);
            for hole in holes {
                rest.extend(pieces.remove(hole).into_iter().map(|(_, pma)| pma));
            }
            for (at, touched) in pieces.remove(0..len) {
                let order = touched.map_order(start + at, 0, touched.len(), false);
                self.pmas.insert(start + at, touched);
                self.order(order);
            }
        }
        rest
    }
}

impl Pma {
    /// The parts of it that the host has not committed.
    fn untouched(&self) -> Vec<Range<u64>> {
        let Pages::Memory(range) = &self.pages else { return Vec::new() };
        let mut holes: Vec<Range<u64>> = Vec::new();
        let mut at = 0;
        while at < range.len() {
            let mut resident = vec![1u8; to_usize((range.len() - at).min(64 << 20) / PAGE_SIZE)];
            if range.file().window().resident(range.offset() + at, &mut resident).is_err() {
                return holes;
            }
            for page in resident {
                if page & 1 == 0 {
                    match holes.last_mut() {
                        Some(hole) if hole.end == at => hole.end += PAGE_SIZE,
                        _ => holes.push(at..at + PAGE_SIZE),
                    }
                }
                at += PAGE_SIZE;
            }
        }
        holes
    }
}
