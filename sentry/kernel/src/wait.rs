//! `wait4(2)`, `waitid(2)`: which child answers, and what it reports.

use crate::exit;
use crate::group::Usage;
use crate::pid::Pid;
use crate::ptrace::{self, Traced};
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
    /// `__WNOTHREAD`: only what the calling thread made or traces.
    pub own: bool,
}

/// What happened to a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It ended.
    Ended(ExitStatus),
    /// It stopped or went on.
    Job(JobEvent),
    /// It stopped for its tracer: a signal, with an event in the second byte.
    Trap(i32),
}

impl Change {
    /// The status word of `wait4`.
    #[must_use]
    pub fn wait_word(self) -> i32 {
        match self {
            Self::Ended(status) => status.wait_word(),
            Self::Job(JobEvent::Stopped(signo)) => (signo << 8) | 0x7f,
            Self::Job(JobEvent::Continued) => 0xffff,
            Self::Trap(code) => (code << 8) | 0x7f,
        }
    }

    /// `si_code` and `si_status` of `waitid`.
    #[must_use]
    pub fn child_info(self) -> (i32, i32) {
        match self {
            Self::Ended(status) => status.child_info(),
            Self::Job(JobEvent::Stopped(signo)) => (5, signo),
            Self::Job(JobEvent::Continued) => (6, 18),
            Self::Trap(code) => (4, code),
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
    let (me, process) = (task.pid().id, task.group.id());
    let candidates: Vec<u64> = own
        .children
        .iter()
        .copied()
        .filter(|id| {
            let traced = ptrace::traced_by(&tree, *id, process);
            let node = tree.nodes.get(id);
            node.is_some_and(|node| {
                matches(node, which, options, traced) && (!options.own || node.made_by == me)
            })
        })
        .collect();
    let strangers: Vec<u64> = tree
        .tracees
        .iter()
        .filter(|(id, traced)| {
            traced.tracer_group.id() == process
                && (!options.own || traced.tracer == me)
                && !candidates.contains(id)
                && matches_traced(&tree, traced, which)
        })
        .map(|(&id, _)| id)
        .collect();
    if candidates.is_empty() && strangers.is_empty() {
        return Err(ECHILD.into());
    }
    for id in candidates {
        let Some(change) = news(&tree, id, process, options) else { continue };
        let Some(node) = tree.nodes.get_mut(&id) else { continue };
        let mut usage = node.group.total_usage();
        usage.add(&node.group.child_usage.lock());
        let uid = node.group.cred().map_or(0, |cred| cred.ruid);
        let found = Found { pid: node.group.pid.number_or_zero(&ns), uid, change, usage };
        if !options.keep {
            match change {
                Change::Ended(_) => exit::reap(&mut tree, id),
                Change::Job(_) => node.job_event = None,
                Change::Trap(_) => seen(&mut tree, id),
            }
        }
        return Ok(Some(found));
    }
    for id in strangers {
        let Some(change) = traced_news(&tree, id, options) else { continue };
        let Some(traced) = tree.tracees.get(&id) else { continue };
        let usage = traced.group.total_usage();
        let pid = traced.pid.number_or_zero(&ns);
        let found = Found { pid, uid: traced.uid, change, usage };
        if !options.keep {
            match change {
                Change::Ended(_) => ptrace::reaped(&mut tree, id),
                _ => seen(&mut tree, id),
            }
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// A stop has been reported.
fn seen(tree: &mut Tree, id: u64) {
    if let Some(traced) = tree.tracees.get_mut(&id) {
        traced.report = None;
    }
}

fn matches_traced(tree: &Tree, traced: &Traced, which: &Which) -> bool {
    match which {
        Which::Any => true,
        Which::Process(pid) => traced.pid.id == pid.id,
        Which::Group(pgrp) => {
            tree.nodes.get(&traced.group.id()).is_some_and(|node| node.pgrp.id == pgrp.id)
        }
        Which::Nobody => false,
    }
}

/// What a tracer has not heard yet of what is no child of its process.
fn traced_news(tree: &Tree, id: u64, options: Options) -> Option<Change> {
    let traced = tree.tracees.get(&id)?;
    let ended = if id == traced.group.id() {
        tree.nodes.get(&id).and_then(|node| node.zombie).filter(|_| !ptrace::is_delayed(tree, id))
    } else {
        traced.ended
    };
    match ended {
        Some(status) => options.exited.then_some(Change::Ended(status)),
        None => traced.report.map(Change::Trap),
    }
}

fn matches(node: &Node, which: &Which, options: Options, traced: bool) -> bool {
    let kind = traced || options.all || options.clone == (node.exit_signal != 17);
    kind && match which {
        Which::Any => true,
        Which::Process(pid) => node.group.id() == pid.id,
        Which::Group(pgrp) => node.pgrp.id == pgrp.id,
        Which::Nobody => false,
    }
}

fn news(tree: &Tree, id: u64, parent: u64, options: Options) -> Option<Change> {
    let node = tree.nodes.get(&id)?;
    if !tree.tracees.is_empty() {
        if node.zombie.is_some()
            && (ptrace::traces_stranger(tree, id, parent) || ptrace::is_delayed(tree, id))
        {
            return None;
        }
        if ptrace::traced_by(tree, id, parent)
            && let Some(Change::Trap(code)) = traced_news(tree, id, options)
        {
            return Some(Change::Trap(code));
        }
    }
    if let Some(status) = node.zombie {
        return options.exited.then_some(Change::Ended(status));
    }
    match node.job_event? {
        // A tracer hears of its child's stops as such.
        JobEvent::Stopped(_) if ptrace::traced_by(tree, id, parent) => None,
        event @ JobEvent::Stopped(_) if options.stopped => Some(Change::Job(event)),
        event @ JobEvent::Continued if options.continued => Some(Change::Job(event)),
        _ => None,
    }
}
