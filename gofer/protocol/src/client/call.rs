//! One request and its reply.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bevor_abi::Errno;
use bevor_abi::errno::{EIO, ENFILE, EOVERFLOW};
use parking_lot::{Condvar, Mutex};

use crate::codec::Writer;
use crate::host::{self, Received};
use crate::ring::{
    FREE, GOODBYE, Header, MAX_PAYLOAD, REPLY, REQUEST, REQUEST_SLEEPING, Ring, SLOT_MASK, SLOTS,
};
use crate::spin::Spin;
use crate::wire::{MAX_CLOSE, MAX_FDS, Op, WireHandle};

/// How often a thread that sleeps for a reply looks whether the gofer still lives.
pub const LIVENESS_CHECK: Duration = Duration::from_millis(50);

/// Dropped handles that may wait for a request to give them back.
const MAX_WAITING: usize = 4 * MAX_CLOSE;

/// Longest watch for a reply: about what a sleep and a wake-up cost.
const MAX_WATCH_NS: u32 = 20_000;

/// A successful reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) message: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
}

/// What the clones of a client and its handles share.
#[derive(Debug)]
pub(super) struct Shared {
    ring: Ring,
    socket: OwnedFd,
    spin: Spin,
    lost: AtomicBool,
    sequence: AtomicU64,
    /// Bits of the free slots.
    slots: Mutex<u32>,
    slot_freed: Condvar,
    /// Descriptors that were read off the socket by a call they were not for.
    descriptors: Mutex<HashMap<u64, Vec<OwnedFd>>>,
    /// Handles dropped and not given back yet.
    dropped: Mutex<Vec<WireHandle>>,
}

impl Shared {
    pub(super) fn new(memory: BorrowedFd<'_>, socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            ring: Ring::map(memory)?,
            socket,
            spin: Spin::new(MAX_WATCH_NS),
            lost: AtomicBool::new(false),
            sequence: AtomicU64::new(1),
            slots: Mutex::new(SLOT_MASK),
            slot_freed: Condvar::new(),
            descriptors: Mutex::new(HashMap::new()),
            dropped: Mutex::new(Vec::new()),
        })
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn shutdown(&self) {
        self.lost.store(true, Ordering::SeqCst);
        self.ring.pending().fetch_or(GOODBYE, Ordering::SeqCst);
        host::futex_wake(self.ring.pending(), i32::MAX);
        self.wake_all();
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// The gofer's, EIO when it is gone or breaks the protocol, ENFILE when this process has no
    /// room for the descriptor, EOVERFLOW when the request is longer than a slot.
    pub(super) fn call(&self, op: Op, request: &Writer) -> Result<Reply, Errno> {
        if request.overflowed() {
            return Err(EOVERFLOW.because("request longer than a slot of the gofer channel"));
        }
        let slot = self.take_slot()?;
        let (message, closes) = self.with_dropped(request.message());
        let reply = self.exchange(slot.index, op, &message, closes);
        match reply {
            Ok(reply) => reply,
            Err(Lost(why)) => {
                // The slot is not given back: the gofer may still write to it.
                std::mem::forget(slot);
                self.lose();
                Err(EIO.because(why))
            }
        }
    }

    /// Remembers that a handle is no longer used: the next request gives it back.
    pub(super) fn close_later(&self, handle: WireHandle) {
        let many = {
            let mut dropped = self.dropped.lock();
            dropped.push(handle);
            dropped.len() > MAX_WAITING
        };
        if many {
            self.flush_closed();
        }
    }

    /// Gives every handle dropped so far back.
    pub(super) fn flush_closed(&self) {
        while !self.dropped.lock().is_empty() {
            // Only a lost gofer fails this, and then there is nothing left to give back.
            if self.call(Op::Close, &Writer::new()).is_err() {
                self.dropped.lock().clear();
            }
        }
    }

    /// A message with the handles behind it that it gives back, and their number.
    fn with_dropped<'a>(&self, message: &'a [u8]) -> (Cow<'a, [u8]>, u32) {
        let mut dropped = self.dropped.lock();
        let room = (MAX_PAYLOAD - message.len()) / size_of::<WireHandle>();
        let count = dropped.len().min(MAX_CLOSE).min(room);
        if count == 0 {
            return (message.into(), 0);
        }
        let rest = dropped.len() - count;
        let mut message = message.to_vec();
        for handle in dropped.drain(rest..) {
            message.extend_from_slice(&handle.to_ne_bytes());
        }
        (message.into(), u32::try_from(count).unwrap_or(0))
    }

    fn exchange(
        &self,
        slot: usize,
        op: Op,
        message: &[u8],
        closes: u32,
    ) -> Result<Result<Reply, Errno>, Lost> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let len = u32::try_from(message.len()).map_err(|_| Lost("oversized request"))?;
        self.ring.put(slot, Header { sequence, code: op.number(), len, extra: closes }, message);
        self.ring.submit(slot);
        self.await_reply(slot)?;

        let header = self.ring.header(slot);
        if header.sequence != sequence {
            return Err(Lost("the gofer answered another request"));
        }
        let message = self
            .ring
            .payload(slot, header.len, Vec::new())
            .ok_or(Lost("the gofer's reply is longer than a slot"))?;
        let count = usize::try_from(header.extra).unwrap_or(usize::MAX);
        let fds = match count {
            0 => Vec::new(),
            1..=MAX_FDS => self.take_descriptors(sequence)?,
            _ => return Err(Lost("the gofer sent too many descriptors")),
        };
        if header.code != 0 {
            let code = i32::try_from(header.code).unwrap_or(0);
            return Ok(Err(Errno::from_host(code)));
        }
        if fds.len() != count {
            return Ok(Err(ENFILE.because("no room for a descriptor from the gofer")));
        }
        Ok(Ok(Reply { message, fds }))
    }

    /// Waits until the slot holds a reply.
    fn await_reply(&self, slot: usize) -> Result<(), Lost> {
        let state = self.ring.state(slot);
        self.spin.watch(|| state.load(Ordering::Relaxed) == REPLY);
        loop {
            match state.compare_exchange(
                REQUEST,
                REQUEST_SLEEPING,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) | Err(REQUEST_SLEEPING) => {}
                Err(REPLY) => return Ok(()),
                Err(_) => return Err(Lost("the gofer wrote a state that does not exist")),
            }
            host::futex_wait(state, REQUEST_SLEEPING, Some(LIVENESS_CHECK));
            if state.load(Ordering::SeqCst) != REPLY && (self.is_lost() || !self.peer_lives()) {
                return Err(Lost("the gofer is gone"));
            }
        }
    }

    /// Takes the descriptors that travelled beside the reply `sequence`. They were sent before the
    /// reply became visible, so that they are on the socket or were taken off by another call.
    fn take_descriptors(&self, sequence: u64) -> Result<Vec<OwnedFd>, Lost> {
        let mut taken = self.descriptors.lock();
        if let Some(fds) = taken.remove(&sequence) {
            return Ok(fds);
        }
        loop {
            match host::receive_fds(self.socket.as_fd()) {
                Received::Fds(tag, fds) if tag == sequence => return Ok(fds),
                Received::Fds(tag, fds) if taken.len() < SLOTS => drop(taken.insert(tag, fds)),
                Received::Fds(..) => return Err(Lost("the gofer sends descriptors nobody awaits")),
                Received::Nothing | Received::Closed => {
                    return Err(Lost("the gofer did not send the descriptor it announced"));
                }
            }
        }
    }

    /// Whether the other end of the socket is open. Puts descriptors met on the way aside.
    fn peer_lives(&self) -> bool {
        let mut taken = self.descriptors.lock();
        loop {
            match host::receive_fds(self.socket.as_fd()) {
                Received::Fds(tag, fds) if taken.len() < SLOTS => drop(taken.insert(tag, fds)),
                Received::Nothing => return true,
                Received::Fds(..) | Received::Closed => return false,
            }
        }
    }

    fn take_slot(&self) -> Result<Slot<'_>, Errno> {
        let mut free = self.slots.lock();
        loop {
            if self.is_lost() {
                return Err(EIO.because("the gofer is gone"));
            }
            if *free != 0 {
                // The lowest, so that few slots are ever touched and stay in cache.
                let index = free.trailing_zeros();
                *free &= !(1 << index);
                return Ok(Slot { shared: self, index: usize::try_from(index).unwrap_or(0) });
            }
            self.slot_freed.wait(&mut free);
        }
    }

    fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
        self.wake_all();
    }

    /// Makes every waiting thread look at `lost`.
    fn wake_all(&self) {
        let _free = self.slots.lock();
        self.slot_freed.notify_all();
        for slot in 0..SLOTS {
            host::futex_wake(self.ring.state(slot), i32::MAX);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// The channel cannot be used any more, and why.
struct Lost(&'static str);

/// A slot taken for one call.
struct Slot<'a> {
    shared: &'a Shared,
    index: usize,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.shared.ring.state(self.index).store(FREE, Ordering::Relaxed);
        *self.shared.slots.lock() |= 1 << self.index;
        self.shared.slot_freed.notify_one();
    }
}
