//! The executor: worker threads that poll tasks and wait for guests' events.
//!
//! A worker owns a platform port. It polls what is on its queue, serves the events of the guests it
//! resumed, and sleeps in the port. A task woken by a worker is polled by that worker, which soon
//! has nothing else to do; a worker that sleeps is woken only when the waking one is busy.

mod worker;

pub use worker::Worker;

use crate::task::Task;
use bevor_platform::Notify;
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What others see of a worker.
pub(crate) struct Shared {
    queue: Mutex<VecDeque<Arc<Task>>>,
    queued: AtomicUsize,
    idle: AtomicBool,
    notifier: Arc<dyn Notify>,
}

/// The workers of a sandbox.
#[derive(Default)]
pub struct Executor {
    workers: OnceLock<Vec<Arc<Shared>>>,
    stopping: AtomicBool,
    next: AtomicUsize,
}

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Executor {
    /// Tells the executor its workers, once.
    pub(crate) fn set_workers(&self, workers: Vec<Arc<Shared>>) {
        // A second call would come from a second start of the same kernel: the first one stays.
        let _ = self.workers.set(workers);
    }

    fn workers(&self) -> &[Arc<Shared>] {
        self.workers.get().map_or(&[], Vec::as_slice)
    }

    /// Queues a task that [`Sched::wake`](crate::task::Sched::wake) said must be queued.
    pub fn enqueue(&self, task: Arc<Task>) {
        let workers = self.workers();
        let current = CURRENT.get();
        let home = task.sched.home();
        let index = match current {
            // Keep it here while nothing else is queued; else let an idle worker help.
            Some(me) if workers[me].queued.load(Ordering::Relaxed) == 0 => me,
            Some(me) => {
                workers.iter().position(|worker| worker.idle.load(Ordering::Relaxed)).unwrap_or(me)
            }
            None if home < workers.len() && workers[home].idle.load(Ordering::Relaxed) => home,
            None => self.next.fetch_add(1, Ordering::Relaxed) % workers.len().max(1),
        };
        let Some(worker) = workers.get(index) else { return };
        let mut queue = worker.queue.lock();
        queue.push_back(task);
        worker.queued.store(queue.len(), Ordering::SeqCst);
        drop(queue);
        if current != Some(index) {
            worker.notifier.notify();
        }
    }

    /// Wakes the worker that keeps time: an earlier deadline was set.
    pub fn deadline_moved(&self) {
        if CURRENT.get() != Some(0)
            && let Some(timekeeper) = self.workers().first()
        {
            timekeeper.notifier.notify();
        }
    }

    /// Makes every worker return.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for worker in self.workers() {
            worker.notifier.notify();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executor({} workers)", self.workers().len())
    }
}
