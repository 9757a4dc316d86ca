//! What the tasks of a less privileged user namespace may not undo of the mounts they were given
//! (`mount_namespaces(7)`, "Restrictions on mount namespaces").

use crate::mount::{Mount, MountFlags};
use bevor_abi::Errno;
use bevor_abi::errno::EPERM;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
