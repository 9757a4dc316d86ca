//! Attributes: `chmod(2)`, `chown(2)`, `utimensat(2)`, `truncate(2)`, `fallocate(2)`.

use crate::paths;
use bevor_abi::Errno;
use bevor_abi::errno::{EBADF, EFBIG, EINVAL, EISDIR, ENODEV, EOPNOTSUPP, ESPIPE};
use bevor_abi::fcntl::{
    AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_ZERO_RANGE,
};
use bevor_abi::inotify::IN_MODIFY;
use bevor_abi::landlock::LANDLOCK_ACCESS_FS_TRUNCATE;
use bevor_abi::time::{Timespec, Timeval, UTIME_NOW, UTIME_OMIT, Utimbuf};
use bevor_kernel::signal::{self, Info, SIGXFSZ};
use bevor_kernel::{Ctx, SysResult, limits};
use bevor_memory::UserAddr;
use bevor_vfs::namei::attr::{self, NewTime};
use bevor_vfs::notify;
use bevor_vfs::{FileTime, FileType, Path};

/// `chmod(2)`.
///
/// # Errors
/// As [`fchmodat2`].
pub fn chmod(ctx: &mut Ctx<'_>, path: UserAddr, mode: u32) -> SysResult {
    fchmodat2(ctx, AT_FDCWD, path, mode, 0)
}

/// `fchmodat`, the system call.
///
/// # Errors
/// As [`fchmodat2`].
pub fn fchmodat(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, mode: u32) -> SysResult {
    fchmodat2(ctx, dirfd, path, mode, 0)
}

/// `fchmodat2(2)`.
///
/// # Errors
/// `EINVAL`, `EOPNOTSUPP`, `EPERM`, `EROFS`, and those of paths.
pub fn fchmodat2(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    mode: u32,
    flags: u32,
) -> SysResult {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(EINVAL.into());
    }
    let start = paths::start(ctx, dirfd, path)?;
    attr::chmod(&start.resolve(ctx, flags)?, start.cred(), mode & 0o7777)?;
    Ok(0)
}

/// `fchmod(2)`.
///
/// # Errors
/// `EBADF`, `EPERM`, `EROFS`.
pub fn fchmod(ctx: &mut Ctx<'_>, fd: i32, mode: u32) -> SysResult {
    let file = ctx.file(fd)?;
    attr::chmod(file.path(), &ctx.task().cred(), mode & 0o7777)?;
    Ok(0)
}

fn change_owner(ctx: &Ctx<'_>, path: &Path, uid: u32, gid: u32) -> SysResult {
    let cred = ctx.task().cred();
    let map = |id: u32, translate: &dyn Fn(u32) -> Option<u32>| -> Result<Option<u32>, Errno> {
        if id == u32::MAX {
            return Ok(None);
        }
        Ok(Some(translate(id).ok_or(EINVAL)?))
    };
    let uid = map(uid, &|id| cred.user_ns.uid_in(id))?;
    let gid = map(gid, &|id| cred.user_ns.gid_in(id))?;
    attr::chown(path, &cred, uid, gid)?;
    Ok(0)
}

/// `chown(2)`.
///
/// # Errors
/// As [`fchownat`].
pub fn chown(ctx: &mut Ctx<'_>, path: UserAddr, uid: u32, gid: u32) -> SysResult {
    fchownat(ctx, AT_FDCWD, path, uid, gid, 0)
}

/// `lchown(2)`.
///
/// # Errors
/// As [`fchownat`].
pub fn lchown(ctx: &mut Ctx<'_>, path: UserAddr, uid: u32, gid: u32) -> SysResult {
    fchownat(ctx, AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW)
}

/// `fchown(2)`.
///
/// # Errors
/// `EBADF`, and as [`fchownat`].
pub fn fchown(ctx: &mut Ctx<'_>, fd: i32, uid: u32, gid: u32) -> SysResult {
    let file = ctx.file(fd)?;
    change_owner(ctx, file.path(), uid, gid)
}

/// `fchownat(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`, `EROFS`, and those of paths.
pub fn fchownat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    uid: u32,
    gid: u32,
    flags: u32,
) -> SysResult {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(EINVAL.into());
    }
    let path = paths::start(ctx, dirfd, path)?.resolve(ctx, flags)?;
    change_owner(ctx, &path, uid, gid)
}

fn new_time(time: Timespec) -> Result<NewTime, Errno> {
    match time.tv_nsec {
        UTIME_NOW => Ok(NewTime::Now),
        UTIME_OMIT => Ok(NewTime::Omit),
        nsec => {
            let nsec = u32::try_from(nsec).map_err(|_| EINVAL)?;
            if nsec >= 1_000_000_000 {
                return Err(EINVAL.into());
            }
            Ok(NewTime::At(FileTime { sec: time.tv_sec, nsec }))
        }
    }
}

/// `utimensat(2)`; a null path means the descriptor itself.
///
/// # Errors
/// `EACCES`, `EINVAL`, `EPERM`, `EROFS`, and those of paths.
pub fn utimensat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    times: UserAddr,
    flags: u32,
) -> SysResult {
    let times = if times.is_null() { None } else { Some(ctx.mm().read::<[Timespec; 2]>(times)?) };
    if times.is_some_and(|times| times.iter().all(|time| time.tv_nsec == UTIME_OMIT)) {
        // Nothing to do: not even the path is looked at.
        return Ok(0);
    }
    let cred = ctx.task().cred();
    let path = if path.is_null() && dirfd != AT_FDCWD {
        if flags != 0 {
            return Err(EINVAL.into());
        }
        ctx.file(dirfd)?.path().clone()
    } else {
        if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
            return Err(EINVAL.into());
        }
        paths::start(ctx, dirfd, path)?.resolve(ctx, flags)?
    };
    let (atime, mtime) = match times {
        None => (NewTime::Now, NewTime::Now),
        Some([atime, mtime]) => (new_time(atime)?, new_time(mtime)?),
    };
    attr::utimens(&path, &cred, atime, mtime)?;
    Ok(0)
}

fn from_timevals(ctx: &Ctx<'_>, times: UserAddr) -> Result<(NewTime, NewTime), Errno> {
    if times.is_null() {
        return Ok((NewTime::Now, NewTime::Now));
    }
    let read = ctx.mm().read::<[Timeval; 2]>(times)?;
    let convert = |time: Timeval| {
        let usec = u32::try_from(time.tv_usec).ok().filter(|&usec| usec < 1_000_000);
        let usec = usec.ok_or(EINVAL)?;
        Ok::<_, Errno>(NewTime::At(FileTime { sec: time.tv_sec, nsec: usec * 1000 }))
    };
    let [atime, mtime] = read;
    Ok((convert(atime)?, convert(mtime)?))
}

/// `utimes(2)`.
///
/// # Errors
/// As [`utimensat`].
pub fn utimes(ctx: &mut Ctx<'_>, path: UserAddr, times: UserAddr) -> SysResult {
    futimesat(ctx, AT_FDCWD, path, times)
}

/// `futimesat(2)`.
///
/// # Errors
/// As [`utimensat`].
pub fn futimesat(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, times: UserAddr) -> SysResult {
    let (atime, mtime) = from_timevals(ctx, times)?;
    let start = paths::start(ctx, dirfd, path)?;
    attr::utimens(&start.resolve(ctx, 0)?, start.cred(), atime, mtime)?;
    Ok(0)
}

/// `utime(2)`.
///
/// # Errors
/// As [`utimensat`].
pub fn utime(ctx: &mut Ctx<'_>, path: UserAddr, times: UserAddr) -> SysResult {
    let (atime, mtime) = if times.is_null() {
        (NewTime::Now, NewTime::Now)
    } else {
        let times = ctx.mm().read::<Utimbuf>(times)?;
        let at = |sec| NewTime::At(FileTime { sec, nsec: 0 });
        (at(times.actime), at(times.modtime))
    };
    let start = paths::start(ctx, AT_FDCWD, path)?;
    attr::utimens(&start.resolve(ctx, 0)?, start.cred(), atime, mtime)?;
    Ok(0)
}

/// A size argument, checked against `RLIMIT_FSIZE` for growth.
fn new_size(ctx: &Ctx<'_>, size: i64) -> Result<u64, Errno> {
    let size = u64::try_from(size).map_err(|_| EINVAL)?;
    if size > ctx.task().group.limits.soft(limits::FSIZE) {
        signal::send::to_task(ctx.task(), Info::kernel(SIGXFSZ));
        return Err(EFBIG.because("RLIMIT_FSIZE"));
    }
    Ok(size)
}

/// `truncate(2)`.
///
/// # Errors
/// `EACCES`, `EFBIG`, `EINVAL`, `EISDIR`, `EPERM`, `EROFS`, `ETXTBSY`, and those of paths.
pub fn truncate(ctx: &mut Ctx<'_>, path: UserAddr, size: i64) -> SysResult {
    let size = new_size(ctx, size)?;
    let start = paths::start(ctx, AT_FDCWD, path)?;
    attr::truncate(&start.resolve(ctx, 0)?, start.cred(), size)?;
    Ok(0)
}

/// `ftruncate(2)`.
///
/// # Errors
/// `EBADF`, `EFBIG`, `EINVAL`, `EPERM`.
pub fn ftruncate(ctx: &mut Ctx<'_>, fd: i32, size: i64) -> SysResult {
    let size = new_size(ctx, size)?;
    let file = ctx.file(fd)?;
    if !file.flags().writable() {
        return Err(EINVAL.because("not open for writing").into());
    }
    file.check_right(LANDLOCK_ACCESS_FS_TRUNCATE)?;
    let happened = attr::take_privileges(file.path(), &ctx.task().cred())?;
    file.ops().truncate(&file, size)?;
    notify::file(&file, IN_MODIFY | happened);
    Ok(0)
}

/// Whether `fallocate(2)` knows a mode; it says so before it looks at the file.
const fn known_mode(mode: u32) -> bool {
    let what = mode & !FALLOC_FL_KEEP_SIZE;
    let keeps = mode & FALLOC_FL_KEEP_SIZE != 0;
    match what {
        0 | FALLOC_FL_ZERO_RANGE | FALLOC_FL_UNSHARE_RANGE => true,
        FALLOC_FL_PUNCH_HOLE => keeps,
        FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE => !keeps,
        _ => false,
    }
}

/// `fallocate(2)`.
///
/// # Errors
/// `EBADF`, `EFBIG`, `EINVAL`, `EISDIR`, `ENODEV`, `ENOSPC`, `EOPNOTSUPP`, `EPERM`, `ESPIPE`.
pub fn fallocate(ctx: &mut Ctx<'_>, fd: i32, mode: u32, offset: i64, len: i64) -> SysResult {
    let file = ctx.file(fd)?;
    let offset = u64::try_from(offset).map_err(|_| EINVAL)?;
    let len = u64::try_from(len).ok().filter(|&len| len > 0).ok_or(EINVAL)?;
    if !known_mode(mode) {
        return Err(EOPNOTSUPP.into());
    }
    if !file.flags().writable() {
        return Err(EBADF.into());
    }
    match file.path().dentry.kind() {
        FileType::Fifo => return Err(ESPIPE.into()),
        FileType::Directory => return Err(EISDIR.into()),
        FileType::Regular | FileType::BlockDevice => {}
        _ => return Err(ENODEV.into()),
    }
    let end = offset.checked_add(len).and_then(|end| i64::try_from(end).ok()).ok_or(EFBIG)?;
    if mode & FALLOC_FL_KEEP_SIZE == 0 {
        new_size(ctx, end)?;
    }
    attr::remove_privileges_of_written(&file, &ctx.task().cred())?;
    match file.ops().fallocate(mode, offset, len) {
        // A file by its kind, but of a file system that gives no room.
        Err(errno) if errno == ENODEV && !file.ops().is_stream() => return Err(EOPNOTSUPP.into()),
        result => result?,
    }
    notify::file(&file, IN_MODIFY);
    Ok(0)
}
