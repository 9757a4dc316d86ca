//! `status`, `stat`, `statm`, `limits`, `io` of a task.

use super::{Subject, sched};
use crate::system::TICK_NS;
use bevor_abi::Errno;
use bevor_abi::conv::low_u32;
use bevor_kernel::Task;
use bevor_kernel::exec::ImageInfo;
use bevor_kernel::limits::{INFINITY, RSS};
use bevor_kernel::signal::SIGCHLD;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The task's name.
pub fn name(subject: &Subject) -> String {
    let ended = || subject.group.ended.get().map(|ended| ended.comm).unwrap_or_default();
    let comm = subject.task().map_or_else(|_| ended(), |task| task.comm());
    let end = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(comm.get(..end).unwrap_or_default()).into_owned()
}

/// Letter and word of its state.
fn state(subject: &Subject, task: Option<&Arc<Task>>) -> (char, &'static str) {
    let Some(task) = task else { return ('Z', "zombie") };
    if task.ptrace.is_in_stop() {
        return ('t', "tracing stop");
    }
    if subject.group.is_stopped() && !task.ptrace.is_active() {
        ('T', "stopped")
    } else if task.sched.is_parked() {
        ('S', "sleeping")
    } else {
        ('R', "running")
    }
}

/// Numbers of parent, process group and session as the mount's namespace sees them.
fn relations(subject: &Subject) -> (i32, i32, i32) {
    let tree = subject.mounted.kernel.tree.lock();
    let Some(node) = tree.nodes.get(&subject.group.id()) else { return (0, 0, 0) };
    let parent = tree.nodes.get(&node.parent).map_or(0, |parent| subject.number(&parent.group.pid));
    (parent, subject.number(&node.pgrp), subject.number(&node.session))
}

/// `status`.
pub fn status(subject: &Subject) -> Result<String, Errno> {
    let task = subject.task().ok();
    let (letter, word) = state(subject, task.as_ref());
    let (parent, ..) = relations(subject);
    let tracer = task.as_ref().and_then(|task| task.tracer());
    let tracer = tracer.map_or(0, |tracer| subject.number(&tracer.pid()));
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "Name:\t{}\nUmask:\t{:04o}\nState:\t{letter} ({word})\nTgid:\t{}\nNgid:\t0\nPid:\t{}\n\
         PPid:\t{parent}\nTracerPid:\t{tracer}\n",
        name(subject),
        task.as_ref().map_or(0, |task| task.fs().umask()),
        subject.number(&subject.group.pid),
        subject.number(&subject.pid),
    );
    if let Some(task) = &task {
        let cred = task.cred();
        let ns = &cred.user_ns;
        let ids = |ids: [u32; 4], out_of: &dyn Fn(u32) -> u32| {
            ids.map(|id| out_of(id).to_string()).join("\t")
        };
        let uids = ids([cred.ruid, cred.euid, cred.suid, cred.fsuid], &|id| ns.uid_out(id));
        let gids = ids([cred.rgid, cred.egid, cred.sgid, cred.fsgid], &|id| ns.gid_out(id));
        let groups: String =
            cred.groups.iter().map(|&gid| format!("{} ", ns.gid_out(gid))).collect();
        let files = task.files().map_or(0, |files| files.capacity());
        let join = |numbers: Vec<i32>| {
            numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("\t")
        };
        let viewer = &subject.mounted.ns;
        let (group_pid, session_pid) = {
            let tree = subject.mounted.kernel.tree.lock();
            let node = tree.nodes.get(&subject.group.id());
            (node.map(|node| node.pgrp.clone()), node.map(|node| node.session.clone()))
        };
        let _ = write!(
            out,
            "Uid:\t{uids}\nGid:\t{gids}\nFDSize:\t{files}\nGroups:\t{groups}\nNStgid:\t{}\nNSpid:\t{}\n\
             NSpgid:\t{}\nNSsid:\t{}\nKthread:\t0\n",
            join(subject.group.pid.numbers_from(viewer)),
            join(task.pid().numbers_from(viewer)),
            join(group_pid.map_or_else(Vec::new, |pid| pid.numbers_from(viewer))),
            join(session_pid.map_or_else(Vec::new, |pid| pid.numbers_from(viewer))),
        );
    }
    memory(task.as_ref(), &mut out);
    let threads = subject.group.threads.lock().len();
    let _ = writeln!(out, "Threads:\t{threads}");
    if let Some(task) = &task {
        signals(task, &mut out);
        let counters = &task.counters;
        let cpus = subject.mounted.kernel.config.nr_cpus;
        let affinity = task.sched_attr.lock().affinity.clone();
        let mask: Vec<String> = affinity
            .iter()
            .rev()
            .flat_map(|word| [word >> 32, word & 0xffff_ffff])
            .map(|half| format!("{half:08x}"))
            .collect();
        let _ = write!(
            out,
            "Cpus_allowed:\t{}\nCpus_allowed_list:\t{}\nMems_allowed:\t1\nMems_allowed_list:\t0\n\
             voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
            mask.join(","),
            list(&affinity, cpus),
            counters.voluntary_switches.load(Ordering::Relaxed),
            counters.involuntary_switches.load(Ordering::Relaxed),
        );
    }
    Ok(out)
}

/// A CPU mask as ranges: `0-3,6`.
fn list(mask: &[u64], cpus: usize) -> String {
    let set: Vec<usize> = (0..cpus)
        .filter(|cpu| mask.get(cpu / 64).is_some_and(|word| word >> (cpu % 64) & 1 != 0))
        .collect();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for cpu in set {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == cpu => *end = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let text = |(start, end): (usize, usize)| {
        if start == end { start.to_string() } else { format!("{start}-{end}") }
    };
    ranges.into_iter().map(text).collect::<Vec<_>>().join(",")
}

fn memory(task: Option<&Arc<Task>>, out: &mut String) {
    let Some(mm) = task.and_then(|task| task.mm()) else { return };
    let statm = mm.statm();
    let rows = [
        ("VmPeak", statm.peak),
        ("VmSize", statm.size),
        ("VmLck", statm.locked),
        ("VmPin", 0),
        ("VmHWM", statm.peak_rss.max(statm.rss.total())),
        ("VmRSS", statm.rss.total()),
        ("RssAnon", statm.rss.anon),
        ("RssFile", statm.rss.file),
        ("RssShmem", statm.rss.shmem),
        ("VmData", statm.data),
        ("VmStk", statm.stack),
        ("VmExe", statm.text),
        ("VmLib", 0),
        ("VmPTE", 64 << 10),
        ("VmSwap", 0),
    ];
    for (name, bytes) in rows {
        let _ = writeln!(out, "{name}:\t{:8} kB", bytes / 1024);
    }
    out.push_str("HugetlbPages:\t       0 kB\nCoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n");
}

fn signals(task: &Task, out: &mut String) {
    let (ignored, caught) = task.group.handlers().masks();
    let shared = task.group.signals.lock();
    let own = task.signals.lock();
    let limit = task.group.limits.soft(bevor_kernel::limits::SIGPENDING);
    let cred = task.cred();
    let _ = write!(
        out,
        "SigQ:\t{}/{limit}\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\n\
         SigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\nCapInh:\t{:016x}\nCapPrm:\t{:016x}\n\
         CapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t{}\nSeccomp:\t{}\n\
         Seccomp_filters:\t{}\nSpeculation_Store_Bypass:\tvulnerable\n\
         SpeculationIndirectBranch:\tconditional enabled\n",
        own.pending.len() + shared.pending.len(),
        own.pending.mask(),
        shared.pending.mask(),
        own.blocked,
        cred.inheritable,
        cred.permitted,
        cred.effective,
        cred.bounding,
        cred.ambient,
        u8::from(task.no_new_privs.load(Ordering::Relaxed)),
        task.seccomp.mode(),
        task.seccomp.nr_filters(),
    );
}

/// `stat`; addresses and where it sleeps only for those who may look into the task (`all`).
pub fn stat(subject: &Subject, all: bool) -> Result<String, Errno> {
    let task = subject.task().ok();
    let (letter, _) = state(subject, task.as_ref());
    let (parent, pgrp, session) = relations(subject);
    let whole = subject.pid.id == subject.group.id();
    subject.group.refresh_usage();
    let usage = match &task {
        Some(task) if !whole => task.usage(),
        _ => subject.group.total_usage(),
    };
    let children = *subject.group.child_usage.lock();
    let ticks = |ns: u64| ns / TICK_NS;
    let threads = subject.group.threads.lock().len();
    let (nice, rt_priority, policy) = task.as_ref().map_or((0, 0, 0), |task| {
        let attr = task.sched_attr.lock();
        (attr.nice, attr.priority, attr.policy)
    });
    let priority = if rt_priority > 0 { -1 - rt_priority } else { 20 + nice };
    let processor = task.as_ref().map_or(0, |task| task.sched.home());
    let processor = processor % subject.mounted.kernel.config.nr_cpus.max(1);
    let started = task.as_ref().map_or(subject.group.start_ns, |task| task.start_ns);
    let boot = bevor_base::clock::boottime_ns().saturating_sub(bevor_base::clock::monotonic_ns());
    let started = (started + boot).saturating_sub(subject.mounted.kernel.boot_ns);
    let mm = task.as_ref().and_then(|task| task.mm());
    let (size, rss) =
        mm.as_ref().map_or((0, 0), |mm| (mm.statm().size, mm.statm().rss.total() / 4096));
    let image = subject.group.image.read().clone();
    let mut info = image.map(|image| image.info).unwrap_or_default();
    if !all {
        info = ImageInfo { code: 1..1, ..ImageInfo::default() };
    }
    let brk = info.start_brk;
    let (ignored, caught) = subject.group.handlers().masks();
    let (pending, blocked) = task.as_ref().map_or((0, 0), |task| {
        let signals = task.signals.lock();
        (signals.pending.mask() & 0x7fff_ffff, signals.blocked & 0x7fff_ffff)
    });
    let (tty, foreground) = terminal(subject);
    let (exit_signal, exit_code) = exit(subject);
    let rss_limit = subject.group.limits.soft(RSS);
    let waiting = u8::from(all && sched::is_waiting(subject));
    Ok(format!(
        "{} ({}) {letter} {parent} {pgrp} {session} {tty} {foreground} 4194304 {} {} {} {} {} {} {} {} \
         {} {nice} {threads} 0 {} {size} {rss} {rss_limit} {} {} {} 0 0 {pending} {blocked} {} {} {waiting} 0 0 \
         {exit_signal} {processor} {rt_priority} {policy} 0 0 0 {} {} {brk} {} {} {} {} {exit_code}\n",
        subject.number(&subject.pid),
        name(subject),
        usage.minor_faults,
        children.minor_faults,
        usage.major_faults,
        children.major_faults,
        ticks(usage.user_ns),
        ticks(usage.system_ns),
        ticks(children.user_ns),
        ticks(children.system_ns),
        priority,
        ticks(started),
        info.code.start,
        info.code.end,
        info.start_stack,
        ignored & 0x7fff_ffff,
        caught & 0x7fff_ffff,
        info.data.start,
        info.data.end,
        info.args.start,
        info.args.end,
        info.envs.start,
        info.envs.end,
    ))
}

/// The signal its end sends, -1 for a thread; and the status it ended with, as `waitpid` tells it.
fn exit(subject: &Subject) -> (i32, i32) {
    if subject.pid.id != subject.group.id() {
        return (-1, 0);
    }
    let tree = subject.mounted.kernel.tree.lock();
    let node = tree.nodes.get(&subject.group.id());
    node.map_or((SIGCHLD, 0), |node| {
        // Whoever started the first process is told outside.
        let signal = if node.parent == 0 { SIGCHLD } else { node.exit_signal };
        (signal, node.zombie.map_or(0, |status| status.wait_word()))
    })
}

/// Number of the controlling terminal and its foreground group; 0 and -1 without one.
fn terminal(subject: &Subject) -> (u32, i32) {
    let tree = subject.mounted.kernel.tree.lock();
    let tty = tree.nodes.get(&subject.group.id()).and_then(|node| node.tty.clone());
    let Some(tty) = tty else { return (0, -1) };
    let used = tree.terminals.get(&tty.id());
    let foreground = used.map_or(-1, |used| used.foreground.number_or_zero(&subject.mounted.ns));
    (low_u32(tty.rdev()), foreground)
}

/// `statm`.
pub fn statm(subject: &Subject) -> Result<String, Errno> {
    let Some(mm) = subject.task().ok().and_then(|task| task.mm()) else {
        return Ok("0 0 0 0 0 0 0\n".into());
    };
    let statm = mm.statm();
    let pages = |bytes: u64| bytes / 4096;
    let shared = pages(statm.rss.file + statm.rss.shmem);
    Ok(format!(
        "{} {} {shared} {} 0 {} 0\n",
        pages(statm.size),
        pages(statm.rss.total()),
        pages(statm.text),
        pages(statm.data + statm.stack)
    ))
}

/// `limits`.
pub fn limits(subject: &Subject) -> Result<String, Errno> {
    const NAMES: [(&str, &str); 16] = [
        ("Max cpu time", "seconds"),
        ("Max file size", "bytes"),
        ("Max data size", "bytes"),
        ("Max stack size", "bytes"),
        ("Max core file size", "bytes"),
        ("Max resident set", "bytes"),
        ("Max processes", "processes"),
        ("Max open files", "files"),
        ("Max locked memory", "bytes"),
        ("Max address space", "bytes"),
        ("Max file locks", "locks"),
        ("Max pending signals", "signals"),
        ("Max msgqueue size", "bytes"),
        ("Max nice priority", ""),
        ("Max realtime priority", ""),
        ("Max realtime timeout", "us"),
    ];
    let mut out = String::from(
        "Limit                     Soft Limit           Hard Limit           Units     \n",
    );
    let show = |value: u64| {
        if value == INFINITY { "unlimited".to_owned() } else { value.to_string() }
    };
    for ((name, unit), limit) in NAMES.iter().zip(subject.group.limits.all()) {
        let (soft, hard) = (show(limit.soft), show(limit.hard));
        let _ = writeln!(out, "{name:<25} {soft:<20} {hard:<20} {unit:<10}");
    }
    Ok(out)
}

/// `io`: of a process, that of its living threads together. What reaches a disk is the host's
/// business: what was read and written counts as that.
pub fn io(subject: &Subject) -> Result<Vec<u8>, Errno> {
    let whole = subject.pid.id == subject.group.id();
    let threads = if whole { subject.group.threads.lock().clone() } else { vec![subject.task()?] };
    let sum = |count: fn(&Task) -> u64| threads.iter().map(|task| count(task)).sum::<u64>();
    let read = sum(|task| task.counters.read_bytes.load(Ordering::Relaxed));
    let written = sum(|task| task.counters.written_bytes.load(Ordering::Relaxed));
    let reads = sum(|task| task.counters.reads.load(Ordering::Relaxed));
    let writes = sum(|task| task.counters.writes.load(Ordering::Relaxed));
    Ok(format!(
        "rchar: {read}\nwchar: {written}\nsyscr: {reads}\nsyscw: {writes}\nread_bytes: {read}\n\
         write_bytes: {written}\ncancelled_write_bytes: 0\n"
    )
    .into_bytes())
}
