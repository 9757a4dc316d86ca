//! Directories of tmpfs.

use crate::dentry::Name;
use crate::file::{DirEntry, DirSink, File, FileOps};
use crate::inode::{FileType, InodeRef};
use crate::tmpfs::TmpInode;
use bevor_abi::Errno;
use bevor_abi::errno::{EEXIST, EINVAL, EISDIR, ENOENT};
use bevor_abi::fcntl::{SEEK_CUR, SEEK_SET};
use bevor_memory::{IoDst, IoSrc};
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What `st_size` of a directory counts for each entry (`BOGO_DIRENT_SIZE`).
const ENTRY_SIZE: u64 = 20;

/// Positions of `.` and `..` come first.
const FIRST_POSITION: u64 = 2;

/// The entries of a directory, by name and in order of position.
pub(crate) struct Entries {
    by_name: HashMap<Name, (u64, InodeRef)>,
    by_position: BTreeMap<u64, Name>,
    next: u64,
    /// Inode number of `..`.
    pub(super) parent: u64,
    /// The directory was removed: nothing may be added.
    pub(super) dead: bool,
}

impl Entries {
    pub(crate) fn new(parent: u64) -> Self {
        Self {
            by_name: HashMap::new(),
            by_position: BTreeMap::new(),
            next: FIRST_POSITION,
            parent,
            dead: false,
        }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Result<&InodeRef, Errno> {
        self.by_name.get(name).map(|(_, inode)| inode).ok_or_else(|| ENOENT.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn size(&self) -> u64 {
        (self.by_name.len() as u64 + 2) * ENTRY_SIZE
    }

    /// Checks that `name` may be added.
    pub(crate) fn check_free(&self, name: &[u8]) -> Result<(), Errno> {
        if self.dead {
            return Err(ENOENT.because("removed directory"));
        }
        if self.by_name.contains_key(name) { Err(EEXIST.into()) } else { Ok(()) }
    }

    /// Adds `name`, or gives it another inode, whose old one is returned.
    pub(crate) fn put(&mut self, name: &[u8], inode: InodeRef) -> Option<InodeRef> {
        if let Some((_, old)) = self.by_name.get_mut(name) {
            return Some(std::mem::replace(old, inode));
        }
        let name: Name = name.into();
        self.by_position.insert(self.next, name.clone());
        self.by_name.insert(name, (self.next, inode));
        self.next += 1;
        None
    }

    pub(crate) fn take(&mut self, name: &[u8]) -> Option<InodeRef> {
        let (position, inode) = self.by_name.remove(name)?;
        self.by_position.remove(&position);
        Some(inode)
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> Vec<InodeRef> {
        self.by_position.clear();
        self.by_name.drain().map(|(_, (_, inode))| inode).collect()
    }

    /// Reports entries from position `at` on, as [`FileOps::read_dir`] does; `ino` is the directory's.
    pub(crate) fn report(&self, ino: u64, at: u64, sink: &mut DirSink<'_>) -> Result<u64, Errno> {
        if self.dead {
            return Err(ENOENT.because("removed directory"));
        }
        let dir_type = FileType::Directory.dirent_type();
        let dots: [(&[u8], u64); 2] = [(b".", ino), (b"..", self.parent)];
        let mut at = at;
        while let Ok(index) = usize::try_from(at)
            && let Some(&(name, ino)) = dots.get(index)
        {
            if !sink(&DirEntry { name, ino, dtype: dir_type, next: at + 1 }) {
                return Ok(at);
            }
            at += 1;
        }
        for (&position, name) in self.by_position.range(at..) {
            let Some((_, inode)) = self.by_name.get(name) else { continue };
            let entry = DirEntry {
                name,
                ino: inode.ino(),
                dtype: inode.file_type().dirent_type(),
                next: position + 1,
            };
            if !sink(&entry) {
                return Ok(position);
            }
            at = position + 1;
        }
        Ok(at)
    }
}

/// An open directory.
pub(super) struct DirFile {
    pub(super) inode: Arc<TmpInode>,
}

impl FileOps for DirFile {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, dst, at);
        Err(EISDIR.into())
    }

    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, src, at);
        Err(EISDIR.into())
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        match whence {
            SEEK_SET | SEEK_CUR => crate::file::seek_plain(at, offset, whence, || Ok(0)),
            _ => Err(EINVAL.into()),
        }
    }

    fn read_dir(&self, at: u64, sink: &mut DirSink<'_>) -> Result<u64, Errno> {
        self.inode.entries()?.lock().report(self.inode.ino, at, sink)
    }

    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        let _ = data_only;
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
