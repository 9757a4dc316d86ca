//! Filters of system calls: `seccomp(2)`, `prctl(PR_SET_SECCOMP)` and the listener of
//! `seccomp_unotify(2)`.

use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::conv::{low_u16, usize_of_u32};
use bevor_abi::errno::{EACCES, EBADF, EFAULT, EINVAL, EOPNOTSUPP, ESRCH};
use bevor_abi::fcntl::{O_CLOEXEC, O_RDWR};
use bevor_abi::ioctl::{
    SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_IOCTL_NOTIF_ID_VALID, SECCOMP_IOCTL_NOTIF_RECV,
    SECCOMP_IOCTL_NOTIF_SEND, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
};
use bevor_abi::seccomp::{
    BPF_MAXINSNS, SECCOMP_ADDFD_FLAG_SEND, SECCOMP_ADDFD_FLAG_SETFD, SECCOMP_FILTER_FLAG_LOG,
    SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_TSYNC,
    SECCOMP_FILTER_FLAG_TSYNC_ESRCH, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES, SECCOMP_MODE_FILTER, SECCOMP_MODE_STRICT,
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD,
    SECCOMP_RET_LOG, SECCOMP_RET_TRACE, SECCOMP_RET_TRAP, SECCOMP_RET_USER_NOTIF,
    SECCOMP_SET_MODE_FILTER, SECCOMP_SET_MODE_STRICT, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
    SECCOMP_USER_NOTIF_FLAG_CONTINUE, SeccompData, SeccompNotif, SeccompNotifAddfd,
    SeccompNotifResp, SeccompNotifSizes, SockFilter, SockFprog,
};
use bevor_base::{Ready, WaitQueue};
use bevor_kernel::block::Block;
use bevor_kernel::seccomp::bpf::Program;
use bevor_kernel::seccomp::notify::{Added, Addition, Answer, Notifier};
use bevor_kernel::seccomp::{self, Attached, Options, Threads};
use bevor_kernel::{Ctx, SysResult};
use bevor_memory::UserAddr;
use bevor_vfs::event::dnotify;
use bevor_vfs::file::{File, FileOps, OpenFlags};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Every flag of a filter.
const ALL_FLAGS: u32 = SECCOMP_FILTER_FLAG_TSYNC
    | SECCOMP_FILTER_FLAG_LOG
    | SECCOMP_FILTER_FLAG_SPEC_ALLOW
    | SECCOMP_FILTER_FLAG_NEW_LISTENER
    | SECCOMP_FILTER_FLAG_TSYNC_ESRCH
    | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
/// `SECCOMP_IOCTL_NOTIF_ID_VALID` as it was first published, with the wrong direction.
const ID_VALID_WRONG: u32 = 0x8008_2102;
/// Direction and size of a command.
const IOC_INOUT: u32 = 0xc000_0000;
const IOC_SIZE: u32 = 0x3fff_0000;
/// Least size of an addition.
const ADDFD_LEN: usize = 24;

/// `seccomp(2)`.
///
/// # Errors
/// `EACCES`, `EBUSY`, `EFAULT`, `EINVAL`, `EMFILE`, `ENOMEM`, `EOPNOTSUPP`, `ESRCH`.
pub fn seccomp(ctx: &mut Ctx<'_>, op: u32, flags: u32, args: UserAddr) -> SysResult {
    match op {
        SECCOMP_SET_MODE_STRICT if flags == 0 && args.0 == 0 => set_strict(ctx),
        SECCOMP_SET_MODE_FILTER => set_filter(ctx, flags, args),
        SECCOMP_GET_ACTION_AVAIL if flags == 0 => match ctx.mm().read::<u32>(args)? {
            SECCOMP_RET_KILL_PROCESS
            | SECCOMP_RET_KILL_THREAD
            | SECCOMP_RET_TRAP
            | SECCOMP_RET_ERRNO
            | SECCOMP_RET_USER_NOTIF
            | SECCOMP_RET_TRACE
            | SECCOMP_RET_LOG
            | SECCOMP_RET_ALLOW => Ok(0),
            _ => Err(EOPNOTSUPP.into()),
        },
        SECCOMP_GET_NOTIF_SIZES if flags == 0 => {
            let sizes = SeccompNotifSizes {
                seccomp_notif: size::<SeccompNotif>(),
                seccomp_notif_resp: size::<SeccompNotifResp>(),
                seccomp_data: size::<SeccompData>(),
            };
            ctx.mm().write(args, &sizes)?;
            Ok(0)
        }
        _ => Err(EINVAL.into()),
    }
}

const fn size<T>() -> u16 {
    low_u16(bevor_abi::conv::u64_of(size_of::<T>()))
}

/// `prctl(PR_SET_SECCOMP)`.
///
/// # Errors
/// As [`seccomp`].
pub fn set_mode(ctx: &mut Ctx<'_>, mode: u64, args: UserAddr) -> SysResult {
    match u32::try_from(mode) {
        Ok(SECCOMP_MODE_STRICT) => set_strict(ctx),
        Ok(SECCOMP_MODE_FILTER) => set_filter(ctx, 0, args),
        _ => Err(EINVAL.into()),
    }
}

fn set_strict(ctx: &mut Ctx<'_>) -> SysResult {
    ctx.task().seccomp.set_strict()?;
    ctx.refresh_answers();
    Ok(0)
}

fn set_filter(ctx: &mut Ctx<'_>, flags: u32, args: UserAddr) -> SysResult {
    let has = |flag: u32| flags & flag != 0;
    let listens = has(SECCOMP_FILTER_FLAG_NEW_LISTENER);
    let all = has(SECCOMP_FILTER_FLAG_TSYNC);
    let wait_killable = has(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    // A result would be either a descriptor or a thread.
    let ambiguous = all && listens && !has(SECCOMP_FILTER_FLAG_TSYNC_ESRCH);
    if flags & !ALL_FLAGS != 0 || ambiguous || (wait_killable && !listens) {
        return Err(EINVAL.into());
    }
    let program = read_program(ctx, args)?;
    let notifier = listens.then(Arc::<Notifier>::default);
    let listener = match &notifier {
        Some(notifier) => Some(install_listener(ctx, notifier.clone())?),
        None => None,
    };
    let options = Options { log: has(SECCOMP_FILTER_FLAG_LOG), wait_killable, notifier };
    let scope = if all { Threads::All } else { Threads::Own };
    let attached = seccomp::attach(ctx.task(), program, options, scope);
    if !matches!(attached, Ok(Attached::Done))
        && let Some(fd) = listener
    {
        drop(ctx.files().remove(fd));
    }
    match attached? {
        Attached::Done => {
            ctx.refresh_answers();
            Ok(listener.map_or(0, |fd| u64::from(fd.cast_unsigned())))
        }
        Attached::Hindered(_) if has(SECCOMP_FILTER_FLAG_TSYNC_ESRCH) => Err(ESRCH.into()),
        Attached::Hindered(thread) => Ok(u64::from(thread.cast_unsigned())),
    }
}

/// Reads and checks a filter, and whether the caller may have one at all.
fn read_program(ctx: &Ctx<'_>, args: UserAddr) -> Result<Program, Errno> {
    let SockFprog { len, filter, .. } = ctx.mm().read(args)?;
    if len == 0 || u32::from(len) > BPF_MAXINSNS {
        return Err(EINVAL.because("length of the filter"));
    }
    let task = ctx.task();
    // Else a program that gains privileges would run under a filter of somebody who has none.
    if !task.no_new_privs.load(Ordering::Relaxed) && !task.cred().has_cap(CAP_SYS_ADMIN) {
        return Err(EACCES.because("neither no_new_privs nor CAP_SYS_ADMIN"));
    }
    if filter == 0 {
        return Err(EINVAL.because("no filter"));
    }
    let code: Vec<SockFilter> = ctx.mm().read_array(UserAddr(filter), usize::from(len))?;
    Program::check(&code)
}

/// What a listening descriptor refers to.
struct Listener(Arc<Notifier>);

fn install_listener(ctx: &Ctx<'_>, notifier: Arc<Notifier>) -> Result<i32, Errno> {
    let ops = Box::new(Listener(notifier));
    ctx.install(bevor_vfs::anon::file(ops, "seccomp notify", OpenFlags(O_RDWR)), true)
}

impl FileOps for Listener {
    fn is_stream(&self) -> bool {
        true
    }

    fn poll(&self) -> Ready {
        self.0.poll()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.0.queue())
    }

    fn release(&self, _file: &File) {
        self.0.close();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Serves the commands of `ioctl(2)` of a listener; `None` for other files.
pub fn ioctl(ctx: &Ctx<'_>, file: &Arc<File>, command: u32, arg: u64) -> Option<SysResult> {
    let notifier = &file.downcast::<Listener>()?.0;
    let at = UserAddr(arg);
    Some(match command {
        SECCOMP_IOCTL_NOTIF_RECV => receive(ctx, file, notifier, at),
        SECCOMP_IOCTL_NOTIF_SEND => send(ctx, notifier, at).map_err(Into::into),
        SECCOMP_IOCTL_NOTIF_ID_VALID | ID_VALID_WRONG => match ctx.mm().read(at) {
            Ok(id) if notifier.is_valid(id) => Ok(0),
            Ok(_) => Err(bevor_abi::errno::ENOENT.into()),
            Err(errno) => Err(errno.into()),
        },
        // The waiting side is always woken at once, which is all a synchronous wake-up hints at.
        SECCOMP_IOCTL_NOTIF_SET_FLAGS if arg & !SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP == 0 => Ok(0),
        _ if command & !(IOC_INOUT | IOC_SIZE)
            == SECCOMP_IOCTL_NOTIF_ADDFD & !(IOC_INOUT | IOC_SIZE) =>
        {
            add(ctx, notifier, at, usize_of_u32((command & IOC_SIZE) >> 16)).map_err(Into::into)
        }
        _ => Err(EINVAL.into()),
    })
}

fn receive(ctx: &Ctx<'_>, file: &Arc<File>, notifier: &Arc<Notifier>, at: UserAddr) -> SysResult {
    // Zeros are what fields to come will mean nothing with.
    if ctx.resumed().is_none() && ctx.mm().read::<[u8; 80]>(at)?.iter().any(|&byte| byte != 0) {
        return Err(EINVAL.into());
    }
    let Some(received) = notifier.receive()? else {
        return Err(Block::on_file(file, Ready::READABLE).into());
    };
    let pid = received.pid.number_or_zero(ctx.task().pid().namespace()).cast_unsigned();
    let notif = SeccompNotif { id: received.id, pid, flags: 0, data: received.data };
    if ctx.mm().write(at, &notif).is_err() {
        notifier.unreceive(received.id);
        return Err(EFAULT.into());
    }
    Ok(0)
}

fn send(ctx: &Ctx<'_>, notifier: &Notifier, at: UserAddr) -> Result<u64, Errno> {
    let SeccompNotifResp { id, val, error, flags } = ctx.mm().read(at)?;
    let goes_on = flags & SECCOMP_USER_NOTIF_FLAG_CONTINUE != 0;
    if flags & !SECCOMP_USER_NOTIF_FLAG_CONTINUE != 0 || (goes_on && (error != 0 || val != 0)) {
        return Err(EINVAL.into());
    }
    let answer = if goes_on { Answer::Continue } else { seccomp::reply(error, val) };
    notifier.answer(id, answer)?;
    Ok(0)
}

fn add(ctx: &Ctx<'_>, notifier: &Notifier, at: UserAddr, size: usize) -> Result<u64, Errno> {
    if size >= crate::extensible::MAX_BYTES {
        return Err(EINVAL.into());
    }
    let addition = crate::extensible::read(ctx, at, size, ADDFD_LEN)?;
    let SeccompNotifAddfd { id, flags, srcfd, newfd, newfd_flags } = addition;
    let fixed = flags & SECCOMP_ADDFD_FLAG_SETFD != 0;
    let known = SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND;
    if newfd_flags & !O_CLOEXEC != 0 || flags & !known != 0 || (newfd != 0 && !fixed) {
        return Err(EINVAL.into());
    }
    let addition = Addition {
        file: ctx.file(srcfd.cast_signed())?,
        at: if fixed { Some(i32::try_from(newfd).map_err(|_| EBADF)?) } else { None },
        close_on_exec: newfd_flags != 0,
        send: flags & SECCOMP_ADDFD_FLAG_SEND != 0,
    };
    let Added { fd, replaced, table } = notifier.add(id, addition)?;
    if let Some(replaced) = replaced {
        bevor_vfs::locks::closed(&replaced, table);
        dnotify::closed(&replaced, table);
        // As on Linux, errors of the implicit close are lost.
        let _ = replaced.ops().flush(&replaced);
    }
    Ok(u64::from(fd.cast_unsigned()))
}
