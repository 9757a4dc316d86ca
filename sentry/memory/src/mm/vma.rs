//! Virtual memory areas: what the guest asked for.

use crate::mappable::{MapName, Mappable};
use crate::rangemap::Piece;
use bevor_platform::Prot;
use bitflags::bitflags;
use std::any::Any;
use std::sync::Arc;

bitflags! {
    /// Properties of a VMA. Names follow Linux's `VM_*`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct VmFlags: u32 {
        /// Stores reach the file and other mappings of it.
        const SHARED = 1 << 0;
        /// `mprotect` may add `PROT_WRITE`.
        const MAYWRITE = 1 << 1;
        /// `mprotect` may add `PROT_EXEC`.
        const MAYEXEC = 1 << 2;
        /// Grows down on faults below it.
        const GROWSDOWN = 1 << 3;
        /// Not counted against the commit limit.
        const NORESERVE = 1 << 4;
        /// Counted as locked.
        const LOCKED = 1 << 5;
        /// Locked when pages are faulted in (`MLOCK_ONFAULT`).
        const LOCKONFAULT = 1 << 6;
        /// Not inherited by children.
        const DONTFORK = 1 << 7;
        /// Inherited as zeros.
        const WIPEONFORK = 1 << 8;
        /// Left out of core dumps.
        const DONTDUMP = 1 << 9;
        /// Huge pages wanted.
        const HUGEPAGE = 1 << 10;
        /// Huge pages not wanted.
        const NOHUGEPAGE = 1 << 11;
        /// Sequential reads expected.
        const SEQ_READ = 1 << 12;
        /// Random reads expected.
        const RAND_READ = 1 << 13;
        /// Merging of equal pages wanted.
        const MERGEABLE = 1 << 14;
        /// Cannot be unmapped, moved or given other rights (`mseal(2)`).
        const SEALED = 1 << 15;
        /// Whoever touches it dies (`MADV_GUARD_INSTALL`): it has no pages, and no line of its own in
        /// `/proc/<pid>/maps`.
        const GUARD = 1 << 16;
        /// Pages may be dropped at any time (`MAP_DROPPABLE`); here they never are.
        const DROPPABLE = 1 << 17;
    }
}

/// Keeps something alive as long as a mapping.
pub type Holder = Arc<dyn Any + Send + Sync>;

/// What stands behind a VMA.
#[derive(Clone)]
pub(crate) enum Source {
    /// Zeros, private.
    Anon,
    /// A file, from `offset` bytes on.
    File { file: Arc<dyn Mappable>, offset: u64 },
}

/// One VMA. Its start is its key in the tree.
#[derive(Clone)]
pub(crate) struct Vma {
    pub(crate) len: u64,
    pub(crate) prot: Prot,
    pub(crate) flags: VmFlags,
    pub(crate) source: Source,
    /// The open file description it was made from, which stays open with it (`vm_file`).
    pub(crate) opened: Option<Holder>,
    /// `[heap]`, `[stack]`, `[vdso]`, `[anon:…]`; the file's own name when `None`.
    pub(crate) name: Option<Arc<[u8]>>,
}

impl Vma {
    pub(crate) fn is_shared(&self) -> bool {
        self.flags.contains(VmFlags::SHARED)
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.flags.contains(VmFlags::SEALED)
    }

    pub(crate) fn is_guard(&self) -> bool {
        self.flags.contains(VmFlags::GUARD)
    }

    pub(crate) fn is_anon(&self) -> bool {
        matches!(self.source, Source::Anon)
    }

    pub(crate) fn file(&self) -> Option<&Arc<dyn Mappable>> {
        match &self.source {
            Source::Anon => None,
            Source::File { file, .. } => Some(file),
        }
    }

    /// Private and writable: counts as data (`RLIMIT_DATA`, `VmData`).
    pub(crate) fn is_data(&self) -> bool {
        self.prot.write && !self.is_shared() && !self.flags.contains(VmFlags::GROWSDOWN)
    }

    /// Whether it counts against the commit limit.
    pub(crate) fn is_accounted(&self) -> bool {
        self.prot.write
            && !self.flags.contains(VmFlags::NORESERVE)
            && (!self.is_shared() || self.file().is_some_and(|file| file.is_anonymous()))
    }

    /// Whether any access is allowed.
    pub(crate) fn is_accessible(&self) -> bool {
        self.prot.read || self.prot.write || self.prot.exec
    }

    /// The file offset of byte `at` of the VMA.
    pub(crate) fn file_offset(&self, at: u64) -> u64 {
        match &self.source {
            Source::Anon => 0,
            Source::File { offset, .. } => offset.saturating_add(at),
        }
    }

    /// How it shows in `/proc/self/maps`.
    pub(crate) fn map_name(&self) -> MapName {
        let mut shown = self.file().map(|f| f.describe()).unwrap_or_default();
        if let Some(name) = &self.name {
            shown.path = name.to_vec();
        }
        shown
    }
}

impl Piece for Vma {
    fn len(&self) -> u64 {
        self.len
    }

    fn split_off(&mut self, at: u64) -> Self {
        let mut back = self.clone();
        back.len -= at;
        self.len = at;
        if let Source::File { offset, .. } = &mut back.source {
            *offset = offset.saturating_add(at);
        }
        back
    }

    fn try_join(&mut self, next: Self) -> Result<(), Self> {
        let same_source = match (&self.source, &next.source) {
            (Source::Anon, Source::Anon) => true,
            (Source::File { file, offset }, Source::File { file: other, offset: next_offset }) => {
                Arc::ptr_eq(file, other) && offset.checked_add(self.len) == Some(*next_offset)
            }
            _ => false,
        };
        let same_opened = match (&self.opened, &next.opened) {
            (Some(opened), Some(other)) => Arc::ptr_eq(opened, other),
            (None, None) => true,
            _ => false,
        };
        let alike = same_source
            && same_opened
            && self.prot == next.prot
            && self.flags == next.flags
            && self.name == next.name;
        if !alike {
            return Err(next);
        }
        self.len += next.len;
        Ok(())
    }
}
