//! The one place that chooses an architecture.

mod x86_64;

pub use x86_64::arguments;
