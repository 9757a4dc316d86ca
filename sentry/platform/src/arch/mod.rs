//! The one place that chooses an architecture. Nothing outside `arch/` names a register layout.

mod x86_64;

pub use x86_64::{Cache, CacheKind, FpState, UserRegs, caches};
pub(crate) use x86_64::{access, clock, fpu, patch, ptrace, systrap, vdso, wait, xsave};
