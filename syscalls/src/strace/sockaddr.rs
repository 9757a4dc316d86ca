//! Socket addresses as a trace shows them.

use bevor_abi::socket::{
    ADDRESS_FAMILIES, AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SockAddrIn, SockAddrIn6, SockAddrNl,
};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use zerocopy::FromBytes;

use super::text::quote_up_to;

/// Appends the address in `bytes`, which end where its length says.
pub fn show(bytes: &[u8], out: &mut String) {
    let Some((family, rest)) = bytes.split_first_chunk() else {
        return out.push_str("{}");
    };
    let family = u16::from_ne_bytes(*family);
    let name = ADDRESS_FAMILIES.show(i64::from(family));
    write!(out, "{{sa_family={name}").expect("writing to a string cannot fail");
    let shown = match family {
        AF_UNIX => unix(rest, out),
        AF_INET => inet(bytes, out),
        AF_INET6 => inet6(bytes, out),
        AF_NETLINK => netlink(bytes, out),
        _ => None,
    };
    if shown.is_none() {
        out.push_str(", sa_data=");
        quote_up_to(rest, rest.len(), false, out);
    }
    out.push('}');
}

fn unix(path: &[u8], out: &mut String) -> Option<()> {
    match path {
        [] => {}
        [0, name @ ..] => {
            out.push_str(", sun_path=@");
            quote_up_to(name, name.len(), false, out);
        }
        _ => {
            let len = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
            out.push_str(", sun_path=");
            quote_up_to(&path[..len], len, false, out);
        }
    }
    Some(())
}

fn inet(bytes: &[u8], out: &mut String) -> Option<()> {
    let (addr, _) = SockAddrIn::read_from_prefix(bytes).ok()?;
    let (port, ip) = (u16::from_be_bytes(addr.sin_port), Ipv4Addr::from(addr.sin_addr));
    write!(out, ", sin_port={port}, sin_addr={ip}").ok()
}

fn inet6(bytes: &[u8], out: &mut String) -> Option<()> {
    let (addr, _) = SockAddrIn6::read_from_prefix(bytes).ok()?;
    let (port, ip) = (u16::from_be_bytes(addr.sin6_port), Ipv6Addr::from(addr.sin6_addr));
    write!(out, ", sin6_port={port}, sin6_addr={ip}, sin6_scope_id={}", addr.sin6_scope_id).ok()
}

fn netlink(bytes: &[u8], out: &mut String) -> Option<()> {
    let (addr, _) = SockAddrNl::read_from_prefix(bytes).ok()?;
    write!(out, ", nl_pid={}, nl_groups={:#x}", addr.nl_pid, addr.nl_groups).ok()
}
