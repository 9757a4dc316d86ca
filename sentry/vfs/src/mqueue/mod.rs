//! POSIX message queues: `mq_overview(7)`.
//!
//! Each IPC namespace has one instance of the file system, whose root directory holds the queues.
//! It exists without being mounted anywhere: [`MessageFs::open`] and [`MessageFs::unlink`] work on a
//! mount of its own. Lock order: the directory's entries, `users`, a queue's state; none is held
//! while guest memory is touched or anybody is woken or told.

mod file;
mod inode;
mod queue;

pub use file::QueueFile;
pub use inode::QueueInode;
pub use queue::{Limits, Notifier, Queue, Taken};

use crate::caller::Caller;
use crate::context::FsContext;
use crate::file::{File, OpenFlags};
use crate::inode::{FsStat, InodeRef};
use crate::mount::{Mount, MountFlags, MountNamespace, Path};
use crate::namei::{self, OpenHow, perm};
use crate::notify;
use crate::superblock::{FileSystem, Superblock, next_anonymous_dev};
use crate::walk::At;
use bevor_abi::Errno;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{EACCES, EEXIST, EINVAL, EMFILE, ENAMETOOLONG, ENOENT};
use bevor_abi::fcntl::{O_CREAT, O_EXCL, O_NONBLOCK, PATH_MAX};
use bevor_abi::inotify::{IN_CREATE, IN_OPEN};
use bevor_abi::stat::MQUEUE_MAGIC;
use bevor_base::UserNamespace;
use bevor_memory::Account;
use inode::{Backing, Root};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest name of a queue.
const NAME_MAX: usize = 255;

/// The settings of `/proc/sys/fs/mqueue`.
#[derive(Debug)]
pub struct Settings {
    /// Messages of a queue made without attributes.
    pub msg_default: AtomicU64,
    /// Most messages of a queue.
    pub msg_max: AtomicU64,
    /// Message size of a queue made without attributes, bytes.
    pub msgsize_default: AtomicU64,
    /// Largest message size, bytes.
    pub msgsize_max: AtomicU64,
    /// Most queues.
    pub queues_max: AtomicU64,
}

impl Settings {
    fn new() -> Self {
        Self {
            msg_default: AtomicU64::new(10),
            msg_max: AtomicU64::new(10),
            msgsize_default: AtomicU64::new(8192),
            msgsize_max: AtomicU64::new(8192),
            queues_max: AtomicU64::new(256),
        }
    }
}

/// What every inode of an instance shares.
#[derive(Debug)]
struct Shared {
    dev: u64,
    next_ino: AtomicU64,
    settings: Settings,
    /// Bytes the queues of each user may take, for `RLIMIT_MSGQUEUE`.
    users: Mutex<BTreeMap<u32, u64>>,
}

impl Shared {
    fn new_ino(&self) -> u64 {
        self.next_ino.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a new queue of `uid`.
    fn take(&self, uid: u32, bytes: u64, limit: u64) -> Result<(), Errno> {
        let mut users = self.users.lock();
        let used = users.entry(uid).or_default();
        let sum = used.checked_add(bytes).filter(|&sum| sum <= limit);
        *used = sum.ok_or_else(|| EMFILE.because("RLIMIT_MSGQUEUE"))?;
        Ok(())
    }

    fn give_back(&self, uid: u32, bytes: u64) {
        let mut users = self.users.lock();
        if let Some(used) = users.get_mut(&uid) {
            *used = used.saturating_sub(bytes);
            if *used == 0 {
                users.remove(&uid);
            }
        }
    }

    fn statfs(&self) -> FsStat {
        FsStat {
            magic: MQUEUE_MAGIC,
            block_size: 4096,
            fsid: [bevor_abi::conv::low_u32(self.dev), 0],
            name_len: 255,
            ..FsStat::default()
        }
    }
}

/// The instance as the superblock holds it.
struct Instance;

impl FileSystem for Instance {
    fn name(&self) -> &'static str {
        "mqueue"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The message queues of an IPC namespace.
pub struct MessageFs {
    shared: Arc<Shared>,
    superblock: Arc<Superblock>,
    fs: FsContext,
}

impl MessageFs {
    /// An instance without queues, whose root belongs to user 0 of `user_ns`. Queues that are made as
    /// files are paid by `account`.
    #[must_use]
    pub fn new(user_ns: &Arc<UserNamespace>, account: &Arc<Account>) -> Self {
        let shared = Arc::new(Shared {
            dev: next_anonymous_dev(),
            next_ino: AtomicU64::new(1),
            settings: Settings::new(),
            users: Mutex::default(),
        });
        let (uid, gid) = (user_ns.uid_in(0).unwrap_or(0), user_ns.gid_in(0).unwrap_or(0));
        let root: InodeRef = Root::new(&shared, account, uid, gid);
        let superblock = Superblock::new(Box::new(Instance), root, user_ns.clone());
        let mount = Mount::of(&superblock, MountFlags::default(), b"mqueue");
        let fs = FsContext::at_root(MountNamespace::new(mount, user_ns.clone()));
        Self { shared, superblock, fs }
    }

    /// What a mount of it mounts.
    #[must_use]
    pub const fn superblock(&self) -> &Arc<Superblock> {
        &self.superblock
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Opens or makes a queue (`mq_open(2)`); `name` is without the slash that the C library takes
    /// off.
    ///
    /// # Errors
    /// `EACCES`, `EEXIST`, `EINVAL`, `EMFILE`, `ENAMETOOLONG`, `ENOENT`, `ENOMEM`, `ENOSPC`.
    pub fn open(
        &self,
        caller: &dyn Caller,
        name: &[u8],
        flags: OpenFlags,
        mode: u32,
        limits: Option<Limits>,
    ) -> Result<Arc<File>, Errno> {
        check_name(name)?;
        let cred = caller.cred();
        let at = At::cwd(&self.fs, caller, &cred);
        let kept = OpenFlags(flags.0 & (OpenFlags::ACCMODE | O_NONBLOCK));
        if flags.has(O_CREAT) {
            if let Some(path) = self.create(&at, name, mode, limits)? {
                let ops = path.inode().clone().open(kept, caller)?;
                let file = File::new(ops, path, kept);
                notify::file(&file, IN_OPEN);
                return Ok(file);
            }
            if flags.has(O_EXCL) {
                return Err(EEXIST.into());
            }
        }
        if kept.0 & OpenFlags::ACCMODE == OpenFlags::ACCMODE {
            return Err(EINVAL.because("no such access mode"));
        }
        namei::open(&at, name, OpenHow { flags: kept, mode: 0 })
    }

    /// Makes a queue; `None` if the name is taken.
    fn create(
        &self,
        at: &At<'_>,
        name: &[u8],
        mode: u32,
        limits: Option<Limits>,
    ) -> Result<Option<Path>, Errno> {
        let dir = &self.fs.root;
        let cache = self.superblock.cache();
        let guard = dir.dentry.lock()?;
        match dir.dentry.lookup_locked(name, cache, &guard) {
            Ok(_) => return Ok(None),
            Err(errno) if errno == ENOENT => {}
            Err(errno) => return Err(errno),
        }
        perm::may_create(dir, at.cred)?;
        let mode = mode & 0o7777 & !at.caller.umask();
        let attr = perm::new_attr(dir.inode(), at.cred, mode, false)?;
        let root = dir.inode().as_any().downcast_ref::<Root>().ok_or(EINVAL)?;
        let inode = root.make(name, attr, limits, &Backing::of(at.caller))?;
        let child = dir.dentry.insert(name, inode, cache, &guard);
        drop(guard);
        notify::entry(&dir.dentry, &child, IN_CREATE);
        Ok(Some(Path { mount: dir.mount.clone(), dentry: child }))
    }

    /// Removes a name (`mq_unlink(2)`).
    ///
    /// # Errors
    /// `EACCES`, `ENAMETOOLONG`, `ENOENT`.
    pub fn unlink(&self, caller: &dyn Caller, name: &[u8]) -> Result<(), Errno> {
        check_name(name)?;
        let cred = caller.cred();
        namei::unlink(&At::cwd(&self.fs, caller, &cred), name)
    }
}

impl std::fmt::Debug for MessageFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageFs({:#x})", self.shared.dev)
    }
}

/// Checks that a name is one name.
fn check_name(name: &[u8]) -> Result<(), Errno> {
    if name.is_empty() {
        return Err(ENOENT.into());
    }
    if name.len() >= usize_of_u32(PATH_MAX) {
        return Err(ENAMETOOLONG.into());
    }
    if name.contains(&b'/') || name == b"." || name == b".." {
        return Err(EACCES.because("a queue's name is one name"));
    }
    if name.len() > NAME_MAX { Err(ENAMETOOLONG.into()) } else { Ok(()) }
}
