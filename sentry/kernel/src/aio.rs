//! Contexts of asynchronous I/O: `io_setup(2)`, `io_getevents(2)`.
//!
//! Reading, writing and syncing are done when they are submitted, as Linux does for most files; only
//! polling outlives its submission. A context is named by the address of a mapping. What Linux shows
//! there is a ring of completions that a library may read by itself; ours says in its header, by
//! another magic number, that it holds none, so that libraries ask the kernel.
//!
//! Lock order: `AioTable` → `AioContext::state`; neither is held while a file is polled, an eventfd
//! signalled or anybody woken.

use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINVAL};
use bevor_abi::system::IoEvent;
use bevor_base::timer::{Timed, TimerQueue};
use bevor_base::wait::Registration;
use bevor_base::{Ready, WaitQueue, Wakeable};
use bevor_memory::MemoryManager;
use bevor_vfs::event::EventFd;
use bevor_vfs::file::File;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// `/proc/sys/fs/aio-max-nr`: most requests all contexts may have been made for.
pub static MAX_REQUESTS: AtomicU64 = AtomicU64::new(65536);
/// `/proc/sys/fs/aio-nr`: requests the contexts there are were made for.
pub static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// The contexts of one address space, by the number in their mapping.
#[derive(Default)]
pub struct AioTable {
    contexts: Mutex<BTreeMap<u32, Arc<AioContext>>>,
}

impl AioTable {
    /// The table of an address space, made when it is first wanted. It goes with its last task.
    #[must_use]
    pub fn of(mm: &MemoryManager) -> Arc<Self> {
        mm.attached::<Self>()
    }

    /// Makes a context for `nr_requests`, which counts towards the limit until it is gone, with room
    /// for `nr_events` completions. `map` makes its mapping and tells the address.
    ///
    /// # Errors
    /// `EAGAIN` at the limit, and those of `map`.
    pub fn create(
        &self,
        nr_requests: u32,
        nr_events: u32,
        map: impl FnOnce(u32) -> Result<u64, Errno>,
    ) -> Result<Arc<AioContext>, Errno> {
        let share = Share::take(nr_requests.into())?;
        let mut contexts = self.contexts.lock();
        let id = (0..u32::MAX).find(|id| !contexts.contains_key(id)).ok_or(EAGAIN)?;
        let context = Arc::new(AioContext {
            id,
            addr: AtomicU64::new(map(id)?),
            nr_events: usize::try_from(nr_events).unwrap_or(usize::MAX),
            _share: share,
            state: Mutex::default(),
            queue: WaitQueue::new(),
        });
        contexts.insert(id, context.clone());
        Ok(context)
    }

    /// The context of this number.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<Arc<AioContext>> {
        self.contexts.lock().get(&id).cloned()
    }

    /// The context mapped at `addr`.
    #[must_use]
    pub fn at(&self, addr: u64) -> Option<Arc<AioContext>> {
        let contexts = self.contexts.lock();
        contexts.values().find(|context| context.addr.load(Ordering::Relaxed) == addr).cloned()
    }

    /// Takes a context out and ends it; `false` if it was not there any more.
    pub fn destroy(&self, context: &AioContext) -> bool {
        let found = self.contexts.lock().remove(&context.id);
        found.inspect(|context| context.end()).is_some()
    }
}

impl Drop for AioTable {
    fn drop(&mut self) {
        for context in self.contexts.get_mut().values() {
            context.end();
        }
    }
}

/// A part of [`MAX_REQUESTS`].
struct Share(u64);

impl Share {
    fn take(nr: u64) -> Result<Self, Errno> {
        let most = MAX_REQUESTS.load(Ordering::Relaxed);
        let more = |taken: u64| taken.checked_add(nr).filter(|&sum| sum <= most);
        match REQUESTS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Self(nr)),
            Err(_) => Err(EAGAIN.because("fs.aio-max-nr")),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        REQUESTS.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// One context.
pub struct AioContext {
    id: u32,
    /// Where its mapping is.
    pub addr: AtomicU64,
    nr_events: usize,
    _share: Share,
    state: Mutex<State>,
    /// Woken by every completion, and by its end.
    pub queue: WaitQueue,
}

#[derive(Default)]
struct State {
    events: VecDeque<IoEvent>,
    /// By a number of their own: a program may submit one request twice.
    polls: BTreeMap<u64, Arc<AioPoll>>,
    next_poll: u64,
    dead: bool,
}

impl AioContext {
    /// Whether it was destroyed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state.lock().dead
    }

    /// Checks that one more request has a place for its completion.
    ///
    /// # Errors
    /// `EAGAIN`.
    pub fn check_room(&self) -> Result<(), Errno> {
        let state = self.state.lock();
        // Linux's ring is full when one place is left.
        if state.events.len() + state.polls.len() + 1 >= self.nr_events {
            return Err(EAGAIN.because("the context is full"));
        }
        drop(state);
        Ok(())
    }

    /// How many completions one call may submit or take.
    #[must_use]
    pub const fn nr_events(&self) -> usize {
        self.nr_events
    }

    /// Adds a completion, and tells whoever waits, and `eventfd`.
    pub fn complete(&self, event: IoEvent, eventfd: Option<&File>) {
        self.state.lock().events.push_back(event);
        self.tell(eventfd);
    }

    fn tell(&self, eventfd: Option<&File>) {
        if let Some(counter) = eventfd.and_then(File::downcast::<EventFd>) {
            counter.signal(1);
        }
        self.queue.wake(Ready::ALL);
    }

    /// Hands the first completions to `give`, at most `most`; they are gone if it succeeds.
    ///
    /// # Errors
    /// Those of `give`.
    pub fn take(
        &self,
        most: usize,
        give: impl FnOnce(&[IoEvent]) -> Result<(), Errno>,
    ) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        let taken: Vec<_> = state.events.iter().take(most).copied().collect();
        // Nobody else takes them meanwhile, and the place of what comes in is behind them.
        state.events.drain(..taken.len());
        drop(state);
        let result = if taken.is_empty() { Ok(()) } else { give(&taken) };
        if result.is_err() {
            let mut state = self.state.lock();
            for event in taken.iter().rev() {
                state.events.push_front(*event);
            }
        }
        result.map(|()| taken.len())
    }

    /// Waits until a file is ready for any of `interest`.
    ///
    /// # Errors
    /// `EINVAL`: it is not ready, and files of its kind never tell.
    pub fn poll(
        self: &Arc<Self>,
        timers: &Arc<TimerQueue>,
        file: &Arc<File>,
        interest: Ready,
        request: IoEvent,
        eventfd: Option<Arc<File>>,
    ) -> Result<(), Errno> {
        let interest = interest | Ready::ERR | Ready::HUP;
        let Some(queue) = file.ops().wait_queue() else {
            let ready = file.poll().0 & interest.0;
            if ready == 0 {
                return Err(EINVAL.because("such files do not wait"));
            }
            self.complete(IoEvent { res: ready.into(), ..request }, eventfd.as_deref());
            return Ok(());
        };
        let mut state = self.state.lock();
        let number = state.next_poll;
        state.next_poll += 1;
        let poll = Arc::new_cyclic(|me| AioPoll {
            me: me.clone(),
            number,
            context: Arc::downgrade(self),
            timers: timers.clone(),
            file: file.clone(),
            interest,
            request,
            eventfd,
            registration: Mutex::default(),
            noted: AtomicBool::new(false),
        });
        state.polls.insert(number, poll.clone());
        drop(state);
        *poll.registration.lock() = Some(queue.register(poll.clone(), interest));
        poll.look();
        Ok(())
    }

    /// Ends the polling `request` asked for: it completes with nothing ready. `false` if there is
    /// none.
    pub fn cancel(&self, request: u64) -> bool {
        let state = self.state.lock();
        let found = state.polls.values().find(|poll| poll.request.obj == request).cloned();
        drop(state);
        found.is_some_and(|poll| self.finish(&poll, 0))
    }

    /// Completes a polling once; `false` if that was done before.
    fn finish(&self, poll: &AioPoll, ready: u32) -> bool {
        let mut state = self.state.lock();
        let ours = state.polls.remove(&poll.number);
        if ours.is_some() {
            state.events.push_back(IoEvent { res: ready.into(), ..poll.request });
        }
        drop(state);
        let done = ours.is_some();
        if done {
            self.tell(poll.eventfd.as_deref());
            poll.leave();
        }
        done
    }

    /// Gives up what is under way and lets those who wait go.
    fn end(&self) {
        let mut state = self.state.lock();
        state.dead = true;
        let polls = std::mem::take(&mut state.polls);
        drop(state);
        for poll in polls.values() {
            poll.leave();
        }
        self.queue.wake(Ready::ALL);
    }
}

impl std::fmt::Debug for AioContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AioContext({})", self.id)
    }
}

/// A polling under way (`IOCB_CMD_POLL`).
struct AioPoll {
    me: Weak<Self>,
    number: u64,
    context: Weak<AioContext>,
    timers: Arc<TimerQueue>,
    file: Arc<File>,
    interest: Ready,
    request: IoEvent,
    eventfd: Option<Arc<File>>,
    registration: Mutex<Option<Registration>>,
    /// Whether a look at the file is due already.
    noted: AtomicBool,
}

impl AioPoll {
    fn look(&self) {
        let ready = self.file.poll().0 & self.interest.0;
        if ready != 0
            && let Some(context) = self.context.upgrade()
        {
            context.finish(self, ready);
        }
    }

    fn leave(&self) {
        let registration = self.registration.lock().take();
        drop(registration);
    }
}

impl Wakeable for AioPoll {
    /// Whoever wakes holds locks, perhaps those of the eventfd to be signalled: a worker looks at the
    /// file, at once.
    fn wake(&self, _ready: Ready) {
        if !self.noted.swap(true, Ordering::SeqCst)
            && let Some(me) = self.me.upgrade()
        {
            self.timers.arm(0, me);
        }
    }
}

impl Timed for AioPoll {
    fn expired(&self) {
        self.noted.store(false, Ordering::SeqCst);
        self.look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_vfs::anon;
    use bevor_vfs::file::OpenFlags;

    fn context(table: &AioTable) -> Arc<AioContext> {
        table.create(1, 3, |id| Ok(u64::from(id))).unwrap()
    }

    #[test]
    fn polling_completes_once_and_when_cancelled() {
        let table = AioTable::default();
        let context = context(&table);
        let timers = TimerQueue::new();
        let file = anon::file(Box::new(EventFd::new(0, false)), "[eventfd]", OpenFlags(2));
        let other = anon::file(Box::new(EventFd::new(0, false)), "[eventfd]", OpenFlags(2));
        let request = |obj| IoEvent { obj, ..IoEvent::default() };
        context.poll(&timers, &file, Ready::IN, request(1), Some(other.clone())).unwrap();
        context.poll(&timers, &file, Ready::IN, request(2), None).unwrap();
        assert!(context.check_room().is_err());
        assert!(context.cancel(2) && !context.cancel(2) && !context.cancel(3));
        file.downcast::<EventFd>().unwrap().signal(1);
        file.downcast::<EventFd>().unwrap().signal(1);
        timers.fire(u64::MAX - 1);
        assert!(other.poll().intersects(Ready::IN));
        let mut seen = Vec::new();
        let mut note = |events: &[IoEvent]| {
            seen.extend(events.iter().map(|event| (event.obj, event.res)));
            Ok(())
        };
        context.take(9, &mut note).unwrap();
        assert_eq!(seen, [(2, 0), (1, 1)]);
        assert!(table.destroy(&context) && !table.destroy(&context) && context.is_dead());
    }
}
