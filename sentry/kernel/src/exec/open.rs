//! Opening a file to execute it.

use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, ELOOP};
use bevor_abi::inotify::IN_OPEN;
use bevor_vfs::file::{File, OpenFlags};
use bevor_vfs::inode::MAY_EXEC;
use bevor_vfs::landlock;
use bevor_vfs::mount::{MountFlags, Path};
use bevor_vfs::namei::perm;
use bevor_vfs::notify;
use bevor_vfs::{At, Caller, FileType, LastLink};
use std::sync::Arc;

/// Opens the program `path` names, as seen from `at`.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `ELOOP`, `EACCES` (no permission, no regular file, `noexec`).
pub fn open_at(at: &At<'_>, path: &[u8], last: LastLink) -> Result<Arc<File>, Errno> {
    open_path(at.caller, at.resolve(path, last)?)
}

/// Opens a program by place (`execveat` with `AT_EMPTY_PATH`).
///
/// # Errors
/// `EACCES`, `ELOOP`, `ETXTBSY`.
pub fn open_path(caller: &dyn Caller, path: Path) -> Result<Arc<File>, Errno> {
    match path.dentry.kind() {
        FileType::Regular => {}
        FileType::Symlink => return Err(ELOOP.into()),
        _ => return Err(EACCES.because("not a regular file")),
    }
    if path.mount.flags().has(MountFlags::NOEXEC) {
        return Err(EACCES.because("mounted with noexec"));
    }
    perm::permission(&path, &caller.cred(), MAY_EXEC)?;
    let flags = OpenFlags(0);
    landlock::check_open(&path, &caller.cred(), flags, true)?;
    let ops = path.inode().clone().open(flags, caller)?;
    let file = File::new(ops, path, flags);
    file.deny_writes()?;
    notify::file(&file, IN_OPEN);
    Ok(file)
}
