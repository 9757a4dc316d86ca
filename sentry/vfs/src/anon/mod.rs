//! Anonymous inodes: what descriptors without a place in the tree refer to (`eventfd`, `epoll`, …),
//! and the mount every anonymous path is on.

mod inode;

pub use inode::AnonInode;

use crate::dentry::Name;
use crate::file::{File, FileOps, OpenFlags};
use crate::inode::InodeRef;
use crate::mount::{Mount, MountFlags, Path};
use crate::superblock::{FileSystem, Superblock, next_anonymous_dev};
use bevor_base::UserNamespace;
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// The file system of the internal mount.
struct AnonFs;

impl FileSystem for AnonFs {
    fn name(&self) -> &'static str {
        "anon_inodefs"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct Internal {
    mount: Arc<Mount>,
    /// The one inode behind every plain anonymous file.
    shared: InodeRef,
}

static INTERNAL: LazyLock<Internal> = LazyLock::new(|| {
    let dev = next_anonymous_dev();
    let root: InodeRef = Arc::new(AnonInode::directory(dev));
    let superblock = Superblock::new(Box::new(AnonFs), root, UserNamespace::initial());
    Internal {
        mount: Mount::of(&superblock, MountFlags::default(), b"none"),
        shared: Arc::new(AnonInode::shared(dev)),
    }
});

/// The mount all anonymous paths are on.
#[must_use]
pub fn internal_mount() -> &'static Arc<Mount> {
    &INTERNAL.mount
}

/// Draws an inode number for anonymous inodes of any kind (pipes, sockets, …).
#[must_use]
pub fn next_ino() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0x1000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Makes an open file of an anonymous inode: `class` is what `/proc/PID/fd` shows after
/// `anon_inode:`, brackets included (`[eventfd]`).
#[must_use]
pub fn file(ops: Box<dyn FileOps>, class: &str, flags: OpenFlags) -> Arc<File> {
    let name: Name = format!("anon_inode:{class}").into_bytes().into();
    File::new(ops, Path::anonymous(INTERNAL.shared.clone(), name, false), flags)
}

/// Makes an open file of a socket: each has an inode of its own.
#[must_use]
pub fn socket(ops: Box<dyn FileOps>, flags: OpenFlags) -> Arc<File> {
    let inode: InodeRef = Arc::new(AnonInode::socket(INTERNAL.shared.dev(), next_ino()));
    let name: Name = b"socket".to_vec().into();
    File::new(ops, Path::anonymous(inode, name, true), flags)
}
