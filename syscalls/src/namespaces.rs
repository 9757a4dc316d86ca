//! Namespaces: `unshare(2)`, `setns(2)`.

use bevor_abi::Errno;
use bevor_abi::cap::{CAP_SYS_ADMIN, CAP_SYS_CHROOT};
use bevor_abi::errno::{EINVAL, EPERM, ESRCH};
use bevor_abi::sched::{
    CLONE_FILES, CLONE_FS, CLONE_NEWNS, CLONE_NEWUSER, CLONE_SIGHAND, CLONE_SYSVSEM, CLONE_THREAD,
    CLONE_VM,
};
use bevor_base::{Credentials, UserNamespace};
use bevor_kernel::clone::{NEW_NAMESPACES, in_new_user_namespace, new_namespaces};
use bevor_kernel::fs::FsState;
use bevor_kernel::ns::Namespaces;
use bevor_kernel::nsfs::Namespace;
use bevor_kernel::{Ctx, SysResult};
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

/// `setns(2)`: a namespace by its file, or those of a process by its pidfd.
///
/// # Errors
/// `EBADF`, `EINVAL`, `EPERM`, `ESRCH`.
pub fn setns(ctx: &mut Ctx<'_>, fd: i32, kinds: u32) -> SysResult {
    let file = ctx.file(fd)?;
    let kinds = u64::from(kinds);
    if let Some(namespace) = Namespace::of_file(&file) {
        if kinds != 0 && kinds != namespace.kind() {
            return Err(EINVAL.because("a namespace of another kind").into());
        }
        join(ctx, &[namespace])?;
        return Ok(0);
    }
    let pid = crate::pidfd::pid_of(&file)
        .ok_or_else(|| EINVAL.because("neither a namespace nor a pidfd"))?;
    if kinds == 0 || kinds & !NEW_NAMESPACES != 0 {
        return Err(EINVAL.into());
    }
    let target = ctx.kernel().tree.lock().task(&pid).cloned().ok_or(ESRCH)?;
    if !ctx.task().may_inspect(&target) {
        return Err(EPERM.into());
    }
    let all = Namespace::all_of(&target).into_iter();
    let wanted: Vec<_> = all.filter(|namespace| kinds & namespace.kind() != 0).collect();
    join(ctx, &wanted)?;
    Ok(0)
}

/// What a task has once it has joined namespaces.
struct Joined {
    cred: Option<Credentials>,
    namespaces: Namespaces,
    fs: Option<Arc<FsState>>,
}

/// Puts the caller into all of `wanted`, or none. A user namespace comes first: it decides about the
/// right to join the others.
fn join(ctx: &mut Ctx<'_>, wanted: &[Namespace]) -> Result<(), Errno> {
    let task = ctx.task().clone();
    let namespaces = (*task.namespaces()).clone();
    let mut joined = Joined { cred: None, namespaces, fs: None };
    for namespace in wanted {
        joined.join(ctx, namespace)?;
    }
    if let Some(fs) = joined.fs {
        task.set_fs(fs);
    }
    task.set_namespaces(Arc::new(joined.namespaces));
    if let Some(cred) = joined.cred {
        crate::credentials::commit(ctx, cred);
    }
    Ok(())
}

impl Joined {
    fn join(&mut self, ctx: &Ctx<'_>, namespace: &Namespace) -> Result<(), Errno> {
        let own = ctx.task().cred();
        if let Namespace::User(user_ns) = namespace {
            self.cred = Some(join_user(ctx, &own, user_ns)?);
            return Ok(());
        }
        let judged = self.cred.as_ref().unwrap_or(&own);
        let rules = judged.has_cap_in(CAP_SYS_ADMIN, namespace.owner());
        if !rules || !judged.has_cap(CAP_SYS_ADMIN) {
            return Err(EPERM.into());
        }
        match namespace {
            Namespace::Cgroup(ns) => self.namespaces.cgroup = ns.clone(),
            Namespace::Ipc(ns) => self.namespaces.ipc = ns.clone(),
            Namespace::Net(ns) => self.namespaces.net = ns.clone(),
            Namespace::Uts(ns) => self.namespaces.uts = ns.clone(),
            Namespace::Time(ns) => {
                if !is_alone(ctx) {
                    return Err(EINVAL.because("the process has other threads"));
                }
                self.namespaces.time = ns.clone();
            }
            Namespace::Pid(ns) => {
                if !ns.is_within(ctx.task().pid().namespace()) {
                    return Err(EINVAL.because("not a descendant of the pid namespace"));
                }
                self.namespaces.pid_for_children = ns.clone();
            }
            Namespace::Mount(ns) => {
                if !judged.has_cap(CAP_SYS_CHROOT) {
                    return Err(EPERM.into());
                }
                let own = ctx.task().fs();
                // One reference is the task's, one is ours.
                if Arc::strong_count(&own) > 2 {
                    return Err(EINVAL.because("root and working directory are shared"));
                }
                let context = Arc::new(FsContext::at_root(ns.clone()));
                self.fs = Some(FsState::new(context, own.umask()));
            }
            Namespace::User(_) => {}
        }
        Ok(())
    }
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
