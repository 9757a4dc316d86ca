//! The usual contents of `/dev`.

use crate::dev::{CONSOLE, FULL, NULL, PTMX, RANDOM, TTY, URANDOM, ZERO};
use crate::inode::{InodeRef, NewAttr, NewNode};
use crate::superblock::{FsType, Superblock, register_fs_type};
use crate::tmpfs::{TmpFs, TmpfsOptions};
use bevor_abi::Errno;
use bevor_base::UserNamespace;
use bevor_memory::{Account, MemoryPool};
use std::sync::Arc;

/// Devices anybody may use.
const NODES: [(&[u8], u64); 7] = [
    (b"null", NULL),
    (b"zero", ZERO),
    (b"full", FULL),
    (b"random", RANDOM),
    (b"urandom", URANDOM),
    (b"tty", TTY),
    (b"ptmx", PTMX),
];

const LINKS: [(&[u8], &[u8]); 5] = [
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
    (b"core", b"/proc/kcore"),
];

/// Mount points of other file systems.
const DIRS: [(&[u8], u32); 3] = [(b"pts", 0o755), (b"shm", 0o1777), (b"mqueue", 0o1777)];

/// Fills an empty directory as a container's `/dev`.
///
/// # Errors
/// What the directory's file system says.
pub fn populate(dir: &InodeRef) -> Result<(), Errno> {
    let attr = |mode| NewAttr { mode, uid: 0, gid: 0 };
    for (name, rdev) in NODES {
        dir.create(name, &NewNode::Device { char: true, rdev }, attr(0o666))?;
    }
    dir.create(b"console", &NewNode::Device { char: true, rdev: CONSOLE }, attr(0o600))?;
    for (name, target) in LINKS {
        dir.create(name, &NewNode::Symlink(target), attr(0o777))?;
    }
    for (name, mode) in DIRS {
        dir.create(name, &NewNode::Directory, attr(mode))?;
    }
    Ok(())
}

/// Makes a filled `/dev`, ready to be mounted.
///
/// # Errors
/// As [`TmpFs::create`].
pub fn superblock(
    pool: &Arc<MemoryPool>,
    account: &Arc<Account>,
    user_ns: Arc<UserNamespace>,
) -> Result<Arc<Superblock>, Errno> {
    let options = TmpfsOptions { mode: Some(0o755), ..TmpfsOptions::default() };
    let (fs, root) = TmpFs::create(pool, account, &options)?;
    populate(&root)?;
    Ok(fs.superblock_named("devtmpfs", root, user_ns))
}

/// Makes devtmpfs known to `mount(2)`.
pub fn register() {
    let mount = |request: &crate::superblock::MountRequest<'_>| {
        let mm = request.caller.mm();
        superblock(mm.pool(), mm.account(), request.user_ns.clone())
    };
    let fs_type = FsType {
        nodev: true,
        in_user_ns: false,
        check: Box::new(TmpfsOptions::check),
        mount: Box::new(mount),
    };
    register_fs_type("devtmpfs", fs_type);
}
