//! Making and scheduling processes: `<linux/sched.h>`, `<linux/pidfd.h>`, `<linux/ioprio.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Flag of `clone(2)`, `clone3(2)`, `unshare(2)` and `setns(2)`.
    flags CLONE_FLAGS: u64 {
        CLONE_VM = 0x100,
        CLONE_FS = 0x200,
        CLONE_FILES = 0x400,
        CLONE_SIGHAND = 0x800,
        CLONE_PIDFD = 0x1000,
        CLONE_PTRACE = 0x2000,
        CLONE_VFORK = 0x4000,
        CLONE_PARENT = 0x8000,
        CLONE_THREAD = 0x0001_0000,
        CLONE_NEWNS = 0x0002_0000,
        CLONE_SYSVSEM = 0x0004_0000,
        CLONE_SETTLS = 0x0008_0000,
        CLONE_PARENT_SETTID = 0x0010_0000,
        CLONE_CHILD_CLEARTID = 0x0020_0000,
        CLONE_DETACHED = 0x0040_0000,
        CLONE_UNTRACED = 0x0080_0000,
        CLONE_CHILD_SETTID = 0x0100_0000,
        CLONE_NEWCGROUP = 0x0200_0000,
        CLONE_NEWUTS = 0x0400_0000,
        CLONE_NEWIPC = 0x0800_0000,
        CLONE_NEWUSER = 0x1000_0000,
        CLONE_NEWPID = 0x2000_0000,
        CLONE_NEWNET = 0x4000_0000,
        CLONE_IO = 0x8000_0000,
    }

    /// Flag of `clone3(2)` alone, and `CLONE_NEWTIME` of `unshare(2)`.
    flags CLONE3_FLAGS: u64 {
        CLONE_NEWTIME = 0x80,
        CLONE_CLEAR_SIGHAND = 0x0001_0000_0000,
        CLONE_INTO_CGROUP = 0x0002_0000_0000,
    }

    /// Size in bytes of a version of `struct clone_args`.
    values CLONE_ARGS_SIZES: usize {
        CLONE_ARGS_SIZE_VER0 = 64,
        CLONE_ARGS_SIZE_VER1 = 80,
        CLONE_ARGS_SIZE_VER2 = 88,
    }

    /// Scheduling policy, `sched(7)`.
    values SCHED_POLICIES: u32 {
        SCHED_NORMAL = 0,
        SCHED_OTHER = 0,
        SCHED_FIFO = 1,
        SCHED_RR = 2,
        SCHED_BATCH = 3,
        SCHED_IDLE = 5,
        SCHED_DEADLINE = 6,
        SCHED_EXT = 7,
    }

    /// Bit or-ed to the policy of `sched_setscheduler(2)`.
    flags SCHED_POLICY_FLAGS: u32 {
        SCHED_RESET_ON_FORK = 0x4000_0000,
    }

    /// `sched_flags` of `sched_setattr(2)`.
    flags SCHED_FLAGS: u64 {
        SCHED_FLAG_RESET_ON_FORK = 0x1,
        SCHED_FLAG_RECLAIM = 0x2,
        SCHED_FLAG_DL_OVERRUN = 0x4,
        SCHED_FLAG_KEEP_POLICY = 0x8,
        SCHED_FLAG_KEEP_PARAMS = 0x10,
        SCHED_FLAG_KEEP_ALL = 0x18,
        SCHED_FLAG_UTIL_CLAMP_MIN = 0x20,
        SCHED_FLAG_UTIL_CLAMP_MAX = 0x40,
        SCHED_FLAG_UTIL_CLAMP = 0x60,
        SCHED_FLAG_ALL = 0x7f,
    }

    /// Which of `getpriority(2)`.
    values PRIORITY_WHICHES: u32 {
        PRIO_PROCESS = 0,
        PRIO_PGRP = 1,
        PRIO_USER = 2,
    }

    /// Who of `ioprio_get(2)`.
    values IOPRIO_WHOS: u32 {
        IOPRIO_WHO_PROCESS = 1,
        IOPRIO_WHO_PGRP = 2,
        IOPRIO_WHO_USER = 3,
    }

    /// Class of `ioprio_set(2)`, in the bits above `IOPRIO_CLASS_SHIFT`.
    values IOPRIO_CLASSES: u32 {
        IOPRIO_CLASS_NONE = 0,
        IOPRIO_CLASS_RT = 1,
        IOPRIO_CLASS_BE = 2,
        IOPRIO_CLASS_IDLE = 3,
    }

    /// Bit position of the class in an I/O priority.
    values IOPRIO_SHIFT: u32 {
        IOPRIO_CLASS_SHIFT = 13,
    }

    /// Flag of `pidfd_open(2)`.
    flags PIDFD_FLAGS: u32 {
        PIDFD_NONBLOCK = 0x800,
        PIDFD_THREAD = 0x80,
    }

    /// Flag of `pidfd_send_signal(2)`.
    flags PIDFD_SIGNAL_FLAGS: u32 {
        PIDFD_SIGNAL_THREAD = 1,
        PIDFD_SIGNAL_THREAD_GROUP = 2,
        PIDFD_SIGNAL_PROCESS_GROUP = 4,
    }

    /// Type of `kcmp(2)`.
    values KCMP_TYPES: u32 {
        KCMP_FILE = 0,
        KCMP_VM = 1,
        KCMP_FILES = 2,
        KCMP_FS = 3,
        KCMP_SIGHAND = 4,
        KCMP_IO = 5,
        KCMP_SYSVSEM = 6,
        KCMP_EPOLL_TFD = 7,
    }

    /// Command of `membarrier(2)`.
    flags MEMBARRIER_COMMANDS: u32 {
        MEMBARRIER_CMD_QUERY = 0,
        MEMBARRIER_CMD_GLOBAL = 1,
        MEMBARRIER_CMD_SHARED = 1,
        MEMBARRIER_CMD_GLOBAL_EXPEDITED = 2,
        MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED = 4,
        MEMBARRIER_CMD_PRIVATE_EXPEDITED = 8,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 0x10,
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE = 0x20,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 0x40,
        MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ = 0x80,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ = 0x100,
        MEMBARRIER_CMD_GET_REGISTRATIONS = 0x200,
    }

    /// Flag of `membarrier(2)`.
    flags MEMBARRIER_FLAGS: u32 {
        MEMBARRIER_CMD_FLAG_CPU = 1,
    }

    /// Flag of `rseq(2)`.
    flags RSEQ_FLAGS: u32 {
        RSEQ_FLAG_UNREGISTER = 1,
    }
}

/// Bits of the flags of `clone(2)` that hold the exit signal.
pub const CSIGNAL: u64 = 0xff;

uapi_struct! {
    /// Argument of `clone3(2)`.
    [88] CloneArgs {
        flags: u64, pidfd: u64, child_tid: u64, parent_tid: u64, exit_signal: u64, stack: u64,
        stack_size: u64, tls: u64, set_tid: u64, set_tid_size: u64, cgroup: u64,
    }
    /// Argument of `sched_setparam(2)`.
    [4] SchedParam { sched_priority: i32 }
    /// Argument of `sched_setattr(2)`.
    [56] SchedAttr {
        size: u32, sched_policy: u32, sched_flags: u64, sched_nice: i32, sched_priority: u32,
        sched_runtime: u64, sched_deadline: u64, sched_period: u64, sched_util_min: u32,
        sched_util_max: u32,
    }
    /// Area of `rseq(2)`, its first version.
    [32] Rseq {
        cpu_id_start: u32, cpu_id: u32, rseq_cs: u64, flags: u32, node_id: u32, mm_cid: u32,
        pad0: u32,
    }
    /// Slot of `kcmp(KCMP_EPOLL_TFD)`.
    [12] KcmpEpollSlot { efd: u32, tfd: u32, toff: u32 }
}

/// Size in bytes of the first version of `struct sched_attr`.
pub const SCHED_ATTR_SIZE_VER0: u32 = 48;
/// Size in bytes of `struct sched_attr` with the utilisation clamps.
pub const SCHED_ATTR_SIZE_VER1: u32 = 56;
