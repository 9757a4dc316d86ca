//! The few kinds of files procfs is made of: generated text, links, and directories that list
//! themselves anew each time.

use crate::opener::Opener;
use bevor_abi::errno::{EACCES, EINVAL, EISDIR, ENOENT};
use bevor_abi::{Code, Errno};
use bevor_base::Credentials;
use bevor_memory::{IoDst, IoSrc};
use bevor_vfs::caller::Caller;
use bevor_vfs::file::{DirEntry, DirSink, File, FileOps, OpenFlags, seek_plain};
use bevor_vfs::inode::{Attr, CachePolicy, FileTime, FileType, FsStat, Inode, InodeRef, SetAttr};
use bevor_vfs::mount::Path;
use parking_lot::Mutex;
use std::any::Any;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Magic number of procfs.
pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// Magic number of sysfs.
pub const SYSFS_MAGIC: u64 = 0x6265_6572;
/// Most bytes a write to a procfs file may have.
const MAX_WRITE: usize = 64 << 10;

/// What every inode of one mount shares.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Device number of the mount.
    pub dev: u64,
    /// Owner of the files.
    pub uid: u32,
    /// Group of the files.
    pub gid: u32,
    /// Distinguishes tasks, so that inode numbers differ; 0 for files that belong to none.
    pub salt: u64,
    /// Number of the kind of file system.
    pub magic: u64,
}

impl Place {
    /// The place of what is in the directory `name` here: inode numbers differ from those outside.
    pub fn inside(self, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.salt, name, "inside").hash(&mut hasher);
        Self { salt: hasher.finish(), ..self }
    }

    /// The inode number of a file.
    pub fn ino(&self, name: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.salt, name).hash(&mut hasher);
        (hasher.finish() >> 16) | 1
    }

    /// Statistics of the file system.
    pub fn statfs(&self) -> FsStat {
        FsStat { magic: self.magic, block_size: 4096, name_len: 255, ..FsStat::default() }
    }

    /// The attributes of a file.
    pub fn attr(&self, name: &str, mode: u32, kind: FileType) -> Attr {
        let now = FileTime::now();
        Attr {
            dev: self.dev,
            ino: self.ino(name),
            mode: kind.mode_bits() | mode,
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            size: 0,
            blocks: 0,
            blksize: 1024,
            atime: now,
            mtime: now,
            ctime: now,
            btime: None,
            attributes: 0,
        }
    }
}

/// Renders a text file.
pub type Render = Arc<dyn Fn(&dyn Caller) -> Result<Vec<u8>, Errno> + Send + Sync>;
/// Takes what was written to a text file.
pub type Store = Arc<dyn Fn(&dyn Caller, &[u8]) -> Result<(), Errno> + Send + Sync>;

/// A file whose text is made when it is opened.
pub struct Text {
    place: Place,
    name: &'static str,
    mode: u32,
    render: Render,
    store: Option<Store>,
    /// Whether opening it asks for nothing: only reading does.
    lately: bool,
}

impl Text {
    fn new(place: Place, name: &'static str, mode: u32, render: Render) -> Self {
        Self { place, name, mode, render, store: None, lately: false }
    }

    /// A file anybody may read.
    pub fn public(
        place: Place,
        name: &'static str,
        render: impl Fn(&dyn Caller) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
    ) -> InodeRef {
        Arc::new(Self::new(place, name, 0o444, Arc::new(render)))
    }

    /// A file with these permission bits.
    pub fn with_mode(
        place: Place,
        name: &'static str,
        mode: u32,
        render: impl Fn(&dyn Caller) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
    ) -> InodeRef {
        Arc::new(Self::new(place, name, mode, Arc::new(render)))
    }

    /// A file that takes writes, too.
    pub fn writable(
        place: Place,
        name: &'static str,
        mode: u32,
        render: impl Fn(&dyn Caller) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
        store: impl Fn(&dyn Caller, &[u8]) -> Result<(), Errno> + Send + Sync + 'static,
    ) -> InodeRef {
        let store: Store = Arc::new(store);
        Arc::new(Self { store: Some(store), ..Self::new(place, name, mode, Arc::new(render)) })
    }

    /// A file that can be opened and not be read.
    pub fn unreadable(place: Place, name: &'static str, errno: Code) -> InodeRef {
        let render = Arc::new(move |_: &dyn Caller| Err(errno.into()));
        Arc::new(Self { lately: true, ..Self::new(place, name, 0o444, render) })
    }

    /// As [`Text::writable`], for one that anybody may open, and whose first read or write may fail.
    pub fn lately(
        place: Place,
        name: &'static str,
        mode: u32,
        render: impl Fn(&dyn Caller) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
        store: impl Fn(&dyn Caller, &[u8]) -> Result<(), Errno> + Send + Sync + 'static,
    ) -> InodeRef {
        let store: Store = Arc::new(store);
        let text = Self::new(place, name, mode, Arc::new(render));
        Arc::new(Self { store: Some(store), lately: true, ..text })
    }
}

impl Inode for Text {
    fn file_type(&self) -> FileType {
        FileType::Regular
    }

    fn ino(&self) -> u64 {
        self.place.ino(self.name)
    }

    fn dev(&self) -> u64 {
        self.place.dev
    }

    fn max_bytes(&self) -> u64 {
        // As of a file system that says nothing of large files (`MAX_NON_LFS`).
        (1 << 31) - 1
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let mut attr = self.place.attr(self.name, self.mode, FileType::Regular);
        if self.place.magic == SYSFS_MAGIC {
            // What sysfs shows of files whose length it does not know.
            attr.size = 4096;
        }
        Ok(attr)
    }

    /// `O_TRUNC` before a write changes nothing.
    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        if *change == (SetAttr { size: change.size, ..SetAttr::default() }) {
            return Ok(());
        }
        Err(bevor_abi::errno::EPERM.into())
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        if flags.writable() && self.store.is_none() {
            return Err(EACCES.into());
        }
        let text = match flags.readable() && !self.lately {
            true => Fresh((self.render)(caller)?),
            false => Stale,
        };
        Ok(Box::new(OpenText {
            text: Mutex::new(text),
            opener: Opener::of(caller),
            render: self.render.clone(),
            store: self.store.clone(),
        }))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(self.place.statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The text of an open file.
enum Shown {
    /// Made, and not read from its start yet.
    Fresh(Vec<u8>),
    /// Being read: one that is read from the start again is made anew.
    Begun(Vec<u8>),
    /// To be made when it is read.
    Stale,
}
use Shown::{Begun, Fresh, Stale};

struct OpenText {
    text: Mutex<Shown>,
    /// Who opened it: for whom it is made anew.
    opener: Option<Opener>,
    render: Render,
    store: Option<Store>,
}

impl OpenText {
    /// The text as it is now; `None` if nobody is left to make it for.
    fn render(&self) -> Result<Option<Vec<u8>>, Errno> {
        let opener = self.opener.as_ref();
        opener.and_then(|opener| opener.ask(|caller| (self.render)(caller))).transpose()
    }
}

impl FileOps for OpenText {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = file;
        let mut text = self.text.lock();
        let made = match std::mem::replace(&mut *text, Stale) {
            Fresh(made) => made,
            Begun(made) if at != 0 => made,
            // Of a task that is gone, what was read last stays.
            Begun(made) => self.render()?.unwrap_or(made),
            Stale => self.render()?.unwrap_or_default(),
        };
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let result = match made.get(start..) {
            Some(rest) if !rest.is_empty() => dst.put(rest),
            _ => Ok(0),
        };
        *text = Begun(made);
        result
    }

    fn write_as(
        &self,
        file: &File,
        caller: &dyn Caller,
        src: &mut IoSrc<'_>,
    ) -> Option<Result<usize, Errno>> {
        let _ = file;
        let store = self.store.as_ref()?;
        let stored = src.take_vec(MAX_WRITE).and_then(|bytes| {
            store(caller, &bytes)?;
            *self.text.lock() = Stale;
            Ok(bytes.len())
        });
        Some(stored)
    }

    fn size(&self) -> Result<u64, Errno> {
        Ok(0)
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        seek_plain(at, offset, whence, || Ok(0))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Text of a symbolic link.
pub type ReadLink = Arc<dyn Fn(&dyn Caller) -> Result<Vec<u8>, Errno> + Send + Sync>;
/// Where a magic link leads.
pub type Follow = Arc<dyn Fn(&dyn Caller) -> Result<Option<Path>, Errno> + Send + Sync>;

/// A symbolic link, plain or magic.
pub struct Link {
    place: Place,
    name: String,
    mode: u32,
    read: ReadLink,
    follow: Option<Follow>,
}

impl Link {
    /// A link whose text is resolved as a path.
    pub fn plain(
        place: Place,
        name: &str,
        read: impl Fn(&dyn Caller) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
    ) -> InodeRef {
        let name = name.to_owned();
        Arc::new(Self { place, name, mode: 0o777, read: Arc::new(read), follow: None })
    }

    /// A link that leads to a place whatever its text says.
    pub fn magic(
        place: Place,
        name: &str,
        mode: u32,
        read: impl Fn(&dyn Caller) -> Result<Vec<u8>, Errno> + Send + Sync + 'static,
        follow: impl Fn(&dyn Caller) -> Result<Option<Path>, Errno> + Send + Sync + 'static,
    ) -> InodeRef {
        let follow: Follow = Arc::new(follow);
        let name = name.to_owned();
        Arc::new(Self { place, name, mode, read: Arc::new(read), follow: Some(follow) })
    }
}

impl Inode for Link {
    fn file_type(&self) -> FileType {
        FileType::Symlink
    }

    fn ino(&self) -> u64 {
        self.place.ino(&self.name)
    }

    fn dev(&self) -> u64 {
        self.place.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        Ok(self.place.attr(&self.name, self.mode, FileType::Symlink))
    }

    fn read_link(&self, caller: &dyn Caller) -> Result<Vec<u8>, Errno> {
        (self.read)(caller)
    }

    fn magic_link(&self, caller: &dyn Caller) -> Result<Option<Path>, Errno> {
        self.follow.as_ref().map_or(Ok(None), |follow| follow(caller))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(self.place.statfs())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a directory holds.
pub trait Listing: Send + Sync + 'static {
    /// Finds an entry.
    ///
    /// # Errors
    /// `ENOENT`.
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno>;

    /// Names and types of all entries, in order.
    fn names(&self) -> Vec<(Vec<u8>, FileType)>;

    /// Whether there are no entries and never will be.
    fn stays_empty(&self) -> bool {
        false
    }

    /// Whether a task with these very credentials may look in whatever the mode says.
    fn admits(&self, cred: &Credentials) -> bool {
        let _ = cred;
        false
    }
}

/// A directory.
pub struct Dir<T: Listing> {
    place: Place,
    name: String,
    mode: u32,
    listing: Arc<T>,
    /// What other crates know it by.
    about: Option<Box<dyn Any + Send + Sync>>,
}

impl<T: Listing> Dir<T> {
    /// A directory with these contents.
    pub fn inode(place: Place, name: &str, mode: u32, listing: T) -> InodeRef {
        Self::about(place, name, mode, listing, None)
    }

    /// A directory about `about`, which is what [`Inode::as_any`] shows.
    pub fn about(
        place: Place,
        name: &str,
        mode: u32,
        listing: T,
        about: Option<Box<dyn Any + Send + Sync>>,
    ) -> InodeRef {
        Arc::new(Self { place, name: name.to_owned(), mode, listing: Arc::new(listing), about })
    }
}

impl<T: Listing> Inode for Dir<T> {
    fn file_type(&self) -> FileType {
        FileType::Directory
    }

    fn ino(&self) -> u64 {
        self.place.ino(&self.name)
    }

    fn dev(&self) -> u64 {
        self.place.dev
    }

    fn attr(&self) -> Result<Attr, Errno> {
        Ok(self.place.attr(&self.name, self.mode, FileType::Directory))
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        self.listing.find(name)
    }

    fn accepts_names(&self) -> bool {
        false
    }

    fn is_always_empty(&self) -> bool {
        self.listing.stays_empty()
    }

    fn cache_policy(&self) -> CachePolicy {
        CachePolicy::Never
    }

    fn permission(&self, cred: &Credentials, want: u32) -> Result<(), Errno> {
        let may = cred.may_access(self.place.uid, self.place.gid, self.mode, want);
        if may || self.listing.admits(cred) { Ok(()) } else { Err(EACCES.into()) }
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let _ = (flags, caller);
        Ok(Box::new(OpenDir { ino: self.ino(), listing: self.listing.clone() }))
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        Ok(self.place.statfs())
    }

    fn as_any(&self) -> &dyn Any {
        match &self.about {
            Some(about) => &**about,
            None => self,
        }
    }
}

struct OpenDir<T> {
    ino: u64,
    listing: Arc<T>,
}

impl<T: Listing> FileOps for OpenDir<T> {
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, dst, at);
        Err(EISDIR.into())
    }

    fn seek(&self, at: u64, offset: i64, whence: u32) -> Result<u64, Errno> {
        seek_plain(at, offset, whence, || Err(EINVAL.into()))
    }

    fn read_dir(&self, at: u64, sink: &mut DirSink<'_>) -> Result<u64, Errno> {
        let dots = [(b".".to_vec(), FileType::Directory), (b"..".to_vec(), FileType::Directory)];
        let entries = dots.into_iter().chain(self.listing.names());
        let mut position = 0;
        for (name, kind) in entries {
            position += 1;
            if position <= at {
                continue;
            }
            let dtype = kind.dirent_type();
            let entry = DirEntry { name: &name, ino: self.ino + position, dtype, next: position };
            if !sink(&entry) {
                return Ok(position - 1);
            }
        }
        Ok(position)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A directory whose entries are always the same.
#[derive(Default)]
pub struct Fixed(Vec<(&'static str, InodeRef)>);

impl Fixed {
    /// These entries.
    #[must_use]
    pub const fn new(entries: Vec<(&'static str, InodeRef)>) -> Self {
        Self(entries)
    }
}

impl Listing for Fixed {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let found = self.0.iter().find(|(entry, _)| entry.as_bytes() == name);
        found.map(|(_, inode)| inode.clone()).ok_or_else(|| ENOENT.into())
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let entries = self.0.iter();
        entries.map(|(name, inode)| (name.as_bytes().to_vec(), inode.file_type())).collect()
    }

    fn stays_empty(&self) -> bool {
        self.0.is_empty()
    }
}
