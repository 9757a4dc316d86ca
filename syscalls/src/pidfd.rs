//! Descriptors of processes: `pidfd_open(2)`, `pidfd_send_signal(2)`, `pidfd_getfd(2)`.

mod info;

use crate::signal::{self, Scope};
use bevor_abi::Errno;
use bevor_abi::conv::low_u32;
use bevor_abi::errno::{EACCES, EBADF, EINVAL, ENOENT, ENOTTY, EPERM, ESRCH};
use bevor_abi::fcntl::{PIDFD_SELF_THREAD, PIDFD_SELF_THREAD_GROUP};
use bevor_abi::ioctl::{
    PIDFD_GET_CGROUP_NAMESPACE, PIDFD_GET_IPC_NAMESPACE, PIDFD_GET_MNT_NAMESPACE,
    PIDFD_GET_NET_NAMESPACE, PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE, PIDFD_GET_PID_NAMESPACE,
    PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE, PIDFD_GET_TIME_NAMESPACE, PIDFD_GET_USER_NAMESPACE,
    PIDFD_GET_UTS_NAMESPACE,
};
use bevor_abi::sched::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME,
    CLONE_NEWUSER, CLONE_NEWUTS, PIDFD_SIGNAL_PROCESS_GROUP, PIDFD_SIGNAL_THREAD,
    PIDFD_SIGNAL_THREAD_GROUP, PIDFD_THREAD,
};
use bevor_base::{Ready, WaitQueue};
use bevor_kernel::group::ThreadGroup;
use bevor_kernel::nsfs::Namespace;
use bevor_kernel::pid::{Pid, PidNamespace};
use bevor_kernel::task::Task;
use bevor_kernel::{Ctx, Kernel, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::caller::Caller;
use bevor_vfs::file::{File, FileOps, OpenFlags};
use std::any::Any;
use std::sync::Arc;

/// `PIDFD_NONBLOCK`, the value of `O_NONBLOCK`.
const PIDFD_NONBLOCK: u32 = OpenFlags::NONBLOCK;
/// `O_EXCL`, which the description of a thread's pidfd shows.
const O_EXCL: u32 = 0o200;
/// `O_RDWR`.
const O_RDWR: u32 = 2;

/// What a pidfd refers to.
struct Pidfd {
    kernel: Arc<Kernel>,
    /// The process, or with `is_thread` one thread of it, perhaps its leader.
    pid: Arc<Pid>,
    is_thread: bool,
    group: Arc<ThreadGroup>,
    viewer: Arc<PidNamespace>,
}

impl FileOps for Pidfd {
    fn is_stream(&self) -> bool {
        true
    }

    /// Readable once the process or thread has ended, hung up once nothing is left of it.
    fn poll(&self) -> Ready {
        let tree = self.kernel.tree.lock();
        match tree.node(&self.pid) {
            // Of a leader, too, that ended before its process.
            Some(node) => Ready::READABLE.when(node.zombie.is_some()),
            None if tree.task(&self.pid).is_some() => Ready::NONE,
            None => Ready::READABLE | Ready::HUP,
        }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.group.exit_wait)
    }

    /// Opens a namespace of the process (`ioctl_pidfd(2)`).
    fn ioctl(&self, _file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let own = caller.as_any().downcast_ref::<Task>().ok_or(ENOTTY)?;
        if let Some(size) = info::size_of_command(cmd) {
            return self.tell(own, caller, UserAddr(arg), size);
        }
        let kind = namespace_kind(cmd).ok_or(ENOTTY)?;
        let target = self.kernel.tree.lock().task(&self.pid).cloned().ok_or(ESRCH)?;
        if arg != 0 {
            return Err(EINVAL.into());
        }
        if !own.may_inspect(&target) {
            return Err(EACCES.into());
        }
        if cmd == PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE {
            return Namespace::Pid(target.namespaces().pid_for_children.clone()).install(own);
        }
        let all = Namespace::all_of(&target).into_iter();
        let mut wanted = all.filter(|namespace| namespace.kind() == kind);
        wanted.next().ok_or(ENOTTY)?.install(own)
    }

    fn fdinfo(&self) -> String {
        let tree = self.kernel.tree.lock();
        let is_left = tree.node(&self.pid).is_some() || tree.task(&self.pid).is_some();
        drop(tree);
        let numbers = if is_left { self.pid.numbers_from(&self.viewer) } else { Vec::new() };
        let number = if is_left { numbers.first().copied().unwrap_or(0) } else { -1 };
        let mut text = format!("Pid:\t{number}\nNSpid:\t{number}");
        for inner in numbers.iter().skip(1) {
            text.push_str(&format!("\t{inner}"));
        }
        text.push('\n');
        text
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The `CLONE_NEW*` flag of the namespace a command opens.
const fn namespace_kind(cmd: u32) -> Option<u64> {
    Some(match cmd {
        PIDFD_GET_CGROUP_NAMESPACE => CLONE_NEWCGROUP,
        PIDFD_GET_IPC_NAMESPACE => CLONE_NEWIPC,
        PIDFD_GET_MNT_NAMESPACE => CLONE_NEWNS,
        PIDFD_GET_NET_NAMESPACE => CLONE_NEWNET,
        PIDFD_GET_PID_NAMESPACE | PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE => CLONE_NEWPID,
        PIDFD_GET_TIME_NAMESPACE | PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE => CLONE_NEWTIME,
        PIDFD_GET_USER_NAMESPACE => CLONE_NEWUSER,
        PIDFD_GET_UTS_NAMESPACE => CLONE_NEWUTS,
        _ => return None,
    })
}

/// The process behind a pidfd; `None` if the file is none.
#[must_use]
pub fn pid_of(file: &File) -> Option<Arc<Pid>> {
    file.downcast::<Pidfd>().map(|pidfd| pidfd.pid.clone())
}

/// What `F_GETFL` shows of a pidfd beside the flags all files have.
#[must_use]
pub fn shown_flags(file: &File) -> u32 {
    file.downcast::<Pidfd>().map_or(0, |pidfd| if pidfd.is_thread { O_EXCL } else { 0 })
}

/// Makes a pidfd in the caller's table, for a process or thread that may not be in the tree yet
/// (`CLONE_PIDFD`).
///
/// # Errors
/// `EMFILE`.
pub fn make(
    ctx: &Ctx<'_>,
    group: &Arc<ThreadGroup>,
    thread: Option<&Arc<Pid>>,
) -> Result<i32, Errno> {
    install(ctx, group.clone(), thread, 0)
}

fn install(
    ctx: &Ctx<'_>,
    group: Arc<ThreadGroup>,
    thread: Option<&Arc<Pid>>,
    flags: u32,
) -> Result<i32, Errno> {
    let pidfd = Pidfd {
        kernel: ctx.kernel().clone(),
        pid: thread.unwrap_or(&group.pid).clone(),
        is_thread: thread.is_some(),
        group,
        viewer: ctx.task().pid().namespace().clone(),
    };
    let file = bevor_vfs::anon::file(Box::new(pidfd), "[pidfd]", OpenFlags(O_RDWR | flags));
    ctx.install(file, true)
}

/// `pidfd_open(2)`.
///
/// # Errors
/// `EINVAL`, `ENOENT`, `ESRCH`, `EMFILE`.
pub fn pidfd_open(ctx: &mut Ctx<'_>, pid: i32, flags: u32) -> SysResult {
    if pid <= 0 || flags & !(PIDFD_NONBLOCK | PIDFD_THREAD) != 0 {
        return Err(EINVAL.into());
    }
    let target = ctx.task().pid().namespace().find(pid).ok_or(ESRCH)?;
    let thread = flags & PIDFD_THREAD != 0;
    let group = {
        let tree = ctx.kernel().tree.lock();
        match (tree.node(&target), tree.task(&target)) {
            (Some(node), _) => node.group.clone(),
            (None, Some(task)) if thread => task.group.clone(),
            (None, Some(_)) => {
                return Err(ENOENT.because("a thread that leads no process").into());
            }
            (None, None) => return Err(ESRCH.into()),
        }
    };
    let thread = thread.then_some(&target);
    Ok(u64::from(install(ctx, group, thread, flags & PIDFD_NONBLOCK)?.cast_unsigned()))
}

/// The caller's thread or process, where a number stands for it in place of a pidfd.
#[must_use]
pub fn own_pid(ctx: &Ctx<'_>, fd: i32) -> Option<Arc<Pid>> {
    match fd {
        PIDFD_SELF_THREAD => Some(ctx.task().pid().clone()),
        PIDFD_SELF_THREAD_GROUP => Some(ctx.task().group.pid.clone()),
        _ => None,
    }
}

fn is_of_thread(ctx: &Ctx<'_>, fd: i32) -> bool {
    let pidfd = |file: Arc<File>| file.downcast::<Pidfd>().is_some_and(|pidfd| pidfd.is_thread);
    ctx.file(fd).is_ok_and(pidfd)
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
        0 if fd == PIDFD_SELF_THREAD || is_of_thread(ctx, fd) => Scope::Thread,
        0 | PIDFD_SIGNAL_THREAD_GROUP => Scope::Process,
        PIDFD_SIGNAL_THREAD => Scope::Thread,
        PIDFD_SIGNAL_PROCESS_GROUP => Scope::ProcessGroup,
        _ => return Err(EINVAL.into()),
    };
    if let Some(own) = own_pid(ctx, fd) {
        return signal::to_pid(ctx, &own, scope, signo, info);
    }
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
