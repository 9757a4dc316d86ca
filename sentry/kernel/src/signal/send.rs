//! Sending signals: generation (POSIX 2.4.1) and who is told.

use super::{
    DefaultAction, Detail, Info, Pending, SIG_DFL, SIG_IGN, SIGCONT, SIGKILL, STOP_SIGNALS,
    UNBLOCKABLE, bit, default_action,
};
use crate::group::ThreadGroup;
use crate::limits;
use crate::ptrace::flag;
use crate::task::Task;
use crate::tree::{ExitStatus, JobEvent, Node};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EPERM};
use bevor_abi::landlock::LANDLOCK_SCOPE_SIGNAL;
use bevor_base::{Credentials, Ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `CAP_KILL`.
const CAP_KILL: u32 = 5;

/// Sends a signal to one task.
pub fn to_task(task: &Arc<Task>, info: Info) {
    // Only a full queue of real-time signals can refuse, and this sender has nobody to tell.
    let _ = try_to_task(task, info);
}

/// Sends a signal to one task.
///
/// # Errors
/// `EAGAIN` when a queued signal would exceed `RLIMIT_SIGPENDING`.
pub fn try_to_task(task: &Arc<Task>, info: Info) -> Result<(), Errno> {
    if info.signo == SIGKILL && spares(&task.group, &info) {
        return Ok(());
    }
    prepare(&task.group, info.signo);
    if info.signo == SIGKILL {
        task.ptrace.note_kill();
    }
    let group = task.group.signals.lock();
    let mut signals = task.signals.lock();
    let blocked = signals.blocked | signals.saved.unwrap_or(0);
    if is_dropped(task, &info, blocked | signals.wanted) || group.exiting.is_some() {
        return Ok(());
    }
    let limit = task.group.limits.soft(limits::SIGPENDING);
    queue(&mut signals.pending, info, limit)?;
    let interested = bit(info.signo) & (!signals.blocked | signals.wanted) != 0;
    drop(signals);
    drop(group);
    if interested {
        task.notify();
    }
    task.group.signal_wait.wake(Ready::IN);
    Ok(())
}

/// Sends a signal to a process.
pub fn to_group(group: &Arc<ThreadGroup>, info: Info) {
    // As in `to_task`.
    let _ = try_to_group(group, info);
}

/// Whose turn it is among threads that run at once.
static NEXT_BUSY: AtomicUsize = AtomicUsize::new(0);

/// Sends a signal to a process.
///
/// # Errors
/// `EAGAIN` when a queued signal would exceed `RLIMIT_SIGPENDING`.
pub fn try_to_group(group: &Arc<ThreadGroup>, info: Info) -> Result<(), Errno> {
    try_to_one_of(group, info, false)
}

/// Sends a signal to a process because it has used CPU time: a thread that is using some gets it, as
/// it does where the tick of a CPU finds the timer due.
///
/// # Errors
/// As [`try_to_group`].
pub fn try_to_busy(group: &Arc<ThreadGroup>, info: Info) -> Result<(), Errno> {
    try_to_one_of(group, info, true)
}

fn try_to_one_of(group: &Arc<ThreadGroup>, info: Info, busy: bool) -> Result<(), Errno> {
    if info.signo == SIGKILL && spares(group, &info) {
        return Ok(());
    }
    prepare(group, info.signo);
    if info.signo == SIGKILL {
        for task in group.threads.lock().iter() {
            task.ptrace.note_kill();
        }
        group_exit(group, ExitStatus::Signaled { signo: SIGKILL, core: false });
        return Ok(());
    }
    let threads = group.threads.lock().clone();
    let mut signals = group.signals.lock();
    if signals.exiting.is_some() {
        return Ok(());
    }
    let mut target = None;
    let mut anybody_blocks = false;
    let mut running = Vec::new();
    for task in &threads {
        let state = task.signals.lock();
        let blocked = state.blocked | state.saved.unwrap_or(0);
        anybody_blocks |= (blocked | state.wanted) & bit(info.signo) != 0;
        if bit(info.signo) & (!state.blocked | state.wanted) != 0 {
            target.get_or_insert(task);
            if busy && task.sched.in_guest() {
                running.push(task);
            }
        }
    }
    if !running.is_empty() {
        // Each in turn: which of them the tick would have found nobody knows.
        let turn = NEXT_BUSY.fetch_add(1, Ordering::Relaxed);
        target = Some(running[turn % running.len()]);
    }
    let dropped = threads
        .first()
        .is_none_or(|task| is_dropped(task, &info, if anybody_blocks { u64::MAX } else { 0 }));
    if dropped {
        return Ok(());
    }
    queue(&mut signals.pending, info, group.limits.soft(limits::SIGPENDING))?;
    drop(signals);
    if let Some(task) = target {
        task.notify();
    }
    group.signal_wait.wake(Ready::IN);
    Ok(())
}

/// Sends a synchronous signal: it cannot be blocked or ignored away (`force_sig`).
pub fn force(task: &Arc<Task>, info: Info) {
    let handlers = task.group.handlers();
    let mut signals = task.signals.lock();
    let action = handlers.get(info.signo);
    if signals.blocked & bit(info.signo) != 0 || action.handler == SIG_IGN {
        handlers.set(info.signo, super::Action { handler: SIG_DFL, ..action });
        signals.blocked &= !bit(info.signo);
    }
    signals.pending.push(info);
    drop(signals);
    task.notify();
}

/// Puts a signal that was taken back into the task's queue.
pub(crate) fn put_back(task: &Arc<Task>, info: Info) {
    task.signals.lock().pending.push(info);
    task.notify();
}

/// Begins the end of a whole process; the first status stays.
pub fn group_exit(group: &Arc<ThreadGroup>, status: ExitStatus) {
    let mut signals = group.signals.lock();
    signals.exiting.get_or_insert(status);
    signals.stopped = None;
    drop(signals);
    let threads = group.threads.lock().clone();
    for task in threads {
        task.notify();
    }
}

/// Whether `cred` may send `signo` to the process (`kill(2)`).
///
/// # Errors
/// `EPERM`.
pub fn check_permission(
    cred: &Credentials,
    node: &Node,
    signo: i32,
    same_session: bool,
) -> Result<(), Errno> {
    let Some(target) = node.group.cred() else { return Ok(()) };
    let same = cred.euid == target.suid
        || cred.euid == target.ruid
        || cred.ruid == target.suid
        || cred.ruid == target.ruid;
    if same || cred.has_cap_in(CAP_KILL, &target.user_ns) || (signo == SIGCONT && same_session) {
        Ok(())
    } else {
        Err(EPERM.into())
    }
}

/// Whether the Landlock domain of `task` lets it send signals to another process.
///
/// # Errors
/// `EPERM`.
pub fn check_scope(task: &Task, target: &ThreadGroup) -> Result<(), Errno> {
    let own = task.cred();
    let Some(domain) = &own.landlock else { return Ok(()) };
    if task.group.id() == target.id() {
        return Ok(());
    }
    let its = target.cred();
    let other = its.as_ref().and_then(|cred| cred.landlock.as_ref());
    if domain.keeps_from(other, LANDLOCK_SCOPE_SIGNAL) {
        return Err(EPERM.because("Landlock"));
    }
    Ok(())
}

/// Tells the parent of `node` that its child changed state.
pub fn notify_parent(tree: &crate::tree::Tree, node: &Node, code: i32, status: i32, signo: i32) {
    let Some(parent) = tree.nodes.get(&node.parent) else { return };
    let usage = node.group.total_usage();
    let uid = node.group.cred().map_or(0, |cred| cred.ruid);
    let ticks = |ns: u64| i64::try_from(ns / 10_000_000).unwrap_or(i64::MAX);
    let detail = Detail::Child {
        pid: node.group.pid.number_or_zero(parent.group.pid.namespace()),
        uid,
        status,
        utime: ticks(usage.user_ns),
        stime: ticks(usage.system_ns),
    };
    if signo != 0 {
        to_group(&parent.group, Info { signo, errno: 0, code, detail });
    }
    parent.group.child_wait.wake(Ready::IN);
}

/// `SIGCONT` and stop signals act at generation: each cancels the other's pending ones, `SIGCONT`
/// and `SIGKILL` resume a stopped process.
fn prepare(group: &Arc<ThreadGroup>, signo: i32) {
    let cancelled = match signo {
        SIGCONT => STOP_SIGNALS,
        _ if bit(signo) & STOP_SIGNALS != 0 => bit(SIGCONT),
        _ if signo == SIGKILL => 0,
        _ => return,
    };
    let threads = group.threads.lock().clone();
    let mut signals = group.signals.lock();
    signals.pending.discard(cancelled);
    if signo == SIGCONT {
        for task in threads.iter().filter(|task| task.ptrace.is_active()) {
            task.ptrace.clear(flag::GROUP_STOP);
            if task.ptrace.has(flag::SEIZED) {
                task.ptrace.set(flag::NOTIFY);
                task.notify();
            }
        }
    }
    for task in &threads {
        task.signals.lock().pending.discard(cancelled);
    }
    let resumed = matches!(signo, SIGCONT | SIGKILL) && signals.stopped.take().is_some();
    drop(signals);
    if resumed {
        for task in &threads {
            task.schedule();
        }
        group.continued.store(true, Ordering::Release);
    }
}

/// Sends `SIGCONT` with the tree's lock held: the process goes on; its parent is told by
/// [`Kernel::report_continued`](crate::kernel::Kernel::report_continued).
pub fn resume(group: &Arc<ThreadGroup>, info: Info) {
    to_group(group, info);
}

/// Whether a signal vanishes when sent: ignored and not blocked (a blocked one stays pending, its
/// action may change), or meant for an init that has no handler for it.
fn is_dropped(task: &Arc<Task>, info: &Info, blocked: u64) -> bool {
    let signo = info.signo;
    // A tracer may want to know even of those.
    if task.ptrace.is_active() && signo != SIGKILL {
        return false;
    }
    if spares(&task.group, info) {
        return true;
    }
    let handlers = task.group.handlers();
    if bit(signo) & blocked == 0 && handlers.ignores(signo) {
        return true;
    }
    task.group.is_unkillable()
        && bit(signo) & UNBLOCKABLE == 0
        && handlers.get(signo).handler == SIG_DFL
        && default_action(signo) != DefaultAction::Continue
        && bit(signo) & blocked == 0
}

/// Whether `SIGKILL` or `SIGSTOP` does not reach an init: only the kernel and those outside of its
/// namespace can end or stop it (`pid_namespaces(7)`).
fn spares(group: &ThreadGroup, info: &Info) -> bool {
    let inside = matches!(info.detail, Detail::Kill { pid, .. } if pid != 0);
    bit(info.signo) & UNBLOCKABLE != 0 && inside && group.is_unkillable()
}

fn queue(pending: &mut Pending, info: Info, limit: u64) -> Result<(), Errno> {
    let queued = info.signo >= super::SIGRTMIN && info.code != super::info::SI_USER;
    if queued && pending.len() as u64 >= limit {
        return Err(EAGAIN.because("RLIMIT_SIGPENDING"));
    }
    pending.push(info);
    Ok(())
}

impl crate::kernel::Kernel {
    /// If `group` was just continued by `SIGCONT`, records that and tells its parent. Call it
    /// without the tree's lock after sending `SIGCONT`; the continued task calls it, too.
    pub fn report_continued(&self, group: &Arc<ThreadGroup>) {
        if !group.continued.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut tree = self.tree.lock();
        let Some(node) = tree.nodes.get_mut(&group.id()) else { return };
        node.job_event = Some(JobEvent::Continued);
        if let Some(node) = tree.nodes.get(&group.id()) {
            notify_parent(&tree, node, 6, SIGCONT, child_stop_signal(&tree, node));
        }
        if group.is_first() {
            group.container.init_changed(JobEvent::Continued);
        }
    }
}

/// `SIGCHLD` for stops and continues, unless the parent set `SA_NOCLDSTOP`.
pub(crate) fn child_stop_signal(tree: &crate::tree::Tree, node: &Node) -> i32 {
    let Some(parent) = tree.nodes.get(&node.parent) else { return 0 };
    let action = parent.group.handlers().get(super::SIGCHLD);
    if action.flags & super::SA_NOCLDSTOP != 0 { 0 } else { super::SIGCHLD }
}
