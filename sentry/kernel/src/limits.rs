//! Resource limits (`getrlimit(2)`), shared by the threads of a process.

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EPERM};
use parking_lot::Mutex;

/// How many resources there are.
pub const NR_LIMITS: usize = 16;
/// `RLIM_INFINITY`.
pub const INFINITY: u64 = u64::MAX;

/// `RLIMIT_CPU`.
pub const CPU: u32 = 0;
/// `RLIMIT_FSIZE`.
pub const FSIZE: u32 = 1;
/// `RLIMIT_DATA`.
pub const DATA: u32 = 2;
/// `RLIMIT_STACK`.
pub const STACK: u32 = 3;
/// `RLIMIT_CORE`.
pub const CORE: u32 = 4;
/// `RLIMIT_RSS`.
pub const RSS: u32 = 5;
/// `RLIMIT_NPROC`.
pub const NPROC: u32 = 6;
/// `RLIMIT_NOFILE`.
pub const NOFILE: u32 = 7;
/// `RLIMIT_MEMLOCK`.
pub const MEMLOCK: u32 = 8;
/// `RLIMIT_AS`.
pub const AS: u32 = 9;
/// `RLIMIT_SIGPENDING`.
pub const SIGPENDING: u32 = 11;
/// `RLIMIT_RTTIME`.
pub const RTTIME: u32 = 15;

/// A soft and a hard limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// `rlim_cur`.
    pub soft: u64,
    /// `rlim_max`.
    pub hard: u64,
}

/// The limits of a process.
#[derive(Debug)]
pub struct Limits(Mutex<[Limit; NR_LIMITS]>);

impl Limits {
    /// These limits.
    #[must_use]
    pub const fn new(limits: [Limit; NR_LIMITS]) -> Self {
        Self(Mutex::new(limits))
    }

    /// What a Linux machine of some size gives its first process.
    #[must_use]
    pub const fn initial() -> [Limit; NR_LIMITS] {
        const fn both(value: u64) -> Limit {
            Limit { soft: value, hard: value }
        }
        let unlimited = both(INFINITY);
        let mut limits = [unlimited; NR_LIMITS];
        limits[STACK as usize] = Limit { soft: 8 << 20, hard: INFINITY };
        limits[CORE as usize] = Limit { soft: 0, hard: INFINITY };
        limits[NPROC as usize] = both(96_365);
        limits[NOFILE as usize] = Limit { soft: 1024, hard: 1_048_576 };
        limits[MEMLOCK as usize] = both(8 << 20);
        limits[SIGPENDING as usize] = both(96_365);
        limits[12] = both(819_200);
        limits[13] = both(0);
        limits[14] = both(0);
        limits
    }

    /// One limit.
    ///
    /// # Errors
    /// `EINVAL` for an unknown resource.
    pub fn get(&self, resource: u32) -> Result<Limit, Errno> {
        Ok(*self.0.lock().get(resource as usize).ok_or(EINVAL)?)
    }

    /// The soft limit; unlimited for unknown resources.
    #[must_use]
    pub fn soft(&self, resource: u32) -> u64 {
        self.get(resource).map_or(INFINITY, |limit| limit.soft)
    }

    /// Changes one limit and returns the old one. `privileged` is `CAP_SYS_RESOURCE`.
    ///
    /// # Errors
    /// `EINVAL` for a soft limit over the hard one; `EPERM` for raising the hard one.
    pub fn set(&self, resource: u32, new: Limit, privileged: bool) -> Result<Limit, Errno> {
        let mut limits = self.0.lock();
        let limit = limits.get_mut(resource as usize).ok_or(EINVAL)?;
        if new.soft > new.hard {
            return Err(EINVAL.into());
        }
        if new.hard > limit.hard && !privileged {
            return Err(EPERM.into());
        }
        if resource == NOFILE && new.hard > u64::from(crate::fd::NR_OPEN) {
            return Err(EPERM.because("above /proc/sys/fs/nr_open"));
        }
        Ok(std::mem::replace(limit, new))
    }

    /// All of them, for `fork`.
    #[must_use]
    pub fn all(&self) -> [Limit; NR_LIMITS] {
        *self.0.lock()
    }
}
