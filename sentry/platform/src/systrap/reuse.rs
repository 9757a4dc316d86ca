//! Stub processes that serve one guest after another.
//!
//! The next guest must not be able to tell that there was one before. What a guest can leave behind, and
//! what becomes of it:
//! - *code that still runs*: only processes that had one guest thread serve again, and only if the host
//!   says that this thread waits in the stub, at the instruction the filter binds that wait to
//!   ([`ThreadShared::is_stopped`]). From there it goes on with nothing but the address it waited for;
//! - *mappings*: one `munmap` of all guest addresses, whose result no guest is left to forge;
//! - *pages it could write* (control page, extended state, signal stack, the agent's results) are cleared,
//!   and those the sentry wrote for it are cleared;
//! - *the CPU's state*: the thread clears flags and selectors and loads the initial extended state
//!   (`down::RESET`); everything else is loaded with the first run;
//! - *the host's state of the thread*: a guest thread can make no call that changes any. Signal mask and
//!   signal stack are what they were, since none of them can make `rt_sigreturn`.
//!
//! What cannot be shown to be clean is killed. Handles of the old guest keep a [`Stub`] of their own, which
//! looks dead to them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::arch::clock;
use crate::systrap::agent::Call;
use crate::systrap::core::Core;
use crate::systrap::host;
use crate::systrap::region::GUEST_END;
use crate::systrap::space::{Life, Stub};
use crate::systrap::thread::ThreadShared;

/// How long a thread that was told to sleep may take, while a worker waits for it.
const SOON_US: u32 = 5;
/// How often it is waited for then.
const YIELDS: u32 = 4;
/// The same, while nobody waits.
const LATER_NS: u64 = 100_000_000;
/// Distance between two looks then.
const LOOK_NS: u64 = 50_000;

/// A process whose guest is gone.
#[derive(Debug)]
pub struct Retired {
    /// What the old guest's handles know. Its trampolines are mapped until the process is empty.
    old: Arc<Stub>,
    next: Arc<Stub>,
}

impl Core {
    /// Takes a process over whose guest is gone, unless there are enough or it cannot be proven that no
    /// guest code runs in it any more: then it is left alone.
    pub fn retire(&self, stub: &Arc<Stub>) -> bool {
        let most = 2 * self.config.nr_spares;
        let has_room = |state: &super::core::KeeperState| {
            state.pool.len() + state.retired.len() < most && !state.stop
        };
        if !has_room(&self.keeper.lock()) {
            return false;
        }
        let Some(next) = stub.retire() else { return false };
        self.keeper.lock().retired.push(Retired { old: stub.clone(), next });
        self.keeper_wake.notify_one();
        true
    }

    /// A process for a new guest, if one is ready or almost.
    pub fn take_spare(&self) -> Option<Arc<Stub>> {
        loop {
            let mut state = self.keeper.lock();
            let (spare, retired) = match state.pool.pop() {
                None => (None, state.retired.pop()),
                spare => (spare, None),
            };
            let short = state.pool.len() + state.retired.len() < self.config.nr_spares;
            drop(state);
            if short {
                self.keeper_wake.notify_one();
            }
            let stub = spare.or_else(|| self.empty(retired?))?;
            if !stub.is_gone() {
                return Some(stub);
            }
        }
    }

    /// Makes a process as good as new. `None`: it was killed instead.
    pub fn empty(&self, retired: Retired) -> Option<Arc<Stub>> {
        let Retired { old, next } = retired;
        let stub = next.empty(old).then_some(&next);
        if stub.is_none() {
            tracing::debug!(pid = next.pid, "a stub process cannot serve again");
            next.kill();
        }
        stub.cloned()
    }
}

impl Stub {
    /// The only guest thread there ever was, if the kernel has given it back.
    fn only_thread(&self) -> Option<Arc<ThreadShared>> {
        let (threads, spare) = (self.threads.lock(), self.spare.lock());
        match (&threads[..], &spare[..], self.next_area.load(Relaxed)) {
            ([thread], [parked], 1) if Arc::ptr_eq(thread, parked) => Some(thread.clone()),
            _ => None,
        }
    }

    /// Ends its guest's use of the process: `self` counts as dead from now on. Returns the same process,
    /// still full, for another guest; `None` if guest code may be running in it.
    fn retire(self: &Arc<Self>) -> Option<Arc<Self>> {
        let thread = self.only_thread()?;
        let mut stopped = false;
        for _ in 0..YIELDS {
            stopped = clock::spin_until(clock::ticks_of_us(SOON_US), || thread.is_stopped());
            if stopped {
                break;
            }
            // It may be waiting for this very processor.
            std::thread::yield_now();
        }
        if !stopped {
            return None;
        }
        let mut stubs = self.core.stubs.lock();
        let entry = stubs.get_mut(&self.pid).filter(|entry| Arc::ptr_eq(entry, self))?;
        let mut life = self.life.lock();
        if *life != Life::Alive {
            return None;
        }
        *life = Life::Retired;
        let agent = self.agent.succeed();
        let slots = std::mem::take(&mut *self.slots.lock());
        let id = self.core.new_id();
        let next = Arc::new(Self::new(self.core.clone(), id, self.pid, agent, slots));
        next.next_area.store(1, Relaxed);
        next.threads.lock().push(Arc::new(thread.succeed(next.clone())));
        *entry = next.clone();
        drop(life);
        drop(stubs);
        self.threads.lock().clear();
        self.spare.lock().clear();
        Some(next)
    }

    /// Clears all of the last guest, whose [`Stub`] was `old`, away. `false`: it may not be clean.
    fn empty(&self, old: Arc<Self>) -> bool {
        let Some(thread) = self.threads.lock().first().cloned() else { return false };
        let unmap = Call::new(libc::SYS_munmap, [0, GUEST_END, 0, 0, 0, 0]);
        if self.run_all("emptying a stub process", &[unmap]).is_err() {
            return false;
        }
        drop(old);
        let slots = self.slots.lock().clone();
        let wiped = slots.iter().try_for_each(|slot| self.core.wipe_slot(*slot));
        if let Err(error) = wiped {
            tracing::warn!(%error, "control pages cannot be cleared");
            return false;
        }
        thread.forget();
        self.agent.forget_orders();
        thread.set_spin(0);
        if !thread.reset() || !waits(&thread) {
            return false;
        }
        thread.set_bell(self.core.region.bell(0));
        self.cpu_before_ns.store(host::cpu_time_ns(self.pid), Relaxed);
        self.spare.lock().push(thread);
        true
    }
}

/// Waits until a thread that has nothing to do sleeps.
fn waits(thread: &ThreadShared) -> bool {
    if clock::spin_until(clock::ticks_of_us(SOON_US), || thread.is_stopped()) {
        return true;
    }
    let deadline = host::now_ns() + LATER_NS;
    while !thread.is_stopped() {
        if thread.stub.is_gone() || host::now_ns() > deadline {
            return false;
        }
        host::sleep(LOOK_NS);
    }
    true
}
