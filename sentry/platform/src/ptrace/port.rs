//! The end of one executor worker.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::ptrace::host;
use crate::ptrace::link::{Link, Message};
use crate::ptrace::thread::PtraceThread;
use crate::{Context, Notify, PlatformError, Port, Thread, Token, Wake};

/// What the tracer, notifiers and the worker share.
#[derive(Default)]
pub struct PortShared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Token>,
    notified: bool,
}

impl State {
    fn take(&mut self) -> Option<Wake> {
        if let Some(token) = self.ready.pop_front() {
            return Some(Wake::Event(token));
        }
        std::mem::take(&mut self.notified).then_some(Wake::Notified)
    }
}

impl PortShared {
    /// Reports the event of a thread; it is in the thread's slot.
    pub fn push(&self, token: Token) {
        self.state.lock().ready.push_back(token);
        self.changed.notify_one();
    }
}

impl Notify for PortShared {
    fn notify(&self) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.notified, true) {
            drop(state);
            self.changed.notify_one();
        }
    }
}

/// The port.
pub struct PtracePort {
    shared: Arc<PortShared>,
    link: Arc<Link>,
    running: usize,
}

impl PtracePort {
    pub fn new(link: Arc<Link>) -> Self {
        Self { shared: Arc::default(), link, running: 0 }
    }

    fn found(&mut self, wake: Wake) -> Wake {
        if matches!(wake, Wake::Event(_)) {
            self.running = self.running.saturating_sub(1);
        }
        wake
    }
}

impl Port for PtracePort {
    fn resume(
        &mut self,
        token: Token,
        thread: &mut dyn Thread,
        ctx: &Context,
    ) -> Result<(), PlatformError> {
        let thread: &mut dyn Any = thread;
        let Some(thread) = thread.downcast_mut::<PtraceThread>() else {
            return Err(PlatformError::Host {
                what: "resuming a thread of another platform",
                source: io::ErrorKind::InvalidInput.into(),
            });
        };
        thread.check_parked()?;
        let shared = thread.shared();
        {
            let mut slot = shared.slot.lock();
            slot.regs = ctx.regs;
            slot.event = None;
        }
        shared.set_running(true);
        let message = Message::Resume(shared.clone(), token, self.shared.clone());
        if let Err(e) = self.link.send(message) {
            shared.set_running(false);
            return Err(e);
        }
        self.running += 1;
        Ok(())
    }

    fn next(&mut self, deadline_ns: Option<u64>) -> Wake {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        loop {
            if let Some(wake) = state.take() {
                drop(state);
                return self.found(wake);
            }
            match deadline_ns {
                None => shared.changed.wait(&mut state),
                Some(deadline) => {
                    let left = deadline.saturating_sub(host::monotonic_ns());
                    if left == 0 {
                        return Wake::Deadline;
                    }
                    shared.changed.wait_for(&mut state, Duration::from_nanos(left));
                }
            }
        }
    }

    fn try_next(&mut self) -> Option<Wake> {
        let wake = self.shared.state.lock().take()?;
        Some(self.found(wake))
    }

    fn notifier(&self) -> Arc<dyn Notify> {
        self.shared.clone()
    }

    fn nr_running(&self) -> usize {
        self.running
    }
}
