//! Message queues: `msgsnd(2)`, `msgrcv(2)`, `msgctl(2)`.

use super::{Permissions, now_seconds};
use bevor_abi::Errno;
use bevor_abi::errno::{E2BIG, EIDRM};
use bevor_abi::ipc::MSGMNB;
use bevor_base::{Ready, WaitQueue};
use bevor_memory::Account;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes a message is charged with beside its text.
const HEAD_BYTES: u64 = 64;

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its type, positive.
    pub kind: i64,
    /// Its text.
    pub text: Vec<u8>,
}

/// Which message a receiver wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Select {
    /// The oldest.
    First,
    /// The oldest of this type.
    Kind(i64),
    /// The oldest of any other type (`MSG_EXCEPT`).
    Not(i64),
    /// The oldest of the lowest type up to this.
    UpTo(i64),
}

/// What the lock of a queue protects.
#[derive(Debug)]
pub struct MessageState {
    /// Who may use it.
    pub permissions: Permissions,
    messages: VecDeque<Message>,
    /// Bytes of text in it.
    pub bytes: u64,
    /// Most bytes of text in it.
    pub most_bytes: u64,
    /// Time of the last send, seconds; 0 for never.
    pub stime: i64,
    /// Time of the last receive, seconds; 0 for never.
    pub rtime: i64,
    /// Time of the last change by `msgctl`, seconds.
    pub ctime: i64,
    /// Process that sent last.
    pub lspid: i32,
    /// Process that received last.
    pub lrpid: i32,
    removed: bool,
}

impl MessageState {
    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn find(&self, select: Select) -> Option<usize> {
        let position = |wanted: &dyn Fn(i64) -> bool| {
            self.messages.iter().position(|message| wanted(message.kind))
        };
        match select {
            Select::First => position(&|_| true),
            Select::Kind(kind) => position(&|found| found == kind),
            Select::Not(kind) => position(&|found| found != kind),
            Select::UpTo(most) => {
                let kinds = self.messages.iter().map(|message| message.kind);
                let least = kinds.filter(|&kind| kind <= most).min()?;
                position(&|found| found == least)
            }
        }
    }
}

/// A message queue.
pub struct MessageQueue {
    /// Its id.
    pub id: i32,
    /// Woken by every change.
    pub queue: WaitQueue,
    state: Mutex<MessageState>,
    account: Arc<Account>,
}

impl MessageQueue {
    /// An empty queue whose messages `account` pays.
    #[must_use]
    pub fn new(id: i32, permissions: Permissions, account: &Arc<Account>) -> Self {
        let state = MessageState {
            permissions,
            messages: VecDeque::new(),
            bytes: 0,
            most_bytes: MSGMNB.into(),
            stime: 0,
            rtime: 0,
            ctime: now_seconds(),
            lspid: 0,
            lrpid: 0,
            removed: false,
        };
        Self { id, queue: WaitQueue::new(), state: Mutex::new(state), account: account.clone() }
    }

    /// Looks at or changes it. Call [`MessageQueue::changed`] after a change of `most_bytes`.
    pub fn state(&self) -> MutexGuard<'_, MessageState> {
        self.state.lock()
    }

    /// Wakes whoever waits, without the state's lock.
    pub fn changed(&self) {
        self.queue.wake(Ready::IN);
    }

    /// Ends it: whoever waits learns that it is gone.
    pub fn end(&self) {
        self.state.lock().removed = true;
        self.changed();
    }

    /// Adds a message from process `pid`; gives it back when there is no room.
    ///
    /// # Errors
    /// `EIDRM`, `ENOMEM`.
    pub fn send(&self, message: Message, pid: i32) -> Result<Option<Message>, Errno> {
        let mut state = self.state.lock();
        if state.removed {
            return Err(EIDRM.into());
        }
        let len = message.text.len() as u64;
        let full = state.bytes + len > state.most_bytes
            || state.messages.len() as u64 + 1 > state.most_bytes;
        if full {
            return Ok(Some(message));
        }
        self.account.charge(HEAD_BYTES + len)?;
        state.bytes += len;
        state.stime = now_seconds();
        state.lspid = pid;
        state.messages.push_back(message);
        drop(state);
        self.changed();
        Ok(None)
    }

    /// Takes the message `select` asks for, for process `pid`. A longer one than `room` stays,
    /// unless `cut` allows to cut it. `None` when there is none.
    ///
    /// # Errors
    /// `E2BIG`, `EIDRM`.
    pub fn receive(
        &self,
        select: Select,
        room: usize,
        cut: bool,
        pid: i32,
    ) -> Result<Option<Message>, Errno> {
        let mut state = self.state.lock();
        if state.removed {
            return Err(EIDRM.into());
        }
        let Some(index) = state.find(select) else { return Ok(None) };
        if !cut && state.messages.get(index).is_some_and(|message| message.text.len() > room) {
            return Err(E2BIG.into());
        }
        let Some(mut message) = state.messages.remove(index) else { return Ok(None) };
        let len = message.text.len() as u64;
        state.bytes -= len;
        state.rtime = now_seconds();
        state.lrpid = pid;
        drop(state);
        self.account.uncharge(HEAD_BYTES + len);
        self.changed();
        message.text.truncate(room);
        Ok(Some(message))
    }

    /// A copy of the message at this position (`MSG_COPY`).
    ///
    /// # Errors
    /// `E2BIG`, `EIDRM`.
    pub fn peek(&self, index: usize, room: usize, cut: bool) -> Result<Option<Message>, Errno> {
        let state = self.state.lock();
        if state.removed {
            return Err(EIDRM.into());
        }
        let Some(message) = state.messages.get(index) else { return Ok(None) };
        if !cut && message.text.len() > room {
            return Err(E2BIG.into());
        }
        let mut message = message.clone();
        message.text.truncate(room);
        Ok(Some(message))
    }
}

impl std::fmt::Debug for MessageQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageQueue({})", self.id)
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        self.account.uncharge(state.bytes + HEAD_BYTES * state.messages.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_base::{Credentials, UserNamespace};

    fn queue(account: &Arc<Account>, kinds: &[i64]) -> MessageQueue {
        let cred = Credentials::user(0, 0, &[], UserNamespace::initial());
        let queue = MessageQueue::new(1, Permissions::new(0, 0o600, 0, &cred), account);
        for &kind in kinds {
            assert_eq!(queue.send(Message { kind, text: vec![7; 3] }, 1), Ok(None));
        }
        queue
    }

    #[test]
    fn receivers_choose_by_type() {
        let account = Arc::new(Account::new(u64::MAX));
        let queue = queue(&account, &[4, 2, 3, 2, 9]);
        let next = |select| queue.receive(select, 9, false, 1).unwrap().map(|m| m.kind);
        assert_eq!(next(Select::UpTo(3)), Some(2));
        assert_eq!(next(Select::Kind(9)), Some(9));
        assert_eq!(next(Select::Not(4)), Some(3));
        assert_eq!(next(Select::UpTo(1)), None);
        assert_eq!(next(Select::First), Some(4));
        assert_eq!(queue.state().len(), 1);
        drop(queue);
        assert_eq!(account.charged(), 0);
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let account = Arc::new(Account::new(u64::MAX));
        let queue = queue(&account, &[1]);
        queue.state().most_bytes = 4;
        let back = queue.send(Message { kind: 1, text: vec![1; 2] }, 1).unwrap();
        assert_eq!(back.map(|message| message.text.len()), Some(2));
        queue.end();
        assert_eq!(queue.receive(Select::First, 9, false, 1).unwrap_err(), EIDRM);
    }

    #[test]
    fn long_messages_are_cut_only_where_that_is_allowed() {
        let account = Arc::new(Account::new(u64::MAX));
        let queue = queue(&account, &[1]);
        assert_eq!(queue.receive(Select::First, 2, false, 1).unwrap_err(), E2BIG);
        assert_eq!(queue.peek(0, 1, true).unwrap().map(|m| m.text.len()), Some(1));
        let cut = queue.receive(Select::First, 2, true, 1).unwrap();
        assert_eq!(cut.map(|message| message.text.len()), Some(2));
    }
}
