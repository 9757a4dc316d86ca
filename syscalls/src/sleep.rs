//! Sleeping: `nanosleep(2)`, `clock_nanosleep(2)`.

use crate::clock;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EOPNOTSUPP};
use bevor_abi::time::{CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME, Timespec};
use bevor_base::clock::monotonic_ns;
use bevor_kernel::timers::Source;
use bevor_kernel::{Block, Ctx, Progress, Restart, SysResult};
use bevor_memory::UserAddr;

/// How often a clock of CPU time is looked at that is about to be where a sleeper waits for, ns.
const CPU_TICK_NS: u64 = 4_000_000;

/// `nanosleep(2)`.
///
/// # Errors
/// `EINTR`, `EINVAL`, `EFAULT`.
pub fn nanosleep(ctx: &mut Ctx<'_>, wanted: UserAddr, left: UserAddr) -> SysResult {
    clock_nanosleep(ctx, bevor_abi::time::CLOCK_MONOTONIC, 0, wanted, left)
}

/// `clock_nanosleep(2)`.
///
/// # Errors
/// `EINTR`, `EINVAL` (also for the caller's own CPU time), `EFAULT`, `EOPNOTSUPP` for clocks
/// without timers.
pub fn clock_nanosleep(
    ctx: &mut Ctx<'_>,
    clock_id: i32,
    flags: u32,
    wanted: UserAddr,
    left: UserAddr,
) -> SysResult {
    let absolute = flags & TIMER_ABSTIME != 0;
    if let Some(clock) = clock::cpu_clock(ctx, clock_id) {
        if clock_id == CLOCK_THREAD_CPUTIME_ID {
            return Err(EOPNOTSUPP.into());
        }
        if clock::is_of_caller(ctx, clock_id) {
            return Err(EINVAL.because("a thread cannot sleep for time of its own").into());
        }
        return cpu_nanosleep(ctx, &clock, absolute, wanted, left);
    }
    let deadline = match ctx.deadline_ns() {
        Some(deadline) => deadline,
        None => first_deadline(ctx, clock_id, absolute, wanted)?,
    };
    let now = monotonic_ns();
    if ctx.timed_out() || now >= deadline {
        return Ok(0);
    }
    let restart = if absolute { Restart::NoHand } else { Restart::SameDeadline };
    let mut block = Block::new(restart).until(Some(deadline));
    block.write_left = (!absolute && left.0 != 0).then_some(left.0);
    Err(block.into())
}

/// Sleeps until `clock`, which runs only while somebody works, has advanced. Nothing tells when it
/// does, so it is looked at again when it may have, as its timers are.
fn cpu_nanosleep(
    ctx: &mut Ctx<'_>,
    clock: &Source,
    absolute: bool,
    wanted: UserAddr,
    left: UserAddr,
) -> SysResult {
    let now = clock.now_ns();
    let until = match ctx.resumed().map(|block| &block.progress) {
        Some(Progress::Number(until)) => *until,
        _ => {
            let ns = read_time(ctx, wanted)?.cast_unsigned();
            if absolute { ns } else { now.saturating_add(ns) }
        }
    };
    let missing = until.saturating_sub(now);
    if missing == 0 {
        return Ok(0);
    }
    if !absolute && left.0 != 0 {
        // Known only here; a signal may come at any time. A bad address says nothing before that.
        let _ = ctx.mm().write(left, &Timespec::from_ns(missing.cast_signed()));
    }
    let soonest = monotonic_ns().saturating_add((missing / clock.most_speed()).max(CPU_TICK_NS));
    // A deadline that moved with every look would make each of them a new wait.
    let deadline = ctx.deadline_ns().filter(|_| !ctx.timed_out()).unwrap_or(soonest);
    let restart = if absolute { Restart::NoHand } else { Restart::SameDeadline };
    let block = Block::new(restart).until(Some(deadline));
    Err(block.with_progress(Progress::Number(until)).into())
}

fn read_time(ctx: &Ctx<'_>, at: UserAddr) -> Result<i64, Errno> {
    let time = ctx.mm().read::<Timespec>(at)?;
    if !time.is_valid() {
        return Err(EINVAL.into());
    }
    Ok(time.as_ns())
}

fn first_deadline(
    ctx: &Ctx<'_>,
    clock_id: i32,
    absolute: bool,
    wanted: UserAddr,
) -> Result<u64, Errno> {
    if clock::has_no_timers(clock_id) {
        return Err(EOPNOTSUPP.because("a clock without timers"));
    }
    let offset = clock::wall_offset_ns(clock_id).ok_or(EINVAL)?;
    let ns = read_time(ctx, wanted)?;
    if absolute {
        Ok(ns.saturating_sub(offset).max(0).cast_unsigned())
    } else {
        Ok(monotonic_ns().saturating_add(ns.cast_unsigned()))
    }
}
