//! How many descriptors of host files this process may hold: the hard limit may be low.
//!
//! Those of files nobody has open give way to those that are asked for; where there are none, a file is
//! read and written by messages. What is reserved is for processes, sockets and the rest.

use crate::gofer::GoferFs;
use crate::gofer::contents::Contents;
use bevor_abi::Errno;
use bevor_abi::errno::ENFILE;
use parking_lot::Mutex;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Descriptors left for other things.
const RESERVED: usize = 256;

/// Most idle descriptors, however many there may be: each pins an inode of the host.
const MAX_IDLE: usize = 12_288;

static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
static HELD: AtomicUsize = AtomicUsize::new(0);
/// All file systems, whose idle descriptors give way.
static SYSTEMS: Mutex<Vec<Weak<GoferFs>>> = Mutex::new(Vec::new());

/// Says how many descriptors this process may have.
pub fn limit_descriptors(open_files: u64) {
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    LIMIT.store(open_files.saturating_sub(RESERVED).max(open_files / 2), Ordering::Relaxed);
}

/// Room for one descriptor, until dropped.
pub(super) struct Room(());

impl Room {
    /// Takes room while there is some.
    pub(super) fn take() -> Option<Self> {
        let limit = LIMIT.load(Ordering::Relaxed);
        let more = |held: usize| (held < limit).then_some(held + 1);
        HELD.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).ok().map(|_| Self(()))
    }

    /// Takes room, if need be from files nobody has open.
    ///
    /// # Errors
    /// `ENFILE`.
    pub(super) fn make() -> Result<Self, Errno> {
        loop {
            if let Some(room) = Self::take() {
                return Ok(room);
            }
            if !close_some_idle() {
                return Err(ENFILE.because("no room for one more file of the host"));
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A descriptor and the room it takes.
pub(super) struct Kept {
    fd: Arc<OwnedFd>,
    _room: Room,
}

impl Kept {
    pub(super) fn new(fd: OwnedFd, room: Room) -> Self {
        Self { fd: Arc::new(fd), _room: room }
    }

    pub(super) fn fd(&self) -> Arc<OwnedFd> {
        self.fd.clone()
    }
}

/// Most idle descriptors a file system keeps for files that may be opened again: programs that go over
/// many files go over them again.
pub(super) fn max_idle() -> usize {
    (LIMIT.load(Ordering::Relaxed) / 4 * 3).min(MAX_IDLE)
}

/// Whether a descriptor could be had at once.
pub(super) fn is_room() -> bool {
    HELD.load(Ordering::Relaxed) < LIMIT.load(Ordering::Relaxed)
}

/// Notes a file system.
pub(super) fn enlist(fs: &Arc<GoferFs>) {
    let mut systems = SYSTEMS.lock();
    systems.retain(|other| other.strong_count() > 0);
    systems.push(Arc::downgrade(fs));
}

/// Drops the contents kept of files that may be read again: for a sandbox in which nothing happens.
/// Whether there were any.
pub fn forget_contents() -> bool {
    if !Contents::has_any() {
        return false;
    }
    let systems: Vec<_> = SYSTEMS.lock().iter().filter_map(Weak::upgrade).collect();
    systems.iter().for_each(|fs| fs.forget_contents());
    true
}

/// Closes some descriptors of files nothing has open; whether there were any.
pub(super) fn close_some_idle() -> bool {
    let systems: Vec<_> = SYSTEMS.lock().iter().filter_map(Weak::upgrade).collect();
    systems.iter().map(|fs| fs.close_some_idle()).fold(false, |any, one| any | one)
}
