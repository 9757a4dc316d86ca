//! Linux user-space ABI: numbers, structs, flags and errno.
//!
//! Constants keep Linux's spelling (`O_CLOEXEC`, `MAP_SHARED`); structures are the kernel's name in
//! Rust's case (`struct timespec` → [`time::Timespec`]) and derive the `zerocopy` traits, so that
//! they are copied to and from guests without `unsafe`. Every family of constants is also a table
//! of names ([`names::Names`]), which is what traces show. One module per topic.
#![no_std]
#![forbid(unsafe_code)]

mod macros;

pub mod arch;
pub mod cap;
pub mod conv;
pub mod elf;
pub mod errno;
pub mod fcntl;
pub mod futex;
pub mod inet;
pub mod inotify;
pub mod io_uring;
pub mod ioctl;
pub mod ipc;
pub mod keyctl;
pub mod landlock;
pub mod mman;
pub mod mount;
pub mod names;
pub mod netlink;
pub mod poll;
pub mod prctl;
pub mod ptrace;
pub mod resource;
pub mod sched;
pub mod seccomp;
pub mod siginfo;
pub mod signal;
pub mod socket;
pub mod stat;
pub mod system;
pub mod termios;
pub mod time;
pub mod wait;

pub use arch::host::{frame, nr};
pub use errno::{Code, Errno};
