//! Resource limits and usage: `<linux/resource.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Resource of `getrlimit(2)`.
    values RLIMITS: u32 {
        RLIMIT_CPU = 0,
        RLIMIT_FSIZE = 1,
        RLIMIT_DATA = 2,
        RLIMIT_STACK = 3,
        RLIMIT_CORE = 4,
        RLIMIT_RSS = 5,
        RLIMIT_NPROC = 6,
        RLIMIT_NOFILE = 7,
        RLIMIT_MEMLOCK = 8,
        RLIMIT_AS = 9,
        RLIMIT_LOCKS = 10,
        RLIMIT_SIGPENDING = 11,
        RLIMIT_MSGQUEUE = 12,
        RLIMIT_NICE = 13,
        RLIMIT_RTPRIO = 14,
        RLIMIT_RTTIME = 15,
    }

    /// Who of `getrusage(2)`.
    values RUSAGE_WHOS: i32 {
        RUSAGE_SELF = 0,
        RUSAGE_CHILDREN = -1,
        RUSAGE_THREAD = 1,
    }
}

/// Value of a limit that does not limit.
pub const RLIM_INFINITY: u64 = u64::MAX;
/// Number of resources.
pub const RLIM_NLIMITS: usize = 16;

uapi_struct! {
    /// Limit of `prlimit64(2)`; on x86-64 also of `getrlimit(2)`.
    [16] Rlimit { rlim_cur: u64, rlim_max: u64 }
    /// Result of `getrusage(2)`.
    [144] Rusage {
        ru_utime: crate::time::Timeval, ru_stime: crate::time::Timeval, ru_maxrss: i64,
        ru_ixrss: i64, ru_idrss: i64, ru_isrss: i64, ru_minflt: i64, ru_majflt: i64, ru_nswap: i64,
        ru_inblock: i64, ru_oublock: i64, ru_msgsnd: i64, ru_msgrcv: i64, ru_nsignals: i64,
        ru_nvcsw: i64, ru_nivcsw: i64,
    }
}
