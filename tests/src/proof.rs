//! What tests saw of the system-call table, kept in `syscalls/proof.txt` (`--prove`).
//!
//! A fact is a line of the sentry's record: a result (`openat ENOENT`) or a flag of a successful call
//! (`openat flags=O_CREAT`). It counts when a test that passed, and so gave the host's answers, saw
//! it on both platforms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::case::Platform;

/// Most tests named for one fact.
const TESTS_MAX: usize = 3;

/// The first lines of the file.
const HEAD: &str = "\
# What tests saw of each system call, with the host's answer and on both platforms: written by
# `./test --prove`, read by `docs/syscalls.md` and `bevor syscalls`.
# CALL RESULT-OR-FLAG: TESTS, at most three, the narrowest first
";

/// The facts of a run.
#[derive(Debug, Default)]
pub struct Facts(Mutex<Run>);

#[derive(Debug, Default)]
struct Run {
    /// The platforms on which a test saw a fact.
    seen: BTreeMap<(String, String), BTreeSet<&'static str>>,
    tests: BTreeSet<String>,
}

impl Facts {
    /// A test that passed has left this record.
    pub fn add(&self, test: &str, platform: Platform, record: &str) {
        let mut run = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        run.tests.insert(test.to_owned());
        for fact in record.lines().filter(|fact| fact.contains(' ')) {
            let platforms = run.seen.entry((test.to_owned(), fact.to_owned())).or_default();
            platforms.insert(match platform {
                Platform::Systrap => "systrap",
                Platform::Ptrace => "ptrace",
            });
        }
    }

    /// Writes the file anew, or with `part` what these tests now say in the place of what they said.
    pub fn write(&self, path: &Path, part: bool) -> Result<(), String> {
        let run = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut facts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if part {
            let old =
                fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            for (fact, tests) in old.lines().filter_map(|line| line.split_once(": ")) {
                if !fact.starts_with('#') {
                    let tests = tests.split(' ').filter(|test| !run.tests.contains(*test));
                    facts.entry(fact.to_owned()).or_default().extend(tests.map(str::to_owned));
                }
            }
        }
        let mut breadth: BTreeMap<&str, usize> = BTreeMap::new();
        for ((test, fact), platforms) in &run.seen {
            if platforms.len() == 2 {
                facts.entry(fact.clone()).or_default().push(test.clone());
                *breadth.entry(test).or_default() += 1;
            }
        }
        let mut text = String::from(HEAD);
        for (fact, mut tests) in facts {
            // What is not of this run was narrow enough before, and stays in its order.
            tests.sort_by_key(|test| breadth.get(test.as_str()).copied().unwrap_or(0));
            tests.truncate(TESTS_MAX);
            if !tests.is_empty() {
                writeln!(text, "{fact}: {}", tests.join(" ")).expect("strings take all");
            }
        }
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
