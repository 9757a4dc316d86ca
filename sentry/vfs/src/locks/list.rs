//! All locks there are, for `/proc/locks`.

use super::wait::Wanted;
use super::{Kind, Owner, Record, TABLE, key_of};
use crate::file::File;

/// A lock that is held or waited for.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Counts the locks held; who waits has the number of the file's first lock.
    pub number: u64,
    /// Who holds it or waits for it.
    pub owner: Owner,
    /// Whether it is waited for.
    pub waits: bool,
    /// Whether it is a lock of `flock(2)`.
    pub whole: bool,
    record: Record,
    key: (u64, u64),
}

impl Listed {
    /// Whether it is a lock on this file.
    #[must_use]
    pub fn is_on(&self, file: &File) -> bool {
        self.key == key_of(file)
    }

    /// The line about it, without its number; `pid` is the number of its process.
    #[must_use]
    pub fn text(&self, pid: i32) -> String {
        let class = match self.owner {
            _ if self.whole => "FLOCK ",
            Owner::Process { .. } => "POSIX ",
            Owner::Description(_) => "OFDLCK",
        };
        let kind = if self.record.kind == Kind::Shared { "READ" } else { "WRITE" };
        let (dev, ino) = self.key;
        let end = match self.record.end {
            Record::TO_END.. => "EOF".to_owned(),
            end => end.to_string(),
        };
        format!(
            "{class} ADVISORY  {kind} {pid} {:02x}:{:02x}:{ino} {} {end}",
            bevor_abi::stat::major(dev),
            bevor_abi::stat::minor(dev),
            self.record.start
        )
    }
}

/// All locks, those of a file together, and after them who waits for one.
#[must_use]
pub fn list() -> Vec<Listed> {
    let table = TABLE.lock();
    let mut files: Vec<_> = table.files.iter().collect();
    files.sort_unstable_by_key(|(key, _)| **key);
    let mut list = Vec::new();
    let mut number = 0;
    let all = |kind| Record { kind, start: 0, end: Record::TO_END };
    for (&key, locks) in files {
        let first = number + 1;
        let whole = locks.whole.iter().map(|&(id, kind)| (Owner::Description(id), all(kind), true));
        let records = locks.records.iter().map(|&(owner, record)| (owner, record, false));
        for (owner, record, whole) in whole.chain(records) {
            number += 1;
            list.push(Listed { number, owner, waits: false, whole, record, key });
        }
        for waiter in locks.waiters.iter().filter(|waiter| !waiter.queue.is_empty()) {
            let (record, whole) = match waiter.wanted {
                Wanted::Record(record) => (record, false),
                Wanted::Whole(kind) => (all(kind), true),
            };
            let owner = waiter.owner;
            list.push(Listed { number: first, owner, waits: true, whole, record, key });
        }
    }
    list
}
