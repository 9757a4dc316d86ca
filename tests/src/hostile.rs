//! Hostile guests: the host is no oracle here, the program says what is right.
//!
//! A hostile program declares the exit status it must end with (`exit=N`) or
//! prints lines that are compared with `NAME.expected` beside it. Whatever it
//! does, it must end in time and leave nothing behind.

use crate::case::{Case, User};
use crate::places::make_dir;
use crate::report::Verdict;
use crate::runner::Context;
use crate::supervise;

/// Runs one hostile program on every platform.
pub fn run(context: &Context, case: &Case, user: User) -> Vec<Verdict> {
    let argv = match context.builder.prepare(&context.places, case) {
        Ok(argv) => argv,
        Err(message) => {
            return vec![Verdict::fail(&format!("{}@build/{user}", case.name), &message)];
        }
    };
    let mut verdicts = Vec::new();
    for &platform in &context.options.platforms {
        let name = format!("{}@{platform}/{user}", case.name);
        let started = std::time::Instant::now();
        let result = one(
            context,
            case,
            user,
            context.bevor_do(platform, &case.do_flags, &argv),
            &platform.to_string(),
        );
        verdicts.push(Verdict::of(&name, started, result));
    }
    verdicts
}

fn one(
    context: &Context,
    case: &Case,
    user: User,
    argv: Vec<String>,
    side: &str,
) -> Result<(), String> {
    let stem = format!("{}-{user}-{side}", case.name.replace('/', "-"));
    let dir = context.places.run.join("work").join(&stem);
    make_dir(&dir, 0o777)?;
    let out = context.places.out.join(&stem);
    let outcome = supervise::run(&supervise::order(argv, &dir, user, case.timeout_s, &out))?;
    let mut problems = Vec::new();
    if outcome.timed_out {
        problems.push("time limit struck".to_owned());
    }
    if !outcome.leftover.is_empty() {
        problems.push(format!("left running: {}", outcome.leftover.join(" ")));
    }
    let shown = String::from_utf8_lossy(&outcome.stdout);
    let expected = case.exit.unwrap_or(0);
    if outcome.status != expected && !outcome.timed_out {
        let errors = String::from_utf8_lossy(&outcome.stderr);
        problems.push(format!(
            "exit status {} instead of {expected}\n{}{}",
            outcome.status,
            shown,
            errors.trim_end()
        ));
    }
    if let Some(line) = shown.lines().find(|line| line.starts_with("BAD ")) {
        problems.push(line.to_owned());
    }
    if let Ok(wanted) = std::fs::read_to_string(case.source.path().with_extension("expected"))
        && wanted != shown
    {
        problems.push(format!("printed\n{shown}instead of\n{wanted}"));
    }
    // The host must still work: a neighbour sandbox runs to a good end.
    let neighbour =
        context.bevor_do(crate::case::Platform::Systrap, &[], &["/bin/true".to_owned()]);
    let neighbour =
        supervise::run(&supervise::order(neighbour, &dir, user, 20, &out.join("neighbour")))?;
    if neighbour.status != 0 {
        problems.push(format!("a neighbour ended with status {}", neighbour.status));
    }
    if problems.is_empty() {
        let _ = std::fs::remove_dir_all(&out);
        return Ok(());
    }
    Err(problems.join("\n"))
}
