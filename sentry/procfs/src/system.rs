//! Files of the whole sandbox.

mod ipc;
mod locks;
mod memory;
mod processors;

pub use locks::lines as lock_lines;
pub use memory::node_meminfo;
pub use processors::TICK_NS;

use crate::lazy::{Entry, Lazy};
use crate::node::{Dir, Fixed, Link, Text};
use crate::{Mounted, sysctl};
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_kernel::Kernel;
use bevor_vfs::inode::InodeRef;
use bevor_vfs::superblock::fs_types_text;

/// The entries of the root that are always there.
pub const ENTRIES: &[Entry<Mounted>] = &[
    Entry::file("buddyinfo", |of, name| text(of, name, |of| memory::buddyinfo(&of.kernel))),
    Entry::dir("bus", |of, name| Lazy::dir(of.place(), name, of.clone(), &[BUS])),
    Entry::file("cgroups", |of, name| text(of, name, |_| CGROUPS.into())),
    Entry::file("cmdline", |of, name| text(of, name, |_| "BOOT_IMAGE=/bevor quiet\n".into())),
    Entry::file("consoles", |of, name| text(of, name, |_| String::new())),
    Entry::file("cpuinfo", |of, name| text(of, name, |of| processors::cpuinfo(&of.kernel))),
    Entry::file("devices", |of, name| text(of, name, |_| DEVICES.into())),
    Entry::file("diskstats", |of, name| text(of, name, |_| String::new())),
    Entry::dir("driver", |of, name| Dir::inode(of.place(), name, 0o555, Fixed::default())),
    Entry::file("execdomains", |of, name| {
        text(of, name, |_| "0-0\tLinux           \t[kernel]\n".into())
    }),
    Entry::file("filesystems", |of, name| text(of, name, |_| fs_types_text())),
    Entry::dir("fs", |of, name| Dir::inode(of.place(), name, 0o555, Fixed::default())),
    Entry::file("interrupts", |of, name| text(of, name, |of| processors::interrupts(&of.kernel))),
    Entry::file("iomem", iomem),
    Entry::file("ioports", |of, name| text(of, name, |_| String::new())),
    Entry::dir("irq", |of, name| Lazy::dir(of.place(), name, of.clone(), &[IRQ])),
    Entry::file("loadavg", |of, name| text(of, name, processors::loadavg)),
    Entry::file("locks", |of, name| text(of, name, locks::locks)),
    Entry::file("meminfo", |of, name| text(of, name, |of| memory::meminfo(&of.kernel))),
    Entry::file("misc", |of, name| text(of, name, |_| String::new())),
    Entry::file("modules", |of, name| text(of, name, |_| String::new())),
    Entry::link("mounts", |of, name| link(of, name, "self/mounts")),
    Entry::link("net", |of, name| link(of, name, "self/net")),
    Entry::file("partitions", |of, name| {
        text(of, name, |_| "major minor  #blocks  name\n\n".into())
    }),
    Entry::file("slabinfo", |of, name| {
        Text::with_mode(of.place(), name, 0o400, |_| Ok(memory::SLABINFO.into()))
    }),
    Entry::file("softirqs", |of, name| text(of, name, |of| processors::softirqs(&of.kernel))),
    Entry::file("stat", |of, name| text(of, name, processors::stat)),
    Entry::file("swaps", |of, name| {
        text(of, name, |_| "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".into())
    }),
    Entry::dir("sys", sysctl::root),
    Entry::dir("sysvipc", |of, name| Lazy::dir(of.place(), name, of.clone(), &[ipc::ENTRIES])),
    Entry::dir("tty", |of, name| Lazy::dir(of.place(), name, of.clone(), &[TTY])),
    Entry::file("uptime", |of, name| text(of, name, |of| processors::uptime(&of.kernel))),
    Entry::file("version", |of, name| text(of, name, |of| version(&of.kernel))),
    Entry::file("vmstat", |of, name| text(of, name, |of| memory::vmstat(&of.kernel))),
    Entry::file("zoneinfo", |of, name| text(of, name, |of| memory::zoneinfo(&of.kernel))),
];

/// `/proc/bus`: there is no device on any.
const BUS: &[Entry<Mounted>] = &[
    Entry::dir("input", |of, name| Lazy::dir(of.place(), name, of.clone(), &[INPUT])),
    Entry::dir("pci", |of, name| Lazy::dir(of.place(), name, of.clone(), &[PCI])),
];
const INPUT: &[Entry<Mounted>] = &[
    Entry::file("devices", |of, name| text(of, name, |_| String::new())),
    Entry::file("handlers", |of, name| text(of, name, |_| String::new())),
];
const PCI: &[Entry<Mounted>] =
    &[Entry::file("devices", |of, name| text(of, name, |_| String::new()))];

/// `/proc/irq`: no interrupt is anybody's business here.
const IRQ: &[Entry<Mounted>] = &[Entry::file("default_smp_affinity", |of, name| {
    text(of, name, |of| format!("{}\n", processors::mask(0..of.kernel.config.nr_cpus, of)))
})];

const TTY: &[Entry<Mounted>] = &[
    Entry::file("drivers", |of, name| text(of, name, |_| TTY_DRIVERS.into())),
    Entry::file("ldiscs", |of, name| text(of, name, |_| LINE_DISCIPLINES.into())),
];

/// A file anybody may read.
fn text(mounted: &Mounted, name: &'static str, render: fn(&Mounted) -> String) -> InodeRef {
    let of = mounted.clone();
    Text::public(mounted.place(), name, move |_| Ok(render(&of).into_bytes()))
}

fn link(mounted: &Mounted, name: &'static str, target: &'static str) -> InodeRef {
    Link::plain(mounted.place(), name, move |_| Ok(target.as_bytes().to_vec()))
}

/// What a host with the unified hierarchy alone shows.
const CGROUPS: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t1\t1\n\
                       cpu\t0\t1\t1\ncpuacct\t0\t1\t1\nmemory\t0\t1\t1\npids\t0\t1\t1\n";
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

/// `iomem`: all memory is one run; addresses are for the privileged.
fn iomem(mounted: &Mounted, name: &'static str) -> InodeRef {
    let bytes = mounted.kernel.config.memory_bytes;
    Text::public(mounted.place(), name, move |caller| {
        let last = if caller.cred().has_cap(CAP_SYS_ADMIN) { bytes.saturating_sub(1) } else { 0 };
        Ok(format!("{:08x}-{last:08x} : System RAM\n", 0).into_bytes())
    })
}
