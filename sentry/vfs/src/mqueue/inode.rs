//! The directory of queues, and a queue's inode.

use crate::caller::Caller;
use crate::file::{FileOps, OpenFlags};
use crate::inode::{
    Attr, FileTime, FileType, FsStat, Inode, InodeRef, NewAttr, NewNode, S_IALLUGO, SetAttr,
};
use crate::meta::{AccessTimes, Meta};
use crate::mqueue::file::{DirFile, QueueFile};
use crate::mqueue::queue::{HEAD_BYTES, Limits, Queue};
use crate::mqueue::{Settings, Shared};
use crate::tmpfs::Entries;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_RESOURCE;
use bevor_abi::errno::{EINVAL, ENOSPC, EOVERFLOW, EPERM};
use bevor_abi::ipc::{HARD_MSGMAX, HARD_MSGSIZEMAX, MQ_PRIO_MAX};
use bevor_abi::resource::RLIMIT_MSGQUEUE;
use bevor_memory::Account;
use parking_lot::{Mutex, RwLock};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// `st_size` of a queue.
const FILENT_SIZE: u64 = 80;
/// Bytes a user's limit counts for each priority in use (`struct posix_msg_tree_node`).
const NODE_BYTES: u64 = 48;
/// `RLIMIT_MSGQUEUE` of queues that are made as files.
const DEFAULT_LIMIT: u64 = 819_200;

/// Who makes a queue: who pays and what it may.
pub(super) struct Backing {
    account: Arc<Account>,
    limit_bytes: u64,
    privileged: bool,
}

impl Backing {
    pub(super) fn of(caller: &dyn Caller) -> Self {
        Self {
            account: caller.mm().account().clone(),
            limit_bytes: caller.rlimit(RLIMIT_MSGQUEUE),
            privileged: caller.cred().has_cap(CAP_SYS_RESOURCE),
        }
    }
}

/// The root directory.
pub(super) struct Root {
    shared: Arc<Shared>,
    ino: u64,
    meta: RwLock<Meta>,
    pub(super) entries: Mutex<Entries>,
    count: AtomicU32,
    /// Who pays for queues that are made as files.
    account: Arc<Account>,
}

impl Root {
    pub(super) fn new(
        shared: &Arc<Shared>,
        account: &Arc<Account>,
        uid: u32,
        gid: u32,
    ) -> Arc<Self> {
        let ino = shared.new_ino();
        let attr = NewAttr { mode: 0o1777, uid, gid };
        Arc::new(Self {
            shared: shared.clone(),
            ino,
            meta: RwLock::new(Meta::new(FileType::Directory, attr)),
            entries: Mutex::new(Entries::new(ino)),
            count: AtomicU32::new(0),
            account: account.clone(),
        })
    }

    /// Makes a queue, with the default attributes where `limits` gives none.
    pub(super) fn make(
        &self,
        name: &[u8],
        attr: NewAttr,
        limits: Option<Limits>,
        backing: &Backing,
    ) -> Result<InodeRef, Errno> {
        let settings = &self.shared.settings;
        let most = settings.queues_max.load(Ordering::Relaxed);
        if u64::from(self.count.load(Ordering::Relaxed)) >= most && !backing.privileged {
            return Err(ENOSPC.because("fs.mqueue.queues_max"));
        }
        let limits = limits.unwrap_or_else(|| defaults(settings));
        let bytes = check(limits, settings, backing.privileged)?;
        let mut entries = self.entries.lock();
        entries.check_free(name)?;
        self.shared.take(attr.uid, bytes, backing.limit_bytes)?;
        let inode: InodeRef = Arc::new(QueueInode {
            shared: self.shared.clone(),
            ino: self.shared.new_ino(),
            nlink: AtomicU32::new(1),
            counted: (attr.uid, bytes),
            meta: RwLock::new(Meta::new(FileType::Regular, attr)),
            queue: Queue::new(limits, &backing.account),
        });
        entries.put(name, inode.clone());
        drop(entries);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.meta.write().modified();
        Ok(inode)
    }
}

/// The attributes of a queue that is made without.
fn defaults(settings: &Settings) -> Limits {
    let least = |one: &std::sync::atomic::AtomicU64, other: &std::sync::atomic::AtomicU64| {
        one.load(Ordering::Relaxed).min(other.load(Ordering::Relaxed))
    };
    Limits {
        messages: least(&settings.msg_max, &settings.msg_default),
        size_bytes: least(&settings.msgsize_max, &settings.msgsize_default),
    }
}

/// Checks the attributes of a new queue; returns what the user's limit counts for it.
fn check(limits: Limits, settings: &Settings, privileged: bool) -> Result<u64, Errno> {
    let Limits { messages, size_bytes } = limits;
    let (most, longest) = if privileged {
        (u64::from(HARD_MSGMAX), u64::from(HARD_MSGSIZEMAX))
    } else {
        let value = |one: &std::sync::atomic::AtomicU64| one.load(Ordering::Relaxed);
        (value(&settings.msg_max), value(&settings.msgsize_max))
    };
    if messages == 0 || size_bytes == 0 || messages > most || size_bytes > longest {
        return Err(EINVAL.because("attributes out of range"));
    }
    let nodes = messages.min(u64::from(MQ_PRIO_MAX)) * NODE_BYTES;
    let text = messages.checked_mul(size_bytes).ok_or(EOVERFLOW)?;
    text.checked_add(messages * HEAD_BYTES + nodes).ok_or_else(|| EOVERFLOW.into())
}

impl Inode for Root {
    fn file_type(&self) -> FileType {
        FileType::Directory
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn dev(&self) -> u64 {
        self.shared.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let mut attr = self.meta.read().attr(self.shared.dev, self.ino, 2);
        // `.` and `..` count for a name each.
        attr.size = self.entries.lock().size();
        Ok(attr)
    }

    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        self.meta.write().apply(change);
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        Ok(self.entries.lock().get(name)?.clone())
    }

    /// A file made here is a queue with the default attributes.
    fn create(&self, name: &[u8], node: &NewNode<'_>, attr: NewAttr) -> Result<InodeRef, Errno> {
        if *node != NewNode::Regular {
            return Err(EPERM.into());
        }
        let account = self.account.clone();
        let backing = Backing { account, limit_bytes: DEFAULT_LIMIT, privileged: false };
        self.make(name, NewAttr { mode: attr.mode & S_IALLUGO, ..attr }, None, &backing)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let mut entries = self.entries.lock();
        let inode = entries.get(name)?.clone();
        drop(entries.take(name));
        drop(entries);
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.meta.write().modified();
        if let Some(queue) = inode.as_any().downcast_ref::<QueueInode>() {
            queue.nlink.store(0, Ordering::Relaxed);
            queue.meta.write().ctime = FileTime::now();
        }
        Ok(())
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = (flags, caller);
        Ok(Box::new(DirFile { dir: self }))
    }

    fn accessed(&self, rule: AccessTimes) {
        touch(&self.meta, rule);
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(self.shared.statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn touch(meta: &RwLock<Meta>, rule: AccessTimes) {
    let new = meta.read().new_atime(rule);
    if let Some(atime) = new {
        meta.write().atime = atime;
    }
}

/// A queue as a file.
pub struct QueueInode {
    shared: Arc<Shared>,
    ino: u64,
    nlink: AtomicU32,
    /// The user whose limit it counts against, and the bytes.
    counted: (u32, u64),
    meta: RwLock<Meta>,
    pub(super) queue: Queue,
}

impl QueueInode {
    /// Notes a send, a receive or a change of attributes.
    pub(super) fn used(&self) {
        let mut meta = self.meta.write();
        meta.modified();
        meta.atime = meta.mtime;
    }
}

impl Inode for QueueInode {
    fn file_type(&self) -> FileType {
        FileType::Regular
    }

    fn ino(&self) -> u64 {
        self.ino
    }

    fn dev(&self) -> u64 {
        self.shared.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let nlink = self.nlink.load(Ordering::Relaxed);
        let mut attr = self.meta.read().attr(self.shared.dev, self.ino, nlink);
        attr.size = FILENT_SIZE;
        Ok(attr)
    }

    /// The size is not one that could change.
    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        self.meta.write().apply(change);
        Ok(())
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = (flags, caller);
        Ok(Box::new(QueueFile { inode: self }))
    }

    fn accessed(&self, rule: AccessTimes) {
        touch(&self.meta, rule);
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(self.shared.statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for QueueInode {
    fn drop(&mut self) {
        self.shared.give_back(self.counted.0, self.counted.1);
    }
}
