//! What a sentry is told when it starts, and under which numbers it finds its descriptors.

use serde::{Deserialize, Serialize};

/// Descriptor the configuration is read from, to its end (JSON of [`SentryConfig`]).
pub const CONFIG_FD: i32 = 3;
/// Descriptor of the control socket; its end is the end of the sandbox.
pub const CONTROL_FD: i32 = 4;
/// Descriptor the log is written to.
pub const LOG_FD: i32 = 5;
/// Descriptor a trace is written to if it has a file of its own; [`LOG_FD`] is then there, too.
pub const TRACE_FD: i32 = 6;

/// How a sentry runs, fixed for its life. Containers come over the control socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SentryConfig {
    /// What runs guest code.
    pub platform: PlatformKind,
    /// What guests see of networks.
    pub net: Net,
    /// Guests may use unix sockets of the host where the gofer gives them.
    #[serde(default)]
    pub host_unix: bool,
    /// What is written of the guests' system calls.
    #[serde(default)]
    pub trace: Option<Trace>,
    /// The log, if one is wanted.
    pub log: Option<Log>,
    /// Processors guests see and may use; `None`: all this process may use.
    pub cpus: Option<usize>,
    /// Bytes of memory guests see; `None`: the host's.
    pub memory_bytes: Option<u64>,
    /// Started by root: becomes nobody. Otherwise it already is in a user namespace of its own.
    pub by_root: bool,
    /// Milliseconds of each step of the start are logged to standard error.
    #[serde(default)]
    pub time_start: bool,
    /// For tests: saves and reloads every waiting call.
    #[serde(default)]
    pub reload_waits: bool,
}

/// A trace of system calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trace {
    /// What is written.
    pub kind: TraceKind,
    /// To [`TRACE_FD`]; else to standard error.
    pub to_file: bool,
}

/// What is written of each system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceKind {
    /// A line.
    Lines,
    /// Counts and times, when the program has ended.
    Summary,
    /// Both.
    LinesAndSummary,
    /// For tests: each result and each flag once.
    Record,
}

/// A way to run guest code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformKind {
    /// Seccomp traps and patched call sites.
    #[default]
    Systrap,
    /// `PTRACE_SYSEMU`: slower, runs where systrap cannot.
    Ptrace,
}

/// What guests see of networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Net {
    /// Loopback only.
    #[default]
    None,
    /// A small set of socket calls is passed to the host.
    Host,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Debug messages too.
    pub debug: bool,
}
