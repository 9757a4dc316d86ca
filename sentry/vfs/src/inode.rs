//! Inodes: what every file system provides.
//!
//! The dentry cache, path walk, permission order, sticky bits, read-only mounts and notification
//! are the VFS's work (see `walk`, `namei`); an inode only knows its own contents.

use crate::acl::{self, Acl, AclKind};
use crate::caller::Caller;
use crate::file::{FileOps, OpenFlags};
use crate::meta::AccessTimes;
use crate::mount::Path;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, ENOTDIR, ENXIO, EOPNOTSUPP, EPERM, EROFS};
use bevor_base::Credentials;
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Wanted access: execute a file or search a directory.
pub const MAY_EXEC: u32 = 1;
/// Wanted access: write.
pub const MAY_WRITE: u32 = 2;
/// Wanted access: read.
pub const MAY_READ: u32 = 4;

/// The permission bits of a mode, set-ID and sticky bits included.
pub const S_IALLUGO: u32 = 0o7777;

/// Type of a file: the `S_IFMT` bits of its mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u32)]
pub enum FileType {
    /// `S_IFIFO`.
    Fifo = 0o010_000,
    /// `S_IFCHR`.
    CharDevice = 0o020_000,
    /// `S_IFDIR`.
    Directory = 0o040_000,
    /// `S_IFBLK`.
    BlockDevice = 0o060_000,
    /// `S_IFREG`.
    Regular = 0o100_000,
    /// `S_IFLNK`.
    Symlink = 0o120_000,
    /// `S_IFSOCK`.
    Socket = 0o140_000,
}

impl FileType {
    /// The type in the `S_IFMT` bits of `mode`; `None` if they name none.
    #[must_use]
    pub const fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o010_000 => Self::Fifo,
            0o020_000 => Self::CharDevice,
            0o040_000 => Self::Directory,
            0o060_000 => Self::BlockDevice,
            0o100_000 => Self::Regular,
            0o120_000 => Self::Symlink,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }

    /// The `S_IFMT` bits.
    #[must_use]
    pub const fn mode_bits(self) -> u32 {
        self as u32
    }

    /// `d_type` of `getdents64(2)`.
    #[must_use]
    pub const fn dirent_type(self) -> u8 {
        match self {
            Self::Fifo => 1,
            Self::CharDevice => 2,
            Self::Directory => 4,
            Self::BlockDevice => 6,
            Self::Regular => 8,
            Self::Symlink => 10,
            Self::Socket => 12,
        }
    }
}

/// A point in time as file systems store it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct FileTime {
    /// Seconds since the epoch.
    pub sec: i64,
    /// Nanoseconds, below 10⁹.
    pub nsec: u32,
}

impl FileTime {
    /// The current `CLOCK_REALTIME`.
    #[must_use]
    pub fn now() -> Self {
        let ns = bevor_base::clock::realtime_ns();
        let nsec = u32::try_from(ns.rem_euclid(1_000_000_000)).unwrap_or(0);
        Self { sec: ns.div_euclid(1_000_000_000), nsec }
    }
}

/// What `statx(2)` reports of an inode. Ids are the sandbox's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attr {
    /// Device number of the file system, in the kernel's 64-bit `st_dev` encoding.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device file.
    pub rdev: u64,
    /// Size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Preferred I/O size.
    pub blksize: u32,
    /// Last access.
    pub atime: FileTime,
    /// Last change of contents.
    pub mtime: FileTime,
    /// Last change of attributes.
    pub ctime: FileTime,
    /// Birth, where the file system keeps it.
    pub btime: Option<FileTime>,
    /// `STATX_ATTR_*` that hold.
    pub attributes: u64,
}

/// A change of attributes; `None` leaves a field as it is. Permission has been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetAttr {
    /// Permission bits (`0o7777`).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size in bytes (truncate or extend).
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<FileTime>,
    /// Modification time.
    pub mtime: Option<FileTime>,
}

/// What [`Inode::create`] makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NewNode<'a> {
    /// An empty regular file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(&'a [u8]),
    /// A fifo.
    Fifo,
    /// A socket's name.
    Socket,
    /// A device file.
    Device {
        /// Character rather than block.
        char: bool,
        /// Device number.
        rdev: u64,
    },
}

/// Owner and permission bits of a new inode: umask, set-group-ID inheritance already applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewAttr {
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// `statfs(2)` of a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FsStat {
    /// Magic number (`f_type`).
    pub magic: u64,
    /// Block size in bytes.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub free: u64,
    /// Free blocks for ordinary users.
    pub available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Identity (`f_fsid`).
    pub fsid: [u32; 2],
    /// Longest name.
    pub name_len: u64,
}

/// How the dentry cache may treat the entries of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CachePolicy {
    /// Only this sandbox changes it: keep positive and negative entries.
    Keep,
    /// Others may change it: ask [`Inode::revalidate`] before using a cached entry.
    Revalidate,
    /// Look up anew each time (procfs).
    Never,
}

/// Shared handle on an inode.
pub type InodeRef = Arc<dyn Inode>;

/// A socket of the host that is connected, and whose the other end is.
#[derive(Debug)]
pub struct HostPeer {
    /// The socket.
    pub fd: OwnedFd,
    /// User who has the other end.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A new name for a socket of the host and the socket bound to it, or why there is none.
pub type BoundResult = Result<(InodeRef, OwnedFd), Errno>;

/// One file, directory, link, device name, fifo or socket name of a file system.
///
/// Methods on directories that a file system does not support keep their defaults, which give the
/// errno Linux gives.
pub trait Inode: Send + Sync + Any {
    /// The type, which never changes.
    fn file_type(&self) -> FileType;

    /// The inode number, which never changes.
    fn ino(&self) -> u64;

    /// The device number of its file system, which never changes.
    fn dev(&self) -> u64;

    /// The most bytes a file of its file system may have (`s_maxbytes`).
    fn max_bytes(&self) -> u64 {
        i64::MAX.cast_unsigned()
    }

    /// Reads all attributes.
    ///
    /// # Errors
    /// `EIO`, `ESTALE` when the file system behind it fails.
    fn attr(&self) -> Result<Attr, Errno>;

    /// Changes attributes; `ctime` follows.
    ///
    /// # Errors
    /// `EROFS`, `EPERM`, `EFBIG`, `ENOSPC`, `ETXTBSY`.
    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        let _ = change;
        Err(EPERM.into())
    }

    /// Finds a child by name. Never called with `.`, `..` or an empty name.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EIO`.
    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let _ = name;
        Err(ENOTDIR.into())
    }

    /// Whether a missing name of this directory could be made. Where it could not (procfs), making
    /// one fails with `ENOENT`, as looking it up does.
    fn accepts_names(&self) -> bool {
        true
    }

    /// Whether it is a directory that holds nothing and never will: one made to be mounted on.
    fn is_always_empty(&self) -> bool {
        false
    }

    /// How entries of this directory may be cached.
    fn cache_policy(&self) -> CachePolicy {
        CachePolicy::Keep
    }

    /// Whether `name` in this directory still is `child` (`None`: still does not exist). Only asked
    /// under [`CachePolicy::Revalidate`].
    fn revalidate(&self, name: &[u8], child: Option<&InodeRef>) -> bool {
        let _ = (name, child);
        true
    }

    /// Connects to the socket of the host it is, with a socket of type `kind` (`SOCK_*`): that, which
    /// does not block, and whose the other end is. `None` where sockets of the host are out of reach.
    ///
    /// # Errors
    /// `EAGAIN` when the backlog is full, `ECONNREFUSED`, `EPROTOTYPE`, `ENFILE`.
    fn connect_host_socket(&self, kind: u32) -> Option<Result<HostPeer, Errno>> {
        let _ = kind;
        None
    }

    /// Makes a child that is a bound socket of the host, of type `kind`: it, and the socket, which
    /// does not block. `None` where none can be made: a socket's name is made like any other.
    fn bind_host_socket(&self, name: &[u8], kind: u32, attr: NewAttr) -> Option<BoundResult> {
        let _ = (name, kind, attr);
        None
    }

    /// Makes a child.
    ///
    /// # Errors
    /// `EEXIST`, `ENOSPC`, `EROFS`, `EPERM`, `ENAMETOOLONG`.
    fn create(&self, name: &[u8], node: &NewNode<'_>, attr: NewAttr) -> Result<InodeRef, Errno> {
        let _ = (name, node, attr);
        Err(EPERM.into())
    }

    /// Makes an unnamed regular file in this directory's file system (`O_TMPFILE`).
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `ENOSPC`, `EROFS`.
    fn create_unnamed(&self, attr: NewAttr) -> Result<InodeRef, Errno> {
        let _ = attr;
        Err(EOPNOTSUPP.into())
    }

    /// Adds a hard link `name` to `target`, an inode of the same file system.
    ///
    /// # Errors
    /// `EEXIST`, `EMLINK`, `EPERM`, `EXDEV`, `EROFS`.
    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        let _ = (name, target);
        Err(EPERM.into())
    }

    /// Removes a child that is no directory.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`, `EROFS`.
    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        let _ = name;
        Err(EPERM.into())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, `EROFS`.
    fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        let _ = name;
        Err(EPERM.into())
    }

    /// Moves child `name` to `new_name` in `new_dir`, a directory of the same file system. `flags`
    /// are `RENAME_*`; loops and mount points have been refused already.
    ///
    /// # Errors
    /// `ENOENT`, `EEXIST`, `ENOTEMPTY`, `EISDIR`, `ENOTDIR`, `EINVAL`, `EROFS`.
    fn rename(
        &self,
        name: &[u8],
        new_dir: &InodeRef,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        let _ = (name, new_dir, new_name, flags);
        Err(EPERM.into())
    }

    /// Target of a symbolic link.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    fn read_link(&self, caller: &dyn Caller) -> Result<Vec<u8>, Errno> {
        let _ = caller;
        Err(EINVAL.into())
    }

    /// Where a magic link (`/proc/PID/fd/N`, `exe`, `cwd`, `root`, `ns/*`) leads, if it is one.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`.
    fn magic_link(&self, caller: &dyn Caller) -> Result<Option<Path>, Errno> {
        let _ = caller;
        Ok(None)
    }

    /// Makes the operations of a new open file description. Permission has been checked; `O_CREAT`,
    /// `O_EXCL` and `O_TRUNC` are done. Never called for symlinks.
    ///
    /// # Errors
    /// `ENXIO` (sockets, devices without driver), `ETXTBSY`, `ENFILE`, `EIO`; `EAGAIN` with a wait
    /// queue for fifos is the fifo code's own business.
    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = (flags, caller);
        Err(ENXIO.into())
    }

    /// Permission check; the default reads [`Inode::attr`] and applies the mode bits.
    ///
    /// # Errors
    /// `EACCES`.
    fn permission(&self, cred: &Credentials, want: u32) -> Result<(), Errno> {
        acl::permission(&self.attr()?, cred, want, || self.acl(AclKind::Access))
    }

    /// Its flags (`FS_*_FL`); `None` if its file system keeps none.
    fn flags(&self) -> Option<u32> {
        None
    }

    /// Sets the flags [`Inode::flags`] tells.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `EROFS`.
    fn set_flags(&self, flags: u32) -> Result<(), Errno> {
        let _ = flags;
        Err(EOPNOTSUPP.into())
    }

    /// Whether the file can have access control lists.
    fn keeps_acls(&self) -> bool {
        false
    }

    /// An access control list; `None` where there is none.
    ///
    /// # Errors
    /// `EIO`.
    fn acl(&self, kind: AclKind) -> Result<Option<Arc<Acl>>, Errno> {
        let _ = kind;
        Ok(None)
    }

    /// The default list of a directory, for the entries made in it; `None` also where the file
    /// system below sees to that.
    ///
    /// # Errors
    /// `EIO`.
    fn inherited_acl(&self) -> Result<Option<Arc<Acl>>, Errno> {
        self.acl(AclKind::Default)
    }

    /// Sets or removes a list that is valid here, and the permission bits with it if `mode` is given.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `ENOSPC`, `EROFS`.
    fn set_acl(
        &self,
        kind: AclKind,
        acl: Option<Arc<Acl>>,
        mode: Option<u32>,
    ) -> Result<(), Errno> {
        let _ = (kind, acl, mode);
        Err(EOPNOTSUPP.into())
    }

    /// Notes a read of the contents; moves the access time if `rule` says so. File systems that do
    /// not keep access times themselves do nothing.
    fn accessed(&self, rule: AccessTimes) {
        let _ = rule;
    }

    /// Reads an extended attribute.
    ///
    /// # Errors
    /// `ENODATA`, `EOPNOTSUPP`.
    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let _ = name;
        Err(EOPNOTSUPP.into())
    }

    /// Whether a write has to take file capabilities (`security.capability`) from it: told without
    /// a call to the host, so file systems of the host, which take them themselves, say no.
    fn has_file_capabilities(&self) -> bool {
        false
    }

    /// Sets an extended attribute; `flags` are `XATTR_CREATE`, `XATTR_REPLACE`.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `EEXIST`, `ENODATA`, `ENOSPC`, `EROFS`.
    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        let _ = (name, value, flags);
        Err(EOPNOTSUPP.into())
    }

    /// Names of all extended attributes.
    ///
    /// # Errors
    /// `EIO`.
    fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(Vec::new())
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `ENODATA`, `EROFS`.
    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        let _ = name;
        Err(EOPNOTSUPP.into())
    }

    /// Statistics of the file system.
    ///
    /// # Errors
    /// `EIO`.
    fn statfs(&self) -> Result<FsStat, Errno>;

    /// Writes everything of the file system out (`syncfs(2)`).
    ///
    /// # Errors
    /// `EIO`, `EROFS`.
    fn sync_fs(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// Where its locks are held on the host, too.
    fn host_locks(&self) -> Option<&dyn crate::locks::HostLocks> {
        None
    }

    /// For downcasts to the file system's own type (overlay, hard links, sockets by name).
    fn as_any(&self) -> &dyn Any;
}

/// The errno of a write to a read-only file system, where one must be spelled out.
pub const READ_ONLY: bevor_abi::Code = EROFS;
