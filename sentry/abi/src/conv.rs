//! Integer conversions that say what they mean, in place of bare `as`.
//!
//! Bevor runs on 64-bit hosts only, so `usize` and `u64` convert without loss.

const _: () = assert!(size_of::<usize>() == size_of::<u64>());

/// Widens a length or offset of the host to 64 bits; lossless.
#[must_use]
#[inline]
pub const fn u64_of(value: usize) -> u64 {
    value as u64
}

/// Turns a 64-bit value into a host length or offset; lossless on the 64-bit hosts Bevor supports.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits, asserted above")]
pub const fn usize_of(value: u64) -> usize {
    value as usize
}

/// Widens a 32-bit value to a host length or offset; lossless.
#[must_use]
#[inline]
pub const fn usize_of_u32(value: u32) -> usize {
    value as usize
}

/// The low 32 bits, as the kernel takes an `unsigned int` argument from a register.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "truncation is the ABI")]
pub const fn low_u32(value: u64) -> u32 {
    value as u32
}

/// The high 32 bits.
#[must_use]
#[inline]
pub const fn high_u32(value: u64) -> u32 {
    low_u32(value >> 32)
}

/// The low 16 bits, as the kernel takes an `unsigned short` argument from a register.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "truncation is the ABI")]
pub const fn low_u16(value: u64) -> u16 {
    value as u16
}

/// The low 8 bits.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "truncation is the ABI")]
pub const fn low_u8(value: u64) -> u8 {
    value as u8
}

/// The low 32 bits as a signed number, as the kernel takes an `int` argument from a register.
#[must_use]
#[inline]
pub const fn as_i32(value: u64) -> i32 {
    low_u32(value).cast_signed()
}

/// The 64 bits as a signed number, as the kernel takes a `long` argument from a register.
#[must_use]
#[inline]
pub const fn as_i64(value: u64) -> i64 {
    value.cast_signed()
}

/// A signed number as it appears in a 64-bit register (sign-extended).
#[must_use]
#[inline]
pub const fn sign_extend(value: i32) -> u64 {
    (value as i64).cast_unsigned()
}

/// A value that must fit 32 bits, saturated when it does not.
#[must_use]
#[inline]
pub const fn saturating_u32(value: u64) -> u32 {
    if value > u32::MAX as u64 { u32::MAX } else { low_u32(value) }
}

/// A value that must fit 63 bits, saturated when it does not.
#[must_use]
#[inline]
pub const fn saturating_i64(value: u64) -> i64 {
    if value > i64::MAX.cast_unsigned() { i64::MAX } else { value.cast_signed() }
}
