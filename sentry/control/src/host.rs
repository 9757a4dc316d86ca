//! The one host call without a safe wrapper: receiving descriptors.
#![expect(unsafe_code, reason = "received descriptors come as bare numbers")]

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};

/// Receives bytes and descriptors without blocking. The descriptors are close-on-exec.
///
/// # Errors
/// The host's.
pub fn receive(
    socket: BorrowedFd<'_>,
    data: &mut [IoSliceMut<'_>],
    control: &mut [u8],
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), data, Some(control), flags)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel has just installed them for us; nobody else knows the numbers.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

/// Accepts a connection; it is close-on-exec.
///
/// # Errors
/// The host's; `EAGAIN` when there is none.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let fd =
        nix::sys::socket::accept4(listener.as_raw_fd(), nix::sys::socket::SockFlag::SOCK_CLOEXEC)?;
    // SAFETY: the kernel has just made it for us; nobody else knows the number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
