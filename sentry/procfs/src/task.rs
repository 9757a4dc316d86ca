//! Files of a task: `/proc/PID` and `/proc/PID/task/TID`.

mod fd;
mod mem;
mod memory;
mod misc;
mod net;
mod pagemap;
mod sched;
mod status;

use crate::Mounted;
use crate::lazy::{Entry, Lazy};
use crate::node::{Dir, Fixed, Link, Listing, Place, Text};
use bevor_abi::Errno;
use bevor_abi::cap::{CAP_SYS_PTRACE, CAP_SYS_RESOURCE};
use bevor_abi::errno::{EACCES, EINVAL, ENOENT, EPERM, ESRCH};
use bevor_base::cred::IdRange;
use bevor_kernel::Task;
use bevor_kernel::group::ThreadGroup;
use bevor_kernel::nsfs::Namespace;
use bevor_kernel::pid::Pid;
use bevor_vfs::caller::Caller;
use bevor_vfs::inode::{FileType, InodeRef};
use bevor_vfs::mount::Path;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Most lines of an id map.
const MAX_MAP_LINES: usize = 340;

/// The task a directory is about: its process, and the thread.
#[derive(Clone)]
pub(crate) struct Subject {
    mounted: Mounted,
    group: Arc<ThreadGroup>,
    pid: Arc<Pid>,
}

impl Subject {
    /// The thread, if it lives; for a process's own directory its first living thread.
    fn task(&self) -> Result<Arc<Task>, Errno> {
        let tree = self.mounted.kernel.tree.lock();
        let task = tree.task(&self.pid).cloned();
        drop(tree);
        task.or_else(|| self.group.leader()).ok_or_else(|| ESRCH.into())
    }

    fn number(&self, pid: &Pid) -> i32 {
        pid.number_or_zero(&self.mounted.ns)
    }

    /// Whether the caller may look into the task (`PTRACE_MODE_READ_FSCREDS`).
    fn check_read(&self, caller: &dyn Caller) -> Result<(), Errno> {
        let Ok(task) = self.task() else { return Ok(()) };
        let own = self.mounted.caller_task(caller)?;
        if Arc::ptr_eq(&own.group, &task.group) {
            return Ok(());
        }
        let (cred, its) = (own.cred(), task.cred());
        let same = [its.ruid, its.euid, its.suid].iter().all(|&uid| uid == cred.fsuid)
            && [its.rgid, its.egid, its.sgid].iter().all(|&gid| gid == cred.fsgid)
            && task.group.dumpable.load(Ordering::Relaxed)
            && its.permitted & !cred.effective == 0;
        if same || cred.has_cap_in(CAP_SYS_PTRACE, &its.user_ns) {
            Ok(())
        } else {
            Err(EACCES.into())
        }
    }

    fn place(&self) -> Place {
        let cred = self.task().ok().map(|task| task.cred());
        let dumpable = self.group.dumpable.load(Ordering::Relaxed);
        let (uid, gid) = match cred {
            Some(cred) if dumpable => (cred.euid, cred.egid),
            _ => (0, 0),
        };
        Place { uid, gid, salt: self.pid.id, ..self.mounted.place() }
    }

    fn text(&self, name: &'static str, render: fn(&Self) -> Result<String, Errno>) -> InodeRef {
        let subject = self.clone();
        Text::public(self.place(), name, move |_| Ok(render(&subject)?.into_bytes()))
    }

    /// The same for what need not be text.
    fn text_bytes(
        &self,
        name: &'static str,
        render: fn(&Self) -> Result<Vec<u8>, Errno>,
    ) -> InodeRef {
        let subject = self.clone();
        Text::public(self.place(), name, move |_| render(&subject))
    }

    /// A file that tells more to those who may look into the task.
    fn guarded(
        &self,
        name: &'static str,
        render: fn(&Self, bool) -> Result<String, Errno>,
    ) -> InodeRef {
        let subject = self.clone();
        Text::public(self.place(), name, move |caller| {
            let all = subject.check_read(caller).is_ok();
            Ok(render(&subject, all)?.into_bytes())
        })
    }

    /// A file only who may look into the task can read.
    fn private(
        &self,
        name: &'static str,
        mode: u32,
        render: fn(&Self) -> Result<Vec<u8>, Errno>,
    ) -> InodeRef {
        let subject = self.clone();
        Text::with_mode(self.place(), name, mode, move |caller| {
            subject.check_read(caller)?;
            render(&subject)
        })
    }
}

/// The directory of a process (also of a thread, which is found but not listed).
///
/// # Errors
/// `ENOENT`.
pub fn process(mounted: &Mounted, name: &[u8]) -> Result<InodeRef, Errno> {
    let number = std::str::from_utf8(name).ok().and_then(|name| name.parse::<i32>().ok());
    let number = number.filter(|&number| number > 0).ok_or(ENOENT)?;
    let pid = mounted.ns.find(number).ok_or(ENOENT)?;
    let tree = mounted.kernel.tree.lock();
    let group = match tree.node(&pid) {
        Some(node) => node.group.clone(),
        None => tree.task(&pid).ok_or(ENOENT)?.group.clone(),
    };
    drop(tree);
    let subject = Subject { mounted: mounted.clone(), group, pid };
    // `pidfd_send_signal(2)` takes it for the process.
    let about = Box::new(subject.pid.clone());
    let place = subject.place();
    Ok(Dir::about(place, "pid", 0o555, Lazy::new(subject, &[ENTRIES, OF_PROCESS]), Some(about)))
}

/// `/proc/PID/task`.
struct Threads(Subject);

impl Listing for Threads {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let number = std::str::from_utf8(name).ok().and_then(|name| name.parse::<i32>().ok());
        let pid = self.0.mounted.ns.find(number.ok_or(ENOENT)?).ok_or(ENOENT)?;
        let tree = self.0.mounted.kernel.tree.lock();
        let leader = pid.id == self.0.group.id() && tree.nodes.contains_key(&pid.id);
        let thread = tree.task(&pid).is_some_and(|task| Arc::ptr_eq(&task.group, &self.0.group));
        drop(tree);
        // The leader's place stays until the process is reaped.
        if !leader && !thread {
            return Err(ENOENT.into());
        }
        let subject = Subject { pid, ..self.0.clone() };
        Ok(Lazy::dir(subject.place(), "tid", subject, &[ENTRIES, OF_THREAD]))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let threads = self.0.group.threads.lock().clone();
        let number = |task: &Arc<Task>| task.pid().number_in(&self.0.mounted.ns);
        let mut numbers: Vec<i32> = threads.iter().filter_map(number).collect();
        numbers.push(self.0.number(&self.0.group.pid));
        numbers.sort_unstable();
        numbers.dedup();
        let entry = |number: i32| (number.to_string().into_bytes(), FileType::Directory);
        numbers.into_iter().map(entry).collect()
    }
}

/// What both have.
const ENTRIES: &[Entry<Subject>] = &[
    Entry::file("arch_status", |of, name| of.text(name, misc::arch_status)),
    Entry::dir("attr", |of, name| Lazy::dir(of.place(), name, of.clone(), &[misc::SECURITY])),
    Entry::file("auxv", |of, name| of.private(name, 0o400, memory::auxv)),
    Entry::file("cgroup", |of, name| of.text(name, |_| Ok("0::/\n".into()))),
    Entry::file("clear_refs", misc::clear_refs),
    Entry::file("cmdline", |of, name| of.text_bytes(name, memory::cmdline)),
    Entry::file("comm", comm),
    Entry::file("cpuset", |of, name| of.text(name, |_| Ok("/\n".into()))),
    Entry::link("cwd", |of, name| fs_link(of, name, |task| task.fs().context().cwd.clone())),
    Entry::file("environ", |of, name| of.private(name, 0o400, memory::environ)),
    Entry::link("exe", exe),
    Entry::dir("fd", |of, _| fd::directory(of)),
    Entry::dir("fdinfo", |of, _| fd::info_directory(of)),
    Entry::file("gid_map", id_map),
    Entry::file("io", |of, name| of.private(name, 0o400, status::io)),
    Entry::file("ksm_merging_pages", |of, name| of.private(name, 0o400, |_| Ok(b"0\n".into()))),
    Entry::file("ksm_stat", |of, name| of.private(name, 0o400, misc::ksm_stat)),
    Entry::file("limits", |of, name| of.text(name, status::limits)),
    Entry::file("loginuid", |of, name| of.text(name, |_| Ok("4294967295".into()))),
    Entry::file("maps", |of, name| of.private(name, 0o444, memory::maps)),
    Entry::file("mem", |of, _| mem::file(of)),
    Entry::file("mountinfo", |of, name| of.text(name, |of| mounts(of, MountStyle::Info))),
    Entry::file("mounts", |of, name| of.text(name, |of| mounts(of, MountStyle::Table))),
    Entry::dir("net", |of, name| Lazy::dir(of.place(), name, of.clone(), &[net::ENTRIES])),
    Entry::dir("ns", |of, name| Dir::inode(of.place(), name, 0o511, Fixed::new(namespaces(of)))),
    Entry::file("numa_maps", |of, name| of.private(name, 0o444, memory::numa_maps)),
    Entry::file("oom_adj", misc::oom_adj),
    Entry::file("oom_score", |of, name| of.text(name, oom_score)),
    Entry::file("oom_score_adj", oom_score_adj),
    Entry::file("pagemap", pagemap::file),
    Entry::file("personality", |of, name| of.private(name, 0o400, misc::personality)),
    Entry::file("projid_map", |of, name| of.text(name, misc::projid_map)),
    Entry::link("root", |of, name| fs_link(of, name, |task| task.fs().context().root.clone())),
    Entry::file("sched", |of, name| of.text(name, sched::sched)),
    Entry::file("schedstat", |of, name| of.text(name, sched::schedstat)),
    Entry::file("sessionid", |of, name| of.text(name, |_| Ok("4294967295".into()))),
    Entry::file("setgroups", setgroups),
    Entry::file("smaps", |of, name| of.private(name, 0o444, memory::smaps)),
    Entry::file("smaps_rollup", |of, name| of.private(name, 0o444, memory::smaps_rollup)),
    Entry::file("stack", misc::stack),
    Entry::file("stat", |of, name| of.guarded(name, status::stat)),
    Entry::file("statm", |of, name| of.text(name, status::statm)),
    Entry::file("status", |of, name| of.text(name, status::status)),
    Entry::file("syscall", |of, name| of.private(name, 0o400, sched::syscall)),
    Entry::file("uid_map", id_map),
    Entry::file("wchan", |of, name| of.guarded(name, sched::wchan)),
];

/// What only a process has.
const OF_PROCESS: &[Entry<Subject>] = &[
    Entry::file("coredump_filter", coredump_filter),
    Entry::dir("map_files", |of, name| {
        Dir::inode(of.place(), name, 0o500, memory::MapFiles(of.clone()))
    }),
    Entry::file("mountstats", |of, name| {
        of.private(name, 0o400, |of| Ok(mounts(of, MountStyle::Stats)?.into_bytes()))
    }),
    Entry::dir("task", |of, name| Dir::inode(of.place(), name, 0o555, Threads(of.clone()))),
    Entry::file("timens_offsets", |of, name| of.text(name, misc::timens_offsets)),
    Entry::file("timers", |of, name| of.text(name, misc::timers)),
    Entry::file("timerslack_ns", misc::timer_slack),
];

/// What only a thread has.
const OF_THREAD: &[Entry<Subject>] = &[Entry::file("children", |of, name| of.text(name, children))];

fn children(subject: &Subject) -> Result<String, Errno> {
    let tree = subject.mounted.kernel.tree.lock();
    let Some(node) = tree.nodes.get(&subject.group.id()) else { return Ok(String::new()) };
    let numbers = node.children.iter().filter_map(|child| {
        let pid = &tree.nodes.get(child)?.group.pid;
        Some(format!("{} ", pid.number_in(&subject.mounted.ns)?))
    });
    Ok(numbers.collect())
}

fn comm(subject: &Subject, name: &'static str) -> InodeRef {
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |_: &dyn Caller| Ok(format!("{}\n", status::name(&reader)).into_bytes());
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let task = writer.task()?;
        let own = writer.mounted.caller_task(caller)?;
        if !Arc::ptr_eq(&own.group, &task.group) {
            return Err(EINVAL.into());
        }
        task.set_comm(bytes.strip_suffix(b"\n").unwrap_or(bytes));
        Ok(())
    };
    Text::writable(subject.place(), name, 0o644, read, write)
}

fn coredump_filter(subject: &Subject, name: &'static str) -> InodeRef {
    /// The bits there are (`MMF_DUMP_FILTER_MASK`).
    const KNOWN: u64 = 0x1ff;
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |_: &dyn Caller| {
        let filter = reader.group.coredump_filter.load(Ordering::Relaxed);
        Ok(format!("{filter:08x}\n").into_bytes())
    };
    let write = move |_: &dyn Caller, bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|_| EINVAL)?.trim();
        let value = match text.strip_prefix("0x") {
            Some(digits) => u64::from(u32::from_str_radix(digits, 16).map_err(|_| EINVAL)?),
            None => u64::from(text.parse::<u32>().map_err(|_| EINVAL)?),
        };
        writer.group.coredump_filter.store(value & KNOWN, Ordering::Relaxed);
        Ok(())
    };
    Text::writable(subject.place(), name, 0o644, read, write)
}

fn oom_score(subject: &Subject) -> Result<String, Errno> {
    let limit = bevor_kernel::oom::limit_of(&*subject.task()?);
    Ok(format!("{}\n", bevor_kernel::oom::score(&subject.group, limit)))
}

fn oom_score_adj(subject: &Subject, name: &'static str) -> InodeRef {
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |_: &dyn Caller| Ok(format!("{}\n", reader.group.oom_score_adj()).into_bytes());
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let value = crate::sysctl::number(bytes)?;
        if !(-1000..=1000).contains(&value) {
            return Err(EINVAL.into());
        }
        set_oom_score_adj(&writer, caller, value)
    };
    Text::writable(subject.place(), name, 0o644, read, write)
}

/// Less than before needs a privilege.
fn set_oom_score_adj(subject: &Subject, caller: &dyn Caller, value: i64) -> Result<(), Errno> {
    if value < subject.group.oom_score_adj() && !caller.cred().has_cap(CAP_SYS_RESOURCE) {
        return Err(EACCES.into());
    }
    subject.group.oom_score_adj.store((value + 1000).cast_unsigned(), Ordering::Relaxed);
    Ok(())
}

fn id_map(subject: &Subject, name: &'static str) -> InodeRef {
    let users = name == "uid_map";
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |_: &dyn Caller| {
        let ns = reader.task()?.cred().user_ns.clone();
        let map = if users { ns.uid_map.read().clone() } else { ns.gid_map.read().clone() };
        let mut out = String::new();
        for range in map {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{:10} {:10} {:10}", range.inside, range.outside, range.count);
        }
        Ok(out.into_bytes())
    };
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let ns = writer.task()?.cred().user_ns.clone();
        let map = parse_map(bytes)?;
        check_map(&caller.cred(), &ns, &map, users)?;
        let mut place = if users { ns.uid_map.write() } else { ns.gid_map.write() };
        if !place.is_empty() {
            return Err(EPERM.because("the map was written already"));
        }
        *place = map;
        Ok(())
    };
    Text::writable(subject.place(), name, 0o644, read, write)
}

fn parse_map(bytes: &[u8]) -> Result<Vec<IdRange>, Errno> {
    let text = std::str::from_utf8(bytes).map_err(|_| EINVAL)?;
    let mut map = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_ascii_whitespace().map(str::parse::<u32>);
        let (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count)), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(EINVAL.into());
        };
        let fits = count > 0
            && inside.checked_add(count).is_some()
            && outside.checked_add(count).is_some();
        if !fits || map.len() >= MAX_MAP_LINES {
            return Err(EINVAL.into());
        }
        map.push(IdRange { inside, outside, count });
    }
    if map.is_empty() { Err(EINVAL.into()) } else { Ok(map) }
}

/// Who may write which map (`user_namespaces(7)`, "Defining user and group ID mappings").
fn check_map(
    cred: &bevor_base::Credentials,
    ns: &Arc<bevor_base::UserNamespace>,
    map: &[IdRange],
    users: bool,
) -> Result<(), Errno> {
    /// `CAP_SETGID`, `CAP_SETUID`.
    const CAP_SETGID: u32 = 6;
    const CAP_SETUID: u32 = 7;
    let parent = ns.parent.as_ref().ok_or(EPERM)?;
    let cap = if users { CAP_SETUID } else { CAP_SETGID };
    if cred.has_cap_in(cap, parent) {
        return Ok(());
    }
    let is_own = |id: u32| {
        if users {
            parent.uid_in(id) == Some(cred.euid)
        } else {
            parent.gid_in(id) == Some(cred.egid)
        }
    };
    let single = matches!(map, [range] if range.count == 1 && is_own(range.outside));
    let setgroups_denied = !*ns.setgroups_allowed.read();
    if single && ns.owner == cred.euid && (users || setgroups_denied) {
        Ok(())
    } else {
        Err(EPERM.into())
    }
}

fn setgroups(subject: &Subject, name: &'static str) -> InodeRef {
    let (reader, writer) = (subject.clone(), subject.clone());
    let read = move |_: &dyn Caller| {
        let allowed = *reader.task()?.cred().user_ns.setgroups_allowed.read();
        Ok(if allowed { b"allow\n".to_vec() } else { b"deny\n".to_vec() })
    };
    let write = move |_: &dyn Caller, bytes: &[u8]| {
        let ns = writer.task()?.cred().user_ns.clone();
        match bytes.strip_suffix(b"\n").unwrap_or(bytes) {
            b"allow" if *ns.setgroups_allowed.read() => Ok(()),
            b"deny" if ns.gid_map.read().is_empty() => {
                *ns.setgroups_allowed.write() = false;
                Ok(())
            }
            b"allow" | b"deny" => Err(EPERM.into()),
            _ => Err(EINVAL.into()),
        }
    };
    Text::writable(subject.place(), name, 0o644, read, write)
}

/// `cwd` and `root`.
fn fs_link(subject: &Subject, name: &'static str, place: fn(&Task) -> Path) -> InodeRef {
    let (reader, follower) = (subject.clone(), subject.clone());
    let read = move |caller: &dyn Caller| {
        reader.check_read(caller)?;
        let own = reader.mounted.caller_task(caller)?;
        let root = own.fs().context().root.clone();
        Ok(place(&*reader.task()?).text(&root).for_link())
    };
    let follow = move |caller: &dyn Caller| {
        follower.check_read(caller)?;
        Ok(Some(place(&*follower.task()?)))
    };
    Link::magic(subject.place(), name, 0o777, read, follow)
}

fn exe(subject: &Subject, name: &'static str) -> InodeRef {
    let (reader, follower) = (subject.clone(), subject.clone());
    let path = |subject: &Subject, caller: &dyn Caller| {
        subject.check_read(caller)?;
        let image = subject.group.image.read();
        let exe = image.as_ref().map(|image| image.exe.path().clone());
        exe.ok_or_else(|| Errno::from(ENOENT))
    };
    let read = move |caller: &dyn Caller| {
        let own = reader.mounted.caller_task(caller)?;
        let root = own.fs().context().root.clone();
        Ok(path(&reader, caller)?.text(&root).for_link())
    };
    let follow = move |caller: &dyn Caller| Ok(Some(path(&follower, caller)?));
    Link::magic(subject.place(), name, 0o777, read, follow)
}

/// The three files that list mounts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MountStyle {
    Info,
    Table,
    Stats,
}

fn mounts(subject: &Subject, style: MountStyle) -> Result<String, Errno> {
    let fs = subject.task()?.fs().context();
    let mut out = String::new();
    for mount in fs.namespace.list() {
        let point = mount.root_path().text(&fs.root);
        if !point.reachable {
            continue;
        }
        let superblock = mount.superblock();
        let point = escape(&point.bytes);
        let source = escape(mount.source());
        let kind = superblock.fs().name();
        let flags = mount.flags().text();
        let state = if superblock.is_read_only() { "ro" } else { "rw" };
        let options = superblock.fs().options();
        let comma = if options.is_empty() { "" } else { "," };
        let dev = superblock.dev();
        // Writing to a String cannot fail.
        let _ = match style {
            MountStyle::Info => {
                let parent = mount.parent().map_or(mount.id(), |parent| parent.mount.id());
                let propagation = mount.propagation();
                let from = mount.propagates_from(&fs).filter(|&from| from != propagation.master);
                writeln!(
                    out,
                    "{} {parent} {}:{} {} {point} {flags} {}- {kind} {source} {state}{comma}{options}",
                    mount.id(),
                    bevor_abi::stat::major(dev),
                    bevor_abi::stat::minor(dev),
                    escape(&mount.root_text()),
                    propagation.text(from),
                )
            }
            MountStyle::Table => {
                let ro = if mount.is_read_only() { "ro" } else { "rw" };
                let rest: Vec<&str> =
                    flags.split(',').filter(|flag| !matches!(*flag, "rw" | "ro")).collect();
                let rest: String = rest.iter().map(|flag| format!(",{flag}")).collect();
                writeln!(out, "{source} {point} {kind} {ro}{rest}{comma}{options} 0 0")
            }
            MountStyle::Stats => {
                writeln!(out, "device {source} mounted on {point} with fstype {kind}")
            }
        };
    }
    Ok(out)
}

/// Escapes what would break a line of fields: space, tab, newline, backslash.
fn escape(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    for &byte in bytes {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => out.extend(format!("\\{byte:03o}").into_bytes()),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn namespaces(subject: &Subject) -> Vec<(&'static str, InodeRef)> {
    type Find = fn(&Task) -> Namespace;
    const KINDS: [(&str, Find); 10] = [
        ("cgroup", |task| Namespace::Cgroup(task.namespaces().cgroup.clone())),
        ("ipc", |task| Namespace::Ipc(task.namespaces().ipc.clone())),
        ("mnt", |task| Namespace::Mount(task.fs().context().namespace.clone())),
        ("net", |task| Namespace::Net(task.namespaces().net.clone())),
        ("pid", |task| Namespace::Pid(task.pid().namespace().clone())),
        ("pid_for_children", |task| Namespace::Pid(task.namespaces().pid_for_children.clone())),
        ("time", |task| Namespace::Time(task.namespaces().time.clone())),
        ("time_for_children", |task| Namespace::Time(task.namespaces().time.clone())),
        ("user", |task| Namespace::User(task.cred().user_ns.clone())),
        ("uts", |task| Namespace::Uts(task.namespaces().uts.clone())),
    ];
    let link = |name: &'static str, find: Find| {
        let (reader, follower) = (subject.clone(), subject.clone());
        let found = move |subject: &Subject, caller: &dyn Caller| {
            subject.check_read(caller)?;
            Ok::<_, Errno>(find(&*subject.task()?))
        };
        let read = move |caller: &dyn Caller| {
            let namespace = found(&reader, caller)?;
            Ok(format!("{}:[{}]", namespace.name(), namespace.id()).into_bytes())
        };
        let follow = move |caller: &dyn Caller| Ok(Some(found(&follower, caller)?.path()));
        (name, Link::magic(subject.place(), name, 0o777, read, follow))
    };
    KINDS.into_iter().map(|(name, find)| link(name, find)).collect()
}
