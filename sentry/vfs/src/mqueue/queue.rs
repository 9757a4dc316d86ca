//! A queue: messages by priority, and who is told of the first.

use crate::caller::Caller;
use bevor_abi::Errno;
use bevor_abi::errno::EBUSY;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::Account;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bytes a message is charged with beside its text (`struct msg_msg`), and what the limit of a user
/// counts for each.
pub(super) const HEAD_BYTES: u64 = 48;

/// How much a queue takes (`mq_maxmsg`, `mq_msgsize` of `mq_getattr(3)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most messages.
    pub messages: u64,
    /// Longest message, bytes.
    pub size_bytes: u64,
}

/// Who asked to be told when a message arrives in the empty queue (`mq_notify(2)`).
pub trait Notifier: Send + Sync {
    /// The process, by a number that is never used again.
    fn process(&self) -> u64;

    /// Whether the process still is.
    fn is_alive(&self) -> bool;

    /// `NOTIFY`, `SIGNO` and `NOTIFY_PID` of the queue's file.
    fn shown(&self) -> (u32, i32, i32);

    /// A message of `sender` arrived.
    fn arrived(&self, sender: &dyn Caller);

    /// It is no longer registered, and nothing arrived.
    fn removed(&self);
}

/// A message taken out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Its priority.
    pub priority: u32,
    /// Its text.
    pub text: Vec<u8>,
}

#[derive(Default)]
struct State {
    /// By priority, the oldest of each first. No list is empty.
    messages: BTreeMap<u32, VecDeque<Vec<u8>>>,
    count: u64,
    bytes: u64,
    notifier: Option<Arc<dyn Notifier>>,
}

/// A queue.
pub struct Queue {
    limits: Limits,
    account: Arc<Account>,
    state: Mutex<State>,
    /// Receivers that wait for a message.
    pub receivers: WaitQueue,
    /// Senders that wait for room.
    pub senders: WaitQueue,
    /// Who polls.
    pub pollers: WaitQueue,
}

impl Queue {
    /// An empty queue whose messages `account` pays.
    #[must_use]
    pub fn new(limits: Limits, account: &Arc<Account>) -> Self {
        Self {
            limits,
            account: account.clone(),
            state: Mutex::default(),
            receivers: WaitQueue::new(),
            senders: WaitQueue::new(),
            pollers: WaitQueue::new(),
        }
    }

    /// How much it takes.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.state.lock().count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a message of `sender`; `false` when there is no room.
    ///
    /// # Errors
    /// `ENOMEM`: the container's limit.
    pub fn send(&self, text: Vec<u8>, priority: u32, sender: &dyn Caller) -> Result<bool, Errno> {
        let mut state = self.state.lock();
        // What waiting receivers are about to take is as good as gone.
        let waiting = self.receivers.len() as u64;
        if state.count.saturating_sub(waiting) >= self.limits.messages {
            return Ok(false);
        }
        let len = text.len() as u64;
        self.account.charge(HEAD_BYTES + len)?;
        state.messages.entry(priority).or_default().push_back(text);
        state.count += 1;
        state.bytes += len;
        let first = state.count.checked_sub(waiting) == Some(1);
        let notifier = if first { state.notifier.take() } else { None };
        drop(state);
        if let Some(notifier) = notifier {
            notifier.arrived(sender);
        }
        self.receivers.wake(Ready::ALL);
        self.pollers.wake(Ready::READABLE);
        Ok(true)
    }

    /// Takes the oldest message of the highest priority.
    pub fn receive(&self) -> Option<Taken> {
        let mut state = self.state.lock();
        let mut oldest = state.messages.last_entry()?;
        let priority = *oldest.key();
        let text = oldest.get_mut().pop_front()?;
        if oldest.get().is_empty() {
            oldest.remove();
        }
        let len = text.len() as u64;
        state.count -= 1;
        state.bytes -= len;
        drop(state);
        self.account.uncharge(HEAD_BYTES + len);
        self.senders.wake(Ready::ALL);
        self.pollers.wake(Ready::WRITABLE);
        Some(Taken { priority, text })
    }

    /// Registers who is told of the next message that finds the queue empty.
    ///
    /// # Errors
    /// `EBUSY`: somebody is registered.
    pub fn register(&self, notifier: Arc<dyn Notifier>) -> Result<(), Errno> {
        let mut state = self.state.lock();
        if state.notifier.as_ref().is_some_and(|known| known.is_alive()) {
            return Err(EBUSY.into());
        }
        state.notifier = Some(notifier);
        Ok(())
    }

    /// Drops the registration of a process, if it has it.
    pub fn unregister(&self, process: u64) {
        let mut state = self.state.lock();
        let removed = state.notifier.take_if(|known| known.process() == process);
        drop(state);
        if let Some(notifier) = removed {
            notifier.removed();
        }
    }

    /// Readiness.
    #[must_use]
    pub fn poll(&self) -> Ready {
        let count = self.len();
        Ready::READABLE.when(count > 0) | Ready::WRITABLE.when(count < self.limits.messages)
    }

    /// What its file reads as.
    #[must_use]
    pub fn text(&self) -> String {
        let (bytes, notifier) = {
            let state = self.state.lock();
            (state.bytes, state.notifier.clone())
        };
        let known = notifier.filter(|known| known.is_alive());
        let (notify, signo, pid) = known.map_or((0, 0, 0), |known| known.shown());
        format!("QSIZE:{bytes:<10} NOTIFY:{notify:<5} SIGNO:{signo:<5} NOTIFY_PID:{pid:<6}\n")
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        self.account.uncharge(state.bytes + state.count * HEAD_BYTES);
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({:?})", self.limits)
    }
}
