//! The checks that cargo runs: formatting, lints, and the unit tests.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::report::Verdict;
use crate::runner::Context;

/// Names of the checks.
pub const NAMES: &[&str] = &["fmt", "clippy", "unit"];

/// Runs one of them.
pub fn run(context: &Context, name: &str) -> Vec<Verdict> {
    let started = Instant::now();
    let words: &[&str] = match name {
        "fmt" => &["fmt", "--all", "--check"],
        "clippy" => &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
        _ => &["test", "--workspace", "--no-fail-fast"],
    };
    let full_name = format!("cargo/{name}");
    let path = context.places.out.join(format!("cargo-{name}"));
    let output = File::create(&path).and_then(|file| {
        let mut command = Command::new("timeout");
        if context.options.full {
            // Random tests go on for so long each, with seeds of the moment.
            command.env("BEVOR_TEST_SECONDS", "60");
        }
        command
            .args(["--kill-after=10", "1200", "cargo"])
            .args(words)
            .current_dir(&context.places.top)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()
    });
    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
    let result = match output {
        Err(error) => Err(format!("cargo: {error}")),
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(tail(&text)),
    };
    let mut verdict = Verdict::of(&full_name, started, result);
    if name != "unit" {
        return vec![verdict];
    }
    let (passed, failed) = unit_counts(&text);
    if verdict.passed() {
        verdict.count = passed.max(1);
        return vec![verdict];
    }
    verdict.count = failed.max(1);
    let mut good = Verdict::pass("cargo/unit-passed", 0);
    good.count = passed;
    vec![verdict, good]
}

/// Adds up the `test result:` lines.
fn unit_counts(text: &str) -> (u64, u64) {
    let mut counts = (0, 0);
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let number = |word: &str| {
            let before = line.split_once(word).map_or("", |(before, _)| before.trim_end());
            before.rsplit(' ').next().and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0)
        };
        counts.0 += number("passed");
        counts.1 += number("failed");
    }
    counts
}

fn tail(text: &str) -> String {
    let interesting: Vec<&str> = text
        .lines()
        .filter(|line| {
            line.starts_with("error")
                || line.contains("FAILED")
                || line.contains("panicked")
                || line.starts_with("Diff")
        })
        .take(20)
        .collect();
    if interesting.is_empty() {
        let lines: Vec<&str> = text.lines().collect();
        return lines[lines.len().saturating_sub(15)..].join("\n");
    }
    interesting.join("\n")
}

#[cfg(test)]
mod tests {
    use super::unit_counts;

    #[test]
    fn counts_are_added_up() {
        let text = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured\n\
                    test result: FAILED. 3 passed; 2 failed; 0 ignored\n";
        assert_eq!(unit_counts(text), (15, 2));
    }
}
