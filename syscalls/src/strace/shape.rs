//! How arguments are shown: data, so that one formatter serves every call.

use bevor_abi::names::Names;
use std::fmt::{self, Debug};
use zerocopy::FromBytes;

/// Whether the guest fills memory before the call or the kernel during it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Read by the call, so shown as it was on entry.
    In,
    /// Written by the call, so shown after it succeeded, else as an address.
    Out,
}

/// A value shown by names.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Bits that hold one value of the first set; 0 when the sets name the whole value.
    pub mask: u64,
    /// The sets, tried in turn.
    pub names: &'static [&'static Names],
}

/// A structure that is read from memory and shown.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Its size in bytes.
    pub size: usize,
    /// Shows its bytes, of which there are [`Layout::size`].
    pub show: fn(&[u8]) -> String,
}

impl Layout {
    /// The layout of `T`, shown by what its `Debug` says.
    #[must_use]
    pub const fn of<T: FromBytes + Debug>() -> Self {
        Self { size: size_of::<T>(), show: show::<T> }
    }
}

fn show<T: FromBytes + Debug>(bytes: &[u8]) -> String {
    T::read_from_bytes(bytes)
        .map_or_else(|_| String::from("?"), |value| super::compact::compact(&format!("{value:?}")))
}

impl Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layout({} bytes)", self.size)
    }
}

/// How one argument is shown.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Descriptor or `AT_FDCWD`.
    Fd,
    /// 32-bit signed number.
    Int,
    /// 32-bit unsigned number.
    Uint,
    /// User or group id, `-1` for none.
    Id,
    /// 64-bit signed number.
    Long,
    /// 64-bit unsigned number.
    Ulong,
    /// 32 bits in hexadecimal.
    Hex32,
    /// Address or other word in hexadecimal.
    Hex64,
    /// File mode.
    Octal,
    /// Device number.
    Device,
    /// Signal number.
    Signal,
    /// Named flags or values.
    Named(Named),
    /// Protocol of `socket(2)`, by the family two arguments before.
    Protocol,
    /// Socket option, by the level one argument before.
    SockOpt,
    /// NUL-terminated string.
    Text,
    /// NULL-terminated vector of strings.
    Texts,
    /// Bytes, counted by the next argument.
    Bytes(Direction),
    /// Vector of buffers, counted by the next argument.
    Vector(Direction),
    /// Socket address, measured by the next argument.
    SockAddr(Direction),
    /// Message of `sendmsg(2)` or `recvmsg(2)`.
    Message(Direction),
    /// Signal set of eight bytes.
    SigSet(Direction),
    /// One structure.
    Struct(Direction, Layout),
    /// Several structures: as many as the next argument says, or as the call returns.
    List(Direction, Layout),
}

impl Shape {
    /// Whether the argument shows what the call wrote, which is known only after it.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        matches!(
            self,
            Self::Bytes(Direction::Out)
                | Self::Vector(Direction::Out)
                | Self::SockAddr(Direction::Out)
                | Self::Message(Direction::Out)
                | Self::SigSet(Direction::Out)
                | Self::Struct(Direction::Out, _)
                | Self::List(Direction::Out, _)
        )
    }
}
