//! Guest addresses. None of them can be dereferenced: a guest pointer is an allegation.

use bevor_abi::Errno;
use bevor_abi::errno::{EFAULT, EINVAL};
use std::fmt;
use std::marker::PhantomData;

/// Bytes of a page.
pub const PAGE_SIZE: u64 = 4096;

/// End of the 64-bit user half as Linux has it on x86-64 with four-level tables (`TASK_SIZE`).
pub const TASK_SIZE: u64 = 0x7fff_ffff_f000;

/// End of what a guest may map: the stub lives above (DESIGN §4).
pub const GUEST_END: u64 = (TASK_SIZE - TASK_SIZE / 128) & !(PAGE_SIZE - 1);

/// Lowest address a guest may map (`vm.mmap_min_addr`).
pub const GUEST_MIN: u64 = 0x1_0000;

/// Most segments one vectored call may name (`UIO_MAXIOV`).
pub const UIO_MAXIOV: usize = 1024;

/// Most bytes one read or write moves (`MAX_RW_COUNT`).
pub const MAX_RW_COUNT: u64 = 0x7fff_f000;

/// Rounds down to a page boundary.
#[must_use]
pub const fn page_floor(addr: u64) -> u64 {
    addr & !(PAGE_SIZE - 1)
}

/// Rounds up to a page boundary; `None` on overflow.
#[must_use]
pub const fn page_ceil(addr: u64) -> Option<u64> {
    match addr.checked_add(PAGE_SIZE - 1) {
        Some(end) => Some(page_floor(end)),
        None => None,
    }
}

/// An address in a guest's memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UserAddr(pub u64);

impl UserAddr {
    /// The null pointer.
    pub const NULL: Self = Self(0);

    /// Whether this is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `len` bytes further on.
    ///
    /// # Errors
    /// `EFAULT` when that leaves the user half of the address space.
    #[expect(clippy::should_implement_trait, reason = "fallible, unlike ops::Add")]
    pub fn add(self, len: u64) -> Result<Self, Errno> {
        match self.0.checked_add(len) {
            Some(end) if end <= TASK_SIZE => Ok(Self(end)),
            _ => Err(EFAULT.into()),
        }
    }

    /// The address of element `index` of an array of `size`-byte elements starting here.
    ///
    /// # Errors
    /// `EFAULT` as for [`UserAddr::add`].
    pub fn index(self, index: u64, size: u64) -> Result<Self, Errno> {
        self.add(index.checked_mul(size).ok_or(EFAULT)?)
    }

    /// Whether it is a multiple of `align`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, align: u64) -> bool {
        self.0 & (align - 1) == 0
    }
}

impl fmt::Debug for UserAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for UserAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl From<u64> for UserAddr {
    fn from(raw: u64) -> Self {
        Self(raw)
    }
}

/// The address of a `T` in a guest's memory.
pub struct UserPtr<T> {
    /// Where it is said to be.
    pub addr: UserAddr,
    of: PhantomData<fn() -> T>,
}

impl<T> UserPtr<T> {
    /// Types an address.
    #[must_use]
    pub const fn new(addr: UserAddr) -> Self {
        Self { addr, of: PhantomData }
    }

    /// Whether this is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.addr.is_null()
    }

    /// The address of element `index`, were this an array.
    ///
    /// # Errors
    /// `EFAULT` when that leaves the user half of the address space.
    pub fn index(self, index: u64) -> Result<Self, Errno> {
        let size = u64::try_from(size_of::<T>()).map_err(|_| EFAULT)?;
        Ok(Self::new(self.addr.index(index, size)?))
    }
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for UserPtr<T> {}

impl<T> fmt::Debug for UserPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr.fmt(f)
    }
}

impl<T> From<u64> for UserPtr<T> {
    fn from(raw: u64) -> Self {
        Self::new(UserAddr(raw))
    }
}

impl<T> From<UserAddr> for UserPtr<T> {
    fn from(addr: UserAddr) -> Self {
        Self::new(addr)
    }
}

/// A run of bytes in a guest's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UserSlice {
    /// Where it starts.
    pub addr: UserAddr,
    /// Its length, bytes.
    pub len: u64,
}

impl UserSlice {
    /// Names `len` bytes at `addr`. Checked when used.
    #[must_use]
    pub const fn new(addr: UserAddr, len: u64) -> Self {
        Self { addr, len }
    }
}

/// The segments of a vectored call, checked: at most [`UIO_MAXIOV`], lengths and sum in range.
#[derive(Clone, Debug, Default)]
pub struct IoVecs {
    segments: Segments,
    total: u64,
}

#[derive(Clone, Debug)]
enum Segments {
    One([UserSlice; 1]),
    Many(Vec<UserSlice>),
}

impl Default for Segments {
    fn default() -> Self {
        Self::One([UserSlice::default()])
    }
}

impl IoVecs {
    /// One segment, cut to [`MAX_RW_COUNT`] as read(2) and write(2) do.
    #[must_use]
    pub fn one(addr: UserAddr, len: u64) -> Self {
        let len = len.min(MAX_RW_COUNT);
        Self { segments: Segments::One([UserSlice::new(addr, len)]), total: len }
    }

    /// Checks a list of segments.
    ///
    /// # Errors
    /// `EINVAL`: more than [`UIO_MAXIOV`] segments, a length beyond `SSIZE_MAX`, or a sum beyond it.
    pub fn new(mut segments: Vec<UserSlice>) -> Result<Self, Errno> {
        if segments.len() > UIO_MAXIOV {
            return Err(EINVAL.because("more than 1024 segments"));
        }
        let mut sum = 0u64;
        let mut total = 0u64;
        for segment in &mut segments {
            sum = sum.checked_add(segment.len).ok_or(EINVAL)?;
            if sum > i64::MAX.cast_unsigned() {
                return Err(EINVAL.because("segment lengths exceed SSIZE_MAX"));
            }
            segment.len = segment.len.min(MAX_RW_COUNT - total);
            total += segment.len;
        }
        Ok(Self { segments: Segments::Many(segments), total })
    }

    /// Bytes in all segments.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The segments in order.
    #[must_use]
    pub fn segments(&self) -> &[UserSlice] {
        match &self.segments {
            Segments::One(one) => one,
            Segments::Many(many) => many,
        }
    }
}
