//! `/proc/sys` (`proc_sys(5)`).
//!
//! A setting is shown as writable if writing it does something, or if it only gives advice that
//! nothing here needs: such advice is remembered. The others cannot be changed.

mod table;

pub use table::ROOT;

use crate::Mounted;
use crate::node::{Dir, Listing, Place, Text};
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOENT, EPERM};
use bevor_abi::ipc::{HARD_MSGMAX, HARD_MSGSIZEMAX};
use bevor_kernel::Task;
use bevor_kernel::host;
use bevor_kernel::seccomp::logged;
use bevor_vfs::caller::Caller;
use bevor_vfs::inode::{FileType, InodeRef};
use bevor_vfs::mqueue::Settings;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// `CAP_SYS_ADMIN`.
const CAP_SYS_ADMIN: u32 = 21;
/// Longest host or domain name.
const MAX_NAME: usize = 64;

/// One name below `/proc/sys`.
#[derive(Clone, Copy)]
pub enum Setting {
    /// A directory.
    Dir(&'static [(&'static str, Self)]),
    /// What cannot be changed.
    Fixed(&'static str),
    /// Advice: whole numbers between two bounds, as many as there are by default.
    Hint(&'static str, i64, i64),
    /// A limit that holds, between two bounds.
    Limit(&'static AtomicU64, u64, u64),
    /// Something else.
    Made(fn(&Here, &'static str) -> InodeRef),
}

/// The directory a setting is in.
#[derive(Clone)]
pub struct Here {
    place: Place,
    mounted: Mounted,
}

/// Advice that was given, by inode number.
static ADVICE: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());

/// The directory `/proc/sys`.
pub fn root(mounted: &Mounted, name: &'static str) -> InodeRef {
    let outside = Here { place: mounted.place(), mounted: mounted.clone() };
    dir(&outside, name, ROOT)
}

fn dir(here: &Here, name: &'static str, settings: &'static [(&'static str, Setting)]) -> InodeRef {
    let inside = Here { place: here.place.inside(name), mounted: here.mounted.clone() };
    Dir::inode(here.place, name, 0o555, Group { here: inside, settings })
}

struct Group {
    here: Here,
    settings: &'static [(&'static str, Setting)],
}

impl Listing for Group {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let found = self.settings.iter().find(|(its, _)| its.as_bytes() == name);
        let &(name, setting) = found.ok_or(ENOENT)?;
        let here = &self.here;
        Ok(match setting {
            Setting::Dir(settings) => dir(here, name, settings),
            Setting::Fixed(value) => value_of(here, name, move || value.into()),
            Setting::Hint(default, least, most) => hint(here.place, name, default, least, most),
            Setting::Limit(limit, least, most) => limited(here.place, name, limit, least, most),
            Setting::Made(make) => make(here, name),
        })
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let kind = |setting: &Setting| match setting {
            Setting::Dir(_) => FileType::Directory,
            _ => FileType::Regular,
        };
        let settings = self.settings.iter();
        settings.map(|(name, setting)| (name.as_bytes().to_vec(), kind(setting))).collect()
    }
}

/// A line that cannot be changed.
fn value_of(
    here: &Here,
    name: &'static str,
    value: impl Fn() -> String + Send + Sync + 'static,
) -> InodeRef {
    Text::public(here.place, name, move |_| Ok((value() + "\n").into_bytes()))
}

fn hint(
    place: Place,
    name: &'static str,
    default: &'static str,
    least: i64,
    most: i64,
) -> InodeRef {
    let key = place.ino(name);
    let read = move |_: &dyn Caller| {
        let advice = ADVICE.lock();
        Ok(format!("{}\n", advice.get(&key).map_or(default, String::as_str)).into_bytes())
    };
    let write = move |_: &dyn Caller, bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|_| EINVAL)?;
        let numbers: Result<Vec<i64>, _> =
            text.trim_end_matches('\0').split_ascii_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|_| EINVAL)?;
        let all = default.split_ascii_whitespace().count();
        if numbers.len() != all || numbers.iter().any(|number| !(least..=most).contains(number)) {
            return Err(EINVAL.because("not that many numbers, or out of range"));
        }
        let words: Vec<_> = numbers.iter().map(ToString::to_string).collect();
        ADVICE.lock().insert(key, words.join("\t"));
        Ok(())
    };
    Text::writable(place, name, 0o644, read, write)
}

fn limited(
    place: Place,
    name: &'static str,
    limit: &'static AtomicU64,
    least: u64,
    most: u64,
) -> InodeRef {
    let read =
        move |_: &dyn Caller| Ok(format!("{}\n", limit.load(Ordering::Relaxed)).into_bytes());
    let write = move |_: &dyn Caller, bytes: &[u8]| {
        let value = u64::try_from(number(bytes)?).map_err(|_| EINVAL)?;
        if !(least..=most).contains(&value) {
            return Err(EINVAL.because("out of range"));
        }
        limit.store(value, Ordering::Relaxed);
        Ok(())
    };
    Text::writable(place, name, 0o644, read, write)
}

/// `ns_last_pid`: the next process of the caller's pid namespace gets the number after it.
fn last_pid(here: &Here, name: &'static str) -> InodeRef {
    /// `CAP_CHECKPOINT_RESTORE`.
    const CAP_CHECKPOINT_RESTORE: u32 = 40;
    let read = |caller: &dyn Caller| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        Ok(format!("{}\n", task.namespaces().pid_for_children.last()).into_bytes())
    };
    let write = |caller: &dyn Caller, bytes: &[u8]| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let ns = task.namespaces().pid_for_children.clone();
        let cred = task.cred();
        let may = cred.has_cap_in(CAP_SYS_ADMIN, &ns.user_ns)
            || cred.has_cap_in(CAP_CHECKPOINT_RESTORE, &ns.user_ns);
        if !may {
            return Err(EPERM.into());
        }
        let last = i32::try_from(number(bytes)?).map_err(|_| EINVAL)?;
        ns.set_last(last)
    };
    Text::writable(here.place, name, 0o666, read, write)
}

/// `file-nr`: how many open file descriptions processes have.
fn nr_files(here: &Here, name: &'static str) -> InodeRef {
    let mounted = here.mounted.clone();
    value_of(here, name, move || {
        let tasks: Vec<_> = mounted.kernel.tree.lock().tasks.values().cloned().collect();
        let tables = tasks.iter().filter_map(|task| task.files());
        let mut files: Vec<u64> =
            tables.flat_map(|table| table.list()).map(|(_, file, _)| file.id()).collect();
        files.sort_unstable();
        files.dedup();
        format!("{}\t0\t{}", files.len(), i64::MAX)
    })
}

/// `drop_caches`: free pages kept for reuse go back to the host.
fn drop_caches(here: &Here, name: &'static str) -> InodeRef {
    let kernel = here.mounted.kernel.clone();
    let write = move |_: &dyn Caller, bytes: &[u8]| {
        if !(1..=4).contains(&number(bytes)?) {
            return Err(EINVAL.into());
        }
        kernel.memory.trim();
        Ok(())
    };
    Text::writable(here.place, name, 0o200, |_| Err(EINVAL.into()), write)
}

/// `kernel/seccomp/actions_logged`: which actions of filters are logged.
fn seccomp_logged(here: &Here, name: &'static str) -> InodeRef {
    let read = |_: &dyn Caller| Ok((logged::names(logged::get()).join(" ") + "\n").into_bytes());
    let write = |caller: &dyn Caller, bytes: &[u8]| {
        if !caller.cred().has_cap(CAP_SYS_ADMIN) {
            return Err(EPERM.into());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| EINVAL)?;
        let text = text.trim_end_matches(['\0', '\n']);
        logged::set(logged::parse(text.split_ascii_whitespace()).ok_or(EINVAL)?);
        Ok(())
    };
    Text::writable(here.place, name, 0o644, read, write)
}

/// A setting of the message queues of the caller's IPC namespace, between `least` and `most`.
fn queue_setting(
    here: &Here,
    name: &'static str,
    of: fn(&Settings) -> &AtomicU64,
    least: u64,
    most: u64,
) -> InodeRef {
    let read = move |caller: &dyn Caller| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let ipc = task.namespaces().ipc.clone();
        let value = of(ipc.queues(caller.mm().account()).settings()).load(Ordering::Relaxed);
        Ok(format!("{value}\n").into_bytes())
    };
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let ipc = task.namespaces().ipc.clone();
        let value = u64::try_from(number(bytes)?).map_err(|_| EINVAL)?;
        if !(least..=most).contains(&value) {
            return Err(EINVAL.because("out of range"));
        }
        of(ipc.queues(caller.mm().account()).settings()).store(value, Ordering::Relaxed);
        Ok(())
    };
    Text::writable(here.place, name, 0o644, read, write)
}

/// `/proc/sys/fs/mqueue` (`mq_overview(7)`).
const MQUEUE: &[(&str, Setting)] = &[
    (
        "msg_default",
        Setting::Made(|here, name| {
            queue_setting(here, name, |all| &all.msg_default, 1, HARD_MSGMAX.into())
        }),
    ),
    (
        "msg_max",
        Setting::Made(|here, name| {
            queue_setting(here, name, |all| &all.msg_max, 1, HARD_MSGMAX.into())
        }),
    ),
    (
        "msgsize_default",
        Setting::Made(|here, name| {
            queue_setting(here, name, |all| &all.msgsize_default, 128, HARD_MSGSIZEMAX.into())
        }),
    ),
    (
        "msgsize_max",
        Setting::Made(|here, name| {
            queue_setting(here, name, |all| &all.msgsize_max, 128, HARD_MSGSIZEMAX.into())
        }),
    ),
    (
        "queues_max",
        Setting::Made(|here, name| {
            queue_setting(here, name, |all| &all.queues_max, 0, u64::from(u32::MAX >> 1))
        }),
    ),
];

/// Which of the two names of the caller's UTS namespace.
#[derive(Clone, Copy)]
enum UtsName {
    Host,
    Domain,
}

fn uts(here: &Here, name: &'static str, which: UtsName) -> InodeRef {
    let read = move |caller: &dyn Caller| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let uts = task.namespaces().uts.clone();
        let names = uts.names.read();
        let mut text = match which {
            UtsName::Host => names.0.clone(),
            UtsName::Domain => names.1.clone(),
        };
        text.push(b'\n');
        Ok(text)
    };
    let write = move |caller: &dyn Caller, bytes: &[u8]| {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let uts = task.namespaces().uts.clone();
        if !task.cred().has_cap_in(CAP_SYS_ADMIN, &uts.user_ns) {
            return Err(EPERM.into());
        }
        let name = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let name = name.get(..MAX_NAME).unwrap_or(name).to_vec();
        task.kernel.rename(&uts, |names| match which {
            UtsName::Host => names.0 = name,
            UtsName::Domain => names.1 = name,
        });
        Ok(())
    };
    Text::writable(here.place, name, 0o644, read, write)
}

/// A random UUID of version 4.
fn uuid() -> String {
    let [a, b, ..] = host::random_words();
    let (a, b) = ((a & !0xf000) | 0x4000, (b & !(3 << 62)) | (2 << 62));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

/// Text of a number, as sysctl files take it.
///
/// # Errors
/// `EINVAL`.
pub fn number(bytes: &[u8]) -> Result<i64, Errno> {
    let text = std::str::from_utf8(bytes).map_err(|_| EINVAL)?;
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0')
        .parse()
        .map_err(|_| EINVAL.into())
}
