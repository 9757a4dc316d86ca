//! Doorbells: how a stub wakes a sentry thread that sleeps.
//!
//! The owner sets its bell to SLEEPING, looks once more for what it waits for, then sleeps on the
//! bell. Who has something for it publishes that first and then looks at the bell. Stubs can only read
//! bells, so they repeat their wake until someone was woken or the bell is no longer SLEEPING.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use parking_lot::{Condvar, Mutex};

use crate::arch::clock;
use crate::systrap::host::{self, Part};
use crate::systrap::layout::{BELL_SLEEPING, BELL_STRIDE, NR_BELLS, config};
use crate::systrap::region::Region;

const AWAKE: u32 = 0;

/// All doorbells of a platform. The first is nobody's: threads that never ran name it.
#[derive(Debug)]
pub struct Bells {
    page: Part,
    region: Region,
    free: Mutex<Vec<u64>>,
    returned: Condvar,
}

/// How many bells are kept for short waits outside ports.
const RESERVED: usize = 8;

impl Bells {
    /// The bells in the config pages.
    pub fn new(page: Part, region: Region) -> Self {
        let free = Mutex::new((1..NR_BELLS).rev().collect());
        Self { page, region, free, returned: Condvar::new() }
    }

    fn bell(self: &Arc<Self>, index: u64) -> Bell {
        Bell { bells: self.clone(), index }
    }

    /// A bell for a port; `None` when all are taken.
    pub fn take(self: &Arc<Self>) -> Option<Bell> {
        let mut free = self.free.lock();
        if free.len() <= RESERVED {
            return None;
        }
        free.pop().map(|index| self.bell(index))
    }

    /// A bell for one short wait. Waits for one to be returned.
    pub fn take_for_wait(self: &Arc<Self>) -> Bell {
        let mut free = self.free.lock();
        loop {
            if let Some(index) = free.pop() {
                return self.bell(index);
            }
            self.returned.wait(&mut free);
        }
    }

    /// Wakes all owners, to make them look again.
    pub fn ring_all(&self) {
        for index in 0..NR_BELLS {
            ring(self.word(index));
        }
    }

    fn word(&self, index: u64) -> &AtomicU32 {
        self.page.u32(config::BELLS + index * BELL_STRIDE)
    }
}

fn ring(word: &AtomicU32) {
    if word.load(SeqCst) == BELL_SLEEPING && word.swap(AWAKE, SeqCst) == BELL_SLEEPING {
        host::futex_wake(word);
    }
}

/// One taken doorbell.
#[derive(Debug)]
pub struct Bell {
    bells: Arc<Bells>,
    index: u64,
}

impl Bell {
    /// Its address in the stubs.
    pub fn address(&self) -> u64 {
        self.bells.region.bell(self.index)
    }

    /// Wakes the owner, from within the sentry.
    pub fn ring(&self) {
        ring(self.bells.word(self.index));
    }

    /// Spins up to `spin` ticks for `ready`, then sleeps up to `timeout_ns` or until the bell rings.
    /// Wakes early at will: call it in a loop.
    pub fn wait(&self, spin: u32, timeout_ns: Option<u64>, ready: impl Fn() -> bool) {
        if clock::spin_until(spin, &ready) {
            return;
        }
        let word = self.bells.word(self.index);
        word.store(BELL_SLEEPING, SeqCst);
        if !ready() {
            host::futex_wait(word, BELL_SLEEPING, timeout_ns);
        }
        word.store(AWAKE, SeqCst);
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.bells.free.lock().push(self.index);
        self.bells.returned.notify_one();
    }
}
