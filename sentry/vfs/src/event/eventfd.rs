//! `eventfd(2)`.

use crate::file::{File, FileOps};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINVAL};
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{IoDst, IoSrc};
use parking_lot::Mutex;
use std::any::Any;

/// An event counter.
pub struct EventFd {
    count: Mutex<u64>,
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    /// A counter that starts at `count`; with `semaphore` each read takes one.
    #[must_use]
    pub fn new(count: u64, semaphore: bool) -> Self {
        Self { count: Mutex::new(count), semaphore, queue: WaitQueue::new() }
    }

    /// Adds what the next part of `src` says, which stays if there is no room for it.
    fn add_one(&self, src: &mut IoSrc<'_>) -> Result<(), Errno> {
        if src.part() != 8 {
            return Err(EINVAL.into());
        }
        let mut bytes = [0; 8];
        src.take(&mut bytes)?;
        let add = u64::from_ne_bytes(bytes);
        if add == u64::MAX {
            return Err(EINVAL.into());
        }
        let mut count = self.count.lock();
        let Some(sum) = count.checked_add(add).filter(|&sum| sum != u64::MAX) else {
            src.rewind(8);
            return Err(EAGAIN.into());
        };
        *count = sum;
        drop(count);
        self.queue.wake(Ready::READABLE);
        Ok(())
    }

    /// Adds to the counter, up to its limit; for asynchronous I/O and the like.
    pub fn signal(&self, add: u64) {
        let mut count = self.count.lock();
        *count = count.saturating_add(add).min(u64::MAX - 1);
        drop(count);
        self.queue.wake(Ready::READABLE);
    }
}

impl FileOps for EventFd {
    fn is_stream(&self) -> bool {
        true
    }

    fn stays_where_it_is(&self) -> bool {
        true
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        if dst.remaining() < 8 {
            return Err(EINVAL.into());
        }
        let mut count = self.count.lock();
        if *count == 0 {
            return Err(EAGAIN.into());
        }
        let taken = if self.semaphore { 1 } else { *count };
        *count -= taken;
        drop(count);
        self.queue.wake(Ready::WRITABLE);
        dst.put(&taken.to_ne_bytes())
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        // As on Linux, each part of a vector is a write of its own; the first that fails ends it.
        let mut done = 0;
        loop {
            match self.add_one(src) {
                Ok(()) => done += 8,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => return Ok(done),
            }
            if src.remaining() == 0 {
                return Ok(done);
            }
        }
    }

    fn poll(&self) -> Ready {
        let count = *self.count.lock();
        Ready::READABLE.when(count > 0)
            | Ready::WRITABLE.when(count < u64::MAX - 1)
            | Ready::ERR.when(count == u64::MAX)
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fdinfo(&self) -> String {
        let count = *self.count.lock();
        let semaphore = u8::from(self.semaphore);
        format!("eventfd-count: {count:16x}\neventfd-id: 0\neventfd-semaphore: {semaphore}\n")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
