//! Runs raw guest code on the real platform.

mod answers;
mod harness;
mod hostile;
mod patch;
mod run;
mod vdso;
