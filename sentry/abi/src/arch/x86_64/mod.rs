//! The part of the ABI that is x86-64's own.

pub mod frame;
pub mod nr;
pub mod stat;
