//! What `/proc/<pid>/maps`, `smaps`, `statm` and `status` tell.

use super::MemoryManager;
use super::residency::Rss;
use super::vma::{VmFlags, Vma};
use crate::mappable::MapName;
use crate::rangemap::Piece;
use bevor_platform::Prot;
use std::ops::Range;

/// One line of `/proc/<pid>/maps`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapEntry {
    /// The addresses.
    pub range: Range<u64>,
    /// Rights.
    pub prot: Prot,
    /// Whether it shows `s` rather than `p`.
    pub shared: bool,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// File, or special name.
    pub name: MapName,
    /// Further properties.
    pub flags: VmFlags,
}

/// One block of `/proc/<pid>/smaps`. Sizes in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmapsEntry {
    /// The line it shares with `maps`.
    pub map: MapEntry,
    /// Resident.
    pub rss: u64,
    /// Resident, divided by how many address spaces share each page.
    pub pss: u64,
    /// Resident pages others refer to as well, clean.
    pub shared_clean: u64,
    /// The same, dirty.
    pub shared_dirty: u64,
    /// Resident pages nobody else refers to, clean.
    pub private_clean: u64,
    /// The same, dirty.
    pub private_dirty: u64,
    /// Resident pages that belong to no file.
    pub anonymous: u64,
    /// Locked.
    pub locked: u64,
}

/// Sizes of `/proc/<pid>/statm` and the `Vm*` lines of `status`, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statm {
    /// Mapped (`VmSize`).
    pub size: u64,
    /// Most ever mapped (`VmPeak`).
    pub peak: u64,
    /// Resident, by kind (`VmRSS` is the sum).
    pub rss: Rss,
    /// Most ever seen resident (`VmHWM`).
    pub peak_rss: u64,
    /// Executable mappings (`VmExe` and `VmLib`).
    pub text: u64,
    /// Private writable mappings (`VmData`).
    pub data: u64,
    /// Stacks (`VmStk`).
    pub stack: u64,
    /// Locked (`VmLck`).
    pub locked: u64,
}

impl MemoryManager {
    /// The lines of `/proc/<pid>/maps`.
    #[must_use]
    pub fn maps(&self) -> Vec<MapEntry> {
        let areas: Vec<_> =
            self.state.read().vmas.iter().map(|(start, vma)| (start, vma.clone())).collect();
        // Names are looked up without the lock: files take their own.
        without_guards(areas)
            .into_iter()
            .map(|(start, vma)| MapEntry {
                range: start..start + vma.len(),
                prot: vma.prot,
                shared: vma.is_shared(),
                offset: vma.file_offset(0),
                name: vma.map_name(),
                flags: vma.flags,
            })
            .collect()
    }

    /// The blocks of `/proc/<pid>/smaps`. Asks the host about every mapping.
    #[must_use]
    pub fn smaps(&self) -> Vec<SmapsEntry> {
        self.maps().into_iter().map(|map| self.measure(map)).collect()
    }

    fn measure(&self, map: MapEntry) -> SmapsEntry {
        let st = self.state.read();
        let range = map.range.clone();
        let mut entry = SmapsEntry {
            rss: 0,
            pss: 0,
            shared_clean: 0,
            shared_dirty: 0,
            private_clean: 0,
            private_dirty: 0,
            anonymous: 0,
            locked: 0,
            map,
        };
        for (start, pma) in st.pmas.overlapping(range.clone()) {
            let part = start.max(range.start) - start..(start + pma.len()).min(range.end) - start;
            let Some(pages) = pma.memory() else {
                let resident = pma.resident_bytes(part);
                entry.rss += resident;
                entry.pss += resident;
                entry.private_clean += resident;
                continue;
            };
            for (run, refs) in pages.reference_runs(part) {
                let resident = pma.resident_bytes(run);
                entry.rss += resident;
                entry.pss += resident / u64::from(refs.max(1));
                if refs > 1 {
                    entry.shared_dirty += resident;
                } else {
                    entry.private_dirty += resident;
                }
                if !pma.of_file {
                    entry.anonymous += resident;
                }
            }
        }
        if entry.map.flags.contains(VmFlags::LOCKED) {
            entry.locked = entry.pss;
        }
        entry
    }

    /// The sizes of `/proc/<pid>/statm` and `status`. Asks the host about every mapping.
    #[must_use]
    pub fn statm(&self) -> Statm {
        let rss = self.rss();
        let peak_rss = self.peak_rss_seen();
        let totals = self.state.read().totals;
        Statm {
            size: totals.mapped,
            peak: totals.peak,
            rss,
            peak_rss,
            text: totals.exec,
            data: totals.data,
            stack: totals.stack,
            locked: totals.locked,
        }
    }

    /// Whether anything is mapped at `addr`.
    #[must_use]
    pub fn is_mapped(&self, addr: u64) -> bool {
        self.state.read().vmas.get(addr).is_some()
    }

    /// Bytes mapped (`VmSize`). Cheap.
    #[must_use]
    pub fn mapped_bytes(&self) -> u64 {
        self.state.read().totals.mapped
    }
}

/// The areas as if no guard lay in them.
fn without_guards(areas: Vec<(u64, Vma)>) -> Vec<(u64, Vma)> {
    let mut shown: Vec<(u64, Vma)> = Vec::with_capacity(areas.len());
    let mut after_guard = false;
    for (start, mut vma) in areas {
        let guard = vma.is_guard();
        vma.flags -= VmFlags::GUARD;
        let vma = match shown.last_mut() {
            Some((at, before)) if (guard || after_guard) && *at + before.len() == start => {
                before.try_join(vma).err()
            }
            _ => Some(vma),
        };
        shown.extend(vma.map(|vma| (start, vma)));
        after_guard = guard;
    }
    shown
}
