//! Extended attributes: `setxattr(2)`, `getxattr(2)`, `listxattr(2)`, `removexattr(2)`.

use crate::paths;
use bevor_abi::Errno;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{E2BIG, EFAULT, EINVAL, ERANGE};
use bevor_abi::fcntl::{
    AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, XATTR_LIST_MAX, XATTR_NAME_MAX, XATTR_SIZE_MAX,
    XattrArgs,
};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::Path;
use bevor_vfs::namei::xattr;
use zerocopy::FromBytes;

fn resolve(ctx: &Ctx<'_>, dirfd: i32, path: UserAddr, flags: u32) -> Result<Path, Errno> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(EINVAL.into());
    }
    paths::start(ctx, dirfd, path)?.resolve(ctx, flags)
}

fn of_fd(ctx: &Ctx<'_>, fd: i32) -> Result<Path, Errno> {
    Ok(ctx.file(fd)?.path().clone())
}

fn read_name(ctx: &Ctx<'_>, name: UserAddr) -> Result<Vec<u8>, Errno> {
    match ctx.mm().read_cstr(name, usize_of_u32(XATTR_NAME_MAX) + 1) {
        Ok(name) if name.is_empty() => Err(ERANGE.into()),
        Err(errno) if errno != EFAULT => Err(ERANGE.into()),
        other => other,
    }
}

fn set(
    ctx: &Ctx<'_>,
    path: &Path,
    name: UserAddr,
    value: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    if flags & !(bevor_abi::stat::XATTR_CREATE | bevor_abi::stat::XATTR_REPLACE) != 0 {
        return Err(EINVAL.into());
    }
    let name = read_name(ctx, name)?;
    if size > usize_of_u32(XATTR_SIZE_MAX) {
        return Err(E2BIG.into());
    }
    let mut bytes = vec![0; size];
    ctx.mm().read_bytes(value, &mut bytes)?;
    xattr::set(path, &ctx.task().cred(), &name, &bytes, flags)?;
    Ok(0)
}

/// Writes a result whose size may only be asked for.
fn answer(ctx: &Ctx<'_>, bytes: &[u8], buf: UserAddr, size: usize) -> SysResult {
    if size != 0 {
        if bytes.len() > size {
            return Err(ERANGE.into());
        }
        ctx.mm().write_bytes(buf, bytes)?;
    }
    Ok(bytes.len() as u64)
}

fn get(ctx: &Ctx<'_>, path: &Path, name: UserAddr, buf: UserAddr, size: usize) -> SysResult {
    let name = read_name(ctx, name)?;
    let value = xattr::get(path, &ctx.task().cred(), &name)?;
    answer(ctx, &value, buf, size)
}

fn list(ctx: &Ctx<'_>, path: &Path, buf: UserAddr, size: usize) -> SysResult {
    let mut names = Vec::new();
    for name in xattr::list(path, &ctx.task().cred())? {
        names.extend_from_slice(&name);
        names.push(0);
    }
    let most = usize_of_u32(XATTR_LIST_MAX);
    if size >= most && names.len() > most {
        return Err(E2BIG.into());
    }
    answer(ctx, &names, buf, size)
}

fn remove(ctx: &Ctx<'_>, path: &Path, name: UserAddr) -> SysResult {
    let name = read_name(ctx, name)?;
    xattr::remove(path, &ctx.task().cred(), &name)?;
    Ok(0)
}

/// `setxattr(2)`.
///
/// # Errors
/// `E2BIG`, `EACCES`, `EEXIST`, `EINVAL`, `ENODATA`, `ENOSPC`, `EOPNOTSUPP`, `EPERM`, `ERANGE`,
/// `EROFS`, and those of paths.
pub fn setxattr(
    ctx: &mut Ctx<'_>,
    path: UserAddr,
    name: UserAddr,
    value: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    let path = resolve(ctx, AT_FDCWD, path, 0)?;
    set(ctx, &path, name, value, size, flags)
}

/// `lsetxattr(2)`.
///
/// # Errors
/// As [`setxattr`].
pub fn lsetxattr(
    ctx: &mut Ctx<'_>,
    path: UserAddr,
    name: UserAddr,
    value: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    let path = resolve(ctx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)?;
    set(ctx, &path, name, value, size, flags)
}

/// `fsetxattr(2)`.
///
/// # Errors
/// As [`setxattr`], `EBADF`.
pub fn fsetxattr(
    ctx: &mut Ctx<'_>,
    fd: i32,
    name: UserAddr,
    value: UserAddr,
    size: usize,
    flags: u32,
) -> SysResult {
    set(ctx, &of_fd(ctx, fd)?, name, value, size, flags)
}

/// `getxattr(2)`.
///
/// # Errors
/// `EACCES`, `ENODATA`, `EOPNOTSUPP`, `ERANGE`, and those of paths.
pub fn getxattr(
    ctx: &mut Ctx<'_>,
    path: UserAddr,
    name: UserAddr,
    buf: UserAddr,
    size: usize,
) -> SysResult {
    let path = resolve(ctx, AT_FDCWD, path, 0)?;
    get(ctx, &path, name, buf, size)
}

/// `lgetxattr(2)`.
///
/// # Errors
/// As [`getxattr`].
pub fn lgetxattr(
    ctx: &mut Ctx<'_>,
    path: UserAddr,
    name: UserAddr,
    buf: UserAddr,
    size: usize,
) -> SysResult {
    let path = resolve(ctx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)?;
    get(ctx, &path, name, buf, size)
}

/// `fgetxattr(2)`.
///
/// # Errors
/// As [`getxattr`], `EBADF`.
pub fn fgetxattr(
    ctx: &mut Ctx<'_>,
    fd: i32,
    name: UserAddr,
    buf: UserAddr,
    size: usize,
) -> SysResult {
    get(ctx, &of_fd(ctx, fd)?, name, buf, size)
}

/// `listxattr(2)`.
///
/// # Errors
/// `E2BIG`, `ERANGE`, and those of paths.
pub fn listxattr(ctx: &mut Ctx<'_>, path: UserAddr, buf: UserAddr, size: usize) -> SysResult {
    let path = resolve(ctx, AT_FDCWD, path, 0)?;
    list(ctx, &path, buf, size)
}

/// `llistxattr(2)`.
///
/// # Errors
/// As [`listxattr`].
pub fn llistxattr(ctx: &mut Ctx<'_>, path: UserAddr, buf: UserAddr, size: usize) -> SysResult {
    let path = resolve(ctx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)?;
    list(ctx, &path, buf, size)
}

/// `flistxattr(2)`.
///
/// # Errors
/// As [`listxattr`], `EBADF`.
pub fn flistxattr(ctx: &mut Ctx<'_>, fd: i32, buf: UserAddr, size: usize) -> SysResult {
    list(ctx, &of_fd(ctx, fd)?, buf, size)
}

/// `removexattr(2)`.
///
/// # Errors
/// `EACCES`, `ENODATA`, `EOPNOTSUPP`, `EPERM`, `EROFS`, and those of paths.
pub fn removexattr(ctx: &mut Ctx<'_>, path: UserAddr, name: UserAddr) -> SysResult {
    let path = resolve(ctx, AT_FDCWD, path, 0)?;
    remove(ctx, &path, name)
}

/// `lremovexattr(2)`.
///
/// # Errors
/// As [`removexattr`].
pub fn lremovexattr(ctx: &mut Ctx<'_>, path: UserAddr, name: UserAddr) -> SysResult {
    let path = resolve(ctx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)?;
    remove(ctx, &path, name)
}

/// `fremovexattr(2)`.
///
/// # Errors
/// As [`removexattr`], `EBADF`.
pub fn fremovexattr(ctx: &mut Ctx<'_>, fd: i32, name: UserAddr) -> SysResult {
    remove(ctx, &of_fd(ctx, fd)?, name)
}

/// Reads the extensible argument structure of `setxattrat` and `getxattrat`.
fn read_args(ctx: &Ctx<'_>, at: UserAddr, size: usize) -> Result<XattrArgs, Errno> {
    let own = size_of::<XattrArgs>();
    if size < own {
        return Err(EINVAL.into());
    }
    if size > 4096 {
        return Err(E2BIG.into());
    }
    let mut bytes = vec![0; size];
    ctx.mm().read_bytes(at, &mut bytes)?;
    let (args, rest) = XattrArgs::read_from_prefix(&bytes).map_err(|_| EINVAL)?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(E2BIG.into());
    }
    Ok(args)
}

/// `setxattrat(2)`.
///
/// # Errors
/// As [`setxattr`], `EBADF`.
pub fn setxattrat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    flags: u32,
    name: UserAddr,
    args: UserAddr,
    size: usize,
) -> SysResult {
    let args = read_args(ctx, args, size)?;
    let path = resolve(ctx, dirfd, path, flags)?;
    set(ctx, &path, name, UserAddr(args.value), usize_of_u32(args.size), args.flags)
}

/// `getxattrat(2)`.
///
/// # Errors
/// As [`getxattr`], `EBADF`.
pub fn getxattrat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    flags: u32,
    name: UserAddr,
    args: UserAddr,
    size: usize,
) -> SysResult {
    let args = read_args(ctx, args, size)?;
    if args.flags != 0 {
        return Err(EINVAL.into());
    }
    let path = resolve(ctx, dirfd, path, flags)?;
    get(ctx, &path, name, UserAddr(args.value), usize_of_u32(args.size))
}

/// `listxattrat(2)`.
///
/// # Errors
/// As [`listxattr`], `EBADF`.
pub fn listxattrat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    flags: u32,
    buf: UserAddr,
    size: usize,
) -> SysResult {
    let path = resolve(ctx, dirfd, path, flags)?;
    list(ctx, &path, buf, size)
}

/// `removexattrat(2)`.
///
/// # Errors
/// As [`removexattr`], `EBADF`.
pub fn removexattrat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    flags: u32,
    name: UserAddr,
) -> SysResult {
    let path = resolve(ctx, dirfd, path, flags)?;
    remove(ctx, &path, name)
}
