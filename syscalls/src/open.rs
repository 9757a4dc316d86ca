//! `open(2)`, `openat2(2)`, `creat(2)`, `close(2)`, `close_range(2)`.

use crate::paths;
use bevor_abi::Errno;
use bevor_abi::errno::{E2BIG, EAGAIN, EINVAL};
use bevor_abi::fcntl::{
    __O_TMPFILE, AT_FDCWD, CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE, O_CLOEXEC, O_CREAT,
    O_LARGEFILE, O_PATH, O_TMPFILE, O_TRUNC, O_WRONLY, OpenHow, RESOLVE_BENEATH, RESOLVE_CACHED,
    RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV,
};
use bevor_base::Ready;
use bevor_kernel::block::Source;
use bevor_kernel::{Block, Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::At;
use bevor_vfs::file::OpenFlags;
use bevor_vfs::namei;
use zerocopy::FromBytes;

/// Every flag of `open(2)`; others are ignored by `openat` and refused by `openat2`.
const VALID_FLAGS: u32 = 0o37_777_703;

fn do_open(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    flags: u32,
    mode: u32,
    resolve: u64,
) -> SysResult {
    let file = match ctx.resumed().and_then(|block| block.sources.first()) {
        // A fifo that was opened already and waits for its other end.
        Some((Source::File(file), _)) => file.clone(),
        _ => {
            let large = if flags & O_PATH == 0 { O_LARGEFILE } else { 0 };
            let how = namei::OpenHow { flags: OpenFlags(flags | large), mode }.checked()?;
            let start = paths::start(ctx, dirfd, path)?;
            let at = At { resolve, ..start.at(ctx) };
            namei::open(&at, &start.path, how)?
        }
    };
    if namei::waits_for_peer(&file) {
        return Err(Block::on_file(&file, Ready::ALL).into());
    }
    file.opened();
    let fd = ctx.install(file, flags & O_CLOEXEC != 0)?;
    Ok(u64::from(fd.cast_unsigned()))
}

/// `open(2)`.
///
/// # Errors
/// As [`openat`].
pub fn open(ctx: &mut Ctx<'_>, path: UserAddr, flags: u32, mode: u32) -> SysResult {
    openat(ctx, AT_FDCWD, path, flags, mode)
}

/// `creat(2)`.
///
/// # Errors
/// As [`openat`].
pub fn creat(ctx: &mut Ctx<'_>, path: UserAddr, mode: u32) -> SysResult {
    openat(ctx, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode)
}

/// `openat(2)`.
///
/// # Errors
/// `EACCES`, `EBADF`, `EEXIST`, `EFAULT`, `EINVAL`, `EISDIR`, `ELOOP`, `EMFILE`, `ENAMETOOLONG`,
/// `ENFILE`, `ENODEV`, `ENOENT`, `ENOSPC`, `ENOTDIR`, `ENXIO`, `EOPNOTSUPP`, `EPERM`, `EROFS`,
/// `ETXTBSY`.
pub fn openat(ctx: &mut Ctx<'_>, dirfd: i32, path: UserAddr, flags: u32, mode: u32) -> SysResult {
    do_open(ctx, dirfd, path, flags & VALID_FLAGS, mode & 0o7777, 0)
}

/// `openat2(2)`.
///
/// # Errors
/// As [`openat`], `E2BIG`, `EXDEV`, `EAGAIN`.
pub fn openat2(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    how: UserAddr,
    size: usize,
) -> SysResult {
    let how = read_how(ctx, how, size)?;
    let flags = u32::try_from(how.flags).map_err(|_| EINVAL)?;
    let known = RESOLVE_BENEATH
        | RESOLVE_CACHED
        | RESOLVE_IN_ROOT
        | RESOLVE_NO_MAGICLINKS
        | RESOLVE_NO_SYMLINKS
        | RESOLVE_NO_XDEV;
    if flags & !VALID_FLAGS != 0 || how.resolve & !known != 0 {
        return Err(EINVAL.into());
    }
    if how.resolve & RESOLVE_BENEATH != 0 && how.resolve & RESOLVE_IN_ROOT != 0 {
        return Err(EINVAL.into());
    }
    let creates = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
    let mode = u32::try_from(how.mode).map_err(|_| EINVAL)?;
    if (!creates && mode != 0) || mode & !0o7777 != 0 {
        return Err(EINVAL.into());
    }
    let with_path = bevor_abi::fcntl::O_DIRECTORY | bevor_abi::fcntl::O_NOFOLLOW | O_CLOEXEC;
    if flags & O_PATH != 0 && flags & !(O_PATH | with_path) != 0 {
        return Err(EINVAL.into());
    }
    if how.resolve & RESOLVE_CACHED != 0 && flags & (O_CREAT | O_TRUNC | __O_TMPFILE) != 0 {
        return Err(EAGAIN.because("not from the cache alone").into());
    }
    do_open(ctx, dirfd, path, flags, mode, how.resolve)
}

fn read_how(ctx: &Ctx<'_>, at: UserAddr, size: usize) -> Result<OpenHow, Errno> {
    let own = size_of::<OpenHow>();
    if size < own {
        return Err(EINVAL.into());
    }
    if size > 4096 {
        return Err(E2BIG.into());
    }
    let mut bytes = vec![0; size];
    ctx.mm().read_bytes(at, &mut bytes)?;
    let (how, rest) = OpenHow::read_from_prefix(&bytes).map_err(|_| EINVAL)?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(E2BIG.into());
    }
    Ok(how)
}

/// `close(2)`.
///
/// # Errors
/// `EBADF`, `EIO`.
pub fn close(ctx: &mut Ctx<'_>, fd: i32) -> SysResult {
    let file = ctx.files().remove(fd)?;
    crate::fd::closed(ctx, &file)?;
    Ok(0)
}

/// `close_range(2)`.
///
/// # Errors
/// `EINVAL`.
pub fn close_range(ctx: &mut Ctx<'_>, first: u32, last: u32, flags: u32) -> SysResult {
    if flags & !(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) != 0 || first > last {
        return Err(EINVAL.into());
    }
    if flags & CLOSE_RANGE_UNSHARE != 0 {
        let own = ctx.files().duplicate();
        ctx.task().set_files(Some(own.clone()));
        ctx.machine.files = own;
    }
    if flags & CLOSE_RANGE_CLOEXEC != 0 {
        ctx.files().set_close_on_exec_range(first, last);
        return Ok(0);
    }
    for file in ctx.files().remove_range(first, last) {
        // As on Linux, errors of single files are not told.
        let _ = crate::fd::closed(ctx, &file);
    }
    Ok(0)
}
