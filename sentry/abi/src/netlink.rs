//! Netlink: `<linux/netlink.h>`, `<linux/rtnetlink.h>`, `<linux/if_link.h>`, `<linux/sock_diag.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Protocol of `socket(AF_NETLINK)`, `netlink(7)`.
    values NETLINK_PROTOCOLS: u32 {
        NETLINK_ROUTE = 0,
        NETLINK_USERSOCK = 2,
        NETLINK_FIREWALL = 3,
        NETLINK_SOCK_DIAG = 4,
        NETLINK_NFLOG = 5,
        NETLINK_XFRM = 6,
        NETLINK_SELINUX = 7,
        NETLINK_ISCSI = 8,
        NETLINK_AUDIT = 9,
        NETLINK_FIB_LOOKUP = 10,
        NETLINK_CONNECTOR = 11,
        NETLINK_NETFILTER = 12,
        NETLINK_IP6_FW = 13,
        NETLINK_DNRTMSG = 14,
        NETLINK_KOBJECT_UEVENT = 15,
        NETLINK_GENERIC = 16,
        NETLINK_SCSITRANSPORT = 18,
        NETLINK_ECRYPTFS = 19,
        NETLINK_RDMA = 20,
        NETLINK_CRYPTO = 21,
        NETLINK_SMC = 22,
    }

    /// Option of level `SOL_NETLINK`.
    values NETLINK_OPTIONS: u32 {
        NETLINK_ADD_MEMBERSHIP = 1,
        NETLINK_DROP_MEMBERSHIP = 2,
        NETLINK_PKTINFO = 3,
        NETLINK_BROADCAST_ERROR = 4,
        NETLINK_NO_ENOBUFS = 5,
        NETLINK_LISTEN_ALL_NSID = 8,
        NETLINK_LIST_MEMBERSHIPS = 9,
        NETLINK_CAP_ACK = 10,
        NETLINK_EXT_ACK = 11,
        NETLINK_GET_STRICT_CHK = 12,
    }

    /// Flag of a netlink message.
    flags NLM_FLAGS: u16 {
        NLM_F_REQUEST = 0x1,
        NLM_F_MULTI = 0x2,
        NLM_F_ACK = 0x4,
        NLM_F_ECHO = 0x8,
        NLM_F_DUMP_INTR = 0x10,
        NLM_F_DUMP_FILTERED = 0x20,
        NLM_F_CAPPED = 0x100,
        NLM_F_NONREC = 0x100,
        NLM_F_REPLACE = 0x100,
        NLM_F_ROOT = 0x100,
        NLM_F_ACK_TLVS = 0x200,
        NLM_F_BULK = 0x200,
        NLM_F_EXCL = 0x200,
        NLM_F_MATCH = 0x200,
        NLM_F_DUMP = 0x300,
        NLM_F_ATOMIC = 0x400,
        NLM_F_CREATE = 0x400,
        NLM_F_APPEND = 0x800,
    }

    /// Type of a control message of netlink.
    values NLMSG_TYPES: u16 {
        NLMSG_NOOP = 1,
        NLMSG_ERROR = 2,
        NLMSG_DONE = 3,
        NLMSG_OVERRUN = 4,
        NLMSG_MIN_TYPE = 16,
    }

    /// Attribute of an extended acknowledgement.
    values NLMSGERR_ATTRIBUTES: u16 {
        NLMSGERR_ATTR_UNUSED = 0,
        NLMSGERR_ATTR_MSG = 1,
        NLMSGERR_ATTR_OFFS = 2,
        NLMSGERR_ATTR_COOKIE = 3,
        NLMSGERR_ATTR_POLICY = 4,
    }

    /// Flag in the type of a netlink attribute.
    flags NLA_FLAGS: u16 {
        NLA_F_NESTED = 0x8000,
        NLA_F_NET_BYTEORDER = 0x4000,
        NLA_TYPE_MASK = 0x3fff,
    }

    /// Type of a route message, `rtnetlink(7)`.
    values RTM_TYPES: u16 {
        RTM_NEWLINK = 16,
        RTM_DELLINK = 17,
        RTM_GETLINK = 18,
        RTM_SETLINK = 19,
        RTM_NEWADDR = 20,
        RTM_DELADDR = 21,
        RTM_GETADDR = 22,
        RTM_NEWROUTE = 24,
        RTM_DELROUTE = 25,
        RTM_GETROUTE = 26,
        RTM_NEWNEIGH = 28,
        RTM_DELNEIGH = 29,
        RTM_GETNEIGH = 30,
        RTM_NEWRULE = 32,
        RTM_DELRULE = 33,
        RTM_GETRULE = 34,
        RTM_NEWQDISC = 36,
        RTM_DELQDISC = 37,
        RTM_GETQDISC = 38,
        RTM_NEWTCLASS = 40,
        RTM_DELTCLASS = 41,
        RTM_GETTCLASS = 42,
        RTM_NEWTFILTER = 44,
        RTM_DELTFILTER = 45,
        RTM_GETTFILTER = 46,
        RTM_NEWACTION = 48,
        RTM_DELACTION = 49,
        RTM_GETACTION = 50,
        RTM_NEWPREFIX = 52,
        RTM_NEWMULTICAST = 56,
        RTM_DELMULTICAST = 57,
        RTM_GETMULTICAST = 58,
        RTM_NEWANYCAST = 60,
        RTM_DELANYCAST = 61,
        RTM_GETANYCAST = 62,
        RTM_NEWNEIGHTBL = 64,
        RTM_GETNEIGHTBL = 66,
        RTM_SETNEIGHTBL = 67,
        RTM_NEWNDUSEROPT = 68,
        RTM_NEWADDRLABEL = 72,
        RTM_DELADDRLABEL = 73,
        RTM_GETADDRLABEL = 74,
        RTM_GETDCB = 78,
        RTM_SETDCB = 79,
        RTM_NEWNETCONF = 80,
        RTM_DELNETCONF = 81,
        RTM_GETNETCONF = 82,
        RTM_NEWMDB = 84,
        RTM_DELMDB = 85,
        RTM_GETMDB = 86,
        RTM_NEWNSID = 88,
        RTM_DELNSID = 89,
        RTM_GETNSID = 90,
        RTM_NEWSTATS = 92,
        RTM_GETSTATS = 94,
        RTM_SETSTATS = 95,
        RTM_NEWCACHEREPORT = 96,
        RTM_NEWCHAIN = 100,
        RTM_DELCHAIN = 101,
        RTM_GETCHAIN = 102,
        RTM_NEWNEXTHOP = 104,
        RTM_DELNEXTHOP = 105,
        RTM_GETNEXTHOP = 106,
        RTM_NEWLINKPROP = 108,
        RTM_DELLINKPROP = 109,
        RTM_GETLINKPROP = 110,
        RTM_NEWVLAN = 112,
        RTM_DELVLAN = 113,
        RTM_GETVLAN = 114,
        RTM_NEWNEXTHOPBUCKET = 116,
        RTM_DELNEXTHOPBUCKET = 117,
        RTM_GETNEXTHOPBUCKET = 118,
        RTM_NEWTUNNEL = 120,
        RTM_DELTUNNEL = 121,
        RTM_GETTUNNEL = 122,
    }

    /// Multicast group of route messages.
    values RTM_GROUPS: u32 {
        RTNLGRP_NONE = 0,
        RTNLGRP_LINK = 1,
        RTNLGRP_NOTIFY = 2,
        RTNLGRP_NEIGH = 3,
        RTNLGRP_TC = 4,
        RTNLGRP_IPV4_IFADDR = 5,
        RTNLGRP_IPV4_MROUTE = 6,
        RTNLGRP_IPV4_ROUTE = 7,
        RTNLGRP_IPV4_RULE = 8,
        RTNLGRP_IPV6_IFADDR = 9,
        RTNLGRP_IPV6_MROUTE = 10,
        RTNLGRP_IPV6_ROUTE = 11,
        RTNLGRP_IPV6_IFINFO = 12,
        RTNLGRP_NOP2 = 14,
        RTNLGRP_NOP4 = 17,
        RTNLGRP_IPV6_PREFIX = 18,
        RTNLGRP_IPV6_RULE = 19,
        RTNLGRP_ND_USEROPT = 20,
        RTNLGRP_PHONET_IFADDR = 21,
        RTNLGRP_PHONET_ROUTE = 22,
        RTNLGRP_DCB = 23,
        RTNLGRP_IPV4_NETCONF = 24,
        RTNLGRP_IPV6_NETCONF = 25,
        RTNLGRP_MDB = 26,
        RTNLGRP_MPLS_ROUTE = 27,
        RTNLGRP_NSID = 28,
        RTNLGRP_MPLS_NETCONF = 29,
        RTNLGRP_IPV4_MROUTE_R = 30,
        RTNLGRP_IPV6_MROUTE_R = 31,
        RTNLGRP_NEXTHOP = 32,
        RTNLGRP_BRVLAN = 33,
        RTNLGRP_MCTP_IFADDR = 34,
        RTNLGRP_TUNNEL = 35,
        RTNLGRP_STATS = 36,
        RTNLGRP_IPV4_MCADDR = 37,
        RTNLGRP_IPV6_MCADDR = 38,
        RTNLGRP_IPV6_ACADDR = 39,
    }

    /// Routing table.
    values RT_TABLES: u32 {
        RT_TABLE_UNSPEC = 0,
        RT_TABLE_COMPAT = 252,
        RT_TABLE_DEFAULT = 253,
        RT_TABLE_MAIN = 254,
        RT_TABLE_LOCAL = 255,
    }

    /// Origin of a route.
    values RT_PROTOCOLS: u8 {
        RTPROT_UNSPEC = 0,
        RTPROT_REDIRECT = 1,
        RTPROT_KERNEL = 2,
        RTPROT_BOOT = 3,
        RTPROT_STATIC = 4,
    }

    /// Scope of a route or address.
    values RT_SCOPES: u8 {
        RT_SCOPE_UNIVERSE = 0,
        RT_SCOPE_SITE = 200,
        RT_SCOPE_LINK = 253,
        RT_SCOPE_HOST = 254,
        RT_SCOPE_NOWHERE = 255,
    }

    /// Type of a route.
    values RT_TYPES: u8 {
        RTN_UNSPEC = 0,
        RTN_UNICAST = 1,
        RTN_LOCAL = 2,
        RTN_BROADCAST = 3,
        RTN_ANYCAST = 4,
        RTN_MULTICAST = 5,
        RTN_BLACKHOLE = 6,
        RTN_UNREACHABLE = 7,
        RTN_PROHIBIT = 8,
        RTN_THROW = 9,
        RTN_NAT = 10,
        RTN_XRESOLVE = 11,
    }

    /// Flag of a route.
    flags RT_FLAGS: u32 {
        RTM_F_NOTIFY = 0x100,
        RTM_F_CLONED = 0x200,
        RTM_F_EQUALIZE = 0x400,
        RTM_F_PREFIX = 0x800,
        RTM_F_LOOKUP_TABLE = 0x1000,
        RTM_F_FIB_MATCH = 0x2000,
        RTM_F_OFFLOAD = 0x4000,
        RTM_F_TRAP = 0x8000,
        RTM_F_OFFLOAD_FAILED = 0x2000_0000,
        RTNH_F_DEAD = 0x1,
        RTNH_F_PERVASIVE = 0x2,
        RTNH_F_ONLINK = 0x4,
        RTNH_F_OFFLOAD = 0x8,
        RTNH_F_LINKDOWN = 0x10,
        RTNH_F_UNRESOLVED = 0x20,
        RTNH_F_TRAP = 0x40,
    }

    /// Attribute of a route.
    values RTA_TYPES: u16 {
        RTA_UNSPEC = 0,
        RTA_DST = 1,
        RTA_SRC = 2,
        RTA_IIF = 3,
        RTA_OIF = 4,
        RTA_GATEWAY = 5,
        RTA_PRIORITY = 6,
        RTA_PREFSRC = 7,
        RTA_METRICS = 8,
        RTA_MULTIPATH = 9,
        RTA_PROTOINFO = 10,
        RTA_FLOW = 11,
        RTA_CACHEINFO = 12,
        RTA_SESSION = 13,
        RTA_MP_ALGO = 14,
        RTA_TABLE = 15,
        RTA_MARK = 16,
        RTA_MFC_STATS = 17,
        RTA_VIA = 18,
        RTA_NEWDST = 19,
        RTA_PREF = 20,
        RTA_ENCAP_TYPE = 21,
        RTA_ENCAP = 22,
        RTA_EXPIRES = 23,
        RTA_PAD = 24,
        RTA_UID = 25,
        RTA_TTL_PROPAGATE = 26,
        RTA_IP_PROTO = 27,
        RTA_SPORT = 28,
        RTA_DPORT = 29,
        RTA_NH_ID = 30,
        RTA_FLOWLABEL = 31,
    }

    /// Attribute of a link.
    values IFLA_TYPES: u16 {
        IFLA_UNSPEC = 0,
        IFLA_ADDRESS = 1,
        IFLA_BROADCAST = 2,
        IFLA_IFNAME = 3,
        IFLA_MTU = 4,
        IFLA_LINK = 5,
        IFLA_QDISC = 6,
        IFLA_STATS = 7,
        IFLA_COST = 8,
        IFLA_PRIORITY = 9,
        IFLA_MASTER = 10,
        IFLA_WIRELESS = 11,
        IFLA_PROTINFO = 12,
        IFLA_TXQLEN = 13,
        IFLA_MAP = 14,
        IFLA_WEIGHT = 15,
        IFLA_OPERSTATE = 16,
        IFLA_LINKMODE = 17,
        IFLA_LINKINFO = 18,
        IFLA_NET_NS_PID = 19,
        IFLA_IFALIAS = 20,
        IFLA_NUM_VF = 21,
        IFLA_VFINFO_LIST = 22,
        IFLA_STATS64 = 23,
        IFLA_VF_PORTS = 24,
        IFLA_PORT_SELF = 25,
        IFLA_AF_SPEC = 26,
        IFLA_GROUP = 27,
        IFLA_NET_NS_FD = 28,
        IFLA_EXT_MASK = 29,
        IFLA_PROMISCUITY = 30,
        IFLA_NUM_TX_QUEUES = 31,
        IFLA_NUM_RX_QUEUES = 32,
        IFLA_CARRIER = 33,
        IFLA_PHYS_PORT_ID = 34,
        IFLA_CARRIER_CHANGES = 35,
        IFLA_PHYS_SWITCH_ID = 36,
        IFLA_LINK_NETNSID = 37,
        IFLA_PHYS_PORT_NAME = 38,
        IFLA_PROTO_DOWN = 39,
        IFLA_GSO_MAX_SEGS = 40,
        IFLA_GSO_MAX_SIZE = 41,
        IFLA_PAD = 42,
        IFLA_XDP = 43,
        IFLA_EVENT = 44,
        IFLA_NEW_NETNSID = 45,
        IFLA_IF_NETNSID = 46,
        IFLA_CARRIER_UP_COUNT = 47,
        IFLA_CARRIER_DOWN_COUNT = 48,
        IFLA_NEW_IFINDEX = 49,
        IFLA_MIN_MTU = 50,
        IFLA_MAX_MTU = 51,
        IFLA_PROP_LIST = 52,
        IFLA_ALT_IFNAME = 53,
        IFLA_PERM_ADDRESS = 54,
    }

    /// Attribute nested in `IFLA_LINKINFO`.
    values IFLA_INFO_TYPES: u16 {
        IFLA_INFO_UNSPEC = 0,
        IFLA_INFO_KIND = 1,
        IFLA_INFO_DATA = 2,
        IFLA_INFO_XSTATS = 3,
        IFLA_INFO_SLAVE_KIND = 4,
        IFLA_INFO_SLAVE_DATA = 5,
    }

    /// Operational state of a link, RFC 2863.
    values IF_OPERSTATES: u8 {
        IF_OPER_UNKNOWN = 0,
        IF_OPER_NOTPRESENT = 1,
        IF_OPER_DOWN = 2,
        IF_OPER_LOWERLAYERDOWN = 3,
        IF_OPER_TESTING = 4,
        IF_OPER_DORMANT = 5,
        IF_OPER_UP = 6,
    }

    /// Attribute of an address.
    values IFA_TYPES: u16 {
        IFA_UNSPEC = 0,
        IFA_ADDRESS = 1,
        IFA_LOCAL = 2,
        IFA_LABEL = 3,
        IFA_BROADCAST = 4,
        IFA_ANYCAST = 5,
        IFA_CACHEINFO = 6,
        IFA_MULTICAST = 7,
        IFA_FLAGS = 8,
        IFA_RT_PRIORITY = 9,
        IFA_TARGET_NETNSID = 10,
        IFA_PROTO = 11,
    }

    /// Flag of an address.
    flags IFA_FLAG_BITS: u32 {
        IFA_F_SECONDARY = 0x1,
        IFA_F_TEMPORARY = 0x1,
        IFA_F_NODAD = 0x2,
        IFA_F_OPTIMISTIC = 0x4,
        IFA_F_DADFAILED = 0x8,
        IFA_F_HOMEADDRESS = 0x10,
        IFA_F_DEPRECATED = 0x20,
        IFA_F_TENTATIVE = 0x40,
        IFA_F_PERMANENT = 0x80,
        IFA_F_MANAGETEMPADDR = 0x100,
        IFA_F_NOPREFIXROUTE = 0x200,
        IFA_F_MCAUTOJOIN = 0x400,
    }

    /// Attribute of a neighbour.
    values NDA_TYPES: u16 {
        NDA_UNSPEC = 0,
        NDA_DST = 1,
        NDA_LLADDR = 2,
        NDA_CACHEINFO = 3,
        NDA_PROBES = 4,
        NDA_VLAN = 5,
        NDA_PORT = 6,
        NDA_VNI = 7,
        NDA_IFINDEX = 8,
        NDA_MASTER = 9,
    }

    /// State of a neighbour.
    flags NUD_STATES: u16 {
        NUD_NONE = 0x0,
        NUD_INCOMPLETE = 0x1,
        NUD_REACHABLE = 0x2,
        NUD_STALE = 0x4,
        NUD_DELAY = 0x8,
        NUD_PROBE = 0x10,
        NUD_FAILED = 0x20,
        NUD_NOARP = 0x40,
        NUD_PERMANENT = 0x80,
    }

    /// Type of a `sock_diag(7)` message.
    values SOCK_DIAG_TYPES: u16 {
        SOCK_DIAG_BY_FAMILY = 20,
        SOCK_DESTROY = 21,
    }

    /// Family id of the generic netlink controller.
    values GENL_IDS: u16 {
        GENL_ID_CTRL = 16,
    }

    /// Command of the generic netlink controller.
    values CTRL_COMMANDS: u8 {
        CTRL_CMD_UNSPEC = 0,
        CTRL_CMD_NEWFAMILY = 1,
        CTRL_CMD_DELFAMILY = 2,
        CTRL_CMD_GETFAMILY = 3,
        CTRL_CMD_NEWOPS = 4,
        CTRL_CMD_DELOPS = 5,
        CTRL_CMD_GETOPS = 6,
        CTRL_CMD_NEWMCAST_GRP = 7,
        CTRL_CMD_DELMCAST_GRP = 8,
        CTRL_CMD_GETMCAST_GRP = 9,
        CTRL_CMD_GETPOLICY = 10,
    }

    /// Attribute of the generic netlink controller.
    values CTRL_ATTRIBUTES: u16 {
        CTRL_ATTR_UNSPEC = 0,
        CTRL_ATTR_FAMILY_ID = 1,
        CTRL_ATTR_FAMILY_NAME = 2,
        CTRL_ATTR_VERSION = 3,
        CTRL_ATTR_HDRSIZE = 4,
        CTRL_ATTR_MAXATTR = 5,
        CTRL_ATTR_OPS = 6,
        CTRL_ATTR_MCAST_GROUPS = 7,
        CTRL_ATTR_POLICY = 8,
        CTRL_ATTR_OP_POLICY = 9,
        CTRL_ATTR_OP = 10,
    }
}

/// Alignment in bytes of netlink messages and attributes.
pub const NLMSG_ALIGNTO: usize = 4;

uapi_struct! {
    /// Head of a netlink message.
    [16] Nlmsghdr {
        nlmsg_len: u32, nlmsg_type: u16, nlmsg_flags: u16, nlmsg_seq: u32, nlmsg_pid: u32,
    }
    /// Head of a netlink attribute; the route messages call it `rtattr`.
    [4] Nlattr { nla_len: u16, nla_type: u16 }
    /// Body of an `NLMSG_ERROR` message.
    [20] Nlmsgerr { error: i32, msg: Nlmsghdr }
    /// Smallest body of a route message.
    [1] Rtgenmsg { rtgen_family: u8 }
    /// Body of a link message.
    [16] Ifinfomsg {
        ifi_family: u8, pad0: u8, ifi_type: u16, ifi_index: i32, ifi_flags: u32, ifi_change: u32,
    }
    /// Body of an address message.
    [8] Ifaddrmsg {
        ifa_family: u8, ifa_prefixlen: u8, ifa_flags: u8, ifa_scope: u8, ifa_index: u32,
    }
    /// Value of `IFA_CACHEINFO`.
    [16] IfaCacheinfo { ifa_prefered: u32, ifa_valid: u32, cstamp: u32, tstamp: u32 }
    /// Body of a route message.
    [12] Rtmsg {
        rtm_family: u8, rtm_dst_len: u8, rtm_src_len: u8, rtm_tos: u8, rtm_table: u8,
        rtm_protocol: u8, rtm_scope: u8, rtm_type: u8, rtm_flags: u32,
    }
    /// Body of a neighbour message.
    [12] Ndmsg {
        ndm_family: u8, pad0: u8, pad1: u16, ndm_ifindex: i32, ndm_state: u16, ndm_flags: u8,
        ndm_type: u8,
    }
    /// Head of a generic netlink message.
    [4] Genlmsghdr { cmd: u8, version: u8, reserved: u16 }
    /// Socket identity of `sock_diag(7)`; ports and addresses in network byte order.
    [48] InetDiagSockid {
        idiag_sport: [u8; 2], idiag_dport: [u8; 2], idiag_src: [u8; 16], idiag_dst: [u8; 16],
        idiag_if: u32, idiag_cookie: [u32; 2],
    }
    /// Request of `sock_diag(7)` for internet sockets.
    [56] InetDiagReqV2 {
        sdiag_family: u8, sdiag_protocol: u8, idiag_ext: u8, pad: u8, idiag_states: u32,
        id: InetDiagSockid,
    }
    /// Answer of `sock_diag(7)` for internet sockets.
    [72] InetDiagMsg {
        idiag_family: u8, idiag_state: u8, idiag_timer: u8, idiag_retrans: u8, id: InetDiagSockid,
        idiag_expires: u32, idiag_rqueue: u32, idiag_wqueue: u32, idiag_uid: u32, idiag_inode: u32,
    }
    /// Request of `sock_diag(7)` for unix sockets.
    [24] UnixDiagReq {
        sdiag_family: u8, sdiag_protocol: u8, pad: u16, udiag_states: u32, udiag_ino: u32,
        udiag_show: u32, udiag_cookie: [u32; 2],
    }
    /// Answer of `sock_diag(7)` for unix sockets.
    [16] UnixDiagMsg {
        udiag_family: u8, udiag_type: u8, udiag_state: u8, pad: u8, udiag_ino: u32,
        udiag_cookie: [u32; 2],
    }
}
