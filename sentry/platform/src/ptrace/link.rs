//! How other threads talk to the tracer: a queue, and promises it keeps.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::ptrace::host::{self, KICK, Tid};
use crate::ptrace::port::PortShared;
use crate::ptrace::space::SpaceShared;
use crate::ptrace::thread::ThreadShared;
use crate::{FpState, Order, PlatformError, Token};

/// A request to the tracer.
pub enum Message {
    /// Make a stub process.
    NewSpace(Promise<Arc<SpaceShared>>),
    /// Make a guest thread, or take a spare one.
    NewThread(Arc<SpaceShared>, Promise<Arc<ThreadShared>>),
    /// Carry out mapping orders.
    Apply(Arc<SpaceShared>, Vec<Order>, Promise<()>),
    /// Serialise all running threads.
    Barrier(Arc<SpaceShared>, Promise<()>),
    /// Let a thread run from the registers in its slot.
    Resume(Arc<ThreadShared>, Token, Arc<PortShared>),
    /// Read the extended state.
    GetFp(Arc<ThreadShared>, Promise<FpState>),
    /// Replace the extended state.
    SetFp(Arc<ThreadShared>, FpState, Promise<()>),
    /// The thread is not needed any more.
    Release(Arc<ThreadShared>),
    /// Kill all stubs, reap them and end.
    Shutdown,
}

/// The tracer's end of the queue, shared with everybody who sends.
#[derive(Default)]
pub struct Link {
    queue: Mutex<Queue>,
    /// Raised for each message; the tracer's wait looks at it last.
    raised: AtomicU32,
    /// Whether the tracer waits, or is about to.
    asleep: AtomicBool,
    /// Wakes a tracer that has no tracee left to wait for.
    sent: Condvar,
    tracer: AtomicI32,
    /// Pid of the sentry in its own namespace.
    sentry: AtomicI32,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    closed: bool,
}

/// What the tracer woke up for.
pub enum Woken {
    /// A tracee changed state.
    Stop(Tid, i32),
    /// There may be messages.
    Messages,
    /// There is no tracee at all.
    NoTracee,
}

impl Link {
    /// Makes the calling thread the one that is woken.
    pub fn attach(&self) -> io::Result<()> {
        self.tracer.store(host::gettid(), Ordering::SeqCst);
        self.sentry.store(std::process::id().cast_signed(), Ordering::SeqCst);
        host::unblock_kicks()
    }

    /// Hands a message to the tracer.
    ///
    /// # Errors
    /// [`PlatformError::Gone`] once the platform is shut down.
    pub fn send(&self, message: Message) -> Result<(), PlatformError> {
        let mut queue = self.queue.lock();
        if queue.closed {
            // Outside the lock: dropping a promise may wake somebody.
            drop(queue);
            return Err(PlatformError::Gone);
        }
        queue.messages.push_back(message);
        drop(queue);
        self.raised.store(1, Ordering::SeqCst);
        // Cleared by whoever sends the one signal this sleep needs.
        if self.asleep.swap(false, Ordering::SeqCst) {
            let tracer = self.tracer.load(Ordering::SeqCst);
            host::tgkill(self.sentry.load(Ordering::SeqCst), tracer, KICK);
        }
        self.sent.notify_one();
        Ok(())
    }

    /// Takes the messages sent so far.
    pub fn take(&self, into: &mut VecDeque<Message>) {
        self.raised.store(0, Ordering::SeqCst);
        std::mem::swap(&mut self.queue.lock().messages, into);
    }

    /// Refuses further messages; gives the last ones.
    pub fn close(&self) -> VecDeque<Message> {
        let mut queue = self.queue.lock();
        queue.closed = true;
        std::mem::take(&mut queue.messages)
    }

    /// Waits for a tracee or a message. Called by the tracer alone.
    pub fn wait(&self) -> Woken {
        self.asleep.store(true, Ordering::SeqCst);
        let options = libc::__WALL | libc::__WNOTHREAD;
        let woken = match crate::arch::wait::wait4_unless(&self.raised, options) {
            Ok((tid, status)) => Woken::Stop(tid, status),
            Err(libc::ECHILD) => Woken::NoTracee,
            Err(_) => Woken::Messages,
        };
        self.asleep.store(false, Ordering::SeqCst);
        woken
    }

    /// Waits for a message only.
    pub fn wait_for_message(&self) {
        let mut queue = self.queue.lock();
        while queue.messages.is_empty() {
            self.sent.wait(&mut queue);
        }
    }
}

/// A value another thread waits for. Dropped unkept, it reports [`PlatformError::Gone`].
pub struct Promise<T>(Arc<Pending<T>>);

/// The other end of a [`Promise`].
pub struct Answer<T>(Arc<Pending<T>>);

struct Pending<T> {
    value: Mutex<Option<Result<T, PlatformError>>>,
    kept: Condvar,
}

/// Makes a promise and its answer.
pub fn promise<T>() -> (Promise<T>, Answer<T>) {
    let pending = Arc::new(Pending { value: Mutex::new(None), kept: Condvar::new() });
    (Promise(pending.clone()), Answer(pending))
}

impl<T> Promise<T> {
    /// Keeps it.
    pub fn keep(self, value: Result<T, PlatformError>) {
        self.set(value);
    }

    fn set(&self, value: Result<T, PlatformError>) {
        let mut slot = self.0.value.lock();
        if slot.is_none() {
            *slot = Some(value);
            drop(slot);
            self.0.kept.notify_one();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.set(Err(PlatformError::Gone));
    }
}

impl<T> Answer<T> {
    /// Waits until it is kept.
    pub fn wait(self) -> Result<T, PlatformError> {
        let mut slot = self.0.value.lock();
        loop {
            if let Some(value) = slot.take() {
                return value;
            }
            self.0.kept.wait(&mut slot);
        }
    }
}
