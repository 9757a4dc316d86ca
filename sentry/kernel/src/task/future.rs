//! The one hand-written future of every task: run the guest, await its next event, serve it.

use super::traced::Then;
use super::{Machine, Task, reload};
use crate::block::{Block, ObjectKind, Restart, Source, Stop};
use crate::ctx::Ctx;
use crate::executor::Worker;
use crate::exit;
use crate::oom;
use crate::ptrace::{self, Stopped};
use crate::signal::{self, Info, SIGKILL};
use crate::tree::ExitStatus;
use bevor_abi::Errno;
use bevor_abi::errno::{ENOSYS, ERESTARTSYS};
use bevor_abi::ptrace::PTRACE_O_TRACEEXIT;
use bevor_abi::time::Timespec;
use bevor_base::timer::{Timed, TimerId};
use bevor_base::{Ready, Registration, WaitQueue, Wakeable};
use bevor_memory::UserAddr;
use bevor_platform::Event;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long a call waits that was interrupted by a signal somebody else took.
const RESTART_DELAY_NS: u64 = 1_000_000;

/// What the task does next.
pub(super) enum Step {
    /// Enter the guest, after looking at signals.
    Enter,
    /// The guest is running; an event is awaited.
    Guest,
    /// A system call waits.
    Waiting(Box<Waiting>),
    /// Stopped by job control, perhaps in a waiting call.
    Stopped(Option<Box<Waiting>>),
    /// Stopped for its tracer.
    Traced(Box<Then>),
    /// Ended.
    Dead,
}

/// A waiting call and its registrations, which end when it goes on.
pub(super) struct Waiting {
    block: Block,
    _registrations: Vec<Registration>,
    timer: Option<TimerId>,
    /// Where it is between being saved and loaded; only while that is tested.
    saved: Saved,
}

/// Where a wait is between being saved and loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Saved {
    /// It was not since it was made or woken.
    #[default]
    No,
    /// It was loaded, and its handler has to look once more.
    Loaded,
    /// It was loaded and has parked.
    Parked,
}

/// How a look at pending signals ended.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    /// Nothing more to do; `handler` tells whether a handler's frame was pushed.
    Go {
        /// Whether a handler will run.
        handler: bool,
    },
    /// The process is stopped: park.
    Stop,
    /// The task is traced: it stops for this.
    Trap(Stopped),
    /// The task must end with this status.
    Exit(ExitStatus),
}

/// State machine of a task.
pub struct TaskFuture {
    pub(super) machine: Machine,
    pub(super) step: Step,
}

impl Timed for Task {
    fn expired(&self) {
        self.wake(Ready::NONE);
    }
}

impl TaskFuture {
    /// A task that enters the guest first.
    #[must_use]
    pub const fn new(machine: Machine) -> Self {
        Self { machine, step: Step::Enter }
    }

    /// Registers and memory of a task that is parked.
    pub const fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// The waiting call, if the task waits in one.
    #[must_use]
    pub fn block(&self) -> Option<&Block> {
        match &self.step {
            Step::Waiting(waiting) => Some(&waiting.block),
            _ => None,
        }
    }

    /// Goes on until the task runs in the guest, waits, is stopped or has ended.
    pub fn poll(&mut self, task: &Arc<Task>, worker: &mut Worker<'_>) {
        loop {
            let next = match std::mem::replace(&mut self.step, Step::Dead) {
                Step::Enter => self.enter(task, worker),
                Step::Guest => Some(self.serve_event(task)),
                Step::Waiting(waiting) => self.go_on(task, waiting),
                Step::Stopped(waiting) => self.stopped(task, waiting),
                Step::Traced(then) => self.traced(task, then),
                Step::Dead => return,
            };
            match next {
                Some(step) => self.step = step,
                None => return,
            }
        }
    }

    /// Looks at signals, then resumes the guest. `None` when the worker is done with the task.
    fn enter(&mut self, task: &Arc<Task>, worker: &mut Worker<'_>) -> Option<Step> {
        if task.sched.take_attention() {
            self.refresh_answers(task);
            match signal::deliver::work(task, &mut self.machine) {
                Flow::Go { .. } => {}
                flow => return Some(self.follow(task, flow)),
            }
        }
        if self.machine.thread.is_none() {
            return self.exit(task, ExitStatus::Signaled { signo: SIGKILL, core: false });
        }
        if !worker.can_resume() {
            self.step = Step::Enter;
            task.requeue();
            return None;
        }
        if task.ptrace.is_active() {
            self.machine.prepare_step(task);
        }
        let Some(thread) = self.machine.thread.as_deref_mut() else { return Some(Step::Enter) };
        self.step = Step::Guest;
        task.sched.enter_guest();
        if task.sched.attention() {
            task.sched.begin_poll(worker.index());
            worker.go_on_polling();
            return Some(Step::Enter);
        }
        match worker.resume(task, thread, &self.machine.context) {
            Ok(()) => {
                self.machine.context.full = false;
                // A notifier that saw IN_GUEST before the guest ran kicked too early.
                if task.sched.attention() {
                    task.kick();
                }
                None
            }
            Err(_) => {
                task.sched.begin_poll(worker.index());
                worker.go_on_polling();
                self.exit(task, exit::gone_status(task))
            }
        }
    }

    /// Rewrites the in-guest answers if somebody else changed what they say.
    fn refresh_answers(&mut self, task: &Task) {
        let Some(thread) = self.machine.thread.as_deref_mut() else { return };
        // Again if it changed while it was written: see `Task::expire_answers`.
        while task.answers_stale.swap(false, Ordering::SeqCst) {
            thread.set_answers(&task.answers());
        }
    }

    fn serve_event(&mut self, task: &Arc<Task>) -> Step {
        let machine = &mut self.machine;
        let Some(thread) = machine.thread.as_deref_mut() else { return Step::Enter };
        let event = thread.take_event(&mut machine.context);
        let traced = task.ptrace.is_active();
        if std::mem::take(&mut machine.stepping) {
            ptrace::arch::end_step(&mut machine.context);
        }
        match event {
            Event::Syscall if traced => return self.traced_call(task),
            Event::Syscall => {
                if let Some(site) = thread.patch_candidate() {
                    let mm = &machine.mm;
                    mm.space().patch(site, &**mm);
                }
                return self.syscall(task, None, false);
            }
            // A filter may have more to say about it than that there is no such call.
            Event::ForeignSyscall { .. } if task.seccomp.is_on() => {
                return self.syscall(task, None, false);
            }
            Event::ForeignSyscall { nr } => {
                task.kernel.note_unknown_syscall(nr);
                machine.set_return(ENOSYS.as_return());
            }
            Event::PageFault { addr, access, code, bus } => {
                task.counters.minor_faults.fetch_add(1, Ordering::Relaxed);
                if let Err(fault) = machine.mm.fault(addr, access, bus) {
                    if fault.oom {
                        oom::kill_for(task);
                        return Step::Enter;
                    }
                    let ip = machine.context.regs.instruction_pointer();
                    tracing::debug!(
                        tid = task.tid(),
                        "fault of {:#x} ({access:?}) at {ip:#x}: signal {}",
                        addr,
                        fault.signo
                    );
                    let error_code = signal::deliver::page_fault_error(access, code);
                    let info = Info::fault(fault.signo, fault.code, addr, 14, error_code);
                    signal::send::force(task, info);
                }
            }
            Event::Exception { signo, code, addr, trapno, error_code } => {
                let ip = machine.context.regs.instruction_pointer();
                tracing::debug!(tid = task.tid(), trapno, "exception at {ip:#x}: signal {signo}");
                let info = Info::fault(signo, code, addr, trapno, error_code);
                signal::send::force(task, info);
            }
            Event::Interrupted => {}
            Event::Gone => {
                machine.thread = None;
                signal::send::group_exit(&task.group, exit::gone_status(task));
            }
        }
        Step::Enter
    }

    /// Calls the handler of the current system call; `waiting` is what it waited with. The old
    /// registrations stay until the handler has looked, so that no wake-up falls in between.
    pub(super) fn syscall(
        &mut self,
        task: &Arc<Task>,
        waiting: Option<Box<Waiting>>,
        timed_out: bool,
    ) -> Step {
        let resumed = waiting.as_ref().filter(|waiting| !waiting.block.afresh);
        let timed_out = timed_out && resumed.is_some();
        let resumed = resumed.map(|waiting| &waiting.block);
        let result = Ctx::dispatch(task, &mut self.machine, resumed, timed_out);
        if let Err(Stop::Block(block)) = result {
            let nr = i32::try_from(self.machine.context.regs.syscall_nr()).unwrap_or(-1);
            task.waiting_in.store(nr, Ordering::Relaxed);
            let step = Self::wait(task, *block, waiting);
            return match step {
                Step::Waiting(waiting) if self.machine.event.is_some() => {
                    self.event_stop(task, Then::Wait(waiting))
                }
                step => step,
            };
        }
        if let Some(waiting) = waiting
            && waiting.finish(task).restart == Restart::Killable
        {
            task.sched.set_attention();
        }
        let traced = task.ptrace.is_active();
        if traced && self.machine.event.is_some() {
            return self.event_stop(task, Then::Return(Self::result_of(&result)));
        }
        match result {
            Ok(value) => self.machine.set_return(value),
            Err(Stop::Errno(errno)) if errno == ERESTARTSYS => return self.restart(task),
            Err(Stop::Errno(errno)) => self.machine.set_return(errno.as_return()),
            Err(Stop::NoReturn | Stop::Block(_)) => {}
        }
        if self.machine.thread.is_none() {
            Step::Dead
        } else if traced {
            self.leave_call(task)
        } else {
            Step::Enter
        }
    }

    /// The handler sent its own task a signal that must act before the call goes on.
    fn restart(&mut self, task: &Arc<Task>) -> Step {
        // Where the signal turns out to do nothing the call is made again a little later.
        let again_ns = bevor_base::clock::monotonic_ns().saturating_add(RESTART_DELAY_NS);
        let block = Block { afresh: true, ..Block::new(Restart::Sys) }.until(Some(again_ns));
        self.interrupt(task, Box::new(Self::register(task, block)))
    }

    fn wait(task: &Arc<Task>, block: Block, waiting: Option<Box<Waiting>>) -> Step {
        match waiting {
            Some(mut waiting) if waiting.block.waits_like(&block) => {
                waiting.block = block;
                Step::Waiting(waiting)
            }
            other => {
                let mut next = Self::register(task, block);
                if let Some(old) = other {
                    next.saved = old.saved;
                    drop(old.finish(task));
                } else {
                    task.counters.voluntary_switches.fetch_add(1, Ordering::Relaxed);
                }
                // Something may have happened before the registration: look once more.
                task.sched.set_woken();
                Step::Waiting(Box::new(next))
            }
        }
    }

    fn register(task: &Arc<Task>, block: Block) -> Waiting {
        task.signals.lock().wanted = block.wanted_signals;
        if block.wanted_signals != 0 {
            task.sched.set_attention();
        }
        let registrations = block.sources.iter().filter_map(|(source, ready)| {
            let waiter: Arc<dyn Wakeable> = task.clone();
            let queue: WaitQueue = match source {
                Source::File(file) => file.ops().wait_queue_of(task.as_any())?,
                Source::Object { queue, .. } => queue.clone(),
                Source::Children => task.group.child_wait.clone(),
            };
            Some(queue.register(waiter, *ready))
        });
        let registrations = registrations.collect();
        let timer = block
            .deadline_ns
            .map(|deadline_ns| task.kernel.timers.arm(deadline_ns, task.clone() as Arc<dyn Timed>));
        Waiting { block, _registrations: registrations, timer, saved: Saved::default() }
    }

    /// A waiting call was polled: retries it, ends it, or parks the task.
    fn go_on(&mut self, task: &Arc<Task>, waiting: Box<Waiting>) -> Option<Step> {
        let now_ns = bevor_base::clock::monotonic_ns();
        let timed_out = waiting.block.deadline_ns.is_some_and(|deadline| deadline <= now_ns);
        if task.sched.take_woken() || timed_out {
            let waiting = self.reload_on_wake(task, waiting);
            return Some(self.syscall(task, Some(waiting), timed_out));
        }
        if task.sched.take_attention() {
            return Some(self.interrupt(task, waiting));
        }
        let waiting = match self.reload_on_park(task, waiting) {
            Ok(parked) => parked,
            Err(loaded) => return Some(Step::Waiting(loaded)),
        };
        if let Some(thread) = &self.machine.thread {
            thread.rest();
        }
        self.step = Step::Waiting(waiting);
        if task.sched.park() {
            return None;
        }
        Some(std::mem::replace(&mut self.step, Step::Dead))
    }

    /// While that is tested: what waits is saved and loaded before its handler looks at what woke it.
    fn reload_on_wake(&self, task: &Arc<Task>, waiting: Box<Waiting>) -> Box<Waiting> {
        // Only what parked: a handler that looks again is not to be sent back for ever.
        if waiting.saved != Saved::Parked {
            return waiting;
        }
        Box::new(Waiting { saved: Saved::No, ..self.reload(task, *waiting) })
    }

    /// While that is tested: what is about to park is saved and loaded once, and its handler looks
    /// again, since the registrations were gone meanwhile (`Err`).
    fn reload_on_park(
        &self,
        task: &Arc<Task>,
        mut waiting: Box<Waiting>,
    ) -> Result<Box<Waiting>, Box<Waiting>> {
        if !task.kernel.config.reload_waits || waiting.saved == Saved::Parked {
            return Ok(waiting);
        }
        if waiting.saved == Saved::Loaded {
            waiting.saved = Saved::Parked;
            return Ok(waiting);
        }
        let loaded = Waiting { saved: Saved::Loaded, ..self.reload(task, *waiting) };
        task.sched.set_woken();
        Err(Box::new(loaded))
    }

    /// Makes of a wait what is written of it, and a wait of that.
    fn reload(&self, task: &Arc<Task>, waiting: Waiting) -> Waiting {
        let saved = reload::save(&waiting.block);
        if let Some(timer) = waiting.timer {
            task.kernel.timers.disarm(timer);
        }
        drop(waiting);
        Self::register(task, reload::load(task, &self.machine.files, saved))
    }

    /// A signal, a stop or a kill came while a call waited.
    fn interrupt(&mut self, task: &Arc<Task>, waiting: Box<Waiting>) -> Step {
        if !signal::deliver::has_work(task) {
            return Step::Waiting(waiting);
        }
        if waiting.block.restart == Restart::Killable && !signal::deliver::has_fatal(task) {
            // Its end is when the signals are looked at again.
            return Step::Waiting(waiting);
        }
        if signal::deliver::has_wanted(task, waiting.block.wanted_signals) {
            // `rt_sigtimedwait`: its handler takes the signal itself.
            return self.syscall(task, Some(waiting), false);
        }
        let done = waiting.block.done;
        if done != 0 {
            drop(waiting.finish(task));
            self.machine.set_return(done);
            task.sched.set_attention();
            return if task.ptrace.is_active() { self.leave_call(task) } else { Step::Enter };
        }
        if let Err(errno) = self.write_left(&waiting.block) {
            drop(waiting.finish(task));
            self.machine.set_return(errno.as_return());
            task.sched.set_attention();
            return if task.ptrace.is_active() { self.leave_call(task) } else { Step::Enter };
        }
        if task.ptrace.is_active() {
            return self.interrupt_traced(task, *waiting);
        }
        self.machine.interrupted = Some(waiting.block.restart);
        let flow = signal::deliver::work(task, &mut self.machine);
        self.machine.interrupted = None;
        match flow {
            Flow::Exit(status) => {
                drop(waiting.finish(task));
                self.exit(task, status).unwrap_or(Step::Dead)
            }
            Flow::Go { handler: true } => {
                drop(waiting.finish(task));
                Step::Enter
            }
            // Nothing ran: the call goes on waiting where it was, with the same deadline.
            Flow::Go { handler: false } => Step::Waiting(waiting),
            Flow::Stop => Step::Stopped(Some(waiting)),
            Flow::Trap(stop) => self.trap_in_wait(task, *waiting, stop),
        }
    }

    /// Tells an interrupted sleeper how much was left (`nanosleep(2)`); with a bad address it sleeps
    /// no longer.
    fn write_left(&self, block: &Block) -> Result<(), Errno> {
        if let (Some(at), Some(deadline_ns)) = (block.write_left, block.deadline_ns) {
            let left = deadline_ns.saturating_sub(bevor_base::clock::monotonic_ns());
            let left = Timespec::from_ns(left.cast_signed());
            self.machine.mm.write(UserAddr(at), &left)?;
        }
        Ok(())
    }

    /// Job control has stopped the process; `waiting` is the call it was stopped in.
    fn stopped(&mut self, task: &Arc<Task>, waiting: Option<Box<Waiting>>) -> Option<Step> {
        if !task.group.is_stopped() || signal::deliver::must_end(task) || task.ptrace.is_active() {
            task.sched.set_attention();
            return Some(match waiting {
                Some(waiting) => {
                    task.sched.set_woken();
                    Step::Waiting(waiting)
                }
                None => Step::Enter,
            });
        }
        self.step = Step::Stopped(waiting);
        if task.sched.park() {
            return None;
        }
        Some(std::mem::replace(&mut self.step, Step::Dead))
    }

    pub(super) fn exit(&mut self, task: &Arc<Task>, status: ExitStatus) -> Option<Step> {
        if task.ptrace.wants(PTRACE_O_TRACEEXIT) {
            return Some(self.exit_traced(task, status));
        }
        exit::end_task(task, &mut self.machine, status);
        Some(Step::Dead)
    }
}

impl Waiting {
    pub(super) fn finish(mut self, task: &Task) -> Block {
        task.waiting_in.store(-1, Ordering::Relaxed);
        if let Some(timer) = self.timer.take() {
            task.kernel.timers.disarm(timer);
        }
        if self.block.wanted_signals != 0 {
            task.signals.lock().wanted = 0;
        }
        if let Some(id) = crate::seccomp::waits_for(&self.block) {
            task.seccomp.withdraw(id);
        }
        for (source, _) in &self.block.sources {
            if let Source::Object { kind: ObjectKind::Futex, id, .. } = source
                && let Some(waiter) = task.kernel.futexes.waiter(*id)
            {
                task.kernel.futexes.finish(&waiter);
            }
        }
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_future_is_small() {
        assert!(std::mem::size_of::<TaskFuture>() <= 1024);
    }
}
