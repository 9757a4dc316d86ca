//! Hostile clients, and directories that do not hold still, against a gofer with its real walls.
//!
//! This binary starts itself again with the argument `gofer`. `BEVOR_TEST_SECONDS` makes the random
//! parts go on for so long, with a new seed; without it they take a moment and always the same one.

mod escape;
mod fuzz;
#[path = "../launch/mod.rs"]
mod launch;
mod messages;
mod place;
mod race;
mod random;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = launch::be_gofer() {
        return code;
    }
    place::own_mounts();
    let tests: &[(&str, fn())] = &[
        ("messages_of_every_shape_break_nothing", fuzz::messages_of_every_shape_break_nothing),
        ("swaps_never_lead_outside", race::swaps_never_lead_outside),
        ("a_directory_moved_out_leads_no_further", race::a_directory_moved_out_leads_no_further),
        ("no_way_leads_outside", escape::no_way_leads_outside),
        ("descriptors_do_not_leak", escape::descriptors_do_not_leak),
    ];
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    for (name, test) in tests {
        if wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str())) {
            let started = std::time::Instant::now();
            test();
            println!("test walls::{name} ... ok ({:.1} s)", started.elapsed().as_secs_f64());
        }
    }
    ExitCode::SUCCESS
}
