//! Pipes and fifos (`pipe(7)`, `fifo(7)`).
//!
//! Lock order: a pipe's state, then the memory manager of whoever copies. Two pipes (`splice`,
//! `tee`): by address.

mod buffer;
mod end;
mod inode;

pub use end::PipeEnd;
pub use inode::{FifoNode, PipeInode};

use crate::fasync::{AsyncList, Band};
use crate::file::{File, OpenFlags};
use crate::mount::Path;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_RESOURCE;
use bevor_abi::errno::{EAGAIN, EBUSY, EINVAL, ENXIO, EPERM, EPIPE};
use bevor_abi::fcntl::{O_RDONLY, O_WRONLY};
use bevor_base::{Credentials, Ready, WaitQueue};
use buffer::Ring;
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// Writes up to this many bytes are atomic.
pub const PIPE_BUF: usize = 4096;
/// Capacity of a new pipe, bytes.
pub const DEFAULT_CAPACITY: usize = 65536;
/// Largest capacity without `CAP_SYS_RESOURCE` (`fs.pipe-max-size`).
pub static MAX_SIZE: AtomicU64 = AtomicU64::new(1 << 20);

/// A pipe: bytes between writers and readers.
pub struct Pipe {
    state: Mutex<State>,
    queue: WaitQueue,
    listeners: AsyncList,
}

struct State {
    ring: Ring,
    capacity: usize,
    readers: usize,
    writers: usize,
    /// How often a reader came, so that a writer waiting in `open` notices one that left again.
    readers_seen: u64,
    writers_seen: u64,
}

/// Makes a pipe; `flags` may hold `O_NONBLOCK` and `O_DIRECT`. Returns the read and the write end.
#[must_use]
pub fn pair(cred: &Credentials, flags: OpenFlags) -> (Arc<File>, Arc<File>) {
    static NAME: LazyLock<crate::dentry::Name> = LazyLock::new(|| b"pipe"[..].into());
    let pipe = Pipe::new();
    let inode = Arc::new(PipeInode::new(pipe.clone(), cred));
    let path = Path::anonymous(inode, NAME.clone(), true);
    let end = |mode: u32| {
        let flags = OpenFlags(flags.0 | mode);
        File::new(Box::new(PipeEnd::attach_unnamed(&pipe, flags)), path.clone(), flags)
    };
    (end(O_RDONLY), end(O_WRONLY))
}

impl Pipe {
    /// Makes an empty pipe nobody has open.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let state = State {
            ring: Ring::default(),
            capacity: DEFAULT_CAPACITY,
            readers: 0,
            writers: 0,
            readers_seen: 0,
            writers_seen: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            queue: WaitQueue::new(),
            listeners: AsyncList::new(),
        })
    }

    /// Woken when anything about the pipe changes.
    #[must_use]
    pub const fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Who is sent signals when anything about the pipe changes.
    pub(super) const fn listeners(&self) -> &AsyncList {
        &self.listeners
    }

    /// Bytes in the pipe (`FIONREAD`).
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().ring.len()
    }

    /// Whether nothing is in the pipe.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The capacity (`F_GETPIPE_SZ`).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.state.lock().capacity
    }

    /// Changes the capacity (`F_SETPIPE_SZ`), rounded up to a power of two of pages; returns it.
    ///
    /// # Errors
    /// `EINVAL` out of range, `EPERM` above the limit, `EBUSY` if more is in the pipe.
    pub fn set_capacity(&self, bytes: u64, cred: &Credentials) -> Result<usize, Errno> {
        if bytes > 1 << 31 {
            return Err(EINVAL.into());
        }
        let bytes = usize::try_from(bytes).map_err(|_| EINVAL)?;
        let capacity = bytes.max(PIPE_BUF).next_power_of_two();
        let mut state = self.state.lock();
        let most = MAX_SIZE.load(Ordering::Relaxed);
        let grows = capacity > state.capacity;
        if capacity as u64 > most && grows && !cred.has_cap(CAP_SYS_RESOURCE) {
            return Err(EPERM.because("above fs.pipe-max-size"));
        }
        if state.ring.len() > capacity {
            return Err(EBUSY.into());
        }
        state.capacity = capacity;
        state.ring.limit(capacity);
        let wake = state.writable();
        drop(state);
        if wake {
            self.queue.wake(Ready::WRITABLE);
        }
        Ok(capacity)
    }

    /// Takes up to `max` bytes through `drain`; see `Ring::pop`. 0 means the end: no writer is left.
    ///
    /// # Errors
    /// `EAGAIN` if empty; what `drain` says.
    pub fn read_with(
        &self,
        max: usize,
        drain: &mut dyn FnMut(&[u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        if max == 0 {
            return Ok(0);
        }
        if state.ring.len() == 0 {
            return if state.writers == 0 { Ok(0) } else { Err(EAGAIN.into()) };
        }
        let was_writable = state.writable();
        let result = state.ring.pop(max, drain);
        let wake = !was_writable && state.writable();
        drop(state);
        if wake {
            self.queue.wake(Ready::WRITABLE);
        }
        self.listeners.tell_writers(Band::Out);
        result
    }

    /// Puts up to `max` bytes in through `fill`; see `Ring::push`. Up to [`PIPE_BUF`] bytes go in
    /// whole or not at all.
    ///
    /// # Errors
    /// `EPIPE` without readers (the caller raises `SIGPIPE`), `EAGAIN` if full; what `fill` says.
    pub fn write_with(
        &self,
        max: usize,
        packet: bool,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        if state.readers == 0 {
            return Err(EPIPE.into());
        }
        if max == 0 {
            return Ok(0);
        }
        let room = state.ring.room(state.capacity);
        if room == 0 || (max <= PIPE_BUF && room < max) {
            return Err(EAGAIN.into());
        }
        let capacity = state.capacity;
        let result = if packet {
            push_packets(&mut state.ring, max.min(room), capacity, fill)
        } else {
            state.ring.push(max, capacity, false, fill)
        };
        drop(state);
        if result.as_ref().is_ok_and(|&done| done > 0) {
            self.queue.wake(Ready::READABLE);
            self.listeners.tell_readers(Band::In);
        }
        result
    }

    /// Copies up to `max` bytes from the front of `self` to the end of `to`, taking them out if
    /// `consume` (`splice`, else `tee`).
    ///
    /// # Errors
    /// `EAGAIN` if there is nothing or no room, `EPIPE` without readers, `EINVAL` within one pipe.
    pub fn transfer(&self, to: &Self, max: usize, consume: bool) -> Result<usize, Errno> {
        if std::ptr::eq(self, to) {
            return Err(EINVAL.because("a pipe to itself"));
        }
        let (mut from_state, mut to_state) = lock_two(self, to);
        if to_state.readers == 0 {
            return Err(EPIPE.into());
        }
        if from_state.ring.len() == 0 {
            return if from_state.writers == 0 { Ok(0) } else { Err(EAGAIN.into()) };
        }
        let room = to_state.ring.room(to_state.capacity);
        if room == 0 {
            return Err(EAGAIN.into());
        }
        let was_writable = from_state.writable();
        let max = max.min(room);
        let capacity = to_state.capacity;
        let ring = &mut to_state.ring;
        let mut append = |piece: &[u8]| {
            let mut rest = piece;
            let pushed = ring.push(piece.len(), capacity, false, &mut |room| {
                let (now, later) = rest.split_at(room.len().min(rest.len()));
                room.get_mut(..now.len()).unwrap_or_default().copy_from_slice(now);
                rest = later;
                Ok(now.len())
            });
            pushed.unwrap_or(0)
        };
        let done = if consume {
            from_state.ring.pop(max, &mut |piece| Ok(append(piece)))?
        } else {
            from_state.ring.peek(max, &mut |piece| {
                append(piece);
            })
        };
        let wake_writers = consume && !was_writable && from_state.writable();
        drop(from_state);
        drop(to_state);
        if wake_writers {
            self.queue.wake(Ready::WRITABLE);
            self.listeners.tell_writers(Band::Out);
        }
        if done > 0 {
            to.queue.wake(Ready::READABLE);
            to.listeners.tell_readers(Band::In);
        }
        Ok(done)
    }

    /// Adds an open end. Returns the other side's counter when there is nobody on it, `None` when
    /// the ends are connected.
    fn attach(&self, reads: bool, writes: bool) -> Option<u64> {
        let mut state = self.state.lock();
        if reads {
            state.readers += 1;
            state.readers_seen += 1;
        }
        if writes {
            state.writers += 1;
            state.writers_seen += 1;
        }
        let alone = match (reads, writes) {
            (true, false) if state.writers == 0 => Some(state.writers_seen),
            (false, true) if state.readers == 0 => Some(state.readers_seen),
            _ => None,
        };
        drop(state);
        self.queue.wake(Ready::READABLE | Ready::WRITABLE);
        alone
    }

    fn detach(&self, reads: bool, writes: bool) {
        let mut state = self.state.lock();
        state.readers -= usize::from(reads);
        state.writers -= usize::from(writes);
        if state.readers == 0 && state.writers == 0 {
            state.ring = Ring::default();
        }
        let half = (state.readers == 0) != (state.writers == 0);
        drop(state);
        self.queue.wake(Ready::READABLE | Ready::WRITABLE | Ready::HUP | Ready::ERR);
        if half {
            self.listeners.tell_readers(Band::In);
            self.listeners.tell_writers(Band::Out);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Opens one more end, as `open(2)` of a fifo does.
    ///
    /// # Errors
    /// `ENXIO` for writing with `O_NONBLOCK` while nobody reads.
    pub fn open(self: &Arc<Self>, flags: OpenFlags) -> Result<PipeEnd, Errno> {
        let only_writes = flags.writable() && !flags.readable();
        if only_writes && flags.has(OpenFlags::NONBLOCK) && self.state().readers == 0 {
            return Err(ENXIO.into());
        }
        Ok(PipeEnd::attach(self, flags))
    }
}

impl State {
    /// Whether `poll` reports room: a whole page, or anything once the pipe is that small.
    const fn writable(&self) -> bool {
        self.ring.room(self.capacity) >= PIPE_BUF
    }
}

/// Pushes packets of at most [`PIPE_BUF`] bytes.
fn push_packets(
    ring: &mut Ring,
    max: usize,
    capacity: usize,
    fill: &mut dyn FnMut(&mut [u8]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut done = 0;
    while done < max {
        let len = PIPE_BUF.min(max - done);
        match ring.push(len, capacity, true, fill) {
            Ok(pushed) => {
                done += pushed;
                if pushed < len {
                    break;
                }
            }
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Locks the states of two pipes, by address.
fn lock_two<'a>(one: &'a Pipe, other: &'a Pipe) -> (MutexGuard<'a, State>, MutexGuard<'a, State>) {
    if std::ptr::from_ref(one).addr() < std::ptr::from_ref(other).addr() {
        let first = one.state.lock();
        (first, other.state.lock())
    } else {
        let second = other.state.lock();
        (one.state.lock(), second)
    }
}
