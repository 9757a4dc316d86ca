//! The kernel object: everything one sandbox has.

use crate::block::SysResult;
use crate::container::Container;
use crate::ctx::Ctx;
use crate::executor::{Executor, NR_SPARES, Seat, WorkerThread};
use crate::futex::FutexTable;
use crate::group::Usage;
use crate::load::Load;
use crate::tree::Tree;
use bevor_base::timer::TimerQueue;
use bevor_memory::MemoryPool;
use bevor_platform::{Platform, PlatformError};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is fixed when a kernel starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Executor workers.
    pub nr_workers: usize,
    /// Every call must reach the sentry (`--strace`, event filters): no in-guest answers.
    pub observe_every_call: bool,
    /// Told the number of each waiting call that fails with `EINTR`, which its handler never sees.
    pub on_interrupt: Option<fn(u64)>,
    /// CPUs the guest sees.
    pub nr_cpus: usize,
    /// The host's description of one processor, as a block of `/proc/cpuinfo`.
    pub cpuinfo: String,
    /// Bytes of memory the guest sees in `/proc/meminfo` and `sysinfo`.
    pub memory_bytes: u64,
    /// `release` of `uname`.
    pub release: String,
    /// `version` of `uname`.
    pub version: String,
    /// Whether set-user-ID programs gain privileges (inside the sandbox's own ids).
    pub allow_suid: bool,
    /// For tests: every waiting call is saved and loaded again when it parks and when it is woken.
    pub reload_waits: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nr_workers: 1,
            observe_every_call: false,
            on_interrupt: None,
            nr_cpus: 1,
            cpuinfo: "processor\t: 0\n".into(),
            memory_bytes: 1 << 30,
            release: "6.18.0-bevor".into(),
            version: "#1 SMP PREEMPT_DYNAMIC Bevor".into(),
            allow_suid: true,
            reload_waits: false,
        }
    }
}

/// Serves one system call: registered by the crate above that has the table.
pub type Dispatch = fn(&mut Ctx<'_>, nr: u64, args: [u64; 6]) -> SysResult;

/// One sandbox's kernel.
pub struct Kernel {
    /// What was fixed at start.
    pub config: Config,
    /// Runs guest code.
    pub platform: Arc<dyn Platform>,
    /// Guest memory.
    pub memory: Arc<MemoryPool>,
    /// Workers.
    pub executor: Executor,
    /// Deadlines.
    pub timers: Arc<TimerQueue>,
    /// Processes. The outermost of the kernel's locks.
    pub tree: Mutex<Tree>,
    /// Futex waiters.
    pub futexes: FutexTable,
    /// Containers by name.
    pub containers: Mutex<BTreeMap<String, Arc<Container>>>,
    /// Start of the sandbox, host `CLOCK_BOOTTIME`.
    pub boot_ns: u64,
    /// What ended tasks have used. Below every other lock.
    pub ended_usage: Mutex<Usage>,
    /// Load averages.
    pub load: Load,
    dispatch: Dispatch,
    unknown_syscalls: Mutex<BTreeMap<u64, u64>>,
}

impl Kernel {
    /// A kernel without containers; no worker runs yet.
    #[must_use]
    pub fn new(
        config: Config,
        platform: Arc<dyn Platform>,
        memory: Arc<MemoryPool>,
        dispatch: Dispatch,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            platform,
            memory,
            executor: Executor::default(),
            timers: TimerQueue::new(),
            tree: Mutex::default(),
            futexes: FutexTable::default(),
            containers: Mutex::default(),
            boot_ns: bevor_base::clock::boottime_ns(),
            ended_usage: Mutex::default(),
            load: Load::default(),
            dispatch,
            unknown_syscalls: Mutex::default(),
        })
    }

    /// Makes the workers and their spares, each to be run on a thread of its own with
    /// [`WorkerThread::run`]; one more thread is for [`Executor::watch`].
    ///
    /// # Errors
    /// The platform has no more ports.
    pub fn make_workers(self: &Arc<Self>) -> Result<Vec<WorkerThread>, PlatformError> {
        let nr_seats = self.config.nr_workers.max(1);
        let seats = (0..nr_seats)
            .map(|index| Ok(Seat::new(self.platform.new_port()?, WorkerThread::number(index))));
        self.executor.set_seats(seats.collect::<Result<_, PlatformError>>()?);
        let threads = 0..nr_seats + NR_SPARES;
        let workers = threads.map(|index| WorkerThread::new(index, nr_seats)).collect();
        let weak = Arc::downgrade(self);
        self.timers.on_sooner(Box::new(move || {
            if let Some(kernel) = weak.upgrade() {
                kernel.executor.deadline_moved();
            }
        }));
        let weak = Arc::downgrade(self);
        self.platform.set_death_hook(Box::new(move |space| {
            if let Some(kernel) = weak.upgrade() {
                crate::exit::space_died(&kernel, space);
            }
        }));
        Ok(workers)
    }

    /// Serves a system call.
    ///
    /// # Errors
    /// What the handler answers.
    pub fn dispatch(&self, ctx: &mut Ctx<'_>, nr: u64, args: [u64; 6]) -> SysResult {
        (self.dispatch)(ctx, nr, args)
    }

    /// Counts a call no table row serves.
    pub fn note_unknown_syscall(&self, nr: u64) {
        let mut unknown = self.unknown_syscalls.lock();
        // A hostile guest may try every 64-bit number.
        if unknown.len() < 1024 || unknown.contains_key(&nr) {
            *unknown.entry(nr).or_default() += 1;
        }
    }

    /// Counts of calls no table row serves.
    #[must_use]
    pub fn unknown_syscalls(&self) -> BTreeMap<u64, u64> {
        self.unknown_syscalls.lock().clone()
    }

    /// Adds a container.
    ///
    /// # Errors
    /// `EEXIST` if one of that name exists.
    pub fn add_container(&self, container: Arc<Container>) -> Result<(), bevor_abi::Errno> {
        let mut containers = self.containers.lock();
        if containers.contains_key(&container.id) {
            return Err(bevor_abi::errno::EEXIST.into());
        }
        containers.insert(container.id.clone(), container);
        Ok(())
    }

    /// Finds a container.
    #[must_use]
    pub fn container(&self, id: &str) -> Option<Arc<Container>> {
        self.containers.lock().get(id).cloned()
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernel({})", self.platform.name())
    }
}
