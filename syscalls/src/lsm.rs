//! Security modules: `lsm_list_modules(2)`, `lsm_get_self_attr(2)`, `lsm_set_self_attr(2)`.
//!
//! Capabilities and Landlock are the modules, and have no attributes.

use bevor_abi::errno::{E2BIG, EFAULT, EINVAL, EOPNOTSUPP};
use bevor_abi::system::{LSM_ID_CAPABILITY, LSM_ID_LANDLOCK};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::{PAGE_SIZE, UserAddr};

/// Bytes of the list of modules.
const LIST_BYTES: u32 = 16;
/// `LSM_FLAG_SINGLE`: of one module only.
const LSM_FLAG_SINGLE: u32 = 1;
/// Bytes of a `struct lsm_ctx` without its context.
const HEADER_BYTES: u32 = 32;

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
    ctx: &mut Ctx<'_>,
    attribute: u32,
    _context: UserAddr,
    size: UserAddr,
    flags: u32,
) -> SysResult {
    if attribute == 0 || size.is_null() {
        return Err(EINVAL.into());
    }
    ctx.mm().read::<u32>(size)?;
    if flags & !LSM_FLAG_SINGLE != 0 {
        return Err(EINVAL.into());
    }
    Err(EOPNOTSUPP.because("no security module has attributes").into())
}

/// `lsm_set_self_attr(2)`.
///
/// # Errors
/// `EINVAL`, `EOPNOTSUPP`: no module has attributes.
pub fn lsm_set_self_attr(
    ctx: &mut Ctx<'_>,
    _attribute: u32,
    context: UserAddr,
    size: u32,
    flags: u32,
) -> SysResult {
    if flags != 0 || size < HEADER_BYTES {
        return Err(EINVAL.into());
    }
    if u64::from(size) > PAGE_SIZE {
        return Err(E2BIG.into());
    }
    // Id of the module, flags, length of it all, length of the context.
    let header: Vec<u64> = ctx.mm().read_array(context, 4)?;
    let [_, _, whole, inner] = header[..] else { return Err(EFAULT.into()) };
    let needed = inner.checked_add(HEADER_BYTES.into()).ok_or(EINVAL)?;
    if u64::from(size) < whole || whole < needed {
        return Err(EINVAL.into());
    }
    Err(EOPNOTSUPP.because("no security module has attributes").into())
}
