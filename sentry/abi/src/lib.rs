//! Linux user-space ABI of x86-64: numbers, structs, flags and errno.
//!
//! Constants keep Linux's spelling (`O_CLOEXEC`, `MAP_SHARED`); structures are the kernel's name in
//! Rust's case (`struct timespec` → [`time::Timespec`]) and derive the `zerocopy` traits, so that
//! they are copied to and from guests without `unsafe`. One module per uapi header.
#![no_std]
#![forbid(unsafe_code)]

pub mod errno;

pub use errno::{Code, Errno};
