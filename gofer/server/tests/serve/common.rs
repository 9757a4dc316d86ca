//! A gofer in threads of the test, a directory for it to serve, and a client.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use bevor_gofer::{Limits, RootConfig, Server, Source};
use bevor_gofer_protocol::client::{Root, Walk};
use bevor_gofer_protocol::service::{Ended, Service};
use bevor_gofer_protocol::{Client, Handle};

/// A directory that is removed when the test ends.
pub struct TempDir(pub PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bevor-gofer-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub fn open_path(path: &Path) -> OwnedFd {
    fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path).unwrap().into()
}

pub const LIMITS: Limits = Limits { handles: 100_000, descriptors: 1000 };

/// A gofer that serves one directory.
pub struct Gofer {
    pub client: Client,
    pub root: Root,
    pub dir: TempDir,
    pub service: Arc<Service>,
    /// The memory of the channel, for tests that write to it themselves.
    pub memory: OwnedFd,
    pub threads: Vec<JoinHandle<Ended>>,
}

impl Gofer {
    pub fn new(read_only: bool) -> Self {
        Self::with(TempDir::new(), read_only, LIMITS, |_| {})
    }

    pub fn with(
        dir: TempDir,
        read_only: bool,
        limits: Limits,
        change: impl FnOnce(&mut RootConfig),
    ) -> Self {
        let path = dir.0.clone();
        Self::serving(dir, &path, read_only, limits, change)
    }

    pub fn serving(
        dir: TempDir,
        path: &Path,
        read_only: bool,
        limits: Limits,
        change: impl FnOnce(&mut RootConfig),
    ) -> Self {
        let mut config = RootConfig::new(Source::Path(path.into()), read_only);
        change(&mut config);
        let server = Arc::new(Server::unconfined(vec![(open_path(path), config)], limits).unwrap());
        let fds = bevor_gofer_protocol::channel().unwrap();
        let service = Arc::new(Service::new(fds.memory.as_fd(), fds.server_socket).unwrap());
        let threads = (0..2)
            .map(|_| {
                let (server, service) = (Arc::clone(&server), Arc::clone(&service));
                std::thread::spawn(move || {
                    let ended = server.serve(&service);
                    if let Ended::Malformed(malformed) = &ended {
                        eprintln!("the gofer ended: {malformed}");
                    }
                    ended
                })
            })
            .collect();
        let client = Client::new(fds.memory.as_fd(), fds.client_socket).unwrap();
        let root = client.roots().unwrap().pop().unwrap();
        Self { client, root, dir, service, memory: fds.memory, threads }
    }

    pub fn walk(&self, path: &str) -> Walk {
        self.walk_from(&self.root.handle, path)
    }

    pub fn walk_from(&self, dir: &Handle, path: &str) -> Walk {
        let names: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        self.client.walk(dir, &names).unwrap()
    }

    /// The handle of a path that must be there.
    pub fn handle(&self, path: &str) -> Handle {
        let mut walk = self.walk(path);
        assert_eq!(walk.nodes.len(), path.split('/').count(), "{path}: {:?}", walk.stop);
        walk.nodes.pop().unwrap().handle
    }

    /// Every name of a directory but the dots, which must be there.
    pub fn names(&self, dir: &Handle, max_bytes: usize) -> Vec<String> {
        let mut names = Vec::new();
        let mut cursor = 0;
        loop {
            let flags = bevor_gofer_protocol::wire::ReadDirFlags::empty();
            let entries = self.client.readdir(dir, cursor, max_bytes, flags).unwrap();
            for entry in entries.iter() {
                names.push(String::from_utf8_lossy(entry.name).into_owned());
                cursor = entry.next;
            }
            if entries.at_end {
                names.sort();
                assert_eq!(names.drain(..2).collect::<Vec<_>>(), [".", ".."]);
                return names;
            }
        }
    }
}

impl Drop for Gofer {
    fn drop(&mut self) {
        self.client.shutdown();
        self.service.end(Ended::Closed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}
