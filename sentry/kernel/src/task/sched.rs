//! Where a task is between the executor's queues, a worker and the guest.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

const PARKED: u8 = 0;
const QUEUED: u8 = 1;
const POLLING: u8 = 2;
const POLLING_AGAIN: u8 = 3;
const IN_GUEST: u8 = 4;
const DEAD: u8 = 5;

/// Scheduling state of a task. Every transition is one atomic operation.
#[derive(Debug, Default)]
pub struct Sched {
    state: AtomicU8,
    /// A source it registered with has fired.
    woken: AtomicBool,
    /// Signals, a stop or a kill wait to be looked at.
    attention: AtomicBool,
    /// The worker that polled it last.
    home: AtomicUsize,
}

impl Sched {
    /// Wants the task polled; `true` if the caller must put it on a queue.
    pub fn wake(&self) -> bool {
        let next = |state| match state {
            PARKED => Some(QUEUED),
            POLLING => Some(POLLING_AGAIN),
            _ => None,
        };
        self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) == Ok(PARKED)
    }

    /// A worker begins to poll it.
    pub fn begin_poll(&self, worker: usize) {
        self.home.store(worker, Ordering::Relaxed);
        self.state.store(POLLING, Ordering::SeqCst);
    }

    /// The worker parks it; `false` if it was woken meanwhile and must be polled again.
    pub fn park(&self) -> bool {
        let parked =
            self.state.compare_exchange(POLLING, PARKED, Ordering::SeqCst, Ordering::SeqCst);
        if parked.is_err() {
            self.state.store(POLLING, Ordering::SeqCst);
        }
        parked.is_ok()
    }

    /// The worker cannot go on with it: the caller puts it on a queue.
    pub fn requeue(&self) {
        self.state.store(QUEUED, Ordering::SeqCst);
    }

    /// The worker is about to resume the guest. Wake-ups no longer count, only attention does.
    pub fn enter_guest(&self) {
        self.state.store(IN_GUEST, Ordering::SeqCst);
    }

    /// Whether it runs guest code (or is about to).
    pub fn in_guest(&self) -> bool {
        self.state.load(Ordering::SeqCst) == IN_GUEST
    }

    /// It will never run again.
    pub fn die(&self) {
        self.state.store(DEAD, Ordering::SeqCst);
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.state.load(Ordering::SeqCst) == DEAD
    }

    /// Whether it is parked (`S` in `/proc/PID/stat`).
    pub fn is_parked(&self) -> bool {
        self.state.load(Ordering::SeqCst) == PARKED
    }

    /// Notes that a source fired.
    pub fn set_woken(&self) {
        self.woken.store(true, Ordering::SeqCst);
    }

    /// Whether a source fired since the last call.
    pub fn take_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed) && self.woken.swap(false, Ordering::SeqCst)
    }

    /// Notes that something must be looked at.
    pub fn set_attention(&self) {
        self.attention.store(true, Ordering::SeqCst);
    }

    /// Whether something must be looked at.
    pub fn attention(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
    }

    /// Clears and returns [`Sched::attention`].
    pub fn take_attention(&self) -> bool {
        self.attention.load(Ordering::SeqCst) && self.attention.swap(false, Ordering::SeqCst)
    }

    /// The worker that polled it last.
    pub fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_during_a_poll_is_not_lost() {
        let sched = Sched::default();
        assert!(sched.wake() && !sched.wake());
        sched.begin_poll(0);
        assert!(!sched.wake());
        assert!(!sched.park());
        assert!(sched.park() && sched.wake());
    }
}
