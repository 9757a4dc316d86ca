//! tmpfs: files in the memory of the container (`tmpfs(5)`).
//!
//! Lock order: `TmpFs::topology`, the entries of directories, `meta`. A file's `write` lock comes
//! before the memory managers of those who copy or map; its pages' lock after them.

mod dir;
mod file;
mod inode;
mod options;
mod xattr;

#[cfg(test)]
mod tests;

pub(crate) use dir::Entries;
pub use file::StoreMapping;
pub use inode::TmpInode;
pub use options::{Size, TmpfsOptions};

use crate::inode::{FsStat, InodeRef, NewAttr};
use crate::superblock::{FileSystem, FsType, Superblock, next_anonymous_dev, register_fs_type};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOSPC};
use bevor_abi::stat::TMPFS_MAGIC;
use bevor_base::UserNamespace;
use bevor_memory::{Account, MemoryPool, PAGE_SIZE, PageStore, SpaceLimit};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an inode counts, bytes (`BOGO_INODE_SIZE`): against `nr_inodes=`, and as the sentry's own
/// memory.
const INODE_COST: u64 = 1024;

/// One instance of tmpfs.
pub struct TmpFs {
    dev: u64,
    pool: Arc<MemoryPool>,
    account: Arc<Account>,
    /// Where contents of files are, and who counts them, if not `pool` and `account`.
    contents: Option<(Arc<MemoryPool>, Arc<Account>)>,
    space: Arc<SpaceLimit>,
    /// Bytes that inodes, names beyond the first, and attributes may take; 0 for no limit.
    max_inode_space: AtomicU64,
    inode_space: AtomicU64,
    next_ino: AtomicU64,
    /// Held while more than one directory is locked.
    topology: Mutex<()>,
    shown: Mutex<TmpfsOptions>,
}

impl TmpFs {
    /// Makes an instance and its root directory; pages are charged to `account`.
    ///
    /// # Errors
    /// `ENOSPC` when not even the root's inode may be had.
    pub fn create(
        pool: &Arc<MemoryPool>,
        account: &Arc<Account>,
        options: &TmpfsOptions,
    ) -> Result<(Arc<Self>, InodeRef), Errno> {
        Self::create_over(pool, account, None, options)
    }

    /// Like [`TmpFs::create`], with the contents of files in a pool of their own.
    ///
    /// # Errors
    /// As [`TmpFs::create`].
    pub fn create_over(
        pool: &Arc<MemoryPool>,
        account: &Arc<Account>,
        contents: Option<(Arc<MemoryPool>, Arc<Account>)>,
        options: &TmpfsOptions,
    ) -> Result<(Arc<Self>, InodeRef), Errno> {
        let fs = Self::empty(pool, account, contents, options);
        let attr = NewAttr {
            mode: options.mode.unwrap_or(0o1777),
            uid: options.uid.unwrap_or(0),
            gid: options.gid.unwrap_or(0),
        };
        let root = TmpInode::directory(&fs, attr, None)?;
        Ok((fs, root))
    }

    /// Makes an instance without a root, for files without names; only the account limits it.
    pub(crate) fn unlimited(pool: &Arc<MemoryPool>, account: &Arc<Account>) -> Arc<Self> {
        let options = TmpfsOptions {
            size: Some(options::Size::Bytes(0)),
            inodes: Some(0),
            ..TmpfsOptions::default()
        };
        Self::empty(pool, account, None, &options)
    }

    fn empty(
        pool: &Arc<MemoryPool>,
        account: &Arc<Account>,
        contents: Option<(Arc<MemoryPool>, Arc<Account>)>,
        options: &TmpfsOptions,
    ) -> Arc<Self> {
        let total = account.limit().min(pool.total_memory());
        Arc::new(Self {
            dev: next_anonymous_dev(),
            pool: pool.clone(),
            account: account.clone(),
            contents,
            space: SpaceLimit::new(options.size_bytes(total)),
            max_inode_space: AtomicU64::new(options.max_inodes(total).saturating_mul(INODE_COST)),
            inode_space: AtomicU64::new(0),
            next_ino: AtomicU64::new(1),
            topology: Mutex::default(),
            shown: Mutex::new(options.clone()),
        })
    }

    /// Makes an instance ready to be mounted.
    ///
    /// # Errors
    /// As [`TmpFs::create`].
    pub fn superblock(
        pool: &Arc<MemoryPool>,
        account: &Arc<Account>,
        options: &TmpfsOptions,
        user_ns: Arc<UserNamespace>,
    ) -> Result<Arc<Superblock>, Errno> {
        let (fs, root) = Self::create(pool, account, options)?;
        Ok(Superblock::new(Box::new(Mounted { fs, name: "tmpfs" }), root, user_ns))
    }

    /// Like [`TmpFs::superblock`], shown as file system type `name` (`devtmpfs`).
    pub(crate) fn superblock_named(
        self: &Arc<Self>,
        name: &'static str,
        root: InodeRef,
        user_ns: Arc<UserNamespace>,
    ) -> Arc<Superblock> {
        Superblock::new(Box::new(Mounted { fs: self.clone(), name }), root, user_ns)
    }

    /// The device number.
    #[must_use]
    pub const fn dev(&self) -> u64 {
        self.dev
    }

    /// Counts a new inode and draws its number.
    fn new_ino(&self) -> Result<u64, Errno> {
        self.take_inode_space(INODE_COST, 0)?;
        Ok(self.next_ino.fetch_add(1, Ordering::Relaxed))
    }

    fn inode_gone(&self) {
        self.give_inode_space(INODE_COST);
    }

    /// Counts a name beyond an inode's first: it costs what an inode does.
    fn new_link(&self) -> Result<(), Errno> {
        self.take_inode_space(INODE_COST, 0)
    }

    fn link_gone(&self) {
        self.give_inode_space(INODE_COST);
    }

    /// Counts an attribute, which must leave room for an inode.
    fn new_xattr(&self, bytes: u64) -> Result<(), Errno> {
        self.take_inode_space(bytes, INODE_COST)
    }

    fn xattr_gone(&self, bytes: u64) {
        self.give_inode_space(bytes);
    }

    /// Takes room for inodes, of which `leave` bytes must be left, and charges it.
    fn take_inode_space(&self, bytes: u64, leave: u64) -> Result<(), Errno> {
        let max = self.max_inode_space.load(Ordering::Relaxed);
        let room = |used: u64| max == 0 || used.saturating_add(bytes + leave) <= max;
        let taken = self.inode_space.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            room(used).then_some(used.saturating_add(bytes))
        });
        if taken.is_err() {
            return Err(ENOSPC.because("nr_inodes reached"));
        }
        if self.account.charge(bytes).is_err() {
            self.inode_space.fetch_sub(bytes, Ordering::Relaxed);
            return Err(ENOSPC.because("the container's memory limit"));
        }
        Ok(())
    }

    fn give_inode_space(&self, bytes: u64) {
        self.inode_space.fetch_sub(bytes, Ordering::Relaxed);
        self.account.uncharge(bytes);
    }

    fn new_store(&self) -> Result<PageStore, Errno> {
        let (pool, account) = match &self.contents {
            Some((pool, account)) => (pool, account),
            None => (&self.pool, &self.account),
        };
        PageStore::new(pool, account, self.space.clone())
    }

    fn statfs(&self) -> FsStat {
        let limit = self.space.limit();
        let (blocks, free) = if limit == u64::MAX {
            (0, 0)
        } else {
            (limit / PAGE_SIZE, limit.saturating_sub(self.space.used()) / PAGE_SIZE)
        };
        let max = self.max_inode_space.load(Ordering::Relaxed);
        let used = self.inode_space.load(Ordering::Relaxed);
        FsStat {
            magic: TMPFS_MAGIC,
            block_size: PAGE_SIZE,
            blocks,
            free,
            available: free,
            files: max / INODE_COST,
            files_free: max.saturating_sub(used) / INODE_COST,
            fsid: [bevor_abi::conv::low_u32(self.dev), 0],
            name_len: 255,
        }
    }
}

/// The instance as the superblock holds it.
struct Mounted {
    fs: Arc<TmpFs>,
    name: &'static str,
}

impl FileSystem for Mounted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn options(&self) -> String {
        self.fs.shown.lock().text()
    }

    fn decodes_handles(&self) -> bool {
        true
    }

    fn reconfigure(&self, options: &[u8]) -> Result<(), Errno> {
        let change = TmpfsOptions::parse(options)?;
        let total = self.fs.account.limit().min(self.fs.pool.total_memory());
        let mut shown = self.fs.shown.lock();
        let mut new = shown.clone();
        new.change(&change);
        let size = new.size_bytes(total);
        let inodes = new.max_inodes(total).saturating_mul(INODE_COST);
        let (space, max) = (&self.fs.space, &self.fs.max_inode_space);
        if change.size.is_some() && size != u64::MAX {
            if space.limit() == u64::MAX {
                return Err(EINVAL.because("the size cannot be limited afterwards"));
            }
            if size < space.used() {
                return Err(EINVAL.because("smaller than what is in use"));
            }
        }
        if change.inodes.is_some_and(|inodes| inodes != 0) {
            if max.load(Ordering::Relaxed) == 0 {
                return Err(EINVAL.because("inodes cannot be limited afterwards"));
            }
            if inodes < self.fs.inode_space.load(Ordering::Relaxed) {
                return Err(EINVAL.because("fewer inodes than are in use"));
            }
        }
        space.set_limit(size);
        max.store(inodes, Ordering::Relaxed);
        *shown = new;
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        &*self.fs
    }
}

/// Makes tmpfs known to `mount(2)`.
pub fn register() {
    let mount = |request: &crate::superblock::MountRequest<'_>| {
        let mut options = TmpfsOptions::parse(request.options)?;
        let (mm, cred) = (request.caller.mm(), request.caller.cred());
        // Ids are those of the mounter's user namespace; without any the root is the mounter's.
        options.uid = Some(match options.uid {
            Some(uid) => request.user_ns.uid_in(uid).ok_or(EINVAL)?,
            None => cred.fsuid,
        });
        options.gid = Some(match options.gid {
            Some(gid) => request.user_ns.gid_in(gid).ok_or(EINVAL)?,
            None => cred.fsgid,
        });
        TmpFs::superblock(mm.pool(), mm.account(), &options, request.user_ns.clone())
    };
    let fs_type = FsType {
        nodev: true,
        in_user_ns: true,
        check: Box::new(TmpfsOptions::check),
        mount: Box::new(mount),
    };
    register_fs_type("tmpfs", fs_type);
}
