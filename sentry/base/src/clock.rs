//! The host's clocks, in nanoseconds, read through the vDSO (no host call).

mod host {
    #![expect(unsafe_code, reason = "clock_gettime is a C function")]

    /// Reads a host clock.
    pub(super) fn read(clock: libc::clockid_t) -> i64 {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a valid timespec that outlives the call.
        unsafe { libc::clock_gettime(clock, &raw mut now) };
        now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
    }
}

/// Nanoseconds of the host's `CLOCK_MONOTONIC`.
#[must_use]
pub fn monotonic_ns() -> u64 {
    host::read(libc::CLOCK_MONOTONIC).cast_unsigned()
}

/// Nanoseconds of the host's `CLOCK_BOOTTIME`.
#[must_use]
pub fn boottime_ns() -> u64 {
    host::read(libc::CLOCK_BOOTTIME).cast_unsigned()
}

/// Nanoseconds since the epoch of the host's `CLOCK_REALTIME`.
#[must_use]
pub fn realtime_ns() -> i64 {
    host::read(libc::CLOCK_REALTIME)
}
