//! The signal frame of x86-64 (`struct rt_sigframe`, `sigcontext(7)` in the kernel's sources
//! `arch/x86/include/uapi/asm/sigcontext.h`).

use super::{Action, AltStack, Detail, Info, SA_ONSTACK, SA_RESTORER};
use crate::task::{Machine, Task};
use bevor_abi::Errno;
use bevor_abi::errno::EFAULT;
use bevor_abi::nr::SYS_restart_syscall;
use bevor_memory::UserAddr;
use bevor_platform::{FpState, UserRegs};

/// Bytes below the stack pointer a function may use without moving it (System V ABI).
const RED_ZONE: u64 = 128;
/// `pretcode` + `ucontext` + `siginfo`.
const FRAME_BYTES: usize = 8 + UCONTEXT_BYTES + 128;
/// `uc_flags`, `uc_link`, `uc_stack`, `uc_mcontext`, `uc_sigmask`.
const UCONTEXT_BYTES: usize = 8 + 8 + 24 + 256 + 8;
/// `UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`.
const UC_FLAGS: u64 = 7;
/// Flags a handler starts with cleared: trap, direction, resume.
const CLEARED_FLAGS: u64 = (1 << 8) | (1 << 10) | (1 << 16);
/// Flags `rt_sigreturn` may restore (`FIX_EFLAGS`).
const RESTORED_FLAGS: u64 = 0x0005_0dd5;
/// `FP_XSTATE_MAGIC1`, at the start of the software-reserved bytes of the FXSAVE area.
const XSTATE_MAGIC1: u32 = 0x4650_5853;
/// `FP_XSTATE_MAGIC2`, right after the XSAVE area.
const XSTATE_MAGIC2: u32 = 0x4650_5845;
/// Offset of the software-reserved bytes.
const SW_RESERVED: usize = 464;
/// Size of the legacy FXSAVE area.
const FXSAVE_BYTES: usize = 512;
/// User code segment.
const USER_CS: u64 = 0x33;
/// User stack segment.
const USER_SS: u64 = 0x2b;

/// Makes the next run begin with the handler of `info`. Answers whether the alternate stack must be
/// disarmed (`SS_AUTODISARM`).
///
/// # Errors
/// `EFAULT` when the stack cannot take the frame; the caller then sends `SIGSEGV`.
pub fn push_frame(
    machine: &mut Machine,
    info: &Info,
    action: Action,
    old_mask: u64,
    alt_stack: AltStack,
) -> Result<bool, Errno> {
    if action.flags & SA_RESTORER == 0 {
        return Err(EFAULT.because("the handler has no SA_RESTORER"));
    }
    let fp = extended_state(machine)?;
    let regs = machine.context.regs;
    let on_alt = action.flags & SA_ONSTACK != 0
        && alt_stack.flags & AltStack::DISABLE == 0
        && !alt_stack.contains(regs.rsp);
    let top = if on_alt {
        alt_stack.base.checked_add(alt_stack.size)
    } else {
        regs.rsp.checked_sub(RED_ZONE)
    };
    let top = top.ok_or(EFAULT)?;
    let fp_bytes = if fp.is_empty() { 0 } else { fp.len() as u64 + 4 };
    let fp_at = top.checked_sub(fp_bytes).ok_or(EFAULT)? & !63;
    let frame = fp_at.checked_sub(FRAME_BYTES as u64).ok_or(EFAULT)?;
    // The frame sits where a call would have left the stack: 8 below a multiple of 16.
    let frame = (frame & !15).checked_sub(8).ok_or(EFAULT)?;
    if alt_stack.contains(regs.rsp) && !alt_stack.contains(frame) && alt_stack.size != 0 {
        return Err(EFAULT.because("the alternate signal stack overflows"));
    }
    let fp_pointer = if fp.is_empty() { 0 } else { fp_at };
    let bytes = encode(&regs, info, action.restorer, old_mask, alt_stack, fp_pointer);
    let mm = &machine.mm;
    if !fp.is_empty() {
        mm.write_bytes(UserAddr(fp_at), &with_magic(fp))?;
    }
    mm.write_bytes(UserAddr(frame), &bytes)?;

    let context = &mut machine.context;
    context.full = true;
    let regs = &mut context.regs;
    regs.rdi = u64::from(info.signo.cast_unsigned());
    regs.rsi = frame + 8 + UCONTEXT_BYTES as u64;
    regs.rdx = frame + 8;
    regs.rax = 0;
    regs.rsp = frame;
    regs.rip = action.handler;
    regs.cs = USER_CS;
    regs.ss = USER_SS;
    regs.eflags &= !CLEARED_FLAGS;
    Ok(on_alt && alt_stack.flags & AltStack::AUTODISARM != 0)
}

/// `rt_sigreturn`: restores what [`push_frame`] saved, as the handler left it.
///
/// # Errors
/// `EFAULT` when the frame cannot be read; the caller then sends `SIGSEGV`.
pub fn restore_frame(task: &Task, machine: &mut Machine) -> Result<(), Errno> {
    // The restorer was entered by `ret`, which popped `pretcode`.
    let frame = machine.context.regs.rsp.wrapping_sub(8);
    let mut ucontext = [0; UCONTEXT_BYTES];
    machine.mm.read_bytes(UserAddr(frame).add(8)?, &mut ucontext)?;
    let word = |index: usize| {
        let bytes = ucontext.get(8 * index..8 * index + 8);
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    let old = machine.context.regs;
    let context = &mut machine.context;
    context.full = true;
    context.regs = UserRegs {
        r8: word(5),
        r9: word(6),
        r10: word(7),
        r11: word(8),
        r12: word(9),
        r13: word(10),
        r14: word(11),
        r15: word(12),
        rdi: word(13),
        rsi: word(14),
        rbp: word(15),
        rbx: word(16),
        rdx: word(17),
        rax: word(18),
        rcx: word(19),
        rsp: word(20),
        rip: word(21),
        eflags: (old.eflags & !RESTORED_FLAGS) | (word(22) & RESTORED_FLAGS) | 0x200,
        // Only user segments can come back; the sentry resumes with nothing else.
        cs: USER_CS,
        ss: USER_SS,
        orig_rax: u64::MAX,
        ..old
    };
    let mask = word(5 + 32);
    let fp_at = word(28);
    let fp = read_extended_state(machine, fp_at)?;
    if let Some(thread) = machine.thread.as_deref_mut() {
        thread.set_fp_state(&fp).map_err(|_| EFAULT)?;
    }
    let mut signals = task.signals.lock();
    signals.blocked = mask & !super::UNBLOCKABLE;
    let stack = AltStack { base: word(2), flags: low_u32(word(3)), size: word(4) };
    // As `sigaltstack` does, and as silently as Linux: not while the handler still runs on the one set.
    if !signals.alt_stack.contains(old.rsp) {
        let enabled = stack.flags & AltStack::DISABLE == 0;
        signals.alt_stack = if enabled {
            AltStack { flags: stack.flags & AltStack::AUTODISARM, ..stack }
        } else {
            AltStack::disabled()
        };
    }
    drop(signals);
    task.sched.set_attention();
    Ok(())
}

/// Makes the guest execute its system call again.
pub fn rewind_syscall(machine: &mut Machine) {
    let context = &mut machine.context;
    context.full = true;
    context.regs.rax = context.regs.orig_rax;
    context.regs.rip = context.regs.rip.wrapping_sub(2);
}

/// The call that was interrupted returned that it shall be made again; the registers say how
/// (a traced task; its tracer may have changed them). No handler runs.
pub fn restart_by_registers(machine: &mut Machine) {
    if !in_call(machine) {
        return;
    }
    let context = &mut machine.context;
    match error_of(context.regs.rax) {
        RESTART_SYS | RESTART_NO_INTR | RESTART_NO_HAND => rewind_syscall(machine),
        RESTART_BLOCK => {
            context.full = true;
            context.regs.rax = SYS_restart_syscall;
            context.regs.rip = context.regs.rip.wrapping_sub(2);
        }
        _ => {}
    }
}

/// The same, when a handler runs; `true`: it returns `EINTR`.
pub fn interrupt_by_registers(machine: &mut Machine, sa_restart: bool) -> bool {
    if !in_call(machine) {
        return false;
    }
    match error_of(machine.context.regs.rax) {
        RESTART_SYS if sa_restart => rewind_syscall(machine),
        RESTART_NO_INTR => rewind_syscall(machine),
        RESTART_SYS | RESTART_NO_HAND | RESTART_BLOCK => {
            machine.context.full = true;
            machine.set_return(bevor_abi::errno::EINTR.as_return());
            return true;
        }
        _ => {}
    }
    false
}

/// What an interrupted call returns to the code above.
pub fn set_interrupted(machine: &mut Machine, restart: crate::block::Restart) {
    use crate::block::Restart;
    let errno = match restart {
        Restart::Sys => RESTART_SYS,
        Restart::NoIntr | Restart::Killable => RESTART_NO_INTR,
        Restart::NoHand => RESTART_NO_HAND,
        Restart::SameDeadline => RESTART_BLOCK,
        Restart::Never => i64::from(bevor_abi::errno::EINTR.0),
    };
    machine.set_return((-errno).cast_unsigned());
}

const RESTART_SYS: i64 = 512;
const RESTART_NO_INTR: i64 = 513;
const RESTART_NO_HAND: i64 = 514;
const RESTART_BLOCK: i64 = 516;

const fn in_call(machine: &Machine) -> bool {
    crate::ptrace::arch::call_number(&machine.context.regs) >= 0
}

const fn error_of(result: u64) -> i64 {
    result.cast_signed().wrapping_neg()
}

fn low_u32(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

fn extended_state(machine: &mut Machine) -> Result<Vec<u8>, Errno> {
    let thread = machine.thread.as_deref_mut().ok_or(EFAULT)?;
    Ok(thread.fp_state().map_err(|_| EFAULT)?.xsave)
}

/// Marks an XSAVE image as the kernel does, so that handlers and `rt_sigreturn` know its size.
fn with_magic(mut xsave: Vec<u8>) -> Vec<u8> {
    let size = u32::try_from(xsave.len()).unwrap_or(0);
    let features: [u8; 8] = xsave
        .get(FXSAVE_BYTES..FXSAVE_BYTES + 8)
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or([3, 0, 0, 0, 0, 0, 0, 0]);
    if let Some(reserved) = xsave.get_mut(SW_RESERVED..SW_RESERVED + 48) {
        reserved.fill(0);
        reserved[0..4].copy_from_slice(&XSTATE_MAGIC1.to_ne_bytes());
        reserved[4..8].copy_from_slice(&(size + 4).to_ne_bytes());
        reserved[8..16].copy_from_slice(&features);
        reserved[16..20].copy_from_slice(&size.to_ne_bytes());
    }
    xsave.extend_from_slice(&XSTATE_MAGIC2.to_ne_bytes());
    xsave
}

fn read_extended_state(machine: &Machine, at: u64) -> Result<FpState, Errno> {
    if at == 0 {
        return Ok(FpState::default());
    }
    let mut legacy = vec![0; FXSAVE_BYTES];
    machine.mm.read_bytes(UserAddr(at), &mut legacy)?;
    let field = |offset: usize| {
        let bytes = legacy.get(offset..offset + 4);
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
    };
    let (magic, size) = (field(SW_RESERVED), field(SW_RESERVED + 16) as usize);
    if magic == XSTATE_MAGIC1 && (FXSAVE_BYTES + 64..=16 * 1024).contains(&size) {
        let mut xsave = vec![0; size];
        machine.mm.read_bytes(UserAddr(at), &mut xsave)?;
        return Ok(FpState { xsave });
    }
    // An FXSAVE image alone: x87 and SSE state, the rest initial.
    legacy.extend_from_slice(&3_u64.to_ne_bytes());
    legacy.resize(FXSAVE_BYTES + 64, 0);
    Ok(FpState { xsave: legacy })
}

fn encode(
    regs: &UserRegs,
    info: &Info,
    restorer: u64,
    old_mask: u64,
    alt_stack: AltStack,
    fp_pointer: u64,
) -> Vec<u8> {
    let (cr2, trapno, error_code) = match info.detail {
        Detail::Fault { addr, trapno, error_code } => {
            (if trapno == 14 { addr } else { 0 }, trapno, error_code)
        }
        _ => (0, 0, 0),
    };
    let words = [
        restorer,
        UC_FLAGS,
        0,
        alt_stack.base,
        u64::from(alt_stack.flags),
        alt_stack.size,
        regs.r8,
        regs.r9,
        regs.r10,
        regs.r11,
        regs.r12,
        regs.r13,
        regs.r14,
        regs.r15,
        regs.rdi,
        regs.rsi,
        regs.rbp,
        regs.rbx,
        regs.rdx,
        regs.rax,
        regs.rcx,
        regs.rsp,
        regs.rip,
        regs.eflags,
        USER_CS | (USER_SS << 48),
        error_code,
        trapno,
        old_mask,
        cr2,
        fp_pointer,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        old_mask,
    ];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.extend_from_slice(&info.to_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_has_the_kernels_layout() {
        let regs = UserRegs { rip: 0x1234, rsp: 0x7000, ..UserRegs::default() };
        let stack = AltStack::disabled();
        let bytes = encode(&regs, &Info::kernel(10), 0x99, 0xabc, stack, 0x8000);
        assert_eq!(bytes.len(), FRAME_BYTES);
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        // Offsets of gregs[REG_RIP], uc_sigmask and fpregs in ucontext_t, after pretcode.
        assert_eq!((word(8 + 168), word(8 + 296), word(8 + 224)), (0x1234, 0xabc, 0x8000));
        assert_eq!(i32::from_ne_bytes(bytes[8 + 304..8 + 308].try_into().unwrap()), 10);
    }
}
