//! Trees of mounts that only descriptors refer to, and moving mounts: `open_tree(2)`,
//! `fsmount(2)`, `move_mount(2)`.

use crate::context::FsContext;
use crate::file::{File, FileOps, OpenFlags};
use crate::mount::namespace::TOPOLOGY;
use crate::mount::ops::{self, attach, copy_for_bind, disconnect, is_ours, may_use};
use crate::mount::{Mount, MountFlags, Path, Propagation, Tree, guard, propagation};
use crate::superblock::Superblock;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ELOOP, EPERM};
use bevor_abi::fcntl::O_PATH;
use std::any::Any;
use std::sync::Arc;

/// Where a moved mount comes to sit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// On top of what is there.
    On,
    /// Below the topmost mount that is there (`MOVE_MOUNT_BENEATH`).
    Beneath,
}

/// What the descriptor of a detached tree does: the tree ends with it, unless it was attached.
struct TreeFile;

impl FileOps for TreeFile {
    fn release(&self, file: &File) {
        let mount = &file.path().mount;
        let _topology = TOPOLOGY.lock();
        let detached = matches!(mount.links.read().tree, Tree::Detached(_));
        if detached && mount.parent().is_none() {
            for mount in mount.subtree() {
                ops::release(std::slice::from_ref(&mount));
                propagation::make_private(&mount, false);
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The description of a detached tree, as if opened with `O_PATH`.
#[must_use]
pub fn tree_file(tree: &Arc<Mount>) -> Arc<File> {
    File::new(Box::new(TreeFile), tree.root_path(), OpenFlags(O_PATH))
}

/// A mount of a whole file system that is attached nowhere (`fsmount(2)`), made in the namespace of `fs`.
///
/// # Errors
/// `EPERM` if it would show what is covered elsewhere.
pub fn detached(
    fs: &FsContext,
    superblock: &Arc<Superblock>,
    flags: MountFlags,
    source: &[u8],
) -> Result<Arc<Mount>, Errno> {
    let _topology = TOPOLOGY.lock();
    let locks = guard::must_not_reveal(&fs.namespace, superblock, flags)?;
    let mount = Mount::of(superblock, flags, source);
    guard::lock_as(&mount, locks);
    mount.links.write().tree = Tree::Detached(0);
    Ok(mount)
}

/// A copy of what is mounted at `source`, with the mounts below it when `recursive`, that is
/// attached nowhere (`OPEN_TREE_CLONE`).
///
/// # Errors
/// `EINVAL` for unbindable mounts or outside the namespace.
pub fn detached_copy(fs: &FsContext, source: &Path, recursive: bool) -> Result<Arc<Mount>, Errno> {
    let _topology = TOPOLOGY.lock();
    if !may_use(fs, &source.mount) {
        return Err(EINVAL.because("not in the mount namespace"));
    }
    let tree = copy_for_bind(source, recursive)?;
    ops::adopt(&Tree::Detached(fs.namespace.id()), &tree.subtree());
    Ok(tree)
}

/// Moves the mount at `source`, one of the namespace or a detached tree, to `at` (`MS_MOVE`,
/// `move_mount(2)`).
///
/// # Errors
/// `EINVAL` if `source` is no mount's root, the root mount, locked, or its parent is shared; `ELOOP`
/// into its own tree; `ENOENT`, `ENOSPC`.
pub fn move_to(fs: &FsContext, source: &Path, at: &Path, target: Target) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    if !source.is_mount_root() {
        return Err(EINVAL.because("not a mount point"));
    }
    if source.dentry.is_dir() != at.dentry.is_dir() {
        return Err(EINVAL.because("a directory and a file"));
    }
    let at = at.clone().topmost();
    let at = match target {
        Target::On => at,
        Target::Beneath => place_beneath(fs, &at)?,
    };
    let mount = &source.mount;
    let parent = mount.parent();
    if is_ours(fs, mount) {
        let Some(parent) = &parent else {
            return Err(EINVAL.because("the root mount cannot move"));
        };
        if guard::is_locked(mount) || parent.mount.propagation().is_shared() {
            return Err(EINVAL.because("locked, or the parent mount is shared"));
        }
        if !is_ours(fs, &at.mount) {
            return Err(EINVAL.because("the target is in no mount namespace"));
        }
    } else {
        let detached = matches!(mount.links.read().tree, Tree::Detached(_));
        if !detached || parent.is_some() {
            return Err(EINVAL.because("not a mount of the namespace"));
        }
        if !may_use(fs, &at.mount) {
            return Err(EINVAL.because("the target is in another namespace"));
        }
    }
    let subtree = mount.subtree();
    let into_itself = subtree.iter().any(|below| Arc::ptr_eq(below, &at.mount));
    if into_itself && parent.is_none() {
        return Err(EINVAL.because("a detached tree into itself"));
    }
    if target == Target::Beneath {
        check_beneath(&at, mount)?;
    }
    let unbindable = subtree.iter().any(|mount| mount.propagation().unbindable);
    if unbindable && at.mount.propagation().is_shared() {
        return Err(EINVAL.because("unbindable mount under a shared one"));
    }
    if into_itself {
        return Err(ELOOP.into());
    }
    ops::check_place(mount, &at)?;
    disconnect(mount);
    ops::release(&subtree);
    match target {
        Target::On => attach(mount, at),
        Target::Beneath => {
            ops::attach_exactly(mount, &at);
            Ok(())
        }
    }
}

/// The place the topmost mount at `at` sits on.
fn place_beneath(fs: &FsContext, at: &Path) -> Result<Path, Errno> {
    if !at.is_mount_root() {
        return Err(EINVAL.because("nothing is mounted there"));
    }
    if at.mount.root_path().same(&fs.root) {
        return Err(EINVAL.because("beneath the root"));
    }
    at.mount.parent().ok_or_else(|| EINVAL.because("beneath a tree's root"))
}

/// Checks that `mount` may be slid below what sits at `at` (`can_move_mount_beneath`).
fn check_beneath(at: &Path, mount: &Arc<Mount>) -> Result<(), Errno> {
    let Some(top) = at.mount.child_at(&at.dentry) else {
        return Err(EINVAL.because("nothing is mounted there"));
    };
    if guard::is_locked(&top) {
        return Err(EINVAL.because("the mount on top is locked"));
    }
    let same_group = |one: Propagation, other: Propagation| {
        one.peers != 0 && (one.peers == other.peers || one.peers == other.master)
    };
    // Its copies would come to sit on one another.
    if same_group(at.mount.propagation(), top.propagation())
        || same_group(at.mount.propagation(), mount.propagation())
    {
        return Err(EINVAL.because("events would come round to it"));
    }
    let mut next = Some(mount.clone());
    while let Some(above) = next {
        if Arc::ptr_eq(&above, &top) {
            return Err(EINVAL.because("beneath a mount it sits on"));
        }
        next = above.parent().map(|place| place.mount);
    }
    Ok(())
}

/// Puts the mount at `to` into the groups of the one at `from` (`MOVE_MOUNT_SET_GROUP`); `may_rule`
/// says whether the caller may change the mounts of a namespace.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub fn share_group(from: &Path, to: &Path, may_rule: impl Fn(&Mount) -> bool) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    for path in [from, to] {
        if matches!(path.mount.links.read().tree, Tree::None) {
            return Err(EINVAL.because("not mounted"));
        }
        if !may_rule(&path.mount) {
            return Err(EPERM.because("needs CAP_SYS_ADMIN over both mount namespaces"));
        }
    }
    let (source, target) = (from.mount.propagation(), to.mount.propagation());
    let fits = from.is_mount_root()
        && to.is_mount_root()
        && Arc::ptr_eq(from.mount.superblock(), to.mount.superblock())
        && to.mount.root().is_within(from.mount.root())
        && !guard::has_locked_children(&from.mount, to.mount.root());
    let in_group = |of: Propagation| of.peers != 0 || of.master != 0;
    if !fits || in_group(target) || !in_group(source) {
        return Err(EINVAL.because("mounts that cannot share a group"));
    }
    propagation::set(&to.mount, Propagation { unbindable: false, ..source });
    Ok(())
}
