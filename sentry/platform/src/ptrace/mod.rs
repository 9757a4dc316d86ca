//! The ptrace platform: for debugging, and for hosts where systrap cannot run. Correct before fast.
//!
//! ```text
//! workers, kernel ── Link (queue + signal) ──> tracer thread ── ptrace, wait4 ──> stub threads
//!        ^── PortShared, Promise (mutex + condition variable) ──┘
//! ```
//! - One host thread, the *tracer*, makes all `ptrace` calls. Everybody else sends it messages.
//! - One address space is one stub process. Its first thread, the *agent*, makes the host calls that
//!   orders need, injected at the stub page above the guest's addresses. It shares the sentry's
//!   descriptors and never runs guest code. Guest threads have no descriptors and run under
//!   `PTRACE_SYSEMU`: the host carries out none of their system calls.
//! - All stubs are forked from the *zygote*, which the tracer forked from the sentry at the start.
//!   They die with the tracer (`PTRACE_O_EXITKILL`).
//!
//! Locks, none held while another is taken: the link's queue, a promise, a thread's slot, a port's
//! state.
//!
//! What this asks of the process: the tracer alone may wait for its stubs, so nobody calls
//! `wait4(-1)` or sets `SIGCHLD` to be ignored with `SA_NOCLDWAIT`; `SIGURG` belongs to the platform.

mod agent;
mod guest;
mod host;
mod link;
mod pages;
mod port;
mod space;
mod thread;
mod tracer;
mod zygote;

use std::io;
use std::ops::Range;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crate::arch::ptrace::GUEST_END;
use crate::arch::vdso;
use crate::ptrace::link::{Link, Message, promise};
use crate::ptrace::pages::OrderPages;
use crate::ptrace::port::PtracePort;
use crate::ptrace::space::PtraceSpace;
use crate::ptrace::tracer::Tracer;
use crate::{DeathHook, Platform, PlatformError, Port, Space};

/// Stack of the platform's own threads, bytes.
const STACK: usize = 256 * 1024;
/// Mappings a stub process has that no order made (the stub page, what the host seals), and room
/// for one that the host splits while it replaces it.
const OWN_MAPPINGS: usize = 16;

/// Limits of the host the platform must respect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PtraceConfig {
    /// `vm.mmap_min_addr`, bytes.
    pub min_addr: u64,
    /// `vm.max_map_count`.
    pub max_map_count: usize,
}

impl PtraceConfig {
    /// Reads the limits from `/proc/sys/vm`; Linux's defaults where it cannot.
    #[must_use]
    pub fn from_host() -> Self {
        let read = |name: &str, default: u64| {
            std::fs::read_to_string(format!("/proc/sys/vm/{name}"))
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(default)
        };
        Self {
            min_addr: read("mmap_min_addr", 65_536),
            max_map_count: usize::try_from(read("max_map_count", 65_530)).unwrap_or(65_530),
        }
    }
}

/// The platform. Dropping it kills all stubs and waits until they are reaped.
pub struct Ptrace {
    config: PtraceConfig,
    link: Arc<Link>,
    hook: Arc<OnceLock<DeathHook>>,
    vdso: Vec<u8>,
    threads: Vec<JoinHandle<()>>,
}

impl Ptrace {
    /// Starts the tracer and the first stub process.
    ///
    /// Called before the process has other threads, its seccomp filter or `PR_SET_MDWE`; stubs get
    /// its namespaces, and no capabilities.
    ///
    /// # Errors
    /// The host forbids tracing, or has no memory or process to spare.
    pub fn new(config: PtraceConfig) -> Result<Self, PlatformError> {
        let host = |what| move |source: io::Error| PlatformError::Host { what, source };
        host::handle_kicks().map_err(host("handler of SIGURG"))?;
        let link = Arc::new(Link::default());
        let hook: Arc<OnceLock<DeathHook>> = Arc::default();

        // A thread of its own, because the hook may wait for the tracer.
        let (deaths, dead) = channel();
        let told = hook.clone();
        let (up, is_up) = promise();
        let obituaries = move || {
            up.keep(Ok(()));
            for id in dead {
                if let Some(hook) = told.get() {
                    hook(id);
                }
            }
        };
        let (ready, started) = promise();
        let max_mappings = config.max_map_count.saturating_sub(OWN_MAPPINGS);
        let linked = link.clone();
        let pages = OrderPages::new().map_err(host("file of orders"))?;
        let trace = move || match Tracer::new(linked, Arc::new(pages), max_mappings, deaths) {
            Ok(tracer) => {
                ready.keep(Ok(()));
                tracer.run();
            }
            Err(e) => ready.keep(Err(e)),
        };
        let spawn = |name: &str| std::thread::Builder::new().name(name.into()).stack_size(STACK);
        // First, so that it forks the zygote from a process with nobody else running.
        let tracer = spawn("ptrace").spawn(trace).map_err(host("thread of the tracer"))?;
        let started = started.wait();
        if let Err(e) = started {
            // It has returned or is about to.
            let _ = tracer.join();
            return Err(e);
        }
        let vdso = vdso::build(&vdso::Facts::default());
        let mut platform = Self { config, link, hook, vdso, threads: vec![tracer] };
        let obituaries =
            spawn("ptrace-deaths").spawn(obituaries).map_err(host("thread of the death hook"))?;
        platform.threads.push(obituaries);
        // A thread that is still being born makes host calls the sentry's filter has no row for.
        is_up.wait()?;
        Ok(platform)
    }
}

impl Drop for Ptrace {
    fn drop(&mut self) {
        let _ = self.link.send(Message::Shutdown);
        for thread in self.threads.drain(..) {
            // A death hook that holds the last reference runs on the thread that would be joined.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Platform for Ptrace {
    fn name(&self) -> &'static str {
        "ptrace"
    }

    fn guest_range(&self) -> Range<u64> {
        self.config.min_addr..GUEST_END
    }

    fn new_space(&self) -> Result<Arc<dyn Space>, PlatformError> {
        let (promise, answer) = promise();
        self.link.send(Message::NewSpace(promise))?;
        Ok(Arc::new(PtraceSpace::new(answer.wait()?, self.link.clone())))
    }

    fn new_port(&self) -> Result<Box<dyn Port>, PlatformError> {
        Ok(Box::new(PtracePort::new(self.link.clone())))
    }

    fn set_death_hook(&self, hook: DeathHook) {
        if self.hook.set(hook).is_err() {
            tracing::error!("a second death hook was refused");
        }
    }

    /// `uname` is a system call here.
    /// The vDSO asks the sentry, which adds them.
    /// Its functions make system calls: there is no time to save here.
    fn vdso(&self) -> Option<&[u8]> {
        Some(&self.vdso)
    }
}
