//! `openat2(2)`.

use crate::dentry::Dentry;
use crate::file::{File, FileOps, OpenFlags};
use crate::inode::{FileType, NewNode, SetAttr};
use crate::inode::{MAY_EXEC, MAY_READ, MAY_WRITE, S_IALLUGO};
use crate::landlock;
use crate::mount::{MountFlags, Path};
use crate::namei::perm::NewInode;
use crate::namei::{PROTECTED_FIFOS, PROTECTED_REGULAR, attr, perm};
use crate::notify;
use crate::pipe::PipeEnd;
use crate::usage;
use crate::walk::{At, Last, LastLink, Walk};
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS};
use bevor_abi::fcntl::{
    __O_TMPFILE, O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOATIME, O_NOFOLLOW, O_PATH,
    O_TMPFILE, O_TRUNC,
};
use bevor_abi::inotify::{IN_CREATE, IN_MODIFY, IN_OPEN};
use bevor_abi::landlock::{LANDLOCK_ACCESS_FS_MAKE_REG, LANDLOCK_ACCESS_FS_TRUNCATE};
use bevor_abi::stat::S_ISVTX;
use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How to open: flags and, for new files, permission bits before the umask.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenHow {
    /// `O_*`.
    pub flags: OpenFlags,
    /// Permission bits of a new file.
    pub mode: u32,
}

/// What opens with `O_PATH`: a place without contents.
pub struct PathOnly;

impl FileOps for PathOnly {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl OpenHow {
    /// Checks the combination of flags and drops those that have no meaning with `O_PATH`. Linux does
    /// so before it looks at the path.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn checked(mut self) -> Result<Self, Errno> {
        let flags = self.flags.0;
        if flags & O_PATH != 0 {
            self.flags.0 = flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            return Ok(self);
        }
        if flags & __O_TMPFILE != 0 {
            if flags & O_TMPFILE != O_TMPFILE || !self.flags.writable() {
                return Err(EINVAL.because("O_TMPFILE needs O_DIRECTORY and write access"));
            }
            if flags & O_CREAT != 0 {
                return Err(EINVAL.because("O_TMPFILE with O_CREAT"));
            }
        } else if flags & O_CREAT != 0 && flags & O_DIRECTORY != 0 {
            return Err(EINVAL.because("O_DIRECTORY with O_CREAT"));
        }
        Ok(self)
    }

    const fn has(self, flag: u32) -> bool {
        self.flags.0 & flag != 0
    }

    /// The rights the open needs on an existing file.
    const fn access(self) -> u32 {
        let mut access = match self.flags.0 & OpenFlags::ACCMODE {
            0 => MAY_READ,
            1 => MAY_WRITE,
            _ => MAY_READ | MAY_WRITE,
        };
        if self.has(O_TRUNC) {
            access |= MAY_WRITE;
        }
        access
    }

    fn last_link(self) -> LastLink {
        if self.has(O_NOFOLLOW) { LastLink::Keep } else { LastLink::Follow }
    }
}

/// Opens or makes the file `path` names.
///
/// # Errors
/// As `open(2)`. A fifo whose other end is missing opens at once; see [`crate::pipe`].
pub fn open(at: &At<'_>, path: &[u8], how: OpenHow) -> Result<Arc<File>, Errno> {
    let how = how.checked()?;
    if how.has(O_PATH) {
        let found = at.resolve(path, how.last_link())?;
        if how.has(O_DIRECTORY) && !found.dentry.is_dir() {
            return Err(ENOTDIR.into());
        }
        return Ok(open_place(at, found, how));
    }
    if how.has(__O_TMPFILE) {
        return open_unnamed(at, path, how);
    }
    if how.has(O_CREAT) {
        return open_or_create(at, path, how);
    }
    let found = at.resolve(path, how.last_link())?;
    open_path(at, found, how)
}

/// Opens what `open_by_handle_at(2)` found.
///
/// # Errors
/// As `open(2)`.
pub fn open_handle(at: &At<'_>, path: Path, how: OpenHow) -> Result<Arc<File>, Errno> {
    let how = how.checked()?;
    if how.has(O_DIRECTORY) && !path.dentry.is_dir() {
        return Err(ENOTDIR.into());
    }
    if how.has(O_PATH) {
        return Ok(open_place(at, path, how));
    }
    open_path(at, path, how)
}

/// Opens with `O_PATH`.
fn open_place(at: &At<'_>, path: Path, how: OpenHow) -> Arc<File> {
    let file = File::new(Box::new(PathOnly), path, how.flags);
    file.set_opener(at.caller.cred());
    file
}

/// Opens a place that exists (also `open_by_handle_at(2)` and reopening through `/proc/PID/fd`).
///
/// # Errors
/// As `open(2)`.
pub fn open_path(at: &At<'_>, path: Path, mut how: OpenHow) -> Result<Arc<File>, Errno> {
    let kind = path.dentry.kind();
    if how.has(O_CREAT) {
        if how.has(O_EXCL) {
            return Err(EEXIST.into());
        }
        if kind == FileType::Directory {
            return Err(EISDIR.into());
        }
        may_create_in_sticky(&path, at)?;
    }
    if how.has(O_DIRECTORY) && kind != FileType::Directory {
        return Err(ENOTDIR.into());
    }
    let truncate = how.has(O_TRUNC) && kind == FileType::Regular;
    if truncate {
        perm::want_write(&path)?;
    }
    let access = how.access();
    match kind {
        FileType::Symlink => return Err(ELOOP.into()),
        FileType::Directory if access & MAY_WRITE != 0 => return Err(EISDIR.into()),
        FileType::CharDevice | FileType::BlockDevice
            if path.mount.flags().has(MountFlags::NODEV)
                || path.mount.superblock().user_ns().level > 0 =>
        {
            return Err(EACCES.because("mounted with nodev, or by a user namespace"));
        }
        FileType::Regular | FileType::Directory => {}
        _ => how.flags.0 &= !O_TRUNC,
    }
    perm::permission(&path, at.cred, access)?;
    check_marks(&path, at, how)?;
    if how.flags.writable() && kind == FileType::Regular {
        perm::want_write(&path)?;
    }
    let rights = landlock::check_open(&path, at.cred, how.flags, false)?;
    let mut happened = IN_MODIFY;
    if truncate {
        if rights & LANDLOCK_ACCESS_FS_TRUNCATE == 0 {
            return Err(EACCES.because("Landlock"));
        }
        let inode = path.inode();
        usage::check_idle(inode)?;
        happened |= attr::take_privileges(&path, at.cred)?;
        inode.set_attr(&SetAttr { size: Some(0), ..SetAttr::default() })?;
    }
    let file = finish(at, path, how)?;
    if truncate {
        // Watchers hear of the opening first, though to truncate first saves copying.
        notify::path(file.path(), happened);
    }
    Ok(file)
}

/// Refuses to open, as if it were new, what another user put into a sticky directory.
fn may_create_in_sticky(path: &Path, at: &At<'_>) -> Result<(), Errno> {
    let level = match path.dentry.kind() {
        FileType::Regular => PROTECTED_REGULAR.load(Ordering::Relaxed),
        FileType::Fifo => PROTECTED_FIFOS.load(Ordering::Relaxed),
        _ => 1,
    };
    if level == 0 {
        return Ok(());
    }
    let Some(dir) = path.dentry.parent() else { return Ok(()) };
    let dir = dir.inode().attr()?;
    if dir.mode & S_ISVTX == 0 {
        return Ok(());
    }
    let uid = path.inode().attr()?.uid;
    let shared = dir.mode & 0o002 != 0 || (level >= 2 && dir.mode & 0o020 != 0);
    if shared && uid != dir.uid && uid != at.cred.fsuid {
        return Err(EACCES.because("another user's file in a sticky directory"));
    }
    Ok(())
}

/// Applies append-only marks and the rule of `O_NOATIME`.
fn check_marks(path: &Path, at: &At<'_>, how: OpenHow) -> Result<(), Errno> {
    if !how.flags.writable() && !how.has(O_NOATIME) {
        return Ok(());
    }
    let attr = path.inode().attr()?;
    if attr.attributes & perm::ATTR_APPEND != 0 {
        let only_appends = how.has(O_APPEND) && !how.has(O_TRUNC);
        if how.flags.writable() && !only_appends {
            return Err(EPERM.because("append-only file"));
        }
    }
    if how.has(O_NOATIME) && !perm::owner_or_capable(at.cred, &attr) {
        return Err(EPERM.because("O_NOATIME on another user's file"));
    }
    Ok(())
}

/// Makes the description of a file that may be opened.
fn finish(at: &At<'_>, path: Path, how: OpenHow) -> Result<Arc<File>, Errno> {
    let writes = how.flags.writable() && path.dentry.kind() == FileType::Regular;
    let rights = landlock::check_open(&path, at.cred, how.flags, false)?;
    let ops = match crate::devpts::open_beside(&path, at.caller) {
        Some(opened) => opened?,
        None => path.inode().clone().open(how.flags, at.caller)?,
    };
    let file = File::new(ops, path, how.flags);
    file.set_rights(rights);
    file.set_opener(at.caller.cred());
    if writes {
        file.count_writer()?;
    }
    if waits_for_peer(&file) {
        file.is_opening();
    } else {
        notify::file(&file, IN_OPEN);
    }
    Ok(file)
}

/// Whether `open(2)` waits with this file for somebody to open the fifo's other end. Reopening a pipe
/// through `/proc/PID/fd` never waits, only opening a named fifo does.
#[must_use]
pub fn waits_for_peer(file: &File) -> bool {
    let awaits_peer = file.downcast::<PipeEnd>().is_some_and(PipeEnd::awaits_peer);
    awaits_peer && !file.nonblocking() && !file.path().dentry.is_anonymous()
}

/// Opens with `O_CREAT`.
fn open_or_create(at: &At<'_>, path: &[u8], how: OpenHow) -> Result<Arc<File>, Errno> {
    let mut walk = Walk::begin(at, path)?;
    let mut text = Cow::Borrowed(path);
    // O_EXCL does not follow a link in the last place.
    let follow = !how.has(O_NOFOLLOW | O_EXCL);
    loop {
        match walk.reach_parent(text)? {
            Last::Name(_, true) => return Err(EISDIR.into()),
            Last::Name(name, false) => {
                let child = match find_or_create(at, &walk, &name, how)? {
                    Entry::Made(child) => {
                        let path = Path { dentry: child, ..walk.here() };
                        return finish(at, path, how);
                    }
                    Entry::Found(child) => child,
                };
                match walk.enter_dentry(child, follow, b"")? {
                    Some(target) => text = Cow::Owned(target),
                    None => return open_path(at, walk.finish(), how),
                }
            }
            Last::DotDot => {
                walk.up()?;
                return open_path(at, walk.finish(), how);
            }
            Last::Dot | Last::Root => return open_path(at, walk.finish(), how),
        }
    }
}

/// An entry that was there or is new.
enum Entry {
    Found(Arc<Dentry>),
    Made(Arc<Dentry>),
}

fn find_or_create(at: &At<'_>, walk: &Walk<'_>, name: &[u8], how: OpenHow) -> Result<Entry, Errno> {
    let dir = walk.here();
    let cache = dir.mount.superblock().cache();
    if let Some(Ok(child)) = dir.dentry.lookup_cached(name, cache) {
        return Ok(Entry::Found(child));
    }
    let guard = dir.dentry.lock()?;
    // Two rounds: a name made behind the cache is found in the second.
    for round in 0..2 {
        match dir.dentry.lookup_locked(name, cache, &guard) {
            Ok(child) => return Ok(Entry::Found(child)),
            Err(errno) if errno == ENOENT => {}
            Err(errno) => return Err(errno),
        }
        if !dir.inode().accepts_names() {
            return Err(ENOENT.because("a directory whose names cannot be chosen"));
        }
        if dir.mount.is_read_only() {
            return Err(EROFS.into());
        }
        landlock::check(&dir, at.cred, LANDLOCK_ACCESS_FS_MAKE_REG)?;
        perm::may_create(&dir, at.cred)?;
        let new = NewInode::in_dir(dir.inode(), at, how.mode & S_IALLUGO, false)?;
        match dir.inode().create(name, &NewNode::Regular, new.attr) {
            Ok(inode) => {
                new.finish(&inode)?;
                let child = dir.dentry.insert(name, inode, cache, &guard);
                drop(guard);
                notify::entry(&dir.dentry, &child, IN_CREATE);
                return Ok(Entry::Made(child));
            }
            Err(errno) if errno == EEXIST && round == 0 => dir.dentry.invalidate(name, &guard),
            Err(errno) => return Err(errno),
        }
    }
    Err(EEXIST.into())
}

/// Opens with `O_TMPFILE`.
fn open_unnamed(at: &At<'_>, path: &[u8], how: OpenHow) -> Result<Arc<File>, Errno> {
    let dir = at.resolve(path, LastLink::Follow)?;
    if !dir.dentry.is_dir() {
        return Err(ENOTDIR.into());
    }
    perm::want_write(&dir)?;
    perm::permission(&dir, at.cred, MAY_WRITE | MAY_EXEC)?;
    let new = NewInode::in_dir(dir.inode(), at, how.mode & S_IALLUGO, false)?;
    let inode = dir.inode().create_unnamed(new.attr)?;
    new.finish(&inode)?;
    let dentry = Dentry::unnamed(&dir.dentry, inode, !how.has(O_EXCL));
    finish(at, Path { mount: dir.mount, dentry }, how)
}
