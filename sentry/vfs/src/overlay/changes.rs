//! What an overlay changed, found by comparing its upper layer with what is below.

use crate::file::{File, OpenFlags};
use crate::inode::{FileType, Inode, InodeRef};
use crate::mount::Path;
use crate::overlay::lookup::Above;
use crate::overlay::{Key, OverlayFs, OverlayInode, key_of};
use crate::superblock::Superblock;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EIO};
use bevor_memory::IoDst;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What became of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// There was nothing of that name.
    Added,
    /// There was something.
    Changed,
}

/// One change.
pub enum Change<'a> {
    /// A file is new or another.
    There {
        /// Its path from the overlay's root, with a slash before each name; empty for the root.
        path: &'a [u8],
        /// What became of the name.
        kind: ChangeKind,
        /// The file as guests see it.
        inode: &'a InodeRef,
        /// The path of the same file that was told before, if it has several.
        first: Option<&'a [u8]>,
        /// Of a directory: nothing below shows in it.
        opaque: bool,
    },
    /// A file is gone.
    Gone {
        /// Its path.
        path: &'a [u8],
    },
}

/// A directory to compare.
struct Dir {
    path: Vec<u8>,
    inode: Arc<OverlayInode>,
    /// The directories that were at this path before anything changed.
    before: Vec<InodeRef>,
    /// Whether everything in it is told, because nothing below shows at this path.
    all: bool,
    /// The names that may have changed and were not looked at yet, in order.
    names: std::collections::btree_set::IntoIter<Vec<u8>>,
}

/// Tells everything that an overlay changed, directories before what is in them. `each` may end that
/// with an error.
///
/// # Errors
/// `EINVAL`: not an overlay. What reading the layers, or `each`, says.
pub fn changes(
    superblock: &Superblock,
    each: &mut dyn FnMut(&Change<'_>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let root = OverlayInode::of(superblock.root().inode()).map_err(|_| EINVAL)?;
    let before = root.layers.read().lower.clone();
    let mut firsts: HashMap<Key, Vec<u8>> = HashMap::new();
    // A list, as a guest can nest directories deeper than the host stack is.
    let mut dirs = vec![Dir::new(Vec::new(), root, before, false)?];
    while let Some(dir) = dirs.last_mut() {
        let Some(name) = dir.names.next() else {
            dirs.pop();
            continue;
        };
        let path = [&dir.path[..], b"/", &name].concat();
        let before = dir.inode.fs.find_lower(&dir.before, &name)?;
        let gone = !dir.all && matches!(dir.inode.look_above(&name)?, Above::Whiteout);
        let child = if gone { None } else { dir.inode.child(&name).ok() };
        let Some(child) = child else {
            // A guest may have removed it meanwhile, or there never was anything.
            if !before.is_empty() {
                each(&Change::Gone { path: &path })?;
            }
            continue;
        };
        let is_dir = child.file_type() == FileType::Directory;
        let was_dir = before.first().is_some_and(is_dir_inode);
        let shows = child.layers.read().lower.first().map(key_of) == before.first().map(key_of);
        let all = dir.all || !shows;
        let kind = if before.is_empty() { ChangeKind::Added } else { ChangeKind::Changed };
        let inode: InodeRef = child.clone();
        let id = (inode.dev(), inode.ino());
        let several = !is_dir && inode.attr()?.nlink > 1;
        let first = firsts.get(&id).filter(|_| several).cloned();
        each(&Change::There {
            path: &path,
            kind,
            inode: &inode,
            first: first.as_deref(),
            opaque: is_dir && was_dir && all,
        })?;
        if several && first.is_none() {
            firsts.insert(id, path.clone());
        }
        if is_dir {
            let before = if was_dir && !all { before } else { Vec::new() };
            dirs.push(Dir::new(path, child, before, all)?);
        }
    }
    Ok(())
}

fn is_dir_inode(inode: &InodeRef) -> bool {
    inode.file_type() == FileType::Directory
}

impl Dir {
    fn new(
        path: Vec<u8>,
        inode: Arc<OverlayInode>,
        before: Vec<InodeRef>,
        all: bool,
    ) -> Result<Self, Errno> {
        let upper = inode.layers.read().upper.clone();
        let names: BTreeSet<_> = match upper {
            _ if all => inode.entries()?.into_iter().map(|entry| entry.name).collect(),
            Some(upper) => inode.names_above(&upper)?.into_iter().collect(),
            None => BTreeSet::new(),
        };
        Ok(Self { path, inode, before, all, names: names.into_iter() })
    }
}

/// Reads a file of an overlay from its start, on nobody's behalf.
pub struct Contents {
    file: Arc<File>,
    at: u64,
}

impl Contents {
    /// Opens a regular file that [`changes`] told.
    ///
    /// # Errors
    /// What opening says.
    pub fn open(inode: &InodeRef) -> Result<Self, Errno> {
        let fs: Arc<OverlayFs> = OverlayInode::of(inode)?.fs.clone();
        let ops = inode.clone().open(OpenFlags::default(), &fs.kernel)?;
        let path = Path::anonymous(inode.clone(), b"layer"[..].into(), false);
        Ok(Self { file: File::new(ops, path, OpenFlags(OpenFlags::UNSEEN)), at: 0 })
    }
}

impl std::io::Read for Contents {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let got = self.file.read_at(&mut IoDst::kernel(buf), self.at);
        let got = got.map_err(|_| std::io::Error::from_raw_os_error(EIO.0.into()))?;
        self.at += got as u64;
        Ok(got)
    }
}

/// The target of a symbolic link that [`changes`] told.
///
/// # Errors
/// What reading it says.
pub fn link_target(inode: &InodeRef) -> Result<Vec<u8>, Errno> {
    let inode = OverlayInode::of(inode)?;
    inode.read_link(&inode.fs.kernel)
}
