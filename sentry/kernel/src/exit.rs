//! The end of tasks and processes (`_exit(2)`), orphans, and reaping.

use crate::group::{Ended, ThreadGroup};
use crate::kernel::Kernel;
use crate::ptrace;
use crate::signal::{self, Info, SA_NOCLDWAIT, SIG_IGN, SIGCHLD, SIGCONT, SIGKILL};
use crate::task::{Machine, Task};
use crate::tree::{ExitStatus, Tree};
use bevor_base::Ready;
use bevor_memory::UserAddr;
use bevor_platform::SpaceId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `SIGHUP`.
const SIGHUP: i32 = 1;

/// What a task whose host process is gone reports: it was killed.
#[must_use]
pub fn gone_status(task: &Task) -> ExitStatus {
    let exiting = task.group.signals.lock().exiting;
    exiting.unwrap_or(ExitStatus::Signaled { signo: SIGKILL, core: false })
}

/// A stub process died unasked: its guest process was killed. Without the first stub process nothing
/// can be forked or executed any more: everything ends.
pub fn space_died(kernel: &Kernel, space: SpaceId) {
    let all = space == SpaceId::ZYGOTE;
    if all {
        tracing::error!("the first stub process was killed from outside: the sandbox ends");
    }
    let tasks: Vec<_> = kernel.tree.lock().tasks.values().cloned().collect();
    for task in tasks {
        if all || task.mm().is_some_and(|mm| mm.space().id() == space) {
            let status = ExitStatus::Signaled { signo: SIGKILL, core: false };
            signal::send::group_exit(&task.group, status);
        }
    }
}

/// `exit_group(2)`: ends the caller's process and the calling task.
pub fn exit_group(task: &Arc<Task>, machine: &mut Machine, status: ExitStatus) {
    signal::send::group_exit(&task.group, status);
    end_task(task, machine, status);
}

/// Ends one task. If it is its process's last, ends the process with `status` (or with what
/// `exit_group` or a fatal signal decided).
pub fn end_task(task: &Arc<Task>, machine: &mut Machine, status: ExitStatus) {
    if task.sched.is_dead() {
        return;
    }
    // First, so that whoever joins it finds its filters gone.
    task.seccomp.release();
    release_userspace(task, machine);
    task.sched.die();
    if let Some(thread) = machine.thread.take() {
        task.note_times(&*thread);
    }
    task.set_kicker(None);
    vfork_done(task);
    let mut usage = task.usage();
    if task.group.threads.lock().len() == 1 {
        // A second setting would find the same.
        let _ = task.group.ended.set(Ended { comm: task.comm(), cred: task.cred() });
        usage.max_rss_bytes = machine.mm.peak_rss_bytes();
    }
    task.group.usage.lock().add(&usage);
    task.kernel.ended_usage.lock().add(&usage);

    let mut tree = task.kernel.tree.lock();
    tree.tasks.remove(&task.pid().id);
    let mut threads = task.group.threads.lock();
    threads.retain(|other| !Arc::ptr_eq(other, task));
    let last = threads.is_empty();
    let waiting = threads.clone();
    drop(threads);
    // Another thread may have given it one meanwhile.
    task.seccomp.release();
    let status = task.group.signals.lock().exiting.unwrap_or(status);
    if task.pid().id != task.group.id() {
        task.pid().end(status.wait_word());
    }
    ptrace::task_ended(&mut tree, task, task.pid().id, status);
    // Files close without the tree's lock; descriptors may be other tasks' pidfds.
    drop(tree);
    // Mapped files first, as on Linux: their watchers hear in this order.
    drop(task.set_mm(None));
    drop(task.set_files(None));
    if last {
        drop(task.group.image.write().take());
    }
    if last && task.group.has_sem_undo.load(Ordering::Relaxed) {
        task.namespaces().ipc.undo(task.group.id(), task.tgid());
    }
    machine.files = crate::fd::FdTable::new();
    if last {
        tree = task.kernel.tree.lock();
        end_group(&task.kernel, &mut tree, &task.group, status);
        drop(tree);
    } else {
        // An `execve` in another thread may wait for this one.
        for other in waiting {
            other.sched.set_woken();
            other.schedule();
        }
        task.group.exit_wait.wake(Ready::ALL);
    }
    task.group.container.uncharge_task();
}

/// `clear_child_tid` and robust futexes: what the task owes its own address space.
fn release_userspace(task: &Arc<Task>, machine: &mut Machine) {
    if machine.mm.space().is_gone() {
        return;
    }
    crate::futex::release_robust_list(task, &machine.mm);
    let clear = task.clear_child_tid.load(Ordering::Relaxed);
    if clear != 0 && Arc::strong_count(&machine.mm) > 1 {
        let at = UserAddr(clear);
        if machine.mm.store_u32(at, 0).is_ok() {
            task.kernel.futexes.wake(&machine.mm, at, false, 1, u32::MAX).unwrap_or(0);
        }
    }
}

/// Lets the parent of a `vfork` go on.
pub fn vfork_done(task: &Task) {
    if let Some(queue) = task.vfork.lock().take() {
        queue.wake(Ready::ALL);
    }
}

fn end_group(kernel: &Arc<Kernel>, tree: &mut Tree, group: &Arc<ThreadGroup>, status: ExitStatus) {
    let id = group.id();
    if group.is_init() {
        kill_namespace(tree, group);
    }
    orphan_children(tree, id);
    let Some(node) = tree.nodes.get_mut(&id) else { return };
    node.zombie = Some(status);
    let parent = node.parent;
    hang_up(tree, id);
    group.exit_wait.wake(Ready::IN);
    kernel.session_leader_ended(tree, group);
    if parent == 0 {
        tree.remove(id);
        group.container.process_ended(group, status);
        return;
    }
    if ptrace::hidden_end(tree, id, parent, status) {
        return;
    }
    end_awaits_parent(tree, id, status);
}

/// A process has ended, and its parent is to wait for it: tells that. The zombie goes at once if the
/// parent does not want to.
pub(crate) fn end_awaits_parent(tree: &mut Tree, id: u64, status: ExitStatus) {
    let Some(node) = tree.nodes.get(&id) else { return };
    let (parent, exit_signal) = (node.parent, node.exit_signal);
    let uid = node.group.cred().map_or(0, |cred| cred.ruid);
    let (code, value) = status.child_info();
    let autoreap = tree.nodes.get(&parent).is_some_and(|parent| {
        let action = parent.group.handlers().get(SIGCHLD);
        exit_signal == SIGCHLD && (action.handler == SIG_IGN || action.flags & SA_NOCLDWAIT != 0)
    });
    if let Some(node) = tree.nodes.get(&id) {
        let ignored = autoreap
            && tree
                .nodes
                .get(&parent)
                .is_some_and(|parent| parent.group.handlers().get(SIGCHLD).handler == SIG_IGN);
        let signo = if ignored { 0 } else { exit_signal };
        notify_exit(tree, node, code, value, signo, uid);
    }
    if autoreap {
        reap(tree, id);
    }
}

fn notify_exit(
    tree: &Tree,
    node: &crate::tree::Node,
    code: i32,
    status: i32,
    signo: i32,
    uid: u32,
) {
    let Some(parent) = tree.nodes.get(&node.parent) else { return };
    if signo != 0 {
        let usage = *node.group.usage.lock();
        let ticks = |ns: u64| i64::try_from(ns / 10_000_000).unwrap_or(i64::MAX);
        let detail = signal::Detail::Child {
            pid: node.group.pid.number_or_zero(parent.group.pid.namespace()),
            uid: parent_view(&parent.group, uid),
            status,
            utime: ticks(usage.user_ns),
            stime: ticks(usage.system_ns),
        };
        signal::send::to_group(&parent.group, Info { signo, errno: 0, code, detail });
    }
    parent.group.child_wait.wake(Ready::IN);
}

fn parent_view(parent: &ThreadGroup, uid: u32) -> u32 {
    parent.leader().map_or(uid, |leader| leader.cred().user_ns.uid_out(uid))
}

/// Removes a zombie; its usage has been added to its parent by the caller of `wait`, if any.
pub fn reap(tree: &mut Tree, id: u64) {
    let Some(node) = tree.remove(id) else { return };
    if let Some(parent) = tree.nodes.get(&node.parent) {
        let mut usage = *node.group.usage.lock();
        usage.add(&node.group.child_usage.lock());
        parent.group.child_usage.lock().add(&usage);
    }
}

/// Gives the children of an ended process to its reaper; zombies the reaper ignores vanish.
fn orphan_children(tree: &mut Tree, id: u64) {
    let reaper = tree.reaper_of(id);
    let children = tree.nodes.get(&id).map(|node| node.children.clone()).unwrap_or_default();
    for child in children {
        death_signal(tree, child);
        if reaper == 0 {
            if let Some(node) = tree.nodes.get_mut(&child) {
                node.parent = 0;
                let zombie = node.zombie.map(|status| (node.group.clone(), status));
                if let Some((group, status)) = zombie {
                    tree.remove(child);
                    group.container.process_ended(&group, status);
                }
            }
            continue;
        }
        tree.adopt(reaper, child);
        if let Some(node) = tree.nodes.get(&child) {
            for task in node.group.threads.lock().iter() {
                task.expire_answers();
            }
        }
        if let Some(node) = tree.nodes.get_mut(&child) {
            node.exit_signal = SIGCHLD;
        }
        let Some(node) = tree.nodes.get(&child) else { continue };
        if let Some(status) = node.zombie {
            let (code, value) = status.child_info();
            let uid = node.group.cred().map_or(0, |cred| cred.ruid);
            notify_exit(tree, node, code, value, SIGCHLD, uid);
        }
    }
    if let Some(node) = tree.nodes.get_mut(&id) {
        node.children.clear();
    }
}

/// `PR_SET_PDEATHSIG` of a child whose parent ended.
fn death_signal(tree: &Tree, child: u64) {
    let Some(node) = tree.nodes.get(&child) else { return };
    let threads = node.group.threads.lock().clone();
    for task in threads {
        let signo = task.parent_death_signal.load(Ordering::Relaxed);
        if signo != 0 {
            signal::send::to_task(&task, Info::user(signo, 0, 0));
        }
    }
}

/// A stopped process group that this end orphans gets `SIGHUP` and `SIGCONT`.
fn hang_up(tree: &Tree, id: u64) {
    let Some(node) = tree.nodes.get(&id) else { return };
    let mut groups: Vec<_> = vec![node.pgrp.clone()];
    groups.extend(
        tree.nodes
            .values()
            .filter(|child| child.parent == id || child.parent == node.parent)
            .filter(|child| child.session.id == node.session.id)
            .map(|child| child.pgrp.clone()),
    );
    groups.sort_by_key(|pgrp| pgrp.id);
    groups.dedup_by_key(|pgrp| pgrp.id);
    for pgrp in groups {
        if tree.has_stopped(&pgrp) && tree.is_orphaned(&pgrp, Some(id)) {
            for member in tree.members(&pgrp).filter(|member| member.zombie.is_none()) {
                signal::send::to_group(&member.group, Info::kernel(SIGHUP));
                signal::send::resume(&member.group, Info::kernel(SIGCONT));
            }
        }
    }
}

/// The end of an init ends its pid namespace: everything in it is killed.
fn kill_namespace(tree: &mut Tree, init: &Arc<ThreadGroup>) {
    let ns = init.pid.namespace();
    ns.close();
    for node in tree.nodes.values() {
        if node.zombie.is_none()
            && !Arc::ptr_eq(&node.group, init)
            && node.group.pid.namespace().is_within(ns)
        {
            let status = ExitStatus::Signaled { signo: SIGKILL, core: false };
            signal::send::group_exit(&node.group, status);
        }
    }
}
