//! What the launcher tells a gofer at its start.

use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Version of the configuration; the launcher and the gofer are the same binary.
pub const VERSION: u32 = 1;

/// Everything a gofer needs to know. Descriptor numbers are those the process inherited.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// [`VERSION`].
    pub version: u32,
    /// Memory of the channel.
    pub memory_fd: RawFd,
    /// The gofer's socket of the channel.
    pub socket_fd: RawFd,
    /// Where faults are reported, one line each.
    pub report_fd: RawFd,
    /// What to serve, in the order the sentry counts it.
    pub roots: Vec<RootConfig>,
    /// How to confine the process.
    pub confine: Confine,
    /// Threads that answer requests; 0 chooses.
    #[serde(default)]
    pub threads: usize,
    /// Most `O_PATH` descriptors to keep; 0 chooses by RLIMIT_NOFILE.
    #[serde(default)]
    pub max_descriptors: usize,
    /// Most handles the sentry can hold; 0 chooses.
    #[serde(default)]
    pub max_handles: usize,
}

/// Where a root is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Behind this descriptor, opened with `O_PATH` or cloned with `open_tree(2)`.
    Fd(RawFd),
    /// At this path of the gofer's mount namespace at its start.
    Path(PathBuf),
}

/// A directory or file to serve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RootConfig {
    /// Where it is.
    pub source: Source,
    /// Refuse every change with EROFS.
    pub read_only: bool,
    /// Whether others may change it meanwhile.
    #[serde(default)]
    pub sharing: Sharing,
    /// Serve what is mounted below it, kernel file systems (proc, sys, …) excepted. Otherwise a
    /// mount point below it is an empty directory.
    #[serde(default)]
    pub cross_mounts: bool,
    /// Paths below it, without leading slash, that are served as empty directories.
    #[serde(default)]
    pub hidden: Vec<String>,
    /// Allow device nodes to be made (they are never opened).
    #[serde(default)]
    pub devices: bool,
    /// Hold locks of its files on the host, too, so that they exclude others there. Not of a
    /// read-only root.
    #[serde(default)]
    pub locks: bool,
    /// Sockets of the host below it.
    #[serde(default)]
    pub sockets: HostSockets,
    /// Users: how the host's ids appear to the guest. Empty: as they are.
    #[serde(default)]
    pub uid_map: Vec<IdRange>,
    /// Groups: how the host's ids appear to the guest. Empty: as they are.
    #[serde(default)]
    pub gid_map: Vec<IdRange>,
}

impl RootConfig {
    /// A root with everything but place and mode at its default.
    #[must_use]
    pub const fn new(source: Source, read_only: bool) -> Self {
        Self {
            source,
            read_only,
            sharing: Sharing::Exclusive,
            cross_mounts: false,
            hidden: Vec::new(),
            devices: false,
            locks: false,
            sockets: HostSockets::None,
            uid_map: Vec::new(),
            gid_map: Vec::new(),
        }
    }
}

/// Whether a root belongs to the sandbox alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Nobody else changes it: the sentry may cache everything.
    #[default]
    Exclusive,
    /// Others may change it: the sentry revalidates.
    Shared,
}

/// What the sentry may do with unix sockets in the file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostSockets {
    /// Nothing.
    #[default]
    None,
    /// Connect to those that are there.
    Connect,
    /// Bind new ones.
    Bind,
    /// Connect, and bind new ones.
    All,
}

impl HostSockets {
    /// Whether those that are there can be connected to.
    #[must_use]
    pub const fn connects(self) -> bool {
        matches!(self, Self::Connect | Self::All)
    }

    /// Whether new ones can be bound.
    #[must_use]
    pub const fn binds(self) -> bool {
        matches!(self, Self::Bind | Self::All)
    }
}

/// A range of ids that are mapped alike, as in `/proc/PID/uid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id the guest sees.
    pub guest: u32,
    /// First id of the host.
    pub host: u32,
    /// How many.
    pub count: u32,
}

/// How a gofer process confines itself before it answers the first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confine {
    /// Privileged (root, or root of a user namespace with enough ids), in the launcher's mount,
    /// network, IPC and UTS namespaces: leaves them for its own, then an empty root, the few
    /// capabilities its roots need, the host-call filter.
    LeaveNamespaces,
    /// The same, in namespaces the launcher made for this process. Roots given as descriptors
    /// should be clones by `open_tree(2)`: a process can make them in its own mount namespace only.
    OwnNamespaces,
    /// An ordinary user in the caller's user namespace, so that owners are reported as they are:
    /// landlock, no capability, the host-call filter. Refused where the host has no landlock.
    Landlock,
}
