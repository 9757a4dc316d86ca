//! Address spaces: stub processes.

use std::any::Any;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::Mutex;

use crate::mappings::Mappings;
use crate::systrap::agent::{Agent, Call, Dead};
use crate::systrap::core::Core;
use crate::systrap::host;
use crate::systrap::layout::{
    ALT_STACK, ALT_STACK_LEN, AREA, DOWN, MAX_AREAS, MAX_ORDERS, SLOT_LEN, UP, agent_down,
};
use crate::systrap::patch::Patches;
use crate::systrap::region::GUEST_END;
use crate::systrap::thread::{SystrapThread, ThreadShared};
use crate::systrap::{MAP_FLAGS, PAGE};
use crate::{ClockOffsets, FpState, Order, PlatformError, Prot, Space, SpaceId, Text, Thread};

/// Host mappings of a stub besides the guest's: code, config, agent pages, the host's vDSO.
const OWN_MAPPINGS: usize = 16;
/// Host mappings of a thread area.
const MAPPINGS_PER_THREAD: usize = 3;

/// Whose doing the end of a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Alive,
    /// Killed by us, not reaped.
    Killed,
    /// It serves another guest, for which it has another [`Stub`].
    Retired,
    /// Reaped: its pid may be another's.
    Reaped,
}

/// One stub process, as the platform knows it.
#[derive(Debug)]
pub struct Stub {
    pub(super) core: Arc<Core>,
    pub(super) id: SpaceId,
    pub(super) pid: i32,
    pub(super) agent: Agent,
    /// Slots in the shared files, freed with this.
    pub(super) slots: Mutex<Vec<u64>>,
    pub(super) life: Mutex<Life>,
    pub(super) next_area: AtomicU64,
    pub(super) threads: Mutex<Vec<Arc<ThreadShared>>>,
    pub(super) spare: Mutex<Vec<Arc<ThreadShared>>>,
    registered_membarrier: AtomicBool,
    /// CPU time it had consumed before its guest got it.
    pub(super) cpu_before_ns: AtomicU64,
    /// What the guest's orders made, as the host counts it. Held while orders are under way.
    mappings: Mutex<Mappings>,
    pub(super) patches: Patches,
    /// Calls that go with the next orders.
    first: Mutex<Vec<Call>>,
}

impl Stub {
    pub(super) fn new(
        core: Arc<Core>,
        id: SpaceId,
        pid: i32,
        agent: Agent,
        slots: Vec<u64>,
    ) -> Self {
        Self {
            core,
            id,
            pid,
            agent,
            slots: Mutex::new(slots),
            life: Mutex::new(Life::Alive),
            next_area: AtomicU64::new(0),
            threads: Mutex::new(Vec::new()),
            spare: Mutex::new(Vec::new()),
            registered_membarrier: AtomicBool::new(false),
            cpu_before_ns: AtomicU64::new(0),
            mappings: Mutex::new(Mappings::default()),
            patches: Patches::default(),
            first: Mutex::default(),
        }
    }

    /// Whether the process is dead or sure to die.
    pub fn is_gone(&self) -> bool {
        self.agent.is_dead()
    }

    /// Kills the process.
    pub fn kill(&self) {
        let mut life = self.life.lock();
        if *life == Life::Alive {
            *life = Life::Killed;
            host::kill(self.pid);
            drop(life);
            self.agent.set_dead();
            self.core.ring_all_bells();
        }
    }

    /// Does something with the ids of its threads, unless they may be another process's by now.
    pub fn with_live(&self, act: impl FnOnce()) {
        let life = self.life.lock();
        if *life == Life::Alive {
            act();
        }
    }

    /// Signals one of its threads.
    pub fn signal(&self, tid: i32, signal: i32) {
        self.with_live(|| {
            host::tgkill(self.pid, tid, signal);
        });
    }

    /// Notes that the process ended and must be reaped now. Tells whether nobody asked for that.
    pub fn ended(&self) -> bool {
        let before = std::mem::replace(&mut *self.life.lock(), Life::Reaped);
        self.agent.set_ended(&self.core.event_fds);
        // Threads know their process: these lists would keep all of it alive for ever.
        self.threads.lock().clear();
        self.spare.lock().clear();
        before == Life::Alive
    }

    fn run(&self, calls: &[Call]) -> Result<Vec<i64>, PlatformError> {
        let mut results = Vec::with_capacity(calls.len());
        let max = usize::try_from(MAX_ORDERS).expect("fits a page");
        for batch in calls.chunks(max) {
            self.agent
                .run(&self.core.event_fds, batch, &mut results)
                .map_err(|Dead| PlatformError::Gone)?;
        }
        Ok(results)
    }

    pub(super) fn run_all(
        &self,
        what: &'static str,
        calls: &[Call],
    ) -> Result<Vec<i64>, PlatformError> {
        let results = self.run(calls)?;
        match results.iter().find(|result| is_error(**result)) {
            Some(&result) => Err(host_error(what, result)),
            None => Ok(results),
        }
    }

    /// First orders of a new process: no zygote code, sealed agent pages, a first thread.
    pub(super) fn set_up(self: &Arc<Self>) -> Result<(), PlatformError> {
        let region = &self.core.region;
        let mut calls = vec![Call::new(libc::SYS_munmap, [region.image, PAGE, 0, 0, 0, 0])];
        for pages in [region.agent_down(), region.agent_up()] {
            if self.core.can_seal {
                calls.push(Call::new(libc::SYS_mseal, [pages, SLOT_LEN, 0, 0, 0, 0]));
            }
        }
        if self.core.dies_with_parent {
            let option = libc::PR_SET_PDEATHSIG.cast_unsigned().into();
            let signal = libc::SIGKILL.cast_unsigned().into();
            calls.push(Call::new(libc::SYS_prctl, [option, signal, 0, 0, 0, 0]));
        }
        let (thread, more) = self.prepare_thread()?;
        calls.extend(more);
        self.finish_thread(&thread, &calls)?;
        self.spare.lock().push(thread);
        Ok(())
    }

    /// Chooses an area and a slot for a new thread, and says which orders make it.
    fn prepare_thread(self: &Arc<Self>) -> Result<(Arc<ThreadShared>, Vec<Call>), PlatformError> {
        let core = &self.core;
        let index = self.next_area.fetch_add(1, Relaxed);
        if index >= MAX_AREAS {
            return Err(host_error("making a guest thread", -i64::from(libc::EAGAIN)));
        }
        let slot = core.slots.lock().take().ok_or(PlatformError::Host {
            what: "making a guest thread",
            source: std::io::Error::from_raw_os_error(libc::EAGAIN),
        })?;
        self.slots.lock().push(slot);
        let area = core.region.area(index);
        let thread = Arc::new(ThreadShared::new(self.clone(), slot, area));
        thread.write_constants();
        self.threads.lock().push(thread.clone());

        let (read, both) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE);
        let files = &core.files;
        let mut calls = Vec::with_capacity(8);
        for (at, len, prot, fd, offset) in [
            (area + UP, SLOT_LEN, both, &files.up, slot * SLOT_LEN),
            (area + DOWN, SLOT_LEN, read, &files.down, slot * SLOT_LEN),
            (area + ALT_STACK, ALT_STACK_LEN, both, &files.stacks, slot * ALT_STACK_LEN),
        ] {
            calls.push(map_call(at, len, prot, MAP_FLAGS, fd.as_raw_fd(), offset));
            if core.can_seal {
                calls.push(Call::new(libc::SYS_mseal, [at, len, 0, 0, 0, 0]));
            }
        }
        let flags = bevor_confine::tables::agent::THREAD_FLAGS.cast_unsigned().into();
        let mut clone = Call::new(libc::SYS_clone, [flags, area + AREA, 0, 0, 0, 0]);
        clone.kind = agent_down::CLONE_THREAD;
        calls.push(clone);
        Ok((thread, calls))
    }

    fn finish_thread(&self, thread: &ThreadShared, calls: &[Call]) -> Result<(), PlatformError> {
        let results = self.run_all("making a guest thread", calls)?;
        let claimed = results.last().copied().and_then(|tid| i32::try_from(tid).ok());
        // What the process claims is believed once the host says that it is a thread of its own.
        match claimed.filter(|&tid| tid > 0 && host::tgkill(self.pid, tid, 0)) {
            Some(tid) => {
                thread.set_tid(tid);
                Ok(())
            }
            None => {
                self.kill();
                Err(PlatformError::Gone)
            }
        }
    }

    /// Takes back a parked thread.
    pub(super) fn park(&self, thread: Arc<ThreadShared>) {
        let mut spare = self.spare.lock();
        if !self.is_gone() {
            spare.push(thread);
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        // Nobody reads the pages any more, and the process is reaped: the map of stubs held it till then.
        self.core.free_later(self.slots.get_mut());
    }
}

fn is_error(result: i64) -> bool {
    (-4095..0).contains(&result)
}

fn host_error(what: &'static str, result: i64) -> PlatformError {
    let errno = i32::try_from(result.unsigned_abs()).unwrap_or(libc::EINVAL);
    PlatformError::Host { what, source: std::io::Error::from_raw_os_error(errno) }
}

fn map_call(addr: u64, len: u64, prot: i32, flags: i32, fd: i32, offset: u64) -> Call {
    let word = |value: i32| u64::from(value.cast_unsigned());
    Call::new(libc::SYS_mmap, [addr, len, word(prot), word(flags), word(fd), offset])
}

fn prot_bits(prot: Prot) -> i32 {
    (if prot.read { libc::PROT_READ } else { 0 })
        | (if prot.write { libc::PROT_WRITE } else { 0 })
        | (if prot.exec { libc::PROT_EXEC } else { 0 })
}

/// The host call that carries out an order. Everything a guest must not choose is checked here.
fn call_of(order: &Order) -> Result<Call, PlatformError> {
    let (addr, len) = match *order {
        Order::Map { addr, len, .. }
        | Order::Unmap { addr, len }
        | Order::Protect { addr, len, .. }
        | Order::Advise { addr, len, .. } => (addr, len),
    };
    let end = addr.checked_add(len).ok_or(PlatformError::Range)?;
    if len == 0 || end > GUEST_END || !addr.is_multiple_of(PAGE) || !len.is_multiple_of(PAGE) {
        return Err(PlatformError::Range);
    }
    Ok(match *order {
        Order::Map { prot, fd, offset, populate, .. } => {
            let flags = MAP_FLAGS | if populate { libc::MAP_POPULATE } else { 0 };
            map_call(addr, len, prot_bits(prot), flags, fd, offset)
        }
        Order::Unmap { .. } => Call::new(libc::SYS_munmap, [addr, len, 0, 0, 0, 0]),
        Order::Protect { prot, .. } => {
            let prot = prot_bits(prot).cast_unsigned().into();
            Call::new(libc::SYS_mprotect, [addr, len, prot, 0, 0, 0])
        }
        Order::Advise { advice, .. } => {
            Call::new(libc::SYS_madvise, [addr, len, advice.cast_unsigned().into(), 0, 0, 0])
        }
    })
}

/// The kernel's handle of a stub process. With its end the process dies or is emptied.
#[derive(Debug)]
pub struct SystrapSpace {
    pub(super) stub: Arc<Stub>,
}

impl Drop for SystrapSpace {
    fn drop(&mut self) {
        if !self.stub.core.retire(&self.stub) {
            self.stub.kill();
        }
    }
}

impl Space for SystrapSpace {
    fn id(&self) -> SpaceId {
        self.stub.id
    }

    fn apply(&self, orders: &[Order]) -> Result<(), PlatformError> {
        let mut calls = std::mem::take(&mut *self.stub.first.lock());
        let first = calls.len();
        calls.reserve(orders.len());
        for order in orders {
            calls.push(call_of(order)?);
        }
        if calls.is_empty() {
            return if self.is_gone() { Err(PlatformError::Gone) } else { Ok(()) };
        }
        let mut mappings = self.stub.mappings.lock();
        let growth: usize = orders.iter().map(|order| mappings.growth(order)).sum();
        let own = OWN_MAPPINGS + MAPPINGS_PER_THREAD * self.stub.threads.lock().len();
        if growth > 0 && mappings.count() + growth + own > self.stub.core.config.max_map_count {
            return Err(PlatformError::TooManyMappings);
        }
        let results = self.stub.run(&calls)?;
        for (order, result) in orders.iter().zip(results.iter().skip(first)) {
            if !is_error(*result) {
                mappings.record(order);
            }
        }
        match results.iter().find(|result| is_error(**result)) {
            Some(&result) => Err(host_error("a mapping order", result)),
            None => Ok(()),
        }
    }

    fn new_thread(self: Arc<Self>) -> Result<Box<dyn Thread>, PlatformError> {
        if self.is_gone() {
            return Err(PlatformError::Gone);
        }
        let spare = self.stub.spare.lock().pop();
        let shared = match spare {
            Some(shared) => shared,
            None => {
                let (shared, calls) = self.stub.prepare_thread()?;
                self.stub.finish_thread(&shared, &calls)?;
                shared
            }
        };
        let mut thread = SystrapThread::new(self, shared);
        thread.set_fp_state(&FpState::default())?;
        Ok(Box::new(thread))
    }

    fn is_gone(&self) -> bool {
        self.stub.is_gone()
    }

    fn kill(&self) {
        self.stub.kill();
    }

    fn membarrier(&self) -> Result<(), PlatformError> {
        let register = libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED.cast_unsigned().into();
        let barrier = libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED.cast_unsigned().into();
        let mut calls = vec![Call::new(libc::SYS_membarrier, [barrier, 0, 0, 0, 0, 0])];
        if !self.stub.registered_membarrier.load(Acquire) {
            calls.insert(0, Call::new(libc::SYS_membarrier, [register, 0, 0, 0, 0, 0]));
        }
        self.stub.run_all("membarrier", &calls)?;
        self.stub.registered_membarrier.store(true, SeqCst);
        Ok(())
    }

    fn cpu_time_ns(&self) -> u64 {
        let before = self.stub.cpu_before_ns.load(Relaxed);
        if self.is_gone() { 0 } else { host::cpu_time_ns(self.stub.pid).saturating_sub(before) }
    }

    fn set_clock_offsets(&self, offsets: ClockOffsets) {
        self.stub.agent.set_clock_offsets(offsets);
    }

    fn forget_patches(&self, addr: u64, len: u64) {
        self.stub.patches.forget(addr, len);
    }

    fn patch(&self, after: u64, text: &dyn Text) -> bool {
        let (core, patches) = (&self.stub.core, &self.stub.patches);
        let Some(_rewriting) = patches.begin() else { return false };
        let Some(mut prepared) = patches.prepare(core, after, text) else { return false };
        if let Some(map) = prepared.map.take()
            && self.stub.run_all("mapping trampolines", &[map]).is_err()
        {
            patches.give_up(&prepared);
            return false;
        }
        patches.finish(core, prepared, text)
    }

    fn share_patches(&self, child: &dyn Space) -> Result<(), PlatformError> {
        let child: &dyn Any = child;
        let child = child.downcast_ref::<Self>().expect("a space of the same platform");
        let calls = child.stub.patches.inherit(&self.stub.core, &self.stub.patches);
        child.stub.first.lock().extend(calls);
        if child.is_gone() { Err(PlatformError::Gone) } else { Ok(()) }
    }
}
