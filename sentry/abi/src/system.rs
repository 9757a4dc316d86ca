//! The system as a whole and rarely used interfaces: `<linux/utsname.h>`, `<linux/reboot.h>`,
//! `<linux/aio_abi.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Flag of `getrandom(2)`.
    flags GETRANDOM_FLAGS: u32 {
        GRND_NONBLOCK = 1,
        GRND_RANDOM = 2,
        GRND_INSECURE = 4,
    }

    /// Command of `reboot(2)`.
    values REBOOT_COMMANDS: u32 {
        LINUX_REBOOT_CMD_CAD_OFF = 0x0,
        LINUX_REBOOT_CMD_RESTART = 0x0123_4567,
        LINUX_REBOOT_CMD_POWER_OFF = 0x4321_fedc,
        LINUX_REBOOT_CMD_KEXEC = 0x4558_4543,
        LINUX_REBOOT_CMD_CAD_ON = 0x89ab_cdef,
        LINUX_REBOOT_CMD_RESTART2 = 0xa1b2_c3d4,
        LINUX_REBOOT_CMD_HALT = 0xcdef_0123,
        LINUX_REBOOT_CMD_SW_SUSPEND = 0xd000_fce2,
    }

    /// Magic number of `reboot(2)`.
    values REBOOT_MAGICS: u32 {
        LINUX_REBOOT_MAGIC1 = 0xfee1_dead,
        LINUX_REBOOT_MAGIC2 = 0x2812_1969,
        LINUX_REBOOT_MAGIC2A = 0x0512_1996,
        LINUX_REBOOT_MAGIC2B = 0x1604_1998,
        LINUX_REBOOT_MAGIC2C = 0x2011_2000,
    }

    /// Action of `syslog(2)`.
    values SYSLOG_ACTIONS: u32 {
        SYSLOG_ACTION_CLOSE = 0,
        SYSLOG_ACTION_OPEN = 1,
        SYSLOG_ACTION_READ = 2,
        SYSLOG_ACTION_READ_ALL = 3,
        SYSLOG_ACTION_READ_CLEAR = 4,
        SYSLOG_ACTION_CLEAR = 5,
        SYSLOG_ACTION_CONSOLE_OFF = 6,
        SYSLOG_ACTION_CONSOLE_ON = 7,
        SYSLOG_ACTION_CONSOLE_LEVEL = 8,
        SYSLOG_ACTION_SIZE_UNREAD = 9,
        SYSLOG_ACTION_SIZE_BUFFER = 10,
    }

    /// Size in bytes of a field of `uname(2)` with its NUL.
    values UTS_LIMITS: usize {
        NEW_UTS_LEN = 65,
    }

    /// Security module of `lsm_get_self_attr(2)`.
    values LSM_IDS: u64 {
        LSM_ID_CAPABILITY = 100,
        LSM_ID_SELINUX = 101,
        LSM_ID_SMACK = 102,
        LSM_ID_TOMOYO = 103,
        LSM_ID_APPARMOR = 104,
        LSM_ID_YAMA = 105,
        LSM_ID_LOADPIN = 106,
        LSM_ID_SAFESETID = 107,
        LSM_ID_LOCKDOWN = 108,
        LSM_ID_BPF = 109,
        LSM_ID_LANDLOCK = 110,
        LSM_ID_IMA = 111,
        LSM_ID_EVM = 112,
        LSM_ID_IPE = 113,
    }

    /// Attribute of `lsm_get_self_attr(2)`.
    values LSM_ATTRIBUTES: u32 {
        LSM_ATTR_CURRENT = 100,
        LSM_ATTR_EXEC = 101,
        LSM_ATTR_FSCREATE = 102,
        LSM_ATTR_KEYCREATE = 103,
        LSM_ATTR_PREV = 104,
        LSM_ATTR_SOCKCREATE = 105,
    }

    /// Command of `quotactl(2)`.
    values QUOTA_COMMANDS: u32 {
        Q_SYNC = 8_388_609,
        Q_QUOTAON = 8_388_610,
        Q_QUOTAOFF = 8_388_611,
        Q_GETFMT = 8_388_612,
        Q_GETINFO = 8_388_613,
        Q_SETINFO = 8_388_614,
        Q_GETQUOTA = 8_388_615,
        Q_SETQUOTA = 8_388_616,
        Q_GETNEXTQUOTA = 8_388_617,
    }

    /// Command of `io_submit(2)`.
    values IOCB_COMMANDS: u16 {
        IOCB_CMD_PREAD = 0,
        IOCB_CMD_PWRITE = 1,
        IOCB_CMD_FSYNC = 2,
        IOCB_CMD_FDSYNC = 3,
        IOCB_CMD_POLL = 5,
        IOCB_CMD_NOOP = 6,
        IOCB_CMD_PREADV = 7,
        IOCB_CMD_PWRITEV = 8,
    }

    /// Flag of `io_submit(2)`.
    flags IOCB_FLAGS: u32 {
        IOCB_FLAG_RESFD = 1,
        IOCB_FLAG_IOPRIO = 2,
    }

    /// Flag of `userfaultfd(2)`.
    flags USERFAULTFD_FLAGS: u32 {
        UFFD_USER_MODE_ONLY = 0x1,
    }

    /// Command of `bpf(2)`.
    values BPF_COMMANDS: u32 {
        BPF_MAP_CREATE = 0,
        BPF_MAP_LOOKUP_ELEM = 1,
        BPF_MAP_UPDATE_ELEM = 2,
        BPF_MAP_DELETE_ELEM = 3,
        BPF_MAP_GET_NEXT_KEY = 4,
        BPF_PROG_LOAD = 5,
        BPF_OBJ_PIN = 6,
        BPF_OBJ_GET = 7,
        BPF_PROG_ATTACH = 8,
        BPF_PROG_DETACH = 9,
    }
}

uapi_struct! {
    /// Result of `uname(2)`: NUL-terminated strings.
    [390] Utsname {
        sysname: [u8; 65], nodename: [u8; 65], release: [u8; 65], version: [u8; 65],
        machine: [u8; 65], domainname: [u8; 65],
    }
    /// Result of `sysinfo(2)`; memory in units of `mem_unit` bytes.
    [112] Sysinfo {
        uptime: i64,
        /// Load averages over 1, 5 and 15 minutes, in 1/65536.
        loads: [u64; 3],
        totalram: u64, freeram: u64, sharedram: u64, bufferram: u64, totalswap: u64, freeswap: u64,
        procs: u16, pad: u16, pad0: u32, totalhigh: u64, freehigh: u64, mem_unit: u32, pad1: u32,
    }
    /// Submission of `io_submit(2)`.
    [64] Iocb {
        aio_data: u64, aio_key: u32, aio_rw_flags: u32, aio_lio_opcode: u16, aio_reqprio: i16,
        aio_fildes: u32, aio_buf: u64, aio_nbytes: u64, aio_offset: i64, aio_reserved2: u64,
        aio_flags: u32, aio_resfd: u32,
    }
    /// Completion of `io_getevents(2)`.
    [32] IoEvent { data: u64, obj: u64, res: i64, res2: i64 }
    /// Head of an attribute of `lsm_get_self_attr(2)`; `ctx_len` bytes follow.
    [32] LsmCtx { id: u64, flags: u64, len: u64, ctx_len: u64 }
}
