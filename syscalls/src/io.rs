//! Reading and writing: `read(2)`, `pread(2)`, `readv(2)`, `preadv2(2)` and their writing twins;
//! `lseek(2)`.

use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EBADF, EFBIG, EINVAL, EOPNOTSUPP, EPIPE, ESPIPE};
use bevor_abi::fcntl::O_DSYNC;
use bevor_abi::inotify::IN_ACCESS;
use bevor_base::Ready;
use bevor_kernel::signal::{self, Info, SIGPIPE, SIGXFSZ};
use bevor_kernel::{Block, Ctx, SysResult, limits};
use bevor_memory::{IoDst, IoSrc, IoVecs, UserAddr, UserSlice};
use bevor_vfs::file::{File, ReadTurn};
use bevor_vfs::notify;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `RWF_HIPRI`.
const RWF_HIPRI: u32 = 1;
/// `RWF_DSYNC`.
const RWF_DSYNC: u32 = 2;
/// `RWF_SYNC`.
const RWF_SYNC: u32 = 4;
/// `RWF_NOWAIT`.
const RWF_NOWAIT: u32 = 8;
/// `RWF_APPEND`.
const RWF_APPEND: u32 = 0x10;
/// `RWF_NOAPPEND`.
const RWF_NOAPPEND: u32 = 0x20;

/// Checks the `RWF_*` flags of a request that may read or write.
///
/// # Errors
/// `EINVAL`, `EOPNOTSUPP`.
pub(crate) fn check_flags(flags: u32) -> Result<(), Errno> {
    let known = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND;
    if flags & !known != 0 {
        return Err(EOPNOTSUPP.into());
    }
    if flags & RWF_APPEND != 0 && flags & RWF_NOAPPEND != 0 {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Where a transfer happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// At the description's own position.
    Current,
    /// At this offset, which stays.
    At(u64),
}

fn offset(value: i64) -> Result<Position, Errno> {
    u64::try_from(value).map(Position::At).map_err(|_| EINVAL.because("negative offset"))
}

/// Checks that the file has positions, if one was given.
fn check_seekable(file: &File, position: Position) -> Result<(), Errno> {
    match position {
        Position::At(_) if file.ops().is_stream() => Err(ESPIPE.into()),
        _ => Ok(()),
    }
}

/// Whether a call that cannot go on must return at once.
fn no_wait(file: &File, flags: u32) -> bool {
    file.nonblocking() || flags & RWF_NOWAIT != 0
}

/// How far the call had got when it waited; `None` on the first call.
fn waited(ctx: &Ctx<'_>) -> Option<u64> {
    ctx.resumed().map(|block| block.done)
}

/// Reads; `waited` tells how far it had got when it had to wait.
pub(crate) fn do_read(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    vecs: IoVecs,
    position: Position,
    flags: u32,
    waited: Option<u64>,
) -> SysResult {
    let before = waited.unwrap_or(0);
    let vecs = if before == 0 { vecs } else { skip(&vecs, before)? };
    let mut dst = IoDst::user(ctx.mm(), vecs);
    let by_caller =
        if file.flags().readable() { file.read_as(ctx, &mut dst, waited) } else { None };
    let result = match (by_caller, position) {
        (Some(result), _) => result,
        (None, Position::Current) => file.read(&mut dst).map(ReadTurn::Done),
        (None, Position::At(at)) => file.read_at(&mut dst, at).map(ReadTurn::Done),
    };
    let interest = Ready::READABLE | Ready::HUP | Ready::RDHUP;
    if waited.is_none() {
        ctx.task().counters.reads.fetch_add(1, Ordering::Relaxed);
    }
    match result {
        Ok(ReadTurn::Done(done)) => {
            ctx.task().counters.read_bytes.fetch_add(done as u64, Ordering::Relaxed);
            Ok(before + done as u64)
        }
        Ok(ReadTurn::More { got, timeout_ns }) => {
            let done = before + got as u64;
            ctx.task().counters.read_bytes.fetch_add(got as u64, Ordering::Relaxed);
            if got == 0 && ctx.timed_out() {
                return Ok(done);
            }
            if no_wait(file, flags) {
                return if done == 0 { Err(EAGAIN.into()) } else { Ok(done) };
            }
            let deadline = if got == 0 && waited.is_some() {
                ctx.deadline_ns()
            } else {
                timeout_ns.map(|ns| bevor_base::clock::monotonic_ns().saturating_add(ns))
            };
            Err(Block::on_file(file, interest).with_done(done).until(deadline).into())
        }
        Err(errno) if errno == EAGAIN && !no_wait(file, flags) => {
            if ctx.timed_out() {
                return Err(EAGAIN.into());
            }
            let deadline = ctx.deadline_ns().or_else(|| receive_deadline(file));
            Err(Block::on_file(file, interest).until(deadline).into())
        }
        Err(_) if before != 0 => Ok(before),
        Err(errno) => Err(errno.into()),
    }
}

/// Files with a receive timeout of their own (`SO_RCVTIMEO`) end a read at it.
fn receive_deadline(file: &File) -> Option<u64> {
    file.ops().timeout_ns(false).map(|ns| bevor_base::clock::monotonic_ns().saturating_add(ns))
}

fn send_deadline(file: &File) -> Option<u64> {
    file.ops().timeout_ns(true).map(|ns| bevor_base::clock::monotonic_ns().saturating_add(ns))
}

/// Checks that a buffer lies in the guest's half of the address space, whatever is mapped there.
fn check_buffer(allowed: bool, buf: UserAddr, count: u64) -> Result<(), Errno> {
    if !allowed {
        return Err(EBADF.because("not open for that"));
    }
    buf.add(count).map(drop)
}

/// `read(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EFAULT`, `EINTR`, `EINVAL`, `EIO`, `EISDIR`.
pub fn read(ctx: &mut Ctx<'_>, fd: i32, buf: UserAddr, count: u64) -> SysResult {
    let file = ctx.file(fd)?;
    check_buffer(file.flags().readable(), buf, count)?;
    do_read(ctx, &file, IoVecs::one(buf, count), Position::Current, 0, waited(ctx))
}

/// `pread64(2)`.
///
/// # Errors
/// As [`read`], `ESPIPE`.
pub fn pread64(ctx: &mut Ctx<'_>, fd: i32, buf: UserAddr, count: u64, at: i64) -> SysResult {
    let position = offset(at)?;
    let file = ctx.file(fd)?;
    check_seekable(&file, position)?;
    check_buffer(file.flags().readable(), buf, count)?;
    do_read(ctx, &file, IoVecs::one(buf, count), position, 0, waited(ctx))
}

/// As [`do_read`]; as on Linux, watchers hear even of a vectored read of nothing.
fn do_readv(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    vecs: IoVecs,
    position: Position,
    flags: u32,
) -> SysResult {
    let result = do_read(ctx, file, vecs, position, flags, waited(ctx));
    if matches!(result, Ok(0)) {
        notify::file(file, IN_ACCESS);
    }
    result
}

/// `readv(2)`.
///
/// # Errors
/// As [`read`].
pub fn readv(ctx: &mut Ctx<'_>, fd: i32, iov: UserAddr, count: usize) -> SysResult {
    let file = ctx.file(fd)?;
    let vecs = ctx.mm().read_iovecs(iov, count)?;
    do_readv(ctx, &file, vecs, Position::Current, 0)
}

/// `preadv(2)`.
///
/// # Errors
/// As [`pread64`].
pub fn preadv(
    ctx: &mut Ctx<'_>,
    fd: i32,
    iov: UserAddr,
    count: usize,
    at: i64,
    _at_high: u64,
) -> SysResult {
    let position = offset(at)?;
    let file = ctx.file(fd)?;
    check_seekable(&file, position)?;
    let vecs = ctx.mm().read_iovecs(iov, count)?;
    do_readv(ctx, &file, vecs, position, 0)
}

/// `preadv2(2)`; the offset -1 is the current position.
///
/// # Errors
/// As [`preadv`], `EOPNOTSUPP` for unknown flags.
pub fn preadv2(
    ctx: &mut Ctx<'_>,
    fd: i32,
    iov: UserAddr,
    count: usize,
    at: i64,
    _at_high: u64,
    flags: u32,
) -> SysResult {
    if flags & !(RWF_HIPRI | RWF_NOWAIT) != 0 {
        return Err(EOPNOTSUPP.into());
    }
    let position = if at == -1 { Position::Current } else { offset(at)? };
    let file = ctx.file(fd)?;
    check_seekable(&file, position)?;
    let vecs = ctx.mm().read_iovecs(iov, count)?;
    do_readv(ctx, &file, vecs, position, flags)
}

/// The segments left after the first `done` bytes.
pub(crate) fn skip(vecs: &IoVecs, done: u64) -> Result<IoVecs, Errno> {
    let mut left = done;
    let segments = vecs.segments().iter().filter_map(|segment| {
        let cut = left.min(segment.len);
        left -= cut;
        (cut < segment.len || segment.len == 0)
            .then(|| UserSlice::new(UserAddr(segment.addr.0.wrapping_add(cut)), segment.len - cut))
    });
    IoVecs::new(segments.collect())
}

/// Writes; `waited` tells how far it had got when it had to wait.
pub(crate) fn do_write(
    ctx: &Ctx<'_>,
    file: &Arc<File>,
    vecs: &IoVecs,
    position: Position,
    flags: u32,
    waited: Option<u64>,
) -> SysResult {
    let before = waited.unwrap_or(0);
    let vecs = if before == 0 { vecs.clone() } else { skip(vecs, before)? };
    let mut src = IoSrc::user(ctx.mm(), vecs);
    let wanted = src.remaining();
    let append = match flags & (RWF_APPEND | RWF_NOAPPEND) {
        0 => file.flags().has(bevor_abi::fcntl::O_APPEND),
        flag => flag == RWF_APPEND,
    };
    if !file.ops().is_stream() {
        limit_size(ctx, file, position, append, &mut src)?;
        let cred = ctx.task().cred();
        if src.remaining() > 0 {
            bevor_vfs::namei::attr::remove_privileges_of_written(file, &cred)?;
        }
    }
    let by_caller =
        if file.flags().writable() { file.ops().write_as(file, ctx, &mut src) } else { None };
    let result = match position {
        _ if by_caller.is_some() => by_caller.unwrap_or(Ok(0)),
        Position::Current => file.write_here(&mut src, append),
        Position::At(at) => file.write_there(&mut src, at, append),
    };
    let wait = |done: u64| {
        let deadline = ctx.deadline_ns().or_else(|| send_deadline(file));
        Err(Block::on_file(file, Ready::WRITABLE).with_done(done).until(deadline).into())
    };
    match result {
        Ok(done) => {
            let done = done as u64;
            ctx.task().counters.written_bytes.fetch_add(done, Ordering::Relaxed);
            ctx.task().counters.writes.fetch_add(1, Ordering::Relaxed);
            // A stream that took a part of it has no more room for now.
            if file.ops().is_stream() && done < wanted && !no_wait(file, flags) {
                return wait(before + done);
            }
            if flags & (RWF_DSYNC | RWF_SYNC) != 0 || file.flags().has(O_DSYNC) {
                file.ops()
                    .fsync(true)
                    .or_else(|errno| if errno == EINVAL { Ok(()) } else { Err(errno) })?;
            }
            Ok(before + done)
        }
        Err(errno) if errno == EAGAIN && !no_wait(file, flags) => {
            if ctx.timed_out() {
                return if before != 0 { Ok(before) } else { Err(EAGAIN.into()) };
            }
            wait(before)
        }
        Err(_) if before != 0 => Ok(before),
        Err(errno) => {
            if errno == EPIPE {
                signal::send::to_task(ctx.task(), Info::kernel(SIGPIPE));
            }
            Err(errno.into())
        }
    }
}

/// Applies `RLIMIT_FSIZE` to a write to a regular file.
fn limit_size(
    ctx: &Ctx<'_>,
    file: &File,
    position: Position,
    append: bool,
    src: &mut IoSrc<'_>,
) -> Result<(), Errno> {
    let limit = ctx.task().group.limits.soft(limits::FSIZE);
    if limit == limits::INFINITY || src.remaining() == 0 {
        return Ok(());
    }
    let at = match position {
        _ if append => file.ops().size()?,
        Position::At(at) => at,
        Position::Current => *file.position(),
    };
    if at >= limit {
        signal::send::to_task(ctx.task(), Info::kernel(SIGXFSZ));
        return Err(EFBIG.because("RLIMIT_FSIZE"));
    }
    src.limit(limit - at);
    Ok(())
}

/// `write(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EFAULT`, `EFBIG`, `EINTR`, `EINVAL`, `EIO`, `ENOSPC`, `EPIPE`.
pub fn write(ctx: &mut Ctx<'_>, fd: i32, buf: UserAddr, count: u64) -> SysResult {
    let file = ctx.file(fd)?;
    check_buffer(file.flags().writable(), buf, count)?;
    do_write(ctx, &file, &IoVecs::one(buf, count), Position::Current, 0, waited(ctx))
}

/// `pwrite64(2)`.
///
/// # Errors
/// As [`write`], `ESPIPE`.
pub fn pwrite64(ctx: &mut Ctx<'_>, fd: i32, buf: UserAddr, count: u64, at: i64) -> SysResult {
    let position = offset(at)?;
    let file = ctx.file(fd)?;
    check_seekable(&file, position)?;
    check_buffer(file.flags().writable(), buf, count)?;
    do_write(ctx, &file, &IoVecs::one(buf, count), position, 0, waited(ctx))
}

/// `writev(2)`.
///
/// # Errors
/// As [`write`].
pub fn writev(ctx: &mut Ctx<'_>, fd: i32, iov: UserAddr, count: usize) -> SysResult {
    let file = ctx.file(fd)?;
    let vecs = ctx.mm().read_iovecs(iov, count)?;
    do_write(ctx, &file, &vecs, Position::Current, 0, waited(ctx))
}

/// `pwritev(2)`.
///
/// # Errors
/// As [`pwrite64`].
pub fn pwritev(
    ctx: &mut Ctx<'_>,
    fd: i32,
    iov: UserAddr,
    count: usize,
    at: i64,
    _at_high: u64,
) -> SysResult {
    let position = offset(at)?;
    let file = ctx.file(fd)?;
    check_seekable(&file, position)?;
    let vecs = ctx.mm().read_iovecs(iov, count)?;
    do_write(ctx, &file, &vecs, position, 0, waited(ctx))
}

/// `pwritev2(2)`; the offset -1 is the current position.
///
/// # Errors
/// As [`pwritev`], `EOPNOTSUPP` for unknown flags.
pub fn pwritev2(
    ctx: &mut Ctx<'_>,
    fd: i32,
    iov: UserAddr,
    count: usize,
    at: i64,
    _at_high: u64,
    flags: u32,
) -> SysResult {
    check_flags(flags)?;
    let file = ctx.file(fd)?;
    let position = match at {
        -1 => Position::Current,
        _ => offset(at)?,
    };
    check_seekable(&file, position)?;
    let vecs = ctx.mm().read_iovecs(iov, count)?;
    do_write(ctx, &file, &vecs, position, flags, waited(ctx))
}

/// `lseek(2)`.
///
/// # Errors
/// `EBADF`, `EINVAL`, `ENXIO`, `EOVERFLOW`, `ESPIPE`.
pub fn lseek(ctx: &mut Ctx<'_>, fd: i32, offset: i64, whence: u32) -> SysResult {
    let file = ctx.files().get(fd)?;
    Ok(file.seek(offset, whence)?)
}
