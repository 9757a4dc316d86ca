//! Open directories of overlay: the merged list of names.

use crate::file::{DirEntry, DirSink, File, FileOps};
use crate::inode::{FileType, Inode, InodeRef};
use crate::overlay::{BORN_ABOVE, OverlayInode, key_of};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EISDIR};
use bevor_abi::fcntl::{SEEK_CUR, SEEK_SET};
use bevor_memory::{IoDst, IoSrc};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A name of the merged directory.
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    ino: u64,
    dtype: u8,
}

/// An open directory.
pub(super) struct OverlayDir {
    inode: Arc<OverlayInode>,
    /// What the reader sees, as of when its position last was 0.
    listed: Mutex<Option<Listed>>,
}

/// What a reader of a directory sees.
#[derive(Clone)]
enum Listed {
    /// The names of all layers; the position counts them.
    Merged(Arc<Vec<Entry>>),
    /// The one layer there is, a lower one; the position is that layer's.
    Lower(Arc<dyn FileOps>),
}

impl OverlayDir {
    pub(super) const fn new(inode: Arc<OverlayInode>) -> Self {
        Self { inode, listed: Mutex::new(None) }
    }

    /// Takes stock of the directory for a reader.
    fn list(&self) -> Result<Listed, Errno> {
        if let Some(layer) = self.inode.only_lower() {
            let ops = layer.open(crate::OpenFlags::default(), &self.inode.fs.kernel)?;
            return Ok(Listed::Lower(ops.into()));
        }
        let mut entries = self.inode.entries()?;
        let dtype = FileType::Directory.dirent_type();
        let dot = |name: &[u8], ino| Entry { name: name.to_vec(), ino, dtype };
        let dots = [dot(b".", self.inode.ino()), dot(b"..", self.inode.parent_ino())];
        entries.splice(0..0, dots);
        Ok(Listed::Merged(Arc::new(entries)))
    }
}

impl OverlayInode {
    /// Calls `each` for every entry of a layer's directory but the dots.
    fn each_of(&self, dir: &InodeRef, mut each: impl FnMut(&DirEntry<'_>)) -> Result<(), Errno> {
        let ops = dir.clone().open(crate::OpenFlags::default(), &self.fs.kernel)?;
        let mut at = 0;
        loop {
            let before = at;
            at = ops.read_dir(at, &mut |entry| {
                if entry.name != b"." && entry.name != b".." {
                    each(entry);
                }
                true
            })?;
            if at == before {
                return Ok(());
            }
        }
    }

    /// Every name the upper layer has in directory `upper`, whiteouts too.
    pub(super) fn names_above(&self, upper: &InodeRef) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = Vec::new();
        self.each_of(upper, |entry| names.push(entry.name.to_vec()))?;
        Ok(names)
    }

    /// The merged entries of this directory, without dots.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Errno> {
        let (upper, lower) = {
            let layers = self.layers.read();
            (layers.upper.clone(), layers.lower.clone())
        };
        let nr_layers = usize::from(upper.is_some()) + lower.len();
        let mut entries = Vec::new();
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        let device = FileType::CharDevice.dirent_type();
        for (is_upper, dir) in
            upper.iter().map(|dir| (true, dir)).chain(lower.iter().map(|dir| (false, dir)))
        {
            let mut suspects = Vec::new();
            let files_too = is_upper && self.fs.has_file_whiteouts(dir);
            let file = FileType::Regular.dirent_type();
            self.each_of(dir, |entry| {
                if nr_layers > 1 && !seen.insert(entry.name.to_vec()) {
                    return;
                }
                let suspect = entry.dtype == device && (is_upper || nr_layers > 1)
                    || files_too && entry.dtype == file;
                if suspect {
                    suspects.push(entries.len());
                }
                entries.push(Entry {
                    name: entry.name.to_vec(),
                    ino: if is_upper { entry.ino | BORN_ABOVE } else { entry.ino },
                    dtype: entry.dtype,
                });
            })?;
            let whiteouts: HashSet<usize> = suspects
                .into_iter()
                .filter(|&index| {
                    let child = entries.get(index).and_then(|entry| dir.lookup(&entry.name).ok());
                    child.is_some_and(|child| self.fs.is_whiteout(&child))
                })
                .collect();
            if !whiteouts.is_empty() {
                let mut index = 0;
                entries.retain(|_| {
                    index += 1;
                    !whiteouts.contains(&(index - 1))
                });
            }
        }
        let copies = !lower.is_empty() || self.holds_copies.load(Ordering::Acquire);
        if let Some(upper) = upper.filter(|_| copies) {
            self.number_copies(&upper, &mut entries);
        }
        Ok(entries)
    }

    /// Gives copied-up entries the numbers they had below.
    fn number_copies(&self, upper: &InodeRef, entries: &mut [Entry]) {
        for entry in entries.iter_mut().filter(|entry| entry.ino & BORN_ABOVE != 0) {
            let known =
                upper.lookup(&entry.name).ok().and_then(|child| self.fs.find(key_of(&child)));
            if let Some(known) = known {
                entry.ino = known.ino();
            }
        }
    }

    /// The only layer of this directory, if that is a lower one.
    fn only_lower(&self) -> Option<InodeRef> {
        let layers = self.layers.read();
        match (&layers.upper, layers.lower.as_slice()) {
            (None, [lower]) => Some(lower.clone()),
            _ => None,
        }
    }

    fn parent_ino(&self) -> u64 {
        self.place.lock().as_ref().map_or_else(|| self.ino(), |place| place.dir.ino())
    }
}

impl FileOps for OverlayDir {
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
        let listed = {
            let mut listed = self.listed.lock();
            match &*listed {
                Some(known) if at > 0 => known.clone(),
                _ => listed.insert(self.list()?).clone(),
            }
        };
        let entries = match listed {
            Listed::Merged(entries) => entries,
            Listed::Lower(layer) => {
                return layer.read_dir(at, &mut |entry| {
                    let ino = match entry.name {
                        b"." => self.inode.ino(),
                        b".." => self.inode.parent_ino(),
                        _ => entry.ino,
                    };
                    sink(&DirEntry { ino, ..*entry })
                });
            }
        };
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let mut at = at;
        for Entry { name, ino, dtype } in entries.iter().skip(start) {
            if !sink(&DirEntry { name, ino: *ino, dtype: *dtype, next: at + 1 }) {
                break;
            }
            at += 1;
        }
        Ok(at)
    }

    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        let _ = data_only;
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
