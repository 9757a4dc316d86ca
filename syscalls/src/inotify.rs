//! `inotify(7)`.

use crate::{event, paths};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOTDIR};
use bevor_abi::fcntl::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_NONBLOCK};
use bevor_abi::inotify::{IN_DONT_FOLLOW, IN_MASK_ADD, IN_MASK_CREATE, IN_ONLYDIR};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::event::Inotify;
use bevor_vfs::file::File;
use bevor_vfs::inode::MAY_READ;
use bevor_vfs::namei::perm;

/// `inotify_init(2)`.
///
/// # Errors
/// As [`inotify_init1`].
pub fn inotify_init(ctx: &mut Ctx<'_>) -> SysResult {
    inotify_init1(ctx, 0)
}

/// `inotify_init1(2)`.
///
/// # Errors
/// `EINVAL`, `EMFILE`.
pub fn inotify_init1(ctx: &mut Ctx<'_>, flags: u32) -> SysResult {
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(EINVAL.into());
    }
    event::install_reader(ctx, Box::new(Inotify::new()), "inotify", flags)
}

fn instance(file: &File) -> Result<&Inotify, Errno> {
    file.downcast::<Inotify>().ok_or_else(|| EINVAL.because("not an inotify descriptor"))
}

/// `inotify_add_watch(2)`.
///
/// # Errors
/// `EACCES`, `EBADF`, `EEXIST`, `EINVAL`, `ENOSPC`, `ENOTDIR`, and those of paths.
pub fn inotify_add_watch(ctx: &mut Ctx<'_>, fd: i32, path: UserAddr, mask: u32) -> SysResult {
    let both = IN_MASK_ADD | IN_MASK_CREATE;
    if mask & bevor_abi::inotify::IN_ALL_EVENTS == 0 || mask & both == both {
        return Err(EINVAL.into());
    }
    let file = ctx.file(fd)?;
    let inotify = instance(&file)?;
    let nofollow = if mask & IN_DONT_FOLLOW != 0 { AT_SYMLINK_NOFOLLOW } else { 0 };
    let start = paths::start(ctx, AT_FDCWD, path)?;
    let found = start.resolve(ctx, nofollow)?;
    if mask & IN_ONLYDIR != 0 && !found.dentry.is_dir() {
        return Err(ENOTDIR.into());
    }
    perm::permission(&found, start.cred(), MAY_READ)?;
    let wd = inotify.add(found.inode(), mask)?;
    Ok(u64::from(wd.cast_unsigned()))
}

/// `inotify_rm_watch(2)`.
///
/// # Errors
/// `EBADF`, `EINVAL`.
pub fn inotify_rm_watch(ctx: &mut Ctx<'_>, fd: i32, wd: i32) -> SysResult {
    let file = ctx.file(fd)?;
    instance(&file)?.remove(wd)?;
    Ok(0)
}
