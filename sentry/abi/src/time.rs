//! Clocks and timers: `<linux/time.h>`, `<linux/timex.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Clock of `clock_gettime(2)`.
    values CLOCK_IDS: i32 {
        CLOCK_REALTIME = 0,
        CLOCK_MONOTONIC = 1,
        CLOCK_PROCESS_CPUTIME_ID = 2,
        CLOCK_THREAD_CPUTIME_ID = 3,
        CLOCK_MONOTONIC_RAW = 4,
        CLOCK_REALTIME_COARSE = 5,
        CLOCK_MONOTONIC_COARSE = 6,
        CLOCK_BOOTTIME = 7,
        CLOCK_REALTIME_ALARM = 8,
        CLOCK_BOOTTIME_ALARM = 9,
        CLOCK_TAI = 11,
    }

    /// Flag of `clock_nanosleep(2)` and `timer_settime(2)`.
    flags TIMER_FLAGS: u32 {
        TIMER_ABSTIME = 1,
    }

    /// Which of `setitimer(2)`.
    values ITIMERS: u32 {
        ITIMER_REAL = 0,
        ITIMER_VIRTUAL = 1,
        ITIMER_PROF = 2,
    }

    /// Notification of `sigevent(3type)`.
    values SIGEV_KINDS: u32 {
        SIGEV_SIGNAL = 0,
        SIGEV_NONE = 1,
        SIGEV_THREAD = 2,
        SIGEV_THREAD_ID = 4,
    }

    /// Mode of `adjtimex(2)`.
    flags ADJ_MODES: u32 {
        ADJ_OFFSET = 0x1,
        ADJ_FREQUENCY = 0x2,
        ADJ_MAXERROR = 0x4,
        ADJ_ESTERROR = 0x8,
        ADJ_STATUS = 0x10,
        ADJ_TIMECONST = 0x20,
        ADJ_TAI = 0x80,
        ADJ_SETOFFSET = 0x100,
        ADJ_MICRO = 0x1000,
        ADJ_NANO = 0x2000,
        ADJ_TICK = 0x4000,
        ADJ_OFFSET_SINGLESHOT = 0x8001,
        ADJ_OFFSET_SS_READ = 0xa001,
    }

    /// Status of `adjtimex(2)`.
    flags STA_FLAGS: u32 {
        STA_PLL = 0x1,
        STA_PPSFREQ = 0x2,
        STA_PPSTIME = 0x4,
        STA_FLL = 0x8,
        STA_INS = 0x10,
        STA_DEL = 0x20,
        STA_UNSYNC = 0x40,
        STA_FREQHOLD = 0x80,
        STA_PPSSIGNAL = 0x100,
        STA_PPSJITTER = 0x200,
        STA_PPSWANDER = 0x400,
        STA_PPSERROR = 0x800,
        STA_CLOCKERR = 0x1000,
        STA_NANO = 0x2000,
        STA_MODE = 0x4000,
        STA_CLK = 0x8000,
    }

    /// Clock state returned by `adjtimex(2)`.
    values TIME_STATES: u32 {
        TIME_OK = 0,
        TIME_INS = 1,
        TIME_DEL = 2,
        TIME_OOP = 3,
        TIME_WAIT = 4,
        TIME_ERROR = 5,
    }

    /// Ticks a second of `times(2)` and clock ticks in general.
    values RATES: u32 {
        USER_HZ = 100,
    }
}

/// Nanoseconds in a second.
pub const NSEC_PER_SEC: i64 = 1_000_000_000;

uapi_struct! {
    /// Seconds and nanoseconds.
    [16] Timespec { tv_sec: i64, tv_nsec: i64 }
    /// Seconds and microseconds.
    [16] Timeval { tv_sec: i64, tv_usec: i64 }
    /// Time zone of `gettimeofday(2)`.
    [8] Timezone { tz_minuteswest: i32, tz_dsttime: i32 }
    /// Interval timer in nanoseconds.
    [32] Itimerspec { it_interval: Timespec, it_value: Timespec }
    /// Interval timer in microseconds.
    [32] Itimerval { it_interval: Timeval, it_value: Timeval }
    /// Argument of `utime(2)`.
    [16] Utimbuf { actime: i64, modtime: i64 }
    /// Result of `times(2)`, in ticks of [`USER_HZ`].
    [32] Tms { tms_utime: i64, tms_stime: i64, tms_cutime: i64, tms_cstime: i64 }
    /// Argument of `adjtimex(2)`.
    [208] Timex {
        modes: u32, pad0: u32, offset: i64, freq: i64, maxerror: i64, esterror: i64, status: i32,
        pad1: u32, constant: i64, precision: i64, tolerance: i64, time: Timeval, tick: i64,
        ppsfreq: i64, jitter: i64, shift: i32, pad2: u32, stabil: i64, jitcnt: i64, calcnt: i64,
        errcnt: i64, stbcnt: i64, tai: i32, pad3: [u32; 11],
    }
    /// Notification of `timer_create(2)` and `mq_notify(2)`.
    [64] SigeventT {
        sigev_value: u64, sigev_signo: i32, sigev_notify: u32,
        /// Thread id with `SIGEV_THREAD_ID`.
        sigev_tid: i32,
        pad0: [u32; 11],
    }
}

/// Nanoseconds of `tv_nsec` that ask `utimensat(2)` for the current time.
pub const UTIME_NOW: i64 = 0x3fff_ffff;
/// Nanoseconds of `tv_nsec` that ask `utimensat(2)` to leave a time alone.
pub const UTIME_OMIT: i64 = 0x3fff_fffe;

impl Timespec {
    /// Whether seconds are not negative and nanoseconds within a second, as `timespec64_valid`.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.tv_sec >= 0 && self.tv_nsec >= 0 && self.tv_nsec < NSEC_PER_SEC
    }

    /// Builds from nanoseconds; negative ones round down so that `tv_nsec` stays in range.
    #[must_use]
    pub const fn from_ns(ns: i64) -> Self {
        Self { tv_sec: ns.div_euclid(NSEC_PER_SEC), tv_nsec: ns.rem_euclid(NSEC_PER_SEC) }
    }

    /// Nanoseconds, saturated at the ends of the range (292 years).
    #[must_use]
    pub const fn as_ns(&self) -> i64 {
        self.tv_sec.saturating_mul(NSEC_PER_SEC).saturating_add(self.tv_nsec)
    }
}

impl Timeval {
    /// Whether seconds are not negative and microseconds within a second.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.tv_sec >= 0 && self.tv_usec >= 0 && self.tv_usec < 1_000_000
    }

    /// Builds from nanoseconds, rounding down to a microsecond.
    #[must_use]
    pub const fn from_ns(ns: i64) -> Self {
        let spec = Timespec::from_ns(ns);
        Self { tv_sec: spec.tv_sec, tv_usec: spec.tv_nsec / 1000 }
    }

    /// Nanoseconds, saturated at the ends of the range (292 years).
    #[must_use]
    pub const fn as_ns(&self) -> i64 {
        self.tv_sec.saturating_mul(NSEC_PER_SEC).saturating_add(self.tv_usec.saturating_mul(1000))
    }
}
