//! One direction of a connection, or the inbox of a datagram socket: a bounded queue of messages.

use crate::addr::Addr;
use crate::errors::Report;
use crate::packet::Packet;
use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::{EAGAIN, EINVAL, EPIPE};
use bevor_abi::socket::Ucred;
use bevor_base::{Ready, WaitQueue};
use bevor_vfs::fasync::{AsyncList, Band};
use bevor_vfs::file::File;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes a queue holds by default (`/proc/sys/net/core/wmem_default`).
pub const DEFAULT_BYTES: usize = 212_992;
/// Bytes up to which pieces of a stream are put together.
const JOINED_BYTES: usize = 65_536;
/// Messages a datagram inbox holds (`max_dgram_qlen` and some).
const MAX_MESSAGES: usize = 512;

/// How the two ends of a queue hear of it.
#[derive(Debug, Default)]
pub struct Ears {
    /// Who waits.
    pub queue: WaitQueue,
    /// Who is sent signals.
    pub listeners: AsyncList,
    /// A writer met a full queue and has not heard of room since.
    starved: AtomicBool,
}

impl Ears {
    /// Notes that a writer was told that there is no room.
    pub fn note_no_room(&self) {
        if !self.listeners.is_empty() {
            self.starved.store(true, Ordering::SeqCst);
        }
    }

    /// Tells listeners of room, if they miss it.
    fn tell_room(&self) {
        if self.starved.load(Ordering::SeqCst) && self.starved.swap(false, Ordering::SeqCst) {
            self.listeners.tell(Band::Out);
        }
    }
}

/// What travels beside the bytes.
#[derive(Clone, Debug, Default)]
pub struct Ancillary {
    /// Descriptors of `SCM_RIGHTS`.
    pub files: Vec<Arc<File>>,
    /// The sender, for `SCM_CREDENTIALS`.
    pub cred: Option<Ucred>,
    /// Headers, for datagrams.
    pub packet: Packet,
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

/// The mark in a stream that urgent data leaves (`tcp(7)`, `MSG_OOB`).
#[derive(Debug)]
struct Mark {
    /// Place of the urgent byte, counted from the beginning of the stream.
    at: u64,
    byte: u8,
    /// Whether it was taken with `MSG_OOB`.
    taken: bool,
}

#[derive(Debug)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    capacity: usize,
    write_closed: bool,
    read_closed: bool,
    /// Bytes that were read, for marks.
    position: u64,
    mark: Option<Mark>,
    /// Bytes of a stream that make it readable.
    low_water: usize,
    /// `SO_OOBINLINE`: the urgent byte is read like any other.
    inline: bool,
}

impl Inner {
    /// Bytes before the mark; `None` if there is none, or none that stops a read.
    fn before_mark(&self) -> Option<u64> {
        self.mark.as_ref().map(|mark| mark.at.saturating_sub(self.position))
    }

    /// Whether the next byte is an urgent one that reads leave out.
    fn hides_next(&self) -> bool {
        !self.inline && self.before_mark() == Some(0)
    }

    /// Moves on by `count` bytes.
    fn advance(&mut self, count: usize) {
        self.bytes -= count;
        self.position += count as u64;
        if self.mark.as_ref().is_some_and(|mark| mark.at < self.position) {
            self.mark = None;
        }
    }

    /// Takes the next byte out; answers what is left of the item it was in.
    fn skip_one(&mut self) -> Option<Item> {
        let first = self.items.front_mut()?;
        first.taken += 1;
        let empty = first.taken >= first.data.len();
        self.advance(1);
        if empty { self.items.pop_front() } else { None }
    }
}

/// A queue of messages.
#[derive(Debug)]
pub struct Channel {
    inner: Mutex<Inner>,
    /// Whether message boundaries are kept.
    messages: bool,
    /// Hears when something can be read.
    reader: Arc<Ears>,
    /// Hear when there is room: the one who writes, or all who met a full inbox.
    writers: Mutex<Vec<Arc<Ears>>>,
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
    /// What became of a datagram, if that was asked for (`MSG_ERRQUEUE`).
    pub report: Option<Report>,
}

impl Channel {
    /// An empty queue read by the owner of `reader`.
    #[must_use]
    pub fn new(messages: bool, reader: Arc<Ears>) -> Arc<Self> {
        let inner = Inner {
            items: VecDeque::new(),
            bytes: 0,
            capacity: DEFAULT_BYTES,
            write_closed: false,
            read_closed: false,
            position: 0,
            mark: None,
            inline: false,
            low_water: 1,
        };
        Arc::new(Self { inner: Mutex::new(inner), messages, reader, writers: Mutex::default() })
    }

    /// Sets who hears when there is room in a stream.
    pub fn set_writer(&self, writer: Arc<Ears>) {
        *self.writers.lock() = vec![writer];
    }

    /// Whether an inbox has no room for a message. If so, `writer` hears once it has.
    pub fn is_full(&self, writer: &Arc<Ears>) -> bool {
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

    /// Makes sure that `writer` hears when there is room in an inbox.
    pub fn note_writer(&self, writer: &Arc<Ears>) {
        let mut writers = self.writers.lock();
        if !writers.iter().any(|known| Arc::ptr_eq(known, writer)) {
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
            writer.queue.wake(ready);
            if self.messages || self.is_writable() {
                writer.tell_room();
            }
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
        self.append(data, from, ancillary, false)
    }

    /// Adds bytes of a stream whose last one is urgent.
    ///
    /// # Errors
    /// `EPIPE`.
    pub fn push_urgent(&self, data: Vec<u8>, ancillary: Ancillary) -> Result<(), Errno> {
        self.append(data, Addr::Unnamed, ancillary, true)
    }

    fn append(
        &self,
        data: Vec<u8>,
        from: Addr,
        ancillary: Ancillary,
        urgent: bool,
    ) -> Result<(), Errno> {
        let mut inner = self.inner.lock();
        if inner.read_closed || inner.write_closed {
            return Err(EPIPE.into());
        }
        inner.bytes += data.len();
        if let Some(&byte) = data.last().filter(|_| urgent) {
            let at = inner.position + inner.bytes as u64 - 1;
            inner.mark = Some(Mark { at, byte, taken: false });
        }
        let joins = !self.messages && ancillary.files.is_empty();
        let sender = ancillary.cred;
        match inner.items.back_mut() {
            Some(last) if joins && last.takes_more_of(sender) => {
                last.data.extend_from_slice(&data);
            }
            _ => inner.items.push_back(Item { data, taken: 0, from, ancillary }),
        }
        drop(inner);
        self.reader.queue.wake(Ready::READABLE | Ready::PRI.when(urgent));
        self.reader.listeners.tell(Band::In);
        Ok(())
    }

    /// Takes the urgent byte (`MSG_OOB`), or only looks at it.
    ///
    /// # Errors
    /// `EINVAL` if there is none, or it is read like any other.
    pub fn take_urgent(&self, peek: bool) -> Result<u8, Errno> {
        let mut inner = self.inner.lock();
        let inline = inner.inline;
        let mark = inner.mark.as_mut().filter(|mark| !inline && !mark.taken).ok_or(EINVAL)?;
        mark.taken = !peek;
        Ok(mark.byte)
    }

    /// Whether an urgent byte waits to be taken.
    #[must_use]
    pub fn has_urgent(&self) -> bool {
        self.inner.lock().mark.as_ref().is_some_and(|mark| !mark.taken)
    }

    /// Whether the next byte is the urgent one (`SIOCATMARK`).
    #[must_use]
    pub fn is_at_mark(&self) -> bool {
        self.inner.lock().before_mark() == Some(0)
    }

    /// Sets how many bytes of a stream make it readable.
    pub fn set_low_water(&self, bytes: usize) {
        self.inner.lock().low_water = bytes.max(1);
    }

    /// Sets whether urgent bytes are read like any other (`SO_OOBINLINE`).
    pub fn set_inline(&self, inline: bool) {
        self.inner.lock().inline = inline;
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
        // Reads leave the urgent byte out, and stop before it.
        let mut hidden = usize::from(inner.hides_next() && max > 0);
        let skipped = if hidden > 0 && !peek { inner.skip_one() } else { None };
        if !peek {
            hidden = 0;
        }
        let before_mark = inner.before_mark().filter(|&before| before > 0);
        let max = before_mark.map_or(max, |before| max.min(usize_of(before)));
        let only_hidden = inner.bytes == hidden && hidden > 0;
        let Some(first) = inner.items.front().filter(|_| !only_hidden) else {
            if inner.write_closed || inner.read_closed {
                return Ok(Taken::default());
            }
            return Err(EAGAIN.into());
        };
        let mut taken = Taken {
            bytes: 0,
            message: first.data.len(),
            from: first.from.clone(),
            ancillary: Ancillary {
                files: Vec::new(),
                cred: first.ancillary.cred,
                packet: first.ancillary.packet,
            },
            report: None,
        };
        let mut index = 0;
        let mut failure = None;
        while let Some(item) = inner.items.get_mut(index) {
            let later = index > 0 || taken.bytes > 0;
            let other_sender = by_sender && item.ancillary.cred != taken.ancillary.cred;
            if later && (self.messages || other_sender || taken.bytes >= max) {
                break;
            }
            let rest = item.data.get(item.taken + hidden..).unwrap_or_default();
            hidden = 0;
            if rest.is_empty() && peek && !self.messages {
                index += 1;
                continue;
            }
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
                inner.advance(freed);
            }
            if self.messages || short || with_files || taken.bytes >= max {
                break;
            }
        }
        drop(inner);
        drop(skipped);
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
        self.reader.queue.wake(Ready::READABLE | Ready::RDHUP | Ready::HUP);
    }

    /// Nothing will be read any more. Answers whether bytes were lost.
    pub fn close_read(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.read_closed = true;
        let lost = inner.bytes > 0;
        let items = std::mem::take(&mut inner.items);
        inner.bytes = 0;
        inner.mark = None;
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
        let nothing = if self.messages {
            inner.items.is_empty()
        } else {
            inner.bytes < inner.low_water + usize::from(inner.hides_next())
        };
        !nothing || inner.write_closed || inner.read_closed
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
        let before_mark = inner.before_mark().filter(|_| !inner.inline);
        before_mark.map_or(inner.bytes, usize_of)
    }
}
