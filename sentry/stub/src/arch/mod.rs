//! The one place that chooses an architecture.

mod x86_64;
