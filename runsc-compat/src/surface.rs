//! `bevor surface` and `bevor syscalls`: the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use bevor_confine::tables::{Features, Role, rows};
use serde::Serialize;

use crate::cli::{HostUds, NetArg, Platform};
use crate::failure::{Attempt, Failure};

#[derive(Serialize)]
struct Surface {
    roles: BTreeMap<&'static str, RoleSurface>,
}

#[derive(Serialize)]
struct RoleSurface {
    syscalls: Vec<Call>,
}

#[derive(Serialize)]
struct Call {
    name: &'static str,
    number: i64,
    /// Empty: any arguments.
    forms: Vec<String>,
    reason: &'static str,
    test: &'static str,
}

/// Prints the host calls of every role.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(json: bool, platform: Platform, net: NetArg, uds: HostUds) -> Result<u8, Failure> {
    let features = Features {
        ptrace: platform == Platform::Ptrace,
        net_host: net == NetArg::Host,
        host_unix: uds != HostUds::None,
    };
    let roles = Role::ALL.map(|role| {
        let mut calls: Vec<Call> = rows(role, features)
            .into_iter()
            .map(|row| Call {
                name: row.name,
                number: row.nr,
                forms: row.forms.iter().map(ToString::to_string).collect(),
                reason: row.reason,
                test: row.test,
            })
            .collect();
        calls.sort_by_key(|call| call.name);
        (role.name(), RoleSurface { syscalls: calls })
    });
    let text = if json {
        let surface = Surface { roles: roles.into_iter().collect() };
        serde_json::to_string_pretty(&surface).attempt("cannot write the tables")?
    } else {
        let mut text = String::new();
        for (name, role) in roles {
            // A feature may add forms to a call another row has.
            let calls: BTreeSet<i64> = role.syscalls.iter().map(|call| call.number).collect();
            text.push_str(&format!("{name}: {} host calls\n", calls.len()));
            for call in role.syscalls {
                text.push_str(&format!("  {:<18} {}\n", call.name, call.reason));
                for form in call.forms {
                    text.push_str(&format!("  {:<18}   {form}\n", ""));
                }
            }
            text.push('\n');
        }
        text.trim_end().to_owned()
    };
    print(&text)
}

/// Prints text to standard output; a reader that has seen enough is no error.
pub fn print(text: &str) -> Result<u8, Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(0),
    }
}

/// Prints the table of guest system calls.
///
/// # Errors
/// Standard output cannot be written.
pub fn syscalls(json: bool) -> Result<u8, Failure> {
    use bevor_syscalls::docs;
    print(if json { docs::json() } else { docs::text() }.trim_end())
}
