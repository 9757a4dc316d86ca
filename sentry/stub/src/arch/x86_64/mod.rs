//! x86-64: the assembly sources and the constants they use.

use core::arch::global_asm;

use crate::layout::{self, agent_down, agent_up, config, down, trampoline, up};

/// Offsets of registers in `UserRegs` (the order of `struct user_regs_struct`).
mod regs {
    pub const R15: u64 = 0;
    pub const R14: u64 = 8;
    pub const R13: u64 = 16;
    pub const R12: u64 = 24;
    pub const RBP: u64 = 32;
    pub const RBX: u64 = 40;
    pub const R11: u64 = 48;
    pub const R10: u64 = 56;
    pub const R9: u64 = 64;
    pub const R8: u64 = 72;
    pub const RAX: u64 = 80;
    pub const RCX: u64 = 88;
    pub const RDX: u64 = 96;
    pub const RSI: u64 = 104;
    pub const RDI: u64 = 112;
    pub const RIP: u64 = 128;
    pub const CS: u64 = 136;
    pub const EFLAGS: u64 = 144;
    pub const RSP: u64 = 152;
    pub const SS: u64 = 160;
    pub const FS_BASE: u64 = 168;
    pub const GS_BASE: u64 = 176;
}

/// Number of `getcpu`.
const GETCPU: u64 = 309;
/// The signal that interrupts a running guest: `SIGURG`, ignored where nobody handles it.
const KICK_SIGNAL: u32 = 23;

global_asm!(
    include_str!("agent.s"),
    AGENT_DOWN = const layout::AGENT_DOWN,
    AGENT_UP = const layout::AGENT_UP,
    CONFIG = const layout::CONFIG,
    XSAVE_INIT = const config::XSAVE_INIT,
    ONE = const config::ONE,
    SUD = const config::SUD,
    SIGMASK = const config::SIGMASK,
    A_GO = const agent_down::GO,
    A_COUNT = const agent_down::COUNT,
    A_EVENT_FD = const agent_down::EVENT_FD,
    A_SPIN = const agent_down::SPIN,
    A_ORDERS = const agent_down::ORDERS,
    A_DONE = const agent_up::DONE,
    A_RESULTS = const agent_up::RESULTS,
    CLONE_THREAD = const agent_down::CLONE_THREAD,
    SLOT_LEN = const layout::SLOT_LEN,
    ORDER_LEN = const layout::ORDER_LEN,
    AREA = const layout::AREA,
    STACK_T = const layout::DOWN + down::STACK_T,
);

/// How often a thread wakes a worker that seems to sleep: a few microseconds.
const RINGS: u32 = 16;

global_asm!(
    include_str!("guest.s"),
    RINGS = const RINGS,
    KICK_SIGNAL = const KICK_SIGNAL,
    AREA = const layout::AREA,
    UP_DONE = const layout::UP + up::DONE,
    UP_SLEEP = const layout::UP + up::SLEEP,
    UP_SIG = const layout::UP + up::SIG,
    UP_STARTED = const layout::UP + up::STARTED,
    UP_STOPPED = const layout::UP + up::STOPPED,
    UP_CODE = const layout::UP + up::CODE,
    UP_REGS = const layout::UP + up::REGS,
    UP_ADDR = const layout::UP + up::ADDR,
    UP_TRAPNO = const layout::UP + up::TRAPNO,
    UP_ERR = const layout::UP + up::ERR,
    UP_CR2 = const layout::UP + up::CR2,
    UP_NR = const layout::UP + up::NR,
    UP_XSAVE = const layout::UP_XSAVE,
    UP_TAIL = const layout::UP + up::TAIL,
    PATCHED = const up::PATCHED,
    CLEAN = const up::CLEAN,
    DOWN_SCRATCH = const layout::DOWN + down::SCRATCH,
    DOWN_ANSWERS = const layout::DOWN + down::ANSWERS,
    NR_ANSWERS = const down::NR_ANSWERS,
    SPECIAL = const down::SPECIAL.trailing_zeros(),
    NAMES = const down::NAMES_TO.trailing_zeros(),
    IDS = const down::IDS_TO.trailing_zeros(),
    YIELD = const down::YIELD.trailing_zeros(),
    GETCPU = const GETCPU,
    GUEST_END = const layout::GUEST_END,
    RDPID = const config::RDPID,
    UP_CPU = const layout::UP + up::CPU,
    DOWN_GETCPU = const layout::DOWN + down::GETCPU,
    DOWN_CPUS = const layout::DOWN + down::CPUS,
    NR_CPUS = const down::NR_CPUS,
    DOWN_NAMES = const layout::DOWN + down::NAMES,
    NAMES_LEN = const down::NAMES_LEN,
    DOWN_IDS = const layout::DOWN + down::IDS,
    T_TRAP = const trampoline::TAIL - trampoline::TRAP,
    T_ORIGINAL = const trampoline::TAIL - trampoline::ORIGINAL,
    DOWN_GO = const layout::DOWN + down::GO,
    DOWN_KICK = const layout::DOWN + down::KICK,
    DOWN_FLAGS = const layout::DOWN + down::FLAGS,
    DOWN_SPIN = const layout::DOWN + down::SPIN,
    DOWN_RAX = const layout::DOWN + down::RAX,
    DOWN_BELL = const layout::DOWN + down::BELL,
    DOWN_REGS = const layout::DOWN + down::REGS,
    DOWN_XSAVE = const layout::DOWN_XSAVE,
    FULL = const down::FULL,
    LOAD_FP = const down::LOAD_FP,
    SAVE_FP = const down::SAVE_FP,
    RESET = const down::RESET,
    CONFIG = const layout::CONFIG,
    XSAVE_INIT = const config::XSAVE_INIT,
    NR_REGS = const layout::NR_REGS,
    SLEEPING = const layout::BELL_SLEEPING,
    R15 = const regs::R15,
    R14 = const regs::R14,
    R13 = const regs::R13,
    R12 = const regs::R12,
    RBP = const regs::RBP,
    RBX = const regs::RBX,
    R11 = const regs::R11,
    R10 = const regs::R10,
    R9 = const regs::R9,
    R8 = const regs::R8,
    RAX = const regs::RAX,
    RCX = const regs::RCX,
    RDX = const regs::RDX,
    RSI = const regs::RSI,
    RDI = const regs::RDI,
    RIP = const regs::RIP,
    CS = const regs::CS,
    EFLAGS = const regs::EFLAGS,
    RSP = const regs::RSP,
    SS = const regs::SS,
    FS_BASE = const regs::FS_BASE,
    GS_BASE = const regs::GS_BASE,
);
