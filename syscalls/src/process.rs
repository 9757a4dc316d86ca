//! Making, replacing, ending and awaiting processes: `fork(2)`, `clone(2)`, `execve(2)`,
//! `_exit(2)`, `wait4(2)`, `waitid(2)`.

use bevor_abi::Errno;
use bevor_abi::errno::{E2BIG, EAGAIN, EBADF, ECHILD, EFAULT, EINVAL, ENOENT, EOPNOTSUPP};
use bevor_abi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use bevor_abi::ptrace::PTRACE_O_TRACEEXIT;
use bevor_abi::resource::Rusage;
use bevor_abi::sched::{
    CLONE_CLEAR_SIGHAND, CLONE_PARENT, CLONE_PARENT_SETTID, CLONE_PIDFD, CLONE_THREAD, CLONE_VFORK,
    CLONE_VM, CloneArgs,
};
use bevor_abi::time::Timeval;
use bevor_abi::wait::{
    __WALL, __WCLONE, __WNOTHREAD, P_ALL, P_PGID, P_PID, P_PIDFD, WCONTINUED, WEXITED, WNOHANG,
    WNOWAIT, WSTOPPED, WUNTRACED,
};
use bevor_base::Ready;
use bevor_kernel::block::Source;
use bevor_kernel::clone::{self, Request};
use bevor_kernel::exec::{self, Program};
use bevor_kernel::group::Usage;
use bevor_kernel::signal::{Detail, Info, send};
use bevor_kernel::tree::ExitStatus;
use bevor_kernel::wait::{self, Found, Options, Which};
use bevor_kernel::{Block, Ctx, Restart, Stop, SysResult, exit, limits};
use bevor_memory::UserAddr;
use bevor_vfs::{At, LastLink};
use std::sync::atomic::Ordering;

/// Flags `clone3` knows: its signal has a field of its own.
const CLONE3_FLAGS: u64 = 0x3_ffff_ffff & !0xff | bevor_abi::sched::CLONE_NEWTIME;
/// Longest path.
const PATH_MAX: usize = 4096;

/// `fork(2)`.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
pub fn fork(ctx: &mut Ctx<'_>) -> SysResult {
    let request = Request { exit_signal: clone::FORK_SIGNAL, ..Request::default() };
    clone::clone(ctx, &request, crate::pidfd::make)
}

/// `vfork(2)`.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
pub fn vfork(ctx: &mut Ctx<'_>) -> SysResult {
    let flags = CLONE_VM | CLONE_VFORK;
    let request = Request { flags, exit_signal: clone::FORK_SIGNAL, ..Request::default() };
    clone::clone(ctx, &request, crate::pidfd::make)
}

/// `clone(2)`, with the argument order of x86-64.
///
/// # Errors
/// `EINVAL`, `EAGAIN`, `ENOMEM`, `EPERM`, `ENOSPC`.
pub fn clone(
    ctx: &mut Ctx<'_>,
    flags: u64,
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
) -> SysResult {
    let exit_signal = i32::try_from(flags & 0xff).map_err(|_| EINVAL)?;
    let flags = flags & 0xffff_ff00;
    if flags & CLONE_PIDFD != 0 && flags & CLONE_PARENT_SETTID != 0 {
        return Err(EINVAL.because("CLONE_PIDFD and CLONE_PARENT_SETTID share an argument").into());
    }
    let request = Request {
        flags,
        pidfd: parent_tid,
        child_tid,
        parent_tid,
        exit_signal,
        stack,
        tls,
        set_tid: Vec::new(),
    };
    clone::clone(ctx, &request, crate::pidfd::make)
}

/// `clone3(2)`.
///
/// # Errors
/// `EINVAL`, `E2BIG`, `EFAULT`, `EAGAIN`, `ENOMEM`, `EPERM`, `EEXIST`, `EOPNOTSUPP`.
pub fn clone3(ctx: &mut Ctx<'_>, args: UserAddr, size: usize) -> SysResult {
    let args = read_clone_args(ctx, args, size)?;
    let known = CLONE3_FLAGS & !bevor_abi::sched::CLONE_DETACHED;
    if args.flags & !known != 0 || args.exit_signal > 64 {
        return Err(EINVAL.into());
    }
    if args.flags & bevor_abi::sched::CLONE_INTO_CGROUP != 0 {
        let cgroup = i32::try_from(args.cgroup).map_err(|_| EINVAL)?;
        ctx.file(cgroup)?;
        return Err(EOPNOTSUPP.because("CLONE_INTO_CGROUP").into());
    }
    if (args.stack == 0) != (args.stack_size == 0) {
        return Err(EINVAL.because("stack and stack_size go together").into());
    }
    let silent = args.flags & (CLONE_THREAD | CLONE_PARENT) != 0;
    if silent && args.exit_signal != 0 {
        return Err(EINVAL.because("exit_signal with CLONE_THREAD or CLONE_PARENT").into());
    }
    if args.set_tid_size > 32 || (args.set_tid == 0) != (args.set_tid_size == 0) {
        return Err(EINVAL.into());
    }
    let count = usize::try_from(args.set_tid_size).map_err(|_| EINVAL)?;
    let set_tid: Vec<i32> = ctx.mm().read_array(UserAddr(args.set_tid), count)?;
    let request = Request {
        flags: args.flags,
        pidfd: args.pidfd,
        child_tid: args.child_tid,
        parent_tid: args.parent_tid,
        exit_signal: i32::try_from(args.exit_signal).map_err(|_| EINVAL)?,
        stack: args.stack.checked_add(args.stack_size).ok_or(EINVAL)?,
        tls: args.tls,
        set_tid,
    };
    if request.flags & CLONE_CLEAR_SIGHAND != 0 && request.flags & CLONE_THREAD != 0 {
        return Err(EINVAL.into());
    }
    clone::clone(ctx, &request, crate::pidfd::make)
}

fn read_clone_args(ctx: &Ctx<'_>, at: UserAddr, size: usize) -> Result<CloneArgs, Errno> {
    use zerocopy::FromBytes;
    const FIRST_VERSION: usize = 64;
    if size > 4096 {
        return Err(E2BIG.into());
    }
    if size < FIRST_VERSION {
        return Err(EINVAL.into());
    }
    let mut bytes = vec![0; size.max(size_of::<CloneArgs>())];
    ctx.mm().read_bytes(at, bytes.get_mut(..size).ok_or(EFAULT)?)?;
    let (args, rest) = CloneArgs::read_from_prefix(&bytes).map_err(|_| EINVAL)?;
    if rest.iter().any(|&byte| byte != 0) {
        return Err(E2BIG.because("unknown fields of clone_args are set"));
    }
    Ok(args)
}

/// `execve(2)`.
///
/// # Errors
/// As [`execveat`].
pub fn execve(ctx: &mut Ctx<'_>, path: UserAddr, argv: UserAddr, envp: UserAddr) -> SysResult {
    execveat(ctx, AT_FDCWD, path, argv, envp, 0)
}

/// `execveat(2)`.
///
/// # Errors
/// `ENOENT`, `EACCES`, `ENOEXEC`, `E2BIG`, `EFAULT`, `EINVAL`, `ELOOP`, `EBADF`, `ENOMEM`.
pub fn execveat(
    ctx: &mut Ctx<'_>,
    dirfd: i32,
    path: UserAddr,
    argv: UserAddr,
    envp: UserAddr,
    flags: u32,
) -> SysResult {
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(EINVAL.into());
    }
    let path = ctx.mm().read_cstr(path, PATH_MAX)?;
    let fs = ctx.task().fs().context();
    let open = |path: &[u8]| exec::open_executable(ctx, &fs, path);
    let (file, filename, inaccessible) = if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        let named = ctx.files().get_any(dirfd)?;
        let file = exec::open_path(ctx, named.path().clone())?;
        (file, format!("/dev/fd/{dirfd}").into_bytes(), ctx.files().close_on_exec(dirfd)?)
    } else if path.is_empty() {
        return Err(ENOENT.into());
    } else {
        let start = if dirfd == AT_FDCWD || path.first() == Some(&b'/') {
            None
        } else {
            Some(ctx.files().get_any(dirfd)?.path().clone())
        };
        let nofollow = flags & AT_SYMLINK_NOFOLLOW != 0;
        let last = if nofollow { LastLink::Keep } else { LastLink::Follow };
        let cred = ctx.task().cred();
        let at = At { dir: Ok(start.as_ref()), ..At::cwd(&fs, ctx, &cred) };
        let file = exec::open_at(&at, &path, last)?;
        match start {
            None => (file, path, false),
            Some(_) => {
                let name = [format!("/dev/fd/{dirfd}/").into_bytes(), path].concat();
                (file, name, ctx.files().close_on_exec(dirfd)?)
            }
        }
    };
    let stack_limit = ctx.task().group.limits.soft(limits::STACK);
    let args = exec::read_strings(ctx.mm(), argv.0, stack_limit)?;
    let envs = exec::read_strings(ctx.mm(), envp.0, stack_limit)?;
    let personality = ctx.task().personality.load(Ordering::Relaxed);
    let open = &open;
    let program = Program { file, filename, args, envs, open, inaccessible, personality };
    let loaded = exec::prepare(ctx, program)?;
    exec::replace(ctx, loaded)
}

/// `exit(2)`: ends the calling thread.
///
/// # Errors
/// Never returns.
pub fn exit(ctx: &mut Ctx<'_>, status: i32) -> SysResult {
    let task = ctx.task().clone();
    if task.ptrace.wants(PTRACE_O_TRACEEXIT) {
        ctx.machine.ending = Some(exited(status));
    } else {
        exit::end_task(&task, ctx.machine, exited(status));
    }
    Err(Stop::NoReturn)
}

/// `exit_group(2)`: ends the process.
///
/// # Errors
/// Never returns.
pub fn exit_group(ctx: &mut Ctx<'_>, status: i32) -> SysResult {
    let task = ctx.task().clone();
    if task.ptrace.wants(PTRACE_O_TRACEEXIT) {
        send::group_exit(&task.group, exited(status));
        ctx.machine.ending = Some(exited(status));
    } else {
        exit::exit_group(&task, ctx.machine, exited(status));
    }
    Err(Stop::NoReturn)
}

fn exited(status: i32) -> ExitStatus {
    let [code, ..] = status.to_le_bytes();
    ExitStatus::Exited(code)
}

/// `wait4(2)`.
///
/// # Errors
/// `ECHILD`, `EINVAL`, `EFAULT`; `EINTR`.
pub fn wait4(
    ctx: &mut Ctx<'_>,
    pid: i32,
    status: UserAddr,
    options: u32,
    rusage: UserAddr,
) -> SysResult {
    let known = WNOHANG | WUNTRACED | WCONTINUED | __WALL | __WCLONE | __WNOTHREAD;
    if options & !known != 0 {
        return Err(EINVAL.into());
    }
    let which = match pid {
        -1 => Which::Any,
        0 => group_of(ctx, ctx.task().get_pgid(0)?),
        ..0 => group_of(ctx, pid.checked_neg().ok_or(bevor_abi::errno::ESRCH)?),
        _ => process_of(ctx, pid),
    };
    let wanted = Options {
        exited: true,
        stopped: options & WUNTRACED != 0,
        continued: options & WCONTINUED != 0,
        keep: false,
        all: options & __WALL != 0,
        clone: options & __WCLONE != 0,
        own: options & __WNOTHREAD != 0,
    };
    let Some(found) = look(ctx, &which, wanted, options)? else { return Ok(0) };
    if status.0 != 0 {
        ctx.mm().write(status, &found.change.wait_word())?;
    }
    if rusage.0 != 0 {
        ctx.mm().write(rusage, &rusage_of(&found.usage))?;
    }
    Ok(u64::from(found.pid.cast_unsigned()))
}

/// `waitid(2)`.
///
/// # Errors
/// `ECHILD`, `EINVAL`, `EBADF`, `EFAULT`; `EINTR`.
pub fn waitid(
    ctx: &mut Ctx<'_>,
    id_type: u32,
    id: i32,
    info: UserAddr,
    options: u32,
    rusage: UserAddr,
) -> SysResult {
    let events = WEXITED | WSTOPPED | WCONTINUED;
    let known = events | WNOHANG | WNOWAIT | __WALL | __WCLONE | __WNOTHREAD;
    if options & !known != 0 || options & events == 0 {
        return Err(EINVAL.into());
    }
    let mut options = options;
    let mut nonblocking = false;
    let which = match id_type {
        P_ALL => Which::Any,
        P_PID if id > 0 => process_of(ctx, id),
        P_PGID if id == 0 => group_of(ctx, ctx.task().get_pgid(0)?),
        P_PGID if id > 0 => group_of(ctx, id),
        P_PIDFD if id >= 0 => {
            let file = ctx.file(id)?;
            if file.nonblocking() && options & WNOHANG == 0 {
                nonblocking = true;
                options |= WNOHANG;
            }
            let pid = crate::pidfd::pid_of(&file).ok_or(EBADF)?;
            Which::Process(pid)
        }
        _ => return Err(EINVAL.into()),
    };
    let wanted = Options {
        exited: options & WEXITED != 0,
        stopped: options & WSTOPPED != 0,
        continued: options & WCONTINUED != 0,
        keep: options & WNOWAIT != 0,
        all: options & __WALL != 0,
        clone: options & __WCLONE != 0,
        own: options & __WNOTHREAD != 0,
    };
    let found = look(ctx, &which, wanted, options)?;
    if found.is_none() && nonblocking {
        return Err(EAGAIN.into());
    }
    if rusage.0 != 0
        && let Some(found) = &found
    {
        ctx.mm().write(rusage, &rusage_of(&found.usage))?;
    }
    if info.0 != 0 {
        let bytes = found.as_ref().map_or([0; 128], |found| child_info(found).to_bytes());
        // Only the fields of SIGCHLD are written, up to si_status.
        ctx.mm().write_bytes(info, bytes.get(..28).unwrap_or_default())?;
    }
    Ok(0)
}

fn child_info(found: &Found) -> Info {
    let (code, status) = found.change.child_info();
    let detail = Detail::Child { pid: found.pid, uid: found.uid, status, utime: 0, stime: 0 };
    Info { signo: 17, errno: 0, code, detail }
}

fn process_of(ctx: &Ctx<'_>, number: i32) -> Which {
    let found = ctx.task().pid().namespace().find(number);
    found.map_or(Which::Nobody, Which::Process)
}

fn group_of(ctx: &Ctx<'_>, number: i32) -> Which {
    let found = ctx.task().pid().namespace().find(number);
    found.map_or(Which::Nobody, Which::Group)
}

fn look(
    ctx: &Ctx<'_>,
    which: &Which,
    wanted: Options,
    options: u32,
) -> Result<Option<Found>, Stop> {
    if matches!(which, Which::Nobody) {
        return Err(ECHILD.into());
    }
    if let Some(found) = wait::look(ctx.task(), which, wanted)? {
        return Ok(Some(found));
    }
    if options & WNOHANG != 0 {
        return Ok(None);
    }
    let mut block = Block::new(Restart::Sys);
    block.sources.push((Source::Children, Ready::ALL));
    Err(block.into())
}

/// `struct rusage` of some usage.
#[must_use]
pub fn rusage_of(usage: &Usage) -> Rusage {
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Rusage {
        ru_utime: Timeval::from_ns(count(usage.user_ns)),
        ru_stime: Timeval::from_ns(count(usage.system_ns)),
        ru_maxrss: count(usage.max_rss_bytes / 1024),
        ru_minflt: count(usage.minor_faults),
        ru_majflt: count(usage.major_faults),
        ru_nvcsw: count(usage.voluntary_switches),
        ru_nivcsw: count(usage.involuntary_switches),
        ..Rusage::default()
    }
}
