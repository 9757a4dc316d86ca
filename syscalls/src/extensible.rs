//! Structures that grow from release to release: the caller says how long its own is
//! (`copy_struct_from_user`).

use bevor_abi::Errno;
use bevor_abi::errno::{E2BIG, EINVAL};
use bevor_kernel::Ctx;
use bevor_memory::UserAddr;
use zerocopy::FromBytes;

/// Longest structure that is looked at.
pub const MAX_BYTES: usize = 4096;

/// Reads a structure of `size` bytes, at least `least`. What the caller's has not is 0; what this
/// kernel does not know must be.
///
/// # Errors
/// `EINVAL` too short; `E2BIG` too long, or something unknown is set; `EFAULT`.
pub fn read<T: FromBytes>(
    ctx: &Ctx<'_>,
    at: UserAddr,
    size: usize,
    least: usize,
) -> Result<T, Errno> {
    let mut bytes = vec![0; room::<T>(size, least)?];
    ctx.mm().read_bytes(at, bytes.get_mut(..size).unwrap_or_default())?;
    interpret(&bytes)
}

/// How many bytes to hold for a caller's `size` bytes.
fn room<T>(size: usize, least: usize) -> Result<usize, Errno> {
    if size > MAX_BYTES {
        return Err(E2BIG.into());
    }
    if size < least {
        return Err(EINVAL.into());
    }
    Ok(size.max(size_of::<T>()))
}

/// What is known of the bytes; the rest must be 0.
fn interpret<T: FromBytes>(bytes: &[u8]) -> Result<T, Errno> {
    let (value, rest) = T::read_from_prefix(bytes).map_err(|_| EINVAL)?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(E2BIG.because("fields are set that are not known"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_abi::fcntl::OpenHow;
    use bevor_abi::mount::MountAttr;
    use bevor_abi::sched::CloneArgs;
    use proptest::prelude::*;

    /// Reads `given` as a caller's structure of that length.
    fn read_as<T: FromBytes>(given: &[u8], least: usize) -> Result<T, Errno> {
        let mut bytes = vec![0; room::<T>(given.len(), least)?];
        bytes[..given.len()].copy_from_slice(given);
        interpret(&bytes)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn any_length_is_refused_or_read(
            len in prop_oneof![0..200_usize, 4090..4100_usize],
            fill in prop_oneof![3 => Just(0_u8), 1 => any::<u8>()],
            places: Vec<(prop::sample::Index, u8)>,
        ) {
            let mut given = vec![fill; len];
            for (place, byte) in places.iter().filter(|_| len > 0) {
                given[place.index(len)] = *byte;
            }
            let unknown = |own: usize| given.iter().skip(own).any(|&byte| byte != 0);
            let right = |own, least| (least..=MAX_BYTES).contains(&len) && !unknown(own);
            let how = read_as::<OpenHow>(&given, 24);
            prop_assert_eq!(how.is_ok(), right(size_of::<OpenHow>(), 24));
            let clone = read_as::<CloneArgs>(&given, 64);
            prop_assert_eq!(clone.is_ok(), right(size_of::<CloneArgs>(), 64));
            let mount = read_as::<MountAttr>(&given, 32);
            prop_assert_eq!(mount.is_ok(), right(size_of::<MountAttr>(), 32));
        }
    }
}
