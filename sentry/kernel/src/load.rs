//! How busy the sandbox is: processor time of all tasks, load averages (`proc_loadavg(5)`).
//!
//! Linux samples the number of runnable tasks every five seconds. An idle sandbox must not wake up
//! for that, so the averages are brought up to date when somebody asks. In between, the number of
//! runnable tasks was the processor time they used, divided by the time that passed; while that is
//! all the processors have, it was as many as are runnable when asked.

use crate::group::Usage;
use crate::kernel::Kernel;
use bevor_base::clock::boottime_ns;
use parking_lot::Mutex;

/// Time constants of the three averages, seconds.
const PERIODS: [f64; 3] = [60.0, 300.0, 900.0];
/// Looks closer together than this change nothing, nanoseconds.
const LEAST_STEP_NS: u64 = 100_000_000;
/// Processors count as used up from this share on: the host takes its part.
const SATURATED: f64 = 0.8;

/// The load averages and when they were brought up to date.
#[derive(Debug, Default)]
pub struct Load(Mutex<Averages>);

#[derive(Clone, Copy, Debug, Default)]
struct Averages {
    values: [f64; 3],
    /// Time since the start, and processor time used by then, nanoseconds.
    at_ns: u64,
    used_ns: u64,
}

impl Averages {
    /// Moves on to time `now_ns`, when `used_ns` had been used and `runnable` tasks wanted to run.
    fn advance(&mut self, now_ns: u64, used_ns: u64, runnable: usize, nr_cpus: usize) {
        let step_ns = now_ns.saturating_sub(self.at_ns);
        if step_ns < LEAST_STEP_NS {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "averages are approximate")]
        let (step_s, used_s, runnable, cpus) = (
            step_ns as f64 / 1e9,
            used_ns.saturating_sub(self.used_ns) as f64 / 1e9,
            runnable as f64,
            nr_cpus.max(1) as f64,
        );
        let used = used_s / step_s;
        let active = if used >= SATURATED * cpus { used.max(runnable) } else { used };
        for (value, period) in self.values.iter_mut().zip(PERIODS) {
            let kept = (-step_s / period).exp();
            *value = *value * kept + active * (1.0 - kept);
        }
        (self.at_ns, self.used_ns) = (now_ns, used_ns);
    }
}

impl Kernel {
    /// Processor time and counters of all tasks there are and have been.
    #[must_use]
    pub fn total_usage(&self) -> Usage {
        let tasks: Vec<_> = self.tree.lock().tasks.values().cloned().collect();
        let mut total = *self.ended_usage.lock();
        for task in tasks {
            task.refresh_usage();
            total.add(&task.usage());
        }
        total
    }

    /// How many tasks run or want to.
    #[must_use]
    pub fn nr_runnable(&self) -> usize {
        self.tree.lock().tasks.values().filter(|task| !task.sched.is_parked()).count()
    }

    /// The load averages over one, five and fifteen minutes.
    #[must_use]
    pub fn load_averages(&self) -> [f64; 3] {
        let usage = self.total_usage();
        let runnable = self.nr_runnable();
        let now_ns = boottime_ns().saturating_sub(self.boot_ns);
        let mut averages = self.load.0.lock();
        averages.advance(now_ns, usage.user_ns + usage.system_ns, runnable, self.config.nr_cpus);
        averages.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn one_busy_task_approaches_one() {
        let mut averages = Averages::default();
        averages.advance(60 * SECOND_NS, 60 * SECOND_NS, 1, 4);
        assert!((averages.values[0] - 0.632).abs() < 0.001, "{averages:?}");
        assert!(averages.values[0] > averages.values[1] && averages.values[1] > averages.values[2]);
        averages.advance(660 * SECOND_NS, 660 * SECOND_NS, 1, 4);
        assert!(averages.values[0] > 0.99);
    }

    #[test]
    fn more_tasks_than_processors_count_all() {
        let mut averages = Averages::default();
        averages.advance(600 * SECOND_NS, 1200 * SECOND_NS, 8, 2);
        assert!(averages.values[0] > 7.9, "{averages:?}");
    }

    #[test]
    fn it_falls_while_idle_and_not_at_once() {
        let mut averages = Averages::default();
        averages.advance(600 * SECOND_NS, 600 * SECOND_NS, 1, 2);
        let busy = averages.values;
        averages.advance(600 * SECOND_NS + 1000, 600 * SECOND_NS, 0, 2);
        assert_eq!(averages.values, busy);
        averages.advance(900 * SECOND_NS, 600 * SECOND_NS, 0, 2);
        assert!(averages.values[0] < 0.01 && averages.values[2] > 0.3, "{averages:?}");
    }
}
