//! One worker thread's loop.

use super::{CURRENT, Executor, Shared};
use crate::kernel::Kernel;
use crate::task::Task;
use bevor_platform::{Context, PlatformError, Port, Thread, Wake};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A worker: its port and the tasks whose guests run through it.
pub struct Worker {
    index: usize,
    port: Box<dyn Port>,
    shared: Arc<Shared>,
    /// Running tasks by token.
    running: Vec<Option<Arc<Task>>>,
    free: Vec<usize>,
}

impl Worker {
    /// A worker on this port.
    #[must_use]
    pub fn new(index: usize, port: Box<dyn Port>) -> Self {
        let shared = Shared {
            queue: Mutex::new(VecDeque::new()),
            queued: AtomicUsize::new(0),
            idle: AtomicBool::new(false),
            notifier: port.notifier(),
        };
        Self { index, port, shared: Arc::new(shared), running: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Its number.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Resumes a task's thread through this worker's port.
    ///
    /// # Errors
    /// [`PlatformError::Gone`].
    pub fn resume(
        &mut self,
        task: &Arc<Task>,
        thread: &mut dyn Thread,
        context: &Context,
    ) -> Result<(), PlatformError> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.running.push(None);
            self.running.len() - 1
        });
        let resumed = self.port.resume(slot as u64, thread, context);
        if resumed.is_ok() {
            self.running[slot] = Some(task.clone());
        } else {
            self.free.push(slot);
        }
        resumed
    }

    /// Runs until the executor stops.
    pub fn run(mut self, kernel: &Kernel) {
        CURRENT.set(Some(self.index));
        let executor: &Executor = &kernel.executor;
        while !executor.is_stopping() {
            self.drain_queue();
            self.fire_timers(kernel);
            if self.shared.queued.load(Ordering::SeqCst) != 0 {
                if let Some(Wake::Event(token)) = self.port.try_next() {
                    self.event(token);
                }
                continue;
            }
            let deadline = if self.index == 0 { kernel.timers.next_deadline_ns() } else { None };
            self.shared.idle.store(true, Ordering::SeqCst);
            let wake = self.port.next(deadline);
            self.shared.idle.store(false, Ordering::SeqCst);
            if let Wake::Event(token) = wake {
                self.event(token);
            }
        }
        CURRENT.set(None);
    }

    fn fire_timers(&self, kernel: &Kernel) {
        if kernel.timers.next_deadline_ns().is_some() {
            kernel.timers.fire(bevor_base::clock::monotonic_ns());
        }
    }

    /// Polls what was queued at the time of the call, looking for events in between.
    fn drain_queue(&mut self) {
        for _ in 0..self.shared.queued.load(Ordering::SeqCst) {
            let mut queue = self.shared.queue.lock();
            let task = queue.pop_front();
            self.shared.queued.store(queue.len(), Ordering::SeqCst);
            drop(queue);
            if let Some(task) = task {
                self.poll(&task);
            }
        }
    }

    fn event(&mut self, token: u64) {
        let slot = usize::try_from(token).unwrap_or(usize::MAX);
        if let Some(task) = self.running.get_mut(slot).and_then(Option::take) {
            self.free.push(slot);
            self.poll(&task);
        }
    }

    fn poll(&mut self, task: &Arc<Task>) {
        if task.sched.is_dead() {
            return;
        }
        task.sched.begin_poll(self.index);
        // The task's state says that nobody else polls it: the lock is free, or held for a moment
        // by somebody who looks at a parked task.
        let task = task.clone();
        task.future.lock().poll(&task, self);
    }
}
