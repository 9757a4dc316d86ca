//! What the stub answers for a task without asking (`bevor_platform::Answers`), and when that changes.

use crate::kernel::Kernel;
use crate::ns::UtsNamespace;
use crate::task::Task;
use bevor_abi::prctl::{PER_LINUX32, UNAME26};
use bevor_platform::{ANSWERED_CALLS, Answers, Utsname};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Room of a name of `uname(2)` with its NUL.
const NAME_LEN: usize = 65;

impl Task {
    /// What the stub may answer without asking.
    #[must_use]
    pub fn answers(&self) -> Answers {
        let number = |number: i32| u32::try_from(number).unwrap_or(0);
        let (cred, ns) = (self.cred(), self.pid().namespace().clone());
        let cpus = self.sched_attr.lock().affinity.clone();
        let tree = self.kernel.tree.lock();
        let Some(node) = tree.node(&self.group.pid) else { return Answers::default() };
        let parent = tree.nodes.get(&node.parent).map(|parent| parent.group.pid.clone());
        Answers {
            enabled: !self.kernel.config.observe_every_call
                && !self.ptrace.is_active()
                && self.seccomp.surely_allows(&ANSWERED_CALLS),
            pid: number(self.group.pid.number_or_zero(&ns)),
            tid: number(self.pid().number_or_zero(&ns)),
            ppid: number(parent.map_or(0, |pid| pid.number_or_zero(&ns))),
            pgid: number(node.pgrp.number_or_zero(&ns)),
            sid: number(node.session.number_or_zero(&ns)),
            uid: cred.user_ns.uid_out(cred.ruid),
            euid: cred.user_ns.uid_out(cred.euid),
            suid: cred.user_ns.uid_out(cred.suid),
            gid: cred.user_ns.gid_out(cred.rgid),
            egid: cred.user_ns.gid_out(cred.egid),
            sgid: cred.user_ns.gid_out(cred.sgid),
            names: Some(self.names()),
            cpus,
        }
    }

    /// What `uname(2)` answers: system, node, release, version, machine, domain.
    #[must_use]
    pub fn names(&self) -> Utsname {
        let config = &self.kernel.config;
        let namespaces = self.namespaces();
        let uts = namespaces.uts.names.read();
        let persona = self.personality.load(Ordering::Relaxed);
        let old = (persona & UNAME26 != 0).then(|| as_26(&config.release));
        let release = old.as_ref().unwrap_or(&config.release);
        let machine = if persona & 0xff == PER_LINUX32 { "i686" } else { std::env::consts::ARCH };
        [
            field(b"Linux"),
            field(&uts.0),
            field(release.as_bytes()),
            field(config.version.as_bytes()),
            field(machine.as_bytes()),
            field(&uts.1),
        ]
    }

    /// Something changed what this task's in-guest answers say: from now on none is given, until they
    /// are rewritten before the task goes on.
    pub fn expire_answers(&self) {
        // Noted twice, since the task may rewrite them meanwhile: if before the withdrawal and from the
        // old state, then it sees the first note and does it again; if from the new, the second brings
        // back what was withdrawn.
        self.answers_stale.store(true, Ordering::SeqCst);
        if let Some(kicker) = &*self.kicker.read() {
            kicker.withdraw_answers();
        }
        self.answers_stale.store(true, Ordering::SeqCst);
        self.notify();
    }
}

impl Kernel {
    /// Changes host and domain name of a namespace. When this returns, no task is told the old ones.
    pub fn rename(&self, uts: &Arc<UtsNamespace>, change: impl FnOnce(&mut (Vec<u8>, Vec<u8>))) {
        change(&mut uts.names.write());
        let tasks: Vec<Arc<Task>> = self.tree.lock().tasks.values().cloned().collect();
        for task in tasks.iter().filter(|task| Arc::ptr_eq(&task.namespaces().uts, uts)) {
            task.expire_answers();
        }
    }
}

/// The release as programs want it that know no version after 2.6: 6.18.0-x is 2.6.78-x.
fn as_26(release: &str) -> String {
    let mut numbers = release.split('.');
    let minor = numbers.nth(1).and_then(|minor| minor.parse::<u32>().ok()).unwrap_or(0);
    let rest = numbers.next().unwrap_or_default().trim_start_matches(|c: char| c.is_ascii_digit());
    format!("2.6.{}{rest}", minor + 60)
}

/// A field of `utsname`: cut so that a NUL follows.
fn field(text: &[u8]) -> [u8; NAME_LEN] {
    let mut field = [0; NAME_LEN];
    for (place, byte) in field.iter_mut().take(NAME_LEN - 1).zip(text) {
        *place = *byte;
    }
    field
}
