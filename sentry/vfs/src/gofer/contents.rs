//! Contents of small files of exclusive file systems, which come without descriptors.
//!
//! Who reads one small file of a directory after the other gets many in one reply, and opening,
//! reading and closing one then takes no call of the host at all. A content is the whole file. It is
//! kept with the inode, or with the listing until there is an inode, and never beside a descriptor
//! that writes:
//!
//! - An inode drops its content before it hands out a descriptor for writing, and takes none from
//!   then on; a new size drops it, too. What a message brought meanwhile is told by
//!   [`Contents::changes`] to be old.
//! - A file that is open without a descriptor is *bare*. Before a name of the file system goes, or
//!   permissions change, all bare files get their descriptor, which may not be had afterwards.
//!
//! They may take [`MAX_BYTES`] together, the oldest going first, and are dropped when the sandbox rests.

use crate::gofer::GoferInode;
use bevor_abi::Errno;
use bevor_gofer_protocol::wire::MAX_CONTENT;
use bevor_memory::IoDst;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Most bytes all contents of the sandbox take together.
const MAX_BYTES: usize = 32 << 20;
/// Bytes a content takes beside itself.
const BYTES_OF_ONE: usize = 96;
/// Most inodes of a file system that are remembered to have one.
const MAX_INODES: usize = 1 << 15;
/// From this value on files that are mapped are too many for contents to be of use.
const MANY: u32 = 16;
/// The most there is of it.
const MOST: u32 = 64;
/// What a mapping weighs against an open.
const WEIGHT_OF_A_MAPPING: u32 = 4;

/// Bytes of all contents.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// What a file holds.
pub(super) struct Content(Box<[u8]>);

impl Content {
    pub(super) fn new(bytes: Box<[u8]>) -> Arc<Self> {
        BYTES.fetch_add(bytes.len() + BYTES_OF_ONE, Ordering::Relaxed);
        Arc::new(Self(bytes))
    }

    /// Reads from byte `at` on.
    pub(super) fn read(&self, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let rest = self.0.get(at..).unwrap_or_default();
        let max = usize::try_from(dst.remaining()).unwrap_or(usize::MAX);
        match rest.get(..max).unwrap_or(rest) {
            [] => Ok(0),
            piece => dst.put(piece),
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.0.len() + BYTES_OF_ONE, Ordering::Relaxed);
    }
}

/// The contents of a file system.
#[derive(Default)]
pub(super) struct Contents {
    /// Inodes that have one, oldest first, each once.
    inodes: Mutex<VecDeque<Weak<GoferInode>>>,
    /// Counts changes of what any file holds.
    changes: AtomicU64,
    /// Inodes that are open without a descriptor.
    nr_bare: AtomicUsize,
    /// Counts what may take away the way to a file.
    losses: AtomicU64,
    /// How often small files were mapped lately, for which a content is of no use.
    mapped: AtomicU32,
}

impl Contents {
    /// Whether the sandbox keeps any.
    pub(super) fn has_any() -> bool {
        BYTES.load(Ordering::Relaxed) != 0
    }

    /// Notes that what a file holds may have changed.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of changes so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Notes that a small file was opened for reading.
    pub(super) fn was_opened(&self) {
        if self.mapped.load(Ordering::Relaxed) != 0 {
            let less = |now: u32| Some(now.saturating_sub(1));
            let _ = self.mapped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// Notes that a small file was mapped.
    pub(super) fn was_mapped(&self) {
        let more = |now: u32| Some(MOST.min(now.saturating_add(WEIGHT_OF_A_MAPPING)));
        let _ = self.mapped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Most bytes a file may hold to come as content: none if small files are mapped.
    pub(super) fn most_bytes(&self) -> usize {
        if self.mapped.load(Ordering::Relaxed) < MANY { MAX_CONTENT } else { 0 }
    }

    /// Notes that an inode has a content now, in place of those that came first.
    pub(super) fn keep(&self, inode: &Arc<GoferInode>) {
        if inode.has_queued_content.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut inodes = self.inodes.lock();
        inodes.push_back(Arc::downgrade(inode));
        let excess = |len: usize| len > MAX_INODES || BYTES.load(Ordering::Relaxed) > MAX_BYTES;
        // Each is looked at once: those of open files stay.
        for _ in 0..inodes.len() {
            if !excess(inodes.len()) {
                break;
            }
            let Some(oldest) = inodes.pop_front() else { break };
            let Some(inode) = oldest.upgrade() else { continue };
            if inode.forget_content() {
                inode.has_queued_content.store(false, Ordering::Release);
            } else {
                inodes.push_back(oldest);
            }
            // The last reference may be this one, and its drop may take other locks.
            MutexGuard::unlocked(&mut inodes, || drop(inode));
        }
    }

    /// Drops the contents of files nobody has open.
    pub(super) fn forget_all(&self) {
        let all = std::mem::take(&mut *self.inodes.lock());
        let is_kept = |inode: &Weak<GoferInode>| {
            let Some(inode) = inode.upgrade() else { return false };
            let is_kept = !inode.forget_content();
            inode.has_queued_content.store(is_kept, Ordering::Release);
            is_kept
        };
        let mut kept: VecDeque<_> = all.into_iter().filter(is_kept).collect();
        self.inodes.lock().append(&mut kept);
    }

    /// Notes that an inode is open without a descriptor.
    pub(super) fn one_bare_more(&self) {
        self.nr_bare.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that one is no more.
    pub(super) fn one_bare_less(&self) {
        self.nr_bare.fetch_sub(1, Ordering::SeqCst);
    }

    /// Notes that the way to some file is about to go. Whether any file is open without a descriptor
    /// and needs one before.
    pub(super) fn something_goes(&self) -> bool {
        self.losses.fetch_add(1, Ordering::SeqCst);
        self.nr_bare.load(Ordering::SeqCst) != 0
    }

    /// How often something went so far.
    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }
}
