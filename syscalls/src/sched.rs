//! Scheduling: `sched(7)`, `getpriority(2)`, `ioprio_get(2)`, `getcpu(2)`.
//!
//! The host schedules; policies, priorities and affinities are kept and reported truthfully.

use bevor_abi::Errno;
use bevor_abi::cap::{CAP_SYS_ADMIN, CAP_SYS_NICE};
use bevor_abi::conv::{low_u32, u64_of, usize_of_u32};
use bevor_abi::errno::{E2BIG, EACCES, EFAULT, EINVAL, EPERM, ESRCH};
use bevor_abi::resource::{RLIMIT_NICE, RLIMIT_RTPRIO};
use bevor_abi::sched::{
    IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE, IOPRIO_CLASS_NONE, IOPRIO_CLASS_RT, IOPRIO_CLASS_SHIFT,
    IOPRIO_WHO_PGRP, IOPRIO_WHO_PROCESS, IOPRIO_WHO_USER, PRIO_PGRP, PRIO_PROCESS, PRIO_USER,
    SCHED_ATTR_SIZE_VER0, SCHED_ATTR_SIZE_VER1, SCHED_BATCH, SCHED_DEADLINE, SCHED_FIFO,
    SCHED_FLAG_RESET_ON_FORK, SCHED_IDLE, SCHED_NORMAL, SCHED_RESET_ON_FORK, SCHED_RR, SchedAttr,
};
use bevor_abi::time::Timespec;
use bevor_base::Credentials;
use bevor_kernel::task::SchedAttributes;
use bevor_kernel::{Ctx, SysResult, Task};
use bevor_memory::{UserAddr, UserPtr};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Highest real-time priority.
const MAX_RT_PRIORITY: i32 = 99;
/// Nanoseconds of the round-robin slice (`/proc/sys/kernel/sched_rr_timeslice_ms`).
const RR_SLICE_NS: i64 = 100_000_000;
/// Nanoseconds of the slice of a normal task, as a machine with few CPUs has it.
const NORMAL_SLICE_NS: i64 = 4_000_000;
/// Longest CPU mask read, bytes: more than any host has CPUs for.
const MAX_MASK: usize = 1024;

/// `sched_yield(2)`.
///
/// # Errors
/// None.
pub fn sched_yield(_ctx: &mut Ctx<'_>) -> SysResult {
    // The call itself gives other tasks of this worker their turn.
    Ok(0)
}

/// The thread a scheduling call is about.
fn thread(ctx: &Ctx<'_>, pid: i32) -> Result<Arc<Task>, Errno> {
    if pid < 0 {
        return Err(EINVAL.into());
    }
    crate::target::thread(ctx, pid).ok_or_else(|| ESRCH.into())
}

/// Whether the caller may change the scheduling of `target` at all.
fn may_change(ctx: &Ctx<'_>, target: &Task) -> bool {
    let (own, its) = (ctx.task().cred(), target.cred());
    own.euid == its.euid || own.euid == its.ruid || own.has_cap_in(CAP_SYS_NICE, &its.user_ns)
}

/// What a program asks for.
struct Wanted {
    policy: u32,
    priority: i32,
    nice: i32,
    reset_on_fork: bool,
}

/// Checks as `__sched_setscheduler` does, and sets.
fn set(ctx: &Ctx<'_>, target: &Task, wanted: &Wanted) -> Result<(), Errno> {
    let is_rt = match wanted.policy {
        SCHED_FIFO | SCHED_RR => true,
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE => false,
        SCHED_DEADLINE => return Err(EPERM.because("deadlines cannot be kept in a sandbox")),
        _ => return Err(EINVAL.because("no such scheduling policy")),
    };
    if !(0..=MAX_RT_PRIORITY).contains(&wanted.priority) || is_rt != (wanted.priority != 0) {
        return Err(EINVAL.because("priority does not fit the policy"));
    }
    let mut attr = target.sched_attr.lock();
    if !ctx.task().cred().has_cap_in(CAP_SYS_NICE, &target.cred().user_ns) {
        let limits = &target.group.limits;
        if is_rt {
            let most = limits.soft(RLIMIT_RTPRIO);
            let known = wanted.policy == attr.policy && most == 0 || most > 0;
            let allowed = u64::from(wanted.priority.cast_unsigned()) <= most;
            if !known || !(allowed || wanted.priority <= attr.priority) {
                return Err(EPERM.because("above RLIMIT_RTPRIO"));
            }
        }
        if !is_rt && wanted.nice < attr.nice && !nice_allowed(target, wanted.nice) {
            return Err(EPERM.because("below RLIMIT_NICE"));
        }
        if attr.policy == SCHED_IDLE
            && wanted.policy != SCHED_IDLE
            && !nice_allowed(target, attr.nice)
        {
            return Err(EPERM.because("leaving SCHED_IDLE needs RLIMIT_NICE"));
        }
        if attr.flags & SCHED_FLAG_RESET_ON_FORK != 0 && !wanted.reset_on_fork {
            return Err(EPERM.because("SCHED_RESET_ON_FORK cannot be taken back"));
        }
        if !may_change(ctx, target) {
            return Err(EPERM.into());
        }
    }
    attr.policy = wanted.policy;
    attr.priority = wanted.priority;
    attr.flags = if wanted.reset_on_fork { SCHED_FLAG_RESET_ON_FORK } else { 0 };
    if !is_rt {
        attr.nice = wanted.nice;
    }
    Ok(())
}

/// Whether `RLIMIT_NICE` lets the process have this nice value.
fn nice_allowed(target: &Task, nice: i32) -> bool {
    u64::from(20_u32.saturating_add_signed(-nice)) <= target.group.limits.soft(RLIMIT_NICE)
}

/// `sched_setscheduler(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `EPERM`, `ESRCH`.
pub fn sched_setscheduler(ctx: &mut Ctx<'_>, pid: i32, policy: i32, param: UserAddr) -> SysResult {
    let policy = u32::try_from(policy).map_err(|_| EINVAL)?;
    if param.is_null() || pid < 0 {
        return Err(EINVAL.into());
    }
    let priority: i32 = ctx.mm().read(param)?;
    let target = thread(ctx, pid)?;
    let nice = target.sched_attr.lock().nice;
    let reset_on_fork = policy & SCHED_RESET_ON_FORK != 0;
    let policy = policy & !SCHED_RESET_ON_FORK;
    set(ctx, &target, &Wanted { policy, priority, nice, reset_on_fork })?;
    Ok(0)
}

/// `sched_setparam(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `EPERM`, `ESRCH`.
pub fn sched_setparam(ctx: &mut Ctx<'_>, pid: i32, param: UserAddr) -> SysResult {
    if param.is_null() || pid < 0 {
        return Err(EINVAL.into());
    }
    let priority: i32 = ctx.mm().read(param)?;
    let target = thread(ctx, pid)?;
    let SchedAttributes { policy, nice, flags, .. } = target.sched_attr.lock().clone();
    let reset_on_fork = flags & SCHED_FLAG_RESET_ON_FORK != 0;
    set(ctx, &target, &Wanted { policy, priority, nice, reset_on_fork })?;
    Ok(0)
}

/// `sched_getscheduler(2)`.
///
/// # Errors
/// `EINVAL`, `ESRCH`.
pub fn sched_getscheduler(ctx: &mut Ctx<'_>, pid: i32) -> SysResult {
    let target = thread(ctx, pid)?;
    let attr = target.sched_attr.lock();
    let reset = attr.flags & SCHED_FLAG_RESET_ON_FORK != 0;
    Ok(u64::from(attr.policy | if reset { SCHED_RESET_ON_FORK } else { 0 }))
}

/// `sched_getparam(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `ESRCH`.
pub fn sched_getparam(ctx: &mut Ctx<'_>, pid: i32, param: UserAddr) -> SysResult {
    if param.is_null() {
        return Err(EINVAL.into());
    }
    let priority = thread(ctx, pid)?.sched_attr.lock().priority;
    ctx.mm().write(param, &priority)?;
    Ok(0)
}

/// `sched_get_priority_max(2)`.
///
/// # Errors
/// `EINVAL`.
pub fn sched_get_priority_max(_ctx: &mut Ctx<'_>, policy: u32) -> SysResult {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(u64::from(MAX_RT_PRIORITY.cast_unsigned())),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => Err(EINVAL.into()),
    }
}

/// `sched_get_priority_min(2)`.
///
/// # Errors
/// `EINVAL`.
pub fn sched_get_priority_min(_ctx: &mut Ctx<'_>, policy: u32) -> SysResult {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(1),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => Err(EINVAL.into()),
    }
}

/// `sched_rr_get_interval(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `ESRCH`.
pub fn sched_rr_get_interval(ctx: &mut Ctx<'_>, pid: i32, interval: UserAddr) -> SysResult {
    let ns = match thread(ctx, pid)?.sched_attr.lock().policy {
        SCHED_RR => RR_SLICE_NS,
        SCHED_FIFO => 0,
        _ => NORMAL_SLICE_NS,
    };
    ctx.mm().write(interval, &Timespec::from_ns(ns))?;
    Ok(0)
}

/// `sched_setattr(2)`.
///
/// # Errors
/// `E2BIG`, `EINVAL`, `EFAULT`, `EPERM`, `ESRCH`.
pub fn sched_setattr(
    ctx: &mut Ctx<'_>,
    pid: i32,
    attr: UserPtr<SchedAttr>,
    flags: u32,
) -> SysResult {
    /// Flags that ask to leave the policy or the parameters as they are.
    const KEEP_POLICY: u64 = bevor_abi::sched::SCHED_FLAG_KEEP_POLICY;
    const KEEP_PARAMS: u64 = bevor_abi::sched::SCHED_FLAG_KEEP_PARAMS;

    if attr.is_null() || pid < 0 || flags != 0 {
        return Err(EINVAL.into());
    }
    let given = read_attr(ctx, attr.addr)?;
    if given.sched_flags & !(SCHED_FLAG_RESET_ON_FORK | KEEP_POLICY | KEEP_PARAMS) != 0 {
        return Err(EINVAL.because("scheduling flag not known").into());
    }
    let target = thread(ctx, pid)?;
    let old = target.sched_attr.lock().clone();
    let keep_params = given.sched_flags & KEEP_PARAMS != 0;
    let wanted = Wanted {
        policy: if given.sched_flags & KEEP_POLICY != 0 { old.policy } else { given.sched_policy },
        priority: if keep_params {
            old.priority
        } else {
            i32::try_from(given.sched_priority).map_err(|_| EINVAL)?
        },
        nice: if keep_params { old.nice } else { given.sched_nice.clamp(-20, 19) },
        reset_on_fork: given.sched_flags & SCHED_FLAG_RESET_ON_FORK != 0,
    };
    set(ctx, &target, &wanted)?;
    Ok(0)
}

/// Reads a `sched_attr` of whatever size the program knows (`sched_copy_attr`).
fn read_attr(ctx: &Ctx<'_>, addr: UserAddr) -> Result<SchedAttr, Errno> {
    let size: u32 = ctx.mm().read(addr)?;
    let size = if size == 0 { SCHED_ATTR_SIZE_VER0 } else { size };
    let known = size_of::<SchedAttr>();
    let given = usize_of_u32(size);
    let refuse = || -> Errno {
        // The program learns what size is known.
        match ctx.mm().write(addr, &SCHED_ATTR_SIZE_VER1) {
            Ok(()) => E2BIG.because("sched_attr has an unknown size"),
            Err(errno) => errno,
        }
    };
    if !(SCHED_ATTR_SIZE_VER0..=4096).contains(&size) {
        return Err(refuse());
    }
    let mut bytes = vec![0; given];
    ctx.mm().read_bytes(addr, &mut bytes)?;
    if bytes.iter().skip(known).any(|&byte| byte != 0) {
        return Err(refuse());
    }
    let mut attr = SchedAttr::default();
    let len = given.min(known);
    attr.as_mut_bytes()[..len].copy_from_slice(&bytes[..len]);
    Ok(attr)
}

/// `sched_getattr(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `ESRCH`.
pub fn sched_getattr(
    ctx: &mut Ctx<'_>,
    pid: i32,
    attr: UserAddr,
    size: u32,
    flags: u32,
) -> SysResult {
    if attr.is_null() || pid < 0 || !(SCHED_ATTR_SIZE_VER0..=4096).contains(&size) || flags != 0 {
        return Err(EINVAL.into());
    }
    let found = thread(ctx, pid)?.sched_attr.lock().clone();
    let size = size.min(SCHED_ATTR_SIZE_VER1);
    let is_rt = matches!(found.policy, SCHED_FIFO | SCHED_RR);
    let answer = SchedAttr {
        size,
        sched_policy: found.policy,
        sched_flags: found.flags & SCHED_FLAG_RESET_ON_FORK,
        sched_nice: if is_rt { 0 } else { found.nice },
        sched_priority: found.priority.cast_unsigned(),
        sched_util_max: 1024,
        ..SchedAttr::default()
    };
    let bytes = answer.as_bytes().get(..usize_of_u32(size)).ok_or(EFAULT)?;
    ctx.mm().write_bytes(attr, bytes)?;
    Ok(0)
}

/// `sched_setaffinity(2)`.
///
/// # Errors
/// `EINVAL` when no CPU is left, `EFAULT`, `EPERM`, `ESRCH`.
pub fn sched_setaffinity(ctx: &mut Ctx<'_>, pid: i32, size: u32, mask: UserAddr) -> SysResult {
    let target = crate::target::thread(ctx, pid).ok_or(ESRCH)?;
    let mut bytes = vec![0; usize_of_u32(size).min(MAX_MASK)];
    ctx.mm().read_bytes(mask, &mut bytes)?;
    if !may_change(ctx, &target) {
        return Err(EPERM.into());
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let possible = SchedAttributes::new(ctx.kernel().config.nr_cpus).affinity;
    let words = bytes.chunks_exact(8).map(|word| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        u64::from_ne_bytes(bytes)
    });
    let mut wanted: Vec<u64> = words.zip(&possible).map(|(word, known)| word & known).collect();
    wanted.resize(possible.len(), 0);
    if wanted.iter().all(|&word| word == 0) {
        return Err(EINVAL.because("no CPU of the sandbox in the mask").into());
    }
    target.sched_attr.lock().affinity = wanted;
    target.expire_answers();
    Ok(0)
}

/// `sched_getaffinity(2)`: returns how many bytes were written.
///
/// # Errors
/// `EINVAL` for too small a mask, `EFAULT`, `ESRCH`.
pub fn sched_getaffinity(ctx: &mut Ctx<'_>, pid: i32, size: u32, mask: UserAddr) -> SysResult {
    let size = usize_of_u32(size);
    if size.saturating_mul(8) < ctx.kernel().config.nr_cpus || !size.is_multiple_of(8) {
        return Err(EINVAL.into());
    }
    let target = crate::target::thread(ctx, pid).ok_or(ESRCH)?;
    let affinity = target.sched_attr.lock().affinity.clone();
    let bytes = affinity.as_bytes();
    let bytes = bytes.get(..size).unwrap_or(bytes);
    ctx.mm().write_bytes(mask, bytes)?;
    Ok(u64_of(bytes.len()))
}

/// The threads `getpriority` and its kin are about.
fn threads(ctx: &Ctx<'_>, which: Which, who: i32) -> Vec<Arc<Task>> {
    match which {
        Which::Process => crate::target::thread(ctx, who).into_iter().collect(),
        Which::Group => crate::target::process_group(ctx, who),
        Which::User if who == 0 => crate::target::user(ctx, ctx.task().cred().ruid),
        Which::User => {
            let kuid = ctx.task().cred().user_ns.uid_in(who.cast_unsigned());
            kuid.map(|kuid| crate::target::user(ctx, kuid)).unwrap_or_default()
        }
    }
}

/// Whom a priority call is about.
#[derive(Clone, Copy)]
enum Which {
    Process,
    Group,
    User,
}

fn priority_which(which: u32) -> Result<Which, Errno> {
    match which {
        PRIO_PROCESS => Ok(Which::Process),
        PRIO_PGRP => Ok(Which::Group),
        PRIO_USER => Ok(Which::User),
        _ => Err(EINVAL.into()),
    }
}

fn ioprio_which(which: u32) -> Result<Which, Errno> {
    match which {
        IOPRIO_WHO_PROCESS => Ok(Which::Process),
        IOPRIO_WHO_PGRP => Ok(Which::Group),
        IOPRIO_WHO_USER => Ok(Which::User),
        _ => Err(EINVAL.into()),
    }
}

/// `getpriority(2)`: returns 20 − nice, which is never negative.
///
/// # Errors
/// `EINVAL`, `ESRCH`.
pub fn getpriority(ctx: &mut Ctx<'_>, which: u32, who: i32) -> SysResult {
    let threads = threads(ctx, priority_which(which)?, who);
    let least = threads.iter().map(|task| task.sched_attr.lock().nice).min().ok_or(ESRCH)?;
    Ok(u64::from(20_u32.saturating_add_signed(-least)))
}

/// `setpriority(2)`.
///
/// # Errors
/// `EINVAL`, `EACCES`, `EPERM`, `ESRCH`.
pub fn setpriority(ctx: &mut Ctx<'_>, which: u32, who: i32, nice: i32) -> SysResult {
    let nice = nice.clamp(-20, 19);
    let threads = threads(ctx, priority_which(which)?, who);
    if threads.is_empty() {
        return Err(ESRCH.into());
    }
    // One failure does not keep the others from being set; the last one is reported.
    let mut result = Ok(0);
    for task in &threads {
        if let Err(stop) = set_nice(ctx, task, nice) {
            result = Err(stop);
        }
    }
    result
}

fn set_nice(ctx: &Ctx<'_>, target: &Task, nice: i32) -> SysResult {
    let (own, its) = (ctx.task().cred(), target.cred());
    let privileged = own.has_cap_in(CAP_SYS_NICE, &its.user_ns);
    if own.euid != its.euid && own.euid != its.ruid && !privileged {
        return Err(EPERM.into());
    }
    let mut attr = target.sched_attr.lock();
    if nice < attr.nice && !privileged && !nice_allowed(target, nice) {
        return Err(EACCES.because("below RLIMIT_NICE").into());
    }
    attr.nice = nice;
    Ok(0)
}

/// Checks an I/O priority.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub(crate) fn check_ioprio(cred: &Credentials, ioprio: u32) -> Result<(), Errno> {
    let (class, level) = (ioprio >> IOPRIO_CLASS_SHIFT, ioprio & 7);
    match class {
        IOPRIO_CLASS_RT => {
            if !cred.has_cap(CAP_SYS_NICE) && !cred.has_cap(CAP_SYS_ADMIN) {
                return Err(EPERM.into());
            }
        }
        IOPRIO_CLASS_BE | IOPRIO_CLASS_IDLE => {}
        IOPRIO_CLASS_NONE if level == 0 => {}
        _ => return Err(EINVAL.into()),
    }
    Ok(())
}

/// `ioprio_set(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`, `ESRCH`.
pub fn ioprio_set(ctx: &mut Ctx<'_>, which: u32, who: i32, ioprio: u32) -> SysResult {
    check_ioprio(&ctx.task().cred(), ioprio)?;
    let threads = threads(ctx, ioprio_which(which)?, who);
    if threads.is_empty() {
        return Err(ESRCH.into());
    }
    for target in &threads {
        let (own, its) = (ctx.task().cred(), target.cred());
        let same_user = its.ruid == own.euid || its.ruid == own.ruid;
        if !same_user && !own.has_cap(CAP_SYS_NICE) {
            return Err(EPERM.into());
        }
        target.sched_attr.lock().ioprio = ioprio;
    }
    Ok(0)
}

/// `ioprio_get(2)`: the best of the threads named. One thread alone tells what was set for it;
/// many are compared by what counts.
///
/// # Errors
/// `EINVAL`, `ESRCH`.
pub fn ioprio_get(ctx: &mut Ctx<'_>, which: u32, who: i32) -> SysResult {
    let threads = threads(ctx, ioprio_which(which)?, who);
    let of = if which == IOPRIO_WHO_PROCESS { set_ioprio } else { effective_ioprio };
    let all = threads.iter().map(|task| of(&task.sched_attr.lock()));
    // Class 1 is better than 2 is better than 3; within a class the lower level is.
    Ok(u64::from(all.min().ok_or(ESRCH)?))
}

/// The I/O priority that was set, none (0) at first.
const fn set_ioprio(attr: &SchedAttributes) -> u32 {
    attr.ioprio
}

/// The I/O priority, derived from the nice value when none was set.
fn effective_ioprio(attr: &SchedAttributes) -> u32 {
    if attr.ioprio >> IOPRIO_CLASS_SHIFT != IOPRIO_CLASS_NONE {
        return attr.ioprio;
    }
    let class = match attr.policy {
        SCHED_IDLE => IOPRIO_CLASS_IDLE,
        SCHED_FIFO | SCHED_RR => IOPRIO_CLASS_RT,
        _ => IOPRIO_CLASS_BE,
    };
    (class << IOPRIO_CLASS_SHIFT) | ((attr.nice + 20) / 5).cast_unsigned()
}

/// `getcpu(2)`: the processor the call was made on, if the platform knows and the affinity has it; else
/// the first the affinity has. There is one node.
///
/// # Errors
/// `EFAULT`.
pub fn getcpu(ctx: &mut Ctx<'_>, cpu: UserAddr, node: UserAddr, _cache: UserAddr) -> SysResult {
    let made_on = ctx.machine.thread.as_deref().and_then(|thread| thread.cpu());
    let number = {
        let attr = ctx.task().sched_attr.lock();
        let words = attr.affinity.iter().enumerate();
        let first = words
            .filter(|(_, word)| **word != 0)
            .map(|(i, word)| low_u32(u64_of(i) * 64) + word.trailing_zeros());
        let allowed = |cpu: &usize| {
            attr.affinity.get(cpu / 64).is_some_and(|word| word >> (cpu % 64) & 1 != 0)
        };
        let made_on = made_on.filter(allowed).map(|cpu| low_u32(u64_of(cpu)));
        made_on.or_else(|| first.min()).unwrap_or(0)
    };
    if !cpu.is_null() {
        ctx.mm().write(cpu, &number)?;
    }
    if !node.is_null() {
        ctx.mm().write(node, &0_u32)?;
    }
    Ok(0)
}
