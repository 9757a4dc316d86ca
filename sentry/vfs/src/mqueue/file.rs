//! Open queues, and the open directory of queues.

use crate::caller::Caller;
use crate::file::{DirSink, File, FileOps};
use crate::inode::Inode;
use crate::mqueue::inode::{QueueInode, Root};
use crate::mqueue::queue::{Queue, Taken};
use bevor_abi::Errno;
use bevor_abi::conv::usize_of;
use bevor_abi::errno::EISDIR;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::IoDst;
use std::any::Any;
use std::sync::Arc;

/// An open queue.
pub struct QueueFile {
    pub(super) inode: Arc<QueueInode>,
}

impl QueueFile {
    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.inode.queue
    }

    /// Adds a message, as [`Queue::send`] does.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn send(&self, text: Vec<u8>, priority: u32, sender: &dyn Caller) -> Result<bool, Errno> {
        let sent = self.inode.queue.send(text, priority, sender)?;
        if sent {
            self.inode.used();
        }
        Ok(sent)
    }

    /// Takes a message, as [`Queue::receive`] does.
    #[must_use]
    pub fn receive(&self) -> Option<Taken> {
        let taken = self.inode.queue.receive();
        if taken.is_some() {
            self.inode.used();
        }
        taken
    }
}

impl FileOps for QueueFile {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        let text = self.inode.queue.text();
        let rest = text.as_bytes().get(usize_of(at)..).unwrap_or_default();
        dst.put(rest)
    }

    fn size(&self) -> Result<u64, Errno> {
        Ok(self.inode.attr()?.size)
    }

    fn poll(&self) -> Ready {
        self.inode.queue.poll()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.inode.queue.pollers)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The open directory.
pub(super) struct DirFile {
    pub(super) dir: Arc<Root>,
}

impl FileOps for DirFile {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, dst, at);
        Err(EISDIR.into())
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        crate::file::seek_plain(at, offset, whence, || Ok(0))
    }

    fn read_dir(&self, at: u64, sink: &mut DirSink<'_>) -> Result<u64, Errno> {
        self.dir.entries.lock().report(self.dir.ino(), at, sink)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
