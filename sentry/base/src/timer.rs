//! One queue of deadlines for the whole sandbox.
//!
//! The executor asks for [`TimerQueue::next_deadline_ns`], sleeps no longer than that, and calls
//! [`TimerQueue::fire`]. Timers are on the host's `CLOCK_MONOTONIC`; the owners of timers on other
//! clocks convert, and re-arm when those clocks are set.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// What a timer does when its time has come.
pub trait Timed: Send + Sync {
    /// Called once, without locks of the queue, from a worker. Must not block.
    fn expired(&self);
}

/// Names an armed timer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimerId {
    deadline_ns: u64,
    serial: u64,
}

/// Deadlines in order.
#[derive(Default)]
pub struct TimerQueue {
    timers: Mutex<BTreeMap<TimerId, Arc<dyn Timed>>>,
    serial: AtomicU64,
    /// The earliest deadline, `u64::MAX` when there is none; readable without the lock.
    earliest_ns: AtomicU64,
    sooner: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl TimerQueue {
    /// Makes an empty queue.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { earliest_ns: AtomicU64::new(u64::MAX), ..Self::default() })
    }

    /// Sets what is called when a new timer is earlier than every other (wakes a sleeping worker).
    pub fn on_sooner(&self, hook: Box<dyn Fn() + Send + Sync>) {
        // A second hook would mean a second executor; the first one stays.
        let _ = self.sooner.set(hook);
    }

    /// Arms a timer for `deadline_ns` of the host's `CLOCK_MONOTONIC`.
    pub fn arm(&self, deadline_ns: u64, what: Arc<dyn Timed>) -> TimerId {
        let id = TimerId { deadline_ns, serial: self.serial.fetch_add(1, Ordering::Relaxed) };
        let mut timers = self.timers.lock();
        timers.insert(id, what);
        let sooner = deadline_ns < self.earliest_ns.load(Ordering::Relaxed);
        self.note_earliest(&timers);
        drop(timers);
        if sooner && let Some(hook) = self.sooner.get() {
            hook();
        }
        id
    }

    /// Disarms a timer; `false` if it already fired or is about to.
    pub fn disarm(&self, id: TimerId) -> bool {
        let mut timers = self.timers.lock();
        let removed = timers.remove(&id);
        self.note_earliest(&timers);
        drop(timers);
        removed.is_some()
    }

    /// The earliest deadline, if any timer is armed. No lock, no host call.
    #[must_use]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        Some(self.earliest_ns.load(Ordering::Acquire)).filter(|&ns| ns != u64::MAX)
    }

    /// Fires every timer due at `now_ns`.
    pub fn fire(&self, now_ns: u64) {
        while self.earliest_ns.load(Ordering::Acquire) <= now_ns {
            let mut timers = self.timers.lock();
            let due = timers.first_entry().filter(|entry| entry.key().deadline_ns <= now_ns);
            let due = due.map(|entry| entry.remove());
            self.note_earliest(&timers);
            drop(timers);
            match due {
                Some(timed) => timed.expired(),
                None => return,
            }
        }
    }

    fn note_earliest(&self, timers: &BTreeMap<TimerId, Arc<dyn Timed>>) {
        let earliest = timers.first_key_value().map_or(u64::MAX, |(id, _)| id.deadline_ns);
        self.earliest_ns.store(earliest, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Log(Mutex<u32>);
    impl Timed for Log {
        fn expired(&self) {
            *self.0.lock() += 1;
        }
    }

    #[test]
    fn fires_what_is_due_and_nothing_else() {
        let queue = TimerQueue::new();
        let log = Arc::new(Log::default());
        queue.arm(30, log.clone());
        let cancelled = queue.arm(10, log.clone());
        queue.arm(20, log.clone());
        assert_eq!(queue.next_deadline_ns(), Some(10));
        assert!(queue.disarm(cancelled));
        assert!(!queue.disarm(cancelled));
        queue.fire(25);
        assert_eq!(*log.0.lock(), 1);
        assert_eq!(queue.next_deadline_ns(), Some(30));
        queue.fire(30);
        assert_eq!((*log.0.lock(), queue.next_deadline_ns()), (2, None));
    }
}
