//! Resource limits: `getrlimit(2)`, `setrlimit(2)`, `prlimit(2)`.

use bevor_abi::cap::CAP_SYS_RESOURCE;
use bevor_abi::errno::{EPERM, ESRCH};
use bevor_abi::resource::{
    RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK, Rlimit,
};
use bevor_base::Credentials;
use bevor_kernel::group::ThreadGroup;
use bevor_kernel::limits::Limit;
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use std::sync::Arc;

/// `getrlimit(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn getrlimit(ctx: &mut Ctx<'_>, resource: u32, limit: UserAddr) -> SysResult {
    prlimit64(ctx, 0, resource, UserAddr::NULL, limit)
}

/// `setrlimit(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `EPERM`.
pub fn setrlimit(ctx: &mut Ctx<'_>, resource: u32, limit: UserAddr) -> SysResult {
    let new: Rlimit = ctx.mm().read(limit)?;
    let group = ctx.task().group.clone();
    set(ctx, &group, resource, new)?;
    Ok(0)
}

/// `prlimit64(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `EPERM`, `ESRCH`.
pub fn prlimit64(
    ctx: &mut Ctx<'_>,
    pid: i32,
    resource: u32,
    new: UserAddr,
    old: UserAddr,
) -> SysResult {
    let wanted: Option<Rlimit> = if new.is_null() { None } else { Some(ctx.mm().read(new)?) };
    let target = crate::target::thread(ctx, pid).ok_or(ESRCH)?;
    if !std::ptr::eq(&*target, &**ctx.task()) && !may_look(&ctx.task().cred(), &target.cred()) {
        return Err(EPERM.into());
    }
    let before = match wanted {
        Some(wanted) => set(ctx, &target.group, resource, wanted)?,
        None => target.group.limits.get(resource)?,
    };
    if !old.is_null() {
        ctx.mm().write(old, &Rlimit { rlim_cur: before.soft, rlim_max: before.hard })?;
    }
    Ok(0)
}

/// Whether `cred` may look at and change the limits of a process that runs as `target`.
fn may_look(cred: &Credentials, target: &Credentials) -> bool {
    let same_user = [target.ruid, target.euid, target.suid].iter().all(|&uid| uid == cred.ruid);
    let same_group = [target.rgid, target.egid, target.sgid].iter().all(|&gid| gid == cred.rgid);
    (same_user && same_group) || cred.has_cap_in(CAP_SYS_RESOURCE, &target.user_ns)
}

/// Sets a limit and tells the memory manager of those it enforces.
fn set(
    ctx: &Ctx<'_>,
    group: &Arc<ThreadGroup>,
    resource: u32,
    new: Rlimit,
) -> Result<Limit, bevor_abi::Errno> {
    let privileged = ctx.task().cred().has_cap(CAP_SYS_RESOURCE);
    let new = Limit { soft: new.rlim_cur, hard: new.rlim_max };
    let old = group.limits.set(resource, new, privileged)?;
    if resource == RLIMIT_CPU {
        group.timers.watch_cpu_limit(ctx.kernel(), group);
    }
    if let Some(mm) = group.leader().and_then(|task| task.mm()) {
        let mut limits = mm.limits();
        match resource {
            RLIMIT_AS => limits.address_space = new.soft,
            RLIMIT_DATA => limits.data = new.soft,
            RLIMIT_STACK => limits.stack = new.soft,
            RLIMIT_MEMLOCK => limits.memlock = new.soft,
            _ => return Ok(old),
        }
        mm.set_limits(limits);
    }
    Ok(old)
}
