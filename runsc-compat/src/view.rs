//! What a sandbox sees of the host: the exports of its gofer and where they are mounted.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bevor_control::{Changes, Mount, MountKind, Root, Text};
use bevor_gofer::HostSockets;

use crate::failure::{Attempt, Failure};
use crate::overlay::{Overlay, Prepared};

/// Host directories that are empty inside unless asked for: other people's and the system's state.
const HIDDEN: [&str; 5] = ["/root", "/home", "/run", "/boot", "/var/run"];

/// Kernel file systems of the host, whose files act on the host. The sentry mounts its own there.
const KERNEL_TREES: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A file or directory of the host that the gofer serves.
#[derive(Debug)]
pub struct Export {
    /// Where it is, without links.
    pub path: PathBuf,
    /// `O_PATH` descriptor of it.
    pub fd: OwnedFd,
    /// Changes are refused.
    pub read_only: bool,
    /// Others may change it meanwhile.
    pub shared: bool,
    /// Locks reach others on the host.
    pub locks: bool,
    /// What may be done with unix sockets of the host.
    pub sockets: HostSockets,
    /// Paths beneath it, without leading slash, that are empty directories.
    pub hidden: Vec<String>,
}

/// What a sandbox sees.
#[derive(Debug)]
pub struct View {
    /// What the gofer serves, by number.
    pub exports: Vec<Export>,
    /// The root.
    pub root: Root,
    /// Mounts over it, in order.
    pub mounts: Vec<Mount>,
    /// The working directory.
    pub cwd: Text,
    /// Where changes go.
    pub overlay: Prepared,
}

/// What was asked for.
#[derive(Debug)]
pub struct Wishes<'a> {
    /// `--root`.
    pub root: &'a Path,
    /// `--cwd`.
    pub cwd: Option<&'a Path>,
    /// `--ro`.
    pub ro: &'a [OsString],
    /// `--rw`.
    pub rw: &'a [OsString],
    /// `--host-locks`.
    pub host_locks: bool,
    /// `--host-home`.
    pub host_home: bool,
    /// `--net host`: programs look names up as the host does.
    pub host_net: bool,
    /// `--overlay`, `--overlay-size`.
    pub overlay: &'a Overlay,
    /// The same.
    pub overlay_size: Option<u64>,
    /// `--host-uds`.
    pub host_sockets: HostSockets,
}

impl View {
    /// Works out the view of `bevor do`.
    ///
    /// # Errors
    /// A line that names the path that cannot be used.
    pub fn new(wishes: &Wishes<'_>) -> Result<Self, Failure> {
        let root = wishes.root.canonicalize().attempt(wishes.root.display())?;
        let whole_host = root == Path::new("/");
        let mut view = Self {
            exports: Vec::new(),
            root: Root::Memory,
            mounts: Vec::new(),
            cwd: Text::default(),
            overlay: Prepared::new(wishes.overlay, wishes.overlay_size)?,
        };
        let writes_through = view.overlay.writes_through();
        let hidden = if whole_host && !wishes.host_home { hidden() } else { Vec::new() };
        let here = if whole_host { std::env::current_dir().ok() } else { None };
        let fd = open(&root, true)?;
        let kernel_trees = KERNEL_TREES.iter().map(Path::new).filter(|_| whole_host);
        let below = hidden.iter().map(PathBuf::as_path).chain(kernel_trees);
        let below = below.filter_map(|path| path.strip_prefix("/").ok());
        let mut below: Vec<_> = below.map(|path| path.to_string_lossy().into_owned()).collect();
        below.extend(view.kept_within(&root));
        view.exports.push(Export {
            path: root.clone(),
            fd,
            read_only: !writes_through,
            shared: writes_through,
            locks: false,
            sockets: HostSockets::None,
            hidden: below,
        });
        let changes = view.changes(Path::new("/"), &root)?;
        view.root = Root::Export { export: 0, changes, shared: writes_through };

        view.kernel("proc", "/proc", &["nosuid", "nodev", "noexec"]);
        view.kernel("sysfs", "/sys", &["ro", "nosuid", "nodev", "noexec"]);
        view.kernel("cgroup2", "/sys/fs/cgroup", &["ro", "nosuid", "nodev", "noexec"]);
        view.kernel("devtmpfs", "/dev", &["nosuid", "mode=755"]);
        let pts = ["nosuid", "noexec", "newinstance", "mode=620", "ptmxmode=666"];
        view.kernel("devpts", "/dev/pts", &pts);
        view.kernel("tmpfs", "/dev/shm", &["nosuid", "nodev", "mode=1777"]);
        view.kernel("mqueue", "/dev/mqueue", &["nosuid", "nodev", "noexec"]);
        if whole_host && !here.as_ref().is_some_and(|here| here.starts_with("/tmp")) {
            view.kernel("tmpfs", "/tmp", &["nosuid", "nodev", "mode=1777"]);
        }
        if let Some(here) = &here
            && hidden.iter().any(|hidden| here.starts_with(hidden))
        {
            let kept = view.kept_within(here);
            let fd = open(here, true)?;
            let export = view.export(here.clone(), fd, !writes_through, writes_through);
            if let Some(export) = view.exports.last_mut() {
                export.hidden.extend(kept);
            }
            let changes = view.changes(here, here)?;
            view.mount(here.as_os_str(), export, changes, writes_through);
        }
        if wishes.host_net
            && let Ok(servers) = Path::new("/etc/resolv.conf").canonicalize()
            && hidden.iter().any(|hidden| servers.starts_with(hidden))
            && let Ok(fd) = open(&servers, false)
        {
            // The list of name servers is often a link to a file of the resolver's.
            let export = view.export(servers.clone(), fd, true, true);
            view.mount(servers.as_os_str(), export, Changes::Refused, true);
        }
        for (list, changes) in [(wishes.ro, Changes::Refused), (wishes.rw, Changes::Host)] {
            for wish in list {
                let (source, destination) = parse_mount(wish)?;
                let source = source.canonicalize().attempt(source.display())?;
                let fd = open(&source, false)?;
                let export = view.export(source, fd, changes == Changes::Refused, true);
                if let Some(export) = view.exports.last_mut() {
                    export.locks = wishes.host_locks && changes == Changes::Host;
                }
                view.mount(destination.as_os_str(), export, changes, true);
            }
        }
        // Of what is shown: where changes are kept is not. A read-only one takes no names anyway.
        for (number, export) in (0..).zip(&mut view.exports) {
            let shows = |mount: &Mount| match mount.kind {
                MountKind::Export { export, .. } => export == number,
                _ => false,
            };
            if number == 0 || view.mounts.iter().any(shows) {
                export.sockets = wishes.host_sockets;
            }
        }
        // Shallow ones first, so that none hides another.
        let host = view.mounts.iter().position(|m| matches!(m.kind, MountKind::Export { .. }));
        if let Some(first) = host {
            view.mounts[first..].sort_by_key(|m| depth(m.destination.as_bytes()));
        }
        view.cwd = match (wishes.cwd, here) {
            (Some(cwd), _) if cwd.is_absolute() => cwd.as_os_str().into(),
            (Some(cwd), _) => {
                return Err(Failure::new(format!("--cwd {}: not an absolute path", cwd.display())));
            }
            (None, Some(here)) => here.into_os_string().into(),
            (None, None) => "/".into(),
        };
        Ok(view)
    }

    /// Where changes of the tree at `destination` go.
    fn changes(&mut self, destination: &Path, lower: &Path) -> Result<Changes, Failure> {
        let exports = &mut self.exports;
        self.overlay.changes(destination, lower, |path| {
            let fd = open(&path, true)?;
            let (shared, locks, hidden) = (false, false, Vec::new());
            let sockets = HostSockets::None;
            exports.push(Export { path, fd, read_only: false, shared, locks, sockets, hidden });
            Ok(u32::try_from(exports.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// The directory that keeps changes, if it is below `root`: it is hidden there.
    fn kept_within(&self, root: &Path) -> Option<String> {
        let kept = self.overlay.kept.as_ref()?.path().strip_prefix(root).ok()?;
        Some(kept.to_string_lossy().into_owned()).filter(|kept| !kept.is_empty())
    }

    fn export(&mut self, path: PathBuf, fd: OwnedFd, read_only: bool, shared: bool) -> u32 {
        let (locks, sockets, hidden) = (false, HostSockets::None, Vec::new());
        self.exports.push(Export { path, fd, read_only, shared, locks, sockets, hidden });
        u32::try_from(self.exports.len() - 1).unwrap_or(u32::MAX)
    }

    fn mount(&mut self, destination: &OsStr, export: u32, changes: Changes, shared: bool) {
        self.mounts.push(Mount {
            destination: destination.into(),
            kind: MountKind::Export { export, changes, shared },
            options: vec!["nosuid".into(), "nodev".into()],
            source: None,
        });
    }

    fn kernel(&mut self, fstype: &str, destination: &str, options: &[&str]) {
        self.mounts.push(Mount {
            destination: destination.into(),
            kind: MountKind::Kernel { fstype: fstype.into() },
            options: options.iter().map(|&option| option.into()).collect(),
            source: Some(fstype.into()),
        });
    }
}

/// The hidden directories as they are on this host. One that is a link hides what it leads to.
fn hidden() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        HIDDEN.iter().filter_map(|path| Path::new(path).canonicalize().ok()).collect();
    paths.retain(|path| path != Path::new("/"));
    paths.sort();
    paths.dedup();
    paths
}

fn depth(path: &[u8]) -> usize {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).count()
}

fn open(path: &Path, directory: bool) -> Result<OwnedFd, Failure> {
    let mut flags = libc::O_PATH;
    if directory {
        flags |= libc::O_DIRECTORY;
    }
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    Ok(file.attempt(path.display())?.into())
}

/// Takes `PATH[:DEST]` apart. `DEST` is absolute and stays as given; without one the path's own.
fn parse_mount(wish: &OsStr) -> Result<(PathBuf, PathBuf), Failure> {
    let bytes = wish.as_bytes();
    let colon = bytes.windows(2).rposition(|pair| pair == b":/");
    let (source, destination) = match colon {
        Some(at) if at > 0 => (&bytes[..at], Some(&bytes[at + 1..])),
        _ => (bytes, None),
    };
    if source.is_empty() {
        return Err(Failure::new("--ro and --rw need a path"));
    }
    let source = PathBuf::from(OsStr::from_bytes(source));
    let destination = match destination {
        Some(destination) => PathBuf::from(OsStr::from_bytes(destination)),
        None => std::path::absolute(&source).attempt(source.display())?,
    };
    if depth(destination.as_os_str().as_bytes()) == 0 {
        let wish = wish.to_string_lossy();
        return Err(Failure::new(format!("{wish}: nothing can be mounted over /; use --root")));
    }
    Ok((source, destination))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::parse_mount;

    #[test]
    fn mounts_are_taken_apart() {
        let parse = |text| parse_mount(OsStr::new(text)).expect("a mount");
        assert_eq!(parse("/a"), (Path::new("/a").into(), Path::new("/a").into()));
        assert_eq!(parse("/a:/b"), (Path::new("/a").into(), Path::new("/b").into()));
        assert_eq!(parse("/a:b"), (Path::new("/a:b").into(), Path::new("/a:b").into()));
        assert_eq!(parse("/a:/b:/c"), (Path::new("/a:/b").into(), Path::new("/c").into()));
        let here = std::env::current_dir().expect("a directory");
        assert_eq!(parse("x"), (Path::new("x").into(), here.join("x")));
        assert!(parse_mount(OsStr::new("")).is_err());
        assert!(parse_mount(OsStr::new("/a:/")).is_err());
    }
}
