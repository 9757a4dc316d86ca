//! Moving bytes between files without the guest's memory: `sendfile(2)`, `splice(2)`, `tee(2)`,
//! `vmsplice(2)`, `copy_file_range(2)`.

use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::{
    EAGAIN, EBADF, EFBIG, EINVAL, EISDIR, EOVERFLOW, EPERM, EPIPE, ESPIPE, EXDEV,
};
use bevor_abi::fcntl::{O_APPEND, SPLICE_F_GIFT, SPLICE_F_MORE, SPLICE_F_MOVE, SPLICE_F_NONBLOCK};
use bevor_abi::inotify::{IN_ACCESS, IN_MODIFY};
use bevor_base::Ready;
use bevor_kernel::signal::{self, Info, SIGPIPE, SIGXFSZ};
use bevor_kernel::{Block, Ctx, SysResult, limits};
use bevor_memory::{IoDst, IoSrc, UserAddr};
use bevor_vfs::FileType;
use bevor_vfs::file::File;
use bevor_vfs::namei::perm::ATTR_IMMUTABLE;
use bevor_vfs::notify;
use bevor_vfs::pipe::{Pipe, PipeEnd};
use std::sync::Arc;

/// Bytes moved at a time.
const CHUNK: usize = 64 << 10;
/// Most bytes one call moves (`MAX_RW_COUNT`).
const MAX_COUNT: u64 = 0x7fff_f000;

/// One side of a transfer: a file at its own position or at an offset.
struct Side {
    file: Arc<File>,
    /// The offset, and where the guest wants the new one.
    offset: Option<(u64, UserAddr)>,
}

impl Side {
    fn new(ctx: &Ctx<'_>, fd: i32, offset: UserAddr) -> Result<Self, Errno> {
        let file = ctx.file(fd)?;
        if offset.is_null() {
            return Ok(Self { file, offset: None });
        }
        let at: i64 = ctx.mm().read(offset)?;
        let at = u64::try_from(at).map_err(|_| EINVAL)?;
        Ok(Self { file, offset: Some((at, offset)) })
    }

    fn read(&self, buf: &mut [u8], done: u64) -> Result<usize, Errno> {
        let mut dst = IoDst::kernel(buf);
        match self.offset {
            Some((at, _)) => self.file.read_at(&mut dst, at + done),
            None => self.file.read(&mut dst),
        }
    }

    fn write(&self, src: &mut IoSrc<'_>, done: u64) -> Result<usize, Errno> {
        match self.offset {
            Some((at, _)) => self.file.write_at(src, at + done),
            None => self.file.write(src),
        }
    }

    /// Before it is written to, drops what only a trusted content may have.
    fn prepare(&self, ctx: &Ctx<'_>) -> Result<(), Errno> {
        bevor_vfs::namei::attr::remove_privileges_of_written(&self.file, &ctx.task().cred())
    }

    /// Where it is read or written next.
    fn position(&self) -> u64 {
        self.offset.map_or_else(|| *self.file.position(), |(at, _)| at)
    }

    /// How much of `len` a regular file may grow to take (`RLIMIT_FSIZE`).
    ///
    /// # Errors
    /// `EFBIG`, with `SIGXFSZ`, where nothing fits.
    fn room(&self, ctx: &Ctx<'_>, len: u64) -> Result<u64, Errno> {
        let limit = ctx.task().group.limits.soft(limits::FSIZE);
        if limit == limits::INFINITY || len == 0 || self.kind() != FileType::Regular {
            return Ok(len);
        }
        match limit.checked_sub(self.position()) {
            None | Some(0) => {
                signal::send::to_task(ctx.task(), Info::kernel(SIGXFSZ));
                Err(EFBIG.because("RLIMIT_FSIZE"))
            }
            Some(room) => Ok(len.min(room)),
        }
    }

    /// Takes back `bytes` that were read but found no place.
    fn unread(&self, bytes: usize) {
        if self.offset.is_none() && bytes > 0 && !self.file.ops().is_stream() {
            let back = i64::try_from(bytes).unwrap_or(0);
            // A position that can be read from can be moved back.
            let _ = self.file.seek(-back, bevor_abi::fcntl::SEEK_CUR);
        }
    }

    /// Tells the guest the new offset.
    fn finish(&self, ctx: &Ctx<'_>, done: u64) -> Result<(), Errno> {
        if let Some((at, place)) = self.offset {
            let end = i64::try_from(at + done).map_err(|_| EOVERFLOW)?;
            ctx.mm().write(place, &end)?;
        }
        Ok(())
    }

    fn kind(&self) -> FileType {
        self.file.path().dentry.kind()
    }
}

fn pipe_of(file: &File) -> Option<&Arc<Pipe>> {
    file.downcast::<PipeEnd>().map(PipeEnd::pipe)
}

/// Waits for a file, unless the call must not wait or has moved something.
fn wait_or(errno: Errno, done: u64, may_wait: bool, on: &Arc<File>, ready: Ready) -> SysResult {
    if done > 0 {
        return Ok(done);
    }
    if errno == EAGAIN && may_wait && on.ops().wait_queue().is_some() {
        return Err(Block::on_file(on, ready).into());
    }
    Err(errno.into())
}

fn broken_pipe(ctx: &Ctx<'_>, errno: Errno) {
    if errno == EPIPE {
        signal::send::to_task(ctx.task(), Info::kernel(SIGPIPE));
    }
}

/// What stopped a transfer before its end.
enum Stopped {
    Source(Errno),
    Target(Errno),
}

/// Copies up to `count` bytes through a buffer of the sentry's.
fn pump(from: &Side, to: &Side, count: u64) -> (u64, Option<Stopped>) {
    let mut buf = vec![0; CHUNK.min(usize_of(count))];
    let mut done = 0;
    while done < count {
        let len = usize_of((count - done).min(CHUNK as u64));
        let Some(part) = buf.get_mut(..len) else { break };
        let got = match from.read(part, done) {
            Ok(0) => break,
            Ok(got) => got,
            Err(errno) => return (done, Some(Stopped::Source(errno))),
        };
        let mut src = IoSrc::kernel(part.get(..got).unwrap_or_default());
        // What a write answers counts, not what it took: /dev/null takes nothing.
        let mut left = got;
        while left > 0 {
            match to.write(&mut src, done) {
                Ok(0) => break,
                Ok(put) => {
                    done += put as u64;
                    left = left.saturating_sub(put);
                }
                Err(errno) => {
                    from.unread(left);
                    return (done, Some(Stopped::Target(errno)));
                }
            }
        }
        if left > 0 || got < len {
            from.unread(left);
            break;
        }
    }
    (done, None)
}

/// `sendfile(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EFAULT`, `EINVAL`, `EIO`, `EOVERFLOW`, `EPIPE`, `ESPIPE`.
pub fn sendfile(ctx: &mut Ctx<'_>, out: i32, r#in: i32, offset: UserAddr, count: u64) -> SysResult {
    let from = Side::new(ctx, r#in, offset)?;
    if !from.file.flags().readable() {
        return Err(EBADF.into());
    }
    if from.offset.is_some() && from.file.ops().is_stream() {
        return Err(ESPIPE.into());
    }
    let to = Side::new(ctx, out, UserAddr::NULL)?;
    if !to.file.flags().writable() {
        return Err(EBADF.into());
    }
    if from.kind() == FileType::Directory || to.file.flags().has(O_APPEND) {
        return Err(EINVAL.into());
    }
    if count == 0 && pipe_of(&to.file).is_some() {
        return Ok(0);
    }
    if from.file.ops().is_stream() {
        return Err(EINVAL.because("the source has no position").into());
    }
    if offset.is_null() && Arc::ptr_eq(&from.file, &to.file) {
        return onto_itself(ctx, &from.file, count.min(MAX_COUNT));
    }
    let before = ctx.resumed().map_or(0, |block| block.done);
    let count = count.min(MAX_COUNT).saturating_sub(before);
    if from.position() >= from.file.inode().max_bytes() {
        return Err(EOVERFLOW.into());
    }
    let count = to.room(ctx, count)?;
    let may_wait = !to.file.nonblocking();
    to.prepare(ctx)?;
    let (moved, stopped) = pump(&from, &to, count);
    from.finish(ctx, moved)?;
    let done = before + moved;
    match stopped {
        None => Ok(done),
        // A blocking target is waited for until all is sent.
        Some(Stopped::Target(errno)) if errno == EAGAIN && may_wait => {
            Err(Block::on_file(&to.file, Ready::WRITABLE).with_done(done).into())
        }
        Some(Stopped::Target(errno)) => {
            broken_pipe(ctx, errno);
            if done > 0 { Ok(done) } else { Err(errno.into()) }
        }
        Some(Stopped::Source(errno)) => {
            wait_or(errno, done, !from.file.nonblocking(), &from.file, Ready::READABLE)
        }
    }
}

/// A description that is both ends: both positions begin where it stands, and the end of both is its new one.
fn onto_itself(ctx: &Ctx<'_>, file: &Arc<File>, count: u64) -> SysResult {
    let at = *file.position();
    let side = Side { file: file.clone(), offset: Some((at, UserAddr::NULL)) };
    let count = side.room(ctx, count)?;
    side.prepare(ctx)?;
    let (moved, stopped) = pump(&side, &side, count);
    *file.position() = at + moved;
    match stopped {
        Some(Stopped::Source(errno) | Stopped::Target(errno)) if moved == 0 => Err(errno.into()),
        _ => Ok(moved),
    }
}

/// `copy_file_range(2)`.
///
/// # Errors
/// `EBADF`, `EFBIG`, `EINVAL`, `EIO`, `EISDIR`, `ENOSPC`, `EOVERFLOW`, `EPERM`, `EXDEV`.
pub fn copy_file_range(
    ctx: &mut Ctx<'_>,
    r#in: i32,
    in_offset: UserAddr,
    out: i32,
    out_offset: UserAddr,
    len: u64,
    flags: u32,
) -> SysResult {
    let from = Side::new(ctx, r#in, in_offset)?;
    let to = Side::new(ctx, out, out_offset)?;
    if flags != 0 {
        return Err(EINVAL.into());
    }
    if from.kind() == FileType::Directory || to.kind() == FileType::Directory {
        return Err(EISDIR.into());
    }
    if from.kind() != FileType::Regular || to.kind() != FileType::Regular {
        return Err(EINVAL.into());
    }
    if !from.file.flags().readable() || !to.file.flags().writable() || to.file.flags().has(O_APPEND)
    {
        return Err(EBADF.into());
    }
    let (a, b) = (from.file.inode(), to.file.inode());
    if a.dev() != b.dev() {
        return Err(EXDEV.into());
    }
    if b.attr()?.attributes & ATTR_IMMUTABLE != 0 {
        return Err(EPERM.because("immutable").into());
    }
    let (start, target) = (from.position(), to.position());
    target.checked_add(len).ok_or(EOVERFLOW)?;
    start.checked_add(len).ok_or(EOVERFLOW)?;
    if target >= b.max_bytes() {
        return Err(EFBIG.into());
    }
    // No more than there is counts for whether the ranges overlap.
    let len = len.min(MAX_COUNT).min(from.file.ops().size()?.saturating_sub(start));
    let len = to.room(ctx, len)?;
    let same = (a.dev(), a.ino()) == (b.dev(), b.ino());
    if same && start < target + len && target < start + len {
        return Err(EINVAL.because("the ranges overlap").into());
    }
    to.prepare(ctx)?;
    let (moved, stopped) = pump(&from, &to, len);
    from.finish(ctx, moved)?;
    to.finish(ctx, moved)?;
    match stopped {
        Some(Stopped::Source(errno) | Stopped::Target(errno)) if moved == 0 => Err(errno.into()),
        _ => Ok(moved),
    }
}

/// Known flags of the splicing calls.
const SPLICE_FLAGS: u32 = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

/// `splice(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EINVAL`, `EPIPE`, `ESPIPE`.
pub fn splice(
    ctx: &mut Ctx<'_>,
    r#in: i32,
    in_offset: UserAddr,
    out: i32,
    out_offset: UserAddr,
    len: u64,
    flags: u32,
) -> SysResult {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    let (in_file, out_file) = (ctx.file(r#in)?, ctx.file(out)?);
    let (source, target) = (pipe_of(&in_file).is_some(), pipe_of(&out_file).is_some());
    if (source && !in_offset.is_null()) || (target && !out_offset.is_null()) {
        return Err(ESPIPE.into());
    }
    if !in_file.flags().readable() || !out_file.flags().writable() {
        return Err(EBADF.into());
    }
    let from = Side::new(ctx, r#in, in_offset)?;
    let to = Side::new(ctx, out, out_offset)?;
    if (from.offset.is_some() && from.file.ops().is_stream())
        || (to.offset.is_some() && to.file.ops().is_stream())
    {
        return Err(ESPIPE.into());
    }
    let len = len.min(MAX_COUNT);
    let no_wait = flags & SPLICE_F_NONBLOCK != 0;
    match (pipe_of(&from.file), pipe_of(&to.file)) {
        (Some(a), Some(b)) => {
            between_pipes(ctx, &from.file, &to.file, no_wait, || a.transfer(b, usize_of(len), true))
        }
        (Some(pipe), None) => {
            if to.file.flags().has(O_APPEND) {
                return Err(EINVAL.into());
            }
            let len = to.room(ctx, len)?;
            to.prepare(ctx)?;
            out_of_pipe(ctx, &from, pipe, &to, len, no_wait)
        }
        (None, Some(pipe)) => into_pipe(ctx, &from, &to, pipe, len, no_wait),
        (None, None) => Err(EINVAL.because("neither is a pipe").into()),
    }
}

/// Moves or copies between two pipes, waiting for whichever side cannot go on.
fn between_pipes(
    ctx: &Ctx<'_>,
    from: &Arc<File>,
    to: &Arc<File>,
    no_wait: bool,
    transfer: impl FnOnce() -> Result<usize, Errno>,
) -> SysResult {
    match transfer() {
        Ok(done) => {
            if done > 0 {
                notify::file(to, IN_MODIFY);
                notify::file(from, IN_ACCESS);
            }
            Ok(done as u64)
        }
        Err(errno) if errno == EAGAIN => {
            let empty = pipe_of(from).is_some_and(|pipe| pipe.is_empty());
            let (on, ready) = if empty { (from, Ready::READABLE) } else { (to, Ready::WRITABLE) };
            let may_wait = !no_wait && !on.nonblocking();
            wait_or(errno, 0, may_wait, on, ready)
        }
        Err(errno) => {
            broken_pipe(ctx, errno);
            Err(errno.into())
        }
    }
}

fn out_of_pipe(
    ctx: &Ctx<'_>,
    from: &Side,
    pipe: &Pipe,
    to: &Side,
    len: u64,
    no_wait: bool,
) -> SysResult {
    let mut done = 0;
    let mut stopped = None;
    let result = pipe.read_with(usize_of(len), &mut |piece| {
        let mut src = IoSrc::kernel(piece);
        match to.write(&mut src, done) {
            Ok(put) => {
                done += put as u64;
                Ok(put)
            }
            Err(errno) => {
                stopped = Some(errno);
                Err(errno)
            }
        }
    });
    if done > 0 {
        notify::file(&from.file, IN_ACCESS);
    }
    to.finish(ctx, done)?;
    match (result, stopped) {
        (Ok(moved), None) => Ok(moved as u64),
        (_, Some(errno)) => {
            broken_pipe(ctx, errno);
            let may_wait = !no_wait && !to.file.nonblocking();
            wait_or(errno, done, may_wait, &to.file, Ready::WRITABLE)
        }
        (Err(errno), None) => {
            let may_wait = !no_wait && !from.file.nonblocking();
            wait_or(errno, done, may_wait, &from.file, Ready::READABLE)
        }
    }
}

fn into_pipe(
    ctx: &Ctx<'_>,
    from: &Side,
    to: &Side,
    pipe: &Pipe,
    len: u64,
    no_wait: bool,
) -> SysResult {
    if from.kind() == FileType::Directory {
        return Err(EINVAL.into());
    }
    let mut done = 0;
    let mut stopped = None;
    let room = pipe.capacity().saturating_sub(pipe.len());
    // Splicing is not atomic: it takes what room there is.
    let wanted = usize_of(len).min(room.max(1));
    let result = pipe.write_with(wanted, false, &mut |space| match from.read(space, done) {
        Ok(got) => {
            done += got as u64;
            Ok(got)
        }
        Err(errno) => {
            stopped = Some(errno);
            Err(errno)
        }
    });
    if done > 0 {
        notify::file(&to.file, IN_MODIFY);
    }
    from.finish(ctx, done)?;
    match (result, stopped) {
        (Ok(moved), None) => Ok(moved as u64),
        (_, Some(errno)) => {
            let may_wait = !no_wait && !from.file.nonblocking();
            wait_or(errno, done, may_wait, &from.file, Ready::READABLE)
        }
        (Err(errno), None) => {
            broken_pipe(ctx, errno);
            let may_wait = !no_wait && !to.file.nonblocking();
            wait_or(errno, done, may_wait, &to.file, Ready::WRITABLE)
        }
    }
}

/// `tee(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EINVAL`, `EPIPE`.
pub fn tee(ctx: &mut Ctx<'_>, r#in: i32, out: i32, len: u64, flags: u32) -> SysResult {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    let (from, to) = (ctx.file(r#in)?, ctx.file(out)?);
    if !from.flags().readable() || !to.flags().writable() {
        return Err(EBADF.into());
    }
    let (Some(a), Some(b)) = (pipe_of(&from), pipe_of(&to)) else { return Err(EINVAL.into()) };
    let no_wait = flags & SPLICE_F_NONBLOCK != 0;
    between_pipes(ctx, &from, &to, no_wait, || a.transfer(b, usize_of(len.min(MAX_COUNT)), false))
}

/// `vmsplice(2)`: copies, since pages of the guest are never lent to pipes.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EINVAL`, `EPIPE`.
pub fn vmsplice(ctx: &mut Ctx<'_>, fd: i32, iov: UserAddr, count: usize, flags: u32) -> SysResult {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(EINVAL.into());
    }
    let file = ctx.file(fd)?;
    if pipe_of(&file).is_none() {
        return Err(EBADF.because("not a pipe").into());
    }
    let vecs = ctx.mm().read_iovecs(iov, count)?;
    if vecs.total() == 0 {
        return Ok(0);
    }
    let writes = file.flags().writable();
    let (result, ready) = if writes {
        (file.write(&mut IoSrc::user(ctx.mm(), vecs)), Ready::WRITABLE)
    } else {
        (file.read(&mut IoDst::user(ctx.mm(), vecs)), Ready::READABLE)
    };
    match result {
        Ok(done) => Ok(done as u64),
        Err(errno) => {
            if writes {
                broken_pipe(ctx, errno);
            }
            // Unlike the other calls it does not ask whether the pipe waits.
            wait_or(errno, 0, flags & SPLICE_F_NONBLOCK == 0, &file, ready)
        }
    }
}
