//! Listing directories.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOTDIR};
use bevor_gofer_protocol::Attr;
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::ring::MAX_PAYLOAD;
use bevor_gofer_protocol::wire::{
    Below, Entry, EntryParts, ReadDir, ReadDirFlags, ReadDirReply, WireHandle,
};
use parking_lot::Mutex;
use zerocopy::FromBytes;

use crate::host;
use crate::root::Root;
use crate::server::{Answer, Server};
use crate::table::{Found, Id};

/// Listings kept open between two requests.
const MAX_STREAMS: usize = 8;
/// Directories of which a listing brings those below.
const MAX_BELOW: usize = 64;
/// Bytes of directory entries asked of the host at once.
const BUFFER_BYTES: usize = 32 * 1024;

/// Open directories whose listing has got to a cursor.
#[derive(Debug, Default)]
pub struct Streams(Mutex<Vec<Stream>>);

#[derive(Debug)]
struct Stream {
    id: Id,
    cursor: i64,
    fd: OwnedFd,
}

impl Streams {
    fn take(&self, id: Id, cursor: i64) -> Option<OwnedFd> {
        let mut streams = self.0.lock();
        let at = streams.iter().position(|it| it.id == id && it.cursor == cursor)?;
        Some(streams.remove(at).fd)
    }

    fn put(&self, id: Id, cursor: i64, fd: OwnedFd) {
        let mut streams = self.0.lock();
        let oldest = (streams.len() >= MAX_STREAMS).then(|| streams.remove(0));
        streams.push(Stream { id, cursor, fd });
        drop(streams);
        drop(oldest);
    }

    /// Closes all of them.
    pub fn clear(&self) {
        let streams = std::mem::take(&mut *self.0.lock());
        drop(streams);
    }
}

/// Lists a directory from a cursor on, as the host does, with `.` and `..`.
pub fn readdir(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let ReadDir { node, cursor, max_bytes, flags } = request.take()?;
    request.end()?;
    let flags = ReadDirFlags::from_bits(flags).ok_or(Malformed("unknown readdir flag"))?;
    let max_bytes = usize::try_from(max_bytes).unwrap_or(MAX_PAYLOAD).min(MAX_PAYLOAD);

    let found = server.find(node)?;
    if !found.info.identity.is_dir() {
        return Err(ENOTDIR.into());
    }
    if found.info.boundary {
        empty(reply, found.info.identity.ino, cursor);
        return Ok(None);
    }
    let stream = match server.streams.take(found.id, cursor) {
        Some(stream) => stream,
        None => start(server, &found, cursor)?,
    };
    let root = server.root_of(&found)?;
    let mut listing = Listing { server, root, flags, max_bytes, reply, dirs: Vec::new() };
    let mut buffer = vec![0; BUFFER_BYTES];
    let (entries, next) = listing.fill(&found, &stream, cursor, &mut buffer)?;
    if entries.at_end == 1 && flags.contains(ReadDirFlags::BELOW) {
        listing.add_below(&mut buffer);
    }
    if entries.count == 0 && entries.at_end == 0 {
        return Err(EINVAL.because("no room for a single directory entry").into());
    }
    if entries.at_end == 0 {
        host::seek(stream.as_fd(), next)?;
        server.streams.put(found.id, next, stream);
    }
    reply.patch(0, &entries);
    Ok(None)
}

/// Lists a directory of which nothing is served.
fn empty(reply: &mut Writer, ino: u64, cursor: i64) {
    let dots = [&b"."[..], b".."].into_iter().zip(1_i64..).filter(|&(_, next)| next > cursor);
    let count = u32::try_from(dots.clone().count()).unwrap_or(0);
    reply.put(&ReadDirReply { count, at_end: 1 });
    for (name, next) in dots {
        let name_len = u16::try_from(name.len()).unwrap_or(0);
        reply.put(&Entry { ino, next, kind: libc::DT_DIR, has: 0, name_len, pad: 0 });
        reply.bytes(name);
    }
}

fn start(server: &Server, found: &Found, cursor: i64) -> Result<OwnedFd, Errno> {
    let fd = server.descriptor(found)?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let stream = server.with_room(|| server.self_fd.reopen(fd.as_fd(), flags))?;
    if cursor != 0 {
        host::seek(stream.as_fd(), cursor)?;
    }
    Ok(stream)
}

struct Listing<'a> {
    server: &'a Server,
    root: &'a Root,
    flags: ReadDirFlags,
    max_bytes: usize,
    reply: &'a mut Writer,
    /// Directories that were given a handle.
    dirs: Vec<Id>,
}

impl Listing<'_> {
    /// Writes entries until the message is full or the directory at its end; answers with the
    /// cursor behind the last.
    fn fill(
        &mut self,
        dir: &Found,
        stream: &OwnedFd,
        cursor: i64,
        buffer: &mut [u8],
    ) -> Result<(ReadDirReply, i64), Errno> {
        let mut entries = ReadDirReply { count: 0, at_end: 0 };
        let mut next = cursor;
        self.reply.put(&entries);
        loop {
            let len = host::getdents(stream.as_fd(), buffer)?;
            if len == 0 {
                entries.at_end = 1;
                return Ok((entries, next));
            }
            let mut rest = &buffer[..len];
            while let Some((entry, after)) = HostEntry::split(rest) {
                rest = after;
                if !self.add(dir, stream, &entry) {
                    return Ok((entries, next));
                }
                entries.count += 1;
                next = entry.next;
            }
        }
    }

    /// Adds whole listings of directories below while they fit, in the order of a reader that goes
    /// down into each directory it meets.
    fn add_below(&mut self, buffer: &mut [u8]) {
        let mut waiting: VecDeque<Id> = self.dirs.drain(..).collect();
        for _ in 0..MAX_BELOW {
            let Some(id) = waiting.pop_front() else { return };
            let start_of = |id: Id| {
                let found = self.server.find(id.to_wire()).ok().filter(|it| !it.info.boundary)?;
                let stream = start(self.server, &found, 0).ok()?;
                Some((found, stream))
            };
            // What cannot be listed is for the client to find out.
            let Some((found, stream)) = start_of(id) else { continue };
            let before = self.reply.message().len();
            self.reply.put(&Below { node: id.to_wire() });
            let at = self.reply.message().len();
            match self.fill(&found, &stream, 0, buffer) {
                Ok((entries, _)) if entries.at_end == 1 && !self.reply.overflowed() => {
                    self.reply.patch(at, &entries);
                    for id in self.dirs.drain(..).rev() {
                        waiting.push_front(id);
                    }
                }
                _ => {
                    self.reply.truncate(before);
                    self.server.table.lock().close(self.dirs.drain(..));
                    return;
                }
            }
        }
    }

    /// Adds an entry; false when it does not fit any more.
    fn add(&mut self, dir: &Found, stream: &OwnedFd, entry: &HostEntry<'_>) -> bool {
        let is_dot = matches!(entry.name, b"." | b"..");
        let is_dir = entry.kind == libc::DT_DIR;
        let with_handle = self.flags.contains(ReadDirFlags::DIRS) && is_dir && !is_dot;
        let with_attr = with_handle || (self.flags.contains(ReadDirFlags::ATTRS) && !is_dot);
        let used = self.reply.message().len() + size_of::<Entry>() + entry.name.len();
        let parts = usize::from(with_attr) * size_of::<Attr>()
            + usize::from(with_handle) * size_of::<WireHandle>();
        if used + parts > self.max_bytes {
            return false;
        }
        // Without what was asked for if the name is gone already.
        let looked = if with_attr {
            self.server.look(self.root, stream.as_fd(), &dir.info, entry.name, false).ok()
        } else {
            None
        };
        let handle = looked.as_ref().filter(|_| with_handle).and_then(|looked| {
            self.server.table.lock().child(dir.id, entry.name, looked.info.clone()).ok()
        });
        let mut has = EntryParts::empty();
        has.set(EntryParts::ATTR, looked.is_some());
        has.set(EntryParts::HANDLE, handle.is_some());
        self.reply.put(&Entry {
            ino: entry.ino,
            next: entry.next,
            kind: entry.kind,
            has: has.bits(),
            name_len: u16::try_from(entry.name.len()).unwrap_or(0),
            pad: 0,
        });
        if let Some(handle) = handle {
            self.reply.put(&handle.to_wire());
            self.dirs.push(handle);
        }
        if let Some(looked) = looked {
            self.reply.put(&self.root.attr(&looked.found, looked.info.boundary));
        }
        self.reply.bytes(entry.name);
        true
    }
}

/// A `struct linux_dirent64`.
struct HostEntry<'a> {
    ino: u64,
    next: i64,
    kind: u8,
    name: &'a [u8],
}

impl<'a> HostEntry<'a> {
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (ino, rest) = u64::read_from_prefix(bytes).ok()?;
        let (next, rest) = i64::read_from_prefix(rest).ok()?;
        let (len, rest) = u16::read_from_prefix(rest).ok()?;
        let (entry, after) = bytes.split_at_checked(len.into())?;
        let (&kind, _) = rest.split_first()?;
        let name = entry.get(19..)?;
        let name = name.split(|&byte| byte == 0).next()?;
        Some((Self { ino, next, kind, name }, after))
    }
}
