//! The kernel as the caller of file operations nobody asked for: copy-up, write-back.

use crate::caller::{Caller, JobControl, NoSession};
use bevor_abi::Errno;
use bevor_base::{Credentials, UserNamespace};
use bevor_memory::{Account, MemoryManager, MemoryPool};
use bevor_platform::{Order, PlatformError, Space, SpaceId, Thread};
use std::any::Any;
use std::sync::Arc;

/// An address space in which nothing is ever mapped.
struct NoSpace;

impl Space for NoSpace {
    fn id(&self) -> SpaceId {
        SpaceId(u64::MAX)
    }

    fn apply(&self, orders: &[Order]) -> Result<(), PlatformError> {
        if orders.is_empty() { Ok(()) } else { Err(PlatformError::Gone) }
    }

    fn new_thread(self: Arc<Self>) -> Result<Box<dyn Thread>, PlatformError> {
        Err(PlatformError::Gone)
    }

    fn is_gone(&self) -> bool {
        true
    }

    fn kill(&self) {}

    fn membarrier(&self) -> Result<(), PlatformError> {
        Err(PlatformError::Gone)
    }

    fn cpu_time_ns(&self) -> u64 {
        0
    }

    fn forget_patches(&self, addr: u64, len: u64) {
        let _ = (addr, len);
    }
}

/// The kernel itself: root, without guest memory, limits or terminal.
pub struct KernelCaller {
    cred: Arc<Credentials>,
    mm: Arc<MemoryManager>,
}

impl KernelCaller {
    /// Acts in user namespace `user_ns`; what it allocates is charged to `account`.
    ///
    /// # Errors
    /// `ENOMEM`: the host refused a memory file.
    pub fn new(
        pool: &Arc<MemoryPool>,
        account: &Arc<Account>,
        user_ns: Arc<UserNamespace>,
    ) -> Result<Self, Errno> {
        Ok(Self {
            cred: Arc::new(Credentials::user(0, 0, &[], user_ns)),
            mm: MemoryManager::new(Arc::new(NoSpace), pool.clone(), account.clone())?,
        })
    }
}

impl Caller for KernelCaller {
    fn cred(&self) -> Arc<Credentials> {
        self.cred.clone()
    }

    fn mm(&self) -> &Arc<MemoryManager> {
        &self.mm
    }

    fn umask(&self) -> u32 {
        0
    }

    fn tgid(&self) -> i32 {
        0
    }

    fn tid(&self) -> i32 {
        0
    }

    fn terminal(&self) -> &dyn JobControl {
        &NoSession
    }

    fn rlimit(&self, resource: u32) -> u64 {
        let _ = resource;
        u64::MAX
    }

    fn raise(&self, signo: i32) {
        let _ = signo;
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
