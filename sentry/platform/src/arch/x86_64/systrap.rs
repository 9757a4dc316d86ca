//! What systrap knows of x86-64: entering the zygote, reading events, checking registers.

use crate::systrap::layout::up;
use crate::systrap::{Part, RawEvent};
use crate::{Access, Context, Event, UserRegs};

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// Bit of an x32 call number.
const X32: i64 = 0x4000_0000;
const TRAP_PAGE_FAULT: u64 = 14;
const TRAP_GENERAL_PROTECTION: u64 = 13;
const SI_KERNEL: i32 = 0x80;
/// User addresses are below.
const CANONICAL_END: u64 = 1 << 47;
const USER_CS: u64 = 0x33;
const USER_SS: u64 = 0x2b;
/// Flags a guest may set: CF PF AF ZF SF TF DF OF RF AC ID. Not NT: `iretq` faults on it.
const USER_FLAGS: u64 = 0x25_0dd5;
/// Flags that are always set: IF and the fixed bit.
const FIXED_FLAGS: u64 = 0x202;

/// Whether the processor has the instruction that tells a processor's number.
pub fn has_rdpid() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ecx & 1 << 22 != 0
}

/// Jumps to the zygote's entry in a forked child. Nothing of the sentry is used afterwards.
///
/// # Safety
/// `entry` is the stub's first instruction, mapped executable in this process, which is a fork of
/// the sentry made for this only.
pub unsafe fn enter_zygote(entry: u64, key: u64) -> ! {
    // SAFETY: the caller's promise.
    unsafe { std::arch::asm!("jmp {}", in(reg) entry, in("rdi") key, options(noreturn)) }
}

/// Registers as the stub may load them: selectors, flags and bases are the sentry's choice.
/// `None`: the instruction pointer is no user address, so that the guest faults at once.
pub fn loadable(regs: &UserRegs, area: u64) -> Option<UserRegs> {
    if regs.rip >= CANONICAL_END {
        return None;
    }
    let base = |base: u64| if base < CANONICAL_END { base } else { 0 };
    Some(UserRegs {
        cs: USER_CS,
        ss: USER_SS,
        eflags: regs.eflags & USER_FLAGS | FIXED_FLAGS,
        fs_base: base(regs.fs_base),
        // A guest that has not set its GS base gets the stub's, by which patched calls find the area.
        gs_base: if regs.gs_base == 0 { area } else { base(regs.gs_base) },
        ..*regs
    })
}

/// What a fetch from a non-canonical address raises.
pub const BAD_RIP: Event = Event::Exception {
    signo: libc::SIGSEGV,
    code: SI_KERNEL,
    addr: 0,
    trapno: TRAP_GENERAL_PROTECTION,
    error_code: 0,
};

/// Reads a published event once. `area` is the thread's.
pub fn read_event(up_page: &Part, area: u64, kick: u32, ctx: &mut Context) -> RawEvent {
    use std::sync::atomic::Ordering::Relaxed;
    let word = |at| up_page.u32(at).load(Relaxed);
    let long = |at| up_page.u64(at).load(Relaxed);
    let mut regs = up_page.read_regs(up::REGS);
    if regs.gs_base == area {
        regs.gs_base = 0;
    }
    let signo = word(up::SIG);
    let rip = regs.rip;
    let event = if signo == up::PATCHED {
        let nr = low_half(regs.rax);
        syscall(&mut regs, nr)
    } else if signo == kick {
        regs.orig_rax = u64::MAX;
        Event::Interrupted
    } else if signo == libc::SIGSYS.cast_unsigned() {
        if word(up::ARCH) == AUDIT_ARCH_X86_64 {
            syscall(&mut regs, word(up::NR))
        } else {
            int80(&mut regs)
        }
    } else {
        regs.orig_rax = u64::MAX;
        fault(
            signo.cast_signed(),
            word(up::CODE).cast_signed(),
            Fault {
                addr: long(up::ADDR),
                cr2: long(up::CR2),
                trapno: long(up::TRAPNO),
                error: long(up::ERR),
            },
        )
    };
    ctx.regs = regs;
    ctx.full = false;
    RawEvent { event, rip, patched: signo == up::PATCHED }
}

/// The host looks at the lower half of the register, signed.
fn syscall(regs: &mut UserRegs, nr: u32) -> Event {
    let nr = i64::from(nr.cast_signed());
    regs.orig_rax = nr.cast_unsigned();
    regs.rax = (-i64::from(libc::ENOSYS)).cast_unsigned();
    if nr >= X32 { Event::ForeignSyscall { nr: nr.cast_unsigned() } } else { Event::Syscall }
}

/// `int 0x80` on a kernel without 32-bit support: a general protection fault at the instruction.
fn int80(regs: &mut UserRegs) -> Event {
    regs.rip = regs.rip.wrapping_sub(2);
    regs.orig_rax = u64::MAX;
    Event::Exception {
        signo: libc::SIGSEGV,
        code: SI_KERNEL,
        addr: 0,
        trapno: TRAP_GENERAL_PROTECTION,
        error_code: (0x80 << 3) | 2,
    }
}

fn low_half(register: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    let half = register as u32;
    half
}

struct Fault {
    addr: u64,
    cr2: u64,
    trapno: u64,
    error: u64,
}

fn fault(signo: i32, code: i32, fault: Fault) -> Event {
    let memory = matches!(signo, libc::SIGSEGV | libc::SIGBUS);
    // The trap number may be of an earlier fault where the host sends the signal of its own accord, as
    // it does for jumps into the vsyscall page.
    if memory && fault.trapno == TRAP_PAGE_FAULT && code != SI_KERNEL {
        let access = match fault.error {
            error if error & 0x10 != 0 => Access::Exec,
            error if error & 2 != 0 => Access::Write,
            _ => Access::Read,
        };
        return Event::PageFault { addr: fault.cr2, access, code, bus: signo == libc::SIGBUS };
    }
    Event::Exception {
        signo,
        code,
        addr: fault.addr,
        trapno: fault.trapno,
        error_code: fault.error,
    }
}
