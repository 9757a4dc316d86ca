//! The part of `/sys` programs read at start: processors, memory policy, an empty cgroup mount
//! point (`sysfs(5)`).

use crate::node::{Dir, Fixed, Link, Place, SYSFS_MAGIC, Text};
use crate::system;
use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use bevor_base::UserNamespace;
use bevor_kernel::{Kernel, Task};
use bevor_vfs::inode::InodeRef;
use bevor_vfs::superblock::{
    FileSystem, FsType, MountRequest, Superblock, next_anonymous_dev, no_params, register_fs_type,
};
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

struct SysFs;

impl FileSystem for SysFs {
    fn name(&self) -> &'static str {
        "sysfs"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Names of the directories of single processors; a sandbox shows no more.
const CPU_NAMES: [&str; 64] = [
    "cpu0", "cpu1", "cpu2", "cpu3", "cpu4", "cpu5", "cpu6", "cpu7", "cpu8", "cpu9", "cpu10",
    "cpu11", "cpu12", "cpu13", "cpu14", "cpu15", "cpu16", "cpu17", "cpu18", "cpu19", "cpu20",
    "cpu21", "cpu22", "cpu23", "cpu24", "cpu25", "cpu26", "cpu27", "cpu28", "cpu29", "cpu30",
    "cpu31", "cpu32", "cpu33", "cpu34", "cpu35", "cpu36", "cpu37", "cpu38", "cpu39", "cpu40",
    "cpu41", "cpu42", "cpu43", "cpu44", "cpu45", "cpu46", "cpu47", "cpu48", "cpu49", "cpu50",
    "cpu51", "cpu52", "cpu53", "cpu54", "cpu55", "cpu56", "cpu57", "cpu58", "cpu59", "cpu60",
    "cpu61", "cpu62", "cpu63",
];

fn text(place: Place, name: &'static str, value: String) -> (&'static str, InodeRef) {
    (name, Text::public(place, name, move |_| Ok(format!("{value}\n").into_bytes())))
}

fn dir(
    place: Place,
    name: &'static str,
    entries: Vec<(&'static str, InodeRef)>,
) -> (&'static str, InodeRef) {
    (name, Dir::inode(place, name, 0o755, Fixed::new(entries)))
}

/// A set of processors as sysfs writes it: words of 32, the highest first (`%*pb`).
fn mask(set: Range<usize>, cpus: usize) -> String {
    let word = |first: usize| {
        let bits = (first..cpus.min(first + 32)).filter(|cpu| set.contains(cpu));
        bits.fold(0_u32, |word, cpu| word | 1 << (cpu - first))
    };
    let words: Vec<_> = (0..cpus.max(1)).step_by(32).map(word).rev().collect();
    let width = (cpus - 1) % 32 / 4 + 1;
    let text = |(index, word): (usize, &u32)| {
        if index == 0 { format!("{word:0width$x}") } else { format!(",{word:08x}") }
    };
    words.iter().enumerate().map(text).collect()
}

/// What a processor shares with which others: each is a core of the one package.
fn topology(place: Place, index: usize, cpus: usize) -> Vec<(&'static str, InodeRef)> {
    let own = mask(index..index + 1, cpus);
    let all = mask(0..cpus, cpus);
    let list = if cpus > 1 { format!("0-{}", cpus - 1) } else { "0".into() };
    let mut entries = vec![
        text(place, "core_id", index.to_string()),
        text(place, "die_id", "0".into()),
        text(place, "physical_package_id", "0".into()),
    ];
    entries.extend(["core_cpus", "thread_siblings"].map(|name| text(place, name, own.clone())));
    let names = ["core_cpus_list", "thread_siblings_list"];
    entries.extend(names.map(|name| text(place, name, index.to_string())));
    let names = ["core_siblings", "die_cpus", "package_cpus"];
    entries.extend(names.map(|name| text(place, name, all.clone())));
    let names = ["core_siblings_list", "die_cpus_list", "package_cpus_list"];
    entries.extend(names.map(|name| text(place, name, list.clone())));
    entries
}

/// What `/sys/class/net/lo` shows of the loopback interface, the only one of a network namespace
/// made here (`sysfs-class-net`).
fn loopback(place: Place) -> Vec<(&'static str, InodeRef)> {
    const ATTRIBUTES: [(&str, &str); 15] = [
        ("addr_len", "6"),
        ("address", "00:00:00:00:00:00"),
        ("broadcast", "00:00:00:00:00:00"),
        ("carrier", "1"),
        ("dev_id", "0x0"),
        ("dormant", "0"),
        ("flags", "0x9"),
        ("ifindex", "1"),
        ("iflink", "1"),
        ("link_mode", "0"),
        ("mtu", "65536"),
        ("operstate", "unknown"),
        ("tx_queue_len", "1000"),
        ("type", "772"),
        ("uevent", "INTERFACE=lo\nIFINDEX=1"),
    ];
    ATTRIBUTES.map(|(name, value)| text(place, name, value.into())).into()
}

/// Makes a mount of `/sys`.
#[must_use]
pub fn superblock(kernel: &Arc<Kernel>, user_ns: Arc<UserNamespace>) -> Arc<Superblock> {
    let place = Place { dev: next_anonymous_dev(), uid: 0, gid: 0, salt: 0, magic: SYSFS_MAGIC };
    let cpus = kernel.config.nr_cpus.max(1);
    let range = if cpus > 1 { format!("0-{}", cpus - 1) } else { "0".into() };
    let mut cpu = vec![
        text(place, "kernel_max", "8191".into()),
        text(place, "online", range.clone()),
        text(place, "possible", range.clone()),
        text(place, "present", range.clone()),
    ];
    cpu.push(text(place, "isolated", String::new()));
    cpu.push(text(place, "offline", String::new()));
    let all = mask(0..cpus, cpus);
    for (index, name) in CPU_NAMES.iter().copied().take(cpus).enumerate() {
        cpu.push(dir(place, name, vec![dir(place, "topology", topology(place, index, cpus))]));
    }
    let memory = Arc::downgrade(kernel);
    let meminfo = Text::public(place, "meminfo", move |_| {
        let kernel = memory.upgrade().ok_or(EINVAL)?;
        Ok(system::node_meminfo(&kernel).into_bytes())
    });
    let node0 = vec![
        text(place, "cpulist", range),
        text(place, "cpumap", all),
        text(place, "distance", "10".into()),
        ("meminfo", meminfo),
    ];
    let mut node = vec![dir(place, "node0", node0)];
    node.extend(
        ["has_cpu", "has_memory", "has_normal_memory", "online", "possible"]
            .map(|name| text(place, name, "0".into())),
    );
    let clock = vec![
        text(place, "available_clocksource", "tsc".into()),
        text(place, "current_clocksource", "tsc".into()),
    ];
    let clocks = vec![dir(place, "clocksource0", clock)];
    let system =
        vec![dir(place, "clocksource", clocks), dir(place, "cpu", cpu), dir(place, "node", node)];
    let huge = vec![
        text(place, "defrag", "always defer defer+madvise [madvise] never".into()),
        text(place, "enabled", "always [madvise] never".into()),
        text(place, "hpage_pmd_size", "2097152".into()),
        text(place, "shmem_enabled", "always within_size advise [never] deny force".into()),
    ];
    let mm = vec![dir(place, "hugepages", vec![]), dir(place, "transparent_hugepage", huge)];
    let lo = Link::plain(place, "lo", |_| Ok(b"../../devices/virtual/net/lo".to_vec()));
    let nets = vec![dir(place, "net", vec![dir(place, "lo", loopback(place))])];
    let root = Fixed::new(vec![
        dir(place, "block", vec![]),
        dir(place, "bus", vec![]),
        dir(place, "class", vec![dir(place, "net", vec![("lo", lo)])]),
        dir(place, "dev", vec![]),
        dir(place, "devices", vec![dir(place, "system", system), dir(place, "virtual", nets)]),
        dir(place, "firmware", vec![]),
        dir(place, "fs", vec![dir(place, "cgroup", vec![])]),
        dir(place, "kernel", vec![dir(place, "mm", mm), dir(place, "security", vec![])]),
        dir(place, "module", vec![]),
        dir(place, "power", vec![]),
    ]);
    Superblock::new(Box::new(SysFs), Dir::inode(place, "sys", 0o555, root), user_ns)
}

/// Makes sysfs known to `mount(2)`.
pub fn register(kernel: &Arc<Kernel>) {
    let kernel = Arc::downgrade(kernel);
    let mount = move |request: &MountRequest<'_>| -> Result<Arc<Superblock>, Errno> {
        let kernel = kernel.upgrade().ok_or(EINVAL)?;
        // The kernel itself mounts it for a new container.
        if let Some(task) = request.caller.as_any().downcast_ref::<Task>() {
            request.must_rule(&task.namespaces().net.user_ns)?;
        }
        Ok(superblock(&kernel, request.user_ns.clone()))
    };
    let fs_type = FsType {
        nodev: true,
        in_user_ns: true,
        check: Box::new(no_params),
        mount: Box::new(mount),
    };
    register_fs_type("sysfs", fs_type);
}
