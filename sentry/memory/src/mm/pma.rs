//! Mappings under the VMAs: which pages stand behind which addresses.

use crate::file::FileRange;
use crate::pool::HostFile;
use crate::rangemap::Piece;
use bevor_platform::{Order, Prot};
use std::sync::Arc;

/// The pages behind a mapping.
#[derive(Debug)]
pub(crate) enum Pages {
    /// Pages of a memory file, referenced.
    Memory(FileRange),
    /// Pages of a host file.
    Host { file: Arc<HostFile>, offset: u64, len: u64 },
}

/// A run of guest pages that is (or is about to be) mapped in the guest.
#[derive(Debug)]
pub(crate) struct Pma {
    pub(crate) pages: Pages,
    /// The VMA's rights.
    pub(crate) prot: Prot,
    /// Whether a store must first make a private copy: the host mapping is then read-only.
    pub(crate) cow: bool,
    /// Whether these are the file's own pages, not private ones of this address space.
    pub(crate) of_file: bool,
    /// Where copies will go: as long as `pages`, so that copies of neighbours are neighbours.
    pub(crate) shadow: Option<FileRange>,
}

impl Pma {
    /// Pages that belong to this address space alone.
    pub(crate) fn own(pages: FileRange, prot: Prot) -> Self {
        Self { pages: Pages::Memory(pages), prot, cow: false, of_file: false, shadow: None }
    }

    /// The rights of the host mapping. The right to write includes that to read, as on x86, also
    /// while stores are held back.
    pub(crate) fn host_prot(&self) -> Prot {
        Prot {
            read: self.prot.read || self.prot.write,
            write: self.prot.write && !self.cow,
            exec: self.prot.exec,
        }
    }

    /// Whether the guest may load from it.
    pub(crate) fn readable(&self) -> bool {
        self.prot.read || self.prot.write || self.prot.exec
    }

    /// Whether the guest may store to it at once.
    pub(crate) fn writable(&self) -> bool {
        self.prot.write && !self.cow
    }

    /// The memory range behind it, if that is what it is.
    pub(crate) fn memory(&self) -> Option<&FileRange> {
        match &self.pages {
            Pages::Memory(range) => Some(range),
            Pages::Host { .. } => None,
        }
    }

    /// The order that maps `len` bytes of it from byte `at` at guest address `addr`.
    pub(crate) fn map_order(&self, addr: u64, at: u64, len: u64, populate: bool) -> Order {
        let (fd, offset) = match &self.pages {
            Pages::Memory(range) => (range.file().raw_fd(), range.offset() + at),
            Pages::Host { file, offset, .. } => (file.raw_fd(), offset + at),
        };
        Order::Map { addr, len, prot: self.host_prot(), fd, offset, populate }
    }

    /// The memory ranges it holds.
    pub(crate) fn into_ranges(self) -> impl Iterator<Item = FileRange> {
        let pages = match self.pages {
            Pages::Memory(range) => Some(range),
            Pages::Host { .. } => None,
        };
        pages.into_iter().chain(self.shadow)
    }

    /// A second reference to the same pages.
    pub(crate) fn share(&self) -> Self {
        let pages = match &self.pages {
            Pages::Memory(range) => Pages::Memory(range.share()),
            Pages::Host { file, offset, len } => {
                Pages::Host { file: Arc::clone(file), offset: *offset, len: *len }
            }
        };
        Self { pages, prot: self.prot, cow: self.cow, of_file: self.of_file, shadow: None }
    }
}

impl Piece for Pma {
    fn len(&self) -> u64 {
        match &self.pages {
            Pages::Memory(range) => range.len(),
            Pages::Host { len, .. } => *len,
        }
    }

    fn split_off(&mut self, at: u64) -> Self {
        let pages = match &mut self.pages {
            Pages::Memory(range) => Pages::Memory(range.split_off(at)),
            Pages::Host { file, offset, len } => {
                let back =
                    Pages::Host { file: Arc::clone(file), offset: *offset + at, len: *len - at };
                *len = at;
                back
            }
        };
        let shadow = self.shadow.as_mut().map(|shadow| shadow.split_off(at));
        Self { pages, prot: self.prot, cow: self.cow, of_file: self.of_file, shadow }
    }

    fn try_join(&mut self, next: Self) -> Result<(), Self> {
        let shadows_meet = match (&self.shadow, &next.shadow) {
            (None, None) => true,
            (Some(shadow), Some(other)) => shadow.precedes(other),
            _ => false,
        };
        let alike = self.prot == next.prot && self.cow == next.cow && self.of_file == next.of_file;
        if !alike || !shadows_meet {
            return Err(next);
        }
        match (&mut self.pages, next.pages) {
            (Pages::Memory(range), Pages::Memory(more)) if range.precedes(&more) => {
                range.join(more);
            }
            (Pages::Host { file, offset, len }, Pages::Host { file: f, offset: o, len: l })
                if Arc::ptr_eq(file, &f) && *offset + *len == o =>
            {
                *len += l;
            }
            (_, pages) => return Err(Self { pages, ..next }),
        }
        if let (Some(shadow), Some(more)) = (&mut self.shadow, next.shadow) {
            shadow.join(more);
        }
        Ok(())
    }
}
