//! The master of a pseudo-terminal.

use crate::caller::Caller;
use crate::devpts::Pair;
use crate::devpts::ioctl;
use crate::fasync::AsyncList;
use crate::file::{File, FileOps};
use crate::mount::Mount;
use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::EAGAIN;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{IoDst, IoSrc};
use std::any::Any;
use std::sync::Arc;

/// The open master.
pub struct MasterFile {
    pub(super) pair: Arc<Pair>,
    /// The mount of devpts, where `ptmx` was found elsewhere.
    pub(super) mount: Option<Arc<Mount>>,
}

impl MasterFile {
    pub(super) const fn new(pair: Arc<Pair>) -> Self {
        Self { pair, mount: None }
    }

    /// The same, found through a `ptmx` beside the mount.
    pub(super) fn through(self, mount: Arc<Mount>) -> Self {
        Self { mount: Some(mount), ..self }
    }
}

impl FileOps for MasterFile {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        let max = usize_of(dst.remaining());
        if max == 0 {
            return Ok(0);
        }
        let bytes = self.pair.take_for_master(max).map_err(|end| end.unwrap_or(EAGAIN.into()))?;
        dst.put(&bytes)
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        let mut written = 0;
        while src.remaining() > 0 {
            let room = self.pair.master_room();
            if room == 0 {
                break;
            }
            match src.take_vec(room) {
                Ok(bytes) if !bytes.is_empty() => {
                    self.pair.master_wrote(&bytes);
                    written += bytes.len();
                }
                Ok(_) => break,
                Err(errno) if written == 0 => return Err(errno),
                Err(_) => return Ok(written),
            }
        }
        if written == 0 && src.remaining() > 0 {
            return Err(EAGAIN.into());
        }
        Ok(written)
    }

    fn poll(&self) -> Ready {
        self.pair.poll_master()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.pair.master_queue)
    }

    fn async_list(&self) -> Option<&AsyncList> {
        Some(&self.pair.master_listeners)
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        ioctl::master(self, file, caller, cmd, arg)
    }

    fn release(&self, file: &File) {
        let _ = file;
        self.pair.close_master();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
