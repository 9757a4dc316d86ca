//! One request and its reply.

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
    FREE, GOODBYE, Header, REPLY, REQUEST, REQUEST_SLEEPING, Ring, SLOT_MASK, SLOTS,
};
use crate::spin::Spin;
use crate::wire::{MAX_CLOSE, Op, WireHandle};

/// How often a thread that sleeps for a reply looks whether the gofer still lives.
pub const LIVENESS_CHECK: Duration = Duration::from_millis(50);

/// Longest watch for a reply: about what a sleep and a wake-up cost.
const MAX_WATCH_NS: u32 = 10_000;

/// A successful reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) message: Vec<u8>,
    pub(super) fd: Option<OwnedFd>,
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
    descriptors: Mutex<HashMap<u64, Option<OwnedFd>>>,
    /// Handles dropped since the last close message.
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
        let reply = self.exchange(slot.index, op, request.message());
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

    /// Remembers that a handle is no longer used; sends a close message once there are many.
    pub(super) fn close_later(&self, handle: WireHandle) {
        let batch = {
            let mut dropped = self.dropped.lock();
            dropped.push(handle);
            if dropped.len() < MAX_CLOSE {
                return;
            }
            std::mem::take(&mut *dropped)
        };
        self.close(&batch);
    }

    /// Sends the close message for every handle dropped so far.
    pub(super) fn flush_closed(&self) {
        let batch = std::mem::take(&mut *self.dropped.lock());
        self.close(&batch);
    }

    fn close(&self, batch: &[WireHandle]) {
        for batch in batch.chunks(MAX_CLOSE) {
            let mut request = Writer::new();
            for handle in batch {
                request.put(handle);
            }
            // Only a lost gofer fails this, and then there is nothing left to close.
            drop(self.call(Op::Close, &request));
        }
    }

    fn exchange(&self, slot: usize, op: Op, message: &[u8]) -> Result<Result<Reply, Errno>, Lost> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let len = u32::try_from(message.len()).map_err(|_| Lost("oversized request"))?;
        self.ring.put(slot, Header { sequence, code: op.number(), len, fds: 0 }, message);
        self.ring.state(slot).store(REQUEST, Ordering::Release);
        self.ring.pending().fetch_or(1 << slot, Ordering::SeqCst);
        if self.ring.wake().load(Ordering::SeqCst) != 0 {
            host::futex_wake(self.ring.pending(), 1);
        }
        self.await_reply(slot)?;

        let header = self.ring.header(slot);
        if header.sequence != sequence {
            return Err(Lost("the gofer answered another request"));
        }
        let message = self
            .ring
            .payload(slot, header.len, Vec::new())
            .ok_or(Lost("the gofer's reply is longer than a slot"))?;
        let fd = match header.fds {
            0 => None,
            1 => Some(self.take_descriptor(sequence)?),
            _ => return Err(Lost("the gofer sent more than one descriptor")),
        };
        if header.code != 0 {
            let code = i32::try_from(header.code).unwrap_or(0);
            return Ok(Err(Errno::from_host(code)));
        }
        Ok(match fd {
            None => Ok(Reply { message, fd: None }),
            Some(Some(fd)) => Ok(Reply { message, fd: Some(fd) }),
            Some(None) => Err(ENFILE.because("no room for a descriptor from the gofer")),
        })
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

    /// Takes the descriptor that travelled beside the reply `sequence`. It was sent before the
    /// reply became visible, so that it is on the socket or was taken off by another call.
    fn take_descriptor(&self, sequence: u64) -> Result<Option<OwnedFd>, Lost> {
        let mut taken = self.descriptors.lock();
        if let Some(fd) = taken.remove(&sequence) {
            return Ok(fd);
        }
        loop {
            match host::receive_fd(self.socket.as_fd()) {
                Received::Fd(tag, fd) if tag == sequence => return Ok(fd),
                Received::Fd(tag, fd) if taken.len() < SLOTS => drop(taken.insert(tag, fd)),
                Received::Fd(..) => return Err(Lost("the gofer sends descriptors nobody awaits")),
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
            match host::receive_fd(self.socket.as_fd()) {
                Received::Fd(tag, fd) if taken.len() < SLOTS => drop(taken.insert(tag, fd)),
                Received::Nothing => return true,
                Received::Fd(..) | Received::Closed => return false,
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
