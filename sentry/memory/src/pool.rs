//! What all guests of a sandbox share: the memory files of each account, windows on host files.

use crate::account::Account;
use crate::addr::PAGE_SIZE;
use crate::file::MemoryFile;
use crate::host::{self, Window};
use crate::large::LargeFiles;
use crate::recover::{self, Faulted};
use bevor_abi::Errno;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// The memory files of a sandbox, a few per account so that one inode's locks do not serialise
/// everything, and the windows on host files that guests map.
pub struct MemoryPool {
    files_per_account: usize,
    next: AtomicUsize,
    files: Mutex<Vec<Arc<MemoryFile>>>,
    large: Arc<LargeFiles>,
    host_files: Mutex<HostFiles>,
    windows: Arc<AtomicUsize>,
    total_memory: u64,
}

impl MemoryPool {
    /// Makes an empty pool; files are made when first needed.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_large_files(Vec::new())
    }

    /// As [`MemoryPool::new`]; long contents lie in `large`, files in memory with large folios, empty
    /// and used by nobody else. One serves one account.
    #[must_use]
    pub fn with_large_files(large: Vec<OwnedFd>) -> Arc<Self> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            files_per_account: cpus.clamp(2, 4),
            next: AtomicUsize::new(0),
            files: Mutex::new(Vec::new()),
            large: Arc::new(LargeFiles::of(large)),
            host_files: Mutex::default(),
            windows: Arc::default(),
            total_memory: host::total_memory(),
        })
    }

    /// A pool of one file of the host's, empty and used by nobody else, and the account that counts
    /// what is in it, which nothing limits.
    ///
    /// # Errors
    /// The host refused to size or map it.
    pub fn on_disk(fd: OwnedFd) -> Result<(Arc<Self>, Arc<Account>), Errno> {
        let account = Arc::new(Account::new(u64::MAX));
        let file = MemoryFile::on_disk(fd, Arc::clone(&account))?;
        let pool = Self {
            files_per_account: 1,
            next: AtomicUsize::new(0),
            files: Mutex::new(vec![file]),
            large: Arc::default(),
            host_files: Mutex::default(),
            windows: Arc::default(),
            total_memory: u64::MAX,
        };
        Ok((Arc::new(pool), account))
    }

    /// Chooses a memory file of `account`, in turn.
    ///
    /// # Errors
    /// The host refused another memfd, and the account has none yet.
    pub fn pick(&self, account: &Arc<Account>) -> Result<Arc<MemoryFile>, Errno> {
        let mut files = self.files.lock();
        let mine: Vec<_> = files.iter().filter(|f| Arc::ptr_eq(f.account(), account)).collect();
        if mine.len() >= self.files_per_account {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % mine.len();
            return Ok(Arc::clone(mine[turn]));
        }
        match MemoryFile::new(Arc::clone(account)) {
            Ok(file) => {
                files.push(Arc::clone(&file));
                Ok(file)
            }
            Err(error) => mine.first().map(|&file| Arc::clone(file)).ok_or(error),
        }
    }

    /// Memory and swap of the host, bytes: what a single request cannot sensibly exceed.
    #[must_use]
    pub fn total_memory(&self) -> u64 {
        self.total_memory
    }

    /// Forgets the files of an account whose container is gone. Pages still mapped stay.
    pub fn retire(&self, account: &Arc<Account>) {
        self.files.lock().retain(|f| !Arc::ptr_eq(f.account(), account));
        self.large.retire(account);
    }

    /// The files for long contents.
    pub(crate) fn large(&self) -> &Arc<LargeFiles> {
        &self.large
    }

    /// The memory files of `account`.
    fn files_of(&self, account: &Arc<Account>) -> Vec<Arc<MemoryFile>> {
        let files = self.files.lock();
        let mine = files.iter().filter(|f| Arc::ptr_eq(f.account(), account)).cloned();
        mine.chain(self.large.used_by(account)).collect()
    }

    /// Bytes the host has committed for `account`. A host call per file.
    #[must_use]
    pub fn committed_bytes(&self, account: &Arc<Account>) -> u64 {
        self.files_of(account).iter().map(|f| f.committed_bytes()).sum()
    }

    /// Gives committed pages kept for reuse back to the host. Worth it when a sandbox is idle.
    pub fn trim(&self) {
        let files = self.files.lock().clone();
        files.iter().for_each(|file| file.trim());
    }

    /// Bytes allocated (mapped or reserved somewhere) for `account`, committed or not.
    #[must_use]
    pub fn allocated_bytes(&self, account: &Arc<Account>) -> u64 {
        self.files_of(account).iter().map(|f| f.allocated_bytes()).sum()
    }

    /// The shared view of a host file named `id`, `size()` bytes long at present.
    pub(crate) fn host_file(
        &self,
        id: u64,
        fd: &Arc<OwnedFd>,
        writable: bool,
        size: impl FnOnce() -> u64,
    ) -> Arc<HostFile> {
        let key = (id, writable);
        if let Some(known) = self.host_files.lock().known.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let size = size();
        let mut files = self.host_files.lock();
        if let Some(known) = files.known.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let file = Arc::new(HostFile {
            fd: Arc::clone(fd),
            writable,
            window_len: size
                .checked_next_power_of_two()
                .unwrap_or(1 << 63)
                .div_ceil(MOST_WINDOWS_PER_FILE)
                .clamp(WINDOW, 1 << 38),
            nr_windows: Arc::clone(&self.windows),
            windows: RwLock::new(BTreeMap::new()),
        });
        let forgotten = files.insert(key, &file);
        drop(files);
        drop(forgotten);
        file
    }
}

impl std::fmt::Debug for MemoryPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryPool({} files)", self.files.lock().len())
    }
}

/// Least bytes of one window on a host file: address space only, pages cost when touched.
const WINDOW: u64 = 64 << 20;

/// Windows a file of constant length has at most; long files get long windows.
const MOST_WINDOWS_PER_FILE: u64 = 64;

/// Windows on host files there are at most: each is one of the sentry's own mappings, of which the
/// host grants a limited number. Beyond that, copies from other file pages fail with `EFAULT`.
const MOST_WINDOWS: usize = 16384;

/// Files kept although nobody maps them now: a program run again finds its libraries' windows.
const KEPT_FILES: usize = 32;

/// The host files that are mapped, or were until lately.
#[derive(Default)]
struct HostFiles {
    known: HashMap<(u64, bool), Weak<HostFile>>,
    kept: VecDeque<Arc<HostFile>>,
}

impl HostFiles {
    /// Adds a file; returns one not kept any more, to be dropped without the lock.
    fn insert(&mut self, key: (u64, bool), file: &Arc<HostFile>) -> Option<Arc<HostFile>> {
        if self.known.len() == self.known.capacity() {
            self.known.retain(|_, file| file.strong_count() > 0);
        }
        self.known.insert(key, Arc::downgrade(file));
        // A writable view would keep the file from being written elsewhere or unmounted: not kept.
        if file.writable {
            return None;
        }
        self.kept.push_back(Arc::clone(file));
        if self.kept.len() > KEPT_FILES { self.kept.pop_front() } else { None }
    }
}

/// A host file that guests map, and the windows through which the sentry sees it.
pub(crate) struct HostFile {
    fd: Arc<OwnedFd>,
    writable: bool,
    window_len: u64,
    nr_windows: Arc<AtomicUsize>,
    windows: RwLock<BTreeMap<u64, Window>>,
}

impl HostFile {
    /// The descriptor for mapping orders.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The window address of byte `offset`, and how many bytes follow it in the same window.
    ///
    /// The address stays valid as long as `self`. Bytes beyond the end of the file fault.
    pub(crate) fn at(&self, offset: u64) -> Result<(*mut u8, u64), Faulted> {
        let len = self.window_len;
        let (index, within) = (offset / len, offset % len);
        if let Some(window) = self.windows.read().get(&index) {
            return Ok((window.at(within), len - within));
        }
        let mut windows = self.windows.write();
        if let Some(window) = windows.get(&index) {
            return Ok((window.at(within), len - within));
        }
        if self.nr_windows.fetch_add(1, Ordering::Relaxed) >= MOST_WINDOWS {
            self.nr_windows.fetch_sub(1, Ordering::Relaxed);
            return Err(Faulted { done: 0 });
        }
        let window = Window::map(self.fd.as_fd(), index * len, len, self.writable);
        let window = window.map_err(|_| {
            self.nr_windows.fetch_sub(1, Ordering::Relaxed);
            Faulted { done: 0 }
        })?;
        let at = window.at(within);
        windows.insert(index, window);
        Ok((at, len - within))
    }

    /// Copies bytes out, from byte `offset`.
    pub(crate) fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), Faulted> {
        let mut done = 0;
        while done < to.len() {
            let (src, room) = self.at(offset + done as u64)?;
            let bytes = usize::try_from(room).unwrap_or(usize::MAX).min(to.len() - done);
            // SAFETY: the window lives as long as `self`; the destination lies within `to`.
            unsafe { recover::copy(to[done..].as_mut_ptr(), src, bytes) }?;
            done += bytes;
        }
        Ok(())
    }

    /// Fills in which pages from byte `offset` on are in the host's page cache (bit 0).
    pub(crate) fn resident(&self, offset: u64, slots: &mut [u8]) {
        let mut done = 0;
        while done < slots.len() {
            let at = offset + done as u64 * PAGE_SIZE;
            let Ok((_, room)) = self.at(at) else { return };
            let pages = usize::try_from(room / PAGE_SIZE).unwrap_or(usize::MAX);
            let pages = pages.min(slots.len() - done);
            if let Some(window) = self.windows.read().get(&(at / self.window_len)) {
                let _ = window.resident(at % self.window_len, &mut slots[done..done + pages]);
            }
            done += pages;
        }
    }
}

impl Drop for HostFile {
    fn drop(&mut self) {
        self.nr_windows.fetch_sub(self.windows.get_mut().len(), Ordering::Relaxed);
    }
}

impl std::fmt::Debug for HostFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostFile(fd {})", self.raw_fd())
    }
}
