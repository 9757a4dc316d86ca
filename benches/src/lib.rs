//! Benchmarks of Bevor beside native and gVisor.
//!
//! `bevor-bench` measures all sides in one run, taking turns, quiet and under
//! load, and writes the raw numbers. The criterion bench `rows` measures the
//! same rows for one side after a change. Both start the guest program
//! `guest/rows.c`, so they measure the same instructions.
#![forbid(unsafe_code)]

pub mod guest;
pub mod idle;
pub mod load;
pub mod machine;
pub mod report;
pub mod side;
pub mod trees;
