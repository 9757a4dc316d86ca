//! Open file descriptions (`open(2)`) and the operations behind them.

use crate::caller::Caller;
use crate::event::dnotify;
use crate::fasync::{AsyncList, Owner};
use crate::inode::InodeRef;
use crate::landlock;
use crate::locks;
use crate::meta::access_times;
use crate::mount::Path;
use crate::notify;
use crate::usage::{self, Use};
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EBADF, EINVAL, ENODEV, ENOTDIR, ENOTTY, EOPNOTSUPP, ESPIPE};
use bevor_abi::inotify::{IN_ACCESS, IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, IN_MODIFY, IN_OPEN};
use bevor_base::{Credentials, Ready, WaitQueue};
use bevor_memory::{IoDst, IoSrc, Mappable};
use parking_lot::{Mutex, MutexGuard};
use std::any::Any;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Flags of `open(2)`, the kernel's `O_*` bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// `O_ACCMODE`.
    pub const ACCMODE: u32 = 3;
    /// `O_APPEND`.
    pub const APPEND: u32 = 0o2000;
    /// `O_NONBLOCK`.
    pub const NONBLOCK: u32 = 0o4000;
    /// `O_PATH`.
    pub const PATH: u32 = 0o10_000_000;
    /// A description of the sentry's own, which watchers hear nothing of (`FMODE_NONOTIFY`). No call takes
    /// this bit from a guest.
    pub(crate) const UNSEEN: u32 = 0o400_000_000;
    /// `O_ASYNC`.
    pub const ASYNC: u32 = 0o20_000;
    /// The flags `fcntl(F_SETFL)` may change; [`File::set_async`] changes `O_ASYNC`.
    pub const SETFL: u32 = 0o2000 | 0o4000 | 0o40_000 | 0o1_000_000;

    /// Whether all bits of `flag` are set.
    #[must_use]
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag == flag
    }

    /// Whether reads are allowed.
    #[must_use]
    pub const fn readable(self) -> bool {
        matches!(self.0 & Self::ACCMODE, 0 | 2) && self.0 & Self::PATH == 0
    }

    /// Whether writes are allowed.
    #[must_use]
    pub const fn writable(self) -> bool {
        matches!(self.0 & Self::ACCMODE, 1 | 2) && self.0 & Self::PATH == 0
    }
}

/// One entry [`FileOps::read_dir`] reports.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// Name, without NUL.
    pub name: &'a [u8],
    /// Inode number.
    pub ino: u64,
    /// `DT_*`.
    pub dtype: u8,
    /// Position to continue from after this entry (`d_off`).
    pub next: u64,
}

/// Where [`FileOps::read_dir`] puts entries; answers whether there was room.
pub type DirSink<'a> = dyn FnMut(&DirEntry<'_>) -> bool + 'a;

/// How far [`FileOps::read_as`] got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadTurn {
    /// The call is over; these are the bytes it got this time.
    Done(usize),
    /// The call waits for more.
    More {
        /// Bytes it got this time.
        got: usize,
        /// How long it waits from now on, or from its beginning if it has got nothing this time.
        timeout_ns: Option<u64>,
    },
}

/// The position of files that keep it themselves; see [`FileOps::keeps_position`].
pub const HERE: u64 = u64::MAX;

/// Operations of an open file. One value per open file description.
///
/// None of these may block: where Linux would sleep they return `EAGAIN`, and the caller waits on
/// [`FileOps::wait_queue`] unless the description is non-blocking. `at` is the position; streams
/// ([`FileOps::is_stream`]) ignore it.
pub trait FileOps: Send + Sync + Any {
    /// Whether the file has no position (pipes, sockets, terminals, eventfd…).
    fn is_stream(&self) -> bool {
        false
    }

    /// Whether the position is kept elsewhere (a description of the host that others share). Reads
    /// and writes at the position then get [`HERE`].
    fn keeps_position(&self) -> bool {
        false
    }

    /// Reads into `dst`; 0 at the end of file.
    ///
    /// # Errors
    /// `EAGAIN` would block; `EINVAL` not readable in kind; `EISDIR`; `EIO`; `EFAULT`.
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, dst, at);
        Err(EINVAL.into())
    }

    /// Writes from `src`. With `O_APPEND` on a regular file `at` is [`u64::MAX`] and the operation
    /// finds the end itself, atomically; the new position comes from [`FileOps::end_after_append`].
    ///
    /// # Errors
    /// `EAGAIN`, `EPIPE`, `EFBIG`, `ENOSPC`, `EINVAL`, `EFAULT`.
    fn write(&self, file: &File, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, src, at);
        Err(EINVAL.into())
    }

    /// Reads on behalf of `caller`, for files whose reads depend on who makes them or wait for more
    /// than the first byte (terminals); `None` for all others, which [`FileOps::read`] serves. A
    /// call that has waited tells how many bytes it has got `before`.
    fn read_as(
        &self,
        file: &File,
        caller: &dyn Caller,
        dst: &mut IoDst<'_>,
        before: Option<u64>,
    ) -> Option<Result<ReadTurn, Errno>> {
        let _ = (file, caller, dst, before);
        None
    }

    /// Writes on behalf of `caller`, for the few files whose writes depend on who makes them
    /// (`/proc`); `None` for all others, which [`FileOps::write`] serves.
    fn write_as(
        &self,
        file: &File,
        caller: &dyn Caller,
        src: &mut IoSrc<'_>,
    ) -> Option<Result<usize, Errno>> {
        let _ = (file, caller, src);
        None
    }

    /// The position after an append of `written` bytes; the default is the size.
    fn end_after_append(&self, written: usize) -> u64 {
        let _ = written;
        self.size().unwrap_or(0)
    }

    /// Size in bytes, for `SEEK_END` and appends.
    ///
    /// # Errors
    /// `ESPIPE`, `EIO`.
    fn size(&self) -> Result<u64, Errno> {
        Err(EINVAL.into())
    }

    /// Moves the position. The default serves `SEEK_SET`, `SEEK_CUR`, `SEEK_END` and treats the
    /// whole file as data for `SEEK_DATA` and `SEEK_HOLE`.
    ///
    /// # Errors
    /// `ESPIPE`, `EINVAL`, `EOVERFLOW`, `ENXIO`.
    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        crate::file::seek_plain(at, offset, whence, || self.size())
    }

    /// Whether seeking this stream succeeds and does nothing (`noop_llseek`).
    fn stays_where_it_is(&self) -> bool {
        false
    }

    /// Reports directory entries from position `at` on (0 is the start; `.` and `..` included).
    /// Returns the position after the last entry the sink took.
    ///
    /// # Errors
    /// `ENOTDIR`, `ENOENT` (the directory was removed).
    fn read_dir(&self, at: u64, sink: &mut DirSink<'_>) -> Result<u64, Errno> {
        let _ = (at, sink);
        Err(ENOTDIR.into())
    }

    /// Current readiness. Regular files are always readable and writable.
    fn poll(&self) -> Ready {
        Ready::READABLE | Ready::WRITABLE
    }

    /// Readiness as `caller` finds it, for the few files that are about whoever asks (signalfd).
    fn poll_as(&self, caller: &dyn Caller) -> Ready {
        let _ = caller;
        self.poll()
    }

    /// The queue on which `task`, the kernel's own task object, waits for what it finds in
    /// [`FileOps::poll_as`].
    fn wait_queue_of(&self, task: &dyn Any) -> Option<WaitQueue> {
        let _ = task;
        self.wait_queue().cloned()
    }

    /// The queue woken when [`FileOps::poll`] may have changed; `None` if it never does, in which
    /// case `epoll_ctl` answers EPERM.
    fn wait_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// The list of those who are sent signals when [`FileOps::poll`] changes; `None` if `O_ASYNC`
    /// does nothing for files of this kind.
    fn async_list(&self) -> Option<&AsyncList> {
        None
    }

    /// The terminal whose foreground group gets the signals unless somebody is named; `None` for
    /// whoever set `O_ASYNC`.
    fn async_terminal(&self) -> Option<u64> {
        None
    }

    /// Told once `O_ASYNC` is set, for files that must be watched for it.
    fn async_set(&self) {}

    /// Told once, before the description gets its first owner (`F_SETOWN`).
    fn owner_made(&self, owner: &Arc<Owner>) {
        let _ = owner;
    }

    /// Told that somebody watches for edges (`EPOLLET`): the queue must from now on be woken at every
    /// event, not only after somebody looked and found nothing.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`: it cannot be watched.
    fn watched_for_edges(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// `ioctl(2)` beyond the generic ones (`FIONBIO`, `FIOCLEX`, `FIOASYNC`…).
    ///
    /// # Errors
    /// `ENOTTY` for commands it does not know; `EFAULT`, `EINVAL`.
    fn ioctl(&self, file: &File, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let _ = (file, caller, cmd, arg);
        Err(ENOTTY.into())
    }

    /// What a mapping of this file maps.
    ///
    /// # Errors
    /// `ENODEV`, `EACCES`.
    fn mappable(&self, file: &File) -> Result<Arc<dyn Mappable>, Errno> {
        let _ = file;
        Err(ENODEV.into())
    }

    /// How many pages of a range of bytes are in memory (`cachestat(2)`).
    ///
    /// # Errors
    /// `EOPNOTSUPP`: that is not known.
    fn cached_pages(&self, range: Range<u64>) -> Result<u64, Errno> {
        let _ = range;
        Err(EOPNOTSUPP.into())
    }

    /// How long a blocking read (or, with `sending`, write) waits: `SO_RCVTIMEO`, `SO_SNDTIMEO`.
    fn timeout_ns(&self, sending: bool) -> Option<u64> {
        let _ = sending;
        None
    }

    /// `fsync(2)`, `fdatasync(2)`.
    ///
    /// # Errors
    /// `EINVAL` for files without storage; `EIO`.
    fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        let _ = data_only;
        Err(EINVAL.into())
    }

    /// `fallocate(2)`; `mode` are `FALLOC_FL_*`.
    ///
    /// # Errors
    /// `ENODEV`, `EOPNOTSUPP`, `ENOSPC`, `EFBIG`, `ESPIPE` for pipes.
    fn fallocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let _ = (mode, offset, len);
        Err(ENODEV.into())
    }

    /// `ftruncate(2)`. The default goes through the inode.
    ///
    /// # Errors
    /// `EINVAL`, `EFBIG`, `EPERM`.
    fn truncate(&self, file: &File, size: u64) -> Result<(), Errno> {
        file.inode().set_attr(&crate::inode::SetAttr { size: Some(size), ..Default::default() })
    }

    /// Told on each `close(2)` of a descriptor (`flush` in the kernel).
    ///
    /// # Errors
    /// What `close` then returns: `EIO`, `ENOSPC`.
    fn flush(&self, file: &File) -> Result<(), Errno> {
        let _ = file;
        Ok(())
    }

    /// Told once, when the last descriptor of the description is gone.
    fn release(&self, file: &File) {
        let _ = file;
    }

    /// Told when status flags change through `F_SETFL`, `FIONBIO` or `FIOASYNC`.
    fn flags_changed(&self, file: &File) {
        let _ = file;
    }

    /// Lines for `/proc/PID/fdinfo/N` after the common ones.
    fn fdinfo(&self) -> String {
        String::new()
    }

    /// For downcasts (sockets, epoll, pipes, pidfd…).
    fn as_any(&self) -> &dyn Any;
}

/// Serves `SEEK_SET`, `SEEK_CUR`, `SEEK_END`, `SEEK_DATA` and `SEEK_HOLE` for a file without holes.
///
/// # Errors
/// `EINVAL` for a result out of range or an unknown `whence`; `ENXIO` for data or hole beyond the
/// end.
pub fn seek_plain(
    at: u64,
    offset: i64,
    whence: u32,
    size: impl Fn() -> Result<u64, Errno>,
) -> Result<u64, Errno> {
    use bevor_abi::errno::ENXIO;
    let base = match whence {
        0 => 0,
        1 => at,
        2 => size()?,
        3 | 4 => {
            let size = size()?;
            return match u64::try_from(offset) {
                Ok(offset) if offset < size => Ok(if whence == 3 { offset } else { size }),
                _ => Err(ENXIO.into()),
            };
        }
        _ => return Err(EINVAL.into()),
    };
    let base = i64::try_from(base).map_err(|_| EINVAL)?;
    let target = base.checked_add(offset).ok_or(EINVAL)?;
    u64::try_from(target).map_err(|_| EINVAL.into())
}

/// Checks that a transfer of `count` bytes at `at` ends at an offset that exists; [`HERE`] passes.
fn check_end(at: u64, count: u64) -> Result<(), Errno> {
    match at.checked_add(count) {
        Some(end) if i64::try_from(end).is_ok() => Ok(()),
        _ if at == HERE => Ok(()),
        _ => Err(EINVAL.because("beyond the largest offset")),
    }
}

static NEXT_FILE: AtomicU64 = AtomicU64::new(1);

/// An open file description: what descriptors refer to and `fork`, `dup` and `SCM_RIGHTS` share.
pub struct File {
    /// Unique in the sandbox; what saved records and lock owners name.
    id: u64,
    ops: Box<dyn FileOps>,
    /// The path it was opened by; anonymous files have one on the internal mount.
    path: Path,
    flags: AtomicU32,
    position: Mutex<u64>,
    /// Whether the description may own locks, to be dropped with it.
    has_locks: AtomicBool,
    /// What it is counted as among the users of its inode.
    counted: Mutex<Option<Use>>,
    /// The `open(2)` that made it still waits; watchers have not been told of it.
    opening: AtomicBool,
    /// `fcntl(F_SETOWN, F_SETSIG)`: who gets `SIGIO`.
    owner: OnceLock<Arc<Owner>>,
    /// Who opened it by a path, and may link it by the descriptor alone.
    opener: OnceLock<Arc<Credentials>>,
    /// Landlock rights it was opened with.
    rights: AtomicU64,
}

impl File {
    /// Makes a description. `flags` keep what `F_GETFL` shows: access mode and status flags.
    #[must_use]
    pub fn new(ops: Box<dyn FileOps>, path: Path, flags: OpenFlags) -> Arc<Self> {
        // O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC and O_CLOEXEC are not part of the description.
        path.dentry.file_made();
        let kept = flags.0 & !(0o100 | 0o200 | 0o400 | 0o1000 | 0o2_000_000);
        Arc::new(Self {
            id: NEXT_FILE.fetch_add(1, Ordering::Relaxed),
            ops,
            path,
            flags: AtomicU32::new(kept),
            position: Mutex::new(0),
            has_locks: AtomicBool::new(false),
            counted: Mutex::new(None),
            opening: AtomicBool::new(false),
            owner: OnceLock::new(),
            opener: OnceLock::new(),
            rights: AtomicU64::new(landlock::UNCONFINED),
        })
    }

    /// Notes what the domain of its opener lets it be used for.
    pub fn set_rights(&self, rights: u64) {
        self.rights.store(rights, Ordering::Relaxed);
    }

    /// Checks a Landlock right that counts after the opening.
    ///
    /// # Errors
    /// `EACCES`.
    pub fn check_right(&self, right: u64) -> Result<(), Errno> {
        let granted = self.rights.load(Ordering::Relaxed) & right != 0;
        if granted { Ok(()) } else { Err(EACCES.because("Landlock, when it was opened")) }
    }

    /// Notes that `open(2)` goes on waiting for a fifo's other end.
    pub(crate) fn is_opening(&self) {
        self.opening.store(true, Ordering::Relaxed);
    }

    /// `open(2)` is done with waiting, if it had to.
    pub fn opened(&self) {
        if self.opening.swap(false, Ordering::Relaxed) {
            notify::file(self, IN_OPEN);
        }
    }

    /// Counts the description among those that may write.
    ///
    /// # Errors
    /// `ETXTBSY` while a program is run from the file; `EROFS` if the mount became read-only.
    pub(crate) fn count_writer(&self) -> Result<(), Errno> {
        self.path.mount.writer_came()?;
        let counted = self.count(Use::Write);
        if counted.is_err() {
            self.path.mount.writer_left();
        }
        counted
    }

    /// Keeps others from opening the file for writing while this description, from which a program
    /// is run, lives.
    ///
    /// # Errors
    /// `ETXTBSY` while it is open for writing.
    pub fn deny_writes(&self) -> Result<(), Errno> {
        self.count(Use::Run)
    }

    fn count(&self, kind: Use) -> Result<(), Errno> {
        let mut counted = self.counted.lock();
        if counted.is_none() {
            usage::begin(self.inode(), kind)?;
            *counted = Some(kind);
        }
        Ok(())
    }

    /// Notes who opened the file.
    pub(crate) fn set_opener(&self, cred: Arc<Credentials>) {
        // Only set where the description is made.
        let _ = self.opener.set(cred);
    }

    /// Whether `cred` is what the file was opened with.
    #[must_use]
    pub fn was_opened_with(&self, cred: &Arc<Credentials>) -> bool {
        self.opener.get().is_some_and(|opener| Arc::ptr_eq(opener, cred))
    }

    /// Notes that the description may own locks.
    pub(crate) fn note_locks(&self) {
        self.has_locks.store(true, Ordering::Release);
    }

    /// Unique number of the description.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The operations.
    #[must_use]
    pub fn ops(&self) -> &dyn FileOps {
        &*self.ops
    }

    /// The operations as their own type, if they are a `T`.
    #[must_use]
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        self.ops.as_any().downcast_ref()
    }

    /// The path it was opened by.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.path
    }

    /// Its inode.
    #[must_use]
    pub fn inode(&self) -> &InodeRef {
        self.path.inode()
    }

    /// Access mode and status flags (`F_GETFL`).
    #[must_use]
    pub fn flags(&self) -> OpenFlags {
        OpenFlags(self.flags.load(Ordering::Relaxed))
    }

    /// Replaces the status flags `F_SETFL` may change.
    pub fn set_status(&self, flags: OpenFlags) {
        let keep = self.flags.load(Ordering::Relaxed) & !OpenFlags::SETFL;
        self.flags.store(keep | (flags.0 & OpenFlags::SETFL), Ordering::Relaxed);
        self.ops.flags_changed(self);
    }

    /// Who gets `SIGIO` (`F_SETOWN`, `F_SETSIG`).
    pub fn owner(&self) -> &Arc<Owner> {
        self.owner.get_or_init(|| {
            let owner = Arc::default();
            self.ops.owner_made(&owner);
            owner
        })
    }

    /// The same, if anybody has ever asked for it.
    #[must_use]
    pub fn known_owner(&self) -> Option<&Arc<Owner>> {
        self.owner.get()
    }

    /// Sets or clears `O_ASYNC` for a program that knows the description as `fd`. Answers whether
    /// files of this kind have it.
    pub fn set_async(&self, fd: i32, on: bool) -> bool {
        let Some(list) = self.ops.async_list() else { return false };
        if on {
            list.add(self, fd);
            self.flags.fetch_or(OpenFlags::ASYNC, Ordering::Relaxed);
            self.ops.async_set();
        } else {
            list.remove(self);
            self.flags.fetch_and(!OpenFlags::ASYNC, Ordering::Relaxed);
        }
        true
    }

    /// Whether operations must not wait.
    #[must_use]
    pub fn nonblocking(&self) -> bool {
        self.flags().has(OpenFlags::NONBLOCK)
    }

    /// Locks the position (`f_pos_lock`).
    pub fn position(&self) -> MutexGuard<'_, u64> {
        self.position.lock()
    }

    /// `read(2)`, `readv(2)`: reads at the position and advances it.
    ///
    /// # Errors
    /// `EBADF` if not open for reading; what [`FileOps::read`] says.
    pub fn read(&self, dst: &mut IoDst<'_>) -> Result<usize, Errno> {
        if !self.flags().readable() {
            return Err(EBADF.into());
        }
        if self.ops.is_stream() {
            let done = self.ops.read(self, dst, 0)?;
            if done > 0 {
                notify::file(self, IN_ACCESS);
            }
            return Ok(done);
        }
        let mut position = self.position.lock();
        let at = if self.ops.keeps_position() { HERE } else { *position };
        check_end(at, dst.remaining())?;
        let done = self.ops.read(self, dst, at)?;
        *position += done as u64;
        drop(position);
        self.was_read(done);
        Ok(done)
    }

    /// `read(2)` on behalf of `caller`, if the file wants to know who calls; see
    /// [`FileOps::read_as`].
    pub fn read_as(
        &self,
        caller: &dyn Caller,
        dst: &mut IoDst<'_>,
        before: Option<u64>,
    ) -> Option<Result<ReadTurn, Errno>> {
        let result = self.ops.read_as(self, caller, dst, before)?;
        if matches!(result, Ok(ReadTurn::Done(_))) {
            notify::file(self, IN_ACCESS);
        }
        Some(result)
    }

    /// Moves the access time and tells watchers, after a read.
    fn was_read(&self, bytes: usize) {
        self.inode().accessed(access_times(&self.path, self.flags()));
        if bytes > 0 {
            notify::file(self, IN_ACCESS);
        }
    }

    /// `getdents64(2)`: reports entries from the position on and moves it.
    ///
    /// # Errors
    /// `EBADF` for `O_PATH`; what [`FileOps::read_dir`] says.
    pub fn read_dir(&self, sink: &mut DirSink<'_>) -> Result<(), Errno> {
        if self.flags().has(OpenFlags::PATH) {
            return Err(EBADF.into());
        }
        let mut position = self.position.lock();
        *position = self.ops.read_dir(*position, sink)?;
        drop(position);
        self.inode().accessed(access_times(&self.path, self.flags()));
        notify::file(self, IN_ACCESS);
        Ok(())
    }

    /// `pread64(2)`, `preadv(2)`.
    ///
    /// # Errors
    /// `ESPIPE` for streams, and as [`File::read`].
    pub fn read_at(&self, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        if self.ops.is_stream() {
            return Err(ESPIPE.into());
        }
        if !self.flags().readable() {
            return Err(EBADF.into());
        }
        check_end(at, dst.remaining())?;
        let done = self.ops.read(self, dst, at)?;
        self.was_read(done);
        Ok(done)
    }

    /// `write(2)`, `writev(2)`: writes at the position, or the end with `O_APPEND`.
    ///
    /// # Errors
    /// `EBADF` if not open for writing; what [`FileOps::write`] says.
    pub fn write(&self, src: &mut IoSrc<'_>) -> Result<usize, Errno> {
        self.write_here(src, self.flags().has(OpenFlags::APPEND))
    }

    /// As [`File::write`]; `append` takes the place of `O_APPEND` (`RWF_APPEND`, `RWF_NOAPPEND`).
    ///
    /// # Errors
    /// As [`File::write`].
    pub fn write_here(&self, src: &mut IoSrc<'_>, append: bool) -> Result<usize, Errno> {
        if !self.flags().writable() {
            return Err(EBADF.into());
        }
        if self.ops.is_stream() {
            let done = self.ops.write(self, src, 0)?;
            self.tell_written(done);
            return Ok(done);
        }
        let mut position = self.position.lock();
        let done;
        if self.ops.keeps_position() {
            done = self.ops.write(self, src, HERE)?;
        } else if append {
            done = self.ops.write(self, src, u64::MAX)?;
            // A write of nothing does not even look for the end.
            if done > 0 {
                *position = self.ops.end_after_append(done);
            }
        } else {
            check_end(*position, src.remaining())?;
            done = self.ops.write(self, src, *position)?;
            *position += done as u64;
        }
        drop(position);
        self.tell_written(done);
        Ok(done)
    }

    fn tell_written(&self, bytes: usize) {
        if bytes > 0 {
            notify::file(self, IN_MODIFY);
        }
    }

    /// `pwrite64(2)`, `pwritev(2)`. As on Linux, `O_APPEND` appends whatever `at` says.
    ///
    /// # Errors
    /// `ESPIPE` for streams, and as [`File::write`].
    pub fn write_at(&self, src: &mut IoSrc<'_>, at: u64) -> Result<usize, Errno> {
        self.write_there(src, at, self.flags().has(OpenFlags::APPEND))
    }

    /// As [`File::write_at`]; `append` takes the place of `O_APPEND`.
    ///
    /// # Errors
    /// As [`File::write_at`].
    pub fn write_there(&self, src: &mut IoSrc<'_>, at: u64, append: bool) -> Result<usize, Errno> {
        if self.ops.is_stream() {
            return Err(ESPIPE.into());
        }
        if !self.flags().writable() {
            return Err(EBADF.into());
        }
        let at = if append { u64::MAX } else { at };
        check_end(at, src.remaining())?;
        let done = self.ops.write(self, src, at)?;
        self.tell_written(done);
        Ok(done)
    }

    /// `lseek(2)`.
    ///
    /// # Errors
    /// `ESPIPE` for streams; what [`FileOps::seek`] says.
    pub fn seek(&self, offset: i64, whence: u32) -> Result<u64, Errno> {
        if self.flags().has(OpenFlags::PATH) {
            return Err(EBADF.into());
        }
        if self.ops.stays_where_it_is() {
            return Ok(*self.position.lock());
        }
        if self.ops.is_stream() {
            return Err(ESPIPE.into());
        }
        let mut position = self.position.lock();
        *position = self.ops.seek(*position, offset, whence)?;
        Ok(*position)
    }

    /// Readiness, limited to what the access mode can use.
    #[must_use]
    pub fn poll(&self) -> Ready {
        self.ops.poll()
    }

    /// Readiness as `caller` finds it.
    #[must_use]
    pub fn poll_as(&self, caller: &dyn Caller) -> Ready {
        self.ops.poll_as(caller)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let closed = if self.flags().writable() { IN_CLOSE_WRITE } else { IN_CLOSE_NOWRITE };
        if !*self.opening.get_mut() {
            notify::file(self, closed);
        }
        if self.path.dentry.file_gone() {
            notify::maybe_gone(&self.path.dentry);
        }
        if let Some(kind) = self.counted.get_mut().take() {
            usage::end(self.path.inode(), kind);
            if kind == Use::Write {
                self.path.mount.writer_left();
            }
        }
        if self.flags().has(OpenFlags::ASYNC)
            && let Some(list) = self.ops.async_list()
        {
            list.remove(self);
        }
        dnotify::gone(self);
        if *self.has_locks.get_mut() {
            locks::description_gone(self);
        }
        self.ops.release(self);
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File#{}", self.id)
    }
}
