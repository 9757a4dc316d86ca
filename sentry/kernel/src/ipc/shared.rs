//! Shared memory segments: `shmget(2)`, `shmat(2)`, `shmctl(2)`.

use super::{Permissions, now_seconds};
use bevor_abi::Errno;
use bevor_abi::ipc::{SHM_DEST, SHM_LOCKED};
use bevor_memory::{
    Account, BackingRun, MapName, Mappable, MappingSet, MemoryManager, MemoryPool, PageStore,
    SpaceLimit,
};
use parking_lot::{Mutex, MutexGuard};
use std::sync::{Arc, Weak};

/// Device number mappings of segments show.
const DEVICE: u64 = 1;

/// The memory of a segment.
pub struct SegmentMemory {
    id: i32,
    key: i32,
    store: PageStore,
}

impl Mappable for SegmentMemory {
    fn id(&self) -> u64 {
        self.store.id()
    }

    fn backing(&self, offset: u64, len: u64, _for_write: bool) -> Result<Vec<BackingRun>, Errno> {
        self.store.backing(offset, len)
    }

    fn size(&self) -> u64 {
        self.store.size()
    }

    fn describe(&self) -> MapName {
        let path = format!("/SYSV{:08x} (deleted)", self.key).into_bytes();
        MapName { path, dev: DEVICE, ino: u64::from(self.id.cast_unsigned()) }
    }

    fn mappings(&self) -> &MappingSet {
        self.store.mappings()
    }

    fn is_shmem(&self) -> bool {
        true
    }
}

/// What the lock of a segment protects.
pub struct SegmentState {
    /// Who may use it.
    pub permissions: Permissions,
    /// Time of the last attach, seconds; 0 for never.
    pub atime: i64,
    /// Time of the last detach, seconds; 0 for never.
    pub dtime: i64,
    /// Time of the last change, seconds.
    pub ctime: i64,
    /// Process that attached or detached last.
    pub lpid: i32,
    /// Keeps the memory until `IPC_RMID`; mappings keep it longer.
    memory: Option<Arc<SegmentMemory>>,
}

/// A shared memory segment.
pub struct Segment {
    /// Its id.
    pub id: i32,
    /// Its length as asked for, bytes.
    pub len: u64,
    /// Process that made it.
    pub cpid: i32,
    memory: Weak<SegmentMemory>,
    state: Mutex<SegmentState>,
}

impl Segment {
    /// A segment of `len` bytes of zeros, paid by `account`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(
        id: i32,
        permissions: Permissions,
        len: u64,
        cpid: i32,
        pool: &MemoryPool,
        account: &Arc<Account>,
    ) -> Result<Self, Errno> {
        let store = PageStore::new(pool, account, SpaceLimit::new(u64::MAX))?;
        store.truncate(len)?;
        let memory = Arc::new(SegmentMemory { id, key: permissions.key, store });
        let state = SegmentState {
            permissions,
            atime: 0,
            dtime: 0,
            ctime: now_seconds(),
            lpid: 0,
            memory: Some(memory.clone()),
        };
        Ok(Self { id, len, cpid, memory: Arc::downgrade(&memory), state: Mutex::new(state) })
    }

    /// Looks at or changes it.
    pub fn state(&self) -> MutexGuard<'_, SegmentState> {
        self.state.lock()
    }

    /// The memory; `None` once it was removed and nobody has it attached.
    #[must_use]
    pub fn memory(&self) -> Option<Arc<SegmentMemory>> {
        self.memory.upgrade()
    }

    /// Whether it has ended: removed, and nowhere attached.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.memory.strong_count() == 0
    }

    /// `IPC_RMID`: it lives on as long as it is attached.
    pub fn remove(&self) {
        let mut state = self.state.lock();
        state.permissions.mode |= SHM_DEST;
        state.permissions.key = bevor_abi::ipc::IPC_PRIVATE;
        let memory = state.memory.take();
        drop(state);
        drop(memory);
    }

    /// `SHM_LOCK` and `SHM_UNLOCK`: memory of the sandbox is never swapped, the mark is kept.
    pub fn set_locked(&self, locked: bool) {
        let mut state = self.state.lock();
        state.permissions.mode &= !SHM_LOCKED;
        if locked {
            state.permissions.mode |= SHM_LOCKED;
        }
    }

    /// How many times it is attached.
    #[must_use]
    pub fn nr_attached(&self) -> u64 {
        let Some(memory) = self.memory() else { return 0 };
        let managers = memory.mappings().managers();
        managers.iter().map(|mm| attachments(mm, self.id).count() as u64).sum()
    }

    /// Bytes of memory in use.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.memory().map_or(0, |memory| memory.store.allocated_bytes())
    }
}

/// Addresses at which `mm` has segment `id` attached.
fn attachments(mm: &MemoryManager, id: i32) -> impl Iterator<Item = u64> {
    let ino = u64::from(id.cast_unsigned());
    let of_segment = mm
        .maps()
        .into_iter()
        .filter(move |map| map.offset == 0 && map.name.ino == ino && is_segment(&map.name));
    of_segment.map(|map| map.range.start)
}

/// Whether a mapping shows a segment.
#[must_use]
pub fn is_segment(name: &MapName) -> bool {
    name.dev == DEVICE && name.path.starts_with(b"/SYSV")
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segment({}, {} bytes)", self.id, self.len)
    }
}
