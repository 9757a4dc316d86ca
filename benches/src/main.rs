//! The side-by-side runner: native, Bevor and gVisor take turns in one run.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bevor_benches::guest;
use bevor_benches::idle;
use bevor_benches::load::{self, Load};
use bevor_benches::machine::Machine;
use bevor_benches::report::Results;
use bevor_benches::side::Side;
use bevor_benches::trees;

/// The row that starts a sandbox for `true` and waits for its end.
const START: &str = "start-true-end";

const HELP: &str = "\
Measure native, Bevor and gVisor in turns, quiet and under load.

  --bevor PATH      the binary to measure (default: beside this one)
  --gvisor PATH     runsc (benches/get-gvisor fetches it); without it, no gVisor
  --rounds N        samples of each row (default 7)
  --minutes N       no further round of a state after this long (default 9)
  --rows A,B,…      only these rows
  --quiet           only without load
  --loaded          only under load: one busy loop pinned to each core
  --no-idle         leave out memory and processor time of an idle sandbox
  --ptrace          measure the ptrace platform, too
  --out NAME        write benches/results/NAME.json and NAME.md
";

struct Options {
    bevor: PathBuf,
    gvisor: Option<PathBuf>,
    rounds: u32,
    limit: Duration,
    rows: Vec<String>,
    quiet: bool,
    loaded: bool,
    idle: bool,
    ptrace: bool,
    out: Option<String>,
}

fn parse(argv: &[String]) -> Result<Option<Options>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut options = Options {
        bevor: own.with_file_name("bevor"),
        gvisor: None,
        rounds: 7,
        limit: Duration::from_secs(9 * 60),
        rows: every_row(),
        quiet: true,
        loaded: true,
        idle: true,
        ptrace: false,
        out: None,
    };
    let mut words = argv.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--bevor" => options.bevor = value()?.into(),
            "--gvisor" => options.gvisor = Some(value()?.into()),
            "--rounds" => {
                options.rounds =
                    value()?.parse().map_err(|_| "--rounds: not a number".to_owned())?
            }
            "--rows" => options.rows = value()?.split(',').map(str::to_owned).collect(),
            "--minutes" => {
                let minutes: u64 =
                    value()?.parse().map_err(|_| "--minutes: not a number".to_owned())?;
                options.limit = Duration::from_secs(minutes * 60);
            }
            "--quiet" => options.loaded = false,
            "--loaded" => options.quiet = false,
            "--no-idle" => options.idle = false,
            "--ptrace" => options.ptrace = true,
            "--out" => options.out = Some(value()?),
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok(Some(options))
}

/// The guest program's own rows and those that run what is installed.
fn every_row() -> Vec<String> {
    let programs = guest::PROGRAMS.iter().filter(|(_, program)| guest::is_installed(program));
    let names = guest::ROWS.iter().copied().chain(programs.map(|(row, _)| *row));
    [START].into_iter().chain(names).map(str::to_owned).collect()
}

fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args().skip(1).collect();
    if let [word, core] = argv.as_slice()
        && word == load::COMMAND
    {
        load::spin(core);
    }
    let outcome = match parse(&argv) {
        Ok(Some(options)) => run(&options),
        Ok(None) => {
            print!("{HELP}");
            Ok(())
        }
        Err(message) => Err(message),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bevor-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    nix::sys::prctl::set_child_subreaper(true).map_err(|error| error.to_string())?;
    let dir = PathBuf::from(format!("/var/tmp/bevor-bench.{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))
        .map_err(|error| error.to_string())?;
    let outcome = run_in(options, &dir);
    let _ = fs::remove_dir_all(&dir);
    let results = outcome?;
    let table = results.table();
    println!("{table}");
    if let Some(name) = &options.out {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(name);
        let json = serde_json::to_string_pretty(&results).map_err(|error| error.to_string())?;
        let machine =
            serde_json::to_string_pretty(&results.machine).map_err(|error| error.to_string())?;
        fs::create_dir_all(base.parent().unwrap_or(Path::new(".")))
            .map_err(|error| error.to_string())?;
        fs::write(base.with_extension("json"), json + "\n").map_err(|error| error.to_string())?;
        fs::write(base.with_extension("md"), format!("```json\n{machine}\n```\n{table}"))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn run_in(options: &Options, dir: &Path) -> Result<Results, String> {
    let program = guest::build(dir)?;
    let mut sides = vec![Side::Native, Side::Bevor(options.bevor.clone(), "systrap")];
    if options.ptrace {
        sides.push(Side::Bevor(options.bevor.clone(), "ptrace"));
    }
    sides.extend(options.gvisor.clone().map(Side::Gvisor));
    let mut results = Results {
        machine: Machine::look(options.gvisor.as_deref()),
        series: Vec::new(),
        missing: Vec::new(),
    };
    trees::prepare(dir)?;
    if options.quiet {
        rounds(options, &program, &sides, "quiet", &mut results);
    }
    if options.loaded {
        let load = Load::start()?;
        rounds(options, &program, &sides, "loaded", &mut results);
        drop(load);
    }
    if options.idle && options.quiet {
        for side in sides.iter().filter(|side| **side != Side::Native) {
            for _ in 0..3 {
                match idle::measure(side) {
                    Ok(idle) => {
                        results.add(
                            "idle-memory",
                            &side.to_string(),
                            "quiet",
                            "bytes",
                            idle.pss_bytes,
                        );
                        results.add(
                            "idle-cpu-per-s",
                            &side.to_string(),
                            "quiet",
                            "ns",
                            idle.cpu_ns_per_s,
                        );
                    }
                    Err(message) => results.missing.push(message),
                }
            }
        }
    }
    Ok(results)
}

/// All rows on all sides, side after side within each round.
fn rounds(options: &Options, program: &Path, sides: &[Side], state: &str, results: &mut Results) {
    let started = Instant::now();
    for round in 1..=options.rounds {
        eprintln!("{state}, round {round} of {}", options.rounds);
        for row in &options.rows {
            // The side that goes first changes, so that no row always follows the same one.
            let first = usize::try_from(round - 1).unwrap_or(0) % sides.len();
            for side in sides[first..].iter().chain(&sides[..first]) {
                let values = if row == START {
                    guest::start_and_end(side).map(|took_ns| vec![(row.clone(), took_ns)])
                } else {
                    guest::measure(side, program, 0, &[row])
                };
                match values {
                    Ok(values) => {
                        for (row, value_ns) in values {
                            results.add(&row, &side.to_string(), state, "ns", value_ns);
                        }
                    }
                    Err(message) => note(results, state, format!("{row}: {message}")),
                }
            }
        }
        if started.elapsed() > options.limit {
            eprintln!("{state}: the time is up after {round} rounds");
            break;
        }
    }
}

fn note(results: &mut Results, state: &str, message: String) {
    let message = format!("{state}: {message}");
    if !results.missing.contains(&message) {
        results.missing.push(message);
    }
}
