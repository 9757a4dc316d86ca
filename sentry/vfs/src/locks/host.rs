//! Locks that are held on the host, too.
//!
//! The table decides among the sandbox's own programs; on the host the sandbox is one owner, which holds
//! what any of them holds. A lock is taken there before it is in the table, and given up there once
//! nobody in the table has it.

use crate::locks::record::Range;
use crate::locks::{Key, Kind, LockInfo, Owner, Record, TABLE, Wait, Wanted};
use bevor_abi::Errno;
use bevor_abi::errno::EAGAIN;
use parking_lot::Mutex;

/// A file whose locks reach others on the host. No call waits.
pub trait HostLocks: Send + Sync {
    /// Held while this file's locks change.
    fn serial(&self) -> &Mutex<()>;

    /// Says what the sandbox holds of these bytes.
    ///
    /// # Errors
    /// `EAGAIN` while others are in the way; then it holds what it held.
    fn set_record(&self, kind: Option<Kind>, range: Range) -> Result<(), Errno>;

    /// Says what the sandbox holds of the whole file.
    ///
    /// # Errors
    /// `EAGAIN` while others are in the way; then it holds nothing.
    fn set_whole(&self, kind: Option<Kind>) -> Result<(), Errno>;

    /// The first lock of others in the way of `record`.
    ///
    /// # Errors
    /// Those of asking.
    fn test(&self, record: &Record) -> Result<Option<LockInfo>, Errno>;
}

/// [`crate::locks::set`] of such a file.
pub(super) fn set(
    host: &dyn HostLocks,
    key: Key,
    owner: Owner,
    record: Record,
) -> Result<(), Errno> {
    let _serial = host.serial().lock();
    let wanted = Wanted::Record(record);
    if !TABLE.lock().blockers(key, owner, wanted, None).is_empty() {
        return Err(EAGAIN.into());
    }
    host.set_record(Some(record.kind), record.range())?;
    TABLE.lock().take(key, owner, wanted);
    Ok(())
}

/// Takes a lock or says what to wait for; the caller holds [`HostLocks::serial`].
pub(super) fn acquire(
    host: &dyn HostLocks,
    key: Key,
    owner: Owner,
    wanted: Wanted,
    previous: Option<Wait>,
) -> Result<Option<Wait>, Errno> {
    let blockers = TABLE.lock().blockers(key, owner, wanted, previous.as_ref());
    if blockers.is_empty() {
        let taken = match wanted {
            Wanted::Record(record) => host.set_record(Some(record.kind), record.range()),
            Wanted::Whole(kind) => host.set_whole(Some(kind)),
        };
        match taken {
            Ok(()) => {
                TABLE.lock().take(key, owner, wanted);
                return Ok(None);
            }
            Err(errno) if errno == EAGAIN => {}
            Err(errno) => return Err(errno),
        }
    }
    TABLE.lock().wait(key, owner, wanted, previous, &blockers).map(Some)
}

/// [`crate::locks::clear`] of such a file.
pub(super) fn clear(host: &dyn HostLocks, key: Key, owner: Owner, start: u64, end: u64) {
    let _serial = host.serial().lock();
    let given_up = TABLE.lock().with(key, |locks| {
        if !locks.records.holds(owner, start, end) {
            return Vec::new();
        }
        let held = locks.records.ranges();
        locks.records.clear(owner, start, end);
        if locks.records.is_empty() {
            return vec![Range { start: 0, end: Record::TO_END }];
        }
        Range::without(held, &locks.records.ranges())
    });
    if given_up.is_empty() {
        return;
    }
    for range in given_up {
        // A gofer that is gone holds no locks either.
        let _ = host.set_record(None, range);
    }
    TABLE.lock().with(key, super::FileLocks::wake);
}

/// [`crate::locks::unflock`] of such a file.
pub(super) fn unflock(host: &dyn HostLocks, key: Key, holder: u64) {
    let _serial = host.serial().lock();
    let (had, is_last) = TABLE.lock().with(key, |locks| {
        let before = locks.whole.len();
        locks.whole.retain(|(id, _)| *id != holder);
        (locks.whole.len() != before, locks.whole.is_empty())
    });
    if !had {
        return;
    }
    if is_last {
        let _ = host.set_whole(None);
    }
    TABLE.lock().with(key, super::FileLocks::wake);
}
