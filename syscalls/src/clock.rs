//! Clocks: `clock_gettime(2)`, `gettimeofday(2)`, `time(2)`, `times(2)`, `getrusage(2)`.

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EPERM};
use bevor_abi::resource::Rusage;
use bevor_abi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE,
    CLOCK_MONOTONIC_RAW, CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM,
    CLOCK_REALTIME_COARSE, CLOCK_TAI, CLOCK_THREAD_CPUTIME_ID, Timespec, Timeval, Timezone, Tms,
};
use bevor_base::clock::{boottime_ns, monotonic_ns, realtime_ns};
use bevor_kernel::group::{ThreadGroup, Usage};
use bevor_kernel::timers::Source;
use bevor_kernel::{Ctx, SysResult, Task};
use bevor_memory::UserAddr;
use std::sync::Arc;

/// Nanoseconds of a clock tick (`USER_HZ` is 100).
const TICK_NS: u64 = 10_000_000;
/// Resolution of the coarse clocks: a tick of a kernel with `HZ=250`.
const COARSE_NS: i64 = 4_000_000;

/// What to add to the host's `CLOCK_MONOTONIC` for a clock that runs with wall time. The alarm clocks
/// need a real-time clock device, which a sandbox has not.
#[must_use]
pub fn wall_offset_ns(clock_id: i32) -> Option<i64> {
    let monotonic = monotonic_ns().cast_signed();
    match clock_id {
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE => Some(0),
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_TAI => Some(realtime_ns() - monotonic),
        CLOCK_BOOTTIME => Some(boottime_ns().cast_signed() - monotonic),
        _ => None,
    }
}

/// Whether this is a clock that can be read at most, not slept on.
#[must_use]
pub const fn has_no_timers(clock_id: i32) -> bool {
    matches!(
        clock_id,
        CLOCK_MONOTONIC_RAW
            | CLOCK_MONOTONIC_COARSE
            | CLOCK_REALTIME_COARSE
            | CLOCK_REALTIME_ALARM
            | CLOCK_BOOTTIME_ALARM
    )
}

/// The process or thread whose CPU time a negative clock id names (`clock_getcpuclockid(3)`).
#[must_use]
pub fn cpu_clock(ctx: &Ctx<'_>, clock_id: i32) -> Option<Source> {
    let of_process = |group: &Arc<ThreadGroup>| Source::Process(Arc::downgrade(group));
    let of_thread = |task: &Arc<Task>| Source::Thread(Arc::downgrade(task));
    match clock_id {
        CLOCK_PROCESS_CPUTIME_ID => return Some(of_process(&ctx.task().group)),
        CLOCK_THREAD_CPUTIME_ID => return Some(of_thread(ctx.task())),
        0.. => return None,
        _ => {}
    }
    let (number, kind, per_thread) = (!(clock_id >> 3), clock_id & 3, clock_id & 4 != 0);
    if kind == 3 {
        return None;
    }
    if number == 0 {
        return Some(if per_thread {
            of_thread(ctx.task())
        } else {
            of_process(&ctx.task().group)
        });
    }
    let pid = ctx.task().pid().namespace().find(number)?;
    let tree = ctx.kernel().tree.lock();
    if per_thread {
        tree.task(&pid).map(of_thread)
    } else {
        tree.node(&pid).map(|node| of_process(&node.group))
    }
}

/// Whether a negative clock id names the CPU time of the calling thread.
#[must_use]
pub fn is_of_caller(ctx: &Ctx<'_>, clock_id: i32) -> bool {
    let (number, per_thread) = (!(clock_id >> 3), clock_id & 4 != 0);
    clock_id < 0 && per_thread && (number == 0 || number == ctx.task().tid())
}

/// Whether a clock id names a clock at all.
#[must_use]
pub fn is_known(ctx: &Ctx<'_>, clock_id: i32) -> bool {
    wall_offset_ns(clock_id).is_some() || cpu_clock(ctx, clock_id).is_some()
}

/// Time of any clock, nanoseconds.
///
/// # Errors
/// `EINVAL` for an unknown clock.
pub fn read(ctx: &Ctx<'_>, clock_id: i32) -> Result<i64, Errno> {
    match clock_id {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_TAI => {
            return Ok(realtime_ns());
        }
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE => {
            return Ok(monotonic_ns().cast_signed());
        }
        CLOCK_BOOTTIME => return Ok(boottime_ns().cast_signed()),
        _ => {}
    }
    note_own_time(ctx);
    Ok(cpu_clock(ctx, clock_id).ok_or(EINVAL)?.now_ns().cast_signed())
}

/// Brings the caller's CPU time up to date.
pub fn note_own_time(ctx: &Ctx<'_>) {
    if let Some(thread) = ctx.machine.thread.as_deref() {
        ctx.task().note_times(thread);
    }
}

/// `clock_gettime(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn clock_gettime(ctx: &mut Ctx<'_>, clock_id: i32, time: UserAddr) -> SysResult {
    let now = read(ctx, clock_id)?;
    ctx.mm().write(time, &Timespec::from_ns(now))?;
    Ok(0)
}

/// `clock_getres(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn clock_getres(ctx: &mut Ctx<'_>, clock_id: i32, resolution: UserAddr) -> SysResult {
    if !is_known(ctx, clock_id) {
        return Err(EINVAL.into());
    }
    let coarse = matches!(clock_id, CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE);
    if resolution.0 != 0 {
        let ns = if coarse { COARSE_NS } else { 1 };
        ctx.mm().write(resolution, &Timespec::from_ns(ns))?;
    }
    Ok(0)
}

/// `clock_settime(2)`: nobody in a sandbox may set the host's clock.
///
/// # Errors
/// `EPERM`, `EINVAL`, `EFAULT`.
pub fn clock_settime(ctx: &mut Ctx<'_>, clock_id: i32, time: UserAddr) -> SysResult {
    let time = ctx.mm().read::<Timespec>(time)?;
    if clock_id != CLOCK_REALTIME || !time.is_valid() {
        return Err(EINVAL.into());
    }
    Err(EPERM.into())
}

/// `settimeofday(2)`: as [`clock_settime`].
///
/// # Errors
/// `EPERM`, `EINVAL`, `EFAULT`.
pub fn settimeofday(ctx: &mut Ctx<'_>, time: UserAddr, zone: UserAddr) -> SysResult {
    if time.0 != 0 {
        let time = ctx.mm().read::<Timeval>(time)?;
        if !time.is_valid() {
            return Err(EINVAL.into());
        }
    }
    if zone.0 != 0 {
        ctx.mm().read::<Timezone>(zone)?;
    }
    Err(EPERM.into())
}

/// `gettimeofday(2)`.
///
/// # Errors
/// `EFAULT`.
pub fn gettimeofday(ctx: &mut Ctx<'_>, time: UserAddr, zone: UserAddr) -> SysResult {
    if time.0 != 0 {
        ctx.mm().write(time, &Timeval::from_ns(realtime_ns()))?;
    }
    if zone.0 != 0 {
        ctx.mm().write(zone, &Timezone::default())?;
    }
    Ok(0)
}

/// `time(2)`.
///
/// # Errors
/// `EFAULT`.
pub fn time(ctx: &mut Ctx<'_>, out: UserAddr) -> SysResult {
    let now = Timespec::from_ns(realtime_ns()).tv_sec;
    if out.0 != 0 {
        ctx.mm().write(out, &now)?;
    }
    Ok(now.cast_unsigned())
}

/// `times(2)`.
///
/// # Errors
/// `EFAULT`.
pub fn times(ctx: &mut Ctx<'_>, out: UserAddr) -> SysResult {
    note_own_time(ctx);
    if out.0 != 0 {
        let ticks = |ns: u64| (ns / TICK_NS).cast_signed();
        ctx.task().group.refresh_usage();
        let own = ctx.task().group.total_usage();
        let children = *ctx.task().group.child_usage.lock();
        let times = Tms {
            tms_utime: ticks(own.user_ns),
            tms_stime: ticks(own.system_ns),
            tms_cutime: ticks(children.user_ns),
            tms_cstime: ticks(children.system_ns),
        };
        ctx.mm().write(out, &times)?;
    }
    Ok(boottime_ns() / TICK_NS)
}

/// `getrusage(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn getrusage(ctx: &mut Ctx<'_>, who: i32, out: UserAddr) -> SysResult {
    note_own_time(ctx);
    let group = &ctx.task().group;
    let mut usage: Usage = match who {
        0 => {
            group.refresh_usage();
            group.total_usage()
        }
        -1 => *group.child_usage.lock(),
        1 => ctx.task().usage(),
        _ => return Err(EINVAL.into()),
    };
    if who != -1 {
        usage.max_rss_bytes = usage.max_rss_bytes.max(ctx.mm().peak_rss_bytes());
    }
    let rusage: Rusage = crate::process::rusage_of(&usage);
    ctx.mm().write(out, &rusage)?;
    Ok(0)
}
