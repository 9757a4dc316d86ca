//! Making files.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{EEXIST, EINVAL, ENOENT, EPERM, EXDEV};
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::wire::{Link, MAX_TARGET, Make, NO_CHANGE, Node};

use crate::host::{self, Name};
use crate::ops::read::check_open_flags;
use crate::root::Root;
use crate::server::{Answer, Server};
use crate::table::{Found, Identity, NodeInfo};

/// Permission bits a new file can have.
const PERMISSIONS: u32 = 0o7777;
/// Permission bits the host may drop when it makes a file or changes its owner.
const SPECIAL: u32 = libc::S_ISUID | libc::S_ISGID | libc::S_ISVTX;

/// A checked request to make a file.
pub struct Making<'a> {
    /// The root.
    pub root: &'a Root,
    /// The directory.
    pub dir: Found,
    /// Its descriptor.
    pub fd: Arc<OwnedFd>,
    /// Permission bits and, for mknod, type.
    pub mode: u32,
    owner: (u32, u32),
}

impl<'a> Making<'a> {
    /// Checks what a request says.
    pub fn new(server: &'a Server, make: &Make, types: bool) -> Result<Self, crate::server::Fault> {
        let allowed = if types { PERMISSIONS | libc::S_IFMT } else { PERMISSIONS };
        if make.mode & !allowed != 0 {
            return Err(Malformed("mode of a new file").into());
        }
        let (dir, fd) = server.directory(make.dir)?;
        let root = server.root_of(&dir)?;
        root.writable()?;
        let owner = root.owner_on_host(make.uid, make.gid)?;
        Ok(Self { root, dir, fd, mode: make.mode, owner })
    }

    /// Gives a new file its owner and the permission bits that got lost, and answers with it.
    pub fn finish(
        &self,
        server: &Server,
        name: &[u8],
        fd: BorrowedFd<'_>,
        reply: &mut Writer,
    ) -> Result<(), Errno> {
        let node = self.node(server, fd)?;
        let mut table = server.table.lock();
        let id = table.child(self.dir.id, name, self.info(&node, name))?;
        drop(table);
        reply.put(&Node { handle: id.to_wire(), attr: self.root.attr(&node, false) });
        Ok(())
    }

    /// Sets owner and permissions; what the file is then.
    fn node(&self, server: &Server, fd: BorrowedFd<'_>) -> Result<libc::statx, Errno> {
        let mut found = host::statx(fd, c"")?;
        let differs = |want: u32, is: u32| want != NO_CHANGE && want != is;
        let chown = differs(self.owner.0, found.stx_uid) || differs(self.owner.1, found.stx_gid);
        if chown {
            host::chown(fd, self.owner.0, self.owner.1)?;
            found = host::statx(fd, c"")?;
        }
        let mode = u32::from(found.stx_mode) & PERMISSIONS;
        let lost = self.mode & SPECIAL & !mode;
        if lost != 0 && u32::from(found.stx_mode) & libc::S_IFMT != libc::S_IFLNK {
            server.self_fd.chmod(fd, mode | lost)?;
            found = host::statx(fd, c"")?;
        }
        Ok(found)
    }

    fn info(&self, found: &libc::statx, name: &[u8]) -> NodeInfo {
        let parent = &self.dir.info;
        NodeInfo {
            root: parent.root,
            identity: Identity::of(found),
            boundary: false,
            hidden: parent.hidden.as_ref().and_then(|hidden| hidden.child(name)).cloned(),
        }
    }

    /// Refuses a name that is hidden: it must not come into being through the guest.
    pub fn not_hidden(&self, name: &[u8]) -> Result<(), Errno> {
        let child = self.dir.info.hidden.as_ref().and_then(|hidden| hidden.child(name));
        if child.is_some_and(|hidden| hidden.here()) {
            return Err(EEXIST.because("name of a hidden directory"));
        }
        Ok(())
    }

    /// Opens a name this request just made, and checks that it is what was made: of this type,
    /// ours, and without other names. Someone else may have write access to the directory and put
    /// another file in its place, whose owner must not be changed.
    pub fn open_made(&self, server: &Server, name: &Name, kind: u32) -> Result<OwnedFd, Errno> {
        let fd = server.open_name(self.fd.as_fd(), name.as_c(), self.root.mounts)?;
        let found = host::statx(fd.as_fd(), c"")?;
        let is_dir = kind == libc::S_IFDIR;
        if u32::from(found.stx_mode) & libc::S_IFMT != kind
            || found.stx_uid != server.uid
            || (!is_dir && found.stx_nlink != 1)
        {
            return Err(ENOENT.because("another file took the place of the new one"));
        }
        Ok(fd)
    }
}

/// Makes a regular file that was not there, or one without name, and donates it.
pub fn create(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let make: Make = request.take()?;
    check_open_flags(make.flags, true)?;
    let flags = make.flags.cast_signed();
    if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        if !request.string()?.is_empty() {
            return Err(Malformed("name for a nameless file").into());
        }
        request.end()?;
        return create_nameless(server, &make, reply);
    }
    let name = request.name()?;
    request.end()?;
    if flags & libc::O_DIRECTORY != 0 {
        return Err(Malformed("create of a directory").into());
    }
    let making = Making::new(server, &make, false)?;
    making.not_hidden(name)?;
    let c_name = Name::new(name)?;
    let flags = flags | libc::O_CREAT | libc::O_EXCL;
    let file = server.with_room(|| {
        host::open_beneath(making.fd.as_fd(), c_name.as_c(), flags, make.mode, making.root.mounts)
    })?;
    if let Err(error) = making.finish(server, name, file.as_fd(), reply) {
        // Best effort: the file must not stay behind with the wrong owner.
        let _ = host::unlink(making.fd.as_fd(), c_name.as_c(), 0);
        return Err(error.into());
    }
    Ok(Some(file))
}

fn create_nameless(server: &Server, make: &Make, reply: &mut Writer) -> Answer {
    let making = Making::new(server, make, false)?;
    let flags = make.flags.cast_signed();
    let file = server.with_room(|| {
        host::open_beneath(making.fd.as_fd(), c".", flags, make.mode, making.root.mounts)
    })?;
    let node = making.node(server, file.as_fd())?;
    // What is kept must not keep the file open for writing.
    let kept = server.with_room(|| server.self_fd.reopen(file.as_fd(), libc::O_PATH))?;
    let info = NodeInfo { hidden: None, ..making.info(&node, b"") };
    let id = server.table.lock().add_nameless(info, Arc::new(kept))?;
    reply.put(&Node { handle: id.to_wire(), attr: making.root.attr(&node, false) });
    Ok(Some(file))
}

/// Makes a directory.
pub fn mkdir(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let make: Make = request.take()?;
    let name = request.name()?;
    request.end()?;
    let making = Making::new(server, &make, false)?;
    making.not_hidden(name)?;
    let c_name = Name::new(name)?;
    host::mkdir(making.fd.as_fd(), c_name.as_c(), make.mode)?;
    let fd = making.open_made(server, &c_name, libc::S_IFDIR)?;
    if let Err(error) = making.finish(server, name, fd.as_fd(), reply) {
        let _ = host::unlink(making.fd.as_fd(), c_name.as_c(), libc::AT_REMOVEDIR);
        return Err(error.into());
    }
    Ok(None)
}

/// Makes a regular file, fifo, socket or (where the root allows it) device node.
pub fn mknod(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let make: Make = request.take()?;
    let name = request.name()?;
    request.end()?;
    let making = Making::new(server, &make, true)?;
    making.not_hidden(name)?;
    let kind = match make.mode & libc::S_IFMT {
        0 => libc::S_IFREG,
        kind @ (libc::S_IFREG | libc::S_IFIFO | libc::S_IFSOCK) => kind,
        kind @ (libc::S_IFCHR | libc::S_IFBLK) => {
            // Character device 0:0 is overlayfs's whiteout and opens nothing.
            let whiteout = kind == libc::S_IFCHR && (make.rdev_major, make.rdev_minor) == (0, 0);
            if !making.root.devices && !whiteout {
                return Err(EPERM.because("root is served without device nodes").into());
            }
            kind
        }
        _ => return Err(EINVAL.into()),
    };
    let c_name = Name::new(name)?;
    let dev = libc::makedev(make.rdev_major, make.rdev_minor);
    let mode = make.mode & PERMISSIONS | kind;
    host::mknod(making.fd.as_fd(), c_name.as_c(), mode, dev)?;
    finish_or_remove(server, &making, name, &c_name, kind, reply)
}

/// Makes a symlink.
pub fn symlink(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let make: Make = request.take()?;
    let name = request.name()?;
    let target = request.rest();
    if target.len() > MAX_TARGET {
        return Err(Malformed("symlink target too long").into());
    }
    let target = CString::new(target).map_err(|_| Malformed("NUL in a symlink target"))?;
    let making = Making::new(server, &make, false)?;
    making.not_hidden(name)?;
    let c_name = Name::new(name)?;
    host::symlink(&target, making.fd.as_fd(), c_name.as_c())?;
    finish_or_remove(server, &making, name, &c_name, libc::S_IFLNK, reply)
}

fn finish_or_remove(
    server: &Server,
    making: &Making<'_>,
    name: &[u8],
    c_name: &Name,
    kind: u32,
    reply: &mut Writer,
) -> Answer {
    let fd = making.open_made(server, c_name, kind)?;
    if let Err(error) = making.finish(server, name, fd.as_fd(), reply) {
        let _ = host::unlink(making.fd.as_fd(), c_name.as_c(), 0);
        return Err(error.into());
    }
    Ok(None)
}

/// Gives a file one more name.
pub fn link(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let link: Link = request.take()?;
    let name = request.name()?;
    request.end()?;
    let (file, file_fd) = server.served(link.node)?;
    let (dir, dir_fd) = server.directory(link.dir)?;
    if file.info.root != dir.info.root {
        return Err(EXDEV.into());
    }
    let root = server.root_of(&dir)?;
    root.writable()?;
    if file.info.identity.is_dir() {
        return Err(EPERM.into());
    }
    let hidden = dir.info.hidden.as_ref().and_then(|hidden| hidden.child(name)).cloned();
    if hidden.as_ref().is_some_and(|hidden| hidden.here()) {
        return Err(EEXIST.because("name of a hidden directory").into());
    }
    let c_name = Name::new(name)?;
    server.self_fd.link(file_fd.as_fd(), dir_fd.as_fd(), c_name.as_c())?;
    let found = host::statx(file_fd.as_fd(), c"")?;
    let identity = Identity::of(&found);
    let info = NodeInfo { root: dir.info.root, identity, boundary: false, hidden };
    let id = server.table.lock().child(dir.id, name, info)?;
    reply.put(&Node { handle: id.to_wire(), attr: root.attr(&found, false) });
    Ok(None)
}
