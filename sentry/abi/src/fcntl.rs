//! Opening, locking and controlling files, and the flags of calls that take paths:
//! `<linux/fcntl.h>`, `<linux/openat2.h>`, `<linux/uio.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Access mode of `open(2)`, in the bits of `O_ACCMODE`.
    values ACCESS_MODES: u32 {
        O_RDONLY = 0,
        O_WRONLY = 1,
        O_RDWR = 2,
        O_ACCMODE = 3,
    }

    /// Flag of `open(2)` and of `fcntl(F_SETFL)`.
    flags OPEN_FLAGS: u32 {
        O_CREAT = 0x40,
        O_EXCL = 0x80,
        O_NOCTTY = 0x100,
        O_TRUNC = 0x200,
        O_APPEND = 0x400,
        O_NONBLOCK = 0x800,
        O_DSYNC = 0x1000,
        O_SYNC = 0x0010_1000,
        FASYNC = 0x2000,
        O_ASYNC = 0x2000,
        O_DIRECT = 0x4000,
        O_LARGEFILE = 0x8000,
        O_DIRECTORY = 0x0001_0000,
        O_NOFOLLOW = 0x0002_0000,
        O_NOATIME = 0x0004_0000,
        O_CLOEXEC = 0x0008_0000,
        O_PATH = 0x0020_0000,
        O_TMPFILE = 0x0041_0000,
        __O_TMPFILE = 0x0040_0000,
        O_NDELAY = 0x800,
    }

    /// Command of `fcntl(2)`.
    values FCNTL_COMMANDS: u32 {
        F_DUPFD = 0,
        F_GETFD = 1,
        F_SETFD = 2,
        F_GETFL = 3,
        F_SETFL = 4,
        F_GETLK = 5,
        F_SETLK = 6,
        F_SETLKW = 7,
        F_SETOWN = 8,
        F_GETOWN = 9,
        F_SETSIG = 10,
        F_GETSIG = 11,
        F_SETOWN_EX = 15,
        F_GETOWN_EX = 16,
        F_GETOWNER_UIDS = 17,
        F_OFD_GETLK = 36,
        F_OFD_SETLK = 37,
        F_OFD_SETLKW = 38,
        F_SETLEASE = 1024,
        F_GETLEASE = 1025,
        F_NOTIFY = 1026,
        F_DUPFD_QUERY = 1027,
        F_CREATED_QUERY = 1028,
        F_CANCELLK = 1029,
        F_DUPFD_CLOEXEC = 1030,
        F_SETPIPE_SZ = 1031,
        F_GETPIPE_SZ = 1032,
        F_ADD_SEALS = 1033,
        F_GET_SEALS = 1034,
        F_GET_RW_HINT = 1035,
        F_SET_RW_HINT = 1036,
        F_GET_FILE_RW_HINT = 1037,
        F_SET_FILE_RW_HINT = 1038,
        F_GETDELEG = 1039,
        F_SETDELEG = 1040,
    }

    /// Flag of a descriptor, `fcntl(F_SETFD)`.
    flags FD_FLAGS: u32 {
        FD_CLOEXEC = 1,
    }

    /// Type of a record lock, `struct flock`.
    values LOCK_TYPES: u16 {
        F_RDLCK = 0,
        F_WRLCK = 1,
        F_UNLCK = 2,
    }

    /// Kind of owner, `struct f_owner_ex`.
    values OWNER_TYPES: u32 {
        F_OWNER_TID = 0,
        F_OWNER_PID = 1,
        F_OWNER_PGRP = 2,
    }

    /// Seal of `fcntl(F_ADD_SEALS)`.
    flags SEALS: u32 {
        F_SEAL_SEAL = 1,
        F_SEAL_SHRINK = 2,
        F_SEAL_GROW = 4,
        F_SEAL_WRITE = 8,
        F_SEAL_FUTURE_WRITE = 0x10,
        F_SEAL_EXEC = 0x20,
    }

    /// Event of `fcntl(F_NOTIFY)`.
    flags NOTIFY_FLAGS: u32 {
        DN_ACCESS = 0x1,
        DN_MODIFY = 0x2,
        DN_CREATE = 0x4,
        DN_DELETE = 0x8,
        DN_RENAME = 0x10,
        DN_ATTRIB = 0x20,
        DN_MULTISHOT = 0x8000_0000,
    }

    /// Write life time hint of `fcntl(F_SET_RW_HINT)`.
    values RW_HINTS: u64 {
        RWH_WRITE_LIFE_NOT_SET = 0,
        RWH_WRITE_LIFE_NONE = 1,
        RWH_WRITE_LIFE_SHORT = 2,
        RWH_WRITE_LIFE_MEDIUM = 3,
        RWH_WRITE_LIFE_LONG = 4,
        RWH_WRITE_LIFE_EXTREME = 5,
    }

    /// Special directory descriptor of the `*at` calls.
    values AT_FDS: i32 {
        AT_FDCWD = -100,
        PIDFD_SELF_THREAD = -10_000,
        PIDFD_SELF_THREAD_GROUP = -10_001,
        FD_PIDFS_ROOT = -10_002,
        FD_NSFS_ROOT = -10_003,
        FD_INVALID = -10_009,
    }

    /// Flag of the `*at` calls.
    flags AT_FLAGS: u32 {
        AT_SYMLINK_NOFOLLOW = 0x100,
        AT_SYMLINK_FOLLOW = 0x400,
        AT_NO_AUTOMOUNT = 0x800,
        AT_EMPTY_PATH = 0x1000,
        AT_RECURSIVE = 0x8000,
    }

    /// Flag of `faccessat2(2)` beside those of all `*at` calls.
    flags AT_EACCESS_FLAG: u32 {
        AT_EACCESS = 0x200,
    }

    /// Flag of `unlinkat(2)`.
    flags AT_REMOVEDIR_FLAG: u32 {
        AT_REMOVEDIR = 0x200,
    }

    /// Flag of `execveat(2)` beside those of all `*at` calls.
    flags AT_EXECVE_CHECK_FLAG: u32 {
        AT_EXECVE_CHECK = 0x0001_0000,
    }

    /// Flag of `name_to_handle_at(2)` beside those of all `*at` calls.
    flags HANDLE_FLAGS: u32 {
        AT_HANDLE_FID = 0x200,
        AT_HANDLE_MNT_ID_UNIQUE = 0x1,
        AT_HANDLE_CONNECTABLE = 0x2,
    }

    /// Whence of `lseek(2)`.
    values SEEK_WHENCES: u32 {
        SEEK_SET = 0,
        SEEK_CUR = 1,
        SEEK_END = 2,
        SEEK_DATA = 3,
        SEEK_HOLE = 4,
    }

    /// Check of `access(2)`.
    flags ACCESS_CHECKS: u32 {
        F_OK = 0,
        R_OK = 4,
        W_OK = 2,
        X_OK = 1,
    }

    /// Flag of `renameat2(2)`.
    flags RENAME_FLAGS: u32 {
        RENAME_NOREPLACE = 1,
        RENAME_EXCHANGE = 2,
        RENAME_WHITEOUT = 4,
    }

    /// Operation of `flock(2)`.
    flags FLOCK_OPERATIONS: u32 {
        LOCK_SH = 1,
        LOCK_EX = 2,
        LOCK_NB = 4,
        LOCK_UN = 8,
    }

    /// Flag of `fallocate(2)`.
    flags FALLOCATE_FLAGS: u32 {
        FALLOC_FL_ALLOCATE_RANGE = 0,
        FALLOC_FL_KEEP_SIZE = 1,
        FALLOC_FL_PUNCH_HOLE = 2,
        FALLOC_FL_NO_HIDE_STALE = 4,
        FALLOC_FL_COLLAPSE_RANGE = 8,
        FALLOC_FL_ZERO_RANGE = 0x10,
        FALLOC_FL_INSERT_RANGE = 0x20,
        FALLOC_FL_UNSHARE_RANGE = 0x40,
        FALLOC_FL_WRITE_ZEROES = 0x80,
    }

    /// `resolve` bit of `openat2(2)`.
    flags RESOLVE_FLAGS: u64 {
        RESOLVE_NO_XDEV = 1,
        RESOLVE_NO_MAGICLINKS = 2,
        RESOLVE_NO_SYMLINKS = 4,
        RESOLVE_BENEATH = 8,
        RESOLVE_IN_ROOT = 0x10,
        RESOLVE_CACHED = 0x20,
    }

    /// Flag of `close_range(2)`.
    flags CLOSE_RANGE_FLAGS: u32 {
        CLOSE_RANGE_UNSHARE = 2,
        CLOSE_RANGE_CLOEXEC = 4,
    }

    /// Advice of `posix_fadvise(2)`.
    values FADVICES: u32 {
        POSIX_FADV_NORMAL = 0,
        POSIX_FADV_RANDOM = 1,
        POSIX_FADV_SEQUENTIAL = 2,
        POSIX_FADV_WILLNEED = 3,
        POSIX_FADV_DONTNEED = 4,
        POSIX_FADV_NOREUSE = 5,
    }

    /// Flag of `sync_file_range(2)`.
    flags SYNC_FILE_RANGE_FLAGS: u32 {
        SYNC_FILE_RANGE_WAIT_BEFORE = 1,
        SYNC_FILE_RANGE_WRITE = 2,
        SYNC_FILE_RANGE_WAIT_AFTER = 4,
    }

    /// Flag of `preadv2(2)` and `pwritev2(2)`.
    flags RWF_FLAGS: u32 {
        RWF_HIPRI = 1,
        RWF_DSYNC = 2,
        RWF_SYNC = 4,
        RWF_NOWAIT = 8,
        RWF_APPEND = 0x10,
    }

    /// Flag of `splice(2)`, `tee(2)` and `vmsplice(2)`.
    flags SPLICE_FLAGS: u32 {
        SPLICE_F_MOVE = 1,
        SPLICE_F_NONBLOCK = 2,
        SPLICE_F_MORE = 4,
        SPLICE_F_GIFT = 8,
    }

    /// File type of a directory entry, `getdents64(2)`.
    values DIRENT_TYPES: u8 {
        DT_UNKNOWN = 0,
        DT_FIFO = 1,
        DT_CHR = 2,
        DT_DIR = 4,
        DT_BLK = 6,
        DT_REG = 8,
        DT_LNK = 10,
        DT_SOCK = 12,
        DT_WHT = 14,
    }

    /// Limit of path names and vectors, `<linux/limits.h>`.
    values LIMITS: u32 {
        NAME_MAX = 255,
        PATH_MAX = 4096,
        XATTR_NAME_MAX = 255,
        XATTR_SIZE_MAX = 65_536,
        XATTR_LIST_MAX = 65_536,
        PIPE_BUF = 4096,
        UIO_MAXIOV = 1024,
        ARG_MAX = 131_072,
        NGROUPS_MAX = 65_536,
    }
}

/// The only flags `open(2)` heeds together with `O_PATH`.
pub const O_PATH_FLAGS: u32 = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;

uapi_struct! {
    /// Record lock of `fcntl(F_SETLK)`.
    [32] Flock {
        l_type: u16, l_whence: u16, pad0: u32, l_start: i64, l_len: i64, l_pid: i32, pad1: u32,
    }
    /// Owner of a descriptor, `fcntl(F_SETOWN_EX)`.
    [8] FOwnerEx { r#type: u32, pid: i32 }
    /// Argument of `openat2(2)`.
    [24] OpenHow { flags: u64, mode: u64, resolve: u64 }
    /// Element of the vectors of `readv(2)` and `sendmsg(2)`.
    [16] Iovec { iov_base: u64, iov_len: u64 }
    /// Head of an entry of `getdents64(2)`; the NUL-terminated name follows, padded to 8 bytes.
    ///
    /// The kernel's name begins right after `d_type`, at offset [`DIRENT64_NAME_OFFSET`].
    [24] Dirent64 { d_ino: u64, d_off: i64, d_reclen: u16, d_type: u8, d_name: [u8; 5] }
    /// Head of an entry of `getdents(2)`; the name follows, the type is the last byte of the entry.
    [24] LinuxDirent { d_ino: u64, d_off: u64, d_reclen: u16, d_name: [u8; 6] }
    /// Head of `struct file_handle` of `name_to_handle_at(2)`; `handle_bytes` bytes follow.
    [8] FileHandle { handle_bytes: u32, handle_type: i32 }
    /// Range of `FICLONERANGE`.
    [32] FileCloneRange { src_fd: i64, src_offset: u64, src_length: u64, dest_offset: u64 }
    /// Inode attributes of `FS_IOC_FSGETXATTR`.
    [28] Fsxattr {
        fsx_xflags: u32, fsx_extsize: u32, fsx_nextents: u32, fsx_projid: u32, fsx_cowextsize: u32,
        fsx_pad: [u8; 8],
    }
    /// Inode attributes of `file_getattr(2)`.
    [24] FileAttr {
        fa_xflags: u64, fa_extsize: u32, fa_nextents: u32, fa_projid: u32, fa_cowextsize: u32,
    }
    /// Argument of `setxattrat(2)` and `getxattrat(2)`.
    [16] XattrArgs { value: u64, size: u32, flags: u32 }
}

/// Offset in bytes of the name in an entry of `getdents64(2)`.
pub const DIRENT64_NAME_OFFSET: usize = 19;
/// Offset in bytes of the name in an entry of `getdents(2)`.
pub const LINUX_DIRENT_NAME_OFFSET: usize = 18;
