//! What every platform must do, as functions of `&dyn Platform`. `tests/ptrace.rs` and
//! `tests/systrap.rs` run all of them, in one process that was single-threaded when it made the
//! platform.

pub mod case;
pub mod death;
pub mod exceptions;
pub mod faults;
pub mod foreign;
pub mod fp;
pub mod kick;
pub mod leaks;
pub mod orders;
pub mod ports;
pub mod rebuild;
pub mod registers;
pub mod storm;
pub mod threads;
pub mod world;

use std::process::ExitCode;

use bevor_platform::Platform;
use case::Case;

/// All cases, in the order they are run.
fn cases() -> impl Iterator<Item = Case> {
    [
        registers::CASES,
        fp::CASES,
        faults::CASES,
        exceptions::CASES,
        foreign::CASES,
        orders::CASES,
        threads::CASES,
        ports::CASES,
        kick::CASES,
        death::CASES,
        rebuild::CASES,
        storm::CASES,
        leaks::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Runs the suite and the platform's own cases. Arguments are parts of names; `--list` lists them.
pub fn main(platform: &dyn Platform, own: &[Case]) -> ExitCode {
    platform.set_death_hook(Box::new(death::record));
    let args: Vec<String> = std::env::args().skip(1).collect();
    case::run(platform, &args, cases().chain(own.iter().copied()))
}
