//! System V semaphores: `semget(2)`, `semop(2)`, `semctl(2)`.

use bevor_abi::Errno;
use bevor_abi::conv::{as_i32, u64_of, usize_of, usize_of_u32};
use bevor_abi::errno::{E2BIG, EAGAIN, EFBIG, EIDRM, EINVAL, ERANGE};
use bevor_abi::ipc::{
    GETALL, GETNCNT, GETPID, GETVAL, GETZCNT, IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT,
    SEM_INFO, SEM_STAT, SEM_STAT_ANY, SEM_UNDO, SEMAEM, SEMMNI, SEMMNS, SEMMSL, SEMOPM, SEMVMX,
    SETALL, SETVAL, Sembuf, Semid64Ds, Seminfo,
};
use bevor_abi::time::Timespec;
use bevor_base::clock::monotonic_ns;
use bevor_kernel::block::ObjectKind;
use bevor_kernel::ipc::{Attempt, Operation, Permissions, SemaphoreSet, Waits};
use bevor_kernel::{Block, Ctx, Restart, SysResult};
use bevor_memory::UserAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::ipc;

/// Permission bits: change, and look.
const ALTER: u32 = 0o222;
const READ: u32 = 0o444;

/// `semget(2)`.
///
/// # Errors
/// `EACCES`, `EEXIST`, `EINVAL`, `ENOENT`, `ENOMEM`, `ENOSPC`.
pub fn semget(ctx: &mut Ctx<'_>, key: i32, count: i32, flags: u32) -> SysResult {
    let count = u32::try_from(count).ok().filter(|&count| count <= SEMMSL).ok_or(EINVAL)?;
    let (namespace, cred) = (ipc::namespace(ctx), ctx.task().cred());
    let account = ctx.mm().account();
    let id = namespace.semaphores.lock().find_or_make(
        key,
        flags,
        |set: &SemaphoreSet| {
            let state = set.state();
            state.permissions.check(&cred, &namespace, flags)?;
            if usize_of_u32(count) > state.semaphores.len() { Err(EINVAL.into()) } else { Ok(()) }
        },
        |id, seq| {
            if count == 0 {
                return Err(EINVAL.because("a set without semaphores"));
            }
            let permissions = Permissions::new(key, flags, seq, &cred);
            SemaphoreSet::new(id, permissions, usize_of_u32(count), account)
        },
    )?;
    Ok(u64::from(id.cast_unsigned()))
}

/// `semop(2)`.
///
/// # Errors
/// As [`semtimedop`].
pub fn semop(ctx: &mut Ctx<'_>, id: i32, operations: UserAddr, count: u64) -> SysResult {
    semtimedop(ctx, id, operations, count, UserAddr::NULL)
}

/// `semtimedop(2)`.
///
/// # Errors
/// `E2BIG`, `EACCES`, `EAGAIN`, `EFAULT`, `EFBIG`, `EIDRM`, `EINTR`, `EINVAL`, `ERANGE`.
pub fn semtimedop(
    ctx: &mut Ctx<'_>,
    id: i32,
    operations: UserAddr,
    count: u64,
    timeout: UserAddr,
) -> SysResult {
    let me = ctx.task().pid().id;
    let namespace = ipc::namespace(ctx);
    let found = namespace.semaphores.lock().get(id);
    let set = match found {
        Ok(set) => set,
        // It was there when the call began to wait.
        Err(_) if ctx.resumed().is_some() => return Err(EIDRM.into()),
        Err(errno) => return Err(errno.into()),
    };
    if ctx.resumed().is_some() {
        set.note_waiting(me, None);
    }
    if count == 0 {
        return Err(EINVAL.into());
    }
    if count > SEMOPM.into() {
        return Err(E2BIG.into());
    }
    let given = ctx.mm().read_array::<Sembuf>(operations, usize_of(count))?;
    let deadline = match ctx.deadline_ns() {
        Some(deadline) => Some(deadline),
        None if timeout.is_null() => None,
        None => {
            let limit: Timespec = ctx.mm().read(timeout)?;
            if !limit.is_valid() {
                return Err(EINVAL.into());
            }
            Some(monotonic_ns().saturating_add(limit.as_ns().cast_unsigned()))
        }
    };
    let operations: Vec<_> = given.iter().map(operation).collect();
    check(ctx, &namespace, &set, &operations)?;
    if operations.iter().any(|operation| operation.undo) {
        ctx.task().group.has_sem_undo.store(true, Ordering::Relaxed);
    }
    let waits = match set.attempt(&operations, ctx.task().group.id(), ctx.task().tgid())? {
        Attempt::Done => return Ok(0),
        Attempt::Wait(waits) => waits,
    };
    if ctx.timed_out() {
        return Err(EAGAIN.into());
    }
    set.note_waiting(me, Some(waits));
    let object = u64::from(id.cast_unsigned());
    let block = Block::on_object(ObjectKind::Semaphores, object, &set.queue);
    Err(block.restarting(Restart::Never).until(deadline).into())
}

fn operation(given: &Sembuf) -> Operation {
    Operation {
        number: given.sem_num,
        add: given.sem_op.into(),
        no_wait: u32::from(given.sem_flg) & IPC_NOWAIT != 0,
        undo: given.sem_flg & SEM_UNDO != 0,
    }
}

fn check(
    ctx: &Ctx<'_>,
    namespace: &bevor_kernel::ipc::IpcNamespace,
    set: &SemaphoreSet,
    operations: &[Operation],
) -> Result<(), Errno> {
    let state = set.state();
    let count = state.semaphores.len();
    if operations.iter().any(|operation| usize::from(operation.number) >= count) {
        return Err(EFBIG.into());
    }
    let alters = operations.iter().any(|operation| operation.add != 0);
    let wanted = if alters { ALTER } else { READ };
    state.permissions.check(&ctx.task().cred(), namespace, wanted)
}

/// `semctl(2)`.
///
/// # Errors
/// `EACCES`, `EFAULT`, `EINVAL`, `EPERM`, `ERANGE`.
pub fn semctl(ctx: &mut Ctx<'_>, id: i32, number: i32, command: u32, arg: u64) -> SysResult {
    let namespace = ipc::namespace(ctx);
    let cred = ctx.task().cred();
    let command = ipc::command(command);
    match command {
        IPC_INFO | SEM_INFO => return info(ctx, UserAddr(arg), command == SEM_INFO),
        SEM_STAT | SEM_STAT_ANY => {
            let (id, set) = namespace.semaphores.lock().at_index(id)?;
            if command == SEM_STAT {
                set.state().permissions.check(&cred, &namespace, READ)?;
            }
            stat(ctx, &set, UserAddr(arg))?;
            return Ok(u64::from(id.cast_unsigned()));
        }
        _ => {}
    }
    let set = namespace.semaphores.lock().get(id)?;
    let index = || -> Result<usize, Errno> {
        let index = u32::try_from(number).map(usize_of_u32).map_err(|_| EINVAL)?;
        if index < set.state().semaphores.len() { Ok(index) } else { Err(EINVAL.into()) }
    };
    let allowed = |wanted| set.state().permissions.check(&cred, &namespace, wanted);
    match command {
        IPC_STAT => {
            allowed(READ)?;
            stat(ctx, &set, UserAddr(arg))?;
        }
        IPC_SET => {
            let wanted: Semid64Ds = ctx.mm().read(UserAddr(arg))?;
            let (uid, gid, mode) = ipc::given(ctx, &wanted.sem_perm)?;
            let mut state = set.state();
            state.permissions.check_owner(&cred, &namespace)?;
            state.permissions.set(uid, gid, mode);
            state.ctime = bevor_kernel::ipc::now_seconds();
        }
        IPC_RMID => {
            set.state().permissions.check_owner(&cred, &namespace)?;
            namespace.semaphores.lock().remove(id);
            set.end();
        }
        GETVAL | GETPID | GETNCNT | GETZCNT => {
            allowed(READ)?;
            return get_one(ctx, &set, index()?, command);
        }
        SETVAL => {
            let value = as_i32(arg);
            let index = index()?;
            allowed(ALTER)?;
            if !(0..=SEMVMX.cast_signed()).contains(&value) {
                return Err(ERANGE.into());
            }
            set.state().set_value(index, value, ctx.task().tgid());
            set.changed();
        }
        GETALL => {
            allowed(READ)?;
            let values: Vec<u16> =
                set.state().semaphores.iter().map(|semaphore| shown(semaphore.value)).collect();
            ctx.mm().write_array(UserAddr(arg), &values)?;
        }
        SETALL => {
            allowed(ALTER)?;
            set_all(ctx, &set, UserAddr(arg))?;
        }
        _ => return Err(EINVAL.into()),
    }
    Ok(0)
}

/// A value as the `unsigned short` of the interface.
fn shown(value: i32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn get_one(ctx: &Ctx<'_>, set: &SemaphoreSet, index: usize, command: u32) -> SysResult {
    let waits = |zero| {
        let number = u16::try_from(index).map_err(|_| EINVAL)?;
        let tree = ctx.kernel().tree.lock();
        let lives = |task: u64| {
            let task = tree.tasks.get(&task);
            task.is_some_and(|task| task.waiting_in.load(Ordering::Relaxed) >= 0)
        };
        Ok::<_, Errno>(u64_of(set.nr_waiting(Waits { number, zero }, lives)))
    };
    match command {
        GETNCNT => Ok(waits(false)?),
        GETZCNT => Ok(waits(true)?),
        _ => {
            let semaphore = *set.state().semaphores.get(index).ok_or(EINVAL)?;
            let value = if command == GETPID { semaphore.pid } else { semaphore.value };
            Ok(u64::from(value.cast_unsigned()))
        }
    }
}

fn set_all(ctx: &Ctx<'_>, set: &SemaphoreSet, array: UserAddr) -> Result<(), Errno> {
    let count = set.state().semaphores.len();
    let values = ctx.mm().read_array::<u16>(array, count)?;
    if values.iter().any(|&value| u32::from(value) > SEMVMX) {
        return Err(ERANGE.into());
    }
    let pid = ctx.task().tgid();
    let mut state = set.state();
    for (index, value) in values.into_iter().enumerate() {
        state.set_value(index, value.into(), pid);
    }
    drop(state);
    set.changed();
    Ok(())
}

fn stat(ctx: &Ctx<'_>, set: &SemaphoreSet, out: UserAddr) -> Result<(), Errno> {
    let answer = {
        let state = set.state();
        Semid64Ds {
            sem_perm: ipc::shown(ctx, &state.permissions),
            sem_otime: state.otime,
            sem_ctime: state.ctime,
            sem_nsems: u64_of(state.semaphores.len()),
            ..Semid64Ds::default()
        }
    };
    ctx.mm().write(out, &answer)
}

fn info(ctx: &Ctx<'_>, out: UserAddr, usage: bool) -> SysResult {
    let namespace = ipc::namespace(ctx);
    let (used_sets, used_semaphores, highest) = {
        let sets = namespace.semaphores.lock();
        let all: Vec<Arc<SemaphoreSet>> = sets.all().cloned().collect();
        let semaphores: usize = all.iter().map(|set| set.state().semaphores.len()).sum();
        (sets.len(), semaphores, sets.highest_index())
    };
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let mut answer = Seminfo {
        semmap: SEMMNS.cast_signed(),
        semmni: SEMMNI.cast_signed(),
        semmns: SEMMNS.cast_signed(),
        semmnu: SEMMNS.cast_signed(),
        semmsl: SEMMSL.cast_signed(),
        semopm: SEMOPM.cast_signed(),
        semume: SEMOPM.cast_signed(),
        semusz: 20,
        semvmx: SEMVMX.cast_signed(),
        semaem: SEMAEM.cast_signed(),
    };
    if usage {
        (answer.semusz, answer.semaem) = (number(used_sets), number(used_semaphores));
    }
    ctx.mm().write(out, &answer)?;
    Ok(highest.into())
}
