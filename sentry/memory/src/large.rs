//! Pages for long contents: a memory file of large folios, and what is set aside of it.
//!
//! The host makes a folio of many pages in a fraction of the time single ones take, and maps it at
//! once. How large it makes them goes by the file's length: a folio does not reach beyond its end
//! (`huge=within_size` of tmpfs). So pages are taken at the end, a unit at a time, and the file grows
//! with them. Huge pages would be no faster, cost more where little is used, and on hosts that have
//! given free ones back to a hypervisor must be fetched from there.

use crate::account::Account;
use crate::file::{FileRange, MemoryFile};
use parking_lot::Mutex;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Bytes set aside at once, and their alignment in contents.
pub(crate) const UNIT: u64 = 256 << 10;

/// Bytes an account keeps free of pages that are merely set aside.
const LEFT_FREE: u64 = 64 << 20;

/// Files of large folios: one for each of the first accounts that want one.
#[derive(Default)]
pub(crate) struct LargeFiles(Mutex<Files>);

#[derive(Default)]
struct Files {
    unused: Vec<OwnedFd>,
    used: Vec<Arc<MemoryFile>>,
}

impl LargeFiles {
    /// Files of `unused`, empty and used by nobody else, whose folios are as large as their length allows.
    pub(crate) fn of(unused: Vec<OwnedFd>) -> Self {
        Self(Mutex::new(Files { unused, used: Vec::new() }))
    }

    /// The file whose pages `account` pays for.
    pub(crate) fn for_account(&self, account: &Arc<Account>) -> Option<Arc<MemoryFile>> {
        let mut files = self.0.lock();
        if let Some(file) = files.used.iter().find(|file| Arc::ptr_eq(file.account(), account)) {
            return Some(Arc::clone(file));
        }
        let file = MemoryFile::of_folios(files.unused.pop()?, Arc::clone(account)).ok()?;
        files.used.push(Arc::clone(&file));
        Some(file)
    }

    /// The file whose pages `account` pays for, if it ever wanted one.
    pub(crate) fn used_by(&self, account: &Arc<Account>) -> Option<Arc<MemoryFile>> {
        let files = self.0.lock();
        files.used.iter().find(|file| Arc::ptr_eq(file.account(), account)).cloned()
    }

    /// Forgets the file of an account.
    pub(crate) fn retire(&self, account: &Arc<Account>) {
        self.0.lock().used.retain(|file| !Arc::ptr_eq(file.account(), account));
    }

    /// Sets a unit aside for the contents from byte `at`. `None` when the account is short of memory.
    pub(crate) fn set_aside(&self, account: &Arc<Account>, at: u64) -> Option<Ahead> {
        if account.room() < LEFT_FREE {
            return None;
        }
        let pages = self.for_account(account)?.alloc_at_end(UNIT).ok()?;
        Some(Ahead { at, pages })
    }
}

/// Pages set aside for contents that are about to come. Nobody wrote to them: they are zeros.
pub(crate) struct Ahead {
    /// Position in the contents.
    at: u64,
    pages: FileRange,
}

impl Ahead {
    /// Takes pages for the beginning of `gap`, as far as they reach. What lies before it is given up.
    pub(crate) fn take(&mut self, gap: &Range<u64>) -> Option<FileRange> {
        let skipped = gap.start.checked_sub(self.at).filter(|&skip| skip < self.pages.len())?;
        let rest = self.pages.split_off(skipped);
        self.pages = rest;
        let rest = self.pages.split_off(self.pages.len().min(gap.end - gap.start));
        let taken = std::mem::replace(&mut self.pages, rest);
        self.at = gap.start + taken.len();
        Some(taken)
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}
