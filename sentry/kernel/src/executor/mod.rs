//! The executor: worker threads that poll tasks and wait for guests' events.
//!
//! There are as many *seats* as processors. A seat is a platform port, the tasks whose guests run
//! through it, and a queue. The thread that holds it polls what is queued, serves the events of the
//! guests it resumed, and sleeps in the port. A task woken by a seat's thread is polled there, which
//! soon has nothing else to do; a seat that sleeps is woken only when the waking one is busy.
//!
//! A poll may take long: a host call on a file system that hangs, or a lock whose owner is in one.
//! The [watcher](Executor::watch) then gives the seat to a spare thread, and the thread that lost it
//! becomes a spare when its poll ends.
//!
//! Lock order: `Spares` → a seat's `tools` (only ever tried) → nothing; a seat's `queue` is a leaf.

mod seat;
mod watch;
mod worker;

pub use worker::{Worker, WorkerThread};

use crate::task::Task;
use parking_lot::{Condvar, Mutex};
pub(crate) use seat::Seat;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use watch::Watcher;

/// Threads beyond one for each seat: how many polls may take long at once without a seat being left
/// alone. An idle one costs two pages of its stack.
pub const NR_SPARES: usize = 8;

/// Names a thread of the executor; 0 is nobody.
type ThreadNumber = usize;

/// The workers of a sandbox.
#[derive(Default)]
pub struct Executor {
    seats: OnceLock<Vec<Seat>>,
    spares: Mutex<Spares>,
    spare_wanted: Condvar,
    watcher: Watcher,
    stopping: AtomicBool,
    next: AtomicUsize,
}

/// Threads without a seat.
#[derive(Default)]
struct Spares {
    /// How many sleep.
    idle: usize,
    /// Seats that nobody holds.
    vacant: VecDeque<usize>,
}

thread_local! {
    /// The seat this thread took last, and the thread's number.
    static CURRENT: Cell<Option<(usize, ThreadNumber)>> = const { Cell::new(None) };
}

impl Executor {
    /// Gives the executor its seats, once.
    pub(crate) fn set_seats(&self, seats: Vec<Seat>) {
        // A second call would come from a second start of the same kernel: the first one stays.
        let _ = self.seats.set(seats);
    }

    fn seats(&self) -> &[Seat] {
        self.seats.get().map_or(&[], Vec::as_slice)
    }

    /// The seat this thread holds.
    fn current(&self) -> Option<usize> {
        let (index, me) = CURRENT.get()?;
        self.seats().get(index)?.is_held_by(me).then_some(index)
    }

    /// Queues a task that [`Sched::wake`](crate::task::Sched::wake) said must be queued.
    pub fn enqueue(&self, task: Arc<Task>) {
        let seats = self.seats();
        let home = task.sched.home();
        let index = match self.current() {
            // Keep it here while nothing else is queued; else let an idle worker help.
            Some(mine) if seats[mine].nr_queued() == 0 => mine,
            Some(mine) => seats.iter().position(Seat::is_idle).unwrap_or(mine),
            None if seats.get(home).is_some_and(Seat::is_idle) => home,
            None => self.next.fetch_add(1, Ordering::Relaxed) % seats.len().max(1),
        };
        let Some(seat) = seats.get(index) else { return };
        seat.push(task);
        // Asked after the push: whoever takes the seat over from then on looks at the queue first.
        if self.current() != Some(index) {
            seat.notify();
        }
    }

    /// Wakes the worker that keeps time: an earlier deadline was set.
    pub fn deadline_moved(&self) {
        // The deadline is set before the look at who keeps time, who is set before his look at it.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.current() != Some(0)
            && let Some(timekeeper) = self.seats().first()
        {
            timekeeper.notify();
        }
    }

    /// Makes every worker return.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for seat in self.seats() {
            seat.notify();
        }
        drop(self.spares.lock());
        self.spare_wanted.notify_all();
        self.watcher.wake();
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits for a seat nobody holds. `None`: the executor stops.
    fn await_vacancy(&self) -> Option<usize> {
        let mut spares = self.spares.lock();
        loop {
            if self.is_stopping() {
                return None;
            }
            if let Some(index) = spares.vacant.pop_front() {
                return Some(index);
            }
            spares.idle += 1;
            self.spare_wanted.wait(&mut spares);
            spares.idle -= 1;
        }
    }

    /// Takes a seat from its thread, which is in its poll number `poll` for too long, and gives it to
    /// a spare thread if there is one.
    fn relieve(&self, index: usize, poll: u64) -> bool {
        let mut spares = self.spares.lock();
        let spare = spares.idle > spares.vacant.len();
        let relieved = spare && self.seats()[index].vacate(poll);
        if relieved {
            spares.vacant.push_back(index);
            self.spare_wanted.notify_one();
        }
        relieved
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executor({} seats)", self.seats().len())
    }
}
