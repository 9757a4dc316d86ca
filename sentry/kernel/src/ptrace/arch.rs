//! What a tracer sees of an x86-64 task: `struct user` (`sys/user.h`), and how single steps are made.

use crate::task::Machine;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EIO, EPERM, ESRCH};
use bevor_platform::{Context, FpState, UserRegs};

/// `AUDIT_ARCH_X86_64`, of `PTRACE_GET_SYSCALL_INFO`.
pub const AUDIT_ARCH: u32 = 0xc000_003e;
/// Number of words of `struct user_regs_struct`.
pub const NR_REGS: usize = 27;
/// Size of `struct user`, bytes.
pub const USER_BYTES: u64 = 912;
/// Offset in it of the eight debug registers.
pub const DEBUG_REGISTERS: u64 = 848;
/// Bits of `dr7` that enable breakpoints.
pub const ENABLE_BITS: u64 = 0xff;

/// Length of the legacy part of an XSAVE image.
pub const FXSAVE_BYTES: usize = 512;
/// How much of that are registers.
const FXSAVE_USED: usize = 416;

/// The trap flag.
const TF: u64 = 1 << 8;
/// Flags a tracer may change (`FLAG_MASK` of the kernel's `arch/x86/kernel/ptrace.c`).
const FLAGS: u64 = 0x0005_4dd5;
/// `TASK_SIZE_MAX`.
const TASK_SIZE: u64 = 0x7fff_ffff_f000;

/// The registers in the order of `struct user_regs_struct`.
#[must_use]
pub const fn words(r: &UserRegs) -> [u64; NR_REGS] {
    [
        r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx,
        r.rsi, r.rdi, r.orig_rax, r.rip, r.cs, r.eflags, r.rsp, r.ss, r.fs_base, r.gs_base, r.ds,
        r.es, r.fs, r.gs,
    ]
}

/// Sets the register at word `index` of `struct user_regs_struct`.
///
/// # Errors
/// `EIO`: no such register, or it cannot hold that.
pub fn set_word(regs: &mut UserRegs, index: usize, value: u64) -> Result<(), Errno> {
    let place = match index {
        0 => &mut regs.r15,
        1 => &mut regs.r14,
        2 => &mut regs.r13,
        3 => &mut regs.r12,
        4 => &mut regs.rbp,
        5 => &mut regs.rbx,
        6 => &mut regs.r11,
        7 => &mut regs.r10,
        8 => &mut regs.r9,
        9 => &mut regs.r8,
        10 => &mut regs.rax,
        11 => &mut regs.rcx,
        12 => &mut regs.rdx,
        13 => &mut regs.rsi,
        14 => &mut regs.rdi,
        15 => &mut regs.orig_rax,
        16 => &mut regs.rip,
        17 | 20 => {
            let selector = check_selector(value)?;
            if selector == 0 {
                return Err(EIO.into());
            }
            if index == 17 { &mut regs.cs } else { &mut regs.ss }
        }
        18 => {
            regs.eflags = (regs.eflags & !FLAGS) | (value & FLAGS);
            return Ok(());
        }
        19 => &mut regs.rsp,
        21 | 22 => {
            if value >= TASK_SIZE {
                return Err(EIO.because("not a user address"));
            }
            if index == 21 { &mut regs.fs_base } else { &mut regs.gs_base }
        }
        23..=26 => {
            check_selector(value)?;
            match index {
                23 => &mut regs.ds,
                24 => &mut regs.es,
                25 => &mut regs.fs,
                _ => &mut regs.gs,
            }
        }
        _ => return Err(EIO.into()),
    };
    *place = value;
    Ok(())
}

/// A selector of user mode, or none.
fn check_selector(value: u64) -> Result<u64, Errno> {
    let selector = value & 0xffff;
    if selector != 0 && selector & 3 != 3 { Err(EIO.into()) } else { Ok(selector) }
}

/// Index of the register at this offset in `struct user`.
#[must_use]
pub fn register_at(offset: u64) -> Option<usize> {
    usize::try_from(offset / 8).ok().filter(|&index| index < NR_REGS)
}

/// The number of the call in the registers, as the kernel looks at it; negative for none.
#[must_use]
pub const fn call_number(regs: &UserRegs) -> i32 {
    let [a, b, c, d, ..] = regs.orig_rax.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// A successful `execve` (`call`) in the registers it starts the program with.
pub const fn show_call(machine: &mut Machine, call: u64) {
    machine.context.regs.orig_rax = call;
}

/// Sets number and arguments of the call that is about to be made.
pub const fn set_call_and_args(machine: &mut Machine, nr: i32, args: [u64; 6]) {
    let regs = &mut machine.context.regs;
    [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
    regs.orig_rax = (nr as i64).cast_unsigned();
    if nr == -1 {
        regs.rax = 0;
    }
    machine.context.full = true;
}

/// The base of segment fs or gs.
#[must_use]
pub const fn base(machine: &Machine, fs: bool) -> u64 {
    if fs { machine.context.regs.fs_base } else { machine.context.regs.gs_base }
}

/// Sets the base of segment fs or gs.
///
/// # Errors
/// `EPERM`: not a user address.
pub fn set_base(machine: &mut Machine, fs: bool, base: u64) -> Result<(), Errno> {
    if base >= TASK_SIZE {
        return Err(EPERM.because("not a user address"));
    }
    machine.context.full = true;
    if fs {
        machine.context.regs.fs_base = base;
    } else {
        machine.context.regs.gs_base = base;
    }
    Ok(())
}

/// The whole extended state, an XSAVE image with its features named where tracers look for them.
///
/// # Errors
/// `ESRCH`: the tracee is gone.
pub fn extended(machine: &mut Machine) -> Result<Vec<u8>, Errno> {
    let thread = machine.thread.as_deref_mut().ok_or(ESRCH)?;
    Ok(thread.fp_state().map_err(|_| ESRCH)?.named())
}

/// Sets the whole extended state.
///
/// # Errors
/// `EINVAL`: the image's header is wrong; `ESRCH`: the tracee is gone.
pub fn set_extended(machine: &mut Machine, xsave: Vec<u8>) -> Result<(), Errno> {
    let state = FpState { xsave };
    if !state.is_valid() {
        return Err(EINVAL.because("the header of the XSAVE image"));
    }
    let thread = machine.thread.as_deref_mut().ok_or(ESRCH)?;
    thread.set_fp_state(&state).map_err(|_| ESRCH.into())
}

/// Sets the x87 and SSE registers.
///
/// # Errors
/// As [`set_extended`].
pub fn set_legacy(machine: &mut Machine, fxsave: &[u8]) -> Result<(), Errno> {
    let mut xsave = extended(machine)?;
    if let (Some(to), Some(from)) = (xsave.get_mut(..FXSAVE_USED), fxsave.get(..FXSAVE_USED)) {
        to.copy_from_slice(from);
    }
    if let Some(present) = xsave.get_mut(FXSAVE_BYTES) {
        // x87 and SSE are in their initial states no more.
        *present |= 3;
    }
    set_extended(machine, xsave)
}

/// Sets the number of the call that is about to be made.
pub const fn set_call(machine: &mut Machine, call: u64) {
    machine.context.regs.orig_rax = call;
}

/// The result register.
#[must_use]
pub const fn result(regs: &UserRegs) -> u64 {
    regs.rax
}

/// Makes the guest trap after one instruction.
pub const fn begin_step(machine: &mut Machine) {
    if machine.context.regs.eflags & TF == 0 {
        machine.context.regs.eflags |= TF;
        machine.stepping = true;
    }
    machine.context.full = true;
}

/// Takes that back.
pub const fn end_step(context: &mut Context) {
    context.regs.eflags &= !TF;
    context.full = true;
}
