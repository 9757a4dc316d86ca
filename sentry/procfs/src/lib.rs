//! The /proc file system (`proc(5)`).
//!
//! Each mount shows one pid namespace. [`task`] has the files of a task, [`system`] those of the
//! whole sandbox, [`sysctl`] the tree below `/proc/sys`; [`node`] is what they are made of.
#![forbid(unsafe_code)]

mod cgroupfs;
mod lazy;
mod node;
mod opener;
mod sysctl;
pub mod sysfs;
mod system;
mod task;

use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOENT};
use bevor_base::UserNamespace;
use bevor_kernel::pid::PidNamespace;
use bevor_kernel::{Kernel, Task};
use bevor_vfs::caller::Caller;
use bevor_vfs::inode::{FileType, InodeRef};
use bevor_vfs::superblock::{
    FileSystem, FsType, MountRequest, Superblock, check_param, next_anonymous_dev, register_fs_type,
};
use lazy::Lazy;
use node::{Dir, Link, Listing, PROC_SUPER_MAGIC, Place};
use std::any::Any;
use std::sync::Arc;

/// What every file of a mount can reach.
#[derive(Clone)]
pub(crate) struct Mounted {
    kernel: Arc<Kernel>,
    ns: Arc<PidNamespace>,
    dev: u64,
}

impl Mounted {
    const fn place(&self) -> Place {
        Place { dev: self.dev, uid: 0, gid: 0, salt: 0, magic: PROC_SUPER_MAGIC }
    }

    /// The calling task, if a guest task calls.
    fn caller_task<'a>(&self, caller: &'a dyn Caller) -> Result<&'a Task, Errno> {
        caller.as_any().downcast_ref::<Task>().ok_or_else(|| ENOENT.into())
    }
}

struct ProcFs;

impl FileSystem for ProcFs {
    fn name(&self) -> &'static str {
        "proc"
    }

    fn reveals(&self) -> bool {
        true
    }

    fn reconfigure(&self, options: &[u8]) -> Result<(), Errno> {
        check_options(options)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Options other sandboxes' mounts carry without effect on what is shown here.
fn check_options(options: &[u8]) -> Result<(), Errno> {
    let known =
        |option: &[u8]| option.is_empty() || option.starts_with(b"gid=") || option == b"hidepid=0";
    if options.split(|&byte| byte == b',').all(known) { Ok(()) } else { Err(EINVAL.into()) }
}

/// Makes a mount of `/proc` for a pid namespace.
#[must_use]
pub fn superblock(
    kernel: &Arc<Kernel>,
    ns: &Arc<PidNamespace>,
    user_ns: Arc<UserNamespace>,
) -> Arc<Superblock> {
    let mounted = Mounted { kernel: kernel.clone(), ns: ns.clone(), dev: next_anonymous_dev() };
    let fixed = Lazy::new(mounted.clone(), &[system::ENTRIES]);
    let root = Dir::inode(mounted.place(), "/", 0o555, Root { mounted, fixed });
    Superblock::new(Box::new(ProcFs), root, user_ns)
}

/// Makes procfs, sysfs and the view of cgroups known to `mount(2)`.
pub fn register(kernel: &Arc<Kernel>) {
    sysfs::register(kernel);
    cgroupfs::register(kernel);
    let kernel = Arc::downgrade(kernel);
    let mount = move |request: &MountRequest<'_>| {
        check_options(request.options)?;
        let kernel = kernel.upgrade().ok_or(EINVAL)?;
        let task = request.caller.as_any().downcast_ref::<Task>().ok_or(EINVAL)?;
        let ns = task.pid().namespace().clone();
        request.must_rule(&ns.user_ns)?;
        Ok(superblock(&kernel, &ns, request.user_ns.clone()))
    };
    let fs_type = FsType {
        nodev: true,
        in_user_ns: true,
        check: Box::new(|option| check_param(option, &["gid", "hidepid"], check_options)),
        mount: Box::new(mount),
    };
    register_fs_type("proc", fs_type);
}

struct Root {
    mounted: Mounted,
    fixed: Lazy<Mounted>,
}

impl Listing for Root {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let place = self.mounted.place();
        let mounted = self.mounted.clone();
        match name {
            b"self" => Ok(Link::plain(place, "self", move |caller| {
                let task = mounted.caller_task(caller)?;
                let number = task.group.pid.number_in(&mounted.ns).ok_or(ENOENT)?;
                Ok(number.to_string().into_bytes())
            })),
            b"thread-self" => Ok(Link::plain(place, "thread-self", move |caller| {
                let task = mounted.caller_task(caller)?;
                let group = task.group.pid.number_in(&mounted.ns).ok_or(ENOENT)?;
                let thread = task.pid().number_in(&mounted.ns).ok_or(ENOENT)?;
                Ok(format!("{group}/task/{thread}").into_bytes())
            })),
            _ if name.first().is_some_and(u8::is_ascii_digit) => task::process(&mounted, name),
            _ => self.fixed.find(name),
        }
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let mut names = self.fixed.names();
        names.push((b"self".to_vec(), FileType::Symlink));
        names.push((b"thread-self".to_vec(), FileType::Symlink));
        let tree = self.mounted.kernel.tree.lock();
        let numbers = self.mounted.ns.all();
        let leaders = numbers.iter().filter(|(_, pid)| tree.nodes.contains_key(&pid.id));
        names.extend(
            leaders.map(|(number, _)| (number.to_string().into_bytes(), FileType::Directory)),
        );
        names
    }
}
