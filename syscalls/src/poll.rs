//! `poll(2)`, `ppoll(2)`, `select(2)`, `pselect6(2)`.

use crate::signal::{read_mask, set_temporary_mask};
use bevor_abi::Errno;
use bevor_abi::errno::{EBADF, EINVAL};
use bevor_abi::poll::{PollFd, SigsetArgpack};
use bevor_abi::time::{Timespec, Timeval};
use bevor_base::Ready;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::block::Source;
use bevor_kernel::{Block, Ctx, Restart, SysResult, limits};
use bevor_memory::UserAddr;

/// Bits `poll` reports of each `select` set.
const SELECT_IN: Ready = Ready(0x001 | 0x040 | 0x080 | 0x010 | 0x008);
const SELECT_OUT: Ready = Ready(0x004 | 0x100 | 0x200 | 0x008);
const SELECT_EX: Ready = Ready(0x002);

fn block(
    ctx: &Ctx<'_>,
    waits: Vec<(i32, Ready)>,
    deadline: Option<u64>,
    restart: Restart,
) -> Block {
    let mut block = Block::new(restart).until(deadline);
    block.sources = waits
        .into_iter()
        .filter_map(|(fd, interest)| Some((Source::File(ctx.file(fd).ok()?), interest)))
        .collect();
    block
}

/// Deadline for a timeout in nanoseconds from now; kept when the call comes back from its wait.
fn deadline_after(ctx: &Ctx<'_>, timeout_ns: Option<i64>) -> Option<u64> {
    if ctx.resumed().is_some() {
        return ctx.deadline_ns();
    }
    timeout_ns.map(|ns| monotonic_ns().saturating_add(ns.max(0).cast_unsigned()))
}

fn do_poll(
    ctx: &Ctx<'_>,
    fds: UserAddr,
    count: u32,
    timeout_ns: Option<i64>,
    restart: Restart,
) -> SysResult {
    if u64::from(count) > ctx.task().group.limits.soft(limits::NOFILE) {
        return Err(EINVAL.into());
    }
    let count = usize::try_from(count).map_err(|_| EINVAL)?;
    let mut entries: Vec<PollFd> = ctx.mm().read_array(fds, count)?;
    let mut waits = Vec::new();
    let mut nr_ready = 0_u64;
    for entry in &mut entries {
        entry.revents = 0;
        if entry.fd < 0 {
            continue;
        }
        let ready = match ctx.files().get(entry.fd) {
            Ok(file) => {
                let interest = Ready(u32::from(entry.events)) | Ready::ERR | Ready::HUP;
                waits.push((entry.fd, interest));
                file.poll_as(ctx) & interest
            }
            Err(_) => Ready::NVAL,
        };
        entry.revents = u16::try_from(ready.0 & 0xffff).unwrap_or(0);
        nr_ready += u64::from(ready.any());
    }
    let now = nr_ready != 0 || timeout_ns == Some(0) || ctx.timed_out();
    if !now {
        let deadline = deadline_after(ctx, timeout_ns);
        return Err(block(ctx, waits, deadline, restart).into());
    }
    for (index, entry) in (0..).zip(&entries) {
        let at = fds.index(index, 8)?.add(6)?;
        ctx.mm().write(at, &entry.revents)?;
    }
    Ok(nr_ready)
}

/// `poll(2)`. `timeout_ms` below 0 waits without limit.
///
/// # Errors
/// `EFAULT`, `EINTR`, `EINVAL`.
pub fn poll(ctx: &mut Ctx<'_>, fds: UserAddr, count: u32, timeout_ms: i32) -> SysResult {
    let timeout = (timeout_ms >= 0).then(|| i64::from(timeout_ms) * 1_000_000);
    do_poll(ctx, fds, count, timeout, Restart::SameDeadline)
}

/// `ppoll(2)`.
///
/// # Errors
/// `EFAULT`, `EINTR`, `EINVAL`.
pub fn ppoll(
    ctx: &mut Ctx<'_>,
    fds: UserAddr,
    count: u32,
    timeout: UserAddr,
    mask: UserAddr,
    mask_size: usize,
) -> SysResult {
    let limit = read_timespec(ctx, timeout)?;
    enter_mask(ctx, mask, mask_size)?;
    let result = do_poll(ctx, fds, count, limit, Restart::NoHand);
    write_left(ctx, timeout, limit, Timespec::from_ns)?;
    result
}

fn enter_mask(ctx: &Ctx<'_>, mask: UserAddr, size: usize) -> Result<(), Errno> {
    if ctx.resumed().is_none()
        && let Some(mask) = read_mask(ctx, mask, size)?
    {
        set_temporary_mask(ctx.task(), mask);
    }
    Ok(())
}

fn read_timespec(ctx: &Ctx<'_>, at: UserAddr) -> Result<Option<i64>, Errno> {
    if at.0 == 0 {
        return Ok(None);
    }
    if ctx.resumed().is_some() {
        // Only whether there is a limit matters: the deadline was computed on the first call.
        return Ok(Some(1));
    }
    let limit = ctx.mm().read::<Timespec>(at)?;
    if limit.is_valid() { Ok(Some(limit.as_ns())) } else { Err(EINVAL.into()) }
}

/// Linux tells `ppoll`, `select` and `pselect6` callers how much time was left.
fn write_left<T: zerocopy::IntoBytes + zerocopy::Immutable>(
    ctx: &Ctx<'_>,
    at: UserAddr,
    limit: Option<i64>,
    encode: impl Fn(i64) -> T,
) -> Result<(), Errno> {
    if at.0 == 0 {
        return Ok(());
    }
    let left = match ctx.deadline_ns() {
        Some(deadline) => deadline.saturating_sub(monotonic_ns()).cast_signed(),
        None => limit.unwrap_or(0),
    };
    ctx.mm().write(at, &encode(left))
}

/// A descriptor set of `select`: 64 descriptors a word.
fn read_set(ctx: &Ctx<'_>, at: UserAddr, nr_fds: i32) -> Result<Vec<u64>, Errno> {
    let words = usize::try_from(nr_fds).map_err(|_| EINVAL)?.div_ceil(64);
    if at.0 == 0 {
        return Ok(vec![0; words]);
    }
    let mut set = ctx.mm().read_array::<u64>(at, words)?;
    let tail = nr_fds % 64;
    if tail != 0
        && let Some(last) = set.last_mut()
    {
        *last &= (1 << tail) - 1;
    }
    Ok(set)
}

fn do_select(
    ctx: &Ctx<'_>,
    nr_fds: i32,
    sets: [UserAddr; 3],
    timeout_ns: Option<i64>,
) -> SysResult {
    if nr_fds < 0 {
        return Err(EINVAL.into());
    }
    // Descriptors beyond the table cannot be open; as Linux, they are not looked at.
    let nr_fds = nr_fds.min(i32::try_from(ctx.files().capacity()).unwrap_or(i32::MAX));
    let [readable, writable, special] = sets;
    let wanted = [
        (read_set(ctx, readable, nr_fds)?, SELECT_IN),
        (read_set(ctx, writable, nr_fds)?, SELECT_OUT),
        (read_set(ctx, special, nr_fds)?, SELECT_EX),
    ];
    let mut found = [0, 1, 2].map(|_| vec![0_u64; wanted[0].0.len()]);
    let mut waits = Vec::new();
    let mut nr_ready = 0_u64;
    for fd in 0..nr_fds {
        let index = usize::try_from(fd).map_err(|_| EBADF)?;
        let (word, bit) = (index / 64, 1_u64 << (index % 64));
        let asks = |set: &Vec<u64>| set.get(word).is_some_and(|word| word & bit != 0);
        let asked = wanted.iter().filter(|(set, _)| asks(set));
        let interest = asked.fold(Ready::NONE, |all, (_, interest)| all | *interest);
        if !interest.any() {
            continue;
        }
        let ready = ctx.files().get(fd)?.poll_as(ctx);
        waits.push((fd, interest));
        for ((set, interest), out) in wanted.iter().zip(&mut found) {
            if asks(set)
                && ready.intersects(*interest)
                && let Some(out) = out.get_mut(word)
            {
                *out |= bit;
                nr_ready += 1;
            }
        }
    }
    if nr_ready == 0 && timeout_ns != Some(0) && !ctx.timed_out() {
        let deadline = deadline_after(ctx, timeout_ns);
        return Err(block(ctx, waits, deadline, Restart::NoHand).into());
    }
    for (at, set) in sets.iter().zip(&found) {
        if at.0 != 0 {
            ctx.mm().write_array(*at, set)?;
        }
    }
    Ok(nr_ready)
}

/// `select(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINTR`, `EINVAL`.
pub fn select(
    ctx: &mut Ctx<'_>,
    nr_fds: i32,
    readable: UserAddr,
    writable: UserAddr,
    special: UserAddr,
    timeout: UserAddr,
) -> SysResult {
    let limit = match (timeout.0, ctx.resumed()) {
        (0, _) => None,
        (_, Some(_)) => Some(1),
        (_, None) => {
            let limit = ctx.mm().read::<Timeval>(timeout)?;
            // Linux normalises microseconds over a second.
            if limit.tv_sec < 0 || limit.tv_usec < 0 {
                return Err(EINVAL.into());
            }
            Some(limit.as_ns())
        }
    };
    let result = do_select(ctx, nr_fds, [readable, writable, special], limit);
    write_left(ctx, timeout, limit, Timeval::from_ns)?;
    result
}

/// `pselect6(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINTR`, `EINVAL`.
pub fn pselect6(
    ctx: &mut Ctx<'_>,
    nr_fds: i32,
    readable: UserAddr,
    writable: UserAddr,
    special: UserAddr,
    timeout: UserAddr,
    mask: UserAddr,
) -> SysResult {
    let limit = read_timespec(ctx, timeout)?;
    if mask.0 != 0 {
        let pack = ctx.mm().read::<SigsetArgpack>(mask)?;
        enter_mask(ctx, UserAddr(pack.p), usize::try_from(pack.size).map_err(|_| EINVAL)?)?;
    }
    let result = do_select(ctx, nr_fds, [readable, writable, special], limit);
    write_left(ctx, timeout, limit, Timespec::from_ns)?;
    result
}
