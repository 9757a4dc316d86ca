//! Open directories of the gofer's files.

use crate::file::{DirEntry, DirSink, File, FileOps};
use crate::gofer::listing::Listing;
use crate::gofer::{GoferInode, Sharing};
use bevor_abi::Errno;
use bevor_abi::errno::EISDIR;
use bevor_gofer_protocol::client::DirEntries;
use bevor_gofer_protocol::wire::ReadDirFlags;
use bevor_memory::{IoDst, IoSrc};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;

/// Bytes of entries asked for at once: as many as one message holds.
const BATCH_BYTES: usize = usize::MAX;

/// An open directory.
pub(super) struct GoferDir {
    inode: Arc<GoferInode>,
    reading: Mutex<Reading>,
}

/// Where the entries of a reader come from.
#[derive(Default)]
enum Reading {
    /// It has not begun.
    #[default]
    Not,
    /// The whole listing; behind the entry whose cursor is the first number comes the place which is
    /// the second.
    Whole(Arc<Listing>, i64, usize),
    /// The entries fetched last, of which a reader with a small buffer takes a few at a time.
    Part(Batch),
}

struct Batch {
    entries: DirEntries,
    /// The cursor they were asked for with.
    start: i64,
}

impl Batch {
    /// Whether they are what comes after `at`, a cursor other than 0: a directory that is read
    /// from its start shows what is in it then.
    fn goes_on_from(&self, at: i64) -> bool {
        at != 0 && (self.start == at || self.entries.iter().any(|entry| entry.next == at))
    }

    /// Shows the entries behind `at`, and moves it along; whether there was room for all.
    fn show(&self, at: &mut i64, sink: &mut DirSink<'_>) -> bool {
        let mut entries = self.entries.iter();
        if *at != self.start {
            // Up to the entry the reader has seen last.
            entries.by_ref().find(|entry| entry.next == *at);
        }
        for entry in entries {
            let next = entry.next.cast_unsigned();
            if !sink(&DirEntry { name: entry.name, ino: entry.ino, dtype: entry.kind, next }) {
                return false;
            }
            *at = entry.next;
        }
        true
    }
}

impl GoferDir {
    pub(super) const fn new(inode: Arc<GoferInode>) -> Self {
        Self { inode, reading: Mutex::new(Reading::Not) }
    }

    fn fetch(&self, at: i64) -> Result<Batch, Errno> {
        let (client, flags) = (&self.inode.fs.client, ReadDirFlags::empty());
        let entries = client.readdir(&*self.inode.handle()?, at, BATCH_BYTES, flags)?;
        Ok(Batch { entries, start: at })
    }

    /// Finds the whole listing for a reader that is at `at`, if it can have that, and the place it
    /// goes on from.
    fn whole(&self, reading: &Reading, at: i64) -> Result<Option<(Arc<Listing>, usize)>, Errno> {
        if self.inode.fs.sharing != Sharing::Exclusive {
            return Ok(None);
        }
        let listings = &self.inode.fs.listings;
        let listing = match reading {
            _ if at == 0 => return Ok(listings.read(&self.inode)?.map(|listing| (listing, 0))),
            Reading::Whole(listing, behind, place) if *behind == at => {
                return Ok(Some((listing.clone(), *place)));
            }
            Reading::Whole(listing, ..) => Some(listing.clone()),
            Reading::Not => listings.kept(&self.inode),
            Reading::Part(_) => None,
        };
        Ok(listing.and_then(|listing| {
            let place = listing.place_behind(at)?;
            Some((listing, place))
        }))
    }
}

impl FileOps for GoferDir {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, dst, at);
        Err(EISDIR.into())
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, src, at);
        Err(EISDIR.into())
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        crate::file::seek_plain(at, offset, whence, || Ok(i64::MAX.cast_unsigned()))
    }

    fn read_dir(&self, at: u64, sink: &mut DirSink<'_>) -> Result<u64, Errno> {
        let mut at = at.cast_signed();
        let mut reading = self.reading.lock();
        if let Some((listing, mut place)) = self.whole(&reading, at)? {
            let mut entries = listing.places(place);
            while let Some((_, entry)) = entries.next() {
                let next = entry.next.cast_unsigned();
                if !sink(&DirEntry { name: entry.name, ino: entry.ino, dtype: entry.kind, next }) {
                    break;
                }
                at = entry.next;
                place = entries.place();
            }
            *reading = Reading::Whole(listing, at, place);
            return Ok(at.cast_unsigned());
        }
        let mut batch = match std::mem::take(&mut *reading) {
            Reading::Part(batch) if batch.goes_on_from(at) => Some(batch),
            _ => None,
        };
        loop {
            let current = match batch.take() {
                Some(batch) => batch,
                None => self.fetch(at)?,
            };
            let room = current.show(&mut at, sink);
            if !room || current.entries.at_end || current.entries.is_empty() {
                *reading = Reading::Part(current);
                return Ok(at.cast_unsigned());
            }
        }
    }

    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        let _ = data_only;
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
