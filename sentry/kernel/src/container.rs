//! Containers: any number of them share one sentry.

use crate::group::ThreadGroup;
use crate::ns::Namespaces;
use crate::tree::{ExitStatus, JobEvent};
use bevor_memory::Account;
use bevor_vfs::FsContext;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Life of a container (OCI runtime specification, "State").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Made, its init not started.
    Created,
    /// Its init runs.
    Running,
    /// All its tasks are held.
    Paused,
    /// Its init has ended.
    Stopped,
}

#[derive(Debug)]
struct Inner {
    state: State,
    init: Option<Arc<ThreadGroup>>,
    exit: Option<ExitStatus>,
    /// Exit statuses of processes somebody outside waits for, by group id.
    exits: Vec<(u64, ExitStatus)>,
    /// Why the sandbox ended it, if it did.
    reason: Option<String>,
}

/// One container: a root, namespaces, limits and an init.
pub struct Container {
    /// Its name.
    pub id: String,
    /// Accounts and limits its memory.
    pub account: Arc<Account>,
    /// Root and working directory its processes start with.
    pub fs: Arc<FsContext>,
    /// Namespaces its processes start in.
    pub namespaces: Arc<Namespaces>,
    /// Highest number of tasks.
    pub max_tasks: u64,
    /// Whether its init gets only the signals it handles, as `pid_namespaces(7)` says. Off for
    /// `bevor do`, whose program must die of signals as it does natively.
    pub protect_init: bool,
    nr_tasks: AtomicU64,
    nr_oom_kills: AtomicU64,
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Who is told of the end of a process, by group id.
    waiters: Mutex<Vec<(u64, EndHook)>>,
    job_hook: OnceLock<JobHook>,
}

/// Told once how a process ended. Called with locks of the kernel held: it notes and schedules.
pub type EndHook = Box<dyn FnOnce(ExitStatus) + Send>;

/// Told when the init stops or goes on (job control). Called with locks of the kernel held.
pub type JobHook = Box<dyn Fn(JobEvent) + Send + Sync>;

impl Container {
    /// A container without processes.
    #[must_use]
    pub fn new(
        id: String,
        account: Arc<Account>,
        fs: Arc<FsContext>,
        namespaces: Arc<Namespaces>,
        max_tasks: u64,
        protect_init: bool,
    ) -> Arc<Self> {
        let inner = Inner {
            state: State::Created,
            init: None,
            exit: None,
            exits: Vec::new(),
            reason: None,
        };
        Arc::new(Self {
            id,
            account,
            fs,
            namespaces,
            max_tasks,
            protect_init,
            nr_tasks: AtomicU64::new(0),
            nr_oom_kills: AtomicU64::new(0),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            waiters: Mutex::default(),
            job_hook: OnceLock::new(),
        })
    }

    /// Counts a new task; `false` if the limit is reached.
    #[must_use]
    pub fn charge_task(&self) -> bool {
        let max = self.max_tasks;
        let more = |nr| (nr < max).then_some(nr + 1);
        self.nr_tasks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Uncounts an ended task.
    pub fn uncharge_task(&self) {
        self.nr_tasks.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many tasks it has.
    #[must_use]
    pub fn nr_tasks(&self) -> u64 {
        self.nr_tasks.load(Ordering::Relaxed)
    }

    /// How many processes were killed for want of memory.
    #[must_use]
    pub fn nr_oom_kills(&self) -> u64 {
        self.nr_oom_kills.load(Ordering::Relaxed)
    }

    /// Counts a process killed for want of memory.
    pub fn count_oom_kill(&self) {
        self.nr_oom_kills.fetch_add(1, Ordering::Relaxed);
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner.lock().state
    }

    /// How its init ended, once it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.inner.lock().exit
    }

    /// Its init process, once started.
    #[must_use]
    pub fn init(&self) -> Option<Arc<ThreadGroup>> {
        self.inner.lock().init.clone()
    }

    /// Notes that the init was started.
    pub fn started(&self, init: Arc<ThreadGroup>) {
        let mut inner = self.inner.lock();
        inner.state = State::Running;
        inner.init = Some(init);
        self.changed.notify_all();
    }

    /// Notes why the sandbox is about to end it. The first reason stays.
    pub fn set_reason(&self, reason: &str) {
        self.inner.lock().reason.get_or_insert_with(|| reason.to_owned());
    }

    /// Why the sandbox ended it, if it did.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.inner.lock().reason.clone()
    }

    /// Notes that a process without a parent inside (the init, an `exec`) has ended.
    pub fn process_ended(&self, group: &Arc<ThreadGroup>, status: ExitStatus) {
        let mut inner = self.inner.lock();
        inner.exits.push((group.id(), status));
        if inner.init.as_ref().is_some_and(|init| Arc::ptr_eq(init, group)) {
            inner.exit = Some(status);
            inner.state = State::Stopped;
        }
        self.changed.notify_all();
        drop(inner);
        let mut waiters = self.waiters.lock();
        let (told, kept) = waiters.drain(..).partition(|(id, _)| *id == group.id());
        *waiters = kept;
        drop(waiters);
        let told: Vec<(u64, EndHook)> = told;
        told.into_iter().for_each(|(_, hook)| hook(status));
    }

    /// Calls `hook` when the process of group `id` has ended; at once if it has.
    pub fn when_ended(&self, id: u64, hook: EndHook) {
        let mut waiters = self.waiters.lock();
        let ended = self.inner.lock().exits.iter().find(|(group, _)| *group == id).copied();
        match ended {
            Some((_, status)) => {
                drop(waiters);
                hook(status);
            }
            None => waiters.push((id, hook)),
        }
    }

    /// Sets who is told when the init stops and goes on. The first call wins.
    pub fn set_job_hook(&self, hook: JobHook) {
        let _ = self.job_hook.set(hook);
    }

    /// Notes that the init has stopped or goes on.
    pub fn init_changed(&self, event: JobEvent) {
        if let Some(hook) = self.job_hook.get() {
            hook(event);
        }
    }

    /// Waits, on a thread that may block, until the process has ended.
    #[must_use]
    pub fn wait(&self, group: u64, timeout: Option<Duration>) -> Option<ExitStatus> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut inner = self.inner.lock();
        loop {
            if let Some(&(_, status)) = inner.exits.iter().find(|(id, _)| *id == group) {
                return Some(status);
            }
            match deadline {
                None => self.changed.wait(&mut inner),
                Some(deadline) => {
                    if self.changed.wait_until(&mut inner, deadline).timed_out() {
                        return None;
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Container({})", self.id)
    }
}
