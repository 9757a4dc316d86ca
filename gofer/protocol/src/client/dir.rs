//! Listings of directories.

use bevor_abi::Errno;
use bevor_abi::errno::EIO;

use super::{Client, Handle};
use crate::attr::Attr;
use crate::codec::{Malformed, Reader, Writer};
use crate::ring::MAX_PAYLOAD;
use crate::wire::{Entry, Op, ReadDir, ReadDirFlags, ReadDirReply};

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
}

/// A part of a listing.
#[derive(Debug)]
pub struct DirEntries {
    message: Vec<u8>,
    count: u32,
    /// Whether nothing comes after these entries.
    pub at_end: bool,
}

impl DirEntries {
    /// The entries, in the host's order.
    pub fn iter(&self) -> impl Iterator<Item = DirEntry<'_>> {
        let mut reader = Reader::new(&self.message);
        (0..self.count).map_while(move |_| entry(&mut reader).ok())
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
    let attr = if head.has_attr == 0 { None } else { Some(reader.take()?) };
    let name = reader.bytes(head.name_len.into())?;
    if name.is_empty() || name.iter().any(|&byte| byte == b'/' || byte == 0) {
        return Err(Malformed("not the name of an entry"));
    }
    Ok(DirEntry { name, ino: head.ino, kind: head.kind, next: head.next, attr })
}

impl Client {
    /// Lists a directory from `cursor` on (0 is the start), as much as fits one message and
    /// `max_bytes`; at least one entry unless the listing is at its end.
    ///
    /// With [`ReadDirFlags::ATTRS`] each entry has its attributes, so that a following `stat` of
    /// each needs no message.
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
        let mut message = self.shared.call(Op::ReadDir, &writer)?.message;
        let mut reader = Reader::new(&message);
        let reply: ReadDirReply = reader.take().map_err(|_| EIO.because("bad listing"))?;
        // Check once, so that iterating needs no errors.
        for _ in 0..reply.count {
            entry(&mut reader).map_err(|_| EIO.because("bad listing"))?;
        }
        message.drain(..size_of::<ReadDirReply>());
        Ok(DirEntries { message, count: reply.count, at_end: reply.at_end != 0 })
    }
}
