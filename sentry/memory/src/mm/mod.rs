//! The memory of one guest address space.
//!
//! Two trees describe it: VMAs are what the guest asked for, *mappings* (`pma`) are the pages behind
//! them. Every mapping is mapped in the guest's host process with the rights of its VMA, less the
//! right to write while it is copy-on-write; where no mapping is, the host has nothing and the
//! guest's access becomes [`MemoryManager::fault`].
//!
//! Changes collect [`Order`]s and are applied as one batch before the lock is released; pages that
//! went away are freed only after that.
//!
//! Lock order:
//! ```text
//! MemoryManager::state (two of them only in fork, the child's being unshared)
//!   locks of Mappable implementations (PageStore::state, files)
//!     MappingSet::users
//!     MemoryPool::host_files, HostFile::windows
//!     MemoryFile::state
//! ```

mod access;
mod advise;
mod brk;
mod code;
mod fault;
mod fork;
mod layout;
mod map;
mod pma;
mod policy;
mod protect;
mod reclaim;
mod remap;
mod report;
mod residency;
mod vma;

pub use access::{AccessMode, copy_between};
pub use fault::FaultError;
pub use fork::ForkOpts;
pub use layout::Layout;
pub use map::MmapArgs;
pub use report::{MapEntry, SmapsEntry, Statm};
pub use residency::Rss;
pub use vma::{Holder, VmFlags};

use crate::account::Account;
use crate::file::{FileRange, MemoryFile};
use crate::mappable::Mappable;
use crate::pool::MemoryPool;
use crate::rangemap::{Piece, RangeMap};
use bevor_abi::Errno;
use bevor_abi::errno::{EFAULT, ENOMEM};
use bevor_platform::{Order, PlatformError, Prot, Space};
use fork::HotChunks;
use parking_lot::{Mutex, RwLock};
use pma::Pma;
use policy::Policy;
use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use vma::Vma;

/// Most VMAs (and most mappings) of one address space, as `vm.max_map_count` has it by default.
const MAX_MAP_COUNT: usize = 65530;

/// Mappings kept free of guests in the host process, for the stub and its threads.
const HOST_MAPS_SPARE: usize = 4096;

/// Resource limits that memory operations honour; bytes, `u64::MAX` for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `RLIMIT_AS`.
    pub address_space: u64,
    /// `RLIMIT_DATA`.
    pub data: u64,
    /// `RLIMIT_STACK`.
    pub stack: u64,
    /// `RLIMIT_MEMLOCK`.
    pub memlock: u64,
    /// Whether `CAP_IPC_LOCK` lifts `RLIMIT_MEMLOCK`.
    pub may_lock: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address_space: u64::MAX,
            data: u64::MAX,
            stack: 8 << 20,
            memlock: 8 << 20,
            may_lock: false,
        }
    }
}

/// The memory of one guest address space (Linux's `mm_struct`).
pub struct MemoryManager {
    me: Weak<Self>,
    id: u64,
    pool: Arc<MemoryPool>,
    account: Arc<Account>,
    /// Tasks that run with it (`mm_users`).
    users: AtomicU64,
    state: RwLock<State>,
    minor_faults: AtomicU64,
    peak_rss: AtomicU64,
    attached: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

/// Longest writable mapping whose pages a new host process maps at once.
const SURE_BYTES: u64 = 64 << 10;

/// What the lock protects.
struct State {
    space: Arc<dyn Space>,
    pool: Arc<MemoryPool>,
    /// Where new pages come from.
    file: Arc<MemoryFile>,
    vmas: RangeMap<Vma>,
    pmas: RangeMap<Pma>,
    layout: Layout,
    limits: Limits,
    brk: Range<u64>,
    /// Bytes of each file mapped, and how many of those are shared and could be written.
    files: BTreeMap<u64, MappedFile>,
    totals: Totals,
    /// Flags of later mappings, set by `mlockall(MCL_FUTURE)`.
    default_flags: VmFlags,
    policy: Policy,
    /// Original content of code pages that were patched, by address.
    patches: BTreeMap<u64, Box<[u8; 4096]>>,
    /// Addresses given up for trampolines of patched code.
    reserved: Vec<Range<u64>>,
    /// Orders not yet applied, in order.
    orders: Vec<Order>,
    /// Mappings taken out, to be dropped when the orders are applied.
    garbage: Vec<Pma>,
    /// Open file descriptions of VMAs taken out, to be dropped without the lock.
    closed: Vec<Holder>,
    /// The last fault that found nothing to do.
    spurious: Option<u64>,
    /// What this family of processes stores to after a fork.
    hot: Arc<Mutex<HotChunks>>,
    /// Whether orders are held back: no guest runs here yet.
    held: bool,
    me: Weak<MemoryManager>,
}

struct MappedFile {
    file: Arc<dyn Mappable>,
    bytes: u64,
    writable_bytes: u64,
}

/// Sums over all VMAs, bytes.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Totals {
    mapped: u64,
    data: u64,
    stack: u64,
    exec: u64,
    locked: u64,
    peak: u64,
}

impl MemoryManager {
    /// Makes an empty address space on `space`, whose pages come from `pool`, paid by `account`.
    ///
    /// # Errors
    /// `ENOMEM`: the host refused a memory file.
    pub fn new(
        space: Arc<dyn Space>,
        pool: Arc<MemoryPool>,
        account: Arc<Account>,
    ) -> Result<Arc<Self>, Errno> {
        let file = pool.pick(&account)?;
        let mm = Arc::new_cyclic(|me| {
            let state = State::new(space, Arc::clone(&pool), file, me.clone());
            Self::from_parts(me.clone(), pool, account, state)
        });
        mm.account.add(&mm);
        Ok(mm)
    }

    fn from_parts(
        me: Weak<Self>,
        pool: Arc<MemoryPool>,
        account: Arc<Account>,
        state: State,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            me,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            pool,
            account,
            users: AtomicU64::new(0),
            state: RwLock::new(state),
            minor_faults: AtomicU64::new(0),
            peak_rss: AtomicU64::new(0),
            attached: Mutex::default(),
        }
    }

    /// Its number, never reused (part of private futex keys).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// A task runs with it from now on.
    pub fn user_came(&self) {
        self.users.fetch_add(1, Ordering::AcqRel);
    }

    /// A task has exited or runs with another one. When the last has, open files that were only
    /// mapped are closed, whoever still looks at the memory.
    pub fn user_left(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let mut st = self.state.write();
        let whole = 0..st.layout.end;
        let mapped = st.vmas.within_mut(whole);
        let closed: Vec<Holder> = mapped.filter_map(|(_, vma)| vma.opened.take()).collect();
        drop(st);
        drop(closed);
        let attached = self.attached.lock().take();
        drop(attached);
    }

    /// What the kernel keeps beside the memory, made when it is first wanted: it goes when the last
    /// task has left. Only one type may ever be asked for.
    ///
    /// # Panics
    /// If there are two.
    #[must_use]
    pub fn attached<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut attached = self.attached.lock();
        let object = attached.get_or_insert_with(|| Arc::<T>::default());
        Arc::clone(object).downcast().expect("one type is attached")
    }

    /// The guest's host process.
    #[must_use]
    pub fn space(&self) -> Arc<dyn Space> {
        Arc::clone(&self.state.read().space)
    }

    /// Who pays for its pages.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Where its pages come from.
    #[must_use]
    pub fn pool(&self) -> &Arc<MemoryPool> {
        &self.pool
    }

    /// Replaces the resource limits that later operations honour.
    pub fn set_limits(&self, limits: Limits) {
        self.state.write().limits = limits;
    }

    /// The resource limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.state.read().limits
    }

    /// Faults served so far that needed no I/O.
    #[must_use]
    pub fn minor_faults(&self) -> u64 {
        self.minor_faults.load(Ordering::Relaxed)
    }

    /// Holds orders back, while an address space is set up in which no thread runs yet.
    pub fn hold_orders(&self) {
        self.state.write().held = true;
    }

    /// Carries out in one batch what was set up since [`MemoryManager::hold_orders`].
    ///
    /// # Errors
    /// The host process refused.
    pub fn release_orders(&self) -> Result<(), Errno> {
        self.change(|st| {
            st.held = false;
            st.order_all();
            Ok(())
        })
    }

    /// Maps everything again in a new host process, whose guest range is empty.
    ///
    /// # Errors
    /// The new process refused.
    pub fn rebuild(&self, space: Arc<dyn Space>) -> Result<(), Errno> {
        self.change(|st| {
            st.space = space;
            st.order_all();
            Ok(())
        })
    }

    /// What is known about an address, for failing tests.
    #[cfg(test)]
    pub(crate) fn describe(&self, addr: u64) -> String {
        let st = self.state.read();
        let vma = st.vmas.get(addr).map(|(start, vma)| (start, vma.len(), vma.prot, vma.flags));
        format!("{vma:x?} {:x?}", st.pmas.get(addr))
    }

    /// Runs `f` until it does not fail for want of memory, taking untouched pages back in between.
    fn with_reclaim<R, E>(
        &self,
        is_short: impl Fn(&E) -> bool,
        mut f: impl FnMut() -> Result<R, E>,
    ) -> Result<R, E> {
        loop {
            let seen = self.account.reclaims();
            match f() {
                Err(error) if is_short(&error) && self.account.make_room(seen) => {}
                result => return result,
            }
        }
    }

    /// Runs `f` with the state locked, then applies the orders it collected.
    fn change<R>(&self, f: impl FnOnce(&mut State) -> Result<R, Errno>) -> Result<R, Errno> {
        let mut st = self.state.write();
        let result = f(&mut st);
        let flushed = st.flush();
        let garbage = std::mem::take(&mut st.garbage);
        let closed = std::mem::take(&mut st.closed);
        drop(st);
        drop(garbage);
        drop(closed);
        flushed.and(result)
    }
}

impl State {
    fn new(
        space: Arc<dyn Space>,
        pool: Arc<MemoryPool>,
        file: Arc<MemoryFile>,
        me: Weak<MemoryManager>,
    ) -> Self {
        Self {
            space,
            pool,
            file,
            vmas: RangeMap::default(),
            pmas: RangeMap::default(),
            layout: Layout::default(),
            limits: Limits::default(),
            brk: 0..0,
            files: BTreeMap::new(),
            totals: Totals::default(),
            default_flags: VmFlags::empty(),
            policy: Policy::default(),
            patches: BTreeMap::new(),
            reserved: Vec::new(),
            orders: Vec::new(),
            garbage: Vec::new(),
            closed: Vec::new(),
            spurious: None,
            hot: Arc::default(),
            held: false,
            me,
        }
    }

    /// Applies the collected orders. A host process that cannot follow is killed: its mappings are
    /// unknown then, and pages must not be freed under it.
    fn flush(&mut self) -> Result<(), Errno> {
        if self.held {
            self.orders.clear();
        }
        if self.orders.is_empty() {
            return Ok(());
        }
        let result = self.space.apply(&self.orders);
        self.orders.clear();
        match result {
            Ok(()) => Ok(()),
            Err(PlatformError::Gone) => Err(EFAULT.because("the guest's host process is gone")),
            Err(error) => {
                tracing::warn!(%error, "mapping orders failed; killing the guest process");
                self.space.kill();
                Err(ENOMEM.because("the host refused a mapping"))
            }
        }
    }

    /// Orders everything to be mapped, in a host process that has nothing mapped.
    fn order_all(&mut self) {
        self.orders.clear();
        for (start, pma) in self.pmas.iter() {
            // Copies of what is sure to be stored to: the first store shall not fault again.
            let now = pma.writable() && pma.memory().is_some() && pma.len() <= SURE_BYTES;
            push_order(&mut self.orders, pma.map_order(start, 0, pma.len(), now));
        }
    }

    fn order(&mut self, order: Order) {
        push_order(&mut self.orders, order);
    }

    /// Fails when `more` further VMAs would be too many for the guest's limit or the host's.
    fn check_map_count(&self, more: usize) -> Result<(), Errno> {
        let fits = self.vmas.count() + more <= MAX_MAP_COUNT
            && self.pmas.count() + more <= MAX_MAP_COUNT - HOST_MAPS_SPARE;
        if fits { Ok(()) } else { Err(ENOMEM.because("too many mappings (vm.max_map_count)")) }
    }

    /// Adds a VMA where none is.
    fn insert_vma(&mut self, start: u64, vma: Vma) {
        self.count_vma(&vma, true);
        self.vmas.insert(start, vma);
    }

    /// Takes the VMAs of a range out, leaving the mappings alone.
    fn remove_vmas(&mut self, range: Range<u64>) -> Vec<(u64, Vma)> {
        let removed = self.vmas.remove(range);
        for (_, vma) in &removed {
            self.count_vma(vma, false);
            self.closed.extend(vma.opened.clone());
        }
        removed
    }

    /// Changes the VMAs of a range, cutting them at its ends and joining what became alike.
    fn update_vmas(&mut self, range: &Range<u64>, change: impl Fn(&mut Vma)) {
        self.vmas.isolate(range);
        let mut totals = self.totals;
        for (_, vma) in self.vmas.within_mut(range.clone()) {
            totals.count(vma, false);
            change(vma);
            totals.count(vma, true);
        }
        self.totals = totals;
        self.vmas.merge_range(range);
    }

    fn count_vma(&mut self, vma: &Vma, added: bool) {
        self.totals.count(vma, added);
        let Some(file) = vma.file() else { return };
        let writable = vma.flags.contains(VmFlags::SHARED | VmFlags::MAYWRITE);
        let writable_bytes = if writable { vma.len } else { 0 };
        let entry = self.files.entry(file.id()).or_insert_with(|| MappedFile {
            file: Arc::clone(file),
            bytes: 0,
            writable_bytes: 0,
        });
        let before = (entry.bytes > 0, entry.writable_bytes > 0);
        if added {
            entry.bytes += vma.len;
            entry.writable_bytes += writable_bytes;
        } else {
            entry.bytes = entry.bytes.saturating_sub(vma.len);
            entry.writable_bytes = entry.writable_bytes.saturating_sub(writable_bytes);
        }
        let after = (entry.bytes > 0, entry.writable_bytes > 0);
        if before != after {
            entry.file.mappings().set(&self.me, after.0, after.1);
        }
        if !after.0 {
            self.files.remove(&file.id());
        }
    }

    /// Takes the mappings of a range out and orders the host to unmap them.
    fn unmap_pages(&mut self, range: Range<u64>) {
        let removed = self.pmas.remove(range.clone());
        if removed.is_empty() {
            return;
        }
        let first = removed[0].0;
        let last = removed.last().map_or(first, |(start, pma)| start + pma.len());
        // One order for all of it, but what is given up for trampolines stays.
        let mut held: Vec<_> = self.reserved.iter().filter(|held| held.start < last).collect();
        held.sort_unstable_by_key(|held| held.start);
        let mut parts = Vec::new();
        let mut at = first;
        for held in held {
            if held.start > at {
                parts.push(at..held.start);
            }
            at = at.max(held.end);
        }
        if at < last {
            parts.push(at..last);
        }
        for part in parts {
            self.order(Order::Unmap { addr: part.start, len: part.end - part.start });
        }
        self.forget_patches(&(first..last));
        self.garbage.extend(removed.into_iter().map(|(_, pma)| pma));
    }

    fn forget_patches(&mut self, range: &Range<u64>) {
        if self.patches.is_empty() {
            return;
        }
        let gone: Vec<u64> = self.patches.range(range.clone()).map(|(&at, _)| at).collect();
        for at in gone {
            self.patches.remove(&at);
            self.space.forget_patches(at, crate::addr::PAGE_SIZE);
        }
    }
}

impl Totals {
    fn count(&mut self, vma: &Vma, added: bool) {
        let apply = |sum: &mut u64, counts: bool| {
            if counts {
                *sum = if added { *sum + vma.len } else { sum.saturating_sub(vma.len) };
            }
        };
        apply(&mut self.mapped, true);
        apply(&mut self.data, vma.is_data());
        apply(&mut self.stack, vma.flags.contains(VmFlags::GROWSDOWN));
        apply(&mut self.exec, vma.prot.exec && !vma.prot.write);
        apply(&mut self.locked, vma.flags.contains(VmFlags::LOCKED));
        self.peak = self.peak.max(self.mapped);
    }
}

impl Drop for MemoryManager {
    fn drop(&mut self) {
        let st = self.state.get_mut();
        for entry in st.files.values() {
            entry.file.mappings().set(&self.me, false, false);
        }
        let pmas = std::mem::take(&mut st.pmas);
        let ranges = pmas.into_iter().flat_map(|(_, pma)| pma.into_ranges());
        FileRange::release_all(ranges.collect());
    }
}

impl std::fmt::Debug for MemoryManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryManager({})", self.id)
    }
}

/// Appends an order, joined with the last one if it continues it.
fn push_order(orders: &mut Vec<Order>, order: Order) {
    drop_replaced(orders, &order);
    if let Some(last) = orders.last_mut() {
        match (last, &order) {
            (
                Order::Map { addr, len, prot, fd, offset, populate },
                Order::Map { addr: a, len: l, prot: p, fd: f, offset: o, populate: pop },
            ) if *addr + *len == *a
                && prot == p
                && fd == f
                && *offset + *len == *o
                && populate == pop =>
            {
                *len += l;
                return;
            }
            (Order::Unmap { addr, len }, Order::Unmap { addr: a, len: l })
                if *addr + *len == *a =>
            {
                *len += l;
                return;
            }
            (Order::Protect { addr, len, prot }, Order::Protect { addr: a, len: l, prot: p })
                if *addr + *len == *a && prot == p =>
            {
                *len += l;
                return;
            }
            _ => {}
        }
    }
    orders.push(order);
}

/// Takes the last orders out that a new mapping makes meaningless: it replaces what they did.
fn drop_replaced(orders: &mut Vec<Order>, order: &Order) {
    let Order::Map { addr, len, .. } = *order else { return };
    let is_replaced = |old: &Order| match *old {
        Order::Map { addr: at, len: l, .. }
        | Order::Unmap { addr: at, len: l }
        | Order::Protect { addr: at, len: l, .. } => addr <= at && at + l <= addr + len,
        Order::Advise { .. } => false,
    };
    while orders.last().is_some_and(is_replaced) {
        orders.pop();
    }
}

/// Rights from `PROT_*` bits.
fn prot_from_bits(bits: u32) -> Prot {
    Prot { read: bits & PROT_READ != 0, write: bits & PROT_WRITE != 0, exec: bits & PROT_EXEC != 0 }
}

const PROT_READ: u32 = 1;
const PROT_WRITE: u32 = 2;
const PROT_EXEC: u32 = 4;
