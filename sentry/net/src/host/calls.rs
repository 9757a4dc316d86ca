//! Host calls.
#![expect(unsafe_code, reason = "wraps C functions of the host")]

use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use bevor_memory::ADDRESS_BYTES;
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

fn owned(answer: libc::c_int) -> Result<OwnedFd, Errno> {
    let fd = check(answer)?;
    // SAFETY: the descriptor is new and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The length of bytes as the host takes it.
fn length(bytes: &[u8]) -> Result<libc::socklen_t, Errno> {
    libc::socklen_t::try_from(bytes.len()).map_err(|_| EINVAL.into())
}

/// `socket`, always without blocking and closed on exec.
pub(super) fn socket(family: u16, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointer.
    owned(unsafe { libc::socket(i32::from(family), kind, protocol) })
}

/// `bind`.
pub(super) fn bind(fd: BorrowedFd<'_>, addr: &[u8]) -> Result<(), Errno> {
    let len = length(addr)?;
    // SAFETY: `addr` is readable for its length.
    check(unsafe { libc::bind(fd.as_raw_fd(), addr.as_ptr().cast(), len) }).map(|_| ())
}

/// `connect`.
pub(super) fn connect(fd: BorrowedFd<'_>, addr: &[u8]) -> Result<(), Errno> {
    let len = length(addr)?;
    // SAFETY: `addr` is readable for its length.
    check(unsafe { libc::connect(fd.as_raw_fd(), addr.as_ptr().cast(), len) }).map(|_| ())
}

/// `listen`.
pub(super) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(|_| ())
}

/// Has the host write an address.
fn address(
    ask: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int,
) -> Result<(libc::c_int, Vec<u8>), Errno> {
    // As aligned as any address wants to be.
    let mut room = [0_u64; ADDRESS_BYTES / 8];
    let mut len = libc::socklen_t::try_from(ADDRESS_BYTES).unwrap_or(0);
    let answer = check(ask(room.as_mut_ptr().cast(), &raw mut len))?;
    let mut bytes: Vec<u8> = room.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.truncate(usize::try_from(len).unwrap_or(0));
    Ok((answer, bytes))
}

/// `accept4`, always without blocking: the connection and whom it is with.
pub(super) fn accept(fd: BorrowedFd<'_>) -> Result<(OwnedFd, Vec<u8>), Errno> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let (new, addr) = address(|addr, len| {
        // SAFETY: `addr` is writable for `len` bytes.
        unsafe { libc::accept4(fd.as_raw_fd(), addr, len, flags) }
    })?;
    Ok((owned(new)?, addr))
}

/// `getsockname`.
pub(super) fn local(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // SAFETY: `addr` is writable for `len` bytes.
    let asked = address(|addr, len| unsafe { libc::getsockname(fd.as_raw_fd(), addr, len) });
    asked.map(|(_, addr)| addr)
}

/// `getpeername`.
pub(super) fn peer(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // SAFETY: `addr` is writable for `len` bytes.
    let asked = address(|addr, len| unsafe { libc::getpeername(fd.as_raw_fd(), addr, len) });
    asked.map(|(_, addr)| addr)
}

/// `setsockopt`.
pub(super) fn set_option(
    fd: BorrowedFd<'_>,
    level: u32,
    option: u32,
    value: &[u8],
) -> Result<(), Errno> {
    let (level, option) = (level.cast_signed(), option.cast_signed());
    let len = length(value)?;
    // SAFETY: `value` is readable for its length; the options passed name no memory in it.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value.as_ptr().cast(), len) })
        .map(|_| ())
}

/// `getsockopt` with room for `room` bytes.
pub(super) fn option(
    fd: BorrowedFd<'_>,
    level: u32,
    option: u32,
    room: usize,
) -> Result<Vec<u8>, Errno> {
    let (level, option) = (level.cast_signed(), option.cast_signed());
    let mut value = vec![0_u8; room];
    let mut len = length(&value)?;
    let to = value.as_mut_ptr().cast();
    // SAFETY: `value` is writable for `len` bytes.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, to, &raw mut len) })?;
    value.truncate(usize::try_from(len).unwrap_or(0));
    Ok(value)
}

/// Closes descriptors that came with a message, in the form the host writes them in.
pub(super) fn close_received(numbers: &[u8]) {
    for number in numbers.chunks_exact(4) {
        let number = number.try_into().map_or(-1, i32::from_ne_bytes);
        if number >= 0 {
            // SAFETY: the host made the descriptor for the message, and nobody else knows of it.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

/// `shutdown`.
pub(super) fn shutdown(fd: BorrowedFd<'_>, how: i32) -> Result<(), Errno> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(|_| ())
}

/// An `ioctl` that answers a number.
pub(super) fn ioctl_number(fd: BorrowedFd<'_>, cmd: u32) -> Result<i32, Errno> {
    let mut number: libc::c_int = 0;
    // SAFETY: the commands used write one number.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), u64::from(cmd), &raw mut number) })?;
    Ok(number)
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

/// An epoll instance.
pub(super) fn epoll() -> Result<OwnedFd, Errno> {
    // SAFETY: takes no pointer.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// Adds `fd` to an epoll instance, or changes what is waited for.
pub(super) fn epoll_watch(
    epoll: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    known: bool,
    events: u32,
    name: u64,
) -> Result<(), Errno> {
    let op = if known { libc::EPOLL_CTL_MOD } else { libc::EPOLL_CTL_ADD };
    let mut event = libc::epoll_event { events, u64: name };
    // SAFETY: `event` is live.
    check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), op, fd.as_raw_fd(), &raw mut event) })
        .map(|_| ())
}

/// Events one look at an epoll instance takes.
pub(super) const MAX_EVENTS: usize = 64;

/// Waits until something happens, and answers what: names and events.
pub(super) fn epoll_wait(epoll: BorrowedFd<'_>) -> Result<Vec<(u64, u32)>, Errno> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; MAX_EVENTS];
    let max = i32::try_from(MAX_EVENTS).unwrap_or(1);
    // SAFETY: `events` is writable for `max` entries.
    let count =
        check(unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), max, -1) })?;
    let count = usize::try_from(count).unwrap_or(0);
    Ok(events.iter().take(count).map(|event| (event.u64, event.events)).collect())
}
