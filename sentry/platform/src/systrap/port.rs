//! Ports: one executor worker's end.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::arch::clock;
use crate::systrap::bell::Bell;
use crate::systrap::core::Core;
use crate::systrap::host;
use crate::systrap::thread::{SystrapThread, ThreadShared};
use crate::{Context, Notify, PlatformError, Port, Thread, Token, Wake};

/// While guests run, a sleeping worker looks at them this often, whatever it was told: a lost wake-up
/// costs time, never a hang.
const RESCAN_NS: u64 = 500_000_000;

#[derive(Debug)]
struct Running {
    token: Token,
    thread: Arc<ThreadShared>,
    since: u64,
}

/// Wakes a port.
#[derive(Debug)]
struct Notifier {
    bell: Bell,
    notified: AtomicBool,
}

impl Notify for Notifier {
    fn notify(&self) {
        if !self.notified.swap(true, SeqCst) {
            self.bell.ring();
        }
    }
}

/// The platform's port.
#[derive(Debug)]
pub struct SystrapPort {
    core: Arc<Core>,
    notifier: Arc<Notifier>,
    running: Vec<Running>,
    /// Where the next scan starts, so that no guest is starved.
    next: usize,
}

impl SystrapPort {
    pub(super) fn new(core: Arc<Core>, bell: Bell) -> Self {
        let notifier = Arc::new(Notifier { bell, notified: AtomicBool::new(false) });
        Self { core, notifier, running: Vec::new(), next: 0 }
    }

    /// Whether a scan would find something.
    fn is_ready(&self) -> bool {
        self.notifier.notified.load(SeqCst) || self.running.iter().any(|r| r.thread.has_event())
    }

    fn scan(&mut self) -> Option<Wake> {
        if self.notifier.notified.load(Relaxed) && self.notifier.notified.swap(false, SeqCst) {
            return Some(Wake::Notified);
        }
        let count = self.running.len();
        for step in 0..count {
            let index = (self.next + step) % count;
            if self.running[index].thread.has_event() {
                let found = self.running.swap_remove(index);
                self.next = index;
                found.thread.ran.fetch_add(clock::ticks().saturating_sub(found.since), Relaxed);
                return Some(Wake::Event(found.token));
            }
        }
        None
    }
}

impl Port for SystrapPort {
    fn resume(
        &mut self,
        token: Token,
        thread: &mut dyn Thread,
        ctx: &Context,
    ) -> Result<(), PlatformError> {
        let thread: &mut dyn Any = thread;
        let thread = thread
            .downcast_mut::<SystrapThread>()
            .expect("a port is given threads of its own platform");
        thread.start(ctx, self.notifier.bell.address())?;
        let since = clock::ticks();
        self.running.push(Running { token, thread: thread.shared.clone(), since });
        Ok(())
    }

    fn next(&mut self, deadline_ns: Option<u64>) -> Wake {
        loop {
            if let Some(wake) = self.scan() {
                return wake;
            }
            let mut timeout = (!self.running.is_empty()).then_some(RESCAN_NS);
            if let Some(deadline) = deadline_ns {
                let left = deadline.saturating_sub(host::now_ns());
                if left == 0 {
                    return Wake::Deadline;
                }
                timeout = Some(timeout.map_or(left, |rescan| rescan.min(left)));
            }
            let spin = if self.running.is_empty() { 0 } else { self.core.spin };
            self.notifier.bell.wait(spin, timeout, || self.is_ready());
            if timeout == Some(RESCAN_NS) {
                self.running.iter().for_each(|r| r.thread.release_again());
            }
        }
    }

    fn try_next(&mut self) -> Option<Wake> {
        self.scan()
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        self.notifier.clone()
    }

    fn nr_running(&self) -> usize {
        self.running.len()
    }
}
