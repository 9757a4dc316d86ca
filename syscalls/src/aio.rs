//! Asynchronous I/O: `io_setup(2)`, `io_destroy(2)`, `io_submit(2)`, `io_getevents(2)`,
//! `io_cancel(2)`.

use crate::io::{self, Position};
use crate::sched;
use crate::signal::{read_mask, set_temporary_mask};
use bevor_abi::Errno;
use bevor_abi::conv::{u64_of, usize_of};
use bevor_abi::errno::{EBADF, EFAULT, EINPROGRESS, EINTR, EINVAL, ERESTARTSYS};
use bevor_abi::mman::{MAP_ANONYMOUS, MAP_SHARED, PROT_READ, PROT_WRITE};
use bevor_abi::poll::SigsetArgpack;
use bevor_abi::system::{
    IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PREADV,
    IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, IOCB_FLAG_IOPRIO, IOCB_FLAG_RESFD, IoEvent, Iocb,
};
use bevor_abi::time::Timespec;
use bevor_base::Ready;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::aio::{AioContext, AioTable, MAX_REQUESTS};
use bevor_kernel::block::ObjectKind;
use bevor_kernel::{Block, Ctx, Progress, Restart, Stop, SysResult};
use bevor_memory::{IoVecs, MmapArgs, PAGE_SIZE, UserAddr};
use bevor_vfs::FileType;
use bevor_vfs::event::EventFd;
use bevor_vfs::file::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How the mapping of a context shows in `/proc/PID/maps`.
const NAME: &[u8] = b"/[aio] (deleted)";
/// Size in bytes of the head of a ring (`struct aio_ring`), and of what lies in it.
const RING_HEAD: u32 = 32;
/// `aio_ring.magic` of a ring that holds no completions: not the one libraries look for.
const NO_RING_MAGIC: u32 = 0;
/// `aio_ring.incompat_features`: one more sign for libraries that look at it.
const INCOMPATIBLE: u32 = 1;
/// Most events of a ring.
const MAX_EVENTS: u32 = 0x1000_0000 / EVENT_SIZE;
/// Size in bytes of a completion.
const EVENT_SIZE: u32 = 32;
/// What the kernel writes into `aio_key`.
const KIOCB_KEY: u32 = 0;

/// `io_setup(2)`.
///
/// # Errors
/// `EAGAIN`, `EFAULT`, `EINVAL`, `ENOMEM`.
pub fn io_setup(ctx: &mut Ctx<'_>, nr_requests: u32, place: UserAddr) -> SysResult {
    if ctx.mm().read::<u64>(place)? != 0 || nr_requests == 0 {
        return Err(EINVAL.into());
    }
    let nr_cpus = u32::try_from(ctx.kernel().config.nr_cpus).unwrap_or(1);
    let wanted = nr_requests.max(nr_cpus.saturating_mul(4)).wrapping_mul(2);
    if wanted > MAX_EVENTS {
        return Err(EINVAL.because("too many requests").into());
    }
    if wanted == 0 || u64::from(nr_requests) > MAX_REQUESTS.load(Ordering::Relaxed) {
        return Err(bevor_abi::errno::EAGAIN.because("fs.aio-max-nr").into());
    }
    let bytes = u64::from(RING_HEAD + (wanted + 2) * EVENT_SIZE).next_multiple_of(PAGE_SIZE);
    let nr_events = u32::try_from((bytes - u64::from(RING_HEAD)) / u64::from(EVENT_SIZE));
    let nr_events = nr_events.map_err(|_| EINVAL)?;
    let mm = ctx.mm().clone();
    let map = |id: u32| {
        let addr = mm.mmap(MmapArgs {
            len: bytes,
            prot: PROT_READ | PROT_WRITE,
            flags: MAP_SHARED | MAP_ANONYMOUS,
            name: Some(NAME.into()),
            ..MmapArgs::default()
        })?;
        // id, nr, head, tail, magic, compat_features, incompat_features, header_length
        let head = [id, nr_events, 0, 0, NO_RING_MAGIC, 1, INCOMPATIBLE, RING_HEAD];
        mm.write(UserAddr(addr), &head)?;
        Ok(addr)
    };
    let table = AioTable::of(&mm);
    let context = table.create(nr_requests, nr_events, map)?;
    let addr = context.addr.load(Ordering::Relaxed);
    if let Err(errno) = mm.write(place, &addr) {
        destroy(ctx, &table, &context);
        return Err(errno.into());
    }
    Ok(0)
}

/// The context whose mapping is at `addr`, wherever the program has moved it.
fn context(ctx: &Ctx<'_>, addr: u64) -> Result<Arc<AioContext>, Errno> {
    let unknown = || EINVAL.because("not a context of asynchronous I/O");
    let id = ctx.mm().read::<u32>(UserAddr(addr)).map_err(|_| unknown())?;
    let context = AioTable::of(ctx.mm()).get(id).ok_or_else(unknown)?;
    if context.addr.load(Ordering::Relaxed) != addr {
        let is_ring =
            |map: &bevor_memory::MapEntry| map.range.start == addr && map.name.path == NAME;
        if !ctx.mm().maps().iter().any(is_ring) {
            return Err(unknown());
        }
        context.addr.store(addr, Ordering::Relaxed);
    }
    Ok(context)
}

/// Ends a context and unmaps it. `false` if another thread did.
fn destroy(ctx: &Ctx<'_>, table: &AioTable, context: &AioContext) -> bool {
    let addr = context.addr.load(Ordering::Relaxed);
    let ours = table.destroy(context);
    let maps = if ours { ctx.mm().maps() } else { Vec::new() };
    let ring = maps.iter().find(|map| map.range.start == addr && map.name.path == NAME);
    if let Some(ring) = ring {
        // A program that sealed it keeps it.
        let _ = ctx.mm().munmap(addr, ring.range.end - addr);
    }
    ours
}

/// `io_destroy(2)`. What waits for its completions gets `EINVAL`.
///
/// # Errors
/// `EINVAL`.
pub fn io_destroy(ctx: &mut Ctx<'_>, addr: u64) -> SysResult {
    let context = context(ctx, addr)?;
    let table = AioTable::of(ctx.mm());
    if destroy(ctx, &table, &context) { Ok(0) } else { Err(EINVAL.into()) }
}

/// `io_submit(2)`: returns how many requests were taken.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EFAULT`, `EINVAL`, `EOPNOTSUPP`, `EPERM`: of the first request.
pub fn io_submit(ctx: &mut Ctx<'_>, addr: u64, count: i64, requests: UserAddr) -> SysResult {
    let count = u64::try_from(count).map_err(|_| EINVAL)?;
    let context = context(ctx, addr)?;
    // A request that waited (as one for an empty pipe does) goes on.
    let (mut done, mut before) = match ctx.resumed().map(|block| &block.progress) {
        Some(Progress::Numbers(numbers)) => {
            let number = |index| numbers.get(index).copied().unwrap_or(0);
            (number(0), Some(number(1)))
        }
        _ => (0, None),
    };
    while done < count.min(u64_of(context.nr_events())) {
        match submit(ctx, &context, requests, done, before.take()) {
            Ok(()) => done += 1,
            Err(Stop::Block(block)) => {
                let half_done = block.done;
                // What has begun to write is not to be written twice.
                let restart = if half_done == 0 { Restart::Sys } else { Restart::Killable };
                let progress = Progress::Numbers(vec![done, half_done]);
                let block = block.with_done(done).with_progress(progress).restarting(restart);
                return Err(block.into());
            }
            Err(stop) if done == 0 => return Err(stop),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Carries out request number `index`.
fn submit(
    ctx: &Ctx<'_>,
    context: &Arc<AioContext>,
    requests: UserAddr,
    index: u64,
    before: Option<u64>,
) -> Result<(), Stop> {
    let mm = ctx.mm();
    let place = UserAddr(mm.read::<u64>(requests.index(index, 8)?)?);
    let request = mm.read::<Iocb>(place)?;
    if request.aio_reserved2 != 0 || i64::try_from(request.aio_nbytes).is_err() {
        return Err(EINVAL.into());
    }
    context.check_room()?;
    let file = ctx.file(request.aio_fildes.cast_signed())?;
    let eventfd = if request.aio_flags & IOCB_FLAG_RESFD == 0 {
        None
    } else {
        let eventfd = ctx.file(request.aio_resfd.cast_signed())?;
        if eventfd.downcast::<EventFd>().is_none() {
            return Err(EINVAL.because("not an eventfd").into());
        }
        Some(eventfd)
    };
    let key = place.add(std::mem::offset_of!(Iocb, aio_key) as u64)?;
    mm.write(key, &KIOCB_KEY)?;
    let event = IoEvent { data: request.aio_data, obj: place.0, ..IoEvent::default() };
    let result = match request.aio_lio_opcode {
        IOCB_CMD_PREAD | IOCB_CMD_PREADV => transfer(ctx, &file, &request, false, before)?,
        IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV => transfer(ctx, &file, &request, true, before)?,
        IOCB_CMD_FSYNC => sync(&file, &request, false)?,
        IOCB_CMD_FDSYNC => sync(&file, &request, true)?,
        IOCB_CMD_POLL => {
            let events = u16::try_from(request.aio_buf).map_err(|_| EINVAL)?;
            if request.aio_offset != 0 || request.aio_nbytes != 0 || request.aio_rw_flags != 0 {
                return Err(EINVAL.into());
            }
            let timers = &ctx.kernel().timers;
            context.poll(timers, &file, Ready(events.into()), event, eventfd)?;
            return Ok(());
        }
        _ => return Err(EINVAL.because("no such command").into()),
    };
    context.complete(IoEvent { res: result, ..event }, eventfd.as_deref());
    Ok(())
}

/// What a completion tells of a failure.
fn failure(errno: Errno) -> i64 {
    // An interrupted request is not made again by itself.
    let errno = if errno == ERESTARTSYS { EINTR.into() } else { errno };
    errno.as_return().cast_signed()
}

/// Reads or writes. The result is what the completion tells; an error is of the request as such.
fn transfer(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    request: &Iocb,
    to_file: bool,
    before: Option<u64>,
) -> Result<i64, Stop> {
    if request.aio_flags & IOCB_FLAG_IOPRIO != 0 {
        let ioprio = u32::from(request.aio_reqprio.cast_unsigned());
        sched::check_ioprio(&ctx.task().cred(), ioprio)?;
    }
    let flags = request.aio_rw_flags;
    io::check_flags(flags)?;
    let allowed = if to_file { file.flags().writable() } else { file.flags().readable() };
    if !allowed {
        return Err(EBADF.because("not open for that").into());
    }
    if file.path().dentry.kind() == FileType::Directory {
        return Err(EINVAL.because("a directory").into());
    }
    let vectored = matches!(request.aio_lio_opcode, IOCB_CMD_PREADV | IOCB_CMD_PWRITEV);
    let buf = UserAddr(request.aio_buf);
    let vecs = if vectored {
        ctx.mm().read_iovecs(buf, usize_of(request.aio_nbytes))?
    } else {
        buf.add(request.aio_nbytes).map_err(|_| EFAULT)?;
        IoVecs::one(buf, request.aio_nbytes)
    };
    let at = u64::try_from(request.aio_offset).map_err(|_| EINVAL)?;
    let position = if file.ops().is_stream() { Position::Current } else { Position::At(at) };
    let result = if to_file {
        io::do_write(ctx, file, &vecs, position, flags, before)
    } else {
        io::do_read(ctx, file, vecs, position, flags, before)
    };
    match result {
        Ok(count) => Ok(count.cast_signed()),
        Err(Stop::Errno(errno)) => Ok(failure(errno)),
        Err(stop) => Err(stop),
    }
}

fn sync(file: &File, request: &Iocb, data_only: bool) -> Result<i64, Errno> {
    let unused = [
        request.aio_buf,
        request.aio_offset.cast_unsigned(),
        request.aio_nbytes,
        request.aio_rw_flags.into(),
    ];
    if unused != [0; 4] {
        return Err(EINVAL.into());
    }
    match file.ops().fsync(data_only) {
        Ok(()) => Ok(0),
        Err(errno) if errno == EINVAL => Err(errno),
        Err(errno) => Ok(failure(errno)),
    }
}

/// `io_cancel(2)`: only polling can be cancelled; it completes as every request does.
///
/// # Errors
/// `EFAULT`, `EINPROGRESS` when it was cancelled, `EINVAL`.
pub fn io_cancel(ctx: &mut Ctx<'_>, addr: u64, request: UserAddr, result: UserAddr) -> SysResult {
    let _ = result;
    let key = ctx.mm().read::<Iocb>(request)?.aio_key;
    if key != KIOCB_KEY {
        return Err(EINVAL.into());
    }
    let context = context(ctx, addr)?;
    let errno = if context.cancel(request.0) { EINPROGRESS } else { EINVAL };
    Err(errno.into())
}

fn timeout_ns(ctx: &Ctx<'_>, timeout: UserAddr) -> Result<Option<i64>, Errno> {
    if timeout.is_null() {
        return Ok(None);
    }
    // Without any check of the fields, as on Linux.
    Ok(Some(ctx.mm().read::<Timespec>(timeout)?.as_ns()))
}

fn get_events(
    ctx: &Ctx<'_>,
    addr: u64,
    min: i64,
    max: i64,
    events: UserAddr,
    timeout_ns: Option<i64>,
    restart: Restart,
) -> SysResult {
    let mut done = ctx.resumed().map_or(0, |block| block.done);
    let context = match context(ctx, addr) {
        Ok(context) => context,
        Err(_) if done != 0 => return Ok(done),
        Err(errno) => return Err(errno.into()),
    };
    let (Ok(min), Ok(max)) = (u64::try_from(min), u64::try_from(max)) else {
        return Err(EINVAL.into());
    };
    if min > max {
        return Err(EINVAL.into());
    }
    while done < max {
        let most = usize_of(max - done).min(context.nr_events());
        let out = events.index(done, EVENT_SIZE.into());
        let given = context.take(most, |taken| ctx.mm().write_array(out?, taken));
        match given {
            Ok(0) => break,
            Ok(count) => done += u64_of(count),
            Err(_) if done != 0 => return Ok(done),
            Err(_) => return Err(EFAULT.into()),
        }
    }
    if done >= min || timeout_ns == Some(0) || ctx.timed_out() {
        return Ok(done);
    }
    if context.is_dead() {
        return if done == 0 { Err(EINVAL.into()) } else { Ok(done) };
    }
    let deadline = if ctx.resumed().is_some() {
        ctx.deadline_ns()
    } else {
        timeout_ns.map(|ns| monotonic_ns().saturating_add(ns.max(0).cast_unsigned()))
    };
    let block = Block::on_object(ObjectKind::Completions, addr, &context.queue);
    Err(block.with_done(done).until(deadline).restarting(restart).into())
}

/// `io_getevents(2)`.
///
/// # Errors
/// `EFAULT`, `EINTR`, `EINVAL`.
pub fn io_getevents(
    ctx: &mut Ctx<'_>,
    addr: u64,
    min: i64,
    max: i64,
    events: UserAddr,
    timeout: UserAddr,
) -> SysResult {
    let timeout = timeout_ns(ctx, timeout)?;
    get_events(ctx, addr, min, max, events, timeout, Restart::Never)
}

/// `io_pgetevents(2)`: as [`io_getevents`], under another signal mask.
///
/// # Errors
/// As [`io_getevents`].
pub fn io_pgetevents(
    ctx: &mut Ctx<'_>,
    addr: u64,
    min: i64,
    max: i64,
    events: UserAddr,
    timeout: UserAddr,
    mask: UserAddr,
) -> SysResult {
    let timeout = timeout_ns(ctx, timeout)?;
    if ctx.resumed().is_none() && !mask.is_null() {
        let pack = ctx.mm().read::<SigsetArgpack>(mask)?;
        if let Some(mask) = read_mask(ctx, UserAddr(pack.p), usize_of(pack.size))? {
            set_temporary_mask(ctx.task(), mask);
        }
    }
    get_events(ctx, addr, min, max, events, timeout, Restart::NoHand)
}
