//! `pipe(2)`.

use bevor_abi::errno::{EBADF, EINVAL, ENOPKG};
use bevor_abi::fcntl::{O_CLOEXEC, O_DIRECT, O_EXCL, O_NONBLOCK};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::file::{File, OpenFlags};
use bevor_vfs::pipe;

/// Asks for messages of the kernel's in the place of bytes.
const O_NOTIFICATION_PIPE: u32 = O_EXCL;

/// `pipe(2)`.
///
/// # Errors
/// `EFAULT`, `EMFILE`.
pub fn pipe(ctx: &mut Ctx<'_>, fds: UserAddr) -> SysResult {
    pipe2(ctx, fds, 0)
}

/// `pipe2(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EMFILE`, `ENOPKG`.
pub fn pipe2(ctx: &mut Ctx<'_>, fds: UserAddr, flags: u32) -> SysResult {
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_DIRECT | O_NOTIFICATION_PIPE) != 0 {
        return Err(EINVAL.into());
    }
    if flags & O_NOTIFICATION_PIPE != 0 {
        return Err(ENOPKG.because("no watch queues").into());
    }
    let cred = ctx.task().cred();
    let (reader, writer) = pipe::pair(&cred, OpenFlags(flags & !O_CLOEXEC));
    let close_on_exec = flags & O_CLOEXEC != 0;
    let first = ctx.install(reader, close_on_exec)?;
    let second = ctx.install(writer, close_on_exec).inspect_err(|_| {
        drop(ctx.files().remove(first));
    })?;
    if let Err(errno) = ctx.mm().write(fds, &[first, second]) {
        drop(ctx.files().remove(first));
        drop(ctx.files().remove(second));
        return Err(errno.into());
    }
    Ok(0)
}

/// `fcntl(F_SETPIPE_SZ)`, `fcntl(F_GETPIPE_SZ)`.
///
/// # Errors
/// `EBADF` for what is no pipe; `EBUSY`, `EINVAL`, `EPERM`.
pub fn size(ctx: &Ctx<'_>, file: &File, set: bool, bytes: u64) -> SysResult {
    let pipe = file.downcast::<pipe::PipeEnd>().ok_or(EBADF)?.pipe();
    if set {
        return Ok(pipe.set_capacity(bytes, &ctx.task().cred())? as u64);
    }
    Ok(pipe.capacity() as u64)
}
