//! Record locks of one file.

use crate::locks::Kind;

/// Who holds a lock.
#[derive(Clone, Copy, Debug)]
pub enum Owner {
    /// A process, known by its descriptor table; `pid` is what `F_GETLK` tells.
    Process {
        /// Number of the descriptor table.
        table: u64,
        /// Thread group id.
        pid: i32,
    },
    /// An open file description, by [`File::id`](crate::File::id).
    Description(u64),
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Process { table, .. }, Self::Process { table: other, .. }) => table == other,
            (Self::Description(id), Self::Description(other)) => id == other,
            _ => false,
        }
    }
}

impl Eq for Owner {}

/// A locked run of bytes; both ends belong to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// How it excludes others.
    pub kind: Kind,
    /// First byte.
    pub start: u64,
    /// Last byte; [`Record::TO_END`] for the end of the file, wherever it is.
    pub end: u64,
}

impl Record {
    /// As the last byte: no end.
    pub const TO_END: u64 = i64::MAX.cast_unsigned();

    /// Its bytes.
    #[must_use]
    pub const fn range(&self) -> Range {
        Range { start: self.start, end: self.end }
    }

    const fn overlaps(&self, start: u64, end: u64) -> bool {
        self.start <= end && start <= self.end
    }
}

/// A run of bytes; both ends belong to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub end: u64,
}

impl Range {
    /// What is left of `ranges` without the bytes of `others`.
    pub(super) fn without(mut ranges: Vec<Self>, others: &[Self]) -> Vec<Self> {
        for other in others {
            let mut left = Vec::with_capacity(ranges.len() + 1);
            for range in ranges {
                if other.start > range.end || range.start > other.end {
                    left.push(range);
                    continue;
                }
                if range.start < other.start {
                    left.push(Self { start: range.start, end: other.start - 1 });
                }
                if range.end > other.end {
                    left.push(Self { start: other.end + 1, end: range.end });
                }
            }
            ranges = left;
        }
        ranges
    }
}

/// A lock as `F_GETLK` reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockInfo {
    /// The lock.
    pub record: Record,
    /// The holder's process, -1 for a description's lock.
    pub pid: i32,
}

const fn info(&(holder, record): &(Owner, Record)) -> LockInfo {
    let pid = match holder {
        Owner::Process { pid, .. } => pid,
        Owner::Description(_) => -1,
    };
    LockInfo { record, pid }
}

/// All record locks of a file, by start.
#[derive(Default)]
pub(super) struct Records(Vec<(Owner, Record)>);

impl Records {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `owner` has any of the bytes `start..=end`.
    pub(super) fn holds(&self, owner: Owner, start: u64, end: u64) -> bool {
        self.0.iter().any(|(holder, held)| *holder == owner && held.overlaps(start, end))
    }

    /// All bytes anybody has, some perhaps more than once.
    pub(super) fn ranges(&self) -> Vec<Range> {
        self.0.iter().map(|(_, held)| held.range()).collect()
    }

    fn in_the_way<'a>(
        &'a self,
        owner: Owner,
        wanted: &'a Record,
    ) -> impl Iterator<Item = &'a (Owner, Record)> {
        self.0.iter().filter(move |(holder, held)| {
            *holder != owner
                && held.overlaps(wanted.start, wanted.end)
                && (held.kind == Kind::Exclusive || wanted.kind == Kind::Exclusive)
        })
    }

    pub(super) fn conflicts(&self, owner: Owner, wanted: &Record) -> Vec<Owner> {
        self.in_the_way(owner, wanted).map(|(holder, _)| *holder).collect()
    }

    pub(super) fn first_conflict(&self, owner: Owner, wanted: &Record) -> Option<LockInfo> {
        self.in_the_way(owner, wanted).next().map(info)
    }

    pub(super) fn first_held(&self, owner: Owner, start: u64, end: u64) -> Option<LockInfo> {
        let own = |(holder, held): &&(Owner, Record)| *holder == owner && held.overlaps(start, end);
        self.0.iter().find(own).map(info)
    }

    /// Removes `owner`'s locks from the bytes `start..=end`; what lies outside stays.
    pub(super) fn clear(&mut self, owner: Owner, start: u64, end: u64) {
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        for &(holder, held) in &self.0 {
            if holder != owner || !held.overlaps(start, end) {
                kept.push((holder, held));
                continue;
            }
            if held.start < start {
                kept.push((holder, Record { end: start - 1, ..held }));
            }
            if held.end > end {
                kept.push((holder, Record { start: end + 1, ..held }));
            }
        }
        self.0 = kept;
    }

    /// Gives `owner` a lock, over what it holds there already; joins neighbours of the same kind.
    pub(super) fn set(&mut self, owner: Owner, mut record: Record) {
        self.clear(owner, record.start, record.end);
        self.0.retain(|(holder, held)| {
            let joins = *holder == owner
                && held.kind == record.kind
                && (held.end.checked_add(1) == Some(record.start)
                    || record.end.checked_add(1) == Some(held.start));
            if joins {
                record.start = record.start.min(held.start);
                record.end = record.end.max(held.end);
            }
            !joins
        });
        let at = self.0.partition_point(|(_, held)| held.start <= record.start);
        self.0.insert(at, (owner, record));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Owner, Record)> {
        self.0.iter()
    }
}
