//! What directories of exclusive file systems hold: their listings, kept whole.
//!
//! A kept listing serves readers of the directory, answers look-ups of names that are not there, and
//! of those that are where it came with attributes; so a reader that lists a directory and then looks
//! at its entries, as `find`, `ls -l` and `tar` do, needs no message for each. A directory of which
//! several names are looked up one by one is listed, too, since that is what comes cheaper.
//!
//! That only this sandbox changes the files is what *exclusive* means. A name that changes is noted
//! in the listing. Attributes of an entry are believed while nothing on the file system has changed,
//! and else until the entry is first met: from then on its inode knows better.

use crate::dentry::NameHash;
use crate::gofer::{FileKey, GoferInode};
use bevor_abi::Errno;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::EIO;
use bevor_gofer_protocol::client::{DirEntries, DirEntry, Places};
use bevor_gofer_protocol::wire::ReadDirFlags;
use bevor_gofer_protocol::{Attr as WireAttr, Handle};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Most bytes the listings of a file system take together.
const MAX_BYTES: usize = 4 << 20;
/// Most bytes one of them takes: a larger directory is read in parts, which are not kept.
const MAX_BYTES_OF_ONE: usize = 2 << 20;
/// Most names a listing notes as changed before it is forgotten.
const MAX_CHANGED: usize = 1024;

/// Eagerness from which on attributes of every entry are asked for.
const EAGER: u32 = 16;
/// The most there is of it.
const MAX_EAGERNESS: u32 = 64;
/// Look-ups a change in a directory outweighs: who fills one looks each name up before.
const MISSES_OF_A_CHANGE: i64 = 4;

/// The entries of one directory.
pub(super) struct Listing {
    entries: DirEntries,
    /// The hash of each name but the dots and the place of its entry, by hash.
    index: Box<[(u32, u32)]>,
    /// [`Listings::changes`] when it was asked for.
    as_of: u64,
    marks: Mutex<Marks>,
    tally: Arc<Tally>,
}

/// What has become of the entries since.
struct Marks {
    /// One bit for each position in the index: the entry has, or had, an inode.
    met: Box<[u64]>,
    /// Names that were made, removed or moved.
    changed: HashSet<Box<[u8]>>,
}

/// What a directory remembers.
#[derive(Default)]
pub(super) struct Remembered {
    listing: Option<Arc<Listing>>,
    /// Counts changes of names in this directory.
    changes: u64,
    /// Look-ups that took a message each, less what changes outweigh.
    misses: i64,
    /// It is too large to be kept.
    is_large: bool,
    /// It is in [`Listings::directories`].
    is_queued: bool,
}

/// What is known of a name.
pub(super) enum Known {
    /// It stands for this file; directories come with their handle.
    Entry(WireAttr, Option<Arc<Handle>>),
    /// It does not exist.
    Absent,
    /// Nothing.
    Unknown,
}

/// Numbers of a file system that listings change as they come and go.
#[derive(Default)]
struct Tally {
    /// How much attributes in listings were missed lately, and used when they were there.
    eagerness: AtomicU32,
    bytes: AtomicUsize,
}

/// The listings of a file system.
#[derive(Default)]
pub(super) struct Listings {
    /// Counts changes of anything on the file system.
    changes: AtomicU64,
    tally: Arc<Tally>,
    /// Directories that remember a listing, oldest first.
    directories: Mutex<VecDeque<Weak<GoferInode>>>,
}

impl Tally {
    fn be_more_eager(&self, by: u32) {
        let more = |now: u32| Some(MAX_EAGERNESS.min(now.saturating_add(by)));
        let _ = self.eagerness.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn be_less_eager(&self, by: usize) {
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        let less = |now: u32| Some(now.saturating_sub(by));
        let _ = self.eagerness.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn is_eager(&self) -> bool {
        self.eagerness.load(Ordering::Relaxed) >= EAGER
    }
}

impl Marks {
    fn is_met(&self, position: usize) -> bool {
        self.met.get(position / 64).is_some_and(|word| word & (1 << (position % 64)) != 0)
    }

    fn meet(&mut self, position: usize) {
        if let Some(word) = self.met.get_mut(position / 64) {
            *word |= 1 << (position % 64);
        }
    }
}

fn hash_of(name: &[u8]) -> u32 {
    bevor_abi::conv::low_u32(NameHash.hash_one(name))
}

/// Whether the entry is another than `.` and `..`.
fn is_child(entry: &DirEntry<'_>) -> bool {
    !matches!(entry.name, b"." | b"..")
}

impl Listing {
    fn new(entries: DirEntries, as_of: u64, tally: &Arc<Tally>) -> Self {
        let hashed = |(place, entry): (usize, DirEntry<'_>)| {
            Some((hash_of(entry.name), u32::try_from(place).ok()?))
        };
        let children = entries.places(0).filter(|(_, entry)| is_child(entry));
        let mut index: Box<[_]> = children.filter_map(hashed).collect();
        index.sort_unstable();
        let met = vec![0; index.len().div_ceil(64)].into();
        let marks = Mutex::new(Marks { met, changed: HashSet::new() });
        let this = Self { entries, index, as_of, marks, tally: tally.clone() };
        tally.bytes.fetch_add(this.bytes(), Ordering::AcqRel);
        this
    }

    fn bytes(&self) -> usize {
        self.entries.bytes() + self.index.len() * size_of::<(u32, u32)>()
    }

    /// Notes which entries have inodes, of which the listing may say what is no longer so.
    fn meet(&self, mut is_live: impl FnMut(&WireAttr) -> bool) {
        let mut marks = self.marks.lock();
        for (position, (_, place)) in self.index.iter().enumerate() {
            let attr = self.entries.at(usize_of_u32(*place)).and_then(|entry| entry.attr);
            if attr.is_some_and(|attr| is_live(&attr)) {
                marks.meet(position);
            }
        }
    }

    /// The position in the index and the entry of a name.
    fn entry(&self, name: &[u8]) -> Option<(usize, DirEntry<'_>)> {
        let hash = hash_of(name);
        let first = self.index.partition_point(|(at, _)| *at < hash);
        let same = self.index.iter().enumerate().skip(first).take_while(|(_, (at, _))| *at == hash);
        same.filter_map(|(position, (_, place))| {
            Some((position, self.entries.at(usize_of_u32(*place))?))
        })
        .find(|(_, entry)| entry.name == name)
    }

    /// What it says of a name, `changes` being those of the file system so far. `None` if it lacks
    /// the attributes that would tell.
    fn find(&self, name: &[u8], changes: u64) -> Option<Known> {
        let mut marks = self.marks.lock();
        if marks.changed.contains(name) {
            return Some(Known::Unknown);
        }
        let Some((position, entry)) = self.entry(name) else { return Some(Known::Absent) };
        let was_met = marks.is_met(position);
        marks.meet(position);
        drop(marks);
        let attr = entry.attr?;
        let is_only_name = attr.is_dir() || attr.nlink == 1;
        if changes != self.as_of && (was_met || !is_only_name) {
            return Some(Known::Unknown);
        }
        if !attr.is_dir() {
            if !was_met {
                self.tally.be_more_eager(1);
            }
            return Some(Known::Entry(attr, None));
        }
        let handle = self.entries.handle(&entry).cloned();
        Some(handle.map_or(Known::Unknown, |handle| Known::Entry(attr, Some(handle))))
    }

    /// The entries from a place on, each with its place.
    pub(super) fn places(&self, from: usize) -> Places<'_> {
        self.entries.places(from)
    }

    /// The place behind the entry whose cursor is `at`.
    pub(super) fn place_behind(&self, at: i64) -> Option<usize> {
        let mut places = self.places(0);
        places.find(|(_, entry)| entry.next == at)?;
        Some(places.place())
    }

    /// Whether no name has changed since.
    fn is_current(&self) -> bool {
        self.marks.lock().changed.is_empty()
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.tally.bytes.fetch_sub(self.bytes(), Ordering::AcqRel);
        let marks = self.marks.get_mut();
        let positions = self.index.iter().enumerate();
        let in_vain = positions.filter(|(position, (_, place))| {
            let entry = self.entries.at(usize_of_u32(*place));
            !marks.is_met(*position)
                && entry.and_then(|entry| entry.attr).is_some_and(|attr| !attr.is_dir())
        });
        self.tally.be_less_eager(in_vain.count());
    }
}

impl Listings {
    /// Notes that something changed.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of changes so far.
    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Notes that `name` of a directory was made, removed or moved.
    pub(super) fn name_changed(&self, dir: &GoferInode, name: &[u8]) {
        self.changed();
        let mut remembered = dir.remembered.lock();
        remembered.changes += 1;
        remembered.misses = remembered.misses.saturating_sub(MISSES_OF_A_CHANGE);
        let Some(listing) = &remembered.listing else { return };
        let mut marks = listing.marks.lock();
        marks.changed.insert(name.into());
        if marks.changed.len() > MAX_CHANGED {
            drop(marks);
            let old = remembered.listing.take();
            drop(remembered);
            drop(old);
        }
    }

    /// The entries of a directory for a reader that begins; `None` if they are too many.
    pub(super) fn read(&self, dir: &Arc<GoferInode>) -> Result<Option<Arc<Listing>>, Errno> {
        if let Some(listing) = self.kept(dir) {
            return Ok(Some(listing));
        }
        if dir.remembered.lock().is_large {
            return Ok(None);
        }
        let attrs = if self.tally.is_eager() { ReadDirFlags::ATTRS } else { ReadDirFlags::empty() };
        self.fetch(dir, attrs)
    }

    /// The entries of a directory, if they are known.
    pub(super) fn kept(&self, dir: &GoferInode) -> Option<Arc<Listing>> {
        dir.remembered.lock().listing.clone().filter(|listing| listing.is_current())
    }

    /// What is known of a name in a directory; may list it.
    pub(super) fn find(&self, dir: &Arc<GoferInode>, name: &[u8]) -> Known {
        let mut remembered = dir.remembered.lock();
        if let Some(listing) = remembered.listing.clone() {
            drop(remembered);
            match listing.find(name, self.changes()) {
                Some(known) => return known,
                None => self.tally.be_more_eager(2),
            }
            remembered = dir.remembered.lock();
        }
        remembered.misses += 1;
        if remembered.is_large || remembered.misses < self.worth_listing(dir.cached_size()) {
            return Known::Unknown;
        }
        remembered.misses = 0;
        drop(remembered);
        match self.fetch(dir, ReadDirFlags::ATTRS) {
            Ok(Some(listing)) => listing.find(name, self.changes()).unwrap_or(Known::Unknown),
            _ => Known::Unknown,
        }
    }

    /// Look-ups that cost as much as listing a directory of `size` bytes does. Fewer where listings
    /// proved to be of use.
    fn worth_listing(&self, size: u64) -> i64 {
        let nr_entries = i64::try_from(size / 32).unwrap_or(i64::MAX);
        if self.tally.is_eager() { 1 + nr_entries / 256 } else { 3 + nr_entries / 32 }
    }

    /// Lists a directory, and keeps what comes; `None` if that is too much.
    fn fetch(
        &self,
        dir: &Arc<GoferInode>,
        attrs: ReadDirFlags,
    ) -> Result<Option<Arc<Listing>>, Errno> {
        let as_of = self.changes();
        let own = dir.remembered.lock().changes;
        let (client, handle) = (&dir.fs.client, dir.handle()?);
        let flags = ReadDirFlags::DIRS | attrs;
        let mut entries = client.readdir(&handle, 0, usize::MAX, flags)?;
        while !entries.at_end {
            if entries.bytes() > MAX_BYTES_OF_ONE {
                dir.remembered.lock().is_large = true;
                return Ok(None);
            }
            let more = client.readdir(&handle, entries.cursor, usize::MAX, flags)?;
            if more.is_empty() && !more.at_end {
                return Err(EIO.because("a listing without end"));
            }
            entries.append(more);
        }
        entries.shrink();
        let listing = Arc::new(Listing::new(entries, as_of, &self.tally));
        let inodes = dir.fs.inodes.lock();
        let is_quiet = self.changes() == as_of;
        listing.meet(|attr| !is_quiet || inodes.contains_key(&FileKey::of(attr)));
        drop(inodes);
        let mut remembered = dir.remembered.lock();
        if remembered.changes != own {
            return Ok(Some(listing));
        }
        let old = remembered.listing.replace(listing.clone());
        let is_queued = std::mem::replace(&mut remembered.is_queued, true);
        drop(remembered);
        drop(old);
        let mut directories = self.directories.lock();
        if !is_queued {
            directories.push_back(Arc::downgrade(dir));
        }
        while self.tally.bytes.load(Ordering::Acquire) > MAX_BYTES
            && let Some(oldest) = directories.pop_front()
        {
            let oldest = oldest.upgrade();
            let old = oldest.as_ref().and_then(|oldest| {
                let mut remembered = oldest.remembered.lock();
                remembered.is_queued = false;
                remembered.listing.take()
            });
            // Dropping either may talk to the gofer.
            MutexGuard::unlocked(&mut directories, || drop((old, oldest)));
        }
        Ok(Some(listing))
    }
}
