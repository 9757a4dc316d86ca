//! Interval timers and POSIX timers of a process (`setitimer(2)`, `timer_create(2)`).

use parking_lot::Mutex;

/// Timers of a process.
#[derive(Debug, Default)]
pub struct GroupTimers {
    /// Guards all of them; what is armed lives in the kernel's timer queue.
    pub inner: Mutex<TimersInner>,
}

/// Contents of [`GroupTimers`].
#[derive(Debug, Default)]
pub struct TimersInner {
    /// Highest POSIX timer id given out, plus one.
    pub next_id: i32,
}

impl GroupTimers {
    /// What `execve` does: POSIX timers go, interval timers stay.
    pub fn exec(&self) {
        self.inner.lock().next_id = 0;
    }
}
