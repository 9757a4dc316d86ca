//! What time a timer counts.

use crate::group::ThreadGroup;
use crate::task::Task;
use bevor_base::clock::monotonic_ns;
use std::sync::Weak;

/// The clock of a timer, in nanoseconds.
#[derive(Clone)]
pub enum Source {
    /// The host's `CLOCK_MONOTONIC`; timers of other wall clocks are converted when they are set.
    Wall,
    /// CPU time of a process.
    Process(Weak<ThreadGroup>),
    /// CPU time of a thread.
    Thread(Weak<Task>),
}

impl Source {
    /// Its time now; the CPU time of something that has ended stands still at 0.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match self {
            Self::Wall => monotonic_ns(),
            Self::Process(group) => group.upgrade().map_or(0, |group| {
                group.refresh_usage();
                let usage = group.total_usage();
                usage.user_ns + usage.system_ns
            }),
            Self::Thread(task) => task.upgrade().map_or(0, |task| {
                task.refresh_usage();
                let usage = task.usage();
                usage.user_ns + usage.system_ns
            }),
        }
    }

    /// How many nanoseconds it may advance in one of wall time.
    #[must_use]
    pub fn most_speed(&self) -> u64 {
        match self {
            Self::Wall | Self::Thread(_) => 1,
            Self::Process(group) => {
                group.upgrade().map_or(1, |group| group.threads.lock().len().max(1) as u64)
            }
        }
    }

    /// Whether it advances with wall time.
    pub(super) const fn is_wall(&self) -> bool {
        matches!(self, Self::Wall)
    }
}

impl Task {
    /// Brings the CPU time of its guest code up to date, unless a worker is polling it, which does
    /// so itself.
    pub fn refresh_usage(&self) {
        if let Some(mut future) = self.future.try_lock()
            && let Some(thread) = future.machine().thread.as_deref()
        {
            self.note_times(thread);
        }
    }
}

impl ThreadGroup {
    /// Brings the CPU time of all its threads up to date.
    pub fn refresh_usage(&self) {
        let threads = self.threads.lock().clone();
        for task in threads {
            task.refresh_usage();
        }
    }
}
