//! The process tree: parents and children, process groups, sessions, zombies.
//!
//! One lock, [`Kernel::tree`](crate::Kernel), guards all of it; it is the outermost of the kernel's
//! locks. Relations are kept by number (the [`Pid::id`] of a group's leader), so that the tree is
//! plain data.

use crate::group::ThreadGroup;
use crate::pid::Pid;
use crate::ptrace::Traced;
use crate::task::Task;
use bevor_vfs::tty::Terminal;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How a process ended, or what it reports to `wait` (`wait(2)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// `exit(code)`.
    Exited(u8),
    /// Killed by a signal; `core` if the action dumps core.
    Signaled {
        /// The signal.
        signo: i32,
        /// Whether `WCOREDUMP` is set.
        core: bool,
    },
}

impl ExitStatus {
    /// The status word of `wait4`.
    #[must_use]
    pub fn wait_word(self) -> i32 {
        match self {
            Self::Exited(code) => i32::from(code) << 8,
            Self::Signaled { signo, core } => signo | if core { 0x80 } else { 0 },
        }
    }

    /// What a shell shows: the code, or 128 + signal.
    #[must_use]
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Exited(code) => i32::from(code),
            Self::Signaled { signo, .. } => 128 + signo,
        }
    }

    /// `si_code` and `si_status` of the `SIGCHLD` that reports it.
    #[must_use]
    pub fn child_info(self) -> (i32, i32) {
        match self {
            Self::Exited(code) => (1, i32::from(code)),
            Self::Signaled { signo, core: false } => (2, signo),
            Self::Signaled { signo, core: true } => (3, signo),
        }
    }
}

/// A job-control change a parent has not waited for yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobEvent {
    /// Stopped by this signal.
    Stopped(i32),
    /// Continued by `SIGCONT`.
    Continued,
}

/// Place of one thread group in the tree.
#[derive(Debug)]
pub struct Node {
    /// The process.
    pub group: Arc<ThreadGroup>,
    /// Its parent, 0 for none (a container's init).
    pub parent: u64,
    /// The thread that made it, while that is one of its parent's.
    pub made_by: u64,
    /// Its children, oldest first.
    pub children: Vec<u64>,
    /// Its process group.
    pub pgrp: Arc<Pid>,
    /// Its session.
    pub session: Arc<Pid>,
    /// Signal its parent gets when it ends; 0 for none.
    pub exit_signal: i32,
    /// `PR_SET_CHILD_SUBREAPER`.
    pub subreaper: bool,
    /// Set once it has ended and waits to be reaped.
    pub zombie: Option<ExitStatus>,
    /// Not yet waited-for stop or continue.
    pub job_event: Option<JobEvent>,
    /// Whether it has called `execve` (then its parent may not `setpgid` it).
    pub has_execed: bool,
    /// Its controlling terminal.
    pub tty: Option<Arc<dyn Terminal>>,
    /// The foreground group of a terminal that was hung up under this leader of a session.
    pub old_foreground: Option<Arc<Pid>>,
}

/// Who uses a terminal.
#[derive(Clone, Debug)]
pub struct TtyUse {
    /// The session it controls.
    pub session: Arc<Pid>,
    /// The foreground process group.
    pub foreground: Arc<Pid>,
}

/// Every task and process of the sandbox.
#[derive(Debug, Default)]
pub struct Tree {
    /// Living tasks by [`Pid::id`].
    pub tasks: HashMap<u64, Arc<Task>>,
    /// Processes, living or zombie, by [`Pid::id`] of their leader.
    pub nodes: HashMap<u64, Node>,
    /// The terminals that control a session, by their number.
    pub terminals: HashMap<u64, TtyUse>,
    /// Traced tasks by [`Pid::id`], until their tracer has awaited their end.
    pub tracees: BTreeMap<u64, Traced>,
}

impl Tree {
    /// The living thread with this identity.
    #[must_use]
    pub fn task(&self, pid: &Pid) -> Option<&Arc<Task>> {
        self.tasks.get(&pid.id)
    }

    /// The process led by this identity, living or zombie.
    #[must_use]
    pub fn node(&self, pid: &Pid) -> Option<&Node> {
        self.nodes.get(&pid.id)
    }

    /// Members of a process group.
    pub fn members<'a>(&'a self, pgrp: &'a Pid) -> impl Iterator<Item = &'a Node> + 'a {
        self.nodes.values().filter(move |node| node.pgrp.id == pgrp.id)
    }

    /// Whether no member of `pgrp` has a living parent in another group of the same session
    /// (POSIX: orphaned process group), not counting `except`.
    #[must_use]
    pub fn is_orphaned(&self, pgrp: &Pid, except: Option<u64>) -> bool {
        !self.nodes.iter().any(|(id, node)| {
            node.pgrp.id == pgrp.id
                && Some(*id) != except
                && node.zombie.is_none()
                && match self.nodes.get(&node.parent) {
                    Some(parent) => {
                        parent.pgrp.id != pgrp.id && parent.session.id == node.session.id
                    }
                    // The program of `bevor do` has a parent outside: the shell that started it.
                    None => !node.group.container.protect_init,
                }
        })
    }

    /// Whether a living member of `pgrp` is stopped.
    #[must_use]
    pub fn has_stopped(&self, pgrp: &Pid) -> bool {
        self.members(pgrp).any(|node| node.zombie.is_none() && node.group.is_stopped())
    }

    /// Makes `child` a child of `parent`.
    pub fn adopt(&mut self, parent: u64, child: u64) {
        if let Some(node) = self.nodes.get_mut(&child) {
            let old = std::mem::replace(&mut node.parent, parent);
            node.made_by = 0;
            if let Some(old) = self.nodes.get_mut(&old) {
                old.children.retain(|&id| id != child);
            }
        }
        if let Some(node) = self.nodes.get_mut(&parent) {
            node.children.push(child);
        }
    }

    /// Removes a reaped process.
    pub fn remove(&mut self, id: u64) -> Option<Node> {
        let node = self.nodes.remove(&id)?;
        if let Some(status) = node.zombie {
            node.group.pid.end(status.wait_word());
        }
        self.tracees.remove(&id);
        node.group.exit_wait.wake(bevor_base::Ready::ALL);
        if let Some(parent) = self.nodes.get_mut(&node.parent) {
            parent.children.retain(|&child| child != id);
        }
        Some(node)
    }

    /// Who inherits the children of `id`: the nearest living subreaper above, else the init of its
    /// pid namespace.
    #[must_use]
    pub fn reaper_of(&self, id: u64) -> u64 {
        let Some(node) = self.nodes.get(&id) else { return 0 };
        let init = node.group.init_of_namespace(self);
        let mut at = node.parent;
        while let Some(ancestor) = self.nodes.get(&at) {
            if Some(at) == init || (ancestor.subreaper && ancestor.zombie.is_none()) {
                return at;
            }
            at = ancestor.parent;
        }
        init.filter(|&init| init != id).unwrap_or(0)
    }
}
