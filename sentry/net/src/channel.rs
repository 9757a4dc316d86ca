//! One direction of a connection, or the inbox of a datagram socket: a bounded queue of messages.

use crate::addr::Addr;
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EPIPE};
use bevor_abi::socket::Ucred;
use bevor_base::{Ready, WaitQueue};
use bevor_vfs::file::File;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes a queue holds by default (`/proc/sys/net/core/wmem_default`).
pub const DEFAULT_BYTES: usize = 212_992;
/// Bytes up to which pieces of a stream are put together.
const JOINED_BYTES: usize = 65_536;
/// Messages a datagram inbox holds (`max_dgram_qlen` and some).
const MAX_MESSAGES: usize = 512;

/// What travels beside the bytes.
#[derive(Clone, Debug, Default)]
pub struct Ancillary {
    /// Descriptors of `SCM_RIGHTS`.
    pub files: Vec<Arc<File>>,
    /// The sender, for `SCM_CREDENTIALS`.
    pub cred: Option<Ucred>,
}

impl Drop for Ancillary {
    fn drop(&mut self) {
        release(std::mem::take(&mut self.files));
    }
}

thread_local! {
    /// Descriptors whose end is due, while this thread is ending one already.
    static DUE: RefCell<Option<Vec<Arc<File>>>> = const { RefCell::new(None) };
}

/// Lets go of descriptors one after another, never one inside another: guests can send sockets into
/// sockets to any depth, and the end of the outermost would take a frame of the stack for each.
fn release(files: Vec<Arc<File>>) {
    if files.is_empty() {
        return;
    }
    let outermost = DUE.with_borrow_mut(|due| match due {
        Some(due) => {
            due.extend(files);
            false
        }
        None => {
            *due = Some(files);
            true
        }
    });
    if !outermost {
        return;
    }
    while let Some(file) = DUE.with_borrow_mut(|due| due.as_mut().and_then(Vec::pop)) {
        drop(file);
    }
    DUE.set(None);
}

/// A message, or a piece of a stream.
#[derive(Debug)]
struct Item {
    data: Vec<u8>,
    taken: usize,
    from: Addr,
    ancillary: Ancillary,
}

impl Item {
    /// Whether more bytes of a stream by `sender` may be put to it.
    fn takes_more_of(&self, sender: Option<Ucred>) -> bool {
        self.ancillary.files.is_empty()
            && self.ancillary.cred == sender
            && self.data.len() < JOINED_BYTES
    }
}

#[derive(Debug)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    capacity: usize,
    write_closed: bool,
    read_closed: bool,
}

/// A queue of messages.
#[derive(Debug)]
pub struct Channel {
    inner: Mutex<Inner>,
    /// Whether message boundaries are kept.
    messages: bool,
    /// Woken when something can be read.
    reader: WaitQueue,
    /// Woken when there is room: the one who writes, or all who met a full inbox.
    writers: Mutex<Vec<WaitQueue>>,
}

/// What a read took.
#[derive(Debug, Default)]
pub struct Taken {
    /// Bytes copied.
    pub bytes: usize,
    /// Length of the whole message (bytes beyond what was copied are lost, unless peeked).
    pub message: usize,
    /// Who sent it.
    pub from: Addr,
    /// What came with it.
    pub ancillary: Ancillary,
}

impl Channel {
    /// An empty queue read by the owner of `reader`.
    #[must_use]
    pub fn new(messages: bool, reader: WaitQueue) -> Arc<Self> {
        let inner = Inner {
            items: VecDeque::new(),
            bytes: 0,
            capacity: DEFAULT_BYTES,
            write_closed: false,
            read_closed: false,
        };
        Arc::new(Self { inner: Mutex::new(inner), messages, reader, writers: Mutex::default() })
    }

    /// Sets whose queue is woken when there is room in a stream.
    pub fn set_writer(&self, writer: WaitQueue) {
        *self.writers.lock() = vec![writer];
    }

    /// Whether an inbox has no room for a message. If so, `writer` is woken once it has.
    pub fn is_full(&self, writer: &WaitQueue) -> bool {
        let full = {
            let inner = self.inner.lock();
            !inner.read_closed
                && (inner.items.len() >= MAX_MESSAGES || inner.bytes >= inner.capacity)
        };
        if full {
            self.note_writer(writer);
        }
        full
    }

    /// Makes sure that `writer` is woken when there is room in an inbox.
    pub fn note_writer(&self, writer: &WaitQueue) {
        let mut writers = self.writers.lock();
        if !writers.iter().any(|known| known.same(writer)) {
            writers.push(writer.clone());
        }
    }

    /// Sets how many bytes it holds.
    pub fn set_capacity(&self, bytes: usize) {
        self.inner.lock().capacity = bytes;
    }

    fn wake_writers(&self, ready: Ready) {
        let mut writers = self.writers.lock();
        let woken = if self.messages { std::mem::take(&mut *writers) } else { writers.clone() };
        drop(writers);
        for writer in woken {
            writer.wake(ready);
        }
    }

    /// Room for a write: bytes for streams, everything or nothing for messages.
    ///
    /// # Errors
    /// `EPIPE` once the reader is gone; `EAGAIN` when full.
    pub fn room(&self, wanted: usize) -> Result<usize, Errno> {
        let inner = self.inner.lock();
        if inner.read_closed || inner.write_closed {
            return Err(EPIPE.into());
        }
        let free = inner.capacity.saturating_sub(inner.bytes);
        if self.messages {
            let fits =
                inner.items.is_empty() || (wanted <= free && inner.items.len() < MAX_MESSAGES);
            return if fits { Ok(wanted) } else { Err(EAGAIN.into()) };
        }
        if free == 0 && wanted > 0 { Err(EAGAIN.into()) } else { Ok(free.min(wanted)) }
    }

    /// Adds a message. The caller has asked for [`Channel::room`].
    ///
    /// # Errors
    /// `EPIPE`.
    pub fn push(&self, data: Vec<u8>, from: Addr, ancillary: Ancillary) -> Result<(), Errno> {
        let mut inner = self.inner.lock();
        if inner.read_closed || inner.write_closed {
            return Err(EPIPE.into());
        }
        inner.bytes += data.len();
        let joins = !self.messages && ancillary.files.is_empty();
        let sender = ancillary.cred;
        match inner.items.back_mut() {
            Some(last) if joins && last.takes_more_of(sender) => {
                last.data.extend_from_slice(&data);
            }
            _ => inner.items.push_back(Item { data, taken: 0, from, ancillary }),
        }
        drop(inner);
        self.reader.wake(Ready::READABLE);
        Ok(())
    }

    /// Takes bytes through `sink`, which answers how many it took of a piece. For streams goes on
    /// until `max` bytes or after a piece with descriptors, with `by_sender` also no further than
    /// one sender's; for messages takes one.
    ///
    /// # Errors
    /// `EAGAIN` when there is nothing; what `sink` says.
    pub fn take(
        &self,
        max: usize,
        peek: bool,
        by_sender: bool,
        sink: &mut dyn FnMut(&[u8]) -> Result<usize, Errno>,
    ) -> Result<Taken, Errno> {
        let mut inner = self.inner.lock();
        let Some(first) = inner.items.front() else {
            if inner.write_closed || inner.read_closed {
                return Ok(Taken::default());
            }
            return Err(EAGAIN.into());
        };
        let mut taken = Taken {
            bytes: 0,
            message: first.data.len(),
            from: first.from.clone(),
            ancillary: Ancillary { files: Vec::new(), cred: first.ancillary.cred },
        };
        let mut index = 0;
        let mut failure = None;
        while let Some(item) = inner.items.get_mut(index) {
            let later = index > 0 || taken.bytes > 0;
            let other_sender = by_sender && item.ancillary.cred != taken.ancillary.cred;
            if later && (self.messages || other_sender || taken.bytes >= max) {
                break;
            }
            let rest = item.data.get(item.taken..).unwrap_or_default();
            let piece = rest.get(..rest.len().min(max - taken.bytes)).unwrap_or_default();
            let copied = match sink(piece) {
                Ok(copied) => copied,
                Err(errno) => {
                    failure = Some(errno);
                    break;
                }
            };
            taken.bytes += copied;
            let (whole, short) = (self.messages || copied == rest.len(), copied < piece.len());
            // Descriptors end a read: what was sent after them comes with the next.
            let with_files = !item.ancillary.files.is_empty();
            if peek {
                taken.ancillary.files.extend(item.ancillary.files.iter().cloned());
                index += 1;
            } else {
                taken.ancillary.files.append(&mut item.ancillary.files);
                let freed = if whole { item.data.len() - item.taken } else { copied };
                if whole {
                    inner.items.pop_front();
                } else {
                    item.taken += copied;
                }
                inner.bytes -= freed;
            }
            if self.messages || short || with_files || taken.bytes >= max {
                break;
            }
        }
        drop(inner);
        if let Some(errno) = failure.filter(|_| taken.bytes == 0) {
            return Err(errno);
        }
        if !peek {
            self.wake_writers(Ready::WRITABLE);
        }
        Ok(taken)
    }

    /// Nothing will be written any more.
    pub fn close_write(&self) {
        self.inner.lock().write_closed = true;
        self.reader.wake(Ready::READABLE | Ready::RDHUP | Ready::HUP);
    }

    /// Nothing will be read any more. Answers whether bytes were lost.
    pub fn close_read(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.read_closed = true;
        let lost = inner.bytes > 0;
        let items = std::mem::take(&mut inner.items);
        inner.bytes = 0;
        drop(inner);
        // Descriptors on their way close without the lock.
        drop(items);
        self.wake_writers(Ready::WRITABLE | Ready::HUP);
        lost
    }

    /// Whether a read would not block.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let inner = self.inner.lock();
        !inner.items.is_empty() || inner.write_closed || inner.read_closed
    }

    /// Whether the writer has closed.
    #[must_use]
    pub fn is_write_closed(&self) -> bool {
        self.inner.lock().write_closed
    }

    /// Whether the reader has closed.
    #[must_use]
    pub fn is_read_closed(&self) -> bool {
        self.inner.lock().read_closed
    }

    /// Whether a write would not block.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let inner = self.inner.lock();
        inner.read_closed || inner.bytes * 2 < inner.capacity
    }

    /// Bytes that can be read now; of the first message for message queues.
    #[must_use]
    pub fn pending(&self) -> usize {
        let inner = self.inner.lock();
        if self.messages {
            return inner.items.front().map_or(0, |item| item.data.len());
        }
        inner.bytes
    }
}
