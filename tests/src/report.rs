//! Verdicts, progress lines, and the last line.

use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;

use crate::expect::Expectations;

/// What came of one run of one test.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// `folder/name@platform/user`.
    pub name: String,
    /// Why it failed; empty if it passed.
    pub problem: Option<String>,
    /// Run time in milliseconds.
    pub duration_ms: u64,
    /// How many checks this line stands for (unit tests come in bulk).
    pub count: u64,
}

impl Verdict {
    /// A test that passed.
    pub fn pass(name: &str, duration_ms: u64) -> Self {
        Self { name: name.to_owned(), problem: None, duration_ms, count: 1 }
    }

    /// A test that failed, with the reason.
    pub fn fail(name: &str, problem: &str) -> Self {
        Self { name: name.to_owned(), problem: Some(problem.to_owned()), duration_ms: 0, count: 1 }
    }

    /// Either, by what a check returned.
    pub fn of(name: &str, started: Instant, result: Result<(), String>) -> Self {
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { name: name.to_owned(), problem: result.err(), duration_ms, count: 1 }
    }

    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.problem.is_none()
    }
}

/// The tally of a run.
#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    known: u64,
    rows: Vec<String>,
    failures: Vec<String>,
    /// Names that failed at their first try.
    first_tries: Vec<String>,
}

/// Collects verdicts and prints progress as they come.
#[derive(Debug)]
pub struct Report {
    expectations: Expectations,
    tally: Mutex<Tally>,
    started: Instant,
}

impl Report {
    /// An empty report.
    pub fn new(expectations: Expectations) -> Self {
        Self { expectations, tally: Mutex::new(Tally::default()), started: Instant::now() }
    }

    /// Whether a verdict is a failure that is not listed as a known gap.
    pub fn is_failure(&self, verdict: &Verdict) -> bool {
        !verdict.passed() && self.expectations.reason(&verdict.name).is_none()
    }

    /// Prints a failure that gets a second try.
    pub fn note_first_try(&self, verdict: &Verdict) {
        if let (true, Some(problem)) = (self.is_failure(verdict), &verdict.problem) {
            println!("once more {}\n  {}", verdict.name, problem.replace('\n', "\n  "));
            let mut tally = self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            tally.first_tries.push(verdict.name.clone());
        }
    }

    /// Takes a verdict and prints its line.
    pub fn add(&self, verdict: &Verdict) {
        let known = self.expectations.reason(&verdict.name);
        let mut tally = self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let word = match (&verdict.problem, known) {
            (None, None) => {
                tally.passed += verdict.count;
                "ok"
            }
            (None, Some(_)) => {
                tally.failed += 1;
                tally
                    .failures
                    .push(format!("{}: passes: take it off tests/expectations.txt", verdict.name));
                "PASSES UNEXPECTEDLY"
            }
            (Some(_), Some(_)) => {
                tally.known += 1;
                "known gap"
            }
            (Some(problem), None) => {
                tally.failed += verdict.count;
                tally.failures.push(format!("{}: {problem}", verdict.name));
                "FAILED"
            }
        };
        let seconds = f64::from(u32::try_from(verdict.duration_ms).unwrap_or(u32::MAX)) / 1000.0;
        let row = format!("{word:<9} {} ({seconds:.2} s)", verdict.name);
        println!("{row}");
        if let (Some(problem), None) = (&verdict.problem, known) {
            println!("  {}", problem.replace('\n', "\n  "));
        }
        let _ = std::io::stdout().flush();
        tally.rows.push(row);
    }

    /// Lines of the list of known gaps that met no test count as failures.
    pub fn add_unmet_expectations(&self) {
        let mut tally = self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for pattern in self.expectations.unmet() {
            tally.failed += 1;
            tally.failures.push(format!("tests/expectations.txt: no test is called {pattern}"));
        }
    }

    /// Prints the failures again and the last line; true if nothing failed.
    pub fn finish(&self) -> bool {
        let tally = self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !tally.failures.is_empty() {
            println!("\nFailures:");
            for failure in &tally.failures {
                println!("{}", failure.lines().next().unwrap_or_default());
            }
        }
        if !tally.first_tries.is_empty() {
            println!("\nFailed at the first of two tries: {}", tally.first_tries.join(" "));
        }
        println!("\n{} s, {} known gaps", self.started.elapsed().as_secs(), tally.known);
        println!("{} passed, {} failed", tally.passed, tally.failed);
        tally.failed == 0
    }

    /// The text that a full run commits.
    pub fn table(&self, commit: &str) -> String {
        let tally = self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut rows = tally.rows.clone();
        rows.sort_by(|left, right| left.get(10..).cmp(&right.get(10..)));
        format!(
            "commit {commit}\nduration {} s\n{} passed, {} failed, {} known gaps ({} lines in tests/expectations.txt)\n\n{}\n",
            self.started.elapsed().as_secs(),
            tally.passed,
            tally.failed,
            tally.known,
            self.expectations.len(),
            rows.join("\n")
        )
    }
}
