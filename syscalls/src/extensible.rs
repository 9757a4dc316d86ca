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
    if size > MAX_BYTES {
        return Err(E2BIG.into());
    }
    if size < least {
        return Err(EINVAL.into());
    }
    let own = size_of::<T>();
    let mut bytes = vec![0; size.max(own)];
    ctx.mm().read_bytes(at, bytes.get_mut(..size).unwrap_or_default())?;
    let (value, rest) = T::read_from_prefix(&bytes).map_err(|_| EINVAL)?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(E2BIG.because("fields are set that are not known"));
    }
    Ok(value)
}
