//! Who opened a file, as the caller for whom its text is made anew.

use bevor_abi::Errno;
use bevor_base::Credentials;
use bevor_kernel::Task;
use bevor_kernel::signal::{Info, send};
use bevor_memory::MemoryManager;
use bevor_vfs::caller::{Caller, JobControl};
use std::any::Any;
use std::sync::{Arc, Weak};

/// A task, remembered for later.
pub struct Opener(Weak<Task>);

impl Opener {
    /// The caller, if a task calls.
    pub fn of(caller: &dyn Caller) -> Option<Self> {
        let task = caller.as_any().downcast_ref::<Task>()?;
        Some(Self(Arc::downgrade(&task.arc())))
    }

    /// Asks on its behalf; `None` once it has ended.
    pub fn ask<R>(
        &self,
        question: impl FnOnce(&dyn Caller) -> Result<R, Errno>,
    ) -> Option<Result<R, Errno>> {
        let task = self.0.upgrade()?;
        let mm = task.mm()?;
        Some(question(&Living { task, mm }))
    }
}

struct Living {
    task: Arc<Task>,
    mm: Arc<MemoryManager>,
}

impl Caller for Living {
    fn cred(&self) -> Arc<Credentials> {
        self.task.cred()
    }

    fn mm(&self) -> &Arc<MemoryManager> {
        &self.mm
    }

    fn umask(&self) -> u32 {
        self.task.fs().umask()
    }

    fn tgid(&self) -> i32 {
        self.task.tgid()
    }

    fn tid(&self) -> i32 {
        self.task.tid()
    }

    fn terminal(&self) -> &dyn JobControl {
        &*self.task
    }

    fn rlimit(&self, resource: u32) -> u64 {
        self.task.group.limits.soft(resource)
    }

    fn raise(&self, signo: i32) {
        send::to_task(&self.task, Info::kernel(signo));
    }

    fn as_any(&self) -> &dyn Any {
        self.task.as_any()
    }
}
