//! `/sys/class/net` (`sysfs-class-net`): the loopback interface, the only one of a network namespace
//! made here.

use super::Here;
use crate::lazy::{Entry, Values};
use crate::node::Text;
use bevor_abi::errno::EINVAL;

/// `/sys/class/net`.
pub const CLASS: &[Entry<Here>] =
    &[Entry::link("lo", |of, name| of.link(name, "../../devices/virtual/net/lo".into()))];

/// `/sys/devices/virtual/net`.
pub const DEVICES: &[Entry<Here>] =
    &[Entry::dir("lo", |of, name| of.mixed(name, ATTRIBUTES, &[LOOPBACK]))];

const ATTRIBUTES: &[(&str, &str)] = &[
    ("addr_assign_type", "0"),
    ("addr_len", "6"),
    ("address", "00:00:00:00:00:00"),
    ("broadcast", "00:00:00:00:00:00"),
    ("carrier", "1"),
    ("carrier_changes", "0"),
    ("carrier_down_count", "0"),
    ("carrier_up_count", "0"),
    ("dev_id", "0x0"),
    ("dev_port", "0"),
    ("dormant", "0"),
    ("flags", "0x9"),
    ("gro_flush_timeout", "0"),
    ("ifalias", ""),
    ("ifindex", "1"),
    ("iflink", "1"),
    ("link_mode", "0"),
    ("mtu", "65536"),
    ("name_assign_type", "2"),
    ("napi_defer_hard_irqs", "0"),
    ("netdev_group", "0"),
    ("operstate", "unknown"),
    ("proto_down", "0"),
    ("testing", "0"),
    ("threaded", "0"),
    ("tx_queue_len", "1000"),
    ("type", "772"),
    ("uevent", "INTERFACE=lo\nIFINDEX=1"),
];

const LOOPBACK: &[Entry<Here>] = &[
    Entry::file("duplex", |of, name| Text::unreadable(of.place, name, EINVAL)),
    Entry::dir("queues", |of, name| of.dir(name, &[QUEUES])),
    Entry::file("speed", |of, name| Text::unreadable(of.place, name, EINVAL)),
    Entry::dir("statistics", |of, name| Values::dir(of.place, name, STATISTICS)),
    Entry::link("subsystem", |of, name| of.link(name, "../../../../class/net".into())),
];
const QUEUES: &[Entry<Here>] = &[
    Entry::dir("rx-0", |of, name| Values::dir(of.place, name, &[("rps_flow_cnt", "0")])),
    Entry::dir("tx-0", |of, name| {
        Values::dir(of.place, name, &[("tx_maxrate", "0"), ("tx_timeout", "0")])
    }),
];
/// What goes over the loopback interface is no packets and not counted.
const STATISTICS: &[(&str, &str)] = &[
    ("collisions", "0"),
    ("multicast", "0"),
    ("rx_bytes", "0"),
    ("rx_compressed", "0"),
    ("rx_crc_errors", "0"),
    ("rx_dropped", "0"),
    ("rx_errors", "0"),
    ("rx_fifo_errors", "0"),
    ("rx_frame_errors", "0"),
    ("rx_length_errors", "0"),
    ("rx_missed_errors", "0"),
    ("rx_nohandler", "0"),
    ("rx_over_errors", "0"),
    ("rx_packets", "0"),
    ("tx_aborted_errors", "0"),
    ("tx_bytes", "0"),
    ("tx_carrier_errors", "0"),
    ("tx_compressed", "0"),
    ("tx_dropped", "0"),
    ("tx_errors", "0"),
    ("tx_fifo_errors", "0"),
    ("tx_heartbeat_errors", "0"),
    ("tx_packets", "0"),
    ("tx_window_errors", "0"),
];
