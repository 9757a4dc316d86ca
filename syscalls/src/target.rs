//! Finding the tasks a call's numbers name, as the caller's pid namespace sees them.

use bevor_kernel::group::ThreadGroup;
use bevor_kernel::{Ctx, Task};
use std::sync::Arc;

/// The living thread with this number, 0 for the caller.
#[must_use]
pub fn thread(ctx: &Ctx<'_>, number: i32) -> Option<Arc<Task>> {
    if number == 0 {
        return Some(ctx.task().clone());
    }
    let pid = ctx.task().pid().namespace().find(number)?;
    ctx.kernel().tree.lock().task(&pid).cloned()
}

/// The process a thread or process number names, 0 for the caller's; `None` for zombies.
#[must_use]
pub fn process(ctx: &Ctx<'_>, number: i32) -> Option<Arc<ThreadGroup>> {
    thread(ctx, number).map(|task| task.group.clone())
}

/// The living threads of all members of a process group, 0 for the caller's.
#[must_use]
pub fn process_group(ctx: &Ctx<'_>, number: i32) -> Vec<Arc<Task>> {
    let tree = ctx.kernel().tree.lock();
    let pgrp = if number == 0 {
        tree.node(&ctx.task().group.pid).map(|node| node.pgrp.clone())
    } else {
        ctx.task().pid().namespace().find(number)
    };
    let Some(pgrp) = pgrp else { return Vec::new() };
    tree.members(&pgrp).flat_map(|node| node.group.threads.lock().clone()).collect()
}

/// The living threads of a user, as seen from the caller's pid namespace.
#[must_use]
pub fn user(ctx: &Ctx<'_>, kuid: u32) -> Vec<Arc<Task>> {
    let namespace = ctx.task().pid().namespace().clone();
    let tree = ctx.kernel().tree.lock();
    let of_user = tree
        .tasks
        .values()
        .filter(|task| task.cred().ruid == kuid && task.pid().number_in(&namespace).is_some());
    of_user.cloned().collect()
}
