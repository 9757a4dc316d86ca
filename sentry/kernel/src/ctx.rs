//! What a system-call handler sees of the world.

use crate::block::{Block, SysResult};
use crate::fd::FdTable;
use crate::kernel::Kernel;
use crate::limits;
use crate::seccomp;
use crate::signal::{self, Info};
use crate::task::{Machine, Task};
use bevor_abi::Errno;
use bevor_base::Credentials;
use bevor_memory::MemoryManager;
use bevor_platform::UserRegs;
use bevor_vfs::caller::{Caller, JobControl};
use bevor_vfs::file::File;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The calling task, its machine, and the wait the call comes back from.
pub struct Ctx<'a> {
    task: &'a Arc<Task>,
    /// Platform thread, registers, memory, descriptors.
    pub machine: &'a mut Machine,
    resumed: Option<&'a Block>,
    timed_out: bool,
}

impl<'a> Ctx<'a> {
    /// Serves the system call the registers hold.
    ///
    /// # Errors
    /// What the handler answers.
    pub fn dispatch(
        task: &'a Arc<Task>,
        machine: &'a mut Machine,
        resumed: Option<&'a Block>,
        timed_out: bool,
    ) -> SysResult {
        let regs = &machine.context.regs;
        let (nr, args) = (regs.syscall_nr(), regs.syscall_args());
        if resumed.is_none() {
            task.counters.syscalls.fetch_add(1, Ordering::Relaxed);
        }
        let mut ctx = Ctx { task, machine, resumed, timed_out };
        if task.seccomp.is_on()
            && let Some(result) = seccomp::enter(&mut ctx)
        {
            return result;
        }
        task.kernel.dispatch(&mut ctx, nr, args)
    }

    /// The calling task.
    #[must_use]
    pub const fn task(&self) -> &'a Arc<Task> {
        self.task
    }

    /// The sandbox's kernel.
    #[must_use]
    pub fn kernel(&self) -> &'a Arc<Kernel> {
        &self.task.kernel
    }

    /// The caller's memory.
    #[must_use]
    pub const fn mm(&self) -> &Arc<MemoryManager> {
        &self.machine.mm
    }

    /// The caller's descriptors.
    #[must_use]
    pub const fn files(&self) -> &Arc<FdTable> {
        &self.machine.files
    }

    /// The caller's registers.
    #[must_use]
    pub const fn regs(&self) -> &UserRegs {
        &self.machine.context.regs
    }

    /// The description behind a descriptor.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn file(&self, fd: i32) -> Result<Arc<File>, Errno> {
        self.machine.files.get(fd)
    }

    /// Gives a file the lowest free descriptor.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn install(&self, file: Arc<File>, close_on_exec: bool) -> Result<i32, Errno> {
        let limit = self.task.group.limits.soft(limits::NOFILE);
        self.machine.files.install(file, close_on_exec, 0, limit)
    }

    /// Whether [`Ctx::install`] will find a descriptor, unless another thread is faster.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn has_room_for_file(&self) -> Result<(), Errno> {
        self.machine.files.has_room(self.task.group.limits.soft(limits::NOFILE))
    }

    /// The wait this call comes back from; `None` on the first call.
    #[must_use]
    pub const fn resumed(&self) -> Option<&'a Block> {
        self.resumed
    }

    /// The wait is over before the call began (a seccomp listener let it go on): its handler is called
    /// for the first time.
    pub(crate) const fn forget_wait(&mut self) {
        self.resumed = None;
    }

    /// Whether the deadline of that wait has passed: the handler must return now.
    #[must_use]
    pub const fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// The deadline of that wait, so that a call with a relative timeout computes it once.
    #[must_use]
    pub fn deadline_ns(&self) -> Option<u64> {
        self.resumed.and_then(|block| block.deadline_ns)
    }

    /// The answer pages of every thread whose answers a change may have made stale are rewritten.
    pub fn refresh_answers(&mut self) {
        let answers = self.task.answers();
        if let Some(thread) = self.machine.thread.as_deref_mut() {
            thread.set_answers(&answers);
        }
    }
}

impl Caller for Ctx<'_> {
    fn cred(&self) -> Arc<Credentials> {
        self.task.cred()
    }

    fn mm(&self) -> &Arc<MemoryManager> {
        &self.machine.mm
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
        &**self.task
    }

    fn rlimit(&self, resource: u32) -> u64 {
        self.task.group.limits.soft(resource)
    }

    fn raise(&self, signo: i32) {
        signal::send::to_task(self.task, Info::kernel(signo));
    }

    fn install(&self, file: Arc<File>, close_on_exec: bool) -> Result<i32, Errno> {
        Ctx::install(self, file, close_on_exec)
    }

    fn as_any(&self) -> &dyn Any {
        self.task.as_any()
    }
}

impl Task {
    /// The task as [`Any`], for file systems that know it.
    #[must_use]
    pub fn as_any(&self) -> &dyn Any {
        self
    }
}
