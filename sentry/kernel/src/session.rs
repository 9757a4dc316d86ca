//! Process groups, sessions and controlling terminals (`credentials(7)`, `setsid(2)`).

use crate::group::ThreadGroup;
use crate::kernel::Kernel;
use crate::pid::Pid;
use crate::signal::{self, Info, SIGCONT};
use crate::task::Task;
use crate::tree::{SessionTty, Tree};
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EINVAL, EPERM, ESRCH};
use bevor_vfs::caller::JobControl;
use std::sync::Arc;

/// `SIGHUP`.
const SIGHUP: i32 = 1;

impl Task {
    /// `setsid(2)`.
    ///
    /// # Errors
    /// `EPERM` if the caller leads a process group.
    pub fn set_sid(&self) -> Result<i32, Errno> {
        let mut tree = self.kernel.tree.lock();
        let pid = self.group.pid.clone();
        if tree.members(&pid).next().is_some() {
            return Err(EPERM.into());
        }
        let node = tree.nodes.get_mut(&pid.id).ok_or(ESRCH)?;
        node.pgrp = pid.clone();
        node.session = pid.clone();
        drop(tree);
        let threads = self.group.threads.lock().clone();
        for task in threads {
            task.expire_answers();
        }
        Ok(pid.own_number())
    }

    /// `setpgid(2)`; 0 means the caller, or the process itself.
    ///
    /// # Errors
    /// `ESRCH`, `EACCES` (has called `execve`), `EPERM`, `EINVAL`.
    pub fn set_pgid(&self, pid: i32, pgid: i32) -> Result<(), Errno> {
        if pgid < 0 {
            return Err(EINVAL.into());
        }
        let ns = self.pid().namespace().clone();
        let mut tree = self.kernel.tree.lock();
        let own = self.group.pid.clone();
        let target = if pid == 0 { own.clone() } else { ns.find(pid).ok_or(ESRCH)? };
        let caller_session = tree.node(&own).ok_or(ESRCH)?.session.clone();
        let node = tree.node(&target).ok_or(ESRCH)?;
        if target.id != own.id {
            if node.parent != own.id {
                return Err(ESRCH.into());
            }
            if node.session.id != caller_session.id {
                return Err(EPERM.into());
            }
            if node.has_execed {
                return Err(EACCES.into());
            }
        }
        if node.session.id == target.id {
            return Err(EPERM.because("session leader"));
        }
        let pgrp = if pgid == 0 { target.clone() } else { ns.find(pgid).ok_or(EPERM)? };
        let joins_own = pgrp.id == target.id;
        let joinable = tree.members(&pgrp).any(|node| node.session.id == caller_session.id);
        if !joins_own && !joinable {
            return Err(EPERM.into());
        }
        let Some(node) = tree.nodes.get_mut(&target.id) else { return Err(ESRCH.into()) };
        node.pgrp = pgrp;
        let threads = node.group.threads.lock().clone();
        drop(tree);
        for task in threads {
            task.expire_answers();
        }
        Ok(())
    }

    /// `getpgid(2)`.
    ///
    /// # Errors
    /// `ESRCH`.
    pub fn get_pgid(&self, pid: i32) -> Result<i32, Errno> {
        self.with_node(pid, |node, ns| node.pgrp.number_or_zero(ns))
    }

    /// `getsid(2)`.
    ///
    /// # Errors
    /// `ESRCH`.
    pub fn get_sid(&self, pid: i32) -> Result<i32, Errno> {
        self.with_node(pid, |node, ns| node.session.number_or_zero(ns))
    }

    fn with_node<T>(
        &self,
        pid: i32,
        read: impl FnOnce(&crate::tree::Node, &crate::pid::PidNamespace) -> T,
    ) -> Result<T, Errno> {
        let ns = self.pid().namespace().clone();
        let tree = self.kernel.tree.lock();
        let target = if pid == 0 { self.group.pid.clone() } else { ns.find(pid).ok_or(ESRCH)? };
        // A thread id names its process.
        let leader = tree.task(&target).map_or(target.id, |task| task.group.id());
        Ok(read(tree.nodes.get(&leader).ok_or(ESRCH)?, &ns))
    }

    fn own_session(&self, tree: &Tree) -> Option<Arc<Pid>> {
        Some(tree.node(&self.group.pid)?.session.clone())
    }
}

impl JobControl for Task {
    fn sid(&self) -> i32 {
        self.get_sid(0).unwrap_or(0)
    }

    fn pgid(&self) -> i32 {
        self.get_pgid(0).unwrap_or(0)
    }

    fn is_session_leader(&self) -> bool {
        let tree = self.kernel.tree.lock();
        self.own_session(&tree).is_some_and(|session| session.id == self.group.id())
    }

    fn group_in_session(&self, pgid: i32, sid: i32) -> bool {
        let ns = self.pid().namespace().clone();
        let (Some(pgrp), Some(session)) = (ns.find(pgid), ns.find(sid)) else { return false };
        let tree = self.kernel.tree.lock();
        tree.members(&pgrp).any(|node| node.session.id == session.id)
    }

    fn is_orphaned(&self, pgid: i32) -> bool {
        let Some(pgrp) = self.pid().namespace().find(pgid) else { return true };
        self.kernel.tree.lock().is_orphaned(&pgrp, None)
    }

    fn ignores(&self, signo: i32) -> bool {
        let blocked = self.signals.lock().blocked;
        blocked & signal::bit(signo) != 0
            || self.group.handlers().get(signo).handler == signal::SIG_IGN
    }

    fn signal_group(&self, pgid: i32, signo: i32) {
        let Some(pgrp) = self.pid().namespace().find(pgid) else { return };
        self.kernel.signal_pgrp(&pgrp, Info::kernel(signo));
    }

    fn controlling_tty(&self) -> Option<u64> {
        let tree = self.kernel.tree.lock();
        let session = self.own_session(&tree)?;
        Some(tree.terminals.get(&session.id)?.tty)
    }

    fn set_controlling_tty(&self, tty: u64) -> Result<(), Errno> {
        let mut tree = self.kernel.tree.lock();
        let session = self.own_session(&tree).ok_or(EPERM)?;
        if session.id != self.group.id() || tree.terminals.contains_key(&session.id) {
            return Err(EPERM.into());
        }
        tree.terminals.insert(session.id, SessionTty { tty });
        Ok(())
    }

    fn drop_controlling_tty(&self) {
        let mut tree = self.kernel.tree.lock();
        if let Some(session) = self.own_session(&tree) {
            tree.terminals.remove(&session.id);
        }
    }
}

impl Kernel {
    /// Sends a signal to every process of a group.
    pub fn signal_pgrp(&self, pgrp: &Pid, info: Info) {
        let tree = self.tree.lock();
        let living = tree.members(pgrp).filter(|node| node.zombie.is_none());
        let groups: Vec<_> = living.map(|node| node.group.clone()).collect();
        drop(tree);
        for group in groups {
            signal::send::to_group(&group, info);
            if info.signo == SIGCONT {
                self.report_continued(&group);
            }
        }
    }

    /// The end of a session's leader takes the terminal away and hangs up its process groups.
    pub fn session_leader_ended(&self, tree: &mut Tree, group: &Arc<ThreadGroup>) {
        let is_leader =
            tree.nodes.get(&group.id()).is_some_and(|node| node.session.id == group.id());
        if !is_leader || tree.terminals.remove(&group.id()).is_none() {
            return;
        }
        let members = tree.nodes.values().filter(|node| {
            node.session.id == group.id() && node.zombie.is_none() && node.group.id() != group.id()
        });
        for node in members {
            signal::send::to_group(&node.group, Info::kernel(SIGHUP));
            signal::send::to_group(&node.group, Info::kernel(SIGCONT));
        }
    }
}
