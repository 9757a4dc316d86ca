//! When pages that contents lose may be freed: once nobody copies from or to them any more.
//!
//! Who copies holds the era of the contents at that time, which costs less than a reference to each
//! page. Losing pages ends the era: they go with it, once nobody holds it or an older one, which may
//! have begun to copy the same pages.

use crate::file::{FileRange, MemoryFile};
use std::sync::{Arc, OnceLock};

/// A time in which contents lost no pages.
#[derive(Default)]
pub(crate) struct Era {
    /// What ended it, and the one that followed.
    end: OnceLock<(Vec<FileRange>, Arc<Era>)>,
}

impl Era {
    /// Ends `current`, with which `lost` goes; another one begins. Drop the one returned once nobody
    /// new can find those pages.
    pub(crate) fn pass(current: &mut Arc<Self>, lost: Vec<FileRange>) -> Arc<Self> {
        let next = Arc::new(Self::default());
        let past = std::mem::replace(current, Arc::clone(&next));
        let ended = past.end.set((lost, next));
        debug_assert!(ended.is_ok(), "the current era has not ended before");
        past
    }
}

impl Drop for Era {
    fn drop(&mut self) {
        // Those that followed and are only held by this one, one after the other: there may be many.
        let mut end = self.end.take();
        while let Some((lost, next)) = end {
            drop(lost);
            end = Arc::into_inner(next).and_then(|mut next| next.end.take());
        }
    }
}

/// Bytes in pages that stay as long as it is there.
pub(crate) struct Pinned {
    file: Arc<MemoryFile>,
    offset: u64,
    len: u64,
    _era: Arc<Era>,
}

impl Pinned {
    /// Pins `len` bytes from byte `start` of pages that contents have in `era`.
    ///
    /// # Panics
    /// The pages do not hold them.
    pub(crate) fn new(pages: &FileRange, start: u64, len: u64, era: &Arc<Era>) -> Self {
        assert!(start.checked_add(len).is_some_and(|end| end <= pages.len()));
        let file = Arc::clone(pages.file());
        Self { file, offset: pages.offset() + start, len, _era: Arc::clone(era) }
    }

    /// The file they lie in.
    pub(crate) fn file(&self) -> &MemoryFile {
        &self.file
    }

    /// Where they start in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Their window address, and how many they are as a host length.
    pub(crate) fn window(&self) -> (*mut u8, usize) {
        (self.file.at(self.offset), usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Era, Pinned};
    use crate::PAGE_SIZE;
    use crate::account::Account;
    use crate::file::{AllocOpts, FileRange, MemoryFile};
    use std::sync::Arc;

    fn page(file: &Arc<MemoryFile>) -> FileRange {
        file.alloc(PAGE_SIZE, AllocOpts::default()).unwrap()
    }

    #[test]
    fn pages_outlast_whoever_copies_them() {
        let account = Arc::new(Account::new(u64::MAX));
        let file = MemoryFile::new(Arc::clone(&account)).unwrap();
        let mut current = Arc::default();
        let (first, second) = (page(&file), page(&file));
        let copied = Pinned::new(&second, 1, 2, &current);
        drop(Era::pass(&mut current, vec![first]));
        let later = Pinned::new(&second, 0, 1, &current);
        drop(Era::pass(&mut current, vec![second]));
        assert_eq!(account.charged(), 2 * PAGE_SIZE);
        drop(later);
        assert_eq!(account.charged(), 2 * PAGE_SIZE);
        drop(copied);
        assert_eq!(account.charged(), 0);
        // Nobody copies: freed at once.
        drop(Era::pass(&mut current, vec![page(&file)]));
        assert_eq!(account.charged(), 0);
    }

    #[test]
    fn many_eras_go_at_once() {
        let account = Arc::new(Account::new(u64::MAX));
        let file = MemoryFile::new(account).unwrap();
        let mut current = Arc::default();
        let held = Pinned::new(&page(&file), 0, 1, &current);
        for _ in 0..200_000 {
            drop(Era::pass(&mut current, Vec::new()));
        }
        drop(held);
        assert_eq!(Arc::strong_count(&current), 1);
    }
}
