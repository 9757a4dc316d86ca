//! What `prctl(2)` sets for an address space.

use super::vma::Vma;
use super::{MemoryManager, State};
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EPERM};
use bevor_abi::prctl::{PR_MDWE_NO_INHERIT, PR_MDWE_REFUSE_EXEC_GAIN};
use bevor_platform::Prot;

/// Settings that children and the next program inherit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// `PR_SET_MDWE`: flags.
    mdwe: u32,
    /// `PR_SET_MEMORY_MERGE`: equal pages may be merged. The host is not asked to.
    merge: bool,
}

impl Policy {
    /// What a child or the next program has of it.
    pub(super) const fn inherited(self) -> Self {
        let mdwe = if self.mdwe & PR_MDWE_NO_INHERIT == 0 { self.mdwe } else { 0 };
        Self { mdwe, ..self }
    }
}

impl MemoryManager {
    /// Flags of `PR_GET_MDWE`.
    #[must_use]
    pub fn mdwe(&self) -> u32 {
        self.state.read().policy.mdwe
    }

    /// `PR_SET_MDWE`: from now on memory that can be written cannot become code.
    ///
    /// # Errors
    /// `EPERM`: it is set otherwise already.
    pub fn set_mdwe(&self, flags: u32) -> Result<(), Errno> {
        let mut st = self.state.write();
        if st.policy.mdwe != 0 && st.policy.mdwe != flags {
            return Err(EPERM.because("PR_SET_MDWE cannot be undone"));
        }
        st.policy.mdwe = flags;
        Ok(())
    }

    /// `PR_GET_MEMORY_MERGE`.
    #[must_use]
    pub fn may_merge(&self) -> bool {
        self.state.read().policy.merge
    }

    /// `PR_SET_MEMORY_MERGE`.
    pub fn set_may_merge(&self, merge: bool) {
        self.state.write().policy.merge = merge;
    }

    /// Takes over what the program executed before had set.
    pub fn inherit_policy(&self, before: &Self) {
        let policy = before.state.read().policy.inherited();
        self.state.write().policy = policy;
    }
}

impl State {
    /// `PR_SET_MDWE`: whether a mapping may have, or may be given, these rights.
    pub(super) fn check_gain(&self, before: Option<&Vma>, prot: Prot) -> Result<(), Errno> {
        let gains = prot.exec && (prot.write || before.is_some_and(|vma| !vma.prot.exec));
        if gains && self.policy.mdwe & PR_MDWE_REFUSE_EXEC_GAIN != 0 {
            return Err(EACCES.because("PR_SET_MDWE"));
        }
        Ok(())
    }
}
