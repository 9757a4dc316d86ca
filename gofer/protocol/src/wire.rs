//! The messages: one operation number, one fixed-size request and reply each.
//!
//! What varies in length (names, targets, values, entries) follows the fixed part. Numbers are in
//! the byte order of the host. A field named `pad` must be zero.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::attr::{Attr, Time};

/// A handle on the wire. Each time a reply names it, it must be given back once. 0 stands for none
/// where a message says so.
pub type WireHandle = u64;

/// Components one walk may have.
pub const MAX_WALK: usize = 128;
/// Handles one request may give back.
pub const MAX_CLOSE: usize = 256;
/// Descriptors one reply may bring.
pub const MAX_FDS: usize = 32;
/// Files one [`Op::OpenFiles`] may name.
pub const MAX_OPEN: usize = 128;
/// Longest content that comes in place of a descriptor, in bytes.
pub const MAX_CONTENT: usize = 8192;
/// What [`OpenedFile::content_len`] says of a file that came as a descriptor.
pub const NO_CONTENT: u32 = u32::MAX;
/// Longest symlink target in bytes (`PATH_MAX` without its final NUL).
pub const MAX_TARGET: usize = 4095;
/// Longest value of an extended attribute in bytes (`XATTR_SIZE_MAX`).
pub const MAX_XATTR: usize = 65536;
/// Leave an owner as it is.
pub const NO_CHANGE: u32 = u32::MAX;

macro_rules! operations {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// What a request asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Op { $(#[doc = $text] $name = $number,)* }

        impl Op {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The operation of a number.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The number of the operation.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* }
            }
        }
    };
}

operations! {
    Hello = 1, "[`Hello`] → [`HelloReply`], then a [`Root`] each.";
    Walk = 2, "[`Walk`], names → [`WalkReply`], a [`Node`] each, symlink target.";
    GetAttr = 3, "[`OnNode`] → [`Attr`].";
    Open = 4, "[`Open`] → [`Attr`] and a descriptor.";
    ReadDir = 5, "[`ReadDir`] → [`ReadDirReply`], then a [`Entry`] with its name each; perhaps [`Below`].";
    ReadLink = 6, "[`OnNode`] → target.";
    SetAttr = 7, "[`SetAttr`] → [`Attr`].";
    Create = 8, "[`Make`], name → [`Node`] and a descriptor.";
    MkDir = 9, "[`Make`], name → [`Node`].";
    MkNod = 10, "[`Make`], name → [`Node`].";
    Symlink = 11, "[`Make`], name, target → [`Node`].";
    Link = 12, "[`Link`], name → [`Node`].";
    Unlink = 13, "[`Unlink`], name → [`Attr`] of the file before.";
    Rename = 14, "[`Rename`], two names → [`RenameReply`].";
    StatFs = 15, "[`OnNode`] → [`StatFs`].";
    Sync = 16, "[`Sync`] → nothing.";
    GetXattr = 17, "[`OnNode`], name → value.";
    SetXattr = 18, "[`SetXattr`], name, value → nothing.";
    ListXattr = 19, "[`OnNode`] → names, each ended by NUL.";
    RemoveXattr = 20, "[`OnNode`], name → nothing.";
    Close = 21, "Nothing → nothing: only gives handles back, as every request may.";
    Connect = 22, "[`Connect`] → [`Peer`] and a descriptor.";
    OpenFiles = 24, "[`OpenFiles`], names → a [`OpenedFile`] each and its content or a descriptor.";
    Bind = 23, "[`Make`] (kind in `flags`), name → [`Node`] and a descriptor.";
    Read = 30, "[`Read`] → content. For a sentry that has no room for a descriptor, as the next.";
    Write = 31, "[`Write`], content → [`WriteReply`].";
    Lock = 32, "[`Lock`] → nothing. Never waits: EAGAIN.";
    GetLock = 33, "[`Lock`] of a record → [`Lock`], what is in its way; kind 0 for nothing.";
}

macro_rules! messages {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq,
                FromBytes, IntoBytes, Immutable, KnownLayout)]
            #[repr(C)]
            pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
        )*
    };
}

messages! {
    /// Opens the conversation.
    Hello {
        /// [`crate::ring::VERSION`].
        version: u32,
        /// Zero.
        pad: u32,
    }
    /// Answers [`Hello`].
    HelloReply {
        /// [`crate::ring::VERSION`].
        version: u32,
        /// Roots that follow.
        roots: u32,
    }
    /// A root the gofer serves.
    Root {
        /// Handle of the root directory (or file, for a bind mount of one).
        handle: WireHandle,
        /// [`RootFlags`].
        flags: u32,
        /// Zero.
        pad: u32,
        /// Attributes of the root.
        attr: Attr,
    }
    /// A request that names a node and nothing else of fixed size.
    OnNode {
        /// The node.
        node: WireHandle,
    }
    /// Walks down from a directory, one name after the other.
    Walk {
        /// Where to start.
        dir: WireHandle,
        /// [`WalkFlags`].
        flags: u32,
        /// Names that follow, at most [`MAX_WALK`].
        count: u32,
        /// `O_*` flags, with [`WalkFlags::OPEN`].
        open_flags: u32,
        /// Zero.
        pad: u32,
    }
    /// Answers [`Walk`].
    WalkReply {
        /// Nodes that follow: as many names as could be followed.
        done: u32,
        /// Why the walk stopped before its end: error number, 0 for none.
        errno: u32,
        /// Bytes of symlink target behind the nodes; the last node is then a symlink.
        target_len: u32,
        /// With [`WalkFlags::OPEN`]: why the last file was not opened, 0 when it was.
        open_errno: u32,
    }
    /// A file that was found or made.
    Node {
        /// Its handle; 0 with [`WalkFlags::NO_HANDLES`].
        handle: WireHandle,
        /// Its attributes.
        attr: Attr,
    }
    /// Opens a regular file.
    Open {
        /// The file.
        node: WireHandle,
        /// `O_*` flags: an access mode and those of [`OPEN_FLAGS`].
        flags: u32,
        /// Zero.
        pad: u32,
    }
    /// Opens regular files of a directory for reading.
    OpenFiles {
        /// The directory.
        dir: WireHandle,
        /// Names that follow, at most [`MAX_OPEN`].
        count: u32,
        /// Files of at most as many bytes are answered with their content, without a descriptor; at
        /// most [`MAX_CONTENT`]. 0: none is.
        max_content: u32,
    }
    /// One of them.
    OpenedFile {
        /// Why it was not opened, 0 when it was. EAGAIN: the reply had no room for it.
        errno: u32,
        /// Bytes of its content, which follows: all there is; [`NO_CONTENT`] when a descriptor travels
        /// beside the reply instead.
        content_len: u32,
        /// Its attributes, if it was opened.
        attr: Attr,
    }
    /// Lists a directory.
    ReadDir {
        /// The directory.
        node: WireHandle,
        /// 0 to start, else [`Entry::next`] of the last entry seen.
        cursor: i64,
        /// Most bytes to answer with.
        max_bytes: u32,
        /// [`ReadDirFlags`].
        flags: u32,
    }
    /// Answers [`ReadDir`].
    ReadDirReply {
        /// Entries that follow.
        count: u32,
        /// 1 when nothing comes after them.
        at_end: u32,
    }
    /// The whole listing of a directory that came as an entry before follows.
    Below {
        /// The directory.
        node: WireHandle,
    }
    /// An entry of a directory; a [`WireHandle`] and an [`Attr`] follow as `has` says, then the
    /// name.
    Entry {
        /// Inode number.
        ino: u64,
        /// Cursor that continues after this entry.
        next: i64,
        /// `DT_*` type.
        kind: u8,
        /// [`EntryParts`].
        has: u8,
        /// Bytes of the name.
        name_len: u16,
        /// Zero.
        pad: u32,
    }
    /// Changes attributes. Those that [`SetAttrMask`] names change, in Linux's order:
    /// size, owner, mode, times.
    SetAttr {
        /// The node.
        node: WireHandle,
        /// [`SetAttrMask`].
        mask: u32,
        /// New permission bits.
        mode: u32,
        /// New owner or [`NO_CHANGE`].
        uid: u32,
        /// New group or [`NO_CHANGE`].
        gid: u32,
        /// New size in bytes.
        size: u64,
        /// New time of access.
        atime: Time,
        /// New time of modification.
        mtime: Time,
    }
    /// Makes a file in a directory.
    Make {
        /// The directory.
        dir: WireHandle,
        /// `O_*` flags of a create; `SOCK_*` type of a bind; else 0.
        flags: u32,
        /// Permission bits and, for mknod, type. No umask is applied.
        mode: u32,
        /// Owner of the new file or [`NO_CHANGE`].
        uid: u32,
        /// Group of the new file or [`NO_CHANGE`].
        gid: u32,
        /// Device number of a device node.
        rdev_major: u32,
        /// Device number of a device node.
        rdev_minor: u32,
    }
    /// Gives a file one more name.
    Link {
        /// The file.
        node: WireHandle,
        /// Directory of the new name.
        dir: WireHandle,
    }
    /// Removes a name.
    Unlink {
        /// The directory.
        dir: WireHandle,
        /// `AT_REMOVEDIR` or 0.
        flags: u32,
        /// Zero.
        pad: u32,
    }
    /// Moves a name.
    Rename {
        /// Directory of the old name.
        from: WireHandle,
        /// Directory of the new name.
        to: WireHandle,
        /// `RENAME_*` flags.
        flags: u32,
        /// Zero.
        pad: u32,
    }
    /// Answers [`Rename`].
    RenameReply {
        /// 1 when the new name stood for a file.
        has_replaced: u32,
        /// Zero.
        pad: u32,
        /// What moved, as it was before.
        moved: Attr,
        /// What the new name stood for, as it was before.
        replaced: Attr,
    }
    /// What `statfs(2)` says.
    StatFs {
        /// File system type (`*_SUPER_MAGIC`).
        kind: u64,
        /// Bytes of a good-sized transfer.
        block_size: u64,
        /// Blocks in all.
        blocks: u64,
        /// Free blocks.
        blocks_free: u64,
        /// Blocks free for ordinary users.
        blocks_available: u64,
        /// Inodes in all.
        files: u64,
        /// Free inodes.
        files_free: u64,
        /// Longest name in bytes.
        name_len: u64,
        /// Bytes of a fragment.
        fragment_size: u64,
        /// `ST_*` mount flags.
        flags: u64,
        /// File system id.
        fsid: u64,
    }
    /// Writes to disk.
    Sync {
        /// The node.
        node: WireHandle,
        /// [`SyncKind`] as a number.
        kind: u32,
        /// Zero.
        pad: u32,
    }
    /// Sets an extended attribute.
    SetXattr {
        /// The node.
        node: WireHandle,
        /// `XATTR_CREATE`, `XATTR_REPLACE` or 0.
        flags: u32,
        /// Bytes of the value, which follows the name.
        value_len: u32,
    }
    /// Reads from a regular file.
    Read {
        /// The file.
        node: WireHandle,
        /// Where to start.
        offset: u64,
        /// Most bytes to answer with.
        len: u32,
        /// Zero.
        pad: u32,
    }
    /// Writes to a regular file what follows.
    Write {
        /// The file.
        node: WireHandle,
        /// Where to start; [`AT_END`] for the end of the file.
        offset: u64,
        /// Bytes that follow.
        len: u32,
        /// Zero.
        pad: u32,
    }
    /// Answers [`Write`].
    WriteReply {
        /// Bytes written.
        written: u32,
        /// Zero.
        pad: u32,
        /// Size of the file afterwards.
        size: u64,
    }
    /// What this sandbox holds of a file's locks on the host.
    Lock {
        /// The file; 0 in a reply.
        node: WireHandle,
        /// First byte.
        start: u64,
        /// Last byte; `i64::MAX` for the end of the file.
        end: u64,
        /// [`LockScope`] as a number; in a reply 1 when a process holds it, 0 for a description.
        scope: u32,
        /// 0 for none, 1 shared, 2 exclusive.
        kind: u32,
    }
    /// Connects to a socket of the host.
    Connect {
        /// The socket.
        node: WireHandle,
        /// `SOCK_STREAM`, `SOCK_DGRAM` or `SOCK_SEQPACKET`.
        kind: u32,
        /// Zero.
        pad: u32,
    }
    /// Whose socket was connected to, as the guest sees users and groups; −1 for nobody's.
    Peer {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    }
}

bitflags! {
    /// How a root may be used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RootFlags: u32 {
        /// Nothing below it can change through this gofer.
        const READ_ONLY = 1;
        /// Others may change it: attributes and names must be asked for again.
        const SHARED = 2;
        /// Sockets of the host below it can be connected to.
        const CONNECT = 4;
        /// Sockets can be bound below it, for the host to connect to.
        const BIND = 8;
        /// Locks of its files are held on the host, too.
        const LOCKS = 16;
    }

    /// How to walk.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct WalkFlags: u32 {
        /// Only attributes: make no handles.
        const NO_HANDLES = 1;
        /// Open what the last name stands for if it is a regular file, with the request's flags.
        const OPEN = 2;
    }

    /// How to list.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ReadDirFlags: u32 {
        /// Attributes of each entry, too.
        const ATTRS = 1;
        /// Attributes and handles of directories, for a reader that goes down into them.
        const DIRS = 2;
        /// Behind a listing that is at its end those of directories below, as many as fit: a [`Below`],
        /// a [`ReadDirReply`] and the entries of each. With [`Self::DIRS`] only.
        const BELOW = 4;
    }

    /// What follows an [`Entry`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct EntryParts: u8 {
        /// Attributes.
        const ATTR = 1;
        /// A handle.
        const HANDLE = 2;
    }

    /// Which attributes change.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SetAttrMask: u32 {
        /// The permission bits.
        const MODE = 1;
        /// Owner and group, each unless [`NO_CHANGE`].
        const OWNER = 2;
        /// The size.
        const SIZE = 4;
        /// Time of access, to the request's.
        const ATIME = 8;
        /// Time of modification, to the request's.
        const MTIME = 16;
        /// Time of access, to now.
        const ATIME_NOW = 32;
        /// Time of modification, to now.
        const MTIME_NOW = 64;
    }
}

/// `O_*` flags that open and create know beside the access mode. `O_EXCL` and `O_TMPFILE` are for
/// create alone, which always creates, so that `O_CREAT` is not among them.
pub const OPEN_FLAGS: u32 = (libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_SYNC
    | libc::O_DIRECT
    | libc::O_NOATIME
    | libc::O_EXCL
    | libc::O_TMPFILE)
    .cast_unsigned();

/// `RENAME_*` flags that rename knows.
pub const RENAME_FLAGS: u32 =
    libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE | libc::RENAME_WHITEOUT;

/// `XATTR_*` flags that setting an extended attribute knows.
pub const XATTR_FLAGS: u32 = (libc::XATTR_CREATE | libc::XATTR_REPLACE).cast_unsigned();

/// The offset of a [`Write`] to the end of a file.
pub const AT_END: u64 = u64::MAX;
/// The last byte of a [`Lock`] without end.
pub const LOCK_TO_END: u64 = i64::MAX.cast_unsigned();

/// What a [`Lock`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockScope {
    /// The whole file: `flock(2)`.
    Whole = 0,
    /// Some bytes: `fcntl(2)`.
    Record = 1,
}

impl LockScope {
    /// The scope of a number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Whole),
            1 => Some(Self::Record),
            _ => None,
        }
    }
}

/// What to write to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncKind {
    /// Content and attributes of the file: `fsync(2)`.
    File = 0,
    /// Content, and attributes needed to read it: `fdatasync(2)`.
    Data = 1,
    /// The whole file system: `syncfs(2)`.
    FileSystem = 2,
}

impl SyncKind {
    /// The kind of a number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::File),
            1 => Some(Self::Data),
            2 => Some(Self::FileSystem),
            _ => None,
        }
    }
}
