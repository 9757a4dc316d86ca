//! Operations that change nothing but what the gofer keeps.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EAGAIN, EINVAL, EISDIR, ELOOP, ENXIO, EPERM, EPROTO};
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::ring::{MAX_PAYLOAD, VERSION};
use bevor_gofer_protocol::wire::{
    self, Hello, HelloReply, MAX_CONTENT, MAX_FDS, MAX_OPEN, NO_CONTENT, OPEN_FLAGS, OnNode, Open,
    OpenFiles, OpenedFile, StatFs, WireHandle,
};

use crate::host;
use crate::root::Root;
use crate::server::{Answer, Server};
use crate::table::{Found, Identity};

/// Tells the client what is served.
pub fn hello(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let hello: Hello = request.take()?;
    request.end()?;
    if hello.version != VERSION {
        return Err(EPROTO.because("the sentry speaks another version").into());
    }
    let roots = u32::try_from(server.roots.len()).unwrap_or(u32::MAX);
    reply.put(&HelloReply { version: VERSION, roots });
    for root in &server.roots {
        let found = host::statx(root.fd.as_fd(), c"")?;
        reply.put(&wire::Root {
            handle: root.id.to_wire(),
            flags: root.flags().bits(),
            pad: 0,
            attr: root.attr(&found, false),
        });
    }
    Ok(None)
}

/// The node of a request that names nothing else.
pub fn on_node(request: &mut Reader<'_>) -> Result<WireHandle, Malformed> {
    let OnNode { node } = request.take()?;
    request.end()?;
    Ok(node)
}

/// Answers with the attributes of a file.
pub fn getattr(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let found = server.find(on_node(request)?)?;
    let attr = server.root_of(&found)?.attr(&server.stat(&found)?, found.info.boundary);
    reply.put(&attr);
    Ok(None)
}

/// Answers with the target of a symlink.
pub fn readlink(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let (found, fd) = server.served(on_node(request)?)?;
    if found.info.identity.kind != libc::S_IFLNK {
        return Err(EINVAL.into());
    }
    reply.bytes(&host::readlink(fd.as_fd(), c"")?);
    Ok(None)
}

/// Describes the file system of a file.
pub fn statfs(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let found = server.find(on_node(request)?)?;
    let found = host::statfs(server.descriptor(&found)?.as_fd())?;
    reply.put(&StatFs {
        kind: found.kind.cast_unsigned(),
        block_size: found.block_size.cast_unsigned(),
        blocks: found.blocks,
        blocks_free: found.blocks_free,
        blocks_available: found.blocks_available,
        files: found.files,
        files_free: found.files_free,
        name_len: found.name_len.cast_unsigned(),
        fragment_size: found.fragment_size.cast_unsigned(),
        flags: found.flags.cast_unsigned(),
        fsid: found.fsid,
    });
    Ok(None)
}

/// Opens a regular file and donates its descriptor.
pub fn open(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let Open { node, flags, pad: 0 } = request.take()? else {
        return Err(Malformed("padding that is not zero").into());
    };
    request.end()?;
    check_open_flags(flags, false)?;
    let found = server.find(node)?;
    let root = server.root_of(&found)?;
    let file = open_file(server, root, &found, None, flags)?;
    let stat = host::statx(file.as_fd(), c"")?;
    if flags & ACCESS_MODE != libc::O_RDONLY.cast_unsigned() {
        server.table.lock().refresh(found.id, Identity::of(&stat));
    }
    reply.put(&root.attr(&stat, false));
    Ok(Some(file))
}

/// Opens regular files of a directory for reading and donates their descriptors, or answers with the
/// contents of small ones: for a client that is about to read one after the other.
pub fn open_files(
    server: &Server,
    request: &mut Reader<'_>,
    reply: &mut Writer,
    files: &mut Vec<OwnedFd>,
) -> Answer {
    let OpenFiles { dir, count, max_content } = request.take()?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let max_content = usize::try_from(max_content).unwrap_or(usize::MAX);
    if count > MAX_OPEN || max_content > MAX_CONTENT {
        return Err(Malformed("too many or too large files to open").into());
    }
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        names.push(request.name()?);
    }
    request.end()?;
    let (parent, dir) = server.directory(dir)?;
    let root = server.root_of(&parent)?;
    let open = |name: &[u8]| {
        let looked = server.look(root, dir.as_fd(), &parent.info, name, true)?;
        let fd = looked.fd.ok_or_else(|| EACCES.because("this file is not served"))?;
        // Given its descriptor, the handle is not looked at.
        let found = Found { id: parent.id, info: looked.info, fd: None };
        let file = open_file(server, root, &found, Some(&fd), 0)?;
        Ok::<_, Errno>((file, root.attr(&looked.found, false)))
    };
    // One byte more than a content may have, to see that nothing comes behind it.
    let mut content = [0; MAX_CONTENT + 1];
    for (before, name) in names.iter().enumerate() {
        let mut opened = OpenedFile { content_len: NO_CONTENT, ..OpenedFile::default() };
        let (file, attr) = match open(name) {
            Ok(opened) => opened,
            Err(error) => {
                opened.errno = error.code.0.into();
                reply.put(&opened);
                continue;
            }
        };
        opened.attr = attr;
        let whole = match usize::try_from(attr.size) {
            Ok(size) if max_content != 0 && size <= max_content => {
                whole_content(&file, size, &mut content)
            }
            _ => None,
        };
        let heads = (names.len() - before) * size_of::<OpenedFile>();
        let has_room =
            |content: &[u8]| reply.message().len() + heads + content.len() <= MAX_PAYLOAD;
        match whole {
            Some(content) if has_room(content) => {
                opened.content_len = u32::try_from(content.len()).unwrap_or(NO_CONTENT);
                reply.put(&opened).bytes(content);
            }
            None if files.len() < MAX_FDS => {
                files.push(file);
                reply.put(&opened);
            }
            _ => {
                opened.errno = EAGAIN.0.into();
                reply.put(&opened);
            }
        }
    }
    Ok(None)
}

/// All that a file holds, if that is as much as its size says.
fn whole_content<'a>(file: &OwnedFd, size: usize, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let read = host::read_at(file.as_fd(), buffer.get_mut(..=size)?, 0).ok()?;
    if read == size { buffer.get(..size) } else { None }
}

/// The bits of the access mode; 3 is none of the three modes.
pub const ACCESS_MODE: u32 = 3;

/// Whether open flags are among those the protocol knows.
pub fn check_open_flags(flags: u32, create: bool) -> Result<(), Malformed> {
    let only_create = (libc::O_EXCL | libc::O_TMPFILE).cast_unsigned();
    let known = ACCESS_MODE | if create { OPEN_FLAGS } else { OPEN_FLAGS & !only_create };
    if flags & !known != 0 || flags & ACCESS_MODE == ACCESS_MODE {
        return Err(Malformed("unknown open flag"));
    }
    Ok(())
}

/// Opens a file that must be a regular one, through the descriptor of its handle or `fd`.
pub fn open_file(
    server: &Server,
    root: &Root,
    found: &Found,
    fd: Option<&Arc<OwnedFd>>,
    flags: u32,
) -> Result<OwnedFd, Errno> {
    match found.info.identity.kind {
        libc::S_IFREG => {}
        libc::S_IFDIR => return Err(EISDIR.into()),
        libc::S_IFLNK => return Err(ELOOP.into()),
        _ => return Err(ENXIO.because("fifos, sockets and devices of the host are not opened")),
    }
    if found.info.boundary {
        return Err(EACCES.because("this file is not served"));
    }
    let flags = flags.cast_signed();
    if flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0 {
        root.writable()?;
    }
    let fd = match fd {
        Some(fd) => Arc::clone(fd),
        None => server.descriptor(found)?,
    };
    let reopen = |flags| server.with_room(|| server.self_fd.reopen(fd.as_fd(), flags));
    match reopen(flags) {
        // Only owners may open with O_NOATIME; the guest's right to was checked by the sentry.
        Err(error) if error == EPERM && flags & libc::O_NOATIME != 0 => {
            reopen(flags & !libc::O_NOATIME)
        }
        other => other,
    }
}
