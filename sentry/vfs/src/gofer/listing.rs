//! What the last listings said: a reader that lists a directory and then looks at its entries, as
//! `find`, `ls -l` and `tar` do, needs no message for each.
//!
//! A listing is believed while nothing on its file system has changed since; that only this
//! sandbox changes it is what *exclusive* means.

use crate::gofer::GoferInode;
use bevor_gofer_protocol::client::DirEntries;
use bevor_gofer_protocol::wire::ReadDirFlags;
use bevor_gofer_protocol::{Attr as WireAttr, Handle};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Most entries the listings of a file system remember together.
const MAX_ENTRIES: usize = 16 << 10;

/// Eagerness from which on attributes of every entry are asked for.
const EAGER: u32 = 16;
/// The most there is of it.
const MAX_EAGERNESS: u32 = 64;

/// What one listing said of a directory's entries.
#[derive(Default)]
pub(super) struct Listing {
    /// [`Listings::changes`] when it was made.
    as_of: u64,
    /// Whether there was one.
    is_known: bool,
    entries: HashMap<Box<[u8]>, Listed>,
}

/// What a listing said of an entry.
pub(super) struct Listed {
    pub(super) attr: WireAttr,
    /// Directories come with theirs.
    pub(super) handle: Option<Handle>,
}

/// The listings of a file system.
#[derive(Default)]
pub(super) struct Listings {
    /// Counts changes of anything on the file system.
    changes: AtomicU64,
    /// How much attributes in listings were missed lately, and used when they were there.
    eagerness: AtomicU32,
    /// Directories that remember a listing, oldest first.
    directories: Mutex<VecDeque<Weak<GoferInode>>>,
    entries: AtomicUsize,
}

impl Listings {
    /// Notes that something changed.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of changes so far; to be read before a listing is asked for.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// What to ask a listing for.
    pub(super) fn flags(&self) -> ReadDirFlags {
        if self.eagerness.load(Ordering::Relaxed) < EAGER {
            ReadDirFlags::DIRS
        } else {
            ReadDirFlags::DIRS | ReadDirFlags::ATTRS
        }
    }

    fn be_more_eager(&self, by: u32) {
        let more = |now: u32| Some(MAX_EAGERNESS.min(now.saturating_add(by)));
        let _ = self.eagerness.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Remembers what a listing said.
    pub(super) fn keep(&self, dir: &Arc<GoferInode>, batch: &DirEntries, as_of: u64) {
        let mut listing = dir.listing.lock();
        let mut old = None;
        if listing.as_of != as_of {
            old = Some(self.forget(&mut listing));
            listing.as_of = as_of;
        }
        listing.is_known = true;
        let is_new = listing.entries.is_empty();
        let before = listing.entries.len();
        for entry in batch.iter() {
            if let Some(attr) = entry.attr {
                let listed = Listed { attr, handle: batch.take_handle(&entry) };
                listing.entries.insert(entry.name.into(), listed);
            }
        }
        let added = listing.entries.len() - before;
        drop(listing);
        drop(old);
        if added == 0 {
            return;
        }
        let mut entries = self.entries.fetch_add(added, Ordering::AcqRel) + added;
        let mut directories = self.directories.lock();
        if is_new {
            directories.push_back(Arc::downgrade(dir));
        }
        while entries > MAX_ENTRIES
            && let Some(oldest) = directories.pop_front()
        {
            // A directory that is gone took its entries off when it went.
            let oldest = oldest.upgrade();
            let old = oldest.as_ref().map(|oldest| self.forget(&mut oldest.listing.lock()));
            // Dropping either may talk to the gofer.
            MutexGuard::unlocked(&mut directories, || drop((old, oldest)));
            entries = self.entries.load(Ordering::Acquire);
        }
    }

    /// Takes what the last listing of a directory said of an entry, if that still holds.
    pub(super) fn take(&self, dir: &GoferInode, name: &[u8]) -> Option<Listed> {
        let mut listing = dir.listing.lock();
        if listing.as_of != self.changes() {
            let old = self.forget(&mut listing);
            drop(listing);
            drop(old);
            return None;
        }
        let Some(listed) = listing.entries.remove(name) else {
            if listing.is_known {
                self.be_more_eager(2);
            }
            return None;
        };
        self.entries.fetch_sub(1, Ordering::AcqRel);
        if listed.handle.is_none() {
            self.be_more_eager(1);
        }
        Some(listed)
    }

    /// Forgets a listing, and notes how much of it was of no use. What it held is for the caller to
    /// drop, without locks: that may talk to the gofer.
    pub(super) fn forget(&self, listing: &mut Listing) -> HashMap<Box<[u8]>, Listed> {
        let entries = std::mem::take(listing).entries;
        self.entries.fetch_sub(entries.len(), Ordering::AcqRel);
        let in_vain = entries.values().filter(|listed| listed.handle.is_none()).count();
        let in_vain = u32::try_from(in_vain).unwrap_or(u32::MAX);
        let less = |now: u32| Some(now.saturating_sub(in_vain));
        let _ = self.eagerness.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        entries
    }
}
