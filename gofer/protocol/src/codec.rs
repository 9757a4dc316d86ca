//! Putting messages together and taking them apart, never beyond their end.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::ring::MAX_PAYLOAD;

/// A message that is not what its length, operation or flags say it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// Longest file name, in bytes.
pub const NAME_MAX: usize = 255;

/// Whether `name` may stand for one entry of a directory: no separator, no way up.
#[must_use]
pub fn is_entry_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= NAME_MAX
        && !name.iter().any(|&byte| byte == b'/' || byte == 0)
}

/// Takes a message apart from the front.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `message`.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Takes a fixed-size part.
    ///
    /// # Errors
    /// [`Malformed`] when the message is too short.
    pub fn take<T: FromBytes>(&mut self) -> Result<T, Malformed> {
        let (part, rest) =
            T::read_from_prefix(self.rest).map_err(|_| Malformed("shorter than its fixed part"))?;
        self.rest = rest;
        Ok(part)
    }

    /// Takes `len` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when the message is too short.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (part, rest) =
            self.rest.split_at_checked(len).ok_or(Malformed("shorter than it says"))?;
        self.rest = rest;
        Ok(part)
    }

    /// Takes a byte string that its 16-bit length precedes.
    ///
    /// # Errors
    /// [`Malformed`] when the message is too short.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let len: u16 = self.take()?;
        self.bytes(len.into())
    }

    /// Takes the name of one directory entry.
    ///
    /// # Errors
    /// [`Malformed`] when it is none (see [`is_entry_name`]).
    pub fn name(&mut self) -> Result<&'a [u8], Malformed> {
        let name = self.string()?;
        if is_entry_name(name) { Ok(name) } else { Err(Malformed("not the name of an entry")) }
    }

    /// Takes all that is left.
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// Bytes that are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Malformed`] when bytes are left over.
    pub const fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("longer than it says")) }
    }
}

/// Puts a message together. What does not fit in a slot is left out and makes it
/// [overflow](Writer::overflowed).
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Writer {
    /// An empty message.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), overflowed: false }
    }

    /// Empties the message, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.overflowed = false;
    }

    /// Adds a fixed-size part.
    pub fn put<T: IntoBytes + Immutable>(&mut self, part: &T) -> &mut Self {
        self.bytes(part.as_bytes())
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if self.overflowed || self.bytes.len() + bytes.len() > MAX_PAYLOAD {
            self.overflowed = true;
        } else {
            self.bytes.extend_from_slice(bytes);
        }
        self
    }

    /// Adds a byte string and, before it, its 16-bit length.
    pub fn string(&mut self, string: &[u8]) -> &mut Self {
        match u16::try_from(string.len()) {
            Ok(len) => self.put(&len).bytes(string),
            Err(_) => {
                self.overflowed = true;
                self
            }
        }
    }

    /// Overwrites a fixed-size part that was put at byte `at`.
    pub fn patch<T: IntoBytes + Immutable>(&mut self, at: usize, part: &T) {
        let part = part.as_bytes();
        if let Some(place) = self.bytes.get_mut(at..).and_then(|rest| rest.get_mut(..part.len())) {
            place.copy_from_slice(part);
        }
    }

    /// Cuts the message back to `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Whether something did not fit.
    #[must_use]
    pub const fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// The message so far.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PAYLOAD, Malformed, Reader, Writer, is_entry_name};

    #[test]
    fn what_was_put_is_taken() {
        let mut writer = Writer::new();
        writer.put(&7_u64).string(b"etc").bytes(b"tail");
        let mut reader = Reader::new(writer.message());
        assert_eq!(reader.take::<u64>(), Ok(7));
        assert_eq!(reader.name(), Ok(&b"etc"[..]));
        assert_eq!(reader.rest(), b"tail");
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn reading_beyond_the_end_is_an_error() {
        assert!(Reader::new(&[1]).take::<u64>().is_err());
        assert!(Reader::new(&[5, 0, b'a']).string().is_err());
        assert_eq!(Reader::new(&[1]).end(), Err(Malformed("longer than it says")));
    }

    #[test]
    fn ways_out_of_a_directory_are_no_names() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", &[b'a'; 256]] {
            assert!(!is_entry_name(name), "{name:?}");
        }
        for name in [&b"a"[..], b"...", b".a", b"\xff\xfe", &[b'a'; 255]] {
            assert!(is_entry_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_message_stops_growing_at_the_size_of_a_slot() {
        let mut writer = Writer::new();
        writer.bytes(&vec![0; MAX_PAYLOAD]);
        assert!(!writer.overflowed());
        writer.bytes(b"x");
        assert!(writer.overflowed());
        assert_eq!(writer.message().len(), MAX_PAYLOAD);
    }
}
