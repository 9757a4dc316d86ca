//! Advisory locks: records of processes (`fcntl(2)` `F_SETLK`), records of open file descriptions
//! (`F_OFD_SETLK`), whole files (`flock(2)`).
//!
//! One table for the sandbox, under one lock: locks are few and held shortly. A waiting call is a
//! [`Wait`] with a queue of its own; while nobody is registered there the call is not waiting (any
//! more), so an interrupted one leaves nothing behind that matters.
//!
//! Locks of some files are held on the host, too ([`HostLocks`]): what the sandbox as a whole holds.
//!
//! Lock order:
//! ```text
//! HostLocks::serial   changes of one such file's locks; held across a message to the gofer
//!   TABLE             never held across one
//! ```

mod host;
mod list;
mod record;
mod wait;

#[cfg(test)]
mod tests;

pub use host::HostLocks;
pub use list::{Listed, list};
pub use record::{LockInfo, Owner, Range, Record};
pub use wait::Wait;

use crate::file::File;
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EDEADLK};
use bevor_base::{Ready, WaitQueue};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use wait::{Waiter, Wanted};

/// What is locked: device and inode number.
type Key = (u64, u64);

/// How a lock excludes others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `F_RDLCK`, `LOCK_SH`.
    Shared,
    /// `F_WRLCK`, `LOCK_EX`.
    Exclusive,
}

#[derive(Default)]
struct Table {
    files: HashMap<Key, FileLocks>,
    next_wait: u64,
}

/// The locks of one file.
#[derive(Default)]
struct FileLocks {
    records: record::Records,
    /// Holders of `flock` locks by description.
    whole: Vec<(u64, Kind)>,
    waiters: Vec<Waiter>,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

/// How many files have record locks of processes, so that `close(2)` is free while there are none.
static WITH_RECORDS: AtomicUsize = AtomicUsize::new(0);

fn key_of(file: &File) -> Key {
    (file.inode().dev(), file.inode().ino())
}

impl FileLocks {
    fn is_unused(&self) -> bool {
        self.records.is_empty() && self.whole.is_empty() && self.waiters.is_empty()
    }

    /// Wakes everyone who waits for this file.
    fn wake(&mut self) {
        self.waiters.retain(|waiter| !waiter.queue.is_empty());
        for waiter in &self.waiters {
            waiter.queue.wake(Ready::READABLE);
        }
    }

    /// Who stands in the way of `wanted`.
    fn blockers(&self, owner: Owner, wanted: Wanted) -> Vec<Owner> {
        match wanted {
            Wanted::Record(record) => self.records.conflicts(owner, &record),
            Wanted::Whole(kind) => {
                let others = self.whole.iter().filter(|(holder, held)| {
                    Owner::Description(*holder) != owner
                        && (kind == Kind::Exclusive || *held == Kind::Exclusive)
                });
                others.map(|(holder, _)| Owner::Description(*holder)).collect()
            }
        }
    }

    /// Takes the lock; nobody stands in the way.
    fn take(&mut self, owner: Owner, wanted: Wanted) {
        match (wanted, owner) {
            (Wanted::Record(record), _) => self.records.set(owner, record),
            (Wanted::Whole(kind), Owner::Description(holder)) => self.whole.push((holder, kind)),
            (Wanted::Whole(_), Owner::Process { .. }) => {}
        }
    }
}

impl Table {
    /// Runs `change` on the locks of `key` and keeps the counts.
    fn with<R>(&mut self, key: Key, change: impl FnOnce(&mut FileLocks) -> R) -> R {
        let locks = self.files.entry(key).or_default();
        let had = !locks.records.is_empty();
        let result = change(locks);
        let has = !locks.records.is_empty();
        if locks.is_unused() {
            self.files.remove(&key);
        }
        if has && !had {
            WITH_RECORDS.fetch_add(1, Ordering::AcqRel);
        } else if had && !has {
            WITH_RECORDS.fetch_sub(1, Ordering::AcqRel);
        }
        result
    }

    /// Whether `owner`, waiting for `blockers`, would wait for itself.
    fn is_deadlock(&self, owner: Owner, blockers: &[Owner]) -> bool {
        let mut reached: Vec<Owner> = blockers.to_vec();
        let mut next = 0;
        while let Some(&at) = reached.get(next) {
            if at == owner {
                return true;
            }
            next += 1;
            for locks in self.files.values() {
                let waits = locks
                    .waiters
                    .iter()
                    .filter(|waiter| waiter.owner == at && !waiter.queue.is_empty());
                for waiter in waits {
                    for blocker in locks.blockers(at, waiter.wanted) {
                        if !reached.contains(&blocker) {
                            reached.push(blocker);
                        }
                    }
                }
            }
        }
        false
    }

    fn acquire(
        &mut self,
        key: Key,
        owner: Owner,
        wanted: Wanted,
        previous: Option<Wait>,
    ) -> Result<Option<Wait>, Errno> {
        let blockers = self.blockers(key, owner, wanted, previous.as_ref());
        if blockers.is_empty() {
            self.take(key, owner, wanted);
            return Ok(None);
        }
        self.wait(key, owner, wanted, previous, &blockers).map(Some)
    }

    /// Who stands in the way of a call that is not waiting (any more).
    fn blockers(
        &mut self,
        key: Key,
        owner: Owner,
        wanted: Wanted,
        previous: Option<&Wait>,
    ) -> Vec<Owner> {
        let id = previous.map(|wait| wait.id);
        self.with(key, |locks| {
            locks.waiters.retain(|waiter| Some(waiter.id) != id);
            locks.blockers(owner, wanted)
        })
    }

    /// Takes the lock; nobody stands in the way.
    fn take(&mut self, key: Key, owner: Owner, wanted: Wanted) {
        self.with(key, |locks| {
            locks.take(owner, wanted);
            // A weaker lock may let others in.
            locks.wake();
        });
    }

    /// Makes a call wait for `blockers`, or for nobody in this sandbox.
    fn wait(
        &mut self,
        key: Key,
        owner: Owner,
        wanted: Wanted,
        previous: Option<Wait>,
        blockers: &[Owner],
    ) -> Result<Wait, Errno> {
        if matches!(owner, Owner::Process { .. }) && self.is_deadlock(owner, blockers) {
            return Err(EDEADLK.into());
        }
        let mut wait = previous.unwrap_or_else(|| {
            self.next_wait += 1;
            Wait { id: self.next_wait, queue: WaitQueue::new(), on_host: false }
        });
        wait.on_host = blockers.is_empty();
        let waiter = Waiter { id: wait.id, owner, wanted, queue: wait.queue.clone() };
        self.with(key, |locks| {
            // Calls that were interrupted are not waiting any more.
            locks.waiters.retain(|waiter| !waiter.queue.is_empty());
            locks.waiters.push(waiter);
        });
        Ok(wait)
    }
}

/// The wait of this number, while it is known.
#[must_use]
pub fn find_wait(id: u64) -> Option<Wait> {
    let table = TABLE.lock();
    let mut waiters = table.files.values().flat_map(|locks| &locks.waiters);
    let waiter = waiters.find(|waiter| waiter.id == id)?;
    Some(Wait { id, queue: waiter.queue.clone(), on_host: false })
}

/// Sets a record lock without waiting (`F_SETLK`).
///
/// # Errors
/// `EAGAIN` while another owner's lock is in the way.
pub fn set(file: &File, owner: Owner, record: Record) -> Result<(), Errno> {
    note_owner(file, owner);
    if let Some(host) = file.inode().host_locks() {
        return host::set(host, key_of(file), owner, record);
    }
    TABLE.lock().with(key_of(file), |locks| {
        if !locks.records.conflicts(owner, &record).is_empty() {
            return Err(EAGAIN.into());
        }
        locks.records.set(owner, record);
        locks.wake();
        Ok(())
    })
}

/// Sets a record lock, or says what to wait for (`F_SETLKW`). `previous` is the wait the call comes
/// back from.
///
/// # Errors
/// `EDEADLK` if processes would wait for each other.
pub fn set_or_wait(
    file: &File,
    owner: Owner,
    record: Record,
    previous: Option<Wait>,
) -> Result<Option<Wait>, Errno> {
    note_owner(file, owner);
    let (key, wanted) = (key_of(file), Wanted::Record(record));
    if let Some(host) = file.inode().host_locks() {
        let _serial = host.serial().lock();
        return host::acquire(host, key, owner, wanted, previous);
    }
    TABLE.lock().acquire(key, owner, wanted, previous)
}

/// Removes `owner`'s record locks on the bytes `start..=end` (`F_UNLCK`).
pub fn clear(file: &File, owner: Owner, start: u64, end: u64) {
    if let Some(host) = file.inode().host_locks() {
        return host::clear(host, key_of(file), owner, start, end);
    }
    TABLE.lock().with(key_of(file), |locks| {
        locks.records.clear(owner, start, end);
        locks.wake();
    });
}

/// The first lock in the way of `record` (`F_GETLK`).
///
/// # Errors
/// Those of asking the host.
pub fn test(file: &File, owner: Owner, record: &Record) -> Result<Option<LockInfo>, Errno> {
    let found = {
        let table = TABLE.lock();
        let locks = table.files.get(&key_of(file));
        locks.and_then(|locks| locks.records.first_conflict(owner, record))
    };
    match file.inode().host_locks() {
        Some(host) if found.is_none() => host.test(record),
        _ => Ok(found),
    }
}

/// The first lock that `owner` itself holds on some of the bytes `start..=end`.
#[must_use]
pub fn held(file: &File, owner: Owner, start: u64, end: u64) -> Option<LockInfo> {
    TABLE.lock().files.get(&key_of(file))?.records.first_held(owner, start, end)
}

/// Whether descriptor tables need to tell of closed descriptors at all.
#[must_use]
pub fn any_records() -> bool {
    WITH_RECORDS.load(Ordering::Acquire) != 0
}

/// Drops the record locks of descriptor table `table` on `file`, one of whose descriptors it closed.
pub fn closed(file: &File, table: u64) {
    if !any_records() {
        return;
    }
    clear(file, Owner::Process { table, pid: 0 }, 0, u64::MAX);
}

/// Takes a whole-file lock or says what to wait for (`flock(2)`); a lock the description holds is
/// given up first, as on Linux. With `wait` off, `previous` is `None`.
///
/// # Errors
/// `EAGAIN` with `wait` off.
pub fn flock(
    file: &File,
    kind: Kind,
    wait: bool,
    previous: Option<Wait>,
) -> Result<Option<Wait>, Errno> {
    file.note_locks();
    let owner = Owner::Description(file.id());
    let key = key_of(file);
    let host = file.inode().host_locks();
    let _serial = host.map(|host| host.serial().lock());
    let mut table = TABLE.lock();
    let held = table.with(key, |locks| {
        let held = locks.whole.iter().position(|(holder, _)| *holder == file.id());
        match held {
            Some(index) if locks.whole.get(index).is_some_and(|(_, held)| *held == kind) => true,
            Some(index) => {
                locks.whole.swap_remove(index);
                locks.wake();
                false
            }
            None => false,
        }
    });
    if held {
        return Ok(None);
    }
    if let Some(host) = host {
        drop(table);
        let found = host::acquire(host, key, owner, Wanted::Whole(kind), previous)?;
        return if wait || found.is_none() { Ok(found) } else { Err(EAGAIN.into()) };
    }
    if wait {
        return table.acquire(key, owner, Wanted::Whole(kind), previous);
    }
    table.with(key, |locks| {
        if !locks.blockers(owner, Wanted::Whole(kind)).is_empty() {
            return Err(EAGAIN.into());
        }
        locks.take(owner, Wanted::Whole(kind));
        Ok(None)
    })
}

/// Gives up the description's whole-file lock (`LOCK_UN`).
pub fn unflock(file: &File) {
    if let Some(host) = file.inode().host_locks() {
        return host::unflock(host, key_of(file), file.id());
    }
    TABLE.lock().with(key_of(file), |locks| {
        locks.whole.retain(|(holder, _)| *holder != file.id());
        locks.wake();
    });
}

/// Drops all locks of an open file description that ends.
pub(crate) fn description_gone(file: &File) {
    let owner = Owner::Description(file.id());
    if let Some(host) = file.inode().host_locks() {
        host::unflock(host, key_of(file), file.id());
        return host::clear(host, key_of(file), owner, 0, u64::MAX);
    }
    TABLE.lock().with(key_of(file), |locks| {
        locks.whole.retain(|(holder, _)| *holder != file.id());
        locks.records.clear(owner, 0, u64::MAX);
        locks.wake();
    });
}

fn note_owner(file: &File, owner: Owner) {
    if matches!(owner, Owner::Description(_)) {
        file.note_locks();
    }
}
