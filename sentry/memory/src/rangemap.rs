//! A map from disjoint address ranges to pieces that can be cut and joined.

use std::collections::BTreeMap;
use std::ops::Range;

/// Something that covers a range and can be cut at any page.
pub(crate) trait Piece: Sized {
    /// Bytes covered; never zero.
    fn len(&self) -> u64;
    /// Cuts at byte `at`, strictly inside; `self` keeps the front.
    fn split_off(&mut self, at: u64) -> Self;
    /// Appends `next` if both are alike, else gives it back.
    fn try_join(&mut self, next: Self) -> Result<(), Self>;
}

/// Disjoint pieces by start address.
#[derive(Debug)]
pub(crate) struct RangeMap<V> {
    map: BTreeMap<u64, V>,
}

impl<V> Default for RangeMap<V> {
    fn default() -> Self {
        Self { map: BTreeMap::new() }
    }
}

impl<V: Piece> RangeMap<V> {
    /// The piece that covers `addr`, with its start.
    pub(crate) fn get(&self, addr: u64) -> Option<(u64, &V)> {
        let (&start, piece) = self.map.range(..=addr).next_back()?;
        (addr - start < piece.len()).then_some((start, piece))
    }

    /// The piece that covers `addr`, to change what does not affect its length.
    pub(crate) fn get_mut(&mut self, addr: u64) -> Option<(u64, &mut V)> {
        let (&start, piece) = self.map.range_mut(..=addr).next_back()?;
        (addr - start < piece.len()).then_some((start, piece))
    }

    /// The first piece that starts at or after `addr`.
    pub(crate) fn next_from(&self, addr: u64) -> Option<(u64, &V)> {
        self.map.range(addr..).next().map(|(&start, piece)| (start, piece))
    }

    /// The last piece that starts before `addr`, whether or not it reaches it.
    pub(crate) fn prev_before(&self, addr: u64) -> Option<(u64, &V)> {
        self.map.range(..addr).next_back().map(|(&start, piece)| (start, piece))
    }

    /// The pieces that start before `addr`, from the highest down.
    pub(crate) fn before(&self, addr: u64) -> impl Iterator<Item = (u64, &V)> {
        self.map.range(..addr).rev().map(|(&start, piece)| (start, piece))
    }

    /// All pieces in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &V)> {
        self.map.iter().map(|(&start, piece)| (start, piece))
    }

    /// All pieces in order, to change what does not affect their lengths.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut V)> {
        self.map.iter_mut().map(|(&start, piece)| (start, piece))
    }

    /// The pieces that overlap `range`.
    pub(crate) fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &V)> {
        let first = self.get(range.start).map_or(range.start, |(start, _)| start);
        self.map.range(first..range.end.max(first)).map(|(&start, piece)| (start, piece))
    }

    /// The pieces wholly inside `range` (all that overlap it, after [`RangeMap::isolate`]).
    pub(crate) fn within_mut(&mut self, range: Range<u64>) -> impl Iterator<Item = (u64, &mut V)> {
        self.map.range_mut(range).map(|(&start, piece)| (start, piece))
    }

    /// The parts of `range` no piece covers.
    pub(crate) fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for (start, piece) in self.overlapping(range.clone()) {
            if start > at {
                gaps.push(at..start);
            }
            at = start + piece.len();
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// Whether pieces cover all of `range`.
    pub(crate) fn covers(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        for (start, piece) in self.overlapping(range.clone()) {
            if start > at {
                return false;
            }
            at = start + piece.len();
        }
        at >= range.end
    }

    /// Cuts the piece that covers `at`, if that is strictly inside.
    pub(crate) fn split_at(&mut self, at: u64) {
        if let Some((&start, piece)) = self.map.range_mut(..at).next_back()
            && at - start < piece.len()
        {
            let back = piece.split_off(at - start);
            self.map.insert(at, back);
        }
    }

    /// Cuts at both ends of `range`, so that no piece reaches over them.
    pub(crate) fn isolate(&mut self, range: &Range<u64>) {
        self.split_at(range.start);
        self.split_at(range.end);
    }

    /// Takes everything in `range` out.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> Vec<(u64, V)> {
        if self.overlapping(range.clone()).next().is_none() {
            return Vec::new();
        }
        self.isolate(&range);
        self.map.extract_if(range, |_, _| true).collect()
    }

    /// Takes out the piece that starts at `start`.
    pub(crate) fn take(&mut self, start: u64) -> Option<V> {
        self.map.remove(&start)
    }

    /// Puts a piece in where nothing is, joined with its neighbours if they are alike.
    pub(crate) fn insert(&mut self, start: u64, piece: V) {
        let end = start + piece.len();
        debug_assert!(self.overlapping(start..end).next().is_none(), "ranges overlap");
        self.map.insert(start, piece);
        self.merge_at(end);
        self.merge_at(start);
    }

    /// Puts a piece in without joining it.
    pub(crate) fn insert_alone(&mut self, start: u64, piece: V) {
        self.map.insert(start, piece);
    }

    /// Joins what meets at `at`, if alike.
    pub(crate) fn merge_at(&mut self, at: u64) {
        let meets = self.prev_before(at).is_some_and(|(start, piece)| start + piece.len() == at);
        if !meets {
            return;
        }
        let Some(next) = self.map.remove(&at) else { return };
        if let Some((_, prev)) = self.map.range_mut(..at).next_back()
            && let Err(next) = prev.try_join(next)
        {
            self.map.insert(at, next);
        }
    }

    /// Joins all neighbours that are alike and meet within `range` or at its ends.
    pub(crate) fn merge_range(&mut self, range: &Range<u64>) {
        let starts: Vec<u64> = self.map.range(range.start..=range.end).map(|(&s, _)| s).collect();
        for start in starts {
            self.merge_at(start);
        }
    }

    /// How many pieces there are.
    pub(crate) fn count(&self) -> usize {
        self.map.len()
    }
}

impl<V> IntoIterator for RangeMap<V> {
    type Item = (u64, V);
    type IntoIter = std::collections::btree_map::IntoIter<u64, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.into_iter()
    }
}

impl<V> FromIterator<(u64, V)> for RangeMap<V> {
    fn from_iter<I: IntoIterator<Item = (u64, V)>>(pieces: I) -> Self {
        Self { map: pieces.into_iter().collect() }
    }
}
