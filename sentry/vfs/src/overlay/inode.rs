//! Inodes of overlay.

use crate::acl::{Acl, AclKind};
use crate::caller::Caller;
use crate::dentry::Name;
use crate::dev;
use crate::file::{FileOps, OpenFlags};
use crate::inode::{
    Attr, CachePolicy, FileType, FsStat, HostPeer, Inode, InodeRef, NewAttr, NewNode, SetAttr,
};
use crate::meta::AccessTimes;
use crate::overlay::dir::OverlayDir;
use crate::overlay::file::OverlayFile;
use crate::overlay::{Key, OverlayFs, key_of};
use crate::pipe::FifoNode;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EIO, ENODATA, ENXIO, EPERM, EXDEV};
use bevor_abi::stat::OVERLAYFS_SUPER_MAGIC;
use bevor_base::Credentials;
use bevor_memory::{MappingSet, next_mappable_id};
use parking_lot::{Mutex, RwLock};
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Weak};

/// A file of the merged tree.
pub struct OverlayInode {
    pub(super) fs: Arc<OverlayFs>,
    me: Weak<Self>,
    kind: FileType,
    /// Device and inode number guests see.
    id: Key,
    pub(super) layers: RwLock<Layers>,
    /// Directory and name it is known by; what copy-up uses. None once that name is gone.
    pub(super) place: Mutex<Option<Place>>,
    /// Names there are beyond what the layer's own count says.
    pub(super) links: AtomicI32,
    /// Whether writes have moved the contents to the upper layer.
    pub(super) data_above: AtomicBool,
    /// Whether the upper layer's work directory has a link to it.
    pub(super) indexed: AtomicBool,
    /// Held while the contents of a regular file move up, or its length changes.
    pub(super) moving: Mutex<()>,
    /// Who maps the file, wherever its contents are.
    pub(super) mappings: MappingSet,
    pub(super) mappable_id: u64,
    /// Whether a directory of the upper layer alone may hold copied-up files under other names.
    pub(super) holds_copies: AtomicBool,
    fifo: FifoNode,
}

/// Where an inode is in the merged tree.
pub(super) struct Place {
    pub(super) dir: Arc<OverlayInode>,
    pub(super) name: Name,
    /// Whether the lower layers are known to have nothing of this name.
    pub(super) clean: bool,
}

/// The files behind an inode.
pub(super) struct Layers {
    pub(super) upper: Option<InodeRef>,
    /// One file, or the directories that are merged, topmost first.
    pub(super) lower: Vec<InodeRef>,
}

impl Layers {
    /// The file whose attributes count.
    fn top(&self) -> Result<&InodeRef, Errno> {
        self.upper.as_ref().or(self.lower.first()).ok_or_else(|| EIO.into())
    }
}

impl OverlayInode {
    pub(super) fn new(
        fs: Arc<OverlayFs>,
        kind: FileType,
        id: Key,
        upper: Option<InodeRef>,
        lower: Vec<InodeRef>,
        place: Option<(Arc<Self>, Name)>,
        me: Weak<Self>,
    ) -> Self {
        Self {
            fs,
            me,
            kind,
            id,
            data_above: AtomicBool::new(upper.is_some()),
            layers: RwLock::new(Layers { upper, lower }),
            place: Mutex::new(place.map(|(dir, name)| Place { dir, name, clean: false })),
            links: AtomicI32::new(0),
            indexed: AtomicBool::new(false),
            moving: Mutex::default(),
            mappings: MappingSet::default(),
            mappable_id: next_mappable_id(),
            holds_copies: AtomicBool::new(false),
            fifo: FifoNode::default(),
        }
    }

    pub(super) fn this(&self) -> Result<Arc<Self>, Errno> {
        self.me.upgrade().ok_or_else(|| EIO.into())
    }

    pub(super) fn of(inode: &InodeRef) -> Result<Arc<Self>, Errno> {
        let inode: Option<&Self> = inode.as_any().downcast_ref();
        inode.ok_or(EXDEV)?.this()
    }

    /// Notes a name the inode was found by, if it has none.
    pub(super) fn seen_at(&self, place: Option<(Arc<Self>, Name)>) {
        let mut known = self.place.lock();
        if known.is_none() {
            *known = place.map(|(dir, name)| Place { dir, name, clean: false });
        }
    }

    /// The file whose attributes count.
    pub(super) fn top(&self) -> Result<InodeRef, Errno> {
        Ok(self.layers.read().top()?.clone())
    }

    /// The file that has the contents.
    pub(super) fn data(&self) -> Result<InodeRef, Errno> {
        let layers = self.layers.read();
        if self.data_above.load(Ordering::Acquire) {
            return Ok(layers.top()?.clone());
        }
        Ok(layers.lower.first().ok_or(EIO)?.clone())
    }

    /// The names of the layers' files, as the table of known inodes has them.
    pub(super) fn keys(&self) -> Vec<Key> {
        let layers = self.layers.read();
        layers.upper.iter().chain(layers.lower.first()).map(key_of).collect()
    }

    /// Notes that `child`, which got a name in this directory, may have its number from a lower layer.
    fn note_copy(&self, child: &Self) {
        if child.has_lower() {
            self.holds_copies.store(true, Ordering::Release);
        }
    }

    /// Whether lower layers show through.
    pub(super) fn has_lower(&self) -> bool {
        !self.layers.read().lower.is_empty()
    }
}

impl Inode for OverlayInode {
    fn file_type(&self) -> FileType {
        self.kind
    }

    fn ino(&self) -> u64 {
        self.id.1
    }

    fn dev(&self) -> u64 {
        self.id.0
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let layers = self.layers.read();
        let mut attr = layers.top()?.attr()?;
        (attr.dev, attr.ino) = self.id;
        if let (Some(_), Some(lower)) = (&layers.upper, layers.lower.first()) {
            let is_dir = self.kind == FileType::Directory;
            if is_dir || !self.data_above.load(Ordering::Acquire) {
                let below = lower.attr()?;
                if is_dir {
                    attr.nlink = below.nlink;
                } else {
                    (attr.size, attr.blocks) = (below.size, below.blocks);
                }
            }
        }
        attr.nlink = attr.nlink.saturating_add_signed(self.links.load(Ordering::Relaxed));
        Ok(attr)
    }

    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        self.this()?.change_attr(change)
    }

    fn permission(&self, cred: &Credentials, want: u32) -> Result<(), Errno> {
        self.layers.read().top()?.permission(cred, want)
    }

    fn flags(&self) -> Option<u32> {
        let kept = matches!(self.kind, FileType::Regular | FileType::Directory);
        match &self.layers.read().upper {
            Some(upper) => upper.flags(),
            // Its counterpart will keep them.
            None => (kept && self.fs.upper.is_some()).then_some(0),
        }
    }

    fn set_flags(&self, flags: u32) -> Result<(), Errno> {
        self.copied_up()?.set_flags(flags)
    }

    fn keeps_acls(&self) -> bool {
        self.layers.read().top().is_ok_and(|top| top.keeps_acls())
    }

    fn acl(&self, kind: AclKind) -> Result<Option<Arc<Acl>>, Errno> {
        self.top()?.acl(kind)
    }

    fn inherited_acl(&self) -> Result<Option<Arc<Acl>>, Errno> {
        let layers = self.layers.read();
        match &layers.upper {
            Some(upper) => upper.inherited_acl(),
            // Nothing is made below, but the upper counterpart will have the list.
            None => layers.top()?.acl(AclKind::Default),
        }
    }

    fn set_acl(
        &self,
        kind: AclKind,
        acl: Option<Arc<Acl>>,
        mode: Option<u32>,
    ) -> Result<(), Errno> {
        self.copied_up()?.set_acl(kind, acl, mode)
    }

    fn accessed(&self, rule: AccessTimes) {
        if let Some(upper) = &self.layers.read().upper {
            upper.accessed(rule);
        }
    }

    fn cache_policy(&self) -> CachePolicy {
        self.fs.policy
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        Ok(self.this()?.child(name)?)
    }

    fn connect_host_socket(&self, kind: u32) -> Option<Result<HostPeer, Errno>> {
        self.data().ok()?.connect_host_socket(kind)
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>, attr: NewAttr) -> Result<InodeRef, Errno> {
        if matches!(node, NewNode::Device { char: true, rdev: 0 }) {
            return Err(EPERM.because("a whiteout"));
        }
        Ok(self.this()?.make(name, node, attr)?)
    }

    fn create_unnamed(&self, attr: NewAttr) -> Result<InodeRef, Errno> {
        Ok(self.this()?.make_unnamed(attr)?)
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        let target = Self::of(target)?;
        self.this()?.add_link(name, &target)?;
        self.note_copy(&target);
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.this()?.remove(name, false)
    }

    fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        self.this()?.remove(name, true)
    }

    fn rename(
        &self,
        name: &[u8],
        new_dir: &InodeRef,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        let (this, new_dir) = (self.this()?, Self::of(new_dir)?);
        this.move_child(name, &new_dir, new_name, flags)?;
        for (dir, name) in [(&this, name), (&new_dir, new_name)] {
            if let Ok(child) = dir.child(name) {
                dir.note_copy(&child);
            }
        }
        Ok(())
    }

    fn read_link(&self, caller: &dyn Caller) -> Result<Vec<u8>, Errno> {
        if self.kind != FileType::Symlink {
            return Err(EINVAL.into());
        }
        self.top()?.read_link(caller)
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        match self.kind {
            FileType::Regular => Ok(Box::new(OverlayFile::open(self, flags, caller)?)),
            FileType::Directory => Ok(Box::new(OverlayDir::new(self))),
            FileType::Fifo => self.fifo.open(flags),
            FileType::CharDevice | FileType::BlockDevice => {
                dev::open(self.kind, self.top()?.attr()?.rdev, flags, caller)
            }
            FileType::Symlink | FileType::Socket => Err(ENXIO.into()),
        }
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if self.fs.is_own(name) {
            return Err(ENODATA.into());
        }
        self.top()?.get_xattr(name)
    }

    fn has_file_capabilities(&self) -> bool {
        self.top().is_ok_and(|top| top.has_file_capabilities())
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        if self.fs.is_own(name) {
            return Err(EPERM.because("overlay's own attribute"));
        }
        self.copied_up()?.set_xattr(name, value, flags)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = self.top()?.list_xattr()?;
        names.retain(|name| !self.fs.is_own(name));
        Ok(names)
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        // Nothing is copied up to find that there is nothing to remove.
        self.get_xattr(name)?;
        self.copied_up()?.remove_xattr(name)
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        let above = self.fs.upper.as_ref().map(|upper| upper.root.clone());
        let below = above.map_or_else(|| self.top(), Ok)?;
        Ok(FsStat { magic: OVERLAYFS_SUPER_MAGIC, ..below.statfs()? })
    }

    fn sync_fs(&self) -> Result<(), Errno> {
        self.fs.upper.as_ref().map_or(Ok(()), |upper| upper.root.sync_fs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for OverlayInode {
    fn drop(&mut self) {
        self.fs.forget(self.keys());
        // Upwards in a loop: a guest can nest directories deeper than the host stack is.
        let mut place = self.place.get_mut().take();
        while let Some(Place { dir, .. }) = place {
            let Some(mut dead) = Arc::into_inner(dir) else { break };
            place = dead.place.get_mut().take();
        }
    }
}
