//! Host calls on open files: contents and locks.

use std::os::fd::{AsRawFd, BorrowedFd};

use bevor_abi::Errno;
use bevor_abi::errno::{EFBIG, EINTR, EINVAL};

use super::{check, last_error};

/// Reads into `buffer`, as much as there is at once. Errors: those of `pread(2)`.
pub fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let offset = i64::try_from(offset).map_err(|_| EINVAL)?;
    loop {
        // SAFETY: buffer has room for the length given.
        let read = unsafe {
            libc::pread(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), offset)
        };
        match usize::try_from(read).map_err(|_| last_error()) {
            Err(error) if error == EINTR => {}
            other => return other,
        }
    }
}

/// Writes `content`, or as much as there is room for. Errors: those of `pwrite(2)`.
pub fn write_at(fd: BorrowedFd<'_>, content: &[u8], offset: u64) -> Result<usize, Errno> {
    let offset = i64::try_from(offset).map_err(|_| EFBIG)?;
    loop {
        // SAFETY: content is readable for the length given.
        let written =
            unsafe { libc::pwrite(fd.as_raw_fd(), content.as_ptr().cast(), content.len(), offset) };
        match usize::try_from(written).map_err(|_| last_error()) {
            Err(error) if error == EINTR => {}
            other => return other,
        }
    }
}

/// How a lock excludes others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Not at all.
    None,
    /// Not from sharing.
    Shared,
    /// Entirely.
    Exclusive,
}

/// Changes the lock of a whole file without waiting. Errors: those of `flock(2)`.
pub fn lock_whole(fd: BorrowedFd<'_>, kind: LockKind) -> Result<(), Errno> {
    let operation = match kind {
        LockKind::None => libc::LOCK_UN,
        LockKind::Shared => libc::LOCK_SH,
        LockKind::Exclusive => libc::LOCK_EX,
    };
    // SAFETY: no pointers.
    check(unsafe { libc::flock(fd.as_raw_fd(), operation | libc::LOCK_NB) }).map(drop)
}

/// A record lock.
#[derive(Clone, Copy, Debug)]
pub struct RecordLock {
    /// How it excludes.
    pub kind: LockKind,
    /// First byte.
    pub start: i64,
    /// Bytes; 0 up to the end of the file.
    pub len: i64,
    /// Whether it is a process's.
    pub of_process: bool,
}

fn flock(kind: LockKind, start: i64, len: i64) -> libc::flock {
    let kind = match kind {
        LockKind::None => libc::F_UNLCK,
        LockKind::Shared => libc::F_RDLCK,
        LockKind::Exclusive => libc::F_WRLCK,
    };
    // SAFETY: struct flock is plain data.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(kind).unwrap_or(0);
    lock.l_start = start;
    lock.l_len = len;
    lock
}

/// Changes the description's lock of some bytes without waiting. Errors: those of `F_OFD_SETLK`.
pub fn lock_record(fd: BorrowedFd<'_>, kind: LockKind, start: i64, len: i64) -> Result<(), Errno> {
    let lock = flock(kind, start, len);
    // SAFETY: lock is a live struct flock.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }).map(drop)
}

/// The first lock that is in the way of one. Errors: those of `F_OFD_GETLK`.
pub fn test_record(
    fd: BorrowedFd<'_>,
    kind: LockKind,
    start: i64,
    len: i64,
) -> Result<Option<RecordLock>, Errno> {
    let mut lock = flock(kind, start, len);
    // SAFETY: lock is a live struct flock.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) })?;
    let kind = match i32::from(lock.l_type) {
        libc::F_UNLCK => return Ok(None),
        libc::F_RDLCK => LockKind::Shared,
        _ => LockKind::Exclusive,
    };
    let of_process = lock.l_pid != -1;
    Ok(Some(RecordLock { kind, start: lock.l_start, len: lock.l_len, of_process }))
}
