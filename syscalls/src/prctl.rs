//! Attributes of a process: `prctl(2)`, `arch_prctl(2)`, `personality(2)`.

use bevor_abi::Errno;
use bevor_abi::cap::{CAP_LAST_CAP, CAP_SYS_RESOURCE};
use bevor_abi::conv::{as_i32, as_i64, low_u32, u64_of, usize_of};
use bevor_abi::errno::{EINVAL, ENODEV, ENXIO, EPERM};
use bevor_abi::prctl::{
    ARCH_GET_CPUID, ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_CPUID, ARCH_SET_FS, ARCH_SET_GS,
    PERSONALITY_READ, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAP_AMBIENT_IS_SET,
    PR_CAP_AMBIENT_LOWER, PR_CAP_AMBIENT_RAISE, PR_CAPBSET_DROP, PR_CAPBSET_READ, PR_GET_AUXV,
    PR_GET_CHILD_SUBREAPER, PR_GET_DUMPABLE, PR_GET_IO_FLUSHER, PR_GET_KEEPCAPS, PR_GET_MDWE,
    PR_GET_MEMORY_MERGE, PR_GET_NAME, PR_GET_NO_NEW_PRIVS, PR_GET_PDEATHSIG, PR_GET_SECCOMP,
    PR_GET_SECUREBITS, PR_GET_SPECULATION_CTRL, PR_GET_THP_DISABLE, PR_GET_TID_ADDRESS,
    PR_GET_TIMERSLACK, PR_GET_TIMING, PR_GET_TSC, PR_MCE_KILL, PR_MCE_KILL_CLEAR,
    PR_MCE_KILL_DEFAULT, PR_MCE_KILL_EARLY, PR_MCE_KILL_GET, PR_MCE_KILL_LATE, PR_MCE_KILL_SET,
    PR_MDWE_NO_INHERIT, PR_MDWE_REFUSE_EXEC_GAIN, PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE,
    PR_SET_IO_FLUSHER, PR_SET_KEEPCAPS, PR_SET_MDWE, PR_SET_MEMORY_MERGE, PR_SET_MM,
    PR_SET_MM_ARG_END, PR_SET_MM_ARG_START, PR_SET_MM_AUXV, PR_SET_MM_END_CODE, PR_SET_MM_END_DATA,
    PR_SET_MM_ENV_END, PR_SET_MM_ENV_START, PR_SET_MM_MAP, PR_SET_MM_MAP_SIZE,
    PR_SET_MM_START_CODE, PR_SET_MM_START_DATA, PR_SET_MM_START_STACK, PR_SET_NAME,
    PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_SECUREBITS,
    PR_SET_SPECULATION_CTRL, PR_SET_SYSCALL_USER_DISPATCH, PR_SET_THP_DISABLE, PR_SET_TIMERSLACK,
    PR_SET_TIMING, PR_SET_TSC, PR_SPEC_ENABLE, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_L1D_FLUSH,
    PR_SPEC_STORE_BYPASS, PR_SYS_DISPATCH_OFF, PR_TASK_PERF_EVENTS_DISABLE,
    PR_TASK_PERF_EVENTS_ENABLE, PR_TIMING_STATISTICAL, PR_TSC_ENABLE, SECBIT_KEEP_CAPS,
    TASK_COMM_LEN,
};
use bevor_abi::signal::Signal;
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::{TASK_SIZE, UserAddr};
use std::sync::atomic::Ordering;
use zerocopy::IntoBytes;

/// Timer slack of a task that asks for the default, nanoseconds.
const DEFAULT_TIMER_SLACK_NS: u64 = 50_000;
/// `vm.mmap_min_addr`.
const MMAP_MIN_ADDR: u64 = 65536;

/// `prctl(2)`.
///
/// # Errors
/// `EINVAL` for an operation that is not known, and those of the operation.
pub fn prctl(
    ctx: &mut Ctx<'_>,
    option: u32,
    arg2: u64,
    arg3: u64,
    arg4: u64,
    arg5: u64,
) -> SysResult {
    let rest_is_zero = arg3 == 0 && arg4 == 0 && arg5 == 0;
    let all_zero = arg2 == 0 && rest_is_zero;
    match option {
        PR_SET_PDEATHSIG => set_parent_death_signal(ctx, arg2),
        PR_GET_PDEATHSIG => {
            let signal = ctx.task().parent_death_signal.load(Ordering::Relaxed);
            put_int(ctx, arg2, signal)
        }
        PR_GET_DUMPABLE => Ok(ctx.task().group.dumpable.load(Ordering::Relaxed).into()),
        PR_SET_DUMPABLE => {
            ctx.task().group.dumpable.store(flag(arg2)?, Ordering::Relaxed);
            Ok(0)
        }
        PR_SET_NAME => set_name(ctx, UserAddr(arg2)),
        PR_GET_NAME => {
            ctx.mm().write(UserAddr(arg2), &ctx.task().comm())?;
            Ok(0)
        }
        PR_GET_TIMERSLACK => Ok(ctx.task().timer_slack_ns.load(Ordering::Relaxed)),
        PR_SET_TIMERSLACK => {
            let slack = if as_i64(arg2) <= 0 { DEFAULT_TIMER_SLACK_NS } else { arg2 };
            ctx.task().timer_slack_ns.store(slack, Ordering::Relaxed);
            Ok(0)
        }
        PR_SET_CHILD_SUBREAPER => set_subreaper(ctx, arg2 != 0),
        PR_GET_CHILD_SUBREAPER => {
            let is_subreaper = {
                let tree = ctx.kernel().tree.lock();
                tree.node(&ctx.task().group.pid).is_some_and(|node| node.subreaper)
            };
            put_int(ctx, arg2, is_subreaper.into())
        }
        PR_SET_NO_NEW_PRIVS if arg2 == 1 && rest_is_zero => {
            ctx.task().no_new_privs.store(true, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_NO_NEW_PRIVS if all_zero => {
            Ok(ctx.task().no_new_privs.load(Ordering::Relaxed).into())
        }
        PR_GET_TID_ADDRESS => {
            let addr = ctx.task().clear_child_tid.load(Ordering::Relaxed);
            ctx.mm().write(UserAddr(arg2), &addr)?;
            Ok(0)
        }
        PR_GET_KEEPCAPS => Ok((ctx.task().cred().securebits & SECBIT_KEEP_CAPS != 0).into()),
        PR_SET_KEEPCAPS => change(ctx, |cred| cred.set_keep_caps(flag(arg2)?)),
        PR_GET_SECUREBITS => Ok(ctx.task().cred().securebits.into()),
        PR_SET_SECUREBITS => {
            let bits = u32::try_from(arg2).map_err(|_| EPERM)?;
            change(ctx, |cred| cred.set_securebits(bits))
        }
        PR_CAPBSET_READ => {
            let cap = capability(arg2)?;
            Ok((ctx.task().cred().bounding >> cap) & 1)
        }
        PR_CAPBSET_DROP => {
            let cap = u32::try_from(arg2).unwrap_or(u32::MAX);
            change(ctx, |cred| cred.drop_bounding(cap))
        }
        PR_CAP_AMBIENT if arg4 == 0 && arg5 == 0 => ambient(ctx, low_u32(arg2), arg3),
        PR_GET_AUXV if arg4 == 0 && arg5 == 0 => auxiliary_vector(ctx, UserAddr(arg2), arg3),
        PR_GET_SECCOMP => Ok(ctx.task().seccomp.mode().into()),
        PR_SET_SECCOMP => crate::seccomp::set_mode(ctx, arg2, UserAddr(arg3)),
        PR_GET_TSC => put_int(ctx, arg2, PR_TSC_ENABLE.cast_signed()),
        PR_SET_TSC if low_u32(arg2) == PR_TSC_ENABLE => Ok(0),
        PR_GET_TIMING => Ok(PR_TIMING_STATISTICAL.into()),
        PR_SET_TIMING if arg2 == u64::from(PR_TIMING_STATISTICAL) => Ok(0),
        PR_MCE_KILL if arg4 == 0 && arg5 == 0 => memory_failure(ctx, low_u32(arg2), arg3),
        PR_MCE_KILL_GET if all_zero => Ok(ctx.task().memory_failure.load(Ordering::Relaxed).into()),
        // The task has no counters of its own to switch.
        PR_TASK_PERF_EVENTS_DISABLE | PR_TASK_PERF_EVENTS_ENABLE => Ok(0),
        PR_SET_THP_DISABLE if rest_is_zero => {
            ctx.task().group.thp_disable.store(arg2 != 0, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_THP_DISABLE if all_zero => {
            Ok(ctx.task().group.thp_disable.load(Ordering::Relaxed).into())
        }
        PR_GET_MDWE if all_zero => Ok(ctx.mm().mdwe().into()),
        PR_SET_MDWE if rest_is_zero => {
            let known = u64::from(PR_MDWE_REFUSE_EXEC_GAIN | PR_MDWE_NO_INHERIT);
            let flags = low_u32(arg2);
            let alone = flags & PR_MDWE_NO_INHERIT != 0 && flags & PR_MDWE_REFUSE_EXEC_GAIN == 0;
            if arg2 & !known != 0 || alone {
                return Err(EINVAL.into());
            }
            ctx.mm().set_mdwe(flags)?;
            Ok(0)
        }
        PR_GET_MEMORY_MERGE if all_zero => Ok(ctx.mm().may_merge().into()),
        PR_SET_MEMORY_MERGE if rest_is_zero => {
            ctx.mm().set_may_merge(arg2 != 0);
            Ok(0)
        }
        PR_SET_IO_FLUSHER | PR_GET_IO_FLUSHER => io_flusher(ctx, option, arg2, rest_is_zero),
        PR_SET_MM => set_memory_image(ctx, low_u32(arg2), arg3, arg4, arg5),
        // What is off can be switched off.
        PR_SET_SYSCALL_USER_DISPATCH if low_u32(arg2) == PR_SYS_DISPATCH_OFF && rest_is_zero => {
            Ok(0)
        }
        PR_GET_SPECULATION_CTRL if rest_is_zero => {
            speculation(arg2)?;
            Ok(PR_SPEC_ENABLE.into())
        }
        PR_SET_SPECULATION_CTRL if arg4 == 0 && arg5 == 0 => {
            speculation(arg2)?;
            Err(ENXIO.because("mitigations are the host's").into())
        }
        _ => Err(EINVAL.because("prctl operation not known").into()),
    }
}

/// `PR_MCE_KILL`: what happens when memory fails, which the host never tells of.
fn memory_failure(ctx: &Ctx<'_>, operation: u32, policy: u64) -> SysResult {
    let policy = match (operation, u32::try_from(policy)) {
        (PR_MCE_KILL_CLEAR, Ok(0)) => PR_MCE_KILL_DEFAULT,
        (
            PR_MCE_KILL_SET,
            Ok(policy @ (PR_MCE_KILL_LATE | PR_MCE_KILL_EARLY | PR_MCE_KILL_DEFAULT)),
        ) => policy,
        _ => return Err(EINVAL.into()),
    };
    ctx.task().memory_failure.store(policy, Ordering::Relaxed);
    Ok(0)
}

/// `PR_SET_IO_FLUSHER`, `PR_GET_IO_FLUSHER`: kept and reported.
fn io_flusher(ctx: &Ctx<'_>, option: u32, arg: u64, rest_is_zero: bool) -> SysResult {
    if !ctx.task().cred().has_cap(CAP_SYS_RESOURCE) {
        return Err(EPERM.into());
    }
    let state = &ctx.task().io_flusher;
    match (option, arg) {
        (PR_SET_IO_FLUSHER, 0 | 1) if rest_is_zero => {
            state.store(arg == 1, Ordering::Relaxed);
            Ok(0)
        }
        (PR_GET_IO_FLUSHER, 0) if rest_is_zero => Ok(state.load(Ordering::Relaxed).into()),
        _ => Err(EINVAL.into()),
    }
}

/// `PR_SET_MM`: where `/proc/PID` finds arguments, environment, code, data and stack.
fn set_memory_image(ctx: &Ctx<'_>, field: u32, addr: u64, size: u64, arg5: u64) -> SysResult {
    if arg5 != 0 || (size != 0 && !matches!(field, PR_SET_MM_AUXV | PR_SET_MM_MAP)) {
        return Err(EINVAL.into());
    }
    if matches!(field, PR_SET_MM_MAP | PR_SET_MM_MAP_SIZE) {
        return Err(EINVAL.because("as kernels without CONFIG_CHECKPOINT_RESTORE").into());
    }
    if !ctx.task().cred().has_cap(CAP_SYS_RESOURCE) {
        return Err(EPERM.into());
    }
    if !(MMAP_MIN_ADDR..TASK_SIZE).contains(&addr) {
        return Err(EINVAL.into());
    }
    if !ctx.mm().is_mapped(addr) {
        return Err(EINVAL.because("nothing mapped there").into());
    }
    let mut image = ctx.task().group.image.write();
    let info = &mut image.as_mut().ok_or(EINVAL)?.info;
    match field {
        PR_SET_MM_START_CODE => info.code.start = addr,
        PR_SET_MM_END_CODE => info.code.end = addr,
        PR_SET_MM_START_DATA => info.data.start = addr,
        PR_SET_MM_END_DATA => info.data.end = addr,
        PR_SET_MM_START_STACK => info.start_stack = addr,
        PR_SET_MM_ARG_START => info.args.start = addr,
        PR_SET_MM_ARG_END => info.args.end = addr,
        PR_SET_MM_ENV_START => info.envs.start = addr,
        PR_SET_MM_ENV_END => info.envs.end = addr,
        _ => return Err(EINVAL.because("this part of the image is fixed").into()),
    }
    Ok(0)
}

/// An argument that must be 0 or 1.
fn flag(arg: u64) -> Result<bool, Errno> {
    match arg {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(EINVAL.into()),
    }
}

/// Writes an `int` result where the program wants it.
fn put_int(ctx: &Ctx<'_>, addr: u64, value: i32) -> SysResult {
    ctx.mm().write(UserAddr(addr), &value)?;
    Ok(0)
}

/// Changes the caller's credentials.
fn change(
    ctx: &mut Ctx<'_>,
    new: impl FnOnce(&bevor_base::Credentials) -> Result<bevor_base::Credentials, Errno>,
) -> SysResult {
    let new = new(&ctx.task().cred())?;
    crate::credentials::commit(ctx, new);
    Ok(0)
}

fn capability(arg: u64) -> Result<u32, Errno> {
    u32::try_from(arg)
        .ok()
        .filter(|&cap| cap <= CAP_LAST_CAP)
        .ok_or_else(|| EINVAL.because("no such capability"))
}

fn speculation(which: u64) -> Result<(), Errno> {
    match u32::try_from(which) {
        Ok(PR_SPEC_STORE_BYPASS | PR_SPEC_INDIRECT_BRANCH | PR_SPEC_L1D_FLUSH) => Ok(()),
        _ => Err(ENODEV.into()),
    }
}

fn set_parent_death_signal(ctx: &Ctx<'_>, arg: u64) -> SysResult {
    let number = as_i32(arg);
    if arg != 0 && Signal::new(number).is_none() {
        return Err(EINVAL.because("no such signal").into());
    }
    ctx.task().parent_death_signal.store(number, Ordering::Relaxed);
    Ok(0)
}

/// Takes at most 15 bytes up to the NUL, and touches none behind it.
fn set_name(ctx: &Ctx<'_>, name: UserAddr) -> SysResult {
    let mut comm = [0; TASK_COMM_LEN];
    let mut at = name;
    for place in comm.iter_mut().take(TASK_COMM_LEN - 1) {
        *place = ctx.mm().read(at)?;
        if *place == 0 {
            break;
        }
        at = at.add(1)?;
    }
    ctx.task().set_comm(&comm);
    Ok(0)
}

fn set_subreaper(ctx: &Ctx<'_>, on: bool) -> SysResult {
    let mut tree = ctx.kernel().tree.lock();
    if let Some(node) = tree.nodes.get_mut(&ctx.task().group.id()) {
        node.subreaper = on;
    }
    Ok(0)
}

/// `prctl(PR_CAP_AMBIENT)`.
fn ambient(ctx: &mut Ctx<'_>, operation: u32, cap: u64) -> SysResult {
    if operation == PR_CAP_AMBIENT_CLEAR_ALL {
        if cap != 0 {
            return Err(EINVAL.into());
        }
        return change(ctx, |cred| Ok(bevor_base::Credentials { ambient: 0, ..cred.clone() }));
    }
    let cap = capability(cap)?;
    match operation {
        PR_CAP_AMBIENT_IS_SET => Ok((ctx.task().cred().ambient >> cap) & 1),
        PR_CAP_AMBIENT_RAISE => change(ctx, |cred| cred.raise_ambient(cap)),
        PR_CAP_AMBIENT_LOWER => change(ctx, |cred| {
            let ambient = cred.ambient & !(1 << cap);
            Ok(bevor_base::Credentials { ambient, ..cred.clone() })
        }),
        _ => Err(EINVAL.into()),
    }
}

/// `personality(2)`: returns the old one.
///
/// # Errors
/// None.
pub fn personality(ctx: &mut Ctx<'_>, persona: u32) -> SysResult {
    let current = &ctx.task().personality;
    let old = if persona == PERSONALITY_READ {
        current.load(Ordering::Relaxed)
    } else {
        let old = current.swap(persona, Ordering::Relaxed);
        ctx.refresh_answers();
        old
    };
    Ok(old.into())
}

/// The auxiliary vector as `execve` made it; returns its whole length in bytes.
fn auxiliary_vector(ctx: &Ctx<'_>, buf: UserAddr, room: u64) -> SysResult {
    let image = ctx.task().group.image.read().clone();
    let auxv = image.map(|image| image.info.auxv).unwrap_or_default();
    let words: Vec<u64> = auxv.into_iter().flat_map(|(kind, value)| [kind, value]).collect();
    let bytes = words.as_bytes();
    let shown = bytes.get(..usize_of(room)).unwrap_or(bytes);
    ctx.mm().write_bytes(buf, shown)?;
    Ok(u64_of(bytes.len()))
}

/// `arch_prctl(2)`.
///
/// # Errors
/// `EPERM` for an address outside the user half, `EINVAL` for an operation that is not known,
/// `EFAULT`, `ENODEV`.
pub fn arch_prctl(ctx: &mut Ctx<'_>, option: u32, arg: u64) -> SysResult {
    match option {
        ARCH_SET_FS | ARCH_SET_GS => {
            if arg >= TASK_SIZE {
                return Err(EPERM.because("not a user address").into());
            }
            let context = &mut ctx.machine.context;
            context.full = true;
            if option == ARCH_SET_FS {
                context.regs.fs_base = arg;
            } else {
                context.regs.gs_base = arg;
            }
            Ok(0)
        }
        ARCH_GET_FS => put_long(ctx, arg, ctx.regs().fs_base),
        ARCH_GET_GS => put_long(ctx, arg, ctx.regs().gs_base),
        ARCH_GET_CPUID => Ok(1),
        ARCH_SET_CPUID => Err(ENODEV.because("CPUID cannot be made to fault").into()),
        _ => Err(EINVAL.because("arch_prctl operation not known").into()),
    }
}

fn put_long(ctx: &Ctx<'_>, addr: u64, value: u64) -> SysResult {
    ctx.mm().write(UserAddr(addr), &value)?;
    Ok(0)
}
