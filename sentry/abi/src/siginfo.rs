//! `siginfo_t`: what a signal says about itself.

use zerocopy::{FromBytes, IntoBytes};

use crate::macros::uapi_struct;
use crate::signal::{SI_KERNEL, SI_QUEUE, SI_TIMER, SI_TKILL, SI_USER, SIGCHLD, SIGSYS, Signal};

uapi_struct! {
    /// `siginfo_t`: head and a union of 112 bytes, read and written by the typed accessors.
    [128] SigInfo { si_signo: i32, si_errno: i32, si_code: i32, pad0: u32, fields: [u8; 112] }
    /// Fields of a signal sent by a process, with `SI_USER`, `SI_TKILL` and `SI_QUEUE`.
    [16] SigInfoSender { si_pid: i32, si_uid: u32, si_value: u64 }
    /// Fields of a signal of a POSIX timer, `SI_TIMER`.
    [16] SigInfoTimer { si_tid: i32, si_overrun: i32, si_value: u64 }
    /// Fields of `SIGCHLD`; times in ticks of `USER_HZ`.
    [32] SigInfoChild { si_pid: i32, si_uid: u32, si_status: i32, pad0: u32, si_utime: i64, si_stime: i64 }
    /// Fields of a fault: `SIGSEGV`, `SIGBUS`, `SIGILL`, `SIGFPE`, `SIGTRAP`.
    [32] SigInfoFault {
        si_addr: u64,
        /// Least significant bit of an address hit by a memory error.
        si_addr_lsb: u16,
        pad0: [u16; 3],
        /// Lower bound with `SEGV_BNDERR`; the protection key with `SEGV_PKUERR`.
        si_lower: u64,
        si_upper: u64,
    }
    /// Fields of `SIGIO`.
    [16] SigInfoPoll { si_band: i64, si_fd: i32, pad0: u32 }
    /// Fields of `SIGSYS`.
    [16] SigInfoSys { si_call_addr: u64, si_syscall: i32, si_arch: u32 }
}

impl SigInfo {
    /// A signal with these first fields of its union.
    #[must_use]
    pub fn with<T: IntoBytes + zerocopy::Immutable>(signal: Signal, code: i32, fields: &T) -> Self {
        let mut info = Self { si_signo: signal.number(), si_code: code, ..Self::default() };
        fields.write_to_prefix(&mut info.fields).expect("every kind of fields is below 112 bytes");
        info
    }

    /// The first fields of the union, as one kind of signal uses them.
    #[must_use]
    pub fn fields<T: FromBytes>(&self) -> T {
        T::read_from_prefix(&self.fields).expect("every kind of fields is below 112 bytes").0
    }

    /// A signal sent by the kernel itself.
    #[must_use]
    pub fn kernel(signal: Signal) -> Self {
        Self { si_signo: signal.number(), si_code: SI_KERNEL, ..Self::default() }
    }

    /// A signal of `kill(2)`; the sender as the receiver sees it.
    #[must_use]
    pub fn kill(signal: Signal, pid: i32, uid: u32) -> Self {
        Self::with(signal, SI_USER, &SigInfoSender { si_pid: pid, si_uid: uid, si_value: 0 })
    }

    /// A signal of `tgkill(2)`.
    #[must_use]
    pub fn tkill(signal: Signal, pid: i32, uid: u32) -> Self {
        Self::with(signal, SI_TKILL, &SigInfoSender { si_pid: pid, si_uid: uid, si_value: 0 })
    }

    /// A signal of `sigqueue(3)`.
    #[must_use]
    pub fn queue(signal: Signal, pid: i32, uid: u32, value: u64) -> Self {
        Self::with(signal, SI_QUEUE, &SigInfoSender { si_pid: pid, si_uid: uid, si_value: value })
    }

    /// A signal of a POSIX timer.
    #[must_use]
    pub fn timer(signal: Signal, timer_id: i32, overrun: i32, value: u64) -> Self {
        let fields = SigInfoTimer { si_tid: timer_id, si_overrun: overrun, si_value: value };
        Self::with(signal, SI_TIMER, &fields)
    }

    /// `SIGCHLD` with one of the `CLD_*` codes.
    #[must_use]
    pub fn child(code: i32, fields: &SigInfoChild) -> Self {
        Self::with(SIGCHLD, code, fields)
    }

    /// A fault at an address.
    #[must_use]
    pub fn fault(signal: Signal, code: i32, addr: u64) -> Self {
        Self::with(signal, code, &SigInfoFault { si_addr: addr, ..SigInfoFault::default() })
    }

    /// `SIGSYS` of a seccomp filter or of syscall user dispatch.
    #[must_use]
    pub fn sys(code: i32, errno: i32, fields: &SigInfoSys) -> Self {
        Self { si_errno: errno, ..Self::with(SIGSYS, code, fields) }
    }

    /// The signal; `None` when the number is out of range.
    #[must_use]
    pub const fn signal(&self) -> Option<Signal> {
        Signal::new(self.si_signo)
    }

    /// Whether a process, not the kernel, made this signal up (`SI_FROMUSER`).
    #[must_use]
    pub const fn is_from_user(&self) -> bool {
        self.si_code <= 0
    }
}
