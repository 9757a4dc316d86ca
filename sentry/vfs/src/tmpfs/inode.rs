//! Inodes of tmpfs.

use crate::acl::{self, Acl, AclKind};
use crate::caller::Caller;
use crate::dev;
use crate::file::{FileOps, OpenFlags};
use crate::inode::{
    Attr, FileTime, FileType, FsStat, Inode, InodeRef, MAY_EXEC, NewAttr, NewNode, SetAttr,
};
use crate::meta::{AccessTimes, Meta};
use crate::namei::attr::FILE_CAPABILITIES;
use crate::namei::flags;
use crate::pipe::FifoNode;
use crate::tmpfs::TmpFs;
use crate::tmpfs::dir::{DirFile, Entries};
use crate::tmpfs::file::{Content, RegularFile};
use crate::tmpfs::xattr::{self, Xattrs};
use bevor_abi::Errno;
use bevor_abi::errno::{
    EACCES, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, ENXIO, EOPNOTSUPP, EPERM, EXDEV,
};
use bevor_abi::fcntl::{F_SEAL_EXEC, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT};
use bevor_abi::stat::{FS_NOATIME_FL, FS_NODUMP_FL};
use bevor_base::Credentials;
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A file, directory, link, fifo, socket name or device name of tmpfs.
pub struct TmpInode {
    pub(super) fs: Arc<TmpFs>,
    pub(super) ino: u64,
    kind: FileType,
    nlink: AtomicU32,
    /// `FS_*_FL`.
    flags: AtomicU32,
    /// Made by `O_TMPFILE` and never linked: `link` may give it its first name.
    unnamed: AtomicBool,
    pub(super) meta: RwLock<Meta>,
    xattrs: Mutex<Xattrs>,
    /// Whether file capabilities are among them.
    has_file_capabilities: AtomicBool,
    acls: Mutex<Acls>,
    /// Whether it has an access list or a default one.
    has_acls: AtomicBool,
    pub(super) body: Body,
}

/// Access control lists of an inode.
#[derive(Default)]
struct Acls {
    access: Option<Arc<Acl>>,
    default: Option<Arc<Acl>>,
}

/// What the kinds of inodes hold.
pub(super) enum Body {
    Regular(Content),
    Directory(Mutex<Entries>),
    Symlink(Box<[u8]>),
    Fifo(FifoNode),
    Socket,
    Device(u64),
}

impl TmpInode {
    fn make(
        fs: &Arc<TmpFs>,
        kind: FileType,
        attr: NewAttr,
        nlink: u32,
        body: impl FnOnce(u64) -> Result<Body, Errno>,
    ) -> Result<Arc<Self>, Errno> {
        let ino = fs.new_ino()?;
        let body = match body(ino) {
            Ok(body) => body,
            Err(errno) => {
                fs.inode_gone();
                return Err(errno);
            }
        };
        Ok(Arc::new(Self {
            fs: fs.clone(),
            ino,
            kind,
            nlink: AtomicU32::new(nlink),
            flags: AtomicU32::new(0),
            unnamed: AtomicBool::new(false),
            meta: RwLock::new(Meta::new(kind, attr)),
            xattrs: Mutex::default(),
            has_file_capabilities: AtomicBool::new(false),
            acls: Mutex::default(),
            has_acls: AtomicBool::new(false),
            body,
        }))
    }

    /// Makes a directory; without `parent` it is a root, its own parent.
    pub(super) fn directory(
        fs: &Arc<TmpFs>,
        attr: NewAttr,
        parent: Option<u64>,
    ) -> Result<Arc<Self>, Errno> {
        Self::make(fs, FileType::Directory, attr, 2, |ino| {
            Ok(Body::Directory(Mutex::new(Entries::new(parent.unwrap_or(ino)))))
        })
    }

    /// Makes a regular file with `nlink` names.
    pub(crate) fn regular(fs: &Arc<TmpFs>, attr: NewAttr, nlink: u32) -> Result<Arc<Self>, Errno> {
        let content = Content::new(fs)?;
        Self::make(fs, FileType::Regular, attr, nlink, |_| Ok(Body::Regular(content)))
    }

    fn node(&self, node: &NewNode<'_>, attr: NewAttr) -> Result<Arc<Self>, Errno> {
        let fs = &self.fs;
        match node {
            NewNode::Regular => Self::regular(fs, attr, 1),
            NewNode::Directory => Self::directory(fs, attr, Some(self.ino)),
            NewNode::Symlink(target) => {
                Self::make(fs, FileType::Symlink, attr, 1, |_| Ok(Body::Symlink((*target).into())))
            }
            NewNode::Fifo => {
                Self::make(fs, FileType::Fifo, attr, 1, |_| Ok(Body::Fifo(FifoNode::default())))
            }
            NewNode::Socket => Self::make(fs, FileType::Socket, attr, 1, |_| Ok(Body::Socket)),
            NewNode::Device { char, rdev } => {
                let kind = if *char { FileType::CharDevice } else { FileType::BlockDevice };
                Self::make(fs, kind, attr, 1, |_| Ok(Body::Device(*rdev)))
            }
        }
    }

    pub(super) fn entries(&self) -> Result<&Mutex<Entries>, Errno> {
        match &self.body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(ENOTDIR.into()),
        }
    }

    /// The contents of a regular file.
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL` for what has none.
    pub(crate) fn content(&self) -> Result<&Content, Errno> {
        match &self.body {
            Body::Regular(content) => Ok(content),
            Body::Directory(_) => Err(EISDIR.into()),
            _ => Err(EINVAL.into()),
        }
    }

    /// The operations of a new open description of a regular file.
    pub(crate) fn open_content(self: Arc<Self>) -> Box<dyn FileOps> {
        Box::new(RegularFile { inode: self })
    }

    /// Notes whether there are file capabilities, after a change of the attribute `name`.
    fn note_file_capabilities(&self, name: &[u8], xattrs: &Xattrs) {
        if name == FILE_CAPABILITIES {
            self.has_file_capabilities.store(xattrs.get(name).is_ok(), Ordering::Relaxed);
        }
    }

    /// Takes over the flags a new file has from its directory.
    fn inherit(&self, dir: &Self) {
        let flags = dir.flags.load(Ordering::Relaxed) & (FS_NODUMP_FL | FS_NOATIME_FL);
        if flags != 0 {
            self.flags.store(flags, Ordering::Relaxed);
        }
    }

    fn of(inode: &InodeRef) -> Result<&Self, Errno> {
        inode.as_any().downcast_ref().ok_or_else(|| EXDEV.into())
    }

    /// Counts one name more or less, with the time of the change.
    fn links_changed(&self, by: i32) {
        if by >= 0 {
            self.nlink.fetch_add(by.unsigned_abs(), Ordering::Relaxed);
        } else {
            let before = self.nlink.fetch_sub(by.unsigned_abs(), Ordering::Relaxed);
            if self.kind != FileType::Directory && before > 1 {
                self.fs.link_gone();
            }
        }
        self.meta.write().ctime = FileTime::now();
    }

    fn entries_changed(&self) {
        self.meta.write().modified();
    }

    /// Takes `name` out of `entries`, this directory's, after `check`.
    fn remove(
        &self,
        entries: &mut MutexGuard<'_, Entries>,
        name: &[u8],
        check: impl FnOnce(&Self) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let victim = entries.get(name)?.clone();
        let child = Self::of(&victim)?;
        check(child)?;
        drop(entries.take(name));
        if child.kind == FileType::Directory {
            child.links_changed(-2);
            self.nlink.fetch_sub(1, Ordering::Relaxed);
        } else {
            child.links_changed(-1);
        }
        self.entries_changed();
        Ok(())
    }
}

/// Marks an empty directory dead.
fn kill_if_empty(dir: &TmpInode) -> Result<(), Errno> {
    let mut entries = dir.entries()?.lock();
    if !entries.is_empty() {
        return Err(ENOTEMPTY.into());
    }
    entries.dead = true;
    Ok(())
}

impl Inode for TmpInode {
    fn file_type(&self) -> FileType {
        self.kind
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn dev(&self) -> u64 {
        self.fs.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let nlink = self.nlink.load(Ordering::Relaxed);
        let mut attr = self.meta.read().attr(self.fs.dev, self.ino, nlink);
        attr.attributes = flags::attributes(self.flags.load(Ordering::Relaxed));
        match &self.body {
            Body::Regular(content) => {
                attr.size = content.store.size();
                attr.blocks = content.store.allocated_bytes() / 512;
            }
            Body::Directory(entries) => attr.size = entries.lock().size(),
            Body::Symlink(target) => attr.size = target.len() as u64,
            Body::Device(rdev) => attr.rdev = *rdev,
            Body::Fifo(_) | Body::Socket => {}
        }
        Ok(attr)
    }

    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        if let Some(size) = change.size {
            self.content()?.set_size(size)?;
        }
        if let (Some(mode), Body::Regular(content)) = (change.mode, &self.body)
            && content.seals() & F_SEAL_EXEC != 0
            && (mode ^ self.meta.read().mode) & 0o111 != 0
        {
            return Err(EPERM.because("sealed against changing execute permission"));
        }
        let mut meta = self.meta.write();
        meta.apply(change);
        if let Some(mode) = change.mode
            && self.has_acls.load(Ordering::Relaxed)
        {
            let mut acls = self.acls.lock();
            acls.access = acls.access.take().map(|acl| Arc::new(acl.with_mode(mode)));
        }
        if change.size.is_some() {
            meta.mtime = change.mtime.unwrap_or(meta.ctime);
        }
        Ok(())
    }

    fn permission(&self, cred: &Credentials, want: u32) -> Result<(), Errno> {
        let meta = self.meta.read();
        // Searching a directory anybody may search is most of what a walk asks.
        let has_acls = self.has_acls.load(Ordering::Acquire);
        if want == MAY_EXEC && meta.mode & 0o111 == 0o111 && !has_acls {
            return Ok(());
        }
        if has_acls {
            let attr = meta.attr(self.fs.dev, self.ino, 0);
            drop(meta);
            return acl::permission(&attr, cred, want, || self.acl(AclKind::Access));
        }
        if cred.may_access(meta.uid, meta.gid, meta.mode, want) {
            Ok(())
        } else {
            Err(EACCES.into())
        }
    }

    fn flags(&self) -> Option<u32> {
        let kept = matches!(self.kind, FileType::Regular | FileType::Directory);
        kept.then(|| self.flags.load(Ordering::Relaxed))
    }

    fn set_flags(&self, flags: u32) -> Result<(), Errno> {
        self.flags.store(flags, Ordering::Relaxed);
        self.meta.write().ctime = FileTime::now();
        Ok(())
    }

    fn keeps_acls(&self) -> bool {
        self.kind != FileType::Symlink
    }

    fn acl(&self, kind: AclKind) -> Result<Option<Arc<Acl>>, Errno> {
        if !self.has_acls.load(Ordering::Acquire) {
            return Ok(None);
        }
        let acls = self.acls.lock();
        Ok(match kind {
            AclKind::Access => acls.access.clone(),
            AclKind::Default => acls.default.clone(),
        })
    }

    fn set_acl(
        &self,
        kind: AclKind,
        acl: Option<Arc<Acl>>,
        mode: Option<u32>,
    ) -> Result<(), Errno> {
        let mut meta = self.meta.write();
        meta.apply(&SetAttr { mode, ..SetAttr::default() });
        let mut acls = self.acls.lock();
        match kind {
            AclKind::Access => acls.access = acl,
            AclKind::Default => acls.default = acl,
        }
        let any = acls.access.is_some() || acls.default.is_some();
        self.has_acls.store(any, Ordering::Release);
        Ok(())
    }

    fn accessed(&self, rule: AccessTimes) {
        if self.flags.load(Ordering::Relaxed) & FS_NOATIME_FL != 0 {
            return;
        }
        let new = self.meta.read().new_atime(rule);
        if let Some(atime) = new {
            self.meta.write().atime = atime;
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        Ok(self.entries()?.lock().get(name)?.clone())
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>, attr: NewAttr) -> Result<InodeRef, Errno> {
        let mut entries = self.entries()?.lock();
        entries.check_free(name)?;
        let inode = self.node(node, attr)?;
        inode.inherit(self);
        if inode.kind == FileType::Directory {
            self.nlink.fetch_add(1, Ordering::Relaxed);
        }
        entries.put(name, inode.clone());
        drop(entries);
        self.entries_changed();
        Ok(inode)
    }

    fn create_unnamed(&self, attr: NewAttr) -> Result<InodeRef, Errno> {
        let inode = Self::regular(&self.fs, attr, 0)?;
        inode.unnamed.store(true, Ordering::Relaxed);
        inode.inherit(self);
        Ok(inode)
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        let inode = Self::of(target)?;
        if !Arc::ptr_eq(&inode.fs, &self.fs) {
            return Err(EXDEV.into());
        }
        if inode.kind == FileType::Directory {
            return Err(EPERM.into());
        }
        let mut entries = self.entries()?.lock();
        entries.check_free(name)?;
        if inode.nlink.load(Ordering::Relaxed) > 0 {
            self.fs.new_link()?;
        } else if !inode.unnamed.swap(false, Ordering::Relaxed) {
            return Err(ENOENT.because("the file has no name left"));
        }
        inode.links_changed(1);
        entries.put(name, target.clone());
        drop(entries);
        self.entries_changed();
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let mut entries = self.entries()?.lock();
        self.remove(&mut entries, name, |child| match child.kind {
            FileType::Directory => Err(EISDIR.into()),
            _ => Ok(()),
        })
    }

    fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        let _topology = self.fs.topology.lock();
        let mut entries = self.entries()?.lock();
        self.remove(&mut entries, name, |child| match child.kind {
            FileType::Directory => kill_if_empty(child),
            _ => Err(ENOTDIR.into()),
        })
    }

    fn rename(
        &self,
        name: &[u8],
        new_dir: &InodeRef,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        let new = Self::of(new_dir)?;
        if !Arc::ptr_eq(&self.fs, &new.fs) {
            return Err(EXDEV.into());
        }
        let _topology = self.fs.topology.lock();
        let across = self.ino != new.ino;
        let mut old_entries = self.entries()?.lock();
        let mut other = if across { Some(new.entries()?.lock()) } else { None };
        let source = old_entries.get(name)?.clone();
        let new_entries = other.as_deref_mut().unwrap_or(&mut old_entries);
        if new_entries.dead {
            return Err(ENOENT.because("removed directory"));
        }
        let target = new_entries.get(new_name).ok().cloned();
        if target.as_ref().is_some_and(|target| Arc::ptr_eq(target, &source)) {
            return Ok(());
        }
        let moved = Self::of(&source)?;
        let is_dir = moved.kind == FileType::Directory;
        if flags & RENAME_EXCHANGE != 0 {
            let target = target.ok_or(ENOENT)?;
            let back = Self::of(&target)?;
            new_entries.put(new_name, source.clone());
            old_entries.put(name, target.clone());
            if across {
                let back_is_dir = back.kind == FileType::Directory;
                for (node, parent) in [(moved, new), (back, self)] {
                    if let Body::Directory(entries) = &node.body {
                        entries.lock().parent = parent.ino;
                    }
                }
                if is_dir && !back_is_dir {
                    self.nlink.fetch_sub(1, Ordering::Relaxed);
                    new.nlink.fetch_add(1, Ordering::Relaxed);
                } else if back_is_dir && !is_dir {
                    new.nlink.fetch_sub(1, Ordering::Relaxed);
                    self.nlink.fetch_add(1, Ordering::Relaxed);
                }
            }
            back.links_changed(0);
        } else {
            if let Some(target) = &target {
                if flags & RENAME_NOREPLACE != 0 {
                    return Err(EEXIST.into());
                }
                let victim = Self::of(target)?;
                match (is_dir, victim.kind == FileType::Directory) {
                    (true, true) => kill_if_empty(victim)?,
                    (true, false) => return Err(ENOTDIR.into()),
                    (false, true) => return Err(EISDIR.into()),
                    (false, false) => {}
                }
            }
            let whiteout = if flags & RENAME_WHITEOUT != 0 {
                let attr = NewAttr { mode: 0, uid: 0, gid: 0 };
                Some(self.node(&NewNode::Device { char: true, rdev: 0 }, attr)?)
            } else {
                None
            };
            if let Some(target) = new_entries.put(new_name, source.clone()) {
                let victim = Self::of(&target)?;
                if is_dir {
                    victim.links_changed(-2);
                    new.nlink.fetch_sub(1, Ordering::Relaxed);
                } else {
                    victim.links_changed(-1);
                }
            }
            drop(old_entries.take(name));
            if let Some(whiteout) = whiteout {
                old_entries.put(name, whiteout);
            }
            if is_dir && across {
                self.nlink.fetch_sub(1, Ordering::Relaxed);
                new.nlink.fetch_add(1, Ordering::Relaxed);
                moved.entries()?.lock().parent = new.ino;
            }
        }
        drop(other);
        drop(old_entries);
        moved.links_changed(0);
        self.entries_changed();
        if across {
            new.entries_changed();
        }
        Ok(())
    }

    fn read_link(&self, caller: &dyn Caller) -> Result<Vec<u8>, Errno> {
        let _ = caller;
        match &self.body {
            Body::Symlink(target) => Ok(target.to_vec()),
            _ => Err(EINVAL.into()),
        }
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        match &self.body {
            Body::Regular(_) => Ok(self.open_content()),
            Body::Directory(_) => Ok(Box::new(DirFile { inode: self })),
            Body::Fifo(fifo) => fifo.open(flags),
            Body::Device(rdev) => dev::open(self.kind, *rdev, flags, caller),
            Body::Symlink(_) | Body::Socket => Err(ENXIO.into()),
        }
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        supported(name)?;
        self.xattrs.lock().get(name)
    }

    fn has_file_capabilities(&self) -> bool {
        self.has_file_capabilities.load(Ordering::Relaxed)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        supported(name)?;
        let bytes = xattr::space(name, value.len());
        self.fs.new_xattr(bytes)?;
        let mut xattrs = self.xattrs.lock();
        let old = xattrs.set(name, value, flags);
        self.note_file_capabilities(name, &xattrs);
        drop(xattrs);
        match old {
            Ok(old) => self.fs.xattr_gone(old.map_or(0, |len| xattr::space(name, len))),
            Err(errno) => {
                self.fs.xattr_gone(bytes);
                return Err(errno);
            }
        }
        self.meta.write().ctime = FileTime::now();
        Ok(())
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = Vec::new();
        for kind in [AclKind::Access, AclKind::Default] {
            if self.acl(kind)?.is_some() {
                names.push(kind.name().to_vec());
            }
        }
        names.extend(self.xattrs.lock().list());
        Ok(names)
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        supported(name)?;
        let mut xattrs = self.xattrs.lock();
        let len = xattrs.remove(name)?;
        self.note_file_capabilities(name, &xattrs);
        drop(xattrs);
        self.fs.xattr_gone(xattr::space(name, len));
        self.meta.write().ctime = FileTime::now();
        Ok(())
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(self.fs.statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Whether tmpfs keeps attributes of this name space.
fn supported(name: &[u8]) -> Result<(), Errno> {
    let known: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
    match known.iter().find(|prefix| name.starts_with(prefix)) {
        Some(prefix) if name.len() == prefix.len() => Err(EINVAL.because("no name after the dot")),
        Some(_) => Ok(()),
        None => Err(EOPNOTSUPP.into()),
    }
}

impl Drop for TmpInode {
    fn drop(&mut self) {
        self.fs.xattr_gone(self.xattrs.get_mut().space());
        self.fs.inode_gone();
        let Body::Directory(entries) = &mut self.body else { return };
        // In a loop: a guest can nest directories deeper than the host stack is.
        let mut pending = entries.get_mut().drain();
        while let Some(child) = pending.pop() {
            if Arc::strong_count(&child) == 1
                && let Some(Ok(entries)) = child.as_any().downcast_ref::<Self>().map(Self::entries)
            {
                pending.extend(entries.lock().drain());
            }
        }
    }
}
