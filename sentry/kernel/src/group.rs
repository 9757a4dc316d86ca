//! Thread groups: processes.

use crate::container::Container;
use crate::exec::ImageInfo;
use crate::limits::Limits;
use crate::pid::Pid;
use crate::signal::{Handlers, Pending};
use crate::task::Task;
use crate::tree::{ExitStatus, Tree};
use bevor_base::{Credentials, WaitQueue};
use bevor_vfs::file::File;
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Signal and stop state shared by the threads of a process.
#[derive(Debug, Default)]
pub struct GroupSignals {
    /// Sent to the process as a whole.
    pub pending: Pending,
    /// The signal that stopped it, while it is stopped.
    pub stopped: Option<i32>,
    /// Set when the whole process is ending, with what it will report.
    pub exiting: Option<ExitStatus>,
    /// While one thread of it runs `execve`: that thread's id; the others die.
    pub execing: Option<u64>,
}

/// CPU time and fault counts of ended threads or reaped children (`getrusage(2)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// User time, nanoseconds.
    pub user_ns: u64,
    /// System time, nanoseconds.
    pub system_ns: u64,
    /// Largest resident set, bytes.
    pub max_rss_bytes: u64,
    /// Faults served without I/O.
    pub minor_faults: u64,
    /// Faults that needed I/O.
    pub major_faults: u64,
    /// Waits.
    pub voluntary_switches: u64,
    /// Preemptions.
    pub involuntary_switches: u64,
}

impl Usage {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.user_ns += other.user_ns;
        self.system_ns += other.system_ns;
        self.max_rss_bytes = self.max_rss_bytes.max(other.max_rss_bytes);
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
    }
}

/// What a zombie still shows of its last thread.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its name.
    pub comm: [u8; 16],
    /// Its credentials.
    pub cred: Arc<Credentials>,
}

/// The program a process runs.
#[derive(Clone, Debug)]
pub struct Image {
    /// The executable (`/proc/PID/exe`).
    pub exe: Arc<File>,
    /// Where its parts are.
    pub info: ImageInfo,
}

/// A process: the threads that share a pid.
#[derive(Debug)]
pub struct ThreadGroup {
    /// Identity of the leader; stays when another thread becomes the leader by `execve`.
    pub pid: Arc<Pid>,
    /// The container it belongs to.
    pub container: Arc<Container>,
    /// Living threads, the leader first.
    pub threads: Mutex<Vec<Arc<Task>>>,
    /// Signals and stop state.
    pub signals: Mutex<GroupSignals>,
    /// Signal actions.
    pub handlers: RwLock<Arc<Handlers>>,
    /// Resource limits.
    pub limits: Limits,
    /// Woken when a child changes state.
    pub child_wait: WaitQueue,
    /// Woken when a signal was queued (signalfd).
    pub signal_wait: WaitQueue,
    /// Woken when the process or a thread of it has ended (pidfd, vfork parents use the task's own).
    pub exit_wait: WaitQueue,
    /// Of threads that ended.
    pub usage: Mutex<Usage>,
    /// Of reaped children.
    pub child_usage: Mutex<Usage>,
    /// Start time, host `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// Set when `SIGCONT` resumed it, until its parent has been told.
    pub continued: AtomicBool,
    /// `PR_SET_DUMPABLE`.
    pub dumpable: AtomicBool,
    /// `membarrier(2)` commands it has registered for, a bit each.
    pub membarrier: AtomicU32,
    /// `PR_SET_THP_DISABLE`.
    pub thp_disable: AtomicBool,
    /// Whether `SEM_UNDO` was ever used.
    pub has_sem_undo: AtomicBool,
    /// `oom_score_adj`, offset by 1000.
    pub oom_score_adj: AtomicU64,
    /// `coredump_filter`: what a core dump would have in it.
    pub coredump_filter: AtomicU64,
    /// What is left of its last thread, once the process has ended.
    pub ended: OnceLock<Ended>,
    /// The running program.
    pub image: RwLock<Option<Image>>,
    /// Interval and POSIX timers.
    pub timers: crate::timers::GroupTimers,
}

impl ThreadGroup {
    /// A process without threads yet.
    #[must_use]
    pub fn new(
        pid: Arc<Pid>,
        container: Arc<Container>,
        handlers: Arc<Handlers>,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            pid,
            container,
            threads: Mutex::default(),
            signals: Mutex::default(),
            handlers: RwLock::new(handlers),
            limits,
            child_wait: WaitQueue::new(),
            signal_wait: WaitQueue::new(),
            exit_wait: WaitQueue::new(),
            usage: Mutex::default(),
            child_usage: Mutex::default(),
            start_ns: bevor_base::clock::monotonic_ns(),
            continued: AtomicBool::new(false),
            dumpable: AtomicBool::new(true),
            membarrier: AtomicU32::new(0),
            thp_disable: AtomicBool::new(false),
            has_sem_undo: AtomicBool::new(false),
            oom_score_adj: AtomicU64::new(1000),
            coredump_filter: AtomicU64::new(0x33),
            ended: OnceLock::new(),
            image: RwLock::new(None),
            timers: crate::timers::GroupTimers::default(),
        })
    }

    /// Notes the program it runs now.
    pub fn set_image(&self, exe: Arc<File>, info: ImageInfo) {
        *self.image.write() = Some(Image { exe, info });
    }

    /// Key in the tree.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.pid.id
    }

    /// The signal actions.
    #[must_use]
    pub fn handlers(&self) -> Arc<Handlers> {
        self.handlers.read().clone()
    }

    /// Whether job control has stopped it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.signals.lock().stopped.is_some()
    }

    /// Whether it is ending.
    #[must_use]
    pub fn is_exiting(&self) -> bool {
        self.signals.lock().exiting.is_some()
    }

    /// The first living thread, which stands for the process where one thread must.
    #[must_use]
    pub fn leader(&self) -> Option<Arc<Task>> {
        self.threads.lock().first().cloned()
    }

    /// The credentials of its leader, or of its last thread if it has ended.
    #[must_use]
    pub fn cred(&self) -> Option<Arc<Credentials>> {
        let ended = || self.ended.get().map(|ended| ended.cred.clone());
        self.leader().map(|leader| leader.cred()).or_else(ended)
    }

    /// Tree id of the init of its pid namespace, if that lives.
    #[must_use]
    pub fn init_of_namespace(&self, tree: &Tree) -> Option<u64> {
        let init = self.pid.namespace().find(1)?;
        tree.nodes.get(&init.id).filter(|node| node.zombie.is_none()).map(|_| init.id)
    }

    /// Whether it is the init of its pid namespace.
    #[must_use]
    pub fn is_init(&self) -> bool {
        self.pid.own_number() == 1
    }

    /// Whether it is the init of the outermost pid namespace: the program of a container.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_init() && self.pid.namespace().parent.is_none()
    }

    /// Whether it gets only the signals it handles (`SIGNAL_UNKILLABLE`): the first process of a pid
    /// namespace, but for the program of `bevor do`, which is to feel like one outside.
    #[must_use]
    pub fn is_unkillable(&self) -> bool {
        self.is_init() && (self.container.protect_init || self.pid.namespace().parent.is_some())
    }

    /// CPU time and faults of all its threads, living and ended.
    #[must_use]
    pub fn total_usage(&self) -> Usage {
        let mut usage = *self.usage.lock();
        for task in self.threads.lock().iter() {
            usage.add(&task.usage());
        }
        usage
    }

    /// `oom_score_adj` of `/proc/PID`.
    #[must_use]
    pub fn oom_score_adj(&self) -> i64 {
        self.oom_score_adj.load(Ordering::Relaxed).cast_signed() - 1000
    }
}
