//! Copy-up: giving a lower file its counterpart in the upper layer before it changes.

use crate::acl::AclKind;
use crate::file::{File, OpenFlags};
use crate::inode::{Attr, FileType, Inode, InodeRef, NewAttr, NewNode, S_IALLUGO, SetAttr};
use crate::mount::Path;
use crate::overlay::inode::Place;
use crate::overlay::{Format, OverlayInode, key_of};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EIO, EISDIR, ENOENT, ENXIO, EOPNOTSUPP, EPERM, EROFS};
use bevor_abi::fcntl::{O_RDONLY, O_WRONLY, SEEK_DATA, SEEK_HOLE};
use bevor_abi::stat::{S_ISGID, S_ISUID};
use bevor_memory::{IoDst, IoSrc};
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes copied at a time.
const CHUNK: usize = 1 << 20;

/// The end of every file. (`u64::MAX` would take private copies of its pages away, too.)
const WHOLE_FILE: u64 = i64::MAX.cast_unsigned();

/// What of a file is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Owner, mode, times, attributes.
    Attributes,
    /// The contents too.
    Everything,
}

/// Shows that [`OverlayFs::change`](crate::overlay::OverlayFs) is held.
pub(super) type Changing<'a> = MutexGuard<'a, ()>;

/// A copy that is not in its place yet.
struct Staged {
    inode: InodeRef,
    /// Its name in the work directory, where the layer has no files without names.
    name: Option<Vec<u8>>,
}

/// Draws a name for the work directory.
fn temporary_name() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("#{:x}", NEXT.fetch_add(1, Ordering::Relaxed)).into_bytes()
}

impl OverlayInode {
    /// The upper counterpart, made if need be, without its contents where that can be.
    pub(super) fn copied_up(&self) -> Result<InodeRef, Errno> {
        if let Some(upper) = &self.layers.read().upper {
            return Ok(upper.clone());
        }
        let this = self.this()?;
        this.move_contents_first()?;
        let changing = self.fs.change.lock();
        this.copy_up(&changing)
    }

    /// Moves the contents up where a counterpart must not be without, so that nobody waits for that
    /// in [`OverlayInode::copy_up`].
    pub(super) fn move_contents_first(self: &Arc<Self>) -> Result<(), Errno> {
        if self.fs.format() == Format::Linux && self.file_type() == FileType::Regular {
            self.writable()?;
        }
        Ok(())
    }

    /// Makes the upper counterparts of the directories this inode is in.
    fn copy_up_parents(&self, changing: &Changing<'_>) -> Result<(), Errno> {
        let above = |inode: &Self| inode.place.lock().as_ref().map(|place| place.dir.clone());
        let mut chain = Vec::new();
        let mut next = above(self);
        while let Some(dir) = next
            && dir.layers.read().upper.is_none()
        {
            next = above(&dir);
            chain.push(dir);
        }
        for dir in chain.iter().rev() {
            dir.make_counterpart(None, changing)?;
        }
        Ok(())
    }

    /// Makes the upper counterpart of this inode and of the directories above it; that of a regular
    /// file has its contents only in [`Format::Linux`].
    pub(super) fn copy_up(self: &Arc<Self>, changing: &Changing<'_>) -> Result<InodeRef, Errno> {
        let existing = self.layers.read().upper.clone();
        if let Some(upper) = existing {
            return Ok(upper);
        }
        self.copy_up_parents(changing)?;
        self.make_counterpart(None, changing)
    }

    fn lower(&self) -> Result<InodeRef, Errno> {
        self.layers.read().lower.first().cloned().ok_or_else(|| EIO.into())
    }

    /// Makes a copy of a regular lower file without giving it a place.
    fn stage(&self, extent: Extent) -> Result<Staged, Errno> {
        let layer = self.fs.upper.as_ref().ok_or(EROFS)?;
        let lower = self.lower()?;
        let attr = lower.attr()?;
        let new = NewAttr { mode: attr.mode & S_IALLUGO, uid: attr.uid, gid: attr.gid };
        let staged = match layer.work.create_unnamed(new) {
            Ok(inode) => Staged { inode, name: None },
            Err(errno) if [EOPNOTSUPP, EISDIR, EINVAL, ENOENT].iter().any(|&no| errno == no) => {
                let name = temporary_name();
                let inode = layer.work.create(&name, &NewNode::Regular, new)?;
                Staged { inode, name: Some(name) }
            }
            Err(errno) => return Err(errno),
        };
        let fill = || {
            if extent == Extent::Everything {
                self.copy_data(&lower, &staged.inode)?;
            }
            self.copy_xattrs(&lower, &staged.inode)?;
            if attr.mode & (S_ISUID | S_ISGID) != 0 {
                // The host takes these bits off a file that is written to.
                let mode = Some(attr.mode & S_IALLUGO);
                staged.inode.set_attr(&SetAttr { mode, ..SetAttr::default() })?;
            }
            restore_times(&staged.inode, &attr)
        };
        fill().inspect_err(|_| self.discard(&staged))?;
        Ok(staged)
    }

    /// Takes the name of a copy away that will not be used.
    fn discard(&self, staged: &Staged) {
        if let (Some(name), Some(layer)) = (&staged.name, &self.fs.upper) {
            // Left behind, it is in nobody's way, and removed with the work directory.
            let _gone = layer.work.unlink(name);
        }
    }

    /// Puts a copy in its place: `name` of upper directory `dir`.
    fn install(&self, staged: &Staged, dir: &InodeRef, name: &[u8]) -> Result<(), Errno> {
        match (&staged.name, &self.fs.upper) {
            (Some(temporary), Some(layer)) => layer.work.rename(temporary, dir, name, 0),
            _ => dir.link(name, &staged.inode),
        }
    }

    /// Makes the upper counterpart, of a copy if there is one; the directory it is in has its own.
    fn make_counterpart(
        self: &Arc<Self>,
        staged: Option<Staged>,
        _: &Changing<'_>,
    ) -> Result<InodeRef, Errno> {
        let layer = self.fs.upper.as_ref().ok_or(EROFS)?;
        let lower = self.lower()?;
        let attr = lower.attr()?;
        let new = NewAttr { mode: attr.mode & S_IALLUGO, uid: attr.uid, gid: attr.gid };
        let place =
            self.place.lock().as_ref().map(|Place { dir, name, .. }| (dir.clone(), name.clone()));
        let named = place.is_some();
        let is_regular = self.file_type() == FileType::Regular;
        let staged = match staged {
            // Without a name only contents can matter.
            None if is_regular && (self.fs.format() == Format::Linux || !named) => {
                let complete = self.fs.format() == Format::Linux;
                Some(self.stage(if complete { Extent::Everything } else { Extent::Attributes })?)
            }
            staged => staged,
        };
        let complete = staged.is_some() && self.fs.format() == Format::Linux;
        let above = match &place {
            Some((dir, name)) => {
                let above = dir.layers.read().upper.clone().ok_or(EROFS)?;
                let times = above.attr()?;
                Some((above, name, times))
            }
            None => None,
        };
        let upper = match (&staged, &above) {
            (Some(staged), Some((above, name, _))) => {
                self.install(staged, above, name).inspect_err(|_| self.discard(staged))?;
                staged.inode.clone()
            }
            (Some(staged), None) => {
                self.discard(staged);
                staged.inode.clone()
            }
            (None, Some((above, name, _))) => {
                let upper = self.create_like(&lower, above, name, new)?;
                self.copy_xattrs(&lower, &upper)?;
                restore_times(&upper, &attr)?;
                upper
            }
            (None, None) => return Err(ENOENT.because("a removed file")),
        };
        if let Some((above, _, times)) = &above {
            restore_times(above, times)?;
        }
        if self.file_type() != FileType::Directory {
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
        let has_data = is_regular && attr.size > 0 && !complete;
        self.data_above.store(!has_data, Ordering::Release);
        self.layers.write().upper = Some(upper.clone());
        self.fs.keep(key_of(&upper), self);
        Ok(upper)
    }

    /// Makes a file in upper directory `dir` of the kind that `lower` is.
    fn create_like(
        &self,
        lower: &InodeRef,
        dir: &InodeRef,
        name: &[u8],
        new: NewAttr,
    ) -> Result<InodeRef, Errno> {
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
            FileType::CharDevice => NewNode::Device { char: true, rdev: lower.attr()?.rdev },
            FileType::BlockDevice => NewNode::Device { char: false, rdev: lower.attr()?.rdev },
        };
        dir.create(name, &node, new)
    }

    /// The upper counterpart with the contents, if it is there.
    fn complete(&self) -> Option<InodeRef> {
        if !self.data_above.load(Ordering::Acquire) {
            return None;
        }
        self.layers.read().upper.clone()
    }

    /// The upper counterpart with the contents, for writers.
    pub(super) fn writable(self: &Arc<Self>) -> Result<InodeRef, Errno> {
        if let Some(upper) = self.complete() {
            return Ok(upper);
        }
        let moving = self.moving.lock();
        self.move_up(Extent::Everything, &moving)
    }

    /// Makes the upper counterpart of a regular file complete, or empty with
    /// [`Extent::Attributes`].
    fn move_up(
        self: &Arc<Self>,
        extent: Extent,
        _: &MutexGuard<'_, ()>,
    ) -> Result<InodeRef, Errno> {
        if let Some(upper) = self.complete() {
            return Ok(upper);
        }
        let existing = self.layers.read().upper.clone();
        let upper = match existing {
            Some(upper) => upper,
            None => {
                let staged = self.stage(extent)?;
                let changing = self.fs.change.lock();
                let existing = self.layers.read().upper.clone();
                if let Some(upper) = existing {
                    drop(changing);
                    self.discard(&staged);
                    if let Some(upper) = self.complete() {
                        return Ok(upper);
                    }
                    upper
                } else {
                    self.copy_up_parents(&changing).inspect_err(|_| self.discard(&staged))?;
                    let upper = self.make_counterpart(Some(staged), &changing)?;
                    drop(changing);
                    self.contents_moved();
                    return Ok(upper);
                }
            }
        };
        if extent == Extent::Everything {
            let attr = upper.attr()?;
            self.copy_data(&self.lower()?, &upper)?;
            restore_times(&upper, &attr)?;
        }
        self.contents_moved();
        Ok(upper)
    }

    /// Notes that the upper layer has the contents: mappings of what is below follow.
    fn contents_moved(&self) {
        self.data_above.store(true, Ordering::Release);
        self.mappings.invalidate(self.mappable_id, 0..WHOLE_FILE);
    }

    /// Opens a layer's file on the kernel's behalf.
    fn open_layer(&self, inode: &InodeRef, mode: u32) -> Result<Arc<File>, Errno> {
        let flags = OpenFlags(mode);
        let ops = inode.clone().open(flags, &self.fs.kernel)?;
        let path = Path::anonymous(inode.clone(), b"layer"[..].into(), false);
        Ok(File::new(ops, path, OpenFlags(mode | OpenFlags::UNSEEN)))
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
        let Some(size) = change.size.filter(|_| self.file_type() == FileType::Regular) else {
            return self.copied_up()?.set_attr(change);
        };
        let moving = self.moving.lock();
        let before = self.data()?.attr()?.size;
        let extent = if size > 0 { Extent::Everything } else { Extent::Attributes };
        self.move_up(extent, &moving)?.set_attr(change)?;
        drop(moving);
        if size < before {
            self.mappings.invalidate(self.mappable_id, size..u64::MAX);
        }
        Ok(())
    }

    /// Brings everything below a directory up with it, so that the upper layer alone says what is in
    /// it. Without `changing` only contents of files come up, as a preparation.
    pub(super) fn bring_up_all(
        self: &Arc<Self>,
        changing: Option<&Changing<'_>>,
    ) -> Result<(), Errno> {
        if self.file_type() != FileType::Directory {
            return if changing.is_none() { self.move_contents_first() } else { Ok(()) };
        }
        // A list, as a guest can nest directories deeper than the host stack is.
        let mut dirs = vec![self.clone()];
        let mut at = 0;
        while let Some(dir) = dirs.get(at).cloned() {
            at += 1;
            if !dir.has_lower() {
                continue;
            }
            for entry in dir.entries()? {
                let child = dir.child(&entry.name)?;
                match changing {
                    Some(changing) => dir.bring_up(&entry.name, &child, changing)?,
                    None => child.move_contents_first()?,
                }
                if child.file_type() == FileType::Directory {
                    dirs.push(child);
                }
            }
        }
        if let Some(changing) = changing {
            for dir in dirs.iter().filter(|dir| dir.has_lower()) {
                self.fs.set_opaque(&dir.copy_up(changing)?)?;
                let lower = std::mem::take(&mut dir.layers.write().lower);
                dir.links.store(0, Ordering::Relaxed);
                self.fs.forget_below(&lower);
            }
        }
        Ok(())
    }

    fn copy_xattrs(&self, from: &InodeRef, to: &InodeRef) -> Result<(), Errno> {
        let names = match from.list_xattr() {
            Ok(names) => names,
            Err(errno) if errno == EOPNOTSUPP => return Ok(()),
            Err(errno) => return Err(errno),
        };
        for name in names.iter().filter(|name| !self.fs.is_own(name)) {
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
                // Not for whoever serves the upper layer to give.
                Err(errno) if errno == EPERM && self.fs.format() == Format::Linux => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
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
