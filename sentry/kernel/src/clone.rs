//! New tasks: `fork`, `vfork`, `clone`, `clone3` (`clone(2)`).

use crate::block::{Block, ObjectKind, Progress, Restart, Stop, SysResult};
use crate::ctx::Ctx;
use crate::group::ThreadGroup;
use crate::ipc::IpcNamespace;
use crate::limits::{self, Limits};
use crate::ns::{Namespaces, PlainNamespace, UtsNamespace};
use crate::pid::{Pid, PidNamespace};
use crate::ptrace;
use crate::signal::{AltStack, SIGCHLD, TaskSignals};
use crate::task::{Machine, Task, TaskFuture, TaskParts};
use crate::tree::Node;
use bevor_abi::Errno;
use bevor_abi::cap::{CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN};
use bevor_abi::errno::{EAGAIN, EFAULT, EINVAL, ENOMEM, ENOSPC, EPERM};
use bevor_abi::ptrace::{PTRACE_EVENT_VFORK_DONE, PTRACE_O_TRACEVFORKDONE};
use bevor_abi::sched::{
    CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_CLEAR_SIGHAND, CLONE_FILES, CLONE_FS,
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME,
    CLONE_NEWUSER, CLONE_NEWUTS, CLONE_PARENT, CLONE_PARENT_SETTID, CLONE_PIDFD, CLONE_SETTLS,
    CLONE_SIGHAND, CLONE_SYSVSEM, CLONE_THREAD, CLONE_VFORK, CLONE_VM,
};
use bevor_base::{Credentials, UserNamespace, WaitQueue};
use bevor_memory::{ForkOpts, UserAddr};
use bevor_platform::Space;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Every namespace flag.
pub const NEW_NAMESPACES: u64 = CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET
    | CLONE_NEWTIME;

/// Deepest nesting of user and pid namespaces.
const MAX_NESTING: u32 = 32;

/// What `clone3` asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `CLONE_*`.
    pub flags: u64,
    /// Where the pidfd goes.
    pub pidfd: u64,
    /// Where the child's id goes in the child.
    pub child_tid: u64,
    /// Where the child's id goes in the parent.
    pub parent_tid: u64,
    /// Signal to the parent at the end.
    pub exit_signal: i32,
    /// Stack pointer to start with, 0 for the caller's.
    pub stack: u64,
    /// TLS base.
    pub tls: u64,
    /// Wanted ids, innermost namespace first.
    pub set_tid: Vec<i32>,
}

/// Makes a task. For `CLONE_VFORK` the call then waits for the child.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`, `EINVAL`, `EPERM`, `EFAULT`, `ENOSPC`; see `clone(2)`.
pub fn clone(ctx: &mut Ctx<'_>, request: &Request, pidfd: PidfdMaker) -> SysResult {
    if let Some(block) = ctx.resumed() {
        return vfork_again(ctx, block);
    }
    let flags = request.flags;
    check_flags(request)?;
    let parent = ctx.task().clone();
    if !parent.group.container.charge_task() {
        return Err(EAGAIN.because("the container's pids limit").into());
    }
    let made = make(ctx, &parent, request, pidfd);
    let child = match made {
        Ok(child) => child,
        Err(errno) => {
            parent.group.container.uncharge_task();
            return Err(errno.into());
        }
    };
    let number = child.pid().number_or_zero(parent.pid().namespace());
    let value = u64::from(number.cast_unsigned());
    let vfork = (flags & CLONE_VFORK != 0).then(|| {
        let queue = WaitQueue::new();
        *child.vfork.lock() = Some(queue.clone());
        queue
    });
    if parent.ptrace.is_active() {
        ctx.machine.event = ptrace::born(&parent, &child, flags, request.exit_signal);
    }
    child.schedule();
    match vfork {
        Some(queue) => Err(Stop::from(vfork_wait(child.pid().id, value, &queue))),
        None => Ok(value),
    }
}

/// Makes the pidfd of a new process, or of a thread that the identity names, in the caller's table: given by the crate that has pidfds.
pub type PidfdMaker =
    fn(&Ctx<'_>, &Arc<ThreadGroup>, thread: Option<&Arc<Pid>>) -> Result<i32, Errno>;

fn vfork_wait(child: u64, value: u64, queue: &WaitQueue) -> Block {
    Block::on_object(ObjectKind::Vfork, child, queue)
        .restarting(Restart::Killable)
        .with_progress(Progress::Numbers(vec![child, value]))
}

fn vfork_again(ctx: &mut Ctx<'_>, block: &Block) -> SysResult {
    let Progress::Numbers(numbers) = &block.progress else { return Err(EINVAL.into()) };
    let [child, value] = numbers[..] else { return Err(EINVAL.into()) };
    let child_task = ctx.kernel().tree.lock().tasks.get(&child).cloned();
    let waits = child_task.and_then(|task| task.vfork.lock().clone());
    match waits {
        Some(queue) => Err(Stop::from(vfork_wait(child, value, &queue))),
        None => {
            if ctx.task().ptrace.wants(PTRACE_O_TRACEVFORKDONE) {
                ctx.machine.event = Some((PTRACE_EVENT_VFORK_DONE, value));
            }
            Ok(value)
        }
    }
}

fn check_flags(request: &Request) -> Result<(), Errno> {
    let flags = request.flags;
    let needs = |flag: u64, other: u64| flags & flag == 0 || flags & other != 0;
    let excludes = |flag: u64, other: u64| flags & flag == 0 || flags & other == 0;
    let valid = needs(CLONE_SIGHAND, CLONE_VM)
        && needs(CLONE_THREAD, CLONE_SIGHAND)
        && excludes(CLONE_FS, CLONE_NEWNS | CLONE_NEWUSER)
        && excludes(CLONE_THREAD, CLONE_NEWUSER | CLONE_NEWPID)
        && excludes(CLONE_CLEAR_SIGHAND, CLONE_SIGHAND)
        && excludes(CLONE_SYSVSEM, CLONE_NEWIPC)
        && (0..=64).contains(&request.exit_signal);
    if valid { Ok(()) } else { Err(EINVAL.into()) }
}

/// Whether the caller may choose its child's ids in the innermost `count` namespaces.
fn may_choose_ids(
    cred: &Credentials,
    innermost: &Arc<PidNamespace>,
    count: usize,
) -> Result<(), Errno> {
    let namespaces = std::iter::successors(Some(innermost), |ns| ns.parent.as_ref());
    for ns in namespaces.take(count) {
        let may = [CAP_SYS_ADMIN, CAP_CHECKPOINT_RESTORE];
        if !may.iter().any(|&cap| cred.has_cap_in(cap, &ns.user_ns)) {
            return Err(EPERM.because("needs CAP_CHECKPOINT_RESTORE for set_tid"));
        }
    }
    Ok(())
}

fn make(
    ctx: &mut Ctx<'_>,
    parent: &Arc<Task>,
    request: &Request,
    pidfd: PidfdMaker,
) -> Result<Arc<Task>, Errno> {
    let flags = request.flags;
    let cred = new_credentials(parent, flags)?;
    let namespaces = new_namespaces(&parent.namespaces(), &cred, flags)?;
    check_nproc(parent, &cred)?;
    let pid_ns = if flags & CLONE_THREAD != 0 {
        parent.pid().namespace().clone()
    } else {
        namespaces.pid_for_children.clone()
    };
    let namespaces = Arc::new(namespaces);
    may_choose_ids(&cred, &pid_ns, request.set_tid.len())?;
    let pid = Pid::allocate_with(&pid_ns, &request.set_tid)?;
    let group = if flags & CLONE_THREAD != 0 {
        parent.group.clone()
    } else {
        let handlers = parent.group.handlers();
        let handlers = if flags & CLONE_SIGHAND != 0 { handlers } else { handlers.duplicate() };
        if flags & CLONE_CLEAR_SIGHAND != 0 {
            handlers.clear();
        }
        let limits = Limits::new(parent.group.limits.all());
        let group = ThreadGroup::new(pid.clone(), parent.group.container.clone(), handlers, limits);
        let copy = |from: &std::sync::atomic::AtomicU64, to: &std::sync::atomic::AtomicU64| {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        copy(&parent.group.oom_score_adj, &group.oom_score_adj);
        copy(&parent.group.coredump_filter, &group.coredump_filter);
        *group.image.write() = parent.group.image.read().clone();
        let registered = parent.group.membarrier.load(Ordering::Relaxed);
        group.membarrier.store(registered, Ordering::Relaxed);
        let thp_disable = parent.group.thp_disable.load(Ordering::Relaxed);
        group.thp_disable.store(thp_disable, Ordering::Relaxed);
        group
    };

    // Registers the child starts with.
    let mut context = ctx.machine.context;
    context.full = true;
    context.regs.rax = 0;
    if request.stack != 0 {
        context.regs.rsp = request.stack;
    }
    if flags & CLONE_SETTLS != 0 {
        if request.tls >= ctx.kernel().platform.guest_range().end {
            return Err(EPERM.because("TLS outside the address space"));
        }
        context.regs.fs_base = request.tls;
    }
    let fp = match ctx.machine.thread.as_deref_mut() {
        Some(thread) => thread.fp_state().map_err(|_| ENOMEM)?,
        None => return Err(ENOMEM.into()),
    };

    // Memory.
    let mm = if flags & CLONE_VM != 0 {
        ctx.mm().clone()
    } else {
        let stack_pointer = Some(context.regs.rsp);
        // Two handles are the caller's own; processes with `CLONE_VM` (`vfork`) have more.
        let alone = parent.group.threads.lock().len() == 1 && Arc::strong_count(ctx.mm()) <= 2;
        let options = ForkOpts { stack_pointer, alone, account: None };
        let space = ctx.kernel().platform.new_space().map_err(|_| ENOMEM)?;
        match ctx.mm().fork(space.clone(), &options) {
            // Nobody has seen the killed process: another one will do.
            Err(_) if space.is_gone() => {
                let space = ctx.kernel().platform.new_space().map_err(|_| ENOMEM)?;
                ctx.mm().fork(space, &options)?
            }
            forked => forked?,
        }
    };
    let space: Arc<dyn Space> = mm.space();
    let mut thread = space.new_thread().map_err(|_| EAGAIN)?;
    thread.set_fp_state(&fp).map_err(|_| ENOMEM)?;
    let files =
        if flags & CLONE_FILES != 0 { ctx.files().clone() } else { ctx.files().duplicate() };
    let fs = if flags & CLONE_FS != 0 { parent.fs() } else { parent.fs().duplicate() };
    if flags & CLONE_NEWNS != 0 {
        let context = fs.context();
        let copy = context.namespace.copy(cred.user_ns.clone(), &context);
        fs.set_context(Arc::new(copy));
    }
    let signals = {
        let parent = parent.signals.lock();
        let keeps_stack = flags & CLONE_VM == 0 || flags & CLONE_VFORK != 0;
        let alt_stack = if keeps_stack { parent.alt_stack } else { AltStack::disabled() };
        let blocked = parent.saved.unwrap_or(parent.blocked);
        TaskSignals { blocked, alt_stack, ..TaskSignals::default() }
    };
    let kicker = thread.kicker();
    let machine = Machine::new(thread, context, mm.clone(), files.clone());
    let number_in_parent = pid.number_or_zero(parent.pid().namespace());
    let number_in_child = pid.own_number();
    let child = Task::new(
        ctx.kernel().clone(),
        TaskParts {
            pid: pid.clone(),
            group: group.clone(),
            future: TaskFuture::new(machine),
            mm: mm.clone(),
            files,
            fs,
            cred: Arc::new(cred),
            namespaces,
            signals,
            comm: parent.comm(),
            sched_attr: parent.sched_attr.lock().inherit(),
            no_new_privs: parent.no_new_privs.load(Ordering::Relaxed),
            kicker,
        },
    );
    child.timer_slack_ns.store(parent.timer_slack_ns.load(Ordering::Relaxed), Ordering::Relaxed);
    child.personality.store(parent.personality.load(Ordering::Relaxed), Ordering::Relaxed);
    *child.mempolicy.lock() = *parent.mempolicy.lock();
    child.memory_failure.store(parent.memory_failure.load(Ordering::Relaxed), Ordering::Relaxed);
    child.io_flusher.store(parent.io_flusher.load(Ordering::Relaxed), Ordering::Relaxed);

    // What the guest is told in its memory.
    if flags & CLONE_PARENT_SETTID != 0 {
        ctx.mm().store_u32(UserAddr(request.parent_tid), number_in_parent.cast_unsigned())?;
    }
    if flags & CLONE_CHILD_SETTID != 0 {
        // As on Linux, a bad address here is the child's own problem.
        let _ = mm.store_u32(UserAddr(request.child_tid), number_in_child.cast_unsigned());
    }
    if flags & CLONE_CHILD_CLEARTID != 0 {
        child.clear_child_tid.store(request.child_tid, Ordering::Relaxed);
    }
    if flags & CLONE_PIDFD != 0 {
        let thread = (flags & CLONE_THREAD != 0).then(|| child.pid());
        let fd = pidfd(ctx, &group, thread.as_ref())?;
        let stored = ctx.mm().store_u32(UserAddr(request.pidfd), fd.cast_unsigned());
        if stored.is_err() {
            drop(ctx.files().remove(fd));
            return Err(EFAULT.into());
        }
    }
    link(parent, &child, request)?;
    if flags & CLONE_THREAD == 0 && group.limits.soft(limits::CPU) != limits::INFINITY {
        group.timers.watch_cpu_limit(ctx.kernel(), &group);
    }
    let answers = child.answers();
    if let Some(thread) = child.future.lock().machine().thread.as_deref_mut() {
        thread.set_answers(&answers);
    }
    Ok(child)
}

/// Puts a new task in the tree. Fails if its process began to end meanwhile.
fn link(parent: &Arc<Task>, child: &Arc<Task>, request: &Request) -> Result<(), Errno> {
    let flags = request.flags;
    let mut tree = parent.kernel.tree.lock();
    let mut threads = child.group.threads.lock();
    if flags & CLONE_THREAD != 0 {
        let signals = child.group.signals.lock();
        if signals.exiting.is_some() || signals.execing.is_some() {
            return Err(EAGAIN.because("the process is ending"));
        }
        if signals.stopped.is_some() {
            child.sched.set_attention();
        }
    }
    child.seccomp.inherit(&parent.seccomp);
    if parent.no_new_privs.load(Ordering::Relaxed) {
        child.no_new_privs.store(true, Ordering::Relaxed);
    }
    threads.push(child.clone());
    drop(threads);
    tree.tasks.insert(child.pid().id, child.clone());
    if flags & CLONE_THREAD != 0 {
        return Ok(());
    }
    let own = parent.group.id();
    let parent_node = tree.nodes.get(&own).ok_or(EAGAIN)?;
    let (parent_id, exit_signal) = if flags & CLONE_PARENT != 0 {
        (parent_node.parent, parent_node.exit_signal)
    } else {
        (own, request.exit_signal)
    };
    let node = Node {
        group: child.group.clone(),
        parent: parent_id,
        made_by: if flags & CLONE_PARENT != 0 { parent_node.made_by } else { parent.pid().id },
        children: Vec::new(),
        pgrp: parent_node.pgrp.clone(),
        session: parent_node.session.clone(),
        exit_signal,
        subreaper: false,
        zombie: None,
        job_event: None,
        has_execed: false,
        tty: parent_node.tty.clone(),
        old_foreground: None,
    };
    let id = child.group.id();
    tree.nodes.insert(id, node);
    if let Some(parent) = tree.nodes.get_mut(&parent_id) {
        parent.children.push(id);
    }
    Ok(())
}

/// Whether a user has more tasks than the task's process may make it have. Who becomes such a user
/// may execute no program.
#[must_use]
pub fn has_too_many_tasks(task: &Task, ruid: u32) -> bool {
    let limit = task.group.limits.soft(limits::NPROC);
    ruid != 0 && limit != limits::INFINITY && count_tasks(task, ruid) > limit
}

fn count_tasks(task: &Task, ruid: u32) -> u64 {
    let tree = task.kernel.tree.lock();
    tree.tasks.values().filter(|task| task.cred().ruid == ruid).count() as u64
}

fn check_nproc(parent: &Task, cred: &Credentials) -> Result<(), Errno> {
    /// `CAP_SYS_RESOURCE`.
    const CAP_SYS_RESOURCE: u32 = 24;
    let limit = parent.group.limits.soft(limits::NPROC);
    if cred.ruid == 0
        || limit == limits::INFINITY
        || cred.has_cap(CAP_SYS_RESOURCE)
        || cred.has_cap(CAP_SYS_ADMIN)
    {
        return Ok(());
    }
    if count_tasks(parent, cred.ruid) >= limit {
        Err(EAGAIN.because("RLIMIT_NPROC"))
    } else {
        Ok(())
    }
}

/// The credentials of a child: a new user namespace gives it all capabilities in there.
fn new_credentials(parent: &Task, flags: u64) -> Result<Credentials, Errno> {
    let cred = parent.cred();
    if flags & CLONE_NEWUSER == 0 {
        return Ok((*cred).clone());
    }
    in_new_user_namespace(&cred)
}

/// `unshare(CLONE_NEWUSER)`: the same ids, every capability, an empty map.
///
/// # Errors
/// `ENOSPC` for deep nesting; `EPERM` for unmapped ids.
pub fn in_new_user_namespace(cred: &Credentials) -> Result<Credentials, Errno> {
    if cred.user_ns.level >= MAX_NESTING {
        return Err(ENOSPC.because("user namespaces nest too deep"));
    }
    let user_ns = UserNamespace::child(cred.user_ns.clone(), cred.euid, cred.egid);
    Ok(Credentials {
        permitted: bevor_base::cred::ALL_CAPS,
        effective: bevor_base::cred::ALL_CAPS,
        inheritable: 0,
        bounding: bevor_base::cred::ALL_CAPS,
        ambient: 0,
        securebits: 0,
        user_ns,
        ..cred.clone()
    })
}

/// The namespaces a child (or `unshare`) gets for the `CLONE_NEW*` of `flags`.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `ENOSPC` for deep nesting.
pub fn new_namespaces(
    old: &Namespaces,
    cred: &Credentials,
    flags: u64,
) -> Result<Namespaces, Errno> {
    let mut new = old.clone();
    if flags & (NEW_NAMESPACES & !CLONE_NEWUSER) == 0 {
        return Ok(new);
    }
    if !cred.has_cap(CAP_SYS_ADMIN) {
        return Err(EPERM.into());
    }
    let user_ns = &cred.user_ns;
    if flags & CLONE_NEWUTS != 0 {
        let (host, domain) = old.uts.names.read().clone();
        new.uts = UtsNamespace::new(host, domain, user_ns.clone());
    }
    if flags & CLONE_NEWIPC != 0 {
        new.ipc = IpcNamespace::new(user_ns.clone());
    }
    let plain = |flag: u64, place: &mut Arc<PlainNamespace>| {
        if flags & flag != 0 {
            *place = PlainNamespace::new(user_ns.clone());
        }
    };
    plain(CLONE_NEWNET, &mut new.net);
    plain(CLONE_NEWCGROUP, &mut new.cgroup);
    plain(CLONE_NEWTIME, &mut new.time);
    if flags & CLONE_NEWPID != 0 {
        if old.pid_for_children.level >= MAX_NESTING {
            return Err(ENOSPC.because("pid namespaces nest too deep"));
        }
        new.pid_for_children =
            PidNamespace::new(Some(old.pid_for_children.clone()), user_ns.clone());
    }
    Ok(new)
}

/// The exit signal plain `fork` uses.
pub const FORK_SIGNAL: i32 = SIGCHLD;
