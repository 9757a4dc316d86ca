//! Structures lie in memory as the C library's do, where the C library uses the kernel's form.

#![expect(nonstandard_style, reason = "each test is named after the C structure it checks")]

use std::mem::{offset_of, size_of};

/// Compares the size, and the offsets of the fields both sides name alike.
macro_rules! agree {
    ($($theirs:ident = $module:ident::$ours:ident: $($field:ident)*;)+) => {
        $(#[test]
        fn $theirs() {
            assert_eq!(size_of::<bevor_abi::$module::$ours>(), size_of::<libc::$theirs>());
            $(assert_eq!(
                offset_of!(bevor_abi::$module::$ours, $field),
                offset_of!(libc::$theirs, $field),
                stringify!($field),
            );)*
        })+
    };
}

agree! {
    timespec = time::Timespec: tv_sec tv_nsec;
    timeval = time::Timeval: tv_sec tv_usec;
    itimerspec = time::Itimerspec: it_interval it_value;
    itimerval = time::Itimerval: it_interval it_value;
    timex = time::Timex: modes offset freq maxerror esterror status constant precision tolerance
        time tick ppsfreq jitter shift stabil jitcnt calcnt errcnt stbcnt tai;
    tms = time::Tms: tms_utime tms_stime tms_cutime tms_cstime;
    utimbuf = time::Utimbuf: actime modtime;
    sigevent = time::SigeventT: sigev_value sigev_signo sigev_notify;
    stat = stat::Stat: st_dev st_ino st_nlink st_mode st_uid st_gid st_rdev st_size st_blksize
        st_blocks st_atime st_atime_nsec st_mtime st_mtime_nsec st_ctime st_ctime_nsec;
    statx = stat::Statx: stx_mask stx_blksize stx_attributes stx_nlink stx_uid stx_gid stx_mode
        stx_ino stx_size stx_blocks stx_attributes_mask stx_atime stx_btime stx_ctime stx_mtime
        stx_rdev_major stx_rdev_minor stx_dev_major stx_dev_minor stx_mnt_id stx_dio_mem_align
        stx_dio_offset_align;
    statx_timestamp = stat::StatxTimestamp: tv_sec tv_nsec;
    statfs = stat::Statfs: f_type f_bsize f_blocks f_bfree f_bavail f_files f_ffree f_fsid f_namelen
        f_frsize;
    flock = fcntl::Flock: l_type l_whence l_start l_len l_pid;
    open_how = fcntl::OpenHow: flags mode resolve;
    iovec = fcntl::Iovec: iov_base iov_len;
    clone_args = sched::CloneArgs: flags pidfd child_tid parent_tid exit_signal stack stack_size tls
        set_tid set_tid_size cgroup;
    sched_param = sched::SchedParam: sched_priority;
    pollfd = poll::PollFd: fd events revents;
    inotify_event = inotify::InotifyEvent: wd mask cookie len;
    fanotify_event_metadata = inotify::FanotifyEventMetadata: event_len vers reserved metadata_len
        mask fd pid;
    rlimit = resource::Rlimit: rlim_cur rlim_max;
    rusage = resource::Rusage: ru_utime ru_stime ru_maxrss ru_ixrss ru_idrss ru_isrss ru_minflt
        ru_majflt ru_nswap ru_inblock ru_oublock ru_msgsnd ru_msgrcv ru_nsignals ru_nvcsw ru_nivcsw;
    sockaddr_in = socket::SockAddrIn: sin_family sin_port sin_addr sin_zero;
    sockaddr_in6 = socket::SockAddrIn6: sin6_family sin6_port sin6_flowinfo sin6_addr sin6_scope_id;
    sockaddr_un = socket::SockAddrUn: sun_family sun_path;
    sockaddr_nl = socket::SockAddrNl: nl_family nl_pid nl_groups;
    sockaddr_ll = socket::SockAddrLl: sll_family sll_protocol sll_ifindex sll_hatype sll_pkttype
        sll_halen sll_addr;
    sockaddr_storage = socket::SockAddrStorage: ss_family;
    msghdr = socket::Msghdr: msg_name msg_namelen msg_iov msg_iovlen msg_control msg_controllen
        msg_flags;
    mmsghdr = socket::Mmsghdr: msg_hdr msg_len;
    cmsghdr = socket::Cmsghdr: cmsg_len cmsg_level cmsg_type;
    linger = socket::Linger: l_onoff l_linger;
    ucred = socket::Ucred: pid uid gid;
    sock_extended_err = socket::SockExtendedErr: ee_errno ee_origin ee_type ee_code ee_pad ee_info
        ee_data;
    ip_mreq = inet::IpMreq: imr_multiaddr imr_interface;
    ip_mreqn = inet::IpMreqn: imr_multiaddr imr_address imr_ifindex;
    ipv6_mreq = inet::Ipv6Mreq: ipv6mr_multiaddr;
    in_pktinfo = inet::InPktinfo: ipi_ifindex ipi_spec_dst ipi_addr;
    in6_pktinfo = inet::In6Pktinfo: ipi6_addr ipi6_ifindex;
    ifreq = inet::Ifreq: ifr_name ifr_ifru;
    ifconf = inet::Ifconf: ifc_len;
    nlmsghdr = netlink::Nlmsghdr: nlmsg_len nlmsg_type nlmsg_flags nlmsg_seq nlmsg_pid;
    nlattr = netlink::Nlattr: nla_len nla_type;
    nlmsgerr = netlink::Nlmsgerr: error msg;
    genlmsghdr = netlink::Genlmsghdr: cmd version reserved;
    termios2 = termios::Termios2: c_iflag c_oflag c_cflag c_lflag c_line c_cc c_ispeed c_ospeed;
    winsize = termios::Winsize: ws_row ws_col ws_xpixel ws_ypixel;
    mount_attr = mount::MountAttr: attr_set attr_clr propagation userns_fd;
    sock_filter = seccomp::SockFilter: code jt jf k;
    sock_fprog = seccomp::SockFprog: len filter;
    seccomp_data = seccomp::SeccompData: nr arch instruction_pointer args;
    seccomp_notif = seccomp::SeccompNotif: id pid flags data;
    seccomp_notif_resp = seccomp::SeccompNotifResp: id val error flags;
    seccomp_notif_addfd = seccomp::SeccompNotifAddfd: id flags srcfd newfd newfd_flags;
    seccomp_notif_sizes = seccomp::SeccompNotifSizes: seccomp_notif seccomp_notif_resp seccomp_data;
    ptrace_syscall_info = ptrace::PtraceSyscallInfo: op arch instruction_pointer stack_pointer;
    ptrace_peeksiginfo_args = ptrace::PtracePeeksiginfoArgs: off flags nr;
    shmid_ds = ipc::Shmid64Ds: shm_perm shm_segsz shm_atime shm_dtime shm_ctime shm_cpid shm_lpid
        shm_nattch;
    semid_ds = ipc::Semid64Ds: sem_perm sem_otime sem_ctime sem_nsems;
    msqid_ds = ipc::Msqid64Ds: msg_perm msg_stime msg_rtime msg_ctime msg_qnum msg_qbytes msg_lspid
        msg_lrpid;
    ipc_perm = ipc::Ipc64Perm: uid gid cuid cgid mode;
    sembuf = ipc::Sembuf: sem_num sem_op sem_flg;
    mq_attr = ipc::MqAttr: mq_flags mq_maxmsg mq_msgsize mq_curmsgs;
    Elf64_Ehdr = elf::Elf64Ehdr: e_ident e_type e_machine e_version e_entry e_phoff e_shoff e_flags
        e_ehsize e_phentsize e_phnum e_shentsize e_shnum e_shstrndx;
    Elf64_Phdr = elf::Elf64Phdr: p_type p_flags p_offset p_vaddr p_paddr p_filesz p_memsz p_align;
    utsname = system::Utsname: sysname nodename release version machine domainname;
    sysinfo = system::Sysinfo: uptime loads totalram freeram sharedram bufferram totalswap freeswap
        procs pad totalhigh freehigh mem_unit;
    siginfo_t = siginfo::SigInfo: si_signo si_errno si_code;
    stack_t = signal::StackT: ss_sp ss_flags ss_size;
    signalfd_siginfo = signal::SignalfdSiginfo: ssi_signo ssi_errno ssi_code ssi_pid ssi_uid ssi_fd
        ssi_tid ssi_band ssi_overrun ssi_trapno ssi_status ssi_int ssi_ptr ssi_utime ssi_stime
        ssi_addr ssi_addr_lsb ssi_syscall ssi_call_addr ssi_arch;
    user_regs_struct = frame::UserRegsStruct: r15 r14 r13 r12 r11 r10 r9 r8;
    user_fpregs_struct = frame::UserFpregsStruct: cwd swd rip rdp mxcsr mxcr_mask st_space xmm_space;
    epoll_event = poll::EpollEvent: events;
    tcp_info = inet::TcpInfo: tcpi_state tcpi_rto tcpi_unacked tcpi_rtt tcpi_pacing_rate tcpi_segs_out
        tcpi_delivery_rate tcpi_bytes_sent tcpi_rcv_wnd tcpi_total_rto_time tcpi_received_ce;
}
