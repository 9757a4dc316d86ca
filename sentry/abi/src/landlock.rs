//! Landlock: `<linux/landlock.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// File access right of `landlock(7)`.
    flags LANDLOCK_FS: u64 {
        LANDLOCK_ACCESS_FS_EXECUTE = 0x1,
        LANDLOCK_ACCESS_FS_WRITE_FILE = 0x2,
        LANDLOCK_ACCESS_FS_READ_FILE = 0x4,
        LANDLOCK_ACCESS_FS_READ_DIR = 0x8,
        LANDLOCK_ACCESS_FS_REMOVE_DIR = 0x10,
        LANDLOCK_ACCESS_FS_REMOVE_FILE = 0x20,
        LANDLOCK_ACCESS_FS_MAKE_CHAR = 0x40,
        LANDLOCK_ACCESS_FS_MAKE_DIR = 0x80,
        LANDLOCK_ACCESS_FS_MAKE_REG = 0x100,
        LANDLOCK_ACCESS_FS_MAKE_SOCK = 0x200,
        LANDLOCK_ACCESS_FS_MAKE_FIFO = 0x400,
        LANDLOCK_ACCESS_FS_MAKE_BLOCK = 0x800,
        LANDLOCK_ACCESS_FS_MAKE_SYM = 0x1000,
        LANDLOCK_ACCESS_FS_REFER = 0x2000,
        LANDLOCK_ACCESS_FS_TRUNCATE = 0x4000,
        LANDLOCK_ACCESS_FS_IOCTL_DEV = 0x8000,
    }

    /// Network access right of `landlock(7)`.
    flags LANDLOCK_NET: u64 {
        LANDLOCK_ACCESS_NET_BIND_TCP = 0x1,
        LANDLOCK_ACCESS_NET_CONNECT_TCP = 0x2,
    }

    /// Scope of `landlock(7)`.
    flags LANDLOCK_SCOPES: u64 {
        LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1,
        LANDLOCK_SCOPE_SIGNAL = 2,
    }

    /// Flag of `landlock_create_ruleset(2)`.
    flags LANDLOCK_CREATE_FLAGS: u32 {
        LANDLOCK_CREATE_RULESET_VERSION = 1,
        LANDLOCK_CREATE_RULESET_ERRATA = 2,
    }

    /// Kind of rule of `landlock_add_rule(2)`.
    values LANDLOCK_RULES: u32 {
        LANDLOCK_RULE_PATH_BENEATH = 1,
        LANDLOCK_RULE_NET_PORT = 2,
    }

    /// Flag of `landlock_restrict_self(2)`.
    flags LANDLOCK_RESTRICT_FLAGS: u32 {
        LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF = 1,
        LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON = 2,
        LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF = 4,
    }
}

uapi_struct! {
    /// Argument of `landlock_create_ruleset(2)`.
    [24] LandlockRulesetAttr { handled_access_fs: u64, handled_access_net: u64, scoped: u64 }
    /// Port rule of `landlock_add_rule(2)`.
    [16] LandlockNetPortAttr { allowed_access: u64, port: u64 }
}

/// Size in bytes of the packed path rule of `landlock_add_rule(2)`: a `u64` of rights, an `i32` descriptor.
pub const LANDLOCK_PATH_BENEATH_ATTR_SIZE: usize = 12;
