//! Handles of files: `name_to_handle_at(2)`, `open_by_handle_at(2)`.

use crate::paths;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_DAC_READ_SEARCH;
use bevor_abi::conv::{as_i32, usize_of_u32};
use bevor_abi::errno::{EINVAL, EOPNOTSUPP, EOVERFLOW, EPERM, ESTALE};
use bevor_abi::fcntl::{
    AT_EMPTY_PATH, AT_FDCWD, AT_HANDLE_CONNECTABLE, AT_HANDLE_FID, AT_HANDLE_MNT_ID_UNIQUE,
    AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, FileHandle, O_CLOEXEC, O_CREAT, O_LARGEFILE, O_PATH,
};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::file::OpenFlags;
use bevor_vfs::namei::perm::capable;
use bevor_vfs::{At, Path, namei};
use zerocopy::IntoBytes;

/// Longest handle.
const MAX_HANDLE_BYTES: u32 = 128;
/// Bytes of a handle: generation, and inode number.
const HANDLE_BYTES: u32 = 12;
/// The type of a handle that names the inode alone.
const TYPE_INODE: i32 = 1;

fn contents(at: UserAddr) -> Result<UserAddr, Errno> {
    let head = size_of::<FileHandle>() as u64;
    at.0.checked_add(head).map(UserAddr).ok_or_else(|| bevor_abi::errno::EFAULT.into())
}

/// `name_to_handle_at(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EOPNOTSUPP`, `EOVERFLOW`, and those of paths.
pub fn name_to_handle_at(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    handle: UserAddr,
    mount_id: UserAddr,
    flags: u32,
) -> SysResult {
    let known = AT_SYMLINK_FOLLOW
        | AT_EMPTY_PATH
        | AT_HANDLE_FID
        | AT_HANDLE_MNT_ID_UNIQUE
        | AT_HANDLE_CONNECTABLE;
    let both = AT_HANDLE_CONNECTABLE | AT_HANDLE_FID;
    if flags & !known != 0 || flags & both == both {
        return Err(EINVAL.into());
    }
    let follow = if flags & AT_SYMLINK_FOLLOW != 0 { 0 } else { AT_SYMLINK_NOFOLLOW };
    let path = paths::start(ctx, dirfd, path)?.resolve(ctx, follow | (flags & AT_EMPTY_PATH))?;
    let superblock = path.mount.superblock();
    if !superblock.fs().decodes_handles() || flags & AT_HANDLE_CONNECTABLE != 0 {
        return Err(EOPNOTSUPP.because("no handles of this kind").into());
    }
    let FileHandle { handle_bytes: room, .. } = ctx.mm().read(handle)?;
    if room > MAX_HANDLE_BYTES {
        return Err(EINVAL.into());
    }
    if flags & AT_HANDLE_MNT_ID_UNIQUE != 0 {
        ctx.mm().write(mount_id, &path.mount.unique_id())?;
    } else {
        ctx.mm().write(mount_id, &as_i32(path.mount.id()))?;
    }
    if room < HANDLE_BYTES {
        let head = FileHandle { handle_bytes: HANDLE_BYTES, handle_type: 255 };
        ctx.mm().write(handle, &head)?;
        return Err(EOVERFLOW.into());
    }
    superblock.remember_handle(&path.dentry);
    let head = FileHandle { handle_bytes: HANDLE_BYTES, handle_type: TYPE_INODE };
    let mut bytes = head.as_bytes().to_vec();
    bytes.extend_from_slice(&0u32.to_le_bytes());
    bytes.extend_from_slice(&path.inode().ino().to_le_bytes());
    ctx.mm().write_bytes(handle, &bytes)?;
    Ok(0)
}

/// `open_by_handle_at(2)`.
///
/// # Errors
/// `EBADF`, `EFAULT`, `EINVAL`, `EPERM`, `ESTALE`, and as `open(2)`.
pub fn open_by_handle_at(
    ctx: &mut Ctx<'_>,
    mount_fd: i32,
    handle: UserAddr,
    flags: u32,
) -> SysResult {
    let fs = ctx.task().fs().context();
    let cred = ctx.task().cred();
    let anchor = if mount_fd == AT_FDCWD {
        fs.cwd.clone()
    } else {
        ctx.files().get_any(mount_fd)?.path().clone()
    };
    let head: FileHandle = ctx.mm().read(handle)?;
    let known_type = (0..=0x3_ffff).contains(&head.handle_type);
    if head.handle_bytes == 0 || head.handle_bytes > MAX_HANDLE_BYTES || !known_type {
        return Err(EINVAL.into());
    }
    let mut bytes = vec![0; usize_of_u32(head.handle_bytes)];
    ctx.mm().read_bytes(contents(handle)?, &mut bytes)?;
    let stale = || ESTALE.because("no such file");
    if !capable(&cred, CAP_DAC_READ_SEARCH) {
        return Err(EPERM.because("needs CAP_DAC_READ_SEARCH").into());
    }
    // As in tmpfs, the type is not looked at.
    let (generation, rest) = bytes.split_first_chunk().ok_or_else(stale)?;
    let ino = rest.first_chunk().map(|ino| u64::from_le_bytes(*ino));
    let (0, Some(ino)) = (u32::from_le_bytes(*generation), ino) else {
        return Err(stale().into());
    };
    let dentry = anchor.mount.superblock().by_handle(ino).ok_or_else(stale)?;
    let path = Path { mount: anchor.mount, dentry };
    let at = At::cwd(&fs, ctx, &cred);
    let large = if flags & O_PATH == 0 { O_LARGEFILE } else { 0 };
    let how = namei::OpenHow { flags: OpenFlags(flags & !O_CREAT | large), mode: 0 };
    let file = namei::open_handle(&at, path, how)?;
    Ok(u64::from(ctx.install(file, flags & O_CLOEXEC != 0)?.cast_unsigned()))
}
