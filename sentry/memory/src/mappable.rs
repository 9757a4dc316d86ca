//! What a file must offer so that guests can map it.

use crate::file::FileRange;
use crate::mm::MemoryManager;
use bevor_abi::Errno;
use bevor_abi::errno::EOPNOTSUPP;
use parking_lot::Mutex;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Where the bytes of a run of a file are.
#[derive(Clone, Debug)]
pub enum Backing {
    /// In a host file.
    Host {
        /// A descriptor of it.
        fd: Arc<OwnedFd>,
        /// Names it: the same for all descriptors of one file. See [`next_mappable_id`].
        id: u64,
    },
    /// In a memory file; the range holds the reference that keeps the pages.
    Memory(Arc<FileRange>),
    /// Nowhere: beyond the end of the file. Touching it is `SIGBUS`.
    None,
}

/// A page-aligned run of a file, and where its bytes are.
#[derive(Clone, Debug)]
pub struct BackingRun {
    /// What holds the bytes.
    pub source: Backing,
    /// Where the run starts in the host file, or within the range of a memory file; bytes.
    pub offset: u64,
    /// Length, bytes. A run of a host file may go beyond its end: the host then answers accesses.
    pub len: u64,
}

impl BackingRun {
    /// A run of the host file `id`.
    #[must_use]
    pub fn host(fd: Arc<OwnedFd>, id: u64, offset: u64, len: u64) -> Self {
        Self { source: Backing::Host { fd, id }, offset, len }
    }

    /// A run made of all pages of `range`.
    #[must_use]
    pub fn memory(range: FileRange) -> Self {
        let len = range.len();
        Self { source: Backing::Memory(Arc::new(range)), offset: 0, len }
    }

    /// A run beyond the end of the file.
    #[must_use]
    pub fn none(len: u64) -> Self {
        Self { source: Backing::None, offset: 0, len }
    }
}

/// How a mapping shows in `/proc/self/maps`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MapName {
    /// The path as the mapping process sees it, or a name like `[heap]`. Empty for none.
    pub path: Vec<u8>,
    /// Device number, in Linux's encoding (major << 8 | minor for small numbers).
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// A number for [`Mappable::id`] that nothing else has.
#[must_use]
pub fn next_mappable_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An open file (or the like) that can be mapped.
///
/// Methods are called with the memory manager's lock held: they may take the file's own locks, and
/// must not take any memory manager's, nor wait for guests.
pub trait Mappable: Send + Sync {
    /// Names the content: the same for all open files of one inode. See [`next_mappable_id`].
    fn id(&self) -> u64;

    /// Says where the bytes `[offset, offset + len)` are; both page aligned. The runs are page
    /// aligned too, in order, and cover the range. `for_write` asks for what stores may reach:
    /// the shared content, with holes filled.
    ///
    /// # Errors
    /// What `mmap` or a fault shall fail with: `ENOMEM`, `ENOSPC`, `EIO`, `ENODEV`.
    fn backing(&self, offset: u64, len: u64, for_write: bool) -> Result<Vec<BackingRun>, Errno>;

    /// Length of the file, bytes. Pages wholly beyond it raise `SIGBUS`.
    fn size(&self) -> u64;

    /// How mappings of it show in `/proc/self/maps`.
    fn describe(&self) -> MapName;

    /// Who maps this content, so that truncation reaches them. One per inode.
    fn mappings(&self) -> &MappingSet;

    /// Whether shared mappings may be writable (the file is open for writing).
    fn may_write(&self) -> bool {
        true
    }

    /// Whether somebody may still write to the content by other means than mappings. What a private
    /// mapping has not stored to itself then shows what they write, page by page.
    fn has_writers(&self) -> bool {
        self.may_write()
    }

    /// Whether mappings may be executable (no `noexec` mount).
    fn may_exec(&self) -> bool {
        true
    }

    /// `F_SEAL_*` bits set on the content.
    fn seals(&self) -> u32 {
        0
    }

    /// Whether the pages are plain memory of the sandbox (tmpfs, memfd, shm): counted as `RssShmem`.
    fn is_shmem(&self) -> bool {
        false
    }

    /// Whether it is what `mmap(MAP_SHARED | MAP_ANONYMOUS)` makes: memory rather than a file.
    fn is_anonymous(&self) -> bool {
        false
    }

    /// Writes the range back (`msync` with `MS_SYNC`).
    ///
    /// # Errors
    /// `EIO` when that fails.
    fn msync(&self, range: Range<u64>) -> Result<(), Errno> {
        let _ = range;
        Ok(())
    }

    /// Frees the pages of a range (`MADV_REMOVE`).
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the file system has no holes.
    fn punch_hole(&self, range: Range<u64>) -> Result<(), Errno> {
        let _ = range;
        Err(EOPNOTSUPP.into())
    }
}

/// The memory managers that map one inode.
#[derive(Default)]
pub struct MappingSet {
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    managers: Vec<User>,
}

struct User {
    mm: Weak<MemoryManager>,
    writable: bool,
}

impl MappingSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the pages of `range` (bytes of the file) out of every mapping, so that the next access
    /// asks [`Mappable::backing`] again. Call it after the file shrank or lost pages, without locks.
    pub fn invalidate(&self, id: u64, range: Range<u64>) {
        let managers: Vec<_> =
            self.users.lock().managers.iter().filter_map(|user| user.mm.upgrade()).collect();
        for mm in managers {
            mm.invalidate(id, range.clone());
        }
    }

    /// The memory managers that map it.
    #[must_use]
    pub fn managers(&self) -> Vec<Arc<MemoryManager>> {
        self.users.lock().managers.iter().filter_map(|user| user.mm.upgrade()).collect()
    }

    /// Whether nobody maps it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.lock().managers.is_empty()
    }

    /// Whether a shared mapping could be written to (`F_ADD_SEALS` answers `EBUSY` then).
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.users.lock().managers.iter().any(|user| user.writable)
    }

    /// Records whether `mm` maps the content at all, and shared with the right to write.
    pub(crate) fn set(&self, mm: &Weak<MemoryManager>, mapped: bool, writable: bool) {
        let mut users = self.users.lock();
        let known = users.managers.iter().position(|user| user.mm.ptr_eq(mm));
        match (known, mapped) {
            (Some(index), true) => users.managers[index].writable = writable,
            (Some(index), false) => {
                users.managers.swap_remove(index);
            }
            (None, true) => users.managers.push(User { mm: mm.clone(), writable }),
            (None, false) => {}
        }
    }
}

impl std::fmt::Debug for MappingSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MappingSet({} managers)", self.users.lock().managers.len())
    }
}
