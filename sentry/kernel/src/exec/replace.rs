//! The point of no return: one thread is left, and gets a new program.

use super::{Loaded, Privileges, Program};
use crate::block::{Block, ObjectKind, Restart, Stop, SysResult};
use crate::clone::has_too_many_tasks;
use crate::ctx::Ctx;
use crate::exit;
use crate::ptrace;
use crate::signal::{AltStack, SIGKILL, send};
use crate::task::Task;
use crate::tree::ExitStatus;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_PTRACE;
use bevor_abi::errno::{EAGAIN, ENOMEM};
use bevor_abi::prctl::{ADDR_COMPAT_LAYOUT, ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO, READ_IMPLIES_EXEC};
use bevor_base::WaitQueue;
use bevor_platform::FpState;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Parts of the personality a program with more privileges than its caller does not inherit.
const CLEARED_IF_SECURE: u32 =
    READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO;

/// Loads what the calling task is about to execute. The process is unharmed if that fails.
///
/// # Errors
/// As [`super::load`].
pub fn prepare(ctx: &Ctx<'_>, program: Program<'_>) -> Result<Loaded, Errno> {
    let task = ctx.task();
    if task.nproc_exceeded.load(Ordering::Relaxed) {
        if has_too_many_tasks(task, task.cred().ruid) {
            return Err(EAGAIN.because("RLIMIT_NPROC"));
        }
        task.nproc_exceeded.store(false, Ordering::Relaxed);
    }
    let allow = ctx.kernel().config.allow_suid;
    // Who traces a program with privileges would have them, too.
    let trusted = task
        .tracer()
        .is_none_or(|tracer| tracer.cred().has_cap_in(CAP_SYS_PTRACE, &task.cred().user_ns));
    let may_gain = allow && trusted && !task.no_new_privs.load(Ordering::Relaxed);
    let privileges = Privileges { may_gain };
    let account = ctx.mm().account();
    let loaded =
        super::load(ctx.kernel(), account, &task.group.limits, &task.cred(), privileges, program);
    if loaded.is_err() {
        // Other threads may have ended already; those still there live on.
        let me = task.pid().id;
        task.group.signals.lock().execing.take_if(|winner| *winner == me);
    }
    loaded
}

/// `execve` of a loaded program by the calling task. First makes every other thread end; until the
/// last one is gone the call waits (and is prepared anew).
///
/// # Errors
/// `EAGAIN` when the process is ending anyway.
pub fn replace(ctx: &mut Ctx<'_>, loaded: Loaded) -> SysResult {
    let task = ctx.task().clone();
    let group = task.group.clone();
    if !alone(&task) {
        {
            let mut signals = group.signals.lock();
            let me = task.pid().id;
            if signals.exiting.is_some() || signals.execing.is_some_and(|other| other != me) {
                return Err(EAGAIN.because("the process is ending").into());
            }
            signals.execing = Some(me);
        }
        let others = group.threads.lock().clone();
        for other in others.iter().filter(|other| !Arc::ptr_eq(other, &task)) {
            other.notify();
        }
        let block = Block::on_object(ObjectKind::Siblings, group.id(), &WaitQueue::new())
            .restarting(Restart::Killable);
        return Err(Stop::from(block));
    }
    commit(ctx, &task, loaded)
}

fn alone(task: &Arc<Task>) -> bool {
    task.group.threads.lock().len() == 1
}

fn commit(ctx: &mut Ctx<'_>, task: &Arc<Task>, loaded: Loaded) -> SysResult {
    let space = loaded.mm.space();
    let refused = |_| {
        if space.is_gone() {
            // The new host process was killed from outside.
            let status = ExitStatus::Signaled { signo: SIGKILL, core: false };
            send::group_exit(&task.group, status);
        }
        ENOMEM
    };
    let mut thread = space.clone().new_thread().map_err(refused)?;
    thread.set_fp_state(&FpState::default()).map_err(refused)?;
    let old = task.pid();
    take_over_leadership(task);
    task.group.signals.lock().execing = None;

    // From here on nothing fails. The old program's last duties come first.
    crate::futex::release_robust_list(task, &ctx.machine.mm);
    let closed = if Arc::strong_count(&ctx.machine.files) > 2 {
        let files = ctx.machine.files.duplicate();
        let closed = files.take_close_on_exec();
        task.set_files(Some(files.clone()));
        ctx.machine.files = files;
        closed
    } else {
        ctx.machine.files.take_close_on_exec()
    };
    drop(closed);
    task.set_kicker(Some(thread.kicker()));
    let old_thread = ctx.machine.thread.replace(thread);
    if let Some(old) = &old_thread {
        task.retire_times(&**old);
    }
    drop(old_thread);
    loaded.mm.inherit_policy(&ctx.machine.mm);
    drop(task.set_mm(Some(loaded.mm.clone())));
    ctx.machine.mm = loaded.mm;
    let call = ctx.regs().syscall_nr();
    ctx.machine.context = loaded.context;

    let handlers = task.group.handlers().after_exec();
    *task.group.handlers.write() = handlers;
    task.signals.lock().alt_stack = AltStack::disabled();
    task.clear_child_tid.store(0, Ordering::Relaxed);
    let secure = loaded.cred.euid != task.cred().euid || loaded.cred.egid != task.cred().egid;
    if secure {
        task.parent_death_signal.store(0, Ordering::Relaxed);
        task.personality.fetch_and(!CLEARED_IF_SECURE, Ordering::Relaxed);
    }
    task.group.membarrier.store(0, Ordering::Relaxed);
    task.group.dumpable.store(!secure, Ordering::Relaxed);
    task.set_cred(loaded.cred);
    task.set_comm(&loaded.comm);
    task.group.set_image(loaded.exe, loaded.image);
    task.group.timers.exec();
    if let Some(node) = task.kernel.tree.lock().nodes.get_mut(&task.group.id()) {
        node.has_execed = true;
    }
    exit::vfork_done(task);
    ctx.refresh_answers();
    ctx.machine.restart = None;
    if task.ptrace.is_active() {
        ptrace::arch::show_call(ctx.machine, call);
        ptrace::executed(task, ctx.machine, &old);
    }
    // A kill that came meanwhile went to the old thread.
    task.sched.set_attention();
    Err(Stop::NoReturn)
}

/// A thread that is not the leader becomes it: it takes the leader's identity (`execve(2)`).
fn take_over_leadership(task: &Arc<Task>) {
    let leader = task.group.pid.clone();
    if task.pid().id == leader.id {
        return;
    }
    let mut tree = task.kernel.tree.lock();
    let old = task.set_pid(leader.clone());
    tree.tasks.remove(&old.id);
    tree.tasks.insert(leader.id, task.clone());
    ptrace::new_leader(&mut tree, old.id, &leader);
}
