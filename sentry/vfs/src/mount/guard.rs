//! What the tasks of a less privileged user namespace may not undo of the mounts they were given
//! (`mount_namespaces(7)`, "Restrictions on mount namespaces").

use crate::mount::{Mount, MountFlags, MountNamespace};
use crate::superblock::Superblock;
use bevor_abi::Errno;
use bevor_abi::errno::EPERM;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// The mount stays where it is: what it covers stays covered.
const PLACE: u64 = 1 << 63;
/// Access times go on as they are.
const ATIME: u64 = 1 << 62;
/// Flags that may be locked, each by its own bit.
const FLAGS: u64 = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;

/// Whether `mount` may not be taken from its place.
pub(super) fn is_locked(mount: &Mount) -> bool {
    mount.locks.load(Ordering::Relaxed) & PLACE != 0
}

/// Lets `mount` be taken away again (a bind of it, a move by `pivot_root`).
pub(super) fn unlock(mount: &Mount) {
    mount.locks.fetch_and(!PLACE, Ordering::Relaxed);
}

/// Keeps `mount` where it is.
pub(super) fn lock(mount: &Mount) {
    mount.locks.fetch_or(PLACE, Ordering::Relaxed);
}

/// Locks all that was given to a less privileged namespace with the tree at `top`.
pub(super) fn lock_tree(top: &Arc<Mount>) {
    for mount in top.subtree() {
        let place = if Arc::ptr_eq(&mount, top) { 0 } else { PLACE };
        mount.locks.fetch_or(mount.flags().0 & FLAGS | ATIME | place, Ordering::Relaxed);
    }
}

/// Whether mounts below `dentry` of `mount` may not be uncovered.
pub(super) fn has_locked_children(mount: &Mount, dentry: &Arc<crate::dentry::Dentry>) -> bool {
    mount.children().iter().any(|child| {
        is_locked(child) && child.parent().is_some_and(|place| place.dentry.is_within(dentry))
    })
}

/// Checks that a new mount of `superblock` with `flags` shows nothing that the tasks of `namespace` were
/// not given: of what reveals, they must see an instance whole. Returns what is locked of the new mount
/// as it is of that one. The topology is locked. (`mount_too_revealing` in fs/namespace.c)
///
/// # Errors
/// `EPERM`.
pub(super) fn must_not_reveal(
    namespace: &MountNamespace,
    superblock: &Superblock,
    flags: MountFlags,
) -> Result<u64, Errno> {
    if namespace.user_ns().level == 0 || !superblock.fs().reveals() {
        return Ok(0);
    }
    let mounts: Vec<_> = namespace.mounts.read().values().filter_map(Weak::upgrade).collect();
    mounts
        .iter()
        .filter(|mount| mount.superblock().fs().name() == superblock.fs().name())
        .find_map(|mount| shows_whole(mount, flags))
        .ok_or_else(|| EPERM.because("what there is of it is covered in part"))
}

/// Whether `mount` shows all that a new one with `flags` would: what is locked of it.
fn shows_whole(mount: &Arc<Mount>, flags: MountFlags) -> Option<u64> {
    if !Arc::ptr_eq(mount.root(), mount.superblock().root()) {
        return None;
    }
    let mut locks = mount.locks.load(Ordering::Relaxed) & (MountFlags::RDONLY | ATIME);
    if mount.superblock().is_read_only() {
        locks |= MountFlags::RDONLY;
    }
    let times_differ = (mount.flags().0 ^ flags.0) & MountFlags::ATIME != 0;
    if locks & MountFlags::RDONLY & !flags.0 != 0 || (locks & ATIME != 0 && times_differ) {
        return None;
    }
    let hides = |child: &Arc<Mount>| {
        let place = child.parent();
        is_locked(child) && !place.is_some_and(|place| place.dentry.inode().is_always_empty())
    };
    (!mount.children().iter().any(hides)).then_some(locks)
}

/// Locks of a new mount what [`must_not_reveal`] answered.
pub(super) fn lock_as(mount: &Mount, locks: u64) {
    mount.locks.fetch_or(locks, Ordering::Relaxed);
}

/// Checks that the flags of `mount` may become `new`.
///
/// # Errors
/// `EPERM`.
pub(super) fn check_flags(mount: &Mount, new: MountFlags) -> Result<(), Errno> {
    let locks = mount.locks.load(Ordering::Relaxed);
    let times_differ = (mount.flags().0 ^ new.0) & MountFlags::ATIME != 0;
    if locks & FLAGS & !new.0 != 0 || (locks & ATIME != 0 && times_differ) {
        return Err(EPERM.because("flags locked by a more privileged mount namespace"));
    }
    Ok(())
}
