//! What this host has: asked without changing anything.

use std::io;

fn exists(result: libc::c_long) -> bool {
    result != -1 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Syscall User Dispatch (Linux 5.11).
#[must_use]
pub fn syscall_user_dispatch() -> bool {
    const PR_SET_SYSCALL_USER_DISPATCH: libc::c_int = 59;
    let off: libc::c_ulong = 0;
    // SAFETY: turns off what is off; no pointers.
    unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, off, off, off, off) == 0 }
}

/// `mseal` (Linux 6.10).
#[must_use]
pub fn mseal() -> bool {
    // SAFETY: an empty range changes nothing.
    exists(unsafe { libc::syscall(libc::SYS_mseal, 0, 0, 0) })
}

/// `clone3` (Linux 5.3; some filters of container engines refuse it).
#[must_use]
pub fn clone3() -> bool {
    // SAFETY: a null structure of no size is refused by kernels that have the call.
    exists(unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<libc::c_void>(), 0) })
}

/// `openat2` (Linux 5.6).
#[must_use]
pub fn openat2() -> bool {
    // SAFETY: a null structure of no size is refused by kernels that have the call.
    exists(unsafe { libc::syscall(libc::SYS_openat2, -1, std::ptr::null::<libc::c_char>(), 0, 0) })
}

/// `PR_SET_MDWE` (Linux 6.3).
#[must_use]
pub fn mdwe() -> bool {
    let zero: libc::c_ulong = 0;
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_GET_MDWE, zero, zero, zero, zero) >= 0 }
}

/// Instructions that set the FS and GS bases without the kernel (Linux 5.9 on newer processors).
#[must_use]
pub fn fsgsbase() -> bool {
    const HWCAP2_FSGSBASE: libc::c_ulong = 1 << 1;
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & HWCAP2_FSGSBASE != 0 }
}
