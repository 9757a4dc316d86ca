//! Tracing of tasks by other tasks (`ptrace(2)`).
//!
//! Who traces whom lies in [`Tree::tracees`](crate::tree::Tree::tracees), what a traced task itself must know
//! at each system call and signal in its [`Tracee`]. The task stops by parking in a step of its future
//! (`task/traced.rs`); until its tracer lets it go on, the tracer may lock that future and change registers.
//! A task that locks another's future holds its own, but no lock below: the other is stopped, so it
//! waits for none.

pub mod arch;
mod link;
mod stop;

pub use link::{Traced, attach, born, detach, executed, new_leader, task_ended, trace_me};
pub(crate) use link::{hidden_end, is_delayed, reaped, traced_by, traces_stranger};
pub use stop::{Kind, MESSAGE_ENTRY, MESSAGE_EXIT, Stopped};
pub(crate) use stop::{Next, begin, has_trap, next, pending_trap};

use crate::task::{Machine, Task};
use bevor_abi::Errno;
use bevor_abi::errno::ESRCH;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What is asked of a traced task: bits of [`Tracee::flags`].
pub mod flag {
    /// It is traced.
    pub const TRACED: u32 = 1;
    /// By `PTRACE_SEIZE`.
    pub const SEIZED: u32 = 1 << 1;
    /// It stops at system calls (`PTRACE_SYSCALL`).
    pub const SYSCALL: u32 = 1 << 2;
    /// It stops at system calls and makes none (`PTRACE_SYSEMU`).
    pub const EMULATE: u32 = 1 << 3;
    /// It stops after each instruction.
    pub const STEP: u32 = 1 << 4;
    /// It shall stop (`PTRACE_INTERRUPT`, the first stop of a child of a seized task).
    pub const TRAP: u32 = 1 << 5;
    /// A group stop has begun or ended, which a seized task reports.
    pub const NOTIFY: u32 = 1 << 6;
    /// It has not taken part in the group stop yet.
    pub const GROUP_STOP: u32 = 1 << 7;
    /// It stays in its group stop, but can be woken (`PTRACE_LISTEN`).
    pub const LISTENING: u32 = 1 << 8;
    /// How it runs on: set anew by each request that resumes.
    pub const MODE: u32 = SYSCALL | EMULATE | STEP;
    /// Reasons to stop that come from outside.
    pub const TRAPS: u32 = TRAP | NOTIFY | GROUP_STOP;
}

/// What a task knows of being traced.
#[derive(Debug, Default)]
pub struct Tracee {
    /// [`flag`]s; 0 for a task that nobody traces. Read at every system call.
    flags: AtomicU32,
    /// `PTRACE_O_*`.
    options: AtomicU32,
    /// `SIGKILL` was sent since it began to stop for its end.
    killed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The stop it is in.
    stop: Option<Stopped>,
    /// It may go on, with this signal.
    resume: Option<i32>,
    /// `PTRACE_GETEVENTMSG`.
    message: u64,
    /// Debug registers as the tracer wrote them; none is ever enabled.
    debug: [u64; 8],
}

impl Tracee {
    /// Whether it is traced.
    #[inline]
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.flags.load(Ordering::Relaxed) != 0
    }

    /// Its [`flag`]s.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::SeqCst)
    }

    /// Whether one of these [`flag`]s is set.
    #[inline]
    #[must_use]
    pub fn has(&self, flags: u32) -> bool {
        self.flags() & flags != 0
    }

    /// Sets [`flag`]s of a task that is traced.
    pub fn set(&self, flags: u32) {
        let _ = self.flags.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| {
            (old & flag::TRACED != 0).then_some(old | flags)
        });
    }

    /// Clears [`flag`]s.
    pub fn clear(&self, flags: u32) {
        self.flags.fetch_and(!flags, Ordering::SeqCst);
    }

    /// Whether this `PTRACE_O_*` is set.
    #[must_use]
    pub fn wants(&self, option: u32) -> bool {
        self.options.load(Ordering::SeqCst) & option != 0
    }

    /// Sets the `PTRACE_O_*`.
    pub fn set_options(&self, options: u32) {
        self.options.store(options, Ordering::SeqCst);
    }

    /// Whether a tracer may change it: it is stopped, and does not listen.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state.lock().stop.is_some() && !self.has(flag::LISTENING)
    }

    /// Whether it is in a stop of any kind (`t` in `/proc/PID/stat`).
    #[must_use]
    pub fn is_in_stop(&self) -> bool {
        self.state.lock().stop.is_some()
    }

    /// The stop it is in.
    #[must_use]
    pub fn stop(&self) -> Option<Stopped> {
        self.state.lock().stop
    }

    /// Changes the stop it is in; `None` if it is in none.
    pub fn change_stop<R>(&self, change: impl FnOnce(&mut Stopped) -> R) -> Option<R> {
        self.state.lock().stop.as_mut().map(change)
    }

    /// `PTRACE_GETEVENTMSG`.
    #[must_use]
    pub fn message(&self) -> u64 {
        self.state.lock().message
    }

    /// A debug register, as its tracer wrote it.
    #[must_use]
    pub fn debug_register(&self, index: usize) -> u64 {
        self.state.lock().debug.get(index).copied().unwrap_or(0)
    }

    /// Keeps a debug register.
    pub fn set_debug_register(&self, index: usize, value: u64) {
        if let Some(register) = self.state.lock().debug.get_mut(index) {
            *register = value;
        }
    }

    /// Lets a stopped task go on when it is polled.
    fn go_on(&self, signo: i32) {
        let mut state = self.state.lock();
        if state.stop.is_some() {
            state.resume = Some(signo);
        }
    }

    /// Notes that `SIGKILL` was sent.
    pub(crate) fn note_kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }
}

impl Task {
    /// Lets a stopped tracee go on in this mode, with this signal.
    pub fn resume_traced(&self, mode: u32, signo: i32) {
        let tracee = &self.ptrace;
        tracee.clear(flag::MODE | flag::LISTENING);
        tracee.set(mode & flag::MODE);
        // Before it goes on: its next report must stay.
        if let Some(traced) = self.kernel.tree.lock().tracees.get_mut(&self.pid().id) {
            traced.report = None;
        }
        tracee.go_on(signo);
        self.schedule();
    }

    /// Runs `act` on the registers and memory of this task, which is stopped for its tracer.
    ///
    /// # Errors
    /// `ESRCH`: it is not (any more).
    pub fn with_stopped<R>(
        &self,
        act: impl FnOnce(&mut Machine) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let mut future = self.future.lock();
        if !self.ptrace.is_stopped() {
            return Err(ESRCH.into());
        }
        act(future.machine())
    }

    /// The task that traces this one.
    #[must_use]
    pub fn tracer(&self) -> Option<Arc<Self>> {
        if !self.ptrace.is_active() {
            return None;
        }
        let tree = self.kernel.tree.lock();
        let traced = tree.tracees.get(&self.pid().id)?;
        tree.tasks.get(&traced.tracer).cloned()
    }
}
