//! `futex(2)` and its newer forms `futex_waitv(2)`, `futex_wait`, `futex_wake`, `futex_requeue`;
//! `set_robust_list(2)`, `get_robust_list(2)`.

use bevor_abi::Errno;
use bevor_abi::conv::low_u32;
use bevor_abi::errno::{EAGAIN, EDEADLK, EFAULT, EINVAL, ENOSYS, EPERM, ESRCH, ETIMEDOUT};
use bevor_abi::futex::FutexWaitv;
use bevor_abi::time::Timespec;
use bevor_base::Ready;
use bevor_base::clock::{monotonic_ns, realtime_ns};
use bevor_kernel::block::{ObjectKind, Source};
use bevor_kernel::futex::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, Waiter};
use bevor_kernel::{Block, Ctx, Progress, Restart, SysResult};
use bevor_memory::UserAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const FUTEX_WAIT: u32 = 0;
const FUTEX_WAKE: u32 = 1;
const FUTEX_REQUEUE: u32 = 3;
const FUTEX_CMP_REQUEUE: u32 = 4;
const FUTEX_WAKE_OP: u32 = 5;
const FUTEX_LOCK_PI: u32 = 6;
const FUTEX_UNLOCK_PI: u32 = 7;
const FUTEX_TRYLOCK_PI: u32 = 8;
const FUTEX_WAIT_BITSET: u32 = 9;
const FUTEX_WAKE_BITSET: u32 = 10;
const FUTEX_WAIT_REQUEUE_PI: u32 = 11;
const FUTEX_CMP_REQUEUE_PI: u32 = 12;
const FUTEX_LOCK_PI2: u32 = 13;
const FUTEX_PRIVATE_FLAG: u32 = 128;
const FUTEX_CLOCK_REALTIME: u32 = 256;
/// Every bit of a bitset.
const MATCH_ANY: u32 = u32::MAX;
/// Most futexes of one `futex_waitv`.
const WAITV_MAX: u32 = 128;
/// `FUTEX2_SIZE_U32`, and `FUTEX2_PRIVATE`.
const FUTEX2_U32: u32 = 2;
const FUTEX2_PRIVATE: u32 = 128;

/// `futex(2)`.
///
/// # Errors
/// `EAGAIN`, `EFAULT`, `EINVAL`, `EINTR`, `ETIMEDOUT`, `ENOSYS`, `EDEADLK`, `ESRCH`, `EPERM`.
pub fn futex(
    ctx: &mut Ctx<'_>,
    addr: UserAddr,
    op: u32,
    value: u32,
    timeout: u64,
    addr2: UserAddr,
    value3: u32,
) -> SysResult {
    let private = op & FUTEX_PRIVATE_FLAG != 0;
    let realtime = op & FUTEX_CLOCK_REALTIME != 0;
    let command = op & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    let takes_clock = matches!(
        command,
        FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI2 | FUTEX_LOCK_PI | FUTEX_WAIT_REQUEUE_PI
    );
    if realtime && !takes_clock {
        return Err(ENOSYS.into());
    }
    let table = &ctx.kernel().futexes;
    // The timeout register doubles as a count.
    let count2 = low_u32(timeout);
    match command {
        FUTEX_WAIT => {
            let deadline = relative_deadline(ctx, timeout)?;
            wait(ctx, addr, private, value, MATCH_ANY, deadline)
        }
        FUTEX_WAIT_BITSET => {
            let deadline = absolute_deadline(ctx, timeout, realtime)?;
            wait(ctx, addr, private, value, value3, deadline)
        }
        FUTEX_WAKE => Ok(table.wake(ctx.mm(), addr, private, count(value), MATCH_ANY)?.into()),
        FUTEX_WAKE_BITSET => Ok(table.wake(ctx.mm(), addr, private, count(value), value3)?.into()),
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE => {
            if value.cast_signed() < 0 || count2.cast_signed() < 0 {
                return Err(EINVAL.into());
            }
            let expected = (command == FUTEX_CMP_REQUEUE).then_some(value3);
            let (from, to) = ((addr, private), (addr2, private));
            let (woken, moved) = table.requeue(ctx.mm(), from, to, value, count2, expected)?;
            // FUTEX_REQUEUE tells only the woken ones (futex(2)); the kernel counts both.
            Ok(u64::from(woken) + u64::from(moved))
        }
        FUTEX_WAKE_OP => {
            let mm = ctx.mm().clone();
            let (first, second) = ((addr, private, count(value)), (addr2, private, count(count2)));
            let woken = table.wake_op(&mm, first, second, || wake_op(&mm, addr2, value3))?;
            Ok(woken.into())
        }
        FUTEX_LOCK_PI => {
            let deadline = absolute_deadline(ctx, timeout, true)?;
            lock_pi(ctx, addr, private, deadline, false)
        }
        FUTEX_LOCK_PI2 => {
            let deadline = absolute_deadline(ctx, timeout, realtime)?;
            lock_pi(ctx, addr, private, deadline, false)
        }
        FUTEX_TRYLOCK_PI => lock_pi(ctx, addr, private, None, true),
        FUTEX_UNLOCK_PI => unlock_pi(ctx, addr, private),
        FUTEX_WAIT_REQUEUE_PI => {
            let deadline = absolute_deadline(ctx, timeout, realtime)?;
            wait_requeue_pi(ctx, addr, addr2, private, value, deadline)
        }
        FUTEX_CMP_REQUEUE_PI => {
            if value != 1 || count2.cast_signed() < 0 {
                return Err(EINVAL.into());
            }
            requeue_pi(ctx, (addr, addr2), private, count2, value3)
        }
        _ => Err(ENOSYS.because("futex operation").into()),
    }
}

/// As on Linux, a wake count of zero or less wakes one.
fn count(value: u32) -> u32 {
    if value.cast_signed() <= 0 { 1 } else { value }
}

fn relative_deadline(ctx: &Ctx<'_>, timeout: u64) -> Result<Option<u64>, Errno> {
    if ctx.resumed().is_some() {
        return Ok(ctx.deadline_ns());
    }
    if timeout == 0 {
        return Ok(None);
    }
    let timeout = ctx.mm().read::<Timespec>(UserAddr(timeout))?;
    if !timeout.is_valid() {
        return Err(EINVAL.into());
    }
    Ok(Some(monotonic_ns().saturating_add(timeout.as_ns().cast_unsigned())))
}

/// The deadline of a call whose timeout, if there is one, is a time of day or of `CLOCK_MONOTONIC`.
pub(crate) fn absolute_deadline(
    ctx: &Ctx<'_>,
    timeout: u64,
    realtime: bool,
) -> Result<Option<u64>, Errno> {
    if ctx.resumed().is_some() {
        return Ok(ctx.deadline_ns());
    }
    if timeout == 0 {
        return Ok(None);
    }
    let timeout = ctx.mm().read::<Timespec>(UserAddr(timeout))?;
    if !timeout.is_valid() {
        return Err(EINVAL.into());
    }
    Ok(Some(monotonic_deadline(timeout.as_ns(), realtime)))
}

/// Converts an absolute time of `CLOCK_REALTIME` or `CLOCK_MONOTONIC` to the latter.
fn monotonic_deadline(at_ns: i64, realtime: bool) -> u64 {
    if realtime {
        let left = at_ns.saturating_sub(realtime_ns()).max(0);
        monotonic_ns().saturating_add(left.cast_unsigned())
    } else {
        at_ns.max(0).cast_unsigned()
    }
}

fn wait(
    ctx: &Ctx<'_>,
    addr: UserAddr,
    private: bool,
    value: u32,
    bitset: u32,
    deadline: Option<u64>,
) -> SysResult {
    let table = &ctx.kernel().futexes;
    let waiter = match resumed_waiter(ctx) {
        Some(waiter) => waiter,
        None => table.wait(ctx.mm(), addr, private, value, bitset, ctx.task().tid())?,
    };
    if waiter.is_woken() {
        table.finish(&waiter);
        return Ok(0);
    }
    if ctx.timed_out() {
        let woken = table.finish(&waiter);
        return if woken { Ok(0) } else { Err(ETIMEDOUT.into()) };
    }
    let restart = if deadline.is_some() { Restart::SameDeadline } else { Restart::Sys };
    Err(block_on(&waiter, deadline).restarting(restart).into())
}

fn block_on(waiter: &Arc<Waiter>, deadline: Option<u64>) -> Block {
    Block::on_object(ObjectKind::Futex, waiter.id, &waiter.queue)
        .until(deadline)
        .with_progress(Progress::Number(waiter.id))
}

fn resumed_waiter(ctx: &Ctx<'_>) -> Option<Arc<Waiter>> {
    match ctx.resumed()?.progress {
        Progress::Number(id) => ctx.kernel().futexes.waiter(id),
        _ => None,
    }
}

/// Applies the operation `FUTEX_WAKE_OP` encodes; answers whether the old value compares as asked.
fn wake_op(mm: &bevor_memory::MemoryManager, addr: UserAddr, encoded: u32) -> Result<bool, Errno> {
    let signed12 = |shift: u32| ((encoded << (20 - shift)).cast_signed()) >> 20;
    let (mut operand, compared) = (signed12(12).cast_unsigned(), signed12(0));
    let operation = (encoded >> 28) & 15;
    if operation & 8 != 0 {
        operand = 1_u32.checked_shl(operand & 31).unwrap_or(0);
    }
    let old = mm.fetch_update_u32(addr, |old| match operation & 7 {
        0 => operand,
        1 => old.wrapping_add(operand),
        2 => old | operand,
        3 => old & !operand,
        4 => old ^ operand,
        _ => old,
    })?;
    if operation & 7 > 4 {
        return Err(ENOSYS.into());
    }
    let old = old.cast_signed();
    Ok(match (encoded >> 24) & 15 {
        0 => old == compared,
        1 => old != compared,
        2 => old < compared,
        3 => old <= compared,
        4 => old > compared,
        5 => old >= compared,
        _ => return Err(ENOSYS.into()),
    })
}

fn lock_pi(
    ctx: &Ctx<'_>,
    addr: UserAddr,
    private: bool,
    deadline: Option<u64>,
    try_only: bool,
) -> SysResult {
    let table = &ctx.kernel().futexes;
    let tid = ctx.task().tid();
    if let Some(waiter) = resumed_waiter(ctx) {
        if waiter.is_woken() {
            // The unlocker made the word ours before it woke us.
            table.finish(&waiter);
            return Ok(0);
        }
        if ctx.timed_out() {
            let woken = table.finish(&waiter);
            return if woken { Ok(0) } else { Err(ETIMEDOUT.into()) };
        }
        return Err(block_on(&waiter, deadline).restarting(Restart::NoIntr).into());
    }
    let ns = ctx.task().pid().namespace().clone();
    let mm = ctx.mm().clone();
    let mine = tid.cast_unsigned();
    let waiter = table.with_waiters(&mm, addr, private, |queue| {
        loop {
            let word = mm.load_u32(addr)?;
            let owner = word & FUTEX_TID_MASK;
            if owner == mine {
                return Err(EDEADLK.into());
            }
            if owner == 0 {
                let waiters = if queue.is_empty() { 0 } else { FUTEX_WAITERS };
                let taken = mine | (word & FUTEX_OWNER_DIED) | waiters;
                if mm.cas_u32(addr, word, taken)? == word {
                    return Ok(None);
                }
                continue;
            }
            if try_only {
                return Err(EAGAIN.into());
            }
            if ns.find(owner.cast_signed()).is_none() {
                return Err(ESRCH.because("the owner of the futex is gone"));
            }
            if mm.cas_u32(addr, word, word | FUTEX_WAITERS)? == word {
                return Ok(Some(queue.push(tid)));
            }
        }
    })?;
    match waiter {
        None => Ok(0),
        Some(waiter) => Err(block_on(&waiter, deadline).restarting(Restart::NoIntr).into()),
    }
}

fn unlock_pi(ctx: &Ctx<'_>, addr: UserAddr, private: bool) -> SysResult {
    let mine = ctx.task().tid().cast_unsigned();
    let mm = ctx.mm().clone();
    ctx.kernel()
        .futexes
        .with_waiters(&mm, addr, private, |queue| {
            let word = mm.load_u32(addr)?;
            if word & FUTEX_TID_MASK != mine {
                return Err(EPERM.into());
            }
            match queue.pop() {
                Some((waiter, tid, more)) => {
                    let waiters = if more { FUTEX_WAITERS } else { 0 };
                    mm.store_u32(addr, tid.cast_unsigned() | waiters)?;
                    queue.release(&waiter);
                }
                None => mm.store_u32(addr, 0)?,
            }
            Ok(0)
        })
        .map_err(Into::into)
}

/// Waits to be moved to the lock at `lock`, and then for that.
fn wait_requeue_pi(
    ctx: &Ctx<'_>,
    addr: UserAddr,
    lock: UserAddr,
    private: bool,
    value: u32,
    deadline: Option<u64>,
) -> SysResult {
    let table = &ctx.kernel().futexes;
    let waiter = match resumed_waiter(ctx) {
        Some(waiter) => waiter,
        None => table.wait_for_move(ctx.mm(), addr, lock, private, value, ctx.task().tid())?,
    };
    if waiter.is_woken() || ctx.timed_out() {
        let woken = table.finish(&waiter);
        return if woken { Ok(0) } else { Err(ETIMEDOUT.into()) };
    }
    // A signal makes it wait again, which fails with EAGAIN if the word has changed: so it has, by
    // custom, when the waiter was moved.
    Err(block_on(&waiter, deadline).restarting(Restart::NoIntr).into())
}

/// Moves who waits at the first word to the lock at the second; gives it to the first of them if it
/// is free.
fn requeue_pi(
    ctx: &Ctx<'_>,
    words: (UserAddr, UserAddr),
    private: bool,
    nr_requeue: u32,
    expected: u32,
) -> SysResult {
    let ns = ctx.task().pid().namespace().clone();
    let mm = ctx.mm().clone();
    let lock = words.1;
    let take = |tid: i32, others: bool| loop {
        let word = mm.load_u32(lock)?;
        let owner = word & FUTEX_TID_MASK;
        if owner == tid.cast_unsigned() {
            return Err(EDEADLK.into());
        }
        if owner != 0 && ns.find(owner.cast_signed()).is_none() {
            return Err(ESRCH.because("the owner of the futex is gone"));
        }
        let new = match owner {
            0 => {
                tid.cast_unsigned()
                    | word & FUTEX_OWNER_DIED
                    | if others { FUTEX_WAITERS } else { 0 }
            }
            _ => word | FUTEX_WAITERS,
        };
        if mm.cas_u32(lock, word, new)? == word {
            return Ok(owner == 0);
        }
    };
    let table = &ctx.kernel().futexes;
    Ok(table.requeue_pi(&mm, words, private, nr_requeue, expected, take)?.into())
}

/// `futex_waitv(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`, `EAGAIN`, `ETIMEDOUT`, `EINTR`.
pub fn futex_waitv(
    ctx: &mut Ctx<'_>,
    waiters: UserAddr,
    count: u32,
    flags: u32,
    timeout: UserAddr,
    clock: i32,
) -> SysResult {
    if flags != 0 || count == 0 || count > WAITV_MAX {
        return Err(EINVAL.into());
    }
    if timeout.0 != 0 && !matches!(clock, 0 | 1) {
        return Err(EINVAL.because("clock").into());
    }
    let deadline = absolute_deadline(ctx, timeout.0, clock == 0)?;
    let table = &ctx.kernel().futexes;
    let queued: Vec<Arc<Waiter>> = match ctx.resumed().map(|block| &block.progress) {
        Some(Progress::Numbers(ids)) => ids.iter().filter_map(|&id| table.waiter(id)).collect(),
        _ => {
            let count = usize::try_from(count).map_err(|_| EINVAL)?;
            let wanted: Vec<FutexWaitv> = ctx.mm().read_array(waiters, count)?;
            queue_all(ctx, &wanted)?
        }
    };
    let woken = queued.iter().position(|waiter| waiter.is_woken());
    if woken.is_some() || ctx.timed_out() {
        let finished: Vec<bool> = queued.iter().map(|waiter| table.finish(waiter)).collect();
        let index = woken.or_else(|| finished.iter().position(|&woken| woken));
        return index.map(|index| index as u64).ok_or_else(|| ETIMEDOUT.into());
    }
    let mut block = Block::new(Restart::Sys)
        .until(deadline)
        .with_progress(Progress::Numbers(queued.iter().map(|waiter| waiter.id).collect()));
    block.sources.extend(queued.iter().map(|waiter| {
        let queue = waiter.queue.clone();
        (Source::Object { kind: ObjectKind::Futex, id: waiter.id, queue }, Ready::ALL)
    }));
    Err(block.into())
}

fn queue_all(ctx: &Ctx<'_>, wanted: &[FutexWaitv]) -> Result<Vec<Arc<Waiter>>, Errno> {
    let table = &ctx.kernel().futexes;
    let mut queued = Vec::new();
    let mut failure = None;
    for entry in wanted {
        let known = entry.flags & !FUTEX2_PRIVATE == FUTEX2_U32 && entry.reserved == 0;
        let queue_one = || {
            if !known {
                return Err(EINVAL.into());
            }
            let private = entry.flags & FUTEX2_PRIVATE != 0;
            let value = u32::try_from(entry.val).map_err(|_| EINVAL)?;
            let addr = UserAddr(entry.uaddr);
            table.wait(ctx.mm(), addr, private, value, MATCH_ANY, ctx.task().tid())
        };
        match queue_one() {
            Ok(waiter) => queued.push(waiter),
            Err(errno) => {
                failure = Some(errno);
                break;
            }
        }
    }
    let Some(errno) = failure else { return Ok(queued) };
    for waiter in &queued {
        table.finish(waiter);
    }
    Err(errno)
}

/// `futex_wait(2)` (Linux 6.7).
///
/// # Errors
/// As `FUTEX_WAIT_BITSET`.
pub fn futex_wait(
    ctx: &mut Ctx<'_>,
    addr: UserAddr,
    value: u64,
    mask: u64,
    flags: u32,
    timeout: UserAddr,
    clock: i32,
) -> SysResult {
    let private = futex2_private(flags)?;
    if timeout.0 != 0 && !matches!(clock, 0 | 1) {
        return Err(EINVAL.into());
    }
    let deadline = absolute_deadline(ctx, timeout.0, clock == 0)?;
    let value = u32::try_from(value).map_err(|_| EINVAL)?;
    let mask = u32::try_from(mask).map_err(|_| EINVAL)?;
    wait(ctx, addr, private, value, mask, deadline)
}

/// `futex_wake(2)` (Linux 6.7).
///
/// # Errors
/// As `FUTEX_WAKE_BITSET`.
pub fn futex_wake(ctx: &mut Ctx<'_>, addr: UserAddr, mask: u64, nr: i32, flags: u32) -> SysResult {
    let private = futex2_private(flags)?;
    let mask = u32::try_from(mask).map_err(|_| EINVAL)?;
    let nr = u32::try_from(nr).map_err(|_| EINVAL)?;
    Ok(ctx.kernel().futexes.wake(ctx.mm(), addr, private, nr, mask)?.into())
}

/// `futex_requeue(2)` (Linux 6.7).
///
/// # Errors
/// As `FUTEX_CMP_REQUEUE`.
pub fn futex_requeue(
    ctx: &mut Ctx<'_>,
    waiters: UserAddr,
    flags: u32,
    nr_wake: i32,
    nr_requeue: i32,
) -> SysResult {
    if flags != 0 || waiters.is_null() {
        return Err(EINVAL.into());
    }
    let pair: Vec<FutexWaitv> = ctx.mm().read_array(waiters, 2)?;
    let [from, to] = pair[..] else { return Err(EFAULT.into()) };
    let ends = [from, to].map(|entry| {
        if entry.reserved != 0 {
            return Err(Errno::from(EINVAL));
        }
        Ok((UserAddr(entry.uaddr), futex2_private(entry.flags)?))
    });
    let [first, second] = ends;
    let nr_wake = u32::try_from(nr_wake).map_err(|_| EINVAL)?;
    let nr_requeue = u32::try_from(nr_requeue).map_err(|_| EINVAL)?;
    let expected = u32::try_from(from.val).map_err(|_| EINVAL)?;
    let table = &ctx.kernel().futexes;
    let (woken, moved) =
        table.requeue(ctx.mm(), first?, second?, nr_wake, nr_requeue, Some(expected))?;
    Ok(u64::from(woken) + u64::from(moved))
}

fn futex2_private(flags: u32) -> Result<bool, Errno> {
    if flags & !FUTEX2_PRIVATE != FUTEX2_U32 {
        return Err(EINVAL.because("only 32-bit futexes without NUMA"));
    }
    Ok(flags & FUTEX2_PRIVATE != 0)
}

/// `set_robust_list(2)`.
///
/// # Errors
/// `EINVAL` for another length.
pub fn set_robust_list(ctx: &mut Ctx<'_>, head: UserAddr, len: usize) -> SysResult {
    if len != 24 {
        return Err(EINVAL.into());
    }
    ctx.task().robust_list.store(head.0, Ordering::Relaxed);
    Ok(0)
}

/// `get_robust_list(2)`.
///
/// # Errors
/// `ESRCH`, `EPERM`, `EFAULT`.
pub fn get_robust_list(ctx: &mut Ctx<'_>, tid: i32, head: UserAddr, len: UserAddr) -> SysResult {
    let task = ctx.task();
    let target = if tid == 0 {
        task.clone()
    } else {
        let pid = task.pid().namespace().find(tid).ok_or(ESRCH)?;
        task.kernel.tree.lock().task(&pid).cloned().ok_or(ESRCH)?
    };
    let (own, its) = (task.cred(), target.cred());
    if own.euid != its.euid && own.euid != its.ruid && own.euid != 0 {
        return Err(EPERM.into());
    }
    ctx.mm().write(len, &24_u64)?;
    ctx.mm().write(head, &target.robust_list.load(Ordering::Relaxed))?;
    Ok(0)
}
