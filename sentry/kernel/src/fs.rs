//! Root, working directory and umask of tasks that share them (`CLONE_FS`).

use bevor_vfs::FsContext;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What `CLONE_FS` shares.
#[derive(Debug)]
pub struct FsState {
    context: RwLock<Arc<FsContext>>,
    umask: AtomicU32,
}

impl FsState {
    /// Stands at `context` with the given umask.
    #[must_use]
    pub fn new(context: Arc<FsContext>, umask: u32) -> Arc<Self> {
        Arc::new(Self { context: RwLock::new(context), umask: AtomicU32::new(umask & 0o777) })
    }

    /// Root, working directory and mount namespace.
    #[must_use]
    pub fn context(&self) -> Arc<FsContext> {
        self.context.read().clone()
    }

    /// Replaces them (`chdir`, `chroot`, `pivot_root`, `setns`).
    pub fn set_context(&self, context: Arc<FsContext>) {
        *self.context.write() = context;
    }

    /// The file-creation mask.
    #[must_use]
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// Replaces the mask and returns the old one.
    pub fn set_umask(&self, umask: u32) -> u32 {
        self.umask.swap(umask & 0o777, Ordering::Relaxed)
    }

    /// A copy for `fork` and `unshare`.
    #[must_use]
    pub fn duplicate(&self) -> Arc<Self> {
        Self::new(self.context(), self.umask())
    }
}
