//! The test runner: runs every guest program on the host kernel and in Bevor
//! and compares what came out.
//!
//! `bevor-test --help` lists the flags; `tests/README.md` says how tests are
//! written. The host kernel is the oracle: nothing here knows what a program
//! should print, only that both sides must print the same.
#![forbid(unsafe_code)]

mod args;
mod build;
mod cargo_checks;
mod case;
mod diff;
mod expect;
mod fuzz;
mod hanging;
mod hostile;
mod leaks;
mod lifecycle;
mod places;
mod proof;
mod pyreg;
mod random;
mod report;
mod runner;
mod supervise;

use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args().skip(1).collect();
    if argv.first().is_some_and(|word| word == supervise::COMMAND) {
        return supervise::main(&argv[1..]);
    }
    let options = match args::parse(&argv) {
        Ok(args::Parsed::Run(options)) => options,
        Ok(args::Parsed::Help) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("bevor-test: {message} (--help lists the flags)");
            return ExitCode::from(2);
        }
    };
    match runner::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("bevor-test: {message}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}
