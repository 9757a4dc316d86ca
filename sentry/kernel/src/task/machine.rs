//! The part of a task that system calls change under the polling worker: platform thread,
//! registers, and the memory and descriptors it runs with.

use crate::block::Restart;
use crate::fd::FdTable;
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
        Self { thread: Some(thread), context, mm, files, interrupted: None }
    }

    /// Sets the value the interrupted system call returns.
    pub const fn set_return(&mut self, value: u64) {
        self.context.regs.rax = value;
    }
}
