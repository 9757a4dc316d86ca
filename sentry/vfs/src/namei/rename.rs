//! `renameat2(2)`.

use crate::dentry::{ChangeGuard, Dentry, DentryCache, same_file};
use crate::inode::MAY_WRITE;
use crate::landlock::{self, Move};
use crate::mount::Path;
use crate::namei::perm;
use crate::notify;
use crate::walk::{At, Last, Parent};
use bevor_abi::Errno;
use bevor_abi::cap::CAP_MKNOD;
use bevor_abi::errno::{EBUSY, EEXIST, EINVAL, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EXDEV};
use bevor_abi::fcntl::{RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT};
use std::sync::Arc;

/// A name in a directory, as one side of a rename.
struct Side<'a> {
    dir: &'a Path,
    name: &'a [u8],
    slash: bool,
}

/// Checks `RENAME_*`.
///
/// # Errors
/// `EINVAL`.
pub fn check_rename_flags(flags: u32) -> Result<(), Errno> {
    let known = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
    let both = flags & RENAME_EXCHANGE != 0 && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT) != 0;
    if flags & !known != 0 || both { Err(EINVAL.into()) } else { Ok(()) }
}

/// Moves the name `old_path` to `new_path`; `flags` are `RENAME_*`.
///
/// # Errors
/// As `rename(2)`.
pub fn rename(
    old_at: &At<'_>,
    old_path: &[u8],
    new_at: &At<'_>,
    new_path: &[u8],
    flags: u32,
) -> Result<(), Errno> {
    check_rename_flags(flags)?;
    let Parent { dir: old_dir, last: old_last } = old_at.resolve_parent(old_path)?;
    let Parent { dir: new_dir, last: new_last } = new_at.resolve_parent(new_path)?;
    if !Arc::ptr_eq(&old_dir.mount, &new_dir.mount) {
        return Err(EXDEV.into());
    }
    let Last::Name(old_name, old_slash) = old_last else { return Err(EBUSY.into()) };
    let Last::Name(new_name, new_slash) = new_last else {
        return Err(if flags & RENAME_NOREPLACE != 0 { EEXIST } else { EBUSY }.into());
    };
    perm::want_write(&old_dir)?;
    let old = Side { dir: &old_dir, name: &old_name, slash: old_slash };
    let new = Side { dir: &new_dir, name: &new_name, slash: new_slash };
    rename_locked(old_at, &old, &new, flags)
}

fn rename_locked(at: &At<'_>, old: &Side<'_>, new: &Side<'_>, flags: u32) -> Result<(), Errno> {
    let superblock = old.dir.mount.superblock();
    let cache = superblock.cache();
    let (old_dir, new_dir) = (&old.dir.dentry, &new.dir.dentry);
    let across = !Arc::ptr_eq(old_dir, new_dir);
    let _topology = across.then(|| superblock.rename().lock());
    let guards = lock_both(old_dir, new_dir)?;
    let source = old_dir.lookup_locked(old.name, cache, guards.of_old())?;
    let target = match new_dir.lookup_locked(new.name, cache, guards.of_new()) {
        Ok(target) => Some(target),
        Err(errno) if errno == ENOENT => None,
        Err(errno) => return Err(errno),
    };
    check_shape(old, new, &source, target.as_ref(), flags)?;
    let change = Move {
        file: &source,
        from: Some(old.dir),
        to: new.dir,
        target: target.as_ref(),
        removes: true,
        exchange: flags & RENAME_EXCHANGE != 0,
    };
    landlock::check_move(at.cred, &change)?;
    if let Some(target) = &target
        && (Arc::ptr_eq(target, &source) || same_file(target.inode(), source.inode()))
    {
        return Ok(());
    }
    check_permission(at, old, new, &source, target.as_ref(), flags)?;
    old_dir.inode().rename(old.name, new_dir.inode(), new.name, flags)?;
    finish(old, new, &source, target.as_ref(), flags, cache);
    drop(guards);
    tell(old_dir, new_dir, old.name, new.name, &source, target.as_ref(), flags);
    Ok(())
}

/// The guards of one or two directories.
struct Guards<'a> {
    first: ChangeGuard<'a>,
    second: Option<ChangeGuard<'a>>,
    old_is_first: bool,
}

impl<'a> Guards<'a> {
    const fn of_old(&self) -> &ChangeGuard<'a> {
        match &self.second {
            Some(second) if !self.old_is_first => second,
            _ => &self.first,
        }
    }

    const fn of_new(&self) -> &ChangeGuard<'a> {
        match &self.second {
            Some(second) if self.old_is_first => second,
            _ => &self.first,
        }
    }
}

fn lock_both<'a>(old: &'a Arc<Dentry>, new: &'a Arc<Dentry>) -> Result<Guards<'a>, Errno> {
    if Arc::ptr_eq(old, new) {
        return Ok(Guards { first: old.lock()?, second: None, old_is_first: true });
    }
    let old_is_first = old.key() < new.key();
    let (first, second) = if old_is_first { (old, new) } else { (new, old) };
    let first = first.lock()?;
    Ok(Guards { first, second: Some(second.lock()?), old_is_first })
}

/// Checks existence, kinds, trailing slashes and loops, in Linux's order.
fn check_shape(
    old: &Side<'_>,
    new: &Side<'_>,
    source: &Arc<Dentry>,
    target: Option<&Arc<Dentry>>,
    flags: u32,
) -> Result<(), Errno> {
    let exchange = flags & RENAME_EXCHANGE != 0;
    if flags & RENAME_NOREPLACE != 0 && target.is_some() {
        return Err(EEXIST.into());
    }
    if exchange {
        let target = target.ok_or(ENOENT)?;
        if !target.is_dir() && new.slash {
            return Err(ENOTDIR.into());
        }
    }
    if !source.is_dir() && (old.slash || (!exchange && new.slash)) {
        return Err(ENOTDIR.into());
    }
    if new.dir.dentry.is_within(source) {
        return Err(EINVAL.because("into its own subdirectory"));
    }
    if let Some(target) = target
        && old.dir.dentry.is_within(target)
    {
        return Err(if exchange { EINVAL } else { ENOTEMPTY }.into());
    }
    Ok(())
}

fn check_permission(
    at: &At<'_>,
    old: &Side<'_>,
    new: &Side<'_>,
    source: &Arc<Dentry>,
    target: Option<&Arc<Dentry>>,
    flags: u32,
) -> Result<(), Errno> {
    let exchange = flags & RENAME_EXCHANGE != 0;
    perm::may_delete(old.dir, source, at.cred, source.is_dir())?;
    match target {
        None => perm::may_create(new.dir, at.cred)?,
        Some(target) if exchange => {
            perm::may_delete(new.dir, target, at.cred, target.is_dir())?;
        }
        Some(target) => perm::may_delete(new.dir, target, at.cred, source.is_dir())?,
    }
    let across = !Arc::ptr_eq(&old.dir.dentry, &new.dir.dentry);
    // A directory that gets another parent has its `..` written.
    if across && source.is_dir() {
        source.inode().permission(at.cred, MAY_WRITE)?;
    }
    if across
        && exchange
        && let Some(target) = target
        && target.is_dir()
    {
        target.inode().permission(at.cred, MAY_WRITE)?;
    }
    if flags & RENAME_WHITEOUT != 0 && !perm::capable(at.cred, CAP_MKNOD) {
        return Err(EPERM.because("needs CAP_MKNOD"));
    }
    if source.is_mountpoint() || target.is_some_and(|target| target.is_mountpoint()) {
        return Err(EBUSY.because("a mount point"));
    }
    Ok(())
}

/// Carries the change over to the dentry cache.
fn finish(
    old: &Side<'_>,
    new: &Side<'_>,
    source: &Arc<Dentry>,
    target: Option<&Arc<Dentry>>,
    flags: u32,
    cache: &DentryCache,
) {
    match target {
        Some(target) if flags & RENAME_EXCHANGE != 0 => Dentry::exchanged(source, target),
        _ => {
            let (old_dir, new_dir) = (&old.dir.dentry, &new.dir.dentry);
            let whiteout = flags & RENAME_WHITEOUT != 0;
            Dentry::moved(source, old_dir, new_dir, new.name, target, !whiteout, cache);
        }
    }
}

/// Tells the watchers.
fn tell(
    old_dir: &Arc<Dentry>,
    new_dir: &Arc<Dentry>,
    old_name: &[u8],
    new_name: &[u8],
    source: &Arc<Dentry>,
    target: Option<&Arc<Dentry>>,
    flags: u32,
) {
    if !notify::any() {
        return;
    }
    let replaced = target.filter(|_| flags & RENAME_EXCHANGE == 0);
    notify::moved(old_dir, old_name, new_dir, new_name, source, replaced);
    match target {
        Some(target) if flags & RENAME_EXCHANGE != 0 => {
            notify::moved(new_dir, new_name, old_dir, old_name, target, None);
        }
        Some(target) => {
            notify::maybe_gone(target);
        }
        None => {}
    }
}
