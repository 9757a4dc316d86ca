//! overlay: one tree made of read-only lower layers and a writable upper one.
//!
//! Layers are any inodes. A name in the upper layer hides the lower ones; a whiteout (character
//! device 0:0) hides them without being there; directories of the same name are merged unless the
//! upper one is opaque. What changes is copied up first. An inode keeps device and number of the
//! lower file it came from; those born in the upper layer count from [`BORN_ABOVE`] on the root's
//! device.
//!
//! Copied-up inodes stay known by their upper inode ([`OverlayFs::keep`]), so that renamed
//! directories keep their lower layers and hard links stay together. That knowledge lives as long
//! as the mount. An upper layer that outlives it has [`Format::Linux`]: what is copied up is
//! complete, and a moved directory takes everything below with it.
//!
//! Lock order: `Inode::moving`, `OverlayFs::change`, `Inode::layers`, `OverlayFs::known`, locks of
//! the layers. Contents move up under the first alone, so that files do not wait for each other.

mod change;
mod changes;
mod copy_up;
mod dir;
mod file;
mod inode;
mod lookup;
mod mapping;
mod marks;
mod owners;

#[cfg(test)]
mod tests;

pub use changes::{Change, ChangeKind, Contents, changes, link_target};
pub use inode::OverlayInode;
pub use marks::Format;
pub use owners::with_owners_in_attributes;

use crate::caller::KernelCaller;
use crate::dentry::Name;
use crate::inode::{CachePolicy, FileType, InodeRef, NewAttr, NewNode, S_IALLUGO};
use crate::superblock::{FileSystem, Superblock, next_anonymous_dev};
use crate::tmpfs::{TmpFs, TmpfsOptions};
use bevor_abi::Errno;
use bevor_base::UserNamespace;
use bevor_memory::{Account, MemoryPool};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

/// Inode numbers of files born in the upper layer have this bit set.
pub const BORN_ABOVE: u64 = 1 << 48;

/// Device and inode number of a layer's file.
type Key = (u64, u64);

fn key_of(inode: &InodeRef) -> Key {
    (inode.dev(), inode.ino())
}

/// The writable layer: two directories of one file system.
pub struct Upper {
    /// What is written.
    pub root: InodeRef,
    /// Where overlay keeps what has no name of its own: hard links of which some names are still
    /// below.
    pub work: InodeRef,
    /// Who will read the layer.
    pub format: Format,
}

/// One overlay.
pub struct OverlayFs {
    /// Device of what was born in the upper layer.
    dev: u64,
    /// Without an upper layer the overlay is read-only.
    upper: Option<Upper>,
    /// Reads and writes layers on nobody's behalf.
    kernel: KernelCaller,
    /// Held by everything that changes the upper layer's tree.
    change: Mutex<()>,
    known: Mutex<Known>,
    /// One whiteout, of which the others are links.
    whiteout: Mutex<Option<InodeRef>>,
    /// The upper layer's file system makes no device files.
    no_devices: AtomicBool,
    /// Whether names may be cached: nobody else changes any layer.
    policy: CachePolicy,
    options: String,
}

/// Inodes by the layer's file they stand for.
#[derive(Default)]
struct Known {
    live: HashMap<Key, Weak<OverlayInode>>,
    /// Those that must not be forgotten.
    kept: HashMap<Key, Arc<OverlayInode>>,
}

impl OverlayFs {
    /// Merges `lowers`, topmost first, under `upper`. `options` is what mountinfo shows.
    ///
    /// # Errors
    /// `ENOMEM`; what reading the roots says.
    pub fn superblock(
        lowers: Vec<InodeRef>,
        upper: Option<Upper>,
        pool: &Arc<MemoryPool>,
        account: &Arc<Account>,
        user_ns: Arc<UserNamespace>,
        options: String,
    ) -> Result<Arc<Superblock>, Errno> {
        let top = upper.as_ref().map(|upper| upper.root.clone());
        let dev = lowers.first().map_or_else(next_anonymous_dev, |root| root.dev());
        let read_only = upper.is_none();
        let alone = top.iter().chain(&lowers).all(|root| root.cache_policy() == CachePolicy::Keep);
        let fs = Arc::new(Self {
            dev,
            upper,
            kernel: KernelCaller::new(pool, account, user_ns.clone())?,
            change: Mutex::default(),
            known: Mutex::default(),
            whiteout: Mutex::default(),
            no_devices: AtomicBool::new(false),
            policy: if alone { CachePolicy::Keep } else { CachePolicy::Never },
            options,
        });
        let root = fs.adopt(FileType::Directory, top, lowers, None);
        let superblock = Superblock::new(Box::new(Mounted(fs)), root, user_ns);
        superblock.set_read_only(read_only);
        Ok(superblock)
    }

    /// Merges `lowers` under an upper layer in memory, whose pages `account` pays; with `contents`
    /// the contents of files are there instead.
    ///
    /// # Errors
    /// As [`OverlayFs::superblock`]; `ENOSPC`.
    pub fn in_memory(
        lowers: Vec<InodeRef>,
        pool: &Arc<MemoryPool>,
        account: &Arc<Account>,
        contents: Option<(Arc<MemoryPool>, Arc<Account>)>,
        options: &TmpfsOptions,
        user_ns: Arc<UserNamespace>,
    ) -> Result<Arc<Superblock>, Errno> {
        let (_, top) = TmpFs::create_over(pool, account, contents, options)?;
        let root = NewAttr { mode: 0o755, uid: 0, gid: 0 };
        let seen = match lowers.first() {
            Some(lower) => {
                let attr = lower.attr()?;
                NewAttr { mode: attr.mode & S_IALLUGO, uid: attr.uid, gid: attr.gid }
            }
            None => root,
        };
        let upper = Upper {
            root: top.create(b"upper", &NewNode::Directory, seen)?,
            work: top.create(b"work", &NewNode::Directory, root)?,
            format: Format::Private,
        };
        Self::superblock(lowers, Some(upper), pool, account, user_ns, String::new())
    }

    /// The inode that stands for a layer's file, if it is known.
    fn find(&self, key: Key) -> Option<Arc<OverlayInode>> {
        self.known.lock().live.get(&key).and_then(Weak::upgrade)
    }

    /// The inode of these layers: the known one, or a new one.
    fn adopt(
        self: &Arc<Self>,
        kind: FileType,
        upper: Option<InodeRef>,
        lower: Vec<InodeRef>,
        place: Option<(Arc<OverlayInode>, Name)>,
    ) -> Arc<OverlayInode> {
        let key = upper.as_ref().or(lower.first()).map(key_of);
        let mut known = self.known.lock();
        if let Some(inode) = key.and_then(|key| known.live.get(&key)).and_then(Weak::upgrade) {
            drop(known);
            inode.seen_at(place);
            return inode;
        }
        let (dev, ino) = match (lower.first(), &upper) {
            (Some(origin), _) => key_of(origin),
            (None, Some(upper)) => (self.dev, upper.ino() | BORN_ABOVE),
            (None, None) => (self.dev, BORN_ABOVE),
        };
        let id = (dev, ino);
        let inode = Arc::new_cyclic(|me| {
            OverlayInode::new(self.clone(), kind, id, upper, lower, place, me.clone())
        });
        if let Some(key) = key {
            known.live.insert(key, Arc::downgrade(&inode));
        }
        inode
    }

    /// Remembers an inode by `key` for as long as the file exists.
    fn keep(&self, key: Key, inode: &Arc<OverlayInode>) {
        let mut known = self.known.lock();
        known.live.insert(key, Arc::downgrade(inode));
        known.kept.insert(key, inode.clone());
    }

    /// Forgets an inode that has no name any more.
    fn unkeep(&self, keys: impl IntoIterator<Item = Key>) {
        let mut known = self.known.lock();
        let dropped: Vec<_> = keys.into_iter().map(|key| known.kept.remove(&key)).collect();
        drop(known);
        drop(dropped);
    }

    /// Forgets lower files under which nothing will be looked for any more.
    fn forget_below(&self, lower: &[InodeRef]) {
        let mut known = self.known.lock();
        for inode in lower {
            known.live.remove(&key_of(inode));
        }
    }

    /// Removes a dead inode from the table.
    fn forget(&self, keys: impl IntoIterator<Item = Key>) {
        let mut known = self.known.lock();
        for key in keys {
            if known.live.get(&key).is_some_and(|inode| inode.strong_count() == 0) {
                known.live.remove(&key);
            }
        }
    }
}

/// What the superblock holds.
struct Mounted(Arc<OverlayFs>);

impl FileSystem for Mounted {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn options(&self) -> String {
        self.0.options.clone()
    }

    fn unmounted(&self) {
        // Kept inodes refer to the file system.
        let kept = std::mem::take(&mut self.0.known.lock().kept);
        drop(kept);
    }

    fn as_any(&self) -> &dyn Any {
        &*self.0
    }
}
