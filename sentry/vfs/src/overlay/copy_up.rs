//! Copy-up: giving a lower file its counterpart in the upper layer before it changes.

use crate::acl::AclKind;
use crate::file::{File, OpenFlags};
use crate::inode::{Attr, FileType, Inode, InodeRef, NewAttr, NewNode, S_IALLUGO, SetAttr};
use crate::mount::Path;
use crate::overlay::inode::Place;
use crate::overlay::{OWN_XATTRS, OverlayInode, key_of};
use bevor_abi::Errno;
use bevor_abi::errno::{EIO, ENOENT, ENXIO, EOPNOTSUPP, EROFS};
use bevor_abi::fcntl::{O_RDONLY, O_WRONLY, SEEK_DATA, SEEK_HOLE};
use bevor_memory::{IoDst, IoSrc};
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes copied at a time.
const CHUNK: usize = 1 << 20;

/// What of a file is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Owner, mode, times, attributes; the contents stay below.
    Attributes,
    /// The contents too.
    Everything,
}

/// Shows that [`OverlayFs::change`](crate::overlay::OverlayFs) is held.
pub(super) type Changing<'a> = MutexGuard<'a, ()>;

impl OverlayInode {
    /// The upper counterpart, made if need be, without its contents.
    pub(super) fn copied_up(&self) -> Result<InodeRef, Errno> {
        if let Some(upper) = &self.layers.read().upper {
            return Ok(upper.clone());
        }
        let changing = self.fs.change.lock();
        self.this()?.copy_up(Extent::Attributes, &changing)
    }

    /// Makes the upper counterpart of this inode and of the directories above it.
    pub(super) fn copy_up(
        self: &Arc<Self>,
        extent: Extent,
        changing: &Changing<'_>,
    ) -> Result<InodeRef, Errno> {
        let mut chain = vec![self.clone()];
        while let Some(last) = chain.last()
            && last.layers.read().upper.is_none()
        {
            let above = last.place.lock().as_ref().map(|place| place.dir.clone());
            let Some(above) = above else { break };
            chain.push(above);
        }
        for inode in chain.iter().skip(1).rev() {
            inode.copy_up_one(Extent::Attributes, changing)?;
        }
        self.copy_up_one(extent, changing)
    }

    /// Makes the upper counterpart; the directory it is in has one.
    fn copy_up_one(self: &Arc<Self>, extent: Extent, _: &Changing<'_>) -> Result<InodeRef, Errno> {
        let is_regular = self.file_type() == FileType::Regular;
        let existing = self.layers.read().upper.clone();
        let upper = match existing {
            Some(upper) => upper,
            None => self.make_counterpart()?,
        };
        if is_regular && extent == Extent::Everything && !self.data_above.load(Ordering::Acquire) {
            let lower = self.layers.read().lower.first().cloned().ok_or(EIO)?;
            let attr = upper.attr()?;
            self.copy_data(&lower, &upper)?;
            self.data_above.store(true, Ordering::Release);
            restore_times(&upper, &attr)?;
        }
        Ok(upper)
    }

    fn make_counterpart(self: &Arc<Self>) -> Result<InodeRef, Errno> {
        let layer = self.fs.upper.as_ref().ok_or(EROFS)?;
        let lower = self.layers.read().lower.first().cloned().ok_or(EIO)?;
        let attr = lower.attr()?;
        let new = NewAttr { mode: attr.mode & S_IALLUGO, uid: attr.uid, gid: attr.gid };
        let place =
            self.place.lock().as_ref().map(|Place { dir, name, .. }| (dir.clone(), name.clone()));
        let target;
        let node = match self.file_type() {
            FileType::Regular => NewNode::Regular,
            FileType::Directory => NewNode::Directory,
            FileType::Symlink => {
                target = lower.read_link(&self.fs.kernel)?;
                NewNode::Symlink(&target)
            }
            FileType::Fifo => NewNode::Fifo,
            FileType::Socket => NewNode::Socket,
            FileType::CharDevice => NewNode::Device { char: true, rdev: attr.rdev },
            FileType::BlockDevice => NewNode::Device { char: false, rdev: attr.rdev },
        };
        let named = place.is_some();
        let upper = match place {
            Some((dir, name)) => {
                let above = dir.layers.read().upper.clone().ok_or(EROFS)?;
                let times = above.attr()?;
                let upper = above.create(&name, &node, new)?;
                restore_times(&above, &times)?;
                upper
            }
            // Without a name only contents can matter.
            None if self.file_type() == FileType::Regular => layer.root.create_unnamed(new)?,
            None => return Err(ENOENT.because("a removed file")),
        };
        copy_xattrs(&lower, &upper)?;
        restore_times(&upper, &attr)?;
        let is_dir = self.file_type() == FileType::Directory;
        if !is_dir {
            // The other names stay below.
            let others = attr.nlink.saturating_sub(u32::from(named));
            let others = i32::try_from(others).unwrap_or(i32::MAX);
            self.links.fetch_add(others, Ordering::Relaxed);
            if others > 0 {
                // Names below must find it even after all names above are gone.
                layer.work.link(&index_name(&upper), &upper)?;
                self.links.fetch_sub(1, Ordering::Relaxed);
                self.indexed.store(true, Ordering::Relaxed);
            }
        }
        let has_data = self.file_type() == FileType::Regular && attr.size > 0;
        let mut layers = self.layers.write();
        layers.upper = Some(upper.clone());
        drop(layers);
        self.data_above.store(!has_data, Ordering::Release);
        self.fs.keep(key_of(&upper), self);
        Ok(upper)
    }

    /// Opens a layer's file on the kernel's behalf.
    fn open_layer(&self, inode: &InodeRef, mode: u32) -> Result<Arc<File>, Errno> {
        let flags = OpenFlags(mode);
        let ops = inode.clone().open(flags, &self.fs.kernel)?;
        let path = Path::anonymous(inode.clone(), b"layer"[..].into(), false);
        Ok(File::new(ops, path, flags))
    }

    /// Copies the contents, leaving holes where there are holes.
    fn copy_data(&self, from: &InodeRef, to: &InodeRef) -> Result<(), Errno> {
        let size = from.attr()?.size;
        let source = self.open_layer(from, O_RDONLY)?;
        let target = self.open_layer(to, O_WRONLY)?;
        let mut buf = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK))];
        let mut at = 0;
        while at < size {
            let start = match source.ops().seek(at, at.cast_signed(), SEEK_DATA) {
                Ok(start) => start,
                Err(errno) if errno == ENXIO => break,
                Err(errno) => return Err(errno),
            };
            let end = source.ops().seek(start, start.cast_signed(), SEEK_HOLE)?.min(size);
            at = start;
            while at < end {
                let len = usize::try_from(end - at).unwrap_or(CHUNK).min(buf.len());
                let part = buf.get_mut(..len).ok_or(EIO)?;
                let got = source.read_at(&mut IoDst::kernel(part), at)?;
                let part = part.get(..got).unwrap_or_default();
                if part.is_empty() {
                    break;
                }
                let mut src = IoSrc::kernel(part);
                while src.remaining() > 0 {
                    let done = target.write_at(&mut src, at)?;
                    at += done as u64;
                }
            }
            if at < end {
                break;
            }
        }
        to.set_attr(&SetAttr { size: Some(size), ..SetAttr::default() })
    }

    /// Serves `set_attr`: copies up what the change needs, then changes the counterpart.
    pub(super) fn change_attr(self: &Arc<Self>, change: &SetAttr) -> Result<(), Errno> {
        let changing = self.fs.change.lock();
        let extent = match change.size {
            Some(size) if size > 0 => Extent::Everything,
            _ => Extent::Attributes,
        };
        let upper = self.copy_up(extent, &changing)?;
        upper.set_attr(change)?;
        if change.size.is_some() {
            self.data_above.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// The upper counterpart with the contents, for writers.
    pub(super) fn writable(self: &Arc<Self>) -> Result<InodeRef, Errno> {
        if self.data_above.load(Ordering::Acquire)
            && let Some(upper) = &self.layers.read().upper
        {
            return Ok(upper.clone());
        }
        let changing = self.fs.change.lock();
        self.copy_up(Extent::Everything, &changing)
    }
}

/// The name of a link in the work directory.
fn index_name(upper: &InodeRef) -> Vec<u8> {
    format!("{:x}", upper.ino()).into_bytes()
}

impl OverlayInode {
    /// Removes the link in the work directory: the last name is gone.
    pub(super) fn drop_index(&self) {
        if !self.indexed.swap(false, Ordering::Relaxed) {
            return;
        }
        let upper = self.layers.read().upper.clone();
        if let (Some(layer), Some(upper)) = (&self.fs.upper, upper)
            && layer.work.unlink(&index_name(&upper)).is_ok()
        {
            self.links.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn restore_times(inode: &InodeRef, attr: &Attr) -> Result<(), Errno> {
    let (atime, mtime) = (Some(attr.atime), Some(attr.mtime));
    inode.set_attr(&SetAttr { atime, mtime, ..SetAttr::default() })
}

fn copy_xattrs(from: &InodeRef, to: &InodeRef) -> Result<(), Errno> {
    let names = match from.list_xattr() {
        Ok(names) => names,
        Err(errno) if errno == EOPNOTSUPP => return Ok(()),
        Err(errno) => return Err(errno),
    };
    for name in names.iter().filter(|name| !name.starts_with(OWN_XATTRS)) {
        if let Some(kind) = AclKind::from_name(name) {
            if let Some(acl) = from.acl(kind)? {
                to.set_acl(kind, Some(acl), None)?;
            }
            continue;
        }
        let Ok(value) = from.get_xattr(name) else { continue };
        match to.set_xattr(name, &value, 0) {
            Ok(()) => {}
            // The upper layer cannot keep it: as on Linux, the file is copied without.
            Err(errno) if errno == EOPNOTSUPP => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
