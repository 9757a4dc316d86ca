//! The host's side of the VFS: the few host calls it makes.

pub(crate) mod calls;

pub use calls::random;
