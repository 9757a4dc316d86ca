//! Registers of a stopped tracee.

use bevor_abi::Errno;
use bevor_abi::errno::{EFAULT, EINVAL, EIO, ENOSPC};
use bevor_abi::prctl::{ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS};
use bevor_abi::ptrace::{NT_PRFPREG, NT_PRSTATUS, NT_X86_XSTATE};
use bevor_kernel::ptrace::arch::{
    self, DEBUG_REGISTERS, ENABLE_BITS, FXSAVE_BYTES, NR_REGS, USER_BYTES, register_at,
};
use bevor_kernel::{Ctx, SysResult, Task};
use bevor_memory::UserAddr;

/// Index of the debug register that enables the others.
const CONTROL: u64 = 7;

/// A place in `struct user`.
enum Place {
    Register(usize),
    Debug(u64),
    Other,
}

fn place(addr: u64) -> Result<Place, Errno> {
    if !addr.is_multiple_of(8) || addr >= USER_BYTES {
        return Err(EIO.into());
    }
    Ok(match register_at(addr) {
        Some(index) => Place::Register(index),
        None if addr >= DEBUG_REGISTERS => Place::Debug((addr - DEBUG_REGISTERS) / 8),
        None => Place::Other,
    })
}

/// `PTRACE_PEEKUSER`.
pub fn peek_user(task: &Task, addr: u64) -> Result<u64, Errno> {
    match place(addr)? {
        Place::Register(index) => task.with_stopped(|machine| {
            arch::words(&machine.context.regs).get(index).copied().ok_or_else(|| EIO.into())
        }),
        Place::Debug(index) => {
            Ok(task.ptrace.debug_register(usize::try_from(index).unwrap_or(usize::MAX)))
        }
        Place::Other => Ok(0),
    }
}

/// `PTRACE_POKEUSER`.
pub fn poke_user(task: &Task, addr: u64, data: u64) -> SysResult {
    match place(addr)? {
        Place::Register(index) => task.with_stopped(|machine| {
            machine.context.full = true;
            arch::set_word(&mut machine.context.regs, index, data)
        })?,
        Place::Debug(4 | 5) | Place::Other => return Err(EIO.into()),
        Place::Debug(CONTROL) if data & ENABLE_BITS != 0 => {
            return Err(ENOSPC.because("no hardware breakpoint is free").into());
        }
        Place::Debug(index) => {
            task.ptrace.set_debug_register(usize::try_from(index).unwrap_or(usize::MAX), data);
        }
    }
    Ok(0)
}

fn general(task: &Task) -> Result<Vec<u8>, Errno> {
    task.with_stopped(|machine| {
        let words = arch::words(&machine.context.regs);
        Ok(words.iter().flat_map(|word| word.to_ne_bytes()).collect())
    })
}

/// Sets the first registers, as many as `bytes` hold.
fn set_general(task: &Task, bytes: &[u8]) -> Result<(), Errno> {
    task.with_stopped(|machine| {
        machine.context.full = true;
        for (index, word) in bytes.chunks_exact(8).enumerate() {
            let word = word.try_into().map_or(0, u64::from_ne_bytes);
            arch::set_word(&mut machine.context.regs, index, word)?;
        }
        Ok(())
    })
}

/// `PTRACE_GETREGS`.
pub fn get(ctx: &Ctx<'_>, task: &Task, at: UserAddr) -> SysResult {
    ctx.mm().write_bytes(at, &general(task)?)?;
    Ok(0)
}

/// `PTRACE_SETREGS`.
pub fn set(ctx: &Ctx<'_>, task: &Task, at: UserAddr) -> SysResult {
    let mut bytes = [0; 8 * NR_REGS];
    ctx.mm().read_bytes(at, &mut bytes)?;
    set_general(task, &bytes)?;
    Ok(0)
}

fn legacy(task: &Task) -> Result<Vec<u8>, Errno> {
    let mut state = task.with_stopped(arch::extended)?;
    state.resize(FXSAVE_BYTES, 0);
    Ok(state)
}

fn set_legacy(task: &Task, bytes: &[u8]) -> Result<(), Errno> {
    task.with_stopped(|machine| arch::set_legacy(machine, bytes))
}

/// `PTRACE_GETFPREGS`.
pub fn get_fp(ctx: &Ctx<'_>, task: &Task, at: UserAddr) -> SysResult {
    ctx.mm().write_bytes(at, &legacy(task)?)?;
    Ok(0)
}

/// `PTRACE_SETFPREGS`.
pub fn set_fp(ctx: &Ctx<'_>, task: &Task, at: UserAddr) -> SysResult {
    let mut bytes = [0; FXSAVE_BYTES];
    ctx.mm().read_bytes(at, &mut bytes)?;
    set_legacy(task, &bytes)?;
    Ok(0)
}

/// Reads the `struct iovec` of a register set.
fn read_iovec(ctx: &Ctx<'_>, at: UserAddr) -> Result<(UserAddr, u64), Errno> {
    let [base, len]: [u64; 2] = ctx.mm().read(at)?;
    Ok((UserAddr(base), len))
}

fn write_len(ctx: &Ctx<'_>, at: UserAddr, len: usize) -> SysResult {
    ctx.mm().write(at.add(8)?, &(len as u64))?;
    Ok(0)
}

/// A register set by its note's type.
fn read_set(task: &Task, kind: u64) -> Result<Vec<u8>, Errno> {
    match u32::try_from(kind) {
        Ok(NT_PRSTATUS) => general(task),
        Ok(NT_PRFPREG) => legacy(task),
        Ok(NT_X86_XSTATE) => task.with_stopped(arch::extended),
        _ => Err(EINVAL.because("no such register set")),
    }
}

/// `PTRACE_GETREGSET`.
pub fn get_set(ctx: &Ctx<'_>, task: &Task, kind: u64, at: UserAddr) -> SysResult {
    let (base, len) = read_iovec(ctx, at)?;
    let bytes = read_set(task, kind)?;
    if !len.is_multiple_of(8) {
        return Err(EINVAL.into());
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
    ctx.mm().write_bytes(base, bytes.get(..len).unwrap_or_default())?;
    write_len(ctx, at, len)
}

/// `PTRACE_SETREGSET`.
pub fn set_set(ctx: &Ctx<'_>, task: &Task, kind: u64, at: UserAddr) -> SysResult {
    let (base, len) = read_iovec(ctx, at)?;
    let whole = read_set(task, kind)?.len();
    if !len.is_multiple_of(8) {
        return Err(EINVAL.into());
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(whole);
    let mut bytes = vec![0; len];
    match u32::try_from(kind) {
        Ok(NT_PRSTATUS) => {
            ctx.mm().read_bytes(base, &mut bytes)?;
            set_general(task, &bytes)?;
        }
        Ok(NT_PRFPREG) if len == whole => {
            ctx.mm().read_bytes(base, &mut bytes)?;
            set_legacy(task, &bytes)?;
        }
        Ok(NT_PRFPREG) => return Err(EINVAL.into()),
        _ if len != whole => {
            return Err(EFAULT.because("an image of the whole state is wanted").into());
        }
        _ => {
            ctx.mm().read_bytes(base, &mut bytes)?;
            task.with_stopped(|machine| arch::set_extended(machine, bytes))?;
        }
    }
    write_len(ctx, at, len)
}

/// `PTRACE_ARCH_PRCTL`.
pub fn arch_prctl(ctx: &Ctx<'_>, task: &Task, option: u64, arg: u64) -> SysResult {
    let (get, set) = (arch::base, arch::set_base);
    let option = u32::try_from(option).map_err(|_| EINVAL)?;
    match option {
        ARCH_GET_FS | ARCH_GET_GS => {
            let base = task.with_stopped(|machine| Ok(get(machine, option == ARCH_GET_FS)))?;
            ctx.mm().write(UserAddr(arg), &base)?;
            Ok(0)
        }
        ARCH_SET_FS | ARCH_SET_GS => {
            task.with_stopped(|machine| set(machine, option == ARCH_SET_FS, arg))?;
            Ok(0)
        }
        _ => Err(EINVAL.into()),
    }
}
