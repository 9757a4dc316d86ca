//! Owner, mode and times of inodes that live in the sentry's memory.

use crate::file::OpenFlags;
use crate::inode::{Attr, FileTime, FileType, NewAttr, S_IALLUGO, SetAttr};
use crate::mount::{MountFlags, Path};
use bevor_abi::fcntl::O_NOATIME;

/// Seconds after which `relatime` refreshes an access time.
const DAY_SEC: i64 = 24 * 60 * 60;

/// Owner, mode and times of an inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access.
    pub atime: FileTime,
    /// Last change of contents.
    pub mtime: FileTime,
    /// Last change of attributes.
    pub ctime: FileTime,
    /// Birth.
    pub btime: FileTime,
}

impl Meta {
    /// A new inode's, with all times now.
    #[must_use]
    pub fn new(kind: FileType, attr: NewAttr) -> Self {
        let now = FileTime::now();
        Self {
            mode: kind.mode_bits() | (attr.mode & S_IALLUGO),
            uid: attr.uid,
            gid: attr.gid,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
        }
    }

    /// Applies a change of attributes other than the size; `ctime` follows.
    pub fn apply(&mut self, change: &SetAttr) {
        if let Some(mode) = change.mode {
            self.mode = (self.mode & !S_IALLUGO) | (mode & S_IALLUGO);
        }
        self.uid = change.uid.unwrap_or(self.uid);
        self.gid = change.gid.unwrap_or(self.gid);
        self.atime = change.atime.unwrap_or(self.atime);
        self.mtime = change.mtime.unwrap_or(self.mtime);
        self.ctime = FileTime::now();
    }

    /// Notes that the contents changed.
    pub fn modified(&mut self) {
        let now = FileTime::now();
        self.mtime = now;
        self.ctime = now;
    }

    /// The access time a read now sets, if `rule` wants it moved.
    #[must_use]
    pub fn new_atime(&self, rule: AccessTimes) -> Option<FileTime> {
        if rule == AccessTimes::Never {
            return None;
        }
        let now = FileTime::now();
        let stale = rule == AccessTimes::Always
            || self.atime <= self.mtime
            || self.atime <= self.ctime
            || now.sec.saturating_sub(self.atime.sec) >= DAY_SEC;
        stale.then_some(now)
    }

    /// Everything `stat` shows; the caller gives what is not kept here.
    #[must_use]
    pub const fn attr(&self, dev: u64, ino: u64, nlink: u32) -> Attr {
        Attr {
            dev,
            ino,
            mode: self.mode,
            nlink,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            size: 0,
            blocks: 0,
            blksize: 4096,
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
            btime: Some(self.btime),
            attributes: 0,
        }
    }
}

/// How reads through a mount move access times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessTimes {
    /// Not at all.
    Never,
    /// After a change or a day (`relatime`).
    Relative,
    /// Always (`strictatime`).
    Always,
}

/// The rule for reads of `path` by a description with `flags`.
#[must_use]
pub fn access_times(path: &Path, flags: OpenFlags) -> AccessTimes {
    let mount = path.mount.flags();
    let skip = MountFlags::NOATIME
        | MountFlags::RDONLY
        | if path.dentry.is_dir() { MountFlags::NODIRATIME } else { 0 };
    if flags.has(O_NOATIME) || mount.has(skip) || path.mount.superblock().is_read_only() {
        AccessTimes::Never
    } else if mount.has(MountFlags::RELATIME) {
        AccessTimes::Relative
    } else {
        AccessTimes::Always
    }
}
