//! Small files of a task.

use super::{Subject, set_oom_score_adj};
use crate::lazy::Entry;
use crate::node::Text;
use crate::sysctl::number;
use bevor_abi::Errno;
use bevor_abi::cap::{CAP_SYS_ADMIN, CAP_SYS_NICE};
use bevor_abi::errno::{EACCES, EINVAL, EPERM};
use bevor_kernel::timers::Notify;
use bevor_vfs::caller::Caller;
use bevor_vfs::inode::InodeRef;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The attributes of a security module; there is none, so that no attribute has a value.
pub const SECURITY: &[Entry<Subject>] = &[
    Entry::file("current", security_attribute),
    Entry::file("exec", security_attribute),
    Entry::file("fscreate", security_attribute),
    Entry::file("keycreate", security_attribute),
    Entry::file("prev", |of, name| Text::unreadable(of.place(), name, EINVAL)),
    Entry::file("sockcreate", security_attribute),
];

fn security_attribute(subject: &Subject, name: &'static str) -> InodeRef {
    let none = || EINVAL.because("no security module");
    Text::lately(subject.place(), name, 0o666, move |_| Err(none()), move |_, _| Err(none()))
}

/// `arch_status`: how long ago AVX-512 was used, which nobody here knows.
pub fn arch_status(subject: &Subject) -> Result<String, Errno> {
    let has = subject.mounted.kernel.config.cpuinfo.contains("avx512f");
    Ok(if has { "AVX512_elapsed_ms:\t-1\n".into() } else { String::new() })
}

/// `clear_refs`: references are not tracked; the peak of the resident set is (`5`).
pub fn clear_refs(subject: &Subject, name: &'static str) -> InodeRef {
    let subject = subject.clone();
    let place = subject.place();
    let write = move |_: &dyn Caller, bytes: &[u8]| {
        let kind = number(bytes)?;
        if !(1..=5).contains(&kind) {
            return Err(EINVAL.into());
        }
        if kind == 5
            && let Some(mm) = subject.task()?.mm()
        {
            mm.reset_peak_rss();
        }
        Ok(())
    };
    Text::writable(place, name, 0o200, |_| Err(EINVAL.into()), write)
}

/// `ksm_stat`: no page is merged.
pub fn ksm_stat(_: &Subject) -> Result<Vec<u8>, Errno> {
    Ok("ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\n\
        ksm_merge_any: no\nksm_mergeable: no\n"
        .into())
}

/// `oom_adj`, the old form of `oom_score_adj`: from -17, never, to 15.
pub fn oom_adj(subject: &Subject, name: &'static str) -> InodeRef {
    const NEVER: i64 = -17;
    const MOST: i64 = 15;
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |_: &dyn Caller| {
        let adj = match reader.group.oom_score_adj() {
            1000 => MOST,
            score => (score * -NEVER / 1000).min(MOST),
        };
        Ok(format!("{adj}\n").into_bytes())
    };
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let adj = number(bytes)?;
        if !(NEVER..=MOST).contains(&adj) {
            return Err(EINVAL.into());
        }
        let score = if adj == MOST { 1000 } else { adj * 1000 / -NEVER };
        set_oom_score_adj(&writer, caller, score)
    };
    Text::writable(subject.place(), name, 0o644, read, write)
}

/// `personality`.
pub fn personality(subject: &Subject) -> Result<Vec<u8>, Errno> {
    let personality = subject.task()?.personality.load(Ordering::Relaxed);
    Ok(format!("{personality:08x}\n").into_bytes())
}

/// `projid_map`: project numbers are the same in the first user namespace, and in others unmapped.
pub fn projid_map(subject: &Subject) -> Result<String, Errno> {
    let first = subject.task()?.cred().user_ns.parent.is_none();
    Ok(if first { "         0          0 4294967295\n".into() } else { String::new() })
}

/// `stack`: no kernel keeps one for a task here; who may not see it is told so all the same.
pub fn stack(subject: &Subject, name: &'static str) -> InodeRef {
    Text::with_mode(subject.place(), name, 0o400, |caller| {
        let cred = caller.cred();
        if cred.user_ns.parent.is_some() || !cred.has_cap(CAP_SYS_ADMIN) {
            return Err(EACCES.into());
        }
        Ok(Vec::new())
    })
}

/// `timens_offsets`: clocks are the same in all time namespaces.
pub fn timens_offsets(_: &Subject) -> Result<String, Errno> {
    Ok("monotonic           0         0\nboottime            0         0\n".into())
}

/// `timers`: the POSIX timers (`proc_pid_timers(5)`).
pub fn timers(subject: &Subject) -> Result<String, Errno> {
    let mut out = String::new();
    for (id, clock_id, notify) in subject.group.timers.posix() {
        let number = |pid: &Arc<bevor_kernel::pid::Pid>| subject.number(pid);
        let (signo, value, how) = match &notify {
            Notify::Nothing => (0, 0, format!("none/pid.{}", number(&subject.group.pid))),
            Notify::Process(info) => {
                (info.signo, info.value(), format!("signal/pid.{}", number(&subject.group.pid)))
            }
            Notify::Thread(task, info) => {
                let tid = task.upgrade().map_or(0, |task| number(&task.pid()));
                (info.signo, info.value(), format!("signal/tid.{tid}"))
            }
        };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "ID: {id}\nsignal: {signo}/{value:016x}\nnotify: {how}\nClockID: {clock_id}\n"
        );
    }
    Ok(out)
}

/// `timerslack_ns`: another's needs `CAP_SYS_NICE`; 0 stands for the default.
pub fn timer_slack(subject: &Subject, name: &'static str) -> InodeRef {
    /// What a task starts with.
    const DEFAULT_NS: u64 = 50_000;
    let check = |subject: &Subject, caller: &dyn Caller| {
        let own = subject.mounted.caller_task(caller)?;
        let task = subject.task()?;
        let may = Arc::ptr_eq(&own.group, &task.group) || own.cred().has_cap(CAP_SYS_NICE);
        if may { Ok(task) } else { Err(Errno::from(EPERM)) }
    };
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |caller: &dyn Caller| {
        let slack = check(&reader, caller)?.timer_slack_ns.load(Ordering::Relaxed);
        Ok(format!("{slack}\n").into_bytes())
    };
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let slack = u64::try_from(number(bytes)?).map_err(|_| EINVAL)?;
        let task = check(&writer, caller)?;
        let slack = if slack == 0 { DEFAULT_NS } else { slack };
        task.timer_slack_ns.store(slack, Ordering::Relaxed);
        Ok(())
    };
    Text::lately(subject.place(), name, 0o666, read, write)
}
