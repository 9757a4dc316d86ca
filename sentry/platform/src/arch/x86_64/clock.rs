//! Time stamps: the unit of spinning.

use std::sync::LazyLock;
use std::time::Instant;

/// The time-stamp counter.
#[inline]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has it, and Linux leaves it enabled for user mode.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Ticks per microsecond, measured once.
static PER_US: LazyLock<u64> = LazyLock::new(|| {
    let (start, from) = (Instant::now(), ticks());
    let us = loop {
        let us = start.elapsed().as_nanos();
        if us >= 100_000 {
            break us;
        }
        std::hint::spin_loop();
    };
    u64::try_from(u128::from(ticks() - from) * 1000 / us).unwrap_or(1).max(1)
});

/// `us` microseconds in ticks.
pub fn ticks_of_us(us: u32) -> u32 {
    u32::try_from(u64::from(us) * *PER_US).unwrap_or(u32::MAX)
}

/// `ticks` in nanoseconds.
pub fn ns_of_ticks(ticks: u64) -> u64 {
    u64::try_from(u128::from(ticks) * 1000 / u128::from(*PER_US)).unwrap_or(u64::MAX)
}

/// Spins until `done`, at most so many ticks. Tells whether it was done.
#[inline]
pub fn spin_until(limit: u32, done: impl Fn() -> bool) -> bool {
    let start = ticks();
    loop {
        if done() {
            return true;
        }
        if ticks().wrapping_sub(start) >= u64::from(limit) {
            return false;
        }
        std::hint::spin_loop();
    }
}
