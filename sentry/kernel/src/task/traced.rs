//! Stops of traced tasks: how a task parks for its tracer, and what it does afterwards.

use super::future::{Flow, Step, TaskFuture, Waiting};
use super::{Machine, Task};
use crate::block::{Restart, SysResult};
use crate::exit;
use crate::ptrace::{self, Kind, MESSAGE_ENTRY, MESSAGE_EXIT, Next, Stopped, arch, flag};
use crate::signal::{self, Info, SIGTRAP, deliver, send};
use crate::tree::ExitStatus;
use bevor_abi::errno::ENOSYS;
use bevor_abi::ptrace::{PTRACE_EVENT_EXIT, PTRACE_EVENT_SECCOMP};
use std::sync::Arc;

/// `TRAP_BRKPT`.
const TRAP_BRKPT: i32 = 1;
/// Trap number of a debug exception.
const TRAP_DEBUG: u64 = 1;

/// What a traced task does after its stop.
pub(super) enum Then {
    /// It looks at signals and goes on in the guest; in a signal's stop with the signal it is given.
    Enter,
    /// It makes its system call.
    Call {
        /// No, its tracer does (`PTRACE_SYSEMU`).
        emulated: bool,
    },
    /// Its system call returns this; `None`: what is in the registers.
    Return(Option<u64>),
    /// It makes the call that a filter asked its tracer about.
    Asked,
    /// Its system call has returned.
    Left,
    /// Its system call goes on waiting.
    Wait(Box<Waiting>),
    /// It ends.
    Exit(ExitStatus),
}

impl TaskFuture {
    /// Stops for the tracer, if there is one.
    fn stop(&mut self, task: &Arc<Task>, stop: Stopped, message: u64, then: Then) -> Step {
        if ptrace::begin(task, stop, message) {
            return Step::Traced(Box::new(then));
        }
        match (stop.kind, then) {
            // It was just untraced, or is to be killed: the signal is as good as new.
            (Kind::Signal, _) => {
                if let Some(info) = stop.info {
                    send::put_back(task, info);
                }
                task.sched.set_attention();
                Step::Enter
            }
            (_, then) => self.after(task, stop, 0, then),
        }
    }

    /// A task in a stop was polled.
    pub(super) fn traced(&mut self, task: &Arc<Task>, then: Box<Then>) -> Option<Step> {
        let (next, stop) = ptrace::next(task);
        match (next, stop) {
            (Next::Stay, _) => {
                self.step = Step::Traced(then);
                if let Some(thread) = &self.machine.thread {
                    thread.rest();
                }
                if task.sched.park() {
                    return None;
                }
                Some(std::mem::replace(&mut self.step, Step::Dead))
            }
            (Next::Again, _) => {
                let again = ptrace::pending_trap(task);
                match again {
                    Some(stop) => Some(self.stop(task, stop, 0, *then)),
                    None => Some(Step::Traced(then)),
                }
            }
            (Next::Go(signo), Some(stop)) => Some(self.after(task, stop, signo, *then)),
            (Next::End, Some(stop)) if matches!(*then, Then::Exit(_)) => {
                Some(self.after(task, stop, 0, *then))
            }
            (Next::Go(_) | Next::End, _) => {
                if let Then::Wait(waiting) = *then {
                    drop(waiting.finish(task));
                }
                task.sched.set_attention();
                Some(Step::Enter)
            }
        }
    }

    /// Goes on after a stop, with the signal its tracer gave.
    fn after(&mut self, task: &Arc<Task>, stop: Stopped, signo: i32, then: Then) -> Step {
        self.machine.context.full = true;
        match then {
            Then::Enter => {
                if stop.kind == Kind::Signal || stop.kind == Kind::Group {
                    // The tracer may have changed what the registers say of an interrupted call.
                    self.machine.restarting = true;
                }
                task.sched.set_attention();
                let given = (stop.kind == Kind::Signal).then(|| given(task, stop, signo)).flatten();
                match given {
                    Some(info) => self.deliver(task, info),
                    None => Step::Enter,
                }
            }
            Then::Call { emulated } => {
                send_given(task, signo);
                let nr = arch::call_number(&self.machine.context.regs);
                if deliver::must_end(task) || emulated {
                    task.sched.set_attention();
                    Step::Enter
                } else if nr == -1 {
                    self.leave_call(task)
                } else {
                    self.syscall(task, None, false)
                }
            }
            Then::Return(value) => {
                if let Some(value) = value {
                    self.machine.set_return(value);
                }
                self.leave_call(task)
            }
            Then::Asked => {
                if deliver::must_end(task) {
                    task.sched.set_attention();
                    Step::Enter
                } else if arch::call_number(&self.machine.context.regs) == -1 {
                    self.leave_call(task)
                } else {
                    self.machine.asked = true;
                    let step = self.syscall(task, None, false);
                    self.machine.asked = false;
                    step
                }
            }
            Then::Left => {
                send_given(task, signo);
                task.sched.set_attention();
                Step::Enter
            }
            Then::Wait(waiting) => {
                task.sched.set_woken();
                Step::Waiting(waiting)
            }
            Then::Exit(status) => {
                exit::end_task(task, &mut self.machine, status);
                Step::Dead
            }
        }
    }

    /// Delivers a signal that the tracer let through, and looks at the others.
    fn deliver(&mut self, task: &Arc<Task>, info: Info) -> Step {
        let flow = deliver::work_on(task, &mut self.machine, Some(info));
        self.follow(task, flow)
    }

    /// Does what a look at the signals of a task in no wait has come to.
    pub(super) fn follow(&mut self, task: &Arc<Task>, flow: Flow) -> Step {
        match flow {
            Flow::Go { .. } => Step::Enter,
            Flow::Stop => Step::Stopped(None),
            Flow::Exit(status) => self.exit(task, status).unwrap_or(Step::Dead),
            Flow::Trap(stop) => self.stop(task, stop, 0, Then::Enter),
        }
    }

    /// A traced task is about to make a system call.
    #[cold]
    pub(super) fn traced_call(&mut self, task: &Arc<Task>) -> Step {
        let flags = task.ptrace.flags();
        if flags & (flag::SYSCALL | flag::EMULATE) == 0 {
            return self.syscall(task, None, false);
        }
        let emulated = flags & flag::EMULATE != 0;
        self.stop(task, Stopped::syscall(task), MESSAGE_ENTRY, Then::Call { emulated })
    }

    /// The handler of a traced task's call has asked for a stop.
    #[cold]
    pub(super) fn event_stop(&mut self, task: &Arc<Task>, then: Then) -> Step {
        let Some((event, message)) = self.machine.event.take() else {
            return self.after(task, Stopped::event(task, 0), 0, then);
        };
        let then = if event == PTRACE_EVENT_SECCOMP { Then::Asked } else { then };
        if let Then::Return(Some(_)) = then {
            self.machine.set_return(ENOSYS.as_return());
        }
        self.stop(task, Stopped::event(task, event), message, then)
    }

    /// What a handler of a traced task answered, for the case that there is an event to stop for.
    pub(super) const fn result_of(result: &SysResult) -> Option<u64> {
        match result {
            Ok(value) => Some(*value),
            Err(_) => None,
        }
    }

    /// A traced task's call has returned.
    #[cold]
    pub(super) fn leave_call(&mut self, task: &Arc<Task>) -> Step {
        if let Some(status) = self.machine.ending.take() {
            return self.exit(task, status).unwrap_or(Step::Dead);
        }
        let flags = task.ptrace.flags();
        if flags & flag::STEP != 0 {
            let at = self.machine.context.regs.instruction_pointer();
            send::force(task, Info::fault(SIGTRAP, TRAP_BRKPT, at, TRAP_DEBUG, 0));
            return Step::Enter;
        }
        if flags & flag::SYSCALL != 0 {
            return self.stop(task, Stopped::syscall(task), MESSAGE_EXIT, Then::Left);
        }
        Step::Enter
    }

    /// A signal or a stop came while a traced task's call waited: the call returns what says that it is
    /// to be made again, so that its tracer sees that.
    #[cold]
    pub(super) fn interrupt_traced(&mut self, task: &Arc<Task>, waiting: Waiting) -> Step {
        self.abandon(task, waiting);
        task.sched.set_attention();
        self.leave_call(task)
    }

    /// The same, when the tracer came only now.
    #[cold]
    pub(super) fn trap_in_wait(
        &mut self,
        task: &Arc<Task>,
        waiting: Waiting,
        stop: Stopped,
    ) -> Step {
        self.abandon(task, waiting);
        self.stop(task, stop, 0, Then::Enter)
    }

    fn abandon(&mut self, task: &Arc<Task>, waiting: Waiting) {
        let block = waiting.finish(task);
        let restart = block.restart;
        signal::set_interrupted(&mut self.machine, restart);
        self.machine.restarting = true;
        if restart == Restart::SameDeadline {
            let call = self.machine.context.regs.syscall_nr();
            self.machine.restart = Some(Box::new((call, block)));
        }
    }

    /// Ends the task, after its tracer has seen it if it wants to.
    #[cold]
    pub(super) fn exit_traced(&mut self, task: &Arc<Task>, status: ExitStatus) -> Step {
        let message = u64::from(status.wait_word().cast_unsigned());
        let stop = Stopped::event(task, PTRACE_EVENT_EXIT);
        self.stop(task, stop, message, Then::Exit(status))
    }
}

impl Machine {
    /// Registers a traced task enters the guest with: a step traps.
    #[cold]
    pub(super) fn prepare_step(&mut self, task: &Task) {
        if task.ptrace.has(flag::STEP) {
            arch::begin_step(self);
        }
    }
}

/// The signal a task goes on with after a signal's stop.
fn given(task: &Arc<Task>, stop: Stopped, signo: i32) -> Option<Info> {
    if signo == 0 {
        return None;
    }
    let info = match stop.info {
        Some(info) if info.signo == signo => info,
        _ => {
            let (pid, uid) = task.tracer().map_or((0, 0), |tracer| {
                let pid = tracer.group.pid.number_or_zero(task.pid().namespace());
                (pid, task.cred().user_ns.uid_out(tracer.cred().ruid))
            });
            Info::user(signo, pid, uid)
        }
    };
    if task.signals.lock().blocked & signal::bit(signo) != 0 {
        send::put_back(task, info);
        return None;
    }
    Some(info)
}

/// Sends the signal a tracer gave at a stop that has none of its own.
fn send_given(task: &Arc<Task>, signo: i32) {
    if signo != 0 {
        send::to_task(task, Info::kernel(signo));
    }
}
