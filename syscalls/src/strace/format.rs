//! Turns registers and guest memory into the text of a traced call.

use bevor_abi::conv::{as_i32, as_i64, high_u32, low_u8, low_u32, usize_of};
use bevor_abi::fcntl::{AT_FDCWD, Iovec};
use bevor_abi::inet::{IP_PROTOCOLS, IPV4_OPTIONS, IPV6_OPTIONS, TCP_OPTIONS, UDP_OPTIONS};
use bevor_abi::names::{Kind, Names};
use bevor_abi::netlink::{NETLINK_OPTIONS, NETLINK_PROTOCOLS};
use bevor_abi::signal::{SigSet, Signal};
use bevor_abi::socket::{
    AF_INET, AF_INET6, AF_NETLINK, MESSAGE_FLAGS, Msghdr, PACKET_OPTIONS, SOCKET_OPTIONS, SOL_IP,
    SOL_IPV6, SOL_NETLINK, SOL_PACKET, SOL_SOCKET, SOL_TCP, SOL_UDP,
};
use bevor_abi::stat::{major, minor};
use std::fmt::Write;
use zerocopy::{FromBytes, IntoBytes};

use super::shape::{Direction, Layout, Named, Shape};
use super::sockaddr;
use super::text::{TEXT_MAX, quote, quote_up_to};

/// Most elements of a vector or list shown.
const ELEMENTS_MAX: u64 = 16;

/// Most strings of an argument vector shown.
const STRINGS_MAX: u64 = 32;

/// Bytes of a buffer fetched: more than are shown, so that the cut is seen.
const FETCH_MAX: usize = 40;

/// Guest memory as far as it can be read.
pub trait Peek {
    /// Copies what is readable from `addr` on into `buf` and returns how many bytes that is.
    fn peek(&self, addr: u64, buf: &mut [u8]) -> usize;

    /// Reads a structure, if all of it is readable.
    fn read<T: FromBytes + IntoBytes>(&self, addr: u64) -> Option<T>
    where
        Self: Sized,
    {
        let mut value = T::new_zeroed();
        let bytes = value.as_mut_bytes();
        let len = bytes.len();
        (self.peek(addr, bytes) == len).then_some(value)
    }
}

/// The registers of a call and, after it, what it returned.
pub struct Values<'a, M> {
    /// The argument registers.
    pub regs: &'a [u64; 6],
    /// Bytes or elements the call says it moved; `None` before it and when it failed.
    pub moved: Option<u64>,
    /// The caller's memory.
    pub memory: &'a M,
}

impl<M: Peek> Values<'_, M> {
    fn reg(&self, index: usize) -> u64 {
        self.regs.get(index).copied().unwrap_or(0)
    }

    /// Appends argument `index`, which the table shows as `shape`.
    pub fn show(&self, index: usize, shape: Shape, out: &mut String) {
        let reg = self.reg(index);
        let next = self.reg(index + 1);
        if shape.is_out() && (self.moved.is_none() || reg == 0) {
            return address(reg, out);
        }
        match shape {
            Shape::Fd if as_i32(reg) == AT_FDCWD => out.push_str("AT_FDCWD"),
            Shape::Fd | Shape::Int => push(out, as_i32(reg)),
            Shape::Uint => push(out, low_u32(reg)),
            Shape::Id if low_u32(reg) == u32::MAX => out.push_str("-1"),
            Shape::Id => push(out, low_u32(reg)),
            Shape::Long => push(out, as_i64(reg)),
            Shape::Ulong => push(out, reg),
            Shape::Hex32 => push(out, format_args!("{:#x}", low_u32(reg))),
            Shape::Hex64 => address(reg, out),
            Shape::Octal => push(out, format_args!("0{:o}", low_u32(reg))),
            Shape::Device => {
                let dev = u64::from(low_u32(reg));
                push(out, format_args!("makedev({:#x}, {:#x})", major(dev), minor(dev)));
            }
            Shape::Signal => match Signal::new(as_i32(reg)) {
                Some(signal) => push(out, signal),
                None => push(out, as_i32(reg)),
            },
            Shape::Named(named) => show_named(named, reg, out),
            Shape::Protocol => self.protocol(index, out),
            Shape::SockOpt => {
                let level = low_u32(self.reg(index.saturating_sub(1)));
                match option_names(level) {
                    Some(names) => push(out, names.show(i64::from(low_u32(reg)))),
                    None => push(out, low_u32(reg)),
                }
            }
            Shape::Text => self.text(reg, out),
            Shape::Texts => self.texts(reg, out),
            Shape::Bytes(Direction::In) => self.bytes(reg, next, out),
            Shape::Bytes(Direction::Out) => {
                self.bytes(reg, next.min(self.moved.unwrap_or(0)), out);
            }
            Shape::Vector(Direction::In) => self.vector(reg, next, u64::MAX, out),
            Shape::Vector(Direction::Out) => {
                self.vector(reg, next, self.moved.unwrap_or(0), out);
            }
            Shape::SockAddr(Direction::In) => self.sockaddr(reg, low_u32(next), out),
            Shape::SockAddr(Direction::Out) => match self.memory.read::<u32>(next) {
                Some(len) => self.sockaddr(reg, len, out),
                None => address(reg, out),
            },
            Shape::Message(direction) => self.message(reg, direction, out),
            Shape::SigSet(_) => match self.memory.read::<SigSet>(reg) {
                Some(set) => push(out, set),
                None => address(reg, out),
            },
            Shape::Struct(_, layout) => {
                if !self.structure(reg, layout, out) {
                    address(reg, out);
                }
            }
            Shape::List(Direction::In, layout) => {
                self.list(reg, u64::from(low_u32(next)), layout, out)
            }
            Shape::List(Direction::Out, layout) => {
                self.list(reg, self.moved.unwrap_or(0), layout, out);
            }
        }
    }

    fn protocol(&self, index: usize, out: &mut String) {
        let family = as_i32(self.reg(index.saturating_sub(2)));
        let protocol = low_u32(self.reg(index));
        let names = match u16::try_from(family) {
            Ok(AF_INET | AF_INET6) => &IP_PROTOCOLS,
            Ok(AF_NETLINK) => &NETLINK_PROTOCOLS,
            _ => return push(out, protocol),
        };
        push(out, names.show(i64::from(protocol)));
    }

    fn text(&self, addr: u64, out: &mut String) {
        let mut bytes = [0; TEXT_MAX];
        let len = self.memory.peek(addr, &mut bytes);
        let bytes = &bytes[..len.min(TEXT_MAX)];
        match bytes.iter().position(|&byte| byte == 0) {
            Some(end) => quote_up_to(&bytes[..end], TEXT_MAX, false, out),
            None if bytes.is_empty() => address(addr, out),
            None => quote_up_to(bytes, TEXT_MAX, true, out),
        }
    }

    fn texts(&self, addr: u64, out: &mut String) {
        if self.memory.read::<u64>(addr).is_none() {
            return address(addr, out);
        }
        out.push('[');
        for i in 0..=STRINGS_MAX {
            match self.memory.read::<u64>(addr.wrapping_add(i * 8)) {
                Some(0) | None => break,
                Some(text) => {
                    separate(i, out);
                    if i == STRINGS_MAX {
                        out.push_str("...");
                    } else {
                        self.text(text, out);
                    }
                }
            }
        }
        out.push(']');
    }

    fn bytes(&self, addr: u64, len: u64, out: &mut String) {
        let mut bytes = [0; FETCH_MAX];
        let want = usize_of(len).min(FETCH_MAX);
        let got = self.memory.peek(addr, &mut bytes[..want]).min(want);
        if got == 0 && len > 0 {
            return address(addr, out);
        }
        quote(&bytes[..got], got < want, out);
    }

    fn vector(&self, addr: u64, count: u64, mut bytes: u64, out: &mut String) {
        out.push('[');
        for i in 0..count.min(ELEMENTS_MAX) {
            let Some(iov) = self.memory.read::<Iovec>(addr.wrapping_add(i * 16)) else {
                address(addr, out);
                break;
            };
            separate(i, out);
            out.push_str("{iov_base=");
            let len = iov.iov_len.min(bytes);
            bytes -= len;
            self.bytes(iov.iov_base, len, out);
            push(out, format_args!(", iov_len={}}}", iov.iov_len));
        }
        out.push_str(if count > ELEMENTS_MAX { ", ...]" } else { "]" });
    }

    fn sockaddr(&self, addr: u64, len: u32, out: &mut String) {
        let mut bytes = [0; 128];
        let want = usize_of(u64::from(len)).min(bytes.len());
        if self.memory.peek(addr, &mut bytes[..want]) < want {
            return address(addr, out);
        }
        sockaddr::show(&bytes[..want], out);
    }

    fn message(&self, addr: u64, direction: Direction, out: &mut String) {
        let Some(msg) = self.memory.read::<Msghdr>(addr) else {
            return address(addr, out);
        };
        out.push_str("{msg_name=");
        match u32::try_from(msg.msg_namelen) {
            Ok(len) if msg.msg_name != 0 => self.sockaddr(msg.msg_name, len, out),
            _ => address(msg.msg_name, out),
        }
        out.push_str(", msg_iov=");
        let bytes = if direction == Direction::In { u64::MAX } else { self.moved.unwrap_or(0) };
        self.vector(msg.msg_iov, msg.msg_iovlen, bytes, out);
        push(out, format_args!(", msg_controllen={}", msg.msg_controllen));
        let flags = MESSAGE_FLAGS.show(i64::from(msg.msg_flags));
        push(out, format_args!(", msg_flags={flags}}}"));
    }

    /// Appends a structure; `false` when it cannot be read.
    fn structure(&self, addr: u64, layout: Layout, out: &mut String) -> bool {
        let mut bytes = vec![0; layout.size];
        if self.memory.peek(addr, &mut bytes) < layout.size {
            return false;
        }
        out.push_str(&(layout.show)(&bytes));
        true
    }

    fn list(&self, addr: u64, count: u64, layout: Layout, out: &mut String) {
        out.push('[');
        for i in 0..count.min(ELEMENTS_MAX) {
            separate(i, out);
            let size = bevor_abi::conv::u64_of(layout.size);
            if !self.structure(addr.wrapping_add(i * size), layout, out) {
                address(addr, out);
                break;
            }
        }
        out.push_str(if count > ELEMENTS_MAX { ", ...]" } else { "]" });
    }
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("writing to a string cannot fail");
}

/// Appends an address, `NULL` for none.
pub fn address(addr: u64, out: &mut String) {
    if addr == 0 {
        out.push_str("NULL");
    } else {
        push(out, format_args!("{addr:#x}"));
    }
}

fn separate(index: u64, out: &mut String) {
    if index > 0 {
        out.push_str(", ");
    }
}

fn option_names(level: u32) -> Option<&'static Names> {
    Some(match level {
        SOL_SOCKET => &SOCKET_OPTIONS,
        SOL_IP => &IPV4_OPTIONS,
        SOL_TCP => &TCP_OPTIONS,
        SOL_UDP => &UDP_OPTIONS,
        SOL_IPV6 => &IPV6_OPTIONS,
        SOL_PACKET => &PACKET_OPTIONS,
        SOL_NETLINK => &NETLINK_OPTIONS,
        _ => return None,
    })
}

/// Appends a register by the names of its sets.
pub(super) fn show_named(named: Named, reg: u64, out: &mut String) {
    let [first, others @ ..] = named.names else {
        return push(out, reg);
    };
    if named.mask != 0 {
        let value = as_i64(reg & named.mask);
        let rest = reg & !named.mask;
        // Arguments of 32 bits come in registers whose upper half means nothing.
        let rest = if high_u32(reg) == u32::MAX { u64::from(low_u32(rest)) } else { rest };
        let flags = others.first().filter(|_| rest != 0);
        match flags {
            // A mere zero is left out: `clone` with no signal at the end.
            Some(flags) if value == 0 && first.name(0).is_none() => {
                push(out, flags.show(as_i64(rest)));
            }
            Some(flags) => {
                push(out, format_args!("{}|{}", first.show(value), flags.show(as_i64(rest))));
            }
            None => push(out, first.show(value)),
        }
        return;
    }
    let value = if first.kind == Kind::Flags { unsigned(reg) } else { signed(reg) };
    // Of several sets only the first has a name for nothing.
    let sets = if value == 0 { &named.names[..1] } else { named.names };
    let by_name = sets.iter().find_map(|names| names.name(value));
    match by_name {
        Some(name) => out.push_str(name),
        None if first.kind == Kind::Values => push(out, format_args!("{:#x}", low_u32(reg))),
        None => {
            let known = |names: &Names| names.entries.iter().fold(0, |bits, entry| bits | entry.1);
            let mut rest = value;
            let mut separator = "";
            for names in named.names {
                let bits = rest & known(names);
                if bits != 0 {
                    push(out, format_args!("{separator}{}", names.show(bits)));
                    separator = "|";
                    rest &= !bits;
                }
            }
            if value == 0 {
                out.push('0');
            } else if rest != 0 || separator.is_empty() {
                push(out, format_args!("{separator}{rest:#x}"));
            }
        }
    }
}

/// A register as a set of flags: of 32 bits if the upper half is a mere sign.
fn unsigned(reg: u64) -> i64 {
    if high_u32(reg) == u32::MAX { i64::from(low_u32(reg)) } else { as_i64(reg) }
}

/// A register as one of several values: an `int` that may be negative, or an `unsigned int`.
fn signed(reg: u64) -> i64 {
    let low = as_i32(reg);
    if high_u32(reg) == 0 && low < 0 && low_u8(reg >> 24) != 0xff {
        return i64::from(low_u32(reg));
    }
    i64::from(low)
}
