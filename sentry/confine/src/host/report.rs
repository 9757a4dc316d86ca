//! Reports refused host calls: the `SIGSYS` handler.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// Where the report goes; −1 before one is set.
static REPORT: AtomicI32 = AtomicI32::new(-1);
/// The role's name, NUL terminated, for the report.
static ROLE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

/// The exit status of a process that made a refused call: 128 + SIGSYS.
const STATUS: i32 = 128 + libc::SIGSYS;

/// From now on a host call outside the filter is reported to `to` (number, arguments, address) and
/// ends the process with status 159. Install it before the filter.
///
/// # Errors
/// The host's, which has none for these arguments.
pub fn report_refused_calls(role: &'static std::ffi::CStr, to: OwnedFd) -> io::Result<()> {
    ROLE.store(role.as_ptr().cast_mut().cast(), Ordering::Relaxed);
    REPORT.store(to.into_raw_fd(), Ordering::Release);
    // SAFETY: the handler is async-signal-safe (see it); the structure is plain data.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = refused;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut())
    };
    super::check(result)
}

/// The head of `siginfo_t` for `SIGSYS` (`asm-generic/siginfo.h`).
#[repr(C)]
struct SysInfo {
    signo: i32,
    errno: i32,
    code: i32,
    call_addr: u64,
    syscall: i32,
    arch: u32,
}

/// Handles `SIGSYS`: atomics, a buffer on the stack, `write` and `exit_group` only.
extern "C" fn refused(_signo: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo and context to an SA_SIGINFO handler.
    let (nr, addr, args) = unsafe {
        let info = &*info.cast::<SysInfo>();
        let context = &*context.cast::<libc::ucontext_t>();
        (info.syscall, info.call_addr, crate::arch::arguments(context))
    };
    let mut line = Line { text: [0; 256], len: 0 };
    line.push(b"bevor: ");
    let role = ROLE.load(Ordering::Relaxed);
    if !role.is_null() {
        // SAFETY: points at the bytes of a `&'static CStr`.
        line.push(unsafe { std::ffi::CStr::from_ptr(role.cast()) }.to_bytes());
    }
    line.push(b": refused host call ");
    line.decimal(nr.unsigned_abs());
    line.push(b"(");
    for (i, arg) in args.into_iter().enumerate() {
        if i > 0 {
            line.push(b", ");
        }
        line.hex(arg);
    }
    line.push(b") at ");
    line.hex(addr);
    line.push(b"; this is a bug in bevor, please report it with this line\n");
    let fd = REPORT.load(Ordering::Acquire);
    // SAFETY: the buffer lives on this stack and `len` bytes of it are set.
    unsafe { libc::write(fd, line.text.as_ptr().cast(), line.len) };
    super::exit_now(STATUS)
}

/// A line being put together without allocating.
struct Line {
    text: [u8; 256],
    len: usize,
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(slot) = self.text.get_mut(self.len) {
                *slot = byte;
                self.len += 1;
            }
        }
    }

    fn decimal(&mut self, value: u32) {
        if value >= 10 {
            self.decimal(value / 10);
        }
        self.push(&[b"0123456789"[(value % 10) as usize]]);
    }

    fn hex(&mut self, value: u64) {
        self.push(b"0x");
        let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            self.push(&[b"0123456789abcdef"[((value >> (digit * 4)) & 15) as usize]]);
        }
    }
}
