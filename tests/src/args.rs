//! Command line of the test runner.

use crate::case::{Platform, User};

/// Text of `--help`.
pub const HELP: &str = "\
Run Bevor's tests: every program on the host kernel first, then in Bevor.

  --full               also the long tier; writes tests/results/full.txt
  -k PATTERN           only tests whose name contains PATTERN (repeatable)
  -x PATTERN           no test whose name contains PATTERN (repeatable)
  -j N                 tests at once (default: number of processors)
  --platform WHICH     systrap, ptrace or both (default)
  --user WHICH         root, user or both (default)
  --reload-waits       save and reload every waiting call in every sandbox
  --seeds FIRST-LAST   only these seeds of random/ and fuzz/ (with -k)
  --prove              write syscalls/proof.txt: what guest/ and smoke/ see of the table
  --native-only        run programs on the host only, twice, and compare the two
  --second-try         run what fails once more, alone; what then passes is counted and named
  --no-cargo           leave out fmt, clippy and the workspace's own unit tests
  --bevor PATH         the binary under test (default: beside this one)
  --list               print the names of the tests and stop
  --keep               keep the output of tests that pass, too
";

/// What to run and how.
#[derive(Debug)]
pub struct Options {
    /// Include the long tier.
    pub full: bool,
    /// Names must contain one of these, if any are given.
    pub only: Vec<String>,
    /// Names must contain none of these.
    pub without: Vec<String>,
    /// Jobs at once.
    pub jobs: usize,
    /// Platforms to run on.
    pub platforms: Vec<Platform>,
    /// Users to run as.
    pub users: Vec<User>,
    /// Every sandbox saves and reloads its waiting calls.
    pub reload_waits: bool,
    /// The seeds of random sequences, first and last.
    pub seeds: Option<(u64, u64)>,
    /// Record what the tests see of the system-call table.
    pub prove: bool,
    /// Only check that the programs give the same answer twice on the host.
    pub native_only: bool,
    /// Run what fails once more.
    pub second_try: bool,
    /// Leave out checks that run cargo.
    pub no_cargo: bool,
    /// Binary under test.
    pub bevor: Option<String>,
    /// Print names and stop.
    pub list: bool,
    /// Keep all outputs.
    pub keep: bool,
}

/// Result of [`parse`].
pub enum Parsed {
    /// Run with these options.
    Run(Options),
    /// Print the help text.
    Help,
}

/// Reads the command line; errors are one-line messages.
pub fn parse(argv: &[String]) -> Result<Parsed, String> {
    let mut options = Options {
        full: false,
        only: Vec::new(),
        without: Vec::new(),
        jobs: std::thread::available_parallelism().map_or(2, usize::from),
        platforms: vec![Platform::Systrap, Platform::Ptrace],
        users: vec![User::Root, User::Ordinary],
        reload_waits: false,
        seeds: None,
        prove: false,
        native_only: false,
        second_try: false,
        no_cargo: false,
        bevor: None,
        list: false,
        keep: false,
    };
    let mut words = argv.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word {
            "--full" => options.full = true,
            "-k" => options.only.push(value()?.to_owned()),
            "-x" => options.without.push(value()?.to_owned()),
            "-j" => {
                let text = value()?;
                options.jobs = text
                    .parse()
                    .ok()
                    .filter(|jobs| *jobs > 0)
                    .ok_or(format!("-j {text}: not a number"))?;
            }
            "--platform" => {
                options.platforms = match value()? {
                    "both" => vec![Platform::Systrap, Platform::Ptrace],
                    "systrap" => vec![Platform::Systrap],
                    "ptrace" => vec![Platform::Ptrace],
                    other => return Err(format!("--platform {other}: systrap, ptrace or both")),
                }
            }
            "--user" => {
                options.users = match value()? {
                    "both" => vec![User::Root, User::Ordinary],
                    "root" => vec![User::Root],
                    "user" => vec![User::Ordinary],
                    other => return Err(format!("--user {other}: root, user or both")),
                }
            }
            "--reload-waits" => options.reload_waits = true,
            "--seeds" => {
                let text = value()?;
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                let wrong = |_| format!("--seeds {text}: FIRST-LAST, or one number");
                options.seeds = Some((first.parse().map_err(wrong)?, last.parse().map_err(wrong)?));
            }
            "--prove" => options.prove = true,
            "--native-only" => options.native_only = true,
            "--second-try" => options.second_try = true,
            "--no-cargo" => options.no_cargo = true,
            "--bevor" => options.bevor = Some(value()?.to_owned()),
            "--list" => options.list = true,
            "--keep" => options.keep = true,
            "--help" | "-h" => return Ok(Parsed::Help),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    if options.prove && options.platforms.len() < 2 {
        return Err("--prove needs both platforms".to_owned());
    }
    Ok(Parsed::Run(options))
}
