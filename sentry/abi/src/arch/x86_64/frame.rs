//! Signal frame and register structures of x86-64.

use crate::macros::uapi_struct;
use crate::signal::{SigSet, StackT};

uapi_struct! {
    /// Registers in a signal frame, `struct sigcontext_64`.
    [256] Sigcontext {
        r8: u64, r9: u64, r10: u64, r11: u64, r12: u64, r13: u64, r14: u64, r15: u64, di: u64,
        si: u64, bp: u64, bx: u64, dx: u64, ax: u64, cx: u64, sp: u64, ip: u64, flags: u64,
        cs: u16, gs: u16, fs: u16, ss: u16, err: u64, trapno: u64, oldmask: u64, cr2: u64,
        fpstate: u64, reserved1: [u64; 8],
    }
    /// `struct ucontext` of a signal frame.
    [304] UContext {
        uc_flags: u64, uc_link: u64, uc_stack: StackT, uc_mcontext: Sigcontext, uc_sigmask: SigSet,
    }
    /// Head of the extended state in a signal frame: the last bytes of the legacy FXSAVE area.
    [48] FpxSwBytes {
        magic1: u32, extended_size: u32, xfeatures: u64, xstate_size: u32, padding: [u32; 7],
    }
    /// General registers of `ptrace(PTRACE_GETREGS)`.
    [216] UserRegsStruct {
        r15: u64, r14: u64, r13: u64, r12: u64, bp: u64, bx: u64, r11: u64, r10: u64, r9: u64,
        r8: u64, ax: u64, cx: u64, dx: u64, si: u64, di: u64, orig_ax: u64, ip: u64, cs: u64,
        flags: u64, sp: u64, ss: u64, fs_base: u64, gs_base: u64, ds: u64, es: u64, fs: u64,
        gs: u64,
    }
    /// Floating-point registers of `ptrace(PTRACE_GETFPREGS)`: the FXSAVE area.
    [512] UserFpregsStruct {
        cwd: u16, swd: u16, twd: u16, fop: u16, rip: u64, rdp: u64, mxcsr: u32, mxcr_mask: u32,
        st_space: [u32; 32], xmm_space: [u32; 64], padding: [u32; 24],
    }
}

/// `magic1` of [`FpxSwBytes`] when extended state follows.
pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// The word right after the extended state.
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
