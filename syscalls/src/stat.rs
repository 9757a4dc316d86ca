//! `stat(2)`, `statx(2)`, `statfs(2)`, `access(2)`.

use crate::paths::{self, Start};
use bevor_abi::Errno;
use bevor_abi::conv::{as_i32, low_u32};
use bevor_abi::errno::EINVAL;
use bevor_abi::fcntl::{AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW};
use bevor_abi::stat::{
    AT_STATX_SYNC_TYPE, STATX__RESERVED, STATX_ATTR_MOUNT_ROOT, STATX_BASIC_STATS, STATX_BTIME,
    STATX_MNT_ID, STATX_MNT_ID_UNIQUE, Stat, Statfs, Statx, StatxTimestamp, Ustat, major, minor,
};
use bevor_base::Credentials;
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::mount::MountFlags;
use bevor_vfs::{Attr, FileTime, Path};
use std::sync::Arc;

/// Attributes every file may have (`stx_attributes_mask`).
const ATTRIBUTES: u64 = 0x0010_287c;

fn write_stat(ctx: &Ctx<'_>, attr: &Attr, out: UserAddr) -> SysResult {
    let user_ns = &ctx.task().cred().user_ns;
    let stat = Stat {
        st_dev: attr.dev,
        st_ino: attr.ino,
        st_nlink: u64::from(attr.nlink),
        st_mode: attr.mode,
        st_uid: user_ns.uid_out(attr.uid),
        st_gid: user_ns.gid_out(attr.gid),
        pad0: 0,
        st_rdev: attr.rdev,
        st_size: attr.size.cast_signed(),
        st_blksize: i64::from(attr.blksize),
        st_blocks: attr.blocks.cast_signed(),
        st_atime: attr.atime.sec,
        st_atime_nsec: i64::from(attr.atime.nsec),
        st_mtime: attr.mtime.sec,
        st_mtime_nsec: i64::from(attr.mtime.nsec),
        st_ctime: attr.ctime.sec,
        st_ctime_nsec: i64::from(attr.ctime.nsec),
        unused: [0; 3],
    };
    ctx.mm().write(out, &stat)?;
    Ok(0)
}

/// `stat(2)`.
///
/// # Errors
/// `EACCES`, `EFAULT`, `ELOOP`, `ENAMETOOLONG`, `ENOENT`, `ENOTDIR`.
pub fn stat(ctx: &mut Ctx<'_>, path: UserAddr, out: UserAddr) -> SysResult {
    newfstatat(ctx, AT_FDCWD, path, out, 0)
}

/// `lstat(2)`.
///
/// # Errors
/// As [`stat`].
pub fn lstat(ctx: &mut Ctx<'_>, path: UserAddr, out: UserAddr) -> SysResult {
    newfstatat(ctx, AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW)
}

/// `fstat(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`.
pub fn fstat(ctx: &mut Ctx<'_>, fd: i32, out: UserAddr) -> SysResult {
    let attr = ctx.files().get_any(fd)?.inode().attr()?;
    write_stat(ctx, &attr, out)
}

/// `fstatat(2)`.
///
/// # Errors
/// As [`stat`], `EBADF`, `EINVAL`.
pub fn newfstatat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    out: UserAddr,
    flags: u32,
) -> SysResult {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) != 0 {
        return Err(EINVAL.into());
    }
    let start = start_maybe_null(ctx, dirfd, path, flags)?;
    let attr = start.resolve(ctx, flags)?.inode().attr()?;
    write_stat(ctx, &attr, out)
}

/// Since Linux 6.11 a null path counts as the empty one with `AT_EMPTY_PATH`.
fn start_maybe_null(ctx: &Ctx<'_>, dirfd: i32, path: UserAddr, flags: u32) -> Result<Start, Errno> {
    if path.is_null() && flags & AT_EMPTY_PATH != 0 {
        return Ok(paths::start_with(ctx, dirfd, Vec::new()));
    }
    paths::start(ctx, dirfd, path)
}

/// `statx(2)`.
///
/// # Errors
/// As [`newfstatat`].
pub fn statx(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    flags: u32,
    mask: u32,
    out: UserAddr,
) -> SysResult {
    let known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
    if flags & !known != 0
        || flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE
        || mask & STATX__RESERVED != 0
    {
        return Err(EINVAL.into());
    }
    let start = start_maybe_null(ctx, dirfd, path, flags)?;
    let path = start.resolve(ctx, flags)?;
    let attr = path.inode().attr()?;
    let statx = fill(&ctx.task().cred(), &path, &attr, mask);
    ctx.mm().write(out, &statx)?;
    Ok(0)
}

fn fill(cred: &Credentials, path: &Path, attr: &Attr, mask: u32) -> Statx {
    let time = |time: FileTime| StatxTimestamp { tv_sec: time.sec, tv_nsec: time.nsec, pad0: 0 };
    let unique = mask & STATX_MNT_ID_UNIQUE != 0;
    let mut attributes = attr.attributes;
    if path.is_mount_root() {
        attributes |= STATX_ATTR_MOUNT_ROOT;
    }
    Statx {
        stx_mask: STATX_BASIC_STATS
            | if attr.btime.is_some() { STATX_BTIME } else { 0 }
            | if unique { STATX_MNT_ID_UNIQUE } else { STATX_MNT_ID },
        stx_blksize: attr.blksize,
        stx_attributes: attributes,
        stx_nlink: attr.nlink,
        stx_uid: cred.user_ns.uid_out(attr.uid),
        stx_gid: cred.user_ns.gid_out(attr.gid),
        stx_mode: u16::try_from(attr.mode).unwrap_or(0),
        stx_ino: attr.ino,
        stx_size: attr.size,
        stx_blocks: attr.blocks,
        stx_attributes_mask: ATTRIBUTES,
        stx_atime: time(attr.atime),
        stx_btime: attr.btime.map(time).unwrap_or_default(),
        stx_ctime: time(attr.ctime),
        stx_mtime: time(attr.mtime),
        stx_rdev_major: major(attr.rdev),
        stx_rdev_minor: minor(attr.rdev),
        stx_dev_major: major(attr.dev),
        stx_dev_minor: minor(attr.dev),
        stx_mnt_id: if unique { path.mount.unique_id() } else { path.mount.id() },
        ..Statx::default()
    }
}

fn write_statfs(ctx: &Ctx<'_>, path: &Path, out: UserAddr) -> SysResult {
    let stat = path.inode().statfs()?;
    let read_only = if path.mount.superblock().is_read_only() { MountFlags::RDONLY } else { 0 };
    let statfs = Statfs {
        f_type: stat.magic,
        f_bsize: stat.block_size,
        f_blocks: stat.blocks,
        f_bfree: stat.free,
        f_bavail: stat.available,
        f_files: stat.files,
        f_ffree: stat.files_free,
        f_fsid: stat.fsid,
        f_namelen: stat.name_len,
        f_frsize: stat.block_size,
        // ST_VALID, and the mount's flags in the bits statfs(2) shares with mount(2).
        f_flags: path.mount.flags().statfs_bits() | read_only,
        f_spare: [0; 4],
    };
    ctx.mm().write(out, &statfs)?;
    Ok(0)
}

/// `ustat(2)`: what a mounted file system has left, by device number.
///
/// # Errors
/// `EFAULT`, `EINVAL`.
pub fn ustat(ctx: &mut Ctx<'_>, dev: u64, out: UserAddr) -> SysResult {
    let mounts = ctx.task().fs().context().namespace.list();
    let found = mounts.iter().find(|mount| low_u32(mount.superblock().dev()) == low_u32(dev));
    let stat = found.ok_or(EINVAL)?.superblock().root().inode().statfs()?;
    let ustat = Ustat { f_tfree: as_i32(stat.free), f_tinode: stat.files_free, ..Ustat::default() };
    ctx.mm().write(out, &ustat)?;
    Ok(0)
}

/// `statfs(2)`.
///
/// # Errors
/// As [`stat`], `EIO`.
pub fn statfs(ctx: &mut Ctx<'_>, path: UserAddr, out: UserAddr) -> SysResult {
    let path = paths::start(ctx, AT_FDCWD, path)?.resolve(ctx, 0)?;
    write_statfs(ctx, &path, out)
}

/// `fstatfs(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EIO`.
pub fn fstatfs(ctx: &mut Ctx<'_>, fd: i32, out: UserAddr) -> SysResult {
    let file = ctx.files().get_any(fd)?;
    write_statfs(ctx, file.path(), out)
}

/// `access(2)`.
///
/// # Errors
/// As [`faccessat2`].
pub fn access(ctx: &mut Ctx<'_>, path: UserAddr, mode: u32) -> SysResult {
    faccessat2(ctx, AT_FDCWD, path, mode, 0)
}

/// `faccessat`, the system call.
///
/// # Errors
/// As [`faccessat2`].
pub fn faccessat(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, mode: u32) -> SysResult {
    faccessat2(ctx, dirfd, path, mode, 0)
}

/// `faccessat2(2)`.
///
/// # Errors
/// `EACCES`, `EINVAL`, `EROFS`, and as [`stat`].
pub fn faccessat2(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    mode: u32,
    flags: u32,
) -> SysResult {
    if mode & !7 != 0 || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(EINVAL.into());
    }
    let start = paths::start(ctx, dirfd, path)?;
    let start = if flags & AT_EACCESS != 0 {
        start
    } else {
        let cred = with_real_ids(start.cred());
        start.as_user(cred)
    };
    let found = start.resolve(ctx, flags)?;
    if mode != 0 {
        bevor_vfs::namei::attr::access(&found, start.cred(), mode)?;
    }
    Ok(0)
}

/// The credentials `access(2)` checks with: real ids, and capabilities as those would have them.
fn with_real_ids(cred: &Arc<Credentials>) -> Arc<Credentials> {
    if cred.ruid == cred.fsuid && cred.rgid == cred.fsgid {
        return cred.clone();
    }
    let root = cred.user_ns.uid_in(0) == Some(cred.ruid);
    let effective = if root { cred.permitted } else { 0 };
    Arc::new(Credentials { fsuid: cred.ruid, fsgid: cred.rgid, effective, ..(**cred).clone() })
}
