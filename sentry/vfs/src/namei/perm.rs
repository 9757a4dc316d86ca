//! Permission rules of names and attributes (`path_resolution(7)`, `capabilities(7)`).

use crate::acl::{Acl, AclKind};
use crate::dentry::Dentry;
use crate::inode::{Attr, FileType, InodeRef, NewAttr};
use crate::inode::{MAY_EXEC, MAY_WRITE};
use crate::mount::Path;
use crate::walk::At;
use bevor_abi::Errno;
use bevor_abi::cap::{CAP_FOWNER, CAP_FSETID};
use bevor_abi::errno::{EBUSY, EEXIST, EISDIR, ENOENT, ENOTDIR, EPERM, EROFS};
use bevor_abi::stat::{S_ISGID, S_ISVTX, S_IXGRP};
use bevor_base::Credentials;
use std::sync::Arc;

/// `STATX_ATTR_IMMUTABLE`.
pub const ATTR_IMMUTABLE: u64 = 0x10;
/// `STATX_ATTR_APPEND`.
pub const ATTR_APPEND: u64 = 0x20;

/// Whether `cred` holds `cap` over an inode (`capable_wrt_inode_uidgid`).
#[must_use]
pub fn capable_over(cred: &Credentials, attr: &Attr, cap: u32) -> bool {
    cred.has_cap(cap) && cred.user_ns.maps_uid(attr.uid) && cred.user_ns.maps_gid(attr.gid)
}

/// Whether `cred` holds `cap` in the initial user namespace (`capable`).
#[must_use]
pub fn capable(cred: &Credentials, cap: u32) -> bool {
    cred.user_ns.level == 0 && cred.has_cap(cap)
}

/// Whether `cred` owns the inode or may act as its owner.
#[must_use]
pub fn owner_or_capable(cred: &Credentials, attr: &Attr) -> bool {
    cred.fsuid == attr.uid || capable_over(cred, attr, CAP_FOWNER)
}

/// Checks access to the inode of `path`; `want` is a mask of `MAY_*`.
///
/// # Errors
/// `EROFS` for writes to a read-only file system, `EPERM` to an immutable file, `EACCES`.
pub fn permission(path: &Path, cred: &Credentials, want: u32) -> Result<(), Errno> {
    let inode = path.inode();
    if want & MAY_WRITE != 0 {
        let stored = matches!(
            path.dentry.kind(),
            FileType::Regular | FileType::Directory | FileType::Symlink
        );
        if stored && path.mount.superblock().is_read_only() {
            return Err(EROFS.into());
        }
        if inode.attr()?.attributes & ATTR_IMMUTABLE != 0 {
            return Err(EPERM.because("immutable"));
        }
    }
    inode.permission(cred, want)
}

/// Checks that writes through the mount are allowed (`mnt_want_write`).
///
/// # Errors
/// `EROFS`.
pub fn want_write(path: &Path) -> Result<(), Errno> {
    if path.mount.is_read_only() { Err(EROFS.into()) } else { Ok(()) }
}

/// Checks that `cred` may add an entry to `dir`.
///
/// # Errors
/// `ENOENT` if the directory was removed, `EACCES`.
pub fn may_create(dir: &Path, cred: &Credentials) -> Result<(), Errno> {
    if dir.dentry.is_deleted() {
        return Err(ENOENT.into());
    }
    permission(dir, cred, MAY_WRITE | MAY_EXEC)
}

/// Checks that `cred` may remove or replace `victim` in `dir`. `as_dir` says which kind the caller
/// expects, if it does.
///
/// # Errors
/// `EACCES`, `EPERM` (sticky directory, append-only or immutable file), `ENOTDIR`, `EISDIR`.
pub fn may_delete(
    dir: &Path,
    victim: &Arc<Dentry>,
    cred: &Credentials,
    as_dir: bool,
) -> Result<(), Errno> {
    permission(dir, cred, MAY_WRITE | MAY_EXEC)?;
    let dir_attr = dir.inode().attr()?;
    if dir_attr.attributes & ATTR_APPEND != 0 {
        return Err(EPERM.because("append-only directory"));
    }
    // Only a sticky or marked file needs its own attributes read.
    let attr = victim.inode().attr()?;
    let sticky = dir_attr.mode & S_ISVTX != 0
        && attr.uid != cred.fsuid
        && dir_attr.uid != cred.fsuid
        && !capable_over(cred, &attr, CAP_FOWNER);
    if sticky || attr.attributes & (ATTR_APPEND | ATTR_IMMUTABLE) != 0 {
        return Err(EPERM.because("sticky directory, append-only or immutable file"));
    }
    if as_dir {
        if !victim.is_dir() {
            return Err(ENOTDIR.into());
        }
        if victim.parent().is_none() {
            return Err(EBUSY.into());
        }
    } else if victim.is_dir() {
        return Err(EISDIR.into());
    }
    if dir.dentry.is_deleted() {
        return Err(ENOENT.into());
    }
    Ok(())
}

/// Owner, group and mode of a new inode in `dir` (`inode_init_owner`); `mode` has the umask applied
/// already.
///
/// # Errors
/// What reading the directory's attributes says.
pub fn new_attr(
    dir: &InodeRef,
    cred: &Credentials,
    mut mode: u32,
    is_dir: bool,
) -> Result<NewAttr, Errno> {
    let dir_attr = dir.attr()?;
    let mut gid = cred.fsgid;
    if dir_attr.mode & S_ISGID != 0 {
        gid = dir_attr.gid;
        if is_dir {
            mode |= S_ISGID;
        } else if mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP
            && !cred.in_group(gid)
            && !capable_over(cred, &dir_attr, CAP_FSETID)
        {
            mode &= !S_ISGID;
        }
    }
    Ok(NewAttr { mode, uid: cred.fsuid, gid })
}

/// What a new inode gets from the directory it is made in, and from whom it is made by.
pub struct NewInode {
    /// Owner, group and mode.
    pub attr: NewAttr,
    /// Its access control list, unless the mode says it all.
    access: Option<Arc<Acl>>,
    /// Its default list.
    default: Option<Arc<Acl>>,
}

impl NewInode {
    /// As [`new_attr`], for a mode the umask is not applied to: the default list of the directory
    /// takes its place.
    ///
    /// # Errors
    /// What reading the directory's attributes says.
    pub fn in_dir(dir: &InodeRef, at: &At<'_>, mode: u32, is_dir: bool) -> Result<Self, Errno> {
        let Some(default) = dir.inherited_acl()? else {
            let attr = new_attr(dir, at.cred, mode & !at.caller.umask(), is_dir)?;
            return Ok(Self { attr, access: None, default: None });
        };
        let (access, mode) = default.inherited(mode);
        let access = (!access.is_plain()).then(|| Arc::new(access));
        let attr = new_attr(dir, at.cred, mode, is_dir)?;
        Ok(Self { attr, access, default: is_dir.then_some(default) })
    }

    /// Gives the inode that was made its lists.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self, inode: &InodeRef) -> Result<(), Errno> {
        if self.access.is_some() {
            inode.set_acl(AclKind::Access, self.access, None)?;
        }
        if self.default.is_some() {
            inode.set_acl(AclKind::Default, self.default, None)?;
        }
        Ok(())
    }
}

/// The name check all creating calls share: an existing name is `EEXIST`, also where writing would
/// be refused.
///
/// # Errors
/// `EEXIST`.
pub fn must_be_free(found: &Result<Arc<Dentry>, Errno>) -> Result<(), Errno> {
    match found {
        Ok(_) => Err(EEXIST.into()),
        Err(errno) if *errno == ENOENT => Ok(()),
        Err(errno) => Err(*errno),
    }
}
