//! Terminals beyond `ioctl(2)`: `vhangup(2)`.

use bevor_abi::cap::CAP_SYS_TTY_CONFIG;
use bevor_abi::errno::EPERM;
use bevor_kernel::{Ctx, SysResult};
use bevor_vfs::caller::Caller;

/// `vhangup(2)`.
///
/// # Errors
/// `EPERM`.
pub fn vhangup(ctx: &mut Ctx<'_>) -> SysResult {
    if !ctx.task().cred().has_cap(CAP_SYS_TTY_CONFIG) {
        return Err(EPERM.into());
    }
    if let Some(tty) = ctx.terminal().controlling_tty() {
        tty.hang_up();
    }
    Ok(0)
}
