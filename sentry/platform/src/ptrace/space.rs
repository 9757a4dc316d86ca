//! An address space as the kernel above holds it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::arch::ptrace::{GUEST_END, PAGE};
use crate::ptrace::host::{self, Tid};
use crate::ptrace::link::{Link, Message, promise};
use crate::ptrace::thread::PtraceThread;
use crate::{Order, PlatformError, Space, SpaceId, Thread};

/// What the tracer and the kernel's handle share.
pub struct SpaceShared {
    pub id: SpaceId,
    pub pid: Tid,
    /// The process is dead, or dying for certain.
    gone: AtomicBool,
    /// Its death was asked for through the platform's interface.
    asked: AtomicBool,
    /// The host may give the pid to another process.
    reaped: AtomicBool,
    /// CPU time when it was last looked at, nanoseconds.
    cpu_ns: AtomicU64,
}

impl SpaceShared {
    pub fn new(id: SpaceId, pid: Tid) -> Self {
        Self {
            id,
            pid,
            gone: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            reaped: AtomicBool::new(false),
            cpu_ns: AtomicU64::new(0),
        }
    }

    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn set_gone(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    pub fn set_reaped(&self) {
        self.set_gone();
        self.reaped.store(true, Ordering::SeqCst);
    }

    /// Kills the process. Its pid is still its own, or at worst that of a younger stub's *thread*,
    /// which `tgkill` with both numbers equal does not reach.
    pub fn kill(&self) {
        self.set_gone();
        if !self.reaped.load(Ordering::SeqCst) {
            host::tgkill(self.pid, self.pid, libc::SIGKILL);
        }
    }

    /// Kills it because the kernel above asked to.
    pub fn kill_asked(&self) {
        if !self.is_gone() {
            self.asked.store(true, Ordering::SeqCst);
        }
        self.kill();
    }

    /// CPU time of all its threads, nanoseconds; the last known once it is dead.
    pub fn cpu_time_ns(&self) -> u64 {
        if !self.reaped.load(Ordering::SeqCst) {
            self.cpu_ns.fetch_max(host::process_cpu_ns(self.pid), Ordering::Relaxed);
        }
        self.cpu_ns.load(Ordering::Relaxed)
    }
}

/// The handle. Dropping it kills the process.
pub struct PtraceSpace {
    shared: Arc<SpaceShared>,
    link: Arc<Link>,
}

impl PtraceSpace {
    pub fn new(shared: Arc<SpaceShared>, link: Arc<Link>) -> Self {
        Self { shared, link }
    }

    fn check(&self) -> Result<(), PlatformError> {
        if self.shared.is_gone() { Err(PlatformError::Gone) } else { Ok(()) }
    }
}

impl Drop for PtraceSpace {
    fn drop(&mut self) {
        self.shared.kill_asked();
    }
}

/// Whether an order is well formed and stays below the guest's end.
fn check_order(order: &Order) -> Result<(), PlatformError> {
    let (addr, len) = match *order {
        Order::Map { addr, len, .. }
        | Order::Unmap { addr, len }
        | Order::Protect { addr, len, .. }
        | Order::Advise { addr, len, .. } => (addr, len),
    };
    let end = addr.checked_add(len).ok_or(PlatformError::Range)?;
    if end > GUEST_END || len == 0 || addr % PAGE != 0 || len % PAGE != 0 {
        return Err(PlatformError::Range);
    }
    match *order {
        Order::Advise { advice, .. }
            if ![
                libc::MADV_HUGEPAGE,
                libc::MADV_NOHUGEPAGE,
                libc::MADV_POPULATE_READ,
                libc::MADV_POPULATE_WRITE,
            ]
            .contains(&advice) =>
        {
            Err(PlatformError::Host {
                what: "madvise",
                source: io::Error::from_raw_os_error(libc::EINVAL),
            })
        }
        _ => Ok(()),
    }
}

impl Space for PtraceSpace {
    fn id(&self) -> SpaceId {
        self.shared.id
    }

    fn apply(&self, orders: &[Order]) -> Result<(), PlatformError> {
        self.check()?;
        for order in orders {
            check_order(order)?;
        }
        if orders.is_empty() {
            return Ok(());
        }
        let (promise, answer) = promise();
        self.link.send(Message::Apply(self.shared.clone(), orders.to_vec(), promise))?;
        answer.wait()
    }

    fn new_thread(self: Arc<Self>) -> Result<Box<dyn Thread>, PlatformError> {
        self.check()?;
        let (promise, answer) = promise();
        self.link.send(Message::NewThread(self.shared.clone(), promise))?;
        let thread = answer.wait()?;
        let link = self.link.clone();
        Ok(Box::new(PtraceThread::new(thread, self, link)))
    }

    fn is_gone(&self) -> bool {
        self.shared.is_gone()
    }

    fn kill(&self) {
        self.shared.kill_asked();
    }

    fn membarrier(&self) -> Result<(), PlatformError> {
        self.check()?;
        let (promise, answer) = promise();
        self.link.send(Message::Barrier(self.shared.clone(), promise))?;
        answer.wait()
    }

    fn cpu_time_ns(&self) -> u64 {
        self.shared.cpu_time_ns()
    }

    /// Nothing is patched here.
    fn forget_patches(&self, _addr: u64, _len: u64) {}
}
