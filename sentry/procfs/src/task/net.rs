//! `/proc/PID/net`: the sockets of a network namespace, as its tasks hold them.

use super::Subject;
use crate::lazy::Entry;
use crate::node::Dir;
use crate::node::Fixed;
use crate::node::Text;
use bevor_abi::Errno;
use bevor_abi::socket::{AF_INET, AF_INET6, AF_UNIX};
use bevor_net::namespace::NetNamespace;
use bevor_net::socket::show::{Progress, Shown};
use bevor_net::{Addr, Kind, Socket, SocketFile};
use bevor_vfs::inode::InodeRef;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

const ARP: &str =
    "IP address       HW type     Flags       HW address            Mask     Device\n";
const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
";
const IF_INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo\n";
const NETLINK: &str =
    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n";
const ROUTE: &str =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                   uid  timeout inode";
const TCP6: &str = "  sl  local_address                         remote_address                        \
                    st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                   uid  timeout inode ref pointer drops";
const UDP6: &str = "  sl  local_address                         remote_address                        \
                    st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
/// Bytes of a line about a TCP socket (`TMPSZ` in `tcp_ipv4.c`), without the newline.
const TCP_LINE: usize = 149;
/// Bytes of a line about a UDP socket.
const UDP_LINE: usize = 127;

/// What is in the directory.
pub const ENTRIES: &[Entry<Subject>] = &[
    Entry::file("arp", |of, name| fixed(of, name, ARP)),
    Entry::file("dev", |of, name| fixed(of, name, DEV)),
    Entry::dir("dev_snmp6", |of, name| Dir::inode(of.place(), name, 0o555, Fixed::default())),
    Entry::file("if_inet6", |of, name| fixed(of, name, IF_INET6)),
    Entry::file("ipv6_route", |of, name| fixed(of, name, "")),
    Entry::file("netlink", |of, name| fixed(of, name, NETLINK)),
    Entry::file("protocols", |of, name| fixed(of, name, "")),
    Entry::file("raw", |of, name| fixed(of, name, TCP)),
    Entry::file("raw6", |of, name| fixed(of, name, TCP6)),
    Entry::file("route", |of, name| fixed(of, name, ROUTE)),
    Entry::file("snmp", |of, name| of.text(name, snmp)),
    Entry::file("sockstat", |of, name| of.text(name, sockstat)),
    Entry::file("sockstat6", |of, name| of.text(name, sockstat6)),
    Entry::file("tcp", |of, name| of.text(name, |subject| table(subject, AF_INET, Kind::Stream))),
    Entry::file("tcp6", |of, name| of.text(name, |subject| table(subject, AF_INET6, Kind::Stream))),
    Entry::file("udp", |of, name| of.text(name, |subject| table(subject, AF_INET, Kind::Datagram))),
    Entry::file("udp6", |of, name| {
        of.text(name, |subject| table(subject, AF_INET6, Kind::Datagram))
    }),
    Entry::file("unix", |of, name| of.text(name, unix)),
];

fn fixed(subject: &Subject, name: &'static str, text: &'static str) -> InodeRef {
    Text::public(subject.place(), name, move |_| Ok(text.as_bytes().to_vec()))
}

/// A socket some task holds.
struct Held {
    socket: Arc<Socket>,
    ino: u64,
    shown: Shown,
}

impl Held {
    /// Whether the tables of its protocol have a line for it: it has a port.
    fn is_listed(&self) -> bool {
        matches!(&self.shown.local, Addr::Inet(local) if local.port() != 0)
    }
}

/// The sockets of the subject's network namespace that have descriptors, each once.
fn sockets(subject: &Subject) -> Result<Vec<Held>, Errno> {
    let ns = NetNamespace::of(subject.task()?.namespaces().net.id);
    let tasks: Vec<_> = subject.mounted.kernel.tree.lock().tasks.values().cloned().collect();
    let (mut tables, mut seen, mut held) = (HashSet::new(), HashSet::new(), Vec::new());
    for files in tasks.iter().filter_map(|task| task.files()) {
        if !tables.insert(Arc::as_ptr(&files)) {
            continue;
        }
        for (_, file, _) in files.list() {
            let Some(SocketFile(socket)) = file.downcast::<SocketFile>() else { continue };
            if socket.is_in(&ns) && seen.insert(Arc::as_ptr(socket)) {
                let (socket, ino) = (socket.clone(), file.inode().ino());
                held.push(Held { shown: socket.show(), socket, ino });
            }
        }
    }
    held.sort_by_key(|held| (held.shown.progress != Progress::Listening, held.ino));
    Ok(held)
}

/// An address as these tables have it: words of the machine's byte order, in hexadecimal.
fn address(addr: &Addr, family: u16) -> String {
    let any = match family {
        AF_INET6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
    };
    let addr = if let Addr::Inet(addr) = addr { *addr } else { any };
    let words: Vec<u8> = match (addr.ip(), family) {
        (IpAddr::V4(ip), AF_INET6) => ip.to_ipv6_mapped().octets().to_vec(),
        (IpAddr::V4(ip), _) => ip.octets().to_vec(),
        (IpAddr::V6(ip), _) => ip.octets().to_vec(),
    };
    let mut text = String::new();
    for word in words.chunks_exact(4) {
        let word = word.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        // Writing to a String cannot fail.
        let _ = write!(text, "{word:08X}");
    }
    let _ = write!(text, ":{:04X}", addr.port());
    text
}

fn table(subject: &Subject, family: u16, kind: Kind) -> Result<String, Errno> {
    let tcp = kind == Kind::Stream;
    let width = if tcp { TCP_LINE } else { UDP_LINE };
    let mut out = match (family, tcp) {
        (AF_INET6, true) => TCP6.to_owned(),
        (AF_INET6, false) => UDP6.to_owned(),
        (_, true) => format!("{TCP:<width$}\n"),
        (_, false) => format!("{UDP:<width$}\n"),
    };
    let of_kind =
        |held: &Held| held.socket.family == family && held.socket.kind == kind && held.is_listed();
    for (number, held) in sockets(subject)?.into_iter().filter(of_kind).enumerate() {
        let shown = &held.shown;
        let ends = format!("{} {}", address(&shown.local, family), address(&shown.peer, family));
        let (state, unread, ino) = (shown.progress.number(), shown.unread, held.ino);
        let number = if tcp { format!("{number:4}") } else { format!("{number:5}") };
        let rest = if tcp { "100 0 0 10 0" } else { "0" };
        let line = format!(
            "{number}: {ends} {state:02X} 00000000:{unread:08X} 00:00000000 00000000 {:5}        0 \
             {ino} {} 0000000000000000 {rest}",
            held.socket.cred.uid,
            if tcp { 1 } else { 2 },
        );
        // Writing to a String cannot fail.
        let _ = if family == AF_INET {
            writeln!(out, "{line:<width$}")
        } else {
            writeln!(out, "{line}")
        };
    }
    Ok(out)
}

fn unix(subject: &Subject) -> Result<String, Errno> {
    let mut out = "Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned();
    for held in sockets(subject)?.iter().filter(|held| held.socket.family == AF_UNIX) {
        let (listens, state) = match held.shown.progress {
            Progress::Listening => (0x1_0000, 1),
            Progress::Closed => (0, 1),
            _ => (0, 3),
        };
        let path = match &held.shown.local {
            Addr::Path(path) => format!(" {}", String::from_utf8_lossy(path)),
            Addr::Abstract(name) => {
                format!(" @{}", String::from_utf8_lossy(name).replace('\0', "@"))
            }
            _ => String::new(),
        };
        let (kind, ino) = (held.socket.kind.number(), held.ino);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "0000000000000000: 00000002 00000000 {listens:08X} {kind:04X} {state:02X} {ino:5}{path}"
        );
    }
    Ok(out)
}

/// How many sockets of a family and type are in use.
fn in_use(all: &[Held], family: u16, kind: Kind) -> usize {
    let fits =
        |held: &&Held| held.socket.family == family && held.socket.kind == kind && held.is_listed();
    all.iter().filter(fits).count()
}

fn sockstat(subject: &Subject) -> Result<String, Errno> {
    let all = sockets(subject)?;
    let streams = |held: &&Held| {
        matches!(held.socket.family, AF_INET | AF_INET6) && held.socket.kind == Kind::Stream
    };
    Ok(format!(
        "sockets: used {}\nTCP: inuse {} orphan 0 tw 0 alloc {} mem 0\nUDP: inuse {} mem 0\n\
         UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
        all.len(),
        in_use(&all, AF_INET, Kind::Stream),
        all.iter().filter(streams).count(),
        in_use(&all, AF_INET, Kind::Datagram),
    ))
}

fn sockstat6(subject: &Subject) -> Result<String, Errno> {
    let all = sockets(subject)?;
    Ok(format!(
        "TCP6: inuse {}\nUDP6: inuse {}\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n",
        in_use(&all, AF_INET6, Kind::Stream),
        in_use(&all, AF_INET6, Kind::Datagram),
    ))
}

/// The one count there is: packets are not made, nor counted.
fn snmp(subject: &Subject) -> Result<String, Errno> {
    let connected = |held: &&Held| {
        matches!(held.socket.family, AF_INET | AF_INET6)
            && held.socket.kind == Kind::Stream
            && matches!(held.shown.progress, Progress::Connected | Progress::Finishing)
    };
    Ok(format!("Tcp: CurrEstab\nTcp: {}\n", sockets(subject)?.iter().filter(connected).count()))
}
