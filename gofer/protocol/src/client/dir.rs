//! Listings of directories.

use std::collections::HashMap;
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::EIO;

use super::{Client, Handle};
use crate::attr::Attr;
use crate::codec::{Malformed, Reader, Writer};
use crate::ring::MAX_PAYLOAD;
use crate::wire::{Below, Entry, EntryParts, Op, ReadDir, ReadDirFlags, ReadDirReply, WireHandle};

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// Its name; `.` and `..` are among them, as the host lists them.
    pub name: &'a [u8],
    /// Inode number. Below a mount point of the host it is that of the covered directory.
    pub ino: u64,
    /// `DT_*` type.
    pub kind: u8,
    /// Cursor that continues after this entry.
    pub next: i64,
    /// Attributes, when asked for and the entry was still there; never of `.` and `..`.
    pub attr: Option<Attr>,
    /// Number of the handle that came with it; see [`DirEntries::handle`].
    pub handle: Option<WireHandle>,
}

/// A part of a listing, or all of it.
#[derive(Debug)]
pub struct DirEntries {
    message: Vec<u8>,
    count: u32,
    /// Handles that came with entries.
    handles: HashMap<WireHandle, Arc<Handle>>,
    /// Whether nothing comes after these entries.
    pub at_end: bool,
    /// Where those that come after them begin.
    pub cursor: i64,
    /// Listings of directories below, with [`ReadDirFlags::BELOW`], each behind one that has its
    /// handle.
    pub below: Vec<(WireHandle, Self)>,
}

/// Entries with the place of each, for [`DirEntries::at`].
pub struct Places<'a> {
    reader: Reader<'a>,
    at: usize,
}

impl Places<'_> {
    /// The place of the next entry.
    #[must_use]
    pub const fn place(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Places<'a> {
    type Item = (usize, DirEntry<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.reader.remaining();
        let found = entry(&mut self.reader).ok()?;
        let at = self.at;
        self.at += before - self.reader.remaining();
        Some((at, found))
    }
}

impl DirEntries {
    /// The entries, in the host's order.
    pub fn iter(&self) -> impl Iterator<Item = DirEntry<'_>> {
        self.places(0).map(|(_, entry)| entry)
    }

    /// The entries from a place on (0 is the first), each with its place.
    #[must_use]
    pub fn places(&self, from: usize) -> Places<'_> {
        Places { reader: Reader::new(self.message.get(from..).unwrap_or_default()), at: from }
    }

    /// The entry at a place.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<DirEntry<'_>> {
        self.places(place).next().map(|(_, entry)| entry)
    }

    /// Adds the entries that come behind these.
    pub fn append(&mut self, more: Self) {
        self.message.extend_from_slice(&more.message);
        self.count += more.count;
        self.handles.extend(more.handles);
        self.at_end = more.at_end;
        self.cursor = more.cursor;
    }

    /// Gives back memory that was kept for more entries.
    pub fn shrink(&mut self) {
        self.message.shrink_to_fit();
    }

    /// Bytes of memory the entries take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.message.len() + self.handles.len() * 2 * size_of::<(WireHandle, Handle)>()
    }

    /// The handle that came with an entry: with [`ReadDirFlags::DIRS`] and of directories only.
    #[must_use]
    pub fn handle(&self, entry: &DirEntry<'_>) -> Option<&Arc<Handle>> {
        self.handles.get(&entry.handle?)
    }

    /// All handles that came with entries and that nobody else has.
    pub fn into_handles(self) -> impl Iterator<Item = Handle> {
        self.handles.into_values().filter_map(Arc::into_inner)
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn entry<'a>(reader: &mut Reader<'a>) -> Result<DirEntry<'a>, Malformed> {
    let head: Entry = reader.take()?;
    let has = EntryParts::from_bits(head.has).ok_or(Malformed("unknown part of an entry"))?;
    let handle = if has.contains(EntryParts::HANDLE) { Some(reader.take()?) } else { None };
    let attr = if has.contains(EntryParts::ATTR) { Some(reader.take()?) } else { None };
    let name = reader.bytes(head.name_len.into())?;
    if name.is_empty() || name.iter().any(|&byte| byte == b'/' || byte == 0) {
        return Err(Malformed("not the name of an entry"));
    }
    Ok(DirEntry { name, ino: head.ino, kind: head.kind, next: head.next, attr, handle })
}

impl Client {
    /// Lists a directory from `cursor` on (0 is the start), as much as fits one message and
    /// `max_bytes`; at least one entry unless the listing is at its end.
    ///
    /// With [`ReadDirFlags::ATTRS`] each entry has its attributes, so that a following `stat` of
    /// each needs no message; with [`ReadDirFlags::DIRS`] each directory has its handle and
    /// attributes, so that going down into it needs none; with [`ReadDirFlags::BELOW`], too, the
    /// listings of directories below come with it.
    ///
    /// # Errors
    /// ENOTDIR, EACCES, ESTALE; EIO when the gofer is gone.
    pub fn readdir(
        &self,
        dir: &Handle,
        cursor: i64,
        max_bytes: usize,
        flags: ReadDirFlags,
    ) -> Result<DirEntries, Errno> {
        let max_bytes = u32::try_from(max_bytes.min(MAX_PAYLOAD)).unwrap_or(u32::MAX);
        let request = ReadDir { node: dir.number(), cursor, max_bytes, flags: flags.bits() };
        let mut writer = Writer::new();
        writer.put(&request);
        let message = self.shared.call(Op::ReadDir, &writer)?.message;
        let mut reader = Reader::new(&message);
        let mut entries = self.listing(&mut reader, cursor).map_err(bad)?;
        while flags.contains(ReadDirFlags::BELOW) && reader.remaining() > 0 {
            let Below { node } = reader.take().map_err(bad)?;
            entries.below.push((node, self.listing(&mut reader, 0).map_err(bad)?));
        }
        Ok(entries)
    }

    fn listing(&self, reader: &mut Reader<'_>, cursor: i64) -> Result<DirEntries, Malformed> {
        let reply: ReadDirReply = reader.take()?;
        let start = *reader;
        // Check once, so that iterating needs no errors.
        let mut handles = HashMap::new();
        let mut last = cursor;
        for _ in 0..reply.count {
            let entry = entry(reader)?;
            last = entry.next;
            if let Some(handle) = entry.handle {
                handles.insert(handle, Arc::new(self.handle(handle)));
            }
        }
        let mut start = start;
        let message = start.bytes(start.remaining() - reader.remaining())?.to_vec();
        let at_end = reply.at_end != 0;
        let below = Vec::new();
        Ok(DirEntries { message, count: reply.count, handles, at_end, cursor: last, below })
    }
}

fn bad(_: Malformed) -> Errno {
    EIO.because("bad listing")
}
