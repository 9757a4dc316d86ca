//! How credentials change: the rules of `setuid(2)` and its kin, `capset(2)` and the capability
//! operations of `prctl(2)`.
//!
//! Every function takes the old credentials and makes the new ones; ids are the sandbox's own.
//! `None` stands for an id that is left as it is.

use crate::cred::Credentials;
use bevor_abi::Errno;
use bevor_abi::cap::{
    CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LAST_CAP,
    CAP_LINUX_IMMUTABLE, CAP_MAC_OVERRIDE, CAP_MKNOD, CAP_SETGID, CAP_SETPCAP, CAP_SETUID, CapSet,
};
use bevor_abi::errno::{EINVAL, EPERM};
use bevor_abi::prctl::{
    SECBIT_EXEC_DENY_INTERACTIVE, SECBIT_EXEC_DENY_INTERACTIVE_LOCKED, SECBIT_EXEC_RESTRICT_FILE,
    SECBIT_EXEC_RESTRICT_FILE_LOCKED, SECBIT_KEEP_CAPS, SECBIT_KEEP_CAPS_LOCKED,
    SECBIT_NO_CAP_AMBIENT_RAISE, SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, SECBIT_NO_SETUID_FIXUP,
    SECBIT_NO_SETUID_FIXUP_LOCKED, SECBIT_NOROOT, SECBIT_NOROOT_LOCKED,
};

/// Capabilities the file-system user id decides about (`CAP_FS_SET` of the kernel).
const FILE_CAPS: u64 = CapSet::of(&[
    CAP_CHOWN,
    CAP_MKNOD,
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    CAP_FOWNER,
    CAP_FSETID,
    CAP_LINUX_IMMUTABLE,
    CAP_MAC_OVERRIDE,
])
.0;

/// Every secure bit that is a lock; the bit it locks is the one below.
const SECURE_LOCKS: u32 = SECBIT_NOROOT_LOCKED
    | SECBIT_NO_SETUID_FIXUP_LOCKED
    | SECBIT_KEEP_CAPS_LOCKED
    | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED
    | SECBIT_EXEC_RESTRICT_FILE_LOCKED
    | SECBIT_EXEC_DENY_INTERACTIVE_LOCKED;

/// Secure bits a task may set without privilege.
const SECURE_UNPRIVILEGED: u32 = SECBIT_EXEC_RESTRICT_FILE
    | SECBIT_EXEC_RESTRICT_FILE_LOCKED
    | SECBIT_EXEC_DENY_INTERACTIVE
    | SECBIT_EXEC_DENY_INTERACTIVE_LOCKED;

/// Every secure bit there is.
const SECURE_ALL: u32 = SECURE_LOCKS
    | SECURE_UNPRIVILEGED
    | SECBIT_NOROOT
    | SECBIT_NO_SETUID_FIXUP
    | SECBIT_KEEP_CAPS
    | SECBIT_NO_CAP_AMBIENT_RAISE;

/// Refuses unless `allowed`, for want of privilege.
fn require(allowed: bool) -> Result<(), Errno> {
    if allowed { Ok(()) } else { Err(EPERM.into()) }
}

impl Credentials {
    /// `setuid(2)`.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn setuid(&self, uid: u32) -> Result<Self, Errno> {
        let mut new = self.clone();
        if self.has_cap(CAP_SETUID) {
            (new.ruid, new.suid) = (uid, uid);
        } else {
            require(uid == self.ruid || uid == self.suid)?;
        }
        (new.euid, new.fsuid) = (uid, uid);
        new.fix_capabilities(self);
        Ok(new)
    }

    /// `setreuid(2)`.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn setreuid(&self, ruid: Option<u32>, euid: Option<u32>) -> Result<Self, Errno> {
        let mut new = self.clone();
        let privileged = self.has_cap(CAP_SETUID);
        if let Some(ruid) = ruid {
            require(privileged || [self.ruid, self.euid].contains(&ruid))?;
            new.ruid = ruid;
        }
        if let Some(euid) = euid {
            require(privileged || [self.ruid, self.euid, self.suid].contains(&euid))?;
            new.euid = euid;
        }
        if ruid.is_some() || euid.is_some_and(|euid| euid != self.ruid) {
            new.suid = new.euid;
        }
        new.fsuid = new.euid;
        new.fix_capabilities(self);
        Ok(new)
    }

    /// `setresuid(2)`.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn setresuid(
        &self,
        ruid: Option<u32>,
        euid: Option<u32>,
        suid: Option<u32>,
    ) -> Result<Self, Errno> {
        let own = [self.ruid, self.euid, self.suid];
        let is_own = |id: Option<u32>| id.is_none_or(|id| own.contains(&id));
        require(self.has_cap(CAP_SETUID) || [ruid, euid, suid].into_iter().all(is_own))?;
        let mut new = self.clone();
        new.ruid = ruid.unwrap_or(self.ruid);
        new.euid = euid.unwrap_or(self.euid);
        new.suid = suid.unwrap_or(self.suid);
        new.fsuid = new.euid;
        new.fix_capabilities(self);
        Ok(new)
    }

    /// `setfsuid(2)`; `None` when it changes nothing.
    #[must_use]
    pub fn setfsuid(&self, uid: u32) -> Option<Self> {
        let own = [self.ruid, self.euid, self.suid, self.fsuid];
        if uid == self.fsuid || !(self.has_cap(CAP_SETUID) || own.contains(&uid)) {
            return None;
        }
        let mut new = self.clone();
        new.fsuid = uid;
        if self.securebits & SECBIT_NO_SETUID_FIXUP == 0 {
            let root = self.user_ns.uid_in(0);
            let (was, is) = (Some(self.fsuid) == root, Some(uid) == root);
            if was && !is {
                new.effective &= !FILE_CAPS;
            }
            if is && !was {
                new.effective |= FILE_CAPS & new.permitted;
            }
        }
        Some(new)
    }

    /// `setgid(2)`.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn setgid(&self, gid: u32) -> Result<Self, Errno> {
        let mut new = self.clone();
        if self.has_cap(CAP_SETGID) {
            (new.rgid, new.sgid) = (gid, gid);
        } else {
            require(gid == self.rgid || gid == self.sgid)?;
        }
        (new.egid, new.fsgid) = (gid, gid);
        Ok(new)
    }

    /// `setregid(2)`.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn setregid(&self, rgid: Option<u32>, egid: Option<u32>) -> Result<Self, Errno> {
        let mut new = self.clone();
        let privileged = self.has_cap(CAP_SETGID);
        if let Some(rgid) = rgid {
            require(privileged || [self.rgid, self.egid].contains(&rgid))?;
            new.rgid = rgid;
        }
        if let Some(egid) = egid {
            require(privileged || [self.rgid, self.egid, self.sgid].contains(&egid))?;
            new.egid = egid;
        }
        if rgid.is_some() || egid.is_some_and(|egid| egid != self.rgid) {
            new.sgid = new.egid;
        }
        new.fsgid = new.egid;
        Ok(new)
    }

    /// `setresgid(2)`.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn setresgid(
        &self,
        rgid: Option<u32>,
        egid: Option<u32>,
        sgid: Option<u32>,
    ) -> Result<Self, Errno> {
        let own = [self.rgid, self.egid, self.sgid];
        let is_own = |id: Option<u32>| id.is_none_or(|id| own.contains(&id));
        require(self.has_cap(CAP_SETGID) || [rgid, egid, sgid].into_iter().all(is_own))?;
        let mut new = self.clone();
        new.rgid = rgid.unwrap_or(self.rgid);
        new.egid = egid.unwrap_or(self.egid);
        new.sgid = sgid.unwrap_or(self.sgid);
        new.fsgid = new.egid;
        Ok(new)
    }

    /// `setfsgid(2)`; `None` when it changes nothing.
    #[must_use]
    pub fn setfsgid(&self, gid: u32) -> Option<Self> {
        let own = [self.rgid, self.egid, self.sgid, self.fsgid];
        if gid == self.fsgid || !(self.has_cap(CAP_SETGID) || own.contains(&gid)) {
            return None;
        }
        Some(Self { fsgid: gid, ..self.clone() })
    }

    /// `setgroups(2)`.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn setgroups(&self, mut groups: Vec<u32>) -> Result<Self, Errno> {
        require(self.has_cap(CAP_SETGID))?;
        let ns = &self.user_ns;
        require(*ns.setgroups_allowed.read() && !ns.gid_map.read().is_empty())?;
        groups.sort_unstable();
        Ok(Self { groups: groups.into(), ..self.clone() })
    }

    /// `capset(2)`.
    ///
    /// # Errors
    /// `EPERM`.
    pub fn capset(
        &self,
        effective: CapSet,
        permitted: CapSet,
        inheritable: CapSet,
    ) -> Result<Self, Errno> {
        let mut gainable = self.inheritable | self.bounding;
        if !self.has_cap(CAP_SETPCAP) {
            gainable &= self.inheritable | self.permitted;
        }
        require(inheritable.is_subset(CapSet(gainable)))?;
        require(permitted.is_subset(CapSet(self.permitted)))?;
        require(effective.is_subset(permitted))?;
        Ok(Self {
            effective: effective.0,
            permitted: permitted.0,
            inheritable: inheritable.0,
            ambient: self.ambient & permitted.0 & inheritable.0,
            ..self.clone()
        })
    }

    /// `prctl(PR_CAPBSET_DROP)`.
    ///
    /// # Errors
    /// `EINVAL` for an unknown capability, `EPERM`.
    pub fn drop_bounding(&self, cap: u32) -> Result<Self, Errno> {
        require(self.has_cap(CAP_SETPCAP))?;
        let bit = bit(cap)?;
        Ok(Self { bounding: self.bounding & !bit, ..self.clone() })
    }

    /// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)`.
    ///
    /// # Errors
    /// `EINVAL` for an unknown capability, `EPERM`.
    pub fn raise_ambient(&self, cap: u32) -> Result<Self, Errno> {
        let bit = bit(cap)?;
        require(self.permitted & self.inheritable & bit != 0)?;
        require(self.securebits & SECBIT_NO_CAP_AMBIENT_RAISE == 0)?;
        Ok(Self { ambient: self.ambient | bit, ..self.clone() })
    }

    /// `prctl(PR_SET_SECUREBITS)`.
    ///
    /// # Errors
    /// `EPERM` for unknown bits, for changing what is locked, and for want of `CAP_SETPCAP`.
    pub fn set_securebits(&self, bits: u32) -> Result<Self, Errno> {
        let changed = self.securebits ^ bits;
        let locked = self.securebits & SECURE_LOCKS;
        require(bits & !SECURE_ALL == 0)?;
        require(changed & (locked >> 1) == 0)?;
        require(locked & !bits == 0)?;
        require(changed & !SECURE_UNPRIVILEGED == 0 || self.has_cap(CAP_SETPCAP))?;
        Ok(Self { securebits: bits, ..self.clone() })
    }

    /// `prctl(PR_SET_KEEPCAPS)`.
    ///
    /// # Errors
    /// `EPERM` when the bit is locked.
    pub fn set_keep_caps(&self, keep: bool) -> Result<Self, Errno> {
        require(self.securebits & SECBIT_KEEP_CAPS_LOCKED == 0)?;
        let others = self.securebits & !SECBIT_KEEP_CAPS;
        let securebits = if keep { others | SECBIT_KEEP_CAPS } else { others };
        Ok(Self { securebits, ..self.clone() })
    }

    /// Whether the change from `old` makes the process undumpable and clears its parent-death
    /// signal: other file-system or effective ids, or capabilities `old` had not.
    #[must_use]
    pub fn changes_identity(&self, old: &Self) -> bool {
        self.euid != old.euid
            || self.egid != old.egid
            || self.fsuid != old.fsuid
            || self.fsgid != old.fsgid
            || self.permitted & !old.permitted != 0
    }

    /// What a change of user ids does to the capabilities (`capabilities(7)`, "Effect of user ID
    /// changes on capabilities").
    fn fix_capabilities(&mut self, old: &Self) {
        if old.securebits & SECBIT_NO_SETUID_FIXUP != 0 {
            return;
        }
        let root = old.user_ns.uid_in(0);
        let is_root = |uid: u32| Some(uid) == root;
        let had_root = [old.ruid, old.euid, old.suid].into_iter().any(is_root);
        let has_root = [self.ruid, self.euid, self.suid].into_iter().any(is_root);
        if had_root && !has_root {
            if old.securebits & SECBIT_KEEP_CAPS == 0 {
                (self.permitted, self.effective) = (0, 0);
            }
            self.ambient = 0;
        }
        match (is_root(old.euid), is_root(self.euid)) {
            (true, false) => self.effective = 0,
            (false, true) => self.effective = self.permitted,
            _ => {}
        }
    }
}

fn bit(cap: u32) -> Result<u64, Errno> {
    if cap > CAP_LAST_CAP { Err(EINVAL.because("no such capability")) } else { Ok(1 << cap) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cred::{ALL_CAPS, UserNamespace};

    fn root() -> Credentials {
        Credentials::user(0, 0, &[], UserNamespace::initial())
    }

    fn user() -> Credentials {
        Credentials::user(1000, 1000, &[], UserNamespace::initial())
    }

    #[test]
    fn setuid_of_root_is_for_good_and_drops_everything() {
        let new = root().setuid(7).unwrap();
        assert_eq!([new.ruid, new.euid, new.suid, new.fsuid], [7; 4]);
        assert_eq!((new.permitted, new.effective), (0, 0));
        assert_eq!(new.setuid(0).unwrap_err(), EPERM);
        assert!(new.changes_identity(&root()));
    }

    #[test]
    fn seteuid_can_be_undone() {
        let away = root().setresuid(None, Some(7), None).unwrap();
        assert_eq!((away.effective, away.permitted, away.fsuid), (0, ALL_CAPS, 7));
        let back = away.setresuid(None, Some(0), None).unwrap();
        assert_eq!((back.effective, back.fsuid), (ALL_CAPS, 0));
    }

    #[test]
    fn setreuid_saves_the_effective_id_when_the_real_one_is_given() {
        let mut cred = user();
        cred.euid = 5;
        let new = cred.setreuid(Some(5), Some(1000)).unwrap();
        assert_eq!([new.ruid, new.euid, new.suid, new.fsuid], [5, 1000, 1000, 1000]);
        assert_eq!(cred.setreuid(Some(9), None).unwrap_err(), EPERM);
        let same = user().setreuid(None, Some(1000)).unwrap();
        assert_eq!(same.suid, 1000);
    }

    #[test]
    fn keeping_capabilities_leaves_the_permitted_ones() {
        let new = root().set_keep_caps(true).unwrap().setuid(7).unwrap();
        assert_eq!((new.permitted, new.effective), (ALL_CAPS, 0));
    }

    #[test]
    fn the_file_system_id_decides_about_file_capabilities() {
        let new = root().setfsuid(7).unwrap();
        assert_eq!(new.effective, ALL_CAPS & !FILE_CAPS);
        assert_eq!(new.setfsuid(0).unwrap().effective, ALL_CAPS);
        assert!(user().setfsuid(0).is_none());
        assert!(user().setfsuid(1000).is_none());
    }

    #[test]
    fn groups_need_the_capability_and_an_open_namespace() {
        assert_eq!(&*root().setgroups(vec![9, 3]).unwrap().groups, [3, 9]);
        assert_eq!(user().setgroups(vec![]).unwrap_err(), EPERM);
        let closed = root();
        *closed.user_ns.setgroups_allowed.write() = false;
        assert_eq!(closed.setgroups(vec![]).unwrap_err(), EPERM);
    }

    #[test]
    fn capset_never_adds_to_the_permitted_set() {
        let none = CapSet::EMPTY;
        let dropped = root().capset(none, none, none).unwrap();
        assert_eq!(dropped.capset(none, CapSet::of(&[0]), none).unwrap_err(), EPERM);
        assert_eq!(root().capset(CapSet::FULL, none, none).unwrap_err(), EPERM);
        let one = CapSet::of(&[CAP_CHOWN]);
        assert_eq!(root().capset(one, one, one).unwrap().inheritable, one.0);
        let bounded = root().drop_bounding(CAP_CHOWN).unwrap();
        assert_eq!(bounded.capset(one, one, one).unwrap_err(), EPERM);
        assert_eq!(root().drop_bounding(CAP_LAST_CAP + 1).unwrap_err(), EINVAL);
    }

    #[test]
    fn ambient_capabilities_follow_the_other_sets() {
        assert_eq!(root().raise_ambient(CAP_CHOWN).unwrap_err(), EPERM);
        let one = CapSet::of(&[CAP_CHOWN]);
        let raised = root().capset(one, one, one).unwrap().raise_ambient(CAP_CHOWN).unwrap();
        assert_eq!(raised.ambient, one.0);
        assert_eq!(raised.capset(one, one, CapSet::EMPTY).unwrap().ambient, 0);
        assert_eq!(raised.setuid(0).unwrap().ambient, one.0);
    }

    #[test]
    fn locked_secure_bits_stay() {
        let locked = root().set_securebits(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED).unwrap();
        assert_eq!(locked.set_securebits(SECBIT_NOROOT_LOCKED).unwrap_err(), EPERM);
        assert_eq!(locked.set_securebits(SECBIT_NOROOT).unwrap_err(), EPERM);
        assert!(user().set_securebits(SECBIT_EXEC_RESTRICT_FILE).is_ok());
        assert_eq!(user().set_securebits(SECBIT_NOROOT).unwrap_err(), EPERM);
    }
}
