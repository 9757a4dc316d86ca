//! devpts: pseudo-terminals (`pts(4)`, `devpts` in `mount(8)`).
//!
//! Opening `ptmx` makes a [`Pair`] and an entry that is its slave; closing the master takes the
//! entry away. The number is free again once nobody has the pair any more. Each mount is an
//! instance of its own.
//!
//! Lock order: the entries, a pair's state.

mod dir;
mod inode;
mod ioctl;
mod master;
mod options;
mod pair;
mod slave;

#[cfg(test)]
mod tests;

pub use inode::{PtmxInode, PtsInode};
pub use master::MasterFile;
pub use options::DevPtsOptions;
pub use pair::Pair;
pub use slave::SlaveFile;

use crate::caller::Caller;
use crate::dev::PTMX;
use crate::file::FileOps;
use crate::inode::{FileType, FsStat, InodeRef};
use crate::mount::Path;
use crate::superblock::{
    FileSystem, FsType, MountRequest, Superblock, check_param, next_anonymous_dev, register_fs_type,
};
use bevor_abi::Errno;
use bevor_abi::errno::{ENODEV, ENOSPC};
use bevor_abi::stat::DEVPTS_SUPER_MAGIC;
use bevor_base::UserNamespace;
use inode::RootInode;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// Pseudo-terminals all instances together may have: `kernel.pty.max` less what Linux reserves for
/// the first.
const MAX_PTYS: u32 = 4096 - 1024;

static PTYS: AtomicU32 = AtomicU32::new(0);

/// How many pseudo-terminals there are (`kernel.pty.nr`).
#[must_use]
pub fn count() -> u32 {
    PTYS.load(Ordering::Relaxed)
}

/// One instance of devpts.
pub struct DevPts {
    dev: u64,
    options: Mutex<DevPtsOptions>,
    entries: Mutex<BTreeMap<u32, Arc<PtsInode>>>,
    /// Numbers in use: those of the entries, and of pairs whose master is closed.
    numbers: Mutex<BTreeSet<u32>>,
    superblock: OnceLock<Weak<Superblock>>,
}

impl DevPts {
    /// Makes an instance ready to be mounted.
    #[must_use]
    pub fn superblock(options: DevPtsOptions, user_ns: Arc<UserNamespace>) -> Arc<Superblock> {
        let fs = Arc::new(Self {
            dev: next_anonymous_dev(),
            options: Mutex::new(options),
            entries: Mutex::default(),
            numbers: Mutex::default(),
            superblock: OnceLock::new(),
        });
        let root: InodeRef = Arc::new(RootInode::new(&fs));
        let superblock = Superblock::new(Box::new(Mounted { fs: fs.clone() }), root, user_ns);
        // Nobody else has the instance yet.
        let _ = fs.superblock.set(Arc::downgrade(&superblock));
        superblock
    }

    /// Makes a pseudo-terminal and the open file of its master.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many; `ENOMEM`.
    pub(crate) fn new_pair(self: &Arc<Self>, caller: &dyn Caller) -> Result<MasterFile, Errno> {
        let number = self.draw()?;
        let pair = match Pair::new(number, self, caller) {
            Ok(pair) => pair,
            Err(errno) => {
                PTYS.fetch_sub(1, Ordering::Relaxed);
                self.forget(number);
                return Err(errno);
            }
        };
        let options = *self.options.lock();
        let inode = Arc::new(PtsInode::new(self.dev, pair.clone(), &options, caller));
        self.entries.lock().insert(number, inode);
        Ok(MasterFile::new(pair))
    }

    fn draw(&self) -> Result<u32, Errno> {
        let counted = PTYS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < MAX_PTYS).then_some(count + 1)
        });
        if counted.is_err() {
            return Err(ENOSPC.because("kernel.pty.max"));
        }
        let max = self.options.lock().max;
        let mut numbers = self.numbers.lock();
        let free = (0..max).find(|number| !numbers.contains(number));
        let Some(number) = free else {
            PTYS.fetch_sub(1, Ordering::Relaxed);
            return Err(ENOSPC.because("the max option of devpts"));
        };
        numbers.insert(number);
        Ok(number)
    }

    /// The pair is gone: its number may be used again.
    fn forget(&self, number: u32) {
        self.numbers.lock().remove(&number);
    }

    /// The master is closed: the entry vanishes.
    fn remove_entry(&self, number: u32) {
        let Some(inode) = self.entries.lock().remove(&number) else { return };
        let Some(superblock) = self.superblock.get().and_then(Weak::upgrade) else { return };
        let root = superblock.root();
        let name = number.to_string();
        let Ok(guard) = root.lock() else { return };
        if let crate::dentry::Cached::Live(child) = root.cached(name.as_bytes()) {
            root.removed(&child, superblock.cache(), &guard);
        }
        drop(guard);
        drop(inode);
    }

    fn entry(&self, name: &[u8]) -> Option<Arc<PtsInode>> {
        let text = std::str::from_utf8(name).ok()?;
        let number: u32 = text.parse().ok()?;
        // Only the plain spelling is a name.
        if number.to_string() != text {
            return None;
        }
        self.entries.lock().get(&number).cloned()
    }

    const fn statfs() -> FsStat {
        FsStat {
            magic: DEVPTS_SUPER_MAGIC,
            block_size: 4096,
            blocks: 0,
            free: 0,
            available: 0,
            files: 0,
            files_free: 0,
            fsid: [0; 2],
            name_len: 255,
        }
    }
}

/// Opens a `ptmx` device outside devpts: the one in the directory `pts` beside it serves. `None` for
/// all other files.
pub(crate) fn open_beside(
    path: &Path,
    caller: &dyn Caller,
) -> Option<Result<Box<dyn FileOps>, Errno>> {
    let inode = path.inode();
    if inode.file_type() != FileType::CharDevice || inode.as_any().is::<PtmxInode>() {
        return None;
    }
    if inode.attr().ok()?.rdev != PTMX {
        return None;
    }
    Some(beside(path).and_then(|(fs, mount)| {
        let master = fs.new_pair(caller)?.through(mount);
        Ok(Box::new(master) as Box<dyn FileOps>)
    }))
}

fn beside(path: &Path) -> Result<(Arc<DevPts>, Arc<crate::mount::Mount>), Errno> {
    let none = || ENODEV.because("no devpts beside it");
    let dir = path.dentry.parent().ok_or_else(none)?;
    let cache = path.mount.superblock().cache();
    let pts = Path { mount: path.mount.clone(), dentry: dir.lookup(b"pts", cache)? }.topmost();
    if !pts.is_mount_root() {
        return Err(none());
    }
    let fs = pts.mount.superblock().fs().as_any().downcast_ref::<Mounted>().ok_or_else(none)?;
    Ok((fs.fs.clone(), pts.mount.clone()))
}

/// The instance as the superblock holds it.
struct Mounted {
    fs: Arc<DevPts>,
}

impl FileSystem for Mounted {
    fn name(&self) -> &'static str {
        "devpts"
    }

    fn options(&self) -> String {
        self.fs.options.lock().text()
    }

    fn reconfigure(&self, options: &[u8]) -> Result<(), Errno> {
        let mut current = self.fs.options.lock();
        *current = current.parse(options)?;
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Makes devpts known to `mount(2)`.
pub fn register() {
    let mount = |request: &MountRequest<'_>| {
        let options = DevPtsOptions::default().parse(request.options)?;
        Ok(DevPts::superblock(options, request.user_ns.clone()))
    };
    let check = |option: &[u8]| {
        let known = ["uid", "gid", "mode", "ptmxmode", "max", "newinstance"];
        check_param(option, &known, |option| DevPtsOptions::default().parse(option))
    };
    let fs_type =
        FsType { nodev: true, in_user_ns: true, check: Box::new(check), mount: Box::new(mount) };
    register_fs_type("devpts", fs_type);
}
