//! Names: `link(2)`, `unlink(2)`, `rename(2)`, `symlink(2)`, `readlink(2)`, `mknod(2)`.

use crate::paths;
use bevor_abi::errno::{EINVAL, ENOENT};
use bevor_abi::fcntl::{
    AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW,
};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::{FileType, namei};

/// `CAP_DAC_READ_SEARCH`.
const CAP_DAC_READ_SEARCH: u32 = 2;

/// `link(2)`.
///
/// # Errors
/// As [`linkat`].
pub fn link(ctx: &mut Ctx<'_>, old: UserAddr, new: UserAddr) -> SysResult {
    linkat(ctx, AT_FDCWD, old, AT_FDCWD, new, 0)
}

/// `linkat(2)`.
///
/// # Errors
/// `EACCES`, `EEXIST`, `EINVAL`, `EMLINK`, `ENOENT`, `ENOSPC`, `EPERM`, `EROFS`, `EXDEV`.
pub fn linkat(
    ctx: &mut Ctx<'_>,
    old_dir: i32,
    old: UserAddr,
    new_dir: i32,
    new: UserAddr,
    flags: u32,
) -> SysResult {
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(EINVAL.into());
    }
    let start = paths::start(ctx, old_dir, old)?;
    if start.path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        let cred = start.cred();
        let own = old_dir == AT_FDCWD || ctx.files().get_any(old_dir)?.was_opened_with(cred);
        if !own && !cred.has_cap(CAP_DAC_READ_SEARCH) {
            return Err(ENOENT.into());
        }
    }
    let follow = if flags & AT_SYMLINK_FOLLOW != 0 { 0 } else { AT_SYMLINK_NOFOLLOW };
    let old = start.resolve(ctx, follow | (flags & AT_EMPTY_PATH))?;
    let start = paths::start(ctx, new_dir, new)?;
    namei::link(&old, &start.at(ctx), &start.path)?;
    Ok(0)
}

/// `unlink(2)`.
///
/// # Errors
/// As [`unlinkat`].
pub fn unlink(ctx: &mut Ctx<'_>, path: UserAddr) -> SysResult {
    unlinkat(ctx, AT_FDCWD, path, 0)
}

/// `unlinkat(2)`.
///
/// # Errors
/// `EACCES`, `EBUSY`, `EINVAL`, `EISDIR`, `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, `EPERM`, `EROFS`.
pub fn unlinkat(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, flags: u32) -> SysResult {
    if flags & !AT_REMOVEDIR != 0 {
        return Err(EINVAL.into());
    }
    let start = paths::start(ctx, dirfd, path)?;
    if flags & AT_REMOVEDIR != 0 {
        namei::rmdir(&start.at(ctx), &start.path)?;
    } else {
        namei::unlink(&start.at(ctx), &start.path)?;
    }
    Ok(0)
}

/// `rename(2)`.
///
/// # Errors
/// As [`renameat2`].
pub fn rename(ctx: &mut Ctx<'_>, old: UserAddr, new: UserAddr) -> SysResult {
    renameat2(ctx, AT_FDCWD, old, AT_FDCWD, new, 0)
}

/// `renameat(2)`.
///
/// # Errors
/// As [`renameat2`].
pub fn renameat(
    ctx: &mut Ctx<'_>,
    old_dir: i32,
    old: UserAddr,
    new_dir: i32,
    new: UserAddr,
) -> SysResult {
    renameat2(ctx, old_dir, old, new_dir, new, 0)
}

/// `renameat2(2)`.
///
/// # Errors
/// `EACCES`, `EBUSY`, `EEXIST`, `EINVAL`, `EISDIR`, `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, `EPERM`,
/// `EROFS`, `EXDEV`.
pub fn renameat2(
    ctx: &mut Ctx<'_>,
    old_dir: i32,
    old: UserAddr,
    new_dir: i32,
    new: UserAddr,
    flags: u32,
) -> SysResult {
    let from = paths::start(ctx, old_dir, old)?;
    let to = paths::start(ctx, new_dir, new).or_else(|errno| {
        // Linux says what is wrong with the first path before it looks at the second.
        namei::check_rename_flags(flags)?;
        from.at(ctx).resolve_parent(&from.path)?;
        Err(errno)
    })?;
    namei::rename(&from.at(ctx), &from.path, &to.at(ctx), &to.path, flags)?;
    Ok(0)
}

/// `symlink(2)`.
///
/// # Errors
/// As [`symlinkat`].
pub fn symlink(ctx: &mut Ctx<'_>, target: UserAddr, path: UserAddr) -> SysResult {
    symlinkat(ctx, target, AT_FDCWD, path)
}

/// `symlinkat(2)`.
///
/// # Errors
/// `EACCES`, `EEXIST`, `ENOENT`, `ENOSPC`, `EPERM`, `EROFS`.
pub fn symlinkat(ctx: &mut Ctx<'_>, target: UserAddr, dirfd: i32, path: UserAddr) -> SysResult {
    let target = paths::read(ctx, target)?;
    let start = paths::start(ctx, dirfd, path)?;
    namei::symlink(&start.at(ctx), &target, &start.path)?;
    Ok(0)
}

/// `readlink(2)`.
///
/// # Errors
/// As [`readlinkat`].
pub fn readlink(ctx: &mut Ctx<'_>, path: UserAddr, buf: UserAddr, size: i32) -> SysResult {
    readlinkat(ctx, AT_FDCWD, path, buf, size)
}

/// `readlinkat(2)`; an empty path reads the link the descriptor refers to.
///
/// # Errors
/// `EACCES`, `EINVAL`, `ENOENT`, and those of paths.
pub fn readlinkat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    buf: UserAddr,
    size: i32,
) -> SysResult {
    let size = usize::try_from(size).ok().filter(|&size| size > 0).ok_or(EINVAL)?;
    let start = paths::start(ctx, dirfd, path)?;
    let empty = start.path.is_empty() && dirfd != AT_FDCWD;
    let found = start.resolve(ctx, AT_SYMLINK_NOFOLLOW | if empty { AT_EMPTY_PATH } else { 0 })?;
    if found.dentry.kind() != FileType::Symlink {
        return Err(if empty { ENOENT } else { EINVAL }.into());
    }
    let target = found.inode().read_link(ctx)?;
    let shown = target.get(..size).unwrap_or(&target);
    ctx.mm().write_bytes(buf, shown)?;
    Ok(shown.len() as u64)
}

/// `mknod(2)`.
///
/// # Errors
/// As [`mknodat`].
pub fn mknod(ctx: &mut Ctx<'_>, path: UserAddr, mode: u32, dev: u64) -> SysResult {
    mknodat(ctx, AT_FDCWD, path, mode, dev)
}

/// `mknodat(2)`.
///
/// # Errors
/// `EACCES`, `EEXIST`, `EINVAL`, `ENOENT`, `ENOSPC`, `EPERM`, `EROFS`.
pub fn mknodat(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, mode: u32, dev: u64) -> SysResult {
    namei::may_mknod(mode)?;
    let start = paths::start(ctx, dirfd, path)?;
    namei::mknod(&start.at(ctx), &start.path, mode, dev)?;
    Ok(0)
}
