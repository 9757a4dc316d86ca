//! Directory notification (`fcntl(F_NOTIFY)`): a signal for what happens in a directory.
//!
//! A description has one mark per descriptor table that asked, as on Linux: any close in that table
//! ends it.

use crate::fasync::{Band, Owner};
use crate::file::File;
use crate::notify::{self, Event, RENAMED_WITHIN, Watch, Watcher};
use bevor_abi::Errno;
use bevor_abi::errno::ENOTDIR;
use bevor_abi::fcntl::{
    DN_ACCESS, DN_ATTRIB, DN_CREATE, DN_DELETE, DN_MODIFY, DN_MULTISHOT, DN_RENAME,
};
use bevor_abi::inotify::{
    IN_ACCESS, IN_ATTRIB, IN_CREATE, IN_DELETE, IN_IGNORED, IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// Description and descriptor table.
type Key = (u64, u64);

type Marks = HashMap<Key, (Arc<Mark>, Watch)>;

static MARKS: LazyLock<Mutex<Marks>> = LazyLock::new(Mutex::default);
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What a description wants to hear.
struct Mark {
    owner: Arc<Owner>,
    fd: AtomicI32,
    /// `DN_*` bits; nothing once it has been told, without `DN_MULTISHOT`.
    mask: AtomicU32,
}

/// What an event is to `F_NOTIFY`.
const fn bits_of(event: u32) -> u32 {
    let pairs = [
        (IN_ACCESS, DN_ACCESS),
        (IN_MODIFY, DN_MODIFY),
        (IN_ATTRIB, DN_ATTRIB),
        (IN_CREATE | IN_MOVED_TO, DN_CREATE),
        (IN_DELETE | IN_MOVED_FROM, DN_DELETE),
        (RENAMED_WITHIN, DN_RENAME),
    ];
    let (mut bits, mut index) = (0, 0);
    while index < pairs.len() {
        let (from, to) = pairs[index];
        if event & from != 0 {
            bits |= to;
        }
        index += 1;
    }
    bits
}

impl Watcher for Mark {
    fn event(&self, event: &Event<'_>) {
        let happened = bits_of(event.mask);
        let wants = |mask: u32| mask & happened != 0 && event.mask & IN_IGNORED == 0;
        let told = self.mask.fetch_update(Ordering::AcqRel, Ordering::Acquire, |mask| {
            wants(mask).then_some(if mask & DN_MULTISHOT == 0 { 0 } else { mask })
        });
        if told.is_ok() {
            self.owner.tell(self.fd.load(Ordering::Relaxed), Band::Message);
        }
    }
}

/// Adds to what the description hears of its directory, for descriptor `fd` of `table`; no events
/// end it. Answers whether it hears of anything.
///
/// # Errors
/// `ENOTDIR`.
pub fn set(file: &File, fd: i32, table: u64, mask: u32) -> Result<bool, Errno> {
    if mask & !DN_MULTISHOT == 0 {
        closed(file, table);
        return Ok(false);
    }
    if file.inode().file_type() != crate::inode::FileType::Directory {
        return Err(ENOTDIR.into());
    }
    let mut marks = MARKS.lock();
    if let Some((mark, _)) = marks.get(&(file.id(), table)) {
        mark.fd.store(fd, Ordering::Relaxed);
        mark.mask.fetch_or(mask, Ordering::AcqRel);
        return Ok(true);
    }
    let (owner, fd, mask) = (file.owner().clone(), AtomicI32::new(fd), AtomicU32::new(mask));
    let mark = Arc::new(Mark { owner, fd, mask });
    let watch = notify::watch(file.inode(), mark.clone());
    marks.insert((file.id(), table), (mark, watch));
    COUNT.store(marks.len(), Ordering::Release);
    Ok(true)
}

/// Whether anybody hears of any directory.
#[must_use]
pub fn any() -> bool {
    COUNT.load(Ordering::Acquire) != 0
}

fn forget(gone: impl Fn(&Key) -> bool) {
    if !any() {
        return;
    }
    let mut marks = MARKS.lock();
    let keys: Vec<Key> = marks.keys().copied().filter(gone).collect();
    let removed: Vec<_> = keys.iter().filter_map(|key| marks.remove(key)).collect();
    COUNT.store(marks.len(), Ordering::Release);
    drop(marks);
    drop(removed);
}

/// A descriptor of the description was closed in `table`.
pub fn closed(file: &File, table: u64) {
    forget(|&key| key == (file.id(), table));
}

/// The description is gone.
pub(crate) fn gone(file: &File) {
    forget(|&(id, _)| id == file.id());
}
