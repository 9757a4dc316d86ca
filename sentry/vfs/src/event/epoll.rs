//! `epoll(7)`: level- and edge-triggered, one-shot, exclusive, nested.
//!
//! Every watched file has a registration on its wait queue; a wake-up puts the entry on the ready
//! list and wakes those who wait on the instance. What is reported is asked of the file again.
//!
//! Lock order: `NESTING` → an outer instance's `entries` → its `ready` → an inner instance's.

use crate::caller::Caller;
use crate::file::{File, FileOps};
use bevor_abi::Errno;
use bevor_abi::errno::{EEXIST, EINVAL, ELOOP, ENOENT, EPERM};
use bevor_base::{Ready as Readiness, Registration, WaitQueue, Wakeable};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// `EPOLLEXCLUSIVE`.
const EXCLUSIVE: u32 = 1 << 28;
/// `EPOLLWAKEUP`, accepted and without effect, as without `CAP_BLOCK_SUSPEND`.
const WAKEUP: u32 = 1 << 29;
/// `EPOLLONESHOT`.
const ONESHOT: u32 = 1 << 30;
/// `EPOLLET`.
const EDGE: u32 = 1 << 31;
/// Deepest nesting of instances: links between them on one path (`EP_MAX_NESTS`).
const MAX_NESTING: u32 = 4;

/// Held from the look for a loop until the link is made: two calls could close one together.
static NESTING: Mutex<()> = Mutex::new(());

/// An event as `epoll_wait` reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// `EPOLL*` bits.
    pub events: u32,
    /// What the program gave with the descriptor.
    pub data: u64,
}

/// Names an entry: descriptor number and description.
type EntryKey = (i32, u64);

struct Interest {
    events: u32,
    data: u64,
    /// A one-shot entry has fired and waits for `EPOLL_CTL_MOD`.
    disabled: bool,
}

struct Entry {
    key: EntryKey,
    file: Weak<File>,
    instance: Weak<Inner>,
    interest: Mutex<Interest>,
    /// Whether it is on the ready list.
    queued: AtomicBool,
}

impl Wakeable for Entry {
    fn wake(&self, _ready: Readiness) {
        if let Some(instance) = self.instance.upgrade() {
            instance.enqueue(self.key, &self.queued);
        }
    }
}

struct Watched {
    entry: Arc<Entry>,
    _registration: Registration,
}

#[derive(Default)]
struct Inner {
    entries: Mutex<BTreeMap<EntryKey, Watched>>,
    ready: Mutex<VecDeque<EntryKey>>,
    /// The instances that watch this one, once for each entry.
    outer: Mutex<Vec<Weak<Inner>>>,
    queue: WaitQueue,
}

impl Inner {
    fn enqueue(&self, key: EntryKey, queued: &AtomicBool) {
        if !queued.swap(true, Ordering::AcqRel) {
            self.ready.lock().push_back(key);
        }
        self.queue.wake(Readiness::READABLE);
    }

    /// How many links deep the instances below this one nest, up to `left`.
    ///
    /// # Errors
    /// `ELOOP` if `target` is among them, or they go deeper.
    fn depth(&self, target: &Inner, left: u32) -> Result<u32, Errno> {
        if std::ptr::eq(self, target) {
            return Err(ELOOP.into());
        }
        let files: Vec<_> = self
            .entries
            .lock()
            .values()
            .filter_map(|watched| watched.entry.file.upgrade())
            .collect();
        let mut deepest = 0;
        for file in files {
            if let Some(inner) = file.downcast::<Epoll>() {
                let left = left.checked_sub(1).ok_or(ELOOP)?;
                deepest = deepest.max(inner.inner.depth(target, left)? + 1);
            }
        }
        Ok(deepest)
    }

    /// How many links deep this instance is in others, up to `left`.
    ///
    /// # Errors
    /// `ELOOP` if deeper.
    fn height(&self, left: u32) -> Result<u32, Errno> {
        let outer: Vec<_> = self.outer.lock().iter().filter_map(Weak::upgrade).collect();
        let mut highest = 0;
        for instance in outer {
            let left = left.checked_sub(1).ok_or(ELOOP)?;
            highest = highest.max(instance.height(left)? + 1);
        }
        Ok(highest)
    }
}

/// An epoll instance.
#[derive(Default)]
pub struct Epoll {
    inner: Arc<Inner>,
}

impl Epoll {
    /// An instance that watches nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `EPOLL_CTL_ADD`.
    ///
    /// # Errors
    /// `EEXIST`, `EPERM` (the file cannot be waited for), `ELOOP`, `EINVAL`, `ENOMEM`, `ENOSPC`.
    pub fn add(
        &self,
        caller: &dyn Caller,
        fd: i32,
        file: &Arc<File>,
        events: u32,
        data: u64,
    ) -> Result<(), Errno> {
        let queue = file.ops().wait_queue_of(caller.as_any()).ok_or(EPERM)?;
        let _nesting = file.downcast::<Self>().map(|_| NESTING.lock());
        if let Some(nested) = file.downcast::<Self>() {
            if events & EXCLUSIVE != 0 {
                return Err(EINVAL.because("EPOLLEXCLUSIVE on an epoll instance"));
            }
            let below = nested.inner.depth(&self.inner, MAX_NESTING)?;
            if below + 1 + self.inner.height(MAX_NESTING)? > MAX_NESTING {
                return Err(ELOOP.into());
            }
        }
        let known = Readiness::IN.0 | Readiness::OUT.0 | Readiness::ERR.0 | Readiness::HUP.0;
        if events & EXCLUSIVE != 0 && events & !(known | EXCLUSIVE | WAKEUP | EDGE) != 0 {
            return Err(EINVAL.because("EPOLLEXCLUSIVE allows few other bits"));
        }
        if events & EDGE != 0 {
            file.ops().watched_for_edges()?;
        }
        let key = (fd, file.id());
        let entry = Arc::new(Entry {
            key,
            file: Arc::downgrade(file),
            instance: Arc::downgrade(&self.inner),
            interest: Mutex::new(Interest { events, data, disabled: false }),
            queued: AtomicBool::new(false),
        });
        let mut entries = self.inner.entries.lock();
        if entries.contains_key(&key) {
            return Err(EEXIST.into());
        }
        let interest = Readiness(events);
        let registration = if events & EXCLUSIVE != 0 {
            queue.register_exclusive(entry.clone(), interest)
        } else {
            queue.register(entry.clone(), Readiness::ALL)
        };
        entries.insert(key, Watched { entry: entry.clone(), _registration: registration });
        drop(entries);
        if let Some(nested) = file.downcast::<Self>() {
            let mut outer = nested.inner.outer.lock();
            outer.retain(|instance| instance.strong_count() > 0);
            outer.push(Arc::downgrade(&self.inner));
        }
        self.note_ready(caller, &entry, file);
        Ok(())
    }

    /// Queues an entry whose file is ready already.
    fn note_ready(&self, caller: &dyn Caller, entry: &Entry, file: &File) {
        let wanted = Readiness(entry.interest.lock().events) | Readiness::ERR | Readiness::HUP;
        if file.poll_as(caller).intersects(wanted) {
            self.inner.enqueue(entry.key, &entry.queued);
        }
    }

    /// `EPOLL_CTL_MOD`.
    ///
    /// # Errors
    /// `ENOENT`, `EINVAL` (exclusive entries cannot change).
    pub fn modify(
        &self,
        caller: &dyn Caller,
        fd: i32,
        file: &Arc<File>,
        events: u32,
        data: u64,
    ) -> Result<(), Errno> {
        let entry = {
            let entries = self.inner.entries.lock();
            entries.get(&(fd, file.id())).ok_or(ENOENT)?.entry.clone()
        };
        if events & EDGE != 0 {
            file.ops().watched_for_edges()?;
        }
        {
            let mut interest = entry.interest.lock();
            if (events | interest.events) & EXCLUSIVE != 0 {
                return Err(EINVAL.into());
            }
            *interest = Interest { events, data, disabled: false };
        }
        self.note_ready(caller, &entry, file);
        Ok(())
    }

    /// `EPOLL_CTL_DEL`.
    ///
    /// # Errors
    /// `ENOENT`.
    pub fn remove(&self, fd: i32, file: &Arc<File>) -> Result<(), Errno> {
        let key = (fd, file.id());
        let removed = self.inner.entries.lock().remove(&key).ok_or(ENOENT)?;
        if let Some(nested) = file.downcast::<Self>() {
            let mut outer = nested.inner.outer.lock();
            let this = Arc::as_ptr(&self.inner);
            if let Some(at) = outer.iter().position(|instance| instance.as_ptr() == this) {
                outer.swap_remove(at);
            }
        }
        // The same descriptor may come back before its place on the list is looked at.
        if removed.entry.queued.load(Ordering::Acquire) {
            self.inner.ready.lock().retain(|queued| *queued != key);
        }
        Ok(())
    }

    /// The number of the description watched as `fd`, after passing over `skip` others
    /// (`KCMP_EPOLL_TFD`).
    #[must_use]
    pub fn watched(&self, fd: i32, skip: usize) -> Option<u64> {
        let entries = self.inner.entries.lock();
        entries.range((fd, 0)..=(fd, u64::MAX)).nth(skip).map(|(key, _)| key.1)
    }

    /// Takes up to `max` events for `caller`.
    #[must_use]
    pub fn take(&self, caller: &dyn Caller, max: usize) -> Vec<Ready> {
        let mut found = Vec::new();
        let mut again = Vec::new();
        let rounds = self.inner.ready.lock().len();
        for _ in 0..rounds {
            if found.len() >= max {
                break;
            }
            let Some(key) = self.inner.ready.lock().pop_front() else { break };
            let entry = self.inner.entries.lock().get(&key).map(|watched| watched.entry.clone());
            let Some(entry) = entry else { continue };
            // Before the look: a wake-up during it queues the entry again.
            entry.queued.store(false, Ordering::Release);
            let Some(file) = entry.file.upgrade() else {
                let gone = self.inner.entries.lock().remove(&key);
                drop(gone);
                continue;
            };
            let mut interest = entry.interest.lock();
            if interest.disabled {
                continue;
            }
            let wanted = Readiness(interest.events) | Readiness::ERR | Readiness::HUP;
            let ready = file.poll_as(caller) & wanted;
            if !ready.any() {
                continue;
            }
            found.push(Ready { events: ready.0, data: interest.data });
            if interest.events & ONESHOT != 0 {
                interest.disabled = true;
            } else if interest.events & EDGE == 0 {
                again.push(entry.clone());
            }
        }
        // Level-triggered entries stay until they are found not ready.
        for entry in again {
            if !entry.queued.swap(true, Ordering::AcqRel) {
                self.inner.ready.lock().push_back(entry.key);
            }
        }
        found
    }

    /// Whether an event is there to be taken.
    fn has_ready(&self) -> bool {
        let keys: Vec<EntryKey> = self.inner.ready.lock().iter().copied().collect();
        keys.into_iter().any(|key| {
            let entry = self.inner.entries.lock().get(&key).map(|watched| watched.entry.clone());
            let Some(entry) = entry else { return false };
            let Some(file) = entry.file.upgrade() else { return false };
            let interest = entry.interest.lock();
            let wanted = Readiness(interest.events) | Readiness::ERR | Readiness::HUP;
            !interest.disabled && file.poll().intersects(wanted)
        })
    }
}

impl FileOps for Epoll {
    fn is_stream(&self) -> bool {
        true
    }

    fn stays_where_it_is(&self) -> bool {
        true
    }

    fn poll(&self) -> Readiness {
        Readiness::READABLE.when(self.has_ready())
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.inner.queue)
    }

    fn fdinfo(&self) -> String {
        let entries = self.inner.entries.lock();
        let lines = entries.values().filter_map(|watched| {
            let interest = watched.entry.interest.lock();
            let (fd, _) = watched.entry.key;
            let always = Readiness::ERR | Readiness::HUP;
            let kind = interest.events & (EXCLUSIVE | WAKEUP | ONESHOT | EDGE);
            let events = if interest.disabled { kind } else { interest.events | always.0 };
            let file = watched.entry.file.upgrade()?;
            Some(format!(
                "tfd: {fd:8} events: {events:8x} data: {:16x}  pos:{} ino:{:x} sdev:{:x}\n",
                interest.data,
                *file.position(),
                file.inode().ino(),
                bevor_abi::stat::internal(file.inode().dev())
            ))
        });
        lines.collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
