//! The host mappings of one stub process, as the orders made them: how many the host counts, and
//! which rights an address has.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use crate::{Order, Prot};

/// The mappings, by start address.
#[derive(Debug, Default)]
pub struct Mappings {
    map: BTreeMap<u64, Mapping>,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    end: u64,
    prot: Prot,
    fd: RawFd,
    offset: u64,
}

impl Mapping {
    /// The same mapping from `start + by` on.
    fn cut(mut self, by: u64) -> Self {
        self.offset = self.offset.wrapping_add(by);
        self
    }
}

impl Mappings {
    /// How many mappings there are.
    pub fn count(&self) -> usize {
        self.map.len()
    }

    /// The rights at `addr`; `None` where nothing is mapped.
    pub fn prot(&self, addr: u64) -> Option<Prot> {
        let (_, mapping) = self.map.range(..=addr).next_back()?;
        (addr < mapping.end).then_some(mapping.prot)
    }

    /// By how many mappings an order can grow the number, at most.
    pub fn growth(&self, order: &Order) -> usize {
        let (addr, end) = match *order {
            Order::Map { addr, len, .. }
            | Order::Unmap { addr, len }
            | Order::Protect { addr, len, .. } => (addr, addr.saturating_add(len)),
            Order::Advise { .. } => return 0,
        };
        let left = self.holding(addr);
        let right = self.holding(end);
        match order {
            // A hole in one mapping makes two; at the edge of several it only shortens them.
            Order::Unmap { .. } => usize::from(left.is_some() && left == right),
            Order::Protect { .. } => usize::from(left.is_some()) + usize::from(right.is_some()),
            _ => 1 + usize::from(left.is_some() && left == right),
        }
    }

    /// Start of the mapping that has `at` strictly inside.
    fn holding(&self, at: u64) -> Option<u64> {
        let (&start, mapping) = self.map.range(..at).next_back()?;
        (at < mapping.end).then_some(start)
    }

    /// Records an order the host has carried out.
    pub fn record(&mut self, order: &Order) {
        match *order {
            Order::Map { addr, len, prot, fd, offset, .. } => {
                let end = addr.saturating_add(len);
                self.clear(addr, end);
                self.map.insert(addr, Mapping { end, prot, fd, offset });
                self.join(addr);
                self.join(end);
            }
            Order::Unmap { addr, len } => self.clear(addr, addr.saturating_add(len)),
            Order::Protect { addr, len, prot } => {
                let end = addr.saturating_add(len);
                self.split(addr);
                self.split(end);
                let mut starts = Vec::new();
                for (&start, mapping) in self.map.range_mut(addr..end) {
                    mapping.prot = prot;
                    starts.push(start);
                }
                for start in starts {
                    self.join(start);
                }
                self.join(end);
            }
            Order::Advise { .. } => {}
        }
    }

    fn clear(&mut self, start: u64, end: u64) {
        self.split(start);
        self.split(end);
        while let Some((&at, _)) = self.map.range(start..end).next() {
            self.map.remove(&at);
        }
    }

    /// Makes `at` a boundary if it lies inside a mapping.
    fn split(&mut self, at: u64) {
        let Some((&start, mapping)) = self.map.range_mut(..at).next_back() else { return };
        if at < mapping.end {
            let right = mapping.cut(at - start);
            mapping.end = at;
            self.map.insert(at, right);
        }
    }

    /// Joins the mapping that starts at `at` with the one before it, as the host does.
    fn join(&mut self, at: u64) {
        let Some(&right) = self.map.get(&at) else { return };
        let Some((&start, left)) = self.map.range_mut(..at).next_back() else { return };
        let follows = left.cut(at - start).offset == right.offset && left.fd == right.fd;
        if left.end == at && follows && left.prot == right.prot {
            left.end = right.end;
            self.map.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: Prot = Prot { read: true, write: false, exec: false };
    const RW: Prot = Prot { read: true, write: true, exec: false };

    fn map(addr: u64, len: u64, offset: u64) -> Order {
        Order::Map { addr, len, prot: RW, fd: 3, offset, populate: false }
    }

    #[test]
    fn neighbours_in_the_file_are_one_mapping() {
        let mut mappings = Mappings::default();
        mappings.record(&map(0x1000, 0x1000, 0));
        mappings.record(&map(0x3000, 0x1000, 0x2000));
        assert_eq!(mappings.count(), 2);
        mappings.record(&map(0x2000, 0x1000, 0x1000));
        assert_eq!(mappings.count(), 1);
        mappings.record(&map(0x4000, 0x1000, 0x9000));
        assert_eq!(mappings.count(), 2);
    }

    #[test]
    fn unmapping_the_middle_splits() {
        let mut mappings = Mappings::default();
        mappings.record(&map(0x1000, 0x3000, 0));
        mappings.record(&Order::Unmap { addr: 0x2000, len: 0x1000 });
        assert_eq!(mappings.count(), 2);
        assert_eq!(mappings.prot(0x1fff), Some(RW));
        assert_eq!(mappings.prot(0x2000), None);
        assert_eq!(mappings.prot(0x3000), Some(RW));
        mappings.record(&map(0x2000, 0x1000, 0x1000));
        assert_eq!(mappings.count(), 1);
    }

    #[test]
    fn growth_is_never_less_than_what_happens() {
        let mut mappings = Mappings::default();
        let orders = [
            map(0x1000, 0x8000, 0),
            Order::Unmap { addr: 0x2000, len: 0x1000 },
            Order::Protect { addr: 0x4000, len: 0x1000, prot: R },
            map(0x6000, 0x1000, 0x90_0000),
            Order::Unmap { addr: 0x1000, len: 0x2000 },
            Order::Protect { addr: 0x3000, len: 0x6000, prot: R },
            Order::Unmap { addr: 0, len: 0x10_0000 },
        ];
        for order in &orders {
            let bound = mappings.count() + mappings.growth(order);
            mappings.record(order);
            assert!(mappings.count() <= bound, "{order:?}");
        }
        assert_eq!(mappings.count(), 0);
        assert_eq!(mappings.growth(&Order::Unmap { addr: 0x1000, len: 0x1000 }), 0);
    }

    #[test]
    fn protecting_a_part_splits_and_restoring_it_joins() {
        let mut mappings = Mappings::default();
        mappings.record(&map(0x1000, 0x3000, 0));
        mappings.record(&Order::Protect { addr: 0x2000, len: 0x1000, prot: R });
        assert_eq!(mappings.count(), 3);
        assert_eq!(mappings.prot(0x2000), Some(R));
        mappings.record(&Order::Protect { addr: 0x2000, len: 0x1000, prot: RW });
        assert_eq!(mappings.count(), 1);
    }
}
