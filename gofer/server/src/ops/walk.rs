//! Walking down, one name after the other.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOENT, ENOTDIR};
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::wire::{MAX_WALK, Node, Walk, WalkFlags, WalkReply};

use crate::host::{self, Name};
use crate::ops::read::{check_open_flags, open_file};
use crate::resolve::Looked;
use crate::root::Root;
use crate::server::{Answer, Server};
use crate::table::{Found, Id, Table};

/// How often a name that changes between two looks is looked at again.
const RETRIES: usize = 16;

/// Where a walk has got to.
struct At {
    /// Handle, unless none are made.
    id: Option<Id>,
    found: Found,
    fd: Option<Arc<OwnedFd>>,
}

/// Follows names and answers with a node for each, stopping at what cannot be followed.
pub fn walk(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let head: Walk = request.take()?;
    let flags = WalkFlags::from_bits(head.flags).ok_or(Malformed("unknown walk flag"))?;
    let count = usize::try_from(head.count).unwrap_or(usize::MAX);
    if count > MAX_WALK || head.pad != 0 {
        return Err(Malformed("walk of too many names").into());
    }
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        names.push(request.name()?);
    }
    request.end()?;
    let opens = flags.contains(WalkFlags::OPEN);
    if opens {
        check_open_flags(head.open_flags, false)?;
    }

    let found = server.find(head.dir)?;
    let root = server.root_of(&found)?;
    let mut at = At { id: Some(found.id), fd: found.fd.clone(), found };
    let mut stop = WalkReply { done: 0, errno: 0, target_len: 0, open_errno: 0 };
    let mut target = Vec::new();
    let mut file = None;
    reply.put(&stop);
    for (index, name) in names.iter().enumerate() {
        let last = index + 1 == names.len();
        match step(server, root, &mut at, name, !last || opens, flags, reply) {
            Err(error) => {
                stop.errno = error.code.0.into();
                break;
            }
            Ok(link) => {
                stop.done += 1;
                if let Some(link) = link {
                    stop.target_len = u32::try_from(link.len()).unwrap_or(0);
                    target = link;
                    break;
                }
            }
        }
    }
    let complete = stop.errno == 0 && target.is_empty();
    if opens && complete && at.found.info.identity.kind == libc::S_IFREG {
        match open_file(server, root, &at.found, at.fd.as_ref(), head.open_flags) {
            Ok(opened) => file = Some(opened),
            Err(error) => stop.open_errno = error.code.0.into(),
        }
    }
    reply.patch(0, &stop);
    reply.bytes(&target);
    Ok(file)
}

/// Goes to the next name, and answers with the target if it is a symlink.
fn step(
    server: &Server,
    root: &Root,
    at: &mut At,
    name: &[u8],
    open: bool,
    flags: WalkFlags,
    reply: &mut Writer,
) -> Result<Option<Vec<u8>>, Errno> {
    if !at.found.info.identity.is_dir() {
        return Err(ENOTDIR.into());
    }
    if at.found.info.boundary {
        return Err(ENOENT.because("nothing below this directory is served"));
    }
    let dir = match at.fd.take() {
        Some(fd) => fd,
        None => server.descriptor(&at.found)?,
    };
    let parent = at.id.filter(|_| !flags.contains(WalkFlags::NO_HANDLES));
    let (id, looked, link) = server.steadily(
        at.found.info.identity.dev,
        || look(server, root, &dir, &at.found, name, open),
        |table, (looked, link)| {
            let id = parent.map(|parent| arrive(table, parent, name, &looked)).transpose()?;
            Ok((id, looked, link))
        },
    )?;
    let attr = root.attr(&looked.found, looked.info.boundary);
    reply.put(&Node { handle: id.map_or(0, Id::to_wire), attr });
    at.found = Found { id: id.unwrap_or(at.found.id), info: looked.info, fd: None };
    at.fd = looked.fd;
    at.id = id;
    Ok(link)
}

/// Looks at a name; reads its target if it is a symlink.
fn look(
    server: &Server,
    root: &Root,
    dir: &OwnedFd,
    found: &Found,
    name: &[u8],
    open: bool,
) -> Result<(Looked, Option<Vec<u8>>), Errno> {
    for _ in 0..RETRIES {
        let looked = server.look(root, dir.as_fd(), &found.info, name, open)?;
        if looked.info.identity.kind != libc::S_IFLNK {
            return Ok((looked, None));
        }
        let target = match &looked.fd {
            Some(fd) => host::readlink(fd.as_fd(), c""),
            None => host::readlink(dir.as_fd(), Name::new(name)?.as_c()),
        };
        match target {
            Ok(target) => return Ok((looked, Some(target))),
            // It was replaced by something else after the first look.
            Err(error) if error == EINVAL => {}
            Err(error) => return Err(error),
        }
    }
    Err(ENOENT.because("a name that does not hold still"))
}

/// Makes the handle of what was found.
fn arrive(table: &mut Table, parent: Id, name: &[u8], looked: &Looked) -> Result<Id, Errno> {
    let id = table.child(parent, name, looked.info.clone())?;
    if let Some(fd) = looked.fd.as_ref().filter(|_| !looked.info.boundary) {
        table.keep(id, fd);
    }
    Ok(id)
}
