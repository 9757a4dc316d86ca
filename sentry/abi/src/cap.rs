//! Capabilities: `<linux/capability.h>`.

use crate::macros::{uapi, uapi_struct};

uapi! {
    /// Capability number, `capabilities(7)`.
    values CAPS: u32 {
        CAP_CHOWN = 0,
        CAP_DAC_OVERRIDE = 1,
        CAP_DAC_READ_SEARCH = 2,
        CAP_FOWNER = 3,
        CAP_FSETID = 4,
        CAP_KILL = 5,
        CAP_SETGID = 6,
        CAP_SETUID = 7,
        CAP_SETPCAP = 8,
        CAP_LINUX_IMMUTABLE = 9,
        CAP_NET_BIND_SERVICE = 10,
        CAP_NET_BROADCAST = 11,
        CAP_NET_ADMIN = 12,
        CAP_NET_RAW = 13,
        CAP_IPC_LOCK = 14,
        CAP_IPC_OWNER = 15,
        CAP_SYS_MODULE = 16,
        CAP_SYS_RAWIO = 17,
        CAP_SYS_CHROOT = 18,
        CAP_SYS_PTRACE = 19,
        CAP_SYS_PACCT = 20,
        CAP_SYS_ADMIN = 21,
        CAP_SYS_BOOT = 22,
        CAP_SYS_NICE = 23,
        CAP_SYS_RESOURCE = 24,
        CAP_SYS_TIME = 25,
        CAP_SYS_TTY_CONFIG = 26,
        CAP_MKNOD = 27,
        CAP_LEASE = 28,
        CAP_AUDIT_WRITE = 29,
        CAP_AUDIT_CONTROL = 30,
        CAP_SETFCAP = 31,
        CAP_MAC_OVERRIDE = 32,
        CAP_MAC_ADMIN = 33,
        CAP_SYSLOG = 34,
        CAP_WAKE_ALARM = 35,
        CAP_BLOCK_SUSPEND = 36,
        CAP_AUDIT_READ = 37,
        CAP_PERFMON = 38,
        CAP_BPF = 39,
        CAP_CHECKPOINT_RESTORE = 40,
    }

    /// Version of `capget(2)`.
    values CAP_VERSIONS: u32 {
        _LINUX_CAPABILITY_VERSION_1 = 0x1998_0330,
        _LINUX_CAPABILITY_VERSION_2 = 0x2007_1026,
        _LINUX_CAPABILITY_VERSION_3 = 0x2008_0522,
    }

    /// Bit of the `security.capability` attribute.
    values VFS_CAP_BITS: u32 {
        VFS_CAP_REVISION_MASK = 0xff00_0000,
        VFS_CAP_REVISION_1 = 0x0100_0000,
        VFS_CAP_REVISION_2 = 0x0200_0000,
        VFS_CAP_REVISION_3 = 0x0300_0000,
        VFS_CAP_FLAGS_EFFECTIVE = 0x1,
    }
}

/// The highest capability number.
pub const CAP_LAST_CAP: u32 = CAP_CHECKPOINT_RESTORE;

uapi_struct! {
    /// Header of `capget(2)`.
    [8] CapUserHeader { version: u32, pid: i32 }
    /// Half of the data of `capget(2)`: 32 capabilities of each set.
    [12] CapUserData { effective: u32, permitted: u32, inheritable: u32 }
    /// The `security.capability` attribute, version 2.
    [20] VfsCapData { magic_etc: u32, data: [VfsCapWord; 2] }
    /// Half of the sets of a `security.capability` attribute.
    [8] VfsCapWord { permitted: u32, inheritable: u32 }
    /// The `security.capability` attribute, version 3.
    [24] VfsNsCapData { magic_etc: u32, data: [VfsCapWord; 2], rootid: u32 }
}

/// A set of capabilities, bit `n` for capability number `n`.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(transparent)]
pub struct CapSet(pub u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// Every capability there is.
    pub const FULL: Self = Self((1 << (CAP_LAST_CAP + 1)) - 1);

    /// The set of these capability numbers; numbers above [`CAP_LAST_CAP`] are left out.
    #[must_use]
    pub const fn of(caps: &[u32]) -> Self {
        let mut set = Self::EMPTY;
        let mut i = 0;
        while i < caps.len() {
            set = set.with(caps[i]);
            i += 1;
        }
        set
    }

    /// Whether the capability is in the set.
    #[must_use]
    pub const fn has(self, cap: u32) -> bool {
        cap <= CAP_LAST_CAP && self.0 & (1 << cap) != 0
    }

    /// The set with the capability added.
    #[must_use]
    pub const fn with(self, cap: u32) -> Self {
        if cap <= CAP_LAST_CAP { Self(self.0 | 1 << cap) } else { self }
    }

    /// The set with the capability taken out.
    #[must_use]
    pub const fn without(self, cap: u32) -> Self {
        if cap <= CAP_LAST_CAP { Self(self.0 & !(1 << cap)) } else { self }
    }

    /// Whether every member of `self` is in `other`.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether the set has no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set from the two 32-bit words of `capset(2)` or a file attribute; unknown bits are left
    /// out, as the kernel does.
    #[must_use]
    pub const fn from_words(low: u32, high: u32) -> Self {
        Self((low as u64 | (high as u64) << 32) & Self::FULL.0)
    }

    /// The two 32-bit words of `capget(2)`, low first.
    #[must_use]
    pub const fn words(self) -> (u32, u32) {
        (crate::conv::low_u32(self.0), crate::conv::high_u32(self.0))
    }

    /// The members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..=CAP_LAST_CAP).filter(move |&cap| self.has(cap))
    }
}

impl core::ops::BitOr for CapSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl core::ops::BitAnd for CapSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl core::ops::Sub for CapSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl core::fmt::Debug for CapSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if *self == Self::FULL {
            return f.write_str("CapSet(FULL)");
        }
        f.write_str("CapSet")?;
        f.debug_set().entries(self.iter().filter_map(|cap| CAPS.name(cap.into()))).finish()
    }
}
