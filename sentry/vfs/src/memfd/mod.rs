//! `memfd_create(2)` and file seals (`fcntl(2)`).

use crate::dentry::Name;
use crate::file::{File, OpenFlags};
use crate::inode::{Inode, InodeRef, NewAttr};
use crate::mount::Path;
use crate::tmpfs::{TmpFs, TmpInode};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENODEV, EPERM};
use bevor_abi::fcntl::{
    F_SEAL_EXEC, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE,
    O_LARGEFILE, O_RDWR,
};
use bevor_abi::mman::{
    MAP_HUGE_MASK, MAP_HUGE_SHIFT, MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_HUGETLB,
    MFD_NOEXEC_SEAL,
};
use bevor_base::Credentials;
use bevor_memory::{Account, MemoryPool};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// Longest name (`MFD_NAME_MAX_LEN`): 255 less the prefix.
const NAME_MAX: usize = 249;

/// One internal tmpfs per account, made when first needed.
static SHM: Mutex<Vec<(Weak<Account>, Arc<TmpFs>)>> = Mutex::new(Vec::new());

/// The internal, never mounted tmpfs whose pages `account` pays (memfds, System V memory).
#[must_use]
pub fn internal_fs(pool: &Arc<MemoryPool>, account: &Arc<Account>) -> Arc<TmpFs> {
    let mut all = SHM.lock();
    all.retain(|(owner, _)| owner.strong_count() > 1);
    let mine = Arc::downgrade(account);
    if let Some((_, fs)) = all.iter().find(|(owner, _)| owner.ptr_eq(&mine)) {
        return fs.clone();
    }
    let fs = TmpFs::unlimited(pool, account);
    all.push((mine, fs.clone()));
    fs
}

/// Makes an anonymous file in memory. `flags` are `MFD_*`; `MFD_CLOEXEC` is the caller's.
///
/// # Errors
/// `EINVAL` for unknown flags or a long name, `ENODEV` for huge pages, `ENOSPC`.
pub fn create(
    pool: &Arc<MemoryPool>,
    account: &Arc<Account>,
    cred: &Credentials,
    name: &[u8],
    flags: u32,
) -> Result<Arc<File>, Errno> {
    let known = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC;
    if flags & MFD_HUGETLB != 0 {
        let size = MAP_HUGE_MASK << MAP_HUGE_SHIFT;
        return Err(if flags & !(known | MFD_HUGETLB | size) == 0 { ENODEV } else { EINVAL }
            .because("no huge pages"));
    }
    if flags & !known != 0 {
        return Err(EINVAL.because("unknown flag"));
    }
    if flags & MFD_EXEC != 0 && flags & MFD_NOEXEC_SEAL != 0 {
        return Err(EINVAL.into());
    }
    if name.len() > NAME_MAX {
        return Err(EINVAL.because("name too long"));
    }
    let noexec = flags & MFD_NOEXEC_SEAL != 0;
    let mode = if noexec { 0o666 } else { 0o777 };
    let attr = NewAttr { mode, uid: cred.fsuid, gid: cred.fsgid };
    let inode = TmpInode::regular(&internal_fs(pool, account), attr, 0)?;
    if noexec || flags & MFD_ALLOW_SEALING != 0 {
        inode.content()?.allow_sealing();
    }
    if noexec {
        inode.content()?.add_seals(F_SEAL_EXEC)?;
    }
    let shown: Name = [b"/memfd:", name, b" (deleted)"].concat().into();
    let flags = OpenFlags(O_RDWR | O_LARGEFILE);
    let ops = inode.clone().open_content();
    let inode: InodeRef = inode;
    let file = File::new(ops, Path::anonymous(inode, shown, false), flags);
    file.count_writer()?;
    Ok(file)
}

fn content_of(file: &File) -> Result<&TmpInode, Errno> {
    let inode = file.inode().as_any().downcast_ref::<TmpInode>();
    inode.filter(|inode| inode.content().is_ok()).ok_or_else(|| EINVAL.because("no seals here"))
}

/// `fcntl(F_GET_SEALS)`.
///
/// # Errors
/// `EINVAL` for files that know no seals.
pub fn seals(file: &File) -> Result<u32, Errno> {
    Ok(content_of(file)?.content()?.seals())
}

/// `fcntl(F_ADD_SEALS)`.
///
/// # Errors
/// `EINVAL` for unknown seals or files that know none, `EPERM`, `EBUSY`.
pub fn add_seals(file: &File, seals: u32) -> Result<(), Errno> {
    let known = F_SEAL_SEAL
        | F_SEAL_SHRINK
        | F_SEAL_GROW
        | F_SEAL_WRITE
        | F_SEAL_FUTURE_WRITE
        | F_SEAL_EXEC;
    let inode = content_of(file)?;
    if !file.flags().writable() {
        return Err(EPERM.because("not open for writing"));
    }
    if seals & !known != 0 {
        return Err(EINVAL.into());
    }
    let mut seals = seals;
    if seals & F_SEAL_EXEC != 0 && inode.attr()?.mode & 0o111 != 0 {
        // A sealed program must not change either.
        seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
    }
    inode.content()?.add_seals(seals)
}
