//! Errors of datagrams that were sent, as `IP_RECVERR` and `IPV6_RECVERR` queue them (`ip(7)`,
//! `ipv6(7)`), and how long a datagram may be.

use crate::addr::{Addr, canonical};
use crate::options::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP};
use crate::packet::{Control, Packet};
use crate::socket::{Destination, Socket, reachable};
use bevor_abi::Code;
use bevor_abi::errno::{EAGAIN, ECONNREFUSED, EINVAL, EMSGSIZE};
use bevor_abi::inet::{
    IP_PMTUDISC_DO, IP_PMTUDISC_OMIT, IP_RECVERR, IPV6_MTU_DISCOVER, IPV6_RECVERR,
    SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SO_EE_ORIGIN_LOCAL, UDP_SEGMENT,
};
use bevor_abi::socket::{AF_INET6, SockExtendedErr};
use bevor_abi::{Errno, conv};
use bevor_base::Ready;
use bevor_vfs::fasync::Band;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use zerocopy::IntoBytes;

/// Reports a socket keeps; Linux counts them against `SO_RCVBUF`.
const MAX_REPORTS: usize = 256;
/// Bytes of a datagram an ICMP error brings back: 576 less the headers.
const RETURNED_V4: usize = 576 - 20 - 8 - 20 - 8;
/// The same of ICMPv6: the least MTU less the headers.
const RETURNED_V6: usize = 1280 - 40 - 8 - 40 - 8;
/// Largest payload of UDP over IPv4, over IPv6, and over IPv6 in one packet on `lo`.
const MOST_V4: usize = 65_507;
const MOST_V6: usize = 65_527;
const MOST_V6_WHOLE: usize = 65_488;
/// Longest IPv4 packet; `lo` takes one byte more.
const MTU_V4: u32 = 65_535;
const MTU_V6: u32 = 65_536;
/// Most datagrams one `UDP_SEGMENT` makes.
const MAX_SEGMENTS: usize = 128;

/// What became of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    code: Code,
    origin: u8,
    /// Type and code of the ICMP message.
    icmp: (u8, u8),
    info: u32,
    /// Where the datagram went.
    to: SocketAddr,
    /// Who tells of the error; nobody if it never left.
    offender: Option<IpAddr>,
    /// The beginning of the datagram.
    data: Vec<u8>,
}

/// The reports a socket has not taken yet.
#[derive(Debug, Default)]
pub struct Reports {
    list: Mutex<VecDeque<Report>>,
    any: AtomicBool,
}

impl Reports {
    fn push(&self, report: Report) {
        let mut list = self.list.lock();
        if list.len() < MAX_REPORTS {
            list.push_back(report);
        }
        self.any.store(true, Ordering::SeqCst);
    }

    /// Whether there is one.
    #[must_use]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.list.lock().clear();
        self.any.store(false, Ordering::SeqCst);
    }

    /// The first one, and the error of the next if that is ICMP's.
    fn pop(&self) -> Option<(Report, Option<Code>)> {
        let mut list = self.list.lock();
        let first = list.pop_front()?;
        self.any.store(!list.is_empty(), Ordering::SeqCst);
        Some((first, list.front().filter(|next| next.is_icmp()).map(|next| next.code)))
    }
}

impl Report {
    const fn is_icmp(&self) -> bool {
        matches!(self.origin, SO_EE_ORIGIN_ICMP | SO_EE_ORIGIN_ICMP6)
    }

    /// Where the datagram went.
    #[must_use]
    pub const fn to(&self) -> Addr {
        Addr::Inet(self.to)
    }

    /// The beginning of the datagram.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The control message a socket of `family` gets (`struct sock_extended_err`, the offender).
    #[must_use]
    pub fn control(&self, family: u16) -> Control {
        let head = SockExtendedErr {
            ee_errno: u32::from(self.code.0),
            ee_origin: self.origin,
            ee_type: self.icmp.0,
            ee_code: self.icmp.1,
            ee_pad: 0,
            ee_info: self.info,
            ee_data: 0,
        };
        let mut data = head.as_bytes().to_vec();
        match self.offender {
            Some(ip) => data.extend(Addr::Inet((ip, 0).into()).encode(family)),
            None => data.resize(data.len() + if family == AF_INET6 { 28 } else { 16 }, 0),
        }
        match family {
            AF_INET6 => Control { level: IPPROTO_IPV6, kind: IPV6_RECVERR, data },
            _ => Control { level: IPPROTO_IP, kind: IP_RECVERR, data },
        }
    }
}

impl Socket {
    /// Whether errors of datagrams to `ip` are to be queued.
    fn wants_reports(&self, ip: IpAddr) -> bool {
        let (level, option) = match canonical(ip) {
            IpAddr::V4(_) => (IPPROTO_IP, IP_RECVERR),
            IpAddr::V6(_) => (IPPROTO_IPV6, IPV6_RECVERR),
        };
        self.options.lock().stored(level, option).is_some_and(|value| value != 0)
    }

    /// Where a datagram goes: `to`, or the peer.
    pub(crate) fn aim(&self, to: Option<&Destination>) -> Option<SocketAddr> {
        let addr = match to {
            Some(Destination::Inet(to)) => Addr::Inet(*to),
            _ => self.peer().ok()?,
        };
        if let Addr::Inet(addr) = reachable(&addr) { Some(addr) } else { None }
    }

    /// Nobody is where a datagram was sent: what its sender learns of that by its next call, or from
    /// its queue of errors.
    pub(crate) fn port_unreachable(&self, to: Option<&Destination>, mut data: Vec<u8>) {
        let Some(aim) = self.aim(to) else { return };
        let connected = self.peer().is_ok();
        if connected && self.aim(None) != Some(aim) {
            // The answer is for a socket that talks to that address.
            return;
        }
        let wanted = self.wants_reports(aim.ip());
        if !connected && !wanted {
            return;
        }
        if wanted {
            let (origin, icmp, returned) = match canonical(aim.ip()) {
                IpAddr::V4(_) => (SO_EE_ORIGIN_ICMP, (3, 3), RETURNED_V4),
                IpAddr::V6(_) => (SO_EE_ORIGIN_ICMP6, (1, 4), RETURNED_V6),
            };
            data.truncate(returned);
            let (code, offender) = (ECONNREFUSED, Some(aim.ip()));
            self.reports.push(Report { code, origin, icmp, info: 0, to: aim, offender, data });
        }
        self.set_error(Some(ECONNREFUSED));
        self.queue().wake(Ready::READABLE | Ready::ERR);
        self.tell(Band::Error);
    }

    /// Checks the length of a datagram; that it is too long may be queued, too.
    ///
    /// # Errors
    /// `EMSGSIZE`.
    pub(crate) fn check_length(
        &self,
        to: Option<&Destination>,
        len_bytes: usize,
    ) -> Result<(), Errno> {
        if len_bytes <= MOST_V6_WHOLE {
            return Ok(());
        }
        let Some(aim) = self.aim(to) else { return Ok(()) };
        let mut shown = aim;
        let (most, info) = match canonical(aim.ip()) {
            IpAddr::V4(_) => {
                // The port is the peer's, whoever it was sent to.
                shown.set_port(self.aim(None).map_or(0, |peer| peer.port()));
                (MOST_V4, MTU_V4)
            }
            IpAddr::V6(_) if self.forbids_fragments() => (MOST_V6_WHOLE, MTU_V6),
            IpAddr::V6(_) => (MOST_V6, MTU_V6),
        };
        if len_bytes <= most {
            return Ok(());
        }
        let v4 = info == MTU_V4;
        if !(v4 && len_bytes > usize::from(u16::MAX)) && self.wants_reports(aim.ip()) {
            self.reports.push(Report {
                code: EMSGSIZE,
                origin: SO_EE_ORIGIN_LOCAL,
                icmp: (0, 0),
                info,
                to: shown,
                offender: None,
                data: Vec::new(),
            });
            self.queue().wake(Ready::ERR);
        }
        Err(EMSGSIZE.into())
    }

    /// Whether a datagram over IPv6 must go as one packet.
    fn forbids_fragments(&self) -> bool {
        let mode = self.options.lock().stored(IPPROTO_IPV6, IPV6_MTU_DISCOVER);
        let mode = mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0);
        (IP_PMTUDISC_DO..IP_PMTUDISC_OMIT).contains(&mode)
    }

    /// Takes a report from the queue (`MSG_ERRQUEUE`).
    ///
    /// # Errors
    /// `EAGAIN`: there is none.
    pub fn take_report(&self) -> Result<Report, Errno> {
        let (report, next) = self.reports.pop().ok_or(EAGAIN)?;
        if next.is_some() || report.is_icmp() {
            self.set_error(next);
        }
        Ok(report)
    }

    /// How many bytes make a datagram of what is sent at once (`UDP_SEGMENT`), if that is more than
    /// one.
    ///
    /// # Errors
    /// `EINVAL`: too many datagrams.
    pub(crate) fn segment(&self, packet: &Packet, len: usize) -> Result<Option<usize>, Errno> {
        let kept = || self.options.lock().stored(IPPROTO_UDP, UDP_SEGMENT);
        let size = packet.segment.map(i32::from).or_else(kept).unwrap_or(0);
        let Some(size) = usize::try_from(size).ok().filter(|&size| size != 0 && len > size) else {
            return Ok(None);
        };
        if len > size * MAX_SEGMENTS {
            return Err(EINVAL.because("more than 128 datagrams"));
        }
        Ok(Some(size))
    }
}

/// The size of joined datagrams as `UDP_GRO` shows it.
pub(crate) fn joined(size: usize) -> Option<u16> {
    Some(conv::low_u16(size as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_abi::socket::AF_INET;

    fn report(code: Code, origin: u8) -> Report {
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        Report { code, origin, icmp: (3, 3), info: 0, to, offender: Some(to.ip()), data: vec![] }
    }

    #[test]
    fn the_queue_is_bounded_and_names_the_next_error() {
        let reports = Reports::default();
        for _ in 0..2 * MAX_REPORTS {
            reports.push(report(ECONNREFUSED, SO_EE_ORIGIN_ICMP));
        }
        assert_eq!(reports.list.lock().len(), MAX_REPORTS);
        assert_eq!(reports.pop().map(|(_, next)| next), Some(Some(ECONNREFUSED)));
        reports.clear();
        assert!(!reports.any());
        reports.push(report(ECONNREFUSED, SO_EE_ORIGIN_ICMP));
        reports.push(report(EMSGSIZE, SO_EE_ORIGIN_LOCAL));
        assert_eq!(reports.pop().map(|(_, next)| next), Some(None));
        assert!(reports.any());
        assert_eq!(reports.pop().map(|(first, _)| first.code), Some(EMSGSIZE));
        assert!(!reports.any() && reports.pop().is_none());
    }

    #[test]
    fn a_control_message_has_room_for_an_offender() {
        let shown = report(ECONNREFUSED, SO_EE_ORIGIN_ICMP).control(AF_INET);
        assert_eq!(shown.data.len(), 32);
        let nobody = Report { offender: None, ..report(EMSGSIZE, SO_EE_ORIGIN_LOCAL) };
        assert_eq!(nobody.control(AF_INET6).data.len(), 44);
    }
}
