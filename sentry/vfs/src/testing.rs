//! A task without a kernel, for tests.

use crate::caller::{Caller, JobControl, KernelCaller};
use crate::context::FsContext;
use crate::file::{File, OpenFlags};
use crate::mount::{Mount, MountFlags, MountNamespace};
use crate::namei::{self, OpenHow};
use crate::superblock::Superblock;
use crate::tmpfs::{TmpFs, TmpfsOptions};
use crate::walk::{At, LastLink};
use bevor_abi::Errno;
use bevor_base::{Credentials, UserNamespace};
use bevor_memory::{Account, IoDst, IoSrc, MemoryManager, MemoryPool};
use std::any::Any;
use std::sync::Arc;

/// A task and the file tree it sees: an empty tmpfs.
pub(crate) struct TestTask {
    pub(crate) fs: FsContext,
    pub(crate) cred: Arc<Credentials>,
    pub(crate) umask: u32,
    kernel: KernelCaller,
}

impl Caller for TestTask {
    fn cred(&self) -> Arc<Credentials> {
        self.cred.clone()
    }

    fn mm(&self) -> &Arc<MemoryManager> {
        self.kernel.mm()
    }

    fn umask(&self) -> u32 {
        self.umask
    }

    fn tgid(&self) -> i32 {
        1
    }

    fn tid(&self) -> i32 {
        1
    }

    fn terminal(&self) -> &dyn JobControl {
        self.kernel.terminal()
    }

    fn rlimit(&self, _: u32) -> u64 {
        u64::MAX
    }

    fn raise(&self, _: i32) {}

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Credentials of a user without privileges.
pub(crate) fn user(uid: u32) -> Arc<Credentials> {
    Arc::new(Credentials::user(uid, uid, &[], UserNamespace::initial()))
}

impl TestTask {
    /// Root in an empty tmpfs that is world-writable and not sticky.
    pub(crate) fn new() -> Self {
        let options = TmpfsOptions { mode: Some(0o777), ..TmpfsOptions::default() };
        let (pool, account) = (MemoryPool::new(), Arc::new(Account::new(1 << 30)));
        let user_ns = UserNamespace::initial();
        let superblock = TmpFs::superblock(&pool, &account, &options, user_ns.clone()).unwrap();
        Self::on(superblock, pool, account)
    }

    /// Root in the given file system.
    pub(crate) fn on(
        superblock: Arc<Superblock>,
        pool: Arc<MemoryPool>,
        account: Arc<Account>,
    ) -> Self {
        let mount = Mount::of(&superblock, MountFlags::from_mount(0), b"none");
        let user_ns = superblock.user_ns().clone();
        let namespace = MountNamespace::new(mount, user_ns.clone());
        Self {
            fs: FsContext::at_root(namespace),
            cred: Arc::new(Credentials::user(0, 0, &[], user_ns.clone())),
            umask: 0,
            kernel: KernelCaller::new(&pool, &account, user_ns).unwrap(),
        }
    }

    pub(crate) fn at(&self) -> At<'_> {
        At::cwd(&self.fs, self, &self.cred)
    }

    pub(crate) fn open(&self, path: &str, flags: u32) -> Result<Arc<File>, Errno> {
        let how = OpenHow { flags: OpenFlags(flags), mode: 0o666 };
        namei::open(&self.at(), path.as_bytes(), how)
    }

    pub(crate) fn mkdir(&self, path: &str) -> Result<(), Errno> {
        namei::mkdir(&self.at(), path.as_bytes(), 0o777)
    }

    pub(crate) fn symlink(&self, target: &str, path: &str) -> Result<(), Errno> {
        namei::symlink(&self.at(), target.as_bytes(), path.as_bytes())
    }

    pub(crate) fn rename(&self, old: &str, new: &str, flags: u32) -> Result<(), Errno> {
        namei::rename(&self.at(), old.as_bytes(), &self.at(), new.as_bytes(), flags)
    }

    pub(crate) fn link(&self, old: &str, new: &str) -> Result<(), Errno> {
        let old = self.at().resolve(old.as_bytes(), LastLink::Keep)?;
        namei::link(&old, &self.at(), new.as_bytes())
    }

    pub(crate) fn stat(&self, path: &str) -> Result<crate::Attr, Errno> {
        self.at().resolve(path.as_bytes(), LastLink::Follow)?.inode().attr()
    }

    pub(crate) fn lstat(&self, path: &str) -> Result<crate::Attr, Errno> {
        self.at().resolve(path.as_bytes(), LastLink::Keep)?.inode().attr()
    }

    pub(crate) fn path(&self, path: &str) -> crate::Path {
        self.at().resolve(path.as_bytes(), LastLink::Follow).unwrap()
    }

    /// Makes or replaces a file with this content.
    pub(crate) fn put(&self, path: &str, text: &[u8]) -> Result<(), Errno> {
        use bevor_abi::fcntl::{O_CREAT, O_TRUNC, O_WRONLY};
        let file = self.open(path, O_CREAT | O_TRUNC | O_WRONLY)?;
        write(&file, text).map(|_| ())
    }

    /// The content of a file.
    pub(crate) fn get(&self, path: &str) -> Result<Vec<u8>, Errno> {
        read(&*self.open(path, 0)?, 1 << 20)
    }

    /// The names in a directory, sorted, without dots.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<String>, Errno> {
        let file = self.open(path, bevor_abi::fcntl::O_DIRECTORY)?;
        let mut names = Vec::new();
        file.read_dir(&mut |entry| {
            names.push(String::from_utf8_lossy(entry.name).into_owned());
            true
        })?;
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names)
    }
}

/// Reads up to `max` bytes at the position.
pub(crate) fn read(file: &File, max: usize) -> Result<Vec<u8>, Errno> {
    let mut buf = vec![0; max];
    let done = file.read(&mut IoDst::kernel(&mut buf))?;
    buf.truncate(done);
    Ok(buf)
}

/// Writes at the position.
pub(crate) fn write(file: &File, text: &[u8]) -> Result<usize, Errno> {
    file.write(&mut IoSrc::kernel(text))
}
