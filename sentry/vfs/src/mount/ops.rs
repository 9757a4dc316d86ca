//! Attaching mounts: `mount(2)`, `pivot_root(2)`.
//!
//! The callers have resolved the paths and checked that the task may mount.

use crate::context::FsContext;
use crate::dentry::Dentry;
use crate::mount::namespace::{Copies, MOUNT_MAX, TOPOLOGY};
use crate::mount::{Mount, MountFlags, Path, Target, Tree, guard, move_to, propagation};
use crate::superblock::Superblock;
use bevor_abi::Errno;
use bevor_abi::errno::{EBUSY, EINVAL, ENOENT, ENOSPC, ENOTDIR};
use std::sync::Arc;

/// Puts `child` on `dentry` of `parent`. The topology is locked.
pub(super) fn connect(parent: &Arc<Mount>, dentry: &Arc<Dentry>, child: &Arc<Mount>) {
    dentry.mount_added();
    child.links.write().parent = Some((Arc::downgrade(parent), dentry.clone()));
    parent.links.write().children.insert(dentry.key(), child.clone());
}

/// Takes `child` off whatever it sits on. The topology is locked.
pub(super) fn disconnect(child: &Arc<Mount>) {
    let Some((parent, dentry)) = child.links.write().parent.take() else { return };
    dentry.mount_removed();
    if let Some(parent) = parent.upgrade() {
        let taken = parent.links.write().children.remove(&dentry.key());
        drop(taken);
    }
}

/// What a copy of a tree does with unbindable mounts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unbindable {
    /// They are part of it.
    Copied,
    /// They are left out, with all below them.
    LeftOut,
}

/// Copies a tree of mounts, its top rooted at `root`. Copies share the groups of their sources. The
/// topology is locked.
pub(super) fn copy_tree(
    top: &Arc<Mount>,
    root: Arc<Dentry>,
    unbindable: Unbindable,
) -> (Arc<Mount>, Copies) {
    let first = top.clone_at(root.clone());
    propagation::set(&first, top.propagation());
    let mut copies = Copies::from([(top.id(), first.clone())]);
    let mut pending = vec![top.clone()];
    while let Some(source) = pending.pop() {
        let Some(copy) = copies.get(&source.id()).cloned() else { continue };
        for child in source.children() {
            let Some(place) = child.parent() else { continue };
            let outside = Arc::ptr_eq(&source, top) && !place.dentry.is_within(&root);
            let left_out = child.propagation().unbindable && unbindable == Unbindable::LeftOut;
            if outside || left_out {
                continue;
            }
            let twin = child.clone_at(child.root().clone());
            propagation::set(&twin, child.propagation());
            connect(&copy, &place.dentry, &twin);
            copies.insert(child.id(), twin);
            pending.push(child);
        }
    }
    (first, copies)
}

/// Copies what is mounted at `source`, for a bind. The topology is locked.
///
/// # Errors
/// `EINVAL` for unbindable mounts, and where something covered would be uncovered.
pub(super) fn copy_for_bind(source: &Path, recursive: bool) -> Result<Arc<Mount>, Errno> {
    if source.mount.propagation().unbindable {
        return Err(EINVAL.because("unbindable mount"));
    }
    let tree = if recursive {
        copy_tree(&source.mount, source.dentry.clone(), Unbindable::LeftOut).0
    } else {
        if guard::has_locked_children(&source.mount, &source.dentry) {
            return Err(EINVAL.because("mounts below it hide something"));
        }
        let tree = source.mount.clone_at(source.dentry.clone());
        propagation::set(&tree, source.mount.propagation());
        tree
    };
    guard::unlock(&tree);
    Ok(tree)
}

/// Whether `mount` is part of the namespace of `fs`.
pub(super) fn is_ours(fs: &FsContext, mount: &Mount) -> bool {
    mount.namespace().is_some_and(|namespace| Arc::ptr_eq(&namespace, &fs.namespace))
}

/// Whether `mount` is part of the namespace of `fs`, or of a detached tree made there.
pub(super) fn may_use(fs: &FsContext, mount: &Mount) -> bool {
    match &mount.links.read().tree {
        Tree::None => false,
        Tree::Namespace(namespace) => namespace.ptr_eq(&Arc::downgrade(&fs.namespace)),
        Tree::Detached(origin) => *origin == 0 || *origin == fs.namespace.id(),
    }
}

/// Makes `mounts` part of `tree`. The topology is locked.
pub(super) fn adopt(tree: &Tree, mounts: &[Arc<Mount>]) {
    match tree {
        Tree::Namespace(namespace) => {
            if let Some(namespace) = namespace.upgrade() {
                namespace.adopt(mounts);
            }
        }
        other => {
            for mount in mounts {
                mount.links.write().tree = other.clone();
            }
        }
    }
}

/// Takes `mounts` out of whatever they are part of. The topology is locked.
pub(super) fn release(mounts: &[Arc<Mount>]) {
    let namespace = mounts.first().and_then(|mount| mount.namespace());
    match namespace {
        Some(namespace) => namespace.release(mounts),
        None => {
            for mount in mounts {
                mount.links.write().tree = Tree::None;
            }
        }
    }
}

/// Checks that `tree` can sit at `at`.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `ENOSPC`.
pub(super) fn check_place(tree: &Arc<Mount>, at: &Path) -> Result<(), Errno> {
    if at.dentry.is_deleted() {
        return Err(ENOENT.into());
    }
    if at.dentry.is_dir() != tree.root().is_dir() {
        return Err(ENOTDIR.into());
    }
    if let Some(namespace) = at.mount.namespace()
        && namespace.mounts.read().len() + tree.subtree().len() > MOUNT_MAX
    {
        return Err(ENOSPC.because("fs.mount-max reached"));
    }
    Ok(())
}

/// Attaches `tree` at `at` and spreads it to the peers of the mount there. The topology is locked.
pub(super) fn attach(tree: &Arc<Mount>, at: Path) -> Result<(), Errno> {
    let at = at.topmost();
    check_place(tree, &at)?;
    attach_exactly(tree, &at);
    Ok(())
}

/// As [`attach`], at a place that was checked; what sits there already comes to sit on `tree`.
pub(super) fn attach_exactly(tree: &Arc<Mount>, at: &Path) {
    let subtree = tree.subtree();
    let shared = at.mount.propagation().is_shared();
    if shared {
        for mount in &subtree {
            propagation::make_shared(mount);
        }
    }
    let above = at.mount.child_at(&at.dentry);
    if let Some(above) = &above {
        disconnect(above);
    }
    connect(&at.mount, &at.dentry, tree);
    if let Some(above) = above {
        let place = tree.root_path().topmost();
        connect(&place.mount, &place.dentry, &above);
    }
    if shared {
        propagation::spread_attach(&at.mount, &at.dentry, tree);
    }
    let owner = at.mount.links.read().tree.clone();
    adopt(&owner, &subtree);
}

/// Attaches a new mount of a whole file system at `at`.
///
/// # Errors
/// `EINVAL` outside the namespace; `EBUSY` if the same file system is mounted there; `EPERM` if it would
/// show what is covered elsewhere; `ENOTDIR`, `ENOENT`, `ENOSPC`.
pub fn attach_new(
    fs: &FsContext,
    superblock: &Arc<Superblock>,
    at: &Path,
    flags: MountFlags,
    source: &[u8],
) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    if !is_ours(fs, &at.mount) {
        return Err(EINVAL.because("mount point lies outside the mount namespace"));
    }
    if at.is_mount_root() && Arc::ptr_eq(at.mount.superblock(), superblock) {
        return Err(EBUSY.because("already mounted there"));
    }
    let locks = guard::must_not_reveal(&fs.namespace, superblock, flags)?;
    let mount = Mount::of(superblock, flags, source);
    guard::lock_as(&mount, locks);
    attach(&mount, at.clone())
}

/// Makes what is at `source` visible at `at` as well (`MS_BIND`), with the mounts below it when
/// `recursive`.
///
/// # Errors
/// `EINVAL` for unbindable mounts or outside the namespace, and as [`attach_new`].
pub fn bind(fs: &FsContext, source: &Path, at: &Path, recursive: bool) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    if !may_use(fs, &source.mount) || !is_ours(fs, &at.mount) {
        return Err(EINVAL.because("not in the mount namespace"));
    }
    attach(&copy_for_bind(source, recursive)?, at.clone())
}

/// Moves the mount at `source` to `at` (`MS_MOVE`).
///
/// # Errors
/// As [`move_to`].
pub fn move_mount(fs: &FsContext, source: &Path, at: &Path) -> Result<(), Errno> {
    move_to(fs, source, at, Target::On)
}

/// Makes `new` the root mount and puts the old one at `put_old`. Returns the old and the new root,
/// for the tasks of the namespace that stood at the old one.
///
/// # Errors
/// As `pivot_root(2)`: `EBUSY`, `EINVAL`, `ENOENT`.
pub fn pivot_root(fs: &FsContext, new: &Path, put_old: &Path) -> Result<(Path, Path), Errno> {
    let _topology = TOPOLOGY.lock();
    let root = fs.root.clone();
    let put_old = put_old.clone();
    if !is_ours(fs, &root.mount) || !is_ours(fs, &new.mount) || !is_ours(fs, &put_old.mount) {
        return Err(EINVAL.because("not in the mount namespace"));
    }
    let new_parent = new.mount.parent();
    let shared = |path: &Path| path.mount.propagation().is_shared();
    if shared(&put_old)
        || new_parent.as_ref().is_some_and(shared)
        || root.mount.parent().as_ref().is_some_and(shared)
    {
        return Err(EINVAL.because("a mount involved is shared"));
    }
    if guard::is_locked(&new.mount) {
        return Err(EINVAL.because("the new root is locked"));
    }
    if new.dentry.is_deleted() || put_old.dentry.is_deleted() {
        return Err(ENOENT.into());
    }
    if Arc::ptr_eq(&new.mount, &root.mount) || Arc::ptr_eq(&put_old.mount, &root.mount) {
        return Err(EBUSY.into());
    }
    if !root.is_mount_root() || !new.is_mount_root() {
        return Err(EINVAL.because("not a mount point"));
    }
    let Some(_) = new_parent else {
        return Err(EINVAL.because("the new root is the root mount"));
    };
    if !put_old.is_below(new) || !new.is_below(&root) {
        return Err(EINVAL.because("put_old must lie below new_root, new_root below the root"));
    }
    disconnect(&new.mount);
    if guard::is_locked(&root.mount) {
        guard::lock(&new.mount);
        guard::unlock(&root.mount);
    }
    match root.mount.parent() {
        Some(place) => {
            disconnect(&root.mount);
            connect(&place.mount, &place.dentry, &new.mount);
        }
        None => fs.namespace.set_root(new.mount.clone()),
    }
    connect(&put_old.mount, &put_old.dentry, &root.mount);
    fs.namespace.changed();
    Ok((root, new.clone()))
}
