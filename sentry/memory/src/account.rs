//! Who pays for pages: one account per container, with a limit.

use crate::mm::MemoryManager;
use bevor_abi::Errno;
use bevor_abi::errno::ENOMEM;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// What an account tells its owner when a charge does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitHit {
    /// Bytes that were asked for.
    pub wanted: u64,
    /// Bytes charged at that moment.
    pub charged: u64,
    /// The limit, bytes.
    pub limit: u64,
}

/// Told of every charge that did not fit. Called with memory locks held: note it, wake someone.
pub type LimitHook = Box<dyn Fn(LimitHit) + Send + Sync>;

/// Pages charged to one container: what its guests may have committed.
///
/// Memory that guests have mapped writable is charged when it is mapped, since the host then
/// commits pages without asking us; memory beyond the limit is mapped piece by piece, on faults.
pub struct Account {
    limit: AtomicU64,
    charged: AtomicU64,
    peak: AtomicU64,
    hits: AtomicU64,
    hook: OnceLock<LimitHook>,
    address_spaces: Mutex<Vec<Weak<MemoryManager>>>,
    /// How often untouched pages have been taken back.
    reclaims: AtomicU64,
    /// Held while that is done, by one thread at a time: the last one that found any.
    last_found: Mutex<u64>,
}

impl Account {
    /// Makes an account that may be charged up to `limit` bytes (`u64::MAX` for no limit).
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit: AtomicU64::new(limit),
            charged: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            hook: OnceLock::new(),
            address_spaces: Mutex::new(Vec::new()),
            reclaims: AtomicU64::new(0),
            last_found: Mutex::new(0),
        }
    }

    /// Sets whom to tell of charges that do not fit. The first call wins.
    pub fn set_limit_hook(&self, hook: LimitHook) {
        let _ = self.hook.set(hook);
    }

    /// Records that it pays for an address space.
    pub(crate) fn add(&self, mm: &Arc<MemoryManager>) {
        let mut spaces = self.address_spaces.lock();
        if spaces.len() == spaces.capacity() {
            spaces.retain(|known| known.strong_count() > 0);
        }
        spaces.push(Arc::downgrade(mm));
    }

    /// The address spaces it pays for.
    pub(crate) fn address_spaces(&self) -> Vec<Arc<MemoryManager>> {
        self.address_spaces.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// How many reclaims have ended: ask before a charge, for [`Account::make_room`].
    pub(crate) fn reclaims(&self) -> u64 {
        self.reclaims.load(Ordering::Acquire)
    }

    /// Takes untouched pages back after a charge did not fit that was tried when `seen` reclaims had
    /// ended. Whether it is worth another try: also if somebody else has found pages meanwhile, who
    /// may have left none for us. Call it without any memory manager's lock.
    pub(crate) fn make_room(&self, seen: u64) -> bool {
        let mut last_found = self.last_found.lock();
        if *last_found > seen {
            return true;
        }
        let found = self.reclaim() > 0;
        let ended = self.reclaims.fetch_add(1, Ordering::Release) + 1;
        if found {
            *last_found = ended;
        }
        found
    }

    /// Changes the limit, bytes. What is charged already stays charged.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The limit, bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Bytes charged.
    #[must_use]
    pub fn charged(&self) -> u64 {
        self.charged.load(Ordering::Relaxed)
    }

    /// Most bytes ever charged at once.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// How many charges did not fit.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.limit().saturating_sub(self.charged())
    }

    /// Charges `bytes`.
    ///
    /// # Errors
    /// `ENOMEM` when they do not fit, after telling the hook.
    pub fn charge(&self, bytes: u64) -> Result<(), Errno> {
        if self.try_charge(bytes) {
            return Ok(());
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        if let Some(hook) = self.hook.get() {
            hook(LimitHit { wanted: bytes, charged: self.charged(), limit: self.limit() });
        }
        Err(ENOMEM.because("the container's memory limit"))
    }

    /// Charges `bytes` if they fit; tells nobody if not.
    pub fn try_charge(&self, bytes: u64) -> bool {
        let limit = self.limit();
        let charged = self.charged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            now.checked_add(bytes).filter(|&sum| sum <= limit)
        });
        match charged {
            Ok(before) => {
                self.peak.fetch_max(before + bytes, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    /// Takes a charge back.
    pub fn uncharge(&self, bytes: u64) {
        let before = self.charged.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "more uncharged than charged");
    }
}
