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
pub use options::TmpfsOptions;

use crate::inode::{FsStat, InodeRef, NewAttr};
use crate::superblock::{FileSystem, FsType, Superblock, next_anonymous_dev, register_fs_type};
use bevor_abi::Errno;
use bevor_abi::errno::ENOSPC;
use bevor_abi::stat::TMPFS_MAGIC;
use bevor_base::UserNamespace;
use bevor_memory::{Account, MemoryPool, PAGE_SIZE, PageStore, SpaceLimit};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the sentry's own memory for an inode is charged as, bytes.
const INODE_COST: u64 = 1024;

/// One instance of tmpfs.
pub struct TmpFs {
    dev: u64,
    pool: Arc<MemoryPool>,
    account: Arc<Account>,
    space: Arc<SpaceLimit>,
    max_inodes: AtomicU64,
    inodes: AtomicU64,
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
        let fs = Self::empty(pool, account, options);
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
        Self::empty(pool, account, &options)
    }

    fn empty(pool: &Arc<MemoryPool>, account: &Arc<Account>, options: &TmpfsOptions) -> Arc<Self> {
        let total = account.limit().min(pool.total_memory());
        Arc::new(Self {
            dev: next_anonymous_dev(),
            pool: pool.clone(),
            account: account.clone(),
            space: SpaceLimit::new(options.size_bytes(total)),
            max_inodes: AtomicU64::new(options.max_inodes(total)),
            inodes: AtomicU64::new(0),
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
        let max = self.max_inodes.load(Ordering::Relaxed);
        let counted = self.inodes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            (max == 0 || used < max).then_some(used + 1)
        });
        if counted.is_err() {
            return Err(ENOSPC.because("nr_inodes reached"));
        }
        if self.account.charge(INODE_COST).is_err() {
            self.inodes.fetch_sub(1, Ordering::Relaxed);
            return Err(ENOSPC.because("the container's memory limit"));
        }
        Ok(self.next_ino.fetch_add(1, Ordering::Relaxed))
    }

    fn inode_gone(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
        self.account.uncharge(INODE_COST);
    }

    fn new_store(&self) -> Result<PageStore, Errno> {
        PageStore::new(&self.pool, &self.account, self.space.clone())
    }

    fn statfs(&self) -> FsStat {
        let limit = self.space.limit();
        let (blocks, free) = if limit == u64::MAX {
            (0, 0)
        } else {
            (limit / PAGE_SIZE, limit.saturating_sub(self.space.used()) / PAGE_SIZE)
        };
        let max = self.max_inodes.load(Ordering::Relaxed);
        let used = self.inodes.load(Ordering::Relaxed);
        FsStat {
            magic: TMPFS_MAGIC,
            block_size: PAGE_SIZE,
            blocks,
            free,
            available: free,
            files: max,
            files_free: max.saturating_sub(used),
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
        let (size, inodes) = (new.size_bytes(total), new.max_inodes(total));
        let used = self.fs.inodes.load(Ordering::Relaxed);
        if size < self.fs.space.used() || (inodes != 0 && inodes < used) {
            return Err(bevor_abi::errno::EINVAL.because("smaller than what is in use"));
        }
        self.fs.space.set_limit(size);
        self.fs.max_inodes.store(inodes, Ordering::Relaxed);
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
        let options = TmpfsOptions::parse(request.options)?;
        let mm = request.caller.mm();
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
