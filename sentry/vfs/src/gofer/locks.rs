//! Locks of the gofer's files on the host.

use crate::gofer::GoferInode;
use crate::locks::{HostLocks, Kind, LockInfo, Range, Record};
use bevor_abi::Errno;
use bevor_gofer_protocol::client::LockKind;
use bevor_gofer_protocol::wire::LockScope;
use parking_lot::Mutex;

/// Every byte of a file.
const ALL: (u64, u64) = (0, Record::TO_END);

fn wire_kind(kind: Option<Kind>) -> LockKind {
    match kind {
        None => LockKind::None,
        Some(Kind::Shared) => LockKind::Shared,
        Some(Kind::Exclusive) => LockKind::Exclusive,
    }
}

impl HostLocks for GoferInode {
    fn serial(&self) -> &Mutex<()> {
        &self.lock_changes
    }

    fn set_record(&self, kind: Option<Kind>, range: Range) -> Result<(), Errno> {
        let bytes = (range.start, range.end.min(Record::TO_END));
        self.fs.client.lock(&*self.handle()?, LockScope::Record, wire_kind(kind), bytes)
    }

    fn set_whole(&self, kind: Option<Kind>) -> Result<(), Errno> {
        self.fs.client.lock(&*self.handle()?, LockScope::Whole, wire_kind(kind), ALL)
    }

    fn test(&self, record: &Record) -> Result<Option<LockInfo>, Errno> {
        let kind = wire_kind(Some(record.kind));
        let found = self.fs.client.get_lock(&*self.handle()?, kind, (record.start, record.end))?;
        Ok(found.and_then(|found| {
            let kind = match found.kind {
                LockKind::None => return None,
                LockKind::Shared => Kind::Shared,
                LockKind::Exclusive => Kind::Exclusive,
            };
            // A process of the host has no number here.
            let pid = if found.of_process { 0 } else { -1 };
            Some(LockInfo { record: Record { kind, start: found.start, end: found.end }, pid })
        }))
    }
}
