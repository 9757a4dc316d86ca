//! Runs guest code. The [`Platform`] trait and its two implementations: systrap and ptrace.
//!
//! The kernel above sees four things:
//! - a [`Platform`] makes address spaces and ports;
//! - a [`Space`] is one guest address space (one host process), changed by batches of [`Order`]s;
//! - a [`Thread`] is one guest thread in it, parked until a port resumes it;
//! - a [`Port`] belongs to one executor worker: it resumes threads and waits for their events.
//!
//! A thread is at every moment either *parked* (its [`Context`] is with the kernel) or *running*
//! (lent to the port that resumed it, until that port reports its event).
//! Everything read back from a guest-writable page is read once, validated, then used.

mod arch;
mod mappings;
mod ptrace;
mod systrap;

pub use arch::{Cache, CacheKind, FpState, UserRegs, caches};
pub use ptrace::{Ptrace, PtraceConfig};
pub use systrap::{Systrap, SystrapConfig};

use std::any::Any;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;

/// Why a platform operation failed.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The host process behind the address space is gone; every later call fails alike.
    #[error("the stub process is gone")]
    Gone,
    /// The host refused: out of memory, processes or mappings.
    #[error("{what}: {source}")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// The host's answer.
        source: std::io::Error,
    },
    /// The orders would touch the stub's own region or leave the guest's range.
    #[error("a mapping order leaves the guest's address range")]
    Range,
    /// The address space would need more host mappings than the host allows.
    #[error("too many host mappings (vm.max_map_count)")]
    TooManyMappings,
}

/// Access rights of a mapping order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Prot {
    /// Loads allowed.
    pub read: bool,
    /// Stores allowed.
    pub write: bool,
    /// Instruction fetch allowed.
    pub exec: bool,
}

/// One change to a guest's host mappings. Addresses and lengths are page aligned, lengths non-zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Maps `len` bytes of the sentry's descriptor `fd` from `offset` at `addr`, replacing what is
    /// there (`MAP_FIXED`). Always `MAP_SHARED` on the host: privacy is the memory crate's work.
    Map {
        /// Guest address.
        addr: u64,
        /// Length in bytes.
        len: u64,
        /// Rights.
        prot: Prot,
        /// A descriptor of the sentry; open until the batch has completed.
        fd: RawFd,
        /// Offset in the file, bytes.
        offset: u64,
        /// Ask the host to fault the pages in at once (`MAP_POPULATE`).
        populate: bool,
    },
    /// Removes all mappings in the range.
    Unmap {
        /// Guest address.
        addr: u64,
        /// Length in bytes.
        len: u64,
    },
    /// Changes the rights of mapped pages in the range.
    Protect {
        /// Guest address.
        addr: u64,
        /// Length in bytes.
        len: u64,
        /// New rights.
        prot: Prot,
    },
    /// Passes advice (`MADV_*`: HUGEPAGE, NOHUGEPAGE, POPULATE_READ, POPULATE_WRITE) to the host.
    Advise {
        /// Guest address.
        addr: u64,
        /// Length in bytes.
        len: u64,
        /// The host's advice number.
        advice: i32,
    },
}

/// What a guest tried to do with memory when it faulted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Exec,
}

/// Why a guest thread stopped running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It made a system call: number in `regs.orig_rax`, arguments in the registers, `regs.rip`
    /// after the instruction. The number is the 64-bit table's.
    Syscall,
    /// It made a call of another architecture: x32 numbers (to answer ENOSYS) arrive here with the
    /// raw number, `int 0x80` arrives as a fault with `SIGSEGV`.
    ForeignSyscall {
        /// The number as the guest gave it.
        nr: u64,
    },
    /// It touched memory it may not, or that is not mapped yet. Resuming retries.
    PageFault {
        /// The faulting address.
        addr: u64,
        /// What it tried.
        access: Access,
        /// The host's `si_code` (`SEGV_MAPERR`, `SEGV_ACCERR`, `BUS_ADRERR`, …).
        code: i32,
        /// Whether the host raised `SIGBUS` (a truncated file) rather than `SIGSEGV`.
        bus: bool,
    },
    /// It raised a synchronous exception that is no page fault.
    Exception {
        /// The guest signal: `SIGILL`, `SIGFPE`, `SIGTRAP`, `SIGSEGV` (general protection), `SIGBUS`.
        signo: i32,
        /// The host's `si_code`.
        code: i32,
        /// The host's `si_addr`.
        addr: u64,
        /// `trapno` of the machine context.
        trapno: u64,
        /// `error_code` of the machine context.
        error_code: u64,
    },
    /// [`Kick::kick`] stopped it, or the platform wanted to (a spurious stop is allowed).
    Interrupted,
    /// The host process is dead (killed from outside or by the platform after an integrity error).
    Gone,
}

/// The register state of a parked thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Context {
    /// General registers, segment bases, flags.
    pub regs: UserRegs,
    /// Whether registers other than `rax` differ from what the last event reported. While `false`,
    /// [`Port::resume`] may restore `rax` alone (the cheap return from a system call).
    pub full: bool,
}

/// What the stub may answer without the sentry (DESIGN §4.1). Guests can only read it. `sched_yield` is
/// always among it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answers {
    /// Off: every call goes to the sentry (`--strace`, event filters, tracers, guest seccomp).
    pub enabled: bool,
    /// `getpid`.
    pub pid: u32,
    /// `gettid`.
    pub tid: u32,
    /// `getppid`.
    pub ppid: u32,
    /// `getpgrp`, `getpgid(0)`.
    pub pgid: u32,
    /// `getsid(0)`.
    pub sid: u32,
    /// `getuid`.
    pub uid: u32,
    /// `geteuid`.
    pub euid: u32,
    /// `getgid`.
    pub gid: u32,
    /// `getegid`.
    pub egid: u32,
    /// `getresuid`, with `uid` and `euid`.
    pub suid: u32,
    /// `getresgid`, with `gid` and `egid`.
    pub sgid: u32,
    /// `uname`. `None`: the sentry answers.
    pub names: Option<Utsname>,
    /// The processors `getcpu` may tell of, a bit each, counted from 0 among those this process may run
    /// on. On one that is missing here, and without any, the sentry answers.
    pub cpus: Vec<u64>,
}

/// The calls [`Answers`] tells the stub about: what looks at every call has to allow these unseen, or
/// switch the answers off.
pub const ANSWERED_CALLS: [u64; 15] = [
    libc::SYS_getpid.cast_unsigned(),
    libc::SYS_gettid.cast_unsigned(),
    libc::SYS_getppid.cast_unsigned(),
    libc::SYS_getpgrp.cast_unsigned(),
    libc::SYS_getpgid.cast_unsigned(),
    libc::SYS_getsid.cast_unsigned(),
    libc::SYS_getuid.cast_unsigned(),
    libc::SYS_geteuid.cast_unsigned(),
    libc::SYS_getgid.cast_unsigned(),
    libc::SYS_getegid.cast_unsigned(),
    libc::SYS_getresuid.cast_unsigned(),
    libc::SYS_getresgid.cast_unsigned(),
    libc::SYS_uname.cast_unsigned(),
    libc::SYS_sched_yield.cast_unsigned(),
    libc::SYS_getcpu.cast_unsigned(),
];

/// `struct utsname` as `uname` answers it: six fields of 65 bytes, each NUL terminated.
pub type Utsname = [[u8; 65]; 6];

/// Offsets our vDSO adds to the host's clocks (time namespaces, restore), nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClockOffsets {
    /// Added to `CLOCK_MONOTONIC`, `_RAW` and `_COARSE`.
    pub monotonic_ns: i64,
    /// Added to `CLOCK_BOOTTIME`.
    pub boottime_ns: i64,
}

/// Identifies a resumed thread to the port's caller. Chosen by the caller, opaque to the platform.
pub type Token = u64;

/// What [`Port::next`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// The thread resumed under this token has an event: call [`Thread::take_event`].
    Event(Token),
    /// [`Notify::notify`] was called since the last `next` returned this.
    Notified,
    /// The deadline passed.
    Deadline,
}

/// Names an address space in [`DeathHook`] calls. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct SpaceId(pub u64);

impl SpaceId {
    /// No guest's: the process all others are forked from. Without it there are no more address
    /// spaces.
    pub const ZYGOTE: Self = Self(0);
}

/// Called from a platform thread when the host process behind a space died unasked.
pub type DeathHook = Box<dyn Fn(SpaceId) + Send + Sync>;

/// A way to run guest code.
pub trait Platform: Send + Sync {
    /// `"systrap"` or `"ptrace"`.
    fn name(&self) -> &'static str;

    /// Addresses a guest may map: from the host's minimum to TASK_SIZE − TASK_SIZE/128.
    fn guest_range(&self) -> Range<u64>;

    /// Takes an empty address space from the pool of spares (used by `execve`, `fork`).
    ///
    /// # Errors
    /// The host cannot make another process.
    fn new_space(&self) -> Result<Arc<dyn Space>, PlatformError>;

    /// Makes the port of one executor worker.
    ///
    /// # Errors
    /// All doorbells are taken.
    fn new_port(&self) -> Result<Box<dyn Port>, PlatformError>;

    /// Registers the one function told of stub processes that died unasked.
    fn set_death_hook(&self, hook: DeathHook);

    /// Whether a `clock_gettime` made at `addr` is our vDSO's, which adds the clock offsets to what it
    /// is told.
    fn adds_clock_offsets(&self, addr: u64) -> bool {
        let _ = addr;
        false
    }

    /// Our vDSO: an ELF image with the `LINUX_2.6` symbols, to be mapped read-execute in every
    /// guest at any address. `None` where the platform has none; guests then make system calls.
    fn vdso(&self) -> Option<&[u8]>;
}

/// The guest's code as the memory crate holds it, for rewriting system call sites.
pub trait Text {
    /// Copies code bytes at `addr` and tells how many could be read.
    fn read_code(&self, addr: u64, bytes: &mut [u8]) -> usize;

    /// Gives up `len` bytes of the guest's addresses, all within 2 GiB of `addr`, for as long as the
    /// address space lives: nothing is mapped there now, and no guest mapping may take the place. Page
    /// aligned.
    fn reserve_near(&self, addr: u64, len: u64) -> Option<u64>;

    /// Changes the bytes `old` at `addr`, which lie in one page, to `new`: builds the changed page and
    /// maps it with one order, so that no thread sees half of it. `false`, and nothing is changed, if the
    /// mapping is writable or shared or the bytes are others by now. The guest's own view of its text
    /// (ptrace, `/proc/self/mem`) should keep showing `old`.
    fn replace_code(&self, addr: u64, old: &[u8], new: &[u8]) -> bool;
}

/// One guest address space: one host process. Dropping it kills or recycles the process.
///
/// `Any`, so that a platform can tell its own spaces from another's.
pub trait Space: Send + Sync + Any {
    /// Its name in [`DeathHook`] calls.
    fn id(&self) -> SpaceId;

    /// Carries out a batch of orders, in order, and returns when the host has completed them all.
    ///
    /// # Errors
    /// [`PlatformError::Range`], [`PlatformError::TooManyMappings`] before anything was done;
    /// [`PlatformError::Gone`]; [`PlatformError::Host`] when the stub reported a failure (which a
    /// hostile guest may forge: it harms only itself).
    fn apply(&self, orders: &[Order]) -> Result<(), PlatformError>;

    /// Makes a parked thread, or takes a parked spare. Its host thread exists when this returns.
    ///
    /// # Errors
    /// [`PlatformError::Gone`] or the host's refusal.
    fn new_thread(self: Arc<Self>) -> Result<Box<dyn Thread>, PlatformError>;

    /// Whether [`PlatformError::Gone`] is certain.
    fn is_gone(&self) -> bool;

    /// Kills the host process at once. Running threads report [`Event::Gone`].
    fn kill(&self);

    /// Makes all running threads of this space pass through a serialising event (membarrier).
    ///
    /// # Errors
    /// [`PlatformError::Gone`].
    fn membarrier(&self) -> Result<(), PlatformError>;

    /// CPU time the host process has consumed, nanoseconds, of all its guest threads.
    fn cpu_time_ns(&self) -> u64;

    /// Sets what our vDSO adds to clocks, in an address space no thread runs in yet.
    fn set_clock_offsets(&self, offsets: ClockOffsets) {
        let _ = offsets;
    }

    /// Tells the platform that guest code bytes in this range changed under it (a private page was
    /// replaced, unmapped or written by a debugger), so that patches recorded there are forgotten.
    fn forget_patches(&self, addr: u64, len: u64);

    /// Rewrites the system call site that ends at `after` so that its calls no longer trap. Call it
    /// with what [`Thread::patch_candidate`] named, while that thread is parked; the others may run. Tells
    /// whether it was done; where it was not, calls keep trapping.
    fn patch(&self, after: u64, text: &dyn Text) -> bool {
        let _ = (after, text);
        false
    }

    /// Makes `child`, which gets a copy of this space's memory (`fork`), know the rewritten sites in it.
    /// Call it before the child's first orders, with which the trampolines are mapped.
    ///
    /// # Errors
    /// [`PlatformError::Gone`] or the host's refusal.
    fn share_patches(&self, child: &dyn Space) -> Result<(), PlatformError> {
        let _ = child;
        Ok(())
    }
}

/// One guest thread. Dropping it parks or ends the host thread; it must not be running.
///
/// `Any`, so that a port can tell its own platform's threads from another's.
pub trait Thread: Send + Any {
    /// Reads the event of the last run into `ctx` and parks the thread. Call it once after
    /// [`Wake::Event`].
    fn take_event(&mut self, ctx: &mut Context) -> Event;

    /// The system call site of the last event, as the address after its instruction, if it trapped
    /// often enough to be worth [`Space::patch`].
    fn patch_candidate(&self) -> Option<u64> {
        None
    }

    /// Stops a running thread soon with [`Event::Interrupted`]; nothing happens to a parked one.
    fn kicker(&self) -> Arc<dyn Kick>;

    /// Reads the extended (FP, SSE, AVX) state of the parked thread.
    ///
    /// # Errors
    /// [`PlatformError::Gone`].
    fn fp_state(&mut self) -> Result<FpState, PlatformError>;

    /// Replaces the extended state of the parked thread; the next resume loads it.
    ///
    /// # Errors
    /// [`PlatformError::Gone`].
    fn set_fp_state(&mut self, state: &FpState) -> Result<(), PlatformError>;

    /// The parked thread will not be resumed soon: its call waits. Its host thread need not watch for
    /// that any more.
    fn rest(&self) {}

    /// Rewrites this thread's page of in-guest answers, before the change becomes visible.
    fn set_answers(&mut self, answers: &Answers);

    /// The processor on which it made the `getcpu` that is its last event, counted as in
    /// [`Answers::cpus`]. `None`: the platform does not know.
    fn cpu(&self) -> Option<usize> {
        None
    }

    /// CPU time this thread's guest code has consumed, nanoseconds.
    fn cpu_time_ns(&self) -> u64;

    /// Time its events have taken to be served, nanoseconds: from each until the next run, or until
    /// [`Thread::rest`].
    fn served_ns(&self) -> u64;

    /// Moves all state out, so that [`Platform`] objects can be destroyed and made again elsewhere:
    /// the extended state; the registers are in the caller's [`Context`] already.
    ///
    /// # Errors
    /// [`PlatformError::Gone`].
    fn pull_full_state(&mut self) -> Result<FpState, PlatformError> {
        self.fp_state()
    }
}

/// Reaches one thread from anywhere.
pub trait Kick: Send + Sync {
    /// Makes a running thread stop with [`Event::Interrupted`]. Idempotent, never blocks.
    fn kick(&self);

    /// Withdraws the thread's in-guest answers, whether it runs or not: calls it makes from now on reach
    /// the kernel, until [`Thread::set_answers`]. Never blocks.
    fn withdraw_answers(&self) {}
}

/// Wakes a port from anywhere.
pub trait Notify: Send + Sync {
    /// Makes the port's current or next [`Port::next`] return [`Wake::Notified`]. Never blocks; no
    /// host call when the port's worker is awake.
    fn notify(&self);
}

/// The end of one executor worker: resumes threads, waits for events. Used by one thread at a time.
pub trait Port: Send {
    /// The calling thread uses this port from now on.
    fn adopt(&mut self) {}

    /// Lets the parked `thread` run from `ctx`. It is running until `next` reports its token.
    ///
    /// # Errors
    /// [`PlatformError::Gone`]: the thread stays parked.
    fn resume(
        &mut self,
        token: Token,
        thread: &mut dyn Thread,
        ctx: &Context,
    ) -> Result<(), PlatformError>;

    /// Waits for the next event of a thread this port resumed, for a notification or for
    /// `deadline_ns` (host `CLOCK_MONOTONIC`; `None` waits without limit). Spins no longer than
    /// sleeping would cost.
    fn next(&mut self, deadline_ns: Option<u64>) -> Wake;

    /// Like [`Port::next`] with a deadline that already passed: looks, never waits.
    fn try_next(&mut self) -> Option<Wake>;

    /// What wakes this port.
    fn notifier(&self) -> Arc<dyn Notify>;

    /// How many threads resumed through this port are running.
    fn nr_running(&self) -> usize;
}
