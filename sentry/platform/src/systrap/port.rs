//! Ports: one executor worker's end.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::arch::clock;
use crate::systrap::bell::Bell;
use crate::systrap::core::Core;
use crate::systrap::host;
use crate::systrap::pace::{HandOver, Pace, Way};
use crate::systrap::thread::{Place, SystrapThread, ThreadShared};
use crate::{Context, Notify, PlatformError, Port, Thread, Token, Wake};

/// While guests run, a sleeping worker looks at them this often, whatever it was told: a lost wake-up
/// costs time, never a hang.
const RESCAN_NS: u64 = 500_000_000;
/// The first look comes this soon: a thread gives up waking a worker that was held up on its way to sleep.
/// A guest that is kept to some cores is set free then, since it computes.
const FIRST_LOOK_NS: u64 = 2_000_000;

/// A guest that gave up spinning for its answer sleeps on while others
/// that are awake ask for one thing after the other, up to this long. To wake it at once would cost
/// them the core, and in the end everybody would sleep before every answer.
const TURN_US: u32 = 500;
/// Others count as asking one thing after the other this long after the last of them was resumed, and
/// this long if it had to be woken.
const GAP_US: u32 = 5;
const WAKE_US: u32 = 50;

#[derive(Debug)]
struct Running {
    token: Token,
    thread: Arc<ThreadShared>,
    since: u64,
}

/// Wakes a port.
#[derive(Debug)]
struct Notifier {
    bell: Bell,
    notified: AtomicBool,
}

impl Notify for Notifier {
    fn notify(&self) {
        if !self.notified.swap(true, SeqCst) {
            self.bell.ring();
        }
    }
}

/// The platform's port.
#[derive(Debug)]
pub struct SystrapPort {
    core: Arc<Core>,
    notifier: Arc<Notifier>,
    running: Vec<Running>,
    /// Where the next scan starts, so that no guest is starved.
    next: usize,
    pace: Pace,
    /// When a guest was resumed last, and when one that slept was, ticks.
    last_resume: u64,
    last_slept: bool,
    last_turn: u64,
    /// The core this worker is pinned to, with its guests.
    pinned: Option<usize>,
}

impl SystrapPort {
    pub(super) fn new(core: Arc<Core>, bell: Bell) -> Self {
        let notifier = Arc::new(Notifier { bell, notified: AtomicBool::new(false) });
        let pace = Pace::new(core.cpus.count());
        Self {
            core,
            notifier,
            running: Vec::new(),
            next: 0,
            pace,
            last_resume: 0,
            last_slept: false,
            last_turn: 0,
            pinned: None,
        }
    }

    /// Whether a scan would find something.
    fn is_ready(&self) -> bool {
        self.notifier.notified.load(SeqCst) || self.running.iter().any(|r| r.thread.has_event())
    }

    fn scan(&mut self) -> Option<Wake> {
        if self.notifier.notified.load(Relaxed) && self.notifier.notified.swap(false, SeqCst) {
            return Some(Wake::Notified);
        }
        let count = self.running.len();
        let awake_first = count > 1 && self.pace.guest_spin() > 0;
        let mut sleeper = None;
        for step in 0..count {
            let index = (self.next + step) % count;
            let thread = &self.running[index].thread;
            if thread.has_event() {
                if !awake_first || !thread.sleeps() {
                    return Some(self.take(index));
                }
                sleeper = sleeper.or(Some(index));
            }
        }
        let index = sleeper?;
        let now = clock::ticks();
        let since = |then: u64| now.saturating_sub(then);
        let gap = if self.last_slept { WAKE_US } else { GAP_US };
        let in_vain = since(self.last_resume) > clock::ticks_of_us(gap).into();
        if !in_vain && since(self.last_turn) < clock::ticks_of_us(TURN_US).into() {
            return None;
        }
        self.last_turn = now;
        Some(self.take(index))
    }

    fn take(&mut self, index: usize) -> Wake {
        let found = self.running.swap_remove(index);
        self.next = index;
        self.learn(&found);
        Wake::Event(found.token)
    }

    fn learn(&mut self, found: &Running) {
        let now = clock::ticks();
        let total = now.saturating_sub(found.since);
        found.thread.begin_serving(now);
        let guest = found.thread.guest_ticks().min(total);
        found.thread.since.store(0, Relaxed);
        found.thread.ran.fetch_add(guest, Relaxed);
        if self.pace.learn(HandOver { total, guest }) {
            match self.pace.way() {
                Way::Spin => {
                    if self.pinned.take().is_some() {
                        self.core.cpus.unpin(0);
                    }
                }
                Way::Pair => {
                    let cpu = host::current_cpu();
                    host::pin(0, cpu);
                    self.pinned = Some(cpu);
                }
            }
        }
    }

    /// Says where a guest shall run. While both sides spin, one that must be woken stays off the
    /// worker's core: the host likes to wake it there, where it would wait for the spinning to end.
    fn place(&self, thread: &ThreadShared) {
        match self.pinned {
            Some(cpu) => thread.put(Place::On(cpu)),
            None if self.pace.guest_spin() > 0 && thread.sleeps() => {
                thread.put(Place::Off(host::current_cpu()));
            }
            None => thread.leave_core(),
        }
    }

    /// Sets guests free that turned out to compute.
    fn unpin_guests(&self) {
        for running in &self.running {
            running.thread.put(Place::Anywhere);
        }
    }
}

impl Port for SystrapPort {
    fn adopt(&mut self) {
        match self.pinned {
            Some(cpu) => host::pin(0, cpu),
            None => self.core.cpus.unpin(0),
        }
    }

    fn resume(
        &mut self,
        token: Token,
        thread: &mut dyn Thread,
        ctx: &Context,
    ) -> Result<(), PlatformError> {
        let thread: &mut dyn Any = thread;
        let thread = thread
            .downcast_mut::<SystrapThread>()
            .expect("a port is given threads of its own platform");
        self.last_slept = thread.shared.sleeps();
        self.place(&thread.shared);
        thread.shared.set_spin(self.pace.guest_spin());
        let since = clock::ticks();
        thread.shared.end_serving(since);
        thread.start(ctx, self.notifier.bell.address())?;
        thread.shared.since.store(since, Relaxed);
        self.last_resume = since;
        self.running.push(Running { token, thread: thread.shared.clone(), since });
        Ok(())
    }

    fn next(&mut self, deadline_ns: Option<u64>) -> Wake {
        let mut look = FIRST_LOOK_NS;
        loop {
            if let Some(wake) = self.scan() {
                return wake;
            }
            let mut timeout = (!self.running.is_empty()).then_some(look);
            if let Some(deadline) = deadline_ns {
                let left = deadline.saturating_sub(host::now_ns());
                if left == 0 {
                    return Wake::Deadline;
                }
                timeout = Some(timeout.map_or(left, |look| look.min(left)));
            }
            let spin = if self.running.is_empty() { 0 } else { self.pace.port_spin() };
            self.notifier.bell.wait(spin, timeout, || self.is_ready());
            if timeout == Some(look) && !self.is_ready() {
                self.running.iter().for_each(|r| r.thread.release_again());
                self.unpin_guests();
                look = RESCAN_NS;
            }
        }
    }

    fn try_next(&mut self) -> Option<Wake> {
        self.scan()
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        self.notifier.clone()
    }

    fn nr_running(&self) -> usize {
        self.running.len()
    }
}

impl Drop for SystrapPort {
    fn drop(&mut self) {
        self.unpin_guests();
        if self.pinned.is_some() {
            self.core.cpus.unpin(0);
        }
    }
}
