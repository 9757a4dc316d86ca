//! x86-64 for the ptrace platform: the stub page, registers for injected calls, what a stop means.

use std::ops::Range;

use crate::arch::UserRegs;

/// `TASK_SIZE` of a process with 47-bit addresses.
const TASK_SIZE: u64 = 0x7fff_ffff_f000;
/// End of the addresses a guest may map: TASK_SIZE − TASK_SIZE/128, whole pages.
pub const GUEST_END: u64 = (TASK_SIZE - TASK_SIZE / 128) & !(PAGE - 1);
/// Size of a page, bytes.
pub const PAGE: u64 = 4096;
/// The same, as a length.
pub const PAGE_LEN: usize = 4096;

/// The one page of ours in a stub process: code, never writable.
pub const STUB: Range<u64> = GUEST_END + 0x10_0000..GUEST_END + 0x10_0000 + PAGE;
/// What lies below and above the stub page and belongs to no guest and no stub.
pub const REST: [Range<u64>; 2] = [0..STUB.start, STUB.end + PAGE..TASK_SIZE];

/// Makes the calls from `r12` to `r13` until one fails, and stops by itself. Entered at its `syscall`
/// instruction with `r12 == r13`, it makes the one call that is in the registers. `r14` holds the key,
/// which the page of orders, being a guest's to read, does not.
#[rustfmt::skip]
const CODE: [u8; 61] = [
    0x49, 0x8b, 0x04, 0x24,             // 1: mov rax, [r12]
    0x49, 0x8b, 0x7c, 0x24, 0x08,       //    mov rdi, [r12 + 8]
    0x49, 0x8b, 0x74, 0x24, 0x10,       //    mov rsi, [r12 + 16]
    0x49, 0x8b, 0x54, 0x24, 0x18,       //    mov rdx, [r12 + 24]
    0x4d, 0x8b, 0x54, 0x24, 0x20,       //    mov r10, [r12 + 32]
    0x4d, 0x8b, 0x44, 0x24, 0x28,       //    mov r8, [r12 + 40]
    0x4d, 0x8b, 0x4c, 0x24, 0x30,       //    mov r9, [r12 + 48]
    0x83, 0xf8, 0x09,                   //    cmp eax, 9 (mmap has six arguments of its own)
    0x4d, 0x0f, 0x45, 0xce,             //    cmovne r9, r14
    0x0f, 0x05,                         //    syscall
    0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, //    cmp rax, -4095
    0x73, 0x09,                         //    jae 2f
    0x49, 0x83, 0xc4, 0x38,             //    add r12, 56
    0x4d, 0x39, 0xec,                   //    cmp r12, r13
    0x72, 0xc4,                         //    jb 1b
    0xcc,                               // 2: int3
];
/// The `syscall` instruction.
const CALL: u64 = STUB.start + 0x29;
/// Where the instruction pointer is when a filter sees an injected call.
pub const CALL_IP: u64 = CALL + 2;
/// Where it is once all calls have been answered.
const CALLS_DONE: u64 = STUB.start + CODE.len() as u64;
/// Where a stub process maps its page of orders.
pub const ORDERS: u64 = STUB.end;
/// A call in that page: number and six arguments.
const ORDER_LEN: u64 = 56;
/// The same, for arrays.
const ORDER_BYTES: usize = 56;
/// How many calls fit the page.
pub const MAX_BATCH: usize = PAGE_LEN / ORDER_BYTES;
/// Where the filter lies, its key in it, until it is on: a page that no other stub process has.
pub const FILTER: u64 = STUB.end;
/// Offset of its program, after `struct sock_fprog`.
const PROGRAM: usize = 16;

/// Length of the leading registers in `struct user_regs_struct`, up to the segment bases, bytes.
pub const REGS_WITHOUT_SEGMENTS: usize = 21 * 8;

const USER_CS: u64 = 0x33;
const USER_CS_32: u64 = 0x23;
const USER_DS: u64 = 0x2b;
/// What the host takes for "not in a system call": no restart logic touches the registers.
const NO_SYSCALL: u64 = u64::MAX;
/// `__X32_SYSCALL_BIT`.
const X32_BIT: u32 = 0x4000_0000;
/// `AUDIT_ARCH_X86_64` of `PTRACE_GET_SYSCALL_INFO`.
pub const AUDIT_ARCH: u32 = 0xc000_003e;

/// What the first stub process has of ours.
pub struct StubPages {
    /// What is written to [`STUB`].
    pub code: [u8; PAGE_LEN],
    /// What is written to [`FILTER`]: a `struct sock_fprog` and its program.
    pub filter: [u8; PAGE_LEN],
}

impl StubPages {
    /// Lays out the pages. Instructions are eight bytes each, `struct sock_filter`. `None` when the
    /// program does not fit.
    pub fn new(program: &[[u8; 8]]) -> Option<Self> {
        let mut code = [0xcc_u8; PAGE_LEN];
        code[..CODE.len()].copy_from_slice(&CODE);
        let mut filter = [0; PAGE_LEN];
        // struct sock_fprog { unsigned short len; struct sock_filter *filter; }
        filter[..8].copy_from_slice(&u64::try_from(program.len()).ok()?.to_le_bytes());
        filter[8..PROGRAM].copy_from_slice(&(FILTER + PROGRAM as u64).to_le_bytes());
        filter
            .get_mut(PROGRAM..PROGRAM + 8 * program.len())?
            .copy_from_slice(program.as_flattened());
        Some(Self { code, filter })
    }
}

/// Registers that make a stopped stub thread do one call at the stub page. `key`: what the filter
/// wants as the sixth argument of calls that have fewer.
pub fn call_regs(nr: i64, args: [u64; 6], key: u64) -> UserRegs {
    let [rdi, rsi, rdx, r10, r8, sixth] = args;
    let r9 = if nr == libc::SYS_mmap { sixth } else { key };
    UserRegs {
        rax: nr.cast_unsigned(),
        rdi,
        rsi,
        rdx,
        r10,
        r8,
        r9,
        orig_rax: NO_SYSCALL,
        rip: CALL,
        cs: USER_CS,
        ss: USER_DS,
        eflags: 0x202,
        ..UserRegs::default()
    }
}

/// Registers that make it do the first calls in its page of orders.
pub fn batch_regs(nr_calls: usize, key: u64) -> UserRegs {
    let len = ORDER_LEN * nr_calls.min(MAX_BATCH) as u64;
    let (r12, r13) = (ORDERS, ORDERS + len);
    UserRegs { rip: STUB.start, r12, r13, r14: key, ..call_regs(0, [0; 6], 0) }
}

/// A call as the page of orders holds it.
pub fn encode_call(nr: i64, args: [u64; 6]) -> [u8; ORDER_BYTES] {
    let mut bytes = [0; ORDER_BYTES];
    for (slot, word) in
        bytes.chunks_exact_mut(8).zip(std::iter::once(nr.cast_unsigned()).chain(args))
    {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// How many calls of a batch have succeeded.
pub fn batch_done(regs: &UserRegs) -> usize {
    usize::try_from(regs.r12.wrapping_sub(ORDERS) / ORDER_LEN).unwrap_or(0).min(MAX_BATCH)
}

/// The answer of the last injected call, if these are the registers after one.
pub fn call_result(regs: &UserRegs) -> Option<Result<u64, i32>> {
    if regs.rip != CALLS_DONE {
        return None;
    }
    let value = regs.rax.cast_signed();
    match i32::try_from(value) {
        Ok(code @ -4095..=-1) => Some(Err(-code)),
        _ => Some(Ok(regs.rax)),
    }
}

/// What the tracee gets for the registers the kernel above asks for: the host's restart logic off,
/// selectors the host accepts.
pub fn resume_regs(regs: &UserRegs) -> UserRegs {
    let selector = |s: u64| if s & 3 == 3 && s <= 0xffff { s } else { 0 };
    UserRegs {
        orig_rax: NO_SYSCALL,
        cs: if regs.cs == USER_CS_32 { USER_CS_32 } else { USER_CS },
        ss: if selector(regs.ss) == 0 { USER_DS } else { regs.ss },
        ds: selector(regs.ds),
        es: selector(regs.es),
        fs: selector(regs.fs),
        gs: selector(regs.gs),
        ..*regs
    }
}

/// Whether writing `new` over `old` may leave the segment bases and selectors out.
pub fn same_segments(new: &UserRegs, old: &UserRegs) -> bool {
    let segments = |r: &UserRegs| [r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs];
    segments(new) == segments(old)
}

/// Clears segment bases the host will not set (kernel addresses, loaded with `wrgsbase`).
pub fn drop_segment_bases(regs: &mut UserRegs) {
    for base in [&mut regs.fs_base, &mut regs.gs_base] {
        if *base >= TASK_SIZE {
            *base = 0;
        }
    }
}

/// What a system-call stop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// The 64-bit table's.
    Native,
    /// An x32 number.
    X32(u64),
    /// Perhaps not made with `syscall` in 64-bit mode: the host must be asked.
    Unsure,
}

/// Reads a system-call stop and puts the number in `orig_rax` as the host would use it.
pub fn classify_call(regs: &mut UserRegs) -> Call {
    // The instruction leaves its own address in rcx and the flags in r11; `int 0x80` does not,
    // unless the guest put them there, and then it gets what `syscall` does.
    let by_instruction = regs.rcx == regs.rip && regs.r11 == regs.eflags && regs.cs == USER_CS;
    if by_instruction { native_call(regs) } else { Call::Unsure }
}

/// The same once the host has said that the call is of the 64-bit architecture.
pub fn native_call(regs: &mut UserRegs) -> Call {
    let raw = regs.orig_rax;
    #[expect(clippy::cast_possible_truncation, reason = "the host looks at the lower half only")]
    let nr = raw as u32;
    regs.orig_rax = i64::from(nr.cast_signed()).cast_unsigned();
    if nr & X32_BIT != 0 && nr.cast_signed() >= 0 { Call::X32(raw) } else { Call::Native }
}

/// A fault as the host reports it for `int 0x80` where it serves no 32-bit calls.
pub struct ForeignGate {
    /// `trapno`: general protection.
    pub trapno: u64,
    /// Selector error code of vector 0x80 in the IDT.
    pub error_code: u64,
}

/// Rewinds a 32-bit call to its instruction and says which exception it becomes.
pub fn refuse_foreign_call(regs: &mut UserRegs) -> ForeignGate {
    regs.rip = regs.rip.wrapping_sub(2);
    regs.rax = regs.orig_rax;
    regs.orig_rax = NO_SYSCALL;
    ForeignGate { trapno: trap::GP, error_code: 0x80 * 8 + 2 }
}

/// The address of the next instruction.
pub const fn instruction_pointer(regs: &UserRegs) -> u64 {
    regs.rip
}

/// The error code of the general protection that an instruction's first bytes raised: the selector
/// of the gate for `int n`, 0 for all others.
pub fn protection_error(code: [u8; 2]) -> u64 {
    match code {
        [0xcd, vector] => u64::from(vector) * 8 + 2,
        _ => 0,
    }
}

/// Exception numbers, as `trapno` of a machine context.
pub mod trap {
    /// `#DE`.
    pub const DIVIDE: u64 = 0;
    /// `#DB`.
    pub const DEBUG: u64 = 1;
    /// `#BP`.
    pub const BREAKPOINT: u64 = 3;
    /// `#BR`.
    pub const BOUNDS: u64 = 5;
    /// `#UD`.
    pub const INVALID: u64 = 6;
    /// `#SS`.
    pub const STACK: u64 = 12;
    /// `#GP`.
    pub const GP: u64 = 13;
    /// `#PF`.
    pub const PAGE: u64 = 14;
    /// `#MF`.
    pub const X87: u64 = 16;
    /// `#AC`.
    pub const ALIGNMENT: u64 = 17;
    /// `#XM`.
    pub const SIMD: u64 = 19;
    /// `#CP`.
    pub const CONTROL: u64 = 21;
}

/// Whether an address is one of the three entries of the vsyscall page.
pub fn is_vsyscall(addr: u64) -> bool {
    const BASE: u64 = 0xffff_ffff_ff60_0000;
    [BASE, BASE + 1024, BASE + 2048].contains(&addr)
}

/// Makes a call from the vsyscall page look like any system call. The host has returned from the
/// page already, on the caller's behalf.
pub fn vsyscall_regs(regs: &mut UserRegs, nr: i32) {
    regs.orig_rax = i64::from(nr).cast_unsigned();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stub_page_lies_above_the_guest() {
        const { assert!(STUB.start >= GUEST_END && STUB.end <= TASK_SIZE) };
        const { assert!(GUEST_END.is_multiple_of(PAGE)) };
    }

    #[test]
    fn the_stub_code_is_what_its_comments_say() {
        use iced_x86::{Decoder, DecoderOptions, Mnemonic};
        let code: Vec<_> =
            Decoder::with_ip(64, &CODE, STUB.start, DecoderOptions::NONE).into_iter().collect();
        let syscalls: Vec<u64> = code
            .iter()
            .filter(|i| i.mnemonic() == Mnemonic::Syscall)
            .map(|i| i.next_ip())
            .collect();
        assert_eq!(syscalls, [CALL_IP], "one syscall instruction, where the filter expects it");
        let last = code.last().expect("there is code");
        assert_eq!((last.mnemonic(), last.next_ip()), (Mnemonic::Int3, CALLS_DONE));
        let targets: Vec<u64> =
            code.iter().map(|i| i.near_branch_target()).filter(|&to| to != 0).collect();
        assert_eq!(targets, [last.ip(), STUB.start]);
    }

    #[test]
    fn the_filter_has_its_length_and_place_before_it() {
        let pages = StubPages::new(&[[2; 8], [3; 8]]).expect("two instructions fit");
        assert_eq!(pages.filter[0], 2);
        assert_eq!(pages.filter[8..16], (FILTER + 16).to_le_bytes());
        assert_eq!(pages.filter[16..24], [2; 8]);
        assert!(StubPages::new(&[[0; 8]; 600]).is_none());
    }

    #[test]
    fn numbers_are_what_the_host_would_use() {
        let mut regs = UserRegs { orig_rax: 0x1_0000_0027, ..UserRegs::default() };
        assert_eq!(native_call(&mut regs), Call::Native);
        assert_eq!(regs.orig_rax, 39);
        regs.orig_rax = u64::MAX;
        assert_eq!(native_call(&mut regs), Call::Native);
        assert_eq!(regs.orig_rax, u64::MAX);
        regs.orig_rax = 0x4000_0000 + 39;
        assert_eq!(native_call(&mut regs), Call::X32(0x4000_0027));
    }

    #[test]
    fn only_acceptable_selectors_reach_the_host() {
        let regs = UserRegs { cs: 0x10, ss: 0, fs: 0x18, gs: 0x2b, ..UserRegs::default() };
        let regs = resume_regs(&regs);
        assert_eq!((regs.cs, regs.ss, regs.fs, regs.gs), (USER_CS, USER_DS, 0, 0x2b));
    }
}
