//! What the threads of a gofer share, and how a request finds its handler.
//!
//! Lock order:
//! ```text
//! Device::moving    names of one file system are being moved or removed (two: by number)
//!   table           the handles; held across no host call but close
//! streams, locks    listings under way, files locked; never held across a host call
//! ```

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_gofer_protocol::codec::{Malformed, Reader, Writer};
use bevor_gofer_protocol::service::{Ended, Service};
use bevor_gofer_protocol::wire::{Op, WireHandle};
use parking_lot::Mutex;

use crate::config::RootConfig;
use crate::host::{self, SelfFd};
use crate::moves::Moves;
use crate::ops::{self, Locks, Streams};
use crate::root::Root;
use crate::table::{Found, Id, Identity, NodeInfo, Table};

/// Handles a sentry can hold unless configured otherwise: at most 250 MB of table.
pub const MAX_HANDLES: usize = 1 << 20;

/// Why a request is not answered with success.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file system says no.
    Errno(Errno),
    /// The message makes no sense: the connection ends.
    Malformed(Malformed),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<bevor_abi::Code> for Fault {
    #[track_caller]
    fn from(code: bevor_abi::Code) -> Self {
        Self::Errno(code.into())
    }
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What a handler answers beside the bytes it wrote: a descriptor to donate.
pub(crate) type Answer = Result<Option<OwnedFd>, Fault>;

/// The state of a gofer.
#[derive(Debug)]
pub struct Server {
    /// The handles.
    pub(crate) table: Mutex<Table>,
    /// Moves of names under way.
    pub(crate) moves: Moves,
    /// Listings under way.
    pub(crate) streams: Streams,
    /// Files locked on the host.
    pub(crate) locks: Locks,
    /// What is served.
    pub(crate) roots: Vec<Root>,
    /// The way to open an `O_PATH` descriptor.
    pub(crate) self_fd: SelfFd,
    /// The user new files belong to.
    pub(crate) uid: u32,
}

/// Bounds of what a sentry can make a gofer hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Handles.
    pub handles: usize,
    /// `O_PATH` descriptors.
    pub descriptors: usize,
}

impl Server {
    /// Serves `roots`, each an `O_PATH` descriptor with its options.
    ///
    /// # Errors
    /// Those of looking at the roots.
    pub(crate) fn new(
        roots: Vec<(OwnedFd, RootConfig)>,
        self_fd: SelfFd,
        limits: Limits,
    ) -> Result<Self, Errno> {
        use std::os::fd::AsFd;

        let mut table = Table::new(limits.handles, limits.descriptors);
        let mut served = Vec::new();
        for (number, (fd, config)) in roots.into_iter().enumerate() {
            let fd = Arc::new(fd);
            let identity = Identity::of(&host::statx(fd.as_fd(), c"")?);
            let info = NodeInfo { root: number, identity, boundary: false, hidden: None };
            let id = table.add_root(info, Arc::clone(&fd))?;
            let mut root = Root::new(&config, id, fd);
            table.set_hidden(id, root.hidden.clone());
            root.hidden_files = hidden_files(&root, &config);
            served.push(root);
        }
        Ok(Self {
            table: Mutex::new(table),
            moves: Moves::default(),
            streams: Streams::default(),
            locks: Locks::new(limits.descriptors / 4),
            roots: served,
            self_fd,
            uid: host::effective_uid(),
        })
    }

    /// Serves `roots` in a process that is not confined, as tests and benches do. Clears the
    /// umask of the process.
    ///
    /// # Errors
    /// Those of looking at the roots and of opening `/proc/self/fd`.
    pub fn unconfined(roots: Vec<(OwnedFd, RootConfig)>, limits: Limits) -> Result<Self, Errno> {
        host::clear_umask();
        Self::new(roots, SelfFd::open()?, limits)
    }

    /// Answers requests until the channel ends. For any number of threads.
    pub fn serve(&self, service: &Service) -> Ended {
        let mut message = Vec::new();
        let mut reply = Writer::new();
        loop {
            let request = match service.next(&mut message) {
                Ok(request) => request,
                Err(ended) => return ended,
            };
            reply.clear();
            let (body, closes) = request.split(&message);
            self.table.lock().close(closes.map(Id::from_wire));
            let mut files = Vec::new();
            let sent = match self.handle(request.op, body, &mut reply, &mut files) {
                Ok(fd) => {
                    use std::os::fd::AsFd;
                    let fds: Vec<_> = files.iter().chain(&fd).map(AsFd::as_fd).collect();
                    service.reply(request, 0, reply.message(), &fds)
                }
                Err(Fault::Errno(errno)) => service.reply(request, errno.code.0.into(), &[], &[]),
                Err(Fault::Malformed(malformed)) => {
                    return service.end(malformed.into());
                }
            };
            if let Err(ended) = sent {
                return ended;
            }
        }
    }

    /// Answers a request; several descriptors to be donated go to `files`.
    fn handle(
        &self,
        op: Op,
        message: &[u8],
        reply: &mut Writer,
        files: &mut Vec<OwnedFd>,
    ) -> Answer {
        let mut request = Reader::new(message);
        let request = &mut request;
        match op {
            Op::Hello => ops::hello(self, request, reply),
            Op::Walk => ops::walk(self, request, reply),
            Op::GetAttr => ops::getattr(self, request, reply),
            Op::Open => ops::open(self, request, reply),
            Op::OpenFiles => ops::open_files(self, request, reply, files),
            Op::ReadDir => ops::readdir(self, request, reply),
            Op::ReadLink => ops::readlink(self, request, reply),
            Op::SetAttr => ops::setattr(self, request, reply),
            Op::Create => ops::create(self, request, reply),
            Op::MkDir => ops::mkdir(self, request, reply),
            Op::MkNod => ops::mknod(self, request, reply),
            Op::Symlink => ops::symlink(self, request, reply),
            Op::Link => ops::link(self, request, reply),
            Op::Unlink => ops::unlink(self, request, reply),
            Op::Rename => ops::rename(self, request, reply),
            Op::StatFs => ops::statfs(self, request, reply),
            Op::Sync => ops::sync(self, request),
            Op::GetXattr => ops::getxattr(self, request, reply),
            Op::SetXattr => ops::setxattr(self, request),
            Op::ListXattr => ops::listxattr(self, request, reply),
            Op::RemoveXattr => ops::removexattr(self, request),
            // Every request gives handles back; this one does nothing else.
            Op::Close => request.end().map(|()| None).map_err(Fault::from),
            Op::Connect => ops::connect(self, request, reply),
            Op::Bind => ops::bind(self, request, reply),
            Op::Read => ops::read(self, request, reply),
            Op::Write => ops::write(self, request, reply),
            Op::Lock => ops::lock(self, request),
            Op::GetLock => ops::get_lock(self, request, reply),
        }
    }

    /// The root a handle lies in.
    ///
    /// # Errors
    /// ESTALE, which cannot happen for a handle of the table.
    pub(crate) fn root_of(&self, found: &Found) -> Result<&Root, Errno> {
        self.roots.get(found.info.root).ok_or_else(|| bevor_abi::errno::ESTALE.into())
    }

    /// Looks a handle up in the table.
    ///
    /// # Errors
    /// ESTALE when the sentry does not hold it.
    pub(crate) fn find(&self, handle: WireHandle) -> Result<Found, Errno> {
        self.table.lock().get(Id::from_wire(handle))
    }
}

/// Which files the hidden paths of a root are now.
fn hidden_files(root: &Root, config: &RootConfig) -> std::collections::HashSet<(u64, u64)> {
    use std::os::fd::AsFd;

    let mut files = std::collections::HashSet::new();
    'paths: for path in &config.hidden {
        let mut at = Arc::clone(&root.fd);
        for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
            let opened = host::Name::new(name.as_bytes()).and_then(|name| {
                let mounts = host::Mounts::Cross;
                host::open_beneath(at.as_fd(), name.as_c(), libc::O_PATH, 0, mounts)
            });
            match opened {
                Ok(fd) => at = Arc::new(fd),
                // What is not there now is hidden by its path alone.
                Err(_) => continue 'paths,
            }
        }
        if let Ok(found) = host::statx(at.as_fd(), c"") {
            let identity = Identity::of(&found);
            files.insert((identity.dev, identity.ino));
        }
    }
    files
}
