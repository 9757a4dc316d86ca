//! Signals (`signal(7)`): actions, pending queues, generation and the choice of what to deliver.
//!
//! Lock order: `tree` → `ThreadGroup::signals` → `Task::signals`.

mod arch;
pub mod deliver;
pub mod info;
pub mod io;
mod pending;
pub mod send;

pub use arch::restore_frame;
pub(crate) use arch::set_interrupted;
pub use info::{Detail, Info};
pub use pending::Pending;

use parking_lot::Mutex;
use std::sync::Arc;

/// Highest signal number.
pub const NSIG: i32 = 64;
/// `SIGKILL`.
pub const SIGKILL: i32 = 9;
/// `SIGSTOP`.
pub const SIGSTOP: i32 = 19;
/// `SIGTRAP`.
pub const SIGTRAP: i32 = 5;
/// `SIGCONT`.
pub const SIGCONT: i32 = 18;
/// `SIGCHLD`.
pub const SIGCHLD: i32 = 17;
/// `SIGSEGV`.
pub const SIGSEGV: i32 = 11;
/// `SIGBUS`.
pub const SIGBUS: i32 = 7;
/// `SIGSYS`.
pub const SIGSYS: i32 = 31;
/// `SIGPIPE`.
pub const SIGPIPE: i32 = 13;
/// `SIGXFSZ`.
pub const SIGXFSZ: i32 = 25;
/// First real-time signal.
pub const SIGRTMIN: i32 = 32;

/// The bit of signal `signo` in a mask; 0 for numbers that are no signals.
#[must_use]
pub const fn bit(signo: i32) -> u64 {
    if signo >= 1 && signo <= NSIG { 1 << (signo - 1) } else { 0 }
}

/// Signals that cannot be blocked, caught or ignored.
pub const UNBLOCKABLE: u64 = bit(SIGKILL) | bit(SIGSTOP);

/// `SIGSTOP`, `SIGTSTP`, `SIGTTIN`, `SIGTTOU`.
pub const STOP_SIGNALS: u64 = bit(SIGSTOP) | bit(20) | bit(21) | bit(22);

/// Synchronous signals, delivered before all others.
const SYNCHRONOUS: u64 = bit(SIGSEGV) | bit(SIGBUS) | bit(4) | bit(5) | bit(8) | bit(SIGSYS);

/// What a signal does when no handler is set (`signal(7)`, "Standard signals").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultAction {
    /// Ends the process.
    Terminate,
    /// Ends the process and reports a core dump.
    Core,
    /// Nothing.
    Ignore,
    /// Stops the process.
    Stop,
    /// Continues it.
    Continue,
}

/// The default action of a signal.
#[must_use]
pub const fn default_action(signo: i32) -> DefaultAction {
    match signo {
        SIGCHLD | 23 | 28 => DefaultAction::Ignore,
        SIGCONT => DefaultAction::Continue,
        SIGSTOP | 20 | 21 | 22 => DefaultAction::Stop,
        3 | 4 | 5 | 6 | SIGBUS | 8 | SIGSEGV | 24 | SIGXFSZ | SIGSYS => DefaultAction::Core,
        _ => DefaultAction::Terminate,
    }
}

/// `SIG_DFL`.
pub const SIG_DFL: u64 = 0;
/// `SIG_IGN`.
pub const SIG_IGN: u64 = 1;

/// What `rt_sigaction(2)` sets for one signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Action {
    /// `SIG_DFL`, `SIG_IGN` or the handler's address.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// Address of the code that calls `rt_sigreturn`.
    pub restorer: u64,
    /// Signals blocked while the handler runs.
    pub mask: u64,
}

/// `SA_NOCLDSTOP`.
pub const SA_NOCLDSTOP: u64 = 1;
/// `SA_NOCLDWAIT`.
pub const SA_NOCLDWAIT: u64 = 2;
/// `SA_SIGINFO`.
pub const SA_SIGINFO: u64 = 4;
/// `SA_RESTORER`.
pub const SA_RESTORER: u64 = 0x0400_0000;
/// `SA_ONSTACK`.
pub const SA_ONSTACK: u64 = 0x0800_0000;
/// `SA_RESTART`.
pub const SA_RESTART: u64 = 0x1000_0000;
/// `SA_NODEFER`.
pub const SA_NODEFER: u64 = 0x4000_0000;
/// `SA_RESETHAND`.
pub const SA_RESETHAND: u64 = 0x8000_0000;

/// The 64 actions of a process, shared with `CLONE_SIGHAND`.
#[derive(Debug)]
pub struct Handlers {
    actions: Mutex<[Action; 64]>,
}

impl Handlers {
    /// All default.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { actions: Mutex::new([Action::default(); 64]) })
    }

    /// The action of `signo`, which is in `1..=64`.
    #[must_use]
    pub fn get(&self, signo: i32) -> Action {
        let index = usize::try_from(signo - 1).unwrap_or(usize::MAX);
        self.actions.lock().get(index).copied().unwrap_or_default()
    }

    /// Replaces the action of `signo`, returning the old one.
    pub fn set(&self, signo: i32, action: Action) -> Action {
        let index = usize::try_from(signo - 1).unwrap_or(usize::MAX);
        let mut actions = self.actions.lock();
        actions.get_mut(index).map_or_else(Action::default, |slot| std::mem::replace(slot, action))
    }

    /// A copy for `fork`.
    #[must_use]
    pub fn duplicate(&self) -> Arc<Self> {
        Arc::new(Self { actions: Mutex::new(*self.actions.lock()) })
    }

    /// What `execve` leaves: ignored signals stay ignored, handlers become default.
    #[must_use]
    pub fn after_exec(&self) -> Arc<Self> {
        let mut actions = *self.actions.lock();
        for action in &mut actions {
            let handler = if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL };
            *action = Action { handler, ..Action::default() };
        }
        Arc::new(Self { actions: Mutex::new(actions) })
    }

    /// All default, for `CLONE_CLEAR_SIGHAND`: ignored ones stay ignored.
    pub fn clear(&self) {
        for action in self.actions.lock().iter_mut() {
            if action.handler != SIG_IGN {
                *action = Action::default();
            }
        }
    }

    /// Whether `signo` would do nothing if delivered now: ignored, or default and harmless.
    #[must_use]
    pub fn ignores(&self, signo: i32) -> bool {
        match self.get(signo).handler {
            SIG_IGN => true,
            SIG_DFL => matches!(default_action(signo), DefaultAction::Ignore),
            _ => false,
        }
    }

    /// Masks of ignored and of caught signals (`SigIgn:`, `SigCgt:`).
    #[must_use]
    pub fn masks(&self) -> (u64, u64) {
        let actions = self.actions.lock();
        (1..).zip(actions.iter()).fold((0, 0), |(ignored, caught), (signo, action)| {
            match action.handler {
                SIG_DFL => (ignored, caught),
                SIG_IGN => (ignored | bit(signo), caught),
                _ => (ignored, caught | bit(signo)),
            }
        })
    }
}

/// The alternate signal stack (`sigaltstack(2)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AltStack {
    /// Lowest address.
    pub base: u64,
    /// `SS_*`: `SS_DISABLE` (2), `SS_AUTODISARM`.
    pub flags: u32,
    /// Size in bytes.
    pub size: u64,
}

impl AltStack {
    /// `SS_DISABLE`.
    pub const DISABLE: u32 = 2;
    /// `SS_AUTODISARM`.
    pub const AUTODISARM: u32 = 1 << 31;

    /// None set.
    #[must_use]
    pub const fn disabled() -> Self {
        Self { base: 0, flags: Self::DISABLE, size: 0 }
    }

    /// Whether stack pointer `sp` lies on it.
    #[must_use]
    pub const fn contains(&self, sp: u64) -> bool {
        self.flags & Self::AUTODISARM == 0
            && self.size != 0
            && sp > self.base
            && sp - self.base <= self.size
    }
}

/// Signal state of one task.
#[derive(Debug)]
pub struct TaskSignals {
    /// Sent to this task alone.
    pub pending: Pending,
    /// Blocked signals.
    pub blocked: u64,
    /// What `blocked` returns to after `sigsuspend`, `ppoll` and the like were interrupted.
    pub saved: Option<u64>,
    /// The alternate stack.
    pub alt_stack: AltStack,
    /// Blocked signals `rt_sigtimedwait` waits for.
    pub wanted: u64,
}

impl Default for TaskSignals {
    fn default() -> Self {
        Self {
            pending: Pending::default(),
            blocked: 0,
            saved: None,
            alt_stack: AltStack::disabled(),
            wanted: 0,
        }
    }
}
