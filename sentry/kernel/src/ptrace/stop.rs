//! Stops of traced tasks: what they say, and who is told.

use super::flag;
use crate::signal::{Detail, Info, SIG_IGN, SIGCHLD, SIGKILL, SIGSTOP, bit, deliver, send};
use crate::signal::{SA_NOCLDSTOP, SIGTRAP};
use crate::task::Task;
use crate::tree::Tree;
use bevor_abi::ptrace::PTRACE_EVENT_STOP;
use bevor_base::Ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `CLD_TRAPPED`.
const CLD_TRAPPED: i32 = 4;
/// `CLD_STOPPED`.
const CLD_STOPPED: i32 = 5;
/// What marks the stops at system calls for a tracer that asked for it (`PTRACE_O_TRACESYSGOOD`).
pub const SYSCALL_MARK: i32 = 0x80;
/// `PTRACE_EVENTMSG_SYSCALL_ENTRY`.
pub const MESSAGE_ENTRY: u64 = 1;
/// `PTRACE_EVENTMSG_SYSCALL_EXIT`.
pub const MESSAGE_EXIT: u64 = 2;

/// Why a traced task stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A signal is about to be delivered.
    Signal,
    /// Before a system call, or after one.
    Syscall,
    /// `PTRACE_EVENT_*` or the like.
    Event,
    /// Its process was stopped.
    Group,
    /// It is about to end.
    End,
}

/// A stop of a traced task.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    /// Why.
    pub kind: Kind,
    /// What `wait` reports: a signal, with an event in the second byte.
    pub code: i32,
    /// `PTRACE_GETSIGINFO`; none in the group stops of a task that was not seized.
    pub info: Option<Info>,
}

impl Stopped {
    /// A signal waits for its tracer's decision.
    #[must_use]
    pub const fn signal(info: Info) -> Self {
        Self { kind: Kind::Signal, code: info.signo, info: Some(info) }
    }

    /// A stop of which the task itself tells.
    fn own(task: &Task, kind: Kind, code: i32) -> Self {
        let uid = task.cred().user_ns.uid_out(task.cred().ruid);
        let detail = Detail::Kill { pid: task.tid(), uid };
        let info = Info { signo: code & 0x7f, errno: 0, code, detail };
        Self { kind, code, info: Some(info) }
    }

    /// Before or after a system call.
    #[must_use]
    pub fn syscall(task: &Task) -> Self {
        let good = task.ptrace.wants(bevor_abi::ptrace::PTRACE_O_TRACESYSGOOD);
        Self::own(task, Kind::Syscall, SIGTRAP | if good { SYSCALL_MARK } else { 0 })
    }

    /// `PTRACE_EVENT_*`; 0 for a plain trap.
    #[must_use]
    pub fn event(task: &Task, event: u32) -> Self {
        let kind =
            if event == bevor_abi::ptrace::PTRACE_EVENT_EXIT { Kind::End } else { Kind::Event };
        Self::own(task, kind, SIGTRAP | event_bits(event))
    }
}

const fn event_bits(event: u32) -> i32 {
    (event << 8).cast_signed()
}

/// The stop that somebody outside asked of a traced task.
#[must_use]
pub fn pending_trap(task: &Task) -> Option<Stopped> {
    let flags = task.ptrace.flags();
    if flags & flag::TRAPS == 0 {
        return None;
    }
    let stopped = task.group.signals.lock().stopped;
    if stopped.is_none() {
        task.ptrace.clear(flag::GROUP_STOP);
    }
    if flags & flag::SEIZED == 0 {
        task.ptrace.clear(flag::NOTIFY);
        let wanted =
            flags & flag::TRAP != 0 || (flags & flag::GROUP_STOP != 0 && stopped.is_some());
        let code = stopped.unwrap_or(SIGSTOP);
        return wanted.then_some(Stopped { kind: Kind::Group, code, info: None });
    }
    if flags & (flag::TRAP | flag::NOTIFY) == 0 && stopped.is_none() {
        return None;
    }
    let code = stopped.unwrap_or(SIGTRAP) | event_bits(PTRACE_EVENT_STOP);
    Some(Stopped::own(task, Kind::Group, code))
}

/// Whether a reason to stop from outside waits for the task. `stopped`: its process is.
#[must_use]
pub fn has_trap(task: &Task, stopped: bool) -> bool {
    let flags = task.ptrace.flags();
    flags & (flag::TRAP | flag::NOTIFY) != 0 || (stopped && flags & flag::GROUP_STOP != 0)
}

/// Whether the task must leave the stop it is in, or not begin it, since it is to be killed.
fn must_leave(task: &Task, kind: Kind) -> bool {
    if kind == Kind::End {
        return task.ptrace.killed.load(Ordering::SeqCst);
    }
    deliver::must_end(task) || task.signals.lock().pending.mask() & bit(SIGKILL) != 0
}

/// Begins a stop and tells the tracer. `false`: there is none any more, or the task must end first.
pub fn begin(task: &Arc<Task>, stop: Stopped, message: u64) -> bool {
    if stop.kind == Kind::End {
        task.ptrace.killed.store(false, Ordering::SeqCst);
    }
    let mut tree = task.kernel.tree.lock();
    if must_leave(task, stop.kind) {
        return false;
    }
    let Some(traced) = tree.tracees.get_mut(&task.pid().id) else { return false };
    traced.report = Some(stop.code);
    let tracer = traced.tracer;
    let mut state = task.ptrace.state.lock();
    state.stop = Some(stop);
    state.resume = None;
    state.message = message;
    drop(state);
    task.ptrace.clear(flag::TRAP | flag::GROUP_STOP | flag::LISTENING);
    if stop.code >> 8 == event_bits(PTRACE_EVENT_STOP) >> 8 {
        task.ptrace.clear(flag::NOTIFY);
    }
    let why = if stop.kind == Kind::Group { CLD_STOPPED } else { CLD_TRAPPED };
    tell(&tree, tracer, task, why, stop.code & 0x7f);
    true
}

/// What a stopped task is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Stay.
    Stay,
    /// Report once more: it listened, and something changed.
    Again,
    /// Go on, with what is left of the stop and the signal given.
    Go(i32),
    /// Go on to its end.
    End,
}

/// Looks at what a stopped task is to do.
#[must_use]
pub fn next(task: &Task) -> (Next, Option<Stopped>) {
    let mut state = task.ptrace.state.lock();
    let Some(stop) = state.stop else { return (Next::Go(0), None) };
    if let Some(signo) = state.resume.take() {
        state.stop = None;
        return (Next::Go(signo), Some(stop));
    }
    drop(state);
    if must_leave(task, stop.kind) {
        let mut tree = task.kernel.tree.lock();
        if let Some(traced) = tree.tracees.get_mut(&task.pid().id) {
            traced.report = None;
        }
        task.ptrace.state.lock().stop = None;
        return (Next::End, Some(stop));
    }
    let flags = task.ptrace.flags();
    if flags & flag::LISTENING != 0 && flags & (flag::TRAP | flag::NOTIFY) != 0 {
        task.ptrace.clear(flag::LISTENING);
        return (Next::Again, Some(stop));
    }
    (Next::Stay, Some(stop))
}

/// Sends `SIGCHLD` about a stop of `task` to its tracer, and wakes who waits there.
fn tell(tree: &Tree, tracer: u64, task: &Task, code: i32, status: i32) {
    let Some(tracer) = tree.tasks.get(&tracer) else { return };
    let action = tracer.group.handlers().get(SIGCHLD);
    if action.handler != SIG_IGN && action.flags & SA_NOCLDSTOP == 0 {
        let pid = task.pid().number_or_zero(tracer.group.pid.namespace());
        let uid = tracer.cred().user_ns.uid_out(task.cred().ruid);
        let detail = Detail::Child { pid, uid, status, utime: 0, stime: 0 };
        send::to_group(&tracer.group, Info { signo: SIGCHLD, errno: 0, code, detail });
    }
    tracer.group.child_wait.wake(Ready::IN);
}
