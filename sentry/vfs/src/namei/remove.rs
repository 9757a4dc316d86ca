//! Removing names: `unlink(2)`, `rmdir(2)`.

use crate::landlock;
use crate::namei::perm;
use crate::notify;
use crate::walk::{At, Last, Parent};
use bevor_abi::Errno;
use bevor_abi::errno::{EBUSY, EINVAL, EISDIR, ENOTDIR, ENOTEMPTY};
use bevor_abi::inotify::{IN_ATTRIB, IN_DELETE};

/// Removes a name that is no directory.
///
/// # Errors
/// `EISDIR`, `ENOENT`, `EACCES`, `EPERM`, `EBUSY` for mount points, `EROFS`.
pub fn unlink(at: &At<'_>, path: &[u8]) -> Result<(), Errno> {
    let Parent { dir, last } = at.resolve_parent(path)?;
    let Last::Name(name, slash) = last else { return Err(EISDIR.into()) };
    perm::want_write(&dir)?;
    let cache = dir.mount.superblock().cache();
    let guard = dir.dentry.lock()?;
    let victim = dir.dentry.lookup_locked(&name, cache, &guard)?;
    if slash {
        return Err(if victim.is_dir() { EISDIR } else { ENOTDIR }.into());
    }
    landlock::check(&dir, at.cred, landlock::removing(&victim))?;
    perm::may_delete(&dir, &victim, at.cred, false)?;
    if victim.is_mountpoint() {
        return Err(EBUSY.because("a mount point"));
    }
    dir.inode().unlink(&name)?;
    dir.dentry.removed(&victim, cache, &guard);
    drop(guard);
    notify::inode(victim.inode(), IN_ATTRIB);
    notify::maybe_gone(&victim);
    notify::entry(&dir.dentry, &victim, IN_DELETE);
    Ok(())
}

/// Removes an empty directory.
///
/// # Errors
/// `ENOTEMPTY`, `ENOTDIR`, `EINVAL` for `.`, `EBUSY` for mount points and roots, and as [`unlink`].
pub fn rmdir(at: &At<'_>, path: &[u8]) -> Result<(), Errno> {
    let Parent { dir, last } = at.resolve_parent(path)?;
    let name = match last {
        Last::Name(name, _) => name,
        Last::DotDot => return Err(ENOTEMPTY.into()),
        Last::Dot => return Err(EINVAL.into()),
        Last::Root => return Err(EBUSY.into()),
    };
    perm::want_write(&dir)?;
    let cache = dir.mount.superblock().cache();
    let guard = dir.dentry.lock()?;
    let victim = dir.dentry.lookup_locked(&name, cache, &guard)?;
    landlock::check(&dir, at.cred, landlock::removing(&victim))?;
    perm::may_delete(&dir, &victim, at.cred, true)?;
    if victim.is_mountpoint() {
        return Err(EBUSY.because("a mount point"));
    }
    dir.inode().rmdir(&name)?;
    dir.dentry.removed(&victim, cache, &guard);
    drop(guard);
    notify::maybe_gone(&victim);
    notify::entry(&dir.dentry, &victim, IN_DELETE);
    Ok(())
}
