//! Files about processors and how busy they are.

use crate::Mounted;
use bevor_base::clock::{boottime_ns, realtime_ns};
use bevor_kernel::Kernel;
use std::fmt::Write as _;
use std::ops::Range;

/// Nanoseconds of a clock tick.
pub const TICK_NS: u64 = 10_000_000;

fn age_ns(kernel: &Kernel) -> u64 {
    boottime_ns().saturating_sub(kernel.boot_ns)
}

/// `uptime`: since the start, and the time the processors were idle, together.
pub fn uptime(kernel: &Kernel) -> String {
    let up = age_ns(kernel);
    let usage = kernel.total_usage();
    let all = up.saturating_mul(kernel.config.nr_cpus as u64);
    let idle = all.saturating_sub(usage.user_ns + usage.system_ns);
    let text = |ns: u64| format!("{}.{:02}", ns / 1_000_000_000, ns / TICK_NS % 100);
    format!("{} {}\n", text(up), text(idle))
}

/// `loadavg`.
pub fn loadavg(mounted: &Mounted) -> String {
    let [one, five, fifteen] = mounted.kernel.load_averages();
    let running = mounted.kernel.nr_runnable();
    let all = mounted.kernel.tree.lock().tasks.len();
    format!("{one:.2} {five:.2} {fifteen:.2} {running}/{all} {}\n", mounted.ns.last())
}

/// `cpuinfo`: one block a processor, made of what the host says of its first.
pub fn cpuinfo(kernel: &Kernel) -> String {
    let cpus = kernel.config.nr_cpus;
    let line = |line: &str, cpu: usize| {
        let key = line.split(':').next().unwrap_or_default();
        match key.trim() {
            "processor" | "core id" | "apicid" | "initial apicid" => format!("{key}: {cpu}\n"),
            "siblings" | "cpu cores" => format!("{key}: {cpus}\n"),
            _ => format!("{line}\n"),
        }
    };
    let block = |cpu| {
        let lines = kernel.config.cpuinfo.lines().map(|text| line(text, cpu));
        lines.chain(["\n".to_owned()]).collect::<String>()
    };
    (0..cpus).map(block).collect()
}

/// A set of processors as files show it: words of 32, the highest first (`%*pb`).
pub fn mask(set: Range<usize>, mounted: &Mounted) -> String {
    crate::sysfs::mask(set, mounted.kernel.config.nr_cpus)
}

fn heads(kernel: &Kernel, indent: usize, width: usize) -> String {
    let heads = (0..kernel.config.nr_cpus).map(|cpu| format!("{:<width$}", format!("CPU{cpu}")));
    format!("{:indent$}{}\n", "", heads.collect::<String>())
}

/// `interrupts`: none that are the sandbox's.
pub fn interrupts(kernel: &Kernel) -> String {
    heads(kernel, 11, 11)
}

/// `softirqs`.
pub fn softirqs(kernel: &Kernel) -> String {
    const KINDS: [&str; 10] = [
        "HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER",
        "RCU",
    ];
    let counts = " ".repeat(10) + "0";
    let counts = counts.repeat(kernel.config.nr_cpus);
    let line = |kind| format!("{kind:>12}:{counts}\n");
    heads(kernel, 20, 11) + &KINDS.map(line).concat()
}

/// `stat`. The processors shared the work evenly, as far as is known here.
pub fn stat(mounted: &Mounted) -> String {
    let kernel = &mounted.kernel;
    let usage = kernel.total_usage();
    let (user, system) = (usage.user_ns / TICK_NS, usage.system_ns / TICK_NS);
    let running = kernel.nr_runnable().max(1);
    let cpus = kernel.config.nr_cpus.max(1) as u64;
    let idle = (age_ns(kernel) / TICK_NS * cpus).saturating_sub(user + system);
    let mut out = format!("cpu  {user} 0 {system} {idle} 0 0 0 0 0 0\n");
    for cpu in 0..cpus {
        let share = |ticks: u64| ticks / cpus + u64::from(cpu < ticks % cpus);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "cpu{cpu} {} 0 {} {} 0 0 0 0 0 0",
            share(user),
            share(system),
            share(idle)
        );
    }
    let boot = realtime_ns().saturating_sub(age_ns(kernel).cast_signed()) / 1_000_000_000;
    let switches = usage.voluntary_switches + usage.involuntary_switches;
    let _ = write!(
        out,
        "intr 0\nctxt {switches}\nbtime {boot}\nprocesses {}\nprocs_running {running}\n\
         procs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        mounted.ns.last()
    );
    out
}
