//! Signals that tell of readiness (`fcntl(2)`, "Managing signals").

use bevor_abi::conv::{as_i32, sign_extend};
use bevor_abi::errno::{EINVAL, ESRCH};
use bevor_kernel::pid::Pid;
use bevor_kernel::signal::io::{IoOwner, OwnerKind};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::caller::Caller;
use bevor_vfs::fasync::Receiver;
use bevor_vfs::file::File;
use std::sync::Arc;

/// `fcntl` command.
pub const F_SETOWN: u32 = 8;
/// `fcntl` command.
pub const F_GETOWN: u32 = 9;
/// `fcntl` command.
pub const F_SETSIG: u32 = 10;
/// `fcntl` command.
pub const F_GETSIG: u32 = 11;
/// `fcntl` command.
pub const F_SETOWN_EX: u32 = 15;
/// `fcntl` command.
pub const F_GETOWN_EX: u32 = 16;
/// `fcntl` command.
pub const F_GETOWNER_UIDS: u32 = 17;

const fn kind_of(number: i32) -> Option<OwnerKind> {
    match number {
        0 => Some(OwnerKind::Thread),
        1 => Some(OwnerKind::Process),
        2 => Some(OwnerKind::Group),
        _ => None,
    }
}

const fn number_of(kind: OwnerKind) -> i32 {
    match kind {
        OwnerKind::Thread => 0,
        OwnerKind::Process => 1,
        OwnerKind::Group => 2,
    }
}

/// The caller's process as an owner.
pub fn own_process(ctx: &Ctx<'_>) -> Arc<dyn Receiver> {
    let task = ctx.task();
    IoOwner::new(OwnerKind::Process, Some(task.group.pid.clone()), task)
}

/// Sets or clears `O_ASYNC`; answers whether files of this kind have it.
pub fn switch(ctx: &Ctx<'_>, file: &File, fd: i32, on: bool) -> bool {
    let done = file.set_async(fd, on);
    if done
        && on
        && let Some(terminal) = file.ops().async_terminal()
    {
        let foreground = ctx.terminal().foreground(terminal);
        let group = ctx.task().pid().namespace().find(foreground);
        file.owner().set_default(|| match group {
            Some(group) => IoOwner::new(OwnerKind::Group, Some(group), ctx.task()),
            None => own_process(ctx),
        });
    }
    done
}

/// The commands about who gets which signal.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `ESRCH`.
pub fn owner(ctx: &Ctx<'_>, file: &File, command: u32, arg: u64) -> SysResult {
    match command {
        F_SETOWN => {
            let id = as_i32(arg);
            let kind = if id < 0 { OwnerKind::Group } else { OwnerKind::Process };
            set(ctx, file, kind, id.checked_abs().ok_or(EINVAL)?)
        }
        F_GETOWN => {
            let (kind, id) = get(ctx, file);
            Ok(sign_extend(if kind == OwnerKind::Group { -id } else { id }))
        }
        F_SETOWN_EX => {
            let [kind, id] = ctx.mm().read::<[i32; 2]>(UserAddr(arg))?;
            set(ctx, file, kind_of(kind).ok_or(EINVAL)?, id)
        }
        F_GETOWN_EX => {
            let (kind, id) = get(ctx, file);
            ctx.mm().write(UserAddr(arg), &[number_of(kind), id])?;
            Ok(0)
        }
        F_GETOWNER_UIDS => {
            let cred = ctx.task().cred();
            let uids = with(file, |owner| [owner.uid, owner.euid]).unwrap_or_default();
            let shown = uids.map(|uid| cred.user_ns.uid_out(uid));
            ctx.mm().write(UserAddr(arg), &shown)?;
            Ok(0)
        }
        F_SETSIG => {
            let signo = as_i32(arg);
            if !(0..=64).contains(&signo) {
                return Err(EINVAL.into());
            }
            file.owner().set_signo(signo);
            Ok(0)
        }
        _ => {
            let signo = file.known_owner().map_or(0, |owner| owner.signo());
            Ok(u64::from(signo.cast_unsigned()))
        }
    }
}

fn set(ctx: &Ctx<'_>, file: &File, kind: OwnerKind, id: i32) -> SysResult {
    let pid: Option<Arc<Pid>> = match id {
        0 => None,
        _ => Some(ctx.task().pid().namespace().find(id).ok_or(ESRCH)?),
    };
    file.owner().set_receiver(Some(IoOwner::new(kind, pid, ctx.task())));
    Ok(0)
}

fn with<T>(file: &File, look: impl FnOnce(&IoOwner) -> T) -> Option<T> {
    let receiver = file.known_owner()?.receiver()?;
    receiver.as_any().downcast_ref().map(look)
}

fn get(ctx: &Ctx<'_>, file: &File) -> (OwnerKind, i32) {
    let ns = ctx.task().pid().namespace().clone();
    with(file, |owner| (owner.kind, owner.number(&ns))).unwrap_or((OwnerKind::Thread, 0))
}
