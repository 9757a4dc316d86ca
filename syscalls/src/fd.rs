//! Descriptors: `dup(2)`, `fcntl(2)`, `ioctl(2)`, `fsync(2)`.

use crate::async_io::{
    F_GETOWN, F_GETOWN_EX, F_GETOWNER_UIDS, F_GETSIG, F_SETOWN, F_SETOWN_EX, F_SETSIG,
};
use bevor_abi::Errno;
use bevor_abi::cap::CAP_LEASE;
use bevor_abi::conv::{as_i32, low_u32, sign_extend};
use bevor_abi::errno::{EACCES, EBADF, EINVAL, ENOTTY};
use bevor_abi::ioctl::FIONREAD;
use bevor_abi::landlock::LANDLOCK_ACCESS_FS_IOCTL_DEV;
use bevor_kernel::{Ctx, SysResult, limits};
use bevor_memory::UserAddr;
use bevor_vfs::event::dnotify;
use bevor_vfs::file::{File, OpenFlags};
use bevor_vfs::inode::FileType;
use std::sync::Arc;

/// Tells a file that a descriptor of it was closed, and drops the caller's record locks on it.
///
/// # Errors
/// `EIO`, `ENOSPC` from the file's flush.
pub fn closed(ctx: &Ctx<'_>, file: &Arc<File>) -> Result<(), Errno> {
    if file.flags().has(OpenFlags::PATH) {
        return Ok(());
    }
    crate::locks::release_posix(ctx, file);
    crate::mqueue::closed(ctx, file);
    dnotify::closed(file, ctx.files().id());
    file.ops().flush(file)
}

fn number(fd: i32) -> SysResult {
    Ok(u64::from(fd.cast_unsigned()))
}

/// `dup(2)`.
///
/// # Errors
/// `EBADF`, `EMFILE`.
pub fn dup(ctx: &mut Ctx<'_>, fd: i32) -> SysResult {
    let file = ctx.files().get_any(fd)?;
    number(ctx.install(file, false)?)
}

/// `dup2(2)`.
///
/// # Errors
/// `EBADF`.
pub fn dup2(ctx: &mut Ctx<'_>, old: i32, new: i32) -> SysResult {
    if old == new {
        ctx.files().get_any(old)?;
        return number(new);
    }
    duplicate(ctx, old, new, false)
}

/// `dup3(2)`.
///
/// # Errors
/// `EBADF`, `EINVAL`.
pub fn dup3(ctx: &mut Ctx<'_>, old: i32, new: i32, flags: u32) -> SysResult {
    if old == new || flags & !bevor_abi::fcntl::O_CLOEXEC != 0 {
        return Err(EINVAL.into());
    }
    duplicate(ctx, old, new, flags != 0)
}

fn duplicate(ctx: &Ctx<'_>, old: i32, new: i32, close_on_exec: bool) -> SysResult {
    let file = ctx.files().get_any(old)?;
    let limit = ctx.task().group.limits.soft(limits::NOFILE);
    let replaced = ctx.files().replace(new, file, close_on_exec, limit)?;
    if let Some(replaced) = replaced {
        // As on Linux, errors of the implicit close are lost.
        let _ = closed(ctx, &replaced);
    }
    number(new)
}

const F_DUPFD: u32 = 0;
const F_GETFD: u32 = 1;
const F_SETFD: u32 = 2;
const F_GETFL: u32 = 3;
const F_SETFL: u32 = 4;
const F_GETLK: u32 = 5;
const F_SETLK: u32 = 6;
const F_SETLKW: u32 = 7;
const F_OFD_GETLK: u32 = 36;
const F_OFD_SETLK: u32 = 37;
const F_OFD_SETLKW: u32 = 38;
const F_SETLEASE: u32 = 1024;
const F_GETLEASE: u32 = 1025;
const F_NOTIFY: u32 = 1026;
const F_DUPFD_QUERY: u32 = 1027;
const F_DUPFD_CLOEXEC: u32 = 1030;
const F_SETPIPE_SZ: u32 = 1031;
const F_GETPIPE_SZ: u32 = 1032;
const F_ADD_SEALS: u32 = 1033;
const F_GET_SEALS: u32 = 1034;
/// `F_UNLCK`.
const F_UNLCK: u64 = 2;

/// `fcntl(2)`.
///
/// # Errors
/// `EACCES`, `EAGAIN`, `EBADF`, `EBUSY`, `EDEADLK`, `EFAULT`, `EINTR`, `EINVAL`, `EMFILE`,
/// `ENOLCK`, `EPERM`.
pub fn fcntl(ctx: &mut Ctx<'_>, fd: i32, command: u32, arg: u64) -> SysResult {
    let file = ctx.files().get_any(fd)?;
    let allowed_on_path =
        matches!(command, F_DUPFD | F_DUPFD_CLOEXEC | F_DUPFD_QUERY | F_GETFD | F_SETFD | F_GETFL);
    if file.flags().has(OpenFlags::PATH) && !allowed_on_path {
        return Err(EBADF.because("O_PATH descriptor").into());
    }
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let low = as_i32(arg);
            let limit = ctx.task().group.limits.soft(limits::NOFILE);
            if u64::try_from(low).is_ok_and(|low| low < limit) {
                let close_on_exec = command == F_DUPFD_CLOEXEC;
                return number(ctx.files().install(file, close_on_exec, low, limit)?);
            }
            Err(EINVAL.into())
        }
        F_GETFD => Ok(u64::from(ctx.files().close_on_exec(fd)?)),
        F_SETFD => {
            ctx.files().set_close_on_exec(fd, arg & 1 != 0)?;
            Ok(0)
        }
        F_GETFL => Ok(u64::from(file.flags().0 | crate::pidfd::shown_flags(&file))),
        F_DUPFD_QUERY => {
            let other = ctx.files().get_any(as_i32(arg)).map_err(|_| EBADF)?;
            Ok(u64::from(other.id() == file.id()))
        }
        F_SETFL => {
            let wanted = OpenFlags(low_u32(arg));
            let on = wanted.has(OpenFlags::ASYNC);
            if on != file.flags().has(OpenFlags::ASYNC) {
                crate::async_io::switch(ctx, &file, fd, on);
            }
            file.set_status(wanted);
            Ok(0)
        }
        F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => {
            crate::locks::fcntl(ctx, &file, command, UserAddr(arg))
        }
        F_SETOWN | F_GETOWN | F_SETOWN_EX | F_GETOWN_EX | F_SETSIG | F_GETSIG | F_GETOWNER_UIDS => {
            crate::async_io::owner(ctx, &file, command, arg)
        }
        F_NOTIFY => {
            if dnotify::set(&file, fd, ctx.files().id(), low_u32(arg))? {
                file.owner().set_default(|| crate::async_io::own_process(ctx));
            }
            Ok(0)
        }
        F_GETLEASE => Ok(F_UNLCK),
        F_SETLEASE if arg == F_UNLCK => Err(bevor_abi::errno::EAGAIN.into()),
        F_SETLEASE => Err(refuse_lease(ctx, &file, arg)?.into()),
        F_SETPIPE_SZ | F_GETPIPE_SZ => crate::pipe::size(ctx, &file, command == F_SETPIPE_SZ, arg),
        F_ADD_SEALS | F_GET_SEALS => crate::memfd::seals(&file, command == F_ADD_SEALS, arg),
        _ => Err(EINVAL.into()),
    }
}

/// Why there is no lease: as on Linux for file systems that cannot keep one.
fn refuse_lease(ctx: &Ctx<'_>, file: &File, kind: u64) -> Result<Errno, Errno> {
    let cred = ctx.task().cred();
    if kind < F_UNLCK && file.inode().attr()?.uid != cred.fsuid && !cred.has_cap(CAP_LEASE) {
        return Ok(EACCES.into());
    }
    Ok(EINVAL.because("leases are not offered"))
}

const FIONCLEX: u32 = 0x5450;
const FIOCLEX: u32 = 0x5451;
const FIONBIO: u32 = 0x5421;
const FIOASYNC: u32 = 0x5452;
const FIOSETOWN: u32 = 0x8901;
const SIOCSPGRP: u32 = 0x8902;
const FIOGETOWN: u32 = 0x8903;
const SIOCGPGRP: u32 = 0x8904;
const FIGETBSZ: u32 = 2;
const FIOQSIZE: u32 = 0x5460;

fn is_socket(file: &File) -> bool {
    file.inode().file_type() == FileType::Socket
}

/// `ioctl(2)`: the commands every file knows, then the file's own.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`, `ENOTTY`.
pub fn ioctl(ctx: &mut Ctx<'_>, fd: i32, command: u32, arg: u64) -> SysResult {
    let file = ctx.file(fd)?;
    let switch = |flag: u32| -> Result<(), Errno> {
        let on = ctx.mm().read::<i32>(UserAddr(arg))? != 0;
        let flags = file.flags().0;
        file.set_status(OpenFlags(if on { flags | flag } else { flags & !flag }));
        Ok(())
    };
    match command {
        FIOCLEX | FIONCLEX => ctx.files().set_close_on_exec(fd, command == FIOCLEX)?,
        FIONBIO => switch(OpenFlags::NONBLOCK)?,
        FIOASYNC => {
            let on = ctx.mm().read::<i32>(UserAddr(arg))? != 0;
            let change = on != file.flags().has(OpenFlags::ASYNC);
            if change && !crate::async_io::switch(ctx, &file, fd, on) {
                return Err(ENOTTY.into());
            }
        }
        FIOSETOWN | SIOCSPGRP if is_socket(&file) => {
            let id = ctx.mm().read::<i32>(UserAddr(arg))?;
            return crate::async_io::owner(ctx, &file, F_SETOWN, sign_extend(id));
        }
        FIOGETOWN | SIOCGPGRP if is_socket(&file) => {
            let id = crate::async_io::owner(ctx, &file, F_GETOWN, 0)?;
            ctx.mm().write(UserAddr(arg), &as_i32(id))?;
        }
        FIGETBSZ => {
            let attr = file.inode().attr()?;
            ctx.mm().write(UserAddr(arg), &attr.blksize)?;
        }
        FIOQSIZE => {
            let size = file.ops().size().map_err(|_| ENOTTY)?;
            ctx.mm().write(UserAddr(arg), &size)?;
        }
        FIONREAD => match file.ops().ioctl(&file, ctx, command, arg) {
            // Of a regular file: what is left behind the position, of which the low bits count.
            Err(errno)
                if errno == ENOTTY
                    && file.path().dentry.kind() == FileType::Regular
                    && !file.ops().is_stream() =>
            {
                let left = file.inode().attr()?.size.wrapping_sub(*file.position());
                ctx.mm().write(UserAddr(arg), &low_u32(left))?;
            }
            other => return Ok(other?),
        },
        _ => {
            let kind = file.path().dentry.kind();
            if matches!(kind, FileType::CharDevice | FileType::BlockDevice) {
                file.check_right(LANDLOCK_ACCESS_FS_IOCTL_DEV)?;
            }
            if let Some(served) = crate::file_attr::ioctl(ctx, &file, command, UserAddr(arg)) {
                return served;
            }
            if let Some(served) = crate::seccomp::ioctl(ctx, &file, command, arg) {
                return served;
            }
            return Ok(file.ops().ioctl(&file, ctx, command, arg)?);
        }
    }
    Ok(0)
}

/// `fsync(2)`.
///
/// # Errors
/// `EBADF`, `EINVAL`, `EIO`, `ENOSPC`.
pub fn fsync(ctx: &mut Ctx<'_>, fd: i32) -> SysResult {
    ctx.file(fd)?.ops().fsync(false)?;
    Ok(0)
}

/// `fdatasync(2)`.
///
/// # Errors
/// As [`fsync`].
pub fn fdatasync(ctx: &mut Ctx<'_>, fd: i32) -> SysResult {
    ctx.file(fd)?.ops().fsync(true)?;
    Ok(0)
}

/// `syncfs(2)`.
///
/// # Errors
/// `EBADF`, `EIO`.
pub fn syncfs(ctx: &mut Ctx<'_>, fd: i32) -> SysResult {
    ctx.files().get_any(fd)?.inode().sync_fs()?;
    Ok(0)
}
