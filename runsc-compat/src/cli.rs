//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bevor_boot::config::{Net, PlatformKind};
use bevor_gofer::HostSockets;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::overlay::Overlay;
use crate::quantity;

/// Runs Linux programs in a sandbox that serves their system calls itself.
#[derive(Debug, Parser)]
#[command(name = "bevor", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one program in a sandbox of its own; ends with the program's exit status
    Do(Box<Do>),
    /// Say whether this host can run sandboxes and what to change
    Doctor {
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show or export what a sandbox changed
    #[command(subcommand)]
    Fs(Fs),
    /// Print every host system call each process of a sandbox may make
    Surface {
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
        /// The platform whose sentry is meant
        #[arg(long, value_enum, default_value_t)]
        platform: Platform,
        /// The network mode whose sentry is meant
        #[arg(long, value_enum, default_value_t)]
        net: NetArg,
        /// The use of the host's unix sockets whose sentry is meant
        #[arg(long, value_enum, default_value_t)]
        host_uds: HostUds,
    },
    /// Print every system call guests may make and how well it is served
    Syscalls {
        /// One JSON array instead of text
        #[arg(long)]
        json: bool,
    },
}

/// The commands of `fs`.
#[derive(Debug, Subcommand)]
pub enum Fs {
    /// List changes: A added, C changed, D deleted
    Diff {
        /// A running sandbox by its --id, or a directory of --overlay dir:DIR
        #[arg(value_name = "ID|DIR")]
        target: PathBuf,
        /// One JSON array instead of text
        #[arg(long)]
        json: bool,
    },
    /// Write changes as a tar file, in the manner of OCI layers
    Export {
        /// A running sandbox by its --id, or a directory of --overlay dir:DIR
        #[arg(value_name = "ID|DIR")]
        target: PathBuf,
        /// Where to [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Flags of `do`.
#[derive(Debug, Args)]
pub struct Do {
    /// What runs guest code
    #[arg(long, value_enum, default_value_t)]
    pub platform: Platform,
    /// Host directory that is the root inside
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Where changes to the root go: memory; file:DIR, contents of files in a hidden file in DIR;
    /// dir:DIR, a directory that is kept and can be used again; none, TO THE HOST'S OWN FILES
    #[arg(long, value_name = "WHERE", default_value = "memory")]
    pub overlay: Overlay,
    /// Most that changes in memory or in a file may take
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub overlay_size: Option<u64>,
    /// When the program has ended, list in this file what it changed (as bevor fs diff)
    #[arg(long, value_name = "FILE")]
    pub diff: Option<PathBuf>,
    /// When the program has ended, write what it changed to this tar file (as bevor fs export)
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Name by which bevor fs finds the sandbox while it runs
    #[arg(long, value_name = "ID", value_parser = crate::address::id)]
    pub id: Option<String>,
    /// Working directory inside [default: this one; / with --root]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Set an environment variable; the others are this shell's
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<OsString>,
    /// Start with an empty environment
    #[arg(long)]
    pub clear_env: bool,
    /// Run as this user, by the sandbox's own /etc/passwd [default: the caller]
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Host name inside [default: this host's]
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Show a host file or directory inside, read-only
    #[arg(long, value_name = "PATH[:DEST]")]
    pub ro: Vec<OsString>,
    /// Show a host file or directory inside; changes reach the host
    #[arg(long, value_name = "PATH[:DEST]")]
    pub rw: Vec<OsString>,
    /// Hold locks on files below --rw on the host, too, so that they exclude programs there
    #[arg(long)]
    pub host_locks: bool,
    /// Show the host's /root, /home, /run, /boot and /var/run, which are empty inside otherwise
    #[arg(long)]
    pub host_home: bool,
    /// Network
    #[arg(long, value_enum, default_value_t)]
    pub net: NetArg,
    /// Unix sockets of the host in the folders shown inside
    #[arg(long, value_enum, default_value_t)]
    pub host_uds: HostUds,
    /// End the sandbox after this time, with status 124; it then does not stop with the program
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub timeout: Option<Duration>,
    /// Most memory the program may use
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    pub memory: Option<u64>,
    /// Most processors the program may use
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub cpus: Option<u16>,
    /// Most processes and threads inside
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4_194_304))]
    pub pids: Option<u64>,
    /// Print every system call of the program to standard error
    #[arg(long)]
    pub strace: bool,
    /// Count the program's system calls and write how often, how long and with how many errors at its end
    #[arg(long)]
    pub strace_summary: bool,
    /// Write what --strace and --strace-summary tell to this file instead
    #[arg(long, value_name = "FILE")]
    pub strace_output: Option<PathBuf>,
    /// Write Bevor's own log to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Format of the log
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Log and report in detail
    #[arg(long)]
    pub debug: bool,
    /// Report how long each step of the start took
    #[arg(long, hide = true)]
    pub time_start: bool,
    /// For Bevor's own tests: save and reload every waiting call
    #[arg(long, hide = true)]
    pub reload_waits: bool,
    /// For Bevor's own tests: append each result and flag of every call once
    #[arg(long, hide = true, value_name = "FILE")]
    pub record_calls: Option<PathBuf>,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROG"
    )]
    pub program: Vec<OsString>,
}

/// `--platform`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Platform {
    /// Seccomp traps and patched call sites
    #[default]
    Systrap,
    /// PTRACE_SYSEMU: slower, for hosts and debugging where systrap cannot run
    Ptrace,
}

impl From<Platform> for PlatformKind {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::Systrap => Self::Systrap,
            Platform::Ptrace => Self::Ptrace,
        }
    }
}

/// `--net`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum NetArg {
    /// Loopback only
    #[default]
    None,
    /// The host's network, through a small set of calls
    Host,
}

impl From<NetArg> for Net {
    fn from(net: NetArg) -> Self {
        match net {
            NetArg::None => Self::None,
            NetArg::Host => Self::Host,
        }
    }
}

/// `--host-uds`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum HostUds {
    /// Out of reach
    #[default]
    None,
    /// Can be connected to
    Open,
    /// Can be bound below --rw, for programs of the host to connect to
    Create,
    /// Both
    All,
}

impl From<HostUds> for HostSockets {
    fn from(uds: HostUds) -> Self {
        match uds {
            HostUds::None => Self::None,
            HostUds::Open => Self::Connect,
            HostUds::Create => Self::Bind,
            HostUds::All => Self::All,
        }
    }
}

/// `--log-format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum LogFormat {
    /// One line a message
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Refuses a flag nobody knows, which the parser takes for the program's name.
///
/// # Errors
/// The line that says so.
pub fn known_flags(args: &Do) -> Result<(), Failure> {
    let Some(program) = args.program.first() else { return Ok(()) };
    let all: Vec<OsString> = std::env::args_os().collect();
    let after_dashes = all
        .iter()
        .position(|arg| arg == "--")
        .is_some_and(|at| all.len() == at + 1 + args.program.len());
    if program.as_encoded_bytes().starts_with(b"-") && !after_dashes {
        let flag = program.to_string_lossy();
        return Err(Failure::new(format!("unexpected argument '{flag}' (see bevor do --help)")));
    }
    Ok(())
}
