//! Descriptors of processes: `pidfd_open(2)`, `pidfd_send_signal(2)`, `pidfd_getfd(2)`.

use crate::signal::{self, Scope};
use bevor_abi::Errno;
use bevor_abi::conv::low_u32;
use bevor_abi::errno::{EBADF, EINVAL, EPERM, ESRCH};
use bevor_abi::sched::{
    PIDFD_SIGNAL_PROCESS_GROUP, PIDFD_SIGNAL_THREAD, PIDFD_SIGNAL_THREAD_GROUP,
};
use bevor_base::{Ready, WaitQueue};
use bevor_kernel::group::ThreadGroup;
use bevor_kernel::pid::{Pid, PidNamespace};
use bevor_kernel::{Ctx, Kernel, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::file::{File, FileOps, OpenFlags};
use std::any::Any;
use std::sync::Arc;

/// `PIDFD_NONBLOCK`, the value of `O_NONBLOCK`.
const PIDFD_NONBLOCK: u32 = OpenFlags::NONBLOCK;
/// `O_RDWR`.
const O_RDWR: u32 = 2;

/// What a pidfd refers to.
struct Pidfd {
    kernel: Arc<Kernel>,
    pid: Arc<Pid>,
    group: Arc<ThreadGroup>,
    viewer: Arc<PidNamespace>,
}

impl FileOps for Pidfd {
    fn is_stream(&self) -> bool {
        true
    }

    /// Readable once the process has ended.
    fn poll(&self) -> Ready {
        let tree = self.kernel.tree.lock();
        let ended = tree.node(&self.pid).is_none_or(|node| node.zombie.is_some());
        Ready::READABLE.when(ended)
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.group.exit_wait)
    }

    fn fdinfo(&self) -> String {
        let number = self.pid.number_in(&self.viewer).unwrap_or(-1);
        format!("Pid:\t{number}\nNSpid:\t{number}\n")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The process behind a pidfd; `None` if the file is none.
#[must_use]
pub fn pid_of(file: &File) -> Option<Arc<Pid>> {
    file.downcast::<Pidfd>().map(|pidfd| pidfd.pid.clone())
}

/// Makes a pidfd in the caller's table, for a process that may not be in the tree yet
/// (`CLONE_PIDFD`).
///
/// # Errors
/// `EMFILE`.
pub fn make(ctx: &Ctx<'_>, group: &Arc<ThreadGroup>) -> Result<i32, Errno> {
    install(ctx, group.clone(), 0)
}

fn install(ctx: &Ctx<'_>, group: Arc<ThreadGroup>, flags: u32) -> Result<i32, Errno> {
    let pidfd = Pidfd {
        kernel: ctx.kernel().clone(),
        pid: group.pid.clone(),
        group,
        viewer: ctx.task().pid().namespace().clone(),
    };
    let file = bevor_vfs::anon::file(Box::new(pidfd), "[pidfd]", OpenFlags(O_RDWR | flags));
    ctx.install(file, true)
}

/// `pidfd_open(2)`.
///
/// # Errors
/// `EINVAL`, `ESRCH`, `EMFILE`.
pub fn pidfd_open(ctx: &mut Ctx<'_>, pid: i32, flags: u32) -> SysResult {
    if pid <= 0 || flags & !PIDFD_NONBLOCK != 0 {
        return Err(EINVAL.into());
    }
    let target = ctx.task().pid().namespace().find(pid).ok_or(ESRCH)?;
    let group = {
        let tree = ctx.kernel().tree.lock();
        match tree.node(&target) {
            Some(node) => node.group.clone(),
            None if tree.task(&target).is_some() => {
                return Err(EINVAL.because("a thread that leads no process").into());
            }
            None => return Err(ESRCH.into()),
        }
    };
    Ok(u64::from(install(ctx, group, flags)?.cast_unsigned()))
}

/// `pidfd_send_signal(2)`.
///
/// # Errors
/// `EBADF`, `EINVAL`, `EPERM`, `ESRCH`, `EFAULT`.
pub fn pidfd_send_signal(
    ctx: &mut Ctx<'_>,
    fd: i32,
    signo: i32,
    info: UserAddr,
    flags: u64,
) -> SysResult {
    let scope = match low_u32(flags) {
        0 | PIDFD_SIGNAL_THREAD_GROUP => Scope::Process,
        PIDFD_SIGNAL_THREAD => Scope::Thread,
        PIDFD_SIGNAL_PROCESS_GROUP => Scope::ProcessGroup,
        _ => return Err(EINVAL.into()),
    };
    let file = ctx.file(fd)?;
    // A directory of procfs names its process, too.
    let by_directory = || file.inode().as_any().downcast_ref::<Arc<Pid>>().cloned();
    let pid = pid_of(&file).or_else(by_directory).ok_or(EBADF)?;
    signal::to_pid(ctx, &pid, scope, signo, info)
}

/// `pidfd_getfd(2)`.
///
/// # Errors
/// `EBADF`, `EINVAL`, `EPERM`, `ESRCH`, `EMFILE`.
pub fn pidfd_getfd(ctx: &mut Ctx<'_>, fd: i32, target_fd: i32, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let file = ctx.file(fd)?;
    let pid = pid_of(&file).ok_or(EBADF)?;
    let target = ctx.kernel().tree.lock().task(&pid).cloned().ok_or(ESRCH)?;
    if !ctx.task().may_inspect(&target) {
        return Err(EPERM.into());
    }
    let stolen = target.files().ok_or(ESRCH)?.get_any(target_fd)?;
    Ok(u64::from(ctx.install(stolen, true)?.cast_unsigned()))
}
