//! Delivery: what a task does about its pending signals before it returns to the guest.

use super::{
    Action, DefaultAction, Info, SA_NODEFER, SA_RESETHAND, SA_RESTART, SIG_DFL, SIG_IGN, SIGCONT,
    SIGKILL, SIGSEGV, SYNCHRONOUS, UNBLOCKABLE, arch, bit, default_action, send,
};
use crate::block::Restart;
use crate::ptrace::{self, Stopped};
use crate::task::{Flow, Machine, Task};
use crate::tree::{ExitStatus, JobEvent};
use bevor_abi::errno::EINTR;
use bevor_platform::Access;
use std::sync::Arc;

/// Whether a signal, a stop or the end of the process waits for this task.
#[must_use]
pub fn has_work(task: &Task) -> bool {
    let group = task.group.signals.lock();
    if group.exiting.is_some() || must_yield(task, group.execing) {
        return true;
    }
    let stopped = group.stopped.is_some();
    if task.ptrace.is_active() && ptrace::has_trap(task, stopped)
        || stopped && !task.ptrace.is_active()
    {
        return true;
    }
    let signals = task.signals.lock();
    let deliverable = !signals.blocked | signals.wanted;
    (signals.pending.mask() | group.pending.mask()) & deliverable != 0
}

/// Whether a signal of `wanted` is pending for the task or its process.
#[must_use]
pub fn has_wanted(task: &Task, wanted: u64) -> bool {
    if wanted == 0 {
        return false;
    }
    let group = task.group.signals.lock();
    let signals = task.signals.lock();
    (signals.pending.mask() | group.pending.mask()) & wanted != 0
}

/// Whether the task must end although its process is stopped.
#[must_use]
pub fn must_end(task: &Task) -> bool {
    let group = task.group.signals.lock();
    group.exiting.is_some() || must_yield(task, group.execing)
}

/// Whether the task must end, or a signal is pending that ends its process without dumping core.
#[must_use]
pub fn has_fatal(task: &Task) -> bool {
    if must_end(task) {
        return true;
    }
    let pending = {
        let group = task.group.signals.lock();
        let signals = task.signals.lock();
        (signals.pending.mask() | group.pending.mask()) & !signals.blocked
    };
    let handlers = task.group.handlers();
    let protected = task.group.is_unkillable();
    (1..=64).filter(|&signo| pending & bit(signo) != 0).any(|signo| {
        signo == SIGKILL
            || (!protected
                && handlers.get(signo).handler == SIG_DFL
                && default_action(signo) == DefaultAction::Terminate)
    })
}

/// Whether another thread's `execve` wants this one gone.
fn must_yield(task: &Task, execing: Option<u64>) -> bool {
    execing.is_some_and(|winner| winner != task.pid().id)
}

/// Takes the next signal in `allowed` for this task: its own, then its process's.
#[must_use]
pub fn take(task: &Task, allowed: u64) -> Option<Info> {
    let info = {
        let mut group = task.group.signals.lock();
        let mut signals = task.signals.lock();
        let own = signals.pending.take(allowed, SYNCHRONOUS);
        own.or_else(|| group.pending.take(allowed, SYNCHRONOUS))
    };
    Some(task.group.timers.dequeued(&task.kernel, &task.group, info?))
}

/// Acts on everything pending: pushes handler frames, stops, or decides that the task ends.
pub fn work(task: &Arc<Task>, machine: &mut Machine) -> Flow {
    work_on(task, machine, None)
}

/// Like [`work`], beginning with a signal that the task's tracer lets through.
pub fn work_on(task: &Arc<Task>, machine: &mut Machine, mut given: Option<Info>) -> Flow {
    let mut handler = false;
    task.kernel.report_continued(&task.group);
    loop {
        {
            let group = task.group.signals.lock();
            if let Some(status) = group.exiting {
                return Flow::Exit(status);
            }
            if must_yield(task, group.execing) {
                return Flow::Exit(ExitStatus::Exited(0));
            }
            if group.stopped.is_some() && !task.ptrace.is_active() {
                return Flow::Stop;
            }
        }
        let info = match given.take() {
            Some(info) => info,
            None => {
                let traced = task.ptrace.is_active();
                if traced && let Some(stop) = ptrace::pending_trap(task) {
                    return Flow::Trap(stop);
                }
                let blocked = task.signals.lock().blocked;
                let Some(info) = take(task, !blocked | UNBLOCKABLE) else { break };
                if traced && info.signo != SIGKILL {
                    return Flow::Trap(Stopped::signal(info));
                }
                info
            }
        };
        let action = task.group.handlers().get(info.signo);
        match action.handler {
            SIG_IGN => {}
            SIG_DFL => match default_action(info.signo) {
                _ if is_protected(task, &info) => {}
                DefaultAction::Ignore | DefaultAction::Continue => {}
                DefaultAction::Stop => {
                    if stop(task, info.signo) && !task.ptrace.is_active() {
                        return Flow::Stop;
                    }
                }
                DefaultAction::Terminate => {
                    return end(task, ExitStatus::Signaled { signo: info.signo, core: false });
                }
                DefaultAction::Core => {
                    let core = dumps_core(task);
                    return end(task, ExitStatus::Signaled { signo: info.signo, core });
                }
            },
            _ => {
                if !handle(task, machine, &info, action) {
                    return end(
                        task,
                        ExitStatus::Signaled { signo: SIGSEGV, core: dumps_core(task) },
                    );
                }
                handler = true;
                if task.ptrace.has(ptrace::flag::STEP) {
                    // The step was into the handler.
                    return Flow::Trap(Stopped::event(task, 0));
                }
            }
        }
    }
    if std::mem::take(&mut machine.restarting) {
        arch::restart_by_registers(machine);
    }
    // A call that put a mask in place for its wait (`sigsuspend`, `ppoll`) has ended by now,
    // unless it is about to go on waiting.
    if machine.interrupted.is_none() {
        let mut signals = task.signals.lock();
        if let Some(saved) = signals.saved.take() {
            signals.blocked = saved;
            drop(signals);
            task.sched.set_attention();
            if has_work(task) {
                return work(task, machine);
            }
        }
    }
    Flow::Go { handler }
}

fn end(task: &Arc<Task>, status: ExitStatus) -> Flow {
    send::group_exit(&task.group, status);
    Flow::Exit(status)
}

/// An init survives what it does not handle, faults of its own aside. `SIGKILL` and `SIGSTOP` were
/// looked at when they were sent.
fn is_protected(task: &Task, info: &Info) -> bool {
    task.group.is_unkillable()
        && !matches!(info.signo, SIGKILL | super::SIGSTOP)
        && !matches!(info.detail, super::Detail::Fault { .. } | super::Detail::Syscall { .. })
}

/// Whether `wait` shows a core dump. Bevor writes none, so never.
const fn dumps_core(_task: &Task) -> bool {
    false
}

/// Stops the process; `false` if its process group is orphaned and the signal is one of the
/// terminal's (POSIX: such a group is not stopped).
fn stop(task: &Arc<Task>, signo: i32) -> bool {
    let mut tree = task.kernel.tree.lock();
    let Some(node) = tree.nodes.get(&task.group.id()) else { return false };
    if signo != super::SIGSTOP && tree.is_orphaned(&node.pgrp.clone(), None) {
        return false;
    }
    let threads = task.group.threads.lock().clone();
    {
        let mut signals = task.group.signals.lock();
        if signals.exiting.is_some() || signals.pending.mask() & bit(SIGCONT) != 0 {
            return false;
        }
        signals.stopped = Some(signo);
        for other in &threads {
            other.ptrace.set(ptrace::flag::GROUP_STOP);
        }
    }
    if let Some(node) = tree.nodes.get_mut(&task.group.id()) {
        node.job_event = Some(JobEvent::Stopped(signo));
    }
    if let Some(node) = tree.nodes.get(&task.group.id()) {
        if !ptrace::traced_by(&tree, task.group.id(), node.parent) {
            send::notify_parent(&tree, node, 5, signo, send::child_stop_signal(&tree, node));
        }
        if task.group.is_first() {
            task.group.container.init_changed(JobEvent::Stopped(signo));
        }
    }
    drop(tree);
    for other in threads.iter().filter(|other| !Arc::ptr_eq(other, task)) {
        other.notify();
    }
    true
}

/// Pushes a handler's frame; `false` if the stack cannot take it.
fn handle(task: &Arc<Task>, machine: &mut Machine, info: &Info, action: Action) -> bool {
    let nr = machine.context.regs.syscall_nr();
    let restarts = action.flags & SA_RESTART != 0;
    let mut interrupted = settle_interrupted(machine, restarts);
    if std::mem::take(&mut machine.restarting) {
        interrupted |= arch::interrupt_by_registers(machine, restarts);
    }
    if interrupted && let Some(observe) = task.kernel.config.on_interrupt {
        observe(nr);
    }
    if action.flags & SA_RESETHAND != 0 {
        let reset = Action { handler: SIG_DFL, ..action };
        task.group.handlers().set(info.signo, reset);
    }
    let mut signals = task.signals.lock();
    let old_mask = signals.saved.take().unwrap_or(signals.blocked);
    let alt_stack = signals.alt_stack;
    let mut blocked = signals.blocked | action.mask;
    if action.flags & SA_NODEFER == 0 {
        blocked |= bit(info.signo);
    }
    signals.blocked = blocked & !UNBLOCKABLE;
    drop(signals);
    match arch::push_frame(machine, info, action, old_mask, alt_stack) {
        Ok(disarmed) => {
            if disarmed {
                task.signals.lock().alt_stack = super::AltStack::disabled();
            }
            true
        }
        Err(_) => false,
    }
}

/// Decides what an interrupted call returns now that a handler runs; `true`: `EINTR`.
fn settle_interrupted(machine: &mut Machine, sa_restart: bool) -> bool {
    let Some(restart) = machine.interrupted.take() else { return false };
    let again = match restart {
        Restart::NoIntr => true,
        Restart::Sys => sa_restart,
        Restart::NoHand | Restart::SameDeadline | Restart::Never | Restart::Killable => false,
    };
    if again {
        arch::rewind_syscall(machine);
    } else {
        machine.set_return(EINTR.as_return());
    }
    !again
}

/// Page-fault error code for the machine context of a signal frame.
#[must_use]
pub const fn page_fault_error(access: Access, code: i32) -> u64 {
    // SEGV_MAPERR is 1: the page was not present.
    let present = if code == 1 { 0 } else { 1 };
    let kind = match access {
        Access::Read => 0,
        Access::Write => 2,
        Access::Exec => 16,
    };
    present | kind | 4
}
