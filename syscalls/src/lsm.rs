//! Security modules: `lsm_list_modules(2)`, `lsm_get_self_attr(2)`, `lsm_set_self_attr(2)`.
//!
//! Capabilities and Landlock are the modules, and have no attributes.

use bevor_abi::errno::{E2BIG, EINVAL, EOPNOTSUPP};
use bevor_abi::system::{LSM_ATTRIBUTES, LSM_ID_CAPABILITY, LSM_ID_LANDLOCK};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;

/// Bytes of the list of modules.
const LIST_BYTES: u32 = 16;

/// `lsm_list_modules(2)`: returns how many there are.
///
/// # Errors
/// `E2BIG` with too little room, `EFAULT`, `EINVAL`.
pub fn lsm_list_modules(ctx: &mut Ctx<'_>, ids: UserAddr, size: UserAddr, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let room: u32 = ctx.mm().read(size)?;
    ctx.mm().write(size, &LIST_BYTES)?;
    if room < LIST_BYTES {
        return Err(E2BIG.into());
    }
    ctx.mm().write(ids, &[LSM_ID_CAPABILITY, LSM_ID_LANDLOCK])?;
    Ok(2)
}

/// `lsm_get_self_attr(2)`.
///
/// # Errors
/// `EINVAL`, `EOPNOTSUPP`: no module has attributes.
pub fn lsm_get_self_attr(
    _ctx: &mut Ctx<'_>,
    attribute: u32,
    _context: UserAddr,
    size: UserAddr,
    _flags: u32,
) -> SysResult {
    if LSM_ATTRIBUTES.name(attribute.into()).is_none() || size.is_null() {
        return Err(EINVAL.into());
    }
    Err(EOPNOTSUPP.because("no security module has attributes").into())
}

/// `lsm_set_self_attr(2)`.
///
/// # Errors
/// `EINVAL`, `EOPNOTSUPP`: no module has attributes.
pub fn lsm_set_self_attr(
    _ctx: &mut Ctx<'_>,
    attribute: u32,
    _context: UserAddr,
    _size: u32,
    flags: u32,
) -> SysResult {
    if flags != 0 || LSM_ATTRIBUTES.name(attribute.into()).is_none() {
        return Err(EINVAL.into());
    }
    Err(EOPNOTSUPP.because("no security module has attributes").into())
}
