//! Open files of imported descriptors.

use crate::caller::Caller;
use crate::fasync::AsyncList;
use crate::file::{File, FileOps, HERE, ReadTurn};
use crate::host::calls;
use crate::host::inode::HostInode;
use crate::host::mapping::HostMapping;
use crate::inode::Inode;
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINTR, EINVAL, ENODEV, ENOTTY, ESPIPE};
use bevor_abi::ioctl::FIONREAD;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{IoDst, IoSrc, Mappable, UserAddr};
use std::any::Any;
use std::sync::Arc;

/// What the host takes without blocking once it says there is room: a page for pipes and sockets.
const PIPE_CHUNK: u64 = 4096;
/// The same for terminals, whose buffers are small.
const TTY_CHUNK: u64 = 512;

/// An open description over an imported descriptor.
pub(super) struct HostFile {
    inode: Arc<HostInode>,
    /// Whether it uses the host's own position: the inherited description itself, not one opened
    /// again through `/proc/PID/fd`.
    shares_position: bool,
}

impl HostFile {
    /// The inherited description.
    pub(super) const fn shared(inode: Arc<HostInode>) -> Self {
        Self { inode, shares_position: true }
    }

    /// Another description, with a position of its own.
    pub(super) const fn reopened(inode: Arc<HostInode>) -> Self {
        Self { inode, shares_position: false }
    }

    /// Checks that a stream is ready for `events`, or asks to be told.
    fn expect_ready(&self, events: Ready) -> Result<(), Errno> {
        if !self.inode.is_stream() || self.inode.host_nonblocking() {
            return Ok(());
        }
        if calls::ready_now(self.inode.fd(), events.0)? != 0 {
            return Ok(());
        }
        self.inode.arm(events.0);
        Err(EAGAIN.into())
    }

    /// Asks to be told when a call that found nothing may be made again.
    fn after(&self, result: Result<usize, Errno>, events: Ready) -> Result<usize, Errno> {
        match result {
            // The sentry's threads are not interrupted on behalf of guests.
            Err(errno) if errno == EAGAIN || errno == EINTR => {
                self.inode.arm(events.0);
                Err(EAGAIN.into())
            }
            other => other,
        }
    }

    /// The position as the host takes it: none for its own.
    fn position(&self, at: u64) -> Option<u64> {
        (!self.inode.is_stream() && at != HERE).then_some(at)
    }
}

impl FileOps for HostFile {
    fn is_stream(&self) -> bool {
        self.inode.is_stream()
    }

    fn keeps_position(&self) -> bool {
        self.shares_position
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        self.expect_ready(Ready::READABLE)?;
        let max = dst.remaining();
        let result = dst.host_read(self.inode.fd(), self.position(at), max);
        if matches!(result, Ok(1..)) && !self.inode.listeners().is_empty() {
            self.inode.arm(Ready::READABLE.0);
        }
        self.after(result, Ready::READABLE)
    }

    fn read_as(
        &self,
        file: &File,
        caller: &dyn Caller,
        dst: &mut IoDst<'_>,
        before: Option<u64>,
    ) -> Option<Result<ReadTurn, Errno>> {
        let _ = before;
        let tty = self.inode.tty()?;
        if let Err(errno) = tty.check_read(caller) {
            return Some(Err(errno));
        }
        Some(match self.read(file, dst, HERE) {
            Ok(got) => Ok(ReadTurn::Done(got)),
            Err(errno) if errno == EAGAIN => match tty.patience_ns() {
                Some(0) => Ok(ReadTurn::Done(0)),
                Some(timeout_ns) => Ok(ReadTurn::More { got: 0, timeout_ns: Some(timeout_ns) }),
                None => Err(errno),
            },
            Err(errno) => Err(errno),
        })
    }

    fn write_as(
        &self,
        file: &File,
        caller: &dyn Caller,
        src: &mut IoSrc<'_>,
    ) -> Option<Result<usize, Errno>> {
        let tty = self.inode.tty()?;
        Some(tty.check_write(caller).and_then(|()| self.write(file, src, HERE)))
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        if !self.inode.is_stream() {
            let max = src.remaining();
            return src.host_write(self.inode.fd(), self.position(at), max);
        }
        let chunk = match () {
            () if self.inode.host_nonblocking() => u64::MAX,
            () if self.inode.tty().is_some() => TTY_CHUNK,
            () => PIPE_CHUNK,
        };
        let mut total = 0;
        loop {
            let wanted = src.remaining().min(chunk);
            let result = self
                .expect_ready(Ready::WRITABLE)
                .and_then(|()| src.host_write(self.inode.fd(), None, wanted));
            match self.after(result, Ready::WRITABLE) {
                Ok(done) => {
                    total += done;
                    if src.remaining() == 0 || done == 0 {
                        return Ok(total);
                    }
                }
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => return Ok(total),
            }
        }
    }

    fn size(&self) -> Result<u64, Errno> {
        Ok(self.inode.attr()?.size)
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        if self.inode.is_stream() {
            return Err(ESPIPE.into());
        }
        if self.shares_position {
            return calls::seek(self.inode.fd(), offset, whence);
        }
        crate::file::seek_plain(at, offset, whence, || self.size())
    }

    fn poll(&self) -> Ready {
        if !self.inode.is_stream() {
            return Ready::READABLE | Ready::WRITABLE;
        }
        let wanted = Ready::READABLE | Ready::WRITABLE | Ready::PRI | Ready::RDHUP;
        let ready = Ready(calls::ready_now(self.inode.fd(), wanted.0).unwrap_or(Ready::ERR.0));
        let missing = Ready((Ready::READABLE | Ready::WRITABLE).0 & !ready.0);
        if missing.any() && !ready.intersects(Ready::HUP | Ready::ERR) {
            self.inode.arm(missing.0);
        }
        ready
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        self.inode.is_stream().then(|| self.inode.queue())
    }

    fn async_list(&self) -> Option<&AsyncList> {
        let tells = self.inode.tty().is_some() || self.inode.class().is_some();
        tells.then(|| self.inode.listeners())
    }

    fn async_terminal(&self) -> Option<u64> {
        self.inode.tty().map(|tty| tty.terminal().id())
    }

    fn async_set(&self) {
        self.inode.arm(Ready::READABLE.0);
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        if let Some(tty) = self.inode.tty() {
            return tty.ioctl(file, caller, cmd, arg);
        }
        if cmd != FIONREAD || !self.inode.is_pipe() {
            return Err(ENOTTY.into());
        }
        let len: [u8; 4] = calls::ioctl_get(self.inode.fd(), FIONREAD)?;
        caller.mm().write_bytes(UserAddr(arg), &len)?;
        Ok(0)
    }

    fn mappable(&self, file: &File) -> Result<Arc<dyn Mappable>, Errno> {
        if self.inode.is_stream() {
            return Err(ENODEV.into());
        }
        Ok(Arc::new(HostMapping::new(self.inode.clone(), file)))
    }

    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        if self.inode.is_stream() {
            return Err(EINVAL.into());
        }
        calls::sync(self.inode.fd(), data_only)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
