//! The host calls of this crate, each behind a safe signature.

use crate::message::{Incoming, Outgoing};
use bevor_abi::Errno;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// The calling thread's error number as the guest's.
#[track_caller]
fn last_errno() -> Errno {
    Errno::from_host(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// A host offset from one of ours, saturating (the host then answers `EINVAL`).
fn host_offset(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// Makes an anonymous memory file that is closed on exec.
pub(crate) fn memfd(name: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: `name` is NUL terminated; the result is checked before it is owned.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the host just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a file's length.
pub(crate) fn truncate(fd: BorrowedFd<'_>, len: u64) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), host_offset(len)) } != 0 {
        return Err(last_errno());
    }
    Ok(())
}

/// Gives the pages of a file range back to the host; they read as zeros afterwards.
pub(crate) fn punch_hole(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Errno> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: no memory is passed.
    if unsafe { libc::fallocate(fd.as_raw_fd(), mode, host_offset(offset), host_offset(len)) } != 0
    {
        return Err(last_errno());
    }
    Ok(())
}

/// Reserves storage for a file range.
pub(crate) fn allocate(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    if unsafe { libc::fallocate(fd.as_raw_fd(), 0, host_offset(offset), host_offset(len)) } != 0 {
        return Err(last_errno());
    }
    Ok(())
}

/// Finds the next data at or after `offset`; `None` when only a hole follows.
pub(crate) fn seek_data(fd: BorrowedFd<'_>, offset: u64) -> Option<u64> {
    // SAFETY: no memory is passed.
    let found = unsafe { libc::lseek(fd.as_raw_fd(), host_offset(offset), libc::SEEK_DATA) };
    u64::try_from(found).ok()
}

/// Finds the next hole at or after `offset` (the end of the file counts as one).
pub(crate) fn seek_hole(fd: BorrowedFd<'_>, offset: u64) -> Option<u64> {
    // SAFETY: no memory is passed.
    let found = unsafe { libc::lseek(fd.as_raw_fd(), host_offset(offset), libc::SEEK_HOLE) };
    u64::try_from(found).ok()
}

/// Bytes of storage a file occupies.
pub(crate) fn allocated_bytes(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    // SAFETY: zero is a valid `stat`, which the call fills in.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is live and of the right type.
    if unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) } != 0 {
        return Err(last_errno());
    }
    Ok(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512))
}

/// Memory and swap of the host, bytes; `u64::MAX` if it does not tell.
pub(crate) fn total_memory() -> u64 {
    // SAFETY: zero is a valid `sysinfo`, which the call fills in.
    let mut info: libc::sysinfo = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is live and of the right type.
    if unsafe { libc::sysinfo(&raw mut info) } != 0 {
        return u64::MAX;
    }
    info.totalram.saturating_add(info.totalswap).saturating_mul(u64::from(info.mem_unit))
}

/// A shared mapping of a file in the sentry. Unmapped on drop.
#[derive(Debug)]
pub(crate) struct Window {
    base: *mut u8,
    len: usize,
}

// SAFETY: a window is an address range; accesses go through `recover`, never references.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// Maps `len` bytes of `fd` from `offset`, `MAP_SHARED`.
    pub(crate) fn map(
        fd: BorrowedFd<'_>,
        offset: u64,
        len: u64,
        writable: bool,
    ) -> Result<Self, Errno> {
        let prot = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let len = usize::try_from(len).map_err(|_| bevor_abi::errno::ENOMEM)?;
        // SAFETY: a fresh mapping at an address the host chooses touches nothing that exists.
        let base = unsafe {
            libc::mmap(ptr::null_mut(), len, prot, flags, fd.as_raw_fd(), host_offset(offset))
        };
        if base == libc::MAP_FAILED {
            return Err(last_errno());
        }
        Ok(Self { base: base.cast(), len })
    }

    /// The address of byte `offset` of the window. `offset` must not lie beyond its end.
    pub(crate) fn at(&self, offset: u64) -> *mut u8 {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        assert!(offset <= self.len, "access beyond a memory window");
        self.base.wrapping_add(offset)
    }

    /// Which pages of `[offset, offset + 4096 * resident.len())` are in memory (bit 0 of each byte).
    pub(crate) fn resident(&self, offset: u64, resident: &mut [u8]) -> Result<(), Errno> {
        let len = resident.len() * 4096;
        assert!(usize::try_from(offset).is_ok_and(|o| o + len <= self.len));
        // SAFETY: the range lies in the window; the vector has one byte per page of it.
        if unsafe { libc::mincore(self.at(offset).cast(), len, resident.as_mut_ptr()) } != 0 {
            return Err(last_errno());
        }
        Ok(())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: we made this mapping and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// One destination or source of [`read_into`] and [`write_from`].
pub(crate) type HostVec = libc::iovec;

/// Names `len` bytes at `base` for a vectored call.
pub(crate) fn host_vec(base: *mut u8, len: usize) -> HostVec {
    libc::iovec { iov_base: base.cast(), iov_len: len }
}

/// Reads into `vecs`: at `offset`, or at the file's position.
///
/// # Safety
/// Each vector names window memory that stays mapped, or memory the caller owns.
pub(crate) unsafe fn read_into(
    fd: BorrowedFd<'_>,
    vecs: &[HostVec],
    offset: Option<u64>,
) -> Result<usize, Errno> {
    let count = i32::try_from(vecs.len()).unwrap_or(libc::UIO_MAXIOV);
    // SAFETY: `vecs` is live; the caller vouches for what it names.
    let n = unsafe {
        match offset {
            Some(at) => libc::preadv(fd.as_raw_fd(), vecs.as_ptr(), count, host_offset(at)),
            None => libc::readv(fd.as_raw_fd(), vecs.as_ptr(), count),
        }
    };
    usize::try_from(n).map_err(|_| last_errno())
}

/// Writes from `vecs`: at `offset`, or at the file's position.
///
/// # Safety
/// As for [`read_into`].
pub(crate) unsafe fn write_from(
    fd: BorrowedFd<'_>,
    vecs: &[HostVec],
    offset: Option<u64>,
) -> Result<usize, Errno> {
    let count = i32::try_from(vecs.len()).unwrap_or(libc::UIO_MAXIOV);
    // SAFETY: `vecs` is live; the caller vouches for what it names.
    let n = unsafe {
        match offset {
            Some(at) => libc::pwritev(fd.as_raw_fd(), vecs.as_ptr(), count, host_offset(at)),
            None => libc::writev(fd.as_raw_fd(), vecs.as_ptr(), count),
        }
    };
    usize::try_from(n).map_err(|_| last_errno())
}

/// Writes from `vecs` to the end of a regular file, wherever that is when it is written.
///
/// # Safety
/// As for [`read_into`].
pub(crate) unsafe fn append_from(fd: BorrowedFd<'_>, vecs: &[HostVec]) -> Result<usize, Errno> {
    let count = i32::try_from(vecs.len()).unwrap_or(libc::UIO_MAXIOV);
    // SAFETY: `vecs` is live; the caller vouches for what it names.
    let n = unsafe { libc::pwritev2(fd.as_raw_fd(), vecs.as_ptr(), count, 0, libc::RWF_APPEND) };
    usize::try_from(n).map_err(|_| last_errno())
}

/// A message header without anything in it.
fn empty_header() -> libc::msghdr {
    // SAFETY: all-zero bytes are a valid header.
    unsafe { std::mem::zeroed() }
}

/// Sends `vecs` and what goes with them.
///
/// # Safety
/// As for [`read_into`].
pub(crate) unsafe fn send_from(
    fd: BorrowedFd<'_>,
    vecs: &[HostVec],
    message: &Outgoing<'_>,
) -> Result<usize, Errno> {
    let mut header = empty_header();
    // The host only reads what these name.
    if !message.to.is_empty() {
        header.msg_name = message.to.as_ptr().cast_mut().cast();
        header.msg_namelen = libc::socklen_t::try_from(message.to.len()).unwrap_or(0);
    }
    if !message.control.is_empty() {
        header.msg_control = message.control.as_ptr().cast_mut().cast();
        header.msg_controllen = message.control.len();
    }
    header.msg_iov = vecs.as_ptr().cast_mut();
    header.msg_iovlen = vecs.len();
    // SAFETY: the header names live memory; the caller vouches for the vectors.
    let n = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, message.flags) };
    usize::try_from(n).map_err(|_| last_errno())
}

/// Receives into `vecs`, and what comes with it into `message`.
///
/// # Safety
/// As for [`read_into`].
pub(crate) unsafe fn receive_into(
    fd: BorrowedFd<'_>,
    vecs: &[HostVec],
    message: &mut Incoming,
) -> Result<usize, Errno> {
    let mut header = empty_header();
    if message.from_len > 0 {
        header.msg_name = message.from.as_mut_ptr().cast();
        let room = message.from_len.min(message.from.len());
        header.msg_namelen = libc::socklen_t::try_from(room).unwrap_or(0);
    }
    if !message.control.is_empty() {
        header.msg_control = message.control.as_mut_ptr().cast();
        header.msg_controllen = message.control.len();
    }
    header.msg_iov = vecs.as_ptr().cast_mut();
    header.msg_iovlen = vecs.len();
    // SAFETY: the header names live memory as long as it says; the caller vouches for the vectors.
    let n = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, message.flags) };
    let n = usize::try_from(n).map_err(|_| last_errno())?;
    message.flags = header.msg_flags;
    let named = usize::try_from(header.msg_namelen).unwrap_or(0);
    message.from_len = if message.from_len > 0 { named.min(message.from.len()) } else { 0 };
    message.control.truncate(header.msg_controllen);
    Ok(n)
}
