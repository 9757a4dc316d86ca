//! Futexes (`futex(2)`, `futex(7)`): waiters by key, wake, requeue, priority inheritance hand-over,
//! robust lists.
//!
//! A private futex is named by (memory manager, address), a shared one by what backs the page. The
//! bucket lock is held while the value is compared and the waiter queued, so no wake-up is lost.

use crate::task::Task;
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINVAL};
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{MemoryManager, UserAddr};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Identity of a futex word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Key {
    /// Process-private: memory manager and address.
    Private(u64, u64),
    /// Named without `FUTEX_PRIVATE_FLAG`, but memory of one process: Linux keeps the two apart.
    Unshared(u64, u64),
    /// Shared: backing object and offset in it.
    Shared(u64, u64),
}

/// What a waiter waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// To be woken.
    Plain,
    /// For a priority-inheriting futex to be its own.
    Lock,
    /// To be moved to the priority-inheriting futex of this key (`FUTEX_WAIT_REQUEUE_PI`).
    Moved(Key),
}

/// Somebody waiting on a futex word.
#[derive(Debug)]
pub struct Waiter {
    /// Names it in saved records.
    pub id: u64,
    bitset: u32,
    woken: AtomicBool,
    /// Where it waits now; requeueing moves it.
    key: Mutex<Key>,
    /// Thread id for priority-inheriting futexes.
    tid: i32,
    kind: Kind,
    /// Woken with it.
    pub queue: WaitQueue,
}

impl Waiter {
    /// Whether it has been woken.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.queue.wake(Ready::ALL);
    }
}

type Bucket = HashMap<Key, VecDeque<Arc<Waiter>>>;

/// Number of independently locked buckets.
const NR_BUCKETS: usize = 64;

/// All futex waiters of a sandbox.
#[derive(Debug)]
pub struct FutexTable {
    buckets: Vec<Mutex<Bucket>>,
    hasher: RandomState,
    next_id: AtomicU64,
    /// Waiters by id, for a call that comes back from its wait.
    waiters: Mutex<HashMap<u64, Arc<Waiter>>>,
}

impl Default for FutexTable {
    fn default() -> Self {
        Self {
            buckets: (0..NR_BUCKETS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next_id: AtomicU64::new(1),
            waiters: Mutex::default(),
        }
    }
}

/// Computes the key of the word at `addr`. `private` is `FUTEX_PRIVATE_FLAG`.
///
/// # Errors
/// `EINVAL` for a misaligned address; `EFAULT`.
pub fn key(mm: &MemoryManager, addr: UserAddr, private: bool) -> Result<Key, Errno> {
    if !addr.0.is_multiple_of(4) {
        return Err(EINVAL.because("misaligned futex"));
    }
    if private {
        return Ok(Key::Private(mm.id(), addr.0));
    }
    match mm.shared_key(addr)? {
        Some((object, offset)) => Ok(Key::Shared(object, offset)),
        None => Ok(Key::Unshared(mm.id(), addr.0)),
    }
}

impl FutexTable {
    fn bucket(&self, key: &Key) -> &Mutex<Bucket> {
        let hash = usize::try_from(self.hasher.hash_one(key) % NR_BUCKETS as u64).unwrap_or(0);
        &self.buckets[hash]
    }

    /// Queues a waiter if the word still holds `value`.
    ///
    /// # Errors
    /// `EAGAIN` if it does not; `EFAULT`, `EINVAL`.
    pub fn wait(
        &self,
        mm: &MemoryManager,
        addr: UserAddr,
        private: bool,
        value: u32,
        bitset: u32,
        tid: i32,
    ) -> Result<Arc<Waiter>, Errno> {
        if bitset == 0 {
            return Err(EINVAL.into());
        }
        let key = key(mm, addr, private)?;
        // Fault the page in without the bucket's lock.
        mm.load_u32(addr)?;
        let mut bucket = self.bucket(&key).lock();
        if mm.load_u32(addr)? != value {
            return Err(EAGAIN.into());
        }
        let waiter = self.make_waiter(key, bitset, tid, Kind::Plain);
        bucket.entry(key).or_default().push_back(waiter.clone());
        drop(bucket);
        Ok(waiter)
    }

    /// Queues a waiter that [`FutexTable::requeue_pi`] will move to the lock at `lock`, if the word
    /// still holds `value`.
    ///
    /// # Errors
    /// `EAGAIN` if it does not; `EFAULT`, `EINVAL` also if both words are one.
    pub fn wait_for_move(
        &self,
        mm: &MemoryManager,
        addr: UserAddr,
        lock: UserAddr,
        private: bool,
        value: u32,
        tid: i32,
    ) -> Result<Arc<Waiter>, Errno> {
        let (key, to) = (key(mm, addr, private)?, key(mm, lock, private)?);
        if key == to {
            return Err(EINVAL.because("a futex and its lock are one word"));
        }
        mm.load_u32(addr)?;
        let mut bucket = self.bucket(&key).lock();
        if mm.load_u32(addr)? != value {
            return Err(EAGAIN.into());
        }
        let waiter = self.make_waiter(key, u32::MAX, tid, Kind::Moved(to));
        bucket.entry(key).or_default().push_back(waiter.clone());
        Ok(waiter)
    }

    /// `FUTEX_CMP_REQUEUE_PI`: gives the lock to the first waiter if `take` says it was free, and
    /// moves up to `nr_requeue` others, or all of them, to the lock's queue. `take` gets the first
    /// waiter's thread id and whether more wait for the lock or will. Answers how many were woken
    /// or moved.
    ///
    /// # Errors
    /// `EAGAIN` if the word does not hold `expected`; `EFAULT`, `EINVAL`, and what `take` says.
    pub fn requeue_pi(
        &self,
        mm: &MemoryManager,
        (from, to): (UserAddr, UserAddr),
        private: bool,
        nr_requeue: u32,
        expected: u32,
        take: impl FnOnce(i32, bool) -> Result<bool, Errno>,
    ) -> Result<u32, Errno> {
        let (from_key, to_key) = (key(mm, from, private)?, key(mm, to, private)?);
        if from_key == to_key {
            return Err(EINVAL.because("a futex and its lock are one word"));
        }
        mm.load_u32(from)?;
        mm.load_u32(to)?;
        let (mut first, mut second) = self.lock_two(&from_key, &to_key);
        if mm.load_u32(from)? != expected {
            return Err(EAGAIN.into());
        }
        let Some(queue) = first.get(&from_key) else { return Ok(0) };
        let most = usize::try_from(nr_requeue).unwrap_or(usize::MAX).saturating_add(1);
        if queue.iter().take(most).any(|waiter| waiter.kind != Kind::Moved(to_key)) {
            return Err(EINVAL.because("a waiter does not wait for this lock"));
        }
        let Some(top) = queue.front() else { return Ok(0) };
        let target = second.as_deref().unwrap_or(&first);
        let others = target.get(&to_key).is_some_and(|waiting| !waiting.is_empty())
            || (nr_requeue > 0 && queue.len() > 1);
        let taken = take(top.tid, others)?;
        let mut queue = first.remove(&from_key).unwrap_or_default();
        let mut count = 0;
        if taken && let Some(owner) = queue.pop_front() {
            *owner.key.lock() = to_key;
            owner.wake();
            count += 1;
        }
        // The first one counts for itself, whether it got the lock or not.
        while count <= nr_requeue
            && let Some(waiter) = queue.pop_front()
        {
            *waiter.key.lock() = to_key;
            let target = second.as_mut().map_or(&mut *first, |second| &mut **second);
            target.entry(to_key).or_default().push_back(waiter);
            count += 1;
        }
        if !queue.is_empty() {
            first.insert(from_key, queue);
        }
        Ok(count)
    }

    fn make_waiter(&self, key: Key, bitset: u32, tid: i32, kind: Kind) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            bitset,
            woken: AtomicBool::new(false),
            key: Mutex::new(key),
            tid,
            kind,
            queue: WaitQueue::new(),
        });
        self.waiters.lock().insert(waiter.id, waiter.clone());
        waiter
    }

    /// The waiter a call came back from its wait with.
    #[must_use]
    pub fn waiter(&self, id: u64) -> Option<Arc<Waiter>> {
        self.waiters.lock().get(&id).cloned()
    }

    /// Ends a wait: takes the waiter out of its queue. Answers whether it had been woken.
    pub fn finish(&self, waiter: &Arc<Waiter>) -> bool {
        loop {
            let key = *waiter.key.lock();
            let mut bucket = self.bucket(&key).lock();
            if *waiter.key.lock() != key {
                continue;
            }
            remove(&mut bucket, &key, waiter);
            break;
        }
        self.waiters.lock().remove(&waiter.id);
        waiter.is_woken()
    }

    /// Wakes up to `count` waiters whose bitset meets `bitset`.
    ///
    /// # Errors
    /// `EFAULT`, `EINVAL`.
    pub fn wake(
        &self,
        mm: &MemoryManager,
        addr: UserAddr,
        private: bool,
        count: u32,
        bitset: u32,
    ) -> Result<u32, Errno> {
        if bitset == 0 {
            return Err(EINVAL.into());
        }
        let key = key(mm, addr, private)?;
        wake_some(&mut self.bucket(&key).lock(), &key, count, bitset)
    }

    /// Wakes `nr_wake` waiters of one word and moves up to `nr_requeue` to another. With `expected`
    /// fails unless the first word holds it. Answers (woken, moved).
    ///
    /// # Errors
    /// `EAGAIN`, `EFAULT`, `EINVAL`.
    pub fn requeue(
        &self,
        mm: &MemoryManager,
        from: (UserAddr, bool),
        to: (UserAddr, bool),
        nr_wake: u32,
        nr_requeue: u32,
        expected: Option<u32>,
    ) -> Result<(u32, u32), Errno> {
        let (from_key, to_key) = (key(mm, from.0, from.1)?, key(mm, to.0, to.1)?);
        mm.load_u32(from.0)?;
        let (mut first, mut second) = self.lock_two(&from_key, &to_key);
        if let Some(expected) = expected
            && mm.load_u32(from.0)? != expected
        {
            return Err(EAGAIN.into());
        }
        let woken = wake_some(&mut first, &from_key, nr_wake, u32::MAX)?;
        if first.get(&from_key).is_some_and(|queue| queue.iter().any(|w| w.kind != Kind::Plain)) {
            return Err(EINVAL.because("waiters for a lock are not moved so"));
        }
        let mut moved = 0;
        if from_key != to_key {
            let mut queue = first.remove(&from_key).unwrap_or_default();
            while moved < nr_requeue
                && let Some(waiter) = queue.pop_front()
            {
                *waiter.key.lock() = to_key;
                let target = second.as_mut().map_or(&mut *first, |second| &mut **second);
                target.entry(to_key).or_default().push_back(waiter);
                moved += 1;
            }
            if !queue.is_empty() {
                first.insert(from_key, queue);
            }
        } else {
            let left = first.get(&from_key).map_or(0, VecDeque::len);
            moved = u32::try_from(left).unwrap_or(u32::MAX).min(nr_requeue);
        }
        Ok((woken, moved))
    }

    /// `FUTEX_WAKE_OP`: changes the second word, wakes waiters of the first, and those of the
    /// second if its old value compares as asked. `change` answers whether it does.
    ///
    /// # Errors
    /// `EFAULT`, `EINVAL`, and what `change` says.
    pub fn wake_op(
        &self,
        mm: &MemoryManager,
        first: (UserAddr, bool, u32),
        second: (UserAddr, bool, u32),
        change: impl FnOnce() -> Result<bool, Errno>,
    ) -> Result<u32, Errno> {
        let (key1, key2) = (key(mm, first.0, first.1)?, key(mm, second.0, second.1)?);
        mm.load_u32(second.0)?;
        let (mut bucket1, mut bucket2) = self.lock_two(&key1, &key2);
        let also = change()?;
        let mut woken = wake_some(&mut bucket1, &key1, first.2, u32::MAX)?;
        if also {
            let target = bucket2.as_mut().map_or(&mut *bucket1, |bucket| &mut **bucket);
            woken += wake_some(target, &key2, second.2, u32::MAX)?;
        }
        Ok(woken)
    }

    /// Runs `action` with the word's bucket locked; it gets the waiting threads' ids in order.
    /// For priority-inheriting futexes, whose word must change together with the queue.
    ///
    /// # Errors
    /// `EFAULT`, `EINVAL`, and what `action` says.
    pub fn with_waiters<T>(
        &self,
        mm: &MemoryManager,
        addr: UserAddr,
        private: bool,
        action: impl FnOnce(&mut PiQueue<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let key = key(mm, addr, private)?;
        mm.load_u32(addr)?;
        let mut bucket = self.bucket(&key).lock();
        action(&mut PiQueue { table: self, bucket: &mut bucket, key })
    }

    fn lock_two(
        &self,
        first: &Key,
        second: &Key,
    ) -> (MutexGuard<'_, Bucket>, Option<MutexGuard<'_, Bucket>>) {
        let (a, b) = (self.bucket(first), self.bucket(second));
        if std::ptr::eq(a, b) {
            (a.lock(), None)
        } else if std::ptr::from_ref(a) < std::ptr::from_ref(b) {
            let first = a.lock();
            (first, Some(b.lock()))
        } else {
            let second = b.lock();
            (a.lock(), Some(second))
        }
    }
}

/// The waiters of one priority-inheriting futex, with its bucket locked.
pub struct PiQueue<'a> {
    table: &'a FutexTable,
    bucket: &'a mut Bucket,
    key: Key,
}

impl PiQueue<'_> {
    /// Whether somebody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bucket.get(&self.key).is_none_or(VecDeque::is_empty)
    }

    /// Queues the caller.
    pub fn push(&mut self, tid: i32) -> Arc<Waiter> {
        let waiter = self.table.make_waiter(self.key, u32::MAX, tid, Kind::Lock);
        self.bucket.entry(self.key).or_default().push_back(waiter.clone());
        waiter
    }

    /// Takes the first waiter: its thread id and whether more wait. Wake it with
    /// [`PiQueue::release`] once the word names it.
    pub fn pop(&mut self) -> Option<(Arc<Waiter>, i32, bool)> {
        let queue = self.bucket.get_mut(&self.key)?;
        let waiter = queue.pop_front()?;
        let more = !queue.is_empty();
        if !more {
            self.bucket.remove(&self.key);
        }
        let tid = waiter.tid;
        Some((waiter, tid, more))
    }

    /// Wakes a waiter taken with [`PiQueue::pop`].
    pub fn release(&mut self, waiter: &Waiter) {
        waiter.wake();
    }
}

fn remove(bucket: &mut Bucket, key: &Key, waiter: &Arc<Waiter>) {
    if let Some(queue) = bucket.get_mut(key) {
        queue.retain(|other| !Arc::ptr_eq(other, waiter));
        if queue.is_empty() {
            bucket.remove(key);
        }
    }
}

fn wake_some(bucket: &mut Bucket, key: &Key, count: u32, bitset: u32) -> Result<u32, Errno> {
    let Some(queue) = bucket.get_mut(key) else { return Ok(0) };
    let wanted = |waiter: &&Arc<Waiter>| waiter.bitset & bitset != 0;
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    if queue.iter().filter(wanted).take(most).any(|waiter| waiter.kind != Kind::Plain) {
        return Err(EINVAL.because("somebody waits for a lock there"));
    }
    let mut woken = 0;
    queue.retain(|waiter| {
        if woken < count && waiter.bitset & bitset != 0 {
            woken += 1;
            waiter.wake();
            false
        } else {
            true
        }
    });
    if queue.is_empty() {
        bucket.remove(key);
    }
    Ok(woken)
}

/// `FUTEX_WAITERS`.
pub const FUTEX_WAITERS: u32 = 0x8000_0000;
/// `FUTEX_OWNER_DIED`.
pub const FUTEX_OWNER_DIED: u32 = 0x4000_0000;
/// `FUTEX_TID_MASK`.
pub const FUTEX_TID_MASK: u32 = 0x3fff_ffff;
/// Most entries of a robust list that are looked at (`ROBUST_LIST_LIMIT`).
const ROBUST_LIST_LIMIT: usize = 2048;

/// Marks the robust futexes an ending task holds as abandoned and wakes a waiter of each.
pub fn release_robust_list(task: &Task, mm: &MemoryManager) {
    let head = task.robust_list.swap(0, Ordering::Relaxed);
    if head != 0 {
        // The list is the guest's: whatever is wrong with it ends the walk, as on Linux.
        let _ = walk_robust_list(task, mm, UserAddr(head));
    }
}

fn walk_robust_list(task: &Task, mm: &MemoryManager, head: UserAddr) -> Result<(), Errno> {
    let word = |addr: UserAddr| {
        let mut bytes = [0; 8];
        mm.read_bytes(addr, &mut bytes)?;
        Ok::<u64, Errno>(u64::from_ne_bytes(bytes))
    };
    let mut entry = word(head)?;
    let offset = word(head.add(8)?)?;
    let pending = word(head.add(16)?)?;
    for _ in 0..ROBUST_LIST_LIMIT {
        if entry & !1 == head.0 {
            break;
        }
        let next = word(UserAddr(entry & !1));
        if entry & !1 != pending & !1 {
            abandon(task, mm, UserAddr((entry & !1).wrapping_add(offset)), entry & 1 != 0)?;
        }
        entry = next?;
    }
    if pending != 0 {
        abandon(task, mm, UserAddr((pending & !1).wrapping_add(offset)), pending & 1 != 0)?;
    }
    Ok(())
}

fn abandon(task: &Task, mm: &MemoryManager, addr: UserAddr, pi: bool) -> Result<(), Errno> {
    let tid = task.tid().cast_unsigned();
    loop {
        let value = mm.load_u32(addr)?;
        if value & FUTEX_TID_MASK != tid {
            return Ok(());
        }
        let dead = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        if mm.cas_u32(addr, value, dead)? != value {
            continue;
        }
        if value & FUTEX_WAITERS != 0 {
            if pi {
                hand_over_pi(task, mm, addr)?;
            } else {
                task.kernel.futexes.wake(mm, addr, false, 1, u32::MAX)?;
            }
        }
        return Ok(());
    }
}

/// Gives an abandoned priority-inheriting futex to its first waiter, however that one named it.
fn hand_over_pi(task: &Task, mm: &MemoryManager, addr: UserAddr) -> Result<(), Errno> {
    let mut given = false;
    for private in [true, false] {
        task.kernel.futexes.with_waiters(mm, addr, private, |queue| {
            if !given && let Some((waiter, tid, more)) = queue.pop() {
                let flags = FUTEX_OWNER_DIED | if more { FUTEX_WAITERS } else { 0 };
                mm.store_u32(addr, tid.cast_unsigned() | flags)?;
                queue.release(&waiter);
                given = true;
            }
            Ok(())
        })?;
    }
    Ok(())
}
