//! What is served, and what lies around it and must stay as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bevor_gofer::{Confine, RootConfig};

use crate::launch::{Gofer, root};

/// What a file outside says.
pub const SECRET: &str = "outside";
/// What a file inside says.
pub const INSIDE: &str = "inside";

/// Leaves the mounts of the host, so that this process may make its own.
pub fn own_mounts() {
    if is_root() {
        use nix::mount::{MsFlags, mount};
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
    }
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// How the gofers of these tests are confined.
pub fn walls() -> Option<Confine> {
    if is_root() {
        return Some(Confine::LeaveNamespaces);
    }
    (bevor_confine::landlock_abi() > 0).then_some(Confine::Landlock)
}

/// A served directory `root` in a directory with things that are not served.
pub struct Place {
    pub path: PathBuf,
    _listener: UnixListener,
}

impl Place {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bevor-walls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let make = |name: &str| fs::create_dir_all(path.join(name)).unwrap();
        let write = |name: &str, content: &str| fs::write(path.join(name), content).unwrap();
        let link = |target: &str, name: &str| symlink(target, path.join(name)).unwrap();
        for dir in ["root/dir/sub", "root/bound", "outside/sub", "parked"] {
            make(dir);
        }
        write("secret", SECRET);
        for file in ["outside/file", "outside/sub/file", "parked/secret"] {
            write(file, SECRET);
        }
        for file in ["root/dir/file", "root/dir/sub/file", "root/file"] {
            write(file, INSIDE);
        }
        link("..", "root/up");
        link("../outside", "root/link");
        link("../../secret", "root/dir/out");
        link("../../outside/file", "root/dir/away");
        link(path.join("outside").to_str().unwrap(), "root/dir/absolute");
        link("/proc/self/fd", "root/fds");
        link("/proc/self/root", "root/magic");
        nix::unistd::mkfifo(&path.join("root/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let listener = UnixListener::bind(path.join("root/sock")).unwrap();
        if is_root() {
            use nix::mount::{MsFlags, mount};
            let (from, to) = (path.join("outside"), path.join("root/bound"));
            mount(Some(&from), &to, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        }
        Self { path, _listener: listener }
    }

    pub fn join(&self, below: &str) -> PathBuf {
        self.path.join(below)
    }

    pub fn serve(&self, change: impl FnOnce(&mut RootConfig)) -> Gofer {
        let mut config = root(&self.path.join("root"), false);
        change(&mut config);
        Gofer::start(walls().unwrap(), vec![config], None)
    }

    /// Everything but what is below `root` and `parked/sub`: what must not change.
    pub fn around(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        look(&self.path, &self.path, &mut found);
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if is_root() {
            let flags = nix::mount::MntFlags::MNT_DETACH;
            let _ = nix::mount::umount2(&self.path.join("root/bound"), flags);
        }
        drop(fs::remove_dir_all(&self.path));
    }
}

fn look(top: &Path, dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(top).unwrap().to_owned();
        if name == Path::new("root") || name == Path::new("parked/sub") {
            continue;
        }
        let stat = fs::symlink_metadata(&path).unwrap();
        let mut line = format!("{:o} {}:{}", stat.mode(), stat.uid(), stat.gid());
        if stat.is_file() {
            let content = fs::read_to_string(&path).unwrap();
            line += &format!(" {} {} {content}", stat.nlink(), stat.mtime_nsec());
        }
        assert!(!stat.file_type().is_fifo(), "{} came into being", name.display());
        found.insert(name, line);
        if stat.is_dir() {
            look(top, &path, found);
        }
    }
}

impl Gofer {
    /// Waits for its end; answers with its exit code and what it reported.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let code = wait(&mut self.child);
        let mut report = String::new();
        fs::File::from(self.report).read_to_string(&mut report).unwrap();
        (code, report)
    }

    /// Ends it, which it must do in good order.
    pub fn end_well(self) {
        self.client.shutdown();
        let (code, report) = self.ended();
        assert_eq!((code, report.as_str()), (Some(bevor_gofer::EXIT_CLOSED), ""));
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

fn wait(child: &mut std::process::Child) -> Option<i32> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if started.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("the gofer hangs");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a donated descriptor says, from its start.
pub fn content(fd: std::os::fd::OwnedFd) -> String {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    fs::read_to_string(path).unwrap_or_default()
}
