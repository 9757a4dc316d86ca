//! Signals: `<linux/signal.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Flag of `sigaction(2)`.
    flags SIGACTION_FLAGS: u64 {
        SA_NOCLDSTOP = 0x1,
        SA_NOCLDWAIT = 0x2,
        SA_SIGINFO = 0x4,
        SA_UNSUPPORTED = 0x400,
        SA_EXPOSE_TAGBITS = 0x800,
        SA_RESTORER = 0x0400_0000,
        SA_ONSTACK = 0x0800_0000,
        SA_RESTART = 0x1000_0000,
        SA_NODEFER = 0x4000_0000,
        SA_RESETHAND = 0x8000_0000,
    }

    /// How of `sigprocmask(2)`.
    values SIGMASK_HOWS: u32 {
        SIG_BLOCK = 0,
        SIG_UNBLOCK = 1,
        SIG_SETMASK = 2,
    }

    /// Special handler of `sigaction(2)`.
    values HANDLERS: u64 {
        SIG_DFL = 0,
        SIG_IGN = 1,
    }

    /// Origin of a signal any signal may have, `si_code`.
    values SI_CODES: i32 {
        SI_USER = 0,
        SI_KERNEL = 128,
        SI_QUEUE = -1,
        SI_TIMER = -2,
        SI_MESGQ = -3,
        SI_ASYNCIO = -4,
        SI_SIGIO = -5,
        SI_TKILL = -6,
        SI_DETHREAD = -7,
        SI_ASYNCNL = -60,
    }

    /// `si_code` of `SIGILL`.
    values ILL_CODES: i32 {
        ILL_ILLOPC = 1,
        ILL_ILLOPN = 2,
        ILL_ILLADR = 3,
        ILL_ILLTRP = 4,
        ILL_PRVOPC = 5,
        ILL_PRVREG = 6,
        ILL_COPROC = 7,
        ILL_BADSTK = 8,
    }

    /// `si_code` of `SIGFPE`.
    values FPE_CODES: i32 {
        FPE_INTDIV = 1,
        FPE_INTOVF = 2,
        FPE_FLTDIV = 3,
        FPE_FLTOVF = 4,
        FPE_FLTUND = 5,
        FPE_FLTRES = 6,
        FPE_FLTINV = 7,
        FPE_FLTSUB = 8,
        FPE_FLTUNK = 14,
    }

    /// `si_code` of `SIGSEGV`.
    values SEGV_CODES: i32 {
        SEGV_MAPERR = 1,
        SEGV_ACCERR = 2,
        SEGV_BNDERR = 3,
        SEGV_PKUERR = 4,
        SEGV_CPERR = 10,
    }

    /// `si_code` of `SIGBUS`.
    values BUS_CODES: i32 {
        BUS_ADRALN = 1,
        BUS_ADRERR = 2,
        BUS_OBJERR = 3,
        BUS_MCEERR_AR = 4,
        BUS_MCEERR_AO = 5,
    }

    /// `si_code` of `SIGTRAP`.
    values TRAP_CODES: i32 {
        TRAP_BRKPT = 1,
        TRAP_TRACE = 2,
        TRAP_BRANCH = 3,
        TRAP_HWBKPT = 4,
        TRAP_UNK = 5,
        TRAP_PERF = 6,
    }

    /// `si_code` of `SIGCHLD`.
    values CLD_CODES: i32 {
        CLD_EXITED = 1,
        CLD_KILLED = 2,
        CLD_DUMPED = 3,
        CLD_TRAPPED = 4,
        CLD_STOPPED = 5,
        CLD_CONTINUED = 6,
    }

    /// `si_code` of `SIGIO`.
    values POLL_CODES: i32 {
        POLL_IN = 1,
        POLL_OUT = 2,
        POLL_MSG = 3,
        POLL_ERR = 4,
        POLL_PRI = 5,
        POLL_HUP = 6,
    }

    /// `si_code` of `SIGSYS`.
    values SYS_CODES: i32 {
        SYS_SECCOMP = 1,
        SYS_USER_DISPATCH = 2,
    }

    /// Flag of `sigaltstack(2)`.
    flags SIGSTACK_FLAGS: u32 {
        SS_ONSTACK = 0x1,
        SS_DISABLE = 0x2,
        SS_AUTODISARM = 0x8000_0000,
    }

    /// Least size in bytes of an alternate stack without extended state.
    values SIGSTACK_SIZES: u64 {
        MINSIGSTKSZ = 2048,
    }

    /// Flag of a signal frame, `uc_flags`.
    flags UC_FLAGS: u64 {
        UC_FP_XSTATE = 0x1,
        UC_SIGCONTEXT_SS = 0x2,
        UC_STRICT_RESTORE_SS = 0x4,
    }
}

pub use crate::arch::host::frame::{Sigcontext, UContext};
pub use crate::siginfo::SigInfo;

/// A signal number, always in `1..=64`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// Number of signals.
pub const NSIG: u32 = 64;
/// The first real-time signal, as the kernel counts (libc reserves the first two).
pub const SIGRTMIN: u32 = 32;

macro_rules! signals {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        $(#[doc = $text] pub const $name: Signal = Signal($number);)*

        /// Names of the standard signals.
        pub static SIGNALS: crate::names::Names = crate::names::Names {
            kind: crate::names::Kind::Values,
            entries: &[$((stringify!($name), $number)),*],
        };
    };
}

signals! {
    SIGHUP = 1, "The terminal hung up.";
    SIGINT = 2, "Interrupt from the keyboard.";
    SIGQUIT = 3, "Quit from the keyboard.";
    SIGILL = 4, "Illegal instruction.";
    SIGTRAP = 5, "Trace or breakpoint trap.";
    SIGABRT = 6, "`abort(3)`.";
    SIGBUS = 7, "Access to a hole in a mapping.";
    SIGFPE = 8, "Arithmetic error.";
    SIGKILL = 9, "Kill; cannot be caught.";
    SIGUSR1 = 10, "The program's own.";
    SIGSEGV = 11, "Invalid memory reference.";
    SIGUSR2 = 12, "The program's own.";
    SIGPIPE = 13, "Write to a pipe without reader.";
    SIGALRM = 14, "`alarm(2)`.";
    SIGTERM = 15, "Termination.";
    SIGSTKFLT = 16, "Unused.";
    SIGCHLD = 17, "A child stopped or ended.";
    SIGCONT = 18, "Continue when stopped.";
    SIGSTOP = 19, "Stop; cannot be caught.";
    SIGTSTP = 20, "Stop typed at the terminal.";
    SIGTTIN = 21, "Terminal input for a background process.";
    SIGTTOU = 22, "Terminal output for a background process.";
    SIGURG = 23, "Urgent condition on a socket.";
    SIGXCPU = 24, "CPU time limit exceeded.";
    SIGXFSZ = 25, "File size limit exceeded.";
    SIGVTALRM = 26, "Virtual alarm clock.";
    SIGPROF = 27, "Profiling timer expired.";
    SIGWINCH = 28, "The window changed its size.";
    SIGIO = 29, "I/O now possible.";
    SIGPWR = 30, "Power failure.";
    SIGSYS = 31, "Bad system call.";
}

/// What a signal does when it is not caught, `signal(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// End the process.
    Terminate,
    /// End the process and dump core.
    Core,
    /// Do nothing.
    Ignore,
    /// Stop the process.
    Stop,
    /// Continue the process.
    Continue,
}

impl Signal {
    /// The signal of this number; `None` outside `1..=64`.
    #[must_use]
    pub const fn new(number: i32) -> Option<Self> {
        if number < 1 || number > 64 {
            return None;
        }
        Some(Self(crate::conv::low_u8(crate::conv::sign_extend(number))))
    }

    /// The number as calls and structures carry it.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// Position in a table of all signals, from zero.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// Whether it is a real-time signal, which queues.
    #[must_use]
    pub const fn is_realtime(self) -> bool {
        self.0 as u32 >= SIGRTMIN
    }

    /// What happens when it is not caught.
    #[must_use]
    pub const fn default_action(self) -> DefaultAction {
        match self {
            SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGXCPU
            | SIGXFSZ | SIGSYS => DefaultAction::Core,
            SIGCHLD | SIGURG | SIGWINCH => DefaultAction::Ignore,
            SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => DefaultAction::Stop,
            SIGCONT => DefaultAction::Continue,
            _ => DefaultAction::Terminate,
        }
    }

    /// Every signal in ascending order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=64).map(Self)
    }
}

impl core::fmt::Display for Signal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match SIGNALS.name(self.0.into()) {
            Some(name) => f.write_str(name),
            None => write!(f, "SIGRT_{}", u32::from(self.0) - SIGRTMIN),
        }
    }
}

impl core::fmt::Debug for Signal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// A set of signals, bit `n - 1` for signal `n`: the kernel's `sigset_t` of eight bytes.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(transparent)]
pub struct SigSet(pub u64);

/// Signals a thread raises by its own instructions; they are delivered before all others.
pub const SYNCHRONOUS: SigSet = SigSet::of(&[SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS]);
/// Signals that cannot be blocked, caught or ignored.
pub const UNBLOCKABLE: SigSet = SigSet::of(&[SIGKILL, SIGSTOP]);
/// Signals whose default action stops the process.
pub const STOPPING: SigSet = SigSet::of(&[SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]);

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Every signal.
    pub const FULL: Self = Self(u64::MAX);

    /// The set of these signals.
    #[must_use]
    pub const fn of(signals: &[Signal]) -> Self {
        let mut set = Self::EMPTY;
        let mut i = 0;
        while i < signals.len() {
            set = set.with(signals[i]);
            i += 1;
        }
        set
    }

    /// Whether the signal is in the set.
    #[must_use]
    pub const fn has(self, signal: Signal) -> bool {
        self.0 & (1 << signal.index()) != 0
    }

    /// The set with the signal added.
    #[must_use]
    pub const fn with(self, signal: Signal) -> Self {
        Self(self.0 | 1 << signal.index())
    }

    /// The set with the signal taken out.
    #[must_use]
    pub const fn without(self, signal: Signal) -> Self {
        Self(self.0 & !(1 << signal.index()))
    }

    /// Adds the signal.
    pub const fn add(&mut self, signal: Signal) {
        *self = self.with(signal);
    }

    /// Takes the signal out.
    pub const fn remove(&mut self, signal: Signal) {
        *self = self.without(signal);
    }

    /// Whether no signal is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set without `SIGKILL` and `SIGSTOP`, as every mask a program sets is stored.
    #[must_use]
    pub const fn blockable(self) -> Self {
        Self(self.0 & !UNBLOCKABLE.0)
    }

    /// The member with the lowest number.
    #[must_use]
    pub const fn first(self) -> Option<Signal> {
        if self.0 == 0 { None } else { Signal::new(self.0.trailing_zeros().cast_signed() + 1) }
    }

    /// The members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::all().filter(move |&signal| self.has(signal))
    }
}

impl core::ops::BitOr for SigSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl core::ops::BitAnd for SigSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl core::ops::Sub for SigSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl core::ops::Not for SigSet {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl core::fmt::Display for SigSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("[")?;
        for (i, signal) in self.iter().enumerate() {
            write!(f, "{}{signal}", if i == 0 { "" } else { " " })?;
        }
        f.write_str("]")
    }
}

impl core::fmt::Debug for SigSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

uapi_struct! {
    /// Argument of `rt_sigaction(2)`: the kernel's form, not that of libc.
    [32] Sigaction { sa_handler: u64, sa_flags: u64, sa_restorer: u64, sa_mask: SigSet }
    /// Alternate signal stack, `sigaltstack(2)`.
    [24] StackT { ss_sp: u64, ss_flags: u32, pad0: u32, ss_size: u64 }
    /// Record read from a signalfd.
    [128] SignalfdSiginfo {
        ssi_signo: u32, ssi_errno: i32, ssi_code: i32, ssi_pid: u32, ssi_uid: u32, ssi_fd: i32,
        ssi_tid: u32, ssi_band: u32, ssi_overrun: u32, ssi_trapno: u32, ssi_status: i32,
        ssi_int: i32, ssi_ptr: u64, ssi_utime: u64, ssi_stime: u64, ssi_addr: u64,
        ssi_addr_lsb: u16, pad2: u16, ssi_syscall: i32, ssi_call_addr: u64, ssi_arch: u32,
        pad: [u8; 28],
    }
}
