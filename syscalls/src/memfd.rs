//! `memfd_create(2)` and file seals.

use bevor_abi::errno::EINVAL;
use bevor_kernel::SysResult;
use bevor_vfs::file::File;

/// `fcntl(F_ADD_SEALS)`, `fcntl(F_GET_SEALS)`.
///
/// # Errors
/// `EINVAL` for a file that takes no seals.
pub fn seals(_file: &File, _add: bool, _arg: u64) -> SysResult {
    Err(EINVAL.because("file seals are not implemented yet").into())
}
