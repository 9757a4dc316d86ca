//! Random operations on tmpfs, on overlay and on the host's own tmpfs, result by result.

use crate::inode::MAY_READ;
use crate::namei::{self, OpenHow, perm};
use crate::overlay::OverlayFs;
use crate::testing::{TestTask, read, user};
use crate::tmpfs::TmpfsOptions;
use crate::{Attr, File, FileType, LastLink, OpenFlags};
use bevor_abi::Errno;
use bevor_abi::fcntl::{
    O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDWR, O_TRUNC, O_WRONLY, RENAME_EXCHANGE,
    RENAME_NOREPLACE, SEEK_SET,
};
use bevor_base::{Credentials, UserNamespace};
use bevor_memory::IoSrc;
use nix::fcntl::{OFlag, RenameFlags};
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::{Gid, Uid};
use proptest::prelude::*;
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path as HostPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One operation.
#[derive(Clone, Debug)]
enum Op {
    Open { path: String, flags: u32, text: Vec<u8> },
    Read(String),
    List(String),
    Lstat(String),
    Stat(String),
    Readlink(String),
    Mkdir(String, u32),
    Mkfifo(String),
    Rmdir(String),
    Unlink(String),
    Rename(String, String, u32),
    Link(String, String),
    Symlink(String, String),
    Chmod(String, u32),
    Chown(String, u32, u32),
    Truncate(String, u64),
    Access(String, u32),
    Become(u32),
}

/// What an operation shows.
#[derive(PartialEq, Eq, Debug)]
enum Shown {
    Nothing,
    Bytes(Vec<u8>),
    Names(Vec<String>),
    /// Mode, links, owner, group, and the size of what is no directory.
    Stat(u32, u64, u32, u32, u64),
    Failed(String),
}

fn failed(errno: i32) -> Shown {
    Shown::Failed(Errno::from_host(errno).code.to_string())
}

/// Where both sides work: deep enough that `..` in a path stays inside.
const DEEP: [&str; 4] = ["p", "p/q", "p/q/r", "p/q/r/s"];

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        6 => Just("a"), 6 => Just("b"), 3 => Just("c"), 1 => Just("."), 1 => Just("..")
    ];
    let slash = prop_oneof![8 => Just(""), 1 => Just("/")];
    (prop::collection::vec(name, 1..4), slash).prop_map(|(names, slash)| names.join("/") + slash)
}

fn plain_path() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c"), Just(".")];
    prop::collection::vec(name, 1..3).prop_map(|names| names.join("/"))
}

fn open_flags() -> impl Strategy<Value = u32> {
    let some = prop_oneof![
        Just(0),
        Just(O_WRONLY),
        Just(O_RDWR),
        Just(O_WRONLY | O_CREAT),
        Just(O_WRONLY | O_CREAT),
        Just(O_RDWR | O_CREAT | O_EXCL),
        Just(O_WRONLY | O_CREAT | O_TRUNC),
        Just(O_WRONLY | O_APPEND),
    ];
    let more = prop_oneof![6 => Just(0), 1 => Just(O_NOFOLLOW), 1 => Just(O_DIRECTORY)];
    (some, more).prop_map(|(some, more)| some | more)
}

fn mode() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => Just(0o777), 2 => Just(0o755), 1 => Just(0o700), 1 => Just(0o1777), 1 => Just(0o2775),
        1 => Just(0o4711), 1 => Just(0o640), 1 => Just(0)
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let text = prop::collection::vec(any::<u8>(), 0..20);
    let id = prop_oneof![Just(0), Just(1000), Just(1001)];
    prop_oneof![
        6 => (path(), open_flags(), text)
            .prop_map(|(path, flags, text)| Op::Open { path, flags, text }),
        3 => path().prop_map(Op::Read),
        3 => path().prop_map(Op::List),
        2 => path().prop_map(Op::Lstat),
        2 => path().prop_map(Op::Stat),
        1 => path().prop_map(Op::Readlink),
        6 => (path(), mode()).prop_map(|(path, mode)| Op::Mkdir(path, mode)),
        1 => path().prop_map(Op::Mkfifo),
        2 => path().prop_map(Op::Rmdir),
        3 => path().prop_map(Op::Unlink),
        5 => (path(), path(), prop_oneof![
            4 => Just(0), 1 => Just(RENAME_NOREPLACE), 2 => Just(RENAME_EXCHANGE)
        ]).prop_map(|(old, new, flags)| Op::Rename(old, new, flags)),
        3 => (path(), path()).prop_map(|(old, new)| Op::Link(old, new)),
        2 => (plain_path(), path()).prop_map(|(target, path)| Op::Symlink(target, path)),
        2 => (path(), mode()).prop_map(|(path, mode)| Op::Chmod(path, mode)),
        1 => (path(), id.clone(), id.clone()).prop_map(|(path, uid, gid)| Op::Chown(path, uid, gid)),
        2 => (path(), 0..10_000_u64).prop_map(|(path, size)| Op::Truncate(path, size)),
        1 => (path(), 0..8_u32).prop_map(|(path, mode)| Op::Access(path, mode)),
        1 => id.prop_map(Op::Become),
    ]
}

/// The host's side.
struct Host {
    base: PathBuf,
}

impl Host {
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let shm = HostPath::new("/dev/shm");
        let parent = if shm.is_dir() { shm.to_path_buf() } else { std::env::temp_dir() };
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let base = parent.join(format!("bevor-difftest-{}-{number}", std::process::id()));
        nix::sys::stat::umask(Mode::empty());
        std::fs::create_dir(&base).unwrap();
        for dir in DEEP {
            std::fs::create_dir(base.join(dir)).unwrap();
            std::fs::set_permissions(base.join(dir), PermissionsExt::from_mode(0o777)).unwrap();
        }
        Self { base }
    }

    fn at(&self, path: &str) -> PathBuf {
        // Not `join`: a trailing slash must stay.
        PathBuf::from(format!("{}/{}/{path}", self.base.display(), DEEP[3]))
    }

    fn run(&self, op: &Op) -> Shown {
        match self.attempt(op) {
            Ok(shown) => shown,
            Err(error) => failed(error.raw_os_error().unwrap_or(0)),
        }
    }

    fn attempt(&self, op: &Op) -> std::io::Result<Shown> {
        match op {
            Op::Open { path, flags, text } => {
                let flags = OFlag::from_bits_retain((flags | 0o4000).cast_signed());
                let fd = nix::fcntl::open(&self.at(path), flags, Mode::from_bits_retain(0o666))?;
                let mut file = std::fs::File::from(fd);
                if !file.metadata()?.is_file() {
                    return Ok(Shown::Nothing);
                }
                let wrote = file.write(text);
                file.rewind()?;
                let mut got = Vec::new();
                match wrote {
                    Ok(_) => Ok(Shown::Nothing),
                    Err(_) => {
                        file.read_to_end(&mut got)?;
                        Ok(Shown::Bytes(got))
                    }
                }
            }
            Op::Read(path) => {
                let flags = OFlag::O_NONBLOCK;
                let fd = nix::fcntl::open(&self.at(path), flags, Mode::empty())?;
                let mut file = std::fs::File::from(fd);
                if !file.metadata()?.is_file() {
                    return Ok(Shown::Nothing);
                }
                let mut got = Vec::new();
                file.read_to_end(&mut got)?;
                Ok(Shown::Bytes(got))
            }
            Op::List(path) => {
                let entries = std::fs::read_dir(self.at(path))?;
                let names = entries.map(|entry| entry.unwrap().file_name());
                let mut names: Vec<_> =
                    names.map(|name| name.to_string_lossy().into_owned()).collect();
                names.sort();
                Ok(Shown::Names(names))
            }
            Op::Lstat(path) => Ok(show_host(&std::fs::symlink_metadata(self.at(path))?)),
            Op::Stat(path) => Ok(show_host(&std::fs::metadata(self.at(path))?)),
            Op::Readlink(path) => {
                let target = std::fs::read_link(self.at(path))?;
                Ok(Shown::Bytes(target.as_os_str().as_bytes().to_vec()))
            }
            Op::Mkdir(path, mode) => {
                nix::unistd::mkdir(&self.at(path), Mode::from_bits_retain(*mode))?;
                Ok(Shown::Nothing)
            }
            Op::Mkfifo(path) => {
                let mode = Mode::from_bits_retain(0o666);
                nix::sys::stat::mknod(&self.at(path), SFlag::S_IFIFO, mode, 0)?;
                Ok(Shown::Nothing)
            }
            Op::Rmdir(path) => std::fs::remove_dir(self.at(path)).map(|()| Shown::Nothing),
            Op::Unlink(path) => Ok(nix::unistd::unlink(&self.at(path)).map(|()| Shown::Nothing)?),
            Op::Rename(old, new, flags) => {
                let flags = RenameFlags::from_bits_retain(*flags);
                let cwd = nix::fcntl::AT_FDCWD;
                nix::fcntl::renameat2(cwd, &self.at(old), cwd, &self.at(new), flags)?;
                Ok(Shown::Nothing)
            }
            Op::Link(old, new) => {
                std::fs::hard_link(self.at(old), self.at(new)).map(|()| Shown::Nothing)
            }
            Op::Symlink(target, path) => {
                std::os::unix::fs::symlink(target, self.at(path)).map(|()| Shown::Nothing)
            }
            Op::Chmod(path, mode) => {
                let mode = PermissionsExt::from_mode(*mode);
                std::fs::set_permissions(self.at(path), mode).map(|()| Shown::Nothing)
            }
            Op::Chown(path, uid, gid) => {
                std::os::unix::fs::lchown(self.at(path), Some(*uid), Some(*gid))?;
                Ok(Shown::Nothing)
            }
            Op::Truncate(path, size) => {
                nix::unistd::truncate(&self.at(path), size.cast_signed())?;
                Ok(Shown::Nothing)
            }
            // access(2) uses the real ids: with fsuid alone changed it would not compare.
            Op::Access(path, mode) => {
                if mode & MAY_READ == 0 {
                    return Ok(Shown::Nothing);
                }
                nix::fcntl::open(&self.at(path), OFlag::O_NONBLOCK, Mode::empty())?;
                Ok(Shown::Nothing)
            }
            Op::Become(uid) => {
                nix::unistd::setfsgid(Gid::from_raw(*uid));
                nix::unistd::setfsuid(Uid::from_raw(*uid));
                Ok(Shown::Nothing)
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        nix::unistd::setfsuid(Uid::from_raw(0));
        nix::unistd::setfsgid(Gid::from_raw(0));
        let _ = std::fs::remove_dir_all(&self.base);
    }
}

fn show_host(meta: &std::fs::Metadata) -> Shown {
    let size = if meta.is_dir() { 0 } else { meta.size() };
    Shown::Stat(meta.mode(), meta.nlink(), meta.uid(), meta.gid(), size)
}

fn show(attr: &Attr) -> Shown {
    let is_dir = FileType::from_mode(attr.mode) == Some(FileType::Directory);
    let size = if is_dir { 0 } else { attr.size };
    Shown::Stat(attr.mode, u64::from(attr.nlink), attr.uid, attr.gid, size)
}

fn prepare(task: &mut TestTask) {
    for dir in DEEP {
        task.mkdir(&format!("/{dir}")).unwrap();
    }
}

fn run(task: &mut TestTask, op: &Op) -> Shown {
    match attempt(task, op) {
        Ok(shown) => shown,
        Err(errno) => Shown::Failed(errno.code.to_string()),
    }
}

fn is_regular(file: &File) -> bool {
    file.path().dentry.kind() == FileType::Regular
}

fn attempt(task: &mut TestTask, op: &Op) -> Result<Shown, Errno> {
    let at = task.at();
    // From the root, like the host's side.
    let full = |path: &str| format!("/{}/{path}", DEEP[3]);
    let name = |path: &str| full(path).into_bytes();
    match op {
        Op::Open { path, flags, text } => {
            let flags = OpenFlags(flags | OpenFlags::NONBLOCK);
            let file = namei::open(&at, &name(path), OpenHow { flags, mode: 0o666 })?;
            if !is_regular(&file) {
                return Ok(Shown::Nothing);
            }
            if file.flags().writable() {
                namei::attr::remove_privileges(file.path(), at.cred)?;
                file.write(&mut IoSrc::kernel(text))?;
                return Ok(Shown::Nothing);
            }
            file.seek(0, SEEK_SET)?;
            Ok(Shown::Bytes(read(&file, 1 << 16)?))
        }
        Op::Read(path) => {
            let flags = OpenFlags(OpenFlags::NONBLOCK);
            let file = namei::open(&at, &name(path), OpenHow { flags, mode: 0 })?;
            if !is_regular(&file) {
                return Ok(Shown::Nothing);
            }
            Ok(Shown::Bytes(read(&file, 1 << 16)?))
        }
        Op::List(path) => Ok(Shown::Names(task.list(&full(path))?)),
        Op::Lstat(path) => Ok(show(&task.lstat(&full(path))?)),
        Op::Stat(path) => Ok(show(&task.stat(&full(path))?)),
        Op::Readlink(path) => {
            let found = at.resolve(&name(path), LastLink::Keep)?;
            Ok(Shown::Bytes(found.inode().read_link(task)?))
        }
        Op::Mkdir(path, mode) => namei::mkdir(&at, &name(path), *mode).map(|()| Shown::Nothing),
        Op::Mkfifo(path) => namei::mknod(&at, &name(path), 0o010_666, 0).map(|_| Shown::Nothing),
        Op::Rmdir(path) => namei::rmdir(&at, &name(path)).map(|()| Shown::Nothing),
        Op::Unlink(path) => namei::unlink(&at, &name(path)).map(|()| Shown::Nothing),
        Op::Rename(old, new, flags) => {
            task.rename(&full(old), &full(new), *flags).map(|()| Shown::Nothing)
        }
        Op::Link(old, new) => task.link(&full(old), &full(new)).map(|()| Shown::Nothing),
        Op::Symlink(target, path) => task.symlink(target, &full(path)).map(|()| Shown::Nothing),
        Op::Chmod(path, mode) => {
            let found = at.resolve(&name(path), LastLink::Follow)?;
            namei::attr::chmod(&found, at.cred, *mode).map(|()| Shown::Nothing)
        }
        Op::Chown(path, uid, gid) => {
            let found = at.resolve(&name(path), LastLink::Keep)?;
            namei::attr::chown(&found, at.cred, Some(*uid), Some(*gid)).map(|()| Shown::Nothing)
        }
        Op::Truncate(path, size) => {
            let found = at.resolve(&name(path), LastLink::Follow)?;
            namei::attr::truncate(&found, at.cred, *size).map(|()| Shown::Nothing)
        }
        Op::Access(path, mode) => {
            if mode & MAY_READ == 0 {
                return Ok(Shown::Nothing);
            }
            let found = at.resolve(&name(path), LastLink::Follow)?;
            if found.dentry.kind() == FileType::Symlink {
                return Err(bevor_abi::errno::ELOOP.into());
            }
            perm::permission(&found, at.cred, MAY_READ).map(|()| Shown::Nothing)
        }
        Op::Become(uid) => {
            task.cred = match uid {
                0 => Arc::new(Credentials::user(0, 0, &[], UserNamespace::initial())),
                uid => user(*uid),
            };
            Ok(Shown::Nothing)
        }
    }
}

/// Runs `ops` on both sides and compares each result.
fn compare(task: &mut TestTask, host: &Host, ops: &[Op]) -> Result<(), TestCaseError> {
    for (index, op) in ops.iter().enumerate() {
        let (ours, hosts) = (run(task, op), host.run(op));
        prop_assert_eq!(ours, hosts, "operation {}: {:?}", index, op);
    }
    Ok(())
}

/// Whether the test can take other identities; sets what the host's administrator may choose.
fn can_compare() -> bool {
    let on = |name| {
        std::fs::read_to_string(format!("/proc/sys/fs/{name}")).is_ok_and(|text| text.trim() == "1")
    };
    crate::walk::PROTECTED_SYMLINKS.store(on("protected_symlinks"), Ordering::Relaxed);
    namei::PROTECTED_HARDLINKS.store(on("protected_hardlinks"), Ordering::Relaxed);
    for (name, setting) in [
        ("protected_fifos", &namei::PROTECTED_FIFOS),
        ("protected_regular", &namei::PROTECTED_REGULAR),
    ] {
        let text = std::fs::read_to_string(format!("/proc/sys/fs/{name}")).unwrap_or_default();
        setting.store(text.trim().parse().unwrap_or(0), Ordering::Relaxed);
    }
    nix::unistd::geteuid().is_root()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::with_cases(std::env::var("BEVOR_DIFF_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(300)) })]

    #[test]
    fn tmpfs_does_what_the_host_does(ops in prop::collection::vec(op(), 1..60)) {
        prop_assume!(can_compare());
        let (mut task, host) = (TestTask::new(), Host::new());
        prepare(&mut task);
        compare(&mut task, &host, &ops)?;
    }

    #[test]
    fn overlay_does_what_the_host_does(
        below in prop::collection::vec(op(), 1..40),
        above in prop::collection::vec(op(), 1..60),
    ) {
        prop_assume!(can_compare());
        let (mut lower, host) = (TestTask::new(), Host::new());
        prepare(&mut lower);
        compare(&mut lower, &host, &below)?;
        let (pool, account) = {
            use crate::Caller;
            (lower.mm().pool().clone(), lower.mm().account().clone())
        };
        let superblock = OverlayFs::in_memory(
            vec![lower.fs.root.inode().clone()],
            &pool,
            &account,
            None,
            &TmpfsOptions::default(),
            UserNamespace::initial(),
        )
        .unwrap();
        let mut task = TestTask::on(superblock, pool, account);
        task.cred = lower.cred.clone();
        compare(&mut task, &host, &above)?;
    }
}
