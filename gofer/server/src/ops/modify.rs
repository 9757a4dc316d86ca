//! Changing, moving and removing files.

use std::os::fd::AsFd;
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EBUSY, EINVAL, ENOENT, EOPNOTSUPP, EXDEV};
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::wire::{
    RENAME_FLAGS, Rename, RenameReply, SetAttr, SetAttrMask, Sync, SyncKind, Unlink,
};
use bevor_gofer_protocol::{Attr, Time};

use crate::host::{self, Name};
use crate::resolve::Looked;
use crate::root::{Root, is_mount_root};
use crate::server::{Answer, Server};
use crate::table::{Found, Identity};

/// Changes attributes and answers with the new ones.
pub fn setattr(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let change: SetAttr = request.take()?;
    request.end()?;
    let mask = SetAttrMask::from_bits(change.mask).ok_or(Malformed("unknown attribute"))?;
    if change.mode & !0o7777 != 0 {
        return Err(Malformed("mode to set").into());
    }
    let times = [
        timespec(mask, SetAttrMask::ATIME, SetAttrMask::ATIME_NOW, change.atime)?,
        timespec(mask, SetAttrMask::MTIME, SetAttrMask::MTIME_NOW, change.mtime)?,
    ];
    let (found, fd) = server.served(change.node)?;
    let root = server.root_of(&found)?;
    root.writable()?;
    if mask.contains(SetAttrMask::SIZE) {
        let size = i64::try_from(change.size).map_err(|_| EINVAL)?;
        if found.info.identity.kind != libc::S_IFREG {
            return Err(EINVAL.into());
        }
        let file = server.with_room(|| server.self_fd.reopen(fd.as_fd(), libc::O_WRONLY))?;
        host::truncate(file.as_fd(), size)?;
    }
    if mask.contains(SetAttrMask::OWNER) {
        let (uid, gid) = root.owner_on_host(change.uid, change.gid)?;
        host::chown(fd.as_fd(), uid, gid)?;
    }
    if mask.contains(SetAttrMask::MODE) {
        if found.info.identity.kind == libc::S_IFLNK {
            return Err(EOPNOTSUPP.into());
        }
        server.self_fd.chmod(fd.as_fd(), change.mode)?;
    }
    if times.iter().any(|time| time.tv_nsec != libc::UTIME_OMIT) {
        host::set_times(fd.as_fd(), &times)?;
    }
    let stat = host::statx(fd.as_fd(), c"")?;
    server.table.lock().refresh(found.id, Identity::of(&stat));
    reply.put(&root.attr(&stat, false));
    Ok(None)
}

fn timespec(
    mask: SetAttrMask,
    to: SetAttrMask,
    now: SetAttrMask,
    time: Time,
) -> Result<libc::timespec, Malformed> {
    let tv_nsec = if mask.contains(now) {
        libc::UTIME_NOW
    } else if !mask.contains(to) {
        libc::UTIME_OMIT
    } else {
        i64::try_from(time.nsec)
            .ok()
            .filter(|&nsec| nsec < 1_000_000_000)
            .ok_or(Malformed("nanoseconds of a second or more"))?
    };
    Ok(libc::timespec { tv_sec: time.sec, tv_nsec })
}

/// Removes a name.
pub fn unlink(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let unlink: Unlink = request.take()?;
    let name = request.name()?;
    request.end()?;
    let flags = unlink.flags.cast_signed();
    if flags != 0 && flags != libc::AT_REMOVEDIR || unlink.pad != 0 {
        return Err(Malformed("unknown unlink flag").into());
    }
    let (dir, dir_fd) = server.directory(unlink.dir)?;
    let root = server.root_of(&dir)?;
    root.writable()?;
    let c_name = Name::new(name)?;

    let device = server.moves.on(dir.info.identity.dev);
    let _moving = server.moves.begin(&device);
    let looked = movable(server, root, &dir, &dir_fd, name)?.ok_or(ENOENT)?;
    let node = server.table.lock().find_child(dir.id, name);
    let node_fd = node.as_ref().and_then(|node| kept_or_opened(server, node));
    host::unlink(dir_fd.as_fd(), c_name.as_c(), flags)?;
    if let Some(node) = node {
        server.table.lock().lose_name(node.id, node_fd.as_ref());
    }
    reply.put(&root.attr(&looked.found, false));
    Ok(None)
}

/// Moves a name.
pub fn rename(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let rename: Rename = request.take()?;
    let (old, new) = (request.name()?, request.name()?);
    request.end()?;
    let exchange = rename.flags & libc::RENAME_EXCHANGE != 0;
    if rename.flags & !RENAME_FLAGS != 0 || rename.pad != 0 {
        return Err(Malformed("unknown rename flag").into());
    }
    let (from, from_fd) = server.directory(rename.from)?;
    let (to, to_fd) = server.directory(rename.to)?;
    if from.info.root != to.info.root {
        return Err(EXDEV.into());
    }
    let root = server.root_of(&from)?;
    root.writable()?;
    let (c_old, c_new) = (Name::new(old)?, Name::new(new)?);

    let mut devices = [from.info.identity.dev, to.info.identity.dev];
    devices.sort_unstable();
    let [first, second] = devices.map(|dev| server.moves.on(dev));
    let _moving = server.moves.begin(&first);
    let _moving_there = (devices[0] != devices[1]).then(|| server.moves.begin(&second));
    let source = movable(server, root, &from, &from_fd, old)?.ok_or(ENOENT)?;
    let target = movable(server, root, &to, &to_fd, new)?;
    let (moved, replaced) = {
        let table = server.table.lock();
        (table.find_child(from.id, old), table.find_child(to.id, new))
    };
    let replaced_fd = match &replaced {
        Some(replaced) if !exchange => kept_or_opened(server, replaced),
        _ => None,
    };
    host::rename((from_fd.as_fd(), c_old.as_c()), (to_fd.as_fd(), c_new.as_c()), rename.flags)?;

    reply.put(&RenameReply {
        has_replaced: target.is_some().into(),
        pad: 0,
        moved: root.attr(&source.found, false),
        replaced: target
            .as_ref()
            .map_or_else(Attr::default, |target| root.attr(&target.found, false)),
    });
    // Two names of one file: the host leaves both as they are.
    if target.is_some_and(|target| target.info.identity == source.info.identity) {
        return Ok(None);
    }
    let mut table = server.table.lock();
    match (moved, replaced) {
        (Some(moved), Some(replaced)) if exchange => {
            table.exchanged((moved.id, to.id, new), (replaced.id, from.id, old));
        }
        (None, Some(replaced)) if exchange => table.moved(replaced.id, from.id, old),
        (moved, replaced) => {
            if let Some(replaced) = replaced {
                table.lose_name(replaced.id, replaced_fd.as_ref());
            }
            if let Some(moved) = moved {
                table.moved(moved.id, to.id, new);
            }
        }
    }
    Ok(None)
}

/// Looks at a name that is to be removed, moved or replaced, and refuses mount points and hidden
/// paths. The host would not: it looks at the mounts of this process's namespace alone, and takes
/// mounts of others away with their directory.
fn movable(
    server: &Server,
    root: &Root,
    dir: &Found,
    dir_fd: &Arc<std::os::fd::OwnedFd>,
    name: &[u8],
) -> Result<Option<Looked>, Errno> {
    let hidden = dir.info.hidden.as_ref().and_then(|hidden| hidden.child(name));
    if hidden.is_some() {
        return Err(EBUSY.because("hidden path"));
    }
    match server.look(root, dir_fd.as_fd(), &dir.info, name, false) {
        Ok(looked) if looked.info.boundary || is_mount_root(&looked.found) => {
            Err(EBUSY.because("mount point of the host"))
        }
        Ok(looked) => Ok(Some(looked)),
        Err(error) if error == ENOENT => Ok(None),
        Err(error) => Err(error),
    }
}

/// The descriptor of a node about to lose its name. `None` when it has lost it already.
fn kept_or_opened(server: &Server, node: &Found) -> Option<Arc<std::os::fd::OwnedFd>> {
    node.fd.clone().or_else(|| server.walk_down_once(node).ok())
}

/// Writes a file or its file system to disk.
pub fn sync(server: &Server, request: &mut Reader<'_>) -> Answer {
    let sync: Sync = request.take()?;
    request.end()?;
    let kind = SyncKind::from_number(sync.kind).ok_or(Malformed("unknown kind of sync"))?;
    let (found, fd) = server.served(sync.node)?;
    if !matches!(found.info.identity.kind, libc::S_IFREG | libc::S_IFDIR) {
        return Err(EINVAL.into());
    }
    // Nothing was changed through a root that is read-only, and a sandbox must not have the power
    // to make the host write all it has.
    if server.root_of(&found)?.read_only {
        return Ok(None);
    }
    let reopen = |flags| server.with_room(|| server.self_fd.reopen(fd.as_fd(), flags));
    let file = match reopen(libc::O_RDONLY) {
        Err(error) if error == EACCES && found.info.identity.kind == libc::S_IFREG => {
            reopen(libc::O_WRONLY)?
        }
        other => other?,
    };
    match kind {
        SyncKind::File => host::fsync(file.as_fd())?,
        SyncKind::Data => host::fdatasync(file.as_fd())?,
        SyncKind::FileSystem => host::syncfs(file.as_fd())?,
    }
    Ok(None)
}
