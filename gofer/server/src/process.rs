//! The gofer process: from its configuration to its end.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Barrier, Mutex};

use bevor_confine::{inherited, privileges, report_refused_calls};
use bevor_gofer_protocol::service::{Ended, Service};

use crate::config::{Config, Source, VERSION};
use crate::confine::{StartError, Step, confine, install_filter};
use crate::host::{self, SelfFd};
use crate::server::{Limits, MAX_HANDLES, Server};

/// Threads unless configured otherwise: one for what is quick, others for what waits for a disk.
const THREADS: usize = 4;
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

/// Confines this process and answers requests until the sentry is gone or breaks the protocol.
/// Call it early in `main`, with a single thread, and end the process when it returns.
///
/// # Errors
/// [`StartError`], before any request was answered.
pub fn run(config: Config) -> Result<Ended, StartError> {
    if config.version != VERSION {
        return Err(StartError::Version(config.version));
    }
    host::use_one_heap();
    let step = StartError::io(Step::Descriptors);
    host::close_others(config_fds(&config)).map_err(StartError::host(Step::Descriptors))?;
    let memory = inherited(config.memory_fd).map_err(&step)?;
    let socket = inherited(config.socket_fd).map_err(&step)?;
    let report = inherited(config.report_fd).map_err(&step)?;
    report_panics(&report).map_err(&step)?;
    report_refused_calls(c"gofer", report.try_clone().map_err(&step)?).map_err(&step)?;

    let service = Service::new(memory.as_fd(), socket).map_err(StartError::io(Step::Channel))?;
    drop(memory);
    let limit = privileges::raise_descriptor_limit().map_err(&step)?;
    host::clear_umask();
    let mut self_fd = SelfFd::open().map_err(StartError::host(Step::Proc))?;
    let roots = confine(config.confine, config.roots.clone(), &mut self_fd)?;
    let limits = limits(&config, limit);
    let server = Server::new(roots, self_fd, limits).map_err(StartError::host(Step::Root(0)))?;

    let threads = if config.threads == 0 { THREADS } else { config.threads };
    serve(&Arc::new(server), &Arc::new(service), threads, &report, &config)
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
    report: &OwnedFd,
    config: &Config,
) -> Result<Ended, StartError> {
    let why = Arc::new(Mutex::new(None));
    // Once all threads have started, and once the filter is on.
    let gate = Arc::new(Barrier::new(threads + 1));
    for _ in 0..threads {
        let (server, service) = (Arc::clone(server), Arc::clone(service));
        let (gate, why) = (Arc::clone(&gate), Arc::clone(&why));
        let work = move || {
            gate.wait();
            gate.wait();
            let ended = server.serve(&service);
            why.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(ended);
            // The first thread to end tells the main one, which ends the process.
            service.close();
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
    install_filter(&server.self_fd, report, &config.roots)?;
    gate.wait();

    service.wait_for_hangup();
    let why = why.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let why = why.unwrap_or(Ended::Closed);
    if let Ended::Malformed(malformed) = &why {
        let line = format!("bevor: gofer: {malformed}; the sentry may be compromised\n");
        host::write_best_effort(report.as_fd(), line.as_bytes());
    }
    Ok(why)
}

/// Panics say where on the report descriptor: standard error is closed.
fn report_panics(report: &OwnedFd) -> std::io::Result<()> {
    let report = report.try_clone()?;
    debug_assert!(report.as_raw_fd() >= 0, "an open descriptor");
    std::panic::set_hook(Box::new(move |panic| {
        host::write_best_effort(report.as_fd(), format!("bevor: gofer: {panic}\n").as_bytes());
    }));
    Ok(())
}
