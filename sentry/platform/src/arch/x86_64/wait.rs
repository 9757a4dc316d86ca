//! `wait4` that never loses a wake-up sent before it sleeps.
//!
//! A thread that waits for stopped tracees and for messages has no host call that waits for both.
//! So a message raises a flag and sends a signal: if the signal arrives between the look at the flag
//! and the `syscall` instruction, its handler moves the instruction pointer past the call, and if
//! it arrives later the host ends the call with `EINTR`.

use std::sync::atomic::AtomicU32;

std::arch::global_asm!(
    ".pushsection .text.bevor_wait, \"ax\", @progbits",
    ".globl bevor_wait4",
    ".globl bevor_wait4_begin",
    ".globl bevor_wait4_end",
    ".globl bevor_wait4_woken",
    "bevor_wait4:",
    "mov r8, rdi",
    "mov rdi, -1",
    "xor r10d, r10d",
    "mov eax, 61",
    "bevor_wait4_begin:",
    "cmp dword ptr [r8], 0",
    "jne bevor_wait4_woken",
    "syscall",
    "bevor_wait4_end:",
    "ret",
    "bevor_wait4_woken:",
    "mov rax, -4",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    fn bevor_wait4(flag: *const AtomicU32, status: *mut i32, options: u64) -> i64;
    fn bevor_wait4_begin();
    fn bevor_wait4_end();
    fn bevor_wait4_woken();
}

/// `wait4(-1, &status, options, NULL)` unless `flag` is non-zero: the thread and its status, or the
/// host's error number. `EINTR` means that the flag may be raised.
pub fn wait4_unless(flag: &AtomicU32, options: i32) -> Result<(i32, i32), i32> {
    let mut status = 0;
    // SAFETY: the routine reads the flag and passes the status pointer to the host; both are valid
    // for the whole call. It keeps to the C calling convention and uses no stack.
    let answer = unsafe { bevor_wait4(flag, &raw mut status, u64::from(options.cast_unsigned())) };
    match i32::try_from(answer) {
        Ok(tid @ 0..) => Ok((tid, status)),
        Ok(code) => Err(-code),
        Err(_) => Err(libc::EIO),
    }
}

/// Moves a context that was interrupted just before the wait past it. For signal handlers.
///
/// # Safety
/// `context` is the third argument of a handler installed with `SA_SIGINFO`.
pub unsafe fn skip_wait(context: *mut libc::c_void) {
    let address =
        |label: unsafe extern "C" fn()| (label as *const () as usize).cast_signed() as i64;
    let begin = address(bevor_wait4_begin);
    let end = address(bevor_wait4_end);
    // SAFETY: the caller passes a handler's context, which is a ucontext_t this thread alone uses.
    let rip = unsafe {
        &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize]
    };
    if (begin..end).contains(rip) {
        *rip = address(bevor_wait4_woken);
    }
}
