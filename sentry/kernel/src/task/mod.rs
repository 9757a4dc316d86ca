//! Tasks: guest threads.
//!
//! What other tasks may look at lies in [`Task`] behind its own locks; what only the worker that
//! polls the task touches lies in [`TaskFuture`].

mod answers;
mod future;
mod machine;
mod reload;
mod sched;
mod traced;

pub use future::{Flow, TaskFuture};
pub use machine::Machine;
pub use sched::Sched;

use crate::fd::FdTable;
use crate::fs::FsState;
use crate::group::{ThreadGroup, Usage};
use crate::kernel::Kernel;
use crate::ns::Namespaces;
use crate::pid::Pid;
use crate::ptrace::Tracee;
use crate::seccomp::Seccomp;
use crate::signal::TaskSignals;
use bevor_abi::cap::CAP_IPC_LOCK;
use bevor_abi::prctl::PR_MCE_KILL_DEFAULT;
use bevor_abi::sched::{SCHED_FLAG_RESET_ON_FORK, SCHED_NORMAL};
use bevor_base::{Credentials, Ready, WaitQueue, Wakeable};
use bevor_memory::{Limits, MemoryManager};
use bevor_platform::{Kick, Thread};
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// A guest thread.
pub struct Task {
    this: Weak<Self>,
    /// The sandbox's kernel.
    pub kernel: Arc<Kernel>,
    /// Its identity; `execve` gives the calling thread the leader's.
    pid: RwLock<Arc<Pid>>,
    /// Its process.
    pub group: Arc<ThreadGroup>,
    /// Where it is between the executor and the guest.
    pub sched: Sched,
    /// What the polling worker owns.
    pub future: Mutex<TaskFuture>,
    /// Memory; `None` once it has exited.
    mm: RwLock<Option<Arc<MemoryManager>>>,
    files: RwLock<Option<Arc<FdTable>>>,
    fs: RwLock<Arc<FsState>>,
    cred: RwLock<Arc<Credentials>>,
    namespaces: RwLock<Arc<Namespaces>>,
    /// Signals.
    pub signals: Mutex<TaskSignals>,
    /// What it knows of being traced.
    pub ptrace: Tracee,
    comm: Mutex<[u8; 16]>,
    kicker: RwLock<Option<Arc<dyn Kick>>>,
    /// `set_tid_address(2)`.
    pub clear_child_tid: AtomicU64,
    /// `set_robust_list(2)`.
    pub robust_list: AtomicU64,
    /// Whether a parent waits in `vfork` for this task to call `execve` or exit.
    pub vfork: Mutex<Option<WaitQueue>>,
    /// `PR_SET_PDEATHSIG`.
    pub parent_death_signal: AtomicI32,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: AtomicBool,
    /// It became a user who has too many tasks (`PF_NPROC_EXCEEDED`).
    pub nproc_exceeded: AtomicBool,
    /// Mode and filters of `seccomp(2)`.
    pub seccomp: Seccomp,
    /// `PR_SET_TIMERSLACK`, nanoseconds.
    pub timer_slack_ns: AtomicU64,
    /// `personality(2)`.
    pub personality: AtomicU32,
    /// `set_mempolicy(2)`: mode with its flags, and the nodes, a bit each.
    pub mempolicy: Mutex<(u32, u64)>,
    /// `PR_MCE_KILL`.
    pub memory_failure: AtomicU32,
    /// `PR_SET_IO_FLUSHER`.
    pub io_flusher: AtomicBool,
    /// Start time, host `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// Scheduling attributes as set by the guest.
    pub sched_attr: Mutex<SchedAttributes>,
    /// Counters other than CPU time.
    pub counters: Counters,
    /// Set when another task changed what the in-guest answers say.
    pub answers_stale: AtomicBool,
    /// CPU time of platform threads it had before `execve`.
    user_ns_before: AtomicU64,
    system_ns_before: AtomicU64,
    /// Of the platform thread it has.
    user_ns_now: AtomicU64,
    system_ns_now: AtomicU64,
    /// Number of the system call it waits in, -1 in none (`/proc/PID/syscall`, `wchan`).
    pub waiting_in: AtomicI32,
}

/// What `sched_setattr(2)`, `nice` and affinity set; reported truthfully, weighed by the host.
#[derive(Clone, Debug)]
pub struct SchedAttributes {
    /// `SCHED_*`.
    pub policy: u32,
    /// Real-time priority.
    pub priority: i32,
    /// Nice value.
    pub nice: i32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Allowed CPUs, a bit each.
    pub affinity: Vec<u64>,
    /// `ioprio_set(2)` value.
    pub ioprio: u32,
}

impl SchedAttributes {
    /// Normal scheduling on all of `nr_cpus` CPUs.
    #[must_use]
    pub fn new(nr_cpus: usize) -> Self {
        let words = nr_cpus.div_ceil(64).max(1);
        let mut affinity = vec![0_u64; words];
        for cpu in 0..nr_cpus {
            affinity[cpu / 64] |= 1 << (cpu % 64);
        }
        Self { policy: 0, priority: 0, nice: 0, flags: 0, affinity, ioprio: 0 }
    }

    /// What a child gets: the same, or the defaults after `SCHED_RESET_ON_FORK`.
    #[must_use]
    pub fn inherit(&self) -> Self {
        let mut child = self.clone();
        if self.flags & SCHED_FLAG_RESET_ON_FORK != 0 {
            child.flags &= !SCHED_FLAG_RESET_ON_FORK;
            (child.policy, child.priority) = (SCHED_NORMAL, 0);
            child.nice = child.nice.max(0);
        }
        child
    }
}

/// Event counts of a task.
#[derive(Debug, Default)]
pub struct Counters {
    /// Faults served without I/O.
    pub minor_faults: AtomicU64,
    /// Faults that needed I/O.
    pub major_faults: AtomicU64,
    /// Waits.
    pub voluntary_switches: AtomicU64,
    /// Preemptions.
    pub involuntary_switches: AtomicU64,
    /// System calls served.
    pub syscalls: AtomicU64,
    /// Bytes read and written (`/proc/PID/io`).
    pub read_bytes: AtomicU64,
    /// Bytes written.
    pub written_bytes: AtomicU64,
    /// Calls that read (`syscr`).
    pub reads: AtomicU64,
    /// Calls that wrote (`syscw`).
    pub writes: AtomicU64,
}

/// What a new task is made of.
pub struct TaskParts {
    /// Identity.
    pub pid: Arc<Pid>,
    /// Process.
    pub group: Arc<ThreadGroup>,
    /// Platform thread and registers.
    pub future: TaskFuture,
    /// Memory.
    pub mm: Arc<MemoryManager>,
    /// Descriptors.
    pub files: Arc<FdTable>,
    /// Root, working directory, umask.
    pub fs: Arc<FsState>,
    /// Credentials.
    pub cred: Arc<Credentials>,
    /// Namespaces.
    pub namespaces: Arc<Namespaces>,
    /// Blocked signals, alternate stack.
    pub signals: TaskSignals,
    /// Name.
    pub comm: [u8; 16],
    /// Scheduling attributes.
    pub sched_attr: SchedAttributes,
    /// Inherited `no_new_privs`.
    pub no_new_privs: bool,
    /// Interrupts the platform thread.
    pub kicker: Arc<dyn Kick>,
}

impl Task {
    /// Makes a task; it runs once it is in the tree and [`Task::schedule`] is called.
    #[must_use]
    pub fn new(kernel: Arc<Kernel>, parts: TaskParts) -> Arc<Self> {
        parts.mm.user_came();
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            kernel,
            pid: RwLock::new(parts.pid),
            group: parts.group,
            sched: Sched::default(),
            future: Mutex::new(parts.future),
            mm: RwLock::new(Some(parts.mm)),
            files: RwLock::new(Some(parts.files)),
            fs: RwLock::new(parts.fs),
            cred: RwLock::new(parts.cred),
            namespaces: RwLock::new(parts.namespaces),
            signals: Mutex::new(parts.signals),
            ptrace: Tracee::default(),
            comm: Mutex::new(parts.comm),
            kicker: RwLock::new(Some(parts.kicker)),
            clear_child_tid: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            vfork: Mutex::default(),
            parent_death_signal: AtomicI32::new(0),
            no_new_privs: AtomicBool::new(parts.no_new_privs),
            nproc_exceeded: AtomicBool::new(false),
            seccomp: Seccomp::default(),
            timer_slack_ns: AtomicU64::new(50_000),
            personality: AtomicU32::new(0),
            mempolicy: Mutex::default(),
            memory_failure: AtomicU32::new(PR_MCE_KILL_DEFAULT),
            io_flusher: AtomicBool::new(false),
            start_ns: bevor_base::clock::monotonic_ns(),
            sched_attr: Mutex::new(parts.sched_attr),
            counters: Counters::default(),
            answers_stale: AtomicBool::new(false),
            user_ns_before: AtomicU64::new(0),
            user_ns_now: AtomicU64::new(0),
            system_ns_now: AtomicU64::new(0),
            system_ns_before: AtomicU64::new(0),
            waiting_in: AtomicI32::new(-1),
        })
    }

    /// Its identity.
    #[must_use]
    pub fn pid(&self) -> Arc<Pid> {
        self.pid.read().clone()
    }

    /// Gives it another identity (`execve` by a thread that is not the leader).
    pub fn set_pid(&self, pid: Arc<Pid>) -> Arc<Pid> {
        std::mem::replace(&mut *self.pid.write(), pid)
    }

    /// Thread id in its own pid namespace.
    #[must_use]
    pub fn tid(&self) -> i32 {
        self.pid.read().own_number()
    }

    /// Process id in its own pid namespace.
    #[must_use]
    pub fn tgid(&self) -> i32 {
        self.group.pid.own_number()
    }

    /// Memory; `None` once it has exited.
    #[must_use]
    pub fn mm(&self) -> Option<Arc<MemoryManager>> {
        self.mm.read().clone()
    }

    /// Replaces (`execve`) or takes away (exit) the memory.
    pub fn set_mm(&self, mm: Option<Arc<MemoryManager>>) -> Option<Arc<MemoryManager>> {
        if let Some(mm) = &mm {
            mm.user_came();
        }
        let old = std::mem::replace(&mut *self.mm.write(), mm);
        if let Some(old) = &old {
            old.user_left();
        }
        old
    }

    /// Descriptors; `None` once it has exited.
    #[must_use]
    pub fn files(&self) -> Option<Arc<FdTable>> {
        self.files.read().clone()
    }

    /// Replaces or takes away the descriptor table.
    pub fn set_files(&self, files: Option<Arc<FdTable>>) -> Option<Arc<FdTable>> {
        std::mem::replace(&mut *self.files.write(), files)
    }

    /// Root, working directory, umask.
    #[must_use]
    pub fn fs(&self) -> Arc<FsState> {
        self.fs.read().clone()
    }

    /// Replaces them (`unshare(CLONE_FS)`).
    pub fn set_fs(&self, fs: Arc<FsState>) {
        *self.fs.write() = fs;
    }

    /// Credentials.
    #[must_use]
    pub fn cred(&self) -> Arc<Credentials> {
        self.cred.read().clone()
    }

    /// Replaces the credentials. The caller refreshes the in-guest answers.
    pub fn set_cred(&self, cred: Arc<Credentials>) {
        if let Some(mm) = self.mm() {
            let (limits, may_lock) = (mm.limits(), cred.has_cap(CAP_IPC_LOCK));
            if limits.may_lock != may_lock {
                mm.set_limits(Limits { may_lock, ..limits });
            }
        }
        *self.cred.write() = cred;
    }

    /// Namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Arc<Namespaces> {
        self.namespaces.read().clone()
    }

    /// Replaces the namespaces (`unshare`, `setns`).
    pub fn set_namespaces(&self, namespaces: Arc<Namespaces>) {
        *self.namespaces.write() = namespaces;
        self.expire_answers();
    }

    /// The name, NUL padded.
    #[must_use]
    pub fn comm(&self) -> [u8; 16] {
        *self.comm.lock()
    }

    /// Sets the name; what does not fit in 15 bytes is cut off.
    pub fn set_comm(&self, name: &[u8]) {
        let mut comm = [0; 16];
        for (place, byte) in comm.iter_mut().take(15).zip(name) {
            *place = *byte;
        }
        *self.comm.lock() = comm;
    }

    /// A handle on itself.
    ///
    /// # Panics
    /// Never: `self` is only reachable through an `Arc`.
    #[must_use]
    pub fn arc(&self) -> Arc<Self> {
        self.this.upgrade().expect("a task is only reached through its Arc")
    }

    /// Puts it on a run queue, or notes that it must be polled again.
    pub fn schedule(&self) {
        if self.sched.wake() {
            self.kernel.executor.enqueue(self.arc());
        }
    }

    /// The worker that polls it cannot go on with it: another has to.
    pub(crate) fn requeue(&self) {
        self.sched.requeue();
        self.kernel.executor.enqueue(self.arc());
    }

    /// Something needs doing before the guest goes on (a signal, a stop, a kill): interrupts the
    /// guest or the wait.
    pub fn notify(&self) {
        self.sched.set_attention();
        if self.sched.in_guest() {
            self.kick();
        } else {
            self.schedule();
        }
    }

    /// Interrupts its platform thread.
    pub fn kick(&self) {
        if let Some(kicker) = &*self.kicker.read() {
            kicker.kick();
        }
    }

    /// Replaces the platform thread's interrupter (`execve`), or takes it away (exit).
    pub fn set_kicker(&self, kicker: Option<Arc<dyn Kick>>) {
        *self.kicker.write() = kicker;
    }

    /// Notes the CPU time its platform thread has used so far, in the guest and for it; neither
    /// shrinks.
    pub fn note_times(&self, thread: &dyn Thread) {
        self.user_ns_now.fetch_max(thread.cpu_time_ns(), Ordering::Relaxed);
        self.system_ns_now.fetch_max(thread.served_ns(), Ordering::Relaxed);
    }

    /// Keeps the CPU time of a platform thread it no longer has.
    pub fn retire_times(&self, thread: &dyn Thread) {
        self.note_times(thread);
        let sums = [
            (&self.user_ns_now, &self.user_ns_before),
            (&self.system_ns_now, &self.system_ns_before),
        ];
        for (now, before) in sums {
            before.fetch_add(now.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Its CPU time and counters. What its memory measured is not among them.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            user_ns: load(&self.user_ns_before) + load(&self.user_ns_now),
            system_ns: load(&self.system_ns_before) + load(&self.system_ns_now),
            max_rss_bytes: 0,
            minor_faults: load(&self.counters.minor_faults),
            major_faults: load(&self.counters.major_faults),
            voluntary_switches: load(&self.counters.voluntary_switches),
            involuntary_switches: load(&self.counters.involuntary_switches),
        }
    }
}

impl Wakeable for Task {
    fn wake(&self, _ready: Ready) {
        self.sched.set_woken();
        self.schedule();
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Task#{}", self.pid.read().id)
    }
}
