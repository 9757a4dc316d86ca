//! Record locks of `fcntl(2)` and whole-file locks of `flock(2)`.

use bevor_abi::errno::ENOLCK;
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::file::File;
use std::sync::Arc;

/// Drops the caller's record locks on a file of which it closed a descriptor.
pub const fn release_posix(_ctx: &Ctx<'_>, _file: &Arc<File>) {}

/// The locking commands of `fcntl(2)`.
///
/// # Errors
/// `ENOLCK`: there are no record locks yet.
pub fn fcntl(_ctx: &Ctx<'_>, _file: &Arc<File>, _command: u32, _arg: UserAddr) -> SysResult {
    Err(ENOLCK.because("record locks are not implemented yet").into())
}
