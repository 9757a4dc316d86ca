//! Writing out and reading ahead: `sync(2)`, `sync_file_range(2)`, `posix_fadvise(2)`,
//! `readahead(2)`.

use bevor_abi::errno::{EBADF, EINVAL, ESPIPE};
use bevor_abi::fcntl::{
    POSIX_FADV_NOREUSE, SYNC_FILE_RANGE_WAIT_AFTER, SYNC_FILE_RANGE_WAIT_BEFORE,
    SYNC_FILE_RANGE_WRITE,
};
use bevor_kernel::{Ctx, SysResult};
use bevor_vfs::FileType;

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
