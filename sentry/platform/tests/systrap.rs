//! The systrap platform against the suite every platform must pass.

mod conformance;

use std::process::ExitCode;

use bevor_platform::{Systrap, SystrapConfig};

fn main() -> ExitCode {
    let platform = Systrap::new(SystrapConfig::from_host()).expect("this host runs systrap");
    conformance::main(&platform, &[])
}
