//! The gofer process: from its configuration to its end.

use std::convert::Infallible;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Barrier};

use bevor_confine::tables::gofer;
use bevor_confine::{exit_now, forget_own_code, inherited, privileges, report_refused_calls};
use bevor_gofer_protocol::service::{Ended, Service};

use crate::config::{Config, HostSockets, Source, VERSION};
use crate::confine::{Reports, StartError, Step, confine, install_filter};
use crate::host::{self, SelfFd};
use crate::server::{Limits, MAX_HANDLES, Server};

/// Threads unless configured otherwise: some for what is quick, and as many as a sentry has spare
/// workers for what waits for a disk, or for a file system that hangs.
const THREADS: usize = 12;
/// `O_PATH` descriptors kept unless configured otherwise.
const MAX_DESCRIPTORS: u64 = 4096;
/// Descriptors left for roots, listings, donations under way, and the process itself.
const RESERVED_DESCRIPTORS: u64 = 256;

impl Config {
    /// Reads a configuration, as JSON up to its end, from an inherited descriptor.
    ///
    /// # Errors
    /// [`StartError::Host`] when it cannot be read or is not one.
    pub fn read(fd: RawFd) -> Result<Self, StartError> {
        let step = StartError::io(Step::Config);
        let mut file = std::fs::File::from(inherited(fd).map_err(&step)?);
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(&step)?;
        serde_json::from_str(&text).map_err(|error| step(error.into()))
    }
}

/// Exit status of a gofer whose sentry hung up.
pub const EXIT_CLOSED: i32 = 0;
/// Exit status of a gofer whose sentry broke the protocol.
pub const EXIT_MALFORMED: i32 = 1;

/// Confines this process, answers requests until the sentry is gone or breaks the protocol, and
/// exits with [`EXIT_CLOSED`] or [`EXIT_MALFORMED`]. Call it early in `main`, with a single thread.
///
/// Faults are written to the report descriptor of the configuration, one line each.
///
/// # Errors
/// [`StartError`], before any request was answered.
pub fn run(config: Config) -> Result<Infallible, StartError> {
    if config.version != VERSION {
        return Err(StartError::Version(config.version));
    }
    host::use_one_heap();
    host::ignore_signals_of_requests();
    host::unblock_signals();
    let step = StartError::io(Step::Descriptors);
    host::close_others(config_fds(&config)).map_err(StartError::host(Step::Descriptors))?;
    let report = Arc::new(inherited(config.report_fd).map_err(&step)?);
    let ended = start(config, &report).inspect_err(|error| say(&report, error))?;
    if let Ended::Malformed(malformed) = ended {
        say(&report, &format_args!("{malformed}; the sentry may be compromised"));
        exit_now(EXIT_MALFORMED);
    }
    exit_now(EXIT_CLOSED)
}

fn start(config: Config, report: &Arc<OwnedFd>) -> Result<Ended, StartError> {
    let step = StartError::io(Step::Descriptors);
    let memory = inherited(config.memory_fd).map_err(&step)?;
    let socket = inherited(config.socket_fd).map_err(&step)?;
    report_panics(report);
    let refused_calls = report.try_clone().map_err(&step)?;
    let reports = Reports { faults: report.as_raw_fd(), refused_calls: refused_calls.as_raw_fd() };
    report_refused_calls(c"gofer", refused_calls).map_err(&step)?;

    let service = Service::new(memory.as_fd(), socket).map_err(StartError::io(Step::Channel))?;
    drop(memory);
    let limit = privileges::raise_descriptor_limit().map_err(&step)?;
    host::clear_umask();
    let mut self_fd = SelfFd::open().map_err(StartError::host(Step::Proc))?;
    let limits = limits(&config, limit);
    let features = gofer::Features {
        writable: config.roots.iter().any(|root| !root.read_only),
        sockets: config.roots.iter().any(|root| root.sockets != HostSockets::None),
        locks: config.roots.iter().any(|root| root.locks && !root.read_only),
    };
    let threads = if config.threads == 0 { THREADS } else { config.threads };
    let roots = confine(config.confine, config.roots, &mut self_fd)?;
    let server = Server::new(roots, self_fd, limits).map_err(StartError::host(Step::Root(0)))?;
    serve(&Arc::new(server), &Arc::new(service), threads, reports, features)
}

/// Every descriptor a configuration names.
fn config_fds(config: &Config) -> Vec<RawFd> {
    let roots = config.roots.iter().filter_map(|root| match root.source {
        Source::Fd(fd) => Some(fd),
        Source::Path(_) => None,
    });
    [config.memory_fd, config.socket_fd, config.report_fd].into_iter().chain(roots).collect()
}

fn limits(config: &Config, open_files: u64) -> Limits {
    let room = open_files.saturating_sub(RESERVED_DESCRIPTORS).clamp(16, MAX_DESCRIPTORS);
    let room = usize::try_from(room).unwrap_or(16);
    let or = |configured: usize, otherwise| if configured == 0 { otherwise } else { configured };
    Limits {
        handles: or(config.max_handles, MAX_HANDLES),
        descriptors: or(config.max_descriptors, room).min(room),
    }
}

fn serve(
    server: &Arc<Server>,
    service: &Arc<Service>,
    threads: usize,
    reports: Reports,
    features: gofer::Features,
) -> Result<Ended, StartError> {
    // Once all threads have started, and once the filter is on.
    let gate = Arc::new(Barrier::new(threads + 1));
    for _ in 0..threads {
        let (server, service) = (Arc::clone(server), Arc::clone(service));
        let gate = Arc::clone(&gate);
        let work = move || {
            gate.wait();
            gate.wait();
            server.serve(&service);
            // The main thread ends the process; ending a thread takes other host calls.
            loop {
                std::thread::park();
            }
        };
        std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(work)
            .map_err(StartError::io(Step::Threads))?;
    }
    gate.wait();
    forget_own_code();
    install_filter(&server.self_fd, reports, features)?;
    gate.wait();

    Ok(service.wait_for_end())
}

/// Writes a line to the report descriptor.
fn say(report: &OwnedFd, what: &dyn std::fmt::Display) {
    host::write_best_effort(report.as_fd(), format!("bevor: gofer: {what}\n").as_bytes());
}

/// Panics say where on the report descriptor: standard error is closed.
fn report_panics(report: &Arc<OwnedFd>) {
    let report = Arc::clone(report);
    std::panic::set_hook(Box::new(move |panic| say(&report, panic)));
}
