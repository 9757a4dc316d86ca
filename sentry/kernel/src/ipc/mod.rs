//! System V IPC: `sysvipc(7)`; and the place of POSIX message queues: `mq_overview(7)`.
//!
//! Each object lives in a table of its IPC namespace, under an id nobody reuses soon, and, unless it
//! is private, under a key. Lock order: a table → an object's state; neither is held while guest
//! memory is touched or anybody is woken.

mod message;
mod notify;
mod semaphore;
mod shared;

pub use message::{Message, MessageQueue, Select};
pub use notify::MessageSignal;
pub use semaphore::{Attempt, Operation, SemaphoreSet, Waits};
pub use shared::{Segment, is_segment};

use crate::task::Task;
use bevor_abi::Errno;
use bevor_abi::cap::{CAP_IPC_OWNER, CAP_SYS_ADMIN};
use bevor_abi::errno::{EACCES, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM};
use bevor_abi::ipc::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE};
use bevor_base::cred::next_namespace_id;
use bevor_base::{Credentials, UserNamespace};
use bevor_memory::Account;
use bevor_vfs::mqueue::MessageFs;
use bevor_vfs::superblock::{FsType, MountRequest, no_params, register_fs_type};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

/// Bits of an id that are the index in the table (`IPCMNI_SHIFT`); the sequence number is above.
const INDEX_BITS: u32 = 15;
/// Sequence numbers, so that ids stay positive.
const SEQUENCES: u32 = 1 << (31 - INDEX_BITS);

/// `ipc_namespaces(7)`.
pub struct IpcNamespace {
    /// Inode of `/proc/PID/ns/ipc`.
    pub id: u64,
    /// Its owner.
    pub user_ns: Arc<UserNamespace>,
    /// Semaphore sets.
    pub semaphores: Mutex<Table<SemaphoreSet>>,
    /// Message queues.
    pub messages: Mutex<Table<MessageQueue>>,
    /// Shared memory.
    pub segments: Mutex<Table<Segment>>,
    /// POSIX message queues, once somebody wants them.
    queues: OnceLock<MessageFs>,
}

impl IpcNamespace {
    /// An empty namespace.
    #[must_use]
    pub fn new(user_ns: Arc<UserNamespace>) -> Arc<Self> {
        Arc::new(Self {
            id: next_namespace_id(),
            user_ns,
            semaphores: Mutex::new(Table::new(bevor_abi::ipc::SEMMNI)),
            messages: Mutex::new(Table::new(bevor_abi::ipc::MSGMNI)),
            segments: Mutex::new(Table::new(bevor_abi::ipc::SHMMNI)),
            queues: OnceLock::new(),
        })
    }

    /// Its POSIX message queues; the first caller's `account` pays for those made as files.
    pub fn queues(&self, account: &Arc<Account>) -> &MessageFs {
        self.queues.get_or_init(|| MessageFs::new(&self.user_ns, account))
    }

    /// Undoes what an ended process did with `SEM_UNDO`.
    pub fn undo(&self, group: u64, pid: i32) {
        for set in self.semaphores.lock().all() {
            set.undo(group, pid);
        }
    }
}

impl std::fmt::Debug for IpcNamespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IpcNamespace({})", self.id)
    }
}

/// Makes the file system of POSIX message queues known to `mount(2)`: it shows those of the mounting
/// task's namespace.
pub fn register_fs() {
    let mount = |request: &MountRequest<'_>| {
        let task = request.caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        request.no_options()?;
        request.must_rule(&task.namespaces().ipc.user_ns)?;
        Ok(task.namespaces().ipc.queues(request.caller.mm().account()).superblock().clone())
    };
    let fs_type = FsType {
        nodev: true,
        in_user_ns: true,
        check: Box::new(no_params),
        mount: Box::new(mount),
    };
    register_fs_type("mqueue", fs_type);
}

/// Who may do what with an object (`struct ipc_perm`). Ids are the sandbox's own.
#[derive(Clone, Debug)]
pub struct Permissions {
    /// Its key; `IPC_PRIVATE` for none.
    pub key: i32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Maker.
    pub cuid: u32,
    /// Maker's group.
    pub cgid: u32,
    /// Mode bits, and state bits of the kind of object.
    pub mode: u32,
    /// Sequence number.
    pub seq: u16,
}

impl Permissions {
    /// Of a new object made by `cred`.
    #[must_use]
    pub fn new(key: i32, mode: u32, seq: u16, cred: &Credentials) -> Self {
        let (uid, gid) = (cred.euid, cred.egid);
        Self { key, uid, gid, cuid: uid, cgid: gid, mode: mode & 0o777, seq }
    }

    /// Whether `cred` may do what `wanted` asks for, bits of any of the three classes.
    ///
    /// # Errors
    /// `EACCES`.
    pub fn check(
        &self,
        cred: &Credentials,
        namespace: &IpcNamespace,
        wanted: u32,
    ) -> Result<(), Errno> {
        let wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
        let granted = if cred.euid == self.cuid || cred.euid == self.uid {
            self.mode >> 6
        } else if cred.egid == self.cgid
            || cred.egid == self.gid
            || cred.groups.binary_search(&self.cgid).is_ok()
            || cred.groups.binary_search(&self.gid).is_ok()
        {
            self.mode >> 3
        } else {
            self.mode
        };
        if wanted & !granted == 0 || cred.has_cap_in(CAP_IPC_OWNER, &namespace.user_ns) {
            Ok(())
        } else {
            Err(EACCES.into())
        }
    }

    /// Whether `cred` may change or remove the object.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn check_owner(&self, cred: &Credentials, namespace: &IpcNamespace) -> Result<(), Errno> {
        let owns = cred.euid == self.cuid || cred.euid == self.uid;
        if owns || cred.has_cap_in(CAP_SYS_ADMIN, &namespace.user_ns) {
            Ok(())
        } else {
            Err(EPERM.into())
        }
    }

    /// `IPC_SET`: new owner and mode.
    pub fn set(&mut self, uid: u32, gid: u32, mode: u32) {
        (self.uid, self.gid) = (uid, gid);
        self.mode = (self.mode & !0o777) | (mode & 0o777);
    }
}

/// The objects of one kind in a namespace.
#[derive(Debug)]
pub struct Table<T> {
    objects: BTreeMap<u32, (i32, Arc<T>)>,
    keys: HashMap<i32, u32>,
    most: u32,
    seq: u32,
    last_index: Option<u32>,
    /// Every index below is taken.
    first_free: u32,
}

impl<T> Table<T> {
    fn new(most: u32) -> Self {
        Self {
            objects: BTreeMap::new(),
            keys: HashMap::new(),
            most,
            seq: 0,
            last_index: None,
            first_free: 0,
        }
    }

    /// The object of this id.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn get(&self, id: i32) -> Result<Arc<T>, Errno> {
        let found = self.objects.get(&index_of(id)?);
        found
            .filter(|found| found.0 == id)
            .map(|found| found.1.clone())
            .ok_or_else(|| EINVAL.into())
    }

    /// The id and object at this index (the `*_STAT` commands).
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn at_index(&self, index: i32) -> Result<(i32, Arc<T>), Errno> {
        self.objects.get(&index_of(index)?).cloned().ok_or_else(|| EINVAL.into())
    }

    /// Every object.
    pub fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        self.objects.values().map(|found| &found.1)
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The highest index in use, 0 for none (what the `*_INFO` commands return).
    #[must_use]
    pub fn highest_index(&self) -> u32 {
        self.objects.last_key_value().map_or(0, |(&index, _)| index)
    }

    /// Finds the object of `key`, or makes it with `make` from its id and sequence number, as
    /// `flags` ask for. `check` judges an object that was there.
    ///
    /// # Errors
    /// `EEXIST`, `ENOENT`, `ENOSPC`, and those of `check` and `make`.
    pub fn find_or_make(
        &mut self,
        key: i32,
        flags: u32,
        check: impl FnOnce(&T) -> Result<(), Errno>,
        make: impl FnOnce(i32, u16) -> Result<T, Errno>,
    ) -> Result<i32, Errno> {
        if key != IPC_PRIVATE {
            if let Some((id, object)) =
                self.keys.get(&key).and_then(|index| self.objects.get(index))
            {
                if flags & IPC_CREAT != 0 && flags & IPC_EXCL != 0 {
                    return Err(EEXIST.into());
                }
                check(object)?;
                return Ok(*id);
            }
            if flags & IPC_CREAT == 0 {
                return Err(ENOENT.into());
            }
        }
        let mut indexes = self.first_free..self.most;
        let index = indexes.find(|index| !self.objects.contains_key(index)).ok_or(ENOSPC)?;
        self.first_free = index;
        let seq = if self.last_index.is_some_and(|last| index <= last) {
            (self.seq + 1) % SEQUENCES
        } else {
            self.seq
        };
        let id = (seq << INDEX_BITS | index).cast_signed();
        let object = make(id, u16::try_from(seq).unwrap_or(0))?;
        self.seq = seq;
        self.last_index = Some(index);
        self.objects.insert(index, (id, Arc::new(object)));
        if key != IPC_PRIVATE {
            self.keys.insert(key, index);
        }
        Ok(id)
    }

    /// Frees the key of an object that lives on (shared memory that is still attached).
    pub fn forget_key(&mut self, id: i32) {
        if let Ok(index) = index_of(id) {
            self.keys.retain(|_, known| *known != index);
        }
    }

    /// Takes an object out.
    pub fn remove(&mut self, id: i32) -> Option<Arc<T>> {
        let index = index_of(id).ok()?;
        self.objects.get(&index).filter(|found| found.0 == id)?;
        self.forget_key(id);
        self.first_free = self.first_free.min(index);
        self.objects.remove(&index).map(|found| found.1)
    }

    /// Takes out every object `gone` says has ended by itself.
    pub fn sweep(&mut self, gone: impl Fn(&T) -> bool) {
        let before = self.objects.len();
        self.objects.retain(|_, found| !gone(&found.1));
        if self.objects.len() == before {
            return;
        }
        self.first_free = 0;
        let objects = &self.objects;
        self.keys.retain(|_, index| objects.contains_key(index));
    }
}

fn index_of(id: i32) -> Result<u32, Errno> {
    u32::try_from(id).map(|id| id & ((1 << INDEX_BITS) - 1)).map_err(|_| EINVAL.into())
}

/// Seconds since the epoch, as the objects' time stamps have it.
#[must_use]
pub fn now_seconds() -> i64 {
    bevor_base::clock::realtime_ns() / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_reused_at_once() {
        let mut table = Table::<()>::new(2);
        let mut make = || table.find_or_make(IPC_PRIVATE, 0, |()| Ok(()), |_, _| Ok(()));
        let (first, second) = (make().unwrap(), make().unwrap());
        assert_eq!(make().unwrap_err(), ENOSPC);
        assert!(table.remove(first).is_some() && table.remove(first).is_none());
        let third = table.find_or_make(IPC_PRIVATE, 0, |()| Ok(()), |_, _| Ok(())).unwrap();
        assert_ne!(third, first);
        assert!(table.get(first).is_err() && table.get(second).is_ok() && table.get(third).is_ok());
        assert_eq!(table.at_index(0).unwrap().0, third);
        assert_eq!(table.get(-1).unwrap_err(), EINVAL);
    }

    #[test]
    fn keys_find_what_was_made() {
        let mut table = Table::<u8>::new(9);
        let mut get = |flags| table.find_or_make(7, flags, |_| Ok(()), |_, _| Ok(1));
        assert_eq!(get(0).unwrap_err(), ENOENT);
        let id = get(IPC_CREAT).unwrap();
        assert_eq!(get(0).unwrap(), id);
        assert_eq!(get(IPC_CREAT | IPC_EXCL).unwrap_err(), EEXIST);
        table.forget_key(id);
        let other = table.find_or_make(7, IPC_CREAT, |_| Ok(()), |_, _| Ok(2)).unwrap();
        assert_ne!(other, id);
    }
}
