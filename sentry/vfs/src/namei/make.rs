//! Making names: `mkdir(2)`, `mknod(2)`, `symlink(2)`, `link(2)`.

use crate::inode::{FileType, InodeRef, NewNode};
use crate::inode::{MAY_READ, MAY_WRITE, S_IALLUGO};
use crate::landlock::{self, Move};
use crate::mount::Path;
use crate::namei::perm::NewInode;
use crate::namei::{PROTECTED_HARDLINKS, perm};
use crate::notify;
use crate::walk::{At, Last, Parent};
use bevor_abi::Errno;
use bevor_abi::cap::{CAP_FOWNER, CAP_MKNOD};
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{EEXIST, EINVAL, ENAMETOOLONG, ENOENT, EPERM, EXDEV};
use bevor_abi::fcntl::PATH_MAX;
use bevor_abi::inotify::{IN_ATTRIB, IN_CREATE};
use bevor_abi::stat::{S_IFMT, S_ISGID, S_ISUID, S_ISVTX, S_IXGRP};
use bevor_base::Credentials;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Looks up a name to be made and makes it with `make`, which gets the directory and the name.
fn create_name(
    at: &At<'_>,
    path: &[u8],
    is_dir: bool,
    make: impl FnOnce(&Path, &[u8]) -> Result<InodeRef, Errno>,
) -> Result<InodeRef, Errno> {
    let Parent { dir, last } = at.resolve_parent(path)?;
    let Last::Name(name, slash) = last else { return Err(EEXIST.into()) };
    let cache = dir.mount.superblock().cache();
    let guard = dir.dentry.lock()?;
    perm::must_be_free(&dir.dentry.lookup_locked(&name, cache, &guard))?;
    if !dir.inode().accepts_names() {
        return Err(ENOENT.because("a directory whose names cannot be chosen"));
    }
    if slash && !is_dir {
        return Err(ENOENT.because("trailing slash on a name that is to be no directory"));
    }
    perm::want_write(&dir)?;
    let made = make(&dir, &name);
    if let Err(errno) = &made {
        if *errno == EEXIST {
            // Someone else made it behind the cache.
            dir.dentry.invalidate(&name, &guard);
        }
        return Err(*errno);
    }
    let inode = made?;
    let child = dir.dentry.insert(&name, inode.clone(), cache, &guard);
    drop(guard);
    notify::entry(&dir.dentry, &child, IN_CREATE);
    Ok(inode)
}

/// Makes a directory. `mode` is the argument of `mkdir(2)`; the umask is applied here.
///
/// # Errors
/// `EEXIST`, `EACCES`, `EROFS`, `ENOSPC`, and those of path resolution.
pub fn mkdir(at: &At<'_>, path: &[u8], mode: u32) -> Result<(), Errno> {
    create_name(at, path, true, |dir, name| {
        landlock::check(dir, at.cred, landlock::making(FileType::Directory))?;
        perm::may_create(dir, at.cred)?;
        let new = NewInode::in_dir(dir.inode(), at, mode & (0o777 | S_ISVTX), true)?;
        let inode = dir.inode().create(name, &NewNode::Directory, new.attr)?;
        new.finish(&inode)?;
        Ok(inode)
    })?;
    Ok(())
}

/// What `mknod(2)` makes for a mode; checked before anything else.
///
/// # Errors
/// `EPERM` for directories, `EINVAL` for links and unknown types.
pub fn may_mknod(mode: u32) -> Result<FileType, Errno> {
    match mode & S_IFMT {
        0 => Ok(FileType::Regular),
        bits => match FileType::from_mode(bits).ok_or(EINVAL)? {
            FileType::Directory => Err(EPERM.into()),
            FileType::Symlink => Err(EINVAL.into()),
            kind => Ok(kind),
        },
    }
}

/// Makes a file, fifo, socket name or device file. `mode` holds type and permission bits; a type of
/// 0 is a regular file.
///
/// # Errors
/// `EPERM` for directories and devices without `CAP_MKNOD`, `EINVAL` for unknown types, and as
/// [`mkdir`].
pub fn mknod(at: &At<'_>, path: &[u8], mode: u32, rdev: u64) -> Result<InodeRef, Errno> {
    let kind = may_mknod(mode)?;
    let node = match kind {
        FileType::Directory | FileType::Symlink => return Err(EINVAL.into()),
        FileType::Regular => NewNode::Regular,
        FileType::Fifo => NewNode::Fifo,
        FileType::Socket => NewNode::Socket,
        FileType::CharDevice => NewNode::Device { char: true, rdev },
        FileType::BlockDevice => NewNode::Device { char: false, rdev },
    };
    create_name(at, path, false, |dir, name| {
        landlock::check(dir, at.cred, landlock::making(kind))?;
        perm::may_create(dir, at.cred)?;
        let whiteout = kind == FileType::CharDevice && rdev == 0;
        let is_device = matches!(node, NewNode::Device { .. });
        if is_device && !whiteout && !perm::capable(at.cred, CAP_MKNOD) {
            return Err(EPERM.because("needs CAP_MKNOD"));
        }
        let new = NewInode::in_dir(dir.inode(), at, mode & S_IALLUGO, false)?;
        let inode = dir.inode().create(name, &node, new.attr)?;
        new.finish(&inode)?;
        Ok(inode)
    })
}

/// Makes a name for a socket of type `kind` (`SOCK_*`) with `mode`. On a mount where sockets of the
/// host may be bound also the socket of the host that is, which does not block.
///
/// # Errors
/// As [`mkdir`].
pub fn bind_socket(
    at: &At<'_>,
    path: &[u8],
    mode: u32,
    kind: u32,
) -> Result<(InodeRef, Option<OwnedFd>), Errno> {
    let mut host = None;
    let inode = create_name(at, path, false, |dir, name| {
        landlock::check(dir, at.cred, landlock::making(FileType::Socket))?;
        perm::may_create(dir, at.cred)?;
        let new = NewInode::in_dir(dir.inode(), at, mode & S_IALLUGO, false)?;
        let bound = dir.inode().bind_host_socket(name, kind, new.attr);
        let inode = match bound.transpose()? {
            Some((inode, fd)) => {
                host = Some(fd);
                inode
            }
            None => dir.inode().create(name, &NewNode::Socket, new.attr)?,
        };
        new.finish(&inode)?;
        Ok(inode)
    })?;
    Ok((inode, host))
}

/// Makes a symbolic link to `target`.
///
/// # Errors
/// `ENOENT` for an empty target, `ENAMETOOLONG`, and as [`mkdir`].
pub fn symlink(at: &At<'_>, target: &[u8], path: &[u8]) -> Result<(), Errno> {
    if target.is_empty() {
        return Err(ENOENT.into());
    }
    if target.len() >= usize_of_u32(PATH_MAX) {
        return Err(ENAMETOOLONG.into());
    }
    create_name(at, path, false, |dir, name| {
        landlock::check(dir, at.cred, landlock::making(FileType::Symlink))?;
        perm::may_create(dir, at.cred)?;
        let attr = perm::new_attr(dir.inode(), at.cred, 0o777, false)?;
        dir.inode().create(name, &NewNode::Symlink(target), attr)
    })?;
    Ok(())
}

/// Gives `old`, already resolved, the further name `path`.
///
/// # Errors
/// `EEXIST`, `EXDEV`, `EPERM` (directories, protected hard links), `EMLINK`, and as [`mkdir`].
pub fn link(old: &Path, at: &At<'_>, path: &[u8]) -> Result<(), Errno> {
    create_name(at, path, false, |dir, name| {
        if !Arc::ptr_eq(&old.mount, &dir.mount) {
            return Err(EXDEV.into());
        }
        may_link(old, at.cred)?;
        let parent = old.dentry.parent().filter(|_| !old.is_mount_root());
        let from = parent.map(|dentry| Path { mount: old.mount.clone(), dentry });
        let change = Move {
            file: &old.dentry,
            from: from.as_ref(),
            to: dir,
            target: None,
            removes: false,
            exchange: false,
        };
        landlock::check_move(at.cred, &change)?;
        perm::may_create(dir, at.cred)?;
        let attr = old.inode().attr()?;
        if attr.attributes & (perm::ATTR_APPEND | perm::ATTR_IMMUTABLE) != 0 || old.dentry.is_dir()
        {
            return Err(EPERM.into());
        }
        if !old.dentry.is_linkable() {
            return Err(ENOENT.because("opened with O_TMPFILE and O_EXCL"));
        }
        dir.inode().link(name, old.inode())?;
        notify::inode(old.inode(), IN_ATTRIB);
        Ok(old.inode().clone())
    })?;
    Ok(())
}

/// Applies `fs.protected_hardlinks`.
fn may_link(old: &Path, cred: &Credentials) -> Result<(), Errno> {
    if !PROTECTED_HARDLINKS.load(Ordering::Relaxed) {
        return Ok(());
    }
    let attr = old.inode().attr()?;
    let setgid_exec = attr.mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP;
    let safe = old.dentry.kind() == FileType::Regular
        && attr.mode & S_ISUID == 0
        && !setgid_exec
        && old.inode().permission(cred, MAY_READ | MAY_WRITE).is_ok();
    if safe || cred.fsuid == attr.uid || perm::capable_over(cred, &attr, CAP_FOWNER) {
        return Ok(());
    }
    Err(EPERM.because("fs.protected_hardlinks"))
}
