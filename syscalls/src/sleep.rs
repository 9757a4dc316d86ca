//! Sleeping: `nanosleep(2)`, `clock_nanosleep(2)`.

use crate::clock;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EOPNOTSUPP};
use bevor_abi::time::{CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME, Timespec};
use bevor_base::clock::monotonic_ns;
use bevor_kernel::{Block, Ctx, Restart, SysResult};
use bevor_memory::UserAddr;

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
/// `EINTR`, `EINVAL`, `EFAULT`, `EOPNOTSUPP` for CPU-time clocks.
pub fn clock_nanosleep(
    ctx: &mut Ctx<'_>,
    clock_id: i32,
    flags: u32,
    wanted: UserAddr,
    left: UserAddr,
) -> SysResult {
    let absolute = flags & TIMER_ABSTIME != 0;
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

fn first_deadline(
    ctx: &Ctx<'_>,
    clock_id: i32,
    absolute: bool,
    wanted: UserAddr,
) -> Result<u64, Errno> {
    if clock_id == CLOCK_THREAD_CPUTIME_ID {
        return Err(EINVAL.into());
    }
    if clock::has_no_timers(clock_id) {
        return Err(EOPNOTSUPP.because("a clock without timers"));
    }
    let offset = clock::wall_offset_ns(clock_id).ok_or_else(|| {
        if clock::is_known(ctx, clock_id) { Errno::from(EOPNOTSUPP) } else { EINVAL.into() }
    })?;
    let wanted = ctx.mm().read::<Timespec>(wanted)?;
    if !wanted.is_valid() {
        return Err(EINVAL.into());
    }
    let ns = wanted.as_ns();
    if absolute {
        Ok(ns.saturating_sub(offset).max(0).cast_unsigned())
    } else {
        Ok(monotonic_ns().saturating_add(ns.cast_unsigned()))
    }
}
