//! Python's own regression tests: what passes on the host must pass in Bevor.
//!
//! `pyreg/run.py` runs one module and prints one line per test. Tests that the
//! host itself fails or skips are no measure. `pyreg/gaps.txt` lists the known
//! gaps (`MODULE.CLASS.TEST REASON…`, `*` as in the other list).

use std::collections::BTreeMap;
use std::time::Instant;

use crate::case::User;
use crate::expect;
use crate::places::make_dir;
use crate::report::Verdict;
use crate::runner::Context;
use crate::supervise::{self, Outcome};

/// Modules of the short tier.
const SHORT: &[&str] = &[
    "test_select",
    "test_mmap",
    "test_fcntl",
    "test_pty",
    "test_tempfile",
    "test_shutil",
    "test_os",
];
/// Modules that only the long tier runs.
const LONG: &[&str] =
    &["test_subprocess", "test_threading", "test_signal", "test_socket", "test_asyncio"];

/// Modules of a tier.
pub fn modules(full: bool) -> Vec<&'static str> {
    let long: &[&str] = if full { LONG } else { &[] };
    SHORT.iter().chain(long).copied().collect()
}

/// Runs one module on the host and on every platform.
pub fn run(context: &Context, module: &str, user: User) -> Vec<Verdict> {
    let name = |side: &str| format!("pyreg/{module}@{side}/{user}");
    let (script, gaps) = match prepare(context) {
        Ok(prepared) => prepared,
        Err(message) => return vec![Verdict::fail(&name("native"), &message)],
    };
    let argv = vec!["/usr/bin/python3".to_owned(), script, module.to_owned()];
    let native = match one(context, module, user, "native", argv.clone(), 600) {
        Ok(outcome) if !outcome.timed_out && !results(&outcome).is_empty() => results(&outcome),
        Ok(outcome) => {
            let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
            let problem =
                format!("no result on the host (status {}): {}", outcome.status, text.trim_end());
            return vec![Verdict::fail(&name("native"), &problem)];
        }
        Err(message) => return vec![Verdict::fail(&name("native"), &message)],
    };
    let mut verdicts = Vec::new();
    for &platform in &context.options.platforms {
        let started = Instant::now();
        let words = context.bevor_do(platform, &[], &argv);
        let result = one(context, module, user, &platform.to_string(), words, 1200)
            .and_then(|outcome| judge(&native, &outcome, &gaps));
        verdicts.push(Verdict::of(&name(&platform.to_string()), started, result));
    }
    verdicts
}

fn prepare(context: &Context) -> Result<(String, Vec<String>), String> {
    let folder = context.places.tests.join("pyreg");
    let script = context.places.publish(&folder.join("run.py"))?;
    let gaps = std::fs::read_to_string(folder.join("gaps.txt"))
        .map_err(|error| format!("pyreg/gaps.txt: {error}"))?;
    let gaps = gaps
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    Ok((script.to_string_lossy().into_owned(), gaps))
}

fn one(
    context: &Context,
    module: &str,
    user: User,
    side: &str,
    argv: Vec<String>,
    timeout_s: u64,
) -> Result<Outcome, String> {
    let stem = format!("pyreg-{module}-{user}");
    let dir = context.places.run.join("work").join(&stem);
    let _ = std::fs::remove_dir_all(&dir);
    make_dir(&dir, 0o777)?;
    let outcome = supervise::run(&supervise::order(
        argv,
        &dir,
        user,
        timeout_s,
        &context.places.out.join(stem).join(side),
    ));
    let _ = std::fs::remove_dir_all(&dir);
    outcome
}

/// Test name to result word.
fn results(outcome: &Outcome) -> BTreeMap<String, String> {
    String::from_utf8_lossy(&outcome.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("RESULT "))
        .filter_map(|line| line.split_once(' '))
        .map(|(word, test)| (test.to_owned(), word.to_owned()))
        .collect()
}

fn judge(
    native: &BTreeMap<String, String>,
    outcome: &Outcome,
    gaps: &[String],
) -> Result<(), String> {
    let here = results(outcome);
    let mut problems = Vec::new();
    for (test, _) in native.iter().filter(|(_, word)| *word == "ok") {
        let word = here.get(test).map_or("missing", String::as_str);
        let gap = gaps.iter().any(|gap| expect::matches(gap, test));
        if word != "ok" && !gap {
            problems.push(format!("{word} {test}"));
        }
    }
    if outcome.timed_out {
        problems.insert(0, "time limit struck".to_owned());
    }
    if !outcome.leftover.is_empty() {
        problems.push(format!("left running: {}", outcome.leftover.join(" ")));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let total = problems.len();
    problems.truncate(40);
    Err(format!("{total} of {} tests\n{}", native.len(), problems.join("\n")))
}
