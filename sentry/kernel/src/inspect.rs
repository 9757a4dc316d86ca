//! Who may look into another process (`ptrace(2)`, "Ptrace access mode checking").

use crate::task::Task;
use bevor_abi::cap::CAP_SYS_PTRACE;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Task {
    /// Whether this task may read and change `target`, judged by its real ids
    /// (`PTRACE_MODE_ATTACH_REALCREDS`).
    #[must_use]
    pub fn may_inspect(&self, target: &Self) -> bool {
        if Arc::ptr_eq(&self.group, &target.group) {
            return true;
        }
        let (own, its) = (self.cred(), target.cred());
        if own.landlock.as_ref().is_some_and(|domain| !domain.contains(its.landlock.as_ref())) {
            return false;
        }
        let same_user = [its.ruid, its.euid, its.suid].iter().all(|&uid| uid == own.ruid);
        let same_group = [its.rgid, its.egid, its.sgid].iter().all(|&gid| gid == own.rgid);
        let dumpable = target.group.dumpable.load(Ordering::Relaxed);
        let has_no_more = its.permitted & !own.permitted == 0;
        (same_user && same_group && dumpable && has_no_more)
            || own.has_cap_in(CAP_SYS_PTRACE, &its.user_ns)
    }
}
