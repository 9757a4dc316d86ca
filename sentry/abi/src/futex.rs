//! Futexes: `<linux/futex.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Operation of `futex(2)`, in the bits of `FUTEX_CMD_MASK`.
    values FUTEX_OPERATIONS: u32 {
        FUTEX_WAIT = 0,
        FUTEX_WAKE = 1,
        FUTEX_FD = 2,
        FUTEX_REQUEUE = 3,
        FUTEX_CMP_REQUEUE = 4,
        FUTEX_WAKE_OP = 5,
        FUTEX_LOCK_PI = 6,
        FUTEX_UNLOCK_PI = 7,
        FUTEX_TRYLOCK_PI = 8,
        FUTEX_WAIT_BITSET = 9,
        FUTEX_WAKE_BITSET = 10,
        FUTEX_WAIT_REQUEUE_PI = 11,
        FUTEX_CMP_REQUEUE_PI = 12,
        FUTEX_LOCK_PI2 = 13,
    }

    /// Flag or-ed to the operation of `futex(2)`.
    flags FUTEX_FLAGS: u32 {
        FUTEX_PRIVATE_FLAG = 0x80,
        FUTEX_CLOCK_REALTIME = 0x100,
    }

    /// Mask and special value of `futex(2)`.
    flags FUTEX_MASKS: u32 {
        FUTEX_CMD_MASK = 0xffff_fe7f,
        FUTEX_WAITERS = 0x8000_0000,
        FUTEX_OWNER_DIED = 0x4000_0000,
        FUTEX_TID_MASK = 0x3fff_ffff,
        FUTEX_BITSET_MATCH_ANY = 0xffff_ffff,
    }

    /// Operation of `FUTEX_WAKE_OP`.
    values FUTEX_OPS: u32 {
        FUTEX_OP_SET = 0,
        FUTEX_OP_ADD = 1,
        FUTEX_OP_OR = 2,
        FUTEX_OP_ANDN = 3,
        FUTEX_OP_XOR = 4,
        FUTEX_OP_OPARG_SHIFT = 8,
    }

    /// Comparison of `FUTEX_WAKE_OP`.
    values FUTEX_OP_COMPARES: u32 {
        FUTEX_OP_CMP_EQ = 0,
        FUTEX_OP_CMP_NE = 1,
        FUTEX_OP_CMP_LT = 2,
        FUTEX_OP_CMP_LE = 3,
        FUTEX_OP_CMP_GT = 4,
        FUTEX_OP_CMP_GE = 5,
    }

    /// Size of a futex, in the bits of `FUTEX2_SIZE_MASK`.
    values FUTEX2_SIZES: u32 {
        FUTEX2_SIZE_U8 = 0,
        FUTEX2_SIZE_U16 = 1,
        FUTEX2_SIZE_U32 = 2,
        FUTEX2_SIZE_U64 = 3,
        FUTEX2_SIZE_MASK = 3,
    }

    /// Flag of `futex_wait(2)`, `futex_wake(2)` and `futex_waitv(2)`.
    flags FUTEX2_FLAGS: u32 {
        FUTEX2_NUMA = 0x4,
        FUTEX2_MPOL = 0x8,
        FUTEX2_PRIVATE = 0x80,
    }

    /// Limit of `futex_waitv(2)` and of robust lists.
    values FUTEX_LIMITS: u32 {
        FUTEX_WAITV_MAX = 128,
        ROBUST_LIST_LIMIT = 2048,
    }
}

uapi_struct! {
    /// Element of `futex_waitv(2)`.
    [24] FutexWaitv { val: u64, uaddr: u64, flags: u32, reserved: u32 }
    /// Link of a robust futex list.
    [8] RobustList { next: u64 }
    /// Head of the robust futex list of `set_robust_list(2)`.
    [24] RobustListHead { list: u64, futex_offset: i64, list_op_pending: u64 }
}
