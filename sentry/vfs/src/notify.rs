//! Tells watchers what happens to files (`inotify(7)`).
//!
//! The inotify instances themselves live elsewhere: they add [`Watcher`]s to inodes here. While
//! nobody watches, every hook is one load.

use crate::dentry::Dentry;
use crate::file::{File, OpenFlags};
use crate::inode::{FileType, InodeRef};
use crate::mount::Path;
use bevor_abi::inotify::{
    IN_ACCESS, IN_ATTRIB, IN_DELETE_SELF, IN_IGNORED, IN_ISDIR, IN_MODIFY, IN_MOVE_SELF,
    IN_MOVED_FROM, IN_MOVED_TO, IN_UNMOUNT,
};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// Beside the `IN_*` bits: an entry got another name in the same directory (`DN_RENAME`).
pub const RENAMED_WITHIN: u32 = 0x1000_0000;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// `IN_*` bits.
    pub mask: u32,
    /// Joins the two halves of a rename; 0 otherwise.
    pub cookie: u32,
    /// The entry's name for events of a directory; empty otherwise.
    pub name: &'a [u8],
    /// Whether the entry's name is already unlinked (`IN_EXCL_UNLINK`).
    pub unlinked: bool,
}

/// Hears of events of one inode.
pub trait Watcher: Send + Sync {
    /// Called for every event, in order, from the task that caused it. Must not call back into the
    /// VFS. [`IN_IGNORED`] is the last event.
    fn event(&self, event: &Event<'_>);
}

/// A watch on an inode; dropping it ends the watch.
#[must_use = "dropping a watch ends it"]
pub struct Watch {
    key: Key,
    id: u64,
}

/// Device and inode number.
type Key = (u64, u64);

struct Entry {
    id: u64,
    watcher: Arc<dyn Watcher>,
    /// Keeps the inode number from being used again.
    inode: InodeRef,
}

static WATCHES: LazyLock<RwLock<HashMap<Key, Vec<Entry>>>> = LazyLock::new(RwLock::default);
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn key_of(inode: &InodeRef) -> Key {
    (inode.dev(), inode.ino())
}

/// Adds `watcher` to `inode`.
pub fn watch(inode: &InodeRef, watcher: Arc<dyn Watcher>) -> Watch {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let (key, id) = (key_of(inode), NEXT.fetch_add(1, Ordering::Relaxed));
    let entry = Entry { id, watcher, inode: inode.clone() };
    WATCHES.write().entry(key).or_default().push(entry);
    COUNT.fetch_add(1, Ordering::AcqRel);
    Watch { key, id }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watches = WATCHES.write();
        let Some(entries) = watches.get_mut(&self.key) else { return };
        let found = entries.iter().position(|entry| entry.id == self.id);
        let removed = found.map(|index| entries.remove(index));
        if entries.is_empty() {
            watches.remove(&self.key);
        }
        drop(watches);
        if removed.is_some() {
            COUNT.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Whether anybody watches anything.
#[must_use]
pub fn any() -> bool {
    COUNT.load(Ordering::Acquire) != 0
}

fn send(inode: &InodeRef, event: &Event<'_>) {
    let watchers: Vec<_> = match WATCHES.read().get(&key_of(inode)) {
        Some(entries) => entries.iter().map(|entry| entry.watcher.clone()).collect(),
        None => return,
    };
    for watcher in watchers {
        watcher.event(event);
    }
}

fn with_dir_bit(mask: u32, inode: &InodeRef) -> u32 {
    if inode.file_type() == FileType::Directory { mask | IN_ISDIR } else { mask }
}

/// Tells of an event of `inode` itself, without a name.
pub fn inode(inode: &InodeRef, mask: u32) {
    if any() {
        let mask = with_dir_bit(mask, inode);
        send(inode, &Event { mask, cookie: 0, name: &[], unlinked: false });
    }
}

/// Tells of an event of the file at `path`: to its directory's watchers with its name, and to its
/// own.
pub fn path(path: &Path, mask: u32) {
    if any() {
        dentry(&path.dentry, mask, Parent::Hears);
    }
}

/// Whether watchers of the directory hear of an event.
#[derive(PartialEq, Eq)]
enum Parent {
    Hears,
    Ignores,
}

fn dentry(dentry: &Arc<Dentry>, mask: u32, hears: Parent) {
    let mask = with_dir_bit(mask, dentry.inode());
    if hears == Parent::Hears
        && let Some((parent, name)) = dentry.parent_and_name()
    {
        let unlinked = dentry.is_deleted();
        send(parent.inode(), &Event { mask, cookie: 0, name: &name, unlinked });
    }
    send(dentry.inode(), &Event { mask, cookie: 0, name: &[], unlinked: false });
}

/// Tells of an event of an open file.
pub fn file(file: &File, mask: u32) {
    if any() && file.flags().0 & (OpenFlags::PATH | OpenFlags::UNSEEN) == 0 {
        let at = &file.path().dentry;
        // Who may only see a terminal or a fifo in its directory shall not learn when somebody types.
        let private = mask & (IN_ACCESS | IN_MODIFY) != 0
            && !matches!(at.kind(), FileType::Regular | FileType::Directory | FileType::Symlink);
        dentry(at, mask, if private { Parent::Ignores } else { Parent::Hears });
    }
}

/// Tells the watchers of `dir` that `child` was made or removed in it.
pub fn entry(dir: &Arc<Dentry>, child: &Arc<Dentry>, mask: u32) {
    if any() {
        let mask = with_dir_bit(mask, child.inode());
        let name = child.name();
        send(dir.inode(), &Event { mask, cookie: 0, name: &name, unlinked: false });
    }
}

/// Tells of a rename: both directories with one cookie, the file it `replaced`, the file.
pub fn moved(
    old_dir: &Arc<Dentry>,
    old_name: &[u8],
    new_dir: &Arc<Dentry>,
    new_name: &[u8],
    child: &Arc<Dentry>,
    replaced: Option<&Arc<Dentry>>,
) {
    static COOKIE: AtomicU32 = AtomicU32::new(1);
    if !any() {
        return;
    }
    let cookie = COOKIE.fetch_add(1, Ordering::Relaxed);
    let inode = child.inode();
    if Arc::ptr_eq(old_dir, new_dir) {
        let mask = with_dir_bit(RENAMED_WITHIN, inode);
        send(old_dir.inode(), &Event { mask, cookie: 0, name: &[], unlinked: false });
    }
    let from = with_dir_bit(IN_MOVED_FROM, inode);
    let to = with_dir_bit(IN_MOVED_TO, inode);
    send(old_dir.inode(), &Event { mask: from, cookie, name: old_name, unlinked: false });
    send(new_dir.inode(), &Event { mask: to, cookie, name: new_name, unlinked: false });
    if let Some(replaced) = replaced {
        self::inode(replaced.inode(), IN_ATTRIB);
    }
    // What happens to a directory itself does not say that it is one.
    send(inode, &Event { mask: IN_MOVE_SELF, cookie: 0, name: &[], unlinked: false });
}

/// Ends the watches of a file that just lost its last name, at once or when it is closed.
pub fn maybe_gone(dentry: &Arc<Dentry>) {
    if !any() {
        return;
    }
    let gone = dentry.is_dir() || dentry.inode().attr().is_ok_and(|attr| attr.nlink == 0);
    if gone && !dentry.gone_later() {
        let event = Event { mask: IN_DELETE_SELF, cookie: 0, name: &[], unlinked: false };
        send(dentry.inode(), &event);
        end_watches(dentry.inode(), IN_IGNORED);
    }
}

/// Ends all watches of `inode` with a last event.
pub fn end_watches(inode: &InodeRef, mask: u32) {
    let ended = WATCHES.write().remove(&key_of(inode)).unwrap_or_default();
    COUNT.fetch_sub(ended.len(), Ordering::AcqRel);
    for entry in ended {
        entry.watcher.event(&Event { mask, cookie: 0, name: &[], unlinked: false });
    }
}

/// Ends the watches of all files of a file system that is gone, by its device number.
pub(crate) fn unmounted(dev: u64) {
    if !any() {
        return;
    }
    let mut watches = WATCHES.write();
    let keys: Vec<Key> = watches.keys().filter(|key| key.0 == dev).copied().collect();
    let ended: Vec<Entry> = keys.iter().filter_map(|key| watches.remove(key)).flatten().collect();
    drop(watches);
    COUNT.fetch_sub(ended.len(), Ordering::AcqRel);
    for entry in ended {
        for mask in [with_dir_bit(IN_UNMOUNT, &entry.inode), IN_IGNORED] {
            entry.watcher.event(&Event { mask, cookie: 0, name: &[], unlinked: false });
        }
    }
}
