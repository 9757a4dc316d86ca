//! Attaching, moving and detaching mounts: `mount(2)`, `umount2(2)`, `pivot_root(2)`.
//!
//! The callers have resolved the paths and checked that the task may mount.

use crate::context::FsContext;
use crate::dentry::Dentry;
use crate::mount::namespace::{Copies, MOUNT_MAX, TOPOLOGY};
use crate::mount::{Mount, MountFlags, MountNamespace, Path, propagation};
use crate::superblock::Superblock;
use bevor_abi::Errno;
use bevor_abi::errno::{EBUSY, EINVAL, ELOOP, ENOENT, ENOSPC, ENOTDIR};
use bevor_abi::mount::{MNT_DETACH, MNT_EXPIRE, MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
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

/// Copies a tree of mounts, its top rooted at `root`. Copies share the groups of their sources. The
/// topology is locked.
pub(super) fn copy_tree(
    top: &Arc<Mount>,
    root: Arc<Dentry>,
    with_unbindable: bool,
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
            if outside || (child.propagation().unbindable && !with_unbindable) {
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

/// Whether `mount` is part of the namespace of `fs`.
fn is_ours(fs: &FsContext, mount: &Mount) -> bool {
    mount.namespace().is_some_and(|namespace| Arc::ptr_eq(&namespace, &fs.namespace))
}

/// Attaches `tree` at `at` and spreads it to the peers of the mount there. The topology is locked.
fn attach(namespace: &Arc<MountNamespace>, tree: &Arc<Mount>, at: Path) -> Result<(), Errno> {
    let at = at.topmost();
    if at.dentry.is_deleted() {
        return Err(ENOENT.into());
    }
    if at.dentry.is_dir() != tree.root().is_dir() {
        return Err(ENOTDIR.into());
    }
    let subtree = tree.subtree();
    if namespace.mounts.read().len() + subtree.len() > MOUNT_MAX {
        return Err(ENOSPC.because("fs.mount-max reached"));
    }
    let shared = at.mount.propagation().is_shared();
    if shared {
        for mount in &subtree {
            propagation::make_shared(mount);
        }
    }
    connect(&at.mount, &at.dentry, tree);
    namespace.adopt(&subtree);
    if shared {
        propagation::spread_attach(&at.mount, &at.dentry, tree);
    }
    Ok(())
}

/// Attaches a new mount of a whole file system at `at`.
///
/// # Errors
/// `EINVAL` outside the namespace; `EBUSY` if the same file system is mounted there; `ENOTDIR`,
/// `ENOENT`, `ENOSPC`.
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
    attach(&fs.namespace, &Mount::of(superblock, flags, source), at.clone())
}

/// Makes what is at `source` visible at `at` as well (`MS_BIND`), with the mounts below it when
/// `recursive`.
///
/// # Errors
/// `EINVAL` for unbindable mounts or outside the namespace, and as [`attach_new`].
pub fn bind(fs: &FsContext, source: &Path, at: &Path, recursive: bool) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    if !is_ours(fs, &source.mount) || !is_ours(fs, &at.mount) {
        return Err(EINVAL.because("not in the mount namespace"));
    }
    if source.mount.propagation().unbindable {
        return Err(EINVAL.because("unbindable mount"));
    }
    let tree = if recursive {
        copy_tree(&source.mount, source.dentry.clone(), false).0
    } else {
        let tree = source.mount.clone_at(source.dentry.clone());
        propagation::set(&tree, source.mount.propagation());
        tree
    };
    attach(&fs.namespace, &tree, at.clone())
}

/// Moves the mount at `source` to `at` (`MS_MOVE`).
///
/// # Errors
/// `EINVAL` if `source` is no mount's root, the root mount, or its parent is shared; `ELOOP` into
/// its own tree; and as [`attach_new`].
pub fn move_mount(fs: &FsContext, source: &Path, at: &Path) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    if !source.is_mount_root() || !is_ours(fs, &source.mount) || !is_ours(fs, &at.mount) {
        return Err(EINVAL.because("not a mount of the namespace"));
    }
    let Some(parent) = source.mount.parent() else {
        return Err(EINVAL.because("the root mount cannot move"));
    };
    if parent.mount.propagation().is_shared() {
        return Err(EINVAL.because("parent mount is shared"));
    }
    if source.dentry.is_dir() != at.dentry.is_dir() {
        return Err(EINVAL.because("a directory and a file"));
    }
    let subtree = source.mount.subtree();
    let unbindable = subtree.iter().any(|mount| mount.propagation().unbindable);
    if unbindable && at.mount.propagation().is_shared() {
        return Err(EINVAL.because("unbindable mount under a shared one"));
    }
    let target = at.clone().topmost();
    if subtree.iter().any(|mount| Arc::ptr_eq(mount, &target.mount)) {
        return Err(ELOOP.into());
    }
    disconnect(&source.mount);
    fs.namespace.release(&subtree);
    let attached = attach(&fs.namespace, &source.mount, target);
    if attached.is_err() {
        connect(&parent.mount, &parent.dentry, &source.mount);
        fs.namespace.adopt(&subtree);
    }
    attached
}

/// Detaches the mount whose root is `at`; `flags` are `MNT_DETACH` and so on.
///
/// # Errors
/// `EINVAL` if `at` is no mount's root or the namespace's; `EBUSY` while in use, unless detaching.
pub fn umount(fs: &FsContext, at: Path, flags: u32) -> Result<(), Errno> {
    let mut gone = Vec::new();
    let result = {
        let _topology = TOPOLOGY.lock();
        umount_locked(fs, at, flags, &mut gone)
    };
    // Dropping a mount may end a file system: not under the lock.
    drop(gone);
    result
}

fn umount_locked(
    fs: &FsContext,
    at: Path,
    flags: u32,
    gone: &mut Vec<Arc<Mount>>,
) -> Result<(), Errno> {
    if !at.is_mount_root() || !is_ours(fs, &at.mount) {
        return Err(EINVAL.because("not a mount of the namespace"));
    }
    let Path { mount, dentry } = at;
    drop(dentry);
    let Some(place) = mount.parent() else {
        return Err(EINVAL.because("the root mount stays"));
    };
    if flags & MNT_EXPIRE != 0 {
        return Err(EINVAL.because("MNT_EXPIRE is not supported"));
    }
    let mut doomed = vec![mount];
    if place.mount.propagation().is_shared() {
        for receiver in propagation::receivers(&place.mount) {
            let twin = receiver.child_at(&place.dentry);
            let same = |twin: &Arc<Mount>| {
                doomed.first().is_some_and(|first| Arc::ptr_eq(twin.root(), first.root()))
            };
            doomed.extend(twin.filter(same).filter(|twin| twin.children().is_empty()));
        }
    }
    if flags & MNT_DETACH == 0 && doomed.first().is_some_and(is_busy) {
        return Err(EBUSY.into());
    }
    for top in doomed {
        let subtree = top.subtree();
        for mount in &subtree {
            disconnect(mount);
        }
        if let Some(namespace) = top.namespace() {
            namespace.release(&subtree);
        }
        for mount in &subtree {
            propagation::make_private(mount, false);
        }
        gone.extend(subtree);
    }
    Ok(())
}

/// Whether someone besides the tree and the caller refers to `mount`, or mounts sit on it.
fn is_busy(mount: &Arc<Mount>) -> bool {
    !mount.links.read().children.is_empty() || Arc::strong_count(mount) > 2
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
    if new.dentry.is_deleted() {
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

/// Changes the flags of the mount whose root is `at` alone (`MS_REMOUNT | MS_BIND`).
///
/// # Errors
/// `EINVAL` if `at` is no mount's root.
pub fn remount_bind(fs: &FsContext, at: &Path, flags: MountFlags) -> Result<(), Errno> {
    if !at.is_mount_root() || !is_ours(fs, &at.mount) {
        return Err(EINVAL.because("not a mount of the namespace"));
    }
    at.mount.set_flags(flags);
    fs.namespace.changed();
    Ok(())
}

/// Changes the options of the file system mounted at `at` (`MS_REMOUNT`) and the mount's flags.
///
/// # Errors
/// `EINVAL` if `at` is no mount's root or an option cannot change.
pub fn reconfigure(
    fs: &FsContext,
    at: &Path,
    flags: MountFlags,
    options: &[u8],
) -> Result<(), Errno> {
    if !at.is_mount_root() || !is_ours(fs, &at.mount) {
        return Err(EINVAL.because("not a mount of the namespace"));
    }
    let superblock = at.mount.superblock();
    superblock.fs().reconfigure(options)?;
    superblock.set_read_only(flags.has(MountFlags::RDONLY));
    at.mount.set_flags(flags);
    fs.namespace.changed();
    Ok(())
}

/// Changes how events reach and leave the mount at `at`; `kind` is one of `MS_SHARED`, `MS_SLAVE`,
/// `MS_PRIVATE`, `MS_UNBINDABLE`.
///
/// # Errors
/// `EINVAL` if `at` is no mount's root or `kind` is something else.
pub fn change_propagation(
    fs: &FsContext,
    at: &Path,
    kind: u64,
    recursive: bool,
) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    if !at.is_mount_root() || !is_ours(fs, &at.mount) {
        return Err(EINVAL.because("not a mount of the namespace"));
    }
    let mounts = if recursive { at.mount.subtree() } else { vec![at.mount.clone()] };
    for mount in &mounts {
        match kind {
            MS_SHARED => propagation::make_shared(mount),
            MS_SLAVE => propagation::make_slave(mount),
            MS_PRIVATE => propagation::make_private(mount, false),
            MS_UNBINDABLE => propagation::make_private(mount, true),
            _ => return Err(EINVAL.into()),
        }
    }
    fs.namespace.changed();
    Ok(())
}
