//! Mounting: `<linux/mount.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Flag of `mount(2)`.
    flags MOUNT_FLAGS: u64 {
        MS_RDONLY = 0x1,
        MS_NOSUID = 0x2,
        MS_NODEV = 0x4,
        MS_NOEXEC = 0x8,
        MS_SYNCHRONOUS = 0x10,
        MS_REMOUNT = 0x20,
        MS_MANDLOCK = 0x40,
        MS_DIRSYNC = 0x80,
        MS_NOSYMFOLLOW = 0x100,
        MS_NOATIME = 0x400,
        MS_NODIRATIME = 0x800,
        MS_BIND = 0x1000,
        MS_MOVE = 0x2000,
        MS_REC = 0x4000,
        MS_SILENT = 0x8000,
        MS_POSIXACL = 0x0001_0000,
        MS_UNBINDABLE = 0x0002_0000,
        MS_PRIVATE = 0x0004_0000,
        MS_SLAVE = 0x0008_0000,
        MS_SHARED = 0x0010_0000,
        MS_RELATIME = 0x0020_0000,
        MS_KERNMOUNT = 0x0040_0000,
        MS_I_VERSION = 0x0080_0000,
        MS_STRICTATIME = 0x0100_0000,
        MS_LAZYTIME = 0x0200_0000,
        MS_MGC_VAL = 0xc0ed_0000,
    }

    /// Mask of the magic number old programs pass to `mount(2)`.
    values MOUNT_MAGIC: u64 {
        MS_MGC_MSK = 0xffff_0000,
    }

    /// Flag of `umount2(2)`.
    flags UMOUNT_FLAGS: u32 {
        MNT_FORCE = 1,
        MNT_DETACH = 2,
        MNT_EXPIRE = 4,
        UMOUNT_NOFOLLOW = 8,
    }

    /// Flag of `open_tree(2)`.
    flags OPEN_TREE_FLAGS: u32 {
        OPEN_TREE_CLONE = 0x1,
        OPEN_TREE_CLOEXEC = 0x0008_0000,
    }

    /// Flag of `move_mount(2)`.
    flags MOVE_MOUNT_FLAGS: u32 {
        MOVE_MOUNT_F_SYMLINKS = 0x1,
        MOVE_MOUNT_F_AUTOMOUNTS = 0x2,
        MOVE_MOUNT_F_EMPTY_PATH = 0x4,
        MOVE_MOUNT_T_SYMLINKS = 0x10,
        MOVE_MOUNT_T_AUTOMOUNTS = 0x20,
        MOVE_MOUNT_T_EMPTY_PATH = 0x40,
        MOVE_MOUNT_SET_GROUP = 0x100,
        MOVE_MOUNT_BENEATH = 0x200,
    }

    /// Flag of `fsopen(2)`, `fspick(2)` and `fsmount(2)`.
    flags FSOPEN_FLAGS: u32 {
        FSOPEN_CLOEXEC = 1,
    }

    /// Flag of `fspick(2)`.
    flags FSPICK_FLAGS: u32 {
        FSPICK_CLOEXEC = 1,
        FSPICK_SYMLINK_NOFOLLOW = 2,
        FSPICK_NO_AUTOMOUNT = 4,
        FSPICK_EMPTY_PATH = 8,
    }

    /// Flag of `fsmount(2)`.
    flags FSMOUNT_FLAGS: u32 {
        FSMOUNT_CLOEXEC = 1,
    }

    /// Command of `fsconfig(2)`.
    values FSCONFIG_COMMANDS: u32 {
        FSCONFIG_SET_FLAG = 0,
        FSCONFIG_SET_STRING = 1,
        FSCONFIG_SET_BINARY = 2,
        FSCONFIG_SET_PATH = 3,
        FSCONFIG_SET_PATH_EMPTY = 4,
        FSCONFIG_SET_FD = 5,
        FSCONFIG_CMD_CREATE = 6,
        FSCONFIG_CMD_RECONFIGURE = 7,
        FSCONFIG_CMD_CREATE_EXCL = 8,
    }

    /// Attribute of `mount_setattr(2)`.
    flags MOUNT_ATTRIBUTES: u64 {
        MOUNT_ATTR_RDONLY = 0x1,
        MOUNT_ATTR_NOSUID = 0x2,
        MOUNT_ATTR_NODEV = 0x4,
        MOUNT_ATTR_NOEXEC = 0x8,
        MOUNT_ATTR__ATIME = 0x70,
        MOUNT_ATTR_RELATIME = 0x0,
        MOUNT_ATTR_NOATIME = 0x10,
        MOUNT_ATTR_STRICTATIME = 0x20,
        MOUNT_ATTR_NODIRATIME = 0x80,
        MOUNT_ATTR_IDMAP = 0x0010_0000,
        MOUNT_ATTR_NOSYMFOLLOW = 0x0020_0000,
    }

    /// Field of `statmount(2)`.
    flags STATMOUNT_MASK: u64 {
        STATMOUNT_SB_BASIC = 0x1,
        STATMOUNT_MNT_BASIC = 0x2,
        STATMOUNT_PROPAGATE_FROM = 0x4,
        STATMOUNT_MNT_ROOT = 0x8,
        STATMOUNT_MNT_POINT = 0x10,
        STATMOUNT_FS_TYPE = 0x20,
        STATMOUNT_MNT_NS_ID = 0x40,
        STATMOUNT_MNT_OPTS = 0x80,
        STATMOUNT_FS_SUBTYPE = 0x100,
        STATMOUNT_SB_SOURCE = 0x200,
        STATMOUNT_OPT_ARRAY = 0x400,
        STATMOUNT_OPT_SEC_ARRAY = 0x800,
        STATMOUNT_SUPPORTED_MASK = 0x1000,
        STATMOUNT_MNT_UIDMAP = 0x2000,
        STATMOUNT_MNT_GIDMAP = 0x4000,
    }

    /// Flag of `listmount(2)`.
    flags LISTMOUNT_FLAGS: u32 {
        LISTMOUNT_REVERSE = 1,
    }

    /// Size in bytes of a version of `struct mnt_id_req`.
    values MNT_ID_REQ_SIZES: usize {
        MNT_ID_REQ_SIZE_VER0 = 24,
        MNT_ID_REQ_SIZE_VER1 = 32,
    }
}

/// Special mount id of `listmount(2)`: the root of the mount namespace.
pub const LSMT_ROOT: u64 = u64::MAX;

uapi_struct! {
    /// Argument of `mount_setattr(2)`.
    [32] MountAttr { attr_set: u64, attr_clr: u64, propagation: u64, userns_fd: u64 }
    /// Argument of `statmount(2)` and `listmount(2)`.
    [32] MntIdReq { size: u32, spare: u32, mnt_id: u64, param: u64, mnt_ns_id: u64 }
    /// Result of `statmount(2)`; strings follow, at offsets counted from its end.
    [512] Statmount {
        size: u32, mnt_opts: u32, mask: u64, sb_dev_major: u32, sb_dev_minor: u32, sb_magic: u64,
        sb_flags: u32, fs_type: u32, mnt_id: u64, mnt_parent_id: u64, mnt_id_old: u32,
        mnt_parent_id_old: u32, mnt_attr: u64, mnt_propagation: u64, mnt_peer_group: u64,
        mnt_master: u64, propagate_from: u64, mnt_root: u32, mnt_point: u32, mnt_ns_id: u64,
        fs_subtype: u32, sb_source: u32, opt_num: u32, opt_array: u32, opt_sec_num: u32,
        opt_sec_array: u32, supported_mask: u64, mnt_uidmap_num: u32, mnt_uidmap: u32,
        mnt_gidmap_num: u32, mnt_gidmap: u32, spare: [u64; 43],
    }
}
