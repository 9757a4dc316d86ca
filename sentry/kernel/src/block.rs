//! Why a system call stopped: an error, a wait, or because it never returns.
//!
//! A handler that would sleep returns a [`Block`]: plain data that says what to wait for, until
//! when, and how far it got. The task's future registers, calls the handler once more (which closes
//! the race with a wake-up in between), parks, and calls it again when something happened.

use bevor_abi::{Code, Errno};
use bevor_base::{Ready, WaitQueue};
use bevor_vfs::file::File;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a handler returns: the value for `rax`, or why there is none.
pub type SysResult = Result<u64, Stop>;

/// Why a handler has no value to return.
#[derive(Debug)]
pub enum Stop {
    /// The call fails with this error.
    Errno(Errno),
    /// The call must wait.
    Block(Box<Block>),
    /// The registers are already what they shall be (`rt_sigreturn`, `execve`), or the task ended.
    NoReturn,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Code> for Stop {
    #[track_caller]
    fn from(code: Code) -> Self {
        Self::Errno(code.into())
    }
}

impl From<Block> for Stop {
    fn from(block: Block) -> Self {
        Self::Block(Box::new(block))
    }
}

/// What happens to a waiting call when a signal interrupts it (`signal(7)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Restart {
    /// `ERESTARTSYS`: restart if the handler has `SA_RESTART`, else `EINTR`.
    Sys,
    /// `ERESTARTNOINTR`: always restart.
    NoIntr,
    /// `ERESTARTNOHAND`: restart only if no handler runs, else `EINTR`.
    NoHand,
    /// `ERESTART_RESTARTBLOCK`: if no handler runs go on with the same deadline, else `EINTR`.
    SameDeadline,
    /// Never: `EINTR`.
    Never,
    /// No signal interrupts it but one that ends the process (`TASK_KILLABLE`).
    Killable,
}

/// One thing a call waits for.
#[derive(Clone, Debug)]
pub enum Source {
    /// Readiness of an open file description.
    File(Arc<File>),
    /// A wait queue of some kernel object, named so that it can be found again after a restore.
    Object {
        /// What it is.
        kind: ObjectKind,
        /// Which one.
        id: u64,
        /// Its queue.
        queue: WaitQueue,
    },
    /// State changes of the caller's children.
    Children,
}

impl Source {
    /// Whether both name the same thing.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(a), Self::File(b)) => a.id() == b.id(),
            (Self::Object { kind, id, .. }, Self::Object { kind: other, id: its, .. }) => {
                kind == other && id == its
            }
            (Self::Children, Self::Children) => true,
            _ => false,
        }
    }
}

/// Kinds of kernel objects with a wait queue of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ObjectKind {
    /// A futex waiter.
    Futex,
    /// A record or whole-file lock.
    FileLock,
    /// A System V semaphore set of the caller's namespace, by its id.
    Semaphores,
    /// A System V message queue of the caller's namespace, by its id.
    Messages,
    /// Room in a POSIX message queue, by the number of the open file description.
    QueueRoom,
    /// A message in a POSIX message queue, by the number of the open file description.
    QueueMessage,
    /// A `vfork` parent's child.
    Vfork,
    /// The full backlog of whom a socket connects to, by the number of the connecting description.
    Backlog,
    /// The task's own question to a seccomp listener, by its number.
    Notification,
    /// The other threads of a group, for `execve`.
    Siblings,
    /// Completions of a context of asynchronous I/O, by its address.
    Completions,
}

/// How far a waiting call has got, beyond [`Block::done`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Progress {
    /// Nothing to remember.
    #[default]
    None,
    /// A number whose meaning the handler knows (a waiter's id, a position).
    Number(u64),
    /// Several numbers.
    Numbers(Vec<u64>),
    /// Bytes already taken from somewhere.
    Bytes(Vec<u8>),
}

/// A waiting call.
#[derive(Clone, Debug)]
pub struct Block {
    /// What wakes it, with the readiness it is interested in. Empty: only a signal or the deadline.
    pub sources: Vec<(Source, Ready)>,
    /// Absolute host `CLOCK_MONOTONIC`, nanoseconds.
    pub deadline_ns: Option<u64>,
    /// Bytes or items already transferred. When not 0, an interruption returns it.
    pub done: u64,
    /// More state of the handler.
    pub progress: Progress,
    /// What an interruption does when `done` is 0.
    pub restart: Restart,
    /// Signals that end the wait although blocked (`rt_sigtimedwait`), a bit each.
    pub wanted_signals: u64,
    /// Where an interruption writes the time left, a `struct timespec` (`nanosleep`).
    pub write_left: Option<u64>,
    /// The call is made as if for the first time when it goes on.
    pub afresh: bool,
}

impl Block {
    /// Waits for nothing but a signal.
    #[must_use]
    pub const fn new(restart: Restart) -> Self {
        Self {
            sources: Vec::new(),
            deadline_ns: None,
            done: 0,
            progress: Progress::None,
            restart,
            wanted_signals: 0,
            write_left: None,
            afresh: false,
        }
    }

    /// Waits for `interest` on a file, restartable.
    #[must_use]
    pub fn on_file(file: &Arc<File>, interest: Ready) -> Self {
        let mut block = Self::new(Restart::Sys);
        block.sources.push((Source::File(file.clone()), interest));
        block
    }

    /// Waits on the queue of a kernel object, restartable.
    #[must_use]
    pub fn on_object(kind: ObjectKind, id: u64, queue: &WaitQueue) -> Self {
        let mut block = Self::new(Restart::Sys);
        block.sources.push((Source::Object { kind, id, queue: queue.clone() }, Ready::ALL));
        block
    }

    /// Sets the deadline.
    #[must_use]
    pub const fn until(mut self, deadline_ns: Option<u64>) -> Self {
        self.deadline_ns = deadline_ns;
        self
    }

    /// Sets how much is done already.
    #[must_use]
    pub const fn with_done(mut self, done: u64) -> Self {
        self.done = done;
        self
    }

    /// Sets the handler's own state.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Sets the restart rule.
    #[must_use]
    pub const fn restarting(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Whether `other` waits for the same things until the same time, so that registrations stay.
    #[must_use]
    pub fn waits_like(&self, other: &Self) -> bool {
        self.deadline_ns == other.deadline_ns
            && self.wanted_signals == other.wanted_signals
            && self.sources.len() == other.sources.len()
            && self
                .sources
                .iter()
                .zip(&other.sources)
                .all(|((mine, ready), (its, its_ready))| ready == its_ready && mine.is(its))
    }

    /// The record to save: everything but the live handles, which become names.
    #[must_use]
    pub fn record(&self, now_ns: u64) -> BlockRecord {
        let sources = self.sources.iter().map(|(source, ready)| {
            let name = match source {
                Source::File(file) => SourceName::File(file.id()),
                Source::Object { kind, id, .. } => SourceName::Object(*kind, *id),
                Source::Children => SourceName::Children,
            };
            (name, ready.0)
        });
        BlockRecord {
            sources: sources.collect(),
            remaining_ns: self.deadline_ns.map(|deadline| deadline.saturating_sub(now_ns)),
            done: self.done,
            progress: self.progress.clone(),
            restart: self.restart,
            wanted_signals: self.wanted_signals,
            write_left: self.write_left,
            afresh: self.afresh,
        }
    }
}

/// Name of a [`Source`] in a saved record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SourceName {
    /// Open file description by number.
    File(u64),
    /// Kernel object by kind and number.
    Object(ObjectKind, u64),
    /// The caller's children.
    Children,
}

/// A [`Block`] as it is saved. Loading finds the sources again by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockRecord {
    /// Names of the sources, with the readiness bits waited for.
    pub sources: Vec<(SourceName, u32)>,
    /// Time left until the deadline, nanoseconds.
    pub remaining_ns: Option<u64>,
    /// See [`Block::done`].
    pub done: u64,
    /// See [`Block::progress`].
    pub progress: Progress,
    /// See [`Block::restart`].
    pub restart: Restart,
    /// See [`Block::wanted_signals`].
    pub wanted_signals: u64,
    /// See [`Block::write_left`].
    pub write_left: Option<u64>,
    /// See [`Block::afresh`].
    pub afresh: bool,
}

impl BlockRecord {
    /// Makes the live block again. `find` resolves a name; a source that is gone resolves to none
    /// and the call is retried at once by its handler.
    pub fn load(&self, now_ns: u64, mut find: impl FnMut(&SourceName) -> Option<Source>) -> Block {
        let sources = self.sources.iter();
        Block {
            sources: sources
                .filter_map(|(name, ready)| Some((find(name)?, Ready(*ready))))
                .collect(),
            deadline_ns: self.remaining_ns.map(|left| now_ns.saturating_add(left)),
            done: self.done,
            progress: self.progress.clone(),
            restart: self.restart,
            wanted_signals: self.wanted_signals,
            write_left: self.write_left,
            afresh: self.afresh,
        }
    }
}
