//! Changing what holds for a mount: flags, propagation, the options of its file system.

use crate::context::FsContext;
use crate::mount::namespace::TOPOLOGY;
use crate::mount::ops::is_ours;
use crate::mount::{Mount, MountFlags, Path, Tree, guard, propagation};
use bevor_abi::Errno;
use bevor_abi::errno::{EBUSY, EINVAL, EPERM};
use bevor_abi::mount::{MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A change by `mount_setattr(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AttrChange {
    /// Flags that are cleared first.
    pub clear: MountFlags,
    /// Flags that are set then.
    pub set: MountFlags,
    /// One of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
}

impl AttrChange {
    const fn flags(self, old: MountFlags) -> MountFlags {
        MountFlags(old.0 & !self.clear.0 | self.set.0)
    }
}

/// Changes the flags of `mount`.
///
/// # Errors
/// `EPERM`: locked; `EBUSY`: read-only while somebody writes.
fn set_flags(mount: &Mount, new: MountFlags) -> Result<(), Errno> {
    guard::check_flags(mount, new)?;
    let old = mount.flags();
    mount.set_flags(new);
    let closes = new.has(MountFlags::RDONLY) && !old.has(MountFlags::RDONLY);
    if closes && mount.writers.load(Ordering::SeqCst) != 0 {
        mount.set_flags(old);
        return Err(EBUSY.because("open for writing through this mount"));
    }
    Ok(())
}

fn check_root(fs: &FsContext, at: &Path) -> Result<(), Errno> {
    if at.is_mount_root() && is_ours(fs, &at.mount) {
        return Ok(());
    }
    Err(EINVAL.because("not a mount of the namespace"))
}

/// Changes the flags of the mount whose root is `at` alone (`MS_REMOUNT | MS_BIND`).
///
/// # Errors
/// `EINVAL` if `at` is no mount's root; `EBUSY`, `EPERM`.
pub fn remount_bind(fs: &FsContext, at: &Path, flags: MountFlags) -> Result<(), Errno> {
    check_root(fs, at)?;
    set_flags(&at.mount, flags)?;
    fs.namespace.changed();
    Ok(())
}

/// Changes the options of the file system mounted at `at` (`MS_REMOUNT`) and the mount's flags;
/// `rules` says whether the caller may do the former.
///
/// # Errors
/// `EINVAL` if `at` is no mount's root or an option cannot change; `EBUSY`, `EPERM`.
pub fn reconfigure(
    fs: &FsContext,
    at: &Path,
    flags: MountFlags,
    options: &[u8],
    rules: bool,
) -> Result<(), Errno> {
    check_root(fs, at)?;
    guard::check_flags(&at.mount, flags)?;
    if !rules {
        return Err(EPERM.because("needs CAP_SYS_ADMIN over the file system"));
    }
    let superblock = at.mount.superblock();
    superblock.reconfigure(options, Some(flags.has(MountFlags::RDONLY)))?;
    at.mount.set_flags(flags);
    fs.namespace.changed();
    Ok(())
}

/// Sets how events reach and leave `mount`; `kind` is one of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`,
/// `MS_UNBINDABLE`. The topology is locked.
fn set_propagation(mount: &Arc<Mount>, kind: u64) {
    match kind {
        MS_SHARED => propagation::make_shared(mount),
        MS_SLAVE => propagation::make_slave(mount),
        MS_PRIVATE => propagation::make_private(mount, false),
        MS_UNBINDABLE => propagation::make_private(mount, true),
        _ => {}
    }
}

fn affected(at: &Path, recursive: bool) -> Vec<Arc<Mount>> {
    if recursive { at.mount.subtree() } else { vec![at.mount.clone()] }
}

/// Changes how events reach and leave the mount at `at`; `kind` as in [`AttrChange::propagation`].
///
/// # Errors
/// `EINVAL` if `at` is no mount's root.
pub fn change_propagation(
    fs: &FsContext,
    at: &Path,
    kind: u64,
    recursive: bool,
) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    check_root(fs, at)?;
    for mount in affected(at, recursive) {
        set_propagation(&mount, kind);
    }
    fs.namespace.changed();
    Ok(())
}

/// Applies `change` to the mount whose root is `at`, one of the namespace or a detached tree, and
/// to all below it when `recursive`: to all or none (`mount_setattr(2)`).
///
/// # Errors
/// `EINVAL` if `at` is no mount's root; `EBUSY`, `EPERM`.
pub fn change_attr(
    fs: &FsContext,
    at: &Path,
    change: AttrChange,
    recursive: bool,
) -> Result<(), Errno> {
    let _topology = TOPOLOGY.lock();
    if !at.is_mount_root() {
        return Err(EINVAL.because("not a mount point"));
    }
    let detached = matches!(at.mount.links.read().tree, Tree::Detached(_));
    let is_tree = detached && at.mount.parent().is_none();
    if !is_ours(fs, &at.mount) && !is_tree {
        return Err(EINVAL.because("not a mount of the namespace"));
    }
    let mounts = affected(at, recursive);
    let mut done: Vec<(&Arc<Mount>, MountFlags)> = Vec::new();
    for mount in &mounts {
        let old = mount.flags();
        if let Err(errno) = set_flags(mount, change.flags(old)) {
            for (mount, old) in done {
                mount.set_flags(old);
            }
            return Err(errno);
        }
        done.push((mount, old));
    }
    for mount in &mounts {
        set_propagation(mount, change.propagation);
    }
    if !detached {
        fs.namespace.changed();
    }
    Ok(())
}
