//! The host-call tables, one file per role.

pub mod agent;
pub mod gofer;
pub mod guest;
pub mod host_sockets;
mod killed;
pub mod net_host;
pub mod ptrace;
pub mod sentry;
#[cfg(test)]
mod tests;

use std::fmt;

pub use killed::KILLED;

use crate::row::Row;

/// A kind of process (or thread) with a table of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// The sandbox kernel.
    Sentry,
    /// The process that resolves host paths.
    Gofer,
    /// A stub thread that runs guest code.
    Guest,
    /// The stub thread that carries out the sentry's mapping orders.
    Agent,
}

impl Role {
    /// All roles, in the order they are shown.
    pub const ALL: [Self; 4] = [Self::Sentry, Self::Gofer, Self::Guest, Self::Agent];

    /// The lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sentry => "sentry",
            Self::Gofer => "gofer",
            Self::Guest => "guest",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Optional parts of a sandbox that widen the sentry's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// The ptrace platform instead of systrap.
    pub ptrace: bool,
    /// `--net host`: a small set of socket calls is passed to the host.
    pub net_host: bool,
    /// `--host-uds`: unix sockets the gofer gets from the host.
    pub host_unix: bool,
}

/// The rows of a role.
#[must_use]
pub fn rows(role: Role, features: Features) -> Vec<&'static Row> {
    let groups: Vec<&'static [Row]> = match role {
        Role::Sentry => {
            let mut groups = vec![sentry::ROWS];
            groups.push(if features.ptrace { ptrace::SENTRY } else { sentry::SYSTRAP });
            if features.net_host || features.host_unix {
                groups.push(host_sockets::ROWS);
            }
            if features.host_unix {
                groups.push(host_sockets::UNIX);
            }
            if features.net_host {
                groups.push(net_host::ROWS);
            }
            groups
        }
        Role::Gofer => vec![gofer::ROWS, gofer::WRITABLE, gofer::SOCKETS, gofer::LOCKS],
        Role::Guest if features.ptrace => vec![ptrace::GUEST],
        Role::Agent if features.ptrace => vec![ptrace::AGENT],
        Role::Guest => guest::ROWS.to_vec(),
        Role::Agent => agent::ROWS.to_vec(),
    };
    groups.into_iter().flatten().collect()
}
