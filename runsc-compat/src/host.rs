//! What this process was started with, looked at before Rust's runtime changes it: that opens
//! `/dev/null` in place of closed standard streams and ignores SIGPIPE. And host calls no library
//! here has.
#![expect(unsafe_code, reason = "runs before main, and asks the host directly")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bit N: descriptor N was closed.
static CLOSED: AtomicU32 = AtomicU32::new(0);
/// Bit N: signal N was ignored.
static IGNORED: AtomicU32 = AtomicU32::new(0);

// SAFETY: the C library calls the functions of this section before main, with its own state set up;
// this one makes host calls and stores to an atomic.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let mut closed = 0;
    for fd in 0..3 {
        // SAFETY: no pointers.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            closed |= 1 << fd;
        }
    }
    CLOSED.store(closed, Ordering::Relaxed);
    let mut ignored = 0;
    for signo in 1..32 {
        // SAFETY: an all-zero action is a valid one, and a null new action only asks for the old.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let asked = libc::sigaction(signo, std::ptr::null(), &raw mut action);
            if asked == 0 && action.sa_sigaction == libc::SIG_IGN {
                ignored |= 1 << signo;
            }
        }
    }
    IGNORED.store(ignored, Ordering::Relaxed);
}

/// Whether standard stream `fd` was closed when this process was started.
pub fn was_closed(fd: i32) -> bool {
    (0..3).contains(&fd) && CLOSED.load(Ordering::Relaxed) & (1 << fd) != 0
}

/// The standard signals this process was started with ignored.
pub fn ignored_signals() -> Vec<i32> {
    let ignored = IGNORED.load(Ordering::Relaxed);
    (1..32).filter(|signo| ignored & (1 << signo) != 0).collect()
}

/// Sets an extended attribute.
///
/// # Errors
/// The host's: the file system has none.
pub fn set_xattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: the name ends in NUL, and the value is as long as said.
    let set = unsafe {
        libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Removes an extended attribute.
///
/// # Errors
/// The host's: there is none.
pub fn remove_xattr(fd: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // SAFETY: the name ends in NUL.
    let removed = unsafe { libc::fremovexattr(fd.as_raw_fd(), name.as_ptr()) };
    if removed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// All extended attributes of a file, with their values; a link is not followed.
///
/// # Errors
/// The host's: there is no such file, or its file system has none.
pub fn xattrs(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let names = filled(|buf, len| {
        // SAFETY: the path ends in NUL, and the buffer is as long as said.
        unsafe { libc::llistxattr(path.as_ptr(), buf.cast(), len) }
    })?;
    let mut found = Vec::new();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let c_name = CString::new(name)?;
        let value = filled(|buf, len| {
            // SAFETY: path and name end in NUL, and the buffer is as long as said.
            unsafe { libc::lgetxattr(path.as_ptr(), c_name.as_ptr(), buf.cast(), len) }
        });
        // It may be for others' eyes only.
        found.extend(value.ok().map(|value| (name.to_vec(), value)));
    }
    Ok(found)
}

/// Fills a buffer of the size a call asks for.
fn filled(call: impl Fn(*mut u8, usize) -> isize) -> io::Result<Vec<u8>> {
    loop {
        let want = usize::try_from(call(std::ptr::null_mut(), 0));
        let mut buf = vec![0; want.map_err(|_| io::Error::last_os_error())?];
        match usize::try_from(call(buf.as_mut_ptr(), buf.len())) {
            Ok(got) => {
                buf.truncate(got);
                return Ok(buf);
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::ERANGE) {
                    return Err(error);
                }
            }
        }
    }
}
