//! The shared memory of a channel: control words and slots.
//!
//! ```text
//! control (2 pages)  word 0 magic · 1 version · 16 pending · 32 wake · 64+32·n state of slot n
//! slot n (128 KiB)   64-byte header: sequence, op or errno + length, extras · payload
//! ```
//!
//! A request: the client fills a free slot, sets its state to [`REQUEST`], sets its bit in
//! `pending` and wakes the server if `wake` says that nobody there is looking. The server claims
//! the bit, copies the request out, and answers in the same slot: header and payload first, then
//! the state [`REPLY`]. A client that went to sleep said so by [`REQUEST_SLEEPING`].
//!
//! Both sides treat what they read here as an allegation: read once, then check, then use.

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::host::{self, Mapping};

/// Requests that can be under way at once.
pub const SLOTS: usize = 24;
/// The bits of `pending` that stand for slots.
pub const SLOT_MASK: u32 = (1 << SLOTS) - 1;
/// The bit of `pending` by which the client says that it ends the connection.
pub const GOODBYE: u32 = 1 << 31;
/// Longest request or reply, in bytes.
pub const MAX_PAYLOAD: usize = SLOT_BYTES - HEADER_WORDS * 8;
/// Value of the version word; both sides must agree.
pub const VERSION: u32 = 1;

const MAGIC: u32 = 0x4245_5647;
const NAME: &CStr = c"bevor-gofer-channel";
const CONTROL_BYTES: usize = 8192;
const SLOT_BYTES: usize = 128 * 1024;
const HEADER_WORDS: usize = 8;
const REGION_BYTES: usize = CONTROL_BYTES + SLOTS * SLOT_BYTES;

const WORD_MAGIC: usize = 0;
const WORD_VERSION: usize = 1;
const WORD_PENDING: usize = 16;
const WORD_WAKE: usize = 32;
const WORD_STATES: usize = 64;
const WORDS_PER_STATE: usize = 32;

/// State of a slot nobody uses.
pub const FREE: u32 = 0;
/// State of a slot that holds a request; its sender is watching.
pub const REQUEST: u32 = 1;
/// State of a slot that holds a request; its sender sleeps on the state word.
pub const REQUEST_SLEEPING: u32 = 2;
/// State of a slot that holds a reply.
pub const REPLY: u32 = 3;

/// What stands before a payload. Every field is an allegation of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the request, chosen by the client, repeated in the reply.
    pub sequence: u64,
    /// The operation of a request; the error number of a reply, 0 for success.
    pub code: u32,
    /// Bytes of payload.
    pub len: u32,
    /// Of a request: handles to give back, at the end of the payload. Of a reply: descriptors that
    /// travel beside it.
    pub extra: u32,
}

/// The shared memory of one channel, mapped.
#[derive(Debug)]
pub struct Ring {
    mapping: Mapping,
}

impl Ring {
    /// Makes the memory of a new channel, for both sides to [`Ring::map`].
    ///
    /// # Errors
    /// Those of `memfd_create(2)` and `mmap(2)`.
    pub fn create() -> io::Result<OwnedFd> {
        use std::os::fd::AsFd;

        let fd = host::sealed_memfd(NAME, REGION_BYTES)?;
        let mapping = Mapping::new(fd.as_fd(), CONTROL_BYTES)?;
        let words = mapping.words32();
        words[WORD_WAKE].store(1, Ordering::Relaxed);
        words[WORD_VERSION].store(VERSION, Ordering::Relaxed);
        words[WORD_MAGIC].store(MAGIC, Ordering::Release);
        Ok(fd)
    }

    /// Maps the memory of a channel that [`Ring::create`] made.
    ///
    /// # Errors
    /// `InvalidData` when it is not such memory or of another version, else those of `mmap(2)`.
    pub fn map(fd: BorrowedFd<'_>) -> io::Result<Self> {
        if !host::is_sealed_memfd(fd, REGION_BYTES)? {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mapping = Mapping::new(fd, REGION_BYTES)?;
        let words = mapping.words32();
        let magic = words[WORD_MAGIC].load(Ordering::Acquire);
        if magic != MAGIC || words[WORD_VERSION].load(Ordering::Relaxed) != VERSION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { mapping })
    }

    /// One bit per slot with a request nobody has claimed, and [`GOODBYE`]. Idle servers sleep
    /// on it.
    #[must_use]
    pub fn pending(&self) -> &AtomicU32 {
        &self.mapping.words32()[WORD_PENDING]
    }

    /// 1 when a client that sets a bit in `pending` must wake a server thread.
    #[must_use]
    pub fn wake(&self) -> &AtomicU32 {
        &self.mapping.words32()[WORD_WAKE]
    }

    /// The state word of a slot.
    #[must_use]
    pub fn state(&self, slot: usize) -> &AtomicU32 {
        &self.mapping.words32()[WORD_STATES + WORDS_PER_STATE * (slot % SLOTS)]
    }

    /// Writes header and payload of a slot; the caller publishes them through the state word.
    ///
    /// Payload beyond [`MAX_PAYLOAD`] is cut off: callers bound it, and the reader notices.
    pub fn put(&self, slot: usize, header: Header, payload: &[u8]) {
        let words = self.slot_words(slot);
        words[0].store(header.sequence, Ordering::Relaxed);
        words[1].store(u64::from(header.code) << 32 | u64::from(header.len), Ordering::Relaxed);
        words[2].store(header.extra.into(), Ordering::Relaxed);
        let (chunks, rest) = payload.as_chunks::<8>();
        let mut words = words[HEADER_WORDS..].iter();
        // In this order: zip takes from the first before it looks at the second.
        for (chunk, word) in chunks.iter().zip(words.by_ref()) {
            word.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
        }
        if let (Some(word), false) = (words.as_slice().first(), rest.is_empty()) {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_ne_bytes(last), Ordering::Relaxed);
        }
    }

    /// Hands a slot, filled with [`Ring::put`], over to the server.
    pub fn submit(&self, slot: usize) {
        self.state(slot).store(REQUEST, Ordering::Release);
        self.pending().fetch_or(1 << (slot % SLOTS), Ordering::SeqCst);
        if self.wake().load(Ordering::SeqCst) != 0 {
            host::futex_wake(self.pending(), 1);
        }
    }

    /// Reads the header of a slot.
    #[must_use]
    pub fn header(&self, slot: usize) -> Header {
        let words = self.slot_words(slot);
        let sequence = words[0].load(Ordering::Relaxed);
        let code = words[1].load(Ordering::Relaxed);
        let extra = words[2].load(Ordering::Relaxed);
        Header { sequence, code: high(code), len: low(code), extra: low(extra) }
    }

    /// Copies `len` bytes of payload out of a slot; `None` when no payload can be that long.
    #[must_use]
    pub fn payload(&self, slot: usize, len: u32, mut into: Vec<u8>) -> Option<Vec<u8>> {
        let len = usize::try_from(len).ok().filter(|&len| len <= MAX_PAYLOAD)?;
        into.clear();
        into.reserve(len.next_multiple_of(8));
        let words = &self.slot_words(slot)[HEADER_WORDS..][..len.div_ceil(8)];
        for word in words {
            into.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        into.truncate(len);
        Some(into)
    }

    fn slot_words(&self, slot: usize) -> &[AtomicU64] {
        let start = (CONTROL_BYTES + (slot % SLOTS) * SLOT_BYTES) / 8;
        &self.mapping.words64()[start..][..SLOT_BYTES / 8]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "takes the low half on purpose")]
const fn low(word: u64) -> u32 {
    word as u32
}

const fn high(word: u64) -> u32 {
    low(word >> 32)
}

#[cfg(test)]
mod tests {
    use super::{Header, MAX_PAYLOAD, Ring};
    use std::os::fd::AsFd;

    #[test]
    fn a_payload_of_any_length_comes_back() {
        let fd = Ring::create().unwrap();
        let (ours, theirs) = (Ring::map(fd.as_fd()).unwrap(), Ring::map(fd.as_fd()).unwrap());
        for len in [0, 1, 7, 8, 9, 4095, MAX_PAYLOAD] {
            let sent: Vec<u8> = (0..=250).cycle().take(len).collect();
            let len = u32::try_from(len).unwrap();
            let header = Header { sequence: 9, code: 4, len, extra: 1 };
            ours.put(3, header, &sent);
            assert_eq!(theirs.header(3), header);
            assert_eq!(theirs.payload(3, header.len, Vec::new()).unwrap(), sent);
        }
    }

    #[test]
    fn a_length_beyond_the_slot_is_refused() {
        let ring = Ring::map(Ring::create().unwrap().as_fd()).unwrap();
        assert_eq!(ring.payload(0, u32::try_from(MAX_PAYLOAD).unwrap() + 1, Vec::new()), None);
        assert_eq!(ring.payload(0, u32::MAX, Vec::new()), None);
    }

    #[test]
    fn memory_that_can_shrink_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(Ring::map(file.as_fd()).is_err());
    }
}
