//! Namespaces as files: what `/proc/PID/ns/*` leads to and `setns(2)` takes (`ioctl_nsfs(2)`).

use crate::ipc::IpcNamespace;
use crate::limits;
use crate::ns::{PlainNamespace, UtsNamespace};
use crate::pid::PidNamespace;
use crate::task::Task;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOTTY, EPERM, ESRCH};
use bevor_abi::ioctl::{
    NS_GET_MNTNS_ID, NS_GET_NSTYPE, NS_GET_OWNER_UID, NS_GET_PARENT, NS_GET_USERNS,
};
use bevor_abi::sched::{
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME,
    CLONE_NEWUSER, CLONE_NEWUTS,
};
use bevor_abi::stat::NSFS_MAGIC;
use bevor_base::UserNamespace;
use bevor_memory::UserAddr;
use bevor_vfs::caller::Caller;
use bevor_vfs::file::{File, FileOps, OpenFlags};
use bevor_vfs::inode::{Attr, FileTime, FileType, FsStat, Inode, InodeRef};
use bevor_vfs::mount::{MountNamespace, Path};
use bevor_vfs::superblock::next_anonymous_dev;
use std::any::Any;
use std::sync::{Arc, LazyLock};

/// Device number of all namespace files.
static DEV: LazyLock<u64> = LazyLock::new(next_anonymous_dev);

/// A namespace of any kind.
#[derive(Clone)]
pub enum Namespace {
    /// Control groups.
    Cgroup(Arc<PlainNamespace>),
    /// System V IPC.
    Ipc(Arc<IpcNamespace>),
    /// Mounts.
    Mount(Arc<MountNamespace>),
    /// Network.
    Net(Arc<PlainNamespace>),
    /// Process ids.
    Pid(Arc<PidNamespace>),
    /// Clocks.
    Time(Arc<PlainNamespace>),
    /// Users.
    User(Arc<UserNamespace>),
    /// Host name.
    Uts(Arc<UtsNamespace>),
}

impl Namespace {
    /// Every namespace of a task, the pid namespace being its own.
    #[must_use]
    pub fn all_of(task: &Task) -> [Self; 8] {
        let namespaces = task.namespaces();
        [
            Self::User(task.cred().user_ns.clone()),
            Self::Cgroup(namespaces.cgroup.clone()),
            Self::Ipc(namespaces.ipc.clone()),
            Self::Mount(task.fs().context().namespace.clone()),
            Self::Net(namespaces.net.clone()),
            Self::Pid(task.pid().namespace().clone()),
            Self::Time(namespaces.time.clone()),
            Self::Uts(namespaces.uts.clone()),
        ]
    }

    /// Its `CLONE_NEW*` flag.
    #[must_use]
    pub const fn kind(&self) -> u64 {
        match self {
            Self::Cgroup(_) => CLONE_NEWCGROUP,
            Self::Ipc(_) => CLONE_NEWIPC,
            Self::Mount(_) => CLONE_NEWNS,
            Self::Net(_) => CLONE_NEWNET,
            Self::Pid(_) => CLONE_NEWPID,
            Self::Time(_) => CLONE_NEWTIME,
            Self::User(_) => CLONE_NEWUSER,
            Self::Uts(_) => CLONE_NEWUTS,
        }
    }

    /// The name of its kind, as its link shows it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cgroup(_) => "cgroup",
            Self::Ipc(_) => "ipc",
            Self::Mount(_) => "mnt",
            Self::Net(_) => "net",
            Self::Pid(_) => "pid",
            Self::Time(_) => "time",
            Self::User(_) => "user",
            Self::Uts(_) => "uts",
        }
    }

    /// Its inode number.
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Self::Cgroup(ns) | Self::Net(ns) | Self::Time(ns) => ns.id,
            Self::Ipc(ns) => ns.id,
            Self::Mount(ns) => ns.id(),
            Self::Pid(ns) => ns.id,
            Self::User(ns) => ns.id,
            Self::Uts(ns) => ns.id,
        }
    }

    /// The user namespace that owns it; that of a user namespace is its parent, itself for the
    /// first.
    #[must_use]
    pub fn owner(&self) -> &Arc<UserNamespace> {
        match self {
            Self::Cgroup(ns) | Self::Net(ns) | Self::Time(ns) => &ns.user_ns,
            Self::Ipc(ns) => &ns.user_ns,
            Self::Mount(ns) => ns.user_ns(),
            Self::Pid(ns) => &ns.user_ns,
            Self::User(ns) => ns.parent.as_ref().unwrap_or(ns),
            Self::Uts(ns) => &ns.user_ns,
        }
    }

    /// Where its file is.
    #[must_use]
    pub fn path(self) -> Path {
        let name = self.name().as_bytes().to_vec();
        let inode: InodeRef = Arc::new(NamespaceInode(self));
        Path::anonymous(inode, name.into(), true)
    }

    /// The namespace an open file stands for.
    #[must_use]
    pub fn of_file(file: &File) -> Option<Self> {
        file.downcast::<NamespaceFile>().map(|file| file.0.clone())
    }

    /// Opens it for a task, which is the caller.
    ///
    /// # Errors
    /// `EMFILE`, `ESRCH`.
    pub fn install(self, task: &Task) -> Result<u64, Errno> {
        let ops = Box::new(NamespaceFile(self.clone()));
        let file = File::new(ops, self.path(), OpenFlags(0));
        let limit = task.group.limits.soft(limits::NOFILE);
        let fd = task.files().ok_or(ESRCH)?.install(file, true, 0, limit)?;
        Ok(u64::from(fd.cast_unsigned()))
    }
}

struct NamespaceInode(Namespace);

impl Inode for NamespaceInode {
    fn file_type(&self) -> FileType {
        FileType::Regular
    }

    fn ino(&self) -> u64 {
        self.0.id()
    }

    fn dev(&self) -> u64 {
        *DEV
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let now = FileTime::now();
        Ok(Attr {
            dev: *DEV,
            ino: self.0.id(),
            mode: FileType::Regular.mode_bits() | 0o444,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            size: 0,
            blocks: 0,
            blksize: 4096,
            atime: now,
            mtime: now,
            ctime: now,
            btime: None,
            attributes: 0,
        })
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        _caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        if flags.writable() {
            return Err(EPERM.into());
        }
        Ok(Box::new(NamespaceFile(self.0.clone())))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(FsStat { magic: NSFS_MAGIC, block_size: 4096, name_len: 255, ..FsStat::default() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct NamespaceFile(Namespace);

impl FileOps for NamespaceFile {
    fn ioctl(&self, _file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let task = caller.as_any().downcast_ref::<Task>().ok_or(ENOTTY)?;
        let own = &caller.cred().user_ns;
        // What lies outside the caller's own namespaces is not shown.
        let visible = |ns: &Arc<UserNamespace>| {
            if ns.is_within(own) { Ok(Namespace::User(ns.clone())) } else { Err(EPERM) }
        };
        match cmd {
            NS_GET_NSTYPE => Ok(self.0.kind()),
            NS_GET_USERNS => match &self.0 {
                Namespace::User(ns) if ns.parent.is_none() => Err(EPERM.into()),
                other => visible(other.owner())?.install(task),
            },
            NS_GET_PARENT => match &self.0 {
                Namespace::User(ns) => visible(ns.parent.as_ref().ok_or(EPERM)?)?.install(task),
                Namespace::Pid(ns) => {
                    let parent = ns.parent.clone().ok_or(EPERM)?;
                    if !parent.is_within(task.pid().namespace()) {
                        return Err(EPERM.into());
                    }
                    Namespace::Pid(parent).install(task)
                }
                _ => Err(EINVAL.into()),
            },
            NS_GET_OWNER_UID => match &self.0 {
                Namespace::User(ns) => {
                    caller.mm().write(UserAddr(arg), &own.uid_out(ns.owner))?;
                    Ok(0)
                }
                _ => Err(EINVAL.into()),
            },
            NS_GET_MNTNS_ID => match &self.0 {
                Namespace::Mount(ns) => {
                    caller.mm().write(UserAddr(arg), &ns.id())?;
                    Ok(0)
                }
                _ => Err(EINVAL.into()),
            },
            _ => Err(ENOTTY.into()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
