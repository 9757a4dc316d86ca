//! Internet sockets and network interfaces: `<linux/in.h>`, `<linux/in6.h>`, `<linux/tcp.h>`,
//! `<linux/if.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Protocol of `socket(2)` for internet sockets.
    values IP_PROTOCOLS: u32 {
        IPPROTO_IP = 0,
        IPPROTO_HOPOPTS = 0,
        IPPROTO_ICMP = 1,
        IPPROTO_IGMP = 2,
        IPPROTO_IPIP = 4,
        IPPROTO_TCP = 6,
        IPPROTO_EGP = 8,
        IPPROTO_PUP = 12,
        IPPROTO_UDP = 17,
        IPPROTO_IDP = 22,
        IPPROTO_TP = 29,
        IPPROTO_DCCP = 33,
        IPPROTO_IPV6 = 41,
        IPPROTO_ROUTING = 43,
        IPPROTO_FRAGMENT = 44,
        IPPROTO_RSVP = 46,
        IPPROTO_GRE = 47,
        IPPROTO_ESP = 50,
        IPPROTO_AH = 51,
        IPPROTO_ICMPV6 = 58,
        IPPROTO_NONE = 59,
        IPPROTO_DSTOPTS = 60,
        IPPROTO_MTP = 92,
        IPPROTO_ENCAP = 98,
        IPPROTO_PIM = 103,
        IPPROTO_COMP = 108,
        IPPROTO_L2TP = 115,
        IPPROTO_SCTP = 132,
        IPPROTO_MH = 135,
        IPPROTO_UDPLITE = 136,
        IPPROTO_MPLS = 137,
        IPPROTO_ETHERNET = 143,
        IPPROTO_AGGFRAG = 144,
        IPPROTO_RAW = 255,
        IPPROTO_SMC = 256,
        IPPROTO_MPTCP = 262,
    }

    /// Option of level `IPPROTO_IP`, `ip(7)`.
    values IPV4_OPTIONS: u32 {
        IP_TOS = 1,
        IP_TTL = 2,
        IP_HDRINCL = 3,
        IP_OPTIONS = 4,
        IP_ROUTER_ALERT = 5,
        IP_RECVOPTS = 6,
        IP_RETOPTS = 7,
        IP_PKTINFO = 8,
        IP_PKTOPTIONS = 9,
        IP_MTU_DISCOVER = 10,
        IP_RECVERR = 11,
        IP_RECVTTL = 12,
        IP_RECVTOS = 13,
        IP_MTU = 14,
        IP_FREEBIND = 15,
        IP_IPSEC_POLICY = 16,
        IP_XFRM_POLICY = 17,
        IP_PASSSEC = 18,
        IP_TRANSPARENT = 19,
        IP_ORIGDSTADDR = 20,
        IP_RECVORIGDSTADDR = 20,
        IP_MINTTL = 21,
        IP_NODEFRAG = 22,
        IP_CHECKSUM = 23,
        IP_BIND_ADDRESS_NO_PORT = 24,
        IP_RECVFRAGSIZE = 25,
        IP_RECVERR_RFC4884 = 26,
        IP_MULTICAST_IF = 32,
        IP_MULTICAST_TTL = 33,
        IP_MULTICAST_LOOP = 34,
        IP_ADD_MEMBERSHIP = 35,
        IP_DROP_MEMBERSHIP = 36,
        IP_UNBLOCK_SOURCE = 37,
        IP_BLOCK_SOURCE = 38,
        IP_ADD_SOURCE_MEMBERSHIP = 39,
        IP_DROP_SOURCE_MEMBERSHIP = 40,
        IP_MSFILTER = 41,
        IP_MULTICAST_ALL = 49,
        IP_UNICAST_IF = 50,
        IP_LOCAL_PORT_RANGE = 51,
        IP_PROTOCOL = 52,
        MCAST_JOIN_GROUP = 42,
        MCAST_BLOCK_SOURCE = 43,
        MCAST_UNBLOCK_SOURCE = 44,
        MCAST_LEAVE_GROUP = 45,
        MCAST_JOIN_SOURCE_GROUP = 46,
        MCAST_LEAVE_SOURCE_GROUP = 47,
        MCAST_MSFILTER = 48,
    }

    /// Value of `IP_MTU_DISCOVER`.
    values PMTU_MODES: u32 {
        IP_PMTUDISC_DONT = 0,
        IP_PMTUDISC_WANT = 1,
        IP_PMTUDISC_DO = 2,
        IP_PMTUDISC_PROBE = 3,
        IP_PMTUDISC_INTERFACE = 4,
        IP_PMTUDISC_OMIT = 5,
    }

    /// Option of level `IPPROTO_IPV6`, `ipv6(7)`.
    values IPV6_OPTIONS: u32 {
        IPV6_ADDRFORM = 1,
        IPV6_2292PKTINFO = 2,
        IPV6_2292HOPOPTS = 3,
        IPV6_2292DSTOPTS = 4,
        IPV6_2292RTHDR = 5,
        IPV6_2292PKTOPTIONS = 6,
        IPV6_CHECKSUM = 7,
        IPV6_2292HOPLIMIT = 8,
        IPV6_NEXTHOP = 9,
        IPV6_FLOWINFO = 11,
        IPV6_UNICAST_HOPS = 16,
        IPV6_MULTICAST_IF = 17,
        IPV6_MULTICAST_HOPS = 18,
        IPV6_MULTICAST_LOOP = 19,
        IPV6_ADD_MEMBERSHIP = 20,
        IPV6_DROP_MEMBERSHIP = 21,
        IPV6_ROUTER_ALERT = 22,
        IPV6_MTU_DISCOVER = 23,
        IPV6_MTU = 24,
        IPV6_RECVERR = 25,
        IPV6_V6ONLY = 26,
        IPV6_JOIN_ANYCAST = 27,
        IPV6_LEAVE_ANYCAST = 28,
        IPV6_MULTICAST_ALL = 29,
        IPV6_ROUTER_ALERT_ISOLATE = 30,
        IPV6_RECVERR_RFC4884 = 31,
        IPV6_FLOWLABEL_MGR = 32,
        IPV6_FLOWINFO_SEND = 33,
        IPV6_IPSEC_POLICY = 34,
        IPV6_XFRM_POLICY = 35,
        IPV6_HDRINCL = 36,
        IPV6_RECVPKTINFO = 49,
        IPV6_PKTINFO = 50,
        IPV6_RECVHOPLIMIT = 51,
        IPV6_HOPLIMIT = 52,
        IPV6_RECVHOPOPTS = 53,
        IPV6_HOPOPTS = 54,
        IPV6_RTHDRDSTOPTS = 55,
        IPV6_RECVRTHDR = 56,
        IPV6_RTHDR = 57,
        IPV6_RECVDSTOPTS = 58,
        IPV6_DSTOPTS = 59,
        IPV6_RECVPATHMTU = 60,
        IPV6_PATHMTU = 61,
        IPV6_DONTFRAG = 62,
        IPV6_RECVTCLASS = 66,
        IPV6_TCLASS = 67,
        IPV6_AUTOFLOWLABEL = 70,
        IPV6_ADDR_PREFERENCES = 72,
        IPV6_MINHOPCOUNT = 73,
        IPV6_ORIGDSTADDR = 74,
        IPV6_RECVORIGDSTADDR = 74,
        IPV6_TRANSPARENT = 75,
        IPV6_UNICAST_IF = 76,
        IPV6_RECVFRAGSIZE = 77,
        IPV6_FREEBIND = 78,
    }

    /// Option of level `IPPROTO_TCP`, `tcp(7)`.
    values TCP_OPTIONS: u32 {
        TCP_NODELAY = 1,
        TCP_MAXSEG = 2,
        TCP_CORK = 3,
        TCP_KEEPIDLE = 4,
        TCP_KEEPINTVL = 5,
        TCP_KEEPCNT = 6,
        TCP_SYNCNT = 7,
        TCP_LINGER2 = 8,
        TCP_DEFER_ACCEPT = 9,
        TCP_WINDOW_CLAMP = 10,
        TCP_INFO = 11,
        TCP_QUICKACK = 12,
        TCP_CONGESTION = 13,
        TCP_MD5SIG = 14,
        TCP_THIN_LINEAR_TIMEOUTS = 16,
        TCP_THIN_DUPACK = 17,
        TCP_USER_TIMEOUT = 18,
        TCP_REPAIR = 19,
        TCP_REPAIR_QUEUE = 20,
        TCP_QUEUE_SEQ = 21,
        TCP_REPAIR_OPTIONS = 22,
        TCP_FASTOPEN = 23,
        TCP_TIMESTAMP = 24,
        TCP_NOTSENT_LOWAT = 25,
        TCP_CC_INFO = 26,
        TCP_SAVE_SYN = 27,
        TCP_SAVED_SYN = 28,
        TCP_REPAIR_WINDOW = 29,
        TCP_FASTOPEN_CONNECT = 30,
        TCP_ULP = 31,
        TCP_MD5SIG_EXT = 32,
        TCP_FASTOPEN_KEY = 33,
        TCP_FASTOPEN_NO_COOKIE = 34,
        TCP_ZEROCOPY_RECEIVE = 35,
        TCP_INQ = 36,
        TCP_TX_DELAY = 37,
        TCP_AO_ADD_KEY = 38,
        TCP_IS_MPTCP = 43,
    }

    /// State of a TCP connection, as in `tcp_info`.
    values TCP_STATES: u8 {
        TCP_ESTABLISHED = 1,
        TCP_SYN_SENT = 2,
        TCP_SYN_RECV = 3,
        TCP_FIN_WAIT1 = 4,
        TCP_FIN_WAIT2 = 5,
        TCP_TIME_WAIT = 6,
        TCP_CLOSE = 7,
        TCP_CLOSE_WAIT = 8,
        TCP_LAST_ACK = 9,
        TCP_LISTEN = 10,
        TCP_CLOSING = 11,
        TCP_NEW_SYN_RECV = 12,
    }

    /// Option of level `IPPROTO_UDP`, `udp(7)`.
    values UDP_OPTIONS: u32 {
        UDP_CORK = 1,
        UDP_ENCAP = 100,
        UDP_NO_CHECK6_TX = 101,
        UDP_NO_CHECK6_RX = 102,
        UDP_SEGMENT = 103,
        UDP_GRO = 104,
    }

    /// Option of level `SOL_RAW` and `SOL_ICMPV6`.
    values ICMP_FILTERS: u32 {
        ICMP_FILTER = 1,
        ICMPV6_FILTER = 1,
    }

    /// Origin of an extended socket error, `sock_extended_err`.
    values ERROR_ORIGINS: u8 {
        SO_EE_ORIGIN_NONE = 0,
        SO_EE_ORIGIN_LOCAL = 1,
        SO_EE_ORIGIN_ICMP = 2,
        SO_EE_ORIGIN_ICMP6 = 3,
        SO_EE_ORIGIN_TIMESTAMPING = 4,
        SO_EE_ORIGIN_TXSTATUS = 4,
        SO_EE_ORIGIN_ZEROCOPY = 5,
        SO_EE_ORIGIN_TXTIME = 6,
    }

    /// Hardware type of an interface.
    values ARP_TYPES: u16 {
        ARPHRD_ETHER = 1,
        ARPHRD_LOOPBACK = 772,
        ARPHRD_TUNNEL = 768,
        ARPHRD_SIT = 776,
        ARPHRD_NONE = 65_534,
        ARPHRD_PPP = 512,
    }

    /// Ethernet protocol.
    values ETHER_TYPES: u16 {
        ETH_P_IP = 0x800,
        ETH_P_ARP = 0x806,
        ETH_P_IPV6 = 0x86dd,
        ETH_P_ALL = 0x3,
        ETH_P_8021Q = 0x8100,
        ETH_P_LOOP = 0x60,
    }

    /// Flag of a network interface, `netdevice(7)`.
    flags IF_FLAGS: u32 {
        IFF_UP = 0x1,
        IFF_BROADCAST = 0x2,
        IFF_DEBUG = 0x4,
        IFF_LOOPBACK = 0x8,
        IFF_POINTOPOINT = 0x10,
        IFF_NOTRAILERS = 0x20,
        IFF_RUNNING = 0x40,
        IFF_NOARP = 0x80,
        IFF_PROMISC = 0x100,
        IFF_ALLMULTI = 0x200,
        IFF_MASTER = 0x400,
        IFF_SLAVE = 0x800,
        IFF_MULTICAST = 0x1000,
        IFF_PORTSEL = 0x2000,
        IFF_AUTOMEDIA = 0x4000,
        IFF_DYNAMIC = 0x8000,
        IFF_LOWER_UP = 0x0001_0000,
        IFF_DORMANT = 0x0002_0000,
        IFF_ECHO = 0x0004_0000,
    }

    /// Flag of `TUNSETIFF`.
    flags TUN_FLAGS: u32 {
        IFF_TUN = 0x1,
        IFF_TAP = 0x2,
        IFF_NO_PI = 0x1000,
        IFF_ONE_QUEUE = 0x2000,
        IFF_VNET_HDR = 0x4000,
        IFF_TUN_EXCL = 0x8000,
    }

    /// Size in bytes of an interface name with its NUL.
    values IF_LIMITS: u32 {
        IFNAMSIZ = 16,
    }
}

uapi_struct! {
    /// Argument of `IP_ADD_MEMBERSHIP`, short form.
    [8] IpMreq { imr_multiaddr: [u8; 4], imr_interface: [u8; 4] }
    /// Argument of `IP_ADD_MEMBERSHIP`.
    [12] IpMreqn { imr_multiaddr: [u8; 4], imr_address: [u8; 4], imr_ifindex: i32 }
    /// Argument of `IPV6_ADD_MEMBERSHIP`.
    [20] Ipv6Mreq { ipv6mr_multiaddr: [u8; 16], ipv6mr_ifindex: i32 }
    /// Control message `IP_PKTINFO`.
    [12] InPktinfo { ipi_ifindex: i32, ipi_spec_dst: [u8; 4], ipi_addr: [u8; 4] }
    /// Control message `IPV6_PKTINFO`.
    [20] In6Pktinfo { ipi6_addr: [u8; 16], ipi6_ifindex: i32 }
    /// Interface request of the `SIOC*` ioctls: a name and a union.
    [40] Ifreq { ifr_name: [u8; 16], ifr_ifru: [u8; 24] }
    /// Argument of `SIOCGIFCONF`.
    [16] Ifconf { ifc_len: i32, pad0: u32, ifc_buf: u64 }
    /// Link statistics of `IFLA_STATS64`.
    [200] RtnlLinkStats64 {
        rx_packets: u64, tx_packets: u64, rx_bytes: u64, tx_bytes: u64, rx_errors: u64,
        tx_errors: u64, rx_dropped: u64, tx_dropped: u64, multicast: u64, collisions: u64,
        rx_length_errors: u64, rx_over_errors: u64, rx_crc_errors: u64, rx_frame_errors: u64,
        rx_fifo_errors: u64, rx_missed_errors: u64, tx_aborted_errors: u64, tx_carrier_errors: u64,
        tx_fifo_errors: u64, tx_heartbeat_errors: u64, tx_window_errors: u64, rx_compressed: u64,
        tx_compressed: u64, rx_nohandler: u64, rx_otherhost_dropped: u64,
    }
    /// Value of `TCP_INFO`.
    [280] TcpInfo {
        tcpi_state: u8, tcpi_ca_state: u8, tcpi_retransmits: u8, tcpi_probes: u8, tcpi_backoff: u8,
        tcpi_options: u8,
        /// Send window scale in the low nibble, receive window scale in the high one.
        tcpi_wscale: u8,
        /// Bit 0: the delivery rate was limited by the application; bits 1-2: fast open failure.
        tcpi_delivery_flags: u8,
        tcpi_rto: u32, tcpi_ato: u32, tcpi_snd_mss: u32, tcpi_rcv_mss: u32, tcpi_unacked: u32,
        tcpi_sacked: u32, tcpi_lost: u32, tcpi_retrans: u32, tcpi_fackets: u32,
        tcpi_last_data_sent: u32, tcpi_last_ack_sent: u32, tcpi_last_data_recv: u32,
        tcpi_last_ack_recv: u32, tcpi_pmtu: u32, tcpi_rcv_ssthresh: u32, tcpi_rtt: u32,
        tcpi_rttvar: u32, tcpi_snd_ssthresh: u32, tcpi_snd_cwnd: u32, tcpi_advmss: u32,
        tcpi_reordering: u32, tcpi_rcv_rtt: u32, tcpi_rcv_space: u32, tcpi_total_retrans: u32,
        tcpi_pacing_rate: u64, tcpi_max_pacing_rate: u64, tcpi_bytes_acked: u64,
        tcpi_bytes_received: u64, tcpi_segs_out: u32, tcpi_segs_in: u32, tcpi_notsent_bytes: u32,
        tcpi_min_rtt: u32, tcpi_data_segs_in: u32, tcpi_data_segs_out: u32, tcpi_delivery_rate: u64,
        tcpi_busy_time: u64, tcpi_rwnd_limited: u64, tcpi_sndbuf_limited: u64, tcpi_delivered: u32,
        tcpi_delivered_ce: u32, tcpi_bytes_sent: u64, tcpi_bytes_retrans: u64, tcpi_dsack_dups: u32,
        tcpi_reord_seen: u32, tcpi_rcv_ooopack: u32, tcpi_snd_wnd: u32, tcpi_rcv_wnd: u32,
        tcpi_rehash: u32, tcpi_total_rto: u16, tcpi_total_rto_recoveries: u16,
        tcpi_total_rto_time: u32, tcpi_received_ce: u32, tcpi_delivered_e1_bytes: u32,
        tcpi_delivered_e0_bytes: u32, tcpi_delivered_ce_bytes: u32, tcpi_received_e1_bytes: u32,
        tcpi_received_e0_bytes: u32, tcpi_received_ce_bytes: u32, tcpi_accecn_fail_mode: u16,
        tcpi_accecn_opt_seen: u16,
    }
}
