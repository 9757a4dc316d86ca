//! Telling a process of a message by a signal, or not at all: `mq_notify(2)`.

use crate::group::ThreadGroup;
use crate::signal::{Detail, Info, send};
use crate::task::Task;
use bevor_abi::signal::SI_MESGQ;
use bevor_abi::time::{SIGEV_NONE, SIGEV_SIGNAL};
use bevor_vfs::caller::Caller;
use bevor_vfs::mqueue::Notifier;
use std::sync::{Arc, Weak};

/// A process that gets a signal when a message arrives.
pub struct MessageSignal {
    group: Weak<ThreadGroup>,
    process: u64,
    pid: i32,
    /// The signal and its value; `None` for `SIGEV_NONE`.
    signal: Option<(i32, u64)>,
}

impl MessageSignal {
    /// Sends `group` the signal `signo` with `value`; without them it is registered, but not told.
    #[must_use]
    pub fn new(group: &Arc<ThreadGroup>, signal: Option<(i32, u64)>) -> Self {
        let pid = group.pid.number_or_zero(group.pid.namespace());
        Self { group: Arc::downgrade(group), process: group.id(), pid, signal }
    }
}

impl Notifier for MessageSignal {
    fn process(&self) -> u64 {
        self.process
    }

    fn is_alive(&self) -> bool {
        self.group.upgrade().is_some_and(|group| !group.threads.lock().is_empty())
    }

    fn shown(&self) -> (u32, i32, i32) {
        match self.signal {
            Some((signo, _)) => (SIGEV_SIGNAL, signo, self.pid),
            None => (SIGEV_NONE, 0, self.pid),
        }
    }

    fn arrived(&self, sender: &dyn Caller) {
        let Some((signo, value)) = self.signal.filter(|signal| signal.0 != 0) else { return };
        let Some(group) = self.group.upgrade() else { return };
        let sending = sender.as_any().downcast_ref::<Task>();
        let pid = sending.map_or(0, |task| task.group.pid.number_or_zero(group.pid.namespace()));
        let detail = Detail::Queue { pid, uid: sender.cred().ruid, value };
        send::to_group(&group, Info { signo, errno: 0, code: SI_MESGQ, detail });
    }

    fn removed(&self) {}
}
