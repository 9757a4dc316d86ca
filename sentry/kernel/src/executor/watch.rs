//! The watcher: sees to it that a poll that takes long holds up nobody else.

use super::Executor;
use super::seat::Seat;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Thread, current, park, park_timeout};
use std::time::{Duration, Instant};

/// How often the seats are looked at while tasks are polled.
const TICK: Duration = Duration::from_millis(10);
/// An executor that had nothing to do for so long rests.
const REST: Duration = Duration::from_millis(400);
/// Looks that find a seat in one and the same poll before the seat is given to a spare thread. A
/// thread that only waits for its turn on a busy core should not lose its seat.
const PATIENCE: u32 = 3;

/// How the watcher is reached.
#[derive(Default)]
pub(super) struct Watcher {
    thread: OnceLock<Thread>,
    /// It sleeps until a seat has work.
    asleep: AtomicBool,
}

impl Watcher {
    /// Wakes it if it sleeps. Called whenever a seat's thread has left its port, where nearly always
    /// this is one look at a flag.
    pub(super) fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

/// What the watcher remembers of a seat.
#[derive(Clone, Copy, Default)]
struct Look {
    polls: u64,
    seen: u32,
}

impl Executor {
    /// Watches the seats until the executor stops. An idle sandbox leaves it asleep. When nothing has
    /// happened for a while `rest` is called, once until something happens again.
    pub fn watch(&self, rest: impl Fn()) {
        // Another watcher is there already.
        let Ok(()) = self.watcher.thread.set(current()) else { return };
        let mut looks = vec![Look::default(); self.seats().len()];
        while !self.is_stopping() {
            park_timeout(TICK);
            if !self.look(&mut looks) {
                self.sleep(&rest);
            }
        }
    }

    /// Looks at every seat once. Tells whether anything happens at all.
    fn look(&self, looks: &mut [Look]) -> bool {
        let mut active = false;
        for (index, (seat, last)) in self.seats().iter().zip(looks).enumerate() {
            let polls = seat.polls();
            if polls != last.polls {
                *last = Look { polls, seen: 1 };
                active = true;
            } else if polls % 2 == 1 {
                last.seen = last.seen.saturating_add(1);
                active = true;
                if last.seen >= PATIENCE && self.relieve(index, polls) {
                    tracing::debug!(index, "a spare worker goes on for one whose call takes long");
                }
            }
        }
        active
    }

    /// Sleeps until some seat's thread leaves its port.
    fn sleep(&self, rest: &impl Fn()) {
        self.watcher.asleep.store(true, Ordering::SeqCst);
        // Who leaves the port first says that it is not idle and then looks whether we sleep.
        if self.seats().iter().all(Seat::is_idle) && !self.is_stopping() {
            let since = Instant::now();
            let mut rested = false;
            while self.watcher.asleep.load(Ordering::SeqCst) {
                match REST.checked_sub(since.elapsed()) {
                    Some(left) if !rested => park_timeout(left),
                    _ if rested => park(),
                    _ => {
                        rest();
                        rested = true;
                    }
                }
            }
        }
        self.watcher.asleep.store(false, Ordering::SeqCst);
    }
}
