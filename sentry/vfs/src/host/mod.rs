//! The host's side of the VFS: the few host calls it makes.

mod calls;

pub use calls::random;
