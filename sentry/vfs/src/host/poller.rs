//! One thread that waits for all imported descriptors somebody waits for.
//!
//! An entry is armed for some events, and disarmed when they come: a guest that does not look costs
//! nothing.

use crate::fasync::{AsyncList, Band};
use crate::host::calls;
use bevor_abi::Errno;
use bevor_abi::errno::ENOMEM;
use bevor_base::{Ready, WaitQueue};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

/// What the host tells without being asked.
const END: i16 = libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;

/// What the thread and the files share.
struct Poller {
    counter: OwnedFd,
    entries: Mutex<HashMap<u64, Entry>>,
}

struct Entry {
    fd: Arc<OwnedFd>,
    queue: WaitQueue,
    listeners: AsyncList,
    /// `POLL*` bits waited for; nothing when 0.
    armed: u32,
}

static POLLER: Mutex<Option<Arc<Poller>>> = Mutex::new(None);

/// Starts the thread if it does not run yet, and returns when it has begun its work: one that is
/// only being born makes host calls that no filter allows. Call it before the filter.
///
/// # Errors
/// `ENOMEM` or what the host answers.
pub fn start() -> Result<(), Errno> {
    let mut slot = POLLER.lock();
    if slot.is_some() {
        return Ok(());
    }
    let poller = Arc::new(Poller { counter: calls::event_counter()?, entries: Mutex::default() });
    let own = poller.clone();
    let born = Arc::new(Barrier::new(2));
    let at_birth = born.clone();
    let thread = std::thread::Builder::new().name("host-poll".into()).stack_size(64 << 10);
    let work = move || {
        at_birth.wait();
        own.run();
    };
    thread.spawn(work).map_err(|_| ENOMEM)?;
    born.wait();
    *slot = Some(poller);
    Ok(())
}

impl Poller {
    fn run(&self) {
        loop {
            let (mut entries, ids) = self.armed();
            if calls::wait(&mut entries).is_err() {
                continue;
            }
            calls::drain(self.counter.as_fd());
            for (entry, id) in entries.iter().skip(1).zip(ids) {
                let ready = u32::from(entry.revents.cast_unsigned());
                if ready != 0 {
                    self.fire(id, ready);
                }
            }
        }
    }

    /// What to wait for: the counter, then the armed entries and their names.
    fn armed(&self) -> (Vec<libc::pollfd>, Vec<u64>) {
        let counter =
            libc::pollfd { fd: self.counter.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut entries = vec![counter];
        let mut ids = Vec::new();
        for (&id, entry) in self.entries.lock().iter().filter(|(_, entry)| entry.armed != 0) {
            let events = i16::try_from(entry.armed & 0x7fff).unwrap_or(0);
            entries.push(libc::pollfd { fd: entry.fd.as_raw_fd(), events, revents: 0 });
            ids.push(id);
        }
        (entries, ids)
    }

    fn fire(&self, id: u64, ready: u32) {
        let (queue, listeners) = match self.entries.lock().get_mut(&id) {
            Some(entry) => {
                // What else it is armed for somebody still waits for. An end is told whatever was asked,
                // again and again, and to all.
                let is_end = ready & u32::from(END.cast_unsigned()) != 0;
                entry.armed = if is_end { 0 } else { entry.armed & !ready };
                (entry.queue.clone(), entry.listeners.clone())
            }
            None => return,
        };
        let ready = Ready(ready);
        queue.wake(ready);
        // As a pipe or a terminal tells of its end: there is something to read.
        if ready.intersects(Ready::READABLE | Ready::HUP) {
            listeners.tell_readers(Band::In);
        }
        if ready.intersects(Ready::WRITABLE | Ready::ERR) {
            listeners.tell_writers(Band::Out);
        }
    }
}

/// The registration of one file; dropping it ends it.
pub(super) struct Watched {
    id: u64,
    poller: Arc<Poller>,
}

impl Watched {
    /// Registers `fd`, waking `queue` and telling `listeners` when it becomes ready for what it was
    /// armed for.
    pub(super) fn new(
        fd: Arc<OwnedFd>,
        queue: WaitQueue,
        listeners: AsyncList,
    ) -> Result<Self, Errno> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let poller = POLLER.lock().clone().ok_or(ENOMEM)?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        poller.entries.lock().insert(id, Entry { fd, queue, listeners, armed: 0 });
        Ok(Self { id, poller })
    }

    /// Wants to hear of `events` once.
    pub(super) fn arm(&self, events: u32) {
        let mut entries = self.poller.entries.lock();
        let Some(entry) = entries.get_mut(&self.id) else { return };
        if entry.armed & events == events {
            return;
        }
        entry.armed |= events;
        drop(entries);
        calls::signal(self.poller.counter.as_fd());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let removed = self.poller.entries.lock().remove(&self.id);
        // The thread must not wait on a number that may mean another file soon.
        calls::signal(self.poller.counter.as_fd());
        drop(removed);
    }
}
