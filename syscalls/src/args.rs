//! Types of system-call arguments, as the table's rows name them.
//!
//! A row's type says how a trace shows the argument ([`Arg::SHAPE`]); it never has a value. What the
//! handler gets is decided by the handler's own signature: [`FromReg`] turns the register into an
//! integer, a [`UserAddr`] or a [`UserPtr`], as the kernel's prototypes do.

use bevor_abi::conv::{as_i32, as_i64, low_u32, usize_of};
use bevor_memory::{UserAddr, UserPtr};
use std::fmt::Debug;
use std::marker::PhantomData;
use zerocopy::FromBytes;

use crate::strace::shape::{Direction, Layout, Shape};
use crate::strace::wait_status;

/// A value a handler takes from an argument register.
pub trait FromReg {
    /// Converts the register; what does not fit is cut off, as the ABI says.
    fn from_reg(reg: u64) -> Self;
}

macro_rules! from_reg {
    ($($value:ty: $convert:expr;)+) => {
        $(impl FromReg for $value {
            #[inline]
            fn from_reg(reg: u64) -> Self {
                $convert(reg)
            }
        })+
    };
}

from_reg! {
    i32: as_i32;
    u32: low_u32;
    i64: as_i64;
    u64: u64::from;
    usize: usize_of;
    UserAddr: UserAddr;
}

impl<T> FromReg for UserPtr<T> {
    #[inline]
    fn from_reg(reg: u64) -> Self {
        Self::from(reg)
    }
}

/// A type of argument in the table.
pub trait Arg {
    /// How a trace shows it.
    const SHAPE: Shape;
}

macro_rules! args {
    ($($(#[doc = $doc:literal])+ $name:ident: $shape:expr;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $name {}

            impl Arg for $name {
                const SHAPE: Shape = $shape;
            }
        )+
    };
}
pub(crate) use args;

args! {
    /// Open descriptor.
    Fd: Shape::Fd;
    /// Directory descriptor or `AT_FDCWD`.
    AtFd: Shape::Fd;
    /// Process, thread, process group or session id.
    Pid: Shape::Int;
    /// User id, `-1` for "leave it".
    Uid: Shape::Id;
    /// Group id, `-1` for "leave it".
    Gid: Shape::Id;
    /// `int`.
    Int: Shape::Int;
    /// `unsigned int`.
    Uint: Shape::Uint;
    /// `unsigned int` that reads best in hexadecimal.
    Hex: Shape::Hex32;
    /// `long`, and offsets in files.
    Long: Shape::Long;
    /// `unsigned long` that is no address.
    Ulong: Shape::Ulong;
    /// `unsigned long` that may be an address, a number or a mask.
    Word: Shape::Hex64;
    /// Length in bytes or number of elements.
    Size: Shape::Ulong;
    /// Address in the guest's memory that is not read.
    Addr: Shape::Hex64;
    /// File mode bits.
    Mode: Shape::Octal;
    /// Device number in the form of `mknod(2)`.
    Dev: Shape::Device;
    /// Signal number.
    Sig: Shape::Signal;
    /// Path name, NUL-terminated.
    Path: Shape::Text;
    /// Other string, NUL-terminated.
    Text: Shape::Text;
    /// NULL-terminated vector of strings.
    Texts: Shape::Texts;
    /// Bytes the call reads; their number is the next argument.
    InBuf: Shape::Bytes(Direction::In);
    /// Bytes the call writes, as many as it returns; room for as many as the next argument says.
    OutBuf: Shape::Bytes(Direction::Out);
    /// Vector of `iovec` the call reads from; their number is the next argument.
    InVec: Shape::Vector(Direction::In);
    /// Vector of `iovec` the call writes to; their number is the next argument.
    OutVec: Shape::Vector(Direction::Out);
    /// Socket address the call reads; its length is the next argument.
    InSock: Shape::SockAddr(Direction::In);
    /// Socket address the call writes; the next argument points to its length.
    OutSock: Shape::SockAddr(Direction::Out);
    /// Message the call sends.
    InMsg: Shape::Message(Direction::In);
    /// Message the call receives.
    OutMsg: Shape::Message(Direction::Out);
    /// Signal set the call reads; its size is some later argument.
    InSet: Shape::SigSet(Direction::In);
    /// Signal set the call writes.
    OutSet: Shape::SigSet(Direction::Out);
    /// How a child ended or stopped, which the call writes.
    OutStatus: Shape::Struct(Direction::Out, wait_status::LAYOUT);
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
    const SHAPE: Shape = Shape::Struct(Direction::In, Layout::of::<T>());
}

impl<T: FromBytes + Debug> Arg for Out<T> {
    const SHAPE: Shape = Shape::Struct(Direction::Out, Layout::of::<T>());
}

impl<T: FromBytes + Debug> Arg for InList<T> {
    const SHAPE: Shape = Shape::List(Direction::In, Layout::of::<T>());
}

impl<T: FromBytes + Debug> Arg for OutList<T> {
    const SHAPE: Shape = Shape::List(Direction::Out, Layout::of::<T>());
}
