//! What the command line says when it cannot do what was asked.

use std::fmt;

/// Exit status of Bevor's own failures, as `docker run` has it.
pub const FAILED: u8 = 125;
/// The program cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The program does not exist.
pub const NOT_FOUND: u8 = 127;
/// The time limit was reached, as `timeout(1)` has it.
pub const TIMED_OUT: u8 = 124;

/// One line for standard error and an exit status.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    message: String,
}

impl Failure {
    /// A failure of Bevor itself.
    pub fn new(message: impl Into<String>) -> Self {
        Self { status: FAILED, message: message.into() }
    }

    /// The same with another exit status.
    #[must_use]
    pub fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever a path or a name contains.
        for c in self.message.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

/// Puts what was attempted before an error of the host.
pub trait Attempt<T> {
    /// `"<what>: <error>"`.
    ///
    /// # Errors
    /// The failure.
    fn attempt(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Attempt<T> for Result<T, E> {
    fn attempt(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{what}: {error}")))
    }
}
