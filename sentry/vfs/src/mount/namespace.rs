//! Mount namespaces.

use crate::context::FsContext;
use crate::mount::ops::Unbindable;
use crate::mount::{Mount, Path, Tree, guard, propagation};
use bevor_base::{Ready, UserNamespace, WaitQueue};
use parking_lot::{ReentrantMutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Held while mounts are attached, moved or detached anywhere. Reentrant, because the last reference
/// on a namespace may go under it.
pub(super) static TOPOLOGY: ReentrantMutex<()> = ReentrantMutex::new(());

/// Most mounts of one namespace (`fs.mount-max`).
pub const MOUNT_MAX: usize = 100_000;

/// A tree of mounts that some tasks see.
pub struct MountNamespace {
    id: u64,
    user_ns: Arc<UserNamespace>,
    root: RwLock<Arc<Mount>>,
    /// Every mount, by id, which is the order of mountinfo.
    pub(super) mounts: RwLock<BTreeMap<u64, Weak<Mount>>>,
    /// Counts changes; what a poll of mountinfo compares.
    changes: AtomicU64,
    queue: WaitQueue,
}

impl MountNamespace {
    /// Makes a namespace whose root mount is `root`.
    #[must_use]
    pub fn new(root: Arc<Mount>, user_ns: Arc<UserNamespace>) -> Arc<Self> {
        let _topology = TOPOLOGY.lock();
        let namespace = Arc::new(Self {
            id: bevor_base::cred::next_namespace_id(),
            user_ns,
            root: RwLock::new(root.clone()),
            mounts: RwLock::default(),
            changes: AtomicU64::new(0),
            queue: WaitQueue::new(),
        });
        namespace.adopt(&root.subtree());
        namespace
    }

    /// Makes a copy of this namespace for `user_ns`, and of `fs` with its paths moved over
    /// (`CLONE_NEWNS`).
    #[must_use]
    pub fn copy(&self, user_ns: Arc<UserNamespace>, fs: &FsContext) -> FsContext {
        let old_root = self.root();
        let (root, pairs) = {
            let _topology = TOPOLOGY.lock();
            let (root, pairs) =
                super::ops::copy_tree(&old_root, old_root.root().clone(), Unbindable::Copied);
            if !Arc::ptr_eq(&user_ns, &self.user_ns) {
                guard::lock_tree(&root);
                // Linux has one more mount below the root.
                guard::lock(&root);
                for mount in root.subtree() {
                    propagation::only_receive(&mount);
                }
            }
            (root, pairs)
        };
        let namespace = Self::new(root, user_ns);
        let over = |path: &Path| match pairs.get(&path.mount.id()) {
            Some(mount) => Path { mount: mount.clone(), dentry: path.dentry.clone() },
            None => path.clone(),
        };
        FsContext { root: over(&fs.root), cwd: over(&fs.cwd), namespace }
    }

    /// The inode number `/proc/PID/ns/mnt` shows.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The user namespace that owns it.
    #[must_use]
    pub const fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }

    /// The root mount.
    #[must_use]
    pub fn root(&self) -> Arc<Mount> {
        self.root.read().clone()
    }

    pub(super) fn set_root(&self, root: Arc<Mount>) {
        let old = std::mem::replace(&mut *self.root.write(), root);
        drop(old);
    }

    /// All mounts in the order of mountinfo.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Mount>> {
        self.mounts.read().values().filter_map(Weak::upgrade).collect()
    }

    /// How often the tree changed, for pollers of mountinfo.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Woken after each change.
    #[must_use]
    pub const fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Makes `mounts` part of this namespace. The topology is locked.
    pub(super) fn adopt(self: &Arc<Self>, mounts: &[Arc<Mount>]) {
        let mut all = self.mounts.write();
        for mount in mounts {
            mount.links.write().tree = Tree::Namespace(Arc::downgrade(self));
            all.insert(mount.id(), Arc::downgrade(mount));
        }
        drop(all);
        self.changed();
    }

    /// Takes `mounts` out. The topology is locked.
    pub(super) fn release(&self, mounts: &[Arc<Mount>]) {
        let mut all = self.mounts.write();
        for mount in mounts {
            mount.links.write().tree = Tree::None;
            all.remove(&mount.id());
        }
        drop(all);
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.queue.wake(Ready::PRI | Ready::ERR);
    }
}

/// Old mount id to its copy.
pub(super) type Copies = HashMap<u64, Arc<Mount>>;

impl Drop for MountNamespace {
    fn drop(&mut self) {
        // Paths that outlive the namespace see each of its mounts alone.
        let _topology = TOPOLOGY.lock();
        let mounts = self.root.get_mut().subtree();
        for mount in &mounts {
            super::ops::disconnect(mount);
        }
    }
}

impl std::fmt::Debug for MountNamespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MountNamespace#{}", self.id)
    }
}
