//! Superblocks: one instance of a file system, and the registry of file system types.

use crate::caller::Caller;
use crate::dentry::{Dentry, DentryCache};
use crate::inode::{FileType, Inode, InodeRef};
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::errno::{EBUSY, EINVAL, ENODEV, EPERM};
use bevor_abi::stat::makedev;
use bevor_base::UserNamespace;
use parking_lot::{Mutex, RwLock};
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// What the VFS asks of a whole file system.
pub trait FileSystem: Send + Sync + Any {
    /// The type's name (`tmpfs`).
    fn name(&self) -> &'static str;

    /// Options as `/proc/PID/mountinfo` shows them, without `rw`/`ro`; empty if there are none.
    fn options(&self) -> String {
        String::new()
    }

    /// Whether a file can be found by its inode number (`open_by_handle_at(2)`).
    fn decodes_handles(&self) -> bool {
        false
    }

    /// Applies the options of a remount.
    ///
    /// # Errors
    /// `EINVAL` for an option that is unknown or cannot change.
    fn reconfigure(&self, options: &[u8]) -> Result<(), Errno> {
        if options.is_empty() { Ok(()) } else { Err(EINVAL.into()) }
    }

    /// Whether each instance shows what a mount over a part of another may have hidden
    /// (`SB_I_USERNS_VISIBLE`).
    fn reveals(&self) -> bool {
        false
    }

    /// Told when the last mount is gone.
    fn unmounted(&self) {}

    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
}

/// A file of which somebody has a handle.
struct Handle {
    dentry: Weak<Dentry>,
    inode: Weak<dyn Inode>,
    /// A directory is found by its dentry alone: it must stay.
    directory: Option<Arc<Dentry>>,
}

/// Files by inode number.
#[derive(Default)]
struct Handles {
    known: HashMap<u64, Handle>,
    /// At this size those that are gone are looked for.
    sweep_at: usize,
}

impl Handles {
    const SMALL: usize = 64;

    fn add(&mut self, dentry: &Arc<Dentry>) {
        if self.known.len() >= self.sweep_at.max(Self::SMALL) {
            self.known.retain(|_, handle| {
                let removed = handle.directory.as_ref().is_some_and(|dir| dir.is_deleted());
                handle.inode.strong_count() > 0 && !removed
            });
            self.sweep_at = self.known.len() * 2;
        }
        let handle = Handle {
            dentry: Arc::downgrade(dentry),
            inode: Arc::downgrade(dentry.inode()),
            directory: dentry.is_dir().then(|| dentry.clone()),
        };
        self.known.insert(dentry.inode().ino(), handle);
    }

    fn find(&mut self, ino: u64, root: &Arc<Dentry>) -> Option<Arc<Dentry>> {
        let handle = self.known.get(&ino)?;
        let found =
            handle.dentry.upgrade().filter(|dentry| !(dentry.is_dir() && dentry.is_deleted()));
        let found = found.or_else(|| {
            let inode = handle.inode.upgrade()?;
            (inode.file_type() != FileType::Directory).then(|| Dentry::unnamed(root, inode, true))
        });
        if found.is_none() {
            self.known.remove(&ino);
        }
        found
    }
}

/// One instance of a file system.
pub struct Superblock {
    fs: Box<dyn FileSystem>,
    dev: u64,
    root: Arc<Dentry>,
    cache: DentryCache,
    read_only: AtomicBool,
    /// Whose capabilities count over it.
    user_ns: Arc<UserNamespace>,
    /// Held by renames between directories, so that ancestry stands still.
    rename: Mutex<()>,
    /// How many mounts there are.
    mounts: AtomicUsize,
    /// Descriptions that may write to it, through all mounts.
    writers: AtomicUsize,
    /// The files of which somebody has a handle.
    handles: Mutex<Handles>,
}

impl Drop for Superblock {
    /// The last mount and the last open file are gone.
    fn drop(&mut self) {
        crate::notify::unmounted(self.dev());
    }
}

impl Superblock {
    /// Makes an instance whose root directory is `root`.
    #[must_use]
    pub fn new(fs: Box<dyn FileSystem>, root: InodeRef, user_ns: Arc<UserNamespace>) -> Arc<Self> {
        Arc::new(Self {
            fs,
            dev: root.dev(),
            root: Dentry::root(root),
            cache: DentryCache::new(DentryCache::DEFAULT_CAPACITY),
            read_only: AtomicBool::new(false),
            user_ns,
            rename: Mutex::default(),
            mounts: AtomicUsize::new(0),
            writers: AtomicUsize::new(0),
            handles: Mutex::default(),
        })
    }

    /// The file system.
    #[must_use]
    pub fn fs(&self) -> &dyn FileSystem {
        &*self.fs
    }

    /// Its device number (`st_dev` of its root).
    #[must_use]
    pub const fn dev(&self) -> u64 {
        self.dev
    }

    /// Its root directory.
    #[must_use]
    pub const fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// Its dentry cache.
    #[must_use]
    pub const fn cache(&self) -> &DentryCache {
        &self.cache
    }

    /// The user namespace it was mounted from.
    #[must_use]
    pub const fn user_ns(&self) -> &Arc<UserNamespace> {
        &self.user_ns
    }

    /// The lock of renames between directories.
    #[must_use]
    pub const fn rename(&self) -> &Mutex<()> {
        &self.rename
    }

    /// Whether it is read-only, whatever its mounts are.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Makes it read-only or writable.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    /// Makes it read-only, if nobody has a file open for writing.
    ///
    /// # Errors
    /// `EBUSY`.
    pub fn make_read_only(&self) -> Result<(), Errno> {
        let before = self.read_only.swap(true, Ordering::SeqCst);
        if !before && self.writers.load(Ordering::SeqCst) != 0 {
            self.read_only.store(false, Ordering::SeqCst);
            return Err(EBUSY.because("open for writing"));
        }
        Ok(())
    }

    /// Changes options, and whether it is read-only if that is given.
    ///
    /// # Errors
    /// `EINVAL` for an option that is unknown or cannot change; `EBUSY`.
    pub fn reconfigure(&self, options: &[u8], read_only: Option<bool>) -> Result<(), Errno> {
        let before = self.is_read_only();
        if read_only == Some(true) {
            self.make_read_only()?;
        }
        if let Err(errno) = self.fs.reconfigure(options) {
            self.set_read_only(before);
            return Err(errno);
        }
        self.set_read_only(read_only.unwrap_or(before));
        Ok(())
    }

    /// Notes that somebody has a handle of `dentry`.
    pub fn remember_handle(&self, dentry: &Arc<Dentry>) {
        self.handles.lock().add(dentry);
    }

    /// The file of inode number `ino`, if it still exists and somebody had a handle of it.
    #[must_use]
    pub fn by_handle(&self, ino: u64) -> Option<Arc<Dentry>> {
        if self.root.inode().ino() == ino {
            return Some(self.root.clone());
        }
        self.handles.lock().find(ino, &self.root)
    }

    /// Counts a description that may write.
    pub(crate) fn writer_came(&self) {
        self.writers.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes back [`Superblock::writer_came`].
    pub(crate) fn writer_left(&self) {
        self.writers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts a new mount.
    pub(crate) fn mount_made(&self) {
        self.mounts.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a mount that is gone; the last one empties the cache.
    pub(crate) fn mount_gone(&self) {
        if self.mounts.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.cache.clear();
            self.handles.lock().known.clear();
            self.fs.unmounted();
        }
    }
}

impl std::fmt::Debug for Superblock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Superblock({}, {:#x})", self.fs.name(), self.dev)
    }
}

/// Draws the device number of a new file system without a device: major 0, as Linux does. Files of
/// the host keep their own numbers, of which those without a device begin at 1: these lie far above.
#[must_use]
pub fn next_anonymous_dev() -> u64 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 1 << 19;
    makedev(0, FIRST | (NEXT.fetch_add(1, Ordering::Relaxed) & (FIRST - 1)))
}

/// What `mount(2)` gives a file system type.
pub struct MountRequest<'a> {
    /// The device or other source.
    pub source: &'a [u8],
    /// Comma-separated options, those of the VFS removed.
    pub options: &'a [u8],
    /// The user namespace of the mounter.
    pub user_ns: &'a Arc<UserNamespace>,
    /// The mounting task.
    pub caller: &'a dyn Caller,
}

impl MountRequest<'_> {
    /// Checks that the mounter rules over `owner`, the owner of the namespace a file system shows.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn must_rule(&self, owner: &Arc<UserNamespace>) -> Result<(), Errno> {
        if self.caller.cred().has_cap_in(CAP_SYS_ADMIN, owner) {
            return Ok(());
        }
        Err(EPERM.because("needs CAP_SYS_ADMIN over the namespace the file system shows"))
    }

    /// Checks that there are no options but those that are flags of any file system.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn no_options(&self) -> Result<(), Errno> {
        let flags: [&[u8]; 10] = [
            b"",
            b"ro",
            b"rw",
            b"sync",
            b"async",
            b"dirsync",
            b"lazytime",
            b"nolazytime",
            b"mand",
            b"nomand",
        ];
        let mut options = self.options.split(|&byte| byte == b',');
        if options.all(|option| flags.contains(&option)) {
            return Ok(());
        }
        Err(EINVAL.because("an option of a file system that has none"))
    }
}

/// Makes an instance of a file system type.
pub type MountFn = dyn Fn(&MountRequest<'_>) -> Result<Arc<Superblock>, Errno> + Send + Sync;

/// Why a file system does not take a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamFault {
    /// It does not know it.
    Unknown,
    /// It knows it, but not with this value.
    BadValue,
}

/// Looks at one parameter, `key` or `key=value`.
pub type CheckFn = dyn Fn(&[u8]) -> Result<(), ParamFault> + Send + Sync;

/// What a file system without parameters says of any.
///
/// # Errors
/// Always [`ParamFault::Unknown`].
pub const fn no_params(option: &[u8]) -> Result<(), ParamFault> {
    let _ = option;
    Err(ParamFault::Unknown)
}

/// Looks at one parameter with a `parse` function of options that knows the parameters `known`.
///
/// # Errors
/// As said by `known` and `parse`.
pub fn check_param<T>(
    option: &[u8],
    known: &[&str],
    parse: impl FnOnce(&[u8]) -> Result<T, Errno>,
) -> Result<(), ParamFault> {
    let key = option.split(|&byte| byte == b'=').next().unwrap_or_default();
    if !known.iter().any(|name| name.as_bytes() == key) {
        return Err(ParamFault::Unknown);
    }
    parse(option).map(|_| ()).map_err(|_| ParamFault::BadValue)
}

/// A type `mount(2)` knows.
pub struct FsType {
    /// Whether it needs no block device (`nodev` in `/proc/filesystems`).
    pub nodev: bool,
    /// Whether a user namespace's own root may mount it (`FS_USERNS_MOUNT`).
    pub in_user_ns: bool,
    /// Looks at a parameter before an instance is made.
    pub check: Box<CheckFn>,
    /// Makes an instance.
    pub mount: Box<MountFn>,
}

static TYPES: RwLock<BTreeMap<&'static str, Arc<FsType>>> = RwLock::new(BTreeMap::new());

/// Makes a file system type known to `mount(2)`.
pub fn register_fs_type(name: &'static str, fs_type: FsType) {
    TYPES.write().insert(name, Arc::new(fs_type));
}

/// Finds a file system type.
///
/// # Errors
/// `ENODEV`.
pub fn fs_type(name: &[u8]) -> Result<Arc<FsType>, Errno> {
    let name = std::str::from_utf8(name).map_err(|_| ENODEV)?;
    TYPES.read().get(name).cloned().ok_or_else(|| ENODEV.into())
}

/// The lines of `/proc/filesystems`.
#[must_use]
pub fn fs_types_text() -> String {
    let line = |(name, fs_type): (&&str, &Arc<FsType>)| {
        format!("{}\t{name}\n", if fs_type.nodev { "nodev" } else { "" })
    };
    TYPES.read().iter().map(line).collect()
}
