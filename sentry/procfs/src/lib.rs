//! The /proc file system.
