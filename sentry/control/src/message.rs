//! The messages. Each travels as JSON; descriptors go beside it.

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// Numbers a request; its reply carries the same number. Chosen by the client.
pub type RequestId = u64;

/// What a client sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// The number the reply will carry.
    pub id: RequestId,
    /// The request.
    pub request: Request,
}

/// Something a client wants of a sandbox. Any number of containers may live in one sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Makes a container and its first process, which does not run yet.
    Create(Box<Create>),
    /// Lets the first process of a container run.
    Start {
        /// Which container.
        container: String,
    },
    /// Runs another process in a container. Descriptors: its standard streams, as in `Create`.
    Exec {
        /// Which container.
        container: String,
        /// What to run.
        process: Box<Process>,
    },
    /// Sends a signal.
    Signal {
        /// Which container.
        container: String,
        /// To whom.
        target: Target,
        /// Linux's number.
        signo: i32,
    },
    /// Answers when a process has ended; any number of clients may wait, before and after.
    Wait {
        /// Which container.
        container: String,
        /// A process of `Exec`, by its number there; `None` for the container's first.
        pid: Option<i32>,
    },
    /// Describes one container, or all.
    State {
        /// Which container.
        container: Option<String>,
    },
    /// Tells a container's terminal its new size.
    Resize {
        /// Which container.
        container: String,
        /// A process of `Exec`; `None` for the container's first.
        pid: Option<i32>,
        /// Rows of characters.
        rows: u16,
        /// Columns of characters.
        columns: u16,
    },
    /// Sends every event from now on over this connection, under this request's number.
    Events,
    /// Removes a container whose processes have all ended.
    Delete {
        /// Which container.
        container: String,
    },
    /// Writes what the overlays of a container have changed to the descriptor beside the message;
    /// answers when that is done.
    Changes {
        /// Which container; `None` for the only one.
        container: Option<String>,
        /// How.
        form: ChangesForm,
    },
    /// Serves one more connection, whose socket comes beside the message.
    Connect,
    /// Kills everything and ends the sandbox. The reply comes before the end.
    Shutdown,
}

/// How changes are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangesForm {
    /// A line for each.
    Text,
    /// A JSON array.
    Json,
    /// A tar file in the manner of OCI layers.
    Tar,
}

/// A container to make. Descriptors beside it, in this order: standard input, output and error of
/// its first process, those of `gofer` (see [`Gofer::descriptors`]), that of `contents`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Create {
    /// Its name, unique in the sandbox.
    pub container: String,
    /// Its first process.
    pub process: Process,
    /// Where its host files come from.
    pub gofer: Option<Gofer>,
    /// Whether one more descriptor follows: an empty file for contents of [`Changes::File`].
    #[serde(default)]
    pub contents: bool,
    /// Its file tree.
    pub root: Root,
    /// Mounts over the root, in order.
    pub mounts: Vec<Mount>,
    /// Host name; `None` keeps the sandbox's.
    pub hostname: Option<String>,
    /// Bounds on what it may use.
    #[serde(default)]
    pub limits: Limits,
    /// Whether its first process gets only the signals it handles, as `pid_namespaces(7)` says of
    /// an init. A program that is to die of signals as it does outside is started without.
    #[serde(default)]
    pub protect_init: bool,
}

/// The connection to a gofer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gofer {
    /// How many descriptors of the message make up the channel.
    pub descriptors: usize,
}

/// Where a container's root comes from and where its changes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// An empty file tree in memory.
    Memory,
    /// An export of the gofer.
    Export {
        /// Its number.
        export: u32,
        /// Where changes go.
        changes: Changes,
        /// Whether others may change it meanwhile, so that what is cached is checked again.
        #[serde(default)]
        shared: bool,
    },
}

/// Where changes to an export of the gofer go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changes {
    /// Nowhere: read-only.
    Refused,
    /// To memory, lost with the container.
    Memory {
        /// Most bytes; `None`: half of the memory there is.
        size_bytes: Option<u64>,
    },
    /// Contents of files to the host file that came with the container, the rest to memory.
    File {
        /// Most bytes.
        size_bytes: Option<u64>,
    },
    /// To the directories `upper` and `work` of another export, as Linux's overlayfs keeps them.
    Directory {
        /// Its number.
        upper: u32,
        /// Owners its gofer cannot give to files are kept in attributes.
        owners_in_attributes: bool,
    },
    /// To the host.
    Host,
}

/// One mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// Where, inside the container. Missing directories are made (in memory).
    pub destination: Text,
    /// What.
    pub kind: MountKind,
    /// Linux's options: `ro`, `nosuid`, `noexec`, `size=…`.
    #[serde(default)]
    pub options: Vec<String>,
    /// What `/proc/self/mountinfo` shows as the source.
    #[serde(default)]
    pub source: Option<Text>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// An export of the gofer.
    Export {
        /// Its number.
        export: u32,
        /// Where changes go.
        changes: Changes,
        /// Whether others may change it meanwhile, so that what is cached is checked again.
        shared: bool,
    },
    /// A file system of the sentry's own, by Linux's type name: `proc`, `sysfs`, `tmpfs`, `devtmpfs`,
    /// `devpts`, `mqueue`, `cgroup2`.
    Kernel {
        /// The type.
        fstype: String,
    },
}

/// A program to run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Process {
    /// The program's path or name, then its arguments.
    pub args: Vec<Text>,
    /// `NAME=value` entries. A name without a slash is looked up in their `PATH`.
    pub env: Vec<Text>,
    /// Working directory.
    pub cwd: Text,
    /// As whom.
    pub user: User,
    /// Capabilities; `None`: all for uid 0, none for others.
    #[serde(default)]
    pub capabilities: Option<Capabilities>,
    /// Whether `execve` of set-user-id files and the like gains nothing.
    #[serde(default)]
    pub no_new_privs: bool,
    /// Whether the sentry makes a terminal for it; otherwise the streams are the host's.
    #[serde(default)]
    pub terminal: Option<Terminal>,
    /// Limits that differ from the sandbox's.
    #[serde(default)]
    pub rlimits: Vec<Rlimit>,
    /// File mode creation mask; `None`: 0o022.
    #[serde(default)]
    pub umask: Option<u32>,
    /// What the sandbox cannot see of its standard streams: input, output, error.
    #[serde(default)]
    pub streams: Vec<Stream>,
    /// Signals it starts with ignored, by Linux's numbers (`nohup`).
    #[serde(default)]
    pub ignored_signals: Vec<i32>,
}

/// A standard stream as its owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// It was closed; the descriptor beside the message only keeps its place.
    #[serde(default)]
    pub closed: bool,
    /// `O_*` flags of the description that was inherited (`F_GETFL`).
    pub flags: u32,
    /// Owner of the file.
    pub uid: u32,
    /// Group of the file.
    pub gid: u32,
    /// What `/proc/self/fd/N` leads to.
    pub path: Text,
}

/// A terminal of the sentry's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terminal {
    /// Rows of characters.
    pub rows: u16,
    /// Columns of characters.
    pub columns: u16,
}

/// Whom a process runs as.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum User {
    /// Numbers.
    Ids {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Supplementary groups.
        groups: Vec<u32>,
    },
    /// `NAME[:GROUP]` or `UID[:GROUP]`, looked up in the container's own `/etc/passwd`, `/etc/group`.
    Name(String),
}

impl Default for User {
    fn default() -> Self {
        Self::Ids { uid: 0, gid: 0, groups: Vec::new() }
    }
}

/// Capability sets as bit masks.
#[expect(missing_docs, reason = "fields are the names of capabilities(7)")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Capabilities {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub bounding: u64,
    pub ambient: u64,
}

/// A resource limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rlimit {
    /// Linux's number (`RLIMIT_NOFILE`).
    pub resource: u32,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// Bounds on a container.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Processors, in thousandths.
    pub cpu_millis: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// Whom a signal goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The container's first process.
    Init,
    /// Every process of the container.
    All,
    /// The foreground process group of the container's terminal; its first process where there is
    /// none.
    Foreground,
    /// One process, by its number in the container.
    Process(i32),
}

/// How a request went: the answer to its number. `Wait` and `Events` answer later, or often.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The request's number.
    pub id: RequestId,
    /// What came of it.
    pub result: Result<Reply, Refusal>,
}

/// What a request that succeeded gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done.
    Done,
    /// `Start`, `Exec`: the process number in the container.
    Started {
        /// The number.
        pid: i32,
    },
    /// `Wait`: the process has ended.
    Ended(Ended),
    /// `State`: the containers.
    Containers(Vec<ContainerState>),
    /// `Events`: something happened.
    Event(Event),
}

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// One line for people.
    pub message: String,
}

impl Refusal {
    /// A refusal with its line for people.
    #[must_use]
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Kinds of refusals, as far as clients act on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// No such container or process.
    NotFound,
    /// The name is taken.
    Exists,
    /// The container is not in the state this needs.
    State,
    /// The request makes no sense.
    Invalid,
    /// The program does not exist.
    NoProgram,
    /// The program cannot be executed.
    NotExecutable,
    /// The sandbox does not do this.
    Unsupported,
    /// Something else failed.
    Failed,
}

/// How a process ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit code, or the signal that killed it.
    pub status: Status,
    /// Why the sandbox ended it, when it did: `memory` and the like.
    pub reason: Option<String>,
}

/// An exit status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Status {
    /// The status as shells count it: the code, or 128 and the signal.
    #[must_use]
    pub const fn shell(self) -> i32 {
        match self {
            Self::Code(code) => code & 0xff,
            Self::Signal(signo) => 128 + signo,
        }
    }
}

/// One container, as `State` describes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContainerState {
    /// Its name.
    pub container: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// The number of its first process in the container.
    pub pid: Option<i32>,
    /// How its first process ended.
    pub ended: Option<Ended>,
}

/// Where in its life a container is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Made, not started.
    Created,
    /// Its first process runs.
    Running,
    /// Its first process is stopped by a signal.
    Stopped,
    /// Its first process has ended.
    Ended,
}

/// Something that happened in a sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The container it concerns.
    pub container: Option<String>,
    /// What happened.
    pub kind: EventKind,
}

/// Kinds of events.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A container's first process runs.
    Started,
    /// A container's first process was stopped by a signal (job control).
    Stopped {
        /// The signal.
        signo: i32,
    },
    /// A container's first process runs again.
    Continued,
    /// A container's first process has ended.
    Ended(Ended),
    /// A process was killed because the container ran out of memory.
    OutOfMemory,
    /// A guest used something Bevor lacks; told once per thing.
    Unsupported {
        /// What it was.
        what: String,
    },
}
