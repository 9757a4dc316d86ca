//! Files of the whole sandbox.

use crate::node::{Dir, Fixed, Link, Text};
use crate::{Mounted, sysctl};
use bevor_base::clock::{boottime_ns, realtime_ns};
use bevor_kernel::Kernel;
use bevor_vfs::inode::InodeRef;
use bevor_vfs::superblock::fs_types_text;
use std::fmt::Write as _;

/// Nanoseconds of a clock tick.
pub const TICK_NS: u64 = 10_000_000;

/// The entries of the root that are always there.
pub fn entries(mounted: &Mounted) -> Vec<(&'static str, InodeRef)> {
    let place = mounted.place();
    let text = |name: &'static str, render: fn(&Mounted) -> String| {
        let mounted = mounted.clone();
        (name, Text::public(place, name, move |_| Ok(render(&mounted).into_bytes())))
    };
    let link = |name: &'static str, target: &'static str| {
        (name, Link::plain(place, name, move |_| Ok(target.as_bytes().to_vec())))
    };
    let tty =
        vec![text("drivers", |_| TTY_DRIVERS.into()), text("ldiscs", |_| LINE_DISCIPLINES.into())];
    vec![
        text("cgroups", |_| CGROUPS.into()),
        text("cmdline", |_| "BOOT_IMAGE=/bevor quiet\n".into()),
        text("cpuinfo", |mounted| cpuinfo(&mounted.kernel)),
        text("devices", |_| DEVICES.into()),
        text("diskstats", |_| String::new()),
        text("filesystems", |_| fs_types_text()),
        ("fs", Dir::inode(place, "fs", 0o555, Fixed::default())),
        text("interrupts", |mounted| interrupts(&mounted.kernel)),
        text("loadavg", loadavg),
        text("meminfo", |mounted| meminfo(&mounted.kernel)),
        text("misc", |_| String::new()),
        text("modules", |_| String::new()),
        link("mounts", "self/mounts"),
        link("net", "self/net"),
        text("partitions", |_| "major minor  #blocks  name\n\n".into()),
        text("stat", stat),
        text("swaps", |_| "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".into()),
        ("sys", sysctl::root(mounted)),
        ("sysvipc", Dir::inode(place, "sysvipc", 0o555, Fixed::default())),
        ("tty", Dir::inode(place, "tty", 0o555, Fixed::new(tty))),
        text("uptime", |mounted| uptime(&mounted.kernel)),
        text("version", |mounted| version(&mounted.kernel)),
        text("vmstat", |mounted| vmstat(&mounted.kernel)),
        text("zoneinfo", |_| String::new()),
    ]
}

const CGROUPS: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n";
const DEVICES: &str = "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n\
                       128 ptm\n136 pts\n\nBlock devices:\n";
/// What `ps(1)` finds the names of terminals by.
const TTY_DRIVERS: &str = "\
/dev/tty             /dev/tty        5       0 system:/dev/tty
/dev/console         /dev/console    5       1 system:console
/dev/ptmx            /dev/ptmx       5       2 system
pty_slave            /dev/pts      136 0-1048575 pty:slave
pty_master           /dev/ptm      128 0-1048575 pty:master
";
const LINE_DISCIPLINES: &str = "n_tty       0\n";

fn version(kernel: &Kernel) -> String {
    let config = &kernel.config;
    format!("Linux version {} (bevor@bevor) {}\n", config.release, config.version)
}

fn uptime(kernel: &Kernel) -> String {
    let up = boottime_ns().saturating_sub(kernel.boot_ns);
    let (sec, centi) = (up / 1_000_000_000, up / TICK_NS % 100);
    format!("{sec}.{centi:02} {sec}.{centi:02}\n")
}

fn loadavg(mounted: &Mounted) -> String {
    let tree = mounted.kernel.tree.lock();
    let running = tree.tasks.values().filter(|task| task.sched.in_guest()).count();
    let (all, last) = (tree.tasks.len(), mounted.ns.last());
    format!("0.00 0.00 0.00 {running}/{all} {last}\n")
}

fn meminfo(kernel: &Kernel) -> String {
    let total = kernel.config.memory_bytes / 1024;
    let used: u64 = {
        let containers = kernel.containers.lock();
        containers.values().map(|container| container.account.charged()).sum()
    };
    let free = total.saturating_sub(used / 1024);
    let lines: [(&str, u64); 30] = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", used / 1024),
        ("Inactive", 0),
        ("Active(anon)", used / 1024),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used / 1024),
        ("Mapped", 0),
        ("Shmem", 0),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("PageTables", 0),
        ("CommitLimit", total / 2),
        ("Committed_AS", used / 1024),
        ("VmallocTotal", 34_359_738_367),
        ("VmallocUsed", 0),
    ];
    let mut out = String::new();
    for (name, kib) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<16}{kib:>8} kB", format!("{name}:"));
    }
    out.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n",
    );
    out
}

/// The memory of the one NUMA node (`/sys/devices/system/node/node0/meminfo`).
pub fn node_meminfo(kernel: &Kernel) -> String {
    let lines = meminfo(kernel);
    let shown = |line: &&str| !line.starts_with("MemAvailable") && !line.starts_with("Swap");
    lines.lines().filter(shown).map(|line| format!("Node 0 {line}\n")).collect()
}

/// One block a processor, made of what the host says of its first.
fn cpuinfo(kernel: &Kernel) -> String {
    let cpus = kernel.config.nr_cpus;
    let line = |line: &str, cpu: usize| {
        let key = line.split(':').next().unwrap_or_default().trim();
        match key {
            "processor" | "core id" | "apicid" | "initial apicid" => {
                format!("{}: {cpu}\n", line.split(':').next().unwrap_or_default())
            }
            "siblings" | "cpu cores" => {
                format!("{}: {cpus}\n", line.split(':').next().unwrap_or_default())
            }
            _ => format!("{line}\n"),
        }
    };
    let block = |cpu| {
        let lines = kernel.config.cpuinfo.lines().map(|text| line(text, cpu));
        lines.chain(["\n".to_owned()]).collect::<String>()
    };
    (0..cpus).map(block).collect()
}

fn interrupts(kernel: &Kernel) -> String {
    let header: String = (0..kernel.config.nr_cpus).map(|cpu| format!("CPU{cpu:<8}")).collect();
    format!("           {header}\n")
}

fn stat(mounted: &Mounted) -> String {
    let kernel = &mounted.kernel;
    let tree = kernel.tree.lock();
    let usage = tree.tasks.values().map(|task| task.usage());
    let (user, system) = usage.fold((0, 0), |(user, system), usage| {
        (user + usage.user_ns / TICK_NS, system + usage.system_ns / TICK_NS)
    });
    let running = tree.tasks.values().filter(|task| task.sched.in_guest()).count();
    drop(tree);
    let up = boottime_ns().saturating_sub(kernel.boot_ns) / TICK_NS;
    let cpus = kernel.config.nr_cpus as u64;
    let idle = (up * cpus).saturating_sub(user + system);
    let mut out = format!("cpu  {user} 0 {system} {idle} 0 0 0 0 0 0\n");
    for cpu in 0..cpus {
        let share = |ticks: u64| ticks / cpus;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "cpu{cpu} {} 0 {} {} 0 0 0 0 0 0",
            share(user),
            share(system),
            share(idle)
        );
    }
    let age = boottime_ns().saturating_sub(kernel.boot_ns).cast_signed();
    let boot = realtime_ns().saturating_sub(age) / 1_000_000_000;
    let last = mounted.ns.last();
    let _ = write!(
        out,
        "intr 0\nctxt 0\nbtime {boot}\nprocesses {last}\nprocs_running {}\nprocs_blocked 0\n\
         softirq 0 0 0 0 0 0 0 0 0 0 0\n",
        running.max(1)
    );
    out
}

fn vmstat(kernel: &Kernel) -> String {
    let pages = kernel.config.memory_bytes / 4096;
    format!(
        "nr_free_pages {pages}\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\n"
    )
}
