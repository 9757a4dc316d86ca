//! The reader's container as a control group (`cgroups(7)`, version 2): its limits and what it uses,
//! to be read only. There is one group, the root of the container's cgroup namespace.

use crate::lazy::{Entry, Lazy, Values};
use crate::node::{Dir, Place, Text};
use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use bevor_base::UserNamespace;
use bevor_kernel::container::Container;
use bevor_kernel::group::Usage;
use bevor_kernel::{Kernel, Task};
use bevor_memory::bytes_in_stores;
use bevor_vfs::inode::InodeRef;
use bevor_vfs::superblock::{
    FileSystem, FsType, MountRequest, Superblock, check_param, next_anonymous_dev, register_fs_type,
};
use std::any::Any;
use std::fmt::Write as _;
use std::sync::{Arc, Weak};

/// Magic number of the file system.
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

struct CgroupFs;

impl FileSystem for CgroupFs {
    fn name(&self) -> &'static str {
        "cgroup2"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A mount.
#[derive(Clone)]
struct Here {
    kernel: Weak<Kernel>,
    place: Place,
}

/// What a file tells of the reader's container.
type Tell = fn(&Kernel, &Container) -> String;

fn tell(of: &Here, name: &'static str, tell: Tell) -> InodeRef {
    let kernel = of.kernel.clone();
    Text::public(of.place, name, move |caller| {
        let kernel = kernel.upgrade().ok_or(EINVAL)?;
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        Ok((tell(&kernel, &task.group.container) + "\n").into_bytes())
    })
}

/// A limit, or that there is none.
fn limit(value: u64) -> String {
    if value >= i64::MAX.cast_unsigned() { "max".into() } else { value.to_string() }
}

/// What nobody sets here.
const VALUES: &[(&str, &str)] = &[
    ("cgroup.controllers", "cpuset cpu memory pids"),
    ("cgroup.events", "populated 1\nfrozen 0"),
    ("cgroup.freeze", "0"),
    ("cgroup.max.depth", "max"),
    ("cgroup.max.descendants", "max"),
    ("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0"),
    ("cgroup.subtree_control", ""),
    ("cgroup.type", "domain"),
    ("cpu.idle", "0"),
    ("cpu.max", "max 100000"),
    ("cpu.max.burst", "0"),
    ("cpu.weight", "100"),
    ("cpu.weight.nice", "0"),
    ("cpuset.cpus", ""),
    ("cpuset.cpus.partition", "member"),
    ("cpuset.mems", ""),
    ("cpuset.mems.effective", "0"),
    ("memory.high", "max"),
    ("memory.low", "0"),
    ("memory.min", "0"),
    ("memory.oom.group", "0"),
    ("memory.swap.current", "0"),
    ("memory.swap.events", "high 0\nmax 0\nfail 0"),
    ("memory.swap.high", "max"),
    ("memory.swap.max", "0"),
    ("memory.swap.peak", "0"),
];

const ENTRIES: &[Entry<Here>] = &[
    Entry::file("cgroup.procs", |of, name| members(of, name, Members::Processes)),
    Entry::file("cgroup.threads", |of, name| members(of, name, Members::Threads)),
    Entry::file("cpu.stat", |of, name| {
        tell(of, name, |kernel, container| {
            let usage = usage(kernel, container);
            let (user, system) = (usage.user_ns / 1000, usage.system_ns / 1000);
            format!(
                "usage_usec {}\nuser_usec {user}\nsystem_usec {system}\nnice_usec 0\nnr_periods 0\n\
                 nr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0",
                user + system
            )
        })
    }),
    Entry::file("cpuset.cpus.effective", |of, name| {
        tell(of, name, |kernel, _| match kernel.config.nr_cpus {
            0 | 1 => "0".into(),
            cpus => format!("0-{}", cpus - 1),
        })
    }),
    Entry::file("memory.current", |of, name| {
        tell(of, name, |_, container| container.account.charged().to_string())
    }),
    Entry::file("memory.events", |of, name| tell(of, name, memory_events)),
    Entry::file("memory.events.local", |of, name| tell(of, name, memory_events)),
    Entry::file("memory.max", |of, name| {
        tell(of, name, |_, container| limit(container.account.limit()))
    }),
    Entry::file("memory.peak", |of, name| {
        tell(of, name, |_, container| container.account.peak().to_string())
    }),
    Entry::file("memory.stat", |of, name| tell(of, name, memory_stat)),
    Entry::file("pids.current", |of, name| {
        tell(of, name, |_, container| container.nr_tasks().to_string())
    }),
    Entry::file("pids.max", |of, name| tell(of, name, |_, container| limit(container.max_tasks))),
];

/// What the processes of a container have used, those included that were waited for.
fn usage(kernel: &Kernel, container: &Container) -> Usage {
    let groups: Vec<_> = {
        let tree = kernel.tree.lock();
        let groups = tree.nodes.values().map(|node| node.group.clone());
        groups.filter(|group| std::ptr::eq(&*group.container, container)).collect()
    };
    let mut total = Usage::default();
    for group in groups {
        group.refresh_usage();
        total.add(&group.total_usage());
        total.add(&group.child_usage.lock());
    }
    total
}

fn memory_events(_: &Kernel, container: &Container) -> String {
    let (hits, kills) = (container.account.hits(), container.nr_oom_kills());
    format!("low 0\nhigh 0\nmax {hits}\noom {kills}\noom_kill {kills}\noom_group_kill 0")
}

fn memory_stat(_: &Kernel, container: &Container) -> String {
    let charged = container.account.charged();
    let shmem = bytes_in_stores().min(charged);
    let anon = charged - shmem;
    let rows = [
        ("anon", anon),
        ("file", shmem),
        ("kernel", 0),
        ("kernel_stack", 0),
        ("pagetables", 0),
        ("sock", 0),
        ("shmem", shmem),
        ("file_mapped", 0),
        ("file_dirty", 0),
        ("file_writeback", 0),
        ("swapcached", 0),
        ("inactive_anon", shmem),
        ("active_anon", anon),
        ("inactive_file", 0),
        ("active_file", 0),
        ("unevictable", 0),
        ("slab_reclaimable", 0),
        ("slab_unreclaimable", 0),
        ("slab", 0),
    ];
    let lines: Vec<_> = rows.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
    lines.join("\n")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    Processes,
    Threads,
}

/// Numbers of the container's tasks, as the reader sees them.
fn members(of: &Here, name: &'static str, which: Members) -> InodeRef {
    let kernel = of.kernel.clone();
    Text::public(of.place, name, move |caller| {
        let kernel = kernel.upgrade().ok_or(EINVAL)?;
        let own = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let pid = own.pid();
        let ns = pid.namespace();
        let tree = kernel.tree.lock();
        let tasks = tree.tasks.values();
        let mine = tasks.filter(|task| Arc::ptr_eq(&task.group.container, &own.group.container));
        let number = |task: &Arc<Task>| match which {
            Members::Processes => task.group.pid.number_in(ns),
            Members::Threads => task.pid().number_in(ns),
        };
        let mut numbers: Vec<i32> = mine.filter_map(number).collect();
        drop(tree);
        numbers.sort_unstable();
        numbers.dedup();
        let mut out = String::new();
        for number in numbers {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{number}");
        }
        Ok(out.into_bytes())
    })
}

/// Makes the view known to `mount(2)`.
pub fn register(kernel: &Arc<Kernel>) {
    let kernel = Arc::downgrade(kernel);
    let mount = move |request: &MountRequest<'_>| -> Result<Arc<Superblock>, Errno> {
        check_options(request.options)?;
        let dev = next_anonymous_dev();
        let place = Place { dev, uid: 0, gid: 0, salt: 0, magic: CGROUP2_SUPER_MAGIC };
        Ok(superblock(Here { kernel: kernel.clone(), place }, request.user_ns.clone()))
    };
    let known = |option: &[u8]| check_param(option, KNOWN_OPTIONS, check_options);
    let check = Box::new(known);
    let fs_type = FsType { nodev: true, in_user_ns: true, check, mount: Box::new(mount) };
    register_fs_type("cgroup2", fs_type);
}

/// Options of a host's hierarchy, without effect on one group.
const KNOWN_OPTIONS: &[&str] =
    &["nsdelegate", "favordynmods", "memory_localevents", "memory_recursiveprot"];

fn check_options(options: &[u8]) -> Result<(), Errno> {
    let known = |option: &[u8]| {
        option.is_empty() || KNOWN_OPTIONS.iter().any(|name| name.as_bytes() == option)
    };
    if options.split(|&byte| byte == b',').all(known) { Ok(()) } else { Err(EINVAL.into()) }
}

fn superblock(here: Here, user_ns: Arc<UserNamespace>) -> Arc<Superblock> {
    let place = here.place;
    let listing = (Values::new(place, VALUES), Lazy::new(here, &[ENTRIES]));
    let root = Dir::inode(place, "/", 0o755, listing);
    Superblock::new(Box::new(CgroupFs), root, user_ns)
}
