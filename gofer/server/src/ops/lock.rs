//! Locks that reach others on the host, where a root allows them.
//!
//! The sentry arbitrates among its own programs and says what the sandbox as a whole holds: a
//! `flock(2)` of one description and the records of another, both of this process, per file. No request
//! waits: who waits for the host asks again.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EBADF, EINVAL, ENOLCK, ETXTBSY};
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::wire::{LOCK_TO_END, Lock, LockScope};
use parking_lot::Mutex;

use crate::host;
use crate::server::{Answer, Server};
use crate::table::Found;

/// A file, by device and inode number, and what of it is locked.
type Key = (u64, u64, u32);

/// The descriptors by which files are locked.
#[derive(Debug)]
pub struct Locks {
    held: Mutex<HashMap<Key, Arc<OwnedFd>>>,
    max: usize,
}

impl Locks {
    /// Room for the locks of so many files.
    pub fn new(max: usize) -> Self {
        Self { held: Mutex::default(), max: max.max(4) }
    }

    fn get(&self, key: Key) -> Option<Arc<OwnedFd>> {
        self.held.lock().get(&key).cloned()
    }

    /// Keeps a descriptor; answers with the one that is kept.
    fn keep(&self, key: Key, fd: OwnedFd) -> Result<Arc<OwnedFd>, Errno> {
        let mut held = self.held.lock();
        if let Some(there) = held.get(&key) {
            return Ok(Arc::clone(there));
        }
        if held.len() >= self.max {
            return Err(ENOLCK.because("too many files locked on the host"));
        }
        let fd = Arc::new(fd);
        held.insert(key, Arc::clone(&fd));
        Ok(fd)
    }

    fn drop(&self, key: Key) {
        let fd = self.held.lock().remove(&key);
        drop(fd);
    }
}

/// A checked request.
struct Asked {
    found: Found,
    key: Key,
    scope: LockScope,
    kind: host::LockKind,
    start: i64,
    /// 0 for the end of the file.
    len: i64,
}

fn asked(server: &Server, request: &mut Reader<'_>) -> Result<Asked, crate::server::Fault> {
    let lock: Lock = request.take()?;
    request.end()?;
    let scope = LockScope::from_number(lock.scope).ok_or(Malformed("unknown scope of a lock"))?;
    let kind = match lock.kind {
        0 => host::LockKind::None,
        1 => host::LockKind::Shared,
        2 => host::LockKind::Exclusive,
        _ => return Err(Malformed("unknown kind of lock").into()),
    };
    if lock.start > lock.end || lock.end > LOCK_TO_END {
        return Err(Malformed("range of a lock").into());
    }
    let start = i64::try_from(lock.start).map_err(|_| EINVAL)?;
    let len = match lock.end {
        LOCK_TO_END => 0,
        end => i64::try_from(end - lock.start + 1).map_err(|_| EINVAL)?,
    };
    let found = server.find(lock.node)?;
    let root = server.root_of(&found)?;
    let kinds = [libc::S_IFREG, libc::S_IFDIR];
    let identity = found.info.identity;
    if !root.locks || found.info.boundary || !kinds.contains(&identity.kind) {
        return Err(EACCES.because("root is served without locks of the host").into());
    }
    let key = (identity.dev, identity.ino, lock.scope);
    Ok(Asked { found, key, scope, kind, start, len })
}

/// A descriptor to hold locks by: for records one that may be written to, as exclusive ones need.
fn open(server: &Server, asked: &Asked) -> Result<OwnedFd, Errno> {
    let fd = server.descriptor(&asked.found)?;
    let reopen = |flags| server.with_room(|| server.self_fd.reopen(fd.as_fd(), flags));
    if asked.found.info.identity.is_dir() {
        return reopen(libc::O_RDONLY | libc::O_DIRECTORY);
    }
    let modes = match asked.scope {
        LockScope::Whole => &[libc::O_RDONLY, libc::O_WRONLY][..],
        LockScope::Record => &[libc::O_RDWR, libc::O_RDONLY, libc::O_WRONLY],
    };
    let mut refused = EBADF.into();
    for &mode in modes {
        match reopen(mode) {
            Err(error) if error == EACCES || error == ETXTBSY => refused = error,
            other => return other,
        }
    }
    Err(refused)
}

fn held_or_opened(server: &Server, asked: &Asked) -> Result<Arc<OwnedFd>, Errno> {
    match server.locks.get(asked.key) {
        Some(fd) => Ok(fd),
        None => server.locks.keep(asked.key, open(server, asked)?),
    }
}

/// Takes, changes or gives up what the sandbox holds.
pub fn lock(server: &Server, request: &mut Reader<'_>) -> Answer {
    let asked = asked(server, request)?;
    let whole = asked.start == 0 && asked.len == 0;
    if asked.kind == host::LockKind::None {
        if asked.scope == LockScope::Whole || whole {
            // Closing the descriptor gives all of it up.
            server.locks.drop(asked.key);
        } else if let Some(fd) = server.locks.get(asked.key) {
            host::lock_record(fd.as_fd(), asked.kind, asked.start, asked.len)?;
        }
        return Ok(None);
    }
    let had = server.locks.get(asked.key).is_some();
    let fd = held_or_opened(server, &asked)?;
    let locked = match asked.scope {
        LockScope::Whole => host::lock_whole(fd.as_fd(), asked.kind),
        LockScope::Record => host::lock_record(fd.as_fd(), asked.kind, asked.start, asked.len),
    };
    if let Err(error) = locked {
        // A whole-file lock that could not be changed is lost, as on Linux.
        if !had || asked.scope == LockScope::Whole {
            server.locks.drop(asked.key);
        }
        return Err(error.into());
    }
    Ok(None)
}

/// Answers with what is in the way of a record lock.
pub fn get_lock(server: &Server, request: &mut Reader<'_>, reply: &mut Writer) -> Answer {
    let asked = asked(server, request)?;
    if asked.scope != LockScope::Record || asked.kind == host::LockKind::None {
        return Err(Malformed("question about no record").into());
    }
    let fd = match server.locks.get(asked.key) {
        Some(fd) => fd,
        None => Arc::new(open(server, &asked)?),
    };
    let found = host::test_record(fd.as_fd(), asked.kind, asked.start, asked.len)?;
    let mut answer = Lock::default();
    if let Some(found) = found {
        answer.kind = if found.kind == host::LockKind::Shared { 1 } else { 2 };
        answer.start = found.start.try_into().unwrap_or(0);
        answer.end = match found.len {
            0 => LOCK_TO_END,
            len => answer.start.saturating_add(len.try_into().unwrap_or(1) - 1),
        };
        answer.scope = found.of_process.into();
    }
    reply.put(&answer);
    Ok(None)
}
