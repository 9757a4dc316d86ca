//! Path resolution (`path_resolution(7)`, `openat2(2)`).
//!
//! A walk keeps one mount and one dentry and steps from name to name. Names are slices of the
//! caller's path; only a symbolic link makes a new buffer. Nothing is held between steps.

use crate::caller::Caller;
use crate::context::FsContext;
use crate::dentry::{Dentry, rename_count};
use crate::file::OpenFlags;
use crate::inode::MAY_EXEC;
use crate::inode::{Attr, FileType};
use crate::meta::access_times;
use crate::mount::{Mount, MountFlags, Path};
use bevor_abi::Errno;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{EACCES, EAGAIN, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV};
use bevor_abi::fcntl::{
    PATH_MAX, RESOLVE_BENEATH, RESOLVE_CACHED, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV,
};
use bevor_abi::stat::S_ISVTX;
use bevor_base::Credentials;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `fs.protected_symlinks`: links in sticky world-writable directories are followed only by their
/// owner, or when the directory's owner made them.
pub static PROTECTED_SYMLINKS: AtomicBool = AtomicBool::new(true);

/// Most symbolic links one resolution follows.
const MAXSYMLINKS: u32 = 40;

/// Where a look-up starts and for whom: what every `*at` system call begins with.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The task's root, working directory and namespace.
    pub fs: &'a FsContext,
    /// The task.
    pub caller: &'a dyn Caller,
    /// Whose permissions count: the task's own, or with its real ids for `access(2)`.
    pub cred: &'a Credentials,
    /// The directory of the descriptor argument, `None` for `AT_FDCWD`; why there is none counts
    /// only where the path starts there.
    pub dir: Result<Option<&'a Path>, Errno>,
    /// `RESOLVE_*` bits.
    pub resolve: u64,
}

/// What happens when the last component is a symbolic link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastLink {
    /// It is followed.
    Follow,
    /// It is the result (`AT_SYMLINK_NOFOLLOW`).
    Keep,
}

/// What the last component of a path is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Last<'p> {
    /// An ordinary name, and whether slashes follow it.
    Name(Cow<'p, [u8]>, bool),
    /// `.`.
    Dot,
    /// `..`.
    DotDot,
    /// Nothing: the path is slashes only.
    Root,
}

/// A directory and the name to be made, removed or opened in it.
#[derive(Debug)]
pub struct Parent<'p> {
    /// The directory.
    pub dir: Path,
    /// The last component.
    pub last: Last<'p>,
}

impl<'a> At<'a> {
    /// Starts at the working directory.
    #[must_use]
    pub fn cwd(fs: &'a FsContext, caller: &'a dyn Caller, cred: &'a Credentials) -> Self {
        Self { fs, caller, cred, dir: Ok(None), resolve: 0 }
    }

    /// The directory relative paths start at.
    ///
    /// # Errors
    /// `EBADF` for a descriptor argument that is none.
    pub fn start(&self) -> Result<&'a Path, Errno> {
        Ok(self.dir?.unwrap_or(&self.fs.cwd))
    }

    /// Resolves `path` to what it names.
    ///
    /// # Errors
    /// Those of `path_resolution(7)`; `ENOENT` for the empty path.
    pub fn resolve(&self, path: &[u8], last: LastLink) -> Result<Path, Errno> {
        let mut walk = Walk::begin(self, path)?;
        let mut text = Cow::Borrowed(path);
        let mut wants_dir = false;
        loop {
            match walk.reach_parent(text)? {
                Last::Name(name, slash) => {
                    wants_dir |= slash;
                    let follow = last == LastLink::Follow || wants_dir;
                    match walk.enter_child(&name, follow, b"")? {
                        Some(target) => text = Cow::Owned(target),
                        None if wants_dir && !walk.dentry.is_dir() => return Err(ENOTDIR.into()),
                        None => return Ok(walk.finish()),
                    }
                }
                Last::DotDot => {
                    walk.up()?;
                    return Ok(walk.finish());
                }
                Last::Dot | Last::Root => return Ok(walk.finish()),
            }
        }
    }

    /// Resolves all but the last component of `path`.
    ///
    /// # Errors
    /// As [`At::resolve`].
    pub fn resolve_parent<'p>(&self, path: &'p [u8]) -> Result<Parent<'p>, Errno> {
        let mut walk = Walk::begin(self, path)?;
        let last = walk.reach_parent(Cow::Borrowed(path))?;
        Ok(Parent { dir: walk.finish(), last })
    }
}

/// A resolution under way.
pub(crate) struct Walk<'a> {
    at: At<'a>,
    /// What `/` and the top of `..` mean.
    root: &'a Path,
    mount: Arc<Mount>,
    pub(crate) dentry: Arc<Dentry>,
    links: u32,
    renames: u64,
}

impl<'a> Walk<'a> {
    /// Stands at the start of `path`.
    pub(crate) fn begin(at: &At<'a>, path: &[u8]) -> Result<Self, Errno> {
        if path.is_empty() {
            return Err(ENOENT.into());
        }
        if path.len() >= usize_of_u32(PATH_MAX) {
            return Err(ENAMETOOLONG.into());
        }
        let scoped = at.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) != 0;
        let absolute = path.starts_with(b"/");
        if absolute && at.resolve & RESOLVE_BENEATH != 0 {
            return Err(EXDEV.into());
        }
        let root = if scoped { at.start()? } else { &at.fs.root };
        let start = if absolute { root } else { at.start()? };
        if !start.dentry.is_dir() {
            return Err(ENOTDIR.into());
        }
        let renames = if scoped { rename_count() } else { 0 };
        Ok(Self {
            at: *at,
            root,
            mount: start.mount.clone(),
            dentry: start.dentry.clone(),
            links: 0,
            renames,
        })
    }

    /// The place reached.
    pub(crate) fn finish(self) -> Path {
        Path { mount: self.mount, dentry: self.dentry }
    }

    /// The place reached so far.
    pub(crate) fn here(&self) -> Path {
        Path { mount: self.mount.clone(), dentry: self.dentry.clone() }
    }

    const fn has(&self, resolve: u64) -> bool {
        self.at.resolve & resolve != 0
    }

    fn is_at(&self, path: &Path) -> bool {
        Arc::ptr_eq(&self.dentry, &path.dentry) && Arc::ptr_eq(&self.mount, &path.mount)
    }

    /// Goes through all components of `text` but the last, following links on the way.
    pub(crate) fn reach_parent<'p>(&mut self, mut text: Cow<'p, [u8]>) -> Result<Last<'p>, Errno> {
        let mut from = 0;
        loop {
            while text.get(from) == Some(&b'/') {
                from += 1;
            }
            if from == text.len() {
                return Ok(Last::Root);
            }
            let rest = text.get(from..).unwrap_or_default();
            let len = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let (name, after) = rest.split_at(len);
            let is_last = after.iter().all(|&byte| byte == b'/');
            self.may_search()?;
            match name {
                b"." if is_last => return Ok(Last::Dot),
                b"." => {}
                b".." if is_last => return Ok(Last::DotDot),
                b".." => self.up()?,
                _ if is_last => {
                    let slash = !after.is_empty();
                    let end = from + len;
                    let name = match text {
                        Cow::Borrowed(path) => {
                            Cow::Borrowed(path.get(from..end).unwrap_or_default())
                        }
                        Cow::Owned(mut path) => {
                            path.truncate(end);
                            path.drain(..from);
                            Cow::Owned(path)
                        }
                    };
                    return Ok(Last::Name(name, slash));
                }
                _ => {
                    if let Some(target) = self.enter_child(name, true, after)? {
                        text = Cow::Owned(target);
                        from = 0;
                        continue;
                    }
                    if !self.dentry.is_dir() {
                        return Err(ENOTDIR.into());
                    }
                }
            }
            from += len;
        }
    }

    /// Checks that the current directory may be searched.
    fn may_search(&self) -> Result<(), Errno> {
        self.dentry.inode().permission(self.at.cred, MAY_EXEC)
    }

    /// Steps to child `name`. If that is a link to follow, returns its target with `after` appended
    /// instead (the walk stands where the target starts), or goes where a magic link leads.
    pub(crate) fn enter_child(
        &mut self,
        name: &[u8],
        follow: bool,
        after: &[u8],
    ) -> Result<Option<Vec<u8>>, Errno> {
        let cache = self.mount.superblock().cache();
        let child = if self.has(RESOLVE_CACHED) {
            self.dentry.lookup_cached(name, cache).ok_or(EAGAIN)??
        } else {
            self.dentry.lookup(name, cache)?
        };
        self.enter_dentry(child, follow, after)
    }

    /// As [`Walk::enter_child`], for a child already looked up.
    pub(crate) fn enter_dentry(
        &mut self,
        child: Arc<Dentry>,
        follow: bool,
        after: &[u8],
    ) -> Result<Option<Vec<u8>>, Errno> {
        if child.kind() == FileType::Symlink && follow && !child.is_mountpoint() {
            return self.follow(&child, after);
        }
        self.dentry = child;
        self.cross_mounts()?;
        Ok(None)
    }

    /// Goes onto whatever is mounted here.
    fn cross_mounts(&mut self) -> Result<(), Errno> {
        while self.dentry.is_mountpoint() {
            let Some(mount) = self.mount.child_at(&self.dentry) else { break };
            if self.has(RESOLVE_NO_XDEV) {
                return Err(EXDEV.into());
            }
            mount.entered();
            self.dentry = mount.root().clone();
            self.mount = mount;
        }
        Ok(())
    }

    /// Goes one directory up.
    pub(crate) fn up(&mut self) -> Result<(), Errno> {
        if self.is_at(self.root) {
            return if self.has(RESOLVE_BENEATH) { Err(EXDEV.into()) } else { Ok(()) };
        }
        if Arc::ptr_eq(&self.dentry, self.mount.root()) {
            let Some(above) = self.here().up(self.root) else { return Ok(()) };
            if self.has(RESOLVE_NO_XDEV) && !Arc::ptr_eq(&above.mount, &self.mount) {
                return Err(EXDEV.into());
            }
            self.mount = above.mount;
            self.dentry = above.dentry;
        } else if let Some(parent) = self.dentry.parent() {
            self.dentry = parent;
        }
        // A directory moved out of the scope meanwhile would let `..` escape.
        if self.has(RESOLVE_BENEATH | RESOLVE_IN_ROOT) && self.renames != rename_count() {
            return Err(EAGAIN.because("renamed while resolving"));
        }
        self.cross_mounts()
    }

    /// Follows `link`, a child of the current directory.
    fn follow(&mut self, link: &Arc<Dentry>, after: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
        self.links += 1;
        if self.links > MAXSYMLINKS {
            return Err(ELOOP.into());
        }
        if self.has(RESOLVE_NO_SYMLINKS) || self.mount.flags().has(MountFlags::NOSYMFOLLOW) {
            return Err(ELOOP.into());
        }
        self.may_follow(link)?;
        if let Some(path) = link.inode().magic_link(self.at.caller)? {
            if self.has(RESOLVE_NO_MAGICLINKS) {
                return Err(ELOOP.into());
            }
            let other_mount = !Arc::ptr_eq(&path.mount, &self.mount);
            let scoped = self.has(RESOLVE_BENEATH | RESOLVE_IN_ROOT);
            if scoped || (other_mount && self.has(RESOLVE_NO_XDEV)) {
                return Err(EXDEV.into());
            }
            self.mount = path.mount;
            self.dentry = path.dentry;
            return Ok(None);
        }
        let mut target = link.inode().read_link(self.at.caller)?;
        let here = Path { mount: self.mount.clone(), dentry: link.clone() };
        link.inode().accessed(access_times(&here, OpenFlags::default()));
        if target.is_empty() {
            return Err(ENOENT.into());
        }
        if target.starts_with(b"/") {
            if self.has(RESOLVE_BENEATH) {
                return Err(EXDEV.into());
            }
            if self.has(RESOLVE_NO_XDEV) && !Arc::ptr_eq(&self.root.mount, &self.mount) {
                return Err(EXDEV.into());
            }
            self.mount = self.root.mount.clone();
            self.dentry = self.root.dentry.clone();
        }
        target.extend_from_slice(after);
        Ok(Some(target))
    }

    /// Applies `fs.protected_symlinks`.
    fn may_follow(&self, link: &Dentry) -> Result<(), Errno> {
        if !PROTECTED_SYMLINKS.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Attr { mode, uid: dir_uid, .. } = self.dentry.inode().attr()?;
        if mode & (S_ISVTX | 0o002) != S_ISVTX | 0o002 {
            return Ok(());
        }
        let uid = link.inode().attr()?.uid;
        if uid == self.at.cred.fsuid || uid == dir_uid {
            return Ok(());
        }
        Err(EACCES.because("link of another user in a sticky directory"))
    }
}
