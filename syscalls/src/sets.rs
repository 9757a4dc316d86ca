//! Arguments that are sets of flags or one of several named values, as the table's rows name them.

use bevor_abi::conv::{as_i32, as_i64, low_u32};
use bevor_abi::{
    fcntl, futex, inotify, io_uring, ioctl, ipc, keyctl, landlock, mman, mount, poll, prctl,
    ptrace, resource, sched, seccomp, signal, socket, stat, system, time, wait,
};

use crate::args::{Arg, args};
use crate::strace::shape::{Named, Shape};

/// A value the sets name, tried in turn.
macro_rules! of {
    ($($set:path),+ $(,)?) => { Shape::Named(Named { mask: 0, names: &[$(&$set),+] }) };
}

/// A value in the bits of `$mask` that the first set names, and flags above that the second does.
macro_rules! masked {
    ($mask:literal: $($set:path),+) => { Shape::Named(Named { mask: $mask, names: &[$(&$set),+] }) };
}

args! {
    /// Flags of `open(2)`.
    OpenFlags: u32 = low_u32, masked!(3: fcntl::ACCESS_MODES, fcntl::OPEN_FLAGS);
    /// Flags of calls that set descriptor flags: `pipe2`, `dup3`, `inotify_init1`, …
    FdFlags: u32 = low_u32, of![fcntl::OPEN_FLAGS];
    /// Flags common to the `*at` calls.
    AtFlags: u32 = low_u32, of![fcntl::AT_FLAGS, stat::STATX_SYNC_FLAGS];
    /// Flags of `faccessat2(2)`.
    AccessFlags: u32 = low_u32, of![fcntl::AT_FLAGS, fcntl::AT_EACCESS_FLAG];
    /// Flags of `unlinkat(2)`.
    UnlinkFlags: u32 = low_u32, of![fcntl::AT_REMOVEDIR_FLAG];
    /// Flags of `execveat(2)`.
    ExecFlags: u32 = low_u32, of![fcntl::AT_FLAGS, fcntl::AT_EXECVE_CHECK_FLAG];
    /// Flags of `name_to_handle_at(2)`.
    HandleFlags: u32 = low_u32, of![fcntl::AT_FLAGS, fcntl::HANDLE_FLAGS];
    /// Command of `fcntl(2)`.
    FcntlCmd: u32 = low_u32, of![fcntl::FCNTL_COMMANDS];
    /// Whence of `lseek(2)`.
    Whence: u32 = low_u32, of![fcntl::SEEK_WHENCES];
    /// Mode of `access(2)`.
    Access: u32 = low_u32, of![fcntl::ACCESS_CHECKS];
    /// Operation of `flock(2)`.
    FlockOp: u32 = low_u32, of![fcntl::FLOCK_OPERATIONS];
    /// Flags of `renameat2(2)`.
    RenameFlags: u32 = low_u32, of![fcntl::RENAME_FLAGS];
    /// Mode of `fallocate(2)`.
    FallocFlags: u32 = low_u32, of![fcntl::FALLOCATE_FLAGS];
    /// Flags of `close_range(2)`.
    CloseRangeFlags: u32 = low_u32, of![fcntl::CLOSE_RANGE_FLAGS];
    /// Advice of `fadvise64(2)`.
    Fadvice: u32 = low_u32, of![fcntl::FADVICES];
    /// Flags of `sync_file_range(2)`.
    SyncRangeFlags: u32 = low_u32, of![fcntl::SYNC_FILE_RANGE_FLAGS];
    /// Flags of `preadv2(2)`.
    RwFlags: u32 = low_u32, of![fcntl::RWF_FLAGS];
    /// Flags of `splice(2)`.
    SpliceFlags: u32 = low_u32, of![fcntl::SPLICE_FLAGS];
    /// Mask of `statx(2)`.
    StatxMask: u32 = low_u32, of![stat::STATX_MASK];
    /// Flags of `setxattr(2)`.
    XattrFlags: u32 = low_u32, of![stat::XATTR_FLAGS];
    /// Number of `ioctl(2)`.
    IoctlCmd: u32 = low_u32, of![
        ioctl::TTY_IOCTLS, ioctl::FILE_IOCTLS, ioctl::SOCKET_IOCTLS, ioctl::TUN_IOCTLS,
        ioctl::NS_IOCTLS, ioctl::PIDFD_IOCTLS, ioctl::DEVICE_IOCTLS, ioctl::TIMERFD_IOCTLS,
        ioctl::SECCOMP_IOCTLS,
    ];
    /// Protection of `mmap(2)`.
    Prot: u32 = low_u32, of![mman::PROT_FLAGS];
    /// Flags of `mmap(2)`.
    MapFlags: u32 = low_u32, masked!(15: mman::MAP_TYPES, mman::MAP_FLAGS);
    /// Flags of `mremap(2)`.
    RemapFlags: u32 = low_u32, of![mman::MREMAP_FLAGS];
    /// Advice of `madvise(2)`.
    Madvice: i32 = as_i32, of![mman::MADVICES];
    /// Flags of `msync(2)`.
    MsyncFlags: u32 = low_u32, of![mman::MSYNC_FLAGS];
    /// Flags of `mlock2(2)`.
    MlockFlags: u32 = low_u32, of![mman::MLOCK_FLAGS];
    /// Flags of `mlockall(2)`.
    MlockallFlags: u32 = low_u32, of![mman::MLOCKALL_FLAGS];
    /// Flags of `memfd_create(2)`.
    MemfdFlags: u32 = low_u32, of![mman::MEMFD_FLAGS];
    /// Mode of `set_mempolicy(2)`.
    Mempolicy: u32 = low_u32, masked!(15: mman::MEMPOLICIES, mman::MEMPOLICY_MODE_FLAGS);
    /// Flags of `get_mempolicy(2)`.
    GetMempolicyFlags: u32 = low_u32, of![mman::GET_MEMPOLICY_FLAGS];
    /// Flags of `mbind(2)` and of the page moving calls.
    MbindFlags: u32 = low_u32, of![mman::MBIND_FLAGS];
    /// Rights of a protection key.
    PkeyRights: u32 = low_u32, of![mman::PKEY_RIGHTS];
    /// Flags of `clone(2)`, the exit signal in the low byte.
    CloneFlags: u64 = |reg| reg, masked!(0xff: signal::SIGNALS, sched::CLONE_FLAGS);
    /// Flags of `unshare(2)` and kinds of `setns(2)`.
    NsFlags: u32 = low_u32, of![sched::CLONE_FLAGS, sched::CLONE3_FLAGS];
    /// Scheduling policy.
    Policy: u32 = low_u32, masked!(0xff: sched::SCHED_POLICIES, sched::SCHED_POLICY_FLAGS);
    /// Which of `getpriority(2)`.
    PrioWhich: u32 = low_u32, of![sched::PRIORITY_WHICHES];
    /// Who of `ioprio_get(2)`.
    IoprioWho: u32 = low_u32, of![sched::IOPRIO_WHOS];
    /// Type of `kcmp(2)`.
    KcmpType: u32 = low_u32, of![sched::KCMP_TYPES];
    /// Command of `membarrier(2)`.
    MembarrierCmd: u32 = low_u32, of![sched::MEMBARRIER_COMMANDS];
    /// Flags of `membarrier(2)`.
    MembarrierFlags: u32 = low_u32, of![sched::MEMBARRIER_FLAGS];
    /// Flags of `pidfd_open(2)`.
    PidfdFlags: u32 = low_u32, of![sched::PIDFD_FLAGS];
    /// Flags of `pidfd_send_signal(2)`.
    PidfdSignalFlags: u32 = low_u32, of![sched::PIDFD_SIGNAL_FLAGS];
    /// Options of `wait4(2)`.
    WaitOptions: u32 = low_u32, of![wait::WAIT_OPTIONS];
    /// Kind of id of `waitid(2)`.
    IdType: u32 = low_u32, of![wait::ID_TYPES];
    /// Operation of `futex(2)`.
    FutexOp: u32 = low_u32, masked!(0x7f: futex::FUTEX_OPERATIONS, futex::FUTEX_FLAGS);
    /// Flags of `futex_wait(2)` and its kin.
    Futex2Flags: u32 = low_u32, masked!(3: futex::FUTEX2_SIZES, futex::FUTEX2_FLAGS);
    /// Operation of `epoll_ctl(2)`.
    EpollOp: u32 = low_u32, of![poll::EPOLL_OPERATIONS];
    /// Flags of `epoll_create1(2)`.
    EpollFlags: u32 = low_u32, of![poll::EPOLL_CREATE_FLAGS];
    /// Flags of `eventfd2(2)`.
    EventfdFlags: u32 = low_u32, of![poll::EVENTFD_FLAGS];
    /// Flags of `signalfd4(2)`.
    SignalfdFlags: u32 = low_u32, of![poll::SIGNALFD_FLAGS];
    /// Flags of `timerfd_create(2)`.
    TimerfdFlags: u32 = low_u32, of![poll::TIMERFD_CREATE_FLAGS];
    /// Flags of `timerfd_settime(2)`.
    TimerfdSetFlags: u32 = low_u32, of![poll::TIMERFD_SETTIME_FLAGS];
    /// Mask of `inotify_add_watch(2)`.
    InotifyMask: u32 = low_u32, of![inotify::INOTIFY_EVENTS];
    /// Flags of `inotify_init1(2)`.
    InotifyFlags: u32 = low_u32, of![inotify::INOTIFY_INIT_FLAGS];
    /// Flags of `fanotify_init(2)`.
    FanotifyFlags: u32 = low_u32, of![inotify::FANOTIFY_INIT_FLAGS];
    /// Flags of `fanotify_mark(2)`.
    FanotifyMarkFlags: u32 = low_u32, of![inotify::FANOTIFY_MARK_FLAGS];
    /// Mask of `fanotify_mark(2)`.
    FanotifyMask: u64 = |reg| reg, of![inotify::FANOTIFY_EVENTS];
    /// Clock of `clock_gettime(2)`.
    ClockId: i32 = as_i32, of![time::CLOCK_IDS];
    /// Flags of `clock_nanosleep(2)` and `timer_settime(2)`.
    TimerFlags: u32 = low_u32, of![time::TIMER_FLAGS];
    /// Which of `setitimer(2)`.
    Itimer: u32 = low_u32, of![time::ITIMERS];
    /// Resource of `getrlimit(2)`.
    Resource: u32 = low_u32, of![resource::RLIMITS];
    /// Who of `getrusage(2)`.
    RusageWho: i32 = as_i32, of![resource::RUSAGE_WHOS];
    /// Operation of `prctl(2)`.
    Prctl: u32 = low_u32, of![prctl::PRCTLS];
    /// Operation of `arch_prctl(2)`.
    ArchPrctl: u32 = low_u32, of![prctl::ARCH_PRCTLS];
    /// Flags of `personality(2)`.
    Persona: u32 = low_u32, of![prctl::PERSONALITIES];
    /// Address family.
    Family: i32 = as_i32, of![socket::ADDRESS_FAMILIES];
    /// Type and flags of `socket(2)`.
    SocketType: u32 = low_u32, masked!(15: socket::SOCKET_TYPES, socket::SOCKET_FLAGS);
    /// Protocol of `socket(2)`.
    Protocol: u32 = low_u32, Shape::Protocol;
    /// Flags of `accept4(2)`.
    AcceptFlags: u32 = low_u32, of![socket::SOCKET_FLAGS];
    /// Flags of `send(2)` and `recv(2)`.
    MsgFlags: u32 = low_u32, of![socket::MESSAGE_FLAGS];
    /// Level of `setsockopt(2)`.
    SockLevel: u32 = low_u32, of![socket::SOCKET_LEVELS];
    /// Option of `setsockopt(2)`; its names depend on the argument before.
    SockOpt: u32 = low_u32, Shape::SockOpt;
    /// How of `shutdown(2)`.
    Shutdown: u32 = low_u32, of![socket::SHUTDOWNS];
    /// How of `rt_sigprocmask(2)`.
    SigHow: u32 = low_u32, of![signal::SIGMASK_HOWS];
    /// Flags of `mount(2)`.
    MountFlags: u64 = |reg| reg, of![mount::MOUNT_FLAGS];
    /// Flags of `umount2(2)`.
    UmountFlags: u32 = low_u32, of![mount::UMOUNT_FLAGS];
    /// Flags of `open_tree(2)`.
    OpenTreeFlags: u32 = low_u32, of![mount::OPEN_TREE_FLAGS, fcntl::AT_FLAGS];
    /// Flags of `move_mount(2)`.
    MoveMountFlags: u32 = low_u32, of![mount::MOVE_MOUNT_FLAGS];
    /// Flags of `fsopen(2)`.
    FsopenFlags: u32 = low_u32, of![mount::FSOPEN_FLAGS];
    /// Command of `fsconfig(2)`.
    FsconfigCmd: u32 = low_u32, of![mount::FSCONFIG_COMMANDS];
    /// Flags of `fsmount(2)`.
    FsmountFlags: u32 = low_u32, of![mount::FSMOUNT_FLAGS];
    /// Attributes of `fsmount(2)`.
    MountAttrs: u32 = low_u32, of![mount::MOUNT_ATTRIBUTES];
    /// Flags of `fspick(2)`.
    FspickFlags: u32 = low_u32, of![mount::FSPICK_FLAGS];
    /// Flags of `listmount(2)`.
    ListmountFlags: u32 = low_u32, of![mount::LISTMOUNT_FLAGS];
    /// Operation of `seccomp(2)`.
    SeccompOp: u32 = low_u32, of![seccomp::SECCOMP_OPERATIONS];
    /// Flags of `seccomp(2)`.
    SeccompFlags: u32 = low_u32, of![seccomp::SECCOMP_FILTER_FLAGS];
    /// Command of `keyctl(2)`.
    KeyctlCmd: u32 = low_u32, of![keyctl::KEYCTL_COMMANDS];
    /// Key or special keyring.
    Key: i32 = as_i32, of![keyctl::KEY_SPECS];
    /// Request of `ptrace(2)`.
    PtraceRequest: i64 = as_i64, of![ptrace::PTRACE_REQUESTS];
    /// Flags of `landlock_create_ruleset(2)`.
    LandlockFlags: u32 = low_u32, of![landlock::LANDLOCK_CREATE_FLAGS];
    /// Kind of rule of `landlock_add_rule(2)`.
    LandlockRule: u32 = low_u32, of![landlock::LANDLOCK_RULES];
    /// Flags of `landlock_restrict_self(2)`.
    LandlockRestrictFlags: u32 = low_u32, of![landlock::LANDLOCK_RESTRICT_FLAGS];
    /// Key of a System V object.
    IpcKey: i32 = as_i32, of![ipc::IPC_KEYS];
    /// Flags and mode of the System V `get` calls.
    IpcFlags: u32 = low_u32, of![ipc::IPC_FLAGS];
    /// Flags of `shmat(2)`.
    ShmFlags: u32 = low_u32, of![ipc::SHM_FLAGS];
    /// Command of `shmctl(2)`.
    ShmCmd: u32 = low_u32, of![ipc::IPC_COMMANDS, ipc::SHM_COMMANDS];
    /// Command of `semctl(2)`.
    SemCmd: u32 = low_u32, of![ipc::IPC_COMMANDS, ipc::SEM_COMMANDS];
    /// Command of `msgctl(2)`.
    MsgCmd: u32 = low_u32, of![ipc::IPC_COMMANDS, ipc::MSG_COMMANDS];
    /// Flags of `msgrcv(2)`.
    MsgrcvFlags: u32 = low_u32, of![ipc::IPC_FLAGS, ipc::MSGRCV_FLAGS];
    /// Flags of `getrandom(2)`.
    RandomFlags: u32 = low_u32, of![system::GETRANDOM_FLAGS];
    /// Command of `reboot(2)`.
    RebootCmd: u32 = low_u32, of![system::REBOOT_COMMANDS];
    /// Action of `syslog(2)`.
    SyslogAction: u32 = low_u32, of![system::SYSLOG_ACTIONS];
    /// Attribute of `lsm_get_self_attr(2)`.
    LsmAttr: u32 = low_u32, of![system::LSM_ATTRIBUTES];
    /// Flags of `userfaultfd(2)`.
    UserfaultfdFlags: u32 = low_u32, of![fcntl::OPEN_FLAGS, system::USERFAULTFD_FLAGS];
    /// Command of `bpf(2)`.
    BpfCmd: u32 = low_u32, of![system::BPF_COMMANDS];
    /// Flags of `io_uring_enter(2)`.
    UringEnterFlags: u32 = low_u32, of![io_uring::ENTER_FLAGS];
    /// Operation of `io_uring_register(2)`.
    UringRegisterOp: u32 = low_u32, of![io_uring::REGISTER_OPERATIONS];
}
