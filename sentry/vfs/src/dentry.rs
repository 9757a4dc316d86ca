//! Dentries: names cached as a tree, and the bounded set that keeps unused ones alive.
//!
//! A dentry holds its parent; a directory knows its children weakly. What keeps a dentry alive is
//! whoever uses it (a path, an open file, a mount, a child) and the [`DentryCache`] of its
//! superblock. A name known not to exist is a mark in the directory, not a dentry.
//!
//! Lock order:
//! ```text
//! Superblock::rename
//!   Directory::change (two of them: by address)
//!     locks of the file system
//!     Directory::children
//!       Dentry::place
//!     DentryCache::ring
//! ```
//! No dentry is dropped under `children` or `ring`: its destructor takes both.

use crate::inode::{CachePolicy, FileType, InodeRef};
use bevor_abi::Errno;
use bevor_abi::conv::usize_of_u32;
use bevor_abi::errno::{ENAMETOOLONG, ENOENT, ENOTDIR};
use bevor_abi::fcntl::NAME_MAX;
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

/// A name in a directory, shared by a dentry and its parent's table.
pub type Name = Arc<[u8]>;

/// Counts renames, so that what walks upwards can notice that the tree changed under it.
static RENAMES: AtomicU64 = AtomicU64::new(0);

/// The number of renames so far; see [`Dentry::ancestry`].
#[must_use]
pub fn rename_count() -> u64 {
    RENAMES.load(Ordering::Acquire)
}

/// Bits of [`Dentry::state`].
mod bits {
    /// Unlinked, or its directory was removed.
    pub(super) const DELETED: u32 = 1;
    /// Used since the cache's hand last passed.
    pub(super) const REFERENCED: u32 = 2;
    /// The name is a class; the full one is `name:[inode number]`.
    pub(super) const NUMBERED: u32 = 4;
    /// Has no place in a tree.
    pub(super) const ANONYMOUS: u32 = 8;
    /// An unnamed temporary file that may never get a name (`O_TMPFILE | O_EXCL`).
    pub(super) const NEVER_LINKED: u32 = 16;
}

/// A name and the inode it leads to.
pub struct Dentry {
    inode: InodeRef,
    kind: FileType,
    place: RwLock<Place>,
    directory: Option<Box<Directory>>,
    state: AtomicU32,
    /// How many mounts sit here, in all namespaces.
    mounts: AtomicU32,
    /// Position in the cache's ring plus one; 0 when not in it.
    slot: AtomicU32,
    /// Open descriptions of this name.
    files: AtomicU32,
    /// The name is gone, and watchers of the file are told once nothing has it open any more.
    gone_later: AtomicBool,
}

/// Where a dentry hangs.
#[derive(Clone)]
struct Place {
    parent: Option<Arc<Dentry>>,
    name: Name,
}

/// What only directories have.
#[derive(Default)]
struct Directory {
    /// Serialises changes of the directory and look-ups that miss the cache (`i_rwsem`).
    change: Mutex<()>,
    children: RwLock<Children>,
}

#[derive(Default)]
struct Children {
    names: HashMap<Name, Child, NameHash>,
    /// How many of them are [`Child::Absent`].
    absent: usize,
}

enum Child {
    Live(Weak<Dentry>),
    /// Known not to exist.
    Absent,
}

/// Most names one directory remembers not to exist.
const MAX_ABSENT: usize = 1024;

/// What the cache knows about a name.
pub enum Cached {
    /// It exists.
    Live(Arc<Dentry>),
    /// It does not exist.
    Absent,
    /// Nothing.
    Unknown,
}

/// Excludes changes of one directory while held.
pub struct ChangeGuard<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl Dentry {
    /// Makes the root of a file system.
    #[must_use]
    pub fn root(inode: InodeRef) -> Arc<Self> {
        Arc::new(Self::build(inode, None, name_slash(), 0))
    }

    /// Makes a dentry outside any tree. It shows as `name`, or `name:[ino]` when `numbered`.
    #[must_use]
    pub fn anonymous(inode: InodeRef, name: Name, numbered: bool) -> Arc<Self> {
        let state = bits::ANONYMOUS | if numbered { bits::NUMBERED } else { 0 };
        Arc::new(Self::build(inode, None, name, state))
    }

    /// Makes a dentry that is below `parent` but in no table: an unnamed temporary file, which may
    /// get a name later if it is `linkable`.
    #[must_use]
    pub fn unnamed(parent: &Arc<Self>, inode: InodeRef, linkable: bool) -> Arc<Self> {
        let name: Name = format!("#{}", inode.ino()).into_bytes().into();
        let state = bits::DELETED | if linkable { 0 } else { bits::NEVER_LINKED };
        Arc::new(Self::build(inode, Some(parent.clone()), name, state))
    }

    /// A description of it was made.
    pub(crate) fn file_made(&self) {
        self.files.fetch_add(1, Ordering::AcqRel);
    }

    /// A description of it is gone; whether watchers waited for that.
    pub(crate) fn file_gone(&self) -> bool {
        self.files.fetch_sub(1, Ordering::AcqRel) == 1
            && self.gone_later.swap(false, Ordering::AcqRel)
    }

    /// Whether something has it open, which then tells when it is gone.
    pub(crate) fn gone_later(&self) -> bool {
        let open = self.files.load(Ordering::Acquire) > 0;
        self.gone_later.store(open, Ordering::Release);
        open
    }

    /// Whether `linkat(2)` may give it a name.
    #[must_use]
    pub fn is_linkable(&self) -> bool {
        self.state.load(Ordering::Relaxed) & bits::NEVER_LINKED == 0
    }

    fn build(inode: InodeRef, parent: Option<Arc<Self>>, name: Name, state: u32) -> Self {
        let kind = inode.file_type();
        let directory = (kind == FileType::Directory).then(Box::default);
        Self {
            inode,
            kind,
            place: RwLock::new(Place { parent, name }),
            directory,
            state: AtomicU32::new(state),
            mounts: AtomicU32::new(0),
            slot: AtomicU32::new(0),
            files: AtomicU32::new(0),
            gone_later: AtomicBool::new(false),
        }
    }

    /// The inode.
    #[must_use]
    pub const fn inode(&self) -> &InodeRef {
        &self.inode
    }

    /// The inode's type.
    #[must_use]
    pub const fn kind(&self) -> FileType {
        self.kind
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// The directory it is in; `None` for roots and anonymous files.
    #[must_use]
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.place.read().parent.clone()
    }

    /// Its name at this moment.
    #[must_use]
    pub fn name(&self) -> Name {
        self.place.read().name.clone()
    }

    /// Parent and name, consistently.
    #[must_use]
    pub fn parent_and_name(&self) -> Option<(Arc<Self>, Name)> {
        let place = self.place.read();
        Some((place.parent.clone()?, place.name.clone()))
    }

    /// Whether the name is gone.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.state.load(Ordering::Acquire) & bits::DELETED != 0
    }

    /// Whether it lies outside any tree (pipes, sockets, anonymous inodes).
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.state.load(Ordering::Relaxed) & bits::ANONYMOUS != 0
    }

    /// What an anonymous dentry shows as in `/proc/PID/fd`.
    #[must_use]
    pub fn anonymous_name(&self) -> Vec<u8> {
        let mut name = self.name().to_vec();
        if self.state.load(Ordering::Relaxed) & bits::NUMBERED != 0 {
            name.extend_from_slice(format!(":[{}]", self.inode.ino()).as_bytes());
        }
        name
    }

    /// Whether some mount sits here.
    #[must_use]
    pub fn is_mountpoint(&self) -> bool {
        self.mounts.load(Ordering::Acquire) != 0
    }

    /// Notes that a mount was put here.
    pub(crate) fn mount_added(&self) {
        self.mounts.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that a mount here is gone.
    pub(crate) fn mount_removed(&self) {
        self.mounts.fetch_sub(1, Ordering::AcqRel);
    }

    /// A number that names this dentry while it lives.
    #[must_use]
    pub fn key(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// Whether `self` is `other` or lies below it. Stable only under [`Superblock::rename`].
    ///
    /// [`Superblock::rename`]: crate::superblock::Superblock
    #[must_use]
    pub fn is_within(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = self.clone();
        loop {
            if Arc::ptr_eq(&at, other) {
                return true;
            }
            match at.parent() {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    /// Names from `self` up to, not including, `top`, innermost first; `false` when `top` was not
    /// met before the root of the tree.
    pub fn ancestry(self: &Arc<Self>, top: &Arc<Self>, names: &mut Vec<Name>) -> bool {
        let mut at = self.clone();
        while !Arc::ptr_eq(&at, top) {
            let Some((parent, name)) = at.parent_and_name() else { return false };
            names.push(name);
            at = parent;
        }
        true
    }

    fn directory(&self) -> Result<&Directory, Errno> {
        self.directory.as_deref().ok_or_else(|| ENOTDIR.into())
    }

    /// Excludes changes of this directory.
    ///
    /// # Errors
    /// `ENOTDIR`.
    pub fn lock(&self) -> Result<ChangeGuard<'_>, Errno> {
        Ok(ChangeGuard { _guard: self.directory()?.change.lock() })
    }

    /// What the cache knows about child `name`, whatever the policy.
    #[must_use]
    pub fn cached(&self, name: &[u8]) -> Cached {
        let Some(directory) = &self.directory else { return Cached::Unknown };
        match directory.children.read().names.get(name) {
            Some(Child::Live(weak)) => weak.upgrade().map_or(Cached::Unknown, Cached::Live),
            Some(Child::Absent) => Cached::Absent,
            None => Cached::Unknown,
        }
    }

    /// Finds child `name`, in the cache if the directory's policy allows.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENAMETOOLONG`, and what the file system says.
    pub fn lookup(self: &Arc<Self>, name: &[u8], cache: &DentryCache) -> Result<Arc<Self>, Errno> {
        if let Some(answer) = self.lookup_cached(name, cache) {
            return answer;
        }
        if name.len() > usize_of_u32(NAME_MAX) {
            return Err(ENAMETOOLONG.into());
        }
        let guard = self.lock()?;
        self.lookup_locked(name, cache, &guard)
    }

    /// The cache's valid answer on child `name`; `None` if the file system must be asked.
    pub fn lookup_cached(
        &self,
        name: &[u8],
        cache: &DentryCache,
    ) -> Option<Result<Arc<Self>, Errno>> {
        let policy = self.inode.cache_policy();
        match self.cached(name) {
            Cached::Live(child) => {
                let valid = match policy {
                    CachePolicy::Keep => true,
                    CachePolicy::Revalidate => self.inode.revalidate(name, Some(&child.inode)),
                    CachePolicy::Never => false,
                };
                valid.then(|| {
                    cache.used(&child);
                    Ok(child)
                })
            }
            Cached::Absent => {
                let valid = match policy {
                    CachePolicy::Keep => true,
                    CachePolicy::Revalidate => self.inode.revalidate(name, None),
                    CachePolicy::Never => false,
                };
                valid.then(|| Err(ENOENT.into()))
            }
            Cached::Unknown => None,
        }
    }

    /// Like [`Dentry::lookup`], with the directory's lock held.
    ///
    /// # Errors
    /// As [`Dentry::lookup`].
    pub fn lookup_locked(
        self: &Arc<Self>,
        name: &[u8],
        cache: &DentryCache,
        guard: &ChangeGuard<'_>,
    ) -> Result<Arc<Self>, Errno> {
        if name.len() > usize_of_u32(NAME_MAX) {
            return Err(ENAMETOOLONG.into());
        }
        if let Some(answer) = self.lookup_cached(name, cache) {
            return answer;
        }
        let known = self.cached(name);
        if self.is_deleted() {
            return Err(ENOENT.into());
        }
        match self.inode.lookup(name) {
            Ok(inode) => {
                // A dentry in use keeps its identity as long as the name leads to the same file.
                if let Cached::Live(child) = &known
                    && same_file(&child.inode, &inode)
                {
                    return Ok(child.clone());
                }
                drop_stale(known);
                Ok(self.insert(name, inode, cache, guard))
            }
            Err(errno) => {
                if errno == ENOENT {
                    drop_stale(known);
                    self.insert_absent(name, guard);
                }
                Err(errno)
            }
        }
    }

    /// Adds child `name`, found or just made, to the table and the cache.
    pub fn insert(
        self: &Arc<Self>,
        name: &[u8],
        inode: InodeRef,
        cache: &DentryCache,
        guard: &ChangeGuard<'_>,
    ) -> Arc<Self> {
        let _ = guard;
        let name: Name = name.into();
        let child = Arc::new(Self::build(inode, Some(self.clone()), name.clone(), 0));
        if let Some(directory) = &self.directory {
            directory.children.write().set(name, Child::Live(Arc::downgrade(&child)));
        }
        if self.inode.cache_policy() != CachePolicy::Never {
            cache.add(&child);
        }
        child
    }

    fn insert_absent(&self, name: &[u8], guard: &ChangeGuard<'_>) {
        let _ = guard;
        let Some(directory) = &self.directory else { return };
        let mut children = directory.children.write();
        if self.inode.cache_policy() == CachePolicy::Never {
            children.remove(name);
            return;
        }
        if children.absent >= MAX_ABSENT {
            children.names.retain(|_, child| matches!(child, Child::Live(_)));
            children.absent = 0;
        }
        children.set(name.into(), Child::Absent);
    }

    /// Notes that the name of `child`, an entry of this directory, was removed.
    pub fn removed(&self, child: &Arc<Self>, cache: &DentryCache, guard: &ChangeGuard<'_>) {
        let name = child.name();
        child.state.fetch_or(bits::DELETED, Ordering::AcqRel);
        self.insert_absent(&name, guard);
        cache.forget(child);
    }

    /// Forgets what is known of `name`, because the file system changed behind the cache.
    pub fn invalidate(&self, name: &[u8], guard: &ChangeGuard<'_>) {
        let _ = guard;
        if let Some(directory) = &self.directory {
            directory.children.write().remove(name);
        }
    }

    /// Moves `child` from `old_dir` to `new_dir` as `new_name`; `replaced` is what had that name,
    /// `vacant` whether the old name is free now. Both directories are locked.
    pub fn moved(
        child: &Arc<Self>,
        old_dir: &Arc<Self>,
        new_dir: &Arc<Self>,
        new_name: &[u8],
        replaced: Option<&Arc<Self>>,
        vacant: bool,
        cache: &DentryCache,
    ) {
        RENAMES.fetch_add(1, Ordering::AcqRel);
        if let Some(replaced) = replaced {
            replaced.state.fetch_or(bits::DELETED, Ordering::AcqRel);
            cache.forget(replaced);
        }
        let new_name: Name = new_name.into();
        let new = Place { parent: Some(new_dir.clone()), name: new_name.clone() };
        let old = std::mem::replace(&mut *child.place.write(), new);
        if let Some(directory) = &old_dir.directory {
            let mut children = directory.children.write();
            match old_dir.inode.cache_policy() {
                CachePolicy::Keep if vacant => children.set(old.name.clone(), Child::Absent),
                _ => children.remove(&old.name),
            }
        }
        if let Some(directory) = &new_dir.directory {
            directory.children.write().set(new_name, Child::Live(Arc::downgrade(child)));
        }
        RENAMES.fetch_add(1, Ordering::AcqRel);
    }

    /// Exchanges the places of two dentries whose directories are locked.
    pub fn exchanged(one: &Arc<Self>, other: &Arc<Self>) {
        RENAMES.fetch_add(1, Ordering::AcqRel);
        let (first, second) = (one.place.read().clone(), other.place.read().clone());
        *one.place.write() = second.clone();
        *other.place.write() = first.clone();
        for (place, child) in [(first, other), (second, one)] {
            if let Some(directory) = place.parent.as_ref().and_then(|dir| dir.directory.as_ref()) {
                directory.children.write().set(place.name, Child::Live(Arc::downgrade(child)));
            }
        }
        RENAMES.fetch_add(1, Ordering::AcqRel);
    }

    /// Removes the dead entry `name` from the table, if that is what it is.
    fn reap(&self, name: &[u8]) {
        let Some(directory) = &self.directory else { return };
        let mut children = directory.children.write();
        if let Some(Child::Live(weak)) = children.names.get(name)
            && weak.strong_count() == 0
        {
            children.remove(name);
        }
    }
}

/// Ends the use of a stale answer outside all table locks.
fn drop_stale(known: Cached) {
    if let Cached::Live(child) = known {
        child.state.fetch_or(bits::DELETED, Ordering::AcqRel);
    }
}

/// Whether two inodes are the same file.
#[must_use]
pub fn same_file(one: &InodeRef, other: &InodeRef) -> bool {
    Arc::ptr_eq(one, other)
        || (one.ino() == other.ino()
            && one.dev() == other.dev()
            && one.file_type() == other.file_type())
}

impl Drop for Dentry {
    fn drop(&mut self) {
        // Upwards in a loop: a guest can nest directories deeper than the host stack is.
        let place = self.place.get_mut();
        let mut name = place.name.clone();
        let mut parent = place.parent.take();
        while let Some(dir) = parent {
            dir.reap(&name);
            let Some(mut dead) = Arc::into_inner(dir) else { break };
            let place = dead.place.get_mut();
            name = place.name.clone();
            parent = place.parent.take();
        }
    }
}

impl std::fmt::Debug for Dentry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dentry({})", String::from_utf8_lossy(&self.name()))
    }
}

impl Children {
    fn set(&mut self, name: Name, child: Child) {
        self.absent += usize::from(matches!(child, Child::Absent));
        if let Some(Child::Absent) = self.names.insert(name, child) {
            self.absent -= 1;
        }
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some(Child::Absent) = self.names.remove(name) {
            self.absent -= 1;
        }
    }
}

/// The name of root dentries.
fn name_slash() -> Name {
    static SLASH: LazyLock<Name> = LazyLock::new(|| Name::from(&b"/"[..]));
    SLASH.clone()
}

/// Keeps up to a number of dentries alive beyond their use, by the clock algorithm.
pub struct DentryCache {
    ring: Mutex<Ring>,
    capacity: usize,
}

#[derive(Default)]
struct Ring {
    slots: Vec<Option<Arc<Dentry>>>,
    free: Vec<u32>,
    hand: usize,
}

impl DentryCache {
    /// What a superblock keeps unless told otherwise.
    pub const DEFAULT_CAPACITY: usize = 32768;

    /// Makes an empty cache for `capacity` dentries.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { ring: Mutex::default(), capacity: capacity.clamp(1, 1 << 24) }
    }

    /// Notes a use of `dentry`.
    fn used(&self, dentry: &Arc<Dentry>) {
        if dentry.slot.load(Ordering::Relaxed) == 0 {
            self.add(dentry);
        } else if dentry.state.load(Ordering::Relaxed) & bits::REFERENCED == 0 {
            dentry.state.fetch_or(bits::REFERENCED, Ordering::Relaxed);
        }
    }

    /// Puts `dentry` in, pushing out one not used lately when full.
    fn add(&self, dentry: &Arc<Dentry>) {
        let evicted;
        {
            let mut ring = self.ring.lock();
            if dentry.slot.load(Ordering::Relaxed) != 0 || dentry.is_deleted() {
                return;
            }
            let slot = match ring.free.pop() {
                Some(slot) => slot,
                None if ring.slots.len() < self.capacity => {
                    ring.slots.push(None);
                    u32::try_from(ring.slots.len() - 1).unwrap_or(u32::MAX)
                }
                None => ring.victim(),
            };
            let index = usize::try_from(slot).unwrap_or(usize::MAX);
            let Some(place) = ring.slots.get_mut(index) else { return };
            evicted = place.replace(dentry.clone());
            if let Some(evicted) = &evicted {
                evicted.slot.store(0, Ordering::Relaxed);
            }
            dentry.slot.store(slot + 1, Ordering::Relaxed);
        }
        drop(evicted);
    }

    /// Takes `dentry` out.
    fn forget(&self, dentry: &Arc<Dentry>) {
        let mut ring = self.ring.lock();
        let slot = dentry.slot.swap(0, Ordering::Relaxed);
        let Some(slot) = slot.checked_sub(1) else { return };
        let index = usize::try_from(slot).unwrap_or(usize::MAX);
        let taken = ring.slots.get_mut(index).and_then(Option::take);
        ring.free.push(slot);
        drop(ring);
        drop(taken);
    }

    /// Takes all out: the superblock is no longer used.
    pub fn clear(&self) {
        let mut ring = self.ring.lock();
        for dentry in ring.slots.iter().flatten() {
            dentry.slot.store(0, Ordering::Relaxed);
        }
        let taken = std::mem::take(&mut *ring);
        drop(ring);
        drop(taken);
    }

    /// How many dentries are in.
    #[must_use]
    pub fn len(&self) -> usize {
        let ring = self.ring.lock();
        ring.slots.len() - ring.free.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Ring {
    /// Chooses the slot to reuse: the first whose dentry was not used since the hand last passed.
    fn victim(&mut self) -> u32 {
        loop {
            let hand = self.hand;
            self.hand = if hand + 1 >= self.slots.len() { 0 } else { hand + 1 };
            let spared = self.slots.get(hand).and_then(Option::as_ref).is_some_and(|dentry| {
                let old = dentry.state.fetch_and(!bits::REFERENCED, Ordering::Relaxed);
                old & bits::REFERENCED != 0
            });
            if !spared {
                return u32::try_from(hand).unwrap_or(u32::MAX);
            }
        }
    }
}

/// Hashes names with a key of the process, so that guests cannot choose collisions.
#[derive(Clone, Default)]
pub(crate) struct NameHash;

/// The state of [`NameHash`]: multiply and fold, eight bytes a step.
pub(crate) struct NameHasher(u64);

static HASH_KEYS: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let state = RandomState::new();
    [state.hash_one(1_u8), state.hash_one(2_u8) | 1]
});

impl BuildHasher for NameHash {
    type Hasher = NameHasher;
    fn build_hasher(&self) -> NameHasher {
        NameHasher(HASH_KEYS[0])
    }
}

/// Multiplies to 128 bits and folds the halves together.
const fn fold(a: u64, b: u64) -> u64 {
    let wide = (a as u128) * (b as u128);
    #[expect(clippy::cast_possible_truncation, reason = "takes the two halves apart")]
    let (low, high) = (wide as u64, (wide >> 64) as u64);
    low ^ high
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let key = HASH_KEYS[1];
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.0 = fold(self.0 ^ u64::from_le_bytes(*chunk), key);
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.0 = fold(self.0 ^ u64::from_le_bytes(last), key ^ bytes.len() as u64);
    }

    fn write_usize(&mut self, length: usize) {
        // The length prefix of slices: already mixed in by `write`.
        let _ = length;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
