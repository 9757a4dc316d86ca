//! What a signal carries (`siginfo_t`, `sigaction(2)`).

/// `SI_USER`: sent by `kill`.
pub const SI_USER: i32 = 0;
/// `SI_KERNEL`.
pub const SI_KERNEL: i32 = 0x80;
/// `SI_TKILL`.
pub const SI_TKILL: i32 = -6;

/// The part of `siginfo_t` that depends on its source. Ids are the receiver's view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Nothing more.
    None,
    /// `kill`, `tgkill`: sender.
    Kill {
        /// `si_pid`.
        pid: i32,
        /// `si_uid`.
        uid: u32,
    },
    /// `sigqueue`, POSIX message queue: sender and value.
    Queue {
        /// `si_pid`.
        pid: i32,
        /// `si_uid`.
        uid: u32,
        /// `si_value`.
        value: u64,
    },
    /// POSIX timer.
    Timer {
        /// `si_timerid`.
        id: i32,
        /// `si_overrun`.
        overrun: i32,
        /// `si_value`.
        value: u64,
    },
    /// `SIGCHLD`.
    Child {
        /// `si_pid`.
        pid: i32,
        /// `si_uid`.
        uid: u32,
        /// `si_status`.
        status: i32,
        /// `si_utime`, clock ticks.
        utime: i64,
        /// `si_stime`, clock ticks.
        stime: i64,
    },
    /// Hardware faults.
    Fault {
        /// `si_addr`.
        addr: u64,
        /// Trap number for the machine context.
        trapno: u64,
        /// Error code for the machine context.
        error_code: u64,
    },
    /// `SIGIO`.
    Poll {
        /// `si_band`.
        band: i64,
        /// `si_fd`.
        fd: i32,
    },
    /// Seccomp.
    Syscall {
        /// `si_call_addr`.
        addr: u64,
        /// `si_syscall`.
        nr: i32,
        /// `si_arch`.
        arch: u32,
    },
    /// Raw contents given by `rt_sigqueueinfo`.
    Raw([u64; 14]),
}

/// One signal on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// `si_signo`.
    pub signo: i32,
    /// `si_errno`.
    pub errno: i32,
    /// `si_code`.
    pub code: i32,
    /// The rest.
    pub detail: Detail,
}

impl Info {
    /// Sent by the kernel for no further reason.
    #[must_use]
    pub const fn kernel(signo: i32) -> Self {
        Self { signo, errno: 0, code: SI_KERNEL, detail: Detail::None }
    }

    /// `si_value` of a queued signal, 0 of others.
    #[must_use]
    pub const fn value(&self) -> u64 {
        match self.detail {
            Detail::Queue { value, .. } | Detail::Timer { value, .. } => value,
            _ => 0,
        }
    }

    /// Sent by `kill(2)` from `pid` (as the receiver sees it) of user `uid`.
    #[must_use]
    pub const fn user(signo: i32, pid: i32, uid: u32) -> Self {
        Self { signo, errno: 0, code: SI_USER, detail: Detail::Kill { pid, uid } }
    }

    /// A hardware fault.
    #[must_use]
    pub const fn fault(signo: i32, code: i32, addr: u64, trapno: u64, error_code: u64) -> Self {
        Self { signo, errno: 0, code, detail: Detail::Fault { addr, trapno, error_code } }
    }

    /// The 128 bytes of `siginfo_t`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 128] {
        let mut out = [0; 128];
        let mut put = |offset: usize, bytes: &[u8]| {
            if let Some(place) = out.get_mut(offset..offset + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &self.signo.to_ne_bytes());
        put(4, &self.errno.to_ne_bytes());
        put(8, &self.code.to_ne_bytes());
        match self.detail {
            Detail::None => {}
            Detail::Kill { pid, uid } => {
                put(16, &pid.to_ne_bytes());
                put(20, &uid.to_ne_bytes());
            }
            Detail::Queue { pid, uid, value } => {
                put(16, &pid.to_ne_bytes());
                put(20, &uid.to_ne_bytes());
                put(24, &value.to_ne_bytes());
            }
            Detail::Timer { id, overrun, value } => {
                put(16, &id.to_ne_bytes());
                put(20, &overrun.to_ne_bytes());
                put(24, &value.to_ne_bytes());
            }
            Detail::Child { pid, uid, status, utime, stime } => {
                put(16, &pid.to_ne_bytes());
                put(20, &uid.to_ne_bytes());
                put(24, &status.to_ne_bytes());
                put(32, &utime.to_ne_bytes());
                put(40, &stime.to_ne_bytes());
            }
            Detail::Fault { addr, .. } => put(16, &addr.to_ne_bytes()),
            Detail::Poll { band, fd } => {
                put(16, &band.to_ne_bytes());
                put(24, &fd.to_ne_bytes());
            }
            Detail::Syscall { addr, nr, arch } => {
                put(16, &addr.to_ne_bytes());
                put(24, &nr.to_ne_bytes());
                put(28, &arch.to_ne_bytes());
            }
            Detail::Raw(words) => {
                for (index, word) in words.iter().enumerate() {
                    put(16 + 8 * index, &word.to_ne_bytes());
                }
            }
        }
        out
    }
}
