//! The gofer's end of a channel: claims requests, answers them.
//!
//! Any number of threads call [`Service::next`]. At most one of them watches the ring for a short
//! while after the last request; the others sleep. The word `wake` is 0 only while one watches, so
//! a client that sees 0 need not wake anybody. The watcher stores 1 before it stops watching and
//! then looks once more (or sleeps on `pending`, where the host looks once more), so no request is
//! missed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::codec::Malformed;
use crate::host;
use crate::ring::{
    GOODBYE, Header, MAX_PAYLOAD, REPLY, REQUEST, REQUEST_SLEEPING, Ring, SLOT_MASK,
};
use crate::spin::Spin;
use crate::wire::{MAX_CLOSE, Op, WireHandle};

/// Longest watch for the next request: about what a sleep and a wake-up across cores cost.
const MAX_WATCH_NS: u32 = 20_000;

/// Why no further request comes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The client said goodbye, or is gone.
    #[error("the sentry closed the channel")]
    Closed,
    /// The client broke the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A claimed request, answered with [`Service::reply`].
#[derive(Debug)]
pub struct Request {
    slot: usize,
    sequence: u64,
    /// What is asked for.
    pub op: Op,
    body: usize,
}

impl Request {
    /// Splits the bytes [`Service::next`] copied into the message and the handles that are given
    /// back before it.
    pub fn split<'a>(&self, message: &'a [u8]) -> (&'a [u8], impl Iterator<Item = WireHandle>) {
        let (body, closes) = message.split_at_checked(self.body).unwrap_or_default();
        let (closes, _) = closes.as_chunks();
        (body, closes.iter().map(|handle| WireHandle::from_ne_bytes(*handle)))
    }
}

/// The gofer's end of a channel.
#[derive(Debug)]
pub struct Service {
    ring: Ring,
    socket: OwnedFd,
    spin: Spin,
    closed: AtomicBool,
    why: Mutex<Option<Ended>>,
    watched: AtomicBool,
    /// Slots whose request is being worked on; a second request in one is a violation.
    busy: AtomicU32,
    sleepers: AtomicU32,
}

impl Service {
    /// Takes the gofer's end of a channel.
    ///
    /// # Errors
    /// Those of [`Ring::map`].
    pub fn new(memory: BorrowedFd<'_>, socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            ring: Ring::map(memory)?,
            socket,
            spin: Spin::new(MAX_WATCH_NS),
            closed: AtomicBool::new(false),
            why: Mutex::new(None),
            watched: AtomicBool::new(false),
            busy: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
        })
    }

    /// Waits for the next request and copies it into `message`.
    ///
    /// # Errors
    /// [`Ended`]; then the channel is closed for every thread.
    pub fn next(&self, message: &mut Vec<u8>) -> Result<Request, Ended> {
        let claimed = self.wait().and_then(|slot| self.read(slot, message));
        claimed.map_err(|ended| self.end(ended))
    }

    /// Answers a request: `errno` 0 with a payload and perhaps descriptors, at most
    /// [`MAX_FDS`](crate::wire::MAX_FDS), or an error number.
    ///
    /// # Errors
    /// [`Ended`] when the client is gone or takes no descriptors.
    pub fn reply(
        &self,
        request: Request,
        errno: u32,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), Ended> {
        if !fds.is_empty()
            && let Err(error) = host::send_fds(self.socket.as_fd(), request.sequence, fds)
        {
            return Err(self.end(match error.raw_os_error() {
                // More descriptors are under way than this user may have open.
                Some(libc::ETOOMANYREFS) => {
                    let errno = u32::try_from(libc::ENFILE).unwrap_or(0);
                    return self.reply(request, errno, &[], &[]);
                }
                Some(libc::EAGAIN) => Malformed("client takes no descriptors").into(),
                _ => Ended::Closed,
            }));
        }
        let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
        let header = Header {
            sequence: request.sequence,
            code: errno,
            len: u32::try_from(payload.len()).unwrap_or(0),
            extra: u32::try_from(fds.len()).unwrap_or(0),
        };
        self.ring.put(request.slot, header, payload);
        // Not busy before the reply is visible: the client may use the slot again at once.
        self.busy.fetch_and(!(1 << request.slot), Ordering::Relaxed);
        let state = self.ring.state(request.slot);
        if state.swap(REPLY, Ordering::SeqCst) == REQUEST_SLEEPING {
            host::futex_wake(state, i32::MAX);
        }
        Ok(())
    }

    /// Sleeps until the channel is closed by either side, and answers why. For a thread of its own.
    pub fn wait_for_end(&self) -> Ended {
        host::wait_for_hangup(self.socket.as_fd());
        self.end(Ended::Closed)
    }

    /// Ends the channel: every thread in [`Service::next`] and [`Service::wait_for_end`] returns,
    /// and the client notices. Answers with the reason it ended for first.
    pub fn end(&self, ended: Ended) -> Ended {
        let ended = self.why.lock().get_or_insert(ended).clone();
        if !self.closed.swap(true, Ordering::SeqCst) {
            host::shut_down(self.socket.as_fd());
            self.ring.pending().fetch_or(GOODBYE, Ordering::SeqCst);
            host::futex_wake(self.ring.pending(), i32::MAX);
        }
        ended
    }

    /// Claims the next pending slot, sleeping until there is one.
    fn wait(&self) -> Result<usize, Ended> {
        let pending = self.ring.pending();
        loop {
            if let Some(slot) = self.claim()? {
                return Ok(slot);
            }
            let watch = !self.watched.swap(true, Ordering::SeqCst);
            if watch {
                self.ring.wake().store(0, Ordering::SeqCst);
                let seen = self.spin.watch(|| pending.load(Ordering::Relaxed) != 0);
                self.ring.wake().store(1, Ordering::SeqCst);
                self.watched.store(false, Ordering::SeqCst);
                if seen {
                    let claimed = self.claim()?;
                    // Requests that came while we watched woke nobody.
                    if pending.load(Ordering::SeqCst) != 0
                        && self.sleepers.load(Ordering::SeqCst) != 0
                    {
                        host::futex_wake(pending, 1);
                    }
                    match claimed {
                        Some(slot) => return Ok(slot),
                        None => continue,
                    }
                }
            }
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            host::futex_wait(pending, 0, None);
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn claim(&self) -> Result<Option<usize>, Ended> {
        let pending = self.ring.pending();
        loop {
            let seen = pending.load(Ordering::SeqCst);
            if self.closed.load(Ordering::SeqCst) || seen & GOODBYE != 0 {
                return Err(Ended::Closed);
            }
            if seen & !SLOT_MASK != 0 {
                return Err(Malformed("a slot that does not exist is pending").into());
            }
            if seen == 0 {
                return Ok(None);
            }
            let slot = seen.trailing_zeros();
            let bit = 1 << slot;
            if pending.fetch_and(!bit, Ordering::SeqCst) & bit == 0 {
                continue; // another thread was faster
            }
            if self.busy.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
                return Err(Malformed("a second request in a slot under way").into());
            }
            return Ok(usize::try_from(slot).ok());
        }
    }

    fn read(&self, slot: usize, message: &mut Vec<u8>) -> Result<Request, Ended> {
        let state = self.ring.state(slot).load(Ordering::Acquire);
        if state != REQUEST && state != REQUEST_SLEEPING {
            return Err(Malformed("pending slot holds no request").into());
        }
        let Header { sequence, code, len, extra } = self.ring.header(slot);
        let op = Op::from_number(code).ok_or(Malformed("unknown operation"))?;
        let closes = usize::try_from(extra).unwrap_or(usize::MAX);
        if closes > MAX_CLOSE {
            return Err(Malformed("too many handles given back").into());
        }
        *message = self
            .ring
            .payload(slot, len, std::mem::take(message))
            .ok_or(Malformed("longer than a slot"))?;
        let closes = closes * size_of::<WireHandle>();
        let body = message.len().checked_sub(closes).ok_or(Malformed("shorter than it says"))?;
        Ok(Request { slot, sequence, op, body })
    }
}
