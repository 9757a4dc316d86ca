//! `kcmp(2)`.

use bevor_abi::conv::{as_i32, low_u32, usize_of_u32};
use bevor_abi::errno::{EBADF, EINVAL, ENOENT, EPERM, ESRCH};
use bevor_abi::sched::{
    KCMP_EPOLL_TFD, KCMP_FILE, KCMP_FILES, KCMP_FS, KCMP_IO, KCMP_SIGHAND, KCMP_SYSVSEM, KCMP_VM,
};
use bevor_kernel::{Ctx, SysResult, Task};
use bevor_memory::UserAddr;
use bevor_vfs::event::Epoll;
use std::cmp;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `kcmp(2)`: 0 for the same object, 1 and 2 for an order, 3 for different ones without order.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`, `ENOENT`, `EPERM`, `ESRCH`.
pub fn kcmp(
    ctx: &mut Ctx<'_>,
    pid1: i32,
    pid2: i32,
    kind: u32,
    index1: u64,
    index2: u64,
) -> SysResult {
    let one = thread(ctx, pid1)?;
    let other = thread(ctx, pid2)?;
    let same = match kind {
        KCMP_FILE => {
            let (one, other) = (file_id(&one, index1)?, file_id(&other, index2)?);
            return Ok(order(one.cmp(&other)));
        }
        KCMP_VM => {
            let (one, other) = (one.mm().ok_or(ESRCH)?, other.mm().ok_or(ESRCH)?);
            return Ok(order(one.id().cmp(&other.id())));
        }
        KCMP_FILES => {
            let (one, other) = (one.files().ok_or(ESRCH)?, other.files().ok_or(ESRCH)?);
            Arc::ptr_eq(&one, &other)
        }
        KCMP_FS => Arc::ptr_eq(&one.fs(), &other.fs()),
        KCMP_SIGHAND => Arc::ptr_eq(&one.group.handlers(), &other.group.handlers()),
        KCMP_IO => Arc::ptr_eq(&one, &other),
        KCMP_SYSVSEM => {
            // A list of undone operations is made by the first; before, nobody has one.
            let list = |task: &Task| {
                let group = &task.group;
                if group.has_sem_undo.load(Ordering::Relaxed) { group.id() } else { 0 }
            };
            return Ok(order(list(&one).cmp(&list(&other))));
        }
        KCMP_EPOLL_TFD => {
            let [instance, target, skip] = ctx.mm().read::<[u32; 3]>(UserAddr(index2))?;
            let file = file_id(&one, index1)?;
            let instance = other.files().ok_or(EBADF)?.get(instance.cast_signed())?;
            let instance = instance.downcast::<Epoll>().ok_or(EINVAL)?;
            let watched = instance.watched(target.cast_signed(), usize_of_u32(skip));
            return Ok(order(file.cmp(&watched.ok_or(ENOENT)?)));
        }
        _ => return Err(EINVAL.into()),
    };
    Ok(if same { 0 } else { 3 })
}

fn thread(ctx: &Ctx<'_>, pid: i32) -> Result<Arc<Task>, bevor_abi::Errno> {
    // Unlike elsewhere, 0 does not name the caller.
    let found = if pid > 0 { crate::target::thread(ctx, pid) } else { None };
    let task = found.ok_or(ESRCH)?;
    if ctx.task().may_inspect(&task) { Ok(task) } else { Err(EPERM.into()) }
}

fn file_id(task: &Task, fd: u64) -> Result<u64, bevor_abi::Errno> {
    let fd = if fd > u64::from(low_u32(fd)) { -1 } else { as_i32(fd) };
    Ok(task.files().ok_or(EBADF)?.get_any(fd)?.id())
}

fn order(ordering: cmp::Ordering) -> u64 {
    match ordering {
        cmp::Ordering::Equal => 0,
        cmp::Ordering::Less => 1,
        cmp::Ordering::Greater => 2,
    }
}
