//! `membarrier(2)`.

use bevor_abi::errno::{EINVAL, EPERM};
use bevor_abi::sched::{
    MEMBARRIER_CMD_GET_REGISTRATIONS, MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_GLOBAL_EXPEDITED,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
    MEMBARRIER_CMD_QUERY, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
};
use bevor_kernel::group::ThreadGroup;
use bevor_kernel::{Ctx, SysResult};
use std::sync::atomic::Ordering;

/// What `MEMBARRIER_CMD_QUERY` answers: all but restartable sequences.
const SUPPORTED: u32 = MEMBARRIER_CMD_GLOBAL
    | MEMBARRIER_CMD_GLOBAL_EXPEDITED
    | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
    | MEMBARRIER_CMD_PRIVATE_EXPEDITED
    | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
    | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE
    | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
    | MEMBARRIER_CMD_GET_REGISTRATIONS;

/// `membarrier(2)`.
///
/// # Errors
/// `EINVAL`, `EPERM` without the registration a command needs.
pub fn membarrier(ctx: &mut Ctx<'_>, command: u32, flags: u32, _cpu: i32) -> SysResult {
    if flags != 0 {
        return Err(EINVAL.into());
    }
    let group = ctx.task().group.clone();
    let registered = group.membarrier.load(Ordering::Relaxed);
    let needs = |registration| {
        if registered & registration == 0 { Err(EPERM.because("not registered")) } else { Ok(()) }
    };
    match command {
        MEMBARRIER_CMD_QUERY => return Ok(SUPPORTED.into()),
        MEMBARRIER_CMD_GET_REGISTRATIONS => return Ok(registered.into()),
        MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
        | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED
        | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE => {
            group.membarrier.fetch_or(command, Ordering::Relaxed);
        }
        MEMBARRIER_CMD_PRIVATE_EXPEDITED => {
            needs(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)?;
            run(&group);
        }
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE => {
            needs(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)?;
            run(&group);
        }
        MEMBARRIER_CMD_GLOBAL => run_all(ctx, |_| true),
        MEMBARRIER_CMD_GLOBAL_EXPEDITED => run_all(ctx, |group| {
            let registered = group.membarrier.load(Ordering::Relaxed);
            registered & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED != 0
        }),
        _ => return Err(EINVAL.into()),
    }
    Ok(0)
}

/// Makes the running threads of a process pass a barrier.
fn run(group: &ThreadGroup) {
    if let Some(mm) = group.leader().and_then(|task| task.mm()) {
        // A process that is gone runs nothing.
        let _ = mm.space().membarrier();
    }
}

fn run_all(ctx: &Ctx<'_>, wanted: impl Fn(&ThreadGroup) -> bool) {
    let groups: Vec<_> = {
        let tree = ctx.kernel().tree.lock();
        let living = tree.nodes.values().filter(|node| node.zombie.is_none());
        living.map(|node| node.group.clone()).filter(|group| wanted(group)).collect()
    };
    groups.iter().for_each(|group| run(group));
}
