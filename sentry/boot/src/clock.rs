//! How long each step of a start takes, for those who make it shorter.

use std::time::Instant;

/// Counts from the start of the process; prints only when asked to (`--time-start`).
#[derive(Clone, Debug)]
pub struct StartClock {
    enabled: bool,
    started: Instant,
}

impl Default for StartClock {
    fn default() -> Self {
        Self { enabled: false, started: Instant::now() }
    }
}

impl StartClock {
    /// Lets it print, or not.
    pub fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Says that a step is done.
    pub fn passed(&self, what: &str) {
        if self.enabled {
            eprintln!("bevor: sentry: {:?}: {what}", self.started.elapsed());
        }
    }
}
