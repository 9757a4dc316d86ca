//! One worker thread's loop.

use super::seat::{Seat, Tools};
use super::{CURRENT, Executor, ThreadNumber};
use crate::kernel::Kernel;
use crate::task::Task;
use bevor_platform::{Context, PlatformError, Thread, Wake};
use parking_lot::MutexGuard;
use std::sync::Arc;

/// What a thread of the executor starts with.
#[derive(Debug)]
pub struct WorkerThread {
    number: ThreadNumber,
    seat: Option<usize>,
}

impl WorkerThread {
    /// Thread `index`, which takes the seat of that number or is a spare one.
    pub(crate) const fn new(index: usize, nr_seats: usize) -> Self {
        let seat = if index < nr_seats { Some(index) } else { None };
        Self { number: Self::number(index), seat }
    }

    /// What a thread is called in seats.
    pub(crate) const fn number(index: usize) -> ThreadNumber {
        index + 1
    }

    /// Works until the executor stops.
    pub fn run(self, kernel: &Kernel) {
        let executor = &kernel.executor;
        let mut next = self.seat;
        while let Some(index) = next.or_else(|| executor.await_vacancy()) {
            next = None;
            let Some(seat) = executor.seats().get(index) else { return };
            CURRENT.set(Some((index, self.number)));
            Worker { index, seat, me: self.number, tools: Some(seat.take(self.number)) }
                .work(kernel, executor);
            CURRENT.set(None);
            if executor.is_stopping() {
                return;
            }
        }
    }
}

/// A thread with its seat.
pub struct Worker<'a> {
    index: usize,
    seat: &'a Seat,
    me: ThreadNumber,
    /// `None` during a poll, and after a poll in which the seat was lost.
    tools: Option<MutexGuard<'a, Tools>>,
}

impl Worker<'_> {
    /// The number of its seat.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Gets ready for [`Worker::resume`]. `false`: the poll took so long that the seat was given to
    /// another thread, and somebody else has to go on with the task.
    #[must_use]
    pub fn can_resume(&mut self) -> bool {
        if self.tools.is_none() {
            self.tools = self.seat.end_poll(self.me);
        }
        self.tools.is_some()
    }

    /// Resumes a task's thread through this worker's port, after [`Worker::can_resume`].
    ///
    /// # Errors
    /// [`PlatformError::Gone`].
    pub fn resume(
        &mut self,
        task: &Arc<Task>,
        thread: &mut dyn Thread,
        context: &Context,
    ) -> Result<(), PlatformError> {
        let Some(tools) = &mut self.tools else { return Err(PlatformError::Gone) };
        let Tools { port, running, free } = &mut **tools;
        let slot = free.pop().unwrap_or_else(|| {
            running.push(None);
            running.len() - 1
        });
        let resumed = port.resume(slot as u64, thread, context);
        if resumed.is_ok() {
            running[slot] = Some(task.clone());
        } else {
            free.push(slot);
        }
        resumed
    }

    /// The poll goes on although the task was to be resumed.
    pub fn go_on_polling(&mut self) {
        if let Some(tools) = self.tools.take() {
            self.seat.begin_poll(tools);
        }
    }

    /// Works until the executor stops or the seat is lost.
    fn work(&mut self, kernel: &Kernel, executor: &Executor) {
        while !executor.is_stopping() {
            self.drain_queue();
            let Some(tools) = &mut self.tools else { return };
            fire_timers(kernel);
            if self.seat.nr_queued() != 0 {
                if let Some(Wake::Event(token)) = tools.port.try_next() {
                    self.event(token);
                }
                continue;
            }
            let deadline = if self.index == 0 { kernel.timers.next_deadline_ns() } else { None };
            self.seat.set_idle(true);
            let wake = tools.port.next(deadline);
            self.seat.set_idle(false);
            executor.watcher.wake();
            if let Wake::Event(token) = wake {
                self.event(token);
            }
        }
    }

    /// Polls what was queued at the time of the call.
    fn drain_queue(&mut self) {
        for _ in 0..self.seat.nr_queued() {
            if self.tools.is_none() {
                return;
            }
            if let Some(task) = self.seat.pop() {
                self.poll(&task);
            }
        }
    }

    fn event(&mut self, token: u64) {
        let Some(tools) = &mut self.tools else { return };
        let slot = usize::try_from(token).unwrap_or(usize::MAX);
        if let Some(task) = tools.running.get_mut(slot).and_then(Option::take) {
            tools.free.push(slot);
            self.poll(&task);
        }
    }

    fn poll(&mut self, task: &Arc<Task>) {
        if task.sched.is_dead() {
            return;
        }
        task.sched.begin_poll(self.index);
        self.go_on_polling();
        // The task's state says that nobody else polls it: the lock is free, or held for a moment
        // by somebody who looks at a parked task.
        task.future.lock().poll(task, self);
        if self.tools.is_none() {
            // Whether or not the seat is still there: the loop looks.
            self.tools = self.seat.end_poll(self.me);
        }
    }
}

fn fire_timers(kernel: &Kernel) {
    if kernel.timers.next_deadline_ns().is_some() {
        kernel.timers.fire(bevor_base::clock::monotonic_ns());
    }
}
