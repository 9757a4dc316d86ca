//! Semaphore sets: `semop(2)`, `semctl(2)`.

use super::{Permissions, now_seconds};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EFBIG, EIDRM, ERANGE};
use bevor_abi::ipc::{SEMAEM, SEMVMX};
use bevor_base::{Ready, WaitQueue};
use bevor_memory::Account;
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Highest value of a semaphore.
const MAX_VALUE: i32 = SEMVMX.cast_signed();
/// Largest adjustment kept for `SEM_UNDO`.
const MAX_UNDO: i32 = SEMAEM.cast_signed();
/// Bytes a semaphore is charged with.
pub(super) const BYTES: u64 = 16;

/// One operation of `semop(2)`.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Which semaphore of the set.
    pub number: u16,
    /// What to add; 0 waits for zero.
    pub add: i32,
    /// `IPC_NOWAIT`.
    pub no_wait: bool,
    /// `SEM_UNDO`.
    pub undo: bool,
}

/// One semaphore.
#[derive(Clone, Copy, Debug, Default)]
pub struct Semaphore {
    /// Its value.
    pub value: i32,
    /// Process that changed it last, as numbered in its own pid namespace.
    pub pid: i32,
}

/// What a waiting call waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// Which semaphore.
    pub number: u16,
    /// For zero, not for a higher value.
    pub zero: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// All operations were done.
    Done,
    /// None was done: one has to wait.
    Wait(Waits),
}

/// What the lock of a set protects.
#[derive(Debug)]
pub struct SemaphoreState {
    /// Who may use it.
    pub permissions: Permissions,
    /// The semaphores.
    pub semaphores: Vec<Semaphore>,
    /// Time of the last `semop`, seconds; 0 for never.
    pub otime: i64,
    /// Time of the last change by `semctl`, seconds.
    pub ctime: i64,
    /// Set by `IPC_RMID`.
    removed: bool,
    /// What waits, by task.
    waiting: BTreeMap<u64, Waits>,
    /// Adjustments to make when a process ends, by process.
    undo: BTreeMap<u64, Vec<i32>>,
}

/// A semaphore set.
pub struct SemaphoreSet {
    /// Its id.
    pub id: i32,
    /// Woken by every change.
    pub queue: WaitQueue,
    state: Mutex<SemaphoreState>,
    account: Arc<Account>,
    bytes: u64,
}

impl SemaphoreSet {
    /// A set of `count` semaphores of value 0, paid by `account`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(
        id: i32,
        permissions: Permissions,
        count: usize,
        account: &Arc<Account>,
    ) -> Result<Self, Errno> {
        let bytes = BYTES * count as u64;
        account.charge(bytes)?;
        let state = SemaphoreState {
            permissions,
            semaphores: vec![Semaphore::default(); count],
            otime: 0,
            ctime: now_seconds(),
            removed: false,
            waiting: BTreeMap::new(),
            undo: BTreeMap::new(),
        };
        let (queue, account) = (WaitQueue::new(), account.clone());
        Ok(Self { id, queue, state: Mutex::new(state), account, bytes })
    }

    /// Looks at or changes it. Call [`SemaphoreSet::changed`] after a change of values.
    pub fn state(&self) -> MutexGuard<'_, SemaphoreState> {
        self.state.lock()
    }

    /// Wakes whoever waits, without the state's lock.
    pub fn changed(&self) {
        self.queue.wake(Ready::IN);
    }

    /// Ends it: whoever waits learns that it is gone.
    pub fn end(&self) {
        self.state.lock().removed = true;
        self.changed();
    }

    /// Does all of `operations` or none, for process `group`, whose number is `pid`.
    ///
    /// # Errors
    /// `EAGAIN` where `IPC_NOWAIT` forbids to wait, `EFBIG`, `EIDRM`, `ERANGE`.
    pub fn attempt(
        &self,
        operations: &[Operation],
        group: u64,
        pid: i32,
    ) -> Result<Attempt, Errno> {
        let mut state = self.state.lock();
        if state.removed {
            return Err(EIDRM.into());
        }
        let attempt = state.apply(operations, group, pid)?;
        drop(state);
        if attempt == Attempt::Done && operations.iter().any(|operation| operation.add != 0) {
            self.changed();
        }
        Ok(attempt)
    }

    /// Notes what a task waits for, or that it no longer does.
    pub fn note_waiting(&self, task: u64, waits: Option<Waits>) {
        let mut state = self.state.lock();
        match waits {
            Some(waits) => state.waiting.insert(task, waits),
            None => state.waiting.remove(&task),
        };
    }

    /// How many tasks wait for this; `lives` tells which of those noted still do.
    pub fn nr_waiting(&self, waits: Waits, lives: impl Fn(u64) -> bool) -> usize {
        let mut state = self.state.lock();
        state.waiting.retain(|&task, _| lives(task));
        state.waiting.values().filter(|known| **known == waits).count()
    }

    /// Makes the adjustments of an ended process.
    pub(super) fn undo(&self, group: u64, pid: i32) {
        let mut state = self.state.lock();
        let Some(adjustments) = state.undo.remove(&group) else { return };
        for (semaphore, adjustment) in state.semaphores.iter_mut().zip(adjustments) {
            if adjustment != 0 {
                semaphore.value = (semaphore.value + adjustment).clamp(0, MAX_VALUE);
                semaphore.pid = pid;
            }
        }
        state.otime = now_seconds();
        drop(state);
        self.changed();
    }
}

impl std::fmt::Debug for SemaphoreSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SemaphoreSet({})", self.id)
    }
}

impl Drop for SemaphoreSet {
    fn drop(&mut self) {
        self.account.uncharge(self.bytes);
    }
}

impl SemaphoreState {
    fn apply(&mut self, operations: &[Operation], group: u64, pid: i32) -> Result<Attempt, Errno> {
        let mut done = Vec::new();
        let result = self.apply_each(operations, group, pid, &mut done);
        if result == Ok(Attempt::Done) {
            self.otime = now_seconds();
            return result;
        }
        for (operation, before) in done.into_iter().rev() {
            let index = usize::from(operation.number);
            if let Some(semaphore) = self.semaphores.get_mut(index) {
                *semaphore = before;
            }
            if let Some(adjustments) = self.undo.get_mut(&group).filter(|_| operation.undo)
                && let Some(adjustment) = adjustments.get_mut(index)
            {
                *adjustment += operation.add;
            }
        }
        let is_idle =
            |adjustments: &Vec<i32>| adjustments.iter().all(|&adjustment| adjustment == 0);
        if self.undo.get(&group).is_some_and(is_idle) {
            self.undo.remove(&group);
        }
        result
    }

    fn apply_each(
        &mut self,
        operations: &[Operation],
        group: u64,
        pid: i32,
        done: &mut Vec<(Operation, Semaphore)>,
    ) -> Result<Attempt, Errno> {
        let count = self.semaphores.len();
        for operation in operations {
            let index = usize::from(operation.number);
            let semaphore = self.semaphores.get_mut(index).ok_or(EFBIG)?;
            let value = semaphore.value + operation.add;
            let zero = operation.add == 0;
            if value < 0 || (zero && value != 0) {
                if operation.no_wait {
                    return Err(EAGAIN.into());
                }
                return Ok(Attempt::Wait(Waits { number: operation.number, zero }));
            }
            if value > MAX_VALUE {
                return Err(ERANGE.into());
            }
            let before = std::mem::replace(semaphore, Semaphore { value, pid });
            done.push((*operation, before));
            if operation.undo {
                let adjustments = self.undo.entry(group).or_insert_with(|| vec![0; count]);
                let adjustment = adjustments.get_mut(index).ok_or(EFBIG)?;
                *adjustment -= operation.add;
                if adjustment.abs() > MAX_UNDO {
                    return Err(ERANGE.into());
                }
            }
        }
        Ok(Attempt::Done)
    }

    /// Whether process `group` has adjustments to make.
    #[must_use]
    pub fn has_undo(&self, group: u64) -> bool {
        self.undo.contains_key(&group)
    }

    /// `SETVAL`: sets one semaphore, and forgets adjustments of it.
    pub fn set_value(&mut self, index: usize, value: i32, pid: i32) {
        if let Some(semaphore) = self.semaphores.get_mut(index) {
            *semaphore = Semaphore { value, pid };
        }
        for adjustments in self.undo.values_mut() {
            if let Some(adjustment) = adjustments.get_mut(index) {
                *adjustment = 0;
            }
        }
        self.ctime = now_seconds();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_base::{Credentials, UserNamespace};

    fn set(values: &[i32]) -> SemaphoreSet {
        let cred = Credentials::user(0, 0, &[], UserNamespace::initial());
        let permissions = Permissions::new(0, 0o600, 0, &cred);
        let set =
            SemaphoreSet::new(1, permissions, values.len(), &Arc::new(Account::new(u64::MAX)))
                .unwrap();
        for (index, &value) in values.iter().enumerate() {
            set.state().set_value(index, value, 1);
        }
        set
    }

    fn op(number: u16, add: i32) -> Operation {
        Operation { number, add, no_wait: false, undo: false }
    }

    fn values(set: &SemaphoreSet) -> Vec<i32> {
        set.state().semaphores.iter().map(|semaphore| semaphore.value).collect()
    }

    #[test]
    fn all_operations_are_done_or_none() {
        let set = set(&[1, 0, 5]);
        let waits = Waits { number: 1, zero: false };
        assert_eq!(set.attempt(&[op(0, -1), op(1, -1)], 1, 1), Ok(Attempt::Wait(waits)));
        assert_eq!(values(&set), [1, 0, 5]);
        assert_eq!(set.attempt(&[op(0, -1), op(1, 2), op(1, -2)], 1, 1), Ok(Attempt::Done));
        assert_eq!(values(&set), [0, 0, 5]);
        let zero = Waits { number: 2, zero: true };
        assert_eq!(set.attempt(&[op(2, 0)], 1, 1), Ok(Attempt::Wait(zero)));
        let now = Operation { no_wait: true, ..op(2, 0) };
        assert_eq!(set.attempt(&[now], 1, 1).unwrap_err(), EAGAIN);
        assert_eq!(set.attempt(&[op(3, 1)], 1, 1).unwrap_err(), EFBIG);
        assert_eq!(set.attempt(&[op(2, 32767)], 1, 1).unwrap_err(), ERANGE);
        assert_eq!(values(&set), [0, 0, 5]);
    }

    #[test]
    fn an_ended_process_is_undone() {
        let set = set(&[3]);
        let down = Operation { undo: true, ..op(0, -2) };
        assert_eq!(set.attempt(&[down], 7, 1), Ok(Attempt::Done));
        assert_eq!(set.attempt(&[op(0, -1)], 8, 1), Ok(Attempt::Done));
        assert!(set.state().has_undo(7) && !set.state().has_undo(8));
        set.undo(7, 1);
        assert_eq!(values(&set), [2]);
        let wait = Operation { undo: true, ..op(0, -9) };
        assert!(matches!(set.attempt(&[wait], 9, 1), Ok(Attempt::Wait(_))));
        assert!(!set.state().has_undo(9));
    }

    #[test]
    fn a_removed_set_says_so() {
        let set = set(&[0]);
        set.note_waiting(5, Some(Waits { number: 0, zero: false }));
        assert_eq!(set.nr_waiting(Waits { number: 0, zero: false }, |task| task == 5), 1);
        assert_eq!(set.nr_waiting(Waits { number: 0, zero: false }, |_| false), 0);
        set.end();
        assert_eq!(set.attempt(&[op(0, 1)], 1, 1).unwrap_err(), EIDRM);
    }
}
