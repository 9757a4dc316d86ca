//! x86-64: registers and extended state.

pub(crate) mod access;
mod caches;
pub(crate) mod clock;
pub(crate) mod fpu;
pub(crate) mod patch;
pub(crate) mod ptrace;
mod simple;
pub(crate) mod systrap;
pub(crate) mod vdso;
pub(crate) mod wait;
pub(crate) mod xsave;

pub use caches::{Cache, CacheKind, caches};

/// General registers in the order of `struct user_regs_struct` (`sys/user.h`).
#[expect(missing_docs, reason = "fields are the architecture's register names")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct UserRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub eflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

impl UserRegs {
    /// Number of the system call an [`Event::Syscall`](crate::Event::Syscall) reports.
    #[must_use]
    pub const fn syscall_nr(&self) -> u64 {
        self.orig_rax
    }

    /// The result register of a system call.
    #[must_use]
    pub const fn result(&self) -> u64 {
        self.rax
    }

    /// Where the thread is.
    #[must_use]
    pub const fn instruction_pointer(&self) -> u64 {
        self.rip
    }

    /// Where its stack ends.
    #[must_use]
    pub const fn stack_pointer(&self) -> u64 {
        self.rsp
    }

    /// The six arguments of a system call.
    #[must_use]
    pub const fn syscall_args(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }
}

/// Extended register state: an XSAVE area in the standard (non-compacted) format, whose length is
/// the host's. An empty one stands for the state `execve` starts a program with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FpState {
    /// The XSAVE image; empty for the initial state.
    pub xsave: Vec<u8>,
}
