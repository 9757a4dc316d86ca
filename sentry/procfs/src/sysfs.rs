//! The part of `/sys` that programs read (`sysfs(5)`): processors and their caches, memory policy,
//! network interfaces; and the empty directories that tools expect where there are no devices.

mod cpu;
mod net;

pub use cpu::mask;

use crate::lazy::{Entry, Lazy, Values};
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
use std::sync::{Arc, Weak};

struct SysFs;

impl FileSystem for SysFs {
    fn name(&self) -> &'static str {
        "sysfs"
    }

    fn reveals(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A directory of a mount, and what its files are about.
#[derive(Clone)]
struct Here {
    kernel: Weak<Kernel>,
    place: Place,
    cpus: usize,
}

impl Here {
    /// The directory `name` in this one.
    fn inside(&self, name: &str) -> Self {
        Self { place: self.place.inside(name), ..self.clone() }
    }

    /// A directory of these entries.
    fn dir(&self, name: &str, entries: &'static [&'static [Entry<Self>]]) -> InodeRef {
        Dir::inode(self.place, name, 0o755, Lazy::new(self.inside(name), entries))
    }

    /// The same with constant files beside them.
    fn mixed(
        &self,
        name: &str,
        values: &'static [(&'static str, &'static str)],
        entries: &'static [&'static [Entry<Self>]],
    ) -> InodeRef {
        let inside = self.inside(name);
        let values = Values::new(inside.place, values);
        Dir::inode(self.place, name, 0o755, (values, Lazy::new(inside, entries)))
    }

    /// A directory without entries.
    fn empty(&self, name: &str) -> InodeRef {
        Dir::inode(self.place, name, 0o755, Fixed::default())
    }

    /// A file of one line.
    fn line(&self, name: &'static str, value: String) -> InodeRef {
        Text::public(self.place, name, move |_| Ok(format!("{value}\n").into_bytes()))
    }

    fn link(&self, name: &str, target: String) -> InodeRef {
        Link::plain(self.place, name, move |_| Ok(target.clone().into_bytes()))
    }
}

const ROOT: &[Entry<Here>] = &[
    Entry::dir("block", Here::empty_entry),
    Entry::dir("bus", |of, name| of.dir(name, &[BUS])),
    Entry::dir("class", |of, name| of.dir(name, &[CLASS])),
    Entry::dir("dev", |of, name| of.dir(name, &[DEV])),
    Entry::dir("devices", |of, name| of.dir(name, &[DEVICES])),
    Entry::dir("firmware", Here::empty_entry),
    Entry::dir("fs", |of, name| of.dir(name, &[FS])),
    Entry::dir("kernel", |of, name| of.mixed(name, KERNEL_VALUES, &[KERNEL])),
    Entry::dir("module", Here::empty_entry),
    Entry::dir("power", Here::empty_entry),
];

impl Here {
    fn empty_entry(&self, name: &'static str) -> InodeRef {
        self.empty(name)
    }
}

const BUS: &[Entry<Here>] = &[
    Entry::dir("cpu", |of, name| of.dir(name, &[BUS_OF_NONE])),
    Entry::dir("pci", |of, name| of.dir(name, &[BUS_OF_NONE])),
    Entry::dir("usb", |of, name| of.dir(name, &[BUS_OF_NONE])),
];
const BUS_OF_NONE: &[Entry<Here>] =
    &[Entry::dir("devices", Here::empty_entry), Entry::dir("drivers", Here::empty_entry)];
const CLASS: &[Entry<Here>] = &[
    Entry::dir("block", Here::empty_entry),
    Entry::dir("net", |of, name| of.dir(name, &[net::CLASS])),
];
const DEV: &[Entry<Here>] =
    &[Entry::dir("block", Here::empty_entry), Entry::dir("char", Here::empty_entry)];
const DEVICES: &[Entry<Here>] = &[
    Entry::dir("system", |of, name| of.dir(name, &[SYSTEM])),
    Entry::dir("virtual", |of, name| of.dir(name, &[VIRTUAL])),
];
const VIRTUAL: &[Entry<Here>] = &[
    Entry::dir("block", Here::empty_entry),
    Entry::dir("net", |of, name| of.dir(name, &[net::DEVICES])),
];
const FS: &[Entry<Here>] = &[Entry::dir("cgroup", Here::empty_entry)];

const KERNEL_VALUES: &[(&str, &str)] = &[
    ("address_bits", "64"),
    ("cpu_byteorder", "little"),
    ("fscaps", "1"),
    ("profiling", "0"),
    ("rcu_expedited", "0"),
    ("rcu_normal", "0"),
    ("uevent_seqnum", "0"),
];
const KERNEL: &[Entry<Here>] = &[
    Entry::dir("debug", Here::empty_entry),
    Entry::dir("mm", |of, name| of.dir(name, &[MM])),
    Entry::dir("security", Here::empty_entry),
    Entry::dir("tracing", Here::empty_entry),
];
const MM: &[Entry<Here>] = &[
    Entry::dir("hugepages", Here::empty_entry),
    Entry::dir("ksm", |of, name| Values::dir(of.place, name, KSM)),
    Entry::dir("transparent_hugepage", |of, name| Values::dir(of.place, name, HUGE_PAGES)),
];
/// Nothing is merged.
const KSM: &[(&str, &str)] = &[
    ("full_scans", "0"),
    ("pages_shared", "0"),
    ("pages_sharing", "0"),
    ("pages_unshared", "0"),
    ("run", "0"),
];
const HUGE_PAGES: &[(&str, &str)] = &[
    ("defrag", "always defer defer+madvise [madvise] never"),
    ("enabled", "always [madvise] never"),
    ("hpage_pmd_size", "2097152"),
    ("shmem_enabled", "always within_size advise [never] deny force"),
    ("use_zero_page", "1"),
];

const SYSTEM: &[Entry<Here>] = &[
    Entry::dir("clocksource", |of, name| of.dir(name, &[CLOCKS])),
    Entry::dir("cpu", cpu::all),
    Entry::dir("node", |of, name| of.mixed(name, NODE_VALUES, &[NODES])),
];
const CLOCKS: &[Entry<Here>] =
    &[Entry::dir("clocksource0", |of, name| Values::dir(of.place, name, CLOCK))];
const CLOCK: &[(&str, &str)] = &[("available_clocksource", "tsc"), ("current_clocksource", "tsc")];

const NODE_VALUES: &[(&str, &str)] = &[
    ("has_cpu", "0"),
    ("has_memory", "0"),
    ("has_normal_memory", "0"),
    ("online", "0"),
    ("possible", "0"),
];
const NODES: &[Entry<Here>] = &[Entry::dir("node0", |of, name| {
    let inside = of.inside(name);
    let links = cpu::Links(inside.clone());
    Dir::inode(of.place, name, 0o755, (Lazy::new(inside, &[NODE]), links))
})];
const NODE: &[Entry<Here>] = &[
    Entry::file("cpulist", |of, name| of.line(name, cpu::list(of.cpus))),
    Entry::file("cpumap", |of, name| of.line(name, mask(0..of.cpus, of.cpus))),
    Entry::file("distance", |of, name| of.line(name, "10".into())),
    Entry::file("meminfo", |of, name| {
        let kernel = of.kernel.clone();
        Text::public(of.place, name, move |_| {
            let kernel = kernel.upgrade().ok_or(EINVAL)?;
            Ok(system::node_meminfo(&kernel).into_bytes())
        })
    }),
    Entry::file("numastat", |of, name| {
        let counts = ["numa_hit", "numa_miss", "numa_foreign", "interleave_hit", "local_node"];
        let lines: String = counts.iter().map(|count| format!("{count} 0\n")).collect();
        of.line(name, lines + "other_node 0")
    }),
];

/// Makes a mount of `/sys`.
#[must_use]
pub fn superblock(kernel: &Arc<Kernel>, user_ns: Arc<UserNamespace>) -> Arc<Superblock> {
    let place = Place { dev: next_anonymous_dev(), uid: 0, gid: 0, salt: 0, magic: SYSFS_MAGIC };
    let cpus = kernel.config.nr_cpus.max(1);
    let here = Here { kernel: Arc::downgrade(kernel), place, cpus };
    let root = Lazy::dir(place, "sys", here, &[ROOT]);
    Superblock::new(Box::new(SysFs), root, user_ns)
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
