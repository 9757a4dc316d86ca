//! Extended attributes by name space (`xattr(7)`).

use crate::acl::{Acl, AclKind};
use crate::inode::{FileType, S_IALLUGO};
use crate::inode::{MAY_READ, MAY_WRITE};
use crate::mount::Path;
use crate::namei::perm;
use crate::notify;
use bevor_abi::Errno;
use bevor_abi::cap::{CAP_FSETID, CAP_SETFCAP, CAP_SYS_ADMIN};
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{E2BIG, EACCES, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE};
use bevor_abi::fcntl::{XATTR_NAME_MAX, XATTR_SIZE_MAX};
use bevor_abi::inotify::IN_ATTRIB;
use bevor_abi::stat::{S_ISGID, S_ISVTX, XATTR_CREATE, XATTR_REPLACE};
use bevor_base::Credentials;
use std::sync::Arc;

/// Whether an operation reads or changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

/// Checks length and emptiness of a name.
fn check_name(name: &[u8]) -> Result<(), Errno> {
    if name.is_empty() || name.len() > usize_of_u32(XATTR_NAME_MAX) {
        return Err(ERANGE.into());
    }
    Ok(())
}

/// Checks that `cred` may use attribute `name` of `path` (`xattr_permission`).
fn check(path: &Path, cred: &Credentials, name: &[u8], how: Use) -> Result<(), Errno> {
    let denied = || if how == Use::Read { ENODATA } else { EPERM };
    if how == Use::Write {
        let attr = path.inode().attr()?;
        if attr.attributes & (perm::ATTR_IMMUTABLE | perm::ATTR_APPEND) != 0 {
            return Err(EPERM.because("immutable or append-only"));
        }
    }
    if name.starts_with(b"security.") {
        if how == Use::Write && !cred.has_cap(CAP_SYS_ADMIN) {
            let capability = name == b"security.capability" && cred.has_cap(CAP_SETFCAP);
            return if capability { Ok(()) } else { Err(EPERM.into()) };
        }
        return Ok(());
    }
    if name.starts_with(b"system.") {
        if how == Use::Write && !perm::owner_or_capable(cred, &path.inode().attr()?) {
            return Err(EPERM.into());
        }
        return Ok(());
    }
    if name.starts_with(b"trusted.") {
        return if cred.has_cap(CAP_SYS_ADMIN) { Ok(()) } else { Err(denied().into()) };
    }
    let access = if how == Use::Read { MAY_READ } else { MAY_WRITE };
    if !name.starts_with(b"user.") {
        perm::permission(path, cred, access)?;
        return Err(EOPNOTSUPP.into());
    }
    match path.dentry.kind() {
        FileType::Regular => {}
        FileType::Directory => {
            let attr = path.inode().attr()?;
            let sticky = attr.mode & S_ISVTX != 0;
            if sticky && how == Use::Write && !perm::owner_or_capable(cred, &attr) {
                return Err(EPERM.because("sticky directory"));
            }
        }
        _ => return Err(denied().into()),
    }
    perm::permission(path, cred, access)
}

/// The file's access control list `kind` as an attribute's value.
fn get_acl(path: &Path, cred: &Credentials, kind: AclKind) -> Result<Vec<u8>, Errno> {
    if !path.inode().keeps_acls() {
        return Err(EOPNOTSUPP.because("no access control lists"));
    }
    let acl = path.inode().acl(kind)?.ok_or(ENODATA)?;
    Ok(acl.value(&cred.user_ns))
}

/// Sets or removes the file's access control list `kind` (`set_posix_acl`). The permission bits
/// follow, and the list is not kept where they say it all.
fn set_acl(path: &Path, cred: &Credentials, kind: AclKind, acl: Option<Acl>) -> Result<(), Errno> {
    perm::want_write(path)?;
    let inode = path.inode();
    let attr = inode.attr()?;
    if attr.attributes & (perm::ATTR_IMMUTABLE | perm::ATTR_APPEND) != 0 {
        return Err(EPERM.because("immutable or append-only"));
    }
    if !inode.keeps_acls() {
        return Err(EOPNOTSUPP.because("no access control lists"));
    }
    if kind == AclKind::Default && !path.dentry.is_dir() {
        return if acl.is_some() { Err(EACCES.into()) } else { Ok(()) };
    }
    if !perm::owner_or_capable(cred, &attr) {
        return Err(EPERM.into());
    }
    let mut mode = None;
    let mut acl = acl;
    if kind == AclKind::Access
        && let Some(list) = &acl
    {
        let mut new = list.mode(attr.mode & S_IALLUGO);
        if !cred.in_group(attr.gid) && !perm::capable_over(cred, &attr, CAP_FSETID) {
            new &= !S_ISGID;
        }
        mode = Some(new);
        if list.is_plain() {
            acl = None;
        }
    }
    inode.set_acl(kind, acl.map(Arc::new), mode)?;
    notify::path(path, IN_ATTRIB);
    Ok(())
}

/// Reads attribute `name`.
///
/// # Errors
/// `ENODATA`, `EOPNOTSUPP`, `EACCES`, `ERANGE` for bad names.
pub fn get(path: &Path, cred: &Credentials, name: &[u8]) -> Result<Vec<u8>, Errno> {
    check_name(name)?;
    if let Some(kind) = AclKind::from_name(name) {
        return get_acl(path, cred, kind);
    }
    check(path, cred, name, Use::Read)?;
    path.inode().get_xattr(name)
}

/// Sets attribute `name`; `flags` are `XATTR_CREATE` and `XATTR_REPLACE`.
///
/// # Errors
/// `EEXIST`, `ENODATA`, `EPERM`, `EACCES`, `EROFS`, `E2BIG`, `EINVAL`.
pub fn set(
    path: &Path,
    cred: &Credentials,
    name: &[u8],
    value: &[u8],
    flags: u32,
) -> Result<(), Errno> {
    if flags & !(XATTR_CREATE | XATTR_REPLACE) != 0 {
        return Err(EINVAL.into());
    }
    check_name(name)?;
    if value.len() > usize_of_u32(XATTR_SIZE_MAX) {
        return Err(E2BIG.into());
    }
    if let Some(kind) = AclKind::from_name(name) {
        let acl = if value.is_empty() { None } else { Acl::parse(value, &cred.user_ns)? };
        return set_acl(path, cred, kind, acl);
    }
    perm::want_write(path)?;
    check(path, cred, name, Use::Write)?;
    path.inode().set_xattr(name, value, flags)?;
    notify::path(path, IN_ATTRIB);
    Ok(())
}

/// Names of all attributes `cred` may know of.
///
/// # Errors
/// `EIO`.
pub fn list(path: &Path, cred: &Credentials) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = path.inode().list_xattr()?;
    if !cred.has_cap(CAP_SYS_ADMIN) {
        names.retain(|name| !name.starts_with(b"trusted."));
    }
    Ok(names)
}

/// Removes attribute `name`.
///
/// # Errors
/// `ENODATA`, `EPERM`, `EACCES`, `EROFS`, `ERANGE`.
pub fn remove(path: &Path, cred: &Credentials, name: &[u8]) -> Result<(), Errno> {
    check_name(name)?;
    if let Some(kind) = AclKind::from_name(name) {
        return set_acl(path, cred, kind, None);
    }
    perm::want_write(path)?;
    check(path, cred, name, Use::Write)?;
    path.inode().remove_xattr(name)?;
    notify::path(path, IN_ATTRIB);
    Ok(())
}
