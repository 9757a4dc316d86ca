//! Host calls.
#![expect(unsafe_code, reason = "wraps C functions of the host")]

use bevor_abi::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The host's answer as the guest's error.
fn last_error() -> Errno {
    Errno::from_host(io::Error::last_os_error().raw_os_error().unwrap_or(0))
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
                if errno != bevor_abi::errno::EINTR {
                    return Err(errno);
                }
            }
        }
    }
    Ok(())
}

/// Finds data or a hole (`SEEK_DATA`, `SEEK_HOLE`) in a host file.
///
/// # Errors
/// `ENXIO`, `EINVAL`.
pub fn seek(fd: BorrowedFd<'_>, offset: i64, whence: u32) -> Result<u64, Errno> {
    let whence = i32::try_from(whence).map_err(|_| bevor_abi::errno::EINVAL)?;
    // SAFETY: lseek touches no memory; `fd` is open for the length of the call.
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
