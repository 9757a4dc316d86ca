//! Process attributes: `<linux/prctl.h>`, `<asm/prctl.h>`, `<linux/personality.h>`,
//! `<linux/securebits.h>`.

use crate::macros::uapi;

uapi! {
    /// Operation of `prctl(2)`.
    values PRCTLS: u32 {
        PR_SET_PDEATHSIG = 1,
        PR_GET_PDEATHSIG = 2,
        PR_GET_DUMPABLE = 3,
        PR_SET_DUMPABLE = 4,
        PR_GET_UNALIGN = 5,
        PR_SET_UNALIGN = 6,
        PR_GET_KEEPCAPS = 7,
        PR_SET_KEEPCAPS = 8,
        PR_GET_FPEMU = 9,
        PR_SET_FPEMU = 10,
        PR_GET_FPEXC = 11,
        PR_SET_FPEXC = 12,
        PR_GET_TIMING = 13,
        PR_SET_TIMING = 14,
        PR_SET_NAME = 15,
        PR_GET_NAME = 16,
        PR_GET_ENDIAN = 19,
        PR_SET_ENDIAN = 20,
        PR_GET_SECCOMP = 21,
        PR_SET_SECCOMP = 22,
        PR_CAPBSET_READ = 23,
        PR_CAPBSET_DROP = 24,
        PR_GET_TSC = 25,
        PR_SET_TSC = 26,
        PR_GET_SECUREBITS = 27,
        PR_SET_SECUREBITS = 28,
        PR_SET_TIMERSLACK = 29,
        PR_GET_TIMERSLACK = 30,
        PR_TASK_PERF_EVENTS_DISABLE = 31,
        PR_TASK_PERF_EVENTS_ENABLE = 32,
        PR_MCE_KILL = 33,
        PR_MCE_KILL_GET = 34,
        PR_SET_MM = 35,
        PR_SET_CHILD_SUBREAPER = 36,
        PR_GET_CHILD_SUBREAPER = 37,
        PR_SET_NO_NEW_PRIVS = 38,
        PR_GET_NO_NEW_PRIVS = 39,
        PR_GET_TID_ADDRESS = 40,
        PR_SET_THP_DISABLE = 41,
        PR_GET_THP_DISABLE = 42,
        PR_SET_FP_MODE = 45,
        PR_GET_FP_MODE = 46,
        PR_CAP_AMBIENT = 47,
        PR_SVE_SET_VL = 50,
        PR_SVE_GET_VL = 51,
        PR_GET_SPECULATION_CTRL = 52,
        PR_SET_SPECULATION_CTRL = 53,
        PR_PAC_RESET_KEYS = 54,
        PR_SET_TAGGED_ADDR_CTRL = 55,
        PR_GET_TAGGED_ADDR_CTRL = 56,
        PR_SET_IO_FLUSHER = 57,
        PR_GET_IO_FLUSHER = 58,
        PR_SET_SYSCALL_USER_DISPATCH = 59,
        PR_PAC_SET_ENABLED_KEYS = 60,
        PR_PAC_GET_ENABLED_KEYS = 61,
        PR_SCHED_CORE = 62,
        PR_SME_SET_VL = 63,
        PR_SME_GET_VL = 64,
        PR_SET_MDWE = 65,
        PR_GET_MDWE = 66,
        PR_SET_MEMORY_MERGE = 67,
        PR_GET_MEMORY_MERGE = 68,
        PR_RISCV_V_SET_CONTROL = 69,
        PR_RISCV_V_GET_CONTROL = 70,
        PR_RISCV_SET_ICACHE_FLUSH_CTX = 71,
        PR_PPC_GET_DEXCR = 72,
        PR_PPC_SET_DEXCR = 73,
        PR_GET_SHADOW_STACK_STATUS = 74,
        PR_SET_SHADOW_STACK_STATUS = 75,
        PR_TIMER_CREATE_RESTORE_IDS = 77,
        PR_FUTEX_HASH = 78,
        PR_GET_AUXV = 1_096_112_214,
        PR_SET_VMA = 1_398_164_801,
        PR_SET_PTRACER = 1_499_557_217,
    }

    /// Operation of `prctl(PR_CAP_AMBIENT)`.
    values AMBIENT_OPERATIONS: u32 {
        PR_CAP_AMBIENT_IS_SET = 1,
        PR_CAP_AMBIENT_RAISE = 2,
        PR_CAP_AMBIENT_LOWER = 3,
        PR_CAP_AMBIENT_CLEAR_ALL = 4,
    }

    /// Operation of `prctl(PR_SET_MM)`.
    values SET_MM_OPERATIONS: u32 {
        PR_SET_MM_START_CODE = 1,
        PR_SET_MM_END_CODE = 2,
        PR_SET_MM_START_DATA = 3,
        PR_SET_MM_END_DATA = 4,
        PR_SET_MM_START_STACK = 5,
        PR_SET_MM_START_BRK = 6,
        PR_SET_MM_BRK = 7,
        PR_SET_MM_ARG_START = 8,
        PR_SET_MM_ARG_END = 9,
        PR_SET_MM_ENV_START = 10,
        PR_SET_MM_ENV_END = 11,
        PR_SET_MM_AUXV = 12,
        PR_SET_MM_EXE_FILE = 13,
        PR_SET_MM_MAP = 14,
        PR_SET_MM_MAP_SIZE = 15,
    }

    /// Flag of `prctl(PR_SET_MDWE)`.
    flags MDWE_FLAGS: u32 {
        PR_MDWE_REFUSE_EXEC_GAIN = 1,
        PR_MDWE_NO_INHERIT = 2,
    }

    /// Argument of some operation of `prctl(2)`.
    values PRCTL_VALUES: u32 {
        PR_SET_VMA_ANON_NAME = 0,
        PR_TSC_ENABLE = 1,
        PR_TSC_SIGSEGV = 2,
        PR_TIMING_STATISTICAL = 0,
        PR_TIMING_TIMESTAMP = 1,
        PR_MCE_KILL_CLEAR = 0,
        PR_MCE_KILL_SET = 1,
        PR_MCE_KILL_LATE = 0,
        PR_MCE_KILL_EARLY = 1,
        PR_MCE_KILL_DEFAULT = 2,
        PR_SYS_DISPATCH_OFF = 0,
        PR_SYS_DISPATCH_ON = 1,
        PR_THP_DISABLE_EXCEPT_ADVISED = 2,
    }

    /// Flag of `prctl(PR_GET_SPECULATION_CTRL)`.
    flags SPECULATION_FLAGS: u32 {
        PR_SPEC_PRCTL = 0x1,
        PR_SPEC_ENABLE = 0x2,
        PR_SPEC_DISABLE = 0x4,
        PR_SPEC_FORCE_DISABLE = 0x8,
        PR_SPEC_DISABLE_NOEXEC = 0x10,
    }

    /// Which of `prctl(PR_GET_SPECULATION_CTRL)`.
    values SPECULATIONS: u32 {
        PR_SPEC_STORE_BYPASS = 0,
        PR_SPEC_INDIRECT_BRANCH = 1,
        PR_SPEC_L1D_FLUSH = 2,
    }

    /// Bit of `prctl(PR_SET_SECUREBITS)`.
    flags SECUREBITS: u32 {
        SECBIT_NOROOT = 1,
        SECBIT_NOROOT_LOCKED = 2,
        SECBIT_NO_SETUID_FIXUP = 4,
        SECBIT_NO_SETUID_FIXUP_LOCKED = 8,
        SECBIT_KEEP_CAPS = 0x10,
        SECBIT_KEEP_CAPS_LOCKED = 0x20,
        SECBIT_NO_CAP_AMBIENT_RAISE = 0x40,
        SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED = 0x80,
        SECBIT_EXEC_RESTRICT_FILE = 0x100,
        SECBIT_EXEC_RESTRICT_FILE_LOCKED = 0x200,
        SECBIT_EXEC_DENY_INTERACTIVE = 0x400,
        SECBIT_EXEC_DENY_INTERACTIVE_LOCKED = 0x800,
    }

    /// Operation of `arch_prctl(2)`.
    values ARCH_PRCTLS: u32 {
        ARCH_SET_GS = 0x1001,
        ARCH_SET_FS = 0x1002,
        ARCH_GET_FS = 0x1003,
        ARCH_GET_GS = 0x1004,
        ARCH_GET_CPUID = 0x1011,
        ARCH_SET_CPUID = 0x1012,
        ARCH_GET_XCOMP_SUPP = 0x1021,
        ARCH_GET_XCOMP_PERM = 0x1022,
        ARCH_REQ_XCOMP_PERM = 0x1023,
        ARCH_GET_XCOMP_GUEST_PERM = 0x1024,
        ARCH_REQ_XCOMP_GUEST_PERM = 0x1025,
        ARCH_MAP_VDSO_X32 = 0x2001,
        ARCH_MAP_VDSO_32 = 0x2002,
        ARCH_MAP_VDSO_64 = 0x2003,
        ARCH_GET_UNTAG_MASK = 0x4001,
        ARCH_ENABLE_TAGGED_ADDR = 0x4002,
        ARCH_GET_MAX_TAG_BITS = 0x4003,
        ARCH_FORCE_TAGGED_SVA = 0x4004,
        ARCH_SHSTK_ENABLE = 0x5001,
        ARCH_SHSTK_DISABLE = 0x5002,
        ARCH_SHSTK_LOCK = 0x5003,
        ARCH_SHSTK_UNLOCK = 0x5004,
        ARCH_SHSTK_STATUS = 0x5005,
    }

    /// Flag of `personality(2)`.
    flags PERSONALITIES: u32 {
        UNAME26 = 0x0002_0000,
        ADDR_NO_RANDOMIZE = 0x0004_0000,
        FDPIC_FUNCPTRS = 0x0008_0000,
        MMAP_PAGE_ZERO = 0x0010_0000,
        ADDR_COMPAT_LAYOUT = 0x0020_0000,
        READ_IMPLIES_EXEC = 0x0040_0000,
        ADDR_LIMIT_32BIT = 0x0080_0000,
        SHORT_INODE = 0x0100_0000,
        WHOLE_SECONDS = 0x0200_0000,
        STICKY_TIMEOUTS = 0x0400_0000,
        ADDR_LIMIT_3GB = 0x0800_0000,
        PER_LINUX = 0x0,
        PER_LINUX32 = 0x8,
    }
}

/// Argument of `prctl(PR_SET_PTRACER)` that lets any process trace the caller.
pub const PR_SET_PTRACER_ANY: u64 = u64::MAX;
/// Size in bytes of a thread name with its NUL, `prctl(PR_SET_NAME)`.
pub const TASK_COMM_LEN: usize = 16;
/// Argument of `personality(2)` that only reads.
pub const PERSONALITY_READ: u32 = 0xffff_ffff;
