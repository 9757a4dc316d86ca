//! User notification: calls another process decides about (`seccomp_unotify(2)`).
//!
//! A [`Notifier`] belongs to a filter and to the listening descriptor. Its lock is a leaf but for the
//! wait queues and, while a descriptor is added, the descriptor table of the asking task.

use crate::block::{Block, ObjectKind, Restart};
use crate::limits;
use crate::pid::Pid;
use crate::task::Task;
use bevor_abi::Errno;
use bevor_abi::conv::sign_extend;
use bevor_abi::errno::{EINPROGRESS, ENOENT, ENOSYS};
use bevor_abi::seccomp::SeccompData;
use bevor_base::{Ready, WaitQueue};
use bevor_vfs::file::File;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What an asking task is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The call returns this.
    Return(u64),
    /// The call is made.
    Continue,
}

/// How far a notification has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nobody has received it.
    Asked,
    /// It was received.
    Received,
    /// It was answered.
    Answered(Answer),
}

struct Notification {
    id: u64,
    task: Weak<Task>,
    pid: Arc<Pid>,
    data: SeccompData,
    phase: Phase,
    /// Woken when the phase changes.
    queue: WaitQueue,
}

#[derive(Default)]
struct State {
    /// The listener was closed.
    closed: bool,
    /// No task is under the filter any more.
    unused: bool,
    /// Notifications made and not waited for yet; those withdrawn meanwhile count, as on Linux.
    requests: u64,
    /// In the order they were made.
    notifications: Vec<Notification>,
}

/// Notifications of one filter.
#[derive(Default)]
pub struct Notifier {
    queue: WaitQueue,
    state: Mutex<State>,
}

/// What a listener receives.
pub struct Received {
    /// Names the notification.
    pub id: u64,
    /// Who asks.
    pub pid: Arc<Pid>,
    /// About what.
    pub data: SeccompData,
}

/// Where a descriptor goes that is added to an asking task.
pub struct Addition {
    /// The description.
    pub file: Arc<File>,
    /// The number it must have; else the lowest free one.
    pub at: Option<i32>,
    /// Whether it closes on `execve`.
    pub close_on_exec: bool,
    /// Whether the number answers the notification.
    pub send: bool,
}

/// A descriptor that was added.
pub struct Added {
    /// Its number.
    pub fd: i32,
    /// What had this number before.
    pub replaced: Option<Arc<File>>,
    /// The table it is in.
    pub table: u64,
}

/// A task's own notification.
#[derive(Clone)]
pub struct Asked {
    notifier: Arc<Notifier>,
    /// Names the notification.
    pub id: u64,
    /// Woken when something happens to it.
    pub queue: WaitQueue,
    wait_killable: bool,
}

impl Notifier {
    /// Woken for listeners.
    #[must_use]
    pub const fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Whether nobody listens.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Asks about a call of `task`. `None`: nobody listens.
    #[must_use]
    pub fn ask(
        self: &Arc<Self>,
        task: &Arc<Task>,
        data: SeccompData,
        wait_killable: bool,
    ) -> Option<Asked> {
        /// Numbers are never used twice, whichever notifier.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let queue = WaitQueue::new();
        let (task, pid) = (Arc::downgrade(task), task.pid());
        let phase = Phase::Asked;
        let kept = Notification { id, task, pid, data, phase, queue: queue.clone() };
        state.notifications.push(kept);
        state.requests += 1;
        drop(state);
        self.queue.wake(Ready::READABLE);
        Some(Asked { notifier: self.clone(), id, queue, wait_killable })
    }

    /// Receives the oldest notification nobody has received. `None`: there is none yet.
    ///
    /// # Errors
    /// `ENOENT`: it was withdrawn meanwhile, or there will be none.
    pub fn receive(&self) -> Result<Option<Received>, Errno> {
        let mut state = self.state.lock();
        if state.requests > 0 {
            state.requests -= 1;
        } else if !state.unused {
            return Ok(None);
        }
        let mut all = state.notifications.iter_mut();
        let next = all.find(|other| other.phase == Phase::Asked).ok_or(ENOENT)?;
        next.phase = Phase::Received;
        // Its task may have to wait in another way now.
        next.queue.wake(Ready::ALL);
        let received = Received { id: next.id, pid: next.pid.clone(), data: next.data };
        drop(state);
        self.queue.wake(Ready::WRITABLE);
        Ok(Some(received))
    }

    /// The receiver could not take it: it has to be received again.
    pub fn unreceive(&self, id: u64) {
        let mut state = self.state.lock();
        let Some(notification) = state.find(id) else { return };
        notification.phase = Phase::Asked;
        notification.queue.wake(Ready::ALL);
        state.requests += 1;
        drop(state);
        self.queue.wake(Ready::READABLE);
    }

    /// Answers a received notification.
    ///
    /// # Errors
    /// `ENOENT`, `EINPROGRESS`.
    pub fn answer(&self, id: u64, answer: Answer) -> Result<(), Errno> {
        let mut state = self.state.lock();
        state.received(id)?.settle(answer);
        Ok(())
    }

    /// Whether the notification was received and waits for its answer.
    #[must_use]
    pub fn is_valid(&self, id: u64) -> bool {
        self.state.lock().received(id).is_ok()
    }

    /// Gives the asking task a descriptor.
    ///
    /// # Errors
    /// `ENOENT`, `EINPROGRESS`, `EMFILE`, `EBADF`.
    pub fn add(&self, id: u64, addition: Addition) -> Result<Added, Errno> {
        let Addition { file, at, close_on_exec, send } = addition;
        let mut state = self.state.lock();
        let notification = state.received(id)?;
        let task = notification.task.upgrade().ok_or(ENOENT)?;
        let files = task.files().ok_or(ENOENT)?;
        let limit = task.group.limits.soft(limits::NOFILE);
        let (fd, replaced) = match at {
            None => (files.install(file, close_on_exec, 0, limit)?, None),
            Some(fd) => (fd, files.replace(fd, file, close_on_exec, limit)?),
        };
        if send {
            notification.settle(Answer::Return(sign_extend(fd)));
        }
        Ok(Added { fd, replaced, table: files.id() })
    }

    /// What listeners may do.
    #[must_use]
    pub fn poll(&self) -> Ready {
        let state = self.state.lock();
        let any = |phase| state.notifications.iter().any(|other| other.phase == phase);
        Ready::READABLE.when(any(Phase::Asked))
            | Ready::WRITABLE.when(any(Phase::Received))
            | Ready::HUP.when(state.unused)
    }

    /// The listener is gone: whoever asks, now or later, is told `ENOSYS`.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        for notification in &mut state.notifications {
            if !matches!(notification.phase, Phase::Answered(_)) {
                notification.settle(Answer::Return(ENOSYS.as_return()));
            }
        }
    }

    /// No task is under the filter any more.
    pub(super) fn unused(&self) {
        self.state.lock().unused = true;
        self.queue.wake(Ready::HUP);
    }
}

impl State {
    fn find(&mut self, id: u64) -> Option<&mut Notification> {
        self.notifications.iter_mut().find(|notification| notification.id == id)
    }

    fn received(&mut self, id: u64) -> Result<&mut Notification, Errno> {
        let notification = self.find(id).ok_or(ENOENT)?;
        if notification.phase == Phase::Received {
            Ok(notification)
        } else {
            Err(EINPROGRESS.into())
        }
    }
}

impl Notification {
    fn settle(&mut self, answer: Answer) {
        self.phase = Phase::Answered(answer);
        self.queue.wake(Ready::ALL);
    }
}

impl Asked {
    /// The answer, or how to wait for it.
    ///
    /// # Errors
    /// The wait.
    pub fn answer(&self) -> Result<Answer, Block> {
        let mut state = self.notifier.state.lock();
        let phase = state.find(self.id).map(|notification| notification.phase);
        match phase {
            Some(Phase::Answered(answer)) => Ok(answer),
            Some(Phase::Received) if self.wait_killable => {
                Err(self.block().restarting(Restart::Killable))
            }
            Some(_) => Err(self.block()),
            // Only its own task withdraws it, and does not ask any more then.
            None => Ok(Answer::Return(ENOSYS.as_return())),
        }
    }

    fn block(&self) -> Block {
        Block::on_object(ObjectKind::Notification, self.id, &self.queue)
    }

    /// The task does not wait for the answer any more.
    pub fn withdraw(&self) {
        self.notifier.state.lock().notifications.retain(|other| other.id != self.id);
    }
}
