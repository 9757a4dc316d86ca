//! Mounting: `mount(2)`, `umount(2)`, `pivot_root(2)`.

use crate::landlock::check_mounting;
use crate::paths;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{EFAULT, EINVAL, ENOTDIR, EPERM};
use bevor_abi::fcntl::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, PATH_MAX};
use bevor_abi::mount::{
    MNT_DETACH, MNT_EXPIRE, MNT_FORCE, MS_BIND, MS_MGC_MSK, MS_MGC_VAL, MS_MOVE, MS_PRIVATE,
    MS_RDONLY, MS_REC, MS_REMOUNT, MS_SHARED, MS_SILENT, MS_SLAVE, MS_UNBINDABLE, UMOUNT_NOFOLLOW,
};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::mount::{self, MountFlags};
use bevor_vfs::superblock::{MountRequest, fs_type};
use bevor_vfs::{FsContext, Path};
use std::sync::Arc;

/// Longest data argument: one page.
const DATA_MAX: usize = 4096;

/// Bit of `mount(2)` for file systems that are never mounted by a user.
const MS_NOUSER: u64 = 1 << 31;

/// Whether the caller may change the options of the file system at `at`.
pub fn rules_over(ctx: &Ctx<'_>, at: &Path) -> bool {
    ctx.task().cred().has_cap_in(CAP_SYS_ADMIN, at.mount.superblock().user_ns())
}

/// Checks that the caller may change its mount namespace.
pub fn may_mount(ctx: &Ctx<'_>, fs: &FsContext) -> Result<(), Errno> {
    if ctx.task().cred().has_cap_in(CAP_SYS_ADMIN, fs.namespace.user_ns()) {
        Ok(())
    } else {
        Err(EPERM.because("needs CAP_SYS_ADMIN over the mount namespace"))
    }
}

fn optional_text(ctx: &Ctx<'_>, text: UserAddr, max: usize) -> Result<Option<Vec<u8>>, Errno> {
    if text.is_null() { Ok(None) } else { ctx.mm().read_cstr(text, max).map(Some) }
}

/// The data argument: a string, or a page that ends before its NUL where memory does.
fn read_data(ctx: &Ctx<'_>, data: UserAddr) -> Result<Vec<u8>, Errno> {
    match optional_text(ctx, data, DATA_MAX) {
        Ok(text) => Ok(text.unwrap_or_default()),
        Err(errno) if errno == EFAULT => Err(errno),
        Err(_) => Err(EINVAL.because("mount data longer than a page")),
    }
}

/// `mount(2)`.
///
/// # Errors
/// `EBUSY`, `EFAULT`, `EINVAL`, `ELOOP`, `ENODEV`, `ENOENT`, `ENOSPC`, `ENOTDIR`, `EPERM`, and
/// those of paths.
pub fn mount(
    ctx: &mut Ctx<'_>,
    source: UserAddr,
    target: UserAddr,
    kind: UserAddr,
    flags: u64,
    data: UserAddr,
) -> SysResult {
    let path_max = usize_of_u32(PATH_MAX);
    let kind = optional_text(ctx, kind, DATA_MAX)?;
    let source = optional_text(ctx, source, path_max)?;
    let data = read_data(ctx, data)?;
    let start = paths::start(ctx, AT_FDCWD, target)?;
    let at = start.resolve(ctx, 0)?;
    let fs = ctx.task().fs().context();
    may_mount(ctx, &fs)?;
    check_mounting(ctx)?;
    let flags = if flags & MS_MGC_MSK == MS_MGC_VAL { flags & !MS_MGC_MSK } else { flags };
    if flags & MS_NOUSER != 0 {
        return Err(EINVAL.into());
    }
    let recursive = flags & MS_REC != 0;
    let remount = MountFlags::from_remount(flags, at.mount.flags());
    let change = flags & (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE);
    if flags & (MS_REMOUNT | MS_BIND) == MS_REMOUNT | MS_BIND {
        mount::remount_bind(&fs, &at, remount)?;
    } else if flags & MS_REMOUNT != 0 {
        let rules = rules_over(ctx, &at);
        mount::reconfigure(&fs, &at, remount, &data, rules)?;
    } else if flags & MS_BIND != 0 {
        let from = resolve_text(ctx, source.as_deref().unwrap_or_default())?;
        mount::bind(&fs, &from, &at, recursive)?;
    } else if change != 0 {
        if flags & !(change | MS_REC | MS_SILENT) != 0 || !change.is_power_of_two() {
            return Err(EINVAL.into());
        }
        mount::change_propagation(&fs, &at, change, recursive)?;
    } else if flags & MS_MOVE != 0 {
        let from = resolve_text(ctx, source.as_deref().unwrap_or_default())?;
        mount::move_mount(&fs, &from, &at)?;
    } else {
        let kind = kind.ok_or(EINVAL)?;
        new_mount(ctx, &fs, &at, &kind, source.as_deref(), flags, &data)?;
    }
    Ok(0)
}

fn resolve_text(ctx: &Ctx<'_>, path: &[u8]) -> Result<Path, Errno> {
    if path.is_empty() {
        return Err(EINVAL.because("no source"));
    }
    paths::start_with(ctx, AT_FDCWD, path.to_vec()).resolve(ctx, 0)
}

fn new_mount(
    ctx: &Ctx<'_>,
    fs: &FsContext,
    at: &Path,
    kind: &[u8],
    source: Option<&[u8]>,
    flags: u64,
    data: &[u8],
) -> Result<(), Errno> {
    let kind = fs_type(kind)?;
    let cred = ctx.task().cred();
    if cred.user_ns.level > 0 && !kind.in_user_ns {
        return Err(EPERM.because("not mountable in a user namespace"));
    }
    let source = source.unwrap_or(b"none");
    let request = MountRequest { source, options: data, user_ns: &cred.user_ns, caller: ctx };
    let superblock = (kind.mount)(&request)?;
    if flags & MS_RDONLY != 0 {
        superblock.set_read_only(true);
    }
    mount::attach_new(fs, &superblock, at, MountFlags::from_mount(flags), source)
}

/// `umount2(2)`.
///
/// # Errors
/// `EBUSY`, `EINVAL`, `EPERM`, and those of paths.
pub fn umount2(ctx: &mut Ctx<'_>, target: UserAddr, flags: u32) -> SysResult {
    if flags & !(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW) != 0 {
        return Err(EINVAL.into());
    }
    if flags & MNT_EXPIRE != 0 && flags & (MNT_FORCE | MNT_DETACH) != 0 {
        return Err(EINVAL.into());
    }
    let nofollow = if flags & UMOUNT_NOFOLLOW != 0 { AT_SYMLINK_NOFOLLOW } else { 0 };
    let fs = ctx.task().fs().context();
    let at = paths::start(ctx, AT_FDCWD, target)?.resolve(ctx, nofollow)?;
    may_mount(ctx, &fs)?;
    check_mounting(ctx)?;
    mount::umount(&fs, at, flags)?;
    Ok(0)
}

/// `pivot_root(2)`. Every task of the mount namespace that stood at the old root stands at the new
/// one afterwards.
///
/// # Errors
/// `EBUSY`, `EINVAL`, `ENOENT`, `ENOTDIR`, `EPERM`, and those of paths.
pub fn pivot_root(ctx: &mut Ctx<'_>, new_root: UserAddr, put_old: UserAddr) -> SysResult {
    let fs = ctx.task().fs().context();
    may_mount(ctx, &fs)?;
    let new = paths::start(ctx, AT_FDCWD, new_root)?.resolve(ctx, 0)?;
    let old = paths::start(ctx, AT_FDCWD, put_old)?.resolve(ctx, 0)?;
    if !new.dentry.is_dir() || !old.dentry.is_dir() {
        return Err(ENOTDIR.into());
    }
    check_mounting(ctx)?;
    let (from, to) = mount::pivot_root(&fs, &new, &old)?;
    let tasks: Vec<_> = ctx.kernel().tree.lock().tasks.values().cloned().collect();
    for task in tasks {
        let state = task.fs();
        let context = state.context();
        let (root, cwd) = (context.root.same(&from), context.cwd.same(&from));
        if root || cwd {
            let mut moved = (*context).clone();
            if root {
                moved.root = to.clone();
            }
            if cwd {
                moved.cwd = to.clone();
            }
            state.set_context(Arc::new(moved));
        }
    }
    Ok(0)
}
