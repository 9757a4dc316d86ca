//! Host calls that change files.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use bevor_abi::Errno;

use super::{SelfFd, check, check_long, last_error, owned};

/// Makes a directory. Errors: those of `mkdirat(2)`.
pub fn mkdir(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: name is a C string.
    check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

/// Makes a special or regular file. Errors: those of `mknodat(2)`.
pub fn mknod(dir: BorrowedFd<'_>, name: &CStr, mode: u32, dev: u64) -> Result<(), Errno> {
    // SAFETY: name is a C string.
    check(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), mode, dev) }).map(drop)
}

/// Makes a symlink. Errors: those of `symlinkat(2)`.
pub fn symlink(target: &CStr, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both are C strings.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// Removes a name. Errors: those of `unlinkat(2)`.
pub fn unlink(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<(), Errno> {
    // SAFETY: name is a C string.
    check(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), flags) }).map(drop)
}

/// Moves a name. Errors: those of `renameat2(2)`.
pub fn rename(
    from: (BorrowedFd<'_>, &CStr),
    to: (BorrowedFd<'_>, &CStr),
    flags: u32,
) -> Result<(), Errno> {
    // SAFETY: both names are C strings.
    let result = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            from.0.as_raw_fd(),
            from.1.as_ptr(),
            to.0.as_raw_fd(),
            to.1.as_ptr(),
            flags,
        )
    };
    check_long(result).map(drop)
}

/// Changes the owner of the file behind a descriptor, `O_PATH` or not; `u32::MAX` keeps one.
/// Errors: those of `fchownat(2)`.
pub fn chown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), Errno> {
    // SAFETY: the path is a C string.
    check(unsafe { libc::fchownat(fd.as_raw_fd(), c"".as_ptr(), uid, gid, libc::AT_EMPTY_PATH) })
        .map(drop)
}

/// Changes the times of the file behind a descriptor, `O_PATH` or not. Errors: those of
/// `utimensat(2)`.
pub fn set_times(fd: BorrowedFd<'_>, times: &[libc::timespec; 2]) -> Result<(), Errno> {
    // SAFETY: the path is a C string, times are two live timespecs.
    let result = unsafe {
        libc::syscall(
            libc::SYS_utimensat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            times.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    check_long(result).map(drop)
}

/// Changes the size of an open file. Errors: those of `ftruncate(2)`.
pub fn truncate(fd: BorrowedFd<'_>, size: i64) -> Result<(), Errno> {
    // SAFETY: no pointers.
    check(unsafe { libc::ftruncate(fd.as_raw_fd(), size) }).map(drop)
}

/// Writes an open file to disk. Errors: those of `fsync(2)`.
pub fn fsync(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers.
    check(unsafe { libc::fsync(fd.as_raw_fd()) }).map(drop)
}

/// Writes the content of an open file to disk. Errors: those of `fdatasync(2)`.
pub fn fdatasync(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers.
    check(unsafe { libc::fdatasync(fd.as_raw_fd()) }).map(drop)
}

/// Writes the file system of an open file to disk. Errors: those of `syncfs(2)`.
pub fn syncfs(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers.
    check(unsafe { libc::syncfs(fd.as_raw_fd()) }).map(drop)
}

/// Makes a non-blocking unix socket. Errors: those of `socket(2)`.
pub fn unix_socket(kind: i32) -> Result<OwnedFd, Errno> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    owned(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })
}

/// Who listened where `socket` is connected to, or bound what it sends to: user and group. −1 where
/// nobody knows. Errors: none known.
pub fn peer_ids(socket: &OwnedFd) -> Result<(u32, u32), Errno> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    // SAFETY: peer is writable for len bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    check(result).map(|_| (peer.uid, peer.gid))
}

impl SelfFd {
    /// Changes the permission bits of the file behind a descriptor. Errors: those of `fchmodat(2)`.
    pub fn chmod(&self, fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
        let number = super::Number::new(fd);
        // SAFETY: the name is a C string.
        let result = unsafe {
            libc::syscall(libc::SYS_fchmodat, self.dir.as_raw_fd(), number.as_c().as_ptr(), mode)
        };
        check_long(result).map(drop)
    }

    /// Gives the file behind a descriptor one more name. Errors: those of `linkat(2)`.
    pub fn link(&self, fd: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let number = super::Number::new(fd);
        // SAFETY: both names are C strings.
        let result = unsafe {
            libc::linkat(
                self.dir.as_raw_fd(),
                number.as_c().as_ptr(),
                dir.as_raw_fd(),
                name.as_ptr(),
                libc::AT_SYMLINK_FOLLOW,
            )
        };
        check(result).map(drop)
    }

    /// Reads an extended attribute into `value`. Errors: those of `getxattr(2)`.
    pub fn getxattr(
        &self,
        fd: BorrowedFd<'_>,
        name: &CStr,
        value: &mut [u8],
    ) -> Result<usize, Errno> {
        let path = self.path(fd, c"");
        // SAFETY: C strings, and value has room for the length given.
        let len = unsafe {
            libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
        };
        usize::try_from(len).map_err(|_| last_error())
    }

    /// Lists the names of extended attributes into `names`. Errors: those of `listxattr(2)`.
    pub fn listxattr(&self, fd: BorrowedFd<'_>, names: &mut [u8]) -> Result<usize, Errno> {
        let path = self.path(fd, c"");
        // SAFETY: a C string, and names has room for the length given.
        let len = unsafe { libc::listxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
        usize::try_from(len).map_err(|_| last_error())
    }

    /// Sets an extended attribute. Errors: those of `setxattr(2)`.
    pub fn setxattr(
        &self,
        fd: BorrowedFd<'_>,
        name: &CStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        let path = self.path(fd, c"");
        // SAFETY: C strings, and value is readable for the length given.
        let result = unsafe {
            libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), flags)
        };
        check(result).map(drop)
    }

    /// Removes an extended attribute. Errors: those of `removexattr(2)`.
    pub fn removexattr(&self, fd: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let path = self.path(fd, c"");
        // SAFETY: C strings.
        check(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) }).map(drop)
    }

    /// Connects `socket` to the socket file behind a descriptor. Errors: those of `connect(2)`.
    pub fn connect(&self, socket: &OwnedFd, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let (address, len) = self.address(fd, c"")?;
        // SAFETY: address is a live sockaddr_un of which len bytes are meant.
        let result =
            unsafe { libc::connect(socket.as_fd().as_raw_fd(), (&raw const address).cast(), len) };
        check(result).map(drop)
    }

    /// Binds `socket` to a new name in a directory. Errors: those of `bind(2)`.
    pub fn bind(&self, socket: &OwnedFd, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let (address, len) = self.address(dir, name)?;
        // SAFETY: address is a live sockaddr_un of which len bytes are meant.
        let result =
            unsafe { libc::bind(socket.as_fd().as_raw_fd(), (&raw const address).cast(), len) };
        check(result).map(drop)
    }

    fn address(
        &self,
        fd: BorrowedFd<'_>,
        below: &CStr,
    ) -> Result<(libc::sockaddr_un, libc::socklen_t), Errno> {
        let path = self.path(fd, below);
        // SAFETY: sockaddr_un is plain data.
        let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap_or(1);
        let bytes = path.to_bytes_with_nul();
        if bytes.len() > address.sun_path.len() {
            return Err(bevor_abi::errno::ENAMETOOLONG.because("name of a host socket"));
        }
        for (to, from) in address.sun_path.iter_mut().zip(bytes) {
            *to = from.cast_signed();
        }
        Ok((address, libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).unwrap_or(110)))
    }
}
