//! Accesses to memory that may vanish under us: a guest file can be truncated while it is mapped.
//!
//! A fault inside one of the accesses of `arch` is turned into an ordinary failure by the handler
//! that [`install_fault_recovery`] sets; any other fault goes to whoever handled it before.

use crate::arch;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

/// The access faulted; `done` bytes were moved before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Faulted {
    /// Bytes moved before the fault.
    pub(crate) done: usize,
}

static PREVIOUS: OnceLock<[libc::sigaction; 2]> = OnceLock::new();
const SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Installs the `SIGSEGV` and `SIGBUS` handler that makes copies from and to guest memory fail with
/// `EFAULT` instead of killing the process. Idempotent; call it before the first guest runs.
///
/// # Errors
/// The host refused the handler.
pub fn install_fault_recovery() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| install().map_err(|e| e.raw_os_error().unwrap_or(0)));
    installed.map_err(io::Error::from_raw_os_error)
}

fn install() -> io::Result<()> {
    let mut previous = [const { MaybeUninit::<libc::sigaction>::zeroed() }; 2];
    for (signo, slot) in SIGNALS.into_iter().zip(&mut previous) {
        // SAFETY: both pointers are to live, properly typed storage; a null new action only reads.
        if unsafe { libc::sigaction(signo, ptr::null(), slot.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: zero is a valid `sigaction`, and the calls above filled them in.
    let previous = previous.map(|slot| unsafe { slot.assume_init() });
    let _ = PREVIOUS.set(previous);
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
    // SAFETY: an all-zero `sigaction` is valid; the fields that matter are set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    for signo in SIGNALS {
        // SAFETY: `on_fault` is async-signal-safe and has the signature SA_SIGINFO asks for.
        if unsafe { libc::sigaction(signo, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn on_fault(signo: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the host passes a `ucontext_t` that is ours alone until the handler returns.
    let ucontext = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    if arch::recover(ucontext) {
        return;
    }
    let index = usize::from(signo == libc::SIGBUS);
    if let Some(previous) = PREVIOUS.get().map(|all| &all[index]) {
        if previous.sa_flags & libc::SA_SIGINFO != 0 && previous.sa_sigaction > libc::SIG_IGN {
            // SAFETY: the host kept this address with SA_SIGINFO for a handler of this signature.
            let chained: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(previous.sa_sigaction) };
            chained(signo, info, context);
            return;
        }
        // SAFETY: restores what was installed before us; the fault then repeats under it.
        unsafe { libc::sigaction(signo, previous, ptr::null_mut()) };
    }
}

/// Copies `len` bytes between memory that may fault.
///
/// # Safety
/// Each side is either live memory of the process (exclusive for `dst`), or lies in a window whose
/// mapping stays in place during the call; no Rust reference to window memory may exist.
pub(crate) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Faulted> {
    // SAFETY: the caller vouches for both sides; a fault in a window ends the copy early.
    let left = unsafe { arch::bevor_copy(dst, src, len) };
    if left == 0 { Ok(()) } else { Err(Faulted { done: len - left }) }
}

/// Zeroes `len` bytes of memory that may fault.
///
/// # Safety
/// As for `dst` of [`copy`].
pub(crate) unsafe fn zero(dst: *mut u8, len: usize) -> Result<(), Faulted> {
    // SAFETY: the caller vouches for the destination.
    let left = unsafe { arch::bevor_zero(dst, len) };
    if left == 0 { Ok(()) } else { Err(Faulted { done: len - left }) }
}

/// Loads an aligned word, atomically.
///
/// # Safety
/// `at` is four-byte aligned and otherwise as for `src` of [`copy`].
pub(crate) unsafe fn load_u32(at: *const u32) -> Result<u32, Faulted> {
    let mut value = 0;
    // SAFETY: `value` is ours, the caller vouches for `at`.
    let failed = unsafe { arch::bevor_load_u32(at, &raw mut value) };
    if failed == 0 { Ok(value) } else { Err(Faulted { done: 0 }) }
}

/// Stores an aligned word, atomically.
///
/// # Safety
/// `at` is four-byte aligned and otherwise as for `dst` of [`copy`].
pub(crate) unsafe fn store_u32(at: *mut u32, value: u32) -> Result<(), Faulted> {
    // SAFETY: the caller vouches for `at`.
    let failed = unsafe { arch::bevor_store_u32(at, value) };
    if failed == 0 { Ok(()) } else { Err(Faulted { done: 0 }) }
}

/// Swaps an aligned word if it holds `expected`; returns what it held.
///
/// # Safety
/// As for [`store_u32`].
pub(crate) unsafe fn cas_u32(at: *mut u32, expected: u32, new: u32) -> Result<u32, Faulted> {
    let mut old = 0;
    // SAFETY: `old` is ours, the caller vouches for `at`.
    let failed = unsafe { arch::bevor_cas_u32(at, expected, new, &raw mut old) };
    if failed == 0 { Ok(old) } else { Err(Faulted { done: 0 }) }
}
