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
mod walls;
mod world;

use std::process::ExitCode;

use bevor_confine::tables::Features;
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
        walls::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Orders that can be tried without looking at the host.
const fn memory_cases() -> &'static [Case] {
    orders::CASES_INSIDE
}

/// Runs the suite and the platform's own cases. Arguments are parts of names; `--list` lists them.
///
/// `make` makes the platform; it is called before the process has another thread, and once more in
/// a process confined like a sentry with `features`.
pub fn main(make: fn() -> Box<dyn Platform>, features: Features, own: &[Case]) -> ExitCode {
    if let Some(code) = walls::play_part(features, make) {
        return code;
    }
    let platform = make();
    let platform = platform.as_ref();
    platform.set_death_hook(Box::new(death::record));
    let args: Vec<String> = std::env::args().skip(1).collect();
    case::run(platform, &args, cases().chain(own.iter().copied()))
}
