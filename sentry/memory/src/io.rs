//! Cursors over the memory a read fills or a write drains: guest segments or a kernel buffer.

use crate::addr::{IoVecs, UserAddr, UserSlice};
use crate::era::Pinned;
use crate::host;
use crate::mm::{AccessMode, MemoryManager};
use crate::recover;
use bevor_abi::Errno;
use std::os::fd::BorrowedFd;

/// Guest segments and how far they were used.
struct User<'a> {
    mm: &'a MemoryManager,
    vecs: IoVecs,
    /// The current segment, bytes of it used, and bytes of all segments used.
    index: usize,
    within: u64,
    used: u64,
    /// Bytes that may be used in all.
    limit: u64,
}

impl<'a> User<'a> {
    fn new(mm: &'a MemoryManager, vecs: IoVecs) -> Self {
        let limit = vecs.total();
        Self { mm, vecs, index: 0, within: 0, used: 0, limit }
    }

    fn remaining(&self) -> u64 {
        self.limit - self.used
    }

    /// The rest of the current segment, empty ones skipped.
    fn segment(&mut self) -> Option<UserSlice> {
        loop {
            let segment = *self.vecs.segments().get(self.index)?;
            let rest = segment.len - self.within;
            if rest > 0 {
                let addr = UserAddr(segment.addr.0.saturating_add(self.within));
                return Some(UserSlice::new(addr, rest.min(self.remaining())));
            }
            self.index += 1;
            self.within = 0;
        }
    }

    fn rest(&self) -> Vec<UserSlice> {
        let mut within = self.within;
        let mut rest = Vec::new();
        for segment in self.vecs.segments().iter().skip(self.index) {
            let addr = UserAddr(segment.addr.0.saturating_add(within));
            rest.push(UserSlice::new(addr, segment.len - within));
            within = 0;
        }
        rest
    }

    fn advance(&mut self, bytes: u64) {
        let mut left = bytes;
        self.used += bytes;
        while left > 0 {
            let Some(segment) = self.vecs.segments().get(self.index) else { return };
            let step = left.min(segment.len - self.within);
            self.within += step;
            left -= step;
            if self.within == segment.len {
                self.index += 1;
                self.within = 0;
            }
        }
    }

    fn rewind(&mut self, bytes: u64) {
        let target = self.used.saturating_sub(bytes);
        (self.index, self.within, self.used) = (0, 0, 0);
        self.advance(target);
    }

    /// Moves up to `len` bytes, segment by segment, with `op`.
    fn each(
        &mut self,
        len: usize,
        mut op: impl FnMut(&MemoryManager, UserAddr, usize, usize) -> Result<(), (usize, Errno)>,
    ) -> Result<usize, Errno> {
        let mut done = 0;
        while done < len && self.remaining() > 0 {
            let Some(segment) = self.segment() else { break };
            let bytes = usize::try_from(segment.len).unwrap_or(usize::MAX).min(len - done);
            match op(self.mm, segment.addr, bytes, done) {
                Ok(()) => {
                    self.advance(bytes as u64);
                    done += bytes;
                }
                Err((moved, error)) => {
                    self.advance(moved as u64);
                    done += moved;
                    return if done == 0 { Err(error) } else { Ok(done) };
                }
            }
        }
        Ok(done)
    }

    fn host(
        &mut self,
        max: u64,
        write: bool,
        op: &mut dyn FnMut(&[host::HostVec]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let max = max.min(self.remaining());
        let rest = self.rest();
        let moved = self.mm.with_host_vecs(&rest, max, write, op)?;
        self.advance(moved as u64);
        Ok(moved)
    }
}

enum Dst<'a> {
    User(User<'a>),
    Kernel { buf: &'a mut [u8], used: usize, limit: usize },
}

/// The destination of a read.
pub struct IoDst<'a>(Dst<'a>);

impl<'a> IoDst<'a> {
    /// Guest segments.
    #[must_use]
    pub fn user(mm: &'a MemoryManager, vecs: IoVecs) -> Self {
        Self(Dst::User(User::new(mm, vecs)))
    }

    /// One guest segment, cut to what one call may move.
    #[must_use]
    pub fn user_one(mm: &'a MemoryManager, addr: UserAddr, len: u64) -> Self {
        Self::user(mm, IoVecs::one(addr, len))
    }

    /// A buffer of the kernel's own.
    #[must_use]
    pub fn kernel(buf: &'a mut [u8]) -> Self {
        let limit = buf.len();
        Self(Dst::Kernel { buf, used: 0, limit })
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        match &self.0 {
            Dst::User(user) => user.remaining(),
            Dst::Kernel { used, limit, .. } => (limit - used) as u64,
        }
    }

    /// Bytes put so far.
    #[must_use]
    pub fn done(&self) -> u64 {
        match &self.0 {
            Dst::User(user) => user.used,
            Dst::Kernel { used, .. } => *used as u64,
        }
    }

    /// Lets at most `max` more bytes be put; returns what [`IoDst::remaining`] was, for
    /// [`IoDst::unlimit`].
    pub fn limit(&mut self, max: u64) -> u64 {
        let before = self.remaining();
        let max = max.min(before);
        match &mut self.0 {
            Dst::User(user) => user.limit = user.used + max,
            Dst::Kernel { used, limit, .. } => {
                *limit = *used + usize::try_from(max).unwrap_or(usize::MAX);
            }
        }
        before
    }

    /// Lifts a limit: all that the memory holds may be put.
    pub fn unlimit(&mut self) {
        match &mut self.0 {
            Dst::User(user) => user.limit = user.vecs.total(),
            Dst::Kernel { buf, limit, .. } => *limit = buf.len(),
        }
    }

    /// Takes the last `bytes` put back: they will be put over.
    pub fn rewind(&mut self, bytes: u64) {
        match &mut self.0 {
            Dst::User(user) => user.rewind(bytes),
            Dst::Kernel { used, .. } => {
                *used = used.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
        }
    }

    /// Puts as much of `from` as fits and can be written; returns how much.
    ///
    /// # Errors
    /// `EFAULT` only if nothing was put because the memory cannot be written.
    pub fn put(&mut self, from: &[u8]) -> Result<usize, Errno> {
        match &mut self.0 {
            Dst::User(user) => user.each(from.len(), |mm, addr, bytes, done| {
                mm.write_some(addr, &from[done..done + bytes], AccessMode::Guest)
            }),
            Dst::Kernel { buf, used, limit } => {
                let bytes = from.len().min(*limit - *used);
                buf[*used..*used + bytes].copy_from_slice(&from[..bytes]);
                *used += bytes;
                Ok(bytes)
            }
        }
    }

    /// Puts up to `count` zeros; returns how many.
    ///
    /// # Errors
    /// As [`IoDst::put`].
    pub fn put_zeros(&mut self, count: u64) -> Result<usize, Errno> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match &mut self.0 {
            Dst::User(user) => {
                user.each(count, |mm, addr, bytes, _| mm.zero_some(addr, bytes as u64))
            }
            Dst::Kernel { buf, used, limit } => {
                let bytes = count.min(*limit - *used);
                buf[*used..*used + bytes].fill(0);
                *used += bytes;
                Ok(bytes)
            }
        }
    }

    /// Reads from a host file straight into the destination: at `offset`, or at its position.
    ///
    /// The memory stays locked meanwhile: the descriptor must not block for long.
    ///
    /// # Errors
    /// `EFAULT` if nothing can be written; the host's error.
    pub fn host_read(
        &mut self,
        fd: BorrowedFd<'_>,
        offset: Option<u64>,
        max: u64,
    ) -> Result<usize, Errno> {
        self.with_host(max, &mut |vecs| {
            // SAFETY: the vectors name memory that stays mapped during the call, or is ours.
            unsafe { host::read_into(fd, vecs, offset) }
        })
    }

    /// Lets `op` put up to `max` bytes through the pieces of memory the destination is made of; it
    /// answers how many it put.
    pub(crate) fn with_host(
        &mut self,
        max: u64,
        op: &mut dyn FnMut(&[host::HostVec]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        match &mut self.0 {
            Dst::User(user) => user.host(max, true, op),
            Dst::Kernel { buf, used, limit } => {
                let bytes = usize::try_from(max).unwrap_or(usize::MAX).min(*limit - *used);
                let to = &mut buf[*used..*used + bytes];
                let moved = op(&[host::host_vec(to.as_mut_ptr(), to.len())])?;
                *used += moved;
                Ok(moved)
            }
        }
    }

    /// Copies from pages of a memory file; returns how many bytes.
    ///
    /// # Errors
    /// As [`IoDst::put`].
    pub(crate) fn copy_from_memory(&mut self, from: &Pinned) -> Result<usize, Errno> {
        let (base, len) = from.window();
        match &mut self.0 {
            Dst::User(user) => user.each(len, |mm, addr, bytes, done| {
                // SAFETY: `from` keeps its pages, and the window lives as long as their file.
                unsafe { mm.move_window(addr, base.wrapping_add(done), bytes as u64, true) }
            }),
            Dst::Kernel { buf, used, limit } => {
                let bytes = len.min(*limit - *used);
                let to = &mut buf[*used..*used + bytes];
                // SAFETY: as above; the destination is ours.
                unsafe { recover::copy(to.as_mut_ptr(), base, bytes) }
                    .map_err(|_| bevor_abi::errno::EFAULT)?;
                *used += bytes;
                Ok(bytes)
            }
        }
    }
}

enum Src<'a> {
    User(User<'a>),
    Kernel { buf: &'a [u8], used: usize, limit: usize },
}

/// The source of a write.
pub struct IoSrc<'a>(Src<'a>);

impl<'a> IoSrc<'a> {
    /// Guest segments.
    #[must_use]
    pub fn user(mm: &'a MemoryManager, vecs: IoVecs) -> Self {
        Self(Src::User(User::new(mm, vecs)))
    }

    /// One guest segment, cut to what one call may move.
    #[must_use]
    pub fn user_one(mm: &'a MemoryManager, addr: UserAddr, len: u64) -> Self {
        Self::user(mm, IoVecs::one(addr, len))
    }

    /// A buffer of the kernel's own.
    #[must_use]
    pub fn kernel(buf: &'a [u8]) -> Self {
        Self(Src::Kernel { buf, used: 0, limit: buf.len() })
    }

    /// Bytes still to be taken.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        match &self.0 {
            Src::User(user) => user.remaining(),
            Src::Kernel { used, limit, .. } => (limit - used) as u64,
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn done(&self) -> u64 {
        match &self.0 {
            Src::User(user) => user.used,
            Src::Kernel { used, .. } => *used as u64,
        }
    }

    /// Lets at most `max` more bytes be taken; returns what [`IoSrc::remaining`] was.
    pub fn limit(&mut self, max: u64) -> u64 {
        let before = self.remaining();
        let max = max.min(before);
        match &mut self.0 {
            Src::User(user) => user.limit = user.used + max,
            Src::Kernel { used, limit, .. } => {
                *limit = *used + usize::try_from(max).unwrap_or(usize::MAX);
            }
        }
        before
    }

    /// Lifts a limit.
    pub fn unlimit(&mut self) {
        match &mut self.0 {
            Src::User(user) => user.limit = user.vecs.total(),
            Src::Kernel { buf, limit, .. } => *limit = buf.len(),
        }
    }

    /// Puts the last `bytes` taken back: they will be taken again.
    pub fn rewind(&mut self, bytes: u64) {
        match &mut self.0 {
            Src::User(user) => user.rewind(bytes),
            Src::Kernel { used, .. } => {
                *used = used.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
        }
    }

    /// Bytes of the current part: of the guest segment that is taken from, or of the whole buffer.
    pub fn part(&mut self) -> u64 {
        match &mut self.0 {
            Src::User(user) => user.segment().map_or(0, |segment| segment.len),
            Src::Kernel { .. } => self.remaining(),
        }
    }

    /// Fills `to` as far as there is something that can be read; returns how far.
    ///
    /// # Errors
    /// `EFAULT` only if nothing was taken because the memory cannot be read.
    pub fn take(&mut self, to: &mut [u8]) -> Result<usize, Errno> {
        match &mut self.0 {
            Src::User(user) => user.each(to.len(), |mm, addr, bytes, done| {
                mm.read_some(addr, &mut to[done..done + bytes], AccessMode::Guest)
            }),
            Src::Kernel { buf, used, limit } => {
                let bytes = to.len().min(*limit - *used);
                to[..bytes].copy_from_slice(&buf[*used..*used + bytes]);
                *used += bytes;
                Ok(bytes)
            }
        }
    }

    /// Takes up to `max` bytes into a new buffer.
    ///
    /// # Errors
    /// As [`IoSrc::take`].
    pub fn take_vec(&mut self, max: usize) -> Result<Vec<u8>, Errno> {
        let all = usize::try_from(self.remaining()).unwrap_or(usize::MAX).min(max);
        let mut buf = vec![0; all];
        let taken = self.take(&mut buf)?;
        buf.truncate(taken);
        Ok(buf)
    }

    /// Writes straight from the source to a host file: at `offset`, or at its position.
    ///
    /// The memory stays locked meanwhile: the descriptor must not block for long.
    ///
    /// # Errors
    /// `EFAULT` if nothing can be read; the host's error.
    pub fn host_write(
        &mut self,
        fd: BorrowedFd<'_>,
        offset: Option<u64>,
        max: u64,
    ) -> Result<usize, Errno> {
        self.with_host(max, &mut |vecs| {
            // SAFETY: the vectors name memory that stays mapped during the call, or is ours.
            unsafe { host::write_from(fd, vecs, offset) }
        })
    }

    /// As [`IoSrc::host_write`], to the end of the file: the host finds it.
    ///
    /// # Errors
    /// As [`IoSrc::host_write`].
    pub fn host_append(&mut self, fd: BorrowedFd<'_>, max: u64) -> Result<usize, Errno> {
        self.with_host(max, &mut |vecs| {
            // SAFETY: the vectors name memory that stays mapped during the call, or is ours.
            unsafe { host::append_from(fd, vecs) }
        })
    }

    /// Lets `op` take up to `max` bytes from the pieces of memory the source is made of, which it
    /// must not change; it answers how many it took.
    pub(crate) fn with_host(
        &mut self,
        max: u64,
        op: &mut dyn FnMut(&[host::HostVec]) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        match &mut self.0 {
            Src::User(user) => user.host(max, false, op),
            Src::Kernel { buf, used, limit } => {
                let bytes = usize::try_from(max).unwrap_or(usize::MAX).min(*limit - *used);
                let from = &buf[*used..*used + bytes];
                let moved = op(&[host::host_vec(from.as_ptr().cast_mut(), from.len())])?;
                *used += moved;
                Ok(moved)
            }
        }
    }

    /// Copies to pages of a memory file; returns how many bytes.
    ///
    /// # Errors
    /// As [`IoSrc::take`].
    pub(crate) fn copy_to_memory(&mut self, to: &Pinned) -> Result<usize, Errno> {
        let (base, len) = to.window();
        match &mut self.0 {
            Src::User(user) => user.each(len, |mm, addr, bytes, done| {
                // SAFETY: `to` keeps its pages, and the window lives as long as their file.
                unsafe { mm.move_window(addr, base.wrapping_add(done), bytes as u64, false) }
            }),
            Src::Kernel { buf, used, limit } => {
                let bytes = len.min(*limit - *used);
                let from = &buf[*used..*used + bytes];
                // SAFETY: as above; the source is ours.
                unsafe { recover::copy(base, from.as_ptr(), bytes) }
                    .map_err(|_| bevor_abi::errno::EFAULT)?;
                *used += bytes;
                Ok(bytes)
            }
        }
    }
}
