//! File attributes: `<linux/stat.h>`, `<linux/magic.h>`, `<linux/fs.h>`, `<linux/xattr.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Bit of a file mode, `inode(7)`.
    flags MODE_BITS: u32 {
        S_IFMT = 0o170000,
        S_ISUID = 0o4000,
        S_ISGID = 0o2000,
        S_ISVTX = 0o1000,
        S_IRWXU = 0o700,
        S_IRUSR = 0o400,
        S_IWUSR = 0o200,
        S_IXUSR = 0o100,
        S_IRWXG = 0o70,
        S_IRGRP = 0o40,
        S_IWGRP = 0o20,
        S_IXGRP = 0o10,
        S_IRWXO = 0o7,
        S_IROTH = 0o4,
        S_IWOTH = 0o2,
        S_IXOTH = 0o1,
    }

    /// File type, in the bits of `S_IFMT`.
    values FILE_TYPES: u32 {
        S_IFSOCK = 0o140000,
        S_IFLNK = 0o120000,
        S_IFREG = 0o100000,
        S_IFBLK = 0o60000,
        S_IFDIR = 0o40000,
        S_IFCHR = 0o20000,
        S_IFIFO = 0o10000,
    }

    /// Field of `statx(2)`.
    flags STATX_MASK: u32 {
        STATX_TYPE = 0x1,
        STATX_MODE = 0x2,
        STATX_NLINK = 0x4,
        STATX_UID = 0x8,
        STATX_GID = 0x10,
        STATX_ATIME = 0x20,
        STATX_MTIME = 0x40,
        STATX_CTIME = 0x80,
        STATX_INO = 0x100,
        STATX_SIZE = 0x200,
        STATX_BLOCKS = 0x400,
        STATX_BASIC_STATS = 0x7ff,
        STATX_BTIME = 0x800,
        STATX_ALL = 0xfff,
        STATX_MNT_ID = 0x1000,
        STATX_DIOALIGN = 0x2000,
        STATX_MNT_ID_UNIQUE = 0x4000,
        STATX_SUBVOL = 0x8000,
        STATX_WRITE_ATOMIC = 0x0001_0000,
        STATX_DIO_READ_ALIGN = 0x0002_0000,
        STATX__RESERVED = 0x8000_0000,
    }

    /// Attribute reported by `statx(2)`.
    flags STATX_ATTRIBUTES: u64 {
        STATX_ATTR_COMPRESSED = 0x4,
        STATX_ATTR_IMMUTABLE = 0x10,
        STATX_ATTR_APPEND = 0x20,
        STATX_ATTR_NODUMP = 0x40,
        STATX_ATTR_ENCRYPTED = 0x800,
        STATX_ATTR_AUTOMOUNT = 0x1000,
        STATX_ATTR_MOUNT_ROOT = 0x2000,
        STATX_ATTR_VERITY = 0x0010_0000,
        STATX_ATTR_DAX = 0x0020_0000,
        STATX_ATTR_WRITE_ATOMIC = 0x0040_0000,
    }

    /// Synchronisation mode of `statx(2)`.
    flags STATX_SYNC_FLAGS: u32 {
        AT_STATX_SYNC_AS_STAT = 0x0,
        AT_STATX_FORCE_SYNC = 0x2000,
        AT_STATX_DONT_SYNC = 0x4000,
        AT_STATX_SYNC_TYPE = 0x6000,
    }

    /// File system magic of `statfs(2)`, `<linux/magic.h>`.
    values MAGICS: u64 {
        EXT4_SUPER_MAGIC = 0xef53,
        QNX4_SUPER_MAGIC = 0x2f,
        AUTOFS_SUPER_MAGIC = 0x187,
        MINIX_SUPER_MAGIC = 0x137f,
        DEVPTS_SUPER_MAGIC = 0x1cd1,
        MINIX2_SUPER_MAGIC = 0x2468,
        NILFS_SUPER_MAGIC = 0x3434,
        MSDOS_SUPER_MAGIC = 0x4d44,
        MINIX3_SUPER_MAGIC = 0x4d5a,
        SMB_SUPER_MAGIC = 0x517b,
        NCP_SUPER_MAGIC = 0x564c,
        NFS_SUPER_MAGIC = 0x6969,
        JFFS2_SUPER_MAGIC = 0x72b6,
        ISOFS_SUPER_MAGIC = 0x9660,
        PROC_SUPER_MAGIC = 0x9fa0,
        OPENPROM_SUPER_MAGIC = 0x9fa1,
        USBDEVICE_SUPER_MAGIC = 0x9fa2,
        ADFS_SUPER_MAGIC = 0xadf5,
        AFFS_SUPER_MAGIC = 0xadff,
        EXT2_SUPER_MAGIC = 0xef53,
        EXT3_SUPER_MAGIC = 0xef53,
        ECRYPTFS_SUPER_MAGIC = 0xf15f,
        CGROUP_SUPER_MAGIC = 0x0027_e0eb,
        EFS_SUPER_MAGIC = 0x0041_4a53,
        HOSTFS_SUPER_MAGIC = 0x00c0_ffee,
        CEPH_SUPER_MAGIC = 0x00c3_6400,
        TMPFS_MAGIC = 0x0102_1994,
        V9FS_MAGIC = 0x0102_1997,
        RDTGROUP_SUPER_MAGIC = 0x0765_5821,
        ANON_INODE_FS_MAGIC = 0x0904_1934,
        FUTEXFS_SUPER_MAGIC = 0x0bad_1dea,
        MTD_INODE_FS_MAGIC = 0x1130_7854,
        UDF_SUPER_MAGIC = 0x1501_3346,
        MQUEUE_MAGIC = 0x1980_0202,
        EXFAT_SUPER_MAGIC = 0x2011_bab0,
        CRAMFS_MAGIC = 0x28cd_3d45,
        BINFMTFS_MAGIC = 0x4249_4e4d,
        SMACK_MAGIC = 0x4341_5d53,
        DMA_BUF_MAGIC = 0x444d_4142,
        DEVMEM_MAGIC = 0x454d_444d,
        PID_FS_MAGIC = 0x5049_4446,
        PIPEFS_MAGIC = 0x5049_5045,
        REISERFS_SUPER_MAGIC = 0x5265_4973,
        SECRETMEM_MAGIC = 0x5345_434d,
        AFS_SUPER_MAGIC = 0x5346_414f,
        SOCKFS_MAGIC = 0x534f_434b,
        AAFS_MAGIC = 0x5a3c_69f0,
        ZONEFS_MAGIC = 0x5a4f_4653,
        PSTOREFS_MAGIC = 0x6165_676c,
        BDEVFS_MAGIC = 0x6264_6576,
        SYSFS_MAGIC = 0x6265_6572,
        CGROUP2_SUPER_MAGIC = 0x6367_7270,
        DEBUGFS_MAGIC = 0x6462_6720,
        DAXFS_MAGIC = 0x6464_6178,
        FUSE_SUPER_MAGIC = 0x6573_5546,
        QNX6_SUPER_MAGIC = 0x6819_1122,
        AFS_FS_MAGIC = 0x6b41_4653,
        BINDERFS_SUPER_MAGIC = 0x6c6f_6f70,
        NSFS_MAGIC = 0x6e73_6673,
        SECURITYFS_MAGIC = 0x7363_6673,
        SQUASHFS_MAGIC = 0x7371_7368,
        BTRFS_TEST_MAGIC = 0x7372_7279,
        CODA_SUPER_MAGIC = 0x7375_7245,
        OCFS2_SUPER_MAGIC = 0x7461_636f,
        TRACEFS_MAGIC = 0x7472_6163,
        OVERLAYFS_SUPER_MAGIC = 0x794c_7630,
        RAMFS_MAGIC = 0x8584_58f6,
        BTRFS_SUPER_MAGIC = 0x9123_683e,
        HUGETLBFS_MAGIC = 0x9584_58f6,
        XENFS_SUPER_MAGIC = 0xabba_1974,
        BCACHEFS_SUPER_MAGIC = 0xca45_1a4e,
        BPF_FS_MAGIC = 0xcafe_4a11,
        EFIVARFS_MAGIC = 0xde5e_81e4,
        F2FS_SUPER_MAGIC = 0xf2f5_2010,
        SELINUX_MAGIC = 0xf97c_ff8c,
        HPFS_SUPER_MAGIC = 0xf995_e849,
        SMB2_SUPER_MAGIC = 0xfe53_4d42,
        CIFS_SUPER_MAGIC = 0xff53_4d42,
    }

    /// Mount flag reported by `statfs(2)`.
    flags STATFS_FLAGS: u64 {
        ST_RDONLY = 0x1,
        ST_NOSUID = 0x2,
        ST_NODEV = 0x4,
        ST_NOEXEC = 0x8,
        ST_SYNCHRONOUS = 0x10,
        ST_VALID = 0x20,
        ST_MANDLOCK = 0x40,
        ST_NOATIME = 0x400,
        ST_NODIRATIME = 0x800,
        ST_RELATIME = 0x1000,
        ST_NOSYMFOLLOW = 0x2000,
    }

    /// Flag of `setxattr(2)`.
    flags XATTR_FLAGS: u32 {
        XATTR_CREATE = 1,
        XATTR_REPLACE = 2,
    }

    /// Inode flag of `FS_IOC_GETFLAGS`, `ioctl_iflags(2)`.
    flags INODE_FLAGS: u32 {
        FS_SECRM_FL = 0x1,
        FS_UNRM_FL = 0x2,
        FS_COMPR_FL = 0x4,
        FS_SYNC_FL = 0x8,
        FS_IMMUTABLE_FL = 0x10,
        FS_APPEND_FL = 0x20,
        FS_NODUMP_FL = 0x40,
        FS_NOATIME_FL = 0x80,
        FS_DIRTY_FL = 0x100,
        FS_COMPRBLK_FL = 0x200,
        FS_NOCOMP_FL = 0x400,
        FS_ENCRYPT_FL = 0x800,
        FS_BTREE_FL = 0x1000,
        FS_INDEX_FL = 0x1000,
        FS_IMAGIC_FL = 0x2000,
        FS_JOURNAL_DATA_FL = 0x4000,
        FS_NOTAIL_FL = 0x8000,
        FS_DIRSYNC_FL = 0x0001_0000,
        FS_TOPDIR_FL = 0x0002_0000,
        FS_HUGE_FILE_FL = 0x0004_0000,
        FS_EXTENT_FL = 0x0008_0000,
        FS_VERITY_FL = 0x0010_0000,
        FS_EA_INODE_FL = 0x0020_0000,
        FS_EOFBLOCKS_FL = 0x0040_0000,
        FS_NOCOW_FL = 0x0080_0000,
        FS_DAX_FL = 0x0200_0000,
        FS_INLINE_DATA_FL = 0x1000_0000,
        FS_PROJINHERIT_FL = 0x2000_0000,
        FS_CASEFOLD_FL = 0x4000_0000,
        FS_RESERVED_FL = 0x8000_0000,
    }

    /// Inode flag of `FS_IOC_FSGETXATTR` and `file_getattr(2)`.
    flags XFLAGS: u32 {
        FS_XFLAG_REALTIME = 0x1,
        FS_XFLAG_PREALLOC = 0x2,
        FS_XFLAG_IMMUTABLE = 0x8,
        FS_XFLAG_APPEND = 0x10,
        FS_XFLAG_SYNC = 0x20,
        FS_XFLAG_NOATIME = 0x40,
        FS_XFLAG_NODUMP = 0x80,
        FS_XFLAG_RTINHERIT = 0x100,
        FS_XFLAG_PROJINHERIT = 0x200,
        FS_XFLAG_NOSYMLINKS = 0x400,
        FS_XFLAG_EXTSIZE = 0x800,
        FS_XFLAG_EXTSZINHERIT = 0x1000,
        FS_XFLAG_NODEFRAG = 0x2000,
        FS_XFLAG_FILESTREAM = 0x4000,
        FS_XFLAG_DAX = 0x8000,
        FS_XFLAG_COWEXTSIZE = 0x0001_0000,
        FS_XFLAG_HASATTR = 0x8000_0000,
    }
}

pub use crate::arch::host::stat::Stat;

uapi_struct! {
    /// Time stamp of `statx(2)`.
    [16] StatxTimestamp { tv_sec: i64, tv_nsec: u32, pad0: i32 }
    /// Result of `statx(2)`.
    [256] Statx {
        stx_mask: u32, stx_blksize: u32, stx_attributes: u64, stx_nlink: u32, stx_uid: u32,
        stx_gid: u32, stx_mode: u16, pad0: u16, stx_ino: u64, stx_size: u64, stx_blocks: u64,
        stx_attributes_mask: u64, stx_atime: StatxTimestamp, stx_btime: StatxTimestamp,
        stx_ctime: StatxTimestamp, stx_mtime: StatxTimestamp, stx_rdev_major: u32,
        stx_rdev_minor: u32, stx_dev_major: u32, stx_dev_minor: u32, stx_mnt_id: u64,
        stx_dio_mem_align: u32, stx_dio_offset_align: u32, stx_subvol: u64,
        stx_atomic_write_unit_min: u32, stx_atomic_write_unit_max: u32,
        stx_atomic_write_segments_max: u32, stx_dio_read_offset_align: u32,
        stx_atomic_write_unit_max_opt: u32, pad1: u32, spare: [u64; 8],
    }
    /// Result of `statfs(2)`.
    [120] Statfs {
        f_type: u64, f_bsize: u64, f_blocks: u64, f_bfree: u64, f_bavail: u64, f_files: u64,
        f_ffree: u64, f_fsid: [u32; 2], f_namelen: u64, f_frsize: u64, f_flags: u64,
        f_spare: [u64; 4],
    }
    /// Result of the obsolete `ustat(2)`.
    [32] Ustat { f_tfree: i32, pad0: u32, f_tinode: u64, f_fname: [u8; 6], f_fpack: [u8; 6], pad1: u32 }
}

/// Packs a device number as the kernel shows it to user space (`new_encode_dev`), in the 64-bit form
/// of glibc's `makedev(3)`.
#[must_use]
pub const fn makedev(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

/// Major number of a device number.
#[must_use]
pub const fn major(dev: u64) -> u32 {
    crate::conv::low_u32((dev >> 8) & 0xfff | (dev >> 32) & 0xffff_f000)
}

/// Minor number of a device number.
#[must_use]
pub const fn minor(dev: u64) -> u32 {
    crate::conv::low_u32(dev & 0xff | (dev >> 12) & 0xffff_ff00)
}

/// A device number as the kernel keeps it and `fdinfo` shows it (`dev_t` of `kdev_t.h`).
#[must_use]
pub const fn internal(dev: u64) -> u32 {
    major(dev) << 20 | minor(dev)
}
