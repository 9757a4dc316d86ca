//! Memory files: the memfds that hold guest memory, mapped whole into the sentry. One may be a file
//! of the host instead, for contents that are to cost disk rather than memory.

use crate::account::Account;
use crate::addr::PAGE_SIZE;
use crate::extents::{Extents, Freed, Place};
use crate::host::{self, Window};
use crate::recover::{self, Faulted};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOMEM, EOPNOTSUPP};
use parking_lot::Mutex;
use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sizes tried for the address range of one memory file. Only touched pages cost anything; a host
/// that limits `RLIMIT_AS` or `RLIMIT_FSIZE` gets a smaller one.
const SIZES: [u64; 5] = [4 << 40, 1 << 40, 256 << 30, 64 << 30, 16 << 30];

/// Most bytes of committed pages one file keeps for reuse.
const STOCK_LIMIT: u64 = 1 << 20;

/// Largest freed run that is looked at page by page for the stock, bytes.
const STOCK_RUN: u64 = 256 << 10;

/// What pages a range is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fill {
    /// Holes: the host commits them when they are touched.
    #[default]
    Holes,
    /// Any content, from the stock of committed pages if it has them: the caller overwrites all of it
    /// before anyone sees it.
    Any,
}

/// How [`MemoryFile::alloc`] places a range.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocOpts {
    /// Where it should go, so that neighbours in a guest are neighbours in the file. What comes
    /// from the stock goes elsewhere.
    pub place: Place,
    /// What it is made of.
    pub fill: Fill,
    /// Whether it is a mere reservation: not charged until [`FileRange::charge`].
    pub reserve: bool,
}

/// One memfd of guest memory. All of it is mapped in the sentry at a fixed base.
///
/// Lock order: `end`, then `state`, a leaf; `Account` is atomic.
pub struct MemoryFile {
    id: u64,
    fd: Arc<OwnedFd>,
    window: Window,
    account: Arc<Account>,
    medium: Medium,
    /// Length of a file of folios, bytes.
    end: Mutex<u64>,
    state: Mutex<Extents>,
}

/// What a memory file is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Medium {
    /// Memory: a page that is not in memory was never written.
    Memory,
    /// Memory in folios, as large as the host finds some, that end with the file: see `large`.
    Folios,
    /// A file of the host's, whose pages may be on its disk, which may be full.
    Disk,
}

impl MemoryFile {
    /// Makes an empty file whose pages are charged to `account`.
    ///
    /// # Errors
    /// The host refused the memfd or its mapping.
    pub fn new(account: Arc<Account>) -> Result<Arc<Self>, Errno> {
        Self::on(host::memfd(c"bevor-memory")?, Medium::Memory, account)
    }

    /// Makes a file of `fd`, an empty host file nobody else uses, of a file system that has holes.
    ///
    /// # Errors
    /// The host refused to size or map it.
    pub fn on_disk(fd: OwnedFd, account: Arc<Account>) -> Result<Arc<Self>, Errno> {
        Self::on(fd, Medium::Disk, account)
    }

    /// Makes a file of `fd`, an empty file in memory nobody else uses, whose folios are as large as its
    /// length allows.
    ///
    /// # Errors
    /// The host refused to map it.
    pub(crate) fn of_folios(fd: OwnedFd, account: Arc<Account>) -> Result<Arc<Self>, Errno> {
        Self::on(fd, Medium::Folios, account)
    }

    fn on(fd: OwnedFd, medium: Medium, account: Arc<Account>) -> Result<Arc<Self>, Errno> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut failure = ENOMEM.into();
        for size in SIZES {
            // Folios must not go beyond what is allocated: such a file grows with that.
            let len = if medium == Medium::Folios { 0 } else { size };
            let mapped = host::truncate(fd.as_fd(), len)
                .and_then(|()| Window::map(fd.as_fd(), 0, size, true));
            match mapped {
                Ok(window) => {
                    return Ok(Arc::new(Self {
                        id: NEXT.fetch_add(1, Ordering::Relaxed),
                        fd: Arc::new(fd),
                        window,
                        account,
                        medium,
                        end: Mutex::new(0),
                        state: Mutex::new(Extents::new(size)),
                    }));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Its number, never reused.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The descriptor for mapping orders.
    #[must_use]
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Who pays.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Bytes the host has committed to it. A host call.
    #[must_use]
    pub fn committed_bytes(&self) -> u64 {
        host::allocated_bytes(self.fd.as_fd()).unwrap_or(0)
    }

    /// Bytes allocated (mapped or reserved somewhere), committed or not.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        self.state.lock().allocated()
    }

    /// Allocates `len` bytes (a multiple of the page size) of zeros.
    ///
    /// # Errors
    /// `ENOMEM`: the account's limit, or no room in the file. `EINVAL` for a bad length.
    pub fn alloc(self: &Arc<Self>, len: u64, opts: AllocOpts) -> Result<FileRange, Errno> {
        if len == 0 || !len.is_multiple_of(PAGE_SIZE) {
            return Err(EINVAL.because("allocation not of whole pages"));
        }
        if !opts.reserve {
            self.account.charge(len)?;
            if opts.fill != Fill::Holes
                && let Some(range) = self.alloc_stock(len)
            {
                return Ok(range);
            }
        }
        let found = self.state.lock().alloc(len, opts.place, !opts.reserve);
        match found {
            Some(offset) => Ok(FileRange { file: Arc::clone(self), offset, len }),
            None => {
                if !opts.reserve {
                    self.account.uncharge(len);
                }
                Err(ENOMEM.because("memory file is full"))
            }
        }
    }

    /// Allocates `len` bytes of zeros at the end of a file of folios, which grows by them. What was freed
    /// is not used again: folios would reach into what lies around it.
    ///
    /// # Errors
    /// As [`MemoryFile::alloc`], and the host's.
    pub(crate) fn alloc_at_end(self: &Arc<Self>, len: u64) -> Result<FileRange, Errno> {
        let mut end = self.end.lock();
        self.account.charge(len)?;
        let Some(offset) = self.state.lock().alloc_at_end(len, *end) else {
            self.account.uncharge(len);
            return Err(ENOMEM.because("memory file is full"));
        };
        let range = FileRange { file: Arc::clone(self), offset, len };
        let grown = host::truncate(self.fd.as_fd(), offset + len);
        if grown.is_ok() {
            *end = offset + len;
        }
        drop(end);
        grown.map(|()| range)
    }

    /// Allocates `len` committed bytes of any content, if the stock has them and the limit allows.
    pub(crate) fn take_stock(self: &Arc<Self>, len: u64) -> Option<FileRange> {
        if !self.account.try_charge(len) {
            return None;
        }
        let range = self.alloc_stock(len);
        if range.is_none() {
            self.account.uncharge(len);
        }
        range
    }

    /// As [`MemoryFile::take_stock`], of zeros.
    pub(crate) fn take_zeroed_stock(self: &Arc<Self>, len: u64) -> Option<FileRange> {
        self.take_stock(len).inspect(|range| range.zero(0, len))
    }

    fn alloc_stock(self: &Arc<Self>, len: u64) -> Option<FileRange> {
        let offset = self.state.lock().alloc_stock(len)?;
        Some(FileRange { file: Arc::clone(self), offset, len })
    }

    /// Gives the stock of committed pages back to the host. Worth it when the sandbox is idle.
    pub fn trim(&self) {
        let stock = self.state.lock().drain_stock();
        for (offset, len) in stock {
            self.punch_and_recycle(offset, len);
        }
    }

    /// Whether each page of the range has a single reference.
    pub(crate) fn is_unique(&self, offset: u64, len: u64) -> bool {
        self.state.lock().max_refs(offset, len) <= 1
    }

    /// The window address of a file offset.
    pub(crate) fn at(&self, offset: u64) -> *mut u8 {
        self.window.at(offset)
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Makes sure that the range can be written to: a full disk says so here rather than when its
    /// pages are touched.
    ///
    /// # Errors
    /// `ENOSPC` and what else the host says.
    pub(crate) fn commit(&self, offset: u64, len: u64) -> Result<(), Errno> {
        if self.medium != Medium::Disk {
            return Ok(());
        }
        match host::allocate(self.fd.as_fd(), offset, len) {
            // Such a file system cannot promise it.
            Err(errno) if errno == EOPNOTSUPP => Ok(()),
            other => other,
        }
    }

    fn release(&self, offset: u64, len: u64) {
        let freed = self.state.lock().release(offset, len);
        if freed.is_empty() {
            return;
        }
        let mut uncharge = 0;
        for run in &freed {
            if run.charged {
                uncharge += run.len;
                self.reuse(run);
            } else {
                self.state.lock().recycle(run.offset, run.len);
            }
        }
        self.account.uncharge(uncharge);
    }

    /// Makes freed pages available again: in the stock, or as holes.
    fn reuse(&self, run: &Freed) {
        match self.medium {
            Medium::Memory => {}
            Medium::Disk => return self.punch_and_recycle(run.offset, run.len),
            Medium::Folios => return self.punch_around(run),
        }
        let room = STOCK_LIMIT.saturating_sub(self.state.lock().stock_bytes());
        if run.committed && run.len <= room {
            self.state.lock().restock(run.offset, run.len);
        } else if run.len <= STOCK_RUN && room > 0 {
            self.sort_pages(run, room);
        } else {
            self.punch_and_recycle(run.offset, run.len);
        }
    }

    /// Sorts the pages of a freed run: committed ones to the stock while there is room.
    fn sort_pages(&self, run: &Freed, room: u64) {
        let mut resident = [0u8; (STOCK_RUN / PAGE_SIZE) as usize];
        let pages = usize::try_from(run.len / PAGE_SIZE).unwrap_or(0);
        let Some(resident) = resident.get_mut(..pages) else { return };
        if self.window.resident(run.offset, resident).is_err() {
            return self.punch_and_recycle(run.offset, run.len);
        }
        let (mut at, mut room) = (0, room);
        while at < pages {
            let committed = resident[at] & 1 == 1;
            let same = resident[at..].iter().take_while(|&&page| (page & 1 == 1) == committed);
            let count = same.count();
            let (offset, len) = (run.offset + at as u64 * PAGE_SIZE, count as u64 * PAGE_SIZE);
            match committed {
                false => self.state.lock().recycle(offset, len),
                true if len <= room => {
                    room -= len;
                    self.state.lock().restock(offset, len);
                }
                true => self.punch_and_recycle(offset, len),
            }
            at += count;
        }
    }

    /// Punches a freed run, and the free parts of folios that reached out of it.
    fn punch_around(&self, run: &Freed) {
        // What is allocated meanwhile lies beyond this end.
        let end = *self.end.lock();
        let hole = self.state.lock().free_around(run.offset, run.len);
        let len = hole.end.min(end).saturating_sub(hole.start);
        // Nothing lies beyond the end: a run the host had no room for was never in the file.
        if len == 0 {
            return;
        }
        if let Err(error) = host::punch_hole(self.fd.as_fd(), hole.start, len) {
            tracing::error!(%error, ?hole, "cannot punch a hole");
        }
    }

    fn punch_and_recycle(&self, offset: u64, len: u64) {
        // A hole that cannot be punched keeps old content: such a run is never reused.
        match host::punch_hole(self.fd.as_fd(), offset, len) {
            Ok(()) => self.state.lock().recycle(offset, len),
            Err(error) => tracing::error!(%error, offset, len, "cannot punch a hole"),
        }
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryFile({})", self.id)
    }
}

/// A run of pages of a memory file, holding one reference on each. Freed with the last reference.
pub struct FileRange {
    file: Arc<MemoryFile>,
    offset: u64,
    len: u64,
}

impl FileRange {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Arc<MemoryFile> {
        &self.file
    }

    /// Where it starts in the file, bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Length, bytes; a multiple of the page size.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no pages.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a second reference on its pages.
    #[must_use]
    pub fn share(&self) -> Self {
        self.share_part(0, self.len)
    }

    /// Takes a second reference on `len` bytes from byte `start` of it.
    ///
    /// # Panics
    /// The part is not within the range, or not page aligned.
    #[must_use]
    pub fn share_part(&self, start: u64, len: u64) -> Self {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len));
        assert!((start | len).is_multiple_of(PAGE_SIZE));
        let offset = self.offset + start;
        if len != 0 {
            self.file.state.lock().acquire(offset, len);
        }
        Self { file: Arc::clone(&self.file), offset, len }
    }

    /// Whether nobody else refers to any of its pages.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        self.file.is_unique(self.offset, self.len)
    }

    /// The runs of equal reference count within `part`, relative to the range.
    pub(crate) fn reference_runs(&self, part: Range<u64>) -> Vec<(Range<u64>, u32)> {
        let (start, len) = (self.offset + part.start, part.end - part.start);
        let runs = self.file.state.lock().reference_runs(start, len);
        runs.into_iter()
            .map(|(run, refs)| (run.start - self.offset..run.end - self.offset, refs))
            .collect()
    }

    /// Charges a range allocated with [`AllocOpts::reserve`].
    ///
    /// # Errors
    /// `ENOMEM`: the account's limit.
    pub fn charge(&self) -> Result<(), Errno> {
        let missing = self.file.state.lock().uncharged(self.offset, self.len);
        self.file.account.charge(missing)?;
        self.file.state.lock().set_charged(self.offset, self.len);
        Ok(())
    }

    /// Cuts it in two at byte `at`; `self` keeps the front.
    ///
    /// # Panics
    /// `at` is not within the range, or not page aligned.
    #[must_use]
    pub fn split_off(&mut self, at: u64) -> Self {
        assert!(at <= self.len && at.is_multiple_of(PAGE_SIZE));
        let back =
            Self { file: Arc::clone(&self.file), offset: self.offset + at, len: self.len - at };
        self.len = at;
        back
    }

    /// Whether `next` follows it in the file.
    #[must_use]
    pub fn precedes(&self, next: &Self) -> bool {
        Arc::ptr_eq(&self.file, &next.file) && self.offset + self.len == next.offset
    }

    /// Appends `next`.
    ///
    /// # Panics
    /// `next` does not follow it.
    pub fn join(&mut self, mut next: Self) {
        assert!(self.precedes(&next));
        self.len += next.len;
        next.len = 0;
    }

    /// Drops many ranges, neighbours together.
    pub(crate) fn release_all(mut ranges: Vec<Self>) {
        ranges.sort_unstable_by_key(|range| (range.file.id, range.offset));
        let mut joined: Option<Self> = None;
        for range in ranges {
            match &mut joined {
                Some(front) if front.precedes(&range) => front.join(range),
                _ => drop(joined.replace(range)),
            }
        }
    }

    /// Gives the pages back to the host; they read as zeros afterwards, for everyone.
    ///
    /// # Errors
    /// What the host answers.
    pub fn discard(&self, start: u64, len: u64) -> Result<(), Errno> {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len));
        host::punch_hole(self.file.fd.as_fd(), self.offset + start, len)
    }

    /// The window address of byte `start`.
    pub(crate) fn at(&self, start: u64) -> *mut u8 {
        debug_assert!(start <= self.len);
        self.file.at(self.offset + start)
    }

    /// Copies bytes out, from byte `start`.
    ///
    /// # Panics
    /// The bytes are not within the range.
    pub fn read_at(&self, start: u64, to: &mut [u8]) {
        assert!(start.checked_add(to.len() as u64).is_some_and(|end| end <= self.len));
        // SAFETY: the source lies in the file's window, which lives as long as `self.file`.
        let copied = unsafe { recover::copy(to.as_mut_ptr(), self.at(start), to.len()) };
        Self::expect_copied(copied);
    }

    /// Copies bytes in, from byte `start`.
    ///
    /// # Panics
    /// The bytes are not within the range.
    pub fn write_at(&self, start: u64, from: &[u8]) {
        assert!(start.checked_add(from.len() as u64).is_some_and(|end| end <= self.len));
        // SAFETY: the destination lies in the file's window; no reference to it exists.
        let copied = unsafe { recover::copy(self.at(start), from.as_ptr(), from.len()) };
        Self::expect_copied(copied);
    }

    /// Zeroes `len` bytes from byte `start`.
    ///
    /// # Panics
    /// The bytes are not within the range.
    pub fn zero(&self, start: u64, len: u64) {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len));
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        // SAFETY: the destination lies in the file's window; no reference to it exists.
        let zeroed = unsafe { recover::zero(self.at(start), len) };
        Self::expect_copied(zeroed);
    }

    fn expect_copied(result: Result<(), Faulted>) {
        if let Err(Faulted { done }) = result {
            tracing::error!(done, "the host ran out of memory under a memory file");
        }
    }
}

impl Drop for FileRange {
    fn drop(&mut self) {
        if self.len != 0 {
            self.file.release(self.offset, self.len);
        }
    }
}

impl fmt::Debug for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}[{:#x}+{:#x}]", self.file, self.offset, self.len)
    }
}
