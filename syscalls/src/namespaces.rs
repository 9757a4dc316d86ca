//! Namespaces: `unshare(2)`, `setns(2)`.

use bevor_abi::Errno;
use bevor_abi::cap::{CAP_SYS_ADMIN, CAP_SYS_CHROOT};
use bevor_abi::errno::{EINVAL, EPERM, ESRCH};
use bevor_abi::sched::{
    CLONE_FILES, CLONE_FS, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID,
    CLONE_NEWTIME, CLONE_NEWUSER, CLONE_NEWUTS, CLONE_SIGHAND, CLONE_SYSVSEM, CLONE_THREAD,
    CLONE_VM,
};
use bevor_base::{Credentials, UserNamespace};
use bevor_kernel::clone::{NEW_NAMESPACES, in_new_user_namespace, new_namespaces};
use bevor_kernel::fs::FsState;
use bevor_kernel::{Ctx, SysResult, Task};
use bevor_vfs::FsContext;
use std::sync::Arc;

/// What `unshare` accepts.
const UNSHARABLE: u64 = NEW_NAMESPACES
    | CLONE_FILES
    | CLONE_FS
    | CLONE_SIGHAND
    | CLONE_SYSVSEM
    | CLONE_THREAD
    | CLONE_VM;

/// Whether the caller is the only thread of its process.
fn is_alone(ctx: &Ctx<'_>) -> bool {
    ctx.task().group.threads.lock().len() == 1
}

/// `unshare(2)`.
///
/// # Errors
/// `EINVAL`, `ENOSPC` for deep nesting, `EPERM`.
pub fn unshare(ctx: &mut Ctx<'_>, flags: u64) -> SysResult {
    if flags & !UNSHARABLE != 0 {
        return Err(EINVAL.into());
    }
    let mut flags = flags;
    if flags & CLONE_NEWUSER != 0 {
        flags |= CLONE_THREAD | CLONE_FS;
    }
    if flags & CLONE_NEWNS != 0 {
        flags |= CLONE_FS;
    }
    if flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) != 0 && !is_alone(ctx) {
        return Err(EINVAL.because("the process has other threads").into());
    }
    let task = ctx.task().clone();
    let old = task.cred();
    let cred =
        if flags & CLONE_NEWUSER != 0 { in_new_user_namespace(&old)? } else { (*old).clone() };
    let namespaces = new_namespaces(&task.namespaces(), &cred, flags)?;
    if flags & CLONE_NEWNS != 0 && !cred.has_cap(CAP_SYS_ADMIN) {
        return Err(EPERM.into());
    }
    // From here on nothing fails.
    if flags & CLONE_FS != 0 {
        let fs = task.fs().duplicate();
        if flags & CLONE_NEWNS != 0 {
            let context = fs.context();
            let copy = context.namespace.copy(cred.user_ns.clone(), &context);
            fs.set_context(Arc::new(copy));
        }
        task.set_fs(fs);
    }
    if flags & CLONE_FILES != 0 {
        let files = ctx.files().duplicate();
        drop(task.set_files(Some(files.clone())));
        ctx.machine.files = files;
    }
    task.set_namespaces(Arc::new(namespaces));
    if flags & CLONE_NEWUSER != 0 {
        crate::credentials::commit(ctx, cred);
    }
    Ok(0)
}

/// `setns(2)` with a pidfd: the namespaces of a process.
///
/// # Errors
/// `EBADF`, `EINVAL`, `EPERM`, `ESRCH`.
pub fn setns(ctx: &mut Ctx<'_>, fd: i32, kinds: u32) -> SysResult {
    let file = ctx.file(fd)?;
    let kinds = u64::from(kinds);
    let pid = crate::pidfd::pid_of(&file)
        .ok_or_else(|| EINVAL.because("neither a namespace nor a pidfd"))?;
    if kinds == 0 || kinds & !NEW_NAMESPACES != 0 {
        return Err(EINVAL.into());
    }
    let target = ctx.kernel().tree.lock().task(&pid).cloned().ok_or(ESRCH)?;
    if !ctx.task().may_inspect(&target) {
        return Err(EPERM.into());
    }
    join(ctx, &target, kinds)?;
    Ok(0)
}

/// Puts the caller into the namespaces of `target`, all or none.
fn join(ctx: &mut Ctx<'_>, target: &Task, kinds: u64) -> Result<(), Errno> {
    let task = ctx.task().clone();
    let old = task.cred();
    let cred = if kinds & CLONE_NEWUSER == 0 {
        None
    } else {
        Some(join_user(ctx, &old, &target.cred().user_ns)?)
    };
    let judged = cred.as_ref().unwrap_or(&old);
    let may_join = |owner: &Arc<UserNamespace>| {
        let allowed = judged.has_cap_in(CAP_SYS_ADMIN, owner) && judged.has_cap(CAP_SYS_ADMIN);
        if allowed { Ok(()) } else { Err(Errno::from(EPERM)) }
    };
    let theirs = target.namespaces();
    let mut new = (*task.namespaces()).clone();
    let plain = [
        (CLONE_NEWNET, &mut new.net, &theirs.net),
        (CLONE_NEWCGROUP, &mut new.cgroup, &theirs.cgroup),
        (CLONE_NEWTIME, &mut new.time, &theirs.time),
    ];
    for (kind, place, found) in plain {
        if kinds & kind != 0 {
            may_join(&found.user_ns)?;
            *place = found.clone();
        }
    }
    if kinds & CLONE_NEWTIME != 0 && !is_alone(ctx) {
        return Err(EINVAL.because("the process has other threads"));
    }
    if kinds & CLONE_NEWIPC != 0 {
        may_join(&theirs.ipc.user_ns)?;
        new.ipc = theirs.ipc.clone();
    }
    if kinds & CLONE_NEWUTS != 0 {
        may_join(&theirs.uts.user_ns)?;
        new.uts = theirs.uts.clone();
    }
    if kinds & CLONE_NEWPID != 0 {
        let pid = target.pid();
        let found = pid.namespace();
        may_join(&found.user_ns)?;
        if !found.is_within(task.pid().namespace()) {
            return Err(EINVAL.because("not a descendant of the pid namespace"));
        }
        new.pid_for_children = found.clone();
    }
    let fs = if kinds & CLONE_NEWNS == 0 {
        None
    } else {
        let namespace = target.fs().context().namespace.clone();
        may_join(namespace.user_ns())?;
        if !judged.has_cap(CAP_SYS_CHROOT) {
            return Err(EPERM.into());
        }
        let own = task.fs();
        // One reference is the task's, one is ours.
        if Arc::strong_count(&own) > 2 {
            return Err(EINVAL.because("root and working directory are shared"));
        }
        let context = Arc::new(FsContext::at_root(namespace));
        Some(FsState::new(context, own.umask()))
    };
    if let Some(fs) = fs {
        task.set_fs(fs);
    }
    task.set_namespaces(Arc::new(new));
    if let Some(cred) = cred {
        crate::credentials::commit(ctx, cred);
    }
    Ok(())
}

/// The caller's credentials in another user namespace: every capability there.
fn join_user(
    ctx: &Ctx<'_>,
    old: &Credentials,
    namespace: &Arc<UserNamespace>,
) -> Result<Credentials, Errno> {
    if Arc::ptr_eq(namespace, &old.user_ns) || !is_alone(ctx) {
        return Err(EINVAL.into());
    }
    if !old.has_cap_in(CAP_SYS_ADMIN, namespace) {
        return Err(EPERM.into());
    }
    let mut new = in_new_user_namespace(old)?;
    new.user_ns = namespace.clone();
    Ok(new)
}
