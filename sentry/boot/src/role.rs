//! The main function of a sentry.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Barrier};

use bevor_confine::{Values, exit_now, inherited, privileges, report_refused_calls, use_one_heap};
use bevor_control::Server;
use bevor_kernel::Kernel;
use bevor_kernel::kernel::Config;
use bevor_memory::{MemoryPool, install_fault_recovery};
use bevor_platform::{Platform, Ptrace, PtraceConfig, Systrap, SystrapConfig};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::changes::{self, Job};
use crate::clock::StartClock;
use crate::config::{
    CONFIG_FD, CONTROL_FD, LOG_FD, Net, PlatformKind, SentryConfig, TRACE_FD, TraceKind,
};
use crate::{confinement, control, logging, network, tree};

/// Exit status of a sentry that could not start.
const FAILED: i32 = 125;
/// Stack of a worker, bytes. Guests are futures: nothing of theirs lives on it.
const WORKER_STACK: usize = 512 << 10;
/// Stack of the thread that watches the workers, bytes.
const WATCHER_STACK: usize = 64 << 10;

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
    let mut clock = StartClock::default();
    use_one_heap();
    privileges::set_name(c"bevor-sentry");
    privileges::ignore_terminal_signals().map_err(step("signals"))?;
    // The agreed numbers first: what is opened later must not be taken for them.
    let source = inherited(CONFIG_FD).map_err(step("configuration"))?;
    let control_socket = inherited(CONTROL_FD).map_err(step("control socket"))?;
    let report = inherited(2).map_err(step("standard error"))?;
    let mut trace = report.try_clone().map_err(step("standard error"))?;
    let panics = report.try_clone().map_err(step("standard error"))?;
    logging::report_panics("sentry", File::from(panics));
    report_refused_calls(c"sentry", report).map_err(step("signals"))?;

    let mut config = Vec::new();
    File::from(source).read_to_end(&mut config).map_err(step("configuration"))?;
    let config: SentryConfig = serde_json::from_slice(&config).map_err(step("configuration"))?;
    clock.enable(config.time_start);
    clock.passed("configuration read");
    if let Some(log) = config.log {
        logging::start(log, inherited(LOG_FD).map_err(step("log"))?);
    }
    if config.trace.is_some_and(|wish| wish.to_file) {
        trace = inherited(TRACE_FD).map_err(step("trace"))?;
    }

    let facts = HostFacts::read().map_err(step("/proc"))?;
    let interfaces = match config.net {
        Net::None => None,
        Net::Host => Some(network::interfaces().map_err(step("network interfaces"))?),
    };
    let large = confinement::leave_the_host(&config).map_err(step("cannot leave the host"))?;
    clock.passed("left the host");
    let cpus = keep_to_processors(config.cpus).map_err(step("processors"))?;
    let cpuinfo = facts.cpuinfo.clone();
    let platform = make_platform(config.platform, facts)?;
    clock.passed("platform made");
    confinement::close_to_new_code();
    install_fault_recovery().map_err(step("fault recovery"))?;

    let memory = MemoryPool::with_large_files(large);
    let recorded = config.trace.is_some_and(|wish| wish.kind == TraceKind::Record);
    let kernel_config = Config {
        nr_workers: cpus,
        observe_every_call: config.trace.is_some(),
        on_interrupt: recorded.then_some(bevor_syscalls::record::interrupted),
        cpuinfo,
        nr_cpus: cpus,
        reload_waits: config.reload_waits,
        memory_bytes: config.memory_bytes.unwrap_or(memory.total_memory()),
        ..Config::default()
    };
    let dispatch = match config.trace {
        Some(wish) => logging::trace_calls(wish.kind, File::from(trace)),
        None => bevor_syscalls::table::dispatch,
    };
    let kernel = Kernel::new(kernel_config, platform, memory, dispatch);
    tree::register_file_systems(&kernel);
    let clerk = start_threads(&kernel)?;
    let network = network::start(interfaces, config.host_unix).map_err(step("network"))?;
    clock.passed("kernel made");
    let mut server = Server::new().map_err(step("control server"))?;
    server.serve_owner(control_socket);
    let mut sandbox = control::Sandbox::new(kernel, clock.clone(), network, clerk);
    confinement::filter(&config, &Values::new()).map_err(step("cannot install the filter"))?;
    clock.passed("walls up");

    let end = server.run(&mut sandbox).map_err(step("control server"))?;
    tracing::debug!(?end, "the sandbox ends");
    Ok(())
}

/// What the platforms need of the host's /proc, taken while it can be reached.
struct HostFacts {
    systrap: SystrapConfig,
    ptrace: PtraceConfig,
    /// `/proc/self/maps`, to be read when the first stub process is made.
    maps: File,
    /// The first block of `/proc/cpuinfo`.
    cpuinfo: String,
}

impl HostFacts {
    fn read() -> std::io::Result<Self> {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
        let cpuinfo = cpuinfo.split("\n\n").next().unwrap_or_default().to_owned();
        Ok(Self {
            cpuinfo,
            systrap: SystrapConfig::from_host(),
            ptrace: PtraceConfig::from_host(),
            maps: File::open("/proc/self/maps")?,
        })
    }
}

/// Makes what runs guest code, and its first process.
fn make_platform(kind: PlatformKind, facts: HostFacts) -> Result<Arc<dyn Platform>, String> {
    match kind {
        PlatformKind::Systrap => {
            let systrap = Systrap::new(facts.systrap, facts.maps).map_err(step("systrap"))?;
            systrap.start();
            Ok(Arc::new(systrap))
        }
        PlatformKind::Ptrace => Ok(Arc::new(Ptrace::new(facts.ptrace).map_err(step("ptrace"))?)),
    }
}

/// Keeps this process, and every stub it will have, to `limit` of the processors it may use; how many
/// there are. Which ones is left to chance, so that sandboxes do not all choose the same.
fn keep_to_processors(limit: Option<usize>) -> nix::Result<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let all: Vec<usize> =
        (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
    let Some(limit) = limit.filter(|&limit| limit < all.len()) else { return Ok(all.len()) };
    let first = usize::try_from(bevor_kernel::host::random_words()[0] >> 33).unwrap_or(0);
    let mut kept = CpuSet::new();
    for step in 0..limit {
        kept.set(all[(first + step) % all.len()])?;
    }
    sched_setaffinity(this, &kept)?;
    Ok(limit)
}

/// Starts every thread the sentry will have, and returns when each has begun its work: one that is
/// only being born makes host calls that are in no table.
fn start_threads(kernel: &Arc<Kernel>) -> Result<Sender<Job>, String> {
    let workers = kernel.make_workers().map_err(step("workers"))?;
    let born = Arc::new(Barrier::new(workers.len() + 3));
    for (index, worker) in workers.into_iter().enumerate() {
        let (kernel, born) = (kernel.clone(), born.clone());
        let work = move || {
            born.wait();
            worker.run(&kernel);
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        thread.stack_size(WORKER_STACK).spawn(work).map_err(step("thread"))?;
    }
    let (watched, watcher_born) = (kernel.clone(), born.clone());
    let watch = move || {
        watcher_born.wait();
        watched.executor.watch(|| {
            if bevor_vfs::gofer::forget_contents() {
                bevor_confine::give_heap_back();
                bevor_confine::forget_own_code();
            }
        });
    };
    let watcher = std::thread::Builder::new().name("watcher".to_owned());
    watcher.stack_size(WATCHER_STACK).spawn(watch).map_err(step("thread"))?;
    let clerk = changes::start_clerk(born.clone()).map_err(step("thread"))?;
    bevor_vfs::host::start_poller().map_err(step("poller"))?;
    born.wait();
    Ok(clerk)
}
