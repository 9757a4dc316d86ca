//! The systrap platform: guest code runs in stub processes, which hand their system calls and faults
//! to the sentry through shared memory.
//!
//! - [`zygote`] is forked once from the sentry and makes every stub process;
//! - a stub process ([`space`]) has an [`agent`], which carries out batches of mapping orders, and one
//!   thread per guest thread ([`thread`]), which runs guest code;
//! - a [`port`] lets parked threads go on and finds their events; it sleeps on a doorbell ([`bell`]);
//! - a process whose guest is gone serves the next one ([`reuse`]);
//! - two threads of the platform's own ([`keeper`]) reap dead processes and keep spares ready.
//!
//! Every shared page is written by one side only: `up` pages by a stub, `down` pages by the sentry.
//! A run of guest code is numbered: the sentry writes the number to `down::GO`, the stub writes it to
//! `up::DONE` when the event of that run is published. Equal numbers mean that the thread is parked.

mod agent;
mod bell;
mod core;
mod host;
mod image;
mod keeper;
#[expect(dead_code, reason = "some of it is for the stub's side")]
#[path = "../../../stub/src/layout.rs"]
pub(crate) mod layout;
mod pace;
mod patch;
mod port;
mod region;
mod reuse;
mod space;
mod thread;
mod zygote;

#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Once};

pub(crate) use host::Part;

use crate::systrap::core::Core;
use crate::systrap::port::SystrapPort;
use crate::systrap::space::SystrapSpace;
use crate::{DeathHook, Event, Platform, PlatformError, Port, Space};

pub(crate) const PAGE: u64 = 0x1000;
/// Flags of every mapping an agent makes.
const MAP_FLAGS: i32 = libc::MAP_SHARED | libc::MAP_FIXED;
/// Interrupts a running guest. Ignored where nobody handles it.
const KICK_SIGNAL: i32 = libc::SIGURG;
/// Signals the stub handles; all others are blocked there.
const HANDLED_SIGNALS: [u32; 7] = [
    libc::SIGSYS.cast_unsigned(),
    libc::SIGSEGV.cast_unsigned(),
    libc::SIGBUS.cast_unsigned(),
    libc::SIGILL.cast_unsigned(),
    libc::SIGFPE.cast_unsigned(),
    libc::SIGTRAP.cast_unsigned(),
    KICK_SIGNAL.cast_unsigned(),
];

/// An event as read from the stub, before the kernel sees it.
pub(crate) struct RawEvent {
    pub event: Event,
    /// Where the guest was.
    pub rip: u64,
    /// It came from a rewritten call site.
    pub patched: bool,
}

/// Limits of the host the platform must respect, and how much it keeps ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SystrapConfig {
    /// `vm.mmap_min_addr`, bytes.
    pub min_addr: u64,
    /// `vm.max_map_count`.
    pub max_map_count: usize,
    /// How many spare stub processes are kept.
    pub nr_spares: usize,
    /// Whether hot system call sites are rewritten.
    pub rewrite_calls: bool,
}

impl SystrapConfig {
    /// Reads the limits from `/proc/sys/vm`; Linux's defaults where it cannot.
    #[must_use]
    pub fn from_host() -> Self {
        let crate::PtraceConfig { min_addr, max_map_count } = crate::PtraceConfig::from_host();
        Self { min_addr, max_map_count, nr_spares: 2, rewrite_calls: true }
    }
}

/// The systrap platform.
#[derive(Debug)]
pub struct Systrap {
    core: Arc<Core>,
    started: Once,
}

impl Systrap {
    /// Forks the zygote. Call it while the process has one thread, before its seccomp filter and
    /// before `PR_SET_MDWE`, on a thread that lives as long as the process (its end kills the stubs).
    ///
    /// `maps` is the process's own `/proc/self/maps`, which may have been opened before the process
    /// left the host's file system; it is read now.
    ///
    /// # Errors
    /// The host lacks something, or refuses.
    pub fn new(config: SystrapConfig, maps: impl io::Read) -> io::Result<Self> {
        Ok(Self { core: Core::new(config, maps)?, started: Once::new() })
    }

    /// As [`Systrap::new`], in a process that still reaches the host's `/proc`.
    ///
    /// # Errors
    /// As [`Systrap::new`].
    pub fn on_host(config: SystrapConfig) -> io::Result<Self> {
        Self::new(config, std::fs::File::open("/proc/self/maps")?)
    }

    /// Starts the platform's own threads (the first space or port does, too). Call it before the
    /// process can no longer make threads.
    pub fn start(&self) {
        self.started.call_once(|| {
            keeper::start(&self.core).expect("the host lets a process make two threads");
        });
    }
}

impl Platform for Systrap {
    fn name(&self) -> &'static str {
        "systrap"
    }

    fn guest_range(&self) -> Range<u64> {
        self.core.config.min_addr..region::GUEST_END
    }

    fn new_space(&self) -> Result<Arc<dyn Space>, PlatformError> {
        self.start();
        let stub = match self.core.take_spare() {
            Some(stub) => stub,
            None => self.core.make_stub()?,
        };
        Ok(Arc::new(SystrapSpace { stub }))
    }

    fn new_port(&self) -> Result<Box<dyn Port>, PlatformError> {
        self.start();
        let bell = self.core.bells.take().ok_or(PlatformError::Host {
            what: "making a port",
            source: io::Error::from_raw_os_error(libc::EAGAIN),
        })?;
        Ok(Box::new(SystrapPort::new(self.core.clone(), bell)))
    }

    fn set_death_hook(&self, hook: DeathHook) {
        self.core.set_hook(hook);
    }

    fn adds_clock_offsets(&self, addr: u64) -> bool {
        self.core.in_host_vdso(addr)
    }

    fn vdso(&self) -> Option<&[u8]> {
        Some(&self.core.vdso)
    }
}

impl Drop for Systrap {
    fn drop(&mut self) {
        let mut state = self.core.keeper.lock();
        state.stop = true;
        let pool = (std::mem::take(&mut state.pool), std::mem::take(&mut state.retired));
        drop(state);
        drop(pool);
        self.core.keeper_wake.notify_all();
        // The zygote leads the process group of all stubs.
        host::kill(-self.core.zygote_pid);
        if !self.started.is_completed() {
            drop(host::wait(host::Children::One(self.core.zygote_pid), 0));
        }
    }
}

#[cfg(test)]
impl Systrap {
    /// Ends all stub processes: tests do not run as pid 1 of a namespace.
    fn kill_everything(&self) {
        host::kill(-self.core.zygote_pid);
    }

    /// Kills a stub process as an outsider would.
    fn kill_behind_its_back(&self, id: crate::SpaceId) {
        let stubs = self.core.stubs.lock();
        stubs.values().filter(|stub| stub.id == id).for_each(|stub| host::kill(stub.pid));
    }
}
