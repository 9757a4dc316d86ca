//! `inotify(7)`.

use crate::caller::Caller;
use crate::fasync::{AsyncList, Band};
use crate::file::{File, FileOps};
use crate::inode::InodeRef;
use crate::notify::{self, Event, Watch, Watcher};
use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EEXIST, EINVAL, ENOSPC, ENOTTY};
use bevor_abi::inotify::{
    IN_ALL_EVENTS, IN_EXCL_UNLINK, IN_IGNORED, IN_ISDIR, IN_MASK_ADD, IN_MASK_CREATE, IN_ONESHOT,
    IN_Q_OVERFLOW, IN_UNMOUNT,
};
use bevor_abi::ioctl::FIONREAD;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::{IoDst, UserAddr};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Most events an instance queues (`fs.inotify.max_queued_events`).
pub static MAX_QUEUED_EVENTS: AtomicU64 = AtomicU64::new(16384);
/// Most watches of an instance (`fs.inotify.max_user_watches`).
pub static MAX_USER_WATCHES: AtomicU64 = AtomicU64::new(65536);
/// Bytes of `struct inotify_event`, and what names are padded to.
const HEADER: usize = 16;

/// An inotify instance.
pub struct Inotify(Arc<Instance>);

struct Instance {
    state: Mutex<State>,
    queue: WaitQueue,
    listeners: AsyncList,
}

impl Instance {
    fn wake(&self) {
        self.queue.wake(Ready::READABLE);
        self.listeners.tell(Band::In);
    }
}

#[derive(Default)]
struct State {
    watches: BTreeMap<i32, Entry>,
    events: VecDeque<Queued>,
    last_wd: i32,
}

/// A watch of the instance.
struct Entry {
    inode: InodeRef,
    mark: Arc<Mark>,
    _watch: Watch,
}

/// What the VFS tells.
struct Mark {
    wd: i32,
    mask: AtomicU32,
    instance: Weak<Instance>,
}

#[derive(PartialEq, Eq)]
struct Queued {
    wd: i32,
    mask: u32,
    cookie: u32,
    name: Box<[u8]>,
}

impl Queued {
    /// Bytes of the name field: the name, a NUL, and padding.
    fn name_len(&self) -> usize {
        if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(HEADER) }
    }

    fn bytes(&self) -> Vec<u8> {
        let name_len = self.name_len();
        let mut bytes = Vec::with_capacity(HEADER + name_len);
        bytes.extend_from_slice(&self.wd.to_ne_bytes());
        bytes.extend_from_slice(&self.mask.to_ne_bytes());
        bytes.extend_from_slice(&self.cookie.to_ne_bytes());
        bytes.extend_from_slice(&u32::try_from(name_len).unwrap_or(0).to_ne_bytes());
        bytes.extend_from_slice(&self.name);
        bytes.resize(HEADER + name_len, 0);
        bytes
    }
}

impl State {
    fn push(&mut self, event: Queued) {
        // A repetition of the last event tells nothing new.
        if self.events.back() == Some(&event) {
            return;
        }
        let queued = self.events.len() as u64;
        let most = MAX_QUEUED_EVENTS.load(Ordering::Relaxed);
        if queued < most {
            self.events.push_back(event);
        } else if self.events.back().is_none_or(|last| last.mask != IN_Q_OVERFLOW) {
            let name = Box::default();
            self.events.push_back(Queued { wd: -1, mask: IN_Q_OVERFLOW, cookie: 0, name });
        }
    }

    /// Ends a watch; the last event says so.
    fn end(&mut self, wd: i32) -> Option<Entry> {
        let entry = self.watches.remove(&wd)?;
        self.push(Queued { wd, mask: IN_IGNORED, cookie: 0, name: Box::default() });
        Some(entry)
    }
}

impl Watcher for Mark {
    fn event(&self, event: &Event<'_>) {
        let Some(instance) = self.instance.upgrade() else { return };
        let mask = self.mask.load(Ordering::Relaxed);
        let mut state = instance.state.lock();
        let ended = if event.mask & IN_IGNORED != 0 {
            state.end(self.wd)
        } else {
            let always = event.mask & IN_UNMOUNT;
            let happened = (event.mask & mask & IN_ALL_EVENTS) | always;
            if happened == 0 || (event.unlinked && mask & IN_EXCL_UNLINK != 0) {
                return;
            }
            state.push(Queued {
                wd: self.wd,
                mask: happened | (event.mask & IN_ISDIR),
                cookie: event.cookie,
                name: event.name.into(),
            });
            if mask & IN_ONESHOT != 0 { state.end(self.wd) } else { None }
        };
        drop(state);
        drop(ended);
        instance.wake();
    }
}

impl Inotify {
    /// An instance without watches.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Instance {
            state: Mutex::default(),
            queue: WaitQueue::new(),
            listeners: AsyncList::new(),
        }))
    }

    /// Watches `inode` for the events in `mask`; a watch it has already is changed. Returns the
    /// watch descriptor.
    ///
    /// # Errors
    /// `EINVAL` for a mask without events, `EEXIST` with `IN_MASK_CREATE`, `ENOSPC`.
    pub fn add(&self, inode: &InodeRef, mask: u32) -> Result<i32, Errno> {
        let both = IN_MASK_ADD | IN_MASK_CREATE;
        if mask & IN_ALL_EVENTS == 0 || mask & both == both {
            return Err(EINVAL.into());
        }
        let kept = mask & (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT);
        let mut state = self.0.state.lock();
        let known = state
            .watches
            .values()
            .find(|entry| entry.inode.ino() == inode.ino() && entry.inode.dev() == inode.dev());
        if let Some(entry) = known {
            if mask & IN_MASK_CREATE != 0 {
                return Err(EEXIST.into());
            }
            let old =
                if mask & IN_MASK_ADD != 0 { entry.mark.mask.load(Ordering::Relaxed) } else { 0 };
            entry.mark.mask.store(old | kept, Ordering::Relaxed);
            return Ok(entry.mark.wd);
        }
        if state.watches.len() as u64 >= MAX_USER_WATCHES.load(Ordering::Relaxed) {
            return Err(ENOSPC.because("fs.inotify.max_user_watches"));
        }
        loop {
            state.last_wd = state.last_wd.checked_add(1).unwrap_or(1);
            if !state.watches.contains_key(&state.last_wd) {
                break;
            }
        }
        let wd = state.last_wd;
        let instance = Arc::downgrade(&self.0);
        let mark = Arc::new(Mark { wd, mask: AtomicU32::new(kept), instance });
        let watch = notify::watch(inode, mark.clone());
        state.watches.insert(wd, Entry { inode: inode.clone(), mark, _watch: watch });
        Ok(wd)
    }

    /// Ends watch `wd`.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn remove(&self, wd: i32) -> Result<(), Errno> {
        let ended = self.0.state.lock().end(wd);
        drop(ended.ok_or(EINVAL)?);
        self.0.wake();
        Ok(())
    }
}

impl Default for Inotify {
    fn default() -> Self {
        Self::new()
    }
}

impl FileOps for Inotify {
    fn is_stream(&self) -> bool {
        true
    }

    fn stays_where_it_is(&self) -> bool {
        true
    }

    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        let mut state = self.0.state.lock();
        if state.events.is_empty() {
            return Err(EAGAIN.into());
        }
        let mut total = 0;
        while let Some(event) = state.events.front() {
            let bytes = event.bytes();
            if dst.remaining() < bytes.len() as u64 {
                break;
            }
            match dst.put(&bytes) {
                Ok(done) if done == bytes.len() => total += done,
                Ok(_) => break,
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            }
            state.events.pop_front();
        }
        if total == 0 { Err(EINVAL.because("the buffer is too small")) } else { Ok(total) }
    }

    fn poll(&self) -> Ready {
        Ready::READABLE.when(!self.0.state.lock().events.is_empty())
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.queue)
    }

    fn async_list(&self) -> Option<&AsyncList> {
        Some(&self.0.listeners)
    }

    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let _ = file;
        if cmd != FIONREAD {
            return Err(ENOTTY.into());
        }
        let state = self.0.state.lock();
        let bytes: usize = state.events.iter().map(|event| HEADER + event.name_len()).sum();
        drop(state);
        caller.mm().write(UserAddr(arg), &i32::try_from(bytes).unwrap_or(i32::MAX))?;
        Ok(0)
    }

    fn release(&self, file: &File) {
        let _ = file;
        let watches = std::mem::take(&mut self.0.state.lock().watches);
        drop(watches);
    }

    fn fdinfo(&self) -> String {
        let state = self.0.state.lock();
        let line = |(wd, entry): (&i32, &Entry)| {
            let mask = entry.mark.mask.load(Ordering::Relaxed);
            let (ino, dev) = (entry.inode.ino(), bevor_abi::stat::internal(entry.inode.dev()));
            format!("inotify wd:{wd:x} ino:{ino:x} sdev:{dev:x} mask:{mask:x} ignored_mask:0 \n")
        };
        // The newest comes first.
        state.watches.iter().rev().map(line).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestTask, read, write};
    use crate::{OpenFlags, anon, namei};
    use bevor_abi::inotify::{
        IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MODIFY, IN_MOVED_FROM,
        IN_MOVED_TO, IN_OPEN,
    };

    /// Mask, whether there is a cookie, and name of each queued event.
    fn drain(file: &File) -> Vec<(i32, u32, bool, String)> {
        let Ok(bytes) = read(file, 4096) else { return Vec::new() };
        let mut events = Vec::new();
        let mut rest = &bytes[..];
        while rest.len() >= HEADER {
            let word = |i: usize| u32::from_ne_bytes(rest[i * 4..i * 4 + 4].try_into().unwrap());
            let len = usize::try_from(word(3)).unwrap();
            let name = &rest[HEADER..HEADER + len];
            let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_string();
            events.push((word(0).cast_signed(), word(1), word(2) != 0, name));
            rest = &rest[HEADER + len..];
        }
        events
    }

    #[test]
    fn only_its_own_watchers_hear_of_what_a_fifo_carries() {
        let task = TestTask::new();
        namei::mknod(&task.at(), b"/p", 0o010_600, 0).unwrap();
        let file = anon::file(Box::new(Inotify::new()), "inotify", OpenFlags(0));
        let inotify: &Inotify = file.downcast().unwrap();
        let dir = inotify.add(task.path("/").inode(), IN_ALL_EVENTS).unwrap();
        let fifo = task.open("/p", 0o2).unwrap();
        let p = String::from("p");
        assert_eq!(drain(&file), [(dir, IN_OPEN, false, p.clone())]);
        write(&fifo, b"secret").unwrap();
        assert_eq!(drain(&file), []);
        let own = inotify.add(task.path("/p").inode(), IN_ALL_EVENTS).unwrap();
        write(&fifo, b"secret").unwrap();
        assert_eq!(drain(&file), [(own, IN_MODIFY, false, String::new())]);
        drop(fifo);
        let closed = (own, IN_CLOSE_WRITE, false, String::new());
        assert_eq!(drain(&file), [(dir, IN_CLOSE_WRITE, false, p), closed]);
    }

    #[test]
    fn a_directory_and_its_files_are_watched() {
        let task = TestTask::new();
        task.mkdir("/d").unwrap();
        let file = anon::file(Box::new(Inotify::new()), "inotify", OpenFlags(0));
        let inotify: &Inotify = file.downcast().unwrap();
        let wd = inotify.add(task.path("/d").inode(), IN_ALL_EVENTS).unwrap();
        task.put("/d/f", b"text").unwrap();
        let f = String::from("f");
        assert_eq!(
            drain(&file),
            [
                (wd, IN_CREATE, false, f.clone()),
                (wd, IN_OPEN, false, f.clone()),
                (wd, IN_MODIFY, false, f.clone()),
                (wd, IN_CLOSE_WRITE, false, f.clone()),
            ]
        );
        let own = inotify.add(task.path("/d/f").inode(), IN_DELETE_SELF).unwrap();
        task.rename("/d/f", "/d/g", 0).unwrap();
        namei::unlink(&task.at(), b"/d/g").unwrap();
        let g = String::from("g");
        assert_eq!(
            drain(&file),
            [
                (wd, IN_MOVED_FROM, true, f),
                (wd, IN_MOVED_TO, true, g.clone()),
                (own, IN_DELETE_SELF, false, String::new()),
                (own, IN_IGNORED, false, String::new()),
                (wd, IN_DELETE, false, g),
            ]
        );
        inotify.remove(wd).unwrap();
        assert_eq!(drain(&file), [(wd, IN_IGNORED, false, String::new())]);
        assert_eq!(inotify.remove(wd).unwrap_err(), EINVAL);
    }
}
