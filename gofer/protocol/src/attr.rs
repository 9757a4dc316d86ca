//! What `statx(2)` says about a file, as it crosses the channel.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A time stamp: seconds since the epoch and nanoseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Time {
    /// Seconds since 1970-01-01 UTC.
    pub sec: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nsec: u64,
}

/// A device number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

bitflags! {
    /// What a client must know about a file beside its `stat`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AttrFlags: u32 {
        /// A mount of the host begins here.
        const MOUNT_ROOT = 1;
        /// The gofer serves nothing of this file: a directory is empty, anything else cannot be
        /// opened. Such are hidden paths and the host's kernel file systems (proc, sys, …).
        const BOUNDARY = 2;
        /// The file is append-only (`FS_APPEND_FL`).
        const APPEND = 4;
        /// The file is immutable (`FS_IMMUTABLE_FL`).
        const IMMUTABLE = 8;
    }
}

/// Attributes of a file.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Attr {
    /// Type and permissions (`S_IF*` and bits).
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// Owner, in the guest's numbers.
    pub uid: u32,
    /// Group, in the guest's numbers.
    pub gid: u32,
    /// Device the file lies on.
    pub dev: Device,
    /// Device the file stands for.
    pub rdev: Device,
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes in use.
    pub blocks: u64,
    /// Bytes of a good-sized transfer.
    pub blksize: u32,
    /// [`AttrFlags`].
    pub flags: u32,
    /// Host mount the file was reached through; differs on either side of a mount point.
    pub mount_id: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the content or the attributes.
    pub ctime: Time,
    /// Birth; zero where the file system keeps none.
    pub btime: Time,
}

impl Attr {
    /// The `S_IFMT` part of the mode.
    #[must_use]
    pub const fn file_type(&self) -> u32 {
        self.mode & 0o170_000
    }

    /// Whether this is a directory.
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        self.file_type() == 0o040_000
    }

    /// Whether this is a regular file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        self.file_type() == 0o100_000
    }

    /// Whether this is a symbolic link.
    #[must_use]
    pub const fn is_symlink(&self) -> bool {
        self.file_type() == 0o120_000
    }

    /// The flags.
    #[must_use]
    pub const fn flags(&self) -> AttrFlags {
        AttrFlags::from_bits_truncate(self.flags)
    }

    /// Adds flags.
    pub fn insert_flags(&mut self, flags: AttrFlags) {
        self.flags |= flags.bits();
    }
}
