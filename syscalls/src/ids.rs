//! Process ids, groups and sessions: `getpid(2)`, `setpgid(2)`, `setsid(2)`, `set_tid_address(2)`.

use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use std::sync::atomic::Ordering;

fn positive(number: i32) -> SysResult {
    Ok(u64::from(number.cast_unsigned()))
}

/// `getpid(2)`.
///
/// # Errors
/// None.
pub fn getpid(ctx: &mut Ctx<'_>) -> SysResult {
    positive(ctx.task().tgid())
}

/// `gettid(2)`.
///
/// # Errors
/// None.
pub fn gettid(ctx: &mut Ctx<'_>) -> SysResult {
    positive(ctx.task().tid())
}

/// `getppid(2)`.
///
/// # Errors
/// None.
pub fn getppid(ctx: &mut Ctx<'_>) -> SysResult {
    let task = ctx.task();
    let tree = task.kernel.tree.lock();
    let parent = tree.node(&task.group.pid).and_then(|node| tree.nodes.get(&node.parent));
    let ns = task.pid().namespace().clone();
    positive(parent.map_or(0, |parent| parent.group.pid.number_or_zero(&ns)))
}

/// `getpgid(2)`.
///
/// # Errors
/// `ESRCH`.
pub fn getpgid(ctx: &mut Ctx<'_>, pid: i32) -> SysResult {
    positive(ctx.task().get_pgid(pid)?)
}

/// `getpgrp(2)`.
///
/// # Errors
/// None.
pub fn getpgrp(ctx: &mut Ctx<'_>) -> SysResult {
    positive(ctx.task().get_pgid(0)?)
}

/// `setpgid(2)`.
///
/// # Errors
/// `EACCES`, `EINVAL`, `EPERM`, `ESRCH`.
pub fn setpgid(ctx: &mut Ctx<'_>, pid: i32, pgid: i32) -> SysResult {
    ctx.task().set_pgid(pid, pgid)?;
    Ok(0)
}

/// `getsid(2)`.
///
/// # Errors
/// `ESRCH`.
pub fn getsid(ctx: &mut Ctx<'_>, pid: i32) -> SysResult {
    positive(ctx.task().get_sid(pid)?)
}

/// `setsid(2)`.
///
/// # Errors
/// `EPERM`.
pub fn setsid(ctx: &mut Ctx<'_>) -> SysResult {
    let sid = ctx.task().set_sid()?;
    positive(sid)
}

/// `set_tid_address(2)`.
///
/// # Errors
/// None.
pub fn set_tid_address(ctx: &mut Ctx<'_>, at: UserAddr) -> SysResult {
    ctx.task().clear_child_tid.store(at.0, Ordering::Relaxed);
    positive(ctx.task().tid())
}
