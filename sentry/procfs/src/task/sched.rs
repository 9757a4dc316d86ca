//! What a task is doing: `sched`, `schedstat`, `syscall`, `wchan`.

use super::{Subject, status};
use bevor_abi::Errno;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// Weight of a task of nice 0 (`NICE_0_LOAD`).
const WEIGHT: u64 = 1 << 20;

/// Nanoseconds as `sched` shows them: milliseconds with six digits after the point.
fn millis(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000)
}

/// `sched`: what is known here of what the kernel's scheduler would tell.
pub fn sched(subject: &Subject) -> Result<String, Errno> {
    let task = subject.task()?;
    task.refresh_usage();
    let usage = task.usage();
    let (policy, priority, nice) = {
        let attr = task.sched_attr.lock();
        (attr.policy, attr.priority, attr.nice)
    };
    let (voluntary, forced) = (usage.voluntary_switches, usage.involuntary_switches);
    let run_ns = usage.user_ns + usage.system_ns;
    let threads = subject.group.threads.lock().len();
    let prio = if priority > 0 { 99 - priority } else { 120 + nice };
    let mut out = format!(
        "{} ({}, #threads: {threads})\n{:-<67}\n",
        status::name(subject),
        subject.number(&subject.pid),
        ""
    );
    let rows = [
        ("se.exec_start", millis(bevor_base::clock::monotonic_ns())),
        ("se.vruntime", millis(run_ns)),
        ("se.sum_exec_runtime", millis(run_ns)),
        ("se.nr_migrations", "0".into()),
        ("nr_switches", (voluntary + forced).to_string()),
        ("nr_voluntary_switches", voluntary.to_string()),
        ("nr_involuntary_switches", forced.to_string()),
        ("se.load.weight", WEIGHT.to_string()),
        ("policy", policy.to_string()),
        ("prio", prio.to_string()),
    ];
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<45}:{value:>21}");
    }
    Ok(out)
}

/// `schedstat`: time on a processor, time waiting for one (unknown: 0), turns.
pub fn schedstat(subject: &Subject) -> Result<String, Errno> {
    let Ok(task) = subject.task() else { return Ok("0 0 0\n".into()) };
    task.refresh_usage();
    let usage = task.usage();
    let turns = usage.voluntary_switches + usage.involuntary_switches;
    Ok(format!("{} 0 {turns}\n", usage.user_ns + usage.system_ns))
}

/// `syscall`: the call a sleeping task is in, its arguments, stack and instruction pointer.
pub fn syscall(subject: &Subject) -> Result<Vec<u8>, Errno> {
    let task = subject.task()?;
    let nr = task.waiting_in.load(Ordering::Relaxed);
    if nr < 0 || !task.sched.is_parked() {
        return Ok(b"running\n".to_vec());
    }
    let Some(mut future) = task.future.try_lock() else { return Ok(b"running\n".to_vec()) };
    let regs = &future.machine().context.regs;
    let args: String = regs.syscall_args().iter().map(|arg| format!(" {arg:#x}")).collect();
    let (sp, ip) = (regs.stack_pointer(), regs.instruction_pointer());
    Ok(format!("{nr}{args} {sp:#x} {ip:#x}\n").into_bytes())
}

/// Whether the task sleeps, as a number (`wchan` of `stat`).
pub fn is_waiting(subject: &Subject) -> bool {
    subject.task().is_ok_and(|task| task.sched.is_parked())
}

/// `wchan`: the function of the kernel that a Linux task in the same call would sleep in, if one is
/// typical for it.
pub fn wchan(subject: &Subject, all: bool) -> Result<String, Errno> {
    use bevor_abi::nr;
    let Ok(task) = subject.task() else { return Ok("0".into()) };
    if !all || !task.sched.is_parked() {
        return Ok("0".into());
    }
    let in_call = u64::try_from(task.waiting_in.load(Ordering::Relaxed)).ok();
    let name = match in_call {
        None => "do_signal_stop",
        Some(nr::SYS_poll | nr::SYS_ppoll | nr::SYS_select | nr::SYS_pselect6) => {
            "poll_schedule_timeout"
        }
        Some(nr::SYS_nanosleep | nr::SYS_clock_nanosleep) => "hrtimer_nanosleep",
        Some(nr::SYS_futex) => "futex_do_wait",
        Some(nr::SYS_wait4 | nr::SYS_waitid) => "do_wait",
        Some(nr::SYS_epoll_wait | nr::SYS_epoll_pwait | nr::SYS_epoll_pwait2) => "do_epoll_wait",
        Some(nr::SYS_pause) => "__do_sys_pause",
        Some(nr::SYS_rt_sigtimedwait) => "do_sigtimedwait",
        Some(nr::SYS_rt_sigsuspend) => "sigsuspend",
        Some(nr::SYS_read | nr::SYS_readv | nr::SYS_write | nr::SYS_writev) => "wait_woken",
        Some(_) => "do_syscall_64",
    };
    Ok(name.into())
}
