//! The list of known gaps, `tests/expectations.txt`: it may only shrink.
//!
//! A line is `NAME REASON…`. `NAME` is a test as the runner prints it
//! (`guest/fork@ptrace/root`); `*` stands for any run of characters. A listed
//! test that passes fails the run, and so does a line that names no test.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// One line of the list.
#[derive(Debug)]
struct Gap {
    pattern: String,
    reason: String,
    met: AtomicBool,
}

/// The whole list.
#[derive(Debug, Default)]
pub struct Expectations {
    gaps: Vec<Gap>,
}

impl Expectations {
    /// Reads the list; a line without a reason is an error.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut gaps = Vec::new();
        for line in
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (pattern, reason) =
                line.split_once(' ').ok_or(format!("expectations: no reason in `{line}`"))?;
            gaps.push(Gap {
                pattern: pattern.to_owned(),
                reason: reason.trim().to_owned(),
                met: AtomicBool::new(false),
            });
        }
        Ok(Self { gaps })
    }

    /// The reason why a test is known to fail, if it is.
    pub fn reason(&self, name: &str) -> Option<&str> {
        let mut reason = None;
        for gap in self.gaps.iter().filter(|gap| matches(&gap.pattern, name)) {
            gap.met.store(true, Ordering::Relaxed);
            reason = Some(gap.reason.as_str());
        }
        reason
    }

    /// Lines that no test of the run has met.
    pub fn unmet(&self) -> Vec<&str> {
        self.gaps
            .iter()
            .filter(|gap| !gap.met.load(Ordering::Relaxed))
            .map(|gap| gap.pattern.as_str())
            .collect()
    }

    /// Number of known gaps.
    pub fn len(&self) -> usize {
        self.gaps.len()
    }
}

/// Whether a name fits a pattern in which `*` is any run of characters.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| matches(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Expectations, matches};

    #[test]
    fn stars_match_any_run() {
        assert!(matches("guest/fork@*", "guest/fork@ptrace/root"));
        assert!(matches("*@ptrace/*", "guest/fork@ptrace/user"));
        assert!(!matches("guest/fork@ptrace/user", "guest/fork@ptrace/root"));
        assert!(!matches("guest/fork*user", "guest/fork@ptrace/root"));
    }

    #[test]
    fn a_line_needs_a_reason_and_a_test() {
        assert!(Expectations::parse("guest/fork@ptrace/root\n").is_err());
        let list = Expectations::parse("# comment\nguest/a@* why\nguest/b@* why\n").unwrap();
        assert_eq!(list.reason("guest/a@ptrace/root"), Some("why"));
        assert_eq!(list.reason("guest/c@ptrace/root"), None);
        assert_eq!(list.unmet(), ["guest/b@*"]);
    }
}
