//! `wait4(2)`, `waitid(2)`: which child answers, and what it reports.

use crate::exit;
use crate::group::Usage;
use crate::pid::Pid;
use crate::task::Task;
use crate::tree::{ExitStatus, JobEvent, Node, Tree};
use bevor_abi::Errno;
use bevor_abi::errno::ECHILD;
use std::sync::Arc;

/// Which children a call waits for.
#[derive(Clone, Debug)]
pub enum Which {
    /// Any (`P_ALL`).
    Any,
    /// One process (`P_PID`, `P_PIDFD`).
    Process(Arc<Pid>),
    /// A process group (`P_PGID`).
    Group(Arc<Pid>),
    /// Nobody can match: the number names nothing.
    Nobody,
}

/// Which changes count, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// `WEXITED`.
    pub exited: bool,
    /// `WUNTRACED`, `WSTOPPED`.
    pub stopped: bool,
    /// `WCONTINUED`.
    pub continued: bool,
    /// `WNOWAIT`: leave the child as it is.
    pub keep: bool,
    /// `__WALL`: children of both kinds.
    pub all: bool,
    /// `__WCLONE`: only children whose exit signal is not `SIGCHLD`.
    pub clone: bool,
}

/// What happened to a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It ended.
    Ended(ExitStatus),
    /// It stopped or went on.
    Job(JobEvent),
}

impl Change {
    /// The status word of `wait4`.
    #[must_use]
    pub fn wait_word(self) -> i32 {
        match self {
            Self::Ended(status) => status.wait_word(),
            Self::Job(JobEvent::Stopped(signo)) => (signo << 8) | 0x7f,
            Self::Job(JobEvent::Continued) => 0xffff,
        }
    }

    /// `si_code` and `si_status` of `waitid`.
    #[must_use]
    pub fn child_info(self) -> (i32, i32) {
        match self {
            Self::Ended(status) => status.child_info(),
            Self::Job(JobEvent::Stopped(signo)) => (5, signo),
            Self::Job(JobEvent::Continued) => (6, 18),
        }
    }
}

/// A child that answered.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Its number as the caller sees it.
    pub pid: i32,
    /// Its real user id.
    pub uid: u32,
    /// What happened.
    pub change: Change,
    /// What it used.
    pub usage: Usage,
}

/// Looks for a child with news; `None` if there are children but no news.
///
/// # Errors
/// `ECHILD`: no child can ever answer.
pub fn look(task: &Task, which: &Which, options: Options) -> Result<Option<Found>, Errno> {
    let ns = task.pid().namespace().clone();
    let mut tree = task.kernel.tree.lock();
    let own = tree.nodes.get(&task.group.id()).ok_or(ECHILD)?;
    let candidates: Vec<u64> = own
        .children
        .iter()
        .copied()
        .filter(|id| tree.nodes.get(id).is_some_and(|node| matches(node, which, options)))
        .collect();
    if candidates.is_empty() {
        return Err(ECHILD.into());
    }
    for id in candidates {
        let Some(change) = news(&tree, id, options) else { continue };
        let Some(node) = tree.nodes.get_mut(&id) else { continue };
        let mut usage = node.group.total_usage();
        usage.add(&node.group.child_usage.lock());
        let uid = node.group.cred().map_or(0, |cred| cred.ruid);
        let found = Found { pid: node.group.pid.number_or_zero(&ns), uid, change, usage };
        if !options.keep {
            match change {
                Change::Ended(_) => exit::reap(&mut tree, id),
                Change::Job(_) => node.job_event = None,
            }
        }
        return Ok(Some(found));
    }
    Ok(None)
}

fn matches(node: &Node, which: &Which, options: Options) -> bool {
    let kind = options.all || options.clone == (node.exit_signal != 17);
    kind && match which {
        Which::Any => true,
        Which::Process(pid) => node.group.id() == pid.id,
        Which::Group(pgrp) => node.pgrp.id == pgrp.id,
        Which::Nobody => false,
    }
}

fn news(tree: &Tree, id: u64, options: Options) -> Option<Change> {
    let node = tree.nodes.get(&id)?;
    if let Some(status) = node.zombie {
        return options.exited.then_some(Change::Ended(status));
    }
    match node.job_event? {
        event @ JobEvent::Stopped(_) if options.stopped => Some(Change::Job(event)),
        event @ JobEvent::Continued if options.continued => Some(Change::Job(event)),
        _ => None,
    }
}
