//! x86-64: copies and atomic accesses that survive a fault, and the register work behind them.

use std::arch::global_asm;

// Every instruction between a `_start` and its `_end` label may touch guest memory. When one of
// them faults, the handler continues at the label given in `RECOVERABLE`. No stack is used and no
// register but caller-saved ones, so what runs there is an ordinary return to the caller.
global_asm!(
    // rdi: destination, rsi: source, rdx: bytes. Returns the bytes not copied.
    ".pushsection .text.bevor_recover, \"ax\", @progbits",
    ".balign 32",
    ".globl bevor_copy, bevor_copy_start, bevor_copy_end",
    ".hidden bevor_copy, bevor_copy_start, bevor_copy_end",
    "bevor_copy:",
    "mov rcx, rdx",
    "bevor_copy_start:",
    "rep movsb",
    "bevor_copy_end:",
    "mov rax, rcx",
    "ret",
    // rdi: destination, rsi: bytes. Returns the bytes not zeroed.
    ".balign 32",
    ".globl bevor_zero, bevor_zero_start, bevor_zero_end",
    ".hidden bevor_zero, bevor_zero_start, bevor_zero_end",
    "bevor_zero:",
    "mov rcx, rsi",
    "xor eax, eax",
    "bevor_zero_start:",
    "rep stosb",
    "bevor_zero_end:",
    "mov rax, rcx",
    "ret",
    // rdi: address, rsi: where the value goes. Returns 0, or 1 after a fault.
    ".balign 16",
    ".globl bevor_load_u32, bevor_load_u32_start, bevor_load_u32_end",
    ".hidden bevor_load_u32, bevor_load_u32_start, bevor_load_u32_end",
    "bevor_load_u32:",
    "bevor_load_u32_start:",
    "mov eax, dword ptr [rdi]",
    "bevor_load_u32_end:",
    "mov dword ptr [rsi], eax",
    "xor eax, eax",
    "ret",
    // rdi: address, esi: new value. Returns 0, or 1 after a fault.
    ".balign 16",
    ".globl bevor_store_u32, bevor_store_u32_start, bevor_store_u32_end",
    ".hidden bevor_store_u32, bevor_store_u32_start, bevor_store_u32_end",
    "bevor_store_u32:",
    "bevor_store_u32_start:",
    "mov dword ptr [rdi], esi",
    "bevor_store_u32_end:",
    "xor eax, eax",
    "ret",
    // rdi: address, esi: expected, edx: new, rcx: where the old value goes. Returns like load.
    ".balign 16",
    ".globl bevor_cas_u32, bevor_cas_u32_start, bevor_cas_u32_end",
    ".hidden bevor_cas_u32, bevor_cas_u32_start, bevor_cas_u32_end",
    "bevor_cas_u32:",
    "mov eax, esi",
    "bevor_cas_u32_start:",
    "lock cmpxchg dword ptr [rdi], edx",
    "bevor_cas_u32_end:",
    "mov dword ptr [rcx], eax",
    "xor eax, eax",
    "ret",
    ".globl bevor_access_failed",
    ".hidden bevor_access_failed",
    "bevor_access_failed:",
    "mov eax, 1",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    /// Copies `len` bytes; returns how many were not copied because of a fault.
    pub(crate) fn bevor_copy(dst: *mut u8, src: *const u8, len: usize) -> usize;
    /// Zeroes `len` bytes; returns how many were not.
    pub(crate) fn bevor_zero(dst: *mut u8, len: usize) -> usize;
    /// Loads a word; returns non-zero after a fault.
    pub(crate) fn bevor_load_u32(src: *const u32, value: *mut u32) -> u32;
    /// Stores a word; returns non-zero after a fault.
    pub(crate) fn bevor_store_u32(dst: *mut u32, value: u32) -> u32;
    /// Compares and swaps a word atomically; returns non-zero after a fault.
    pub(crate) fn bevor_cas_u32(at: *mut u32, expected: u32, new: u32, old: *mut u32) -> u32;

    static bevor_copy_start: u8;
    static bevor_copy_end: u8;
    static bevor_zero_start: u8;
    static bevor_zero_end: u8;
    static bevor_load_u32_start: u8;
    static bevor_load_u32_end: u8;
    static bevor_store_u32_start: u8;
    static bevor_store_u32_end: u8;
    static bevor_cas_u32_start: u8;
    static bevor_cas_u32_end: u8;
    static bevor_access_failed: u8;
}

/// Instructions that may fault, and where to continue then.
struct Recoverable {
    start: *const u8,
    end: *const u8,
    fixup: *const u8,
}

// SAFETY: the pointers name code and are only compared and jumped to.
unsafe impl Sync for Recoverable {}

static RECOVERABLE: [Recoverable; 5] = [
    Recoverable {
        start: &raw const bevor_copy_start,
        end: &raw const bevor_copy_end,
        fixup: &raw const bevor_copy_end,
    },
    Recoverable {
        start: &raw const bevor_zero_start,
        end: &raw const bevor_zero_end,
        fixup: &raw const bevor_zero_end,
    },
    Recoverable {
        start: &raw const bevor_load_u32_start,
        end: &raw const bevor_load_u32_end,
        fixup: &raw const bevor_access_failed,
    },
    Recoverable {
        start: &raw const bevor_store_u32_start,
        end: &raw const bevor_store_u32_end,
        fixup: &raw const bevor_access_failed,
    },
    Recoverable {
        start: &raw const bevor_cas_u32_start,
        end: &raw const bevor_cas_u32_end,
        fixup: &raw const bevor_access_failed,
    },
];

/// Moves the interrupted context to its fixup if it faulted inside a recoverable access.
pub(crate) fn recover(context: &mut libc::ucontext_t) -> bool {
    let rip = &mut context.uc_mcontext.gregs[REG_RIP];
    let at = std::ptr::with_exposed_provenance::<u8>(usize::try_from(*rip).unwrap_or(0));
    for entry in &RECOVERABLE {
        if at >= entry.start && at < entry.end {
            *rip = i64::try_from(entry.fixup.expose_provenance()).unwrap_or(0);
            return true;
        }
    }
    false
}

const REG_RIP: usize = libc::REG_RIP as usize;
