//! Seats: what one worker thread at a time works with.

use super::ThreadNumber;
use crate::task::Task;
use bevor_platform::{Notify, Port};
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Nobody's number.
const NOBODY: ThreadNumber = 0;

/// A port with its tasks, and a queue. On cache lines of its own: its thread writes it all the time.
#[repr(align(128))]
pub(crate) struct Seat {
    queue: Mutex<VecDeque<Arc<Task>>>,
    queued: AtomicUsize,
    idle: AtomicBool,
    notifier: Arc<dyn Notify>,
    /// Whose it is. Changes only with `tools` locked.
    holder: AtomicUsize,
    /// Counts the beginnings and ends of polls: odd during one. Changed by the holder alone.
    polls: AtomicU64,
    /// Locked by the holder except during polls.
    tools: Mutex<Tools>,
}

/// What only the holder uses, and not during a poll.
pub(super) struct Tools {
    pub(super) port: Box<dyn Port>,
    /// Running tasks by token.
    pub(super) running: Vec<Option<Arc<Task>>>,
    pub(super) free: Vec<usize>,
}

impl Seat {
    /// A seat that thread `holder` will take.
    pub(crate) fn new(port: Box<dyn Port>, holder: ThreadNumber) -> Self {
        Self {
            queue: Mutex::default(),
            queued: AtomicUsize::new(0),
            idle: AtomicBool::new(false),
            notifier: port.notifier(),
            holder: AtomicUsize::new(holder),
            polls: AtomicU64::new(0),
            tools: Mutex::new(Tools { port, running: Vec::new(), free: Vec::new() }),
        }
    }

    pub(super) fn push(&self, task: Arc<Task>) {
        let mut queue = self.queue.lock();
        queue.push_back(task);
        self.queued.store(queue.len(), Ordering::SeqCst);
    }

    pub(super) fn pop(&self) -> Option<Arc<Task>> {
        let mut queue = self.queue.lock();
        let task = queue.pop_front();
        self.queued.store(queue.len(), Ordering::SeqCst);
        task
    }

    pub(super) fn nr_queued(&self) -> usize {
        self.queued.load(Ordering::SeqCst)
    }

    /// Whether its thread sleeps (or is about to) in the port.
    pub(super) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::SeqCst)
    }

    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::SeqCst);
    }

    pub(super) fn notify(&self) {
        self.notifier.notify();
    }

    pub(super) fn is_held_by(&self, thread: ThreadNumber) -> bool {
        self.holder.load(Ordering::SeqCst) == thread
    }

    /// The count of beginnings and ends of polls.
    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Ordering::SeqCst)
    }

    /// The holder begins a poll and lets go of its tools.
    pub(super) fn begin_poll(&self, tools: MutexGuard<'_, Tools>) {
        self.count_poll();
        drop(tools);
    }

    /// Gives the holder its tools back when its poll ends; `None` if the seat was given to another.
    #[inline]
    pub(super) fn end_poll(&self, me: ThreadNumber) -> Option<MutexGuard<'_, Tools>> {
        let tools = self.tools_of(me)?;
        self.count_poll();
        Some(tools)
    }

    fn count_poll(&self) {
        self.polls.store(self.polls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Never waits for another holder, who may sleep with the tools locked.
    #[inline]
    fn tools_of(&self, me: ThreadNumber) -> Option<MutexGuard<'_, Tools>> {
        while self.is_held_by(me) {
            if let Some(tools) = self.tools.try_lock() {
                return self.is_held_by(me).then_some(tools);
            }
            // The watcher has them for a moment.
            std::thread::yield_now();
        }
        None
    }

    /// A thread takes the seat: nobody's, or that it was made for.
    pub(super) fn take(&self, me: ThreadNumber) -> MutexGuard<'_, Tools> {
        let mut tools = self.tools.lock();
        self.holder.store(me, Ordering::SeqCst);
        if self.polls.load(Ordering::Relaxed) % 2 == 1 {
            self.count_poll();
        }
        tools.port.adopt();
        tools
    }

    /// Takes the seat from its holder if that still is in its poll number `poll`.
    pub(super) fn vacate(&self, poll: u64) -> bool {
        let Some(tools) = self.tools.try_lock() else { return false };
        let stuck = self.polls() == poll && !self.is_held_by(NOBODY);
        if stuck {
            self.holder.store(NOBODY, Ordering::SeqCst);
        }
        drop(tools);
        stuck
    }
}
