//! Interval timers and POSIX timers: `setitimer(2)`, `alarm(2)`, `timer_create(2)`.

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EOPNOTSUPP};
use bevor_abi::signal::{SI_TIMER, SIGALRM, Signal};
use bevor_abi::time::{
    ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, Itimerspec, Itimerval, SIGEV_NONE, SIGEV_SIGNAL,
    SIGEV_THREAD, SIGEV_THREAD_ID, SigeventT, TIMER_ABSTIME, Timespec, Timeval,
};
use bevor_kernel::signal::{Detail, Info};
use bevor_kernel::timers::{Notify, Setting, Source, Which};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::{UserAddr, UserPtr};
use std::sync::Arc;

use crate::clock;

fn which(number: u32) -> Result<Which, Errno> {
    match number {
        ITIMER_REAL => Ok(Which::Real),
        ITIMER_VIRTUAL => Ok(Which::Virtual),
        ITIMER_PROF => Ok(Which::Prof),
        _ => Err(EINVAL.into()),
    }
}

fn itimerval(setting: Setting) -> Itimerval {
    let time = |ns: u64| Timeval::from_ns(ns.cast_signed());
    // What is left of a microsecond counts as one: a timer that is set never shows zero.
    let value_ns = setting.value_ns.div_ceil(1000) * 1000;
    Itimerval { it_interval: time(setting.interval_ns), it_value: time(value_ns) }
}

fn itimerspec(setting: Setting) -> Itimerspec {
    let time = |ns: u64| Timespec::from_ns(ns.cast_signed());
    Itimerspec { it_interval: time(setting.interval_ns), it_value: time(setting.value_ns) }
}

/// `getitimer(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`.
pub fn getitimer(ctx: &mut Ctx<'_>, number: u32, value: UserAddr) -> SysResult {
    let which = which(number)?;
    clock::note_own_time(ctx);
    let setting = ctx.task().group.timers.remaining(which);
    ctx.mm().write(value, &itimerval(setting))?;
    Ok(0)
}

/// `setitimer(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`.
pub fn setitimer(ctx: &mut Ctx<'_>, number: u32, new: UserAddr, old: UserAddr) -> SysResult {
    let wanted =
        if new.is_null() { Itimerval::default() } else { ctx.mm().read::<Itimerval>(new)? };
    if !wanted.it_value.is_valid() || !wanted.it_interval.is_valid() {
        return Err(EINVAL.into());
    }
    let setting = Setting {
        value_ns: wanted.it_value.as_ns().cast_unsigned(),
        interval_ns: wanted.it_interval.as_ns().cast_unsigned(),
    };
    let before = set_interval(ctx, which(number)?, setting);
    if !old.is_null() {
        ctx.mm().write(old, &itimerval(before))?;
    }
    Ok(0)
}

fn set_interval(ctx: &Ctx<'_>, which: Which, setting: Setting) -> Setting {
    clock::note_own_time(ctx);
    let group = &ctx.task().group;
    group.timers.set_interval_timer(ctx.kernel(), group, which, setting)
}

/// `alarm(2)`: returns the seconds that were left, rounded, at least one.
///
/// # Errors
/// None.
pub fn alarm(ctx: &mut Ctx<'_>, seconds: u32) -> SysResult {
    let value_ns = u64::from(seconds) * 1_000_000_000;
    let before = set_interval(ctx, Which::Real, Setting { value_ns, interval_ns: 0 });
    let (whole, rest) = (before.value_ns / 1_000_000_000, before.value_ns % 1_000_000_000);
    let up = rest >= 500_000_000 || (whole == 0 && rest != 0);
    Ok(whole + u64::from(up))
}

/// The source of a clock timers may have.
fn source(ctx: &Ctx<'_>, clock_id: i32) -> Result<Source, Errno> {
    if clock::has_no_timers(clock_id) {
        return Err(EOPNOTSUPP.because("a clock without timers"));
    }
    if clock::wall_offset_ns(clock_id).is_some() {
        return Ok(Source::Wall);
    }
    clock::cpu_clock(ctx, clock_id).ok_or_else(|| EINVAL.because("no such clock"))
}

/// What `sigevent` asks for, as the kernel's `good_sigevent` accepts it.
fn notify(ctx: &Ctx<'_>, event: &SigeventT) -> Result<Notify, Errno> {
    let signal = || Signal::new(event.sigev_signo).ok_or(EINVAL);
    let info = |signal: Signal| {
        let detail = Detail::Timer { id: 0, overrun: 0, value: event.sigev_value };
        Info { signo: signal.number(), errno: 0, code: SI_TIMER, detail }
    };
    match event.sigev_notify {
        SIGEV_NONE => Ok(Notify::Nothing),
        SIGEV_SIGNAL | SIGEV_THREAD => Ok(Notify::Process(info(signal()?))),
        SIGEV_THREAD_ID => {
            let task = crate::target::thread(ctx, event.sigev_tid)
                .filter(|task| event.sigev_tid > 0 && Arc::ptr_eq(&task.group, &ctx.task().group))
                .ok_or_else(|| EINVAL.because("not a thread of the process"))?;
            Ok(Notify::Thread(Arc::downgrade(&task), info(signal()?)))
        }
        _ => Err(EINVAL.into()),
    }
}

/// `timer_create(2)`.
///
/// # Errors
/// `EAGAIN`, `EFAULT`, `EINVAL`, `EOPNOTSUPP`, `EPERM`.
pub fn timer_create(
    ctx: &mut Ctx<'_>,
    clock_id: i32,
    event: UserPtr<SigeventT>,
    id: UserAddr,
) -> SysResult {
    let source = source(ctx, clock_id)?;
    let given = if event.is_null() {
        let sigev_signo = SIGALRM.number();
        SigeventT { sigev_signo, sigev_notify: SIGEV_SIGNAL, ..SigeventT::default() }
    } else {
        ctx.mm().read::<SigeventT>(event.addr)?
    };
    let notify = notify(ctx, &given)?;
    let group = ctx.task().group.clone();
    // Without an event, the id is what the signal carries.
    let made = group.timers.create(&group, source, clock_id, notify, event.is_null())?;
    if let Err(errno) = ctx.mm().write(id, &made) {
        group.timers.delete(made)?;
        return Err(errno.into());
    }
    Ok(0)
}

/// `timer_settime(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`.
pub fn timer_settime(
    ctx: &mut Ctx<'_>,
    id: i32,
    flags: u32,
    new: UserAddr,
    old: UserAddr,
) -> SysResult {
    if new.is_null() {
        return Err(EINVAL.into());
    }
    let wanted: Itimerspec = ctx.mm().read(new)?;
    if !wanted.it_value.is_valid() || !wanted.it_interval.is_valid() {
        return Err(EINVAL.into());
    }
    clock::note_own_time(ctx);
    let group = &ctx.task().group;
    let value_ns = wanted.it_value.as_ns();
    let absolute = flags & TIMER_ABSTIME != 0;
    let offset_ns = clock::wall_offset_ns(group.timers.clock(id)?).unwrap_or(0);
    let expiry = |source: &Source| {
        if value_ns == 0 {
            None
        } else if absolute {
            let at = value_ns.saturating_sub(offset_ns);
            Some(at.max(0).cast_unsigned())
        } else {
            Some(source.now_ns().saturating_add(value_ns.cast_unsigned()))
        }
    };
    let interval_ns = wanted.it_interval.as_ns().cast_unsigned();
    let before = group.timers.set(ctx.kernel(), group, id, expiry, interval_ns)?;
    if !old.is_null() {
        ctx.mm().write(old, &itimerspec(before))?;
    }
    Ok(0)
}

/// `timer_gettime(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`.
pub fn timer_gettime(ctx: &mut Ctx<'_>, id: i32, value: UserAddr) -> SysResult {
    clock::note_own_time(ctx);
    let setting = ctx.task().group.timers.get(id)?;
    ctx.mm().write(value, &itimerspec(setting))?;
    Ok(0)
}

/// `timer_getoverrun(2)`.
///
/// # Errors
/// `EINVAL`.
pub fn timer_getoverrun(ctx: &mut Ctx<'_>, id: i32) -> SysResult {
    Ok(u64::from(ctx.task().group.timers.overrun(id)?.cast_unsigned()))
}

/// `timer_delete(2)`.
///
/// # Errors
/// `EINVAL`.
pub fn timer_delete(ctx: &mut Ctx<'_>, id: i32) -> SysResult {
    ctx.task().group.timers.delete(id)?;
    Ok(0)
}
