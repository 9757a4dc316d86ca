//! Contents without a descriptor, and locks.

use bevor_abi::Errno;

use super::ops::take;
use super::{Client, Handle};
use crate::codec::{Reader, Writer};
use crate::ring::MAX_PAYLOAD;
use crate::wire::{Lock, LockScope, Op, Read, WireHandle, Write, WriteReply};

/// Most bytes one [`Client::write`] takes: what a message has room for beside handles that are given
/// back.
pub const MAX_WRITE: usize = MAX_PAYLOAD - size_of::<Write>() - 1024 * size_of::<WireHandle>();

/// How this sandbox, or another, excludes others from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Not at all.
    None,
    /// Not from sharing it.
    Shared,
    /// Entirely.
    Exclusive,
}

/// A lock of the host that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLock {
    /// How it excludes.
    pub kind: LockKind,
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub end: u64,
    /// Whether it is a process's; else a description's.
    pub of_process: bool,
}

impl Client {
    /// Reads from a regular file, at most a message full; nothing at its end. For want of a
    /// descriptor: each call opens the file again.
    ///
    /// # Errors
    /// Those of [`Client::open`] and `pread(2)`.
    pub fn read(&self, node: &Handle, offset: u64, max: usize) -> Result<Vec<u8>, Errno> {
        let len = u32::try_from(max.min(MAX_PAYLOAD)).unwrap_or(u32::MAX);
        let request = Read { node: node.number(), offset, len, pad: 0 };
        let mut content = self.send(Op::Read, &request)?.message;
        content.truncate(max);
        Ok(content)
    }

    /// Writes to a regular file, at most [`MAX_WRITE`] bytes of `content`, at `offset` or
    /// [`crate::wire::AT_END`]. Answers with how many, and the size of the file afterwards.
    ///
    /// # Errors
    /// Those of [`Client::open`] and `pwrite(2)`.
    pub fn write(&self, node: &Handle, offset: u64, content: &[u8]) -> Result<(usize, u64), Errno> {
        let content = content.get(..MAX_WRITE).unwrap_or(content);
        let len = u32::try_from(content.len()).unwrap_or(0);
        let mut writer = Writer::new();
        writer.put(&Write { node: node.number(), offset, len, pad: 0 }).bytes(content);
        let reply = self.shared.call(Op::Write, &writer)?;
        let WriteReply { written, size, .. } = take(&mut Reader::new(&reply.message))?;
        let written = usize::try_from(written).unwrap_or(0).min(content.len());
        Ok((written, size))
    }

    /// Says what this sandbox holds from now on of a file's lock on the host; for a record, of these
    /// bytes.
    ///
    /// # Errors
    /// EAGAIN while others are in the way, and then nothing has changed for a record; ENOLCK, EBADF
    /// when the file cannot be opened for that.
    pub fn lock(
        &self,
        node: &Handle,
        scope: LockScope,
        kind: LockKind,
        (start, end): (u64, u64),
    ) -> Result<(), Errno> {
        self.send(Op::Lock, &lock(node, scope, kind, start, end)).map(drop)
    }

    /// Asks who else would be in the way of a record lock.
    ///
    /// # Errors
    /// Those of [`Client::lock`].
    pub fn get_lock(
        &self,
        node: &Handle,
        kind: LockKind,
        (start, end): (u64, u64),
    ) -> Result<Option<HostLock>, Errno> {
        let reply = self.send(Op::GetLock, &lock(node, LockScope::Record, kind, start, end))?;
        let found: Lock = take(&mut Reader::new(&reply.message))?;
        let kind = match found.kind {
            1 => LockKind::Shared,
            2 => LockKind::Exclusive,
            _ => return Ok(None),
        };
        let of_process = found.scope != 0;
        Ok(Some(HostLock { kind, start: found.start, end: found.end, of_process }))
    }
}

const fn lock(node: &Handle, scope: LockScope, kind: LockKind, start: u64, end: u64) -> Lock {
    let kind = match kind {
        LockKind::None => 0,
        LockKind::Shared => 1,
        LockKind::Exclusive => 2,
    };
    Lock { node: node.number(), start, end, scope: scope as u32, kind }
}
