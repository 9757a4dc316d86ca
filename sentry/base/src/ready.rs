//! Readiness of files and other things that can be waited for.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// A set of `poll(2)`/`epoll(7)` event bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Ready(pub u32);

impl Ready {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// `POLLIN`: a read would not block.
    pub const IN: Self = Self(0x001);
    /// `POLLPRI`: exceptional condition (out-of-band data, pty packet).
    pub const PRI: Self = Self(0x002);
    /// `POLLOUT`: a write would not block.
    pub const OUT: Self = Self(0x004);
    /// `POLLERR`: error condition, always reported.
    pub const ERR: Self = Self(0x008);
    /// `POLLHUP`: hang-up, always reported.
    pub const HUP: Self = Self(0x010);
    /// `POLLNVAL`: not an open descriptor.
    pub const NVAL: Self = Self(0x020);
    /// `POLLRDNORM`.
    pub const RDNORM: Self = Self(0x040);
    /// `POLLRDBAND`.
    pub const RDBAND: Self = Self(0x080);
    /// `POLLWRNORM`.
    pub const WRNORM: Self = Self(0x100);
    /// `POLLWRBAND`.
    pub const WRBAND: Self = Self(0x200);
    /// `POLLRDHUP`: the peer closed its writing half.
    pub const RDHUP: Self = Self(0x2000);
    /// What a plain readable file reports.
    pub const READABLE: Self = Self(0x041);
    /// What a plain writable file reports.
    pub const WRITABLE: Self = Self(0x104);
    /// Every bit.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether any bit is set.
    #[must_use]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether any bit of `other` is set here.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// `self` if `condition`, else nothing.
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }
}

impl BitOr for Ready {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Ready {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Ready {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready({:#x})", self.0)
    }
}
