//! An open end of a pipe.

use crate::caller::Caller;
use crate::fasync::AsyncList;
use crate::file::{File, FileOps, OpenFlags};
use crate::pipe::Pipe;
use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::{EFAULT, EINVAL, ENOTTY, ESPIPE};
use bevor_abi::fcntl::O_DIRECT;
use bevor_abi::ioctl::FIONREAD;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{IoDst, IoSrc, UserAddr};
use std::any::Any;
use std::sync::Arc;

/// Bytes of one of a pipe's buffers.
const BUFFER_BYTES: usize = 4096;

/// One open end (or, for a fifo opened with `O_RDWR`, both).
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    /// The other side's counter if nobody was there when this end was opened.
    alone_at: Option<u64>,
}

impl PipeEnd {
    /// Opens an end of `pipe`.
    pub(super) fn attach(pipe: &Arc<Pipe>, flags: OpenFlags) -> Self {
        let (reads, writes) = (flags.readable(), flags.writable());
        let alone_at = pipe.attach(reads, writes);
        Self { pipe: pipe.clone(), reads, writes, alone_at }
    }

    /// Opens an end of a pipe without a name, which waits for nobody.
    pub(super) fn attach_unnamed(pipe: &Arc<Pipe>, flags: OpenFlags) -> Self {
        Self { alone_at: None, ..Self::attach(pipe, flags) }
    }

    /// The pipe.
    #[must_use]
    pub const fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    /// Whether `open(2)` of this fifo end must still wait for the other side. Not asked for
    /// descriptions with `O_NONBLOCK`; the file's wait queue tells when to ask again.
    #[must_use]
    pub fn awaits_peer(&self) -> bool {
        let Some(seen) = self.alone_at else { return false };
        let state = self.pipe.state();
        seen == if self.reads { state.writers_seen } else { state.readers_seen }
    }
}

impl FileOps for PipeEnd {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        self.pipe.read_with(usize_of(dst.remaining()), &mut |piece| dst.put(piece))
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = at;
        if src.remaining() == 0 {
            return Ok(0); // even if nobody reads
        }
        let packet = file.flags().has(O_DIRECT);
        self.pipe.write_with(usize_of(src.remaining()), packet, &mut |room| {
            let wanted = room.len();
            let taken = src.take(room)?;
            // Of a page that cannot be read whole nothing is written.
            let cut = if taken < wanted { taken % BUFFER_BYTES } else { 0 };
            src.rewind(cut as u64);
            if taken > 0 && taken == cut { Err(EFAULT.into()) } else { Ok(taken - cut) }
        })
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        let _ = (at, offset, whence);
        Err(ESPIPE.into())
    }

    fn poll(&self) -> Ready {
        let state = self.pipe.state();
        let mut ready = Ready::NONE;
        if self.reads {
            ready |= Ready::READABLE.when(state.ring.len() > 0);
            // A fifo's reader sees the hang-up only once a writer has been there.
            let had_writer = self.alone_at.is_none_or(|seen| seen != state.writers_seen);
            ready |= Ready::HUP.when(state.writers == 0 && had_writer);
        }
        if self.writes {
            ready |= Ready::WRITABLE.when(state.writable());
            ready |= Ready::ERR.when(state.readers == 0);
        }
        ready
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.pipe.queue())
    }

    fn async_list(&self) -> Option<&AsyncList> {
        Some(self.pipe.listeners())
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let _ = file;
        if cmd != FIONREAD {
            return Err(ENOTTY.into());
        }
        let len = i32::try_from(self.pipe.len()).unwrap_or(i32::MAX);
        caller.mm().write(UserAddr(arg), &len)?;
        Ok(0)
    }

    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let _ = (mode, offset, len);
        Err(ESPIPE.into())
    }

    fn truncate(&self, file: &File, size: u64) -> Result<(), Errno> {
        let _ = (file, size);
        Err(EINVAL.into())
    }

    fn release(&self, file: &File) {
        let _ = file;
        self.pipe.detach(self.reads, self.writes);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
