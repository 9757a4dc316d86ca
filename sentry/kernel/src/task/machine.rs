//! The part of a task that system calls change under the polling worker: platform thread,
//! registers, and the memory and descriptors it runs with.

use crate::block::{Block, Restart};
use crate::fd::FdTable;
use crate::tree::ExitStatus;
use bevor_memory::MemoryManager;
use bevor_platform::{Context, Thread};
use std::sync::Arc;

/// What runs a task.
pub struct Machine {
    /// The platform's thread; `None` once the task has exited.
    pub thread: Option<Box<dyn Thread>>,
    /// Registers.
    pub context: Context,
    /// The task's memory (the same as [`Task::mm`](super::Task::mm), without its lock).
    pub mm: Arc<MemoryManager>,
    /// The task's descriptors (the same as [`Task::files`](super::Task::files)).
    pub files: Arc<FdTable>,
    /// Set while a waiting call has been interrupted and the signal code has not decided yet.
    pub interrupted: Option<Restart>,
    /// The registers hold what a system call returned, which may be that it is to be made again: the
    /// signal code looks (a traced task, whose tracer may have changed them).
    pub restarting: bool,
    /// The wait that `restart_syscall` goes on with, and the call it was begun by.
    pub restart: Option<Box<(u64, Block)>>,
    /// A traced task stops for this `PTRACE_EVENT_*`, with its message, before its call returns.
    pub event: Option<(u32, u64)>,
    /// A traced task is to end with this status, after it has stopped for that.
    pub ending: Option<ExitStatus>,
    /// Its tracer has just let a call go on that a filter wanted it to be asked about.
    pub asked: bool,
    /// The trap flag is its tracer's, not the guest's.
    pub stepping: bool,
}

impl Machine {
    /// A machine about to enter the guest with these registers.
    #[must_use]
    pub fn new(
        thread: Box<dyn Thread>,
        context: Context,
        mm: Arc<MemoryManager>,
        files: Arc<FdTable>,
    ) -> Self {
        Self {
            thread: Some(thread),
            context,
            mm,
            files,
            interrupted: None,
            restarting: false,
            restart: None,
            event: None,
            ending: None,
            asked: false,
            stepping: false,
        }
    }

    /// Sets the value the interrupted system call returns.
    pub const fn set_return(&mut self, value: u64) {
        self.context.regs.rax = value;
    }
}
