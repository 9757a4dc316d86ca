//! `eventfd(2)`, `timerfd_create(2)`, `epoll(7)`, `signalfd(2)`.

use crate::clock::wall_offset_ns;
use crate::signal::{read_mask, set_temporary_mask};
use bevor_abi::Errno;
use bevor_abi::errno::{EBADF, ECANCELED, EFAULT, EINVAL};
use bevor_abi::fcntl::{O_CLOEXEC, O_NONBLOCK};
use bevor_abi::poll::{EpollEvent, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET};
use bevor_abi::time::{Itimerspec, Timespec};
use bevor_base::Ready;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::{Block, Ctx, Restart, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::anon;
use bevor_vfs::event::{Epoll, EventFd, Setting, TimerFd};
use bevor_vfs::file::{File, FileOps, OpenFlags};
use std::sync::Arc;

/// `EFD_SEMAPHORE`.
const EFD_SEMAPHORE: u32 = 1;
/// `O_RDWR`.
const O_RDWR: u32 = 2;
/// Most events one wait reports.
const MAX_EVENTS: i32 = i32::MAX / 12;

/// Gives the caller a descriptor of a new anonymous file.
pub(crate) fn install(ctx: &Ctx<'_>, ops: Box<dyn FileOps>, class: &str, flags: u32) -> SysResult {
    let file = anon::file(ops, class, OpenFlags(O_RDWR | (flags & O_NONBLOCK)));
    Ok(u64::from(ctx.install(file, flags & O_CLOEXEC != 0)?.cast_unsigned()))
}

/// As [`install`], for a file that can only be read.
pub(crate) fn install_reader(
    ctx: &Ctx<'_>,
    ops: Box<dyn FileOps>,
    class: &str,
    flags: u32,
) -> SysResult {
    let file = anon::file(ops, class, OpenFlags(flags & O_NONBLOCK));
    Ok(u64::from(ctx.install(file, flags & O_CLOEXEC != 0)?.cast_unsigned()))
}

/// `eventfd`, the older system call.
///
/// # Errors
/// As [`eventfd2`].
pub fn eventfd(ctx: &mut Ctx<'_>, count: u32) -> SysResult {
    eventfd2(ctx, count, 0)
}

/// `eventfd(2)`.
///
/// # Errors
/// `EINVAL`, `EMFILE`.
pub fn eventfd2(ctx: &mut Ctx<'_>, count: u32, flags: u32) -> SysResult {
    if flags & !(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(EINVAL.into());
    }
    let ops = EventFd::new(u64::from(count), flags & EFD_SEMAPHORE != 0);
    install(ctx, Box::new(ops), "[eventfd]", flags)
}

/// `timerfd_create(2)`.
///
/// # Errors
/// `EINVAL`, `EMFILE`, `EPERM`.
pub fn timerfd_create(ctx: &mut Ctx<'_>, clock_id: i32, flags: u32) -> SysResult {
    let alarm = matches!(clock_id, 8 | 9);
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 || !(matches!(clock_id, 0 | 1 | 7) || alarm) {
        return Err(EINVAL.into());
    }
    /// `CAP_WAKE_ALARM`.
    const CAP_WAKE_ALARM: u32 = 35;
    if alarm && !ctx.task().cred().has_cap(CAP_WAKE_ALARM) {
        return Err(bevor_abi::errno::EPERM.into());
    }
    let ops = TimerFd::new(ctx.kernel().timers.clone(), clock_id);
    install(ctx, Box::new(ops), "[timerfd]", flags)
}

fn timer(file: &Arc<File>) -> Result<&TimerFd, Errno> {
    file.downcast::<TimerFd>().ok_or_else(|| EINVAL.into())
}

fn shown(setting: Setting) -> Itimerspec {
    Itimerspec {
        it_interval: Timespec::from_ns(setting.interval_ns.cast_signed()),
        it_value: Timespec::from_ns(setting.deadline_ns.cast_signed()),
    }
}

/// `timerfd_settime(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`.
pub fn timerfd_settime(
    ctx: &mut Ctx<'_>,
    fd: i32,
    flags: u32,
    new: UserAddr,
    old: UserAddr,
) -> SysResult {
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(EINVAL.into());
    }
    let wanted = ctx.mm().read::<Itimerspec>(new)?;
    if !wanted.it_value.is_valid() || !wanted.it_interval.is_valid() {
        return Err(EINVAL.into());
    }
    let file = ctx.file(fd)?;
    let timer = timer(&file)?;
    let value = wanted.it_value.as_ns();
    let deadline_ns = if value == 0 {
        0
    } else if flags & TFD_TIMER_ABSTIME != 0 {
        let offset = wall_offset_ns(timer.clock_id).ok_or(ECANCELED)?;
        value.saturating_sub(offset).max(1).cast_unsigned()
    } else {
        monotonic_ns().saturating_add(value.cast_unsigned())
    };
    let interval_ns = wanted.it_interval.as_ns().cast_unsigned();
    let previous = timer.set(Setting { deadline_ns, interval_ns }, flags);
    if old.0 != 0 {
        ctx.mm().write(old, &shown(previous))?;
    }
    Ok(0)
}

/// `timerfd_gettime(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`.
pub fn timerfd_gettime(ctx: &mut Ctx<'_>, fd: i32, out: UserAddr) -> SysResult {
    let file = ctx.file(fd)?;
    let setting = timer(&file)?.get();
    ctx.mm().write(out, &shown(setting))?;
    Ok(0)
}

/// `epoll_create(2)`.
///
/// # Errors
/// `EINVAL`, `EMFILE`.
pub fn epoll_create(ctx: &mut Ctx<'_>, size: i32) -> SysResult {
    if size <= 0 {
        return Err(EINVAL.into());
    }
    epoll_create1(ctx, 0)
}

/// `epoll_create1(2)`.
///
/// # Errors
/// `EINVAL`, `EMFILE`.
pub fn epoll_create1(ctx: &mut Ctx<'_>, flags: u32) -> SysResult {
    if flags & !O_CLOEXEC != 0 {
        return Err(EINVAL.into());
    }
    install(ctx, Box::new(Epoll::new()), "[eventpoll]", flags)
}

fn instance(file: &Arc<File>) -> Result<&Epoll, Errno> {
    file.downcast::<Epoll>().ok_or_else(|| EINVAL.into())
}

/// `epoll_ctl(2)`.
///
/// # Errors
/// `EBADF`, `EEXIST`, `EFAULT`, `EINVAL`, `ELOOP`, `ENOENT`, `EPERM`.
pub fn epoll_ctl(ctx: &mut Ctx<'_>, epfd: i32, op: i32, fd: i32, event: UserAddr) -> SysResult {
    const ADD: i32 = 1;
    const DEL: i32 = 2;
    const MOD: i32 = 3;
    let event = match op {
        DEL => EpollEvent::default(),
        _ => ctx.mm().read::<EpollEvent>(event)?,
    };
    let (epoll, target) = (ctx.file(epfd)?, ctx.file(fd)?);
    if Arc::ptr_eq(&epoll, &target) {
        return Err(EINVAL.into());
    }
    if target.ops().wait_queue().is_none() {
        return Err(bevor_abi::errno::EPERM.into());
    }
    let instance = instance(&epoll)?;
    let (events, data) = (event.events, event.data);
    match op {
        ADD => instance.add(ctx, fd, &target, events, data)?,
        DEL => instance.remove(fd, &target)?,
        MOD => instance.modify(ctx, fd, &target, events, data)?,
        _ => return Err(EINVAL.into()),
    }
    Ok(0)
}

fn do_wait(
    ctx: &Ctx<'_>,
    epfd: i32,
    events: UserAddr,
    max: i32,
    timeout_ns: Option<i64>,
) -> SysResult {
    if max <= 0 || max > MAX_EVENTS {
        return Err(EINVAL.into());
    }
    let file = ctx.file(epfd)?;
    let epoll = instance(&file)?;
    let count = usize::try_from(max).map_err(|_| EINVAL)?;
    let ready = epoll.take(ctx, count.min(1024));
    if !ready.is_empty() {
        let shown: Vec<EpollEvent> = ready
            .iter()
            .map(|ready| EpollEvent { events: ready.events, data: ready.data })
            .collect();
        ctx.mm().write_array(events, &shown).map_err(|_| EFAULT)?;
        return Ok(shown.len() as u64);
    }
    if timeout_ns == Some(0) || ctx.timed_out() {
        return Ok(0);
    }
    let deadline = if ctx.resumed().is_some() {
        ctx.deadline_ns()
    } else {
        timeout_ns.map(|ns| monotonic_ns().saturating_add(ns.max(0).cast_unsigned()))
    };
    Err(Block::on_file(&file, Ready::READABLE).until(deadline).restarting(Restart::Never).into())
}

/// `epoll_wait(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINTR`, `EINVAL`.
pub fn epoll_wait(
    ctx: &mut Ctx<'_>,
    epfd: i32,
    events: UserAddr,
    max: i32,
    timeout_ms: i32,
) -> SysResult {
    let timeout = (timeout_ms >= 0).then(|| i64::from(timeout_ms) * 1_000_000);
    do_wait(ctx, epfd, events, max, timeout)
}

fn enter_mask(ctx: &Ctx<'_>, mask: UserAddr, size: usize) -> Result<(), Errno> {
    if ctx.resumed().is_none()
        && let Some(mask) = read_mask(ctx, mask, size)?
    {
        set_temporary_mask(ctx.task(), mask);
    }
    Ok(())
}

/// `epoll_pwait(2)`.
///
/// # Errors
/// As [`epoll_wait`].
pub fn epoll_pwait(
    ctx: &mut Ctx<'_>,
    epfd: i32,
    events: UserAddr,
    max: i32,
    timeout_ms: i32,
    mask: UserAddr,
    size: usize,
) -> SysResult {
    enter_mask(ctx, mask, size)?;
    epoll_wait(ctx, epfd, events, max, timeout_ms)
}

/// `epoll_pwait2(2)`.
///
/// # Errors
/// As [`epoll_wait`].
pub fn epoll_pwait2(
    ctx: &mut Ctx<'_>,
    epfd: i32,
    events: UserAddr,
    max: i32,
    timeout: UserAddr,
    mask: UserAddr,
    size: usize,
) -> SysResult {
    let limit = if timeout.0 == 0 {
        None
    } else {
        let limit = ctx.mm().read::<Timespec>(timeout)?;
        if !limit.is_valid() {
            return Err(EINVAL.into());
        }
        Some(limit.as_ns())
    };
    enter_mask(ctx, mask, size)?;
    do_wait(ctx, epfd, events, max, limit)
}

/// `signalfd`, the older system call.
///
/// # Errors
/// As [`signalfd4`].
pub fn signalfd(ctx: &mut Ctx<'_>, fd: i32, mask: UserAddr, size: usize) -> SysResult {
    signalfd4(ctx, fd, mask, size, 0)
}

/// `signalfd(2)`.
///
/// # Errors
/// `EBADF`, `EINVAL`, `EMFILE`, `EFAULT`.
pub fn signalfd4(ctx: &mut Ctx<'_>, fd: i32, mask: UserAddr, size: usize, flags: u32) -> SysResult {
    if size != 8 || flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(EINVAL.into());
    }
    let mask = ctx.mm().read::<u64>(mask)?;
    if fd != -1 {
        let file = ctx.files().get(fd).map_err(|_| EBADF)?;
        let signals = file.downcast::<crate::signalfd::SignalFd>().ok_or(EINVAL)?;
        signals.set_mask(mask);
        ctx.task().group.signal_wait.wake(Ready::READABLE);
        return Ok(u64::from(fd.cast_unsigned()));
    }
    let ops = crate::signalfd::SignalFd::new(ctx.task(), mask);
    install(ctx, Box::new(ops), "[signalfd]", flags)
}
