//! Tracing: `ptrace(2)`.

mod info;
mod regs;

use crate::target;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::errno::{EINVAL, EIO, EPERM, ESRCH};
use bevor_abi::ptrace::{
    PTRACE_ARCH_PRCTL, PTRACE_ATTACH, PTRACE_CONT, PTRACE_DETACH, PTRACE_EVENT_STOP,
    PTRACE_GET_RSEQ_CONFIGURATION, PTRACE_GET_SYSCALL_INFO,
    PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, PTRACE_GETEVENTMSG, PTRACE_GETFPREGS, PTRACE_GETREGS,
    PTRACE_GETREGSET, PTRACE_GETSIGINFO, PTRACE_GETSIGMASK, PTRACE_INTERRUPT, PTRACE_KILL,
    PTRACE_LISTEN, PTRACE_O_SUSPEND_SECCOMP, PTRACE_OLDSETOPTIONS, PTRACE_PEEKDATA,
    PTRACE_PEEKSIGINFO, PTRACE_PEEKTEXT, PTRACE_PEEKUSER, PTRACE_POKEDATA, PTRACE_POKETEXT,
    PTRACE_POKEUSER, PTRACE_SECCOMP_GET_FILTER, PTRACE_SECCOMP_GET_METADATA, PTRACE_SEIZE,
    PTRACE_SET_SYSCALL_INFO, PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, PTRACE_SETFPREGS,
    PTRACE_SETOPTIONS, PTRACE_SETREGS, PTRACE_SETREGSET, PTRACE_SETSIGINFO, PTRACE_SETSIGMASK,
    PTRACE_SINGLESTEP, PTRACE_SYSCALL, PTRACE_SYSEMU, PTRACE_SYSEMU_SINGLESTEP, PTRACE_TRACEME,
};
use bevor_kernel::ptrace::{self as tracing, flag};
use bevor_kernel::signal::{Info, NSIG, SIGKILL, UNBLOCKABLE, send};
use bevor_kernel::{Ctx, SysResult, Task};
use bevor_memory::UserAddr;
use std::sync::Arc;

/// Every `PTRACE_O_*`.
const OPTIONS: u32 = 0x0030_00ff;
/// Bytes of a signal set.
const SIGSET_BYTES: u64 = 8;

/// `ptrace(2)`.
///
/// # Errors
/// `ESRCH`: no such tracee, or it is not stopped; `EPERM`, `EIO`, `EINVAL`, `EFAULT`, `EACCES`, `ENOSPC`.
pub fn ptrace(ctx: &mut Ctx<'_>, request: u32, pid: i32, addr: u64, data: u64) -> SysResult {
    if request == PTRACE_TRACEME {
        tracing::trace_me(ctx.task())?;
        return Ok(0);
    }
    let task = if pid > 0 { target::thread(ctx, pid) } else { None };
    let task = task.ok_or(ESRCH)?;
    match request {
        PTRACE_ATTACH => {
            tracing::attach(ctx.task(), &task, false, 0)?;
            return Ok(0);
        }
        PTRACE_SEIZE => {
            let options =
                if addr == 0 { check_options(ctx, data, EIO)? } else { return Err(EIO.into()) };
            tracing::attach(ctx.task(), &task, true, options)?;
            return Ok(0);
        }
        _ => {}
    }
    let mine = task.tracer().is_some_and(|tracer| Arc::ptr_eq(&tracer, ctx.task()));
    if !mine {
        return Err(ESRCH.because("not traced by the caller").into());
    }
    match request {
        PTRACE_KILL => {
            send::to_task(&task, Info::kernel(SIGKILL));
            return Ok(0);
        }
        PTRACE_INTERRUPT => {
            if !task.ptrace.has(flag::SEIZED) {
                return Err(EIO.into());
            }
            task.ptrace.set(flag::TRAP);
            task.notify();
            return Ok(0);
        }
        _ => {}
    }
    if !task.ptrace.is_stopped() {
        return Err(ESRCH.because("not stopped").into());
    }
    let at = UserAddr(data);
    match request {
        PTRACE_CONT => resume(&task, 0, data),
        PTRACE_SYSCALL => resume(&task, flag::SYSCALL, data),
        PTRACE_SINGLESTEP => resume(&task, flag::STEP, data),
        PTRACE_SYSEMU => resume(&task, flag::EMULATE, data),
        PTRACE_SYSEMU_SINGLESTEP => resume(&task, flag::EMULATE | flag::STEP, data),
        PTRACE_DETACH => {
            let signo = signal_of(data)?;
            let id = task.pid().id;
            tracing::detach(&mut ctx.kernel().tree.lock(), id, signo);
            Ok(0)
        }
        PTRACE_LISTEN => listen(&task),
        PTRACE_SETOPTIONS | PTRACE_OLDSETOPTIONS => {
            task.ptrace.set_options(check_options(ctx, data, EINVAL)?);
            Ok(0)
        }
        PTRACE_PEEKTEXT | PTRACE_PEEKDATA => {
            let word = peek(&task, addr)?;
            ctx.mm().write(at, &word)?;
            Ok(0)
        }
        PTRACE_POKETEXT | PTRACE_POKEDATA => poke(&task, addr, data),
        PTRACE_PEEKUSER => {
            let word = regs::peek_user(&task, addr)?;
            ctx.mm().write(at, &word)?;
            Ok(0)
        }
        PTRACE_POKEUSER => regs::poke_user(&task, addr, data),
        PTRACE_GETREGS => regs::get(ctx, &task, at),
        PTRACE_SETREGS => regs::set(ctx, &task, at),
        PTRACE_GETFPREGS => regs::get_fp(ctx, &task, at),
        PTRACE_SETFPREGS => regs::set_fp(ctx, &task, at),
        PTRACE_GETREGSET => regs::get_set(ctx, &task, addr, at),
        PTRACE_SETREGSET => regs::set_set(ctx, &task, addr, at),
        PTRACE_ARCH_PRCTL => regs::arch_prctl(ctx, &task, data, addr),
        PTRACE_GETEVENTMSG => {
            ctx.mm().write(at, &task.ptrace.message())?;
            Ok(0)
        }
        PTRACE_GETSIGINFO => info::get(ctx, &task, at),
        PTRACE_SETSIGINFO => info::set(ctx, &task, at),
        PTRACE_PEEKSIGINFO => info::peek(ctx, &task, UserAddr(addr), at),
        PTRACE_GETSIGMASK => {
            check_set_size(addr)?;
            let signals = task.signals.lock();
            let mask = signals.saved.unwrap_or(signals.blocked);
            drop(signals);
            ctx.mm().write(at, &mask)?;
            Ok(0)
        }
        PTRACE_SETSIGMASK => {
            check_set_size(addr)?;
            let mask: u64 = ctx.mm().read(at)?;
            let mut signals = task.signals.lock();
            signals.blocked = mask & !UNBLOCKABLE;
            signals.saved = None;
            drop(signals);
            task.sched.set_attention();
            Ok(0)
        }
        PTRACE_GET_SYSCALL_INFO => info::syscall(ctx, &task, addr, at),
        PTRACE_SET_SYSCALL_INFO => info::set_syscall(ctx, &task, addr, at),
        PTRACE_SECCOMP_GET_FILTER | PTRACE_SECCOMP_GET_METADATA => info::seccomp(ctx, &task),
        PTRACE_GET_RSEQ_CONFIGURATION => info::rseq(ctx, addr, at),
        PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG => info::dispatch(ctx, addr, at),
        PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG => info::set_dispatch(ctx, addr, at),
        _ => Err(EIO.because("request not known").into()),
    }
}

/// The options of `PTRACE_SETOPTIONS` and `PTRACE_SEIZE`; `unknown` for others.
fn check_options(ctx: &Ctx<'_>, data: u64, unknown: bevor_abi::Code) -> Result<u32, Errno> {
    let options = u32::try_from(data).ok().filter(|options| options & !OPTIONS == 0);
    let options = options.ok_or_else(|| Errno::from(unknown))?;
    let filtered = ctx.task().seccomp.is_on();
    if options & PTRACE_O_SUSPEND_SECCOMP != 0
        && (filtered || !ctx.task().cred().has_cap(CAP_SYS_ADMIN))
    {
        return Err(EPERM.into());
    }
    Ok(options)
}

fn check_set_size(size: u64) -> Result<(), Errno> {
    if size == SIGSET_BYTES { Ok(()) } else { Err(EINVAL.because("size of sigset_t")) }
}

/// The signal a tracee goes on with.
fn signal_of(data: u64) -> Result<i32, Errno> {
    i32::try_from(data).ok().filter(|signo| (0..=NSIG).contains(signo)).ok_or_else(|| EIO.into())
}

fn resume(task: &Task, mode: u32, data: u64) -> SysResult {
    task.resume_traced(mode, signal_of(data)?);
    Ok(0)
}

/// `PTRACE_LISTEN`: only in the stop that `PTRACE_EVENT_STOP` tells of.
fn listen(task: &Arc<Task>) -> SysResult {
    if !task.ptrace.has(flag::SEIZED) {
        return Err(EIO.into());
    }
    let stop = task.ptrace.stop().and_then(|stop| stop.info);
    let listens = stop.is_some_and(|info| info.code >> 8 == PTRACE_EVENT_STOP.cast_signed());
    if !listens {
        return Err(EIO.into());
    }
    task.ptrace.set(flag::LISTENING);
    task.schedule();
    Ok(0)
}

/// Reads a word of a tracee's memory; whether the guest may does not matter.
fn peek(task: &Task, addr: u64) -> Result<u64, Errno> {
    let mut word = [0; 8];
    let mm = task.mm().ok_or(ESRCH)?;
    let read = mm.read_force(UserAddr(addr), &mut word).map_err(|_| EIO)?;
    if read == word.len() { Ok(u64::from_ne_bytes(word)) } else { Err(EIO.into()) }
}

fn poke(task: &Task, addr: u64, data: u64) -> SysResult {
    let word = data.to_ne_bytes();
    let mm = task.mm().ok_or(ESRCH)?;
    let written = mm.write_force(UserAddr(addr), &word).map_err(|_| EIO)?;
    if written == word.len() { Ok(0) } else { Err(EIO.into()) }
}
