//! A guest thread as the kernel above holds it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::arch::UserRegs;
use crate::ptrace::host::{self, KICK, Tid};
use crate::ptrace::link::{Link, Message, promise};
use crate::ptrace::space::{PtraceSpace, SpaceShared};
use crate::{Answers, Context, Event, FpState, Kick, PlatformError, Thread};

/// What the tracer, the kernel's handle and kickers share.
pub struct ThreadShared {
    pub space: Arc<SpaceShared>,
    pub tid: Tid,
    /// From resume until the event is in the slot.
    running: AtomicBool,
    /// Registers in either direction. Owned by the tracer while the thread runs.
    pub slot: Mutex<Slot>,
    /// CPU time of past runs, nanoseconds.
    cpu_ns: AtomicU64,
    /// When the current run began: `CLOCK_MONOTONIC` and the process's CPU time; 0 between runs.
    run_began_ns: AtomicU64,
    run_began_cpu_ns: AtomicU64,
    /// Time its events took to be served, and when serving the present one began (0: none), by
    /// `CLOCK_MONOTONIC`.
    served_ns: AtomicU64,
    serving_since_ns: AtomicU64,
}

/// Where registers and events are handed over.
#[derive(Default)]
pub struct Slot {
    pub regs: UserRegs,
    pub event: Option<Event>,
}

impl ThreadShared {
    pub fn new(space: Arc<SpaceShared>, tid: Tid) -> Self {
        Self {
            space,
            tid,
            running: AtomicBool::new(false),
            slot: Mutex::default(),
            cpu_ns: AtomicU64::new(0),
            run_began_ns: AtomicU64::new(0),
            run_began_cpu_ns: AtomicU64::new(0),
            served_ns: AtomicU64::new(0),
            serving_since_ns: AtomicU64::new(0),
        }
    }

    /// Notes that an event is being served.
    pub fn begin_serving(&self) {
        self.serving_since_ns.store(host::monotonic_ns(), Ordering::Relaxed);
    }

    /// Notes that serving an event has ended, if one was being served.
    pub fn end_serving(&self) {
        let since = self.serving_since_ns.swap(0, Ordering::Relaxed);
        if since != 0 {
            let passed = host::monotonic_ns().saturating_sub(since);
            self.served_ns.fetch_add(passed, Ordering::Relaxed);
        }
    }

    pub fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::SeqCst);
    }

    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// Interrupts it if it runs. A kick that comes too late stops the next run, which is allowed.
    pub fn kick(&self) {
        if self.is_running() {
            host::tgkill(self.space.pid, self.tid, KICK);
        }
    }

    /// Notes the clocks as a run begins.
    pub fn begin_run(&self) {
        self.end_serving();
        self.run_began_cpu_ns.store(self.space.cpu_time_ns(), Ordering::Relaxed);
        self.run_began_ns.store(host::monotonic_ns(), Ordering::Release);
    }

    /// Adds a run that has ended.
    pub fn end_run(&self) {
        let used = self.current_run_ns();
        self.run_began_ns.store(0, Ordering::Release);
        self.cpu_ns.fetch_add(used, Ordering::Relaxed);
    }

    /// The host tells the CPU time of a foreign process, not of its threads: a run has used no more
    /// than its process has, and no more than has passed.
    fn current_run_ns(&self) -> u64 {
        let began = self.run_began_ns.load(Ordering::Acquire);
        if began == 0 {
            return 0;
        }
        let passed = host::monotonic_ns().saturating_sub(began);
        let cpu = self.space.cpu_time_ns();
        passed.min(cpu.saturating_sub(self.run_began_cpu_ns.load(Ordering::Relaxed)))
    }
}

impl Kick for ThreadShared {
    fn kick(&self) {
        Self::kick(self);
    }
}

/// The handle. Dropping it leaves the host thread to later guest threads of the space.
pub struct PtraceThread {
    shared: Arc<ThreadShared>,
    /// Keeps the process alive.
    _space: Arc<PtraceSpace>,
    link: Arc<Link>,
}

impl PtraceThread {
    pub fn new(shared: Arc<ThreadShared>, space: Arc<PtraceSpace>, link: Arc<Link>) -> Self {
        Self { shared, _space: space, link }
    }

    pub fn shared(&self) -> &Arc<ThreadShared> {
        &self.shared
    }

    /// Whether requests that need a parked thread make sense.
    pub fn check_parked(&self) -> Result<(), PlatformError> {
        if self.shared.space.is_gone() {
            return Err(PlatformError::Gone);
        }
        if self.shared.is_running() {
            return Err(PlatformError::Host {
                what: "a request to a running guest thread",
                source: io::ErrorKind::ResourceBusy.into(),
            });
        }
        Ok(())
    }
}

impl Drop for PtraceThread {
    fn drop(&mut self) {
        // A platform that is shut down has killed it already.
        let _ = self.link.send(Message::Release(self.shared.clone()));
    }
}

impl Thread for PtraceThread {
    fn take_event(&mut self, ctx: &mut Context) -> Event {
        self.shared.begin_serving();
        let mut slot = self.shared.slot.lock();
        let event = slot.event.take().unwrap_or(Event::Interrupted);
        if event != Event::Gone {
            ctx.regs = slot.regs;
            ctx.full = false;
        }
        event
    }

    fn kicker(&self) -> Arc<dyn Kick> {
        self.shared.clone()
    }

    fn fp_state(&mut self) -> Result<FpState, PlatformError> {
        self.check_parked()?;
        let (promise, answer) = promise();
        self.link.send(Message::GetFp(self.shared.clone(), promise))?;
        answer.wait()
    }

    fn set_fp_state(&mut self, state: &FpState) -> Result<(), PlatformError> {
        self.check_parked()?;
        let (promise, answer) = promise();
        self.link.send(Message::SetFp(self.shared.clone(), state.clone(), promise))?;
        answer.wait()
    }

    /// Nothing is answered in the guest here: every call reaches the sentry.
    fn set_answers(&mut self, _answers: &Answers) {}

    fn cpu_time_ns(&self) -> u64 {
        self.shared.cpu_ns.load(Ordering::Relaxed) + self.shared.current_run_ns()
    }

    fn rest(&self) {
        self.shared.end_serving();
    }

    fn served_ns(&self) -> u64 {
        let now = match self.shared.serving_since_ns.load(Ordering::Relaxed) {
            0 => 0,
            since => host::monotonic_ns().saturating_sub(since),
        };
        self.shared.served_ns.load(Ordering::Relaxed) + now
    }
}
