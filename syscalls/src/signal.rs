//! Signals: `kill(2)`, `sigaction(2)`, `sigprocmask(2)`, `sigaltstack(2)`, `sigsuspend(2)`,
//! `sigtimedwait(2)`, `sigqueue(3)`.

use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINTR, EINVAL, ENOMEM, EPERM, ESRCH};
use bevor_abi::signal::{Sigaction, StackT};
use bevor_abi::time::Timespec;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::group::ThreadGroup;
use bevor_kernel::pid::Pid;
use bevor_kernel::ptrace;
use bevor_kernel::signal::{
    self, Action, AltStack, Detail, Info, NSIG, SIG_IGN, SIGCONT, SIGKILL, SIGSEGV, UNBLOCKABLE,
    bit, deliver, send,
};
use bevor_kernel::{Block, Ctx, Restart, Stop, SysResult, Task};
use bevor_memory::UserAddr;
use std::sync::Arc;

/// Bytes of a signal set.
const SIGSET_BYTES: usize = 8;
/// Smallest alternate stack (`MINSIGSTKSZ`).
const MINSIGSTKSZ: u64 = 2048;
/// `SIG_BLOCK`, `SIG_UNBLOCK`, `SIG_SETMASK`.
const SIG_BLOCK: i32 = 0;
const SIG_UNBLOCK: i32 = 1;
const SIG_SETMASK: i32 = 2;

fn check_set_size(size: usize) -> Result<(), Errno> {
    if size == SIGSET_BYTES { Ok(()) } else { Err(EINVAL.because("size of sigset_t")) }
}

fn check_signal(signo: i32) -> Result<(), Errno> {
    if (0..=NSIG).contains(&signo) { Ok(()) } else { Err(EINVAL.into()) }
}

/// `rt_sigaction(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn rt_sigaction(
    ctx: &mut Ctx<'_>,
    signo: i32,
    new: UserAddr,
    old: UserAddr,
    size: usize,
) -> SysResult {
    check_set_size(size)?;
    if !(1..=NSIG).contains(&signo) || (new.0 != 0 && bit(signo) & UNBLOCKABLE != 0) {
        return Err(EINVAL.into());
    }
    let new = match new.0 {
        0 => None,
        _ => Some(ctx.mm().read::<Sigaction>(new)?),
    };
    let group = &ctx.task().group;
    let handlers = group.handlers();
    let previous = match new {
        None => handlers.get(signo),
        Some(new) => {
            let action = Action {
                handler: new.sa_handler,
                // What the kernel does not know it clears, so that programs can probe.
                flags: new.sa_flags & KNOWN_FLAGS,
                restorer: new.sa_restorer,
                mask: new.sa_mask.0 & !UNBLOCKABLE,
            };
            let previous = handlers.set(signo, action);
            if action.handler == SIG_IGN || handlers.ignores(signo) {
                discard(group, signo);
            }
            previous
        }
    };
    if old.0 != 0 {
        let shown = Sigaction {
            sa_handler: previous.handler,
            sa_flags: previous.flags,
            sa_restorer: previous.restorer,
            sa_mask: bevor_abi::signal::SigSet(previous.mask),
        };
        ctx.mm().write(old, &shown)?;
    }
    Ok(0)
}

/// `SA_*` a program may set and read back.
const KNOWN_FLAGS: u64 = 0xdc00_0807;

/// Drops a signal that became ignored from every queue of the process.
fn discard(group: &Arc<ThreadGroup>, signo: i32) {
    let threads = group.threads.lock().clone();
    group.signals.lock().pending.discard(bit(signo));
    for task in threads {
        task.signals.lock().pending.discard(bit(signo));
    }
}

/// `rt_sigprocmask(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn rt_sigprocmask(
    ctx: &mut Ctx<'_>,
    how: i32,
    set: UserAddr,
    old: UserAddr,
    size: usize,
) -> SysResult {
    check_set_size(size)?;
    let wanted = match set.0 {
        0 => None,
        _ => Some(ctx.mm().read::<u64>(set)? & !UNBLOCKABLE),
    };
    let task = ctx.task();
    let previous = {
        let mut signals = task.signals.lock();
        let previous = signals.blocked;
        if let Some(wanted) = wanted {
            signals.blocked = match how {
                SIG_BLOCK => previous | wanted,
                SIG_UNBLOCK => previous & !wanted,
                SIG_SETMASK => wanted,
                _ => return Err(EINVAL.into()),
            };
        }
        previous
    };
    if wanted.is_some() {
        task.sched.set_attention();
    }
    if old.0 != 0 {
        ctx.mm().write(old, &previous)?;
    }
    Ok(0)
}

/// `rt_sigpending(2)`.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn rt_sigpending(ctx: &mut Ctx<'_>, set: UserAddr, size: usize) -> SysResult {
    if size > SIGSET_BYTES {
        return Err(EINVAL.into());
    }
    let task = ctx.task();
    let shared = task.group.signals.lock().pending.mask();
    let signals = task.signals.lock();
    let pending = (shared | signals.pending.mask()) & signals.blocked;
    drop(signals);
    ctx.mm().write_bytes(set, pending.to_ne_bytes().get(..size).unwrap_or_default())?;
    Ok(0)
}

/// Puts a mask in place for the length of a wait (`sigsuspend`, `ppoll`, `pselect`,
/// `epoll_pwait`); the old one returns when the call ends, after a handler's frame was made of it.
pub fn set_temporary_mask(task: &Task, mask: u64) {
    let mut signals = task.signals.lock();
    if signals.saved.is_none() {
        signals.saved = Some(signals.blocked);
    }
    signals.blocked = mask & !UNBLOCKABLE;
    drop(signals);
    task.sched.set_attention();
}

/// Reads the mask argument of a call that waits under one; `None` for a null pointer.
///
/// # Errors
/// `EINVAL`, `EFAULT`.
pub fn read_mask(ctx: &Ctx<'_>, mask: UserAddr, size: usize) -> Result<Option<u64>, Errno> {
    if mask.0 == 0 {
        return Ok(None);
    }
    check_set_size(size)?;
    Ok(Some(ctx.mm().read::<u64>(mask)?))
}

/// `rt_sigsuspend(2)`.
///
/// # Errors
/// `EINTR` always; `EINVAL`, `EFAULT`.
pub fn rt_sigsuspend(ctx: &mut Ctx<'_>, mask: UserAddr, size: usize) -> SysResult {
    if ctx.resumed().is_none() {
        check_set_size(size)?;
        let mask = ctx.mm().read::<u64>(mask)?;
        set_temporary_mask(ctx.task(), mask);
    }
    Err(Block::new(Restart::NoHand).into())
}

/// `pause(2)`.
///
/// # Errors
/// `EINTR` always.
pub fn pause(_ctx: &mut Ctx<'_>) -> SysResult {
    Err(Block::new(Restart::NoHand).into())
}

/// `rt_sigtimedwait(2)`.
///
/// # Errors
/// `EAGAIN` at the timeout; `EINTR`; `EINVAL`, `EFAULT`.
pub fn rt_sigtimedwait(
    ctx: &mut Ctx<'_>,
    set: UserAddr,
    info: UserAddr,
    timeout: UserAddr,
    size: usize,
) -> SysResult {
    check_set_size(size)?;
    let wanted = ctx.mm().read::<u64>(set)? & !UNBLOCKABLE;
    if let Some(taken) = deliver::take(ctx.task(), wanted) {
        if info.0 != 0 {
            ctx.mm().write_bytes(info, &taken.to_bytes())?;
        }
        return Ok(u64::from(taken.signo.cast_unsigned()));
    }
    let deadline = match (ctx.resumed(), timeout.0) {
        (Some(_), _) => ctx.deadline_ns(),
        (None, 0) => None,
        (None, _) => {
            let timeout = ctx.mm().read::<Timespec>(timeout)?;
            if !timeout.is_valid() {
                return Err(EINVAL.into());
            }
            if timeout.as_ns() == 0 {
                return Err(EAGAIN.into());
            }
            Some(monotonic_ns().saturating_add(timeout.as_ns().cast_unsigned()))
        }
    };
    if ctx.timed_out() {
        return Err(EAGAIN.into());
    }
    let mut block = Block::new(Restart::Never).until(deadline);
    block.wanted_signals = wanted;
    Err(block.into())
}

/// `restart_syscall(2)`: goes on with a wait that was interrupted while its task was traced. Other
/// calls go on without it.
///
/// # Errors
/// `EINTR`.
pub fn restart_syscall(ctx: &mut Ctx<'_>) -> SysResult {
    let (call, block) = *ctx.machine.restart.take().ok_or(EINTR)?;
    ptrace::arch::set_call(ctx.machine, call);
    Err(block.into())
}

/// `rt_sigreturn(2)`.
///
/// # Errors
/// None; a frame that cannot be read is a `SIGSEGV`.
pub fn rt_sigreturn(ctx: &mut Ctx<'_>) -> SysResult {
    let task = ctx.task().clone();
    if signal::restore_frame(&task, ctx.machine).is_err() {
        send::force(&task, Info::kernel(SIGSEGV));
    }
    Err(Stop::NoReturn)
}

/// `sigaltstack(2)`.
///
/// # Errors
/// `EINVAL`, `ENOMEM`, `EPERM` (while on it), `EFAULT`.
pub fn sigaltstack(ctx: &mut Ctx<'_>, new: UserAddr, old: UserAddr) -> SysResult {
    let sp = ctx.regs().rsp;
    let new = match new.0 {
        0 => None,
        _ => Some(ctx.mm().read::<StackT>(new)?),
    };
    let previous = ctx.task().signals.lock().alt_stack;
    let active = previous.contains(sp);
    if let Some(new) = new {
        if active {
            return Err(EPERM.into());
        }
        let mode = new.ss_flags & !AltStack::AUTODISARM;
        if mode > AltStack::DISABLE {
            return Err(EINVAL.into());
        }
        let stack = if mode == AltStack::DISABLE {
            AltStack { flags: new.ss_flags, ..AltStack::disabled() }
        } else {
            let least = bevor_kernel::host::auxv(bevor_kernel::host::AT_MINSIGSTKSZ);
            if new.ss_size < least.max(MINSIGSTKSZ) {
                return Err(ENOMEM.into());
            }
            let flags = new.ss_flags & AltStack::AUTODISARM;
            AltStack { base: new.ss_sp, flags, size: new.ss_size }
        };
        ctx.task().signals.lock().alt_stack = stack;
    }
    if old.0 != 0 {
        let flags = if active { 1 } else { previous.flags };
        let shown =
            StackT { ss_sp: previous.base, ss_flags: flags, pad0: 0, ss_size: previous.size };
        ctx.mm().write(old, &shown)?;
    }
    Ok(0)
}

/// `kill(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`, `ESRCH`.
pub fn kill(ctx: &mut Ctx<'_>, pid: i32, signo: i32) -> SysResult {
    check_signal(signo)?;
    let task = ctx.task();
    let ns = task.pid().namespace().clone();
    match pid {
        i32::MIN => Err(ESRCH.into()),
        1.. => {
            let target = ns.find(pid).ok_or(ESRCH)?;
            let group = group_of(task, &target).ok_or(ESRCH)?;
            signal_groups(task, vec![group], signo, |number, uid| Info::user(signo, number, uid))
        }
        -1 => {
            let tree = task.kernel.tree.lock();
            let others = tree.nodes.values().filter(|node| {
                !Arc::ptr_eq(&node.group, &task.group)
                    && node.group.pid.number_in(&ns).is_some_and(|number| number != 1)
            });
            let groups = others.map(|node| node.group.clone()).collect();
            drop(tree);
            signal_groups(task, groups, signo, |number, uid| Info::user(signo, number, uid))
        }
        _ => {
            let number = if pid == 0 { task.get_pgid(0)? } else { -pid };
            let pgrp = ns.find(number).ok_or(ESRCH)?;
            let tree = task.kernel.tree.lock();
            let groups = tree.members(&pgrp).map(|node| node.group.clone()).collect();
            drop(tree);
            signal_groups(task, groups, signo, |number, uid| Info::user(signo, number, uid))
        }
    }
}

/// The process an identity names: a leader's, or that of a thread.
fn group_of(task: &Task, target: &Pid) -> Option<Arc<ThreadGroup>> {
    let tree = task.kernel.tree.lock();
    let leader = tree.node(target).map(|node| node.group.clone());
    leader.or_else(|| tree.task(target).map(|task| task.group.clone()))
}

/// Sends a signal to several processes: succeeds if one could be sent to.
fn signal_groups(
    task: &Arc<Task>,
    groups: Vec<Arc<ThreadGroup>>,
    signo: i32,
    info: impl Fn(i32, u32) -> Info,
) -> SysResult {
    let cred = task.cred();
    let mut outcome: Option<Result<(), Errno>> = None;
    for group in groups {
        let allowed = {
            let tree = task.kernel.tree.lock();
            let session = tree.node(&task.group.pid).map(|node| node.session.id);
            match tree.nodes.get(&group.id()) {
                Some(node) => {
                    let same_session = session == Some(node.session.id);
                    send::check_permission(&cred, node, signo, same_session)
                        .and_then(|()| send::check_scope(task, &node.group))
                }
                None => continue,
            }
        };
        let result = allowed.and_then(|()| {
            if signo == 0 {
                return Ok(());
            }
            let from = task.group.pid.number_or_zero(group.pid.namespace());
            send::try_to_group(&group, info(from, cred.ruid))?;
            if signo == SIGCONT {
                task.kernel.report_continued(&group);
            }
            Ok(())
        });
        outcome = match (outcome, result) {
            (Some(Ok(())), _) | (_, Ok(())) => Some(Ok(())),
            (_, Err(errno)) => Some(Err(errno)),
        };
    }
    match outcome {
        Some(Ok(())) => Ok(0),
        Some(Err(errno)) => Err(errno.into()),
        None => Err(ESRCH.into()),
    }
}

/// `tgkill(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`, `ESRCH`, `EAGAIN`.
pub fn tgkill(ctx: &mut Ctx<'_>, tgid: i32, tid: i32, signo: i32) -> SysResult {
    if tgid <= 0 || tid <= 0 {
        return Err(EINVAL.into());
    }
    send_to_thread(ctx, Some(tgid), tid, signo, |from, uid| Info {
        signo,
        errno: 0,
        code: signal::info::SI_TKILL,
        detail: Detail::Kill { pid: from, uid },
    })
}

/// `tkill(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`, `ESRCH`, `EAGAIN`.
pub fn tkill(ctx: &mut Ctx<'_>, tid: i32, signo: i32) -> SysResult {
    if tid <= 0 {
        return Err(EINVAL.into());
    }
    send_to_thread(ctx, None, tid, signo, |from, uid| Info {
        signo,
        errno: 0,
        code: signal::info::SI_TKILL,
        detail: Detail::Kill { pid: from, uid },
    })
}

fn send_to_thread(
    ctx: &Ctx<'_>,
    tgid: Option<i32>,
    tid: i32,
    signo: i32,
    info: impl Fn(i32, u32) -> Info,
) -> SysResult {
    check_signal(signo)?;
    let task = ctx.task();
    let ns = task.pid().namespace().clone();
    let pid = ns.find(tid).ok_or(ESRCH)?;
    let cred = task.cred();
    let target = {
        let tree = task.kernel.tree.lock();
        let target = tree.task(&pid).cloned().ok_or(ESRCH)?;
        if tgid.is_some_and(|tgid| target.group.pid.number_in(&ns) != Some(tgid)) {
            return Err(ESRCH.into());
        }
        let session = tree.node(&task.group.pid).map(|node| node.session.id);
        if !Arc::ptr_eq(&target.group, &task.group)
            && let Some(node) = tree.nodes.get(&target.group.id())
        {
            let same_session = session == Some(node.session.id);
            send::check_permission(&cred, node, signo, same_session)?;
            send::check_scope(task, &node.group)?;
        }
        target
    };
    if signo != 0 {
        let from = task.group.pid.number_or_zero(target.group.pid.namespace());
        if signo == SIGKILL {
            send::try_to_group(&target.group, info(from, cred.ruid))?;
        } else {
            send::try_to_task(&target, info(from, cred.ruid))?;
        }
        if signo == SIGCONT {
            task.kernel.report_continued(&target.group);
        }
    }
    Ok(0)
}

/// Reads the `siginfo_t` a program sends; it may not pretend to be the kernel or `kill`.
fn read_info(ctx: &Ctx<'_>, signo: i32, info: UserAddr, to_self: bool) -> Result<Info, Errno> {
    let mut bytes = [0_u8; 128];
    ctx.mm().read_bytes(info, &mut bytes)?;
    let int = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
        word.map_or(0, i32::from_ne_bytes)
    };
    let (errno, code) = (int(4), int(8));
    if (code >= 0 || code == signal::info::SI_TKILL) && !to_self {
        return Err(EPERM.into());
    }
    let words = std::array::from_fn(|index| {
        let word = bytes.get(16 + 8 * index..24 + 8 * index);
        word.and_then(|word| word.try_into().ok()).map_or(0, u64::from_ne_bytes)
    });
    Ok(Info { signo, errno, code, detail: Detail::Raw(words) })
}

/// `rt_sigqueueinfo(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`, `ESRCH`, `EAGAIN`, `EFAULT`.
pub fn rt_sigqueueinfo(ctx: &mut Ctx<'_>, pid: i32, signo: i32, info: UserAddr) -> SysResult {
    check_signal(signo)?;
    let task = ctx.task();
    let target = task.pid().namespace().find(pid).ok_or(ESRCH)?;
    let group = group_of(task, &target).ok_or(ESRCH)?;
    let to_self = Arc::ptr_eq(&group, &task.group);
    let info = read_info(ctx, signo, info, to_self)?;
    signal_groups(task, vec![group], signo, |_, _| info)
}

/// `rt_tgsigqueueinfo(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM`, `ESRCH`, `EAGAIN`, `EFAULT`.
pub fn rt_tgsigqueueinfo(
    ctx: &mut Ctx<'_>,
    tgid: i32,
    tid: i32,
    signo: i32,
    info: UserAddr,
) -> SysResult {
    if tgid <= 0 || tid <= 0 {
        return Err(EINVAL.into());
    }
    check_signal(signo)?;
    let to_self = ctx.task().tgid() == tgid;
    let info = read_info(ctx, signo, info, to_self)?;
    send_to_thread(ctx, Some(tgid), tid, signo, |_, _| info)
}

/// Whom a signal by pidfd reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The process.
    Process,
    /// Its leader alone.
    Thread,
    /// The process group it leads.
    ProcessGroup,
}

/// Sends `info`, or a plain `kill`, to whom a pidfd names (`pidfd_send_signal(2)`).
///
/// # Errors
/// `EINVAL`, `EPERM`, `ESRCH`, `EFAULT`.
pub fn to_pid(ctx: &Ctx<'_>, target: &Pid, scope: Scope, signo: i32, info: UserAddr) -> SysResult {
    check_signal(signo)?;
    let task = ctx.task();
    let group = group_of(task, target).ok_or(ESRCH)?;
    let to_self = Arc::ptr_eq(&group, &task.group);
    // Other calls put their own number there; this one wants it to be right.
    if !info.is_null() && ctx.mm().read::<i32>(info)? != signo {
        return Err(EINVAL.because("information about another signal").into());
    }
    let given = if info.is_null() { None } else { Some(read_info(ctx, signo, info, to_self)?) };
    let groups = match scope {
        Scope::Process => vec![group],
        Scope::Thread => {
            let number = target.number_in(task.pid().namespace()).ok_or(ESRCH)?;
            return send_to_thread(ctx, None, number, signo, |from, uid| {
                let detail = Detail::Kill { pid: from, uid };
                given.unwrap_or(Info { signo, errno: 0, code: signal::info::SI_TKILL, detail })
            });
        }
        Scope::ProcessGroup => {
            let tree = task.kernel.tree.lock();
            tree.members(target).map(|node| node.group.clone()).collect()
        }
    };
    signal_groups(task, groups, signo, |from, uid| {
        given.unwrap_or_else(|| Info::user(signo, from, uid))
    })
}
