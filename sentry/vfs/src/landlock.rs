//! Where Landlock domains are asked about files (`landlock(7)`).
//!
//! The rules that count for a file are those about it and about every directory above it, through
//! all mounts, whatever anybody's root is.

use crate::dentry::Dentry;
use crate::file::OpenFlags;
use crate::inode::{FileType, InodeRef};
use crate::mount::Path;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EXDEV};
use bevor_abi::landlock::{
    LANDLOCK_ACCESS_FS_EXECUTE, LANDLOCK_ACCESS_FS_IOCTL_DEV, LANDLOCK_ACCESS_FS_MAKE_BLOCK,
    LANDLOCK_ACCESS_FS_MAKE_CHAR, LANDLOCK_ACCESS_FS_MAKE_DIR, LANDLOCK_ACCESS_FS_MAKE_FIFO,
    LANDLOCK_ACCESS_FS_MAKE_REG, LANDLOCK_ACCESS_FS_MAKE_SOCK, LANDLOCK_ACCESS_FS_MAKE_SYM,
    LANDLOCK_ACCESS_FS_READ_DIR, LANDLOCK_ACCESS_FS_READ_FILE, LANDLOCK_ACCESS_FS_REFER,
    LANDLOCK_ACCESS_FS_REMOVE_DIR, LANDLOCK_ACCESS_FS_REMOVE_FILE, LANDLOCK_ACCESS_FS_TRUNCATE,
    LANDLOCK_ACCESS_FS_WRITE_FILE,
};
use bevor_base::Credentials;
use bevor_base::landlock::{Domain, FileKey, Grants};
use std::sync::Arc;

/// Rights that mean something for files that are no directories.
pub const FILE_RIGHTS: u64 = LANDLOCK_ACCESS_FS_EXECUTE
    | LANDLOCK_ACCESS_FS_WRITE_FILE
    | LANDLOCK_ACCESS_FS_READ_FILE
    | LANDLOCK_ACCESS_FS_TRUNCATE
    | LANDLOCK_ACCESS_FS_IOCTL_DEV;

/// What a file may later be used for, as long as no domain says otherwise.
pub const UNCONFINED: u64 = u64::MAX;

/// How rules name a file.
#[must_use]
pub fn key(inode: &InodeRef) -> FileKey {
    (inode.dev(), inode.ino())
}

/// The domain of `cred`, if it is about files.
fn domain(cred: &Credentials) -> Option<&Domain> {
    cred.landlock.as_deref().filter(|domain| domain.confines_files())
}

/// The place a walk upwards comes to after `at`, through all mounts; `None` at the top.
fn above(mut at: Path) -> Option<Path> {
    while at.is_mount_root() {
        at = at.mount.parent()?;
    }
    at.dentry = at.dentry.parent()?;
    Some(at)
}

/// Adds what rules about `from` and all above it grant.
fn walk(grants: &mut Grants<'_>, from: &Path) {
    let mut at = Some(from.clone());
    while let Some(place) = at {
        grants.add(key(place.inode()));
        at = above(place);
    }
}

fn denied(domain: &Domain, path: &Path, wanted: u64) -> u64 {
    // Pipes, sockets and the like are in no tree.
    if path.dentry.is_anonymous() {
        return 0;
    }
    let mut grants = domain.grants();
    walk(&mut grants, path);
    grants.denied(wanted)
}

/// Checks that the domain of `cred` allows `access` to a file.
///
/// # Errors
/// `EACCES`.
pub fn check(path: &Path, cred: &Credentials, access: u64) -> Result<(), Errno> {
    match domain(cred) {
        Some(domain) if denied(domain, path, access) != 0 => Err(EACCES.because("Landlock")),
        _ => Ok(()),
    }
}

/// Checks that a file may be opened, to be executed if `exec`, and returns the rights its
/// description has later: to truncate it, to send it device commands.
///
/// # Errors
/// `EACCES`.
pub fn check_open(
    path: &Path,
    cred: &Credentials,
    flags: OpenFlags,
    exec: bool,
) -> Result<u64, Errno> {
    let Some(domain) = domain(cred) else { return Ok(UNCONFINED) };
    let mut needed = 0;
    if flags.readable() {
        let is_dir = path.dentry.is_dir();
        needed |= if is_dir { LANDLOCK_ACCESS_FS_READ_DIR } else { LANDLOCK_ACCESS_FS_READ_FILE };
    }
    if flags.writable() {
        needed |= LANDLOCK_ACCESS_FS_WRITE_FILE;
    }
    if exec {
        needed |= LANDLOCK_ACCESS_FS_EXECUTE;
    }
    let later = LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV;
    let denied = denied(domain, path, needed | later);
    if denied & needed != 0 { Err(EACCES.because("Landlock")) } else { Ok(!denied) }
}

/// The right to make a file of a kind.
#[must_use]
pub const fn making(kind: FileType) -> u64 {
    match kind {
        FileType::Regular => LANDLOCK_ACCESS_FS_MAKE_REG,
        FileType::Directory => LANDLOCK_ACCESS_FS_MAKE_DIR,
        FileType::Symlink => LANDLOCK_ACCESS_FS_MAKE_SYM,
        FileType::CharDevice => LANDLOCK_ACCESS_FS_MAKE_CHAR,
        FileType::BlockDevice => LANDLOCK_ACCESS_FS_MAKE_BLOCK,
        FileType::Fifo => LANDLOCK_ACCESS_FS_MAKE_FIFO,
        FileType::Socket => LANDLOCK_ACCESS_FS_MAKE_SOCK,
    }
}

/// The right to remove a name.
#[must_use]
pub fn removing(victim: &Dentry) -> u64 {
    if victim.is_dir() { LANDLOCK_ACCESS_FS_REMOVE_DIR } else { LANDLOCK_ACCESS_FS_REMOVE_FILE }
}

/// A file about to get a name in another place.
pub struct Move<'a> {
    /// What is linked or renamed.
    pub file: &'a Arc<Dentry>,
    /// The directory it is in.
    pub from: Option<&'a Path>,
    /// The directory that gets the name.
    pub to: &'a Path,
    /// What has that name so far.
    pub target: Option<&'a Arc<Dentry>>,
    /// Whether the old name goes.
    pub removes: bool,
    /// Whether the two change places.
    pub exchange: bool,
}

/// Checks a link or a renaming.
///
/// # Errors
/// `EACCES` where making or removing is not allowed; `EXDEV` where only the change of directories is
/// not: it is not allowed as such, or would make more allowed with the file than before.
pub fn check_move(cred: &Credentials, change: &Move<'_>) -> Result<(), Errno> {
    let Some(domain) = domain(cred) else { return Ok(()) };
    let mut at_from = 0;
    let mut at_to = making(change.file.kind());
    if change.exchange
        && let Some(target) = change.target
    {
        at_from |= making(target.kind());
    }
    if change.removes {
        at_from |= removing(change.file);
        at_to |= change.target.map_or(0, |target| removing(target));
    }
    let same = change.from.is_some_and(|from| Arc::ptr_eq(&from.dentry, &change.to.dentry));
    if same {
        return check(change.to, cred, at_from | at_to);
    }
    let (mut from, mut to) = (domain.grants(), domain.grants());
    if let Some(place) = change.from {
        walk(&mut from, place);
    }
    walk(&mut to, change.to);
    if from.denied(at_from) != 0 || to.denied(at_to) != 0 {
        return Err(EACCES.because("Landlock"));
    }
    let refers = |grants: &Grants<'_>| grants.denied(LANDLOCK_ACCESS_FS_REFER) == 0;
    let gains_nothing = |file: &Arc<Dentry>, from: &Grants<'_>, to: &Grants<'_>| {
        let mut own = domain.grants();
        own.add(key(file.inode()));
        let kinds = if file.is_dir() { u64::MAX } else { FILE_RIGHTS };
        from.gains_nothing(&own, to, kinds)
    };
    let back = change.target.filter(|_| change.exchange);
    let allowed = refers(&from)
        && refers(&to)
        && gains_nothing(change.file, &from, &to)
        && back.is_none_or(|target| gains_nothing(target, &to, &from));
    if allowed { Ok(()) } else { Err(EXDEV.because("Landlock: another directory")) }
}
