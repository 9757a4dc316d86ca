//! `memfd_create(2)` and file seals.

use bevor_abi::conv::low_u32;
use bevor_abi::errno::{EFAULT, EINVAL};
use bevor_abi::mman::MFD_CLOEXEC;
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::file::File;
use bevor_vfs::memfd;

/// Longest name with its NUL (`MFD_NAME_MAX_LEN`).
const NAME_BYTES: usize = 250;

/// `memfd_create(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EMFILE`, `ENOMEM`.
pub fn memfd_create(ctx: &mut Ctx<'_>, name: UserAddr, flags: u32) -> SysResult {
    let name = match ctx.mm().read_cstr(name, NAME_BYTES) {
        Ok(name) => name,
        Err(errno) if errno == EFAULT => return Err(errno.into()),
        Err(_) => return Err(EINVAL.because("name too long").into()),
    };
    let mm = ctx.mm();
    let file = memfd::create(mm.pool(), mm.account(), &ctx.task().cred(), &name, flags)?;
    let fd = ctx.install(file, flags & MFD_CLOEXEC != 0)?;
    Ok(u64::from(fd.cast_unsigned()))
}

/// `fcntl(F_ADD_SEALS)`, `fcntl(F_GET_SEALS)`.
///
/// # Errors
/// `EINVAL` for a file that takes no seals; `EPERM`, `EBUSY`.
pub fn seals(file: &File, add: bool, arg: u64) -> SysResult {
    if add {
        memfd::add_seals(file, low_u32(arg))?;
        return Ok(0);
    }
    Ok(u64::from(memfd::seals(file)?))
}
