//! The slave of a pseudo-terminal: the end programs run on.

use crate::caller::Caller;
use crate::devpts::Pair;
use crate::devpts::ioctl;
use crate::fasync::AsyncList;
use crate::file::{File, FileOps, ReadTurn};
use crate::tty::{Terminal, job_control};
use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::{EAGAIN, EIO};
use bevor_abi::termios::TOSTOP;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{IoDst, IoSrc};
use std::any::Any;
use std::sync::Arc;

/// Bytes of a write processed at a time.
const CHUNK: usize = 2048;

/// An open slave.
pub struct SlaveFile {
    pub(super) pair: Arc<Pair>,
    /// How often the slave had been hung up when it was opened.
    pub(super) hangups: u64,
}

impl SlaveFile {
    pub(super) const fn new(pair: Arc<Pair>, hangups: u64) -> Self {
        Self { pair, hangups }
    }

    pub(super) fn is_hung_up(&self) -> bool {
        self.pair.is_hung_up(self.hangups)
    }

    /// Takes what can be read, up to `max` bytes; whether that is all of a line, or how long a
    /// read that has `before` bytes waits for more.
    fn take(&self, max: usize, before: usize) -> (Vec<u8>, Option<Option<u64>>) {
        self.pair.act(|state, done| {
            let line = &mut state.line;
            if line.is_canonical() {
                if !line.is_readable(false) {
                    return (Vec::new(), Some(None));
                }
                let bytes = line.read(max);
                state.pump(done);
                return (bytes, None);
            }
            let (min, time_ns) = (line.min(), line.time_ns());
            let mut bytes = Vec::new();
            while bytes.len() < max && line_has(&state.line) {
                bytes.extend(state.line.read(max - bytes.len()));
                if before + bytes.len() >= min {
                    break;
                }
                state.pump(done);
            }
            state.pump(done);
            let have = before + bytes.len();
            let wait = match (min, time_ns) {
                _ if have >= min.max(1) || bytes.len() == max => None,
                (0, 0) => None,
                (0, time_ns) => Some(Some(time_ns)),
                (_, time_ns) => Some((have > 0 && time_ns > 0).then_some(time_ns)),
            };
            (bytes, wait)
        })
    }
}

fn line_has(line: &crate::tty::Line) -> bool {
    line.is_readable(false)
}

impl FileOps for SlaveFile {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        if self.is_hung_up() {
            return Ok(0);
        }
        match self.take(usize_of(dst.remaining()), 0) {
            (bytes, Some(_)) if bytes.is_empty() => Err(EAGAIN.into()),
            (bytes, _) => dst.put(&bytes),
        }
    }

    fn read_as(
        &self,
        file: &File,
        caller: &dyn Caller,
        dst: &mut IoDst<'_>,
        before: Option<u64>,
    ) -> Option<Result<ReadTurn, Errno>> {
        let _ = file;
        let mut turn = || {
            if self.is_hung_up() {
                // One that waits learns of it as an error, a new one as the end.
                return if before.is_some() { Err(EIO.into()) } else { Ok(ReadTurn::Done(0)) };
            }
            job_control::check_read(&*self.pair, caller)?;
            let max = usize_of(dst.remaining());
            if max == 0 {
                return Ok(ReadTurn::Done(0));
            }
            let (bytes, wait) = self.take(max, usize_of(before.unwrap_or(0)));
            let got = dst.put(&bytes)?;
            if got > 0 {
                self.pair.touch(false);
            }
            Ok(match wait {
                None => ReadTurn::Done(got),
                Some(timeout_ns) => ReadTurn::More { got, timeout_ns },
            })
        };
        Some(turn())
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        if self.is_hung_up() {
            return Err(EIO.into());
        }
        let mut written = 0;
        while src.remaining() > 0 {
            let bytes = match src.take_vec(CHUNK) {
                Ok(bytes) => bytes,
                Err(errno) if written == 0 => return Err(errno),
                Err(_) => return Ok(written),
            };
            let taken = self.pair.act(|state, done| {
                let (line, mut way) = state.line(done);
                line.write(&bytes, &mut way)
            });
            src.rewind((bytes.len() - taken) as u64);
            written += taken;
            if taken < bytes.len() || bytes.is_empty() {
                break;
            }
        }
        if written == 0 && src.remaining() > 0 {
            return Err(EAGAIN.into());
        }
        self.pair.touch(true);
        Ok(written)
    }

    fn write_as(
        &self,
        file: &File,
        caller: &dyn Caller,
        src: &mut IoSrc<'_>,
    ) -> Option<Result<usize, Errno>> {
        if self.pair.look(|state| state.line.settings().local(TOSTOP))
            && !self.is_hung_up()
            && let Err(errno) = job_control::check_change(&*self.pair, caller)
        {
            return Some(Err(errno));
        }
        Some(self.write(file, src, 0))
    }

    fn poll(&self) -> Ready {
        self.pair.poll_slave(self.hangups)
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pair.slave_queue)
    }

    fn async_list(&self) -> Option<&AsyncList> {
        Some(&self.pair.slave_listeners)
    }

    fn async_terminal(&self) -> Option<u64> {
        Some(self.pair.id())
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        ioctl::slave(self, file, caller, cmd, arg)
    }

    fn release(&self, file: &File) {
        let _ = file;
        self.pair.close_slave();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
