//! Open regular files of the gofer: contents move through the donated descriptor.

use crate::file::{File, FileOps};
use crate::gofer::{GoferInode, room};
use crate::host::calls;
use crate::inode::{Inode, SetAttr};
use crate::mount::{MountFlags, Path};
use crate::usage;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, ENFILE, ESPIPE};
use bevor_abi::fcntl::{SEEK_DATA, SEEK_HOLE};
use bevor_gofer_protocol::client::MAX_WRITE;
use bevor_gofer_protocol::wire::{AT_END, SyncKind};
use bevor_memory::{BackingRun, IoDst, IoSrc, MapName, Mappable, MappingSet};
use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

/// A file and the descriptor it is used through, or messages while there is no room for one.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) inode: Arc<GoferInode>,
    writable: bool,
    fd: OnceLock<Arc<OwnedFd>>,
}

impl Opened {
    /// Opens a regular file that counts as open already.
    ///
    /// # Errors
    /// Those of opening; no room for a descriptor is none.
    fn new(inode: Arc<GoferInode>, writable: bool) -> Result<Self, Errno> {
        let opened = Self { inode, writable, fd: OnceLock::new() };
        let ready = if writable { opened.fd().map(drop) } else { opened.get_ready() };
        match ready {
            Err(errno) if errno != ENFILE => Err(errno),
            _ => Ok(opened),
        }
    }

    fn get_ready(&self) -> Result<(), Errno> {
        if let Some(fd) = self.inode.ready()? {
            self.fd.get_or_init(|| fd);
        }
        Ok(())
    }

    /// The descriptor.
    ///
    /// # Errors
    /// `ENFILE` while there is no room for it, and those of opening.
    fn fd(&self) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(fd) = self.fd.get() {
            return Ok(fd.clone());
        }
        let fd = self.inode.descriptor(self.writable)?;
        Ok(self.fd.get_or_init(|| fd).clone())
    }

    /// The descriptor, unless there is no room for it. Borrowed: every read and write asks.
    fn fd_if_room(&self) -> Option<BorrowedFd<'_>> {
        if self.fd.get().is_none() && room::is_room() {
            let _ = self.fd();
        }
        self.fd.get().map(|fd| fd.as_fd())
    }

    /// Has the host write the contents out.
    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        let kind = if data_only { SyncKind::Data } else { SyncKind::File };
        let inode = &self.inode;
        match inode.handle().and_then(|handle| inode.fs.client.sync(&handle, kind)) {
            // The mode may have come to forbid the gofer to open it once more.
            Err(errno) if errno == EACCES => calls::sync(self.fd()?.as_fd(), data_only),
            synced => synced,
        }
    }

    fn read_by_message(&self, dst: &mut IoDst<'_>, at: u64, max: u64) -> Result<usize, Errno> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let handle = self.inode.handle()?;
        let mut done = 0;
        while done < max {
            let next = at.saturating_add(done as u64);
            let piece = match self.inode.fs.client.read(&handle, next, max - done) {
                Err(errno) if done == 0 => return Err(errno),
                piece => piece.unwrap_or_default(),
            };
            let put = dst.put(&piece)?;
            done += put;
            if piece.is_empty() || put < piece.len() {
                break;
            }
        }
        Ok(done)
    }

    fn write_by_message(&self, src: &mut IoSrc<'_>, at: u64, max: u64) -> Result<usize, Errno> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let handle = self.inode.handle()?;
        let mut done = 0;
        while done < max {
            let next = if at == AT_END { at } else { at.saturating_add(done as u64) };
            let piece = src.take_vec(MAX_WRITE.min(max - done))?;
            if piece.is_empty() {
                break;
            }
            let (written, size) = match self.inode.fs.client.write(&handle, next, &piece) {
                Err(errno) if done == 0 => {
                    src.rewind(piece.len() as u64);
                    return Err(errno);
                }
                Err(_) => (0, 0),
                Ok(written) => written,
            };
            self.inode.written(size);
            done += written;
            if written < piece.len() {
                src.rewind((piece.len() - written) as u64);
                break;
            }
        }
        Ok(done)
    }
}

/// An open regular file.
pub(super) struct GoferFile {
    opened: Opened,
}

impl GoferFile {
    /// Opens a regular file.
    ///
    /// # Errors
    /// Those of opening.
    pub(super) fn new(inode: Arc<GoferInode>, writable: bool) -> Result<Self, Errno> {
        inode.opened();
        match Opened::new(inode.clone(), writable) {
            Ok(opened) => Ok(Self { opened }),
            Err(errno) => {
                inode.closed();
                Err(errno)
            }
        }
    }
}

impl FileOps for GoferFile {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        let max = dst.remaining();
        if self.opened.fd.get().is_none()
            && let Some(content) = self.opened.inode.content()
        {
            return content.read(dst, at);
        }
        match self.opened.fd_if_room() {
            Some(fd) => dst.host_read(fd, Some(at), max),
            None => self.opened.read_by_message(dst, at, max),
        }
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        let (inode, max) = (&self.opened.inode, src.remaining());
        if max == 0 {
            return Ok(0);
        }
        let Some(fd) = self.opened.fd_if_room() else {
            let at = if at == u64::MAX { AT_END } else { at };
            return self.opened.write_by_message(src, at, max);
        };
        if at == u64::MAX {
            // The host finds the end: others may append, too.
            let done = src.host_append(fd, max)?;
            inode.written(calls::stat(fd)?.st_size.cast_unsigned());
            inode.keep_set_ids()?;
            return Ok(done);
        }
        let done = src.host_write(fd, Some(at), max)?;
        inode.written(at.saturating_add(done as u64));
        inode.keep_set_ids()?;
        Ok(done)
    }

    fn end_after_append(&self, written: usize) -> u64 {
        let _ = written;
        self.opened.inode.cached_size()
    }

    fn size(&self) -> Result<u64, Errno> {
        self.opened.inode.size()
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        match whence {
            SEEK_DATA | SEEK_HOLE => calls::seek(self.opened.fd()?.as_fd(), offset, whence),
            _ => crate::file::seek_plain(at, offset, whence, || self.size()),
        }
    }

    fn mappable(&self, file: &File) -> Result<Arc<dyn Mappable>, Errno> {
        if self.opened.fd.get().is_none() {
            self.opened.inode.fs.contents.was_mapped();
        }
        self.opened.fd()?;
        Ok(Arc::new(GoferMapping {
            opened: self.opened.clone(),
            path: file.path().clone(),
            writable: file.flags().writable(),
        }))
    }

    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        self.opened.sync(data_only)
    }

    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let end = offset.checked_add(len).ok_or(ESPIPE)?;
        calls::fallocate(self.opened.fd()?.as_fd(), mode, offset, len)?;
        // FALLOC_FL_KEEP_SIZE is 1.
        let grows = mode & 1 == 0;
        self.opened.inode.written(if grows { end } else { 0 });
        self.opened.inode.keep_set_ids()
    }

    /// Through the descriptor: the file's mode may have come to forbid another open.
    fn truncate(&self, file: &File, size: u64) -> Result<(), Errno> {
        let Some(fd) = self.opened.fd_if_room() else {
            return file.inode().set_attr(&SetAttr { size: Some(size), ..SetAttr::default() });
        };
        calls::truncate(fd, size)?;
        self.opened.inode.resized(size);
        self.opened.inode.keep_set_ids()
    }

    fn release(&self, file: &File) {
        let _ = file;
        self.opened.inode.closed();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A regular file of the host as the memory crate maps it.
struct GoferMapping {
    opened: Opened,
    path: Path,
    writable: bool,
}

impl Mappable for GoferMapping {
    fn id(&self) -> u64 {
        self.opened.inode.mappable_id
    }

    fn backing(&self, offset: u64, len: u64, for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        let _ = for_write;
        Ok(vec![BackingRun::host(self.opened.fd()?, self.id(), offset, len)])
    }

    fn size(&self) -> u64 {
        self.opened.inode.size().unwrap_or_else(|_| self.opened.inode.cached_size())
    }

    fn describe(&self) -> MapName {
        MapName {
            path: self.path.absolute_text().for_link(),
            dev: self.opened.inode.dev(),
            ino: self.opened.inode.ino(),
        }
    }

    fn mappings(&self) -> &MappingSet {
        &self.opened.inode.mappings
    }

    fn may_write(&self) -> bool {
        self.writable
    }

    fn has_writers(&self) -> bool {
        self.writable || usage::is_written(self.path.inode())
    }

    fn may_exec(&self) -> bool {
        !self.path.mount.flags().has(MountFlags::NOEXEC)
    }

    fn msync(&self, range: std::ops::Range<u64>) -> Result<(), Errno> {
        let _ = range;
        self.opened.sync(true)
    }
}
