//! Seccomp and the classic packet filter: `<linux/seccomp.h>`, `<linux/filter.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Mode of `prctl(PR_SET_SECCOMP)`.
    values SECCOMP_MODES: u32 {
        SECCOMP_MODE_DISABLED = 0,
        SECCOMP_MODE_STRICT = 1,
        SECCOMP_MODE_FILTER = 2,
    }

    /// Operation of `seccomp(2)`.
    values SECCOMP_OPERATIONS: u32 {
        SECCOMP_SET_MODE_STRICT = 0,
        SECCOMP_SET_MODE_FILTER = 1,
        SECCOMP_GET_ACTION_AVAIL = 2,
        SECCOMP_GET_NOTIF_SIZES = 3,
    }

    /// Flag of `seccomp(SECCOMP_SET_MODE_FILTER)`.
    flags SECCOMP_FILTER_FLAGS: u32 {
        SECCOMP_FILTER_FLAG_TSYNC = 0x1,
        SECCOMP_FILTER_FLAG_LOG = 0x2,
        SECCOMP_FILTER_FLAG_SPEC_ALLOW = 0x4,
        SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x8,
        SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 0x10,
        SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20,
    }

    /// Action a seccomp filter returns.
    values SECCOMP_ACTIONS: u32 {
        SECCOMP_RET_KILL_PROCESS = 0x8000_0000,
        SECCOMP_RET_KILL_THREAD = 0x0,
        SECCOMP_RET_KILL = 0x0,
        SECCOMP_RET_TRAP = 0x0003_0000,
        SECCOMP_RET_ERRNO = 0x0005_0000,
        SECCOMP_RET_USER_NOTIF = 0x7fc0_0000,
        SECCOMP_RET_TRACE = 0x7ff0_0000,
        SECCOMP_RET_LOG = 0x7ffc_0000,
        SECCOMP_RET_ALLOW = 0x7fff_0000,
    }

    /// Part of the value a seccomp filter returns.
    values SECCOMP_MASKS: u32 {
        SECCOMP_RET_ACTION_FULL = 0xffff_0000,
        SECCOMP_RET_ACTION = 0x7fff_0000,
        SECCOMP_RET_DATA = 0xffff,
    }

    /// Flag of a reply to a seccomp notification.
    flags SECCOMP_NOTIFY_FLAGS: u32 {
        SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1,
    }

    /// Flag of `SECCOMP_IOCTL_NOTIF_ADDFD`.
    flags SECCOMP_ADDFD_FLAGS: u32 {
        SECCOMP_ADDFD_FLAG_SETFD = 1,
        SECCOMP_ADDFD_FLAG_SEND = 2,
    }

    /// Flag of `SECCOMP_IOCTL_NOTIF_SET_FLAGS`.
    flags SECCOMP_NOTIFY_FD_FLAGS: u64 {
        SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1,
    }

    /// Part of an instruction of the classic packet filter.
    values BPF_CODES: u16 {
        BPF_LD = 0x0,
        BPF_LDX = 0x1,
        BPF_ST = 0x2,
        BPF_STX = 0x3,
        BPF_ALU = 0x4,
        BPF_JMP = 0x5,
        BPF_RET = 0x6,
        BPF_MISC = 0x7,
        BPF_W = 0x0,
        BPF_H = 0x8,
        BPF_B = 0x10,
        BPF_IMM = 0x0,
        BPF_ABS = 0x20,
        BPF_IND = 0x40,
        BPF_MEM = 0x60,
        BPF_LEN = 0x80,
        BPF_MSH = 0xa0,
        BPF_ADD = 0x0,
        BPF_SUB = 0x10,
        BPF_MUL = 0x20,
        BPF_DIV = 0x30,
        BPF_OR = 0x40,
        BPF_AND = 0x50,
        BPF_LSH = 0x60,
        BPF_RSH = 0x70,
        BPF_NEG = 0x80,
        BPF_MOD = 0x90,
        BPF_XOR = 0xa0,
        BPF_JA = 0x0,
        BPF_JEQ = 0x10,
        BPF_JGT = 0x20,
        BPF_JGE = 0x30,
        BPF_JSET = 0x40,
        BPF_K = 0x0,
        BPF_X = 0x8,
        BPF_A = 0x10,
        BPF_TAX = 0x0,
        BPF_TXA = 0x80,
    }

    /// Limit of the classic packet filter.
    values BPF_LIMITS: u32 {
        BPF_MAXINSNS = 4096,
        BPF_MEMWORDS = 16,
    }

    /// Architecture seen by a seccomp filter.
    values AUDIT_ARCHES: u32 {
        AUDIT_ARCH_X86_64 = 0xc000_003e,
        AUDIT_ARCH_I386 = 0x4000_0003,
        AUDIT_ARCH_AARCH64 = 0xc000_00b7,
    }
}

uapi_struct! {
    /// Instruction of the classic packet filter.
    [8] SockFilter { code: u16, jt: u8, jf: u8, k: u32 }
    /// Program of the classic packet filter.
    [16] SockFprog { len: u16, pad0: [u16; 3], filter: u64 }
    /// What a seccomp filter sees of a call.
    [64] SeccompData { nr: u32, arch: u32, instruction_pointer: u64, args: [u64; 6] }
    /// Sizes of the notification structures, `SECCOMP_GET_NOTIF_SIZES`.
    [6] SeccompNotifSizes { seccomp_notif: u16, seccomp_notif_resp: u16, seccomp_data: u16 }
    /// Notification read from a listener.
    [80] SeccompNotif { id: u64, pid: u32, flags: u32, data: SeccompData }
    /// Reply to a notification.
    [24] SeccompNotifResp { id: u64, val: i64, error: i32, flags: u32 }
    /// Argument of `SECCOMP_IOCTL_NOTIF_ADDFD`.
    [24] SeccompNotifAddfd { id: u64, flags: u32, srcfd: u32, newfd: u32, newfd_flags: u32 }
}
