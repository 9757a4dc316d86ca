//! Credentials of a task: `credentials(7)`, `capabilities(7)`, `user_namespaces(7)`.

use crate::landlock::Domain;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A run of ids mapped between a user namespace and its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id in the parent.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// `user_namespaces(7)`. Ids in [`Credentials`] are always those of the initial namespace of the
/// sandbox ("kuids"); a namespace translates when ids enter and leave a task.
#[derive(Debug)]
pub struct UserNamespace {
    /// Unique in the sandbox; shows as the inode of `/proc/PID/ns/user`.
    pub id: u64,
    /// `None` for the initial one.
    pub parent: Option<Arc<Self>>,
    /// Effective uid of its creator.
    pub owner: u32,
    /// Effective gid of its creator.
    pub group: u32,
    /// Nesting depth, 0 for the initial one; at most 32.
    pub level: u32,
    /// `uid_map`, empty until written.
    pub uid_map: RwLock<Vec<IdRange>>,
    /// `gid_map`, empty until written.
    pub gid_map: RwLock<Vec<IdRange>>,
    /// Whether `/proc/PID/setgroups` still says `allow`.
    pub setgroups_allowed: RwLock<bool>,
}

static NEXT_NAMESPACE: AtomicU64 = AtomicU64::new(0xF000_0000);

/// Draws the inode number of a new namespace of any kind.
pub fn next_namespace_id() -> u64 {
    NEXT_NAMESPACE.fetch_add(1, Ordering::Relaxed)
}

impl UserNamespace {
    /// The initial namespace: every id maps to itself.
    #[must_use]
    pub fn initial() -> Arc<Self> {
        let all = vec![IdRange { inside: 0, outside: 0, count: u32::MAX }];
        Arc::new(Self {
            id: next_namespace_id(),
            parent: None,
            owner: 0,
            group: 0,
            level: 0,
            uid_map: RwLock::new(all.clone()),
            gid_map: RwLock::new(all),
            setgroups_allowed: RwLock::new(true),
        })
    }

    /// A child namespace of `parent`, with empty maps.
    #[must_use]
    pub fn child(parent: Arc<Self>, owner: u32, group: u32) -> Arc<Self> {
        let setgroups_allowed = *parent.setgroups_allowed.read();
        Arc::new(Self {
            id: next_namespace_id(),
            owner,
            group,
            level: parent.level + 1,
            uid_map: RwLock::default(),
            gid_map: RwLock::default(),
            setgroups_allowed: RwLock::new(setgroups_allowed),
            parent: Some(parent),
        })
    }

    /// Whether `self` is `other` or lies below it.
    #[must_use]
    pub fn is_within(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = self;
        loop {
            if Arc::ptr_eq(at, other) {
                return true;
            }
            match &at.parent {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    /// Translates an id of this namespace to the sandbox's, `None` if unmapped.
    #[must_use]
    pub fn uid_in(&self, uid: u32) -> Option<u32> {
        translate(self.parent.as_ref(), &self.uid_map, uid, Self::uid_in)
    }

    /// Like [`UserNamespace::uid_in`] for groups.
    #[must_use]
    pub fn gid_in(&self, gid: u32) -> Option<u32> {
        translate(self.parent.as_ref(), &self.gid_map, gid, Self::gid_in)
    }

    /// Whether this namespace maps the sandbox's user id `kuid`.
    #[must_use]
    pub fn maps_uid(&self, kuid: u32) -> bool {
        reverse(self, kuid, |ns| &ns.uid_map).is_some()
    }

    /// Whether this namespace maps the sandbox's group id `kgid`.
    #[must_use]
    pub fn maps_gid(&self, kgid: u32) -> bool {
        reverse(self, kgid, |ns| &ns.gid_map).is_some()
    }

    /// Translates the sandbox's id to this namespace's; 65534 if unmapped.
    #[must_use]
    pub fn uid_out(&self, kuid: u32) -> u32 {
        reverse(self, kuid, |ns| &ns.uid_map).unwrap_or(OVERFLOW_ID)
    }

    /// Like [`UserNamespace::uid_out`] for groups.
    #[must_use]
    pub fn gid_out(&self, kgid: u32) -> u32 {
        reverse(self, kgid, |ns| &ns.gid_map).unwrap_or(OVERFLOW_ID)
    }
}

/// `/proc/sys/kernel/overflowuid`.
pub const OVERFLOW_ID: u32 = 65534;

fn translate(
    parent: Option<&Arc<UserNamespace>>,
    map: &RwLock<Vec<IdRange>>,
    id: u32,
    up: fn(&UserNamespace, u32) -> Option<u32>,
) -> Option<u32> {
    let outside = map.read().iter().find_map(|range| {
        let delta = id.checked_sub(range.inside)?;
        (delta < range.count).then(|| range.outside + delta)
    })?;
    parent.map_or(Some(outside), |parent| up(parent, outside))
}

fn reverse(
    ns: &UserNamespace,
    id: u32,
    map: fn(&UserNamespace) -> &RwLock<Vec<IdRange>>,
) -> Option<u32> {
    let id = match &ns.parent {
        Some(parent) => reverse(parent, id, map)?,
        None => id,
    };
    map(ns).read().iter().find_map(|range| {
        let delta = id.checked_sub(range.outside)?;
        (delta < range.count).then(|| range.inside + delta)
    })
}

/// Who a task is. Immutable once shared: a change makes a new one.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Real user id.
    pub ruid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Saved set-user-ID.
    pub suid: u32,
    /// File-system user id.
    pub fsuid: u32,
    /// Real group id.
    pub rgid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Saved set-group-ID.
    pub sgid: u32,
    /// File-system group id.
    pub fsgid: u32,
    /// Supplementary groups, sorted.
    pub groups: Arc<[u32]>,
    /// Permitted capabilities, a bit each.
    pub permitted: u64,
    /// Effective capabilities.
    pub effective: u64,
    /// Inheritable capabilities.
    pub inheritable: u64,
    /// Bounding set.
    pub bounding: u64,
    /// Ambient set.
    pub ambient: u64,
    /// `SECBIT_*`.
    pub securebits: u32,
    /// The namespace the ids and capabilities count in.
    pub user_ns: Arc<UserNamespace>,
    /// What the task forbade itself (`landlock(7)`).
    pub landlock: Option<Arc<Domain>>,
}

/// Every capability Linux 6.18 has (`CAP_CHECKPOINT_RESTORE` is 40).
pub const ALL_CAPS: u64 = (1 << 41) - 1;

/// `CAP_DAC_OVERRIDE`.
const CAP_DAC_OVERRIDE: u32 = 1;
/// `CAP_DAC_READ_SEARCH`.
const CAP_DAC_READ_SEARCH: u32 = 2;

impl Credentials {
    /// The given user with `groups`, holding all capabilities if it is root.
    #[must_use]
    pub fn user(uid: u32, gid: u32, groups: &[u32], user_ns: Arc<UserNamespace>) -> Self {
        let caps = if uid == 0 { ALL_CAPS } else { 0 };
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        Self {
            ruid: uid,
            euid: uid,
            suid: uid,
            fsuid: uid,
            rgid: gid,
            egid: gid,
            sgid: gid,
            fsgid: gid,
            groups: groups.into(),
            permitted: caps,
            effective: caps,
            inheritable: 0,
            bounding: ALL_CAPS,
            ambient: 0,
            securebits: 0,
            user_ns,
            landlock: None,
        }
    }

    /// Whether capability number `cap` is effective in the task's own user namespace.
    #[must_use]
    pub const fn has_cap(&self, cap: u32) -> bool {
        self.effective & (1 << cap) != 0
    }

    /// Whether capability `cap` holds over things owned by user namespace `ns` (`ns_capable`).
    #[must_use]
    pub fn has_cap_in(&self, cap: u32, ns: &Arc<UserNamespace>) -> bool {
        let mut at = ns;
        loop {
            if Arc::ptr_eq(at, &self.user_ns) {
                return self.has_cap(cap);
            }
            let Some(parent) = &at.parent else { return false };
            // The creator of a namespace, in its parent, holds every capability in it.
            if Arc::ptr_eq(parent, &self.user_ns) && at.owner == self.euid {
                return true;
            }
            at = parent;
        }
    }

    /// Whether `gid` is the file-system group or a supplementary one.
    #[must_use]
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.binary_search(&gid).is_ok()
    }

    /// Checks access to an inode as `path_resolution(7)` says. `want` is a mask of 4 (read),
    /// 2 (write) and 1 (execute or search).
    #[must_use]
    pub fn may_access(&self, uid: u32, gid: u32, mode: u32, want: u32) -> bool {
        let granted = if self.fsuid == uid {
            mode >> 6
        } else if self.in_group(gid) {
            mode >> 3
        } else {
            mode
        } & 7;
        want & !granted == 0 || self.may_override(mode, want)
    }

    /// Whether capabilities allow what the permissions of an inode do not.
    #[must_use]
    pub fn may_override(&self, mode: u32, want: u32) -> bool {
        let is_dir = mode & 0o170_000 == 0o040_000;
        if self.has_cap(CAP_DAC_OVERRIDE) && (want & 1 == 0 || is_dir || mode & 0o111 != 0) {
            return true;
        }
        self.has_cap(CAP_DAC_READ_SEARCH) && (want == 4 || (is_dir && want & 2 == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_needs_an_execute_bit_somewhere() {
        let root = Credentials::user(0, 0, &[], UserNamespace::initial());
        assert!(root.may_access(5, 5, 0o100_000, 6));
        assert!(!root.may_access(5, 5, 0o100_644, 1));
        assert!(root.may_access(5, 5, 0o100_645, 1));
        assert!(root.may_access(5, 5, 0o040_000, 7));
    }

    #[test]
    fn only_the_first_matching_class_counts() {
        let user = Credentials::user(5, 6, &[9], UserNamespace::initial());
        assert!(!user.may_access(5, 6, 0o100_077, 4));
        assert!(user.may_access(1, 9, 0o100_040, 4));
        assert!(!user.may_access(1, 9, 0o100_004, 4));
        assert!(user.may_access(1, 1, 0o100_004, 4));
    }

    #[test]
    fn ids_translate_through_nested_namespaces() {
        let top = UserNamespace::initial();
        let child = UserNamespace::child(top, 1000, 1000);
        *child.uid_map.write() = vec![IdRange { inside: 0, outside: 1000, count: 1 }];
        assert_eq!((child.uid_in(0), child.uid_in(1)), (Some(1000), None));
        assert_eq!((child.uid_out(1000), child.uid_out(0)), (0, OVERFLOW_ID));
    }
}
