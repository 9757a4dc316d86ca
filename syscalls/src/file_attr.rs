//! Flags of inodes: `FS_IOC_GETFLAGS` and its kin, `file_getattr(2)`, `file_setattr(2)`.

use crate::{extensible, paths};
use bevor_abi::Errno;
use bevor_abi::errno::{E2BIG, EINVAL, ENOTTY, EOPNOTSUPP};
use bevor_abi::fcntl::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, FileAttr, Fsxattr};
use bevor_abi::ioctl::{FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS};
use bevor_abi::stat::{FS_XFLAG_COWEXTSIZE, FS_XFLAG_EXTSIZE, FS_XFLAG_EXTSZINHERIT};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::Path;
use bevor_vfs::file::File;
use bevor_vfs::namei::flags::{self, NewFlags, XFLAGS_KNOWN};
use zerocopy::IntoBytes;

/// Length of `struct file_attr` in its first version.
const FILE_ATTR_LEAST: usize = 24;

/// Serves the commands of `ioctl(2)` about inode flags; `None` for others, and for files without.
pub fn ioctl(ctx: &Ctx<'_>, file: &File, command: u32, arg: UserAddr) -> Option<SysResult> {
    let known = matches!(
        command,
        FS_IOC_GETFLAGS | FS_IOC_SETFLAGS | FS_IOC_FSGETXATTR | FS_IOC_FSSETXATTR
    );
    if !known {
        return None;
    }
    let own = file.inode().flags()?;
    Some(serve(ctx, file.path(), own, command, arg).map(|()| 0).map_err(Into::into))
}

/// Extended flags; those of an extent size of 0 say nothing.
const fn extended(xflags: u32, extent: u32, cow_extent: u32, project: u32) -> NewFlags {
    let mut xflags = xflags;
    if extent == 0 {
        xflags &= !(FS_XFLAG_EXTSIZE | FS_XFLAG_EXTSZINHERIT);
    }
    if cow_extent == 0 {
        xflags &= !FS_XFLAG_COWEXTSIZE;
    }
    NewFlags::Extended { xflags, more: extent != 0 || cow_extent != 0 || project != 0 }
}

fn serve(ctx: &Ctx<'_>, path: &Path, own: u32, command: u32, arg: UserAddr) -> Result<(), Errno> {
    let new = match command {
        FS_IOC_GETFLAGS => return ctx.mm().write(arg, &own),
        FS_IOC_FSGETXATTR => {
            let shown = Fsxattr { fsx_xflags: flags::to_xflags(own), ..Fsxattr::default() };
            return ctx.mm().write(arg, &shown);
        }
        FS_IOC_SETFLAGS => NewFlags::Flags(ctx.mm().read(arg)?),
        FS_IOC_FSSETXATTR => {
            let wanted: Fsxattr = ctx.mm().read(arg)?;
            if wanted.fsx_xflags & !XFLAGS_KNOWN != 0 {
                return Err(EOPNOTSUPP.into());
            }
            let Fsxattr { fsx_xflags: xflags, fsx_extsize, fsx_projid, fsx_cowextsize, .. } =
                wanted;
            extended(xflags, fsx_extsize, fsx_cowextsize, fsx_projid)
        }
        _ => return Err(ENOTTY.into()),
    };
    flags::set(path, &ctx.task().cred(), new)
}

fn resolve(ctx: &Ctx<'_>, dirfd: i32, path: UserAddr, at_flags: u32) -> Result<Path, Errno> {
    let start = if path.is_null() && at_flags & AT_EMPTY_PATH != 0 {
        paths::start_with(ctx, dirfd, Vec::new())
    } else {
        paths::start(ctx, dirfd, path)?
    };
    start.resolve(ctx, at_flags)
}

fn check(at_flags: u32, size: usize) -> Result<(), Errno> {
    if at_flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(EINVAL.into());
    }
    if size > extensible::MAX_BYTES {
        return Err(E2BIG.into());
    }
    if size < FILE_ATTR_LEAST {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// `file_getattr(2)`.
///
/// # Errors
/// `E2BIG`, `EFAULT`, `EINVAL`, `EOPNOTSUPP`, and those of paths.
pub fn file_getattr(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    attr: UserAddr,
    size: usize,
    at_flags: u32,
) -> SysResult {
    check(at_flags, size)?;
    let path = resolve(ctx, dirfd, path, at_flags)?;
    let own = path.inode().flags().ok_or(EOPNOTSUPP)?;
    let shown = FileAttr { fa_xflags: u64::from(flags::to_xflags(own)), ..FileAttr::default() };
    let mut bytes = shown.as_bytes().to_vec();
    bytes.resize(size, 0);
    ctx.mm().write_bytes(attr, &bytes)?;
    Ok(0)
}

/// `file_setattr(2)`.
///
/// # Errors
/// `E2BIG`, `EFAULT`, `EINVAL`, `EOPNOTSUPP`, `EPERM`, `EROFS`, and those of paths.
pub fn file_setattr(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    attr: UserAddr,
    size: usize,
    at_flags: u32,
) -> SysResult {
    check(at_flags, size)?;
    let wanted: FileAttr = extensible::read(ctx, attr, size, FILE_ATTR_LEAST)?;
    let xflags = u32::try_from(wanted.fa_xflags).map_err(|_| EINVAL)?;
    if xflags & !XFLAGS_KNOWN != 0 {
        return Err(EINVAL.into());
    }
    let path = resolve(ctx, dirfd, path, at_flags)?;
    let new = extended(xflags, wanted.fa_extsize, wanted.fa_cowextsize, wanted.fa_projid);
    flags::set(&path, &ctx.task().cred(), new)?;
    Ok(0)
}
