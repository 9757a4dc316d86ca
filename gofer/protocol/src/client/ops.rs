//! The operations, one method each.

use std::os::fd::OwnedFd;

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EIO, ENAMETOOLONG, EPROTO};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::call::Reply;
use super::{Client, Handle};
use crate::attr::{Attr, Device, Time};
use crate::codec::{Malformed, NAME_MAX, Reader, Writer, is_entry_name};
use crate::ring::VERSION;
use crate::wire::{
    Connect, Hello, HelloReply, Link, MAX_CONTENT, MAX_TARGET, MAX_WALK, MAX_XATTR, Make,
    NO_CHANGE, NO_CONTENT, Node, OnNode, Op, Open, OpenFiles, OpenedFile, Peer, RENAME_FLAGS,
    Rename, RenameReply, RootFlags, SetAttr, SetAttrMask, SetXattr, StatFs, Sync, SyncKind, Unlink,
    WalkFlags, WalkReply, WireHandle, XATTR_FLAGS,
};

/// A root the gofer serves, in the order of its configuration.
#[derive(Debug)]
pub struct Root {
    /// Its directory; a file when a single file is served.
    pub handle: Handle,
    /// Its attributes.
    pub attr: Attr,
    /// How it may be used.
    pub flags: RootFlags,
}

/// A file met on a walk.
#[derive(Debug)]
pub struct WalkNode<H = Handle> {
    /// Its handle.
    pub handle: H,
    /// Its attributes.
    pub attr: Attr,
}

/// Why a walk ended.
#[derive(Debug)]
pub enum WalkStop {
    /// Every name was followed, and the last is no symlink.
    Complete,
    /// The last node is a symlink with this target. Names after it were not followed.
    Symlink(Vec<u8>),
    /// The name after the last node could not be followed: ENOENT, EACCES, ENOTDIR, …
    Error(Errno),
}

/// What a walk found.
#[derive(Debug)]
pub struct Walk<H = Handle> {
    /// The files met, one for each name that could be followed.
    pub nodes: Vec<WalkNode<H>>,
    /// Why the walk ended.
    pub stop: WalkStop,
    /// The last file opened, when [`Client::walk_open`] got to it and it is a regular file.
    pub file: Option<Result<OwnedFd, Errno>>,
}

/// A regular file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The host's descriptor, for reading, writing and mapping.
    pub file: OwnedFd,
    /// Attributes after opening (`O_TRUNC` changes them).
    pub attr: Attr,
}

/// A regular file that came with others, for reading.
#[derive(Debug)]
pub struct Ahead {
    /// The file itself.
    pub what: AheadOf,
    /// Its attributes.
    pub attr: Attr,
}

/// How a file came.
#[derive(Debug)]
pub enum AheadOf {
    /// The host's descriptor.
    Descriptor(OwnedFd),
    /// All it holds.
    Content(Box<[u8]>),
}

/// A file that was made.
#[derive(Debug)]
pub struct Created {
    /// Its handle.
    pub handle: Handle,
    /// Its attributes.
    pub attr: Attr,
}

/// What a rename did, each file as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// What moved.
    pub moved: Attr,
    /// What the new name stood for.
    pub replaced: Option<Attr>,
}

/// What a new file is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MakeArgs {
    /// Permission bits, the caller's umask already applied; for mknod the type, too. Other bits do
    /// not count.
    pub mode: u32,
    /// Owner; `None` leaves it to the host.
    pub uid: Option<u32>,
    /// Group; `None` leaves it to the host.
    pub gid: Option<u32>,
}

/// A new time stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeChange {
    /// The time of the host's clock.
    Now,
    /// This time.
    To(Time),
}

/// Attributes to change; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttrArgs {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Time of access.
    pub atime: Option<TimeChange>,
    /// Time of modification.
    pub mtime: Option<TimeChange>,
}

impl Client {
    /// The roots the gofer serves, in the order it was configured with.
    ///
    /// # Errors
    /// EPROTO when the gofer speaks another version; EIO when it is gone.
    pub fn roots(&self) -> Result<Vec<Root>, Errno> {
        let reply = self.send(Op::Hello, &Hello { version: VERSION, pad: 0 })?;
        let mut reader = Reader::new(&reply.message);
        let hello: HelloReply = take(&mut reader)?;
        if hello.version != VERSION {
            return Err(EPROTO.because("the gofer speaks another version"));
        }
        let mut roots = Vec::new();
        for _ in 0..hello.roots {
            let root: crate::wire::Root = take(&mut reader)?;
            roots.push(Root {
                handle: self.handle(root.handle),
                attr: root.attr,
                flags: RootFlags::from_bits_truncate(root.flags),
            });
        }
        Ok(roots)
    }

    /// Follows `names` down from `dir`, through directories only.
    ///
    /// # Errors
    /// EINVAL for a name that is none (`.`, `..`, with `/`), ENAMETOOLONG; ESTALE when `dir` is;
    /// EIO when the gofer is gone. What stops the walk on its way is in [`Walk::stop`].
    pub fn walk(&self, dir: &Handle, names: &[&[u8]]) -> Result<Walk, Errno> {
        self.walk_with(dir, names, None)
    }

    /// Like [`Client::walk`], and opens the last file with `O_*` flags if it is a regular one.
    ///
    /// # Errors
    /// Those of [`Client::walk`]; those of opening are in [`Walk::file`].
    pub fn walk_open(&self, dir: &Handle, names: &[&[u8]], flags: u32) -> Result<Walk, Errno> {
        self.walk_with(dir, names, Some(flags))
    }

    fn walk_with(&self, dir: &Handle, names: &[&[u8]], open: Option<u32>) -> Result<Walk, Errno> {
        let mut walk: Walk = Walk { nodes: Vec::new(), stop: WalkStop::Complete, file: None };
        let mut chunks = names.chunks(MAX_WALK).peekable();
        while let Some(chunk) = chunks.next() {
            let open = if chunks.peek().is_none() { open } else { None };
            let part = {
                let from = walk.nodes.last().map_or(dir, |node| &node.handle);
                self.walk_part(from, chunk, WalkFlags::empty(), open)?
            };
            walk.nodes.extend(
                part.nodes
                    .into_iter()
                    .map(|node| WalkNode { handle: self.handle(node.handle), attr: node.attr }),
            );
            walk.stop = part.stop;
            walk.file = part.file;
            if !matches!(walk.stop, WalkStop::Complete) {
                break;
            }
        }
        Ok(walk)
    }

    /// Like [`Client::walk`] without making handles: what is there now, to compare with what is
    /// cached. At most [`MAX_WALK`] names.
    ///
    /// # Errors
    /// Those of [`Client::walk`]; EINVAL for too many names.
    pub fn probe(&self, dir: &Handle, names: &[&[u8]]) -> Result<Walk<()>, Errno> {
        if names.len() > MAX_WALK {
            return Err(EINVAL.because("too many names to probe at once"));
        }
        let walk = self.walk_part(dir, names, WalkFlags::NO_HANDLES, None)?;
        let nodes = walk.nodes.into_iter();
        let nodes = nodes.map(|node| WalkNode { handle: (), attr: node.attr }).collect();
        Ok(Walk { nodes, stop: walk.stop, file: None })
    }

    fn walk_part(
        &self,
        dir: &Handle,
        names: &[&[u8]],
        mut flags: WalkFlags,
        open: Option<u32>,
    ) -> Result<Walk<WireHandle>, Errno> {
        flags.set(WalkFlags::OPEN, open.is_some());
        let mut writer = Writer::new();
        writer.put(&crate::wire::Walk {
            dir: dir.number(),
            flags: flags.bits(),
            count: u32::try_from(names.len()).unwrap_or(u32::MAX),
            open_flags: open.unwrap_or(0),
            pad: 0,
        });
        for name in names {
            put_name(&mut writer, name)?;
        }
        let mut reply = self.shared.call(Op::Walk, &writer)?;
        let mut reader = Reader::new(&reply.message);
        let head: WalkReply = take(&mut reader)?;
        let mut nodes = Vec::with_capacity(names.len());
        for _ in 0..head.done {
            let node: Node = take(&mut reader)?;
            nodes.push(WalkNode { handle: node.handle, attr: node.attr });
        }
        if nodes.len() > names.len() || (nodes.len() < names.len() && stopless(&head)) {
            return Err(EIO.because("the gofer walked another path"));
        }
        let stop = if head.errno != 0 {
            WalkStop::Error(errno(head.errno))
        } else if head.target_len != 0 {
            let len = usize::try_from(head.target_len).unwrap_or(usize::MAX);
            WalkStop::Symlink(reader.bytes(len).map_err(bad_reply)?.to_vec())
        } else {
            WalkStop::Complete
        };
        let file = match reply.fds.pop() {
            Some(fd) => Some(Ok(fd)),
            None if head.open_errno != 0 => Some(Err(errno(head.open_errno))),
            None => None,
        };
        Ok(Walk { nodes, stop, file })
    }

    /// Asks for the attributes of a file.
    ///
    /// # Errors
    /// ESTALE when something else is in its place; EIO when the gofer is gone.
    pub fn getattr(&self, node: &Handle) -> Result<Attr, Errno> {
        let reply = self.send(Op::GetAttr, &OnNode { node: node.number() })?;
        take(&mut Reader::new(&reply.message))
    }

    /// Opens a regular file with `O_*` flags (an access mode and those of
    /// [`crate::wire::OPEN_FLAGS`]).
    ///
    /// # Errors
    /// EISDIR, ENXIO (fifo, socket or device), ELOOP (symlink), EROFS, EACCES, ETXTBSY, ESTALE, …
    pub fn open(&self, node: &Handle, flags: u32) -> Result<Opened, Errno> {
        let reply = self.send(Op::Open, &Open { node: node.number(), flags, pad: 0 })?;
        let attr = take(&mut Reader::new(&reply.message))?;
        Ok(Opened { file: descriptor(reply)?, attr })
    }

    /// Opens some regular files of a directory for reading, at most [`crate::wire::MAX_OPEN`]; what is not opened
    /// is answered with the reason, EAGAIN if the reply had no room for it. Those of at most
    /// `max_content` bytes come as contents, without descriptors.
    ///
    /// # Errors
    /// ENOTDIR, ESTALE, ENFILE; EIO when the gofer is gone.
    pub fn open_files(
        &self,
        dir: &Handle,
        names: &[&[u8]],
        max_content: usize,
    ) -> Result<Vec<Result<Ahead, Errno>>, Errno> {
        let mut writer = Writer::new();
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let max_content = u32::try_from(max_content.min(MAX_CONTENT)).unwrap_or(0);
        writer.put(&OpenFiles { dir: dir.number(), count, max_content });
        for name in names {
            put_name(&mut writer, name)?;
        }
        let reply = self.shared.call(Op::OpenFiles, &writer)?;
        let mut reader = Reader::new(&reply.message);
        let mut fds = reply.fds.into_iter();
        let mut opened = Vec::with_capacity(names.len());
        for _ in names {
            let file: OpenedFile = take(&mut reader)?;
            opened.push(if file.errno != 0 {
                Err(errno(file.errno))
            } else if file.content_len == NO_CONTENT {
                let fd = fds.next().ok_or_else(|| EIO.because("a descriptor is missing"))?;
                Ok(Ahead { what: AheadOf::Descriptor(fd), attr: file.attr })
            } else {
                if file.content_len > max_content || u64::from(file.content_len) != file.attr.size {
                    return Err(EIO.because("a content of another length"));
                }
                let len = usize::try_from(file.content_len).unwrap_or(usize::MAX);
                let content = reader.bytes(len).map_err(bad_reply)?.into();
                Ok(Ahead { what: AheadOf::Content(content), attr: file.attr })
            });
        }
        Ok(opened)
    }

    /// Reads the target of a symlink.
    ///
    /// # Errors
    /// EINVAL when it is none, ESTALE; EIO when the gofer is gone.
    pub fn readlink(&self, node: &Handle) -> Result<Vec<u8>, Errno> {
        Ok(self.send(Op::ReadLink, &OnNode { node: node.number() })?.message)
    }

    /// Changes attributes, in the order size, owner, mode, times, and answers with the new ones.
    ///
    /// # Errors
    /// EROFS, EPERM, ESTALE and those of the host's calls.
    pub fn setattr(&self, node: &Handle, args: &SetAttrArgs) -> Result<Attr, Errno> {
        let is_time = |change: Option<TimeChange>| !matches!(change, Some(TimeChange::To(time)) if time.nsec >= 1_000_000_000);
        if !is_time(args.atime) || !is_time(args.mtime) {
            return Err(EINVAL.because("nanoseconds of a second or more"));
        }
        let mut mask = SetAttrMask::empty();
        mask.set(SetAttrMask::MODE, args.mode.is_some());
        mask.set(SetAttrMask::OWNER, args.uid.is_some() || args.gid.is_some());
        mask.set(SetAttrMask::SIZE, args.size.is_some());
        let mut time = |change, now, to| match change {
            None => Time::default(),
            Some(TimeChange::Now) => {
                mask |= now;
                Time::default()
            }
            Some(TimeChange::To(time)) => {
                mask |= to;
                time
            }
        };
        let atime = time(args.atime, SetAttrMask::ATIME_NOW, SetAttrMask::ATIME);
        let mtime = time(args.mtime, SetAttrMask::MTIME_NOW, SetAttrMask::MTIME);
        let request = SetAttr {
            node: node.number(),
            mask: mask.bits(),
            mode: args.mode.unwrap_or(0) & 0o7777,
            uid: args.uid.unwrap_or(NO_CHANGE),
            gid: args.gid.unwrap_or(NO_CHANGE),
            size: args.size.unwrap_or(0),
            atime,
            mtime,
        };
        let reply = self.send(Op::SetAttr, &request)?;
        take(&mut Reader::new(&reply.message))
    }

    /// Makes a regular file that was not there and opens it. With `O_TMPFILE` it has no name:
    /// `name` must then be empty.
    ///
    /// # Errors
    /// EEXIST, EROFS and those of the host's calls.
    pub fn create(
        &self,
        dir: &Handle,
        name: &[u8],
        flags: u32,
        args: MakeArgs,
    ) -> Result<(Created, OwnedFd), Errno> {
        let mut writer = Writer::new();
        writer.put(&make(dir, flags, args, Device::default()));
        if flags & libc::O_TMPFILE.cast_unsigned() == libc::O_TMPFILE.cast_unsigned() {
            writer.string(b"");
        } else {
            put_name(&mut writer, name)?;
        }
        let reply = self.shared.call(Op::Create, &writer)?;
        let created = self.created(&reply)?;
        Ok((created, descriptor(reply)?))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// EEXIST, EROFS and those of the host's calls.
    pub fn mkdir(&self, dir: &Handle, name: &[u8], args: MakeArgs) -> Result<Created, Errno> {
        self.make(Op::MkDir, make(dir, 0, args, Device::default()), name, &[])
    }

    /// Makes a regular file, fifo, socket or device node; the type is part of `args.mode`.
    ///
    /// # Errors
    /// EPERM for a device node, EEXIST, EROFS and those of the host's calls.
    pub fn mknod(
        &self,
        dir: &Handle,
        name: &[u8],
        args: MakeArgs,
        rdev: Device,
    ) -> Result<Created, Errno> {
        let mut request = make(dir, 0, args, rdev);
        request.mode |= args.mode & 0o170_000;
        self.make(Op::MkNod, request, name, &[])
    }

    /// Makes a symlink.
    ///
    /// # Errors
    /// ENAMETOOLONG, EEXIST, EROFS and those of the host's calls.
    pub fn symlink(
        &self,
        dir: &Handle,
        name: &[u8],
        target: &[u8],
        args: MakeArgs,
    ) -> Result<Created, Errno> {
        if target.len() > MAX_TARGET {
            return Err(ENAMETOOLONG.because("symlink target"));
        }
        if target.contains(&0) {
            return Err(EINVAL.because("NUL in a symlink target"));
        }
        self.make(Op::Symlink, make(dir, 0, args, Device::default()), name, target)
    }

    /// Gives a file that is no directory one more name.
    ///
    /// # Errors
    /// EPERM, EXDEV, EEXIST, EROFS and those of the host's calls.
    pub fn link(&self, node: &Handle, dir: &Handle, name: &[u8]) -> Result<Created, Errno> {
        let mut writer = Writer::new();
        writer.put(&Link { node: node.number(), dir: dir.number() });
        put_name(&mut writer, name)?;
        let reply = self.shared.call(Op::Link, &writer)?;
        self.created(&reply)
    }

    /// Removes a name; with `AT_REMOVEDIR` an empty directory. Handles of the file keep working.
    /// Answers with what the file was before.
    ///
    /// # Errors
    /// ENOENT, EISDIR, ENOTDIR, ENOTEMPTY, EBUSY, EROFS and those of the host's calls.
    pub fn unlink(&self, dir: &Handle, name: &[u8], flags: u32) -> Result<Attr, Errno> {
        let mut writer = Writer::new();
        writer.put(&Unlink { dir: dir.number(), flags, pad: 0 });
        put_name(&mut writer, name)?;
        take(&mut Reader::new(&self.shared.call(Op::Unlink, &writer)?.message))
    }

    /// Moves a name. Handles of what moves, of what lies below it, and of what it replaces keep
    /// working.
    ///
    /// # Errors
    /// Those of `renameat2(2)`; EXDEV between roots.
    pub fn rename(
        &self,
        from: (&Handle, &[u8]),
        to: (&Handle, &[u8]),
        flags: u32,
    ) -> Result<Renamed, Errno> {
        if flags & !RENAME_FLAGS != 0 {
            return Err(EINVAL.because("unknown rename flag"));
        }
        let mut writer = Writer::new();
        writer.put(&Rename { from: from.0.number(), to: to.0.number(), flags, pad: 0 });
        put_name(&mut writer, from.1)?;
        put_name(&mut writer, to.1)?;
        let reply = self.shared.call(Op::Rename, &writer)?;
        let reply: RenameReply = take(&mut Reader::new(&reply.message))?;
        let replaced = (reply.has_replaced != 0).then_some(reply.replaced);
        Ok(Renamed { moved: reply.moved, replaced })
    }

    /// Describes the file system of a file.
    ///
    /// # Errors
    /// ESTALE; EIO when the gofer is gone.
    pub fn statfs(&self, node: &Handle) -> Result<StatFs, Errno> {
        let reply = self.send(Op::StatFs, &OnNode { node: node.number() })?;
        take(&mut Reader::new(&reply.message))
    }

    /// Writes a file, or its whole file system, to disk.
    ///
    /// # Errors
    /// EIO, ENOSPC and those of `fsync(2)`.
    pub fn sync(&self, node: &Handle, kind: SyncKind) -> Result<(), Errno> {
        let request = Sync { node: node.number(), kind: kind as u32, pad: 0 };
        self.send(Op::Sync, &request).map(drop)
    }

    /// Reads an extended attribute.
    ///
    /// # Errors
    /// ENODATA, EOPNOTSUPP.
    pub fn getxattr(&self, node: &Handle, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.xattr(Op::GetXattr, &OnNode { node: node.number() }, name, &[])
    }

    /// Sets an extended attribute; `flags` is `XATTR_CREATE`, `XATTR_REPLACE` or 0.
    ///
    /// # Errors
    /// EEXIST, ENODATA, EOPNOTSUPP, EPERM, EROFS, ENOSPC, E2BIG.
    pub fn setxattr(
        &self,
        node: &Handle,
        name: &[u8],
        value: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        let value_len = u32::try_from(value.len())
            .ok()
            .filter(|_| value.len() <= MAX_XATTR)
            .ok_or_else(|| bevor_abi::errno::E2BIG.because("extended attribute"))?;
        if flags & !XATTR_FLAGS != 0 {
            return Err(EINVAL.because("unknown setxattr flag"));
        }
        let request = SetXattr { node: node.number(), flags, value_len };
        self.xattr(Op::SetXattr, &request, name, value).map(drop)
    }

    /// Lists the names of the extended attributes, each ended by NUL.
    ///
    /// # Errors
    /// EOPNOTSUPP.
    pub fn listxattr(&self, node: &Handle) -> Result<Vec<u8>, Errno> {
        Ok(self.send(Op::ListXattr, &OnNode { node: node.number() })?.message)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// ENODATA, EOPNOTSUPP, EPERM, EROFS.
    pub fn removexattr(&self, node: &Handle, name: &[u8]) -> Result<(), Errno> {
        self.xattr(Op::RemoveXattr, &OnNode { node: node.number() }, name, &[]).map(drop)
    }

    /// Connects to a socket of the host, of type `SOCK_STREAM`, `SOCK_DGRAM` or
    /// `SOCK_SEQPACKET`, and answers with the connected, non-blocking socket and whose it is.
    ///
    /// # Errors
    /// ECONNREFUSED where the root does not allow it, EPROTOTYPE, EAGAIN when the backlog is full.
    pub fn connect(&self, node: &Handle, kind: u32) -> Result<(OwnedFd, Peer), Errno> {
        let reply = self.send(Op::Connect, &Connect { node: node.number(), kind, pad: 0 })?;
        let peer = take(&mut Reader::new(&reply.message))?;
        Ok((descriptor(reply)?, peer))
    }

    /// Makes a socket of type `kind`, binds it to a new name and answers with it, non-blocking.
    ///
    /// # Errors
    /// EACCES where the root does not allow it, EADDRINUSE, EROFS, ENAMETOOLONG.
    pub fn bind(
        &self,
        dir: &Handle,
        name: &[u8],
        kind: u32,
        args: MakeArgs,
    ) -> Result<(Created, OwnedFd), Errno> {
        let mut writer = Writer::new();
        writer.put(&make(dir, kind, args, Device::default()));
        put_name(&mut writer, name)?;
        let reply = self.shared.call(Op::Bind, &writer)?;
        let created = self.created(&reply)?;
        Ok((created, descriptor(reply)?))
    }

    /// Gives back the handles dropped so far. Otherwise the next request does that on its way.
    pub fn flush_closed(&self) {
        self.shared.flush_closed();
    }

    pub(super) fn send<T: IntoBytes + Immutable>(
        &self,
        op: Op,
        request: &T,
    ) -> Result<Reply, Errno> {
        let mut writer = Writer::new();
        writer.put(request);
        self.shared.call(op, &writer)
    }

    fn make(&self, op: Op, make: Make, name: &[u8], target: &[u8]) -> Result<Created, Errno> {
        let mut writer = Writer::new();
        writer.put(&make);
        put_name(&mut writer, name)?;
        writer.bytes(target);
        self.created(&self.shared.call(op, &writer)?)
    }

    fn xattr<T: IntoBytes + Immutable>(
        &self,
        op: Op,
        request: &T,
        name: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, Errno> {
        if name.is_empty() || name.len() > NAME_MAX || name.contains(&0) {
            return Err(bevor_abi::errno::ERANGE.because("name of an extended attribute"));
        }
        let mut writer = Writer::new();
        writer.put(request).string(name).bytes(value);
        Ok(self.shared.call(op, &writer)?.message)
    }

    fn created(&self, reply: &Reply) -> Result<Created, Errno> {
        let node: Node = take(&mut Reader::new(&reply.message))?;
        Ok(Created { handle: self.handle(node.handle), attr: node.attr })
    }

    pub(super) fn handle(&self, number: WireHandle) -> Handle {
        Handle::new(number, &self.shared)
    }
}

fn make(dir: &Handle, flags: u32, args: MakeArgs, rdev: Device) -> Make {
    Make {
        dir: dir.number(),
        flags,
        mode: args.mode & 0o7777,
        uid: args.uid.unwrap_or(NO_CHANGE),
        gid: args.gid.unwrap_or(NO_CHANGE),
        rdev_major: rdev.major,
        rdev_minor: rdev.minor,
    }
}

fn put_name(writer: &mut Writer, name: &[u8]) -> Result<(), Errno> {
    if name.len() > NAME_MAX {
        return Err(ENAMETOOLONG.because("name longer than 255 bytes"));
    }
    if !is_entry_name(name) {
        return Err(EINVAL.because("not the name of an entry"));
    }
    writer.string(name);
    Ok(())
}

/// Whether a reply to a walk gives no reason why it stopped.
const fn stopless(head: &WalkReply) -> bool {
    head.errno == 0 && head.target_len == 0
}

fn errno(raw: u32) -> Errno {
    Errno::from_host(i32::try_from(raw).unwrap_or(0))
}

pub(super) fn take<T: FromBytes>(reader: &mut Reader<'_>) -> Result<T, Errno> {
    reader.take().map_err(bad_reply)
}

fn bad_reply(_: Malformed) -> Errno {
    EIO.because("malformed reply of the gofer")
}

fn descriptor(reply: Reply) -> Result<OwnedFd, Errno> {
    reply.fds.into_iter().next().ok_or_else(|| EIO.because("the gofer sent no descriptor"))
}
