//! System V IPC and POSIX message queues: `<linux/ipc.h>`, `<linux/mqueue.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Flag of the System V `get` calls.
    flags IPC_FLAGS: u32 {
        IPC_CREAT = 0x200,
        IPC_EXCL = 0x400,
        IPC_NOWAIT = 0x800,
    }

    /// Command of the System V `ctl` calls.
    values IPC_COMMANDS: u32 {
        IPC_RMID = 0,
        IPC_SET = 1,
        IPC_STAT = 2,
        IPC_INFO = 3,
    }

    /// Special key of the System V `get` calls.
    values IPC_KEYS: i32 {
        IPC_PRIVATE = 0,
    }

    /// Bit or-ed to a command by 32-bit libraries; stripped.
    flags IPC_FORMS: u32 {
        IPC_64 = 0x100,
    }

    /// Flag of `shmget(2)` and `shmat(2)`.
    flags SHM_FLAGS: u32 {
        SHM_RDONLY = 0x1000,
        SHM_RND = 0x2000,
        SHM_REMAP = 0x4000,
        SHM_EXEC = 0x8000,
        SHM_HUGETLB = 0x800,
        SHM_NORESERVE = 0x1000,
    }

    /// Command of `shmctl(2)`.
    values SHM_COMMANDS: u32 {
        SHM_LOCK = 11,
        SHM_UNLOCK = 12,
        SHM_STAT = 13,
        SHM_INFO = 14,
        SHM_STAT_ANY = 15,
    }

    /// State bit in the mode of a segment.
    flags SHM_MODES: u32 {
        SHM_DEST = 0x200,
        SHM_LOCKED = 0x400,
    }

    /// Command of `semctl(2)`.
    values SEM_COMMANDS: u32 {
        GETPID = 11,
        GETVAL = 12,
        GETALL = 13,
        GETNCNT = 14,
        GETZCNT = 15,
        SETVAL = 16,
        SETALL = 17,
        SEM_STAT = 18,
        SEM_INFO = 19,
        SEM_STAT_ANY = 20,
    }

    /// Flag of `semop(2)`.
    flags SEM_FLAGS: u16 {
        SEM_UNDO = 0x1000,
    }

    /// Command of `msgctl(2)`.
    values MSG_COMMANDS: u32 {
        MSG_STAT = 11,
        MSG_INFO = 12,
        MSG_STAT_ANY = 13,
    }

    /// Flag of `msgrcv(2)`.
    flags MSGRCV_FLAGS: u32 {
        MSG_NOERROR = 0x1000,
        MSG_EXCEPT = 0x2000,
        MSG_COPY = 0x4000,
    }

    /// Default limit of System V IPC.
    values IPC_LIMITS: u32 {
        SEMMSL = 32_000,
        SEMMNS = 1_024_000_000,
        SEMOPM = 500,
        SEMMNI = 32_000,
        SEMVMX = 32_767,
        SHMMNI = 4096,
        MSGMNI = 32_000,
        MSGMAX = 8192,
        MSGMNB = 16_384,
        SEMAEM = 32_767,
    }

    /// Limits of POSIX message queues, `mq_overview(7)` (the last two: `linux/ipc_namespace.h`).
    values MQ_LIMITS: u32 {
        MQ_PRIO_MAX = 32_768,
        HARD_MSGMAX = 65_536,
        HARD_MSGSIZEMAX = 16_777_216,
    }
}

uapi_struct! {
    /// Ownership and mode of a System V object.
    [48] Ipc64Perm {
        key: i32, uid: u32, gid: u32, cuid: u32, cgid: u32, mode: u32, seq: u16, pad0: [u16; 3],
        unused: [u64; 2],
    }
    /// State of a shared memory segment, `shmctl(2)`.
    [112] Shmid64Ds {
        shm_perm: Ipc64Perm, shm_segsz: u64, shm_atime: i64, shm_dtime: i64, shm_ctime: i64,
        shm_cpid: i32, shm_lpid: i32, shm_nattch: u64, unused: [u64; 2],
    }
    /// Limits of shared memory, `shmctl(IPC_INFO)`.
    [72] Shminfo64 { shmmax: u64, shmmin: u64, shmmni: u64, shmseg: u64, shmall: u64, unused: [u64; 4] }
    /// Usage of shared memory, `shmctl(SHM_INFO)`.
    [48] ShmInfo {
        used_ids: i32, pad0: u32, shm_tot: u64, shm_rss: u64, shm_swp: u64, swap_attempts: u64,
        swap_successes: u64,
    }
    /// State of a semaphore set, `semctl(2)`.
    [104] Semid64Ds {
        sem_perm: Ipc64Perm, sem_otime: i64, unused1: u64, sem_ctime: i64, unused2: u64,
        sem_nsems: u64, unused3: u64, unused4: u64,
    }
    /// Limits of semaphores, `semctl(IPC_INFO)`.
    [40] Seminfo {
        semmap: i32, semmni: i32, semmns: i32, semmnu: i32, semmsl: i32, semopm: i32, semume: i32,
        semusz: i32, semvmx: i32, semaem: i32,
    }
    /// Operation of `semop(2)`.
    [6] Sembuf { sem_num: u16, sem_op: i16, sem_flg: u16 }
    /// State of a message queue, `msgctl(2)`.
    [120] Msqid64Ds {
        msg_perm: Ipc64Perm, msg_stime: i64, msg_rtime: i64, msg_ctime: i64, msg_cbytes: u64,
        msg_qnum: u64, msg_qbytes: u64, msg_lspid: i32, msg_lrpid: i32, unused: [u64; 2],
    }
    /// Limits of message queues, `msgctl(IPC_INFO)`.
    [32] Msginfo {
        msgpool: i32, msgmap: i32, msgmax: i32, msgmnb: i32, msgmni: i32, msgssz: i32, msgtql: i32,
        msgseg: u16, pad0: u16,
    }
    /// Attributes of a POSIX message queue, `mq_getsetattr(2)`.
    [64] MqAttr { mq_flags: i64, mq_maxmsg: i64, mq_msgsize: i64, mq_curmsgs: i64, reserved: [i64; 4] }
}
