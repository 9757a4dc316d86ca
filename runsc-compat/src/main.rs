//! Command line of Bevor.
//!
//! The binary plays every part: the command a user types, and the internal roles of a sandbox it
//! starts itself as (`sentry-role`, `gofer-role`).
#![deny(unsafe_code)]

mod address;
mod cli;
mod doctor;
mod failure;
mod fs;
mod host;
mod launch;
mod overlay;
mod quantity;
mod roles;
mod run;
mod session;
mod streams;
mod surface;
mod view;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command};
use crate::failure::{FAILED, Failure};

fn main() -> ExitCode {
    if let Some(role) = std::env::args_os().nth(1).and_then(|role| roles::of(&role)) {
        role();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.command {
        Command::Do(args) => cli::known_flags(&args).and_then(|()| run::run(&args)),
        Command::Fs(command) => fs::run(&command),
        Command::Doctor { json } => doctor::run(json),
        Command::Surface { json, platform, net, host_uds } => {
            surface::run(json, platform, net, host_uds)
        }
        Command::Syscalls { json } => surface::syscalls(json),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => report(&failure),
    }
}

/// Prints help and version as asked for, everything else as one line with what to do about it.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed standard output is the reader's choice.
            let _shown = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _shown = error.print();
            ExitCode::from(FAILED)
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let first = first.strip_prefix("error: ").unwrap_or(first).trim_end_matches(':');
            let listed = text.lines().skip(1).take_while(|line| line.starts_with("  "));
            let listed: Vec<&str> = listed.map(str::trim).collect();
            let message = if listed.is_empty() {
                first.to_owned()
            } else {
                format!("{first}: {}", listed.join(", "))
            };
            report(&Failure::new(format!("{message} (see bevor --help)")))
        }
    }
}

fn report(failure: &Failure) -> ExitCode {
    eprintln!("bevor: {failure}");
    ExitCode::from(failure.status)
}
