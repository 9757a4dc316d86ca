//! Open directories of the gofer's files.

use crate::file::{DirEntry, DirSink, File, FileOps};
use crate::gofer::GoferInode;
use bevor_abi::Errno;
use bevor_abi::errno::EISDIR;
use bevor_gofer_protocol::wire::ReadDirFlags;
use bevor_memory::{IoDst, IoSrc};
use std::any::Any;
use std::sync::Arc;

/// Bytes of entries asked for at once.
const BATCH_BYTES: usize = 32 << 10;

/// An open directory.
pub(super) struct GoferDir {
    inode: Arc<GoferInode>,
}

impl GoferDir {
    pub(super) const fn new(inode: Arc<GoferInode>) -> Self {
        Self { inode }
    }
}

impl FileOps for GoferDir {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, dst, at);
        Err(EISDIR.into())
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, src, at);
        Err(EISDIR.into())
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        crate::file::seek_plain(at, offset, whence, || Ok(i64::MAX.cast_unsigned()))
    }

    fn read_dir(&self, at: u64, sink: &mut DirSink<'_>) -> Result<u64, Errno> {
        let mut at = at;
        loop {
            let client = &self.inode.fs.client;
            let flags = ReadDirFlags::empty();
            let cursor = at.cast_signed();
            let batch = client.readdir(&self.inode.handle, cursor, BATCH_BYTES, flags)?;
            for entry in batch.iter() {
                let next = entry.next.cast_unsigned();
                let shown = DirEntry { name: entry.name, ino: entry.ino, dtype: entry.kind, next };
                if !sink(&shown) {
                    return Ok(at);
                }
                at = next;
            }
            if batch.at_end || batch.len() == 0 {
                return Ok(at);
            }
        }
    }

    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        let _ = data_only;
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
