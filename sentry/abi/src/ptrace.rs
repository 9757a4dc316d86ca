//! Tracing: `<linux/ptrace.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Request of `ptrace(2)`.
    values PTRACE_REQUESTS: u32 {
        PTRACE_TRACEME = 0x0,
        PTRACE_PEEKTEXT = 0x1,
        PTRACE_PEEKDATA = 0x2,
        PTRACE_PEEKUSER = 0x3,
        PTRACE_POKETEXT = 0x4,
        PTRACE_POKEDATA = 0x5,
        PTRACE_POKEUSER = 0x6,
        PTRACE_CONT = 0x7,
        PTRACE_KILL = 0x8,
        PTRACE_SINGLESTEP = 0x9,
        PTRACE_GETREGS = 0xc,
        PTRACE_SETREGS = 0xd,
        PTRACE_GETFPREGS = 0xe,
        PTRACE_SETFPREGS = 0xf,
        PTRACE_ATTACH = 0x10,
        PTRACE_DETACH = 0x11,
        PTRACE_OLDSETOPTIONS = 0x15,
        PTRACE_SYSCALL = 0x18,
        PTRACE_GET_THREAD_AREA = 0x19,
        PTRACE_SET_THREAD_AREA = 0x1a,
        PTRACE_ARCH_PRCTL = 0x1e,
        PTRACE_SYSEMU = 0x1f,
        PTRACE_SYSEMU_SINGLESTEP = 0x20,
        PTRACE_SINGLEBLOCK = 0x21,
        PTRACE_SETOPTIONS = 0x4200,
        PTRACE_GETEVENTMSG = 0x4201,
        PTRACE_GETSIGINFO = 0x4202,
        PTRACE_SETSIGINFO = 0x4203,
        PTRACE_GETREGSET = 0x4204,
        PTRACE_SETREGSET = 0x4205,
        PTRACE_SEIZE = 0x4206,
        PTRACE_INTERRUPT = 0x4207,
        PTRACE_LISTEN = 0x4208,
        PTRACE_PEEKSIGINFO = 0x4209,
        PTRACE_GETSIGMASK = 0x420a,
        PTRACE_SETSIGMASK = 0x420b,
        PTRACE_SECCOMP_GET_FILTER = 0x420c,
        PTRACE_SECCOMP_GET_METADATA = 0x420d,
        PTRACE_GET_SYSCALL_INFO = 0x420e,
        PTRACE_GET_RSEQ_CONFIGURATION = 0x420f,
        PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG = 0x4210,
        PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG = 0x4211,
        PTRACE_SET_SYSCALL_INFO = 0x4212,
    }

    /// Option of `ptrace(PTRACE_SETOPTIONS)`.
    flags PTRACE_OPTIONS: u32 {
        PTRACE_O_TRACESYSGOOD = 0x1,
        PTRACE_O_TRACEFORK = 0x2,
        PTRACE_O_TRACEVFORK = 0x4,
        PTRACE_O_TRACECLONE = 0x8,
        PTRACE_O_TRACEEXEC = 0x10,
        PTRACE_O_TRACEVFORKDONE = 0x20,
        PTRACE_O_TRACEEXIT = 0x40,
        PTRACE_O_TRACESECCOMP = 0x80,
        PTRACE_O_EXITKILL = 0x0010_0000,
        PTRACE_O_SUSPEND_SECCOMP = 0x0020_0000,
    }

    /// Event of a ptrace stop.
    values PTRACE_EVENTS: u32 {
        PTRACE_EVENT_FORK = 1,
        PTRACE_EVENT_VFORK = 2,
        PTRACE_EVENT_CLONE = 3,
        PTRACE_EVENT_EXEC = 4,
        PTRACE_EVENT_VFORK_DONE = 5,
        PTRACE_EVENT_EXIT = 6,
        PTRACE_EVENT_SECCOMP = 7,
        PTRACE_EVENT_STOP = 128,
    }

    /// Kind of `ptrace_syscall_info`.
    values PTRACE_SYSCALL_OPS: u8 {
        PTRACE_SYSCALL_INFO_NONE = 0,
        PTRACE_SYSCALL_INFO_ENTRY = 1,
        PTRACE_SYSCALL_INFO_EXIT = 2,
        PTRACE_SYSCALL_INFO_SECCOMP = 3,
    }

    /// Register set of `ptrace(PTRACE_GETREGSET)` and note of a core file.
    values NOTE_TYPES: u32 {
        NT_PRSTATUS = 1,
        NT_PRFPREG = 2,
        NT_PRPSINFO = 3,
        NT_AUXV = 6,
        NT_X86_XSTATE = 514,
        NT_SIGINFO = 1_397_311_305,
        NT_FILE = 1_179_208_773,
    }

    /// Flag of `ptrace(PTRACE_PEEKSIGINFO)`.
    flags PEEKSIGINFO_FLAGS: u32 {
        PTRACE_PEEKSIGINFO_SHARED = 0x1,
    }
}

uapi_struct! {
    /// Result of `ptrace(PTRACE_GET_SYSCALL_INFO)`; which of the union's words count depends on `op`.
    ///
    /// Entry: number and six arguments. Exit: return value, then a byte that tells an error. Seccomp:
    /// number, six arguments and the filter's data.
    [88] PtraceSyscallInfo {
        op: u8, reserved: u8, flags: u16, arch: u32, instruction_pointer: u64, stack_pointer: u64,
        words: [u64; 8],
    }
    /// Argument of `ptrace(PTRACE_PEEKSIGINFO)`.
    [16] PtracePeeksiginfoArgs { off: u64, flags: u32, nr: i32 }
}
