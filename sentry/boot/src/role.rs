//! The main function of a sentry.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::time::Instant;

use bevor_confine::{Values, exit_now, inherited, privileges, report_refused_calls};
use bevor_control::Server;

use crate::config::{CONFIG_FD, CONTROL_FD, LOG_FD, SentryConfig};
use crate::{confinement, control, logging};

/// Exit status of a sentry that could not start.
const FAILED: i32 = 125;

/// Runs a sentry until its sandbox ends. The process is one this binary was started as.
pub fn sentry_role() -> ! {
    match run() {
        Ok(()) => exit_now(0),
        Err(message) => {
            eprintln!("bevor: sentry: {message}");
            exit_now(FAILED)
        }
    }
}

/// Puts what was attempted before an error.
fn step<E: Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

fn run() -> Result<(), String> {
    let mut clock = StartClock::new();
    privileges::ignore_terminal_signals().map_err(step("signals"))?;
    let report = inherited(2).map_err(step("standard error"))?;
    let panics = report.try_clone().map_err(step("standard error"))?;
    logging::report_panics("sentry", File::from(panics));
    report_refused_calls(c"sentry", report).map_err(step("signals"))?;

    let mut config = Vec::new();
    let source = inherited(CONFIG_FD).map_err(step("configuration"))?;
    File::from(source).read_to_end(&mut config).map_err(step("configuration"))?;
    let config: SentryConfig = serde_json::from_slice(&config).map_err(step("configuration"))?;
    clock.enabled = config.time_start;
    clock.passed("configuration read");
    let control_socket = inherited(CONTROL_FD).map_err(step("control socket"))?;
    if let Some(log) = config.log {
        logging::start(log, inherited(LOG_FD).map_err(step("log"))?);
    }

    confinement::leave_the_host(&config).map_err(step("cannot leave the host"))?;
    clock.passed("left the host");
    confinement::close_to_new_code();
    let mut server = Server::new().map_err(step("control server"))?;
    server.serve_owner(control_socket);
    let mut sandbox = control::Sandbox::new();
    confinement::filter(&config, &Values::new()).map_err(step("cannot install the filter"))?;
    clock.passed("walls up");

    let end = server.run(&mut sandbox).map_err(step("control server"))?;
    tracing::debug!(?end, "the sandbox ends");
    Ok(())
}

/// Says how long each step of the start took.
struct StartClock {
    enabled: bool,
    started: Instant,
}

impl StartClock {
    fn new() -> Self {
        Self { enabled: false, started: Instant::now() }
    }

    fn passed(&self, what: &str) {
        if self.enabled {
            eprintln!("bevor: sentry: {:?}: {what}", self.started.elapsed());
        }
    }
}
