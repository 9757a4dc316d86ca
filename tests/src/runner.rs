//! Plans the run and works it off.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::args::Options;
use crate::build::Builder;
use crate::case::{self, Case, Platform, User};
use crate::diff;
use crate::expect::Expectations;
use crate::places::Places;
use crate::proof::Facts;
use crate::report::{Report, Verdict};
use crate::{cargo_checks, fuzz, hostile, leaks, lifecycle, pyreg, random};

/// Has a sandbox save and reload every waiting call.
pub const RELOAD_WAITS: &str = "--reload-waits";

/// What every test can see.
#[derive(Debug)]
pub struct Context<'a> {
    /// Flags of the run.
    pub options: &'a Options,
    /// Folders of the run.
    pub places: Places,
    /// Makes programs.
    pub builder: Builder,
    /// What the tests saw of the system-call table.
    pub facts: Facts,
}

impl Context<'_> {
    /// The command line of one run in Bevor.
    pub fn bevor_do(&self, platform: Platform, flags: &[String], argv: &[String]) -> Vec<String> {
        let mut all = flags.to_vec();
        if self.options.reload_waits && !flags.iter().any(|flag| flag == RELOAD_WAITS) {
            all.push(RELOAD_WAITS.to_owned());
        }
        diff::bevor_do(&self.places.bevor, platform, &all, argv)
    }
}

/// One piece of work for one worker.
pub enum Job {
    /// A program compared with the host, as one user.
    Differential(Case, User),
    /// A hostile program.
    Hostile(Case, User),
    /// A module of Python's regression tests.
    Python(&'static str, User),
    /// A check of its own.
    Check(&'static str, fn(&Context, Platform, User) -> Result<(), String>, Platform, User),
    /// fmt, clippy or unit tests.
    Cargo(&'static str),
}

impl Job {
    fn name(&self) -> String {
        match self {
            Self::Differential(case, user) | Self::Hostile(case, user) => {
                format!("{}@{user}", case.name)
            }
            Self::Python(module, user) => format!("pyreg/{module}@{user}"),
            Self::Check(name, _, platform, user) => format!("{name}@{platform}/{user}"),
            Self::Cargo(name) => format!("cargo/{name}"),
        }
    }

    fn run(&self, context: &Context) -> Vec<Verdict> {
        match self {
            Self::Differential(case, user) => diff::run(context, case, *user),
            Self::Hostile(case, user) => hostile::run(context, case, *user),
            Self::Python(module, user) => pyreg::run(context, module, *user),
            Self::Check(name, check, platform, user) => {
                let started = std::time::Instant::now();
                let name = format!("{name}@{platform}/{user}");
                vec![Verdict::of(&name, started, check(context, *platform, *user))]
            }
            Self::Cargo(name) => cargo_checks::run(context, name),
        }
    }
}

/// Runs everything the options ask for; true if nothing failed.
pub fn run(options: &Options) -> Result<bool, String> {
    let places = Places::new(options.bevor.as_deref())?;
    let expectations = Expectations::read(&places.tests.join("expectations.txt"))?;
    let context = Context { options, places, builder: Builder::default(), facts: Facts::default() };
    let (together, alone) = plan(&context)?;
    if options.list {
        for job in together.iter().chain(&alone) {
            println!("{}", job.name());
        }
        return Ok(true);
    }
    let needs_bevor = !options.native_only
        && together.iter().chain(&alone).any(|job| !matches!(job, Job::Cargo(_)));
    if needs_bevor && !context.places.bevor.exists() {
        return Err(
            "no bevor binary: build it with `cargo build --profile fast -p bevor`".to_owned()
        );
    }
    let report = Report::new(expectations);
    let before = leaks::look();
    let mut again = work_off(&context, &report, together, options.jobs, options.second_try);
    again.extend(work_off(&context, &report, alone, 1, options.second_try));
    work_off(&context, &report, again, 1, false);
    if needs_bevor {
        let started = std::time::Instant::now();
        report.add(&Verdict::of("leaks/whole-run", started, leaks::compare(&before)));
    }
    if options.prove {
        let part =
            !options.only.is_empty() || !options.without.is_empty() || options.users.len() < 2;
        context.facts.write(&context.places.top.join("syscalls/proof.txt"), part)?;
    }
    if options.only.is_empty() && options.without.is_empty() && options.full && needs_bevor {
        report.add_unmet_expectations();
        let commit = commit(&context.places.top);
        let path = context.places.tests.join("results/full.txt");
        std::fs::create_dir_all(path.with_file_name("")).map_err(|error| error.to_string())?;
        std::fs::write(&path, report.table(&commit))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(report.finish())
}

/// Jobs that may share the machine, and jobs that want it alone.
fn plan(context: &Context) -> Result<(Vec<Job>, Vec<Job>), String> {
    let options = context.options;
    let mut together = Vec::new();
    let mut alone = Vec::new();
    let users = |case: &Case| -> Vec<User> {
        options.users.iter().copied().filter(|user| case.users.contains(user)).collect()
    };
    if !options.no_cargo && !options.native_only {
        alone.extend(cargo_checks::NAMES.iter().map(|name| Job::Cargo(name)));
    }
    for folder in ["guest", "smoke", "cli"] {
        for case in case::find(&context.places, folder)? {
            if case.full && !options.full {
                continue;
            }
            together
                .extend(users(&case).into_iter().map(|user| Job::Differential(case.clone(), user)));
        }
    }
    if !options.native_only {
        for case in case::find(&context.places, "hostile")? {
            if !case.full || options.full {
                together
                    .extend(users(&case).into_iter().map(|user| Job::Hostile(case.clone(), user)));
            }
        }
        for module in pyreg::modules(options.full) {
            together.extend(options.users.iter().map(|user| Job::Python(module, *user)));
        }
        for check in lifecycle::CHECKS.iter().filter(|check| !check.full || options.full) {
            for &platform in &options.platforms {
                for &user in &options.users {
                    let job = Job::Check(check.name, check.run, platform, user);
                    if check.alone { alone.push(job) } else { together.push(job) }
                }
            }
        }
    }
    // A host that is too old for the program is no measure.
    let random =
        if case::find(&context.places, "random")?.is_empty() { &[] } else { random::KINDS };
    for kind in random {
        for &platform in &options.platforms {
            for &user in &options.users {
                together.push(Job::Check(kind.name, kind.run, platform, user));
            }
        }
    }
    for kind in
        fuzz::KINDS.iter().filter(|kind| !options.native_only && (options.full || !kind.full))
    {
        for &platform in &options.platforms {
            for &user in &options.users {
                together.push(Job::Check(kind.name, kind.run, platform, user));
            }
        }
    }
    let wanted = |job: &Job| {
        let name = job.name();
        let only =
            options.only.is_empty() || options.only.iter().any(|part| name.contains(part.as_str()));
        only && !options.without.iter().any(|part| name.contains(part.as_str()))
    };
    together.retain(wanted);
    alone.retain(wanted);
    Ok((together, alone))
}

/// Works jobs off and reports on them; with `second_try` those that fail are noted and returned instead.
fn work_off(
    context: &Context,
    report: &Report,
    jobs: Vec<Job>,
    workers: usize,
    second_try: bool,
) -> Vec<Job> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let again = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let job =
                        queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
                    let Some(job) = job else { return };
                    let verdicts = job.run(context);
                    if second_try && verdicts.iter().any(|verdict| report.is_failure(verdict)) {
                        verdicts.iter().for_each(|verdict| report.note_first_try(verdict));
                        again.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(job);
                    } else {
                        verdicts.iter().for_each(|verdict| report.add(verdict));
                    }
                }
            });
        }
    });
    again.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn commit(top: &Path) -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(top)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}
