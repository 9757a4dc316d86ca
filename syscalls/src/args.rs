//! Types of system-call arguments, as the table's rows name them.
//!
//! Each is a marker that never has a value: it says how a register becomes the handler's argument
//! ([`Arg::from_reg`]) and how a trace shows it ([`Arg::SHAPE`]). Handlers get plain integers,
//! [`UserAddr`] and [`UserPtr`].

use bevor_abi::conv::{as_i32, as_i64, low_u32};
use bevor_memory::{UserAddr, UserPtr};
use std::fmt::Debug;
use std::marker::PhantomData;
use zerocopy::FromBytes;

use crate::strace::shape::{Direction, Layout, Shape};

/// How one argument is taken from its register and shown.
pub trait Arg {
    /// What the handler gets.
    type Value;
    /// How a trace shows it.
    const SHAPE: Shape;

    /// Converts the register as the kernel's prototype does.
    fn from_reg(reg: u64) -> Self::Value;
}

macro_rules! args {
    ($($(#[doc = $doc:literal])+ $name:ident: $value:ty = $convert:expr, $shape:expr;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $name {}

            impl Arg for $name {
                type Value = $value;
                const SHAPE: Shape = $shape;

                #[inline]
                fn from_reg(reg: u64) -> $value {
                    let convert: fn(u64) -> $value = $convert;
                    convert(reg)
                }
            }
        )+
    };
}
pub(crate) use args;

args! {
    /// Open descriptor.
    Fd: i32 = as_i32, Shape::Fd;
    /// Directory descriptor or `AT_FDCWD`.
    AtFd: i32 = as_i32, Shape::Fd;
    /// Process, thread, process group or session id.
    Pid: i32 = as_i32, Shape::Int;
    /// User id, `-1` for "leave it".
    Uid: u32 = low_u32, Shape::Id;
    /// Group id, `-1` for "leave it".
    Gid: u32 = low_u32, Shape::Id;
    /// `int`.
    Int: i32 = as_i32, Shape::Int;
    /// `unsigned int`.
    Uint: u32 = low_u32, Shape::Uint;
    /// `unsigned int` that reads best in hexadecimal.
    Hex: u32 = low_u32, Shape::Hex32;
    /// `long`, and offsets in files.
    Long: i64 = as_i64, Shape::Long;
    /// `unsigned long` that is no address.
    Ulong: u64 = |reg| reg, Shape::Ulong;
    /// `unsigned long` that may be an address, a number or a mask.
    Word: u64 = |reg| reg, Shape::Hex64;
    /// Length in bytes or number of elements.
    Size: u64 = |reg| reg, Shape::Ulong;
    /// Address in the guest's memory that is not read.
    Addr: UserAddr = UserAddr, Shape::Hex64;
    /// File mode bits.
    Mode: u32 = low_u32, Shape::Octal;
    /// Device number in the form of `mknod(2)`.
    Dev: u32 = low_u32, Shape::Device;
    /// Signal number.
    Sig: i32 = as_i32, Shape::Signal;
    /// Path name, NUL-terminated.
    Path: UserAddr = UserAddr, Shape::Text;
    /// Other string, NUL-terminated.
    Text: UserAddr = UserAddr, Shape::Text;
    /// NULL-terminated vector of strings.
    Texts: UserAddr = UserAddr, Shape::Texts;
    /// Bytes the call reads; their number is the next argument.
    InBuf: UserAddr = UserAddr, Shape::Bytes(Direction::In);
    /// Bytes the call writes, as many as it returns; room for as many as the next argument says.
    OutBuf: UserAddr = UserAddr, Shape::Bytes(Direction::Out);
    /// Vector of `iovec` the call reads from; their number is the next argument.
    InVec: UserAddr = UserAddr, Shape::Vector(Direction::In);
    /// Vector of `iovec` the call writes to; their number is the next argument.
    OutVec: UserAddr = UserAddr, Shape::Vector(Direction::Out);
    /// Socket address the call reads; its length is the next argument.
    InSock: UserAddr = UserAddr, Shape::SockAddr(Direction::In);
    /// Socket address the call writes; the next argument points to its length.
    OutSock: UserAddr = UserAddr, Shape::SockAddr(Direction::Out);
    /// Message the call sends.
    InMsg: UserPtr<bevor_abi::socket::Msghdr> = UserPtr::from, Shape::Message(Direction::In);
    /// Message the call receives.
    OutMsg: UserPtr<bevor_abi::socket::Msghdr> = UserPtr::from, Shape::Message(Direction::Out);
    /// Signal set the call reads; its size is some later argument.
    InSet: UserAddr = UserAddr, Shape::SigSet(Direction::In);
    /// Signal set the call writes.
    OutSet: UserAddr = UserAddr, Shape::SigSet(Direction::Out);
}

/// A structure the call reads.
#[derive(Debug)]
pub struct In<T>(PhantomData<T>);

/// A structure the call writes.
#[derive(Debug)]
pub struct Out<T>(PhantomData<T>);

/// An array the call reads; the number of elements is the next argument.
#[derive(Debug)]
pub struct InList<T>(PhantomData<T>);

/// An array the call writes; the number of elements is what it returns.
#[derive(Debug)]
pub struct OutList<T>(PhantomData<T>);

impl<T: FromBytes + Debug> Arg for In<T> {
    type Value = UserPtr<T>;
    const SHAPE: Shape = Shape::Struct(Direction::In, Layout::of::<T>());

    #[inline]
    fn from_reg(reg: u64) -> UserPtr<T> {
        UserPtr::from(reg)
    }
}

impl<T: FromBytes + Debug> Arg for Out<T> {
    type Value = UserPtr<T>;
    const SHAPE: Shape = Shape::Struct(Direction::Out, Layout::of::<T>());

    #[inline]
    fn from_reg(reg: u64) -> UserPtr<T> {
        UserPtr::from(reg)
    }
}

impl<T: FromBytes + Debug> Arg for InList<T> {
    type Value = UserPtr<T>;
    const SHAPE: Shape = Shape::List(Direction::In, Layout::of::<T>());

    #[inline]
    fn from_reg(reg: u64) -> UserPtr<T> {
        UserPtr::from(reg)
    }
}

impl<T: FromBytes + Debug> Arg for OutList<T> {
    type Value = UserPtr<T>;
    const SHAPE: Shape = Shape::List(Direction::Out, Layout::of::<T>());

    #[inline]
    fn from_reg(reg: u64) -> UserPtr<T> {
        UserPtr::from(reg)
    }
}
