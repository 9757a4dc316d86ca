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
use crate::gofer::contents::Content;
use crate::gofer::room::{Kept, Room};
use crate::gofer::{FileKey, GoferInode};
use bevor_abi::Errno;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::EIO;
use bevor_gofer_protocol::client::{AheadOf, DirEntries, DirEntry, Places};
use bevor_gofer_protocol::ring::MAX_PAYLOAD;
use bevor_gofer_protocol::wire::{MAX_FDS, MAX_OPEN, OpenedFile, ReadDirFlags, WireHandle};
use bevor_gofer_protocol::{Attr as WireAttr, Handle};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Most bytes the listings of a file system take together.
const MAX_BYTES: usize = 6 << 20;
/// Most bytes one of them takes: a larger directory is read in parts, which are not kept.
const MAX_BYTES_OF_ONE: usize = 2 << 20;
/// Most names a listing notes as changed before it is forgotten.
const MAX_CHANGED: usize = 1024;

/// Eagerness from which on attributes of every entry are asked for.
const EAGER: u32 = 16;
/// The most there is of it.
const MAX_EAGERNESS: u32 = 64;
/// Descents from which on listings bring those of directories below.
const DESCENTS: u32 = 4;
/// Most descriptors a file system has open ahead of their use.
const MAX_AHEAD: usize = 256;
/// Most contents of files it keeps for files that were not looked up yet.
const MAX_CONTENTS_AHEAD: usize = 1024;
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
    /// One bit for each position: the file was opened, perhaps ahead of its use.
    opened: Box<[u64]>,
    /// Files that came ahead of their use and have no inode yet.
    ahead: HashMap<usize, Ahead>,
    /// Listings of directories that have no inode yet, by the number of their handle.
    below: HashMap<WireHandle, Arc<Listing>>,
    /// A reader has seen the entries.
    is_read: bool,
}

/// A file that came ahead of its use, for reading.
pub(super) enum Ahead {
    /// Its descriptor.
    Descriptor(Kept),
    /// What it held when [`Contents::changes`](crate::gofer::contents::Contents::changes) was this.
    Content(Arc<Content>, u64),
}

/// What a listing brings with an entry.
#[derive(Default)]
pub(super) struct Brought {
    /// The handle of a directory.
    pub(super) handle: Option<Arc<Handle>>,
    /// A regular file.
    pub(super) ahead: Option<Ahead>,
    /// The listing of a directory.
    listing: Option<Arc<Listing>>,
    /// A reader has seen the entry: if it is a directory, it may be read next.
    is_read: bool,
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
    /// Files that were opened and not expected to be.
    opens: u32,
    /// It was found by a reader of the directory above.
    is_descent: bool,
}

/// What is known of a name.
pub(super) enum Known {
    /// It stands for this file.
    Entry(WireAttr, Brought),
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
    /// How much descriptors that were there ahead of their use were used lately.
    foresight: AtomicU32,
    /// Descriptors in [`Marks::ahead`].
    nr_descriptors: AtomicUsize,
    /// Contents there.
    nr_contents: AtomicUsize,
    /// How much readers went down into directories lately, less the listings they did not want.
    descents: AtomicU32,
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

/// Raises a number that tells how well something has worked lately.
fn raise(number: &AtomicU32, by: u32) {
    let more = |now: u32| Some(MAX_EAGERNESS.min(now.saturating_add(by)));
    let _ = number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
}

/// Lowers it.
fn lower(number: &AtomicU32, by: usize) {
    let by = u32::try_from(by).unwrap_or(u32::MAX);
    let less = |now: u32| Some(now.saturating_sub(by));
    let _ = number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
}

impl Tally {
    fn be_more_eager(&self, by: u32) {
        raise(&self.eagerness, by);
    }

    fn be_less_eager(&self, by: usize) {
        lower(&self.eagerness, by);
    }

    /// The number of files of such a kind that came ahead and have no inode yet.
    const fn nr_ahead(&self, ahead: &Ahead) -> &AtomicUsize {
        match ahead {
            Ahead::Descriptor(_) => &self.nr_descriptors,
            Ahead::Content(..) => &self.nr_contents,
        }
    }

    /// Notes that files that came ahead go unused.
    fn ahead_in_vain<'a>(&self, all: impl ExactSizeIterator<Item = &'a Ahead>) {
        lower(&self.foresight, all.len());
        for ahead in all {
            self.nr_ahead(ahead).fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn is_eager(&self) -> bool {
        self.eagerness.load(Ordering::Relaxed) >= EAGER
    }
}

/// Whether a bit is set.
fn has(bits: &[u64], position: usize) -> bool {
    bits.get(position / 64).is_some_and(|word| word & (1 << (position % 64)) != 0)
}

/// Sets a bit.
fn set(bits: &mut [u64], position: usize) {
    if let Some(word) = bits.get_mut(position / 64) {
        *word |= 1 << (position % 64);
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
        let none: Box<[u64]> = vec![0; index.len().div_ceil(64)].into();
        let marks = Mutex::new(Marks {
            met: none.clone(),
            changed: HashSet::new(),
            opened: none,
            ahead: HashMap::new(),
            below: HashMap::new(),
            is_read: false,
        });
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
                set(&mut marks.met, position);
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
        let was_met = has(&marks.met, position);
        set(&mut marks.met, position);
        let brought = Brought {
            handle: self.entries.handle(&entry).cloned(),
            ahead: marks.ahead.remove(&position),
            listing: entry.handle.and_then(|handle| marks.below.remove(&handle)),
            is_read: marks.is_read,
        };
        drop(marks);
        if let Some(ahead) = &brought.ahead {
            self.tally.nr_ahead(ahead).fetch_sub(1, Ordering::AcqRel);
        }
        let attr = entry.attr?;
        let is_only_name = attr.is_dir() || attr.nlink == 1;
        if changes != self.as_of && (was_met || !is_only_name) {
            return Some(Known::Unknown);
        }
        if !attr.is_dir() {
            if !was_met {
                self.tally.be_more_eager(1);
            }
        } else if brought.handle.is_none() {
            return Some(Known::Unknown);
        }
        Some(Known::Entry(attr, brought))
    }

    /// Names of up to `count` regular files behind `name` that were not opened yet, and their
    /// positions; notes that they are opened now, `name` too. From the first again after the last. What
    /// holds at most `most_bytes` comes as content; all of it as one reply brings.
    fn to_be_opened(&self, name: &[u8], count: usize, most_bytes: usize) -> Vec<(usize, &[u8])> {
        let mut marks = self.marks.lock();
        let Some((position, entry)) = self.entry(name) else { return Vec::new() };
        if has(&marks.opened, position) {
            // What was opened has been given back since: another round begins.
            marks.opened.fill(0);
        }
        set(&mut marks.opened, position);
        let (mut bytes, mut nr_descriptors) = (0, 0);
        let mut has_room = |entry: &DirEntry<'_>| {
            let size = entry.attr.map_or(u64::MAX, |attr| attr.size);
            bytes += size_of::<OpenedFile>();
            match usize::try_from(size) {
                Ok(size) if most_bytes != 0 && size <= most_bytes => bytes += size,
                _ => nr_descriptors += 1,
            }
            bytes <= MAX_PAYLOAD && nr_descriptors <= MAX_FDS
        };
        has_room(&entry);
        let Some(place) = self.index.get(position).map(|(_, place)| usize_of_u32(*place)) else {
            return Vec::new();
        };
        let is_other = |(_, other): &(usize, DirEntry<'_>)| other.name != entry.name;
        let behind = self.entries.places(place).skip(1);
        let around = self.entries.places(0).take_while(is_other);
        let mut names = Vec::new();
        for (_, entry) in behind.chain(around).take(4 * MAX_OPEN) {
            if names.len() >= count {
                break;
            }
            let is_file = entry.attr.is_some_and(|attr| attr.is_file() && attr.flags == 0);
            if !is_file || marks.changed.contains(entry.name) {
                continue;
            }
            let Some((position, _)) = self.entry(entry.name) else { continue };
            if has(&marks.opened, position) {
                continue;
            }
            if !has_room(&entry) {
                break;
            }
            set(&mut marks.opened, position);
            names.push((position, entry.name));
        }
        names
    }

    /// The attributes it gives the entry at a position of the index.
    fn attr(&self, position: usize) -> Option<WireAttr> {
        let (_, place) = self.index.get(position)?;
        self.entries.at(usize_of_u32(*place))?.attr
    }

    /// Keeps the listing of a directory for the look-up that is to come; gives it back if there is,
    /// or was, an inode of that directory.
    fn keep_below(
        &self,
        position: usize,
        node: WireHandle,
        listing: Arc<Self>,
    ) -> Result<(), Arc<Self>> {
        let mut marks = self.marks.lock();
        if has(&marks.met, position) {
            return Err(listing);
        }
        marks.below.insert(node, listing);
        Ok(())
    }

    /// The directories that came with a handle, and their positions.
    fn directories(&self) -> impl Iterator<Item = (WireHandle, usize)> {
        self.index.iter().enumerate().filter_map(|(position, (_, place))| {
            Some((self.entries.at(usize_of_u32(*place))?.handle?, position))
        })
    }

    /// Keeps a file for the look-up of its name that is to come; gives it back if that has happened
    /// already. Lets it go if the file is another now.
    fn keep_ahead(
        &self,
        position: usize,
        attr: &WireAttr,
        what: AheadOf,
        as_of: u64,
    ) -> Option<Ahead> {
        let mut marks = self.marks.lock();
        let (_, place) = self.index.get(position)?;
        let entry = self.entries.at(usize_of_u32(*place))?;
        let listed = entry.attr?;
        let is_same = FileKey::of(&listed) == FileKey::of(attr) && listed.btime == attr.btime;
        if !is_same || marks.changed.contains(entry.name) {
            return None;
        }
        let ahead = match what {
            AheadOf::Descriptor(fd) => Ahead::Descriptor(Kept::new(fd, Room::take()?)),
            AheadOf::Content(bytes) => Ahead::Content(Content::new(bytes), as_of),
        };
        if has(&marks.met, position) {
            return Some(ahead);
        }
        // Attributes and content must go together.
        if matches!(ahead, Ahead::Content(..))
            && (listed.size, listed.mtime) != (attr.size, attr.mtime)
        {
            return None;
        }
        self.tally.nr_ahead(&ahead).fetch_add(1, Ordering::AcqRel);
        let old = marks.ahead.insert(position, ahead);
        if let Some(old) = &old {
            self.tally.nr_ahead(old).fetch_sub(1, Ordering::AcqRel);
        }
        None
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
            !has(&marks.met, *position)
                && entry.and_then(|entry| entry.attr).is_some_and(|attr| !attr.is_dir())
        });
        self.tally.be_less_eager(in_vain.count());
        self.tally.ahead_in_vain(marks.ahead.values());
        lower(&self.tally.descents, marks.below.len());
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
        let entry = listing.entry(name);
        let position = entry.map(|(position, _)| position);
        let unused = position.and_then(|position| marks.ahead.remove(&position));
        self.tally.ahead_in_vain(unused.iter());
        let below = entry.and_then(|(_, entry)| marks.below.remove(&entry.handle?));
        if marks.changed.len() > MAX_CHANGED {
            drop(marks);
            let old = remembered.listing.take();
            drop(remembered);
            drop((old, below));
        }
    }

    /// The entries of a directory for a reader that begins; `None` if they are too many.
    pub(super) fn read(&self, dir: &Arc<GoferInode>) -> Result<Option<Arc<Listing>>, Errno> {
        let is_descent = std::mem::take(&mut dir.remembered.lock().is_descent);
        if is_descent {
            raise(&self.tally.descents, 1);
        }
        if let Some(listing) = self.kept(dir) {
            listing.marks.lock().is_read = true;
            return Ok(Some(listing));
        }
        if dir.remembered.lock().is_large {
            return Ok(None);
        }
        let mut more = ReadDirFlags::empty();
        more.set(ReadDirFlags::ATTRS, self.tally.is_eager());
        let descents = self.tally.descents.load(Ordering::Relaxed);
        more.set(ReadDirFlags::BELOW, is_descent && descents >= DESCENTS);
        let listing = self.fetch(dir, more)?;
        if let Some(listing) = &listing {
            listing.marks.lock().is_read = true;
        }
        Ok(listing)
    }

    /// Gives the inode of a directory what a listing brought with its entry.
    pub(super) fn adopt(&self, dir: &Arc<GoferInode>, brought: Brought) {
        let mut remembered = dir.remembered.lock();
        remembered.is_descent |= brought.is_read;
        if remembered.listing.is_some() || remembered.changes != 0 {
            return;
        }
        let Some(listing) = brought.listing else { return };
        remembered.listing = Some(listing);
        let is_queued = std::mem::replace(&mut remembered.is_queued, true);
        drop(remembered);
        if !is_queued {
            self.directories.lock().push_back(Arc::downgrade(dir));
        }
    }

    /// Gives the inode of a directory that lacks one its listing, if nothing has changed since
    /// `as_of`; else gives it back.
    fn give(
        &self,
        dir: &Arc<GoferInode>,
        listing: Arc<Listing>,
        as_of: u64,
    ) -> Result<(), Arc<Listing>> {
        let mut remembered = dir.remembered.lock();
        // Who changes a name counts it first, and then looks for a listing to note it in.
        if remembered.listing.is_some() || self.changes() != as_of {
            return Err(listing);
        }
        remembered.listing = Some(listing);
        remembered.is_descent = true;
        let is_queued = std::mem::replace(&mut remembered.is_queued, true);
        drop(remembered);
        if !is_queued {
            self.directories.lock().push_back(Arc::downgrade(dir));
        }
        Ok(())
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

    /// Opens file `name` of a directory for reading, and with it those that will probably be opened
    /// next. `None` if there is no telling which those are: the file is to be opened alone. What holds
    /// at most `most_bytes` comes as content.
    pub(super) fn open(
        &self,
        dir: &Arc<GoferInode>,
        name: &[u8],
        most_bytes: usize,
    ) -> Option<Result<(AheadOf, WireAttr), Errno>> {
        let most = if most_bytes == 0 { MAX_FDS - 1 } else { MAX_OPEN - 1 };
        let (listing, count) = {
            let mut remembered = dir.remembered.lock();
            let listing = remembered.listing.clone()?;
            remembered.opens = remembered.opens.saturating_add(1);
            let opens = remembered.opens;
            let first = match self.tally.foresight.load(Ordering::Relaxed) {
                MAX_EAGERNESS.. => most,
                EAGER.. => MAX_FDS - 1,
                _ => 0,
            };
            let count = if opens < 3 { first } else { first.max(4 << (opens - 3).min(8)) };
            if count == 0 {
                return None;
            }
            (listing, count.min(most))
        };
        if self.tally.nr_descriptors.load(Ordering::Acquire) >= MAX_AHEAD
            || self.tally.nr_contents.load(Ordering::Acquire) >= MAX_CONTENTS_AHEAD
        {
            self.close_ahead();
        }
        let more = listing.to_be_opened(name, count, most_bytes);
        if more.is_empty() {
            return None;
        }
        let names: Vec<&[u8]> =
            [name].into_iter().chain(more.iter().map(|(_, name)| *name)).collect();
        let as_of = dir.fs.contents.changes();
        let open = |handle: Arc<Handle>| dir.fs.client.open_files(&handle, &names, most_bytes);
        let mut opened = match dir.handle().and_then(open) {
            Ok(opened) => opened.into_iter(),
            Err(errno) => return Some(Err(errno)),
        };
        let asked = opened.next()?;
        for ((position, _), ahead) in more.iter().zip(opened) {
            let Ok(ahead) = ahead else { continue };
            if let Some(kept) = listing.keep_ahead(*position, &ahead.attr, ahead.what, as_of) {
                // It was looked up already: its inode may want it.
                if let Some(inode) = dir.fs.live(&ahead.attr) {
                    inode.take_ahead(kept);
                }
            }
        }
        Some(asked.map(|asked| (asked.what, asked.attr)))
    }

    /// Notes that a file was there ahead of its use, and used.
    pub(super) fn foresaw(&self) {
        raise(&self.tally.foresight, 1);
    }

    /// Closes the descriptors that were opened ahead of their use, and drops the contents; whether
    /// there were any.
    pub(super) fn close_ahead(&self) -> bool {
        let mut unused = Vec::new();
        let directories: Vec<_> = self.directories.lock().iter().cloned().collect();
        for dir in directories {
            let Some(dir) = dir.upgrade() else { continue };
            let Some(listing) = dir.remembered.lock().listing.clone() else { continue };
            unused.extend(std::mem::take(&mut listing.marks.lock().ahead).into_values());
        }
        self.tally.ahead_in_vain(unused.iter());
        !unused.is_empty()
    }

    /// Drops the contents of files that were not looked up yet.
    pub(super) fn forget_contents(&self) {
        if self.tally.nr_contents.load(Ordering::Acquire) != 0 {
            self.close_ahead();
        }
    }

    /// Lists a directory, and keeps what comes; `None` if that is too much.
    fn fetch(
        &self,
        dir: &Arc<GoferInode>,
        more: ReadDirFlags,
    ) -> Result<Option<Arc<Listing>>, Errno> {
        let as_of = self.changes();
        let own = dir.remembered.lock().changes;
        let (client, handle) = (&dir.fs.client, dir.handle()?);
        let flags = ReadDirFlags::DIRS | more;
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
        let below = std::mem::take(&mut entries.below);
        let listing = Arc::new(Listing::new(entries, as_of, &self.tally));
        let mut all = vec![(0, listing.clone())];
        for (node, entries) in below {
            all.push((node, Arc::new(Listing::new(entries, as_of, &self.tally))));
        }
        let inodes = dir.fs.inodes.lock();
        let is_quiet = self.changes() == as_of;
        for (_, listing) in &all {
            listing.meet(|attr| !is_quiet || inodes.contains_key(&FileKey::of(attr)));
        }
        drop(inodes);
        let mut places = HashMap::new();
        if all.len() > 1 {
            for (number, (_, listing)) in all.iter().enumerate() {
                places.extend(listing.directories().map(|(node, at)| (node, (number, at))));
            }
        }
        // Innermost first: what an inode knows better goes, and what is below it.
        let mut unwanted = Vec::new();
        while let Some((node, below)) = all.pop() {
            let place = places.get(&node);
            let Some((parent, at)) = place.and_then(|(parent, at)| Some((all.get(*parent)?, *at)))
            else {
                continue;
            };
            let Err(below) = parent.1.keep_below(at, node, below) else { continue };
            let attr = parent.1.attr(at);
            let inode = attr.and_then(|attr| dir.fs.live(&attr));
            let unused = match &inode {
                Some(inode) => self.give(inode, below, as_of).err(),
                None => Some(below),
            };
            unwanted.push((unused, inode));
        }
        drop(unwanted);
        let mut remembered = dir.remembered.lock();
        if remembered.changes != own {
            return Ok(Some(listing));
        }
        let old = remembered.listing.replace(listing.clone());
        let is_queued = std::mem::replace(&mut remembered.is_queued, true);
        drop(remembered);
        drop(old);
        if !is_queued {
            self.directories.lock().push_back(Arc::downgrade(dir));
        }
        self.keep_at_most(MAX_BYTES);
        Ok(Some(listing))
    }

    /// Forgets the oldest listings until the others take no more than `bytes`.
    pub(super) fn keep_at_most(&self, bytes: usize) {
        let mut directories = self.directories.lock();
        while self.tally.bytes.load(Ordering::Acquire) > bytes
            && let Some(oldest) = directories.pop_front()
        {
            let oldest = oldest.upgrade();
            let old = oldest.as_ref().and_then(|oldest| {
                let mut remembered = oldest.remembered.lock();
                remembered.is_queued = false;
                let old = remembered.listing.take();
                // Who reads it again goes down the tree once more.
                remembered.is_descent |=
                    old.as_ref().is_some_and(|listing| listing.marks.lock().is_read);
                old
            });
            // Dropping either may talk to the gofer.
            MutexGuard::unlocked(&mut directories, || drop((old, oldest)));
        }
    }
}
