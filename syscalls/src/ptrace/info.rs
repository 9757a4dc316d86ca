//! What a stopped tracee tells besides its registers: signals, the system call, filters.

use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::errno::{EACCES, EINVAL, EMEDIUMTYPE};
use bevor_abi::ptrace::{
    PTRACE_EVENT_SECCOMP, PTRACE_PEEKSIGINFO_SHARED, PTRACE_SYSCALL_INFO_ENTRY,
    PTRACE_SYSCALL_INFO_EXIT, PTRACE_SYSCALL_INFO_NONE, PTRACE_SYSCALL_INFO_SECCOMP,
    PtracePeeksiginfoArgs, PtraceSyscallInfo,
};
use bevor_abi::seccomp::SECCOMP_MODE_FILTER;
use bevor_kernel::ptrace::{Kind, MESSAGE_ENTRY, MESSAGE_EXIT, arch};
use bevor_kernel::signal::{Detail, Info, SIGTRAP};
use bevor_kernel::{Ctx, SysResult, Task};
use bevor_memory::UserAddr;
use zerocopy::IntoBytes;

/// Bytes of `siginfo_t`.
const INFO_BYTES: usize = 128;
/// What marks a system call's stop with `PTRACE_O_TRACESYSGOOD`.
const GOOD_STOP: i32 = SIGTRAP | 0x80;

/// `PTRACE_GETSIGINFO`.
pub fn get(ctx: &Ctx<'_>, task: &Task, at: UserAddr) -> SysResult {
    let info = task.ptrace.stop().and_then(|stop| stop.info).ok_or(EINVAL)?;
    ctx.mm().write_bytes(at, &info.to_bytes())?;
    Ok(0)
}

/// `PTRACE_SETSIGINFO`.
pub fn set(ctx: &Ctx<'_>, task: &Task, at: UserAddr) -> SysResult {
    let mut bytes = [0; INFO_BYTES];
    ctx.mm().read_bytes(at, &mut bytes)?;
    let new = parse(&bytes);
    let done = task.ptrace.change_stop(|stop| stop.info.as_mut().map(|info| *info = new));
    if done.flatten().is_some() { Ok(0) } else { Err(EINVAL.into()) }
}

fn parse(bytes: &[u8; INFO_BYTES]) -> Info {
    let int = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
        word.map_or(0, i32::from_ne_bytes)
    };
    let words = std::array::from_fn(|index| {
        let word = bytes.get(16 + 8 * index..24 + 8 * index);
        word.and_then(|word| word.try_into().ok()).map_or(0, u64::from_ne_bytes)
    });
    Info { signo: int(0), errno: int(4), code: int(8), detail: Detail::Raw(words) }
}

/// `PTRACE_PEEKSIGINFO`.
pub fn peek(ctx: &Ctx<'_>, task: &Task, args: UserAddr, at: UserAddr) -> SysResult {
    let args: PtracePeeksiginfoArgs = ctx.mm().read(args)?;
    if args.flags & !PTRACE_PEEKSIGINFO_SHARED != 0 || args.nr < 0 {
        return Err(EINVAL.into());
    }
    let skipped = usize::try_from(args.off).unwrap_or(usize::MAX);
    let wanted = usize::try_from(args.nr).unwrap_or(0);
    let infos: Vec<Info> = if args.flags & PTRACE_PEEKSIGINFO_SHARED != 0 {
        let signals = task.group.signals.lock();
        signals.pending.iter().skip(skipped).take(wanted).copied().collect()
    } else {
        let signals = task.signals.lock();
        signals.pending.iter().skip(skipped).take(wanted).copied().collect()
    };
    let mut at = at;
    for (done, info) in infos.iter().enumerate() {
        if let Err(errno) = ctx.mm().write_bytes(at, &info.to_bytes()) {
            return if done == 0 { Err(errno.into()) } else { Ok(done as u64) };
        }
        at = at.add(INFO_BYTES as u64)?;
    }
    Ok(infos.len() as u64)
}

/// Which stop at a system call a tracee is in, if its tracer can know (`PTRACE_O_TRACESYSGOOD`).
fn call_stop(task: &Task) -> u8 {
    let good = task.ptrace.stop().is_some_and(|stop| {
        stop.kind == Kind::Syscall && stop.info.is_some_and(|info| info.code == GOOD_STOP)
    });
    let code = task.ptrace.stop().map_or(0, |stop| stop.code);
    if code == SIGTRAP | (PTRACE_EVENT_SECCOMP << 8).cast_signed() {
        return PTRACE_SYSCALL_INFO_SECCOMP;
    }
    match task.ptrace.message() {
        MESSAGE_ENTRY if good => PTRACE_SYSCALL_INFO_ENTRY,
        MESSAGE_EXIT if good => PTRACE_SYSCALL_INFO_EXIT,
        _ => PTRACE_SYSCALL_INFO_NONE,
    }
}

/// `PTRACE_GET_SYSCALL_INFO`.
pub fn syscall(ctx: &Ctx<'_>, task: &Task, size: u64, at: UserAddr) -> SysResult {
    /// Bytes of the result before what depends on `op`, and with that.
    const HEAD: usize = 24;
    const ENTRY: usize = HEAD + 56;
    const EXIT: usize = HEAD + 9;
    const SECCOMP: usize = HEAD + 60;
    let op = call_stop(task);
    let regs = task.with_stopped(|machine| Ok(machine.context.regs))?;
    let mut words = [0; 8];
    let actual = match op {
        PTRACE_SYSCALL_INFO_ENTRY | PTRACE_SYSCALL_INFO_SECCOMP => {
            let nr = i64::from(arch::call_number(&regs)).cast_unsigned();
            for (word, value) in words.iter_mut().zip([nr].into_iter().chain(regs.syscall_args())) {
                *word = value;
            }
            if op == PTRACE_SYSCALL_INFO_SECCOMP {
                words[7] = task.ptrace.message();
                SECCOMP
            } else {
                ENTRY
            }
        }
        PTRACE_SYSCALL_INFO_EXIT => {
            let result = regs.result().cast_signed();
            words[0] = regs.result();
            words[1] = u64::from((-4095..0).contains(&result));
            EXIT
        }
        _ => HEAD,
    };
    let info = PtraceSyscallInfo {
        op,
        reserved: 0,
        flags: 0,
        arch: arch::AUDIT_ARCH,
        instruction_pointer: regs.instruction_pointer(),
        stack_pointer: regs.stack_pointer(),
        words,
    };
    let len = usize::try_from(size).unwrap_or(usize::MAX).min(actual);
    ctx.mm().write_bytes(at, info.as_bytes().get(..len).unwrap_or_default())?;
    Ok(actual as u64)
}

/// `PTRACE_SET_SYSCALL_INFO`.
pub fn set_syscall(ctx: &Ctx<'_>, task: &Task, size: u64, at: UserAddr) -> SysResult {
    if size < size_of::<PtraceSyscallInfo>() as u64 {
        return Err(EINVAL.into());
    }
    let info: PtraceSyscallInfo = ctx.mm().read(at)?;
    let op = call_stop(task);
    if info.flags != 0 || info.reserved != 0 || info.op != op {
        return Err(EINVAL.into());
    }
    match op {
        PTRACE_SYSCALL_INFO_ENTRY | PTRACE_SYSCALL_INFO_SECCOMP => {
            let [nr, args @ .., _] = info.words;
            let nr = i32::try_from(nr.cast_signed()).map_err(|_| bevor_abi::errno::ERANGE)?;
            task.with_stopped(|machine| {
                arch::set_call_and_args(machine, nr, args);
                Ok(())
            })?;
        }
        PTRACE_SYSCALL_INFO_EXIT => {
            let value = info.words[0];
            task.with_stopped(|machine| {
                machine.context.full = true;
                machine.set_return(value);
                Ok(())
            })?;
        }
        _ => return Err(EINVAL.into()),
    }
    Ok(0)
}

/// `PTRACE_SECCOMP_GET_FILTER` and `PTRACE_SECCOMP_GET_METADATA`: programs of filters are not shown.
pub fn seccomp(ctx: &Ctx<'_>, task: &Task) -> SysResult {
    if !ctx.task().cred().has_cap(CAP_SYS_ADMIN) || ctx.task().seccomp.is_on() {
        return Err(EACCES.into());
    }
    if task.seccomp.mode() == SECCOMP_MODE_FILTER {
        return Err(EMEDIUMTYPE.because("filters are kept in another form").into());
    }
    Err(EINVAL.because("the tracee has no filter").into())
}

/// `PTRACE_GET_RSEQ_CONFIGURATION`: nobody has registered a restartable sequence.
pub fn rseq(ctx: &Ctx<'_>, size: u64, at: UserAddr) -> SysResult {
    const BYTES: usize = 24;
    let len = usize::try_from(size).unwrap_or(usize::MAX).min(BYTES);
    ctx.mm().write_bytes(at, &[0; BYTES][..len])?;
    Ok(BYTES as u64)
}

/// Mode, selector, offset, length: off.
const DISPATCH_BYTES: usize = 32;

fn check_dispatch_size(size: u64) -> Result<(), Errno> {
    if size == DISPATCH_BYTES as u64 { Ok(()) } else { Err(EINVAL.into()) }
}

/// `PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG`.
pub fn dispatch(ctx: &Ctx<'_>, size: u64, at: UserAddr) -> SysResult {
    check_dispatch_size(size)?;
    ctx.mm().write_bytes(at, &[0; DISPATCH_BYTES])?;
    Ok(0)
}

/// `PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG`: it can be switched off only.
pub fn set_dispatch(ctx: &Ctx<'_>, size: u64, at: UserAddr) -> SysResult {
    check_dispatch_size(size)?;
    let config: [u64; 4] = ctx.mm().read(at)?;
    if config == [0; 4] { Ok(0) } else { Err(EINVAL.into()) }
}
