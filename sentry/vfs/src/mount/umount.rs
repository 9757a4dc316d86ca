//! Detaching mounts: `umount2(2)`.

use crate::context::FsContext;
use crate::mount::namespace::TOPOLOGY;
use crate::mount::ops::{self, connect, disconnect, is_ours};
use crate::mount::{Mount, Path, guard, propagation};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EBUSY, EINVAL};
use bevor_abi::mount::{MNT_DETACH, MNT_EXPIRE};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A mount that is about to go.
type Doomed = Vec<Arc<Mount>>;

/// Detaches the mount whose root is `at`; `flags` are `MNT_DETACH` and so on.
///
/// # Errors
/// `EINVAL` if `at` is no mount's root, locked, or the namespace's root; `EBUSY` while in use,
/// unless detaching; `EAGAIN` for one that `MNT_EXPIRE` has only marked.
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

fn umount_locked(fs: &FsContext, at: Path, flags: u32, gone: &mut Doomed) -> Result<(), Errno> {
    if !at.is_mount_root() || !is_ours(fs, &at.mount) || guard::is_locked(&at.mount) {
        return Err(EINVAL.because("not a mount of the namespace, or locked"));
    }
    let Path { mount, dentry } = at;
    drop(dentry);
    if Arc::ptr_eq(&mount, &fs.root.mount) && flags & MNT_DETACH == 0 {
        if flags & MNT_EXPIRE != 0 {
            return Err(EINVAL.because("the root does not expire"));
        }
        // As on Linux, the root is made read-only instead.
        let superblock = mount.superblock();
        return if superblock.is_read_only() { Ok(()) } else { superblock.make_read_only() };
    }
    if mount.parent().is_none() {
        return Err(EINVAL.because("the root mount stays"));
    }
    if flags & MNT_EXPIRE != 0 {
        if is_busy(&mount) {
            return Err(EBUSY.into());
        }
        if mount.expiry.load(Ordering::Relaxed) == 0 {
            mount.expiry.store(2, Ordering::Relaxed);
            return Err(EAGAIN.because("unmounted by the next call, if it is not used until then"));
        }
    }
    let lazy = flags & MNT_DETACH != 0;
    if !lazy && is_busy(&mount) {
        return Err(EBUSY.into());
    }
    let mut doomed = mount.subtree();
    let first_twin = doomed.len();
    drop(mount);
    add_twins(&mut doomed);
    if !lazy && doomed.get(first_twin..).unwrap_or_default().iter().any(is_twin_busy) {
        return Err(EBUSY.into());
    }
    take_out(&doomed, lazy);
    gone.append(&mut doomed);
    Ok(())
}

/// Adds the mounts that go because events come to where they sit.
fn add_twins(doomed: &mut Doomed) {
    let mut twins: Doomed = Vec::new();
    for mount in doomed.iter() {
        let Some(place) = mount.parent() else { continue };
        if !place.mount.propagation().is_shared() {
            continue;
        }
        for receiver in propagation::receivers(&place.mount) {
            let Some(twin) = receiver.child_at(&place.dentry) else { continue };
            if !holds(doomed, &twin) && !holds(&twins, &twin) {
                twins.push(twin);
            }
        }
    }
    // One that carries a mount that stays, stays too, unless that covers it all.
    loop {
        let stays = twins.iter().position(|twin| {
            let carries = twin.children().iter().any(|child| {
                let covers = child.parent().is_some_and(|place| place.is_mount_root());
                !covers && !holds(&twins, child) && !holds(doomed, child)
            });
            let above = twin.parent();
            let alone = above
                .is_some_and(|place| !holds(&twins, &place.mount) && !holds(doomed, &place.mount));
            carries || (guard::is_locked(twin) && alone)
        });
        let Some(stays) = stays else { break };
        twins.swap_remove(stays);
    }
    doomed.append(&mut twins);
}

fn holds(mounts: &[Arc<Mount>], mount: &Arc<Mount>) -> bool {
    mounts.iter().any(|other| Arc::ptr_eq(other, mount))
}

/// Takes all of `doomed` out of the tree. What covers one of them comes to sit where that was.
fn take_out(doomed: &[Arc<Mount>], lazy: bool) {
    for mount in doomed {
        let Some(place) = mount.parent() else { continue };
        let cover = mount.child_at(mount.root()).filter(|cover| !holds(doomed, cover));
        // What hides something from a less privileged namespace goes on doing so.
        let keeps = lazy && guard::is_locked(mount) && holds(doomed, &place.mount);
        if !keeps {
            disconnect(mount);
        }
        if let Some(cover) = cover {
            disconnect(&cover);
            connect(&place.mount, &place.dentry, &cover);
        }
    }
    for mount in doomed {
        ops::release(std::slice::from_ref(mount));
        propagation::make_private(mount, false);
    }
}

/// Whether someone besides the tree and the caller refers to `mount`, or mounts sit on it.
fn is_busy(mount: &Arc<Mount>) -> bool {
    !mount.links.read().children.is_empty() || Arc::strong_count(mount) > 2
}

/// Whether someone besides the tree and the caller refers to `twin`. Mounts on it are of no account.
fn is_twin_busy(twin: &Arc<Mount>) -> bool {
    Arc::strong_count(twin) > 2
}
