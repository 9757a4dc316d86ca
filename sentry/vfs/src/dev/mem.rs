//! `/dev/null` and `/dev/full` (`null(4)`, `full(4)`).

use crate::file::{File, FileOps};
use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::ENOSPC;
use bevor_memory::{IoDst, IoSrc};
use std::any::Any;

/// Reads as empty, takes everything.
pub(super) struct Null;

impl FileOps for Null {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, dst, at);
        Ok(0)
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        Ok(usize_of(src.remaining()))
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        let _ = (at, offset, whence);
        Ok(0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Reads as zeros, is always full.
pub(super) struct Full;

impl FileOps for Full {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        dst.put_zeros(dst.remaining())
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, src, at);
        Err(ENOSPC.into())
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        let _ = (at, offset, whence);
        Ok(0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
