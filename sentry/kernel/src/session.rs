//! Process groups, sessions and controlling terminals (`credentials(7)`, `setsid(2)`).

use crate::group::ThreadGroup;
use crate::kernel::Kernel;
use crate::pid::Pid;
use crate::signal::{self, Info, SIGCONT};
use crate::task::Task;
use crate::tree::{Tree, TtyUse};
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EINVAL, EIO, ENOTTY, EPERM, ERESTARTSYS, ESRCH};
use bevor_vfs::caller::JobControl;
use bevor_vfs::tty::{Sessions, Terminal};
use std::sync::{Arc, Weak};

/// `SIGHUP`.
const SIGHUP: i32 = 1;
/// `SIGTTIN`.
const SIGTTIN: i32 = 21;

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
        node.tty = None;
        node.old_foreground = None;
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
}

impl Task {
    /// Whether the caller leads a session, which has no terminal yet.
    fn may_take_terminal(&self, tree: &Tree) -> Result<Arc<Pid>, Errno> {
        let node = tree.node(&self.group.pid).ok_or(EPERM)?;
        if node.session.id != self.group.id() || node.tty.is_some() {
            return Err(EPERM.into());
        }
        Ok(node.session.clone())
    }
}

impl JobControl for Task {
    fn sessions(&self) -> Weak<dyn Sessions> {
        let kernel: Weak<Kernel> = Arc::downgrade(&self.kernel);
        kernel
    }

    fn controlling_tty(&self) -> Option<Arc<dyn Terminal>> {
        self.kernel.tree.lock().node(&self.group.pid)?.tty.clone()
    }

    fn take_terminal(&self, tty: &Arc<dyn Terminal>, steal: bool) -> Result<(), Errno> {
        let mut tree = self.kernel.tree.lock();
        let current = tree.terminals.get(&tty.id()).map(|used| used.session.id);
        if current == Some(self.group.id()) {
            return Ok(());
        }
        self.may_take_terminal(&tree)?;
        if current.is_some() {
            if !steal {
                return Err(EPERM.because("the terminal of another session"));
            }
            tree.detach_session(tty.id());
        }
        tree.attach(self.group.id(), tty);
        Ok(())
    }

    fn take_free_terminal(&self, tty: &Arc<dyn Terminal>) -> Result<(), Errno> {
        let mut tree = self.kernel.tree.lock();
        self.may_take_terminal(&tree)?;
        if tree.terminals.contains_key(&tty.id()) {
            return Err(EPERM.into());
        }
        tree.attach(self.group.id(), tty);
        Ok(())
    }

    fn give_up_terminal(&self) {
        let mut tree = self.kernel.tree.lock();
        let Some(node) = tree.nodes.get_mut(&self.group.id()) else { return };
        if node.session.id != self.group.id() {
            node.tty = None;
            return;
        }
        let Some(tty) = node.tty.take() else { return };
        let foreground = tree.detach_session(tty.id());
        drop(tree);
        if let Some(foreground) = foreground {
            self.kernel.signal_pgrp(&foreground, Info::kernel(SIGHUP));
            self.kernel.signal_pgrp(&foreground, Info::kernel(SIGCONT));
        }
    }

    fn check_background(&self, tty: u64, signo: i32) -> Result<(), Errno> {
        let tree = self.kernel.tree.lock();
        let Some(node) = tree.node(&self.group.pid) else { return Ok(()) };
        if node.tty.as_ref().is_none_or(|own| own.id() != tty) {
            return Ok(());
        }
        let Some(used) = tree.terminals.get(&tty) else { return Ok(()) };
        if used.foreground.id == node.pgrp.id {
            return Ok(());
        }
        if self.ignores(signo) {
            return if signo == SIGTTIN { Err(EIO.into()) } else { Ok(()) };
        }
        let pgrp = node.pgrp.clone();
        if tree.is_orphaned(&pgrp, None) {
            return Err(EIO.because("an orphaned process group in the background"));
        }
        drop(tree);
        self.kernel.signal_pgrp(&pgrp, Info::kernel(signo));
        Err(ERESTARTSYS.into())
    }

    fn foreground(&self, tty: u64) -> i32 {
        let tree = self.kernel.tree.lock();
        let used = tree.terminals.get(&tty);
        used.map_or(0, |used| used.foreground.number_or_zero(self.pid().namespace()))
    }

    fn session_of(&self, tty: u64) -> Option<i32> {
        let tree = self.kernel.tree.lock();
        Some(tree.terminals.get(&tty)?.session.number_or_zero(self.pid().namespace()))
    }

    fn set_foreground(&self, tty: u64, pgid: i32) -> Result<(), Errno> {
        if pgid < 0 {
            return Err(EINVAL.into());
        }
        let pgrp = self.pid().namespace().find(pgid);
        let mut tree = self.kernel.tree.lock();
        let node = tree.node(&self.group.pid).ok_or(ENOTTY)?;
        let session = node.session.id;
        let own = node.tty.as_ref().is_some_and(|own| own.id() == tty);
        let used = tree.terminals.get(&tty).filter(|used| own && used.session.id == session);
        if used.is_none() {
            return Err(ENOTTY.into());
        }
        let pgrp = pgrp.ok_or(ESRCH)?;
        let is_ours = tree.members(&pgrp).any(|member| member.session.id == session);
        if !is_ours {
            return Err(EPERM.because("a process group of another session"));
        }
        if let Some(used) = tree.terminals.get_mut(&tty) {
            used.foreground = pgrp;
        }
        Ok(())
    }
}

impl Task {
    /// Whether the task blocks or ignores a signal.
    fn ignores(&self, signo: i32) -> bool {
        let blocked = self.signals.lock().blocked;
        blocked & signal::bit(signo) != 0
            || self.group.handlers().get(signo).handler == signal::SIG_IGN
    }
}

impl Tree {
    /// Makes `tty` the terminal of the session that process `leader` leads.
    fn attach(&mut self, leader: u64, tty: &Arc<dyn Terminal>) {
        let Some(node) = self.nodes.get_mut(&leader) else { return };
        node.tty = Some(tty.clone());
        node.old_foreground = None;
        let used = TtyUse { session: node.session.clone(), foreground: node.pgrp.clone() };
        self.terminals.insert(tty.id(), used);
    }

    /// Takes terminal `tty` away from the session it controls; what was in the foreground.
    pub fn detach_session(&mut self, tty: u64) -> Option<Arc<Pid>> {
        let used = self.terminals.remove(&tty)?;
        for node in self.nodes.values_mut() {
            if node.session.id == used.session.id {
                node.tty.take_if(|own| own.id() == tty);
            }
        }
        Some(used.foreground)
    }
}

impl Sessions for Kernel {
    fn signal_foreground(&self, tty: u64, signo: i32) {
        if let Some(foreground) = self.foreground_of(tty) {
            self.signal_pgrp(&foreground, Info::kernel(signo));
        }
    }

    fn hung_up(&self, tty: u64) {
        let mut tree = self.tree.lock();
        let Some(used) = tree.terminals.get(&tty).cloned() else { return };
        tree.detach_session(tty);
        let Some(leader) = tree.nodes.get_mut(&used.session.id) else { return };
        leader.old_foreground = Some(used.foreground);
        let group = leader.group.clone();
        drop(tree);
        signal::send::to_group(&group, Info::kernel(SIGHUP));
        signal::send::to_group(&group, Info::kernel(SIGCONT));
        self.report_continued(&group);
    }
}

impl Kernel {
    /// The foreground process group of a terminal.
    #[must_use]
    pub fn foreground_of(&self, tty: u64) -> Option<Arc<Pid>> {
        Some(self.tree.lock().terminals.get(&tty)?.foreground.clone())
    }

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

    /// The end of a session's leader takes the session's terminal away and hangs up what is in the
    /// foreground (`setsid(2)`, `TIOCNOTTY`).
    pub fn session_leader_ended(&self, tree: &mut Tree, group: &Arc<ThreadGroup>) {
        let Some(node) = tree.nodes.get_mut(&group.id()) else { return };
        if node.session.id != group.id() {
            node.tty = None;
            return;
        }
        let (hung_up, signals) = match (node.tty.take(), node.old_foreground.take()) {
            (Some(tty), _) => (tree.detach_session(tty.id()), &[SIGHUP][..]),
            // The terminal went first: its processes were not told.
            (None, old) => (old, &[SIGHUP, SIGCONT][..]),
        };
        let Some(pgrp) = hung_up else { return };
        for node in tree.members(&pgrp) {
            if node.zombie.is_none() && node.group.id() != group.id() {
                for &signo in signals {
                    signal::send::to_group(&node.group, Info::kernel(signo));
                }
            }
        }
    }
}
