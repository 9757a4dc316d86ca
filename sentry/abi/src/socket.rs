//! Sockets of every family: `<linux/socket.h>`, `<linux/un.h>`, `<linux/if_packet.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Address family of `socket(2)`.
    values ADDRESS_FAMILIES: u16 {
        AF_UNSPEC = 0,
        AF_UNIX = 1,
        AF_INET = 2,
        AF_AX25 = 3,
        AF_IPX = 4,
        AF_APPLETALK = 5,
        AF_NETROM = 6,
        AF_BRIDGE = 7,
        AF_ATMPVC = 8,
        AF_X25 = 9,
        AF_INET6 = 10,
        AF_ROSE = 11,
        AF_NETBEUI = 13,
        AF_SECURITY = 14,
        AF_KEY = 15,
        AF_NETLINK = 16,
        AF_PACKET = 17,
        AF_ASH = 18,
        AF_ECONET = 19,
        AF_ATMSVC = 20,
        AF_RDS = 21,
        AF_SNA = 22,
        AF_IRDA = 23,
        AF_PPPOX = 24,
        AF_WANPIPE = 25,
        AF_LLC = 26,
        AF_IB = 27,
        AF_MPLS = 28,
        AF_CAN = 29,
        AF_TIPC = 30,
        AF_BLUETOOTH = 31,
        AF_IUCV = 32,
        AF_RXRPC = 33,
        AF_ISDN = 34,
        AF_PHONET = 35,
        AF_IEEE802154 = 36,
        AF_CAIF = 37,
        AF_ALG = 38,
        AF_NFC = 39,
        AF_VSOCK = 40,
        AF_KCM = 41,
        AF_QIPCRTR = 42,
        AF_SMC = 43,
        AF_XDP = 44,
        AF_MCTP = 45,
        AF_MAX = 46,
    }

    /// Type of `socket(2)`, in the bits of `SOCK_TYPE_MASK`.
    values SOCKET_TYPES: u32 {
        SOCK_STREAM = 1,
        SOCK_DGRAM = 2,
        SOCK_RAW = 3,
        SOCK_RDM = 4,
        SOCK_SEQPACKET = 5,
        SOCK_DCCP = 6,
        SOCK_PACKET = 10,
        SOCK_TYPE_MASK = 15,
    }

    /// Flag or-ed to the type of `socket(2)`, and of `accept4(2)`.
    flags SOCKET_FLAGS: u32 {
        SOCK_NONBLOCK = 0x800,
        SOCK_CLOEXEC = 0x0008_0000,
    }

    /// Level of `setsockopt(2)` beside the protocols.
    values SOCKET_LEVELS: u32 {
        SOL_IP = 0,
        SOL_SOCKET = 1,
        SOL_TCP = 6,
        SOL_UDP = 17,
        SOL_IPV6 = 41,
        SOL_ICMPV6 = 58,
        SOL_SCTP = 132,
        SOL_UDPLITE = 136,
        SOL_RAW = 255,
        SOL_IPX = 256,
        SOL_AX25 = 257,
        SOL_ATALK = 258,
        SOL_NETROM = 259,
        SOL_ROSE = 260,
        SOL_DECNET = 261,
        SOL_X25 = 262,
        SOL_PACKET = 263,
        SOL_ATM = 264,
        SOL_AAL = 265,
        SOL_IRDA = 266,
        SOL_NETBEUI = 267,
        SOL_LLC = 268,
        SOL_DCCP = 269,
        SOL_NETLINK = 270,
        SOL_TIPC = 271,
        SOL_RXRPC = 272,
        SOL_PPPOL2TP = 273,
        SOL_BLUETOOTH = 274,
        SOL_PNPIPE = 275,
        SOL_RDS = 276,
        SOL_IUCV = 277,
        SOL_CAIF = 278,
        SOL_ALG = 279,
        SOL_NFC = 280,
        SOL_KCM = 281,
        SOL_TLS = 282,
        SOL_XDP = 283,
        SOL_MPTCP = 284,
        SOL_MCTP = 285,
        SOL_SMC = 286,
        SOL_VSOCK = 287,
    }

    /// Option of level `SOL_SOCKET`, `socket(7)`.
    values SOCKET_OPTIONS: u32 {
        SO_RCVTIMEO = 20,
        SO_SNDTIMEO = 21,
        SO_TIMESTAMP = 29,
        SO_TIMESTAMPNS = 35,
        SO_TIMESTAMPING = 37,
        SO_DEBUG = 1,
        SO_REUSEADDR = 2,
        SO_TYPE = 3,
        SO_ERROR = 4,
        SO_DONTROUTE = 5,
        SO_BROADCAST = 6,
        SO_SNDBUF = 7,
        SO_RCVBUF = 8,
        SO_KEEPALIVE = 9,
        SO_OOBINLINE = 10,
        SO_NO_CHECK = 11,
        SO_PRIORITY = 12,
        SO_LINGER = 13,
        SO_BSDCOMPAT = 14,
        SO_REUSEPORT = 15,
        SO_PASSCRED = 16,
        SO_PEERCRED = 17,
        SO_RCVLOWAT = 18,
        SO_SNDLOWAT = 19,
        SO_RCVTIMEO_OLD = 20,
        SO_SNDTIMEO_OLD = 21,
        SO_SECURITY_AUTHENTICATION = 22,
        SO_SECURITY_ENCRYPTION_TRANSPORT = 23,
        SO_SECURITY_ENCRYPTION_NETWORK = 24,
        SO_BINDTODEVICE = 25,
        SO_ATTACH_FILTER = 26,
        SO_GET_FILTER = 26,
        SO_DETACH_BPF = 27,
        SO_DETACH_FILTER = 27,
        SO_PEERNAME = 28,
        SO_TIMESTAMP_OLD = 29,
        SO_ACCEPTCONN = 30,
        SO_PEERSEC = 31,
        SO_SNDBUFFORCE = 32,
        SO_RCVBUFFORCE = 33,
        SO_PASSSEC = 34,
        SO_TIMESTAMPNS_OLD = 35,
        SO_MARK = 36,
        SO_TIMESTAMPING_OLD = 37,
        SO_PROTOCOL = 38,
        SO_DOMAIN = 39,
        SO_RXQ_OVFL = 40,
        SO_WIFI_STATUS = 41,
        SO_PEEK_OFF = 42,
        SO_NOFCS = 43,
        SO_LOCK_FILTER = 44,
        SO_SELECT_ERR_QUEUE = 45,
        SO_BUSY_POLL = 46,
        SO_MAX_PACING_RATE = 47,
        SO_BPF_EXTENSIONS = 48,
        SO_INCOMING_CPU = 49,
        SO_ATTACH_BPF = 50,
        SO_ATTACH_REUSEPORT_CBPF = 51,
        SO_ATTACH_REUSEPORT_EBPF = 52,
        SO_CNX_ADVICE = 53,
        SO_MEMINFO = 55,
        SO_INCOMING_NAPI_ID = 56,
        SO_COOKIE = 57,
        SO_PEERGROUPS = 59,
        SO_ZEROCOPY = 60,
        SO_TXTIME = 61,
        SO_BINDTOIFINDEX = 62,
        SO_TIMESTAMP_NEW = 63,
        SO_TIMESTAMPNS_NEW = 64,
        SO_TIMESTAMPING_NEW = 65,
        SO_RCVTIMEO_NEW = 66,
        SO_SNDTIMEO_NEW = 67,
        SO_DETACH_REUSEPORT_BPF = 68,
        SO_PREFER_BUSY_POLL = 69,
        SO_BUSY_POLL_BUDGET = 70,
        SO_NETNS_COOKIE = 71,
        SO_BUF_LOCK = 72,
        SO_RESERVE_MEM = 73,
        SO_TXREHASH = 74,
        SO_RCVMARK = 75,
        SO_PASSPIDFD = 76,
        SO_PEERPIDFD = 77,
        SO_DEVMEM_LINEAR = 78,
        SO_DEVMEM_DMABUF = 79,
        SO_DEVMEM_DONTNEED = 80,
        SO_RCVPRIORITY = 82,
        SO_PASSRIGHTS = 83,
        SO_INQ = 84,
    }

    /// Type of a control message of level `SOL_SOCKET`.
    values CONTROL_TYPES: u32 {
        SCM_RIGHTS = 1,
        SCM_CREDENTIALS = 2,
        SCM_SECURITY = 3,
        SCM_PIDFD = 4,
        SCM_TIMESTAMP = 29,
        SCM_TIMESTAMPNS = 35,
        SCM_TIMESTAMPING = 37,
    }

    /// Flag of `send(2)` and `recv(2)`.
    flags MESSAGE_FLAGS: u32 {
        MSG_OOB = 0x1,
        MSG_PEEK = 0x2,
        MSG_DONTROUTE = 0x4,
        MSG_CTRUNC = 0x8,
        MSG_PROBE = 0x10,
        MSG_TRUNC = 0x20,
        MSG_DONTWAIT = 0x40,
        MSG_EOR = 0x80,
        MSG_WAITALL = 0x100,
        MSG_FIN = 0x200,
        MSG_SYN = 0x400,
        MSG_CONFIRM = 0x800,
        MSG_RST = 0x1000,
        MSG_ERRQUEUE = 0x2000,
        MSG_NOSIGNAL = 0x4000,
        MSG_MORE = 0x8000,
        MSG_WAITFORONE = 0x0001_0000,
        MSG_BATCH = 0x0004_0000,
        MSG_SOCK_DEVMEM = 0x0200_0000,
        MSG_ZEROCOPY = 0x0400_0000,
        MSG_FASTOPEN = 0x2000_0000,
        MSG_CMSG_CLOEXEC = 0x4000_0000,
    }

    /// How of `shutdown(2)`.
    values SHUTDOWNS: u32 {
        SHUT_RD = 0,
        SHUT_WR = 1,
        SHUT_RDWR = 2,
    }

    /// Limit of sockets.
    values SOCKET_LIMITS: u32 {
        SOMAXCONN = 4096,
        SCM_MAX_FD = 253,
        UNIX_PATH_MAX = 108,
    }

    /// Option of level `SOL_PACKET`, `packet(7)`.
    values PACKET_OPTIONS: u32 {
        PACKET_ADD_MEMBERSHIP = 1,
        PACKET_DROP_MEMBERSHIP = 2,
        PACKET_RECV_OUTPUT = 3,
        PACKET_RX_RING = 5,
        PACKET_STATISTICS = 6,
        PACKET_COPY_THRESH = 7,
        PACKET_AUXDATA = 8,
        PACKET_ORIGDEV = 9,
        PACKET_VERSION = 10,
        PACKET_HDRLEN = 11,
        PACKET_RESERVE = 12,
        PACKET_TX_RING = 13,
        PACKET_LOSS = 14,
        PACKET_VNET_HDR = 15,
        PACKET_TX_TIMESTAMP = 16,
        PACKET_TIMESTAMP = 17,
        PACKET_FANOUT = 18,
        PACKET_TX_HAS_OFF = 19,
        PACKET_QDISC_BYPASS = 20,
        PACKET_IGNORE_OUTGOING = 23,
    }

    /// Type of a packet, `sockaddr_ll`.
    values PACKET_TYPES: u8 {
        PACKET_HOST = 0,
        PACKET_BROADCAST = 1,
        PACKET_MULTICAST = 2,
        PACKET_OTHERHOST = 3,
        PACKET_OUTGOING = 4,
        PACKET_LOOPBACK = 5,
    }

    /// Flag of `SO_TIMESTAMPING`.
    flags TIMESTAMPING_FLAGS: u32 {
        SOF_TIMESTAMPING_TX_HARDWARE = 0x1,
        SOF_TIMESTAMPING_TX_SOFTWARE = 0x2,
        SOF_TIMESTAMPING_RX_HARDWARE = 0x4,
        SOF_TIMESTAMPING_RX_SOFTWARE = 0x8,
        SOF_TIMESTAMPING_SOFTWARE = 0x10,
        SOF_TIMESTAMPING_SYS_HARDWARE = 0x20,
        SOF_TIMESTAMPING_RAW_HARDWARE = 0x40,
        SOF_TIMESTAMPING_OPT_ID = 0x80,
        SOF_TIMESTAMPING_TX_SCHED = 0x100,
        SOF_TIMESTAMPING_TX_ACK = 0x200,
        SOF_TIMESTAMPING_TX_RECORD_MASK = 0x303,
        SOF_TIMESTAMPING_OPT_CMSG = 0x400,
        SOF_TIMESTAMPING_OPT_TSONLY = 0x800,
        SOF_TIMESTAMPING_OPT_STATS = 0x1000,
        SOF_TIMESTAMPING_OPT_PKTINFO = 0x2000,
        SOF_TIMESTAMPING_OPT_TX_SWHW = 0x4000,
        SOF_TIMESTAMPING_BIND_PHC = 0x8000,
        SOF_TIMESTAMPING_OPT_ID_TCP = 0x0001_0000,
        SOF_TIMESTAMPING_OPT_RX_FILTER = 0x0002_0000,
        SOF_TIMESTAMPING_TX_COMPLETION = 0x0004_0000,
    }
}

uapi_struct! {
    /// Internet socket address; port and address in network byte order.
    [16] SockAddrIn { sin_family: u16, sin_port: [u8; 2], sin_addr: [u8; 4], sin_zero: [u8; 8] }
    /// IPv6 socket address; port, flow and address in network byte order.
    [28] SockAddrIn6 {
        sin6_family: u16, sin6_port: [u8; 2], sin6_flowinfo: [u8; 4], sin6_addr: [u8; 16],
        sin6_scope_id: u32,
    }
    /// Unix socket address.
    [110] SockAddrUn { sun_family: u16, sun_path: [u8; 108] }
    /// Netlink socket address.
    [12] SockAddrNl { nl_family: u16, nl_pad: u16, nl_pid: u32, nl_groups: u32 }
    /// Packet socket address; protocol in network byte order.
    [20] SockAddrLl {
        sll_family: u16, sll_protocol: [u8; 2], sll_ifindex: i32, sll_hatype: u16, sll_pkttype: u8,
        sll_halen: u8, sll_addr: [u8; 8],
    }
    /// Socket address of any family; the largest the kernel takes.
    [128] SockAddrStorage { ss_family: u16, data: [u8; 126] }
    /// Argument of `sendmsg(2)` and `recvmsg(2)`.
    [56] Msghdr {
        msg_name: u64, msg_namelen: i32, pad0: u32, msg_iov: u64, msg_iovlen: u64, msg_control: u64,
        msg_controllen: u64, msg_flags: u32, pad1: u32,
    }
    /// Element of `sendmmsg(2)` and `recvmmsg(2)`.
    [64] Mmsghdr { msg_hdr: Msghdr, msg_len: u32, pad0: u32 }
    /// Head of a control message; data follows, padded to 8 bytes.
    [16] Cmsghdr { cmsg_len: u64, cmsg_level: u32, cmsg_type: u32 }
    /// Value of `SO_LINGER`.
    [8] Linger { l_onoff: i32, l_linger: i32 }
    /// Credentials of `SO_PEERCRED` and `SCM_CREDENTIALS`.
    [12] Ucred { pid: i32, uid: u32, gid: u32 }
    /// Time stamps of `SCM_TIMESTAMPING`.
    [48] ScmTimestamping { ts: [crate::time::Timespec; 3] }
    /// Extended error of `MSG_ERRQUEUE`.
    [16] SockExtendedErr {
        ee_errno: u32, ee_origin: u8, ee_type: u8, ee_code: u8, ee_pad: u8, ee_info: u32,
        ee_data: u32,
    }
}
