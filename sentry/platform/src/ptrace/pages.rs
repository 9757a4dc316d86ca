//! Pages that carry batches of orders to agents. A stub process maps its page read-only, so guests
//! can neither change an order nor see another space's.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::arch::ptrace::PAGE;
use crate::ptrace::host;

/// The file all pages are in.
pub struct OrderPages {
    file: File,
    slots: Mutex<Slots>,
    /// What the filter wants of the tracer's calls; it is in no page.
    key: u64,
}

#[derive(Default)]
struct Slots {
    free: Vec<u64>,
    nr: u64,
}

impl OrderPages {
    pub fn new() -> io::Result<Self> {
        let (file, key) = (host::memory_file(c"bevor-orders")?, host::random()?);
        Ok(Self { file, slots: Mutex::default(), key })
    }

    /// The key, for the registers of an injected call.
    pub const fn key(&self) -> u64 {
        self.key
    }

    /// The file's descriptor, which agents share.
    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Takes a page; the file grows when none is free.
    pub fn take(self: &Arc<Self>) -> io::Result<OrderPage> {
        let mut slots = self.slots.lock();
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None => {
                self.file.set_len((slots.nr + 1) * PAGE)?;
                slots.nr += 1;
                slots.nr - 1
            }
        };
        drop(slots);
        Ok(OrderPage { pages: self.clone(), slot })
    }
}

/// One page, given back when dropped: once its process is dead.
pub struct OrderPage {
    pages: Arc<OrderPages>,
    slot: u64,
}

impl OrderPage {
    /// Where it is in the file.
    pub fn offset(&self) -> u64 {
        self.slot * PAGE
    }

    /// Its file's descriptor.
    pub fn fd(&self) -> RawFd {
        self.pages.fd()
    }

    /// Fills its beginning. The agent must be at rest.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.pages.file.write_all_at(bytes, self.offset())
    }
}

impl Drop for OrderPage {
    fn drop(&mut self) {
        self.pages.slots.lock().free.push(self.slot);
    }
}
