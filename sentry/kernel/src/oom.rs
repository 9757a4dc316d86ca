//! What happens when a container's memory limit is hit and nothing can be taken back: one process is
//! killed, chosen as Linux does (`oom_badness` in mm/oom_kill.c).

use crate::group::ThreadGroup;
use crate::signal::{self, SIGKILL};
use crate::task::Task;
use crate::tree::ExitStatus;
use std::sync::Arc;

/// How much killing a process would bring, as `/proc/PID/oom_score` counts: bytes of memory, moved by
/// its `oom_score_adj`. `None` if it must not be killed.
#[must_use]
pub fn badness(group: &ThreadGroup, limit: u64) -> Option<i64> {
    let adj = group.oom_score_adj();
    if adj == -1000 {
        return None;
    }
    let mm = group.leader().and_then(|leader| leader.mm())?;
    let bytes = i64::try_from(mm.rss_bytes()).unwrap_or(i64::MAX);
    let share = i64::try_from(limit / 1000).unwrap_or(i64::MAX / 1000);
    Some(bytes.saturating_add(adj.saturating_mul(share)).max(1))
}

/// `oom_score` of `/proc/PID`, as `proc_oom_score` computes it.
#[must_use]
pub fn score(group: &ThreadGroup, limit: u64) -> i64 {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
    let points = badness(group, limit.cast_unsigned());
    points.map_or(0, |points| (1000 + points.saturating_mul(1000) / limit).max(0) * 2 / 3)
}

/// Bytes of memory the processes of a container share.
#[must_use]
pub fn limit_of(task: &Task) -> u64 {
    task.group.container.account.limit().min(task.kernel.memory.total_memory())
}

/// Makes room for `task`, which could not get a page: unless a process of its container is ending
/// already, one is killed. The access is to be tried again, if it is not `task`'s own process.
pub fn kill_for(task: &Arc<Task>) {
    let container = &task.group.container;
    let limit = limit_of(task);
    let groups: Vec<Arc<ThreadGroup>> = {
        let tree = task.kernel.tree.lock();
        let living = tree.nodes.values().filter(|node| node.zombie.is_none());
        living.map(|node| node.group.clone()).collect()
    };
    let ours = groups.iter().filter(|group| Arc::ptr_eq(&group.container, container));
    if ours.clone().any(|group| group.is_exiting()) {
        return;
    }
    let victim = ours
        .filter_map(|group| badness(group, limit).map(|points| (points, group)))
        .max_by_key(|(points, _)| *points);
    // Nobody may be killed: the one that asked ends, as its access cannot be served.
    let victim = victim.map_or(&task.group, |(_, group)| group);
    container.count_oom_kill();
    tracing::warn!(
        container = %container.id,
        pid = victim.pid.own_number(),
        limit,
        "out of memory: killing a process"
    );
    let status = ExitStatus::Signaled { signo: SIGKILL, core: false };
    signal::send::group_exit(victim, status);
}
