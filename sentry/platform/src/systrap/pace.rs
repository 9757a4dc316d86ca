//! How a port and its guests wait for each other: spinning, or sleeping side by side.
//!
//! Spinning hands over in well under a microsecond, but only if the other side runs on a core of its
//! own. When it does not, every spin is lost and keeps the other side from running. So a port learns:
//! - it spins while that works: the other side answers within what sleeping would cost;
//! - hand-overs that take long although the guest ran only shortly mean that there is no core to spare.
//!   Then port and guest sleep at once, pinned to one core, where a wake-up is a plain switch;
//! - a guest that computes for long is neither waited for by spinning nor pinned;
//! - now and then it tries to spin again, less and less often while that fails.

use crate::arch::clock;

/// Longest spin, microseconds: about what sleeping and waking across cores costs.
const SPIN_US: u32 = 20;
/// A guest that ran longer than this is not worth waiting for.
const SHORT_RUN_US: u32 = 50;
/// Hand-overs judged before the way is changed.
const TRIAL: u32 = 8;
/// First and last distance between trials of spinning, in hand-overs.
const FIRST_PAUSE: u32 = 64;
const LAST_PAUSE: u32 = 1 << 14;

/// How to wait now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Each on a core of its own, spinning.
    Spin,
    /// On one core, asleep.
    Pair,
}

/// One hand-over, in time-stamp ticks. The guest's part of it is a guest's word.
#[derive(Clone, Copy, Debug)]
pub struct HandOver {
    /// From resume to the sight of the event.
    pub total: u64,
    /// Of that, guest code.
    pub guest: u64,
}

/// What a port has learned.
#[derive(Debug)]
pub struct Pace {
    way: Way,
    may_spin: bool,
    /// Hand-overs since the last judgement, and how many of them were slow.
    seen: u32,
    slow: u32,
    /// Hand-overs until spinning is tried again, and how long the next pause will be.
    left: u32,
    pause: u32,
    /// Runs that were too long to wait for, in a row; spins are skipped then.
    long_runs: u32,
    spin: u32,
    short: u64,
}

impl Pace {
    /// A port's beginning.
    pub fn new(nr_cpus: usize) -> Self {
        let may_spin = nr_cpus > 1;
        Self {
            way: if may_spin { Way::Spin } else { Way::Pair },
            may_spin,
            seen: 0,
            slow: 0,
            left: 0,
            pause: FIRST_PAUSE,
            long_runs: 0,
            spin: clock::ticks_of_us(SPIN_US),
            short: clock::ticks_of_us(SHORT_RUN_US).into(),
        }
    }

    /// How to wait.
    pub const fn way(&self) -> Way {
        self.way
    }

    /// How long the port spins for the next event, ticks.
    pub const fn port_spin(&self) -> u32 {
        match self.way {
            // Guests that compute: look once in a while whether that is still so.
            Way::Spin if self.long_runs < 4 || self.long_runs.is_multiple_of(16) => self.spin,
            _ => 0,
        }
    }

    /// How long a guest spins for its answer, ticks.
    pub const fn guest_spin(&self) -> u32 {
        match self.way {
            Way::Spin => self.spin,
            Way::Pair => 0,
        }
    }

    /// Learns from a hand-over. Tells whether the way changed.
    pub fn learn(&mut self, seen: HandOver) -> bool {
        if seen.guest > self.short {
            self.long_runs = self.long_runs.saturating_add(1);
            return false;
        }
        self.long_runs = 0;
        match self.way {
            Way::Spin => {
                self.seen += 1;
                self.slow += u32::from(seen.total.saturating_sub(seen.guest) > self.spin.into());
                if self.seen < TRIAL {
                    return false;
                }
                let failed = self.slow * 2 >= self.seen;
                if failed {
                    self.left = self.pause;
                    self.pause = (self.pause * 2).min(LAST_PAUSE);
                    self.way = Way::Pair;
                } else if self.slow == 0 {
                    self.pause = FIRST_PAUSE.max(self.pause / 2);
                }
                (self.seen, self.slow) = (0, 0);
                failed
            }
            Way::Pair => {
                self.left = self.left.saturating_sub(1);
                let again = self.may_spin && self.left == 0;
                if again {
                    self.way = Way::Spin;
                }
                again
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(pace: &Pace, other: u64) -> HandOver {
        HandOver { total: pace.short / 2 + other, guest: pace.short / 2 }
    }

    fn feed(pace: &mut Pace, count: u32, other: u64) {
        for _ in 0..count {
            let seen = over(pace, other);
            pace.learn(seen);
        }
    }

    #[test]
    fn quick_answers_keep_spinning() {
        let mut pace = Pace::new(2);
        feed(&mut pace, 1000, 100);
        assert_eq!(pace.way(), Way::Spin);
        assert!(pace.port_spin() > 0 && pace.guest_spin() > 0);
    }

    #[test]
    fn slow_answers_end_it_and_trials_grow_rare() {
        let mut pace = Pace::new(2);
        let slow = u64::from(pace.spin) * 100;
        let mut spun = 0;
        for _ in 0..100_000 {
            spun += u32::from(pace.way() == Way::Spin);
            feed(&mut pace, 1, slow);
        }
        assert!(spun < 200, "{spun}");
        feed(&mut pace, LAST_PAUSE * 2, 100);
        assert_eq!(pace.way(), Way::Spin, "and comes back when the load is gone");
    }

    #[test]
    fn long_runs_are_not_waited_for_but_prove_nothing() {
        let mut pace = Pace::new(2);
        for _ in 0..5 {
            let guest = pace.short * 10;
            assert!(!pace.learn(HandOver { total: guest + 10, guest }));
        }
        assert_eq!((pace.way(), pace.port_spin()), (Way::Spin, 0));
        feed(&mut pace, 1, 10);
        assert!(pace.port_spin() > 0);
    }

    #[test]
    fn one_core_never_spins() {
        let mut pace = Pace::new(1);
        feed(&mut pace, 100_000, 10);
        assert_eq!((pace.port_spin(), pace.guest_spin()), (0, 0));
    }
}
