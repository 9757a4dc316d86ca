//! Starts this binary again as a gofer.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode};

use bevor_gofer::{Config, Confine, RootConfig, Source};
use bevor_gofer_protocol::Client;

/// The descriptor the configuration comes through.
const CONFIG: i32 = 0;

/// A running gofer.
pub struct Gofer {
    pub child: Child,
    pub client: Client,
    pub memory: OwnedFd,
    /// The client's socket, for tests that read from it themselves.
    pub socket: OwnedFd,
    pub report: OwnedFd,
}

impl Gofer {
    pub fn start(confine: Confine, roots: Vec<RootConfig>, user: Option<u32>) -> Self {
        Self::start_with(confine, roots, user, None)
    }

    /// Starts it as another user, or after a command of the shell that limits it.
    pub fn start_with(
        confine: Confine,
        roots: Vec<RootConfig>,
        user: Option<u32>,
        limit: Option<String>,
    ) -> Self {
        let fds = bevor_gofer_protocol::channel().unwrap();
        let pipe = || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let (report, report_end) = pipe();
        let (config_fd, config_end) = pipe();
        let mut config_end = fs::File::from(config_end);
        let config = Config {
            version: bevor_gofer::config::VERSION,
            memory_fd: fds.memory.as_raw_fd(),
            socket_fd: fds.server_socket.as_raw_fd(),
            report_fd: report_end.as_raw_fd(),
            roots,
            confine,
            threads: 0,
            max_descriptors: 0,
            max_handles: 0,
        };
        let mut passed = vec![config.memory_fd, config.socket_fd, config.report_fd];
        passed.extend(config.roots.iter().filter_map(|root| match root.source {
            Source::Fd(fd) => Some(fd),
            Source::Path(_) => None,
        }));
        for fd in passed {
            inherit(fd);
        }
        let mut command = Command::new("/proc/self/exe");
        if let Some(limit) = limit {
            command = Command::new("/bin/sh");
            let exe = std::env::current_exe().unwrap();
            let limited = format!("{limit} && exec \"$0\" \"$1\"");
            command.arg("-c").arg(limited).arg(exe);
        }
        command.arg("gofer").stdin(config_fd);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let child = command.spawn().unwrap();
        config_end.write_all(serde_json::to_string(&config).unwrap().as_bytes()).unwrap();
        drop(config_end);
        let socket = fds.client_socket.try_clone().unwrap();
        let client = Client::new(fds.memory.as_fd(), fds.client_socket).unwrap();
        drop((report_end, fds.server_socket));
        if let Err(error) = client.roots() {
            let mut said = String::new();
            fs::File::from(report).read_to_string(&mut said).unwrap();
            panic!("the gofer did not start: {error}: {said}");
        }
        Self { child, client, memory: fds.memory, socket, report }
    }
}

fn inherit(fd: i32) {
    // SAFETY: the descriptor is open: every caller holds its owner.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
    nix::fcntl::fcntl(fd, flags).unwrap();
}

/// A root at a path.
pub fn root(path: &Path, read_only: bool) -> RootConfig {
    RootConfig::new(Source::Path(path.into()), read_only)
}

/// What this binary does when it was started as a gofer.
pub fn be_gofer() -> Option<ExitCode> {
    if std::env::args().nth(1).as_deref() != Some("gofer") {
        return None;
    }
    let Err(error) = Config::read(CONFIG).and_then(bevor_gofer::run);
    eprintln!("{error}");
    Some(ExitCode::from(2))
}
