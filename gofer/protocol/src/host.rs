//! The host calls of the channel: shared memory, futex, and descriptors beside it.
//!
//! Shared memory is only ever seen as atomics, so that a hostile peer that changes it under a
//! reader yields odd values and never undefined behaviour.
#![expect(unsafe_code, reason = "wraps mmap, futex, sendmsg and recvmsg")]

use std::ffi::CStr;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use crate::wire::MAX_FDS;

/// A shared, readable and writable mapping of a whole memfd, unmapped on drop.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory reached only through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; atomics may be used from any thread.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `fd`.
    ///
    /// # Errors
    /// Those of `mmap(2)`.
    pub fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address the kernel chooses replaces nothing.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { base, len })
    }

    /// The mapping as 32-bit words.
    #[must_use]
    pub fn words32(&self) -> &[AtomicU32] {
        // SAFETY: base is page aligned and valid for len bytes while self lives; the memory is
        // only reached through atomics, and every bit pattern is a valid one.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.len / 4) }
    }

    /// The mapping as 64-bit words.
    #[must_use]
    pub fn words64(&self) -> &[AtomicU64] {
        // SAFETY: as in words32.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.len / 8) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and len are what mmap returned, and no borrow of self is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Sleeps while `word` holds `expected`, at most `timeout`. Returns early for any reason.
pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let spec = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let spec = spec.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: word is a live aligned u32, spec is null or points to a live timespec.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, spec) };
}

/// Wakes up to `count` threads, of any process, that sleep on `word`.
pub fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: word is a live aligned u32; waking touches no memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// How many processors this process may use. Makes no other host call: the sentry asks when its
/// filter is on.
pub fn processors() -> usize {
    // SAFETY: an all-zero set is a valid one, and the kernel fills at most its size.
    let count = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        match libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) {
            0 => libc::CPU_COUNT(&set),
            _ => 1,
        }
    };
    usize::try_from(count).unwrap_or(1)
}

/// Seals that keep either side from pulling the memory away under the other.
const SIZE_SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

/// Makes a close-on-exec memfd of `len` zero bytes whose size is sealed.
///
/// # Errors
/// Those of `memfd_create(2)`, `ftruncate(2)` and `F_ADD_SEALS`.
pub fn sealed_memfd(name: &CStr, len: usize) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // MFD_NOEXEC_SEAL came with Linux 6.3; older kernels answer EINVAL.
    let mut fd = -1;
    for flags in [flags | libc::MFD_NOEXEC_SEAL, flags] {
        // SAFETY: name is a C string.
        fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
        if fd >= 0 {
            break;
        }
    }
    let fd = owned(fd)?;
    let len = libc::off_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: plain calls on a descriptor we own.
    unsafe {
        check(libc::ftruncate(fd.as_raw_fd(), len))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, SIZE_SEALS | libc::F_SEAL_SEAL))?;
    }
    Ok(fd)
}

/// Whether `fd` is a memfd of exactly `len` bytes whose size is sealed.
///
/// # Errors
/// Those of `fstat(2)` and `F_GET_SEALS`.
pub fn is_sealed_memfd(fd: BorrowedFd<'_>, len: usize) -> io::Result<bool> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: stat has room for one struct stat, and is read only after success filled it.
    let (seals, size) = unsafe {
        let seals = check(libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS))?;
        check(libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()))?;
        (seals, stat.assume_init().st_size)
    };
    Ok(seals & SIZE_SEALS == SIZE_SEALS && usize::try_from(size) == Ok(len))
}

/// A connected pair of close-on-exec seqpacket sockets.
///
/// # Errors
/// Those of `socketpair(2)`.
pub fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: fds has room for two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    Ok((owned(fds[0])?, owned(fds[1])?))
}

/// Room for the control message that carries [`MAX_FDS`] descriptors.
#[repr(C, align(8))]
struct Control([u8; 16 + 4 * MAX_FDS]);

/// Bytes of that many descriptors.
fn fds_len(count: usize) -> u32 {
    u32::try_from(size_of::<RawFd>() * count).unwrap_or(0)
}

/// Sends `tag` with descriptors beside it, at most [`MAX_FDS`], without waiting for room.
///
/// # Errors
/// Those of `sendmsg(2)`; `EAGAIN` when the peer does not read.
pub fn send_fds(socket: BorrowedFd<'_>, tag: u64, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let fds = fds.get(..fds.len().min(MAX_FDS)).unwrap_or_default();
    let mut bytes = tag.to_ne_bytes();
    let mut iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 16 + 4 * MAX_FDS]);
    let fd_len = fds_len(fds.len());
    // SAFETY: msghdr is plain data; the pointers set below outlive the call, and the control
    // buffer is aligned for cmsghdr and has CMSG_SPACE of MAX_FDS descriptors, a header of 16 bytes
    // and 4 for each, an even number of which needs no padding; there are no more of them.
    let sent = unsafe {
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = libc::CMSG_SPACE(fd_len) as usize;
        let cmsg = libc::CMSG_FIRSTHDR(&raw const header);
        (*cmsg).cmsg_level = libc::SOL_SOCKET;
        (*cmsg).cmsg_type = libc::SCM_RIGHTS;
        (*cmsg).cmsg_len = libc::CMSG_LEN(fd_len) as usize;
        let data = libc::CMSG_DATA(cmsg).cast::<RawFd>();
        for (index, fd) in fds.iter().enumerate() {
            data.add(index).write_unaligned(fd.as_raw_fd());
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        libc::sendmsg(socket.as_raw_fd(), &raw const header, flags)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What [`receive_fds`] found on the socket.
#[derive(Debug)]
pub enum Received {
    /// Nothing is queued and the peer lives.
    Nothing,
    /// The peer is gone, or sent something that is no tag.
    Closed,
    /// A tag, with the descriptors this process had room for.
    Fds(u64, Vec<OwnedFd>),
}

/// Takes one queued message from the socket, without waiting.
#[must_use]
pub fn receive_fds(socket: BorrowedFd<'_>) -> Received {
    let mut bytes = [0_u8; 8];
    let mut iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 16 + 4 * MAX_FDS]);
    // SAFETY: msghdr is plain data, the pointers set below outlive the call. The kernel writes at most
    // msg_controllen bytes of control data and says how many; the CMSG macros stay within that, and as
    // many descriptors are read, which are new and ours alone.
    let (received, fds) = unsafe {
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = libc::CMSG_SPACE(fds_len(MAX_FDS)) as usize;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let received = loop {
            let received = libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags);
            if received >= 0 || *libc::__errno_location() != libc::EINTR {
                break received;
            }
        };
        let mut fds = Vec::new();
        if received >= 0 {
            let cmsg = libc::CMSG_FIRSTHDR(&raw const header);
            if !cmsg.is_null()
                && (*cmsg).cmsg_level == libc::SOL_SOCKET
                && (*cmsg).cmsg_type == libc::SCM_RIGHTS
            {
                let len = (*cmsg).cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                let data = libc::CMSG_DATA(cmsg).cast::<RawFd>();
                for index in 0..(len / size_of::<RawFd>()).min(MAX_FDS) {
                    fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
        }
        (received, fds)
    };
    match received {
        8 => Received::Fds(u64::from_ne_bytes(bytes), fds),
        0.. => Received::Closed,
        _ => match io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN) => Received::Nothing,
            _ => Received::Closed,
        },
    }
}

/// Ends both directions of a socket; its peer and [`wait_for_hangup`] notice.
pub fn shut_down(socket: BorrowedFd<'_>) {
    // SAFETY: no pointers. It fails only where the peer is gone already.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Sleeps until the peer of `socket` is gone.
pub fn wait_for_hangup(socket: BorrowedFd<'_>) {
    loop {
        let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: poll is one live pollfd.
        let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
        if ready > 0 || (ready < 0 && errno() != libc::EINTR) {
            return;
        }
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the kernel just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
