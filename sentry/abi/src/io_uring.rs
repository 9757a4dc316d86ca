//! io_uring: `<linux/io_uring.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Flag of `io_uring_setup(2)`.
    flags SETUP_FLAGS: u32 {
        IORING_SETUP_IOPOLL = 0x1,
        IORING_SETUP_SQPOLL = 0x2,
        IORING_SETUP_SQ_AFF = 0x4,
        IORING_SETUP_CQSIZE = 0x8,
        IORING_SETUP_CLAMP = 0x10,
        IORING_SETUP_ATTACH_WQ = 0x20,
        IORING_SETUP_R_DISABLED = 0x40,
        IORING_SETUP_SUBMIT_ALL = 0x80,
        IORING_SETUP_COOP_TASKRUN = 0x100,
        IORING_SETUP_TASKRUN_FLAG = 0x200,
        IORING_SETUP_SQE128 = 0x400,
        IORING_SETUP_CQE32 = 0x800,
        IORING_SETUP_SINGLE_ISSUER = 0x1000,
        IORING_SETUP_DEFER_TASKRUN = 0x2000,
        IORING_SETUP_NO_MMAP = 0x4000,
        IORING_SETUP_REGISTERED_FD_ONLY = 0x8000,
        IORING_SETUP_NO_SQARRAY = 0x0001_0000,
        IORING_SETUP_HYBRID_IOPOLL = 0x0002_0000,
    }

    /// Flag of `io_uring_enter(2)`.
    flags ENTER_FLAGS: u32 {
        IORING_ENTER_GETEVENTS = 0x1,
        IORING_ENTER_SQ_WAKEUP = 0x2,
        IORING_ENTER_SQ_WAIT = 0x4,
        IORING_ENTER_EXT_ARG = 0x8,
        IORING_ENTER_REGISTERED_RING = 0x10,
        IORING_ENTER_ABS_TIMER = 0x20,
        IORING_ENTER_EXT_ARG_REG = 0x40,
        IORING_ENTER_NO_IOWAIT = 0x80,
    }

    /// Feature reported by `io_uring_setup(2)`.
    flags FEATURES: u32 {
        IORING_FEAT_SINGLE_MMAP = 0x1,
        IORING_FEAT_NODROP = 0x2,
        IORING_FEAT_SUBMIT_STABLE = 0x4,
        IORING_FEAT_RW_CUR_POS = 0x8,
        IORING_FEAT_CUR_PERSONALITY = 0x10,
        IORING_FEAT_FAST_POLL = 0x20,
        IORING_FEAT_SQPOLL_NONFIXED = 0x80,
        IORING_FEAT_EXT_ARG = 0x100,
        IORING_FEAT_NATIVE_WORKERS = 0x200,
        IORING_FEAT_RSRC_TAGS = 0x400,
        IORING_FEAT_CQE_SKIP = 0x800,
        IORING_FEAT_LINKED_FILE = 0x1000,
        IORING_FEAT_REG_REG_RING = 0x2000,
        IORING_FEAT_RECVSEND_BUNDLE = 0x4000,
        IORING_FEAT_MIN_TIMEOUT = 0x8000,
        IORING_FEAT_RW_ATTR = 0x0001_0000,
        IORING_FEAT_NO_IOWAIT = 0x0002_0000,
    }

    /// Operation of a submission.
    values OPERATIONS: u8 {
        IORING_OP_NOP = 0,
        IORING_OP_READV = 1,
        IORING_OP_WRITEV = 2,
        IORING_OP_FSYNC = 3,
        IORING_OP_READ_FIXED = 4,
        IORING_OP_WRITE_FIXED = 5,
        IORING_OP_POLL_ADD = 6,
        IORING_OP_POLL_REMOVE = 7,
        IORING_OP_SYNC_FILE_RANGE = 8,
        IORING_OP_SENDMSG = 9,
        IORING_OP_RECVMSG = 10,
        IORING_OP_TIMEOUT = 11,
        IORING_OP_TIMEOUT_REMOVE = 12,
        IORING_OP_ACCEPT = 13,
        IORING_OP_ASYNC_CANCEL = 14,
        IORING_OP_LINK_TIMEOUT = 15,
        IORING_OP_CONNECT = 16,
        IORING_OP_FALLOCATE = 17,
        IORING_OP_OPENAT = 18,
        IORING_OP_CLOSE = 19,
        IORING_OP_FILES_UPDATE = 20,
        IORING_OP_STATX = 21,
        IORING_OP_READ = 22,
        IORING_OP_WRITE = 23,
        IORING_OP_FADVISE = 24,
        IORING_OP_MADVISE = 25,
        IORING_OP_SEND = 26,
        IORING_OP_RECV = 27,
        IORING_OP_OPENAT2 = 28,
        IORING_OP_EPOLL_CTL = 29,
        IORING_OP_SPLICE = 30,
        IORING_OP_PROVIDE_BUFFERS = 31,
        IORING_OP_REMOVE_BUFFERS = 32,
        IORING_OP_TEE = 33,
        IORING_OP_SHUTDOWN = 34,
        IORING_OP_RENAMEAT = 35,
        IORING_OP_UNLINKAT = 36,
        IORING_OP_MKDIRAT = 37,
        IORING_OP_SYMLINKAT = 38,
        IORING_OP_LINKAT = 39,
        IORING_OP_MSG_RING = 40,
        IORING_OP_FSETXATTR = 41,
        IORING_OP_SETXATTR = 42,
        IORING_OP_FGETXATTR = 43,
        IORING_OP_GETXATTR = 44,
        IORING_OP_SOCKET = 45,
        IORING_OP_URING_CMD = 46,
        IORING_OP_SEND_ZC = 47,
        IORING_OP_SENDMSG_ZC = 48,
        IORING_OP_READ_MULTISHOT = 49,
        IORING_OP_WAITID = 50,
        IORING_OP_FUTEX_WAIT = 51,
        IORING_OP_FUTEX_WAKE = 52,
        IORING_OP_FUTEX_WAITV = 53,
        IORING_OP_FIXED_FD_INSTALL = 54,
        IORING_OP_FTRUNCATE = 55,
        IORING_OP_BIND = 56,
        IORING_OP_LISTEN = 57,
        IORING_OP_RECV_ZC = 58,
        IORING_OP_EPOLL_WAIT = 59,
        IORING_OP_READV_FIXED = 60,
        IORING_OP_WRITEV_FIXED = 61,
        IORING_OP_PIPE = 62,
    }

    /// Operation of `io_uring_register(2)`.
    values REGISTER_OPERATIONS: u32 {
        IORING_REGISTER_BUFFERS = 0,
        IORING_REGISTER_SRC_REGISTERED = 1,
        IORING_UNREGISTER_BUFFERS = 1,
        IORING_REGISTER_DST_REPLACE = 2,
        IORING_REGISTER_FILES = 2,
        IORING_UNREGISTER_FILES = 3,
        IORING_REGISTER_EVENTFD = 4,
        IORING_UNREGISTER_EVENTFD = 5,
        IORING_REGISTER_FILES_UPDATE = 6,
        IORING_REGISTER_EVENTFD_ASYNC = 7,
        IORING_REGISTER_PROBE = 8,
        IORING_REGISTER_PERSONALITY = 9,
        IORING_UNREGISTER_PERSONALITY = 10,
        IORING_REGISTER_RESTRICTIONS = 11,
        IORING_REGISTER_ENABLE_RINGS = 12,
        IORING_REGISTER_FILES2 = 13,
        IORING_REGISTER_FILES_UPDATE2 = 14,
        IORING_REGISTER_BUFFERS2 = 15,
        IORING_REGISTER_BUFFERS_UPDATE = 16,
        IORING_REGISTER_IOWQ_AFF = 17,
        IORING_UNREGISTER_IOWQ_AFF = 18,
        IORING_REGISTER_IOWQ_MAX_WORKERS = 19,
        IORING_REGISTER_RING_FDS = 20,
        IORING_UNREGISTER_RING_FDS = 21,
        IORING_REGISTER_PBUF_RING = 22,
        IORING_UNREGISTER_PBUF_RING = 23,
        IORING_REGISTER_SYNC_CANCEL = 24,
        IORING_REGISTER_FILE_ALLOC_RANGE = 25,
        IORING_REGISTER_PBUF_STATUS = 26,
        IORING_REGISTER_NAPI = 27,
        IORING_UNREGISTER_NAPI = 28,
        IORING_REGISTER_CLOCK = 29,
        IORING_REGISTER_CLONE_BUFFERS = 30,
        IORING_REGISTER_SEND_MSG_RING = 31,
        IORING_REGISTER_ZCRX_IFQ = 32,
        IORING_REGISTER_RESIZE_RINGS = 33,
        IORING_REGISTER_MEM_REGION = 34,
        IORING_REGISTER_USE_REGISTERED_RING = 2_147_483_648,
    }

    /// Flag of a submission.
    flags SQE_FLAGS: u8 {
        IOSQE_IO_DRAIN = 2,
        IOSQE_FIXED_FILE = 1,
        IOSQE_IO_LINK = 4,
        IOSQE_IO_HARDLINK = 8,
        IOSQE_ASYNC = 0x10,
        IOSQE_BUFFER_SELECT = 0x20,
        IOSQE_CQE_SKIP_SUCCESS = 0x40,
    }

    /// Offset to map a ring at.
    values RING_OFFSETS: u64 {
        IORING_OFF_SQ_RING = 0x0,
        IORING_OFF_CQ_RING = 0x0800_0000,
        IORING_OFF_SQES = 0x1000_0000,
    }
}

uapi_struct! {
    /// Offsets into the submission ring.
    [40] IoSqringOffsets {
        head: u32, tail: u32, ring_mask: u32, ring_entries: u32, flags: u32, dropped: u32,
        array: u32, resv1: u32, user_addr: u64,
    }
    /// Offsets into the completion ring.
    [40] IoCqringOffsets {
        head: u32, tail: u32, ring_mask: u32, ring_entries: u32, overflow: u32, cqes: u32,
        flags: u32, resv1: u32, user_addr: u64,
    }
    /// Argument of `io_uring_setup(2)`.
    [120] IoUringParams {
        sq_entries: u32, cq_entries: u32, flags: u32, sq_thread_cpu: u32, sq_thread_idle: u32,
        features: u32, wq_fd: u32, resv: [u32; 3], sq_off: IoSqringOffsets, cq_off: IoCqringOffsets,
    }
    /// Submission; the unions are named after their first use.
    [64] IoUringSqe {
        opcode: u8, flags: u8, ioprio: u16, fd: i32, off: u64, addr: u64, len: u32, op_flags: u32,
        user_data: u64, buf_index: u16, personality: u16, splice_fd_in: i32, addr3: u64, pad2: u64,
    }
    /// Completion.
    [16] IoUringCqe { user_data: u64, res: i32, flags: u32 }
}
