//! Signals that tell of readiness: `SIGIO`, `SIGURG` (`fcntl(2)`, "Managing signals").

use super::{Detail, Info, send};
use crate::kernel::Kernel;
use crate::pid::{Pid, PidNamespace};
use crate::task::Task;
use bevor_abi::Errno;
use bevor_abi::landlock::LANDLOCK_SCOPE_SIGNAL;
use bevor_abi::signal::{SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGSEGV, SIGSYS, SIGTRAP, SIGURG};
use bevor_base::landlock::Domain;
use bevor_vfs::fasync::{IoSignal, Receiver};
use std::any::Any;
use std::sync::{Arc, Weak};

/// `SI_SIGIO`.
const SI_SIGIO: i32 = -5;

/// What kind of identity an owner is (`F_SETOWN_EX`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnerKind {
    /// `F_OWNER_TID`.
    Thread,
    /// `F_OWNER_PID`.
    Process,
    /// `F_OWNER_PGRP`.
    Group,
}

/// The owner of an open file description, with the rights of whoever named it.
pub struct IoOwner {
    /// What it is.
    pub kind: OwnerKind,
    /// Whom it names, if anybody.
    pub pid: Option<Arc<Pid>>,
    /// Real user of whoever named it.
    pub uid: u32,
    /// Effective user of whoever named it.
    pub euid: u32,
    /// The Landlock domain of whoever named it, and its process.
    domain: Option<(Arc<Domain>, u64)>,
    kernel: Weak<Kernel>,
}

impl IoOwner {
    /// The owner `pid`, named by `task`.
    #[must_use]
    pub fn new(kind: OwnerKind, pid: Option<Arc<Pid>>, task: &Task) -> Arc<Self> {
        let cred = task.cred();
        let kernel = Arc::downgrade(&task.kernel);
        let domain = cred.landlock.clone().map(|domain| (domain, task.group.id()));
        Arc::new(Self { kind, pid, uid: cred.ruid, euid: cred.euid, domain, kernel })
    }

    /// Its number as seen from `ns`; 0 for nobody, or nobody any more.
    #[must_use]
    pub fn number(&self, ns: &PidNamespace) -> i32 {
        let (Some(kernel), Some(pid)) = (self.kernel.upgrade(), &self.pid) else { return 0 };
        let tree = kernel.tree.lock();
        let alive = match self.kind {
            OwnerKind::Thread | OwnerKind::Process => {
                tree.task(pid).is_some() || tree.node(pid).is_some()
            }
            OwnerKind::Group => tree.members(pid).next().is_some(),
        };
        drop(tree);
        if alive { pid.number_or_zero(ns) } else { 0 }
    }

    /// The tasks that stand for whom it names, as far as whoever named it may signal them.
    fn targets(&self) -> Vec<Arc<Task>> {
        let Some(pid) = &self.pid else { return Vec::new() };
        let Some(kernel) = self.kernel.upgrade() else { return Vec::new() };
        let tree = kernel.tree.lock();
        let mut found: Vec<_> = match self.kind {
            OwnerKind::Thread | OwnerKind::Process => tree.task(pid).cloned().into_iter().collect(),
            OwnerKind::Group => {
                let leader = |node: &crate::tree::Node| node.group.threads.lock().first().cloned();
                tree.members(pid).filter_map(leader).collect()
            }
        };
        drop(tree);
        found.retain(|task| {
            let target = task.cred();
            if let Some((domain, group)) = &self.domain
                && task.group.id() != *group
                && domain.keeps_from(target.landlock.as_ref(), LANDLOCK_SCOPE_SIGNAL)
            {
                return false;
            }
            self.euid == 0
                || [self.euid, self.uid].iter().any(|&id| id == target.suid || id == target.ruid)
        });
        found
    }

    fn send(&self, task: &Arc<Task>, info: Info) -> Result<(), Errno> {
        match self.kind {
            OwnerKind::Thread => send::try_to_task(task, info),
            _ => send::try_to_group(&task.group, info),
        }
    }
}

/// Whether the positive codes of a signal mean something of its own.
fn has_own_codes(signo: i32) -> bool {
    [SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP, SIGCHLD, SIGSYS]
        .iter()
        .any(|signal| signal.number() == signo)
}

impl Receiver for IoOwner {
    fn io(&self, signal: IoSignal) {
        let plain = Info::kernel(SIGIO.number());
        let detailed = (signal.signo != 0).then(|| Info {
            signo: signal.signo,
            errno: 0,
            code: if has_own_codes(signal.signo) { SI_SIGIO } else { signal.band.code() },
            detail: Detail::Poll { band: signal.band.bits(), fd: signal.fd },
        });
        for task in self.targets() {
            // A full queue loses the details, not the news.
            let sent = detailed.is_some_and(|info| self.send(&task, info).is_ok());
            if !sent {
                let _ = self.send(&task, plain);
            }
        }
    }

    fn urgent(&self) {
        for task in self.targets() {
            let _ = self.send(&task, Info::kernel(SIGURG.number()));
        }
    }

    fn is_somebody(&self) -> bool {
        self.pid.is_some()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
