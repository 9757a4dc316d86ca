//! Memory: `mmap(2)`, `mprotect(2)`, `mremap(2)`, `brk(2)`, `madvise(2)`, `mlock(2)`, `msync(2)`,
//! `process_vm_readv(2)`.

use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_NICE;
use bevor_abi::conv::low_u32;
use bevor_abi::errno::{EACCES, EBADF, EINVAL, EOVERFLOW, EPERM, ESRCH};
use bevor_abi::mman::{
    MADV_COLD, MADV_COLLAPSE, MADV_HUGEPAGE, MADV_NORMAL, MADV_PAGEOUT, MADV_WILLNEED,
    MAP_ANONYMOUS, MAP_NONBLOCK, MAP_SHARED, MAP_SHARED_VALIDATE, MLOCK_ONFAULT, PROT_EXEC,
    PROT_READ,
};
use bevor_abi::prctl::READ_IMPLIES_EXEC;
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::{Holder, IoVecs, MemoryManager, MmapArgs, UserAddr, copy_between};
use bevor_vfs::FileType;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `mmap(2)`.
///
/// # Errors
/// `EACCES`, `EAGAIN`, `EBADF`, `EEXIST`, `EINVAL`, `ENODEV`, `ENOMEM`, `EOVERFLOW`, `EPERM`.
pub fn mmap(
    ctx: &mut Ctx<'_>,
    addr: UserAddr,
    len: u64,
    prot: u64,
    flags: u64,
    fd: i32,
    offset: u64,
) -> SysResult {
    let (prot, flags) = (effective_prot(ctx, low_u32(prot)), low_u32(flags));
    let (file, opened) = if flags & MAP_ANONYMOUS != 0 {
        (None, None)
    } else {
        let file = ctx.file(fd)?;
        if len == 0 {
            return Err(EINVAL.into());
        }
        if file.path().dentry.kind() == FileType::Regular && !fits_a_file(offset, len) {
            return Err(EOVERFLOW.because("beyond the longest file").into());
        }
        if !file.flags().readable() {
            return Err(EACCES.because("the file is not open for reading").into());
        }
        let shared = matches!(flags & 0x0f, MAP_SHARED | MAP_SHARED_VALIDATE);
        if shared && prot & 2 != 0 && !file.flags().writable() {
            return Err(EACCES.because("the file is not open for writing").into());
        }
        let opened: Holder = file.clone();
        (Some(file.ops().mappable(&file)?), Some(opened))
    };
    let args = MmapArgs { addr: addr.0, len, prot, flags, file, opened, offset, name: None };
    Ok(ctx.mm().mmap(args)?)
}

/// Whether any file is long enough for `len` bytes from `offset`.
fn fits_a_file(offset: u64, len: u64) -> bool {
    offset.checked_add(len).is_some_and(|end| i64::try_from(end).is_ok())
}

/// With the personality `READ_IMPLIES_EXEC`, what can be read can be executed.
fn effective_prot(ctx: &Ctx<'_>, prot: u32) -> u32 {
    let implies = ctx.task().personality.load(Ordering::Relaxed) & READ_IMPLIES_EXEC != 0;
    if implies && prot & PROT_READ != 0 { prot | PROT_EXEC } else { prot }
}

/// `munmap(2)`.
///
/// # Errors
/// `EINVAL`, `ENOMEM`.
pub fn munmap(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64) -> SysResult {
    ctx.mm().munmap(addr.0, len)?;
    Ok(0)
}

/// `mprotect(2)`.
///
/// # Errors
/// `EACCES`, `EINVAL`, `ENOMEM`.
pub fn mprotect(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64, prot: u64) -> SysResult {
    let prot = u32::try_from(prot).map_err(|_| EINVAL)?;
    ctx.mm().mprotect(addr.0, len, effective_prot(ctx, prot))?;
    Ok(0)
}

/// `pkey_mprotect(2)`: without protection keys only the key -1 exists.
///
/// # Errors
/// `EINVAL` for another key, and as [`mprotect`].
pub fn pkey_mprotect(
    ctx: &mut Ctx<'_>,
    addr: UserAddr,
    len: u64,
    prot: u64,
    key: i32,
) -> SysResult {
    if key != -1 {
        return Err(EINVAL.into());
    }
    mprotect(ctx, addr, len, prot)
}

/// `mremap(2)`.
///
/// # Errors
/// `EAGAIN`, `EFAULT`, `EINVAL`, `ENOMEM`.
pub fn mremap(
    ctx: &mut Ctx<'_>,
    old: UserAddr,
    old_len: u64,
    new_len: u64,
    flags: u64,
    new: UserAddr,
) -> SysResult {
    let flags = u32::try_from(flags).map_err(|_| EINVAL)?;
    Ok(ctx.mm().mremap(old.0, old_len, new_len, flags, new.0)?)
}

/// `brk(2)`, the system call: returns the end of the data segment.
///
/// # Errors
/// None.
pub fn brk(ctx: &mut Ctx<'_>, end: UserAddr) -> SysResult {
    Ok(ctx.mm().brk(end.0))
}

/// `madvise(2)`.
///
/// # Errors
/// `EACCES`, `EAGAIN`, `EINVAL`, `EIO`, `ENOMEM`, `EPERM`.
pub fn madvise(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64, advice: i32) -> SysResult {
    let thp_disable = ctx.task().group.thp_disable.load(Ordering::Relaxed);
    let advice = match u32::try_from(advice) {
        Ok(MADV_HUGEPAGE) if thp_disable => MADV_NORMAL.cast_signed(),
        _ => advice,
    };
    ctx.mm().madvise(addr.0, len, advice)?;
    Ok(0)
}

/// `mseal(2)`.
///
/// # Errors
/// `EINVAL`, `ENOMEM`.
pub fn mseal(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64, flags: u64) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    ctx.mm().mseal(addr.0, len)?;
    Ok(0)
}

/// `process_madvise(2)`: advice about another process's memory, as far as it goes.
///
/// # Errors
/// `EACCES`, `EBADF`, `EFAULT`, `EINVAL`, `EPERM`, `ESRCH`, and those of [`madvise`].
pub fn process_madvise(
    ctx: &mut Ctx<'_>,
    pidfd: i32,
    iov: UserAddr,
    count: usize,
    advice: i32,
    flags: u64,
) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let ranges = ctx.mm().read_iovecs(iov, count)?;
    let pid = match crate::pidfd::own_pid(ctx, pidfd) {
        Some(own) => own,
        None => crate::pidfd::pid_of(&*ctx.file(pidfd)?).ok_or(EBADF)?,
    };
    let target = ctx.kernel().tree.lock().task(&pid).cloned().ok_or(ESRCH)?;
    if !ctx.task().may_inspect(&target) {
        return Err(EACCES.into());
    }
    let mm = target.mm().ok_or(ESRCH)?;
    let known = u32::try_from(advice).map_err(|_| EINVAL)?;
    // Of others only what loses nothing.
    let harmless = matches!(known, MADV_COLD | MADV_PAGEOUT | MADV_WILLNEED | MADV_COLLAPSE);
    if !harmless && !Arc::ptr_eq(&mm, ctx.mm()) {
        return Err(EINVAL.because("not an advice for other processes").into());
    }
    if !Arc::ptr_eq(&mm, ctx.mm()) && !ctx.task().cred().has_cap(CAP_SYS_NICE) {
        return Err(EPERM.because("needs CAP_SYS_NICE").into());
    }
    let mut done = 0;
    for range in ranges.segments() {
        match mm.madvise(range.addr.0, range.len, advice) {
            Ok(()) => done += range.len,
            Err(errno) if done == 0 => return Err(errno.into()),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// `process_mrelease(2)`: the memory of a process that is ending goes with it, at once.
///
/// # Errors
/// `EBADF`, `EINVAL` for a process that lives, `ESRCH`.
pub fn process_mrelease(ctx: &mut Ctx<'_>, pidfd: i32, flags: u64) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let pid = match crate::pidfd::own_pid(ctx, pidfd) {
        Some(own) => own,
        None => crate::pidfd::pid_of(&*ctx.file(pidfd)?).ok_or(EBADF)?,
    };
    let target = ctx.kernel().tree.lock().task(&pid).cloned().ok_or(ESRCH)?;
    if target.mm().is_none() {
        return Err(ESRCH.into());
    }
    if target.group.is_exiting() {
        return Ok(0);
    }
    Err(EINVAL.because("the process is not ending").into())
}

/// `remap_file_pages(2)`, as Linux does it now: by mapping anew.
///
/// # Errors
/// `EINVAL`, `EAGAIN`, `ENOMEM`.
pub fn remap_file_pages(
    ctx: &mut Ctx<'_>,
    addr: UserAddr,
    size: u64,
    prot: u64,
    page: u64,
    flags: u64,
) -> SysResult {
    if prot != 0 {
        return Err(EINVAL.into());
    }
    let nonblocking = low_u32(flags) & MAP_NONBLOCK != 0;
    ctx.mm().remap_file_pages(addr.0, size, page, nonblocking)?;
    Ok(0)
}

/// `mincore(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `ENOMEM`.
pub fn mincore(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64, vec: UserAddr) -> SysResult {
    ctx.mm().mincore(addr.0, len, vec)?;
    Ok(0)
}

/// `msync(2)`.
///
/// # Errors
/// `EBUSY`, `EINVAL`, `ENOMEM`, `EIO`.
pub fn msync(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64, flags: u32) -> SysResult {
    ctx.mm().msync(addr.0, len, flags)?;
    Ok(0)
}

/// `mlock(2)`.
///
/// # Errors
/// `EAGAIN`, `EINVAL`, `ENOMEM`, `EPERM`.
pub fn mlock(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64) -> SysResult {
    ctx.mm().mlock(addr.0, len, false)?;
    Ok(0)
}

/// `mlock2(2)`.
///
/// # Errors
/// As [`mlock`].
pub fn mlock2(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64, flags: u32) -> SysResult {
    if flags & !MLOCK_ONFAULT != 0 {
        return Err(EINVAL.into());
    }
    ctx.mm().mlock(addr.0, len, flags & MLOCK_ONFAULT != 0)?;
    Ok(0)
}

/// `munlock(2)`.
///
/// # Errors
/// `EINVAL`, `ENOMEM`.
pub fn munlock(ctx: &mut Ctx<'_>, addr: UserAddr, len: u64) -> SysResult {
    ctx.mm().munlock(addr.0, len)?;
    Ok(0)
}

/// `mlockall(2)`.
///
/// # Errors
/// `EINVAL`, `ENOMEM`, `EPERM`.
pub fn mlockall(ctx: &mut Ctx<'_>, flags: u32) -> SysResult {
    ctx.mm().mlockall(flags)?;
    Ok(0)
}

/// `munlockall(2)`.
///
/// # Errors
/// None of its own.
pub fn munlockall(ctx: &mut Ctx<'_>) -> SysResult {
    ctx.mm().munlockall()?;
    Ok(0)
}

/// The memory of another task, if the caller may look into it (`ptrace(2)`, "Ptrace access mode
/// checking", `PTRACE_MODE_ATTACH_REALCREDS`).
fn memory_of(ctx: &Ctx<'_>, pid: i32) -> Result<Arc<MemoryManager>, Errno> {
    let target = ctx.task().pid().namespace().find(pid).ok_or(ESRCH)?;
    let target = ctx.kernel().tree.lock().task(&target).cloned().ok_or(ESRCH)?;
    if !ctx.task().may_inspect(&target) {
        return Err(EPERM.into());
    }
    target.mm().ok_or_else(|| ESRCH.into())
}

/// Copies between the caller's segments and another process's; as far as it goes.
fn transfer(
    ctx: &Ctx<'_>,
    pid: i32,
    local: (UserAddr, usize),
    remote: (UserAddr, usize),
    flags: u64,
    to_local: bool,
) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let own = ctx.mm();
    let local: IoVecs = own.read_iovecs(local.0, local.1)?;
    let remote: IoVecs = own.read_iovecs(remote.0, remote.1)?;
    let other = memory_of(ctx, pid)?;
    let mut done = 0_u64;
    let mut ours = local.segments().iter().copied();
    let mut theirs = remote.segments().iter().copied();
    let (mut mine, mut its) = (ours.next(), theirs.next());
    while let (Some(a), Some(b)) = (mine, its) {
        let len = a.len.min(b.len);
        let copied = if len == 0 {
            Ok(0)
        } else if to_local {
            copy_between(&other, b.addr, own, a.addr, len)
        } else {
            copy_between(own, a.addr, &other, b.addr, len)
        };
        match copied {
            Ok(copied) => done += copied,
            Err(errno) if done == 0 => return Err(errno.into()),
            Err(_) => return Ok(done),
        }
        if copied.is_ok_and(|copied| copied < len) {
            return Ok(done);
        }
        let rest = |segment: bevor_memory::UserSlice| {
            let left = segment.len - len;
            let addr = UserAddr(segment.addr.0.wrapping_add(len));
            (left != 0).then_some(bevor_memory::UserSlice { addr, len: left })
        };
        mine = rest(a).or_else(|| ours.next());
        its = rest(b).or_else(|| theirs.next());
    }
    Ok(done)
}

/// `process_vm_readv(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EPERM`, `ESRCH`.
pub fn process_vm_readv(
    ctx: &mut Ctx<'_>,
    pid: i32,
    local: UserAddr,
    nr_local: usize,
    remote: UserAddr,
    nr_remote: usize,
    flags: u64,
) -> SysResult {
    transfer(ctx, pid, (local, nr_local), (remote, nr_remote), flags, true)
}

/// `process_vm_writev(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EPERM`, `ESRCH`.
pub fn process_vm_writev(
    ctx: &mut Ctx<'_>,
    pid: i32,
    local: UserAddr,
    nr_local: usize,
    remote: UserAddr,
    nr_remote: usize,
    flags: u64,
) -> SysResult {
    transfer(ctx, pid, (local, nr_local), (remote, nr_remote), flags, false)
}
