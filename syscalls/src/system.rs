//! The system as a whole: `uname(2)`, `sethostname(2)`, `sysinfo(2)`, `getrandom(2)`, `syslog(2)`,
//! `adjtimex(2)`, `reboot(2)`.

use bevor_abi::Errno;
use bevor_abi::cap::{CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYSLOG};
use bevor_abi::conv::{u64_of, usize_of, usize_of_u32};
use bevor_abi::errno::{EFAULT, EINVAL, EOPNOTSUPP, EPERM};
use bevor_abi::signal::{SIGHUP, SIGINT};
use bevor_abi::system::{
    GRND_INSECURE, GRND_NONBLOCK, GRND_RANDOM, LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_POWER_OFF,
    LINUX_REBOOT_CMD_RESTART, LINUX_REBOOT_CMD_RESTART2, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
    LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B, LINUX_REBOOT_MAGIC2C, SYSLOG_ACTION_CLEAR,
    SYSLOG_ACTION_CLOSE, SYSLOG_ACTION_CONSOLE_LEVEL, SYSLOG_ACTION_CONSOLE_OFF,
    SYSLOG_ACTION_CONSOLE_ON, SYSLOG_ACTION_OPEN, SYSLOG_ACTION_READ_ALL, SYSLOG_ACTION_READ_CLEAR,
    SYSLOG_ACTION_SIZE_BUFFER, SYSLOG_ACTION_SIZE_UNREAD, Sysinfo,
};
use bevor_abi::time::{
    ADJ_OFFSET_SS_READ, CLOCK_IDS, CLOCK_REALTIME, STA_UNSYNC, TIME_ERROR, Timeval, Timex,
};
use bevor_base::clock;
use bevor_kernel::signal::send;
use bevor_kernel::tree::ExitStatus;
use bevor_kernel::{Ctx, SysResult, host};
use bevor_memory::{UserAddr, UserPtr};

/// Longest host or domain name, bytes.
const MAX_NAME: usize = 64;
/// Most random bytes one call fills. Longer requests get that many: a worker serves others, too.
const MAX_RANDOM: u64 = (1 << 25) - 1;
/// Random bytes made at a time.
const RANDOM_CHUNK: usize = 64 << 10;
/// Size `dmesg` is told the kernel's log has, bytes.
const LOG_SIZE: u64 = 1 << 17;

/// `uname(2)`.
///
/// # Errors
/// `EFAULT`.
pub fn uname(ctx: &mut Ctx<'_>, buf: UserAddr) -> SysResult {
    let names = ctx.task().names();
    ctx.mm().write_bytes(buf, names.as_flattened())?;
    Ok(0)
}

/// Reads the name `sethostname` and `setdomainname` are given, after the check of privilege.
fn new_name(ctx: &Ctx<'_>, name: UserAddr, len: i32) -> Result<Vec<u8>, Errno> {
    let uts = &ctx.task().namespaces().uts;
    if !ctx.task().cred().has_cap_in(CAP_SYS_ADMIN, &uts.user_ns) {
        return Err(EPERM.into());
    }
    let len = u32::try_from(len).map(usize_of_u32).ok().filter(|&len| len <= MAX_NAME);
    let mut bytes = vec![0; len.ok_or(EINVAL)?];
    ctx.mm().read_bytes(name, &mut bytes)?;
    Ok(bytes)
}

/// `sethostname(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EPERM`.
pub fn sethostname(ctx: &mut Ctx<'_>, name: UserAddr, len: i32) -> SysResult {
    let name = new_name(ctx, name, len)?;
    ctx.kernel().rename(&ctx.task().namespaces().uts, |names| names.0 = name);
    Ok(0)
}

/// `setdomainname(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EPERM`.
pub fn setdomainname(ctx: &mut Ctx<'_>, name: UserAddr, len: i32) -> SysResult {
    let name = new_name(ctx, name, len)?;
    ctx.kernel().rename(&ctx.task().namespaces().uts, |names| names.1 = name);
    Ok(0)
}

/// `sysinfo(2)`.
///
/// # Errors
/// `EFAULT`.
pub fn sysinfo(ctx: &mut Ctx<'_>, info: UserAddr) -> SysResult {
    let kernel = ctx.kernel();
    let container = &ctx.task().group.container;
    let uptime_ns = clock::boottime_ns().saturating_sub(kernel.boot_ns);
    // With `SI_LOAD_SHIFT` bits after the point.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "averages are small and not negative"
    )]
    let loads = kernel.load_averages().map(|load| (load * 65536.0) as u64);
    let answer = Sysinfo {
        loads,
        // Linux rounds a begun second up.
        uptime: uptime_ns.div_ceil(1_000_000_000).cast_signed(),
        totalram: kernel.config.memory_bytes,
        freeram: kernel.config.memory_bytes.saturating_sub(container.account.charged()),
        sharedram: bevor_memory::bytes_in_stores(),
        procs: u16::try_from(container.nr_tasks()).unwrap_or(u16::MAX),
        mem_unit: 1,
        ..Sysinfo::default()
    };
    ctx.mm().write(info, &answer)?;
    Ok(0)
}

/// `getrandom(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`.
pub fn getrandom(ctx: &mut Ctx<'_>, buf: UserAddr, count: u64, flags: u32) -> SysResult {
    let both = GRND_RANDOM | GRND_INSECURE;
    if flags & !(both | GRND_NONBLOCK) != 0 || flags & both == both {
        return Err(EINVAL.into());
    }
    let count = count.min(MAX_RANDOM);
    let mut bytes = vec![0; usize_of(count).min(RANDOM_CHUNK)];
    let mut done = 0;
    while done < count {
        let len = usize_of(count - done).min(RANDOM_CHUNK);
        let chunk = bytes.get_mut(..len).ok_or(EFAULT)?;
        host::random(chunk);
        let written = buf.add(done).and_then(|at| ctx.mm().write_bytes(at, chunk));
        match written {
            Ok(()) => done += u64_of(len),
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(done)
}

/// `syslog(2)`: the log says what kernel this is, and no more.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EPERM`.
pub fn syslog(ctx: &mut Ctx<'_>, action: u32, buf: UserAddr, len: i32) -> SysResult {
    let needs_no_privilege = matches!(action, SYSLOG_ACTION_READ_ALL | SYSLOG_ACTION_SIZE_BUFFER);
    if !needs_no_privilege && !ctx.task().cred().has_cap(CAP_SYSLOG) {
        return Err(EPERM.into());
    }
    let config = &ctx.kernel().config;
    let text = format!("<5>[    0.000000] Linux version {} {}\n", config.release, config.version);
    match action {
        SYSLOG_ACTION_CLOSE
        | SYSLOG_ACTION_OPEN
        | SYSLOG_ACTION_CONSOLE_OFF
        | SYSLOG_ACTION_CONSOLE_ON
        | SYSLOG_ACTION_SIZE_UNREAD => Ok(0),
        SYSLOG_ACTION_CONSOLE_LEVEL if (1..=8).contains(&len) => Ok(0),
        SYSLOG_ACTION_SIZE_BUFFER => Ok(LOG_SIZE),
        SYSLOG_ACTION_READ_ALL | SYSLOG_ACTION_READ_CLEAR => {
            let len = u32::try_from(len).map(usize_of_u32).map_err(|_| EINVAL)?;
            if buf.is_null() {
                return Err(EINVAL.into());
            }
            let bytes = text.as_bytes();
            // The newest part is what fits.
            let start = bytes.len().saturating_sub(len);
            let bytes = bytes.get(start..).unwrap_or_default();
            ctx.mm().write_bytes(buf, bytes)?;
            Ok(u64_of(bytes.len()))
        }
        SYSLOG_ACTION_CLEAR => Err(EPERM.because("the log is fixed").into()),
        _ => Err(EINVAL.into()),
    }
}

/// `adjtimex(2)`.
///
/// # Errors
/// `EFAULT`, `EPERM` for changing the clock, which is the host's.
pub fn adjtimex(ctx: &mut Ctx<'_>, buf: UserPtr<Timex>) -> SysResult {
    clock_adjtime(ctx, CLOCK_REALTIME, buf)
}

/// `clock_adjtime(2)`.
///
/// # Errors
/// `EFAULT`, `EINVAL`, `EOPNOTSUPP` for clocks that cannot be adjusted, `EPERM` for changing one.
pub fn clock_adjtime(ctx: &mut Ctx<'_>, clock_id: i32, buf: UserPtr<Timex>) -> SysResult {
    let given: Timex = ctx.mm().read(buf.addr)?;
    if clock_id != CLOCK_REALTIME {
        let is_known = CLOCK_IDS.name(clock_id.into()).is_some();
        return Err(if is_known { EOPNOTSUPP } else { EINVAL }.into());
    }
    if given.modes != 0 && given.modes != ADJ_OFFSET_SS_READ {
        return Err(EPERM.because("the clock is the host's").into());
    }
    let answer = Timex {
        modes: given.modes,
        maxerror: 16_000_000,
        esterror: 16_000_000,
        status: STA_UNSYNC.cast_signed(),
        constant: 2,
        precision: 1,
        tolerance: 32_768_000,
        time: Timeval::from_ns(clock::realtime_ns()),
        tick: 10_000,
        ..Timex::default()
    };
    ctx.mm().write(buf.addr, &answer)?;
    Ok(TIME_ERROR.into())
}

/// `reboot(2)`: as in any pid namespace, ends its init, which tells the host side why.
///
/// # Errors
/// `EINVAL`, `EPERM`.
pub fn reboot(ctx: &mut Ctx<'_>, magic1: u32, magic2: u32, command: u32) -> SysResult {
    let task = ctx.task();
    let namespace = task.pid().namespace().clone();
    if !task.cred().has_cap_in(CAP_SYS_BOOT, &namespace.user_ns) {
        return Err(EPERM.into());
    }
    let known =
        [LINUX_REBOOT_MAGIC2, LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B, LINUX_REBOOT_MAGIC2C];
    if magic1 != LINUX_REBOOT_MAGIC1 || !known.contains(&magic2) {
        return Err(EINVAL.into());
    }
    let signal = match command {
        LINUX_REBOOT_CMD_RESTART | LINUX_REBOOT_CMD_RESTART2 => SIGHUP,
        LINUX_REBOOT_CMD_HALT | LINUX_REBOOT_CMD_POWER_OFF => SIGINT,
        _ => return Err(EINVAL.into()),
    };
    let init = namespace.find(1).ok_or(EINVAL)?;
    let init = ctx.kernel().tree.lock().node(&init).map(|node| node.group.clone());
    let status = ExitStatus::Signaled { signo: signal.number(), core: false };
    send::group_exit(&init.ok_or(EINVAL)?, status);
    Ok(0)
}
