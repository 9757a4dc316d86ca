//! Arguments that are sets of flags or one of several named values, as the table's rows name them.

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
    OpenFlags: masked!(3: fcntl::ACCESS_MODES, fcntl::OPEN_FLAGS);
    /// Flags of calls that set descriptor flags: `pipe2`, `dup3`, `inotify_init1`, …
    FdFlags: of![fcntl::OPEN_FLAGS];
    /// Flags common to the `*at` calls.
    AtFlags: of![fcntl::AT_FLAGS, stat::STATX_SYNC_FLAGS];
    /// Flags of `faccessat2(2)`.
    AccessFlags: of![fcntl::AT_FLAGS, fcntl::AT_EACCESS_FLAG];
    /// Flags of `unlinkat(2)`.
    UnlinkFlags: of![fcntl::AT_REMOVEDIR_FLAG];
    /// Flags of `execveat(2)`.
    ExecFlags: of![fcntl::AT_FLAGS, fcntl::AT_EXECVE_CHECK_FLAG];
    /// Flags of `name_to_handle_at(2)`.
    HandleFlags: of![fcntl::AT_FLAGS, fcntl::HANDLE_FLAGS];
    /// Command of `fcntl(2)`.
    FcntlCmd: of![fcntl::FCNTL_COMMANDS];
    /// Whence of `lseek(2)`.
    Whence: of![fcntl::SEEK_WHENCES];
    /// Mode of `access(2)`.
    Access: of![fcntl::ACCESS_CHECKS];
    /// Operation of `flock(2)`.
    FlockOp: of![fcntl::FLOCK_OPERATIONS];
    /// Flags of `renameat2(2)`.
    RenameFlags: of![fcntl::RENAME_FLAGS];
    /// Mode of `fallocate(2)`.
    FallocFlags: of![fcntl::FALLOCATE_FLAGS];
    /// Flags of `close_range(2)`.
    CloseRangeFlags: of![fcntl::CLOSE_RANGE_FLAGS];
    /// Advice of `fadvise64(2)`.
    Fadvice: of![fcntl::FADVICES];
    /// Flags of `sync_file_range(2)`.
    SyncRangeFlags: of![fcntl::SYNC_FILE_RANGE_FLAGS];
    /// Flags of `preadv2(2)`.
    RwFlags: of![fcntl::RWF_FLAGS];
    /// Flags of `splice(2)`.
    SpliceFlags: of![fcntl::SPLICE_FLAGS];
    /// Mask of `statx(2)`.
    StatxMask: of![stat::STATX_MASK];
    /// Flags of `setxattr(2)`.
    XattrFlags: of![stat::XATTR_FLAGS];
    /// Number of `ioctl(2)`.
    IoctlCmd: of![
        ioctl::TTY_IOCTLS, ioctl::FILE_IOCTLS, ioctl::SOCKET_IOCTLS, ioctl::TUN_IOCTLS,
        ioctl::NS_IOCTLS, ioctl::PIDFD_IOCTLS, ioctl::DEVICE_IOCTLS, ioctl::TIMERFD_IOCTLS,
        ioctl::SECCOMP_IOCTLS,
    ];
    /// Protection of `mmap(2)`.
    Prot: of![mman::PROT_FLAGS];
    /// Flags of `mmap(2)`.
    MapFlags: masked!(15: mman::MAP_TYPES, mman::MAP_FLAGS);
    /// Flags of `mremap(2)`.
    RemapFlags: of![mman::MREMAP_FLAGS];
    /// Advice of `madvise(2)`.
    Madvice: of![mman::MADVICES];
    /// Flags of `msync(2)`.
    MsyncFlags: of![mman::MSYNC_FLAGS];
    /// Flags of `mlock2(2)`.
    MlockFlags: of![mman::MLOCK_FLAGS];
    /// Flags of `mlockall(2)`.
    MlockallFlags: of![mman::MLOCKALL_FLAGS];
    /// Flags of `memfd_create(2)`.
    MemfdFlags: of![mman::MEMFD_FLAGS];
    /// Mode of `set_mempolicy(2)`.
    Mempolicy: masked!(15: mman::MEMPOLICIES, mman::MEMPOLICY_MODE_FLAGS);
    /// Flags of `get_mempolicy(2)`.
    GetMempolicyFlags: of![mman::GET_MEMPOLICY_FLAGS];
    /// Flags of `mbind(2)` and of the page moving calls.
    MbindFlags: of![mman::MBIND_FLAGS];
    /// Rights of a protection key.
    PkeyRights: of![mman::PKEY_RIGHTS];
    /// Flags of `clone(2)`, the exit signal in the low byte.
    CloneFlags: masked!(0xff: signal::SIGNALS, sched::CLONE_FLAGS);
    /// Flags of `unshare(2)` and kinds of `setns(2)`.
    NsFlags: of![sched::CLONE_FLAGS, sched::CLONE3_FLAGS];
    /// Scheduling policy.
    Policy: masked!(0xff: sched::SCHED_POLICIES, sched::SCHED_POLICY_FLAGS);
    /// Which of `getpriority(2)`.
    PrioWhich: of![sched::PRIORITY_WHICHES];
    /// Who of `ioprio_get(2)`.
    IoprioWho: of![sched::IOPRIO_WHOS];
    /// Type of `kcmp(2)`.
    KcmpType: of![sched::KCMP_TYPES];
    /// Command of `membarrier(2)`.
    MembarrierCmd: of![sched::MEMBARRIER_COMMANDS];
    /// Flags of `membarrier(2)`.
    MembarrierFlags: of![sched::MEMBARRIER_FLAGS];
    /// Flags of `pidfd_open(2)`.
    PidfdFlags: of![sched::PIDFD_FLAGS];
    /// Flags of `pidfd_send_signal(2)`.
    PidfdSignalFlags: of![sched::PIDFD_SIGNAL_FLAGS];
    /// Options of `wait4(2)`.
    WaitOptions: of![wait::WAIT_OPTIONS];
    /// Kind of id of `waitid(2)`.
    IdType: of![wait::ID_TYPES];
    /// Operation of `futex(2)`.
    FutexOp: masked!(0x7f: futex::FUTEX_OPERATIONS, futex::FUTEX_FLAGS);
    /// Flags of `futex_wait(2)` and its kin.
    Futex2Flags: masked!(3: futex::FUTEX2_SIZES, futex::FUTEX2_FLAGS);
    /// Operation of `epoll_ctl(2)`.
    EpollOp: of![poll::EPOLL_OPERATIONS];
    /// Flags of `epoll_create1(2)`.
    EpollFlags: of![poll::EPOLL_CREATE_FLAGS];
    /// Flags of `eventfd2(2)`.
    EventfdFlags: of![poll::EVENTFD_FLAGS];
    /// Flags of `signalfd4(2)`.
    SignalfdFlags: of![poll::SIGNALFD_FLAGS];
    /// Flags of `timerfd_create(2)`.
    TimerfdFlags: of![poll::TIMERFD_CREATE_FLAGS];
    /// Flags of `timerfd_settime(2)`.
    TimerfdSetFlags: of![poll::TIMERFD_SETTIME_FLAGS];
    /// Mask of `inotify_add_watch(2)`.
    InotifyMask: of![inotify::INOTIFY_EVENTS];
    /// Flags of `inotify_init1(2)`.
    InotifyFlags: of![inotify::INOTIFY_INIT_FLAGS];
    /// Flags of `fanotify_init(2)`.
    FanotifyFlags: of![inotify::FANOTIFY_INIT_FLAGS];
    /// Flags of `fanotify_mark(2)`.
    FanotifyMarkFlags: of![inotify::FANOTIFY_MARK_FLAGS];
    /// Mask of `fanotify_mark(2)`.
    FanotifyMask: of![inotify::FANOTIFY_EVENTS];
    /// Clock of `clock_gettime(2)`.
    ClockId: of![time::CLOCK_IDS];
    /// Flags of `clock_nanosleep(2)` and `timer_settime(2)`.
    TimerFlags: of![time::TIMER_FLAGS];
    /// Which of `setitimer(2)`.
    Itimer: of![time::ITIMERS];
    /// Resource of `getrlimit(2)`.
    Resource: of![resource::RLIMITS];
    /// Who of `getrusage(2)`.
    RusageWho: of![resource::RUSAGE_WHOS];
    /// Operation of `prctl(2)`.
    Prctl: of![prctl::PRCTLS];
    /// Operation of `arch_prctl(2)`.
    ArchPrctl: of![prctl::ARCH_PRCTLS];
    /// Flags of `personality(2)`.
    Persona: of![prctl::PERSONALITIES];
    /// Address family.
    Family: of![socket::ADDRESS_FAMILIES];
    /// Type and flags of `socket(2)`.
    SocketType: masked!(15: socket::SOCKET_TYPES, socket::SOCKET_FLAGS);
    /// Protocol of `socket(2)`.
    Protocol: Shape::Protocol;
    /// Flags of `accept4(2)`.
    AcceptFlags: of![socket::SOCKET_FLAGS];
    /// Flags of `send(2)` and `recv(2)`.
    MsgFlags: of![socket::MESSAGE_FLAGS];
    /// Level of `setsockopt(2)`.
    SockLevel: of![socket::SOCKET_LEVELS];
    /// Option of `setsockopt(2)`; its names depend on the argument before.
    SockOpt: Shape::SockOpt;
    /// How of `shutdown(2)`.
    Shutdown: of![socket::SHUTDOWNS];
    /// How of `rt_sigprocmask(2)`.
    SigHow: of![signal::SIGMASK_HOWS];
    /// Flags of `mount(2)`.
    MountFlags: of![mount::MOUNT_FLAGS];
    /// Flags of `umount2(2)`.
    UmountFlags: of![mount::UMOUNT_FLAGS];
    /// Flags of `open_tree(2)`.
    OpenTreeFlags: of![mount::OPEN_TREE_FLAGS, fcntl::AT_FLAGS];
    /// Flags of `move_mount(2)`.
    MoveMountFlags: of![mount::MOVE_MOUNT_FLAGS];
    /// Flags of `fsopen(2)`.
    FsopenFlags: of![mount::FSOPEN_FLAGS];
    /// Command of `fsconfig(2)`.
    FsconfigCmd: of![mount::FSCONFIG_COMMANDS];
    /// Flags of `fsmount(2)`.
    FsmountFlags: of![mount::FSMOUNT_FLAGS];
    /// Attributes of `fsmount(2)`.
    MountAttrs: of![mount::MOUNT_ATTRIBUTES];
    /// Flags of `fspick(2)`.
    FspickFlags: of![mount::FSPICK_FLAGS];
    /// Flags of `listmount(2)`.
    ListmountFlags: of![mount::LISTMOUNT_FLAGS];
    /// Operation of `seccomp(2)`.
    SeccompOp: of![seccomp::SECCOMP_OPERATIONS];
    /// Flags of `seccomp(2)`.
    SeccompFlags: of![seccomp::SECCOMP_FILTER_FLAGS];
    /// Command of `keyctl(2)`.
    KeyctlCmd: of![keyctl::KEYCTL_COMMANDS];
    /// Key or special keyring.
    Key: of![keyctl::KEY_SPECS];
    /// Request of `ptrace(2)`.
    PtraceRequest: of![ptrace::PTRACE_REQUESTS];
    /// Flags of `landlock_create_ruleset(2)`.
    LandlockFlags: of![landlock::LANDLOCK_CREATE_FLAGS];
    /// Kind of rule of `landlock_add_rule(2)`.
    LandlockRule: of![landlock::LANDLOCK_RULES];
    /// Flags of `landlock_restrict_self(2)`.
    LandlockRestrictFlags: of![landlock::LANDLOCK_RESTRICT_FLAGS];
    /// Key of a System V object.
    IpcKey: of![ipc::IPC_KEYS];
    /// Flags and mode of the System V `get` calls.
    IpcFlags: of![ipc::IPC_FLAGS];
    /// Flags of `shmat(2)`.
    ShmFlags: of![ipc::SHM_FLAGS];
    /// Command of `shmctl(2)`.
    ShmCmd: of![ipc::IPC_COMMANDS, ipc::SHM_COMMANDS];
    /// Command of `semctl(2)`.
    SemCmd: of![ipc::IPC_COMMANDS, ipc::SEM_COMMANDS];
    /// Command of `msgctl(2)`.
    MsgCmd: of![ipc::IPC_COMMANDS, ipc::MSG_COMMANDS];
    /// Flags of `msgrcv(2)`.
    MsgrcvFlags: of![ipc::IPC_FLAGS, ipc::MSGRCV_FLAGS];
    /// Flags of `getrandom(2)`.
    RandomFlags: of![system::GETRANDOM_FLAGS];
    /// Command of `reboot(2)`.
    RebootCmd: of![system::REBOOT_COMMANDS];
    /// Action of `syslog(2)`.
    SyslogAction: of![system::SYSLOG_ACTIONS];
    /// Attribute of `lsm_get_self_attr(2)`.
    LsmAttr: of![system::LSM_ATTRIBUTES];
    /// Flags of `userfaultfd(2)`.
    UserfaultfdFlags: of![fcntl::OPEN_FLAGS, system::USERFAULTFD_FLAGS];
    /// Command of `bpf(2)`.
    BpfCmd: of![system::BPF_COMMANDS];
    /// Flags of `io_uring_enter(2)`.
    UringEnterFlags: of![io_uring::ENTER_FLAGS];
    /// Operation of `io_uring_register(2)`.
    UringRegisterOp: of![io_uring::REGISTER_OPERATIONS];
}
