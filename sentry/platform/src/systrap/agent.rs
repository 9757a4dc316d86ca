//! Orders to an agent: batches of host calls that a stub process makes for the sentry.
//!
//! A batch is complete when its eventfd says so; everything else the agent reports is a guest's word.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize};

use parking_lot::{Condvar, Mutex};

use crate::arch::clock;
use crate::systrap::host::{self, Part};
use crate::systrap::layout::{MAX_ORDERS, ORDER_LEN, agent_down, agent_up};

/// One order: a host call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// `agent_down::CALL`, …
    pub kind: u64,
    /// The host's call number.
    pub nr: i64,
    /// Its arguments.
    pub args: [u64; 6],
}

impl Call {
    /// An ordinary host call.
    pub const fn new(nr: i64, args: [u64; 6]) -> Self {
        Self { kind: agent_down::CALL, nr, args }
    }
}

/// The process behind the agent is dead.
#[derive(Debug)]
pub struct Dead;

/// Eventfds that confirm batches, shared by all agents: as many batches run at once.
#[derive(Debug)]
pub struct EventFds {
    free: Mutex<Vec<OwnedFd>>,
    returned: Condvar,
}

impl EventFds {
    /// Makes `count` of them.
    pub fn new(count: usize) -> io::Result<Self> {
        let free = (0..count).map(|_| host::eventfd()).collect::<io::Result<_>>()?;
        Ok(Self { free: Mutex::new(free), returned: Condvar::new() })
    }

    fn take(&self) -> OwnedFd {
        let mut free = self.free.lock();
        loop {
            if let Some(fd) = free.pop() {
                return fd;
            }
            self.returned.wait(&mut free);
        }
    }

    fn give_back(&self, fd: OwnedFd) {
        self.free.lock().push(fd);
        self.returned.notify_one();
    }
}

/// The sentry's end of one agent.
#[derive(Debug)]
pub struct Agent {
    down: Part,
    up: Part,
    /// Held for a batch.
    go: Mutex<u32>,
    /// The eventfd of the batch that runs, for whoever notices the agent's death.
    in_flight: Mutex<Option<RawFd>>,
    dead: AtomicBool,
    spin: AtomicU32,
    /// Its thread, 0 where it finds a processor by itself, and the processor it was last put on.
    tid: AtomicI32,
    cpu: AtomicUsize,
}

impl Agent {
    /// The agent whose pages are `down` and `up`.
    pub fn new(down: Part, up: Part, spin: u32) -> Self {
        let spin = AtomicU32::new(spin);
        let (go, in_flight, dead) = (Mutex::new(0), Mutex::new(None), AtomicBool::new(false));
        let (tid, cpu) = (AtomicI32::new(0), AtomicUsize::new(usize::MAX));
        Self { down, up, go, in_flight, dead, spin, tid, cpu }
    }

    /// Has the agent run where the caller of [`Agent::run`] does, who then sleeps at once: a plain
    /// switch. Elsewhere the guest thread that waits for the caller may be spinning, and the agent
    /// would wait for that to end.
    pub fn follow_callers(&self, tid: i32) {
        self.tid.store(tid, Relaxed);
    }

    fn come_here(&self, tid: i32) {
        let here = host::current_cpu();
        if self.cpu.swap(here, Relaxed) != here {
            host::pin(tid, here);
        }
    }

    /// Writes a batch that nobody waits for, before the agent exists; it starts with it.
    pub fn preload(&self, calls: &[Call], event_fd: RawFd) {
        let mut go = self.go.lock();
        self.submit(&mut go, calls, event_fd);
    }

    /// Whether the agent is known to be dead.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Acquire)
    }

    /// The process is dead: fails the batch that runs and all later ones.
    pub fn set_dead(&self) {
        let in_flight = self.in_flight.lock();
        self.dead.store(true, SeqCst);
        if let Some(fd) = *in_flight {
            host::eventfd_write(fd);
        }
    }

    fn submit(&self, go: &mut u32, calls: &[Call], event_fd: RawFd) {
        debug_assert!(calls.len() as u64 <= MAX_ORDERS);
        let mut at = agent_down::ORDERS;
        for call in calls {
            self.down.u64(at).store(call.kind, Relaxed);
            self.down.u64(at + 8).store(call.nr.cast_unsigned(), Relaxed);
            for (i, arg) in (2..).zip(call.args) {
                self.down.u64(at + 8 * i).store(arg, Relaxed);
            }
            at += ORDER_LEN;
        }
        let count = u32::try_from(calls.len()).expect("a batch fits its pages");
        self.down.u32(agent_down::COUNT).store(count, Relaxed);
        self.down.u32(agent_down::EVENT_FD).store(event_fd.cast_unsigned(), Relaxed);
        *go = go.wrapping_add(1);
        self.down.u32(agent_down::GO).store(*go, SeqCst);
    }

    /// Runs `calls`, at most a page full, and appends what they returned to `results`. The results
    /// are what the guest process claims, except from the zygote.
    pub fn run(&self, fds: &EventFds, calls: &[Call], results: &mut Vec<i64>) -> Result<(), Dead> {
        let mut go = self.go.lock();
        let fd = fds.take();
        *self.in_flight.lock() = Some(fd.as_raw_fd());
        if !self.is_dead() {
            self.submit(&mut go, calls, fd.as_raw_fd());
            let tid = self.tid.load(Relaxed);
            if tid != 0 {
                self.come_here(tid);
            }
            host::futex_wake(self.down.u32(agent_down::GO));
            if tid == 0 {
                let done = self.up.u32(agent_up::DONE);
                clock::spin_until(self.spin.load(Relaxed), || done.load(Relaxed) == *go);
            }
            while !host::eventfd_take(fd.as_raw_fd()) {
                host::eventfd_poll(fd.as_raw_fd(), -1);
            }
            for i in 0..calls.len() as u64 {
                results.push(self.up.u64(agent_up::RESULTS + 8 * i).load(Relaxed).cast_signed());
            }
        }
        // From here on nobody writes the eventfd: a live agent did so once, a dead one cannot.
        *self.in_flight.lock() = None;
        if self.is_dead() {
            host::eventfd_take(fd.as_raw_fd());
            fds.give_back(fd);
            return Err(Dead);
        }
        fds.give_back(fd);
        Ok(())
    }
}
