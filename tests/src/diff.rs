//! Differential runs: the host kernel first, then Bevor on each platform.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::case::{Case, Platform, User};
use crate::places::make_dir;
use crate::report::Verdict;
use crate::runner::{Context, RELOAD_WAITS};
use crate::supervise::{self, Outcome};

/// How much longer than the host a run in Bevor may take.
const SLOWER: u64 = 2;

/// Runs one case as one user, everywhere it is to run.
pub fn run(context: &Context, case: &Case, user: User) -> Vec<Verdict> {
    let native_name = format!("{}@native/{user}", case.name);
    let argv = match context.builder.prepare(&context.places, case) {
        Ok(argv) => argv,
        Err(message) => return vec![Verdict::fail(&native_name, &message)],
    };
    let stem = format!("{}-{user}", case.name.replace('/', "-"));
    let native = match one_run(context, case, user, &stem, "native", argv.clone(), case.timeout_s) {
        Ok(outcome) => outcome,
        Err(message) => return vec![Verdict::fail(&native_name, &message)],
    };
    if let Some(message) = broken_natively(case, &native) {
        return vec![Verdict::fail(&native_name, &message)];
    }
    if context.options.native_only {
        return vec![twice(context, case, user, &stem, argv, &native, &native_name)];
    }
    let mut verdicts = Vec::new();
    for (platform, way) in ways(context, case) {
        let side = format!("{platform}{}", way.suffix());
        let name = format!("{}@{side}/{user}", case.name);
        let record = context.options.prove && way == Way::Plain && !on_host(case);
        let record =
            record.then(|| context.places.out.join(&stem).join(format!("calls-{platform}")));
        let words = if on_host(case) {
            argv.clone()
        } else {
            let mut flags = case.do_flags.clone();
            flags.extend((way == Way::Reloaded).then(|| RELOAD_WAITS.to_owned()));
            if let Some(path) = &record {
                flags.push(format!("--record-calls={}", path.display()));
                if let Err(message) = make_public(path) {
                    return vec![Verdict::fail(&name, &message)];
                }
            }
            context.bevor_do(platform, &flags, &argv)
        };
        let limit = case.timeout_s * SLOWER;
        let verdict = match one_run(context, case, user, &stem, &side, words, limit) {
            Ok(outcome) => judge(&name, case, &native, &outcome),
            Err(message) => Verdict::fail(&name, &message),
        };
        if let (true, Some(path)) = (verdict.passed(), &record) {
            // A record that is not there proves nothing.
            let text = fs::read_to_string(path).unwrap_or_default();
            context.facts.add(&case.name, platform, &text);
        }
        if verdict.passed() && !context.options.keep {
            let _ = fs::remove_dir_all(context.places.out.join(&stem).join(&side));
        }
        verdicts.push(verdict);
    }
    if verdicts.iter().all(Verdict::passed) && !context.options.keep {
        let _ = fs::remove_dir_all(context.places.out.join(&stem));
    }
    verdicts
}

/// Makes an empty file that every user may write.
fn make_public(path: &Path) -> Result<(), String> {
    let made = fs::write(path, "");
    made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o666)))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// What is unusual about a run in Bevor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nothing.
    Plain,
    /// Waiting calls are saved and reloaded.
    Reloaded,
    /// The sandbox's own processes may have few descriptors.
    FewFiles,
}

impl Way {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Reloaded => "+reload",
            Self::FewFiles => FEW_FILES,
        }
    }
}

/// Ends the name of a run with few descriptors.
const FEW_FILES: &str = "+few";
/// Descriptors a process may have there, as on hosts that keep to the old default.
const FEW: u64 = 1024;

/// How a case runs in Bevor: on each platform, and perhaps in other ways once more on the first of
/// them.
fn ways(context: &Context, case: &Case) -> Vec<(Platform, Way)> {
    let platforms = &context.options.platforms;
    let wanted = |platform: &&Platform| case.platform.is_none_or(|only| only == **platform);
    let mut ways: Vec<_> =
        platforms.iter().filter(wanted).map(|&platform| (platform, Way::Plain)).collect();
    let every = context.options.full && case.name.starts_with("guest/");
    if let Some(&first) = platforms.first() {
        if (every || case.reload_waits) && !context.options.reload_waits {
            ways.push((first, Way::Reloaded));
        }
        if every || case.few_files {
            ways.push((first, Way::FewFiles));
        }
    }
    ways
}

/// Whether the script itself stays on the host and only what it starts with
/// `$RUN` goes into Bevor.
fn on_host(case: &Case) -> bool {
    case.name.starts_with("cli/")
}

fn twice(
    context: &Context,
    case: &Case,
    user: User,
    stem: &str,
    argv: Vec<String>,
    first: &Outcome,
    name: &str,
) -> Verdict {
    match one_run(context, case, user, stem, "again", argv, case.timeout_s) {
        Ok(second) => judge(name, case, first, &Outcome { leftover: Vec::new(), ..second }),
        Err(message) => Verdict::fail(name, &message),
    }
}

/// One run in a fresh folder that has the same path every time.
fn one_run(
    context: &Context,
    case: &Case,
    user: User,
    stem: &str,
    side: &str,
    argv: Vec<String>,
    timeout_s: u64,
) -> Result<Outcome, String> {
    let dir = context.places.run.join("work").join(stem);
    let _ = fs::remove_dir_all(&dir);
    make_dir(&dir, 0o777)?;
    let out = context.places.out.join(stem).join(side);
    let in_bevor = side != "native" && side != "again";
    let mut order = supervise::order(argv, &dir, user, timeout_s, &out);
    order.max_files = side.ends_with(FEW_FILES).then_some(FEW);
    if on_host(case) {
        let run = if in_bevor {
            let reload = if context.options.reload_waits { RELOAD_WAITS } else { "" };
            format!("{} do --platform={side} {reload} --", context.places.bevor.display())
        } else {
            String::new()
        };
        order.env.push(("RUN".to_owned(), run));
        order.env.push(("TOP".to_owned(), context.places.top.display().to_string()));
        if context.options.full {
            order.env.push(("BEVOR_TEST_FULL".to_owned(), "1".to_owned()));
        }
    }
    let outcome = supervise::run(&order)?;
    if in_bevor && !on_host(case) {
        let escaped = fs::read_dir(&dir).map_err(|error| error.to_string())?.count();
        if escaped > 0 {
            return Err(format!(
                "{}: {escaped} files escaped to the host in {}",
                case.name,
                dir.display()
            ));
        }
    }
    let _ = fs::remove_dir_all(&dir);
    Ok(outcome)
}

/// Says why a program is no use as a test, if it is none.
fn broken_natively(case: &Case, outcome: &Outcome) -> Option<String> {
    let text = String::from_utf8_lossy(&outcome.stdout);
    if outcome.timed_out {
        return Some("the time limit struck on the host".to_owned());
    }
    let ended_badly = match case.exit {
        Some(status) => outcome.status != status,
        None => outcome.status >= 96,
    };
    if ended_badly {
        return Some(format!(
            "status {}: {}",
            outcome.status,
            String::from_utf8_lossy(&outcome.stderr).trim_end()
        ));
    }
    text.lines().find(|line| line.starts_with("BAD ")).map(|line| format!("on the host: {line}"))
}

fn judge(name: &str, case: &Case, native: &Outcome, bevor: &Outcome) -> Verdict {
    let mut problems = Vec::new();
    if bevor.timed_out {
        problems.push(format!("time limit struck after {} ms", bevor.duration_ms));
    } else if bevor.status != native.status {
        problems.push(format!("exit status {} instead of {}", bevor.status, native.status));
    }
    if bevor.stdout != native.stdout {
        problems
            .push(format!("stdout differs\n{}", first_difference(&native.stdout, &bevor.stdout)));
    }
    if bevor.stderr != native.stderr && (case.compare_stderr || !problems.is_empty()) {
        problems
            .push(format!("stderr differs\n{}", first_difference(&native.stderr, &bevor.stderr)));
    }
    if !bevor.leftover.is_empty() {
        problems.push(format!("left running: {}", bevor.leftover.join(" ")));
    }
    if problems.is_empty() {
        return Verdict::pass(name, bevor.duration_ms);
    }
    Verdict::fail(name, &problems.join("\n"))
}

/// The lines around the first difference, host first.
fn first_difference(native: &[u8], bevor: &[u8]) -> String {
    const AROUND: usize = 6;
    let (native, bevor) = (String::from_utf8_lossy(native), String::from_utf8_lossy(bevor));
    let native: Vec<&str> = native.lines().collect();
    let bevor: Vec<&str> = bevor.lines().collect();
    let same = native.iter().zip(&bevor).take_while(|(left, right)| left == right).count();
    let mut text = String::new();
    if let Some(before) = same.checked_sub(1) {
        text += &format!("    {:4}   {}\n", before + 1, clip(native[before]));
    }
    for (mark, lines) in [('-', &native), ('+', &bevor)] {
        for (index, line) in lines.iter().enumerate().skip(same).take(AROUND) {
            text += &format!("    {:4} {mark} {}\n", index + 1, clip(line));
        }
        if lines.len() <= same {
            text += &format!("    {:4} {mark} (end)\n", lines.len() + 1);
        }
    }
    text.trim_end().to_owned()
}

fn clip(line: &str) -> String {
    line.chars().take(200).collect()
}

/// The command line of one run in Bevor.
pub fn bevor_do(
    bevor: &Path,
    platform: Platform,
    flags: &[String],
    argv: &[String],
) -> Vec<String> {
    let mut words = vec![
        bevor.to_string_lossy().into_owned(),
        "do".to_owned(),
        format!("--platform={platform}"),
    ];
    words.extend(flags.iter().cloned());
    words.push("--".to_owned());
    words.extend(argv.iter().cloned());
    words
}
