//! The gofer as a process: confined, killed, hung up on.
//!
//! This binary starts itself again with the argument `gofer`.

mod launch;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use launch::{Gofer, root};

use bevor_abi::errno::{EACCES, EAGAIN, EFBIG, EIO, EROFS};
use bevor_confine::{Namespaces, Spawn, spawn};
use bevor_gofer::{Config, Confine, HostSockets, RootConfig, Source};
use bevor_gofer_protocol::client::{LockKind, MakeArgs, SetAttrArgs, TimeChange, WalkStop};
use bevor_gofer_protocol::ring::{Header, Ring};
use bevor_gofer_protocol::wire::{
    AT_END, LOCK_TO_END, LockScope, ReadDirFlags, RootFlags, SyncKind,
};
use bevor_gofer_protocol::{Client, Device, Handle};

const NOBODY: u32 = 65534;
impl Gofer {
    fn status(&self, field: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    }

    /// Ends it; answers with its exit code and what it reported.
    fn end(mut self) -> (Option<i32>, String) {
        self.client.shutdown();
        let code = self.child.wait().unwrap().code();
        let mut report = String::new();
        fs::File::from(self.report).read_to_string(&mut report).unwrap();
        (code, report)
    }
}

/// A directory with some files, removed at the end.
struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let name = format!("bevor-gofer-process-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("dir")).unwrap();
        fs::write(path.join("dir/file"), "content").unwrap();
        std::os::unix::fs::symlink("dir/file", path.join("link")).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A gofer that [`spawn`] started.
struct Spawned {
    child: bevor_confine::Child,
    client: Client,
}

impl Spawned {
    fn start(namespaces: Namespaces, roots: Vec<RootConfig>) -> Self {
        let fds = bevor_gofer_protocol::channel().unwrap();
        let (config_fd, config_end) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let exe = fs::File::open("/proc/self/exe").unwrap();
        let stderr = std::io::stderr();
        let child = spawn(&Spawn {
            exe: exe.as_fd(),
            argv: &[c"gofer-test", c"gofer"],
            fds: &[
                config_fd.as_fd(),
                stderr.as_fd(),
                stderr.as_fd(),
                fds.memory.as_fd(),
                fds.server_socket.as_fd(),
            ],
            namespaces,
            ambient: &[],
        })
        .unwrap();
        let config = Config {
            version: bevor_gofer::config::VERSION,
            memory_fd: 3,
            socket_fd: 4,
            report_fd: 2,
            roots,
            confine: Confine::OwnNamespaces,
            threads: 2,
            max_descriptors: 0,
            max_handles: 0,
        };
        let mut config_end = fs::File::from(config_end);
        config_end.write_all(serde_json::to_string(&config).unwrap().as_bytes()).unwrap();
        drop(config_end);
        let client = Client::new(fds.memory.as_fd(), fds.client_socket).unwrap();
        drop(fds.server_socket);
        Self { child, client }
    }
}

fn open_path(path: &Path) -> OwnedFd {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path).unwrap().into()
}

/// Uses every operation, so that every row of the host-call table is used.
fn exercise(client: &Client, read_only: bool, sockets: bool) {
    let root = client.roots().unwrap().remove(0);
    let read = libc::O_RDONLY.cast_unsigned();
    let write = libc::O_RDWR.cast_unsigned();
    let walk = client.walk_open(&root.handle, &[b"dir", b"file"], read).unwrap();
    let mut content = String::new();
    fs::File::from(walk.file.unwrap().unwrap()).read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    let (dir, file) = (&walk.nodes[0].handle, &walk.nodes[1].handle);
    let link = client.walk(&root.handle, &[b"link"]).unwrap();
    assert!(matches!(link.stop, WalkStop::Symlink(target) if target == b"dir/file"));
    let mut cursor = 0;
    let mut listed = 0;
    loop {
        let flags = ReadDirFlags::ATTRS;
        let entries = client.readdir(&root.handle, cursor, 250, flags).unwrap();
        listed += entries.len();
        cursor = entries.iter().last().map_or(cursor, |entry| entry.next);
        if entries.at_end {
            break;
        }
    }
    assert_eq!(listed, 4);
    client.statfs(file).unwrap();
    assert_eq!(client.read(file, 3, 100).unwrap(), b"tent");
    for kind in [SyncKind::File, SyncKind::Data, SyncKind::FileSystem] {
        client.sync(file, kind).unwrap();
    }
    drop(client.listxattr(file));
    drop(client.getxattr(file, b"user.none"));
    let stream = libc::SOCK_STREAM.cast_unsigned();
    let args = MakeArgs { mode: 0o755, uid: None, gid: None };
    if read_only {
        assert_eq!(client.open(file, write).unwrap_err(), EROFS);
        assert_eq!(client.mkdir(dir, b"new", args).unwrap_err(), EROFS);
        assert_eq!(client.write(file, 0, b"no").unwrap_err(), EROFS);
        return;
    }
    let made = client.mkdir(dir, b"new", args).unwrap().handle;
    let mode = args.mode | libc::S_IFIFO;
    client.mknod(&made, b"fifo", MakeArgs { mode, ..args }, Device::default()).unwrap();
    client.symlink(&made, b"link", b"target", args).unwrap();
    client.link(file, &made, b"hard").unwrap();
    let (created, opened) = client.create(&made, b"file", write, args).unwrap();
    fs::File::from(opened).write_all(b"more").unwrap();
    assert_eq!(client.write(&created.handle, AT_END, b" and more").unwrap(), (9, 13));
    exercise_locks(client, &created.handle);
    let nameless = write | libc::O_TMPFILE.cast_unsigned();
    client.create(&made, b"", nameless, args).unwrap();
    let now = Some(TimeChange::Now);
    let uid = Some(created.attr.uid);
    let change =
        SetAttrArgs { mode: Some(0o600), uid, size: Some(2), mtime: now, ..Default::default() };
    assert_eq!(client.setattr(&created.handle, &change).unwrap().size, 2);
    if client.setxattr(&created.handle, b"user.a", b"b", 0).is_ok() {
        client.removexattr(&created.handle, b"user.a").unwrap();
    }
    if sockets {
        let (socket, _bound) = client.bind(&made, b"sock", stream, args).unwrap();
        // Nobody listens, but the call is made.
        assert!(client.connect(&socket.handle, stream).is_err());
        client.unlink(&made, b"sock", 0).unwrap();
    }
    client.rename((&made, b"file"), (&made, b"moved"), 0).unwrap();
    for name in [&b"fifo"[..], b"link", b"hard", b"moved"] {
        client.unlink(&made, name, 0).unwrap();
    }
    client.unlink(dir, b"new", libc::AT_REMOVEDIR.cast_unsigned()).unwrap();
}

/// Locks exclude others on the host where the root says so.
fn exercise_locks(client: &Client, file: &Handle) {
    let (all, bytes) = ((0, LOCK_TO_END), (2, 5));
    for kind in [LockKind::Shared, LockKind::Exclusive, LockKind::None] {
        let locked = client.lock(file, LockScope::Whole, kind, all);
        let also = client.lock(file, LockScope::Record, kind, bytes);
        if !client.roots().unwrap().remove(0).flags.contains(RootFlags::LOCKS) {
            assert_eq!((locked.unwrap_err(), also.unwrap_err()), (EACCES.into(), EACCES.into()));
            return;
        }
        locked.unwrap();
        also.unwrap();
    }
    assert_eq!(client.get_lock(file, LockKind::Exclusive, bytes).unwrap(), None);
}

/// Locks of the sandbox and of others exclude each other.
fn locks_reach_others_on_the_host() {
    use nix::fcntl::{FcntlArg, Flock, FlockArg, fcntl};
    let dir = TempDir::new("locks");
    let mut config = root(&dir.0, false);
    config.locks = true;
    let gofer = Gofer::start(Confine::Landlock, vec![config], None);
    let client = &gofer.client;
    let top = client.roots().unwrap().remove(0).handle;
    let mut walk = client.walk(&top, &[b"dir", b"file"]).unwrap();
    let file = walk.nodes.pop().unwrap().handle;
    let open = || fs::File::options().read(true).write(true).open(dir.0.join("dir/file")).unwrap();
    let whole = |kind| client.lock(&file, LockScope::Whole, kind, (0, LOCK_TO_END));
    let record = |kind, bytes| client.lock(&file, LockScope::Record, kind, bytes);

    let theirs = Flock::lock(open(), FlockArg::LockExclusiveNonblock).unwrap();
    assert_eq!(whole(LockKind::Shared).unwrap_err(), EAGAIN);
    drop(theirs);
    whole(LockKind::Exclusive).unwrap();
    assert!(Flock::lock(open(), FlockArg::LockSharedNonblock).is_err());
    whole(LockKind::Shared).unwrap();
    let theirs = Flock::lock(open(), FlockArg::LockSharedNonblock).unwrap();
    assert_eq!(whole(LockKind::Exclusive).unwrap_err(), EAGAIN);
    drop(theirs);
    whole(LockKind::None).unwrap();

    let other = open();
    let mut lock = libc::flock {
        l_type: libc::c_short::try_from(libc::F_WRLCK).unwrap(),
        l_whence: 0,
        l_start: 10,
        l_len: 10,
        l_pid: 0,
    };
    fcntl(&other, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    record(LockKind::Exclusive, (0, 9)).unwrap();
    assert_eq!(record(LockKind::Shared, (5, LOCK_TO_END)).unwrap_err(), EAGAIN);
    let found = client.get_lock(&file, LockKind::Shared, (0, 100)).unwrap().unwrap();
    assert_eq!((found.kind, found.start, found.end), (LockKind::Exclusive, 10, 19));
    assert!(!found.of_process);
    (lock.l_start, lock.l_len) = (9, 1);
    assert!(fcntl(&other, FcntlArg::F_OFD_SETLK(&lock)).is_err());
    record(LockKind::None, (8, 9)).unwrap();
    fcntl(&other, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    // Nothing is left open for locks that were given up.
    let before = fs::read_dir(format!("/proc/{}/fd", gofer.child.id())).unwrap().count();
    record(LockKind::None, (0, LOCK_TO_END)).unwrap();
    let after = fs::read_dir(format!("/proc/{}/fd", gofer.child.id())).unwrap().count();
    assert_eq!(after + 1, before);
    drop((file, walk, top));
    assert_eq!(gofer.end(), (Some(bevor_gofer::EXIT_CLOSED), String::new()));
}

fn works_in_namespaces_of_its_own() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = TempDir::new("namespaces");
    for read_only in [true, false] {
        for by_path in [true, false] {
            let fd = open_path(&dir.0);
            let mut config = root(&dir.0, read_only);
            if !by_path {
                config.source = Source::Fd(fd.as_raw_fd());
            }
            config.sockets = HostSockets::All;
            config.locks = true;
            let gofer = Gofer::start(Confine::LeaveNamespaces, vec![config], None);
            exercise(&gofer.client, read_only, true);

            let pid = gofer.child.id();
            for namespace in ["mnt", "net", "ipc", "uts"] {
                let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{namespace}")).unwrap();
                assert_ne!(of("self"), of(&pid.to_string()), "{namespace}");
            }
            let left = fs::read_dir(format!("/proc/{pid}/root")).unwrap().count();
            assert_eq!(left, 0, "an empty root");
            assert_eq!(gofer.status("Seccomp"), "2");
            assert_eq!(gofer.status("NoNewPrivs"), "1");
            // CAP_DAC_READ_SEARCH; with CAP_CHOWN, _DAC_OVERRIDE, _FOWNER, _FSETID where writable.
            let expected = if read_only { 0x4 } else { 0x1f };
            for set in ["CapEff", "CapPrm"] {
                let held = u64::from_str_radix(&gofer.status(set), 16).unwrap();
                assert_eq!(held, expected, "{set}");
            }
            for set in ["CapBnd", "CapInh", "CapAmb"] {
                assert_eq!(u64::from_str_radix(&gofer.status(set), 16).unwrap(), 0, "{set}");
            }
            assert_eq!(gofer.end(), (Some(bevor_gofer::EXIT_CLOSED), String::new()));
        }
    }
}

/// As launchers start it: cloned straight into its namespaces.
fn works_in_namespaces_made_for_it() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = TempDir::new("own");
    for read_only in [true, false] {
        let namespaces = Namespaces::PID
            .and(Namespaces::MOUNT)
            .and(Namespaces::NET)
            .and(Namespaces::IPC)
            .and(Namespaces::UTS);
        let gofer = Spawned::start(namespaces, vec![root(&dir.0, read_only)]);
        exercise(&gofer.client, read_only, false);
        let left = fs::read_dir(format!("/proc/{}/root", gofer.child.pid)).unwrap().count();
        assert_eq!(left, 0, "an empty root");
        gofer.client.shutdown();
        let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(gofer.child.pid), None);
        assert!(matches!(status, Ok(nix::sys::wait::WaitStatus::Exited(_, 0))), "{status:?}");
    }
}

fn serves_the_whole_host_read_only() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut config = root(Path::new("/"), true);
    config.cross_mounts = true;
    let gofer = Gofer::start(Confine::LeaveNamespaces, vec![config], None);
    let root = gofer.client.roots().unwrap().remove(0);
    let inside = gofer.client.walk(&root.handle, &[b"proc", b"self"]).unwrap();
    assert_eq!(inside.nodes.len(), 1, "nothing of the host's /proc");
    let etc = gofer.client.walk(&root.handle, &[b"etc", b"passwd"]).unwrap();
    assert!(matches!(etc.stop, WalkStop::Complete));
    assert_eq!(gofer.end(), (Some(bevor_gofer::EXIT_CLOSED), String::new()));
}

fn works_confined_by_landlock() {
    if bevor_confine::landlock_abi() == 0 {
        return;
    }
    let is_root = nix::unistd::geteuid().is_root();
    let user = is_root.then_some(NOBODY);
    // The binary must be within reach of the user it becomes.
    let dir = TempDir::new("landlock");
    for read_only in [true, false] {
        if is_root {
            for path in ["", "dir", "dir/file"] {
                std::os::unix::fs::chown(dir.0.join(path), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let gofer = Gofer::start(Confine::Landlock, vec![root(&dir.0, read_only)], user);
        exercise(&gofer.client, read_only, false);
        let root = gofer.client.roots().unwrap().remove(0);
        assert_eq!(root.attr.uid, user.unwrap_or(nix::unistd::geteuid().as_raw()));
        let link = gofer.client.walk(&root.handle, &[b"link"]).unwrap();
        let owner = nix::unistd::geteuid().as_raw();
        assert_eq!(link.nodes[0].attr.uid, owner, "owners are those of the host");
        assert_eq!(gofer.status("Seccomp"), "2");
        assert_eq!(gofer.status("CapEff"), "0000000000000000");
        assert_eq!(gofer.end(), (Some(bevor_gofer::EXIT_CLOSED), String::new()));
    }
}

/// The hard limit of descriptors may be low, and cannot be raised.
fn few_descriptors_are_enough() {
    let dir = TempDir::new("few");
    for number in 0..200 {
        fs::create_dir_all(dir.0.join(format!("{number}/below"))).unwrap();
        fs::write(dir.0.join(format!("{number}/below/file")), number.to_string()).unwrap();
    }
    let gofer = Gofer::start_with(
        Confine::Landlock,
        vec![root(&dir.0, true)],
        None,
        Some("ulimit -n 40".into()),
    );
    let root = gofer.client.roots().unwrap().remove(0);
    let mut handles = Vec::new();
    for number in 0..200 {
        let name = number.to_string();
        let names: [&[u8]; 3] = [name.as_bytes(), b"below", b"file"];
        handles.extend(gofer.client.walk(&root.handle, &names).unwrap().nodes.pop());
    }
    for (number, node) in handles.iter().enumerate() {
        let opened = gofer.client.open(&node.handle, libc::O_RDONLY.cast_unsigned()).unwrap();
        let mut content = String::new();
        fs::File::from(opened.file).read_to_string(&mut content).unwrap();
        assert_eq!(content, number.to_string());
    }
    assert_eq!(gofer.end(), (Some(bevor_gofer::EXIT_CLOSED), String::new()));
}

fn a_size_beyond_the_limit_is_an_error_and_no_end() {
    let dir = TempDir::new("size");
    let gofer = Gofer::start_with(
        Confine::Landlock,
        vec![root(&dir.0, false)],
        None,
        Some("ulimit -f 100".into()),
    );
    let root = gofer.client.roots().unwrap().remove(0);
    let names: [&[u8]; 2] = [b"dir", b"file"];
    let file = gofer.client.walk(&root.handle, &names).unwrap().nodes.pop().unwrap().handle;
    let size = SetAttrArgs { size: Some(1 << 30), ..SetAttrArgs::default() };
    assert_eq!(gofer.client.setattr(&file, &size).unwrap_err(), EFBIG);
    assert_eq!(gofer.end(), (Some(bevor_gofer::EXIT_CLOSED), String::new()));
}

fn a_killed_gofer_is_an_error_and_no_hang() {
    let dir = TempDir::new("killed");
    let mut gofer = Gofer::start(Confine::Landlock, vec![root(&dir.0, true)], None);
    let root = gofer.client.roots().unwrap().remove(0);
    let client = &gofer.client;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| while client.getattr(&root.handle).is_ok() {});
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        gofer.child.kill().unwrap();
    });
    assert_eq!(client.getattr(&root.handle).unwrap_err(), EIO);
    assert!(client.is_lost());
    gofer.child.wait().unwrap();
}

fn a_sentry_that_hangs_up_ends_the_gofer() {
    let dir = TempDir::new("hangup");
    let gofer = Gofer::start(Confine::Landlock, vec![root(&dir.0, true)], None);
    gofer.client.roots().unwrap();
    let Gofer { mut child, client, .. } = gofer;
    drop(client);
    assert!(child.wait().unwrap().success());
}

fn a_malformed_message_is_reported() {
    let dir = TempDir::new("malformed");
    let gofer = Gofer::start(Confine::Landlock, vec![root(&dir.0, true)], None);
    let node = gofer.client.roots().unwrap().remove(0);
    let ring = Ring::map(gofer.memory.as_fd()).unwrap();
    ring.put(9, Header { sequence: 1, code: 4711, len: 0, extra: 0 }, &[]);
    ring.submit(9);
    while gofer.client.getattr(&node.handle).is_ok() {}
    let (mut byte, flags) = ([0], nix::sys::socket::MsgFlags::empty());
    let left = nix::sys::socket::recv(gofer.socket.as_raw_fd(), &mut byte, flags);
    assert_eq!(left, Ok(0), "the connection has ended");
    let (code, report) = gofer.end();
    assert_eq!(code, Some(bevor_gofer::EXIT_MALFORMED));
    assert!(report.contains("bevor: gofer: malformed message: unknown operation"), "{report:?}");
}

fn an_idle_gofer_sleeps() {
    let dir = TempDir::new("idle");
    let gofer = Gofer::start(Confine::Landlock, vec![root(&dir.0, true)], None);
    gofer.client.roots().unwrap();
    let switches = || {
        let mut count = 0;
        for task in fs::read_dir(format!("/proc/{}/task", gofer.child.id())).unwrap() {
            let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            for line in text.lines().filter(|line| line.contains("ctxt_switches")) {
                count += line.split_whitespace().last().unwrap().parse::<u64>().unwrap();
            }
        }
        count
    };
    std::thread::sleep(std::time::Duration::from_millis(100));
    let before = switches();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(switches(), before, "nothing runs without a request");
    gofer.end();
}

fn a_gofer_of_another_version_does_not_start() {
    let dir = TempDir::new("version");
    let fd = open_path(&dir.0);
    let config = r#"{"version":99,"memory_fd":-1,"socket_fd":-1,"report_fd":-1,"roots":[],"confine":"landlock"}"#;
    let config: Config = serde_json::from_str(config).unwrap();
    let error = bevor_gofer::run(config).unwrap_err();
    assert!(error.to_string().contains("version 99"), "{error}");
    drop(fd);
}

fn main() -> ExitCode {
    if let Some(code) = launch::be_gofer() {
        return code;
    }
    let tests: &[(&str, fn())] = &[
        ("works_in_namespaces_of_its_own", works_in_namespaces_of_its_own),
        ("works_in_namespaces_made_for_it", works_in_namespaces_made_for_it),
        ("serves_the_whole_host_read_only", serves_the_whole_host_read_only),
        ("works_confined_by_landlock", works_confined_by_landlock),
        ("few_descriptors_are_enough", few_descriptors_are_enough),
        ("locks_reach_others_on_the_host", locks_reach_others_on_the_host),
        (
            "a_size_beyond_the_limit_is_an_error_and_no_end",
            a_size_beyond_the_limit_is_an_error_and_no_end,
        ),
        ("a_killed_gofer_is_an_error_and_no_hang", a_killed_gofer_is_an_error_and_no_hang),
        ("a_sentry_that_hangs_up_ends_the_gofer", a_sentry_that_hangs_up_ends_the_gofer),
        ("a_malformed_message_is_reported", a_malformed_message_is_reported),
        ("an_idle_gofer_sleeps", an_idle_gofer_sleeps),
        ("a_gofer_of_another_version_does_not_start", a_gofer_of_another_version_does_not_start),
    ];
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    for (name, test) in tests {
        if wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str())) {
            test();
            println!("test process::{name} ... ok");
        }
    }
    ExitCode::SUCCESS
}
