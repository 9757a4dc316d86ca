//! How far tests prove the rows of the table.
//!
//! `proof.txt` says what tests saw, with the host's answer and on both platforms; `errnos.txt` which
//! errors a call has, `flags.txt` which flags the most used calls take, and which of both cannot be
//! provoked. A full row that was not seen to succeed, or one of whose errors or flags was not seen,
//! is shown as partial.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::row::{Row, Support};
use crate::strace::shape::Shape;

/// What is known of one call.
#[derive(Debug, Default)]
pub struct Proof {
    /// It was seen to succeed.
    pub succeeded: bool,
    /// Errors that were seen.
    pub errors: Vec<&'static str>,
    /// Tests that saw some of this.
    pub tests: Vec<&'static str>,
    /// Flags that were seen in calls that succeeded, as `argument=FLAG`.
    pub flags: Vec<&'static str>,
    /// Errors it has, and flags it takes.
    pub documented: Vec<&'static str>,
    /// Errors it has that cannot be provoked in a sandbox, and flags that cannot succeed there, and
    /// why; `success` if it never returns.
    pub never: Vec<(&'static str, &'static str)>,
}

impl Proof {
    /// Errors and flags it has that no test saw.
    pub fn unseen(&self) -> impl Iterator<Item = &'static str> {
        let seen = |what: &&&str| self.errors.contains(what) || self.flags.contains(what);
        self.documented.iter().filter(move |what| !seen(what)).copied()
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

/// Whether the call has an argument of that name, or one that points to a structure, whose fields
/// are not known here.
#[must_use]
pub fn takes(row: &Row, argument: &str) -> bool {
    row.args.iter().any(|arg| {
        arg.name.trim_start_matches("r#") == argument
            || matches!(arg.shape, Shape::Struct(..) | Shape::List(..))
    })
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
    let errnos = entries(include_str!("../errnos.txt"));
    for (subject, text) in errnos.chain(entries(include_str!("../flags.txt"))) {
        match subject.split_once(" never ") {
            Some((call, what)) => {
                proofs.entry(call).or_default().never.push((what, text));
            }
            None => {
                let words = text.split(' ').filter(|word| !word.is_empty());
                proofs.entry(subject).or_default().documented.extend(words);
            }
        }
    }
    for (fact, tests) in entries(include_str!("../proof.txt")) {
        let Some((call, what)) = fact.split_once(' ') else { continue };
        let proof = proofs.entry(call).or_default();
        match what {
            "ok" => proof.succeeded = true,
            flag if flag.contains('=') => proof.flags.push(flag),
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
