//! How long to watch a word before sleeping on it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::host;

/// Times that look at the clock are this many looks at the word apart.
const LOOKS_PER_CLOCK: u32 = 32;
/// After this many waits without watching, one wait watches again, to notice that it pays.
const PROBE_EVERY: u32 = 64;

/// A budget for watching, learnt from the last waits: watching that was in vain halves it, watching
/// that saw the change doubles it. On a host with a single processor it stays zero.
#[derive(Debug)]
pub struct Spin {
    max_ns: u32,
    budget_ns: AtomicU32,
    skipped: AtomicU32,
}

impl Spin {
    /// A budget of at most `max_ns`, which should be what a sleep and a wake-up cost.
    #[must_use]
    pub fn new(max_ns: u32) -> Self {
        let max_ns = if host::processors() == 1 { 0 } else { max_ns };
        Self { max_ns, budget_ns: AtomicU32::new(max_ns), skipped: AtomicU32::new(0) }
    }

    /// Watches until `changed` says yes (returns true) or the budget is used up.
    pub fn watch(&self, mut changed: impl FnMut() -> bool) -> bool {
        if changed() {
            return true;
        }
        let learnt = self.budget_ns.load(Ordering::Relaxed);
        let mut budget = learnt;
        if budget < self.max_ns / 16 || budget == 0 {
            let skipped = self.skipped.fetch_add(1, Ordering::Relaxed);
            if self.max_ns == 0 || !skipped.is_multiple_of(PROBE_EVERY) {
                return false;
            }
            budget = self.max_ns;
        }
        let start = Instant::now();
        let limit = Duration::from_nanos(budget.into());
        loop {
            for _ in 0..LOOKS_PER_CLOCK {
                if changed() {
                    self.budget_ns.store(self.max_ns.min(budget * 2), Ordering::Relaxed);
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= limit {
                self.budget_ns.store(learnt / 2, Ordering::Relaxed);
                return false;
            }
        }
    }
}
