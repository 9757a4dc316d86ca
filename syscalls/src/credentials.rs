//! Who a task is: `credentials(7)`, `capabilities(7)`.
//!
//! The rules are those of [`Credentials`]; here ids are translated between the caller's user
//! namespace and the sandbox's own, and changes take effect.

use bevor_abi::Errno;
use bevor_abi::cap::{
    _LINUX_CAPABILITY_VERSION_1, _LINUX_CAPABILITY_VERSION_2, _LINUX_CAPABILITY_VERSION_3, CapSet,
    CapUserData, CapUserHeader,
};
use bevor_abi::conv::{u64_of, usize_of_u32};
use bevor_abi::errno::{EFAULT, EINVAL, EPERM, ESRCH};
use bevor_abi::fcntl::NGROUPS_MAX;
use bevor_base::Credentials;
use bevor_kernel::clone::has_too_many_tasks;
use bevor_kernel::{Ctx, SysResult, Task};
use bevor_memory::{UserAddr, UserPtr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The id that stands for "leave it as it is".
const UNCHANGED: u32 = u32::MAX;

/// Makes `new` the caller's credentials.
pub fn commit(ctx: &mut Ctx<'_>, new: Credentials) {
    let task = ctx.task();
    if new.ruid != task.cred().ruid {
        // The caller itself is not one of them yet.
        let exceeded = has_too_many_tasks(task, new.ruid);
        task.nproc_exceeded.store(exceeded, Ordering::Relaxed);
    }
    if new.changes_identity(&task.cred()) {
        task.group.dumpable.store(false, Ordering::Relaxed);
        task.parent_death_signal.store(0, Ordering::Relaxed);
    }
    task.set_cred(Arc::new(new));
    ctx.refresh_answers();
}

/// The sandbox's user id for the caller's `uid`.
fn kuid(cred: &Credentials, uid: u32) -> Result<u32, Errno> {
    cred.user_ns.uid_in(uid).ok_or_else(|| EINVAL.because("not in the user namespace's uid_map"))
}

/// The sandbox's group id for the caller's `gid`.
fn kgid(cred: &Credentials, gid: u32) -> Result<u32, Errno> {
    cred.user_ns.gid_in(gid).ok_or_else(|| EINVAL.because("not in the user namespace's gid_map"))
}

/// Like [`kuid`], `None` for "leave it".
fn kuid_or_keep(cred: &Credentials, uid: u32) -> Result<Option<u32>, Errno> {
    if uid == UNCHANGED { Ok(None) } else { kuid(cred, uid).map(Some) }
}

/// Like [`kgid`], `None` for "leave it".
fn kgid_or_keep(cred: &Credentials, gid: u32) -> Result<Option<u32>, Errno> {
    if gid == UNCHANGED { Ok(None) } else { kgid(cred, gid).map(Some) }
}

/// `getuid(2)`.
///
/// # Errors
/// None.
pub fn getuid(ctx: &mut Ctx<'_>) -> SysResult {
    let cred = ctx.task().cred();
    Ok(cred.user_ns.uid_out(cred.ruid).into())
}

/// `geteuid(2)`.
///
/// # Errors
/// None.
pub fn geteuid(ctx: &mut Ctx<'_>) -> SysResult {
    let cred = ctx.task().cred();
    Ok(cred.user_ns.uid_out(cred.euid).into())
}

/// `getgid(2)`.
///
/// # Errors
/// None.
pub fn getgid(ctx: &mut Ctx<'_>) -> SysResult {
    let cred = ctx.task().cred();
    Ok(cred.user_ns.gid_out(cred.rgid).into())
}

/// `getegid(2)`.
///
/// # Errors
/// None.
pub fn getegid(ctx: &mut Ctx<'_>) -> SysResult {
    let cred = ctx.task().cred();
    Ok(cred.user_ns.gid_out(cred.egid).into())
}

/// `getresuid(2)`.
///
/// # Errors
/// `EFAULT`.
pub fn getresuid(ctx: &mut Ctx<'_>, ruid: UserAddr, euid: UserAddr, suid: UserAddr) -> SysResult {
    let cred = ctx.task().cred();
    for (at, id) in [(ruid, cred.ruid), (euid, cred.euid), (suid, cred.suid)] {
        ctx.mm().write(at, &cred.user_ns.uid_out(id))?;
    }
    Ok(0)
}

/// `getresgid(2)`.
///
/// # Errors
/// `EFAULT`.
pub fn getresgid(ctx: &mut Ctx<'_>, rgid: UserAddr, egid: UserAddr, sgid: UserAddr) -> SysResult {
    let cred = ctx.task().cred();
    for (at, id) in [(rgid, cred.rgid), (egid, cred.egid), (sgid, cred.sgid)] {
        ctx.mm().write(at, &cred.user_ns.gid_out(id))?;
    }
    Ok(0)
}

/// `setuid(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub fn setuid(ctx: &mut Ctx<'_>, uid: u32) -> SysResult {
    let old = ctx.task().cred();
    let new = old.setuid(kuid(&old, uid)?)?;
    commit(ctx, new);
    Ok(0)
}

/// `setreuid(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub fn setreuid(ctx: &mut Ctx<'_>, ruid: u32, euid: u32) -> SysResult {
    let old = ctx.task().cred();
    let new = old.setreuid(kuid_or_keep(&old, ruid)?, kuid_or_keep(&old, euid)?)?;
    commit(ctx, new);
    Ok(0)
}

/// `setresuid(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub fn setresuid(ctx: &mut Ctx<'_>, ruid: u32, euid: u32, suid: u32) -> SysResult {
    let old = ctx.task().cred();
    let new = old.setresuid(
        kuid_or_keep(&old, ruid)?,
        kuid_or_keep(&old, euid)?,
        kuid_or_keep(&old, suid)?,
    )?;
    commit(ctx, new);
    Ok(0)
}

/// `setfsuid(2)`: returns the old id whether or not it changed.
///
/// # Errors
/// None.
pub fn setfsuid(ctx: &mut Ctx<'_>, uid: u32) -> SysResult {
    let old = ctx.task().cred();
    if let Some(new) = old.user_ns.uid_in(uid).and_then(|uid| old.setfsuid(uid)) {
        commit(ctx, new);
    }
    Ok(old.user_ns.uid_out(old.fsuid).into())
}

/// `setgid(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub fn setgid(ctx: &mut Ctx<'_>, gid: u32) -> SysResult {
    let old = ctx.task().cred();
    let new = old.setgid(kgid(&old, gid)?)?;
    commit(ctx, new);
    Ok(0)
}

/// `setregid(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub fn setregid(ctx: &mut Ctx<'_>, rgid: u32, egid: u32) -> SysResult {
    let old = ctx.task().cred();
    let new = old.setregid(kgid_or_keep(&old, rgid)?, kgid_or_keep(&old, egid)?)?;
    commit(ctx, new);
    Ok(0)
}

/// `setresgid(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub fn setresgid(ctx: &mut Ctx<'_>, rgid: u32, egid: u32, sgid: u32) -> SysResult {
    let old = ctx.task().cred();
    let new = old.setresgid(
        kgid_or_keep(&old, rgid)?,
        kgid_or_keep(&old, egid)?,
        kgid_or_keep(&old, sgid)?,
    )?;
    commit(ctx, new);
    Ok(0)
}

/// `setfsgid(2)`: returns the old id whether or not it changed.
///
/// # Errors
/// None.
pub fn setfsgid(ctx: &mut Ctx<'_>, gid: u32) -> SysResult {
    let old = ctx.task().cred();
    if let Some(new) = old.user_ns.gid_in(gid).and_then(|gid| old.setfsgid(gid)) {
        commit(ctx, new);
    }
    Ok(old.user_ns.gid_out(old.fsgid).into())
}

/// `getgroups(2)`.
///
/// # Errors
/// `EINVAL` when there is no room for all, `EFAULT`.
pub fn getgroups(ctx: &mut Ctx<'_>, size: i32, list: UserAddr) -> SysResult {
    let room = usize_of_u32(u32::try_from(size).map_err(|_| EINVAL)?);
    let cred = ctx.task().cred();
    if room != 0 {
        if cred.groups.len() > room {
            return Err(EINVAL.into());
        }
        let groups: Vec<u32> = cred.groups.iter().map(|&gid| cred.user_ns.gid_out(gid)).collect();
        ctx.mm().write_array(list, &groups)?;
    }
    Ok(u64_of(cred.groups.len()))
}

/// `setgroups(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `EPERM`.
pub fn setgroups(ctx: &mut Ctx<'_>, size: i32, list: UserAddr) -> SysResult {
    let old = ctx.task().cred();
    // Linux looks at the privilege first.
    old.setgroups(Vec::new())?;
    let size = u32::try_from(size).ok().filter(|&size| size <= NGROUPS_MAX).ok_or(EINVAL)?;
    let groups = ctx.mm().read_array::<u32>(list, usize_of_u32(size))?;
    let groups = groups.into_iter().map(|gid| kgid(&old, gid)).collect::<Result<_, _>>()?;
    let new = old.setgroups(groups)?;
    commit(ctx, new);
    Ok(0)
}

/// How many halves of [`CapUserData`] the header's version has; an unknown one is answered with the
/// version to use.
fn words_of(
    ctx: &Ctx<'_>,
    header: UserPtr<CapUserHeader>,
) -> Result<(CapUserHeader, usize), Errno> {
    let given: CapUserHeader = ctx.mm().read(header.addr)?;
    match given.version {
        _LINUX_CAPABILITY_VERSION_1 => Ok((given, 1)),
        _LINUX_CAPABILITY_VERSION_2 | _LINUX_CAPABILITY_VERSION_3 => Ok((given, 2)),
        _ => {
            ctx.mm().write(header.addr, &_LINUX_CAPABILITY_VERSION_3)?;
            Err(EINVAL.because("unknown version of capabilities"))
        }
    }
}

/// The thread `pid` names, 0 for the caller.
fn thread(ctx: &Ctx<'_>, pid: i32) -> Result<Arc<Task>, Errno> {
    if pid < 0 {
        return Err(EINVAL.into());
    }
    crate::target::thread(ctx, pid).ok_or_else(|| ESRCH.into())
}

/// `capget(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `ESRCH`.
pub fn capget(ctx: &mut Ctx<'_>, header: UserPtr<CapUserHeader>, data: UserAddr) -> SysResult {
    let (given, words) = match words_of(ctx, header) {
        // Asking for the version alone.
        Err(errno) if errno == EINVAL && data.is_null() => return Ok(0),
        other => other?,
    };
    if data.is_null() {
        return Ok(0);
    }
    let cred = thread(ctx, given.pid)?.cred();
    let sets = [cred.effective, cred.permitted, cred.inheritable].map(|set| CapSet(set).words());
    let [effective, permitted, inheritable] = sets;
    let both = [
        CapUserData { effective: effective.0, permitted: permitted.0, inheritable: inheritable.0 },
        CapUserData { effective: effective.1, permitted: permitted.1, inheritable: inheritable.1 },
    ];
    ctx.mm().write_array(data, both.get(..words).unwrap_or(&both))?;
    Ok(0)
}

/// `capset(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EPERM`.
pub fn capset(ctx: &mut Ctx<'_>, header: UserPtr<CapUserHeader>, data: UserAddr) -> SysResult {
    let (given, words) = words_of(ctx, header)?;
    if given.pid != 0 && given.pid != ctx.task().tid() {
        return Err(EPERM.because("another thread's capabilities cannot be set").into());
    }
    let halves = ctx.mm().read_array::<CapUserData>(data, words)?;
    let low = *halves.first().ok_or(EFAULT)?;
    let high = halves.get(1).copied().unwrap_or_default();
    let new = ctx.task().cred().capset(
        CapSet::from_words(low.effective, high.effective),
        CapSet::from_words(low.permitted, high.permitted),
        CapSet::from_words(low.inheritable, high.inheritable),
    )?;
    commit(ctx, new);
    Ok(0)
}
