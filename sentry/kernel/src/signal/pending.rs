//! A queue of pending signals: standard signals once, real-time signals in order.

use super::{Info, SIGRTMIN, bit};
use std::collections::VecDeque;

/// Pending signals of a task or of a process.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    queue: VecDeque<Info>,
    mask: u64,
}

impl Pending {
    /// The pending signals, a bit each.
    #[must_use]
    pub const fn mask(&self) -> u64 {
        self.mask
    }

    /// How many are queued (`SigQ:`).
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mask == 0
    }

    /// Adds a signal; a standard one that is already pending is merged, `false` then.
    pub fn push(&mut self, info: Info) -> bool {
        if info.signo < SIGRTMIN && self.mask & bit(info.signo) != 0 {
            return false;
        }
        self.mask |= bit(info.signo);
        self.queue.push_back(info);
        true
    }

    /// Takes the next signal of `allowed`: `first` before others, then the lowest number, then the
    /// oldest.
    pub fn take(&mut self, allowed: u64, first: u64) -> Option<Info> {
        let candidates = self.mask & allowed;
        let preferred = if candidates & first != 0 { candidates & first } else { candidates };
        if preferred == 0 {
            return None;
        }
        let signo = preferred.trailing_zeros().cast_signed() + 1;
        let index = self.queue.iter().position(|info| info.signo == signo)?;
        let info = self.queue.remove(index)?;
        if !self.queue.iter().any(|info| info.signo == signo) {
            self.mask &= !bit(signo);
        }
        Some(info)
    }

    /// Drops every pending signal of `mask`.
    pub fn discard(&mut self, mask: u64) {
        if self.mask & mask != 0 {
            self.queue.retain(|info| bit(info.signo) & mask == 0);
            self.mask &= !mask;
        }
    }

    /// All entries in order, for saving and `PTRACE_PEEKSIGINFO`.
    pub fn iter(&self) -> impl Iterator<Item = &Info> {
        self.queue.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_signals_merge_and_real_time_ones_queue() {
        let mut pending = Pending::default();
        assert!(pending.push(Info::kernel(10)));
        assert!(!pending.push(Info::kernel(10)));
        for value in [1, 2] {
            pending.push(Info {
                detail: super::super::Detail::Queue { pid: 0, uid: 0, value },
                ..Info::kernel(40)
            });
        }
        pending.push(Info::kernel(11));
        let mut next = |allowed| pending.take(allowed, bit(11)).map(|info| info.signo);
        assert_eq!((next(u64::MAX), next(bit(40)), next(u64::MAX)), (Some(11), Some(40), Some(10)));
        assert_eq!((next(u64::MAX), next(u64::MAX)), (Some(40), None));
        assert!(pending.is_empty());
    }
}
