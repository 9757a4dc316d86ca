//! Directories: `getdents64(2)`, `mkdir(2)`, `rmdir(2)`, `getcwd(2)`, `chdir(2)`, `chroot(2)`.

use crate::paths;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, ERANGE};
use bevor_abi::fcntl::{AT_FDCWD, PATH_MAX};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::inode::MAY_EXEC;
use bevor_vfs::namei::{self, perm};
use bevor_vfs::{FsContext, Path};
use std::sync::Arc;

/// `CAP_SYS_CHROOT`.
const CAP_SYS_CHROOT: u32 = 18;
/// Bytes before the name in `struct linux_dirent64`.
const HEADER64: usize = 19;
/// Bytes before the name in `struct linux_dirent`.
const HEADER: usize = 18;
/// Most bytes one call collects.
const MAX_BYTES: usize = 1 << 20;

/// `getdents64(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL` (buffer too small), `ENOENT`, `ENOTDIR`.
pub fn getdents64(ctx: &mut Ctx<'_>, fd: i32, buf: UserAddr, count: u32) -> SysResult {
    list(ctx, fd, buf, count, |out, entry| {
        let length = (HEADER64 + entry.name.len() + 1).next_multiple_of(8);
        out.extend_from_slice(&entry.ino.to_ne_bytes());
        out.extend_from_slice(&entry.next.to_ne_bytes());
        out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        out.push(entry.dtype);
        out.extend_from_slice(entry.name);
        length
    })
}

/// `getdents(2)`, the older form, with the type in the last byte.
///
/// # Errors
/// As [`getdents64`].
pub fn getdents(ctx: &mut Ctx<'_>, fd: i32, buf: UserAddr, count: u32) -> SysResult {
    list(ctx, fd, buf, count, |out, entry| {
        let length = (HEADER + entry.name.len() + 2).next_multiple_of(8);
        let start = out.len();
        out.extend_from_slice(&entry.ino.to_ne_bytes());
        out.extend_from_slice(&entry.next.to_ne_bytes());
        out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        out.extend_from_slice(entry.name);
        out.resize(start + length - 1, 0);
        out.push(entry.dtype);
        length
    })
}

fn list(
    ctx: &Ctx<'_>,
    fd: i32,
    buf: UserAddr,
    count: u32,
    encode: impl Fn(&mut Vec<u8>, &bevor_vfs::file::DirEntry<'_>) -> usize,
) -> SysResult {
    let file = ctx.file(fd)?;
    let room = usize::try_from(count).map_err(|_| EINVAL)?.min(MAX_BYTES);
    let mut out = Vec::new();
    let mut refused = false;
    file.read_dir(&mut |entry| {
        let start = out.len();
        let length = encode(&mut out, entry);
        if start + length > room {
            out.truncate(start);
            refused = true;
            return false;
        }
        out.resize(start + length, 0);
        true
    })?;
    if out.is_empty() && refused {
        return Err(EINVAL.because("the buffer is too small for one entry").into());
    }
    ctx.mm().write_bytes(buf, &out)?;
    Ok(out.len() as u64)
}

/// `mkdir(2)`.
///
/// # Errors
/// As [`mkdirat`].
pub fn mkdir(ctx: &mut Ctx<'_>, path: UserAddr, mode: u32) -> SysResult {
    mkdirat(ctx, AT_FDCWD, path, mode)
}

/// `mkdirat(2)`.
///
/// # Errors
/// `EACCES`, `EEXIST`, `EMLINK`, `ENOENT`, `ENOSPC`, `ENOTDIR`, `EROFS`, and those of paths.
pub fn mkdirat(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, mode: u32) -> SysResult {
    let start = paths::start(ctx, dirfd, path)?;
    namei::mkdir(&start.at(ctx), &start.path, mode)?;
    Ok(0)
}

/// `rmdir(2)`.
///
/// # Errors
/// `EACCES`, `EBUSY`, `EINVAL`, `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, `EPERM`, `EROFS`.
pub fn rmdir(ctx: &mut Ctx<'_>, path: UserAddr) -> SysResult {
    let start = paths::start(ctx, AT_FDCWD, path)?;
    namei::rmdir(&start.at(ctx), &start.path)?;
    Ok(0)
}

/// `getcwd(2)`, the system call: returns the length with the NUL.
///
/// # Errors
/// `ENOENT` (removed), `ENAMETOOLONG`, `ERANGE`, `EFAULT`.
pub fn getcwd(ctx: &mut Ctx<'_>, buf: UserAddr, size: u64) -> SysResult {
    let fs = ctx.task().fs().context();
    let text = fs.cwd.text(&fs.root);
    if text.deleted {
        return Err(ENOENT.into());
    }
    let mut bytes = Vec::new();
    if !text.reachable {
        bytes.extend_from_slice(b"(unreachable)");
    }
    bytes.extend_from_slice(&text.bytes);
    bytes.push(0);
    if bytes.len() > usize_of_u32(PATH_MAX) {
        return Err(ENAMETOOLONG.into());
    }
    if bytes.len() as u64 > size {
        return Err(ERANGE.into());
    }
    ctx.mm().write_bytes(buf, &bytes)?;
    Ok(bytes.len() as u64)
}

fn enter(ctx: &Ctx<'_>, dir: Path) -> SysResult {
    if !dir.dentry.is_dir() {
        return Err(ENOTDIR.into());
    }
    perm::permission(&dir, &ctx.task().cred(), MAY_EXEC)?;
    let state = ctx.task().fs();
    let context = FsContext { cwd: dir, ..(*state.context()).clone() };
    state.set_context(Arc::new(context));
    Ok(0)
}

/// `chdir(2)`.
///
/// # Errors
/// `EACCES`, `ENOTDIR`, and those of paths.
pub fn chdir(ctx: &mut Ctx<'_>, path: UserAddr) -> SysResult {
    let dir = paths::start(ctx, AT_FDCWD, path)?.resolve(ctx, 0)?;
    enter(ctx, dir)
}

/// `fchdir(2)`.
///
/// # Errors
/// `EACCES`, `EBADF`, `ENOTDIR`.
pub fn fchdir(ctx: &mut Ctx<'_>, fd: i32) -> SysResult {
    let file = ctx.files().get_any(fd)?;
    enter(ctx, file.path().clone())
}

/// `chroot(2)`.
///
/// # Errors
/// `EACCES`, `ENOTDIR`, `EPERM`, and those of paths.
pub fn chroot(ctx: &mut Ctx<'_>, path: UserAddr) -> SysResult {
    let root = paths::start(ctx, AT_FDCWD, path)?.resolve(ctx, 0)?;
    if !root.dentry.is_dir() {
        return Err(ENOTDIR.into());
    }
    let cred = ctx.task().cred();
    perm::permission(&root, &cred, MAY_EXEC)?;
    if !cred.has_cap(CAP_SYS_CHROOT) {
        return Err(EPERM.into());
    }
    let state = ctx.task().fs();
    let context = FsContext { root, ..(*state.context()).clone() };
    state.set_context(Arc::new(context));
    Ok(0)
}

/// `umask(2)`: the old mask.
///
/// # Errors
/// None.
pub fn umask(ctx: &mut Ctx<'_>, mask: u32) -> SysResult {
    Ok(u64::from(ctx.task().fs().set_umask(mask)))
}
