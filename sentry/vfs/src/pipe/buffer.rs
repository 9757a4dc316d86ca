//! The bytes of a pipe: a ring that grows up to the pipe's capacity, with packet boundaries.

use bevor_abi::Errno;
use std::collections::VecDeque;

/// A ring of bytes.
#[derive(Default)]
pub(super) struct Ring {
    bytes: Box<[u8]>,
    head: usize,
    len: usize,
    /// Bytes of the page at the front that were taken already: the page is free only once all are.
    taken: usize,
    /// Boundaries, kept only while there are packets; otherwise one unbounded run.
    runs: VecDeque<Run>,
}

/// A stretch of bytes that one read may not cross.
struct Run {
    len: usize,
    /// Written with `O_DIRECT`: a read takes one packet and drops its rest.
    packet: bool,
}

/// Smallest ring.
const MIN_BYTES: usize = 4096;

impl Ring {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many bytes fit into `capacity`, counted in pages as Linux does.
    pub(super) const fn room(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.len + self.taken)
    }

    /// Makes room for `more` bytes without going beyond `capacity`.
    fn reserve(&mut self, more: usize, capacity: usize) {
        let need = self.len + more;
        if need <= self.bytes.len() {
            return;
        }
        let size = need.next_power_of_two().clamp(MIN_BYTES, capacity.max(need));
        self.resize(size);
    }

    /// Gives the ring `size` bytes, which must hold what is in it.
    fn resize(&mut self, size: usize) {
        let mut bytes = vec![0; size].into_boxed_slice();
        let (first, second) = self.filled(0);
        let (front, back) = bytes.split_at_mut(first.len());
        front.copy_from_slice(first);
        if let Some(back) = back.get_mut(..second.len()) {
            back.copy_from_slice(second);
        }
        self.bytes = bytes;
        self.head = 0;
    }

    /// Shrinks the storage to what `capacity` allows.
    pub(super) fn limit(&mut self, capacity: usize) {
        if self.bytes.len() > capacity {
            self.resize(capacity.max(self.len));
        }
    }

    /// The bytes from `skip` on, in two pieces.
    fn filled(&self, skip: usize) -> (&[u8], &[u8]) {
        let len = self.len.saturating_sub(skip);
        let size = self.bytes.len();
        if len == 0 || size == 0 {
            return (&[], &[]);
        }
        let start = (self.head + skip) % size;
        let end = start + len;
        if end <= size {
            (self.bytes.get(start..end).unwrap_or_default(), &[])
        } else {
            let first = self.bytes.get(start..).unwrap_or_default();
            (first, self.bytes.get(..end - size).unwrap_or_default())
        }
    }

    /// Lets `fill` write up to `max` bytes at the end, a piece at a time; it answers how many it
    /// wrote and is asked again only after a full piece. Returns the sum, or the first error if
    /// nothing was written.
    pub(super) fn push(
        &mut self,
        max: usize,
        capacity: usize,
        packet: bool,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let max = max.min(self.room(capacity));
        self.reserve(max, capacity);
        let mut done = 0;
        let mut failure = None;
        while done < max {
            let size = self.bytes.len();
            let start = (self.head + self.len) % size;
            let end = (start + (max - done)).min(size);
            let Some(piece) = self.bytes.get_mut(start..end) else { break };
            let room = piece.len();
            match fill(piece) {
                Ok(filled) => {
                    let filled = filled.min(room);
                    self.len += filled;
                    done += filled;
                    if filled < room {
                        break;
                    }
                }
                Err(errno) => {
                    failure = Some(errno);
                    break;
                }
            }
        }
        self.mark(done, packet);
        match failure {
            Some(errno) if done == 0 => Err(errno),
            _ => Ok(done),
        }
    }

    /// Notes the kind of the last `len` bytes.
    fn mark(&mut self, len: usize, packet: bool) {
        if len == 0 || (!packet && self.runs.is_empty()) {
            return;
        }
        if self.runs.is_empty() && self.len > len {
            self.runs.push_back(Run { len: self.len - len, packet: false });
        }
        match self.runs.back_mut() {
            Some(last) if !packet && !last.packet => last.len += len,
            _ => self.runs.push_back(Run { len, packet }),
        }
    }

    /// Lets `drain` take bytes from the front, a piece at a time; it answers how many it took and is
    /// asked again only after a full piece. Stops at the end of a packet. Returns the sum, or the
    /// first error if nothing was taken.
    pub(super) fn pop(
        &mut self,
        max: usize,
        drain: &mut dyn FnMut(&[u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let front = self.runs.front();
        let whole_packet = front.filter(|run| run.packet).map(|run| run.len);
        let max = max.min(front.map_or(self.len, |run| run.len)).min(self.len);
        let mut done = 0;
        let mut failure = None;
        while done < max {
            let (piece, _) = self.filled(done);
            let wanted = piece.len().min(max - done);
            match drain(piece.get(..wanted).unwrap_or_default()) {
                Ok(taken) => {
                    done += taken.min(wanted);
                    if taken < wanted {
                        break;
                    }
                }
                Err(errno) => {
                    failure = Some(errno);
                    break;
                }
            }
        }
        if let Some(errno) = failure
            && done == 0
        {
            return Err(errno);
        }
        self.consume(whole_packet.filter(|_| done > 0).unwrap_or(done));
        Ok(done)
    }

    /// Shows up to `max` bytes from the front without taking them.
    pub(super) fn peek(&self, max: usize, show: &mut dyn FnMut(&[u8])) -> usize {
        let (first, second) = self.filled(0);
        let first = first.get(..first.len().min(max)).unwrap_or_default();
        let second = second.get(..second.len().min(max - first.len())).unwrap_or_default();
        show(first);
        show(second);
        first.len() + second.len()
    }

    /// Drops `len` bytes from the front.
    fn consume(&mut self, len: usize) {
        let len = len.min(self.len);
        self.len -= len;
        self.head = if self.len == 0 { 0 } else { (self.head + len) % self.bytes.len() };
        self.taken = if self.len == 0 { 0 } else { (self.taken + len) % MIN_BYTES };
        let mut left = len;
        while left > 0
            && let Some(run) = self.runs.front_mut()
        {
            let part = left.min(run.len);
            run.len -= part;
            left -= part;
            if run.len == 0 {
                self.runs.pop_front();
            }
        }
        if !self.runs.iter().any(|run| run.packet) {
            self.runs.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &mut Ring, text: &[u8], capacity: usize, packet: bool) -> usize {
        let mut from = 0;
        ring.push(text.len(), capacity, packet, &mut |piece| {
            let len = piece.len();
            piece.copy_from_slice(&text[from..from + len]);
            from += len;
            Ok(len)
        })
        .unwrap()
    }

    fn pop(ring: &mut Ring, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        ring.pop(max, &mut |piece| {
            out.extend_from_slice(piece);
            Ok(piece.len())
        })
        .unwrap();
        out
    }

    #[test]
    fn bytes_come_out_in_order_across_the_wrap() {
        let mut ring = Ring::default();
        let mut sent = Vec::new();
        let mut got = Vec::new();
        for round in 0..200_u8 {
            let text = vec![round; 1 + usize::from(round) * 7];
            let pushed = push(&mut ring, &text, 4096, false);
            sent.extend_from_slice(&text[..pushed]);
            got.extend(pop(&mut ring, usize::from(round) * 5));
        }
        got.extend(pop(&mut ring, usize::MAX));
        assert_eq!(got, sent);
    }

    #[test]
    fn a_read_takes_one_packet_and_drops_its_rest() {
        let mut ring = Ring::default();
        push(&mut ring, b"stream", 4096, false);
        push(&mut ring, b"first", 4096, true);
        push(&mut ring, b"second", 4096, true);
        assert_eq!(pop(&mut ring, 100), b"streamfirst"[..6]);
        assert_eq!(pop(&mut ring, 3), b"fir");
        assert_eq!(pop(&mut ring, 100), b"second");
        assert_eq!(ring.len(), 0);
    }
}
