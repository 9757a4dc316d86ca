//! Wait queues: how a task, an epoll instance or a host poller learns that something changed.
//!
//! A waiter registers, then checks the condition, then sleeps; a waker changes the condition, then
//! calls [`WaitQueue::wake`]. Either the check sees the change or the wake finds the registration.

use crate::Ready;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a wait queue wakes.
pub trait Wakeable: Send + Sync {
    /// Told that `ready` came true somewhere it registered. May be called with locks of the waker
    /// held: it must only note the fact and schedule, never call back.
    fn wake(&self, ready: Ready);
}

struct Entry {
    id: u64,
    interest: Ready,
    exclusive: bool,
    waiter: Arc<dyn Wakeable>,
}

#[derive(Default)]
struct Inner {
    len: AtomicUsize,
    next_id: AtomicU64,
    entries: Mutex<Vec<Entry>>,
}

/// A list of waiters. Cloning gives another handle on the same list.
#[derive(Clone, Default)]
pub struct WaitQueue(Arc<Inner>);

impl WaitQueue {
    /// Makes an empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `waiter` for any of `interest` (errors and hang-ups always count) until the returned
    /// registration is dropped.
    pub fn register(&self, waiter: Arc<dyn Wakeable>, interest: Ready) -> Registration {
        self.add(waiter, interest, false)
    }

    /// Like [`WaitQueue::register`], but [`WaitQueue::wake`] wakes at most one exclusive waiter
    /// (`EPOLLEXCLUSIVE`, thundering herds on `accept`).
    pub fn register_exclusive(&self, waiter: Arc<dyn Wakeable>, interest: Ready) -> Registration {
        self.add(waiter, interest, true)
    }

    fn add(&self, waiter: Arc<dyn Wakeable>, interest: Ready, exclusive: bool) -> Registration {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let interest = interest | Ready::ERR | Ready::HUP;
        let mut entries = self.0.entries.lock();
        entries.push(Entry { id, interest, exclusive, waiter });
        self.0.len.store(entries.len(), Ordering::SeqCst);
        drop(entries);
        Registration { queue: self.clone(), id }
    }

    /// Wakes every waiter interested in any bit of `ready`, and one exclusive one.
    pub fn wake(&self, ready: Ready) {
        // Orders the caller's change of condition before the look at the list.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.0.len.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut exclusive_done = false;
        for entry in self.0.entries.lock().iter() {
            if entry.interest.intersects(ready) && !(entry.exclusive && exclusive_done) {
                exclusive_done |= entry.exclusive;
                entry.waiter.wake(ready);
            }
        }
    }

    /// Whether both are handles on one list.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len.load(Ordering::SeqCst)
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len.load(Ordering::SeqCst) == 0
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitQueue({} waiters)", self.0.len.load(Ordering::Relaxed))
    }
}

/// A place in a [`WaitQueue`]; dropping it leaves the queue.
#[must_use = "dropping a registration leaves the queue"]
pub struct Registration {
    queue: WaitQueue,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut entries = self.queue.0.entries.lock();
        let removed = entries
            .iter()
            .position(|entry| entry.id == self.id)
            .map(|position| entries.remove(position));
        self.queue.0.len.store(entries.len(), Ordering::SeqCst);
        drop(entries);
        // The waiter's own destructor may touch other queues: run it without the lock.
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[derive(Default)]
    struct Count(AtomicU32);
    impl Wakeable for Count {
        fn wake(&self, _: Ready) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_by_interest_until_dropped() {
        let queue = WaitQueue::new();
        let (reader, writer) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let first = queue.register(reader.clone(), Ready::IN);
        let _second = queue.register(writer.clone(), Ready::OUT);
        queue.wake(Ready::IN);
        queue.wake(Ready::HUP);
        drop(first);
        queue.wake(Ready::IN | Ready::OUT);
        assert_eq!(reader.0.load(Ordering::Relaxed), 2);
        assert_eq!(writer.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn wakes_one_exclusive_waiter() {
        let queue = WaitQueue::new();
        let count = Arc::new(Count::default());
        let _a = queue.register_exclusive(count.clone(), Ready::IN);
        let _b = queue.register_exclusive(count.clone(), Ready::IN);
        queue.wake(Ready::IN);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
