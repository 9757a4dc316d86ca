//! Pages for long contents: a memory file of huge pages, and what is set aside of it.
//!
//! The host makes a huge page in a tenth of the time its small pages take, and both sides map it at
//! once. It also commits all of it: it is used where contents are known to be long.

use crate::account::Account;
use crate::extents::{HUGE, Place};
use crate::file::{AllocOpts, FileRange, MemoryFile};
use parking_lot::Mutex;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Bytes an account keeps free of pages that are merely set aside.
const LEFT_FREE: u64 = 64 << 20;

/// Files of huge pages: one for each of the first accounts that want one.
#[derive(Default)]
pub(crate) struct LargeFiles(Mutex<Files>);

#[derive(Default)]
struct Files {
    unused: Vec<OwnedFd>,
    used: Vec<Arc<MemoryFile>>,
}

impl LargeFiles {
    /// Files of `unused`, empty and used by nobody else, whose pages are huge where the host has any.
    pub(crate) fn of(unused: Vec<OwnedFd>) -> Self {
        Self(Mutex::new(Files { unused, used: Vec::new() }))
    }

    /// The file whose pages `account` pays for.
    pub(crate) fn for_account(&self, account: &Arc<Account>) -> Option<Arc<MemoryFile>> {
        let mut files = self.0.lock();
        if let Some(file) = files.used.iter().find(|file| Arc::ptr_eq(file.account(), account)) {
            return Some(Arc::clone(file));
        }
        let file = MemoryFile::of_huge_pages(files.unused.pop()?, Arc::clone(account)).ok()?;
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

    /// Sets a huge page aside for the contents from byte `at`, following the pages `before` it if
    /// those end where one begins. `None` when the account is short of memory.
    pub(crate) fn set_aside(
        &self,
        account: &Arc<Account>,
        at: u64,
        before: Option<&FileRange>,
    ) -> Option<Ahead> {
        if account.room() < LEFT_FREE {
            return None;
        }
        let file = self.for_account(account)?;
        let end = before.filter(|pages| Arc::ptr_eq(pages.file(), &file));
        let end = end.map(|pages| pages.offset() + pages.len());
        let place = match end.filter(|end| end.is_multiple_of(HUGE)) {
            Some(end) => Place::StartingAt(end),
            None => Place::Fresh(0),
        };
        let pages = file.alloc(HUGE, AllocOpts { place, ..AllocOpts::default() }).ok()?;
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
