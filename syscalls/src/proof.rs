//! How far tests prove the rows of the table.
//!
//! `proof.txt` says what tests saw, with the host's answer and on both platforms; `errnos.txt` which
//! errors a call has, and which of them cannot be provoked. A full row that was not seen to succeed,
//! or one of whose errors was not seen, is shown as partial.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::row::{Row, Support};

/// What is known of one call.
#[derive(Debug, Default)]
pub struct Proof {
    /// It was seen to succeed.
    pub succeeded: bool,
    /// Errors that were seen.
    pub errors: Vec<&'static str>,
    /// Tests that saw some of this.
    pub tests: Vec<&'static str>,
    /// Errors it has.
    pub documented: Vec<&'static str>,
    /// Errors it has that cannot be provoked in a sandbox, and why; `success` if it never returns.
    pub never: Vec<(&'static str, &'static str)>,
}

impl Proof {
    /// Errors it has that no test saw.
    pub fn unseen(&self) -> impl Iterator<Item = &'static str> {
        self.documented.iter().filter(|error| !self.errors.contains(error)).copied()
    }
}

static PROOFS: LazyLock<BTreeMap<&'static str, Proof>> = LazyLock::new(read);

/// What is known of the call `name`.
#[must_use]
pub fn of(name: &str) -> Option<&'static Proof> {
    PROOFS.get(name)
}

/// Every call that is named in the two files.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROOFS.keys().copied()
}

/// How far the call is served, as far as that is proven, and what is missing.
#[must_use]
pub fn support(row: &Row) -> (&'static str, String) {
    if row.support != Support::Full {
        return (row.support.word(), row.note());
    }
    let nothing = Proof::default();
    let proof = of(row.name).unwrap_or(&nothing);
    let never = proof.never.iter().any(|(what, _)| *what == "success");
    let success = (!proof.succeeded && !never).then_some("success");
    let unseen: Vec<_> = success.into_iter().chain(proof.unseen()).collect();
    if unseen.is_empty() {
        return (row.support.word(), String::new());
    }
    ("partial", format!("not seen by a test: {}", unseen.join(", ")))
}

fn read() -> BTreeMap<&'static str, Proof> {
    let mut proofs: BTreeMap<&'static str, Proof> = BTreeMap::new();
    for (subject, text) in entries(include_str!("../errnos.txt")) {
        match subject.split_once(" never ") {
            Some((call, error)) => {
                proofs.entry(call).or_default().never.push((error, text));
            }
            None => {
                proofs.entry(subject).or_default().documented =
                    text.split(' ').filter(|word| !word.is_empty()).collect()
            }
        }
    }
    for (fact, tests) in entries(include_str!("../proof.txt")) {
        let Some((call, what)) = fact.split_once(' ') else { continue };
        let proof = proofs.entry(call).or_default();
        match what {
            "ok" => proof.succeeded = true,
            // Flags are a record to read: no row depends on them.
            flag if flag.contains('=') => {}
            error => proof.errors.push(error),
        }
        for test in tests.split(' ') {
            if !proof.tests.contains(&test) {
                proof.tests.push(test);
            }
        }
    }
    for proof in proofs.values_mut() {
        proof.tests.sort_unstable();
    }
    proofs
}

/// The lines `SUBJECT: TEXT` of a file, without its comments.
fn entries(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(':')).map(|(subject, text)| (subject, text.trim()))
}
