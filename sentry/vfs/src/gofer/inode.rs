//! Inodes of the gofer's files.

use crate::acl::{self, Acl, AclKind};
use crate::caller::Caller;
use crate::file::{FileOps, OpenFlags};
use crate::gofer::dir::GoferDir;
use crate::gofer::file::GoferFile;
use crate::gofer::listing::{Known, Remembered};
use crate::gofer::open::Descriptors;
use crate::gofer::room::{Kept, Room};
use crate::gofer::{FileKey, GoferFs, Sharing};
use crate::host::calls;
use crate::inode::{
    Attr, BoundResult, CachePolicy, FileTime, FileType, FsStat, HostPeer, Inode, InodeRef, NewAttr,
    NewNode, S_IALLUGO, SetAttr,
};
use crate::locks::HostLocks;
use crate::pipe::FifoNode;
use bevor_abi::Errno;
use bevor_abi::errno::{
    EEXIST, EIO, ENFILE, ENODATA, ENOENT, ENXIO, EOPNOTSUPP, EPERM, ESTALE, EXDEV,
};
use bevor_abi::fcntl::{AT_REMOVEDIR, O_RDWR, O_TMPFILE, RENAME_EXCHANGE};
use bevor_abi::stat::{S_ISGID, S_ISUID};
use bevor_base::clock::monotonic_ns;
use bevor_base::{Credentials, UserNamespace};
use bevor_gofer_protocol::client::{Created, MakeArgs, SetAttrArgs, TimeChange, WalkStop};
use bevor_gofer_protocol::wire::{RootFlags, SyncKind};
use bevor_gofer_protocol::{Attr as WireAttr, AttrFlags, Device, Handle, Time};
use bevor_memory::{MappingSet, next_mappable_id};
use parking_lot::{Mutex, RwLock};
use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// How long attributes of a shared file may wait for their one use.
const FRESH_NS: u64 = 1_000_000;
/// Extended attributes that are asked for often and seldom there: by every `execve`, by `ls` for each file.
const RARE_XATTRS: [&[u8]; 3] = [b"security.capability", b"security.selinux", acl::DEFAULT_NAME];
/// Somebody wrote an extended attribute: the gofer is always asked.
const ASK: u8 = 1 << 7;
/// Nanoseconds a second has.
const NSEC_PER_SEC: u64 = 1_000_000_000;

/// A file of the host.
pub struct GoferInode {
    pub(super) fs: Arc<GoferFs>,
    /// This inode, for the children that are found in it.
    this: Weak<Self>,
    pub(super) way: RwLock<Way>,
    pub(super) key: FileKey,
    birth: Time,
    kind: FileType,
    dev: u64,
    pub(super) attr: RwLock<WireAttr>,
    /// The file changed since its attributes were read, its size excepted.
    changed: AtomicBool,
    /// When its attributes were read and not used since, `CLOCK_MONOTONIC`; else 0.
    read_at_ns: AtomicU64,
    /// One bit for each of [`RARE_XATTRS`] the file was seen to lack, where nobody else changes it; or [`ASK`].
    lacks: AtomicU8,
    /// Its access list as read before, where nobody else changes it.
    access_acl: OnceLock<Option<Arc<Acl>>>,
    /// Target of a symbolic link, once read.
    target: Mutex<Option<Vec<u8>>>,
    /// Host descriptors, shared by all that have the file open: for reading, and for both.
    pub(super) descriptors: Mutex<Descriptors>,
    /// How many descriptions have it open.
    pub(super) open: AtomicUsize,
    /// In the list of those nothing has open.
    pub(super) listed: AtomicBool,
    /// Opened again since it was put into that list.
    pub(super) used: AtomicBool,
    /// In the list of those that have a content.
    pub(super) has_queued_content: AtomicBool,
    /// Of a directory: its entries.
    pub(super) remembered: Mutex<Remembered>,
    pub(super) mappings: MappingSet,
    pub(super) mappable_id: u64,
    /// Held while locks that reach others on the host change.
    pub(super) lock_changes: Mutex<()>,
    /// What a fifo's openers share.
    fifo: FifoNode,
}

/// How the gofer is told which file is meant.
#[derive(Clone)]
pub(super) enum Way {
    /// By the handle of the name it was found by last.
    Handle(Arc<Handle>),
    /// By its name in a directory, for which there is no handle yet: a listing said what it is. Never
    /// a directory itself.
    Name(Arc<GoferInode>, Box<[u8]>),
}

pub(super) fn file_time(time: Time) -> FileTime {
    FileTime { sec: time.sec, nsec: u32::try_from(time.nsec % NSEC_PER_SEC).unwrap_or(0) }
}

fn wire_time(time: FileTime) -> TimeChange {
    TimeChange::To(Time { sec: time.sec, nsec: u64::from(time.nsec) })
}

impl GoferInode {
    /// `None` for a file of no known kind.
    pub(super) fn new(
        fs: Arc<GoferFs>,
        way: Way,
        attr: &WireAttr,
        dev: u64,
        target: Option<Vec<u8>>,
    ) -> Option<Arc<Self>> {
        let kind = FileType::from_mode(attr.mode)?;
        Some(Arc::new_cyclic(|this| Self {
            fs,
            this: this.clone(),
            way: RwLock::new(way),
            key: FileKey::of(attr),
            birth: attr.btime,
            kind,
            dev,
            attr: RwLock::new(*attr),
            changed: AtomicBool::new(false),
            read_at_ns: AtomicU64::new(monotonic_ns()),
            lacks: AtomicU8::new(0),
            access_acl: OnceLock::new(),
            target: Mutex::new(target),
            descriptors: Mutex::default(),
            open: AtomicUsize::new(0),
            listed: AtomicBool::new(false),
            used: AtomicBool::new(false),
            has_queued_content: AtomicBool::new(false),
            remembered: Mutex::default(),
            mappings: MappingSet::default(),
            mappable_id: next_mappable_id(),
            lock_changes: Mutex::default(),
            fifo: FifoNode::default(),
        }))
    }

    /// Whether `attr` is of this file and not of a later one with its number.
    pub(super) fn same_birth(&self, attr: &WireAttr) -> bool {
        self.birth == attr.btime && FileType::from_mode(attr.mode) == Some(self.kind)
    }

    /// Its handle, asked for if there is none yet.
    pub(super) fn handle(&self) -> Result<Arc<Handle>, Errno> {
        match &*self.way.read() {
            Way::Handle(handle) => return Ok(handle.clone()),
            Way::Name(..) => {}
        }
        self.find(None).map(|(handle, _)| handle)
    }

    /// Finds the file by its name; with `O_*` flags opens it, too.
    pub(super) fn find(&self, open: Option<u32>) -> Result<(Arc<Handle>, Option<OwnedFd>), Errno> {
        let way = self.way.read().clone();
        let Way::Name(dir, name) = way else { return Ok((self.handle()?, None)) };
        let (dir, names) = (dir.handle()?, [&*name]);
        let mut walk = match open {
            Some(flags) => self.fs.client.walk_open(&dir, &names, flags)?,
            None => self.fs.client.walk(&dir, &names)?,
        };
        if let WalkStop::Symlink(target) = walk.stop {
            *self.target.lock() = Some(target);
        }
        let node = walk.nodes.pop().ok_or_else(|| ESTALE.because("gone since it was listed"))?;
        if FileKey::of(&node.attr) != self.key || !self.same_birth(&node.attr) {
            return Err(ESTALE.because("something else since it was listed"));
        }
        let handle = Arc::new(node.handle);
        *self.way.write() = Way::Handle(handle.clone());
        Ok((handle, walk.file.transpose()?))
    }

    /// The file was found once more, perhaps by another name; the old one may be gone.
    pub(super) fn found_again(&self, way: Way, attr: &WireAttr) {
        if matches!(way, Way::Name(..)) {
            return; // from a listing, which knows nothing that is not known here
        }
        let old = std::mem::replace(&mut *self.way.write(), way);
        drop(old);
        self.refresh(attr);
    }

    pub(super) fn refresh(&self, attr: &WireAttr) {
        self.changed.store(false, Ordering::Release);
        *self.attr.write() = *attr;
        self.read_at_ns.store(monotonic_ns(), Ordering::Release);
    }

    /// Whether the attributes were read just now, for what they are asked for next: a path walk
    /// reads them when it checks a name, and then asks for permission.
    fn is_fresh(&self) -> bool {
        let read_at = self.read_at_ns.swap(0, Ordering::AcqRel);
        read_at != 0 && monotonic_ns().saturating_sub(read_at) < FRESH_NS
    }

    /// Notes that its attributes must be read again when they are next asked for.
    fn change(&self) {
        self.changed.store(true, Ordering::Release);
        self.fs.listings.changed();
    }

    /// Notes that it moved.
    fn went_to(&self, dir: &Self, name: &[u8]) {
        if let Way::Name(at, old) = &mut *self.way.write()
            && let Some(dir) = dir.this.upgrade()
        {
            *at = dir;
            *old = name.into();
        }
        self.change();
    }

    /// Notes that one of its names is gone.
    fn lost_link(&self) {
        let mut attr = self.attr.write();
        attr.nlink = attr.nlink.saturating_sub(1);
        drop(attr);
        self.change();
        if self.open.load(Ordering::Acquire) == 0 {
            self.close_idle();
        }
    }

    /// Attributes: cached if nobody else changes the file.
    fn current(&self) -> Result<WireAttr, Errno> {
        let changed = self.changed.swap(false, Ordering::AcqRel);
        if self.fs.sharing == Sharing::Exclusive {
            if !changed {
                return Ok(*self.attr.read());
            }
            if let Some(attr) = self.ask_descriptor() {
                return Ok(attr);
            }
        } else if self.is_fresh() && !changed {
            return Ok(*self.attr.read());
        }
        match self.handle().and_then(|handle| self.fs.client.getattr(&handle)) {
            Ok(attr) => {
                *self.attr.write() = attr;
                Ok(attr)
            }
            // A file that lost its last name while the gofer had no descriptor for it.
            Err(errno) if errno == ESTALE && self.attr.read().nlink == 0 => {
                Ok(self.ask_descriptor().unwrap_or_else(|| *self.attr.read()))
            }
            Err(errno) => Err(errno),
        }
    }

    /// What the kept descriptor, if there is one, says of what changes with contents and names.
    fn ask_descriptor(&self) -> Option<WireAttr> {
        let fd = {
            let descriptors = self.descriptors.lock();
            let kept = descriptors.write.as_ref().or(descriptors.read.as_ref());
            kept.map(Kept::fd)
        };
        let stat = calls::stat(fd?.as_fd()).ok()?;
        let time = |sec, nsec: i64| Time { sec, nsec: nsec.cast_unsigned() };
        let mut attr = self.attr.write();
        attr.size = stat.st_size.cast_unsigned();
        attr.blocks = stat.st_blocks.cast_unsigned();
        attr.nlink = u32::try_from(stat.st_nlink).unwrap_or(u32::MAX);
        attr.atime = time(stat.st_atime, stat.st_atime_nsec);
        attr.mtime = time(stat.st_mtime, stat.st_mtime_nsec);
        attr.ctime = time(stat.st_ctime, stat.st_ctime_nsec);
        Some(*attr)
    }

    /// Notes that contents were written up to `end`.
    pub(super) fn written(&self, end: u64) {
        let mut attr = self.attr.write();
        attr.size = attr.size.max(end);
        drop(attr);
        self.change();
    }

    /// Notes that contents end at `size` now.
    pub(super) fn resized(&self, size: u64) {
        let mut attr = self.attr.write();
        let old = std::mem::replace(&mut attr.size, size);
        drop(attr);
        self.change();
        if size < old {
            self.mappings.invalidate(self.mappable_id, size..u64::MAX);
        }
    }

    /// Gives a file its set-ID bits back that the host took for a write: it takes the sentry for one
    /// who may not keep them. A guest that may not has taken them away itself before.
    pub(super) fn keep_set_ids(&self) -> Result<(), Errno> {
        let mode = self.attr.read().mode;
        if mode & (S_ISUID | S_ISGID) == 0 {
            return Ok(());
        }
        let args = SetAttrArgs { mode: Some(mode & S_IALLUGO), ..SetAttrArgs::default() };
        let attr = self.fs.client.setattr(&*self.handle()?, &args)?;
        self.refresh(&attr);
        Ok(())
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> Result<u64, Errno> {
        match self.fs.sharing {
            Sharing::Exclusive => Ok(self.cached_size()),
            Sharing::Shared => Ok(self.current()?.size),
        }
    }

    pub(super) fn cached_size(&self) -> u64 {
        self.attr.read().size
    }

    /// Notes that an entry of this directory was made, removed or moved.
    fn entry_changed(&self, name: &[u8]) {
        self.changed.store(true, Ordering::Release);
        self.fs.listings.name_changed(self, name);
    }

    fn made(
        &self,
        name: &[u8],
        created: Created,
        target: Option<Vec<u8>>,
    ) -> Result<Arc<Self>, Errno> {
        self.entry_changed(name);
        self.fs.adopt(Way::Handle(Arc::new(created.handle)), &created.attr, target)
    }

    /// Makes a regular file. Most are opened next, so that it is made by opening.
    fn create_file(&self, name: &[u8], args: MakeArgs) -> Result<InodeRef, Errno> {
        let Ok(room) = Room::make() else { return self.create_closed(name, args) };
        let (created, fd) = match self.fs.client.create(&*self.handle()?, name, O_RDWR, args) {
            Err(errno) if errno == ENFILE => return self.create_closed(name, args),
            other => other?,
        };
        let inode = self.made(name, created, None)?;
        inode.descriptors.lock().made(Kept::new(fd, room));
        self.fs.keep_idle(&inode);
        Ok(inode)
    }

    /// Makes a regular file without a descriptor for it, for which there is no room. The file may be
    /// there already, made by the call that found none.
    fn create_closed(&self, name: &[u8], args: MakeArgs) -> Result<InodeRef, Errno> {
        let mode = FileType::Regular.mode_bits() | args.mode;
        let (dir, none) = (self.handle()?, Device::default());
        match self.fs.client.mknod(&dir, name, MakeArgs { mode, ..args }, none) {
            Err(errno) if errno == EEXIST => self.lookup(name),
            created => Ok(self.made(name, created?, None)?),
        }
    }

    fn is_boundary(&self) -> bool {
        self.attr.read().flags & AttrFlags::BOUNDARY.bits() != 0
    }
}

impl Drop for GoferInode {
    fn drop(&mut self) {
        if self.descriptors.get_mut().is_written {
            // A content that came meanwhile is for no later inode of the file.
            self.fs.contents.changed();
        }
        self.fs.forget(&self.key);
    }
}

impl Inode for GoferInode {
    fn file_type(&self) -> FileType {
        self.kind
    }

    fn ino(&self) -> u64 {
        self.key.ino
    }

    fn dev(&self) -> u64 {
        self.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let attr = self.current()?;
        let mut attributes = 0;
        if attr.flags & AttrFlags::APPEND.bits() != 0 {
            attributes |= crate::namei::perm::ATTR_APPEND;
        }
        if attr.flags & AttrFlags::IMMUTABLE.bits() != 0 {
            attributes |= crate::namei::perm::ATTR_IMMUTABLE;
        }
        Ok(Attr {
            dev: self.dev,
            ino: attr.ino,
            mode: attr.mode,
            nlink: attr.nlink,
            uid: attr.uid,
            gid: attr.gid,
            rdev: bevor_abi::stat::makedev(attr.rdev.major, attr.rdev.minor),
            size: attr.size,
            blocks: attr.blocks,
            blksize: attr.blksize,
            atime: file_time(attr.atime),
            mtime: file_time(attr.mtime),
            ctime: file_time(attr.ctime),
            btime: (attr.btime != Time::default()).then(|| file_time(attr.btime)),
            attributes,
        })
    }

    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        let (old_size, old_mode) = (self.cached_size(), self.attr.read().mode);
        let args = SetAttrArgs {
            mode: change.mode,
            uid: change.uid,
            gid: change.gid,
            size: change.size,
            atime: change.atime.map(wire_time),
            mtime: change.mtime.map(wire_time),
        };
        if args.mode.is_some() || args.uid.is_some() || args.gid.is_some() {
            self.fs.give_descriptors();
        }
        let attr = self.fs.client.setattr(&*self.handle()?, &args)?;
        self.fs.listings.changed();
        if args.size.is_some() {
            self.content_changed();
        }
        self.refresh(&attr);
        if change.size.is_some() && change.mode.is_none() && attr.mode != old_mode {
            self.attr.write().mode = old_mode;
            self.keep_set_ids()?;
        }
        if let Some(size) = change.size.filter(|&size| size < old_size) {
            self.mappings.invalidate(self.mappable_id, size..u64::MAX);
        }
        Ok(())
    }

    fn permission(&self, cred: &Credentials, want: u32) -> Result<(), Errno> {
        let attr = self.attr()?;
        // The host enforces its lists on the gofer; where its group and others may do the same, what
        // a list could still take from single users is not worth a message for each file.
        let asks = (attr.mode >> 3 ^ attr.mode) & 7 != 0;
        acl::permission(
            &attr,
            cred,
            want,
            || {
                if asks { self.acl(AclKind::Access) } else { Ok(None) }
            },
        )
    }

    fn keeps_acls(&self) -> bool {
        self.kind != FileType::Symlink
    }

    fn acl(&self, kind: AclKind) -> Result<Option<Arc<Acl>>, Errno> {
        let kept = kind == AclKind::Access
            && self.fs.sharing == Sharing::Exclusive
            && self.lacks.load(Ordering::Acquire) & ASK == 0;
        if let Some(known) = self.access_acl.get().filter(|_| kept) {
            return Ok(known.clone());
        }
        let acl = match self.get_xattr(kind.name()) {
            Ok(value) => Acl::parse(&value, &UserNamespace::initial())?.map(Arc::new),
            Err(errno) if errno == ENODATA || errno == EOPNOTSUPP => None,
            Err(errno) => return Err(errno),
        };
        if kept {
            return Ok(self.access_acl.get_or_init(|| acl).clone());
        }
        Ok(acl)
    }

    /// The host itself gives new files their lists.
    fn inherited_acl(&self) -> Result<Option<Arc<Acl>>, Errno> {
        Ok(None)
    }

    fn set_acl(
        &self,
        kind: AclKind,
        acl: Option<Arc<Acl>>,
        mode: Option<u32>,
    ) -> Result<(), Errno> {
        self.fs.give_descriptors();
        // From now on the list is read anew each time.
        self.lacks.store(ASK, Ordering::Release);
        match acl {
            Some(acl) => {
                let value = acl.value(&UserNamespace::initial());
                self.fs.client.setxattr(&*self.handle()?, kind.name(), &value, 0)?;
            }
            None => match self.fs.client.removexattr(&*self.handle()?, kind.name()) {
                Err(errno) if errno != ENODATA => return Err(errno),
                _ => {}
            },
        }
        match mode {
            Some(_) => self.set_attr(&SetAttr { mode, ..SetAttr::default() }),
            None => Ok(()),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if self.is_boundary() {
            return Err(ENOENT.into());
        }
        if self.fs.sharing == Sharing::Exclusive
            && let Some(this) = self.this.upgrade()
        {
            match self.fs.listings.find(&this, name) {
                Known::Entry(attr, mut brought) => {
                    let by_name = || Way::Name(this, name.into());
                    let way = brought.handle.take().map_or_else(by_name, Way::Handle);
                    let inode = self.fs.adopt(way, &attr, None)?;
                    if let Some(ahead) = brought.ahead.take() {
                        inode.take_ahead(ahead);
                    }
                    if inode.kind == FileType::Directory {
                        self.fs.listings.adopt(&inode, brought);
                    }
                    return Ok(inode);
                }
                Known::Absent => return Err(ENOENT.into()),
                Known::Unknown => {}
            }
        }
        let mut walk = self.fs.client.walk(&*self.handle()?, &[name])?;
        let target = match walk.stop {
            WalkStop::Complete => None,
            WalkStop::Symlink(target) => Some(target),
            WalkStop::Error(errno) => return Err(errno),
        };
        let node = walk.nodes.pop().ok_or(EIO)?;
        Ok(self.fs.adopt(Way::Handle(Arc::new(node.handle)), &node.attr, target)?)
    }

    fn cache_policy(&self) -> CachePolicy {
        match self.fs.sharing {
            Sharing::Exclusive => CachePolicy::Keep,
            Sharing::Shared => CachePolicy::Revalidate,
        }
    }

    fn revalidate(&self, name: &[u8], child: Option<&InodeRef>) -> bool {
        let probe = self.handle().and_then(|handle| self.fs.client.probe(&handle, &[name]));
        let Ok(walk) = probe else { return false };
        match (walk.nodes.first(), child) {
            (None, None) => true,
            (Some(node), Some(child)) => {
                child.as_any().downcast_ref::<Self>().is_some_and(|child| {
                    let same = child.key == FileKey::of(&node.attr) && child.same_birth(&node.attr);
                    if same {
                        child.refresh(&node.attr);
                    }
                    same
                })
            }
            _ => false,
        }
    }

    fn connect_host_socket(&self, kind: u32) -> Option<Result<HostPeer, Errno>> {
        if self.kind != FileType::Socket || !self.fs.sockets.contains(RootFlags::CONNECT) {
            return None;
        }
        let connected = self.handle().and_then(|handle| self.fs.client.connect(&handle, kind));
        Some(connected.map(|(fd, peer)| HostPeer { fd, uid: peer.uid, gid: peer.gid }))
    }

    fn bind_host_socket(&self, name: &[u8], kind: u32, attr: NewAttr) -> Option<BoundResult> {
        if !self.fs.sockets.contains(RootFlags::BIND) {
            return None;
        }
        let args = MakeArgs { mode: attr.mode, uid: Some(attr.uid), gid: Some(attr.gid) };
        let bound = self.handle().and_then(|dir| self.fs.client.bind(&dir, name, kind, args));
        Some(bound.and_then(|(created, fd)| Ok((self.made(name, created, None)? as InodeRef, fd))))
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>, attr: NewAttr) -> Result<InodeRef, Errno> {
        let args = |kind: FileType| MakeArgs {
            mode: kind.mode_bits() | attr.mode,
            uid: Some(attr.uid),
            gid: Some(attr.gid),
        };
        let client = &self.fs.client;
        let none = Device::default();
        let mknod = |kind| client.mknod(&*self.handle()?, name, args(kind), none);
        let created = match node {
            NewNode::Regular => {
                let args = MakeArgs { mode: attr.mode, ..args(FileType::Regular) };
                return self.create_file(name, args);
            }
            NewNode::Fifo => mknod(FileType::Fifo)?,
            // A whiteout, which is no device.
            NewNode::Device { char: true, rdev: 0 } => mknod(FileType::CharDevice)?,
            NewNode::Socket => mknod(FileType::Socket)?,
            NewNode::Directory => {
                let args = MakeArgs { mode: attr.mode, ..args(FileType::Directory) };
                client.mkdir(&*self.handle()?, name, args)?
            }
            NewNode::Symlink(target) => {
                let args = MakeArgs { mode: attr.mode, ..args(FileType::Symlink) };
                let created = client.symlink(&*self.handle()?, name, target, args)?;
                return Ok(self.made(name, created, Some(target.to_vec()))?);
            }
            NewNode::Device { .. } => {
                return Err(EPERM.because("no device files on the host's file systems"));
            }
        };
        Ok(self.made(name, created, None)?)
    }

    fn create_unnamed(&self, attr: NewAttr) -> Result<InodeRef, Errno> {
        let args = MakeArgs { mode: attr.mode, uid: Some(attr.uid), gid: Some(attr.gid) };
        let flags = O_TMPFILE | O_RDWR;
        let room = Room::make()?;
        let (created, fd) = self.fs.client.create(&*self.handle()?, b"", flags, args)?;
        let way = Way::Handle(Arc::new(created.handle));
        let inode = self.fs.adopt(way, &created.attr, None)?;
        inode.descriptors.lock().made(Kept::new(fd, room));
        Ok(inode)
    }

    fn host_locks(&self) -> Option<&dyn HostLocks> {
        let lockable = matches!(self.kind, FileType::Regular | FileType::Directory);
        if self.fs.host_locks && lockable { Some(self) } else { None }
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        let target = target.as_any().downcast_ref::<Self>().ok_or(EXDEV)?;
        let created = self.fs.client.link(&*target.handle()?, &*self.handle()?, name)?;
        target.found_again(Way::Handle(Arc::new(created.handle)), &created.attr);
        self.entry_changed(name);
        Ok(())
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.fs.give_descriptors();
        let gone = self.fs.client.unlink(&*self.handle()?, name, 0)?;
        self.entry_changed(name);
        if let Some(inode) = self.fs.live(&gone) {
            inode.lost_link();
        }
        Ok(())
    }

    fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        let gone = self.fs.client.unlink(&*self.handle()?, name, AT_REMOVEDIR)?;
        self.entry_changed(name);
        if let Some(inode) = self.fs.live(&gone) {
            inode.change();
        }
        Ok(())
    }

    fn rename(
        &self,
        name: &[u8],
        new_dir: &InodeRef,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        let new_dir = new_dir.as_any().downcast_ref::<Self>().ok_or(EXDEV)?;
        self.fs.give_descriptors();
        let (from, to) = (self.handle()?, new_dir.handle()?);
        let renamed = self.fs.client.rename((&from, name), (&to, new_name), flags)?;
        self.entry_changed(name);
        new_dir.entry_changed(new_name);
        if let Some(inode) = self.fs.live(&renamed.moved) {
            inode.went_to(new_dir, new_name);
        }
        if let Some(replaced) = renamed.replaced
            && FileKey::of(&replaced) != FileKey::of(&renamed.moved)
            && let Some(inode) = self.fs.live(&replaced)
        {
            if flags & RENAME_EXCHANGE != 0 {
                inode.went_to(self, name);
            } else if replaced.is_dir() {
                inode.change();
            } else {
                inode.lost_link();
            }
        }
        Ok(())
    }

    fn read_link(&self, caller: &dyn Caller) -> Result<Vec<u8>, Errno> {
        let _ = caller;
        let target = self.target.lock();
        if let Some(target) = &*target {
            return Ok(target.clone());
        }
        drop(target);
        let (handle, _) = self.find(None)?;
        if let Some(target) = &*self.target.lock() {
            return Ok(target.clone());
        }
        let read = self.fs.client.readlink(&handle)?;
        *self.target.lock() = Some(read.clone());
        Ok(read)
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = caller;
        match self.kind {
            FileType::Directory => Ok(Box::new(GoferDir::new(self))),
            FileType::Regular => Ok(Box::new(GoferFile::new(self, flags.writable())?)),
            // The processes of the sandbox meet here; those of the host are not among them.
            FileType::Fifo => self.fifo.open(flags),
            _ => Err(ENXIO.into()),
        }
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let rare = RARE_XATTRS.iter().position(|rare| *rare == name);
        let bit = rare.filter(|_| self.fs.sharing == Sharing::Exclusive).map_or(0, |at| 1 << at);
        if self.lacks.load(Ordering::Acquire) & bit != 0 {
            return Err(ENODATA.into());
        }
        let value = self.fs.client.getxattr(&*self.handle()?, name);
        if bit != 0 && matches!(&value, Err(errno) if *errno == ENODATA) {
            let more = |lacks: u8| (lacks & ASK == 0).then_some(lacks | bit);
            let _ = self.lacks.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        }
        value
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        self.fs.give_descriptors();
        self.lacks.store(ASK, Ordering::Release);
        self.fs.client.setxattr(&*self.handle()?, name, value, flags)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let names = self.fs.client.listxattr(&*self.handle()?)?;
        let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(<[u8]>::to_vec).collect())
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        self.fs.client.removexattr(&*self.handle()?, name)
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        let stat = self.fs.client.statfs(&*self.handle()?)?;
        Ok(FsStat {
            magic: stat.kind,
            block_size: stat.block_size,
            blocks: stat.blocks,
            free: stat.blocks_free,
            available: stat.blocks_available,
            files: stat.files,
            files_free: stat.files_free,
            fsid: [bevor_abi::conv::low_u32(stat.fsid), bevor_abi::conv::high_u32(stat.fsid)],
            name_len: stat.name_len,
        })
    }

    fn sync_fs(&self) -> Result<(), Errno> {
        self.fs.client.sync(&*self.handle()?, SyncKind::FileSystem)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
