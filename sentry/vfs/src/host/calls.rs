//! Host calls.
#![expect(unsafe_code, reason = "wraps C functions of the host")]

use bevor_abi::Errno;
use bevor_abi::errno::{EINTR, EINVAL};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The host's answer as the guest's error.
fn last_error() -> Errno {
    Errno::from_host(io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Checks an answer of which negative values are errors.
fn check(answer: libc::c_int) -> Result<libc::c_int, Errno> {
    if answer < 0 { Err(last_error()) } else { Ok(answer) }
}

/// Fills `to` with random bytes of the host.
///
/// # Errors
/// `EIO` if the host gives none.
pub fn random(to: &mut [u8]) -> Result<(), Errno> {
    let mut done = 0;
    while let Some(rest) = to.get_mut(done..)
        && !rest.is_empty()
    {
        // SAFETY: `rest` is writable for its length during the call.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => done += got,
            Err(_) => {
                let errno = last_error();
                if errno != EINTR {
                    return Err(errno);
                }
            }
        }
    }
    Ok(())
}

/// `fstat`.
pub(crate) fn stat(fd: BorrowedFd<'_>) -> Result<libc::stat, Errno> {
    // SAFETY: all-zero bytes are a valid stat.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is writable during the call.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) })?;
    Ok(stat)
}

/// `fcntl(F_GETFL)`.
pub(super) fn status_flags(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    // SAFETY: takes no pointer.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    Ok(flags.cast_unsigned())
}

/// Moves the position of a host file, or finds data or a hole (`SEEK_DATA`, `SEEK_HOLE`).
///
/// # Errors
/// `ENXIO`, `EINVAL`, `ESPIPE`.
pub(crate) fn seek(fd: BorrowedFd<'_>, offset: i64, whence: u32) -> Result<u64, Errno> {
    let whence = i32::try_from(whence).map_err(|_| EINVAL)?;
    // SAFETY: takes no pointer.
    let at = unsafe { libc::lseek(fd.as_raw_fd(), offset, whence) };
    u64::try_from(at).map_err(|_| last_error())
}

/// Allocates or frees a range of a host file.
///
/// # Errors
/// `EOPNOTSUPP`, `ENOSPC`, `EFBIG`, `ENODEV`.
pub fn fallocate(fd: BorrowedFd<'_>, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
    let (offset, len) = (offset.cast_signed(), len.cast_signed());
    // SAFETY: fallocate touches no memory; `fd` is open for the length of the call.
    let done = unsafe { libc::fallocate(fd.as_raw_fd(), mode.cast_signed(), offset, len) };
    if done == 0 { Ok(()) } else { Err(last_error()) }
}

/// `ftruncate`.
pub(crate) fn truncate(fd: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    let size = i64::try_from(size).map_err(|_| EINVAL)?;
    // SAFETY: takes no pointer.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), size) }).map(|_| ())
}

/// `fsync` or `fdatasync`.
pub(crate) fn sync(fd: BorrowedFd<'_>, data_only: bool) -> Result<(), Errno> {
    let fd = fd.as_raw_fd();
    // SAFETY: neither takes a pointer.
    check(unsafe { if data_only { libc::fdatasync(fd) } else { libc::fsync(fd) } }).map(|_| ())
}

/// Which of `events` (`POLL*` bits) are ready now; errors and hang-ups count always.
pub(super) fn ready_now(fd: BorrowedFd<'_>, events: u32) -> Result<u32, Errno> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: i16::try_from(events & 0x7fff).unwrap_or(0),
        revents: 0,
    };
    // SAFETY: one entry, writable during the call.
    check(unsafe { libc::poll(&raw mut entry, 1, 0) })?;
    Ok(u32::from(entry.revents.cast_unsigned()))
}

/// Waits until one of `entries` is ready.
pub(super) fn wait(entries: &mut [libc::pollfd]) -> Result<(), Errno> {
    let len = libc::nfds_t::try_from(entries.len()).map_err(|_| EINVAL)?;
    // SAFETY: `entries` is writable for its length during the call.
    check(unsafe { libc::poll(entries.as_mut_ptr(), len, -1) }).map(|_| ())
}

/// Makes an event counter to wake [`wait`] with.
pub(super) fn event_counter() -> Result<OwnedFd, Errno> {
    // SAFETY: takes no pointer.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor is new and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds one to an event counter.
pub(super) fn signal(counter: BorrowedFd<'_>) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: `one` is readable for its length. A full counter is as good as one more.
    unsafe { libc::write(counter.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Sets an event counter to zero.
pub(super) fn drain(counter: BorrowedFd<'_>) {
    let mut value = [0_u8; 8];
    // SAFETY: `value` is writable for its length. An empty counter answers EAGAIN.
    unsafe { libc::read(counter.as_raw_fd(), value.as_mut_ptr().cast(), value.len()) };
}

/// An `ioctl` that reads a structure of `N` bytes from the host.
pub(super) fn ioctl_get<const N: usize>(fd: BorrowedFd<'_>, cmd: u32) -> Result<[u8; N], Errno> {
    let mut out = [0; N];
    // SAFETY: the commands used write at most `N` bytes to `out`.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), u64::from(cmd), out.as_mut_ptr()) })?;
    Ok(out)
}

/// An `ioctl` that hands a structure of `N` bytes to the host.
pub(super) fn ioctl_set<const N: usize>(
    fd: BorrowedFd<'_>,
    cmd: u32,
    from: &[u8; N],
) -> Result<(), Errno> {
    // SAFETY: the commands used read at most `N` bytes from `from`.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), u64::from(cmd), from.as_ptr()) }).map(|_| ())
}

/// An `ioctl` whose argument is a number.
pub(super) fn ioctl_number(fd: BorrowedFd<'_>, cmd: u32, arg: u64) -> Result<(), Errno> {
    // SAFETY: the commands used take a number, no pointer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), u64::from(cmd), arg) }).map(|_| ())
}
