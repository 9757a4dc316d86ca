//! Record locks of `fcntl(2)` and whole-file locks of `flock(2)`.

use bevor_abi::Errno;
use bevor_abi::errno::{EBADF, EFBIG, EINVAL, EOVERFLOW};
use bevor_abi::fcntl::{
    F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLK, F_SETLKW, F_UNLCK, F_WRLCK,
    Flock, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, SEEK_CUR, SEEK_END, SEEK_SET,
};
use bevor_base::clock::monotonic_ns;
use bevor_kernel::block::{ObjectKind, Progress, Source};
use bevor_kernel::{Block, Ctx, Restart, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::file::File;
use bevor_vfs::locks::{self, Kind, Owner, Record, Wait};
use std::sync::Arc;

/// Shortest and longest pause before a lock of the host is asked for again.
const MIN_PAUSE_NS: u64 = 500_000;
const MAX_PAUSE_NS: u64 = 50_000_000;

/// Drops the caller's record locks on a file of which it closed a descriptor.
pub fn release_posix(ctx: &Ctx<'_>, file: &File) {
    locks::closed(file, ctx.files().id());
}

/// What `struct flock` names.
struct Request {
    kind: u16,
    start: u64,
    end: u64,
}

impl Request {
    fn record(&self) -> Record {
        let kind = if self.kind == F_RDLCK { Kind::Shared } else { Kind::Exclusive };
        Record { kind, start: self.start, end: self.end }
    }
}

fn read_request(file: &File, lock: &Flock) -> Result<Request, Errno> {
    let base = match u32::from(lock.l_whence) {
        SEEK_SET => 0,
        SEEK_CUR if file.ops().is_stream() => 0,
        SEEK_CUR => i64::try_from(*file.position()).map_err(|_| EOVERFLOW)?,
        SEEK_END => i64::try_from(file.inode().attr()?.size).map_err(|_| EOVERFLOW)?,
        _ => return Err(EINVAL.into()),
    };
    let start = base.checked_add(lock.l_start).ok_or(EOVERFLOW)?;
    let (first, last) = match lock.l_len {
        0 => (start, i64::MAX),
        len if len > 0 => (start, start.checked_add(len - 1).ok_or(EOVERFLOW)?),
        len => (start.checked_add(len).ok_or(EINVAL)?, start - 1),
    };
    let start = u64::try_from(first).map_err(|_| EINVAL)?;
    let end = u64::try_from(last).map_err(|_| EINVAL)?;
    if !matches!(lock.l_type, F_RDLCK | F_WRLCK | F_UNLCK) {
        return Err(EINVAL.into());
    }
    Ok(Request { kind: lock.l_type, start, end })
}

/// The locking commands of `fcntl(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EDEADLK`, `EFAULT`, `EINTR`, `EINVAL`, `EOVERFLOW`.
pub fn fcntl(ctx: &Ctx<'_>, file: &Arc<File>, command: u32, arg: UserAddr) -> SysResult {
    let mut lock: Flock = ctx.mm().read(arg)?;
    let ofd = matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW);
    let owner = if ofd {
        if lock.l_pid != 0 {
            return Err(EINVAL.because("l_pid must be 0").into());
        }
        Owner::Description(file.id())
    } else {
        Owner::Process { table: ctx.files().id(), pid: ctx.task().tgid() }
    };
    let request = read_request(file, &lock)?;
    match command {
        F_GETLK | F_OFD_GETLK => {
            // Since Linux 6.3 this asks for the description's own locks.
            if request.kind == F_UNLCK && !ofd {
                return Err(EINVAL.into());
            }
            show_conflict(file, owner, &request, &mut lock)?;
            ctx.mm().write(arg, &lock)?;
            Ok(0)
        }
        F_SETLK | F_SETLKW | F_OFD_SETLK | F_OFD_SETLKW => {
            let flags = file.flags();
            let allowed = match request.kind {
                F_RDLCK => flags.readable(),
                F_WRLCK => flags.writable(),
                _ => true,
            };
            if !allowed {
                return Err(EBADF.because("not open for that").into());
            }
            if request.kind == F_UNLCK {
                locks::clear(file, owner, request.start, request.end);
                return Ok(0);
            }
            if matches!(command, F_SETLK | F_OFD_SETLK) {
                locks::set(file, owner, request.record())?;
                return Ok(0);
            }
            let previous = previous_wait(ctx);
            wait_for(ctx, locks::set_or_wait(file, owner, request.record(), previous)?)
        }
        _ => Err(EINVAL.into()),
    }
}

fn show_conflict(
    file: &File,
    owner: Owner,
    request: &Request,
    lock: &mut Flock,
) -> Result<(), Errno> {
    let found = if request.kind == F_UNLCK {
        locks::held(file, owner, request.start, request.end)
    } else {
        locks::test(file, owner, &request.record())?
    };
    let Some(found) = found else {
        lock.l_type = F_UNLCK;
        return Ok(());
    };
    let Record { kind, start, end } = found.record;
    lock.l_type = if kind == Kind::Shared { F_RDLCK } else { F_WRLCK };
    lock.l_whence = 0;
    lock.l_start = i64::try_from(start).map_err(|_| EOVERFLOW)?;
    let len = if end == Record::TO_END { 0 } else { end - start + 1 };
    lock.l_len = i64::try_from(len).map_err(|_| EFBIG)?;
    lock.l_pid = found.pid;
    Ok(())
}

/// The wait this call comes back from.
fn previous_wait(ctx: &Ctx<'_>) -> Option<Wait> {
    ctx.resumed()?.sources.iter().find_map(|(source, _)| match source {
        Source::Object { kind: ObjectKind::FileLock, id, queue } => {
            Some(Wait { id: *id, queue: queue.clone(), on_host: false })
        }
        _ => None,
    })
}

/// Waits. The host tells nobody when a lock is free: there the call asks again, soon at first.
fn wait_for(ctx: &Ctx<'_>, wait: Option<Wait>) -> SysResult {
    let Some(Wait { id, queue, on_host }) = wait else { return Ok(0) };
    let mut block = Block::on_object(ObjectKind::FileLock, id, &queue).restarting(Restart::Sys);
    if on_host {
        let before = ctx.resumed().and_then(|resumed| match resumed.progress {
            Progress::Number(pause_ns) => Some((pause_ns, resumed.deadline_ns?)),
            _ => None,
        });
        let (pause_ns, deadline_ns) = match before {
            // Woken before its time: the pause goes on.
            Some(before) if !ctx.timed_out() => before,
            before => {
                let longer = before.map_or(MIN_PAUSE_NS, |(last_ns, _)| last_ns.saturating_mul(2));
                let pause_ns = longer.min(MAX_PAUSE_NS);
                (pause_ns, monotonic_ns().saturating_add(pause_ns))
            }
        };
        block = block.until(Some(deadline_ns)).with_progress(Progress::Number(pause_ns));
    }
    Err(block.into())
}

/// `flock(2)`.
///
/// # Errors
/// `EAGAIN`, `EBADF`, `EINTR`, `EINVAL`.
pub fn flock(ctx: &mut Ctx<'_>, fd: i32, operation: u32) -> SysResult {
    let file = ctx.file(fd)?;
    let kind = match operation & !LOCK_NB {
        LOCK_SH => Kind::Shared,
        LOCK_EX => Kind::Exclusive,
        LOCK_UN => {
            locks::unflock(&file);
            return Ok(0);
        }
        _ => return Err(EINVAL.into()),
    };
    let wait = operation & LOCK_NB == 0;
    wait_for(ctx, locks::flock(&file, kind, wait, previous_wait(ctx))?)
}
