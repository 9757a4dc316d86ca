//! Socket addresses (`unix(7)`, `ip(7)`, `ipv6(7)`).

use crate::netlink;
use bevor_abi::Errno;
use bevor_abi::errno::{EAFNOSUPPORT, EINVAL};
use bevor_abi::socket::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_UNSPEC};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// An address of any family.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Addr {
    /// None: an unnamed unix socket, or `AF_UNSPEC`.
    #[default]
    Unnamed,
    /// A path in the file system.
    Path(Vec<u8>),
    /// A name of the abstract namespace, without the leading NUL.
    Abstract(Vec<u8>),
    /// An internet address.
    Inet(SocketAddr),
    /// A netlink address (`struct sockaddr_nl`).
    Netlink {
        /// Port, 0 for the kernel.
        port: u32,
        /// Multicast groups, a bit each.
        groups: u32,
    },
}

/// Longest path of a unix address.
const SUN_PATH: usize = 108;

impl Addr {
    /// Decodes what a program gave for a socket of `family`.
    ///
    /// # Errors
    /// `EINVAL` for a bad length, `EAFNOSUPPORT` for another family.
    pub fn decode(family: u16, bytes: &[u8]) -> Result<Self, Errno> {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or_else(|| Errno::from(EINVAL))
        };
        let given = u16::from_ne_bytes(word(0)?);
        let least = match family {
            AF_INET if given != AF_UNSPEC => 16,
            AF_INET6 if given != AF_UNSPEC => 24,
            AF_NETLINK => netlink::ADDR_BYTES,
            _ => 2,
        };
        if bytes.len() < least {
            return Err(EINVAL.because("address too short"));
        }
        if given == AF_UNSPEC && !matches!(family, AF_UNIX | AF_NETLINK) {
            return Ok(Self::Unnamed);
        }
        if given != family {
            return Err(
                if matches!(family, AF_UNIX | AF_NETLINK) { EINVAL } else { EAFNOSUPPORT }.into()
            );
        }
        let port = || Ok::<u16, Errno>(u16::from_be_bytes(word(2)?));
        match family {
            AF_UNIX => {
                let path = bytes.get(2..).unwrap_or_default();
                if path.len() > SUN_PATH {
                    return Err(EINVAL.into());
                }
                match path.first() {
                    None => Ok(Self::Unnamed),
                    Some(0) => Ok(Self::Abstract(path.get(1..).unwrap_or_default().to_vec())),
                    Some(_) => {
                        let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                        Ok(Self::Path(path.get(..end).unwrap_or_default().to_vec()))
                    }
                }
            }
            AF_INET => {
                let ip: [u8; 4] = bytes
                    .get(4..8)
                    .filter(|_| bytes.len() >= 16)
                    .and_then(|ip| ip.try_into().ok())
                    .ok_or(EINVAL)?;
                Ok(Self::Inet(SocketAddrV4::new(Ipv4Addr::from(ip), port()?).into()))
            }
            AF_INET6 => {
                let ip: [u8; 16] =
                    bytes.get(8..24).and_then(|ip| ip.try_into().ok()).ok_or(EINVAL)?;
                Ok(Self::Inet(SocketAddrV6::new(Ipv6Addr::from(ip), port()?, 0, 0).into()))
            }
            AF_NETLINK => {
                let word = |at: usize| {
                    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                    bytes.map(u32::from_ne_bytes).ok_or_else(|| Errno::from(EINVAL))
                };
                Ok(Self::Netlink { port: word(4)?, groups: word(8)? })
            }
            _ => Err(EAFNOSUPPORT.into()),
        }
    }

    /// The bytes a program is shown for a socket of `family`.
    #[must_use]
    pub fn encode(&self, family: u16) -> Vec<u8> {
        let mut out = family.to_ne_bytes().to_vec();
        match self {
            Self::Unnamed if family == AF_UNIX => {}
            Self::Unnamed => out.resize(if family == AF_INET6 { 28 } else { 16 }, 0),
            Self::Path(path) => {
                out.extend_from_slice(path);
                out.push(0);
            }
            Self::Abstract(name) => {
                out.push(0);
                out.extend_from_slice(name);
            }
            Self::Netlink { port, groups } => {
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(&port.to_ne_bytes());
                out.extend_from_slice(&groups.to_ne_bytes());
            }
            Self::Inet(addr) => {
                out.extend_from_slice(&addr.port().to_be_bytes());
                match (family, addr.ip()) {
                    (AF_INET6, ip) => {
                        let ip = match ip {
                            IpAddr::V6(ip) => ip,
                            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                        };
                        out.extend_from_slice(&[0; 4]);
                        out.extend_from_slice(&ip.octets());
                        out.extend_from_slice(&[0; 4]);
                    }
                    (_, IpAddr::V4(ip)) => {
                        out.extend_from_slice(&ip.octets());
                        out.extend_from_slice(&[0; 8]);
                    }
                    (_, IpAddr::V6(_)) => out.resize(16, 0),
                }
            }
        }
        out
    }
}

/// An internet address with a mapped IPv4 one made plain.
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Whether an address is one of this machine: loopback, or "any", which means loopback here.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    let ip = canonical(ip);
    ip.is_loopback() || ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_a_round_trip() {
        let v4 = Addr::Inet("127.0.0.1:80".parse().unwrap());
        let v6 = Addr::Inet("[::1]:443".parse().unwrap());
        for (family, addr) in [
            (AF_INET, v4),
            (AF_INET6, v6),
            (AF_UNIX, Addr::Path(b"/tmp/x".to_vec())),
            (AF_UNIX, Addr::Abstract(b"name\0more".to_vec())),
            (AF_UNIX, Addr::Unnamed),
            (AF_NETLINK, Addr::Netlink { port: 1, groups: 2 }),
        ] {
            assert_eq!(Addr::decode(family, &addr.encode(family)).unwrap(), addr);
        }
        assert!(Addr::decode(AF_INET, &[2, 0, 1]).is_err());
        assert!(Addr::decode(AF_UNIX, &[1]).is_err());
    }
}
