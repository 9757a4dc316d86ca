//! Virtual file system: mounts, dentries, path walk and the file systems.
//!
//! A system call on a path starts with [`walk::At`], resolves it to a [`mount::Path`] and changes
//! the tree through [`namei`]. Open files are [`file::File`]. What a file system must provide is
//! [`inode::Inode`] and [`file::FileOps`]; each file system is a module with the same parts:
//! `mod.rs` (the file system and its options), `inode.rs`, `dir.rs`, `file.rs`.
#![deny(unsafe_code)]

pub mod acl;
pub mod anon;
pub mod caller;
pub mod context;
pub mod dentry;
pub mod dev;
pub mod devpts;
pub mod event;
pub mod fasync;
pub mod file;
pub mod fs_config;
pub mod gofer;
pub mod host;
pub mod inode;
pub mod landlock;
pub mod locks;
pub mod memfd;
pub mod meta;
pub mod mount;
pub mod mqueue;
pub mod namei;
pub mod notify;
pub mod overlay;
pub mod pipe;
pub mod superblock;
pub mod tmpfs;
pub mod tty;
mod usage;
pub mod walk;

#[cfg(test)]
mod difftest;
#[cfg(test)]
mod testing;

pub use caller::Caller;
pub use context::FsContext;
pub use file::{File, FileOps, OpenFlags};
pub use inode::{Attr, FileTime, FileType, Inode, InodeRef};
pub use mount::{Mount, MountNamespace, Path};
pub use walk::{At, LastLink};
