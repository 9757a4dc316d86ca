//! System V shared memory: `shmget(2)`, `shmat(2)`, `shmdt(2)`, `shmctl(2)`.

use bevor_abi::Errno;
use bevor_abi::cap::CAP_IPC_LOCK;
use bevor_abi::errno::{EEXIST, EINVAL, ENOMEM, EPERM};
use bevor_abi::ipc::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, SHM_EXEC, SHM_HUGETLB, SHM_INFO, SHM_LOCK, SHM_RDONLY,
    SHM_REMAP, SHM_RND, SHM_STAT, SHM_STAT_ANY, SHM_UNLOCK, SHMMNI, ShmInfo, Shmid64Ds, Shminfo64,
};
use bevor_abi::mman::{
    MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE,
};
use bevor_kernel::ipc::{IpcNamespace, Permissions, Segment, is_segment, now_seconds};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::{Mappable, MmapArgs, PAGE_SIZE, UserAddr};
use std::sync::Arc;

use crate::ipc;

/// Largest segment, bytes (`/proc/sys/kernel/shmmax`).
const MAX_LEN: u64 = u64::MAX - (1 << 24);
/// Most pages in all segments (`/proc/sys/kernel/shmall`).
const MAX_PAGES: u64 = MAX_LEN / PAGE_SIZE;

/// `shmget(2)`.
///
/// # Errors
/// `EACCES`, `EEXIST`, `EINVAL`, `ENOENT`, `ENOMEM`, `ENOSPC`, `EPERM`.
pub fn shmget(ctx: &mut Ctx<'_>, key: i32, len: u64, flags: u32) -> SysResult {
    let (namespace, cred) = (ipc::namespace(ctx), ctx.task().cred());
    let account = ctx.mm().account();
    let cpid = ctx.task().tgid();
    let mut segments = namespace.segments.lock();
    segments.sweep(Segment::is_gone);
    let id = segments.find_or_make(
        key,
        flags,
        |segment: &Segment| {
            segment.state().permissions.check(&cred, &namespace, flags)?;
            if len > segment.len { Err(EINVAL.into()) } else { Ok(()) }
        },
        |id, seq| {
            let in_pages = len.checked_next_multiple_of(PAGE_SIZE).filter(|&len| len <= MAX_LEN);
            if len == 0 || in_pages.is_none() {
                return Err(EINVAL.because("size of the segment"));
            }
            if flags & SHM_HUGETLB != 0 {
                let why = if cred.has_cap(CAP_IPC_LOCK) { ENOMEM } else { EPERM };
                return Err(why.because("no huge pages"));
            }
            let permissions = Permissions::new(key, flags, seq, &cred);
            Segment::new(id, permissions, len, cpid, &ctx.kernel().memory, account)
        },
    )?;
    Ok(u64::from(id.cast_unsigned()))
}

/// The segment of this id, if it has not ended.
fn segment(namespace: &IpcNamespace, id: i32) -> Result<Arc<Segment>, Errno> {
    let mut segments = namespace.segments.lock();
    let segment = segments.get(id)?;
    if segment.is_gone() {
        segments.remove(id);
        return Err(EINVAL.because("the segment was removed"));
    }
    Ok(segment)
}

/// `shmat(2)`: returns the address.
///
/// # Errors
/// `EACCES`, `EINVAL`, `ENOMEM`.
pub fn shmat(ctx: &mut Ctx<'_>, id: i32, addr: UserAddr, flags: u32) -> SysResult {
    let namespace = ipc::namespace(ctx);
    let addr = match addr.0 {
        addr if addr % PAGE_SIZE == 0 => addr,
        addr if flags & SHM_RND != 0 => addr - addr % PAGE_SIZE,
        _ => return Err(EINVAL.because("address not page aligned").into()),
    };
    if addr == 0 && flags & SHM_REMAP != 0 {
        return Err(EINVAL.into());
    }
    let (mut prot, mut wanted) = (PROT_READ, 0o444);
    if flags & SHM_RDONLY == 0 {
        prot |= PROT_WRITE;
        wanted |= 0o222;
    }
    if flags & SHM_EXEC != 0 {
        prot |= PROT_EXEC;
        wanted |= 0o111;
    }
    let segment = segment(&namespace, id)?;
    segment.state().permissions.check(&ctx.task().cred(), &namespace, wanted)?;
    let memory = segment.memory().ok_or(EINVAL)?;
    let place = match addr {
        0 => 0,
        _ if flags & SHM_REMAP != 0 => MAP_FIXED,
        _ => MAP_FIXED_NOREPLACE,
    };
    let args = MmapArgs {
        addr,
        len: segment.len,
        prot,
        flags: MAP_SHARED | place,
        file: Some(memory as Arc<dyn Mappable>),
        ..MmapArgs::default()
    };
    let mapped = ctx.mm().mmap(args).map_err(|errno| {
        if errno == EEXIST { EINVAL.because("something is mapped there") } else { errno }
    })?;
    let mut state = segment.state();
    state.atime = now_seconds();
    state.lpid = ctx.task().tgid();
    Ok(mapped)
}

/// `shmdt(2)`.
///
/// # Errors
/// `EINVAL`: no segment is attached there.
pub fn shmdt(ctx: &mut Ctx<'_>, addr: UserAddr) -> SysResult {
    let nothing = || EINVAL.because("no segment is attached there");
    if !addr.is_aligned(PAGE_SIZE) {
        return Err(EINVAL.into());
    }
    let maps = ctx.mm().maps();
    // What is left of the attachment, were parts of it unmapped or protected otherwise.
    let belongs = |map: &&bevor_memory::MapEntry| {
        is_segment(&map.name) && map.range.start.checked_sub(map.offset) == Some(addr.0)
    };
    let ino = maps.iter().find(belongs).map(|map| map.name.ino).ok_or_else(nothing)?;
    for map in maps.iter().filter(belongs).filter(|map| map.name.ino == ino) {
        ctx.mm().munmap(map.range.start, map.range.end - map.range.start)?;
    }
    let namespace = ipc::namespace(ctx);
    let mut segments = namespace.segments.lock();
    let found = u32::try_from(ino).map(|id| segments.get(id.cast_signed()));
    if let Ok(Ok(segment)) = found {
        let mut state = segment.state();
        state.dtime = now_seconds();
        state.lpid = ctx.task().tgid();
    }
    segments.sweep(Segment::is_gone);
    Ok(0)
}

/// `shmctl(2)`.
///
/// # Errors
/// `EACCES`, `EFAULT`, `EINVAL`, `EPERM`.
pub fn shmctl(ctx: &mut Ctx<'_>, id: i32, command: u32, buf: UserAddr) -> SysResult {
    let namespace = ipc::namespace(ctx);
    let cred = ctx.task().cred();
    let command = ipc::command(command);
    match command {
        IPC_INFO => return limits(ctx, &namespace, buf),
        SHM_INFO => return usage(ctx, &namespace, buf),
        SHM_STAT | SHM_STAT_ANY => {
            let found = namespace.segments.lock().at_index(id);
            let (id, segment) = found.and_then(|(id, found)| {
                if found.is_gone() { Err(EINVAL.into()) } else { Ok((id, found)) }
            })?;
            if command == SHM_STAT {
                segment.state().permissions.check(&cred, &namespace, 0o444)?;
            }
            stat(ctx, &segment, buf)?;
            return Ok(u64::from(id.cast_unsigned()));
        }
        _ => {}
    }
    let segment = segment(&namespace, id)?;
    match command {
        IPC_STAT => {
            segment.state().permissions.check(&cred, &namespace, 0o444)?;
            stat(ctx, &segment, buf)?;
        }
        IPC_SET => {
            let wanted: Shmid64Ds = ctx.mm().read(buf)?;
            let (uid, gid, mode) = ipc::given(ctx, &wanted.shm_perm)?;
            let mut state = segment.state();
            state.permissions.check_owner(&cred, &namespace)?;
            state.permissions.set(uid, gid, mode);
            state.ctime = now_seconds();
        }
        IPC_RMID => {
            segment.state().permissions.check_owner(&cred, &namespace)?;
            segment.remove();
            let mut segments = namespace.segments.lock();
            segments.forget_key(id);
            segments.sweep(Segment::is_gone);
        }
        SHM_LOCK | SHM_UNLOCK => {
            let owner = segment.state().permissions.check_owner(&cred, &namespace);
            if !cred.has_cap(CAP_IPC_LOCK) && owner.is_err() {
                return Err(EPERM.into());
            }
            segment.set_locked(command == SHM_LOCK);
        }
        _ => return Err(EINVAL.into()),
    }
    Ok(0)
}

fn stat(ctx: &Ctx<'_>, segment: &Segment, out: UserAddr) -> Result<(), Errno> {
    let shm_nattch = segment.nr_attached();
    let answer = {
        let state = segment.state();
        Shmid64Ds {
            shm_perm: ipc::shown(ctx, &state.permissions),
            shm_segsz: segment.len,
            shm_atime: state.atime,
            shm_dtime: state.dtime,
            shm_ctime: state.ctime,
            shm_cpid: segment.cpid,
            shm_lpid: state.lpid,
            shm_nattch,
            ..Shmid64Ds::default()
        }
    };
    ctx.mm().write(out, &answer)
}

fn limits(ctx: &Ctx<'_>, namespace: &IpcNamespace, out: UserAddr) -> SysResult {
    let answer = Shminfo64 {
        shmmax: MAX_LEN,
        shmmin: 1,
        shmmni: SHMMNI.into(),
        shmseg: SHMMNI.into(),
        shmall: MAX_PAGES,
        ..Shminfo64::default()
    };
    ctx.mm().write(out, &answer)?;
    Ok(namespace.segments.lock().highest_index().into())
}

fn usage(ctx: &Ctx<'_>, namespace: &IpcNamespace, out: UserAddr) -> SysResult {
    let (segments, highest) = {
        let table = namespace.segments.lock();
        (table.all().cloned().collect::<Vec<_>>(), table.highest_index())
    };
    let pages = |bytes: u64| bytes.div_ceil(PAGE_SIZE);
    let answer = ShmInfo {
        used_ids: i32::try_from(segments.len()).unwrap_or(i32::MAX),
        shm_tot: segments.iter().map(|segment| pages(segment.len)).sum(),
        shm_rss: segments.iter().map(|segment| pages(segment.resident_bytes())).sum(),
        ..ShmInfo::default()
    };
    ctx.mm().write(out, &answer)?;
    Ok(highest.into())
}
