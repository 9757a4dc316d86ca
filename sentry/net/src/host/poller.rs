//! One thread that waits for all sockets of the host somebody waits for.
//!
//! A socket is armed for some events, once, when somebody looked and found nothing: a guest that is
//! busy, or does not look, costs nothing. Whoever watches for edges (`EPOLLET`) must be told of each
//! event without having looked; such a socket stays armed for edges.

use crate::host::calls;
use bevor_abi::Errno;
use bevor_abi::errno::ENOMEM;
use bevor_base::{Ready, WaitQueue};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

const EPOLLONESHOT: u32 = 1 << 30;
const EPOLLET: u32 = 1 << 31;
/// What a socket can be waited for.
pub(super) const ALL: Ready =
    Ready(Ready::READABLE.0 | Ready::WRITABLE.0 | Ready::PRI.0 | Ready::RDHUP.0);

/// What the thread and the sockets share.
pub(super) struct Poller {
    epoll: OwnedFd,
    watches: Mutex<HashMap<u64, Arc<Watch>>>,
}

/// How a socket is waited for.
#[derive(Default)]
struct Armed {
    /// The host knows of it.
    known: bool,
    /// Waited for once.
    events: u32,
    /// Every event is waited for, always.
    edges: bool,
    /// With `edges`: somebody met a socket without room. Whoever did not is told of none.
    room_wanted: bool,
    /// It fired for what nobody had asked for (an error nobody takes): it would do so again at once.
    stubborn: bool,
}

struct Watch {
    queue: WaitQueue,
    armed: Mutex<Armed>,
}

impl Poller {
    /// Starts the thread, and returns when it has begun its work: one that is only being born makes
    /// host calls that no filter allows. Call it before the filter.
    ///
    /// # Errors
    /// `ENOMEM` or what the host answers.
    pub(super) fn start() -> Result<Arc<Self>, Errno> {
        let poller = Arc::new(Self { epoll: calls::epoll()?, watches: Mutex::default() });
        let own = poller.clone();
        let born = Arc::new(Barrier::new(2));
        let at_birth = born.clone();
        let thread = std::thread::Builder::new().name("host-net".into()).stack_size(64 << 10);
        let work = move || {
            at_birth.wait();
            own.run();
        };
        thread.spawn(work).map_err(|_| ENOMEM)?;
        born.wait();
        Ok(poller)
    }

    fn run(&self) {
        loop {
            // An interrupted wait is made again.
            let Ok(events) = calls::epoll_wait(self.epoll.as_fd()) else { continue };
            for (name, events) in events {
                let watch = self.watches.lock().get(&name).cloned();
                if let Some(watch) = watch {
                    watch.fire(Ready(events));
                }
            }
        }
    }
}

impl Watch {
    fn fire(&self, ready: Ready) {
        let told = {
            let mut armed = self.armed.lock();
            armed.stubborn = !ready.intersects(Ready(armed.events));
            armed.events = 0;
            match (armed.edges, ready.intersects(Ready::OUT)) {
                (true, false) => ready,
                (true, true) if std::mem::take(&mut armed.room_wanted) => ready,
                (true, true) => ready & !Ready::WRITABLE,
                // What else was armed is armed again by whoever looks: all are told to.
                (false, _) => Ready::ALL,
            }
        };
        if told.any() {
            self.queue.wake(told);
        }
    }
}

/// The place of one socket; dropping it ends it. The host forgets a socket that is closed.
pub(super) struct Watched {
    name: u64,
    watch: Arc<Watch>,
    poller: Arc<Poller>,
}

impl Watched {
    /// A socket that is not waited for yet; `queue` will be woken.
    pub(super) fn new(poller: &Arc<Poller>, queue: WaitQueue) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = NEXT.fetch_add(1, Ordering::Relaxed);
        let watch = Arc::new(Watch { queue, armed: Mutex::default() });
        poller.watches.lock().insert(name, watch.clone());
        Self { name, watch, poller: poller.clone() }
    }

    /// Has the queue woken once `fd` is ready for one of `events`, at once if it is.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`: the host watches no more.
    pub(super) fn arm(&self, fd: BorrowedFd<'_>, events: Ready) -> Result<(), Errno> {
        let mut armed = self.watch.armed.lock();
        if armed.edges {
            if events.intersects(Ready::OUT) && !armed.room_wanted {
                // Room that came before it was wanted has told nobody.
                let ready = Ready(calls::ready_now(fd, Ready::WRITABLE.0)?);
                armed.room_wanted = !ready.intersects(Ready::OUT);
                drop(armed);
                self.watch.queue.wake(ready);
            }
            return Ok(());
        }
        if armed.events & events.0 == events.0 {
            return Ok(());
        }
        let wanted = armed.events | events.0;
        if armed.stubborn {
            armed.events = wanted;
            return self.always(fd, &mut armed);
        }
        self.tell(fd, &mut armed, wanted | EPOLLONESHOT)?;
        armed.events = wanted;
        drop(armed);
        Ok(())
    }

    /// Has the queue woken at every event from now on.
    ///
    /// # Errors
    /// As [`Watched::arm`].
    pub(super) fn arm_edges(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        self.always(fd, &mut self.watch.armed.lock())
    }

    /// Somebody wants to hear of room, or of a connection, if edges are watched for.
    ///
    /// # Errors
    /// What the host answers.
    pub(super) fn want_room(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let edges = self.watch.armed.lock().edges;
        if edges { self.arm(fd, Ready::OUT) } else { Ok(()) }
    }

    fn always(&self, fd: BorrowedFd<'_>, armed: &mut Armed) -> Result<(), Errno> {
        if !armed.edges {
            self.tell(fd, armed, ALL.0 | EPOLLET)?;
            armed.edges = true;
            armed.room_wanted = armed.events & Ready::OUT.0 != 0;
        }
        Ok(())
    }

    fn tell(&self, fd: BorrowedFd<'_>, armed: &mut Armed, events: u32) -> Result<(), Errno> {
        calls::epoll_watch(self.poller.epoll.as_fd(), fd, armed.known, events, self.name)?;
        armed.known = true;
        Ok(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let removed = self.poller.watches.lock().remove(&self.name);
        drop(removed);
    }
}
