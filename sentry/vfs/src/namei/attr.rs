//! Changing attributes: `chmod(2)`, `chown(2)`, `utimensat(2)`, `truncate(2)`, `access(2)`.

use crate::file::File;
use crate::inode::{Attr, FileTime, FileType, SetAttr};
use crate::inode::{MAY_EXEC, MAY_WRITE, S_IALLUGO};
use crate::landlock;
use crate::mount::{MountFlags, Path};
use crate::namei::perm;
use crate::notify;
use crate::usage;
use bevor_abi::Errno;
use bevor_abi::cap::{CAP_CHOWN, CAP_FSETID};
use bevor_abi::errno::{EACCES, EINVAL, EISDIR, EOPNOTSUPP, EPERM, EROFS};
use bevor_abi::inotify::{IN_ACCESS, IN_ATTRIB, IN_MODIFY};
use bevor_abi::landlock::LANDLOCK_ACCESS_FS_TRUNCATE;
use bevor_abi::stat::{S_ISGID, S_ISUID, S_IXGRP};
use bevor_base::Credentials;

/// The extended attribute that holds file capabilities.
pub(crate) const FILE_CAPABILITIES: &[u8] = b"security.capability";

fn refuse_marked(attr: &Attr) -> Result<(), Errno> {
    if attr.attributes & (perm::ATTR_IMMUTABLE | perm::ATTR_APPEND) != 0 {
        return Err(EPERM.because("immutable or append-only"));
    }
    Ok(())
}

/// Sets the permission bits to `mode`.
///
/// # Errors
/// `EPERM` for other users' files, `EROFS`, `EOPNOTSUPP` for symbolic links.
pub fn chmod(path: &Path, cred: &Credentials, mode: u32) -> Result<(), Errno> {
    perm::want_write(path)?;
    if path.dentry.kind() == FileType::Symlink {
        return Err(EOPNOTSUPP.because("symbolic links have no mode"));
    }
    let attr = path.inode().attr()?;
    if !perm::owner_or_capable(cred, &attr) {
        return Err(EPERM.into());
    }
    refuse_marked(&attr)?;
    let mut mode = mode & S_IALLUGO;
    if !cred.in_group(attr.gid) && !perm::capable_over(cred, &attr, CAP_FSETID) {
        mode &= !S_ISGID;
    }
    path.inode().set_attr(&SetAttr { mode: Some(mode), ..SetAttr::default() })?;
    notify::path(path, IN_ATTRIB);
    Ok(())
}

/// Sets owner and group, those that are given, and drops set-ID bits and file capabilities.
///
/// # Errors
/// `EPERM`, `EROFS`.
pub fn chown(
    path: &Path,
    cred: &Credentials,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<(), Errno> {
    perm::want_write(path)?;
    let attr = path.inode().attr()?;
    refuse_marked(&attr)?;
    let owner = cred.fsuid == attr.uid;
    let capable = perm::capable_over(cred, &attr, CAP_CHOWN);
    if let Some(uid) = uid
        && !capable
        && !(owner && uid == attr.uid)
    {
        return Err(EPERM.because("needs CAP_CHOWN"));
    }
    if let Some(gid) = gid
        && !capable
        && !(owner && (gid == attr.gid || cred.in_group(gid)))
    {
        return Err(EPERM.because("needs CAP_CHOWN"));
    }
    let is_dir = path.dentry.is_dir();
    let mode = (!is_dir).then(|| without_set_ids(attr.mode, &attr, cred)).flatten();
    path.inode().set_attr(&SetAttr { mode, uid, gid, ..SetAttr::default() })?;
    if !is_dir && path.dentry.kind() == FileType::Regular {
        drop_file_capabilities(path)?;
    }
    notify::path(path, IN_ATTRIB);
    Ok(())
}

/// The mode without set-ID bits as a change of owner leaves it; `None` if nothing changes.
fn without_set_ids(mode: u32, attr: &Attr, cred: &Credentials) -> Option<u32> {
    let mut new = mode & !S_ISUID;
    let group_exec = mode & S_IXGRP != 0;
    let keeps_group = cred.in_group(attr.gid) || perm::capable_over(cred, attr, CAP_FSETID);
    if group_exec || !keeps_group {
        new &= !S_ISGID;
    }
    (new != mode).then_some(new & S_IALLUGO)
}

fn drop_file_capabilities(path: &Path) -> Result<(), Errno> {
    if path.inode().get_xattr(FILE_CAPABILITIES).is_ok() {
        path.inode().remove_xattr(FILE_CAPABILITIES)?;
    }
    Ok(())
}

/// Drops set-ID bits and file capabilities before a write by `cred` (`file_remove_privs`).
///
/// # Errors
/// What the file system says.
pub fn remove_privileges(path: &Path, cred: &Credentials) -> Result<(), Errno> {
    let happened = take_privileges(path, cred)?;
    if happened != 0 {
        notify::path(path, happened);
    }
    Ok(())
}

/// As [`remove_privileges`], before a change of size, which is one change with it: what happened,
/// `IN_ATTRIB` or nothing, is for the caller to tell together with the rest.
///
/// # Errors
/// What the file system says.
pub fn take_privileges(path: &Path, cred: &Credentials) -> Result<u32, Errno> {
    if path.dentry.kind() != FileType::Regular {
        return Ok(0);
    }
    let attr = path.inode().attr()?;
    // Only a program can gain by a set-ID bit or by capabilities.
    if attr.mode & (S_ISUID | S_ISGID | 0o111) == 0 {
        return Ok(0);
    }
    let mut happened = 0;
    let set_ids = attr.mode & (S_ISUID | S_ISGID) != 0;
    if set_ids && !cred.has_cap(CAP_FSETID) {
        let mode = without_set_ids(attr.mode, &attr, cred);
        if mode.is_some() {
            path.inode().set_attr(&SetAttr { mode, ..SetAttr::default() })?;
            happened = IN_ATTRIB;
        }
    }
    drop_file_capabilities(path)?;
    Ok(happened)
}

/// As [`remove_privileges`], before a change of contents through an open file. Who may keep set-ID bits
/// loses file capabilities only where it costs no call to find that there are any.
///
/// # Errors
/// What the file system says.
pub fn remove_privileges_of_written(file: &File, cred: &Credentials) -> Result<(), Errno> {
    if !file.flags().writable() || file.ops().is_stream() {
        return Ok(());
    }
    if cred.has_cap(CAP_FSETID) {
        if file.inode().has_file_capabilities() {
            drop_file_capabilities(file.path())?;
        }
        return Ok(());
    }
    remove_privileges(file.path(), cred)
}

/// One of the times of `utimensat(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewTime {
    /// `UTIME_OMIT`.
    Omit,
    /// `UTIME_NOW`.
    Now,
    /// A given time.
    At(FileTime),
}

/// Sets access and modification time.
///
/// # Errors
/// `EPERM` when a given time is set on another user's file, `EACCES` when the current time is set
/// without write permission, `EROFS`.
pub fn utimens(
    path: &Path,
    cred: &Credentials,
    atime: NewTime,
    mtime: NewTime,
) -> Result<(), Errno> {
    if (atime, mtime) == (NewTime::Omit, NewTime::Omit) {
        return Ok(());
    }
    perm::want_write(path)?;
    let attr = path.inode().attr()?;
    let both_now = (atime, mtime) == (NewTime::Now, NewTime::Now);
    if attr.attributes & perm::ATTR_IMMUTABLE != 0
        || (attr.attributes & perm::ATTR_APPEND != 0 && !both_now)
    {
        return Err(EPERM.because("immutable or append-only"));
    }
    if !perm::owner_or_capable(cred, &attr) {
        if !both_now {
            return Err(EPERM.into());
        }
        path.inode().permission(cred, MAY_WRITE).map_err(|_| EACCES)?;
    }
    let now = FileTime::now();
    let time = |new| match new {
        NewTime::Omit => None,
        NewTime::Now => Some(now),
        NewTime::At(time) => Some(time),
    };
    let change = SetAttr { atime: time(atime), mtime: time(mtime), ..SetAttr::default() };
    path.inode().set_attr(&change)?;
    let event = match (atime, mtime) {
        (_, NewTime::Omit) => IN_ACCESS,
        (NewTime::Omit, _) => IN_MODIFY,
        _ => IN_ATTRIB,
    };
    notify::path(path, event);
    Ok(())
}

/// Sets the size of a regular file by name.
///
/// # Errors
/// `EISDIR`, `EINVAL` for other kinds, `EACCES`, `EROFS`, `EPERM`, `EFBIG`, `ETXTBSY`.
pub fn truncate(path: &Path, cred: &Credentials, size: u64) -> Result<(), Errno> {
    match path.dentry.kind() {
        FileType::Regular => {}
        FileType::Directory => return Err(EISDIR.into()),
        _ => return Err(EINVAL.into()),
    }
    perm::want_write(path)?;
    perm::permission(path, cred, MAY_WRITE)?;
    if path.inode().attr()?.attributes & perm::ATTR_APPEND != 0 {
        return Err(EPERM.because("append-only file"));
    }
    usage::check_idle(path.inode())?;
    landlock::check(path, cred, LANDLOCK_ACCESS_FS_TRUNCATE)?;
    let happened = take_privileges(path, cred)?;
    path.inode().set_attr(&SetAttr { size: Some(size), ..SetAttr::default() })?;
    notify::path(path, IN_MODIFY | happened);
    Ok(())
}

/// Checks `access(2)`; `cred` holds the ids that count as file-system ids, `mode` is `R_OK` and so
/// on.
///
/// # Errors
/// `EACCES`, `EROFS`, `EINVAL` for other bits.
pub fn access(path: &Path, cred: &Credentials, mode: u32) -> Result<(), Errno> {
    if mode & !7 != 0 {
        return Err(EINVAL.into());
    }
    let kind = path.dentry.kind();
    let noexec = path.mount.flags().has(MountFlags::NOEXEC);
    if mode & MAY_EXEC != 0 && kind == FileType::Regular && noexec {
        return Err(EACCES.because("mounted with noexec"));
    }
    perm::permission(path, cred, mode)?;
    let special = matches!(
        kind,
        FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket
    );
    if mode & MAY_WRITE != 0 && !special && path.mount.is_read_only() {
        return Err(EROFS.into());
    }
    Ok(())
}
