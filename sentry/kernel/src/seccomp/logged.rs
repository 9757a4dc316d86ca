//! Which actions of filters are logged (`/proc/sys/kernel/seccomp/actions_logged`).

use bevor_abi::seccomp::{
    SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_LOG,
    SECCOMP_RET_TRACE, SECCOMP_RET_TRAP, SECCOMP_RET_USER_NOTIF,
};
use std::sync::atomic::{AtomicU32, Ordering};

/// Actions that can be logged: all but allowing.
const ACTIONS: [(&str, u32); 7] = [
    ("kill_process", SECCOMP_RET_KILL_PROCESS),
    ("kill_thread", SECCOMP_RET_KILL_THREAD),
    ("trap", SECCOMP_RET_TRAP),
    ("errno", SECCOMP_RET_ERRNO),
    ("user_notif", SECCOMP_RET_USER_NOTIF),
    ("trace", SECCOMP_RET_TRACE),
    ("log", SECCOMP_RET_LOG),
];

/// A bit for each of [`ACTIONS`] that is logged.
static LOGGED: AtomicU32 = AtomicU32::new((1 << ACTIONS.len()) - 1);

/// The set, a bit for each action.
#[must_use]
pub fn get() -> u32 {
    LOGGED.load(Ordering::Relaxed)
}

/// Replaces the set.
pub fn set(actions: u32) {
    LOGGED.store(actions, Ordering::Relaxed);
}

/// Names of the actions of a set.
#[must_use]
pub fn names(actions: u32) -> Vec<&'static str> {
    let numbered = (0..).zip(ACTIONS);
    numbered.filter(|(bit, _)| actions >> bit & 1 != 0).map(|(_, (name, _))| name).collect()
}

/// The set of the named actions; `None` if one is no action or cannot be logged.
pub fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Option<u32> {
    names
        .map(|name| (0..).zip(ACTIONS).find(|(_, (its, _))| *its == name))
        .try_fold(0, |set, found: Option<(u32, _)>| found.map(|(bit, _)| set | 1 << bit))
}

/// Whether an action is logged; what kills is in any case, what a filter with `SECCOMP_FILTER_FLAG_LOG`
/// says if `asked`.
pub(super) fn wanted(action: u32, asked: bool) -> bool {
    let asked = match action {
        SECCOMP_RET_TRAP | SECCOMP_RET_ERRNO | SECCOMP_RET_USER_NOTIF | SECCOMP_RET_TRACE => asked,
        _ => true,
    };
    asked && (0..).zip(ACTIONS).any(|(bit, (_, its))| its == action && get() >> bit & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sets_agree() {
        let all = names(get()).join(" ");
        assert_eq!(all, "kill_process kill_thread trap errno user_notif trace log");
        assert_eq!(parse(all.split(' ')), Some(get()));
        assert_eq!(parse("trace trap".split(' ')).map(names), Some(vec!["trap", "trace"]));
        assert_eq!(parse("".split_ascii_whitespace()), Some(0));
        assert_eq!(parse("trap allow".split(' ')), None, "allowing is not logged");
        assert_eq!(parse("nothing".split(' ')), None);
    }

    #[test]
    fn what_a_filter_does_not_ask_for_is_not_logged() {
        assert!(wanted(SECCOMP_RET_KILL_PROCESS, false) && wanted(SECCOMP_RET_LOG, false));
        assert!(!wanted(SECCOMP_RET_ERRNO, false) && wanted(SECCOMP_RET_ERRNO, true));
    }
}
