//! Mounts, paths and mount namespaces (`mount_namespaces(7)`).
//!
//! A mount makes the tree of a superblock, or a part of it, visible at a dentry of its parent mount.
//! Parents own their children; a child knows its parent weakly. Changes of the topology are made
//! under one lock ([`namespace::TOPOLOGY`]); look-ups take only the lock of the one mount they pass.

mod attr;
mod detached;
mod flags;
mod guard;
mod namespace;
mod ops;
mod path;
mod propagation;
#[cfg(test)]
mod tests;
mod umount;

pub use attr::{AttrChange, change_attr, change_propagation, reconfigure, remount_bind};
pub use detached::{Target, detached, detached_copy, move_to, share_group, tree_file};
pub use flags::MountFlags;
pub use namespace::{MOUNT_MAX, MountNamespace};
pub use ops::{attach_new, bind, move_mount, pivot_root};
pub use path::{Path, PathText};
pub use propagation::Propagation;
pub use umount::umount;

use crate::dentry::Dentry;
use crate::superblock::Superblock;
use bevor_abi::Errno;
use bevor_abi::errno::EROFS;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// A place where (part of) a file system is visible.
pub struct Mount {
    id: u64,
    superblock: Arc<Superblock>,
    root: Arc<Dentry>,
    flags: AtomicU64,
    /// What was mounted, as mountinfo shows it.
    source: Box<[u8]>,
    links: RwLock<Links>,
    propagation: Mutex<Propagation>,
    /// What its namespace may not change; see [`guard`].
    locks: AtomicU64,
    /// Descriptions that may write through it.
    writers: AtomicU32,
    /// How `MNT_EXPIRE` finds out that nobody came by: 2 once marked, one less each time a walk
    /// comes in.
    expiry: AtomicU8,
}

/// What a mount is part of.
#[derive(Clone, Default)]
enum Tree {
    /// Nothing: it is no longer mounted.
    #[default]
    None,
    /// A mount namespace.
    Namespace(Weak<MountNamespace>),
    /// A tree only descriptors refer to, made in the namespace of this id; 0 for `fsmount(2)`.
    Detached(u64),
}

#[derive(Default)]
struct Links {
    /// The mount and dentry this one sits on; none for roots and detached mounts.
    parent: Option<(Weak<Mount>, Arc<Dentry>)>,
    /// Mounts on dentries of this one, by [`Dentry::key`].
    children: HashMap<usize, Arc<Mount>>,
    tree: Tree,
}

impl Mount {
    /// Makes a mount of `root`, a directory (or file, for bind mounts) of `superblock`, attached to
    /// nothing yet.
    #[must_use]
    pub fn new(
        superblock: Arc<Superblock>,
        root: Arc<Dentry>,
        flags: MountFlags,
        source: &[u8],
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        superblock.mount_made();
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            superblock,
            root,
            flags: AtomicU64::new(flags.0),
            source: source.into(),
            links: RwLock::default(),
            propagation: Mutex::default(),
            locks: AtomicU64::new(0),
            writers: AtomicU32::new(0),
            expiry: AtomicU8::new(0),
        })
    }

    /// Makes a mount of a whole file system.
    #[must_use]
    pub fn of(superblock: &Arc<Superblock>, flags: MountFlags, source: &[u8]) -> Arc<Self> {
        Self::new(superblock.clone(), superblock.root().clone(), flags, source)
    }

    /// Another mount of the same file system, rooted at `root`.
    #[must_use]
    fn clone_at(&self, root: Arc<Dentry>) -> Arc<Self> {
        let copy = Self::new(self.superblock.clone(), root, self.flags(), &self.source);
        copy.locks.store(self.locks.load(Ordering::Relaxed), Ordering::Relaxed);
        copy
    }

    /// The mount id of mountinfo and `statx`.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The mount id that is never used again (`STATX_MNT_ID_UNIQUE`, `statmount(2)`).
    #[must_use]
    pub const fn unique_id(&self) -> u64 {
        Self::UNIQUE_OFFSET + self.id
    }

    /// All unique ids lie above this one.
    pub const UNIQUE_OFFSET: u64 = 1 << 31;

    /// The file system instance.
    #[must_use]
    pub const fn superblock(&self) -> &Arc<Superblock> {
        &self.superblock
    }

    /// The dentry that is visible at the mount point.
    #[must_use]
    pub const fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// What was mounted, as mountinfo shows it.
    #[must_use]
    pub const fn source(&self) -> &[u8] {
        &self.source
    }

    /// The mount's own flags.
    #[must_use]
    pub fn flags(&self) -> MountFlags {
        MountFlags(self.flags.load(Ordering::Relaxed))
    }

    fn set_flags(&self, flags: MountFlags) {
        self.flags.store(flags.0, Ordering::Relaxed);
    }

    /// Whether writes are refused, by the mount or its file system.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.flags().has(MountFlags::RDONLY) || self.superblock.is_read_only()
    }

    /// How events reach it and leave it.
    #[must_use]
    pub fn propagation(&self) -> Propagation {
        *self.propagation.lock()
    }

    /// The mount and dentry this one sits on.
    #[must_use]
    pub fn parent(&self) -> Option<Path> {
        let links = self.links.read();
        let (mount, dentry) = links.parent.as_ref()?;
        Some(Path { mount: mount.upgrade()?, dentry: dentry.clone() })
    }

    /// The mount that sits on `dentry` of this one.
    #[must_use]
    pub fn child_at(&self, dentry: &Arc<Dentry>) -> Option<Arc<Self>> {
        self.links.read().children.get(&dentry.key()).cloned()
    }

    /// All mounts that sit on this one.
    fn children(&self) -> Vec<Arc<Self>> {
        let mut children: Vec<_> = self.links.read().children.values().cloned().collect();
        children.sort_by_key(|child| child.id);
        children
    }

    /// The namespace it is part of, if any.
    #[must_use]
    pub fn namespace(&self) -> Option<Arc<MountNamespace>> {
        match &self.links.read().tree {
            Tree::Namespace(namespace) => namespace.upgrade(),
            _ => None,
        }
    }

    /// Notes that a walk came in.
    pub(crate) fn entered(&self) {
        let mark = self.expiry.load(Ordering::Relaxed);
        if mark != 0 {
            self.expiry.store(mark - 1, Ordering::Relaxed);
        }
    }

    /// Counts a description that may write.
    ///
    /// # Errors
    /// `EROFS`: it has become read-only meanwhile.
    pub(crate) fn writer_came(&self) -> Result<(), Errno> {
        self.writers.fetch_add(1, Ordering::SeqCst);
        self.superblock.writer_came();
        if self.is_read_only() {
            self.writer_left();
            return Err(EROFS.into());
        }
        Ok(())
    }

    /// Takes back [`Mount::writer_came`].
    pub(crate) fn writer_left(&self) {
        self.writers.fetch_sub(1, Ordering::SeqCst);
        self.superblock.writer_left();
    }

    /// This mount and all below it, parents first.
    #[must_use]
    pub fn subtree(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let mut found = vec![self.clone()];
        let mut next = 0;
        while let Some(mount) = found.get(next) {
            let children = mount.children();
            found.extend(children);
            next += 1;
        }
        found
    }

    /// The path of its root in its file system, the fourth field of mountinfo.
    #[must_use]
    pub fn root_text(&self) -> Vec<u8> {
        let mut names = Vec::new();
        self.root.ancestry(self.superblock.root(), &mut names);
        if names.is_empty() {
            return b"/".to_vec();
        }
        names.iter().rev().flat_map(|name| [b"/", &**name].concat()).collect()
    }

    /// The nearest group it receives events from that has a member below the root of `fs`
    /// (`propagate_from`).
    #[must_use]
    pub fn propagates_from(&self, fs: &crate::FsContext) -> Option<u64> {
        propagation::nearest_master(self, fs)
    }

    /// Its root as a path.
    #[must_use]
    pub fn root_path(self: &Arc<Self>) -> Path {
        Path { mount: self.clone(), dentry: self.root.clone() }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let links = self.links.get_mut();
        if let Some((_, dentry)) = links.parent.take() {
            dentry.mount_removed();
        }
        // Flatten what hangs below, so that a long chain of mounts does not recurse.
        let mut below: Vec<Arc<Self>> = links.children.drain().map(|(_, child)| child).collect();
        while let Some(child) = below.pop() {
            if let Some(mut dead) = Arc::into_inner(child) {
                below.extend(dead.links.get_mut().children.drain().map(|(_, child)| child));
            }
        }
        self.superblock.mount_gone();
    }
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mount#{} of {:?}", self.id, self.superblock)
    }
}
