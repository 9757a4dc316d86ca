//! `/dev/random` and `/dev/urandom` (`random(4)`).

use crate::caller::Caller;
use crate::file::{File, FileOps};
use crate::host;
use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::{EINVAL, ENOTTY};
use bevor_base::WaitQueue;
use bevor_memory::{IoDst, IoSrc, UserAddr};
use std::any::Any;

/// `RNDGETENTCNT`.
const RNDGETENTCNT: u32 = 0x8004_5200;
/// Bits of entropy Linux reports once seeded.
const POOL_BITS: i32 = 256;

/// Random bytes from the host.
pub(super) struct Random {
    /// `/dev/random` rather than `urandom`: it can be polled.
    pub(super) blocking_pool: bool,
}

impl FileOps for Random {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        let mut total = 0;
        let mut bytes = [0; 256];
        while dst.remaining() > 0 {
            let len = usize_of(dst.remaining()).min(bytes.len());
            let Some(part) = bytes.get_mut(..len) else { break };
            host::random(part)?;
            match dst.put(part) {
                Ok(done) => {
                    total += done;
                    if done < len {
                        break;
                    }
                }
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(total)
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        // What a guest adds cannot make the host's generator worse, nor is it needed.
        Ok(usize_of(src.remaining()))
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        let _ = offset;
        // noop_llseek: the position does not move.
        if whence > 4 { Err(EINVAL.into()) } else { Ok(at) }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        static NEVER_WOKEN: std::sync::LazyLock<WaitQueue> =
            std::sync::LazyLock::new(WaitQueue::new);
        self.blocking_pool.then(|| &*NEVER_WOKEN)
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let _ = file;
        if cmd != RNDGETENTCNT {
            return Err(ENOTTY.into());
        }
        caller.mm().write(UserAddr(arg), &POOL_BITS)?;
        Ok(0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
