//! The first thread of a stub process. It never runs guest code: it makes the host calls that the
//! tracer injects, one at a time, at the stub page.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bevor_confine::tables::ptrace::{CLONE_SPACE_FLAGS, CLONE_THREAD_FLAGS};

use crate::arch::UserRegs;
use crate::arch::ptrace::{
    MAX_BATCH, ORDERS, PAGE, batch_done, batch_regs, call_regs, call_result, encode_call,
};
use crate::mappings::Mappings;
use crate::ptrace::host::{self, Tid};
use crate::ptrace::link::Promise;
use crate::ptrace::pages::{OrderPage, OrderPages};
use crate::ptrace::space::SpaceShared;
use crate::ptrace::thread::ThreadShared;
use crate::{Order, PlatformError, Prot};

/// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE` and its registration (`linux/membarrier.h`).
const SYNC_CORE: u64 = 1 << 5;
const REGISTER_SYNC_CORE: u64 = 1 << 6;

/// From this many orders on a batch is worth writing down.
const MIN_BATCH: usize = 3;

/// A stub process as the tracer sees it.
pub struct Agent {
    pub pid: Tid,
    /// `None` for the zygote, which is no guest's address space.
    pub space: Option<Arc<SpaceShared>>,
    pub mappings: Mappings,
    /// Parked threads nobody holds.
    pub spares: Vec<Tid>,
    max_mappings: usize,
    pages: Arc<OrderPages>,
    batches: Batches,
    waiting: VecDeque<Job>,
    current: Option<(Job, Step)>,
}

/// Whether a process can be given several orders at once.
enum Batches {
    /// It has had none so far.
    Unused,
    /// Its page is mapped.
    Page(OrderPage),
    /// The host would not map a page: orders are given one by one.
    Never,
}

/// What the agent is doing for its current job.
enum Step {
    /// Mapping its page of orders.
    MapPage(OrderPage),
    /// The calls in the page, this many.
    Batch(usize),
    /// One call from its registers.
    One,
}

/// Something to do with injected calls.
pub enum Job {
    /// Mapping orders, of which `done` are carried out.
    Orders { orders: Vec<Order>, done: usize, promise: Promise<()> },
    /// A membarrier, once the process is registered for it.
    Barrier { registered: bool, promise: Promise<()> },
    /// A guest thread.
    Thread(Promise<Arc<ThreadShared>>),
    /// A stub process; only the zygote's.
    Space(Promise<Arc<SpaceShared>>),
}

/// A thread or process that was made and has not stopped for the first time yet.
pub enum Birth {
    /// A guest thread of this space.
    Thread(Arc<SpaceShared>, Promise<Arc<ThreadShared>>),
    /// A stub process.
    Space(Promise<Arc<SpaceShared>>),
}

/// What an agent's stop leads to.
pub enum Progress {
    /// Nothing for the tracer to do.
    Going,
    /// A new thread or process.
    Born(Tid, Birth),
    /// It did what it never does: the process must die.
    Broken(&'static str),
}

impl Agent {
    pub fn new(
        pid: Tid,
        space: Option<Arc<SpaceShared>>,
        max_mappings: usize,
        pages: Arc<OrderPages>,
    ) -> Self {
        Self {
            pid,
            space,
            mappings: Mappings::default(),
            spares: Vec::new(),
            max_mappings,
            pages,
            batches: Batches::Unused,
            waiting: VecDeque::new(),
            current: None,
        }
    }

    /// Whether it is making a process whose number it has not told yet.
    pub fn is_making_space(&self) -> bool {
        matches!(self.current, Some((Job::Space(_), _)))
    }

    /// Does a job after those already waiting.
    pub fn add(&mut self, job: Job) {
        self.waiting.push_back(job);
        if self.current.is_none() {
            self.begin();
        }
    }

    /// Begins the next job that needs a call.
    fn begin(&mut self) {
        while let Some(job) = self.waiting.pop_front() {
            if let Some(job) = self.admit(job) {
                self.go_on(job);
                return;
            }
        }
    }

    /// Refuses orders that would need too many mappings.
    fn admit(&self, job: Job) -> Option<Job> {
        if let Job::Orders { orders, .. } = &job {
            let growth: usize = orders.iter().map(|order| self.mappings.growth(order)).sum();
            if growth > 0 && self.mappings.count() + growth > self.max_mappings {
                if let Job::Orders { promise, .. } = job {
                    promise.keep(Err(PlatformError::TooManyMappings));
                }
                return None;
            }
        }
        Some(job)
    }

    /// Makes the thread do the job's next call or calls. A thread that cannot is dying: its exit ends
    /// the job.
    fn go_on(&mut self, job: Job) {
        let Some((step, regs)) = self.next_step(&job) else { return };
        self.current = Some((job, step));
        let _ = host::set_regs(self.pid, &regs).and_then(|()| host::cont(self.pid));
    }

    fn next_step(&mut self, job: &Job) -> Option<(Step, UserRegs)> {
        if let Job::Orders { orders, done, .. } = job {
            let orders = orders.get(*done..).unwrap_or_default();
            if orders.len() >= MIN_BATCH {
                if matches!(self.batches, Batches::Unused) {
                    if let Ok(page) = self.pages.take() {
                        let flags = flag(libc::MAP_SHARED | libc::MAP_FIXED);
                        let prot = flag(libc::PROT_READ);
                        let args = [ORDERS, PAGE, prot, flags, flag(page.fd()), page.offset()];
                        return Some((
                            Step::MapPage(page),
                            call_regs(libc::SYS_mmap, args, self.pages.key()),
                        ));
                    }
                    self.batches = Batches::Never;
                }
                if let Batches::Page(page) = &self.batches {
                    let batch = &orders[..orders.len().min(MAX_BATCH)];
                    let calls: Vec<_> = batch
                        .iter()
                        .map(|order| {
                            let (nr, args) = order_call(order);
                            encode_call(nr, args)
                        })
                        .collect();
                    if page.write(calls.as_flattened()).is_ok() {
                        let regs = batch_regs(batch.len(), self.pages.key());
                        return Some((Step::Batch(batch.len()), regs));
                    }
                }
            }
        }
        let (nr, args) = job.call()?;
        Some((Step::One, call_regs(nr, args, self.pages.key())))
    }

    /// Handles a stop by `signal`.
    pub fn stopped(&mut self, signal: i32) -> Progress {
        match signal {
            libc::SIGTRAP => {
                let Ok(regs) = host::get_regs(self.pid) else { return Progress::Going };
                match call_result(&regs) {
                    Some(result) => self.answered(result, &regs),
                    None => Progress::Broken("the agent left the stub page"),
                }
            }
            libc::SIGSYS => Progress::Broken("the host filter refused an injected call"),
            libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE
                if host::get_siginfo(self.pid).is_ok_and(|info| info.code > 0) =>
            {
                Progress::Broken("the agent crashed")
            }
            _ => {
                // Some process's signal. An idle agent need not run to drop it.
                if self.current.is_some() {
                    let _ = host::cont(self.pid);
                }
                Progress::Going
            }
        }
    }

    fn answered(&mut self, result: Result<u64, i32>, regs: &UserRegs) -> Progress {
        let Some((job, step)) = self.current.take() else {
            return Progress::Broken("the agent answered a call nobody made");
        };
        let nr_done = match step {
            Step::MapPage(page) => {
                self.batches = if result.is_ok() { Batches::Page(page) } else { Batches::Never };
                self.go_on(job);
                return Progress::Going;
            }
            Step::Batch(len) => batch_done(regs).min(len),
            Step::One => usize::from(result.is_ok()),
        };
        let progress = self.advance(job, result, nr_done);
        if self.current.is_none() {
            self.begin();
        }
        progress
    }

    /// Takes the answer to a job's last call, `nr_done` of whose calls have succeeded.
    fn advance(&mut self, job: Job, result: Result<u64, i32>, nr_done: usize) -> Progress {
        let failed =
            |what, code| PlatformError::Host { what, source: io::Error::from_raw_os_error(code) };
        let job = match job {
            Job::Orders { orders, done, promise } => {
                let now = done.saturating_add(nr_done).min(orders.len());
                for order in &orders[done..now] {
                    self.mappings.record(order);
                }
                Job::Orders { orders, done: now, promise }
            }
            other => other,
        };
        match (job, result) {
            (Job::Orders { orders, done, promise }, Ok(_)) => {
                if done < orders.len() {
                    self.go_on(Job::Orders { orders, done, promise });
                } else {
                    promise.keep(Ok(()));
                }
            }
            (Job::Orders { orders, done, promise }, Err(code)) => {
                let what = orders.get(done).map_or("order", order_name);
                promise.keep(Err(failed(what, code)));
            }
            (Job::Barrier { registered: false, promise }, Ok(_)) => {
                self.go_on(Job::Barrier { registered: true, promise });
            }
            (Job::Barrier { promise, .. }, Ok(_)) => promise.keep(Ok(())),
            (Job::Barrier { promise, .. }, Err(code)) => {
                promise.keep(Err(failed("membarrier", code)))
            }
            (Job::Thread(promise), Ok(tid)) => {
                if let (Ok(tid), Some(space)) = (Tid::try_from(tid), &self.space) {
                    return Progress::Born(tid, Birth::Thread(space.clone(), promise));
                }
            }
            (Job::Thread(promise), Err(code)) => {
                promise.keep(Err(failed("clone of a guest thread", code)));
            }
            (Job::Space(promise), Ok(pid)) => {
                if let Ok(pid) = Tid::try_from(pid) {
                    return Progress::Born(pid, Birth::Space(promise));
                }
            }
            (Job::Space(promise), Err(code)) => {
                promise.keep(Err(failed("clone of a stub process", code)));
            }
        }
        Progress::Going
    }
}

impl Job {
    /// The call to inject next.
    fn call(&self) -> Option<(i64, [u64; 6])> {
        Some(match self {
            Self::Orders { orders, done, .. } => order_call(orders.get(*done)?),
            Self::Barrier { registered, .. } => {
                let command = if *registered { SYNC_CORE } else { REGISTER_SYNC_CORE };
                (libc::SYS_membarrier, [command, 0, 0, 0, 0, 0])
            }
            Self::Thread(_) => (libc::SYS_clone, [flag(CLONE_THREAD_FLAGS), 0, 0, 0, 0, 0]),
            Self::Space(_) => (libc::SYS_clone, [flag(CLONE_SPACE_FLAGS), 0, 0, 0, 0, 0]),
        })
    }
}

const fn flag(flags: i32) -> u64 {
    flags.cast_unsigned() as u64
}

fn prot_flags(prot: Prot) -> u64 {
    let bit = |on: bool, flag: i32| if on { flag } else { 0 };
    flag(
        bit(prot.read, libc::PROT_READ)
            | bit(prot.write, libc::PROT_WRITE)
            | bit(prot.exec, libc::PROT_EXEC),
    )
}

fn order_name(order: &Order) -> &'static str {
    match order {
        Order::Map { .. } => "mmap",
        Order::Unmap { .. } => "munmap",
        Order::Protect { .. } => "mprotect",
        Order::Advise { .. } => "madvise",
    }
}

fn order_call(order: &Order) -> (i64, [u64; 6]) {
    match *order {
        Order::Map { addr, len, prot, fd, offset, populate } => {
            let populate = if populate { libc::MAP_POPULATE } else { 0 };
            let flags = flag(libc::MAP_SHARED | libc::MAP_FIXED | populate);
            (libc::SYS_mmap, [addr, len, prot_flags(prot), flags, flag(fd), offset])
        }
        Order::Unmap { addr, len } => (libc::SYS_munmap, [addr, len, 0, 0, 0, 0]),
        Order::Protect { addr, len, prot } => {
            (libc::SYS_mprotect, [addr, len, prot_flags(prot), 0, 0, 0])
        }
        Order::Advise { addr, len, advice } => {
            (libc::SYS_madvise, [addr, len, flag(advice), 0, 0, 0])
        }
    }
}
