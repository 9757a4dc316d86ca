//! Who traces whom: beginning and end of tracing, and the ends of tracer and traced.

use super::{Kind, flag};
use crate::exit;
use crate::group::ThreadGroup;
use crate::pid::Pid;
use crate::signal::{
    Detail, Info, SA_NOCLDWAIT, SIG_IGN, SIGCHLD, SIGKILL, SIGSTOP, SIGTRAP, send,
};
use crate::task::{Machine, Task};
use crate::tree::{ExitStatus, Tree};
use bevor_abi::Errno;
use bevor_abi::errno::EPERM;
use bevor_abi::ptrace::{
    PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC, PTRACE_EVENT_FORK, PTRACE_EVENT_VFORK,
    PTRACE_O_EXITKILL, PTRACE_O_TRACECLONE, PTRACE_O_TRACEEXEC, PTRACE_O_TRACEFORK,
    PTRACE_O_TRACEVFORK,
};
use bevor_abi::sched::{CLONE_PTRACE, CLONE_UNTRACED, CLONE_VFORK};
use bevor_base::Ready;
use std::sync::Arc;

/// A traced task, as its tracer's process sees it.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Its identity.
    pub pid: Arc<Pid>,
    /// Its process.
    pub group: Arc<ThreadGroup>,
    /// [`Pid::id`] of the tracing task.
    pub tracer: u64,
    /// The tracing task's process.
    pub tracer_group: Arc<ThreadGroup>,
    /// Its real user id.
    pub uid: u32,
    /// The stop that nobody has waited for yet.
    pub report: Option<i32>,
    /// How it ended, for a thread that was not its process's leader.
    pub ended: Option<ExitStatus>,
}

/// `PTRACE_ATTACH` and `PTRACE_SEIZE`: `tracer` traces `task` from now on.
///
/// # Errors
/// `EPERM`: not allowed, traced already, or about to end.
pub fn attach(
    tracer: &Arc<Task>,
    task: &Arc<Task>,
    seized: bool,
    options: u32,
) -> Result<(), Errno> {
    if Arc::ptr_eq(&tracer.group, &task.group) {
        return Err(EPERM.because("a thread of the caller's own process"));
    }
    if !tracer.may_inspect(task) {
        return Err(EPERM.into());
    }
    let kind = if seized { flag::SEIZED } else { 0 };
    // A stopped process shows its tracer that it is.
    let trap = if task.group.is_stopped() { flag::TRAP } else { 0 };
    let mut tree = task.kernel.tree.lock();
    if !tree.tasks.contains_key(&task.pid().id) {
        return Err(EPERM.because("about to end"));
    }
    link(&mut tree, tracer, task, kind | trap, options)?;
    drop(tree);
    if !seized {
        send::to_task(task, Info::kernel(SIGSTOP));
    }
    task.expire_answers();
    Ok(())
}

/// `PTRACE_TRACEME`: the task that made the caller traces it.
///
/// # Errors
/// `EPERM`: it is traced already, or has no parent.
pub fn trace_me(task: &Arc<Task>) -> Result<(), Errno> {
    let mut tree = task.kernel.tree.lock();
    let node = tree.nodes.get(&task.group.id()).ok_or(EPERM)?;
    let parent = tree.nodes.get(&node.parent).ok_or(EPERM)?.group.clone();
    let maker = tree.tasks.get(&node.made_by).filter(|maker| Arc::ptr_eq(&maker.group, &parent));
    let tracer = maker.cloned().or_else(|| parent.leader()).ok_or(EPERM)?;
    link(&mut tree, &tracer, task, 0, 0)?;
    drop(tree);
    task.expire_answers();
    Ok(())
}

fn link(
    tree: &mut Tree,
    tracer: &Arc<Task>,
    task: &Arc<Task>,
    flags: u32,
    options: u32,
) -> Result<(), Errno> {
    if tree.tracees.contains_key(&task.pid().id) {
        return Err(EPERM.because("traced already"));
    }
    let traced = Traced {
        pid: task.pid(),
        group: task.group.clone(),
        tracer: tracer.pid().id,
        tracer_group: tracer.group.clone(),
        uid: task.cred().ruid,
        report: None,
        ended: None,
    };
    tree.tracees.insert(task.pid().id, traced);
    task.ptrace.set_options(options);
    task.ptrace.flags.store(flag::TRACED | flags, std::sync::atomic::Ordering::SeqCst);
    Ok(())
}

/// Ends the tracing of one task, which goes on with a signal if it was stopped.
pub fn detach(tree: &mut Tree, id: u64, signo: i32) {
    let Some(traced) = tree.tracees.remove(&id) else { return };
    if let Some(task) = tree.tasks.get(&id) {
        task.ptrace.flags.store(0, std::sync::atomic::Ordering::SeqCst);
        task.ptrace.set_options(0);
        task.ptrace.go_on(signo);
        task.expire_answers();
        return;
    }
    // A dead leader is its parent's again, other threads are nobody's.
    ended_for_parent(tree, traced.group.id(), &traced.tracer_group);
}

/// What the end of the tracer of a zombie, or the end of its last unawaited thread, means for its
/// parent: it can be awaited now.
fn ended_for_parent(tree: &mut Tree, id: u64, tracer: &ThreadGroup) {
    let Some(node) = tree.nodes.get(&id) else { return };
    let Some(status) = node.zombie else { return };
    let Some(parent) = tree.nodes.get(&node.parent) else { return };
    if parent.group.id() == tracer.id() {
        parent.group.child_wait.wake(Ready::IN);
        return;
    }
    exit::end_awaits_parent(tree, id, status);
}

/// A traced task made a child: traces that, too, if the tracer asked for it. Answers the event to
/// stop for and its message.
pub fn born(parent: &Task, child: &Arc<Task>, flags: u64, exit_signal: i32) -> Option<(u32, u64)> {
    let (event, option) = if flags & CLONE_VFORK != 0 {
        (PTRACE_EVENT_VFORK, PTRACE_O_TRACEVFORK)
    } else if exit_signal != SIGCHLD {
        (PTRACE_EVENT_CLONE, PTRACE_O_TRACECLONE)
    } else {
        (PTRACE_EVENT_FORK, PTRACE_O_TRACEFORK)
    };
    let wanted = flags & CLONE_UNTRACED == 0 && parent.ptrace.wants(option);
    if !wanted && flags & CLONE_PTRACE == 0 {
        return None;
    }
    let mut tree = parent.kernel.tree.lock();
    let tracer = tree.tracees.get(&parent.pid().id)?.tracer;
    let tracer = tree.tasks.get(&tracer).cloned()?;
    let seized = parent.ptrace.flags() & flag::SEIZED;
    let options = parent.ptrace.options.load(std::sync::atomic::Ordering::SeqCst);
    let trap = if seized == 0 { 0 } else { flag::TRAP };
    link(&mut tree, &tracer, child, seized | trap, options).ok()?;
    drop(tree);
    if seized == 0 {
        child.signals.lock().pending.push(Info::user(SIGSTOP, 0, 0));
    }
    child.expire_answers();
    wanted.then(|| (event, message(child, &tracer)))
}

/// A pid as the message of an event: as the tracer sees it.
fn message(task: &Task, tracer: &Task) -> u64 {
    task.pid().number_or_zero(tracer.pid().namespace()).cast_unsigned().into()
}

/// A traced task has executed a program; `old` is the thread it was.
pub fn executed(task: &Arc<Task>, machine: &mut Machine, old: &Pid) {
    if task.ptrace.wants(PTRACE_O_TRACEEXEC) {
        let number = task.tracer().map_or(0, |tracer| old.number_or_zero(tracer.pid().namespace()));
        machine.event = Some((PTRACE_EVENT_EXEC, number.cast_unsigned().into()));
    } else if !task.ptrace.has(flag::SEIZED) {
        let uid = task.cred().user_ns.uid_out(task.cred().ruid);
        send::to_task(task, Info::user(SIGTRAP, task.tgid(), uid));
    }
}

/// A thread takes its leader's identity (`execve`): it is traced, and traces, under that.
pub fn new_leader(tree: &mut Tree, old: u64, leader: &Arc<Pid>) {
    if tree.tracees.is_empty() {
        return;
    }
    tree.tracees.remove(&leader.id);
    if let Some(mut traced) = tree.tracees.remove(&old) {
        traced.pid = leader.clone();
        tree.tracees.insert(leader.id, traced);
    }
    for traced in tree.tracees.values_mut().filter(|traced| traced.tracer == old) {
        traced.tracer = leader.id;
    }
}

/// A task has ended with this status. What it traced goes on untraced, or is killed if it had asked for
/// that; if it was traced and is no leader, its tracer is told.
pub fn task_ended(tree: &mut Tree, task: &Task, id: u64, status: ExitStatus) {
    if tree.tracees.is_empty() {
        return;
    }
    let mine: Vec<u64> = tree
        .tracees
        .iter()
        .filter(|(_, traced)| traced.tracer == id)
        .map(|(&traced, _)| traced)
        .collect();
    for traced in mine {
        let mut signo = 0;
        if let Some(tracee) = tree.tasks.get(&traced).cloned() {
            if tracee.ptrace.wants(PTRACE_O_EXITKILL) {
                send::to_group(&tracee.group, Info::kernel(SIGKILL));
            }
            // A signal whose stop nobody has seen is still to be delivered.
            if tracee.ptrace.stop().is_some_and(|stop| stop.kind == Kind::Signal) {
                signo = tree.tracees.get(&traced).and_then(|traced| traced.report).unwrap_or(0);
            }
        }
        detach(tree, traced, signo);
    }
    if id == task.group.id() {
        return;
    }
    let Some(traced) = tree.tracees.get_mut(&id) else { return };
    traced.report = None;
    traced.ended = Some(status);
    let traced = traced.clone();
    if tell_end(&traced, &traced.pid, status) {
        reaped(tree, id);
    }
}

/// Tells a tracer of the end of what it traced. Answers whether it does not want to wait for it.
fn tell_end(traced: &Traced, pid: &Pid, status: ExitStatus) -> bool {
    let tracer = &traced.tracer_group;
    let action = tracer.handlers().get(SIGCHLD);
    if action.handler != SIG_IGN {
        let (code, status) = status.child_info();
        let uid = tracer.leader().map_or(0, |tracer| tracer.cred().user_ns.uid_out(traced.uid));
        let pid = pid.number_or_zero(tracer.pid.namespace());
        let detail = Detail::Child { pid, uid, status, utime: 0, stime: 0 };
        send::to_group(tracer, Info { signo: SIGCHLD, errno: 0, code, detail });
    }
    tracer.child_wait.wake(Ready::IN);
    action.handler == SIG_IGN || action.flags & SA_NOCLDWAIT != 0
}

/// Whether a process that has just ended is first its tracer's, not its parent's; the tracer is told.
pub(crate) fn hidden_end(tree: &mut Tree, id: u64, parent: u64, status: ExitStatus) -> bool {
    let Some(traced) = tree.tracees.get_mut(&id) else { return false };
    traced.report = None;
    if traced.tracer_group.id() == parent {
        return false;
    }
    let traced = traced.clone();
    if tell_end(&traced, &traced.pid, status) {
        tree.tracees.remove(&id);
        return false;
    }
    true
}

/// Whether the end of a process cannot be awaited yet, since that of one of its traced threads was not.
pub(crate) fn is_delayed(tree: &Tree, id: u64) -> bool {
    tree.tracees.values().any(|traced| traced.ended.is_some() && traced.group.id() == id)
}

/// The end of a traced task was awaited by its tracer.
pub(crate) fn reaped(tree: &mut Tree, id: u64) {
    let Some(traced) = tree.tracees.remove(&id) else { return };
    let leader = traced.group.id();
    if id == leader || !is_delayed(tree, leader) {
        if id != leader
            && let Some(leader) = tree.tracees.get(&leader)
        {
            leader.tracer_group.child_wait.wake(Ready::IN);
            return;
        }
        ended_for_parent(tree, leader, &traced.tracer_group);
    }
}

/// Whether tasks of process `group` trace the task `id`.
pub(crate) fn traced_by(tree: &Tree, id: u64, group: u64) -> bool {
    tree.tracees.get(&id).is_some_and(|traced| traced.tracer_group.id() == group)
}

/// Whether another process than `group` traces the task `id`.
pub(crate) fn traces_stranger(tree: &Tree, id: u64, group: u64) -> bool {
    tree.tracees.get(&id).is_some_and(|traced| traced.tracer_group.id() != group)
}
