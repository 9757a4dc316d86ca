//! Orders to an agent: batches of host calls that a stub process makes for the sentry.
//!
//! A batch is complete when its eventfd says so; everything else the agent reports is a guest's word.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize};

use parking_lot::{Condvar, Mutex};

use crate::ClockOffsets;
use crate::arch::clock;
use crate::systrap::host::{self, Part};
use crate::systrap::layout::{MAX_ORDERS, ORDER_LEN, agent_down, agent_up};

const NS_PER_S: i64 = 1_000_000_000;

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
        let free = (0..count).map(|_| host::waiting_eventfd()).collect::<io::Result<_>>()?;
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

    /// Takes one back that was, or may have been, written once more than it was read.
    fn drain(&self, fd: OwnedFd) {
        if host::eventfd_poll(fd.as_raw_fd(), 0) {
            host::eventfd_take(fd.as_raw_fd());
        }
        self.give_back(fd);
    }

    fn give_back(&self, fd: OwnedFd) {
        self.free.lock().push(fd);
        self.returned.notify_one();
    }
}

/// What the next batch must know of those before it.
#[derive(Clone, Copy, Debug, Default)]
struct Go {
    /// Number of the last one.
    number: u32,
    /// End of the orders that were ever written, an offset in the page.
    written: u64,
}

/// The batch under way.
#[derive(Debug, Default)]
struct Flight {
    /// Its eventfd, for whoever notices the agent's death.
    fd: Option<RawFd>,
    /// The eventfd of a batch that was given up, while the agent may be about to write it.
    lost: Option<OwnedFd>,
    /// The process is reaped.
    ended: bool,
}

/// The sentry's end of one agent.
#[derive(Debug)]
pub struct Agent {
    down: Part,
    up: Part,
    /// Held for a batch.
    go: Mutex<Go>,
    flight: Mutex<Flight>,
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
        let (go, flight, dead) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        let (tid, cpu) = (AtomicI32::new(0), AtomicUsize::new(usize::MAX));
        Self { down, up, go, flight, dead, spin, tid, cpu }
    }

    /// Has the agent run where the caller of [`Agent::run`] does, who then sleeps at once: a plain
    /// switch. Elsewhere the guest thread that waits for the caller may be spinning, and the agent
    /// would wait for that to end.
    pub fn follow_callers(&self, tid: i32) {
        self.tid.store(tid, Relaxed);
    }

    /// The same agent for another guest. This one counts as dead.
    pub fn succeed(&self) -> Self {
        let go = self.go.lock();
        // The count starts anew, and no number follows itself.
        let number = u32::from(go.number == 1);
        let next = Self {
            down: self.down,
            up: self.up,
            go: Mutex::new(Go { number, written: go.written }),
            flight: Mutex::default(),
            dead: AtomicBool::new(self.is_dead()),
            spin: AtomicU32::new(self.spin.load(Relaxed)),
            tid: AtomicI32::new(self.tid.load(Relaxed)),
            cpu: AtomicUsize::new(self.cpu.load(Relaxed)),
        };
        drop(go);
        self.set_dead();
        next
    }

    /// Clears what it was ordered to do, which guests can read.
    pub fn forget_orders(&self) {
        let mut go = self.go.lock();
        self.set_clock_offsets(ClockOffsets::default());
        self.down.clear(agent_down::ORDERS, go.written.saturating_sub(agent_down::ORDERS));
        go.written = 0;
    }

    fn come_here(&self, tid: i32) {
        let here = host::current_cpu();
        if self.cpu.swap(here, Relaxed) != here {
            host::pin(tid, here);
        }
    }

    /// Sets what our vDSO adds to clocks where this agent's pages are mapped.
    pub fn set_clock_offsets(&self, offsets: ClockOffsets) {
        let ClockOffsets { monotonic_ns, boottime_ns } = offsets;
        for (at, ns) in [(agent_down::MONOTONIC, monotonic_ns), (agent_down::BOOTTIME, boottime_ns)]
        {
            let (seconds, rest) = (ns.div_euclid(NS_PER_S), ns.rem_euclid(NS_PER_S));
            self.down.u64(at).store(seconds.cast_unsigned(), Relaxed);
            self.down.u64(at + 8).store(rest.cast_unsigned(), Relaxed);
        }
        let shifted = offsets != ClockOffsets::default();
        self.down.u32(agent_down::CLOCKS_SHIFTED).store(shifted.into(), Release);
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

    /// The process is dying: fails the batch that runs and all later ones.
    pub fn set_dead(&self) {
        let flight = self.flight.lock();
        self.dead.store(true, SeqCst);
        if let Some(fd) = flight.fd {
            host::eventfd_write(fd);
        }
    }

    /// The process is dead: it writes no eventfd any more.
    pub fn set_ended(&self, fds: &EventFds) {
        self.set_dead();
        let mut flight = self.flight.lock();
        flight.ended = true;
        if let Some(fd) = flight.lost.take() {
            fds.drain(fd);
        }
    }

    fn submit(&self, go: &mut Go, calls: &[Call], event_fd: RawFd) {
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
        go.written = go.written.max(at);
        go.number = go.number.wrapping_add(1);
        self.down.u32(agent_down::GO).store(go.number, SeqCst);
    }

    /// Runs `calls`, at most a page full, and appends what they returned to `results`. The results
    /// are what the guest process claims, except from the zygote.
    pub fn run(&self, fds: &EventFds, calls: &[Call], results: &mut Vec<i64>) -> Result<(), Dead> {
        let mut go = self.go.lock();
        let fd = fds.take();
        self.flight.lock().fd = Some(fd.as_raw_fd());
        let submitted = !self.is_dead();
        if submitted {
            self.submit(&mut go, calls, fd.as_raw_fd());
            let tid = self.tid.load(Relaxed);
            if tid != 0 {
                self.come_here(tid);
            }
            host::futex_wake(self.down.u32(agent_down::GO));
            if tid == 0 {
                let done = self.up.u32(agent_up::DONE);
                clock::spin_until(self.spin.load(Relaxed), || done.load(Relaxed) == go.number);
            }
            // Written by the agent, or for it once it is dead.
            while !host::eventfd_take(fd.as_raw_fd()) {}
            for i in 0..calls.len() as u64 {
                results.push(self.up.u64(agent_up::RESULTS + 8 * i).load(Relaxed).cast_signed());
            }
        }
        let mut flight = self.flight.lock();
        flight.fd = None;
        if self.is_dead() {
            // A killed agent may have got as far as its write: no other batch may see that.
            if submitted && !flight.ended {
                flight.lost = Some(fd);
            } else {
                fds.drain(fd);
            }
            return Err(Dead);
        }
        // A live agent writes once.
        fds.give_back(fd);
        Ok(())
    }
}
