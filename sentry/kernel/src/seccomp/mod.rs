//! `seccomp(2)` of guests: what filters and strict mode do to a task's calls.
//!
//! [`enter`] looks at a call before its handler is found; a task without filters pays for one look at
//! [`Seccomp::is_on`]. Filters lie in [`Filter`], the language they are written in in [`bpf`], and
//! what other processes decide in [`notify`].

pub mod bpf;
mod filter;
pub mod logged;
pub mod notify;

pub use filter::{Filter, Options};

use crate::block::{Block, ObjectKind, Source, Stop, SysResult};
use crate::ctx::Ctx;
use crate::exit;
use crate::group::ThreadGroup;
use crate::signal::{Detail, Info, SIGKILL, send};
use crate::task::Task;
use crate::tree::ExitStatus;
use bevor_abi::Errno;
use bevor_abi::conv::{low_u32, sign_extend};
use bevor_abi::errno::{EBUSY, EINVAL, ENOMEM, ENOSYS, ESRCH};
use bevor_abi::ptrace::{PTRACE_EVENT_SECCOMP, PTRACE_O_SUSPEND_SECCOMP, PTRACE_O_TRACESECCOMP};
use bevor_abi::seccomp::{
    SECCOMP_MODE_DISABLED, SECCOMP_MODE_FILTER, SECCOMP_MODE_STRICT, SECCOMP_RET_ACTION_FULL,
    SECCOMP_RET_ALLOW, SECCOMP_RET_DATA, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_THREAD,
    SECCOMP_RET_LOG, SECCOMP_RET_TRACE, SECCOMP_RET_TRAP, SECCOMP_RET_USER_NOTIF, SeccompData,
};
use bevor_abi::signal::SYS_SECCOMP;
use bpf::Program;
use filter::{ARCH, Verdict};
use notify::{Answer, Asked};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Most instructions of all filters of a task.
const MAX_INSNS: u64 = 32_768;
/// Largest error number `SECCOMP_RET_ERRNO` answers.
const MAX_ERRNO: u32 = 4095;
/// `SIGSYS`.
const SIGSYS: i32 = 31;
/// What strict mode leaves: `read`, `write`, `rt_sigreturn`, `exit`.
const STRICT: [u64; 4] = [0, 1, 15, 60];

/// A task's mode and filters.
#[derive(Default)]
pub struct Seccomp {
    mode: AtomicU32,
    /// Leaf lock. Replaced only with [`ThreadGroup::threads`] held.
    filters: RwLock<Option<Arc<Filter>>>,
    /// The notification it waits for. Leaf lock.
    asked: Mutex<Option<Asked>>,
}

/// How [`attach`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attached {
    /// The filter is on.
    Done,
    /// Another thread has filters this one has not: its number.
    Hindered(i32),
}

/// Which threads get a filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// The calling one.
    Own,
    /// All of the process (`SECCOMP_FILTER_FLAG_TSYNC`).
    All,
}

impl Seccomp {
    /// Whether calls have to be looked at.
    #[inline]
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.mode() != SECCOMP_MODE_DISABLED
    }

    /// `SECCOMP_MODE_*`.
    #[inline]
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.mode.load(Ordering::Acquire)
    }

    /// How many filters there are (`Seccomp_filters:`).
    #[must_use]
    pub fn nr_filters(&self) -> u32 {
        self.filters.read().as_ref().map_or(0, |last| last.depth)
    }

    /// Whether these calls are surely allowed, so that they need not be looked at.
    #[must_use]
    pub fn surely_allows(&self, numbers: &[u64]) -> bool {
        match self.mode() {
            SECCOMP_MODE_DISABLED => true,
            SECCOMP_MODE_FILTER => self.filters.read().as_ref().is_some_and(|last| {
                numbers.iter().all(|&nr| u32::try_from(nr).is_ok_and(|nr| last.surely_allows(nr)))
            }),
            _ => false,
        }
    }

    /// Goes into strict mode.
    ///
    /// # Errors
    /// `EINVAL`: it has filters.
    pub fn set_strict(&self) -> Result<(), Errno> {
        let set = self.mode.compare_exchange(
            SECCOMP_MODE_DISABLED,
            SECCOMP_MODE_STRICT,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match set {
            Ok(_) | Err(SECCOMP_MODE_STRICT) => Ok(()),
            Err(_) => Err(EINVAL.because("the task has filters")),
        }
    }

    /// A new task gets what `other` has. Call it with [`ThreadGroup::threads`] of the new task's process
    /// locked, so that it does not miss filters all threads get.
    pub fn inherit(&self, other: &Self) {
        let filters = other.filters.read().clone();
        self.replace(filters, other.mode());
    }

    /// The task makes no calls any more: it asks nobody, and no filter is there because of it.
    pub fn release(&self) {
        if let Some(asked) = self.asked.lock().take() {
            asked.withdraw();
        }
        self.replace(None, SECCOMP_MODE_DISABLED);
    }

    /// The notification of this number, if the task waits for it.
    #[must_use]
    pub fn asked(&self, id: u64) -> Option<Asked> {
        self.asked.lock().clone().filter(|asked| asked.id == id)
    }

    /// Takes back the notification of this number.
    pub fn withdraw(&self, id: u64) {
        if let Some(asked) = self.asked.lock().take_if(|asked| asked.id == id) {
            asked.withdraw();
        }
    }

    fn replace(&self, filters: Option<Arc<Filter>>, mode: u32) {
        let old = std::mem::replace(&mut *self.filters.write(), filters);
        self.mode.store(mode, Ordering::Release);
        drop(old);
    }

    /// Whether filters that are put after those of `caller` may replace this task's.
    fn may_follow(&self, caller: Option<&Arc<Filter>>) -> bool {
        match (self.mode(), &*self.filters.read()) {
            (SECCOMP_MODE_DISABLED, _) => true,
            (SECCOMP_MODE_FILTER, Some(own)) => caller.is_some_and(|caller| caller.comes_from(own)),
            _ => false,
        }
    }
}

/// Installs a filter. The caller rewrites its own in-guest answers.
///
/// # Errors
/// `EINVAL` in strict mode; `EBUSY` a second listener; `ENOMEM` too many instructions, or the
/// container's memory limit.
pub fn attach(
    task: &Arc<Task>,
    program: Program,
    options: Options,
    scope: Threads,
) -> Result<Attached, Errno> {
    let threads = task.group.threads.lock();
    let own = &task.seccomp;
    if own.mode() == SECCOMP_MODE_STRICT {
        return Err(EINVAL.because("strict mode"));
    }
    let prev = own.filters.read().clone();
    if options.notifier.is_some()
        && let Some(prev) = &prev
        && prev.chain().any(|filter| filter.notifier.as_ref().is_some_and(|it| !it.is_closed()))
    {
        return Err(EBUSY.because("there is a listener"));
    }
    let before = prev.as_ref().map_or(0, |prev| prev.counted_len());
    if before + u64::from(program.translated_len()) > MAX_INSNS {
        return Err(ENOMEM.because("too many instructions in all filters"));
    }
    let others =
        || threads.iter().filter(|other| !Arc::ptr_eq(other, task) && !other.sched.is_dead());
    if scope == Threads::All
        && let Some(other) = others().find(|other| !other.seccomp.may_follow(prev.as_ref()))
    {
        let number = other.pid().number_or_zero(task.pid().namespace());
        if number == 0 {
            return Err(ESRCH.into());
        }
        return Ok(Attached::Hindered(number));
    }
    let account = task.group.container.account.clone();
    let filter = Arc::new(Filter::new(program, prev, options, account)?);
    own.replace(Some(filter.clone()), SECCOMP_MODE_FILTER);
    if scope == Threads::All {
        for other in others() {
            if task.no_new_privs.load(Ordering::Relaxed) {
                other.no_new_privs.store(true, Ordering::Relaxed);
            }
            other.seccomp.replace(Some(filter.clone()), SECCOMP_MODE_FILTER);
            other.expire_answers();
        }
    }
    Ok(Attached::Done)
}

/// Looks at a call before it is served. `None`: it is to be served.
#[cold]
pub(crate) fn enter(ctx: &mut Ctx<'_>) -> Option<SysResult> {
    if ctx.task().ptrace.wants(PTRACE_O_SUSPEND_SECCOMP) {
        return None;
    }
    if let Some(block) = ctx.resumed() {
        let asked = ctx.task().seccomp.asked(waits_for(block)?)?;
        return answered(ctx, &asked);
    }
    match ctx.task().seccomp.mode() {
        SECCOMP_MODE_DISABLED => None,
        SECCOMP_MODE_FILTER => filtered(ctx),
        _ => strict(ctx),
    }
}

/// The notification a block waits for.
pub(crate) fn waits_for(block: &Block) -> Option<u64> {
    match block.sources.as_slice() {
        [(Source::Object { kind: ObjectKind::Notification, id, .. }, _)] => Some(*id),
        _ => None,
    }
}

fn strict(ctx: &mut Ctx<'_>) -> Option<SysResult> {
    if STRICT.contains(&ctx.regs().syscall_nr()) {
        return None;
    }
    let task = ctx.task().clone();
    exit::end_task(&task, ctx.machine, ExitStatus::Signaled { signo: SIGKILL, core: false });
    Some(Err(Stop::NoReturn))
}

fn filtered(ctx: &mut Ctx<'_>) -> Option<SysResult> {
    let task = ctx.task().clone();
    let nr = low_u32(ctx.regs().syscall_nr());
    let filters = task.seccomp.filters.read();
    let last = filters.as_ref()?;
    if last.surely_allows(nr) {
        return None;
    }
    let data = SeccompData {
        nr,
        arch: ARCH,
        instruction_pointer: ctx.regs().instruction_pointer(),
        args: ctx.regs().syscall_args(),
    };
    let Verdict { value, by } = last.run(&data);
    let (action, rest) = (value & SECCOMP_RET_ACTION_FULL, value & SECCOMP_RET_DATA);
    if let Some(by) = by
        && logged::wanted(action, by.log)
    {
        tracing::info!(tid = task.tid(), nr, value, "a guest's filter stops or logs a call");
    }
    match action {
        SECCOMP_RET_ALLOW | SECCOMP_RET_LOG => None,
        SECCOMP_RET_ERRNO => {
            let errno = i64::from(rest.min(MAX_ERRNO));
            Some(Ok((-errno).cast_unsigned()))
        }
        SECCOMP_RET_TRAP => {
            drop(filters);
            // The handler sees the registers as they were.
            let original = ctx.regs().syscall_nr();
            ctx.machine.set_return(original);
            send::force(&task, trap(&data, rest));
            Some(Err(Stop::NoReturn))
        }
        SECCOMP_RET_TRACE => {
            drop(filters);
            ask_tracer(ctx, rest)
        }
        SECCOMP_RET_USER_NOTIF => {
            let by = by?;
            let notifier = by.notifier.as_ref();
            let asked = notifier.and_then(|it| it.ask(&task, data, by.wait_killable));
            let Some(asked) = asked else { return Some(Err(ENOSYS.into())) };
            drop(filters);
            *task.seccomp.asked.lock() = Some(asked.clone());
            answered(ctx, &asked)
        }
        _ => {
            drop(filters);
            let whole = action != SECCOMP_RET_KILL_THREAD || is_last(&task.group);
            let status = ExitStatus::Signaled { signo: SIGSYS, core: false };
            if whole {
                exit::exit_group(&task, ctx.machine, status);
            } else {
                exit::end_task(&task, ctx.machine, status);
            }
            Some(Err(Stop::NoReturn))
        }
    }
}

fn is_last(group: &ThreadGroup) -> bool {
    group.threads.lock().len() == 1
}

/// `SIGSYS` for a call.
fn trap(data: &SeccompData, errno: u32) -> Info {
    let detail = Detail::Syscall {
        addr: data.instruction_pointer,
        nr: data.nr.cast_signed(),
        arch: data.arch,
    };
    Info { signo: SIGSYS, errno: errno.cast_signed(), code: SYS_SECCOMP, detail }
}

/// `SECCOMP_RET_TRACE` (`PTRACE_EVENT_SECCOMP`): the tracer decides. `None`: the call is made.
fn ask_tracer(ctx: &mut Ctx<'_>, message: u32) -> Option<SysResult> {
    if std::mem::take(&mut ctx.machine.asked) {
        return None;
    }
    if ctx.task().ptrace.wants(PTRACE_O_TRACESECCOMP) {
        // Once the tracer has let the task go on, the filters are asked again.
        ctx.machine.event = Some((PTRACE_EVENT_SECCOMP, message.into()));
        return Some(Err(Stop::NoReturn));
    }
    // Without a tracer that wants to be asked.
    Some(Err(ENOSYS.because("a filter wants a tracer asked").into()))
}

/// What a listener says; until then the call waits.
fn answered(ctx: &mut Ctx<'_>, asked: &Asked) -> Option<SysResult> {
    let answer = match asked.answer() {
        Ok(answer) => answer,
        Err(block) => return Some(Err(block.into())),
    };
    ctx.task().seccomp.withdraw(asked.id);
    match answer {
        Answer::Return(value) => Some(Ok(value)),
        Answer::Continue => {
            ctx.forget_wait();
            None
        }
    }
}

/// The value of a reply: the error if there is one.
#[must_use]
pub const fn reply(error: i32, value: i64) -> Answer {
    Answer::Return(if error == 0 { value.cast_unsigned() } else { sign_extend(error) })
}
