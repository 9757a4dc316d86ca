//! What every platform must do, as functions of `&dyn Platform`. `tests/ptrace.rs` and
//! `tests/systrap.rs` run all of them, in one process that was single-threaded when it made the
//! platform.

mod case;
mod death;
mod exceptions;
mod faults;
mod foreign;
mod fp;
mod kick;
mod leaks;
mod orders;
mod ports;
mod rebuild;
mod registers;
mod threads;
mod world;

use std::process::ExitCode;

use bevor_platform::Platform;

pub use case::Case;
pub use world::World;
pub(crate) use world::guest_code;

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
        leaks::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Runs the suite and the platform's own cases. Arguments are parts of names; `--list` lists them.
pub fn main(platform: &dyn Platform, own: &[Case]) -> ExitCode {
    platform.set_death_hook(Box::new(death::record));
    case::run(platform, cases().chain(own.iter().copied()))
}
