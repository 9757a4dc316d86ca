//! Writing out and reading ahead: `sync(2)`, `sync_file_range(2)`, `posix_fadvise(2)`,
//! `readahead(2)`.

use bevor_abi::errno::{EBADF, EINVAL, EPERM, ESPIPE};
use bevor_abi::fcntl::{
    POSIX_FADV_NOREUSE, SYNC_FILE_RANGE_WAIT_AFTER, SYNC_FILE_RANGE_WAIT_BEFORE,
    SYNC_FILE_RANGE_WRITE,
};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::{PAGE_SIZE, UserAddr};
use bevor_vfs::FileType;
use bevor_vfs::inode::MAY_WRITE;
use bevor_vfs::namei::perm;

/// `sync(2)`: writes out every file system the caller's mount namespace shows.
///
/// # Errors
/// None.
pub fn sync(ctx: &mut Ctx<'_>) -> SysResult {
    for mount in ctx.task().fs().context().namespace.list() {
        // sync(2) has no way to tell of an error.
        let _ = mount.root().inode().sync_fs();
    }
    Ok(0)
}

/// `cachestat(2)`: how many pages of a range are in memory. None is ever dirty, written back or
/// evicted where that can be told.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`, `EOPNOTSUPP`, `EPERM`.
pub fn cachestat(
    ctx: &mut Ctx<'_>,
    fd: i32,
    range: UserAddr,
    result: UserAddr,
    flags: u32,
) -> SysResult {
    let file = ctx.file(fd)?;
    let [offset, len]: [u64; 2] = ctx.mm().read(range)?;
    let cred = ctx.task().cred();
    let may_ask = file.flags().writable()
        || perm::owner_or_capable(&cred, &file.inode().attr()?)
        || file.inode().permission(&cred, MAY_WRITE).is_ok();
    if !may_ask {
        return Err(EPERM.because("another user's file").into());
    }
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let start = offset / PAGE_SIZE * PAGE_SIZE;
    let end = if len == 0 { u64::MAX } else { offset.saturating_add(len) };
    let end = end.checked_next_multiple_of(PAGE_SIZE).unwrap_or(u64::MAX);
    let cached = file.ops().cached_pages(start..end)?;
    ctx.mm().write(result, &[cached, 0, 0, 0, 0])?;
    Ok(0)
}

/// `sync_file_range(2)`: writes out the whole file's data, which is more than asked.
///
/// # Errors
/// `EBADF`, `EINVAL`, `EIO`, `ESPIPE`.
pub fn sync_file_range(ctx: &mut Ctx<'_>, fd: i32, offset: i64, len: i64, flags: u32) -> SysResult {
    let known = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    if flags & !known != 0 || offset < 0 || len < 0 || offset.checked_add(len).is_none() {
        return Err(EINVAL.into());
    }
    let file = ctx.file(fd)?;
    match file.path().dentry.kind() {
        FileType::Regular | FileType::BlockDevice | FileType::Directory => {
            file.ops().fsync(true)?;
            Ok(0)
        }
        _ => Err(ESPIPE.into()),
    }
}

/// `posix_fadvise(2)`. Advice about caching needs no answer: the host reads ahead by itself.
///
/// # Errors
/// `EBADF`, `EINVAL`, `ESPIPE`.
pub fn fadvise64(ctx: &mut Ctx<'_>, fd: i32, offset: i64, len: i64, advice: u32) -> SysResult {
    let _ = offset;
    let file = ctx.file(fd)?;
    if matches!(file.path().dentry.kind(), FileType::Fifo) {
        return Err(ESPIPE.into());
    }
    if len < 0 || advice > POSIX_FADV_NOREUSE {
        return Err(EINVAL.into());
    }
    Ok(0)
}

/// `readahead(2)`. As with [`fadvise64`], the host reads ahead by itself.
///
/// # Errors
/// `EBADF`, `EINVAL`.
pub fn readahead(ctx: &mut Ctx<'_>, fd: i32, offset: i64, count: usize) -> SysResult {
    let _ = count;
    let file = ctx.file(fd)?;
    if !file.flags().readable() {
        return Err(EBADF.into());
    }
    if file.path().dentry.kind() != FileType::Regular || offset < 0 {
        return Err(EINVAL.into());
    }
    Ok(0)
}
