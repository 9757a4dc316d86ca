//! Flags of a mount.

use bevor_abi::mount::{
    MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME, MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID,
    MS_NOSYMFOLLOW, MS_RDONLY, MS_RELATIME, MS_STRICTATIME,
};

/// Flags that belong to one mount, in the bits of `mount(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MountFlags(pub u64);

impl MountFlags {
    /// Writes are refused.
    pub const RDONLY: u64 = MS_RDONLY;
    /// Set-user-ID, set-group-ID and file capabilities have no effect.
    pub const NOSUID: u64 = MS_NOSUID;
    /// Device files do not open.
    pub const NODEV: u64 = MS_NODEV;
    /// Programs do not run.
    pub const NOEXEC: u64 = MS_NOEXEC;
    /// Reads leave access times alone.
    pub const NOATIME: u64 = MS_NOATIME;
    /// Reads of directories leave access times alone.
    pub const NODIRATIME: u64 = MS_NODIRATIME;
    /// Access times follow only after a change or a day.
    pub const RELATIME: u64 = MS_RELATIME;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = MS_NOSYMFOLLOW;

    const ALL: u64 = MS_RDONLY
        | MS_NOSUID
        | MS_NODEV
        | MS_NOEXEC
        | MS_NOATIME
        | MS_NODIRATIME
        | MS_RELATIME
        | MS_NOSYMFOLLOW;

    /// Takes the flags of a mount out of the argument of `mount(2)`; `relatime` is the default.
    #[must_use]
    pub const fn from_mount(flags: u64) -> Self {
        let mut kept = flags & Self::ALL;
        if flags & MS_NOATIME == 0 {
            kept |= MS_RELATIME;
        }
        if flags & (MS_STRICTATIME | MS_NOATIME) != 0 {
            kept &= !MS_RELATIME;
        }
        Self(kept)
    }

    /// The bits that say how access times move.
    pub const ATIME: u64 = MS_NOATIME | MS_NODIRATIME | MS_RELATIME;

    /// The flags of a remount of a mount with flags `old`: unless the argument says something about
    /// access times, they stay as they are.
    #[must_use]
    pub const fn from_remount(flags: u64, old: Self) -> Self {
        let new = Self::from_mount(flags);
        if flags & (Self::ATIME | MS_STRICTATIME) == 0 {
            return Self(new.0 & !Self::ATIME | old.0 & Self::ATIME);
        }
        new
    }

    /// Takes the flags of a mount out of `MOUNT_ATTR_*` without those of access times.
    #[must_use]
    pub const fn from_attr(attr: u64) -> Self {
        let mut flags = attr & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
        if attr & MOUNT_ATTR_NODIRATIME != 0 {
            flags |= MS_NODIRATIME;
        }
        if attr & MOUNT_ATTR_NOSYMFOLLOW != 0 {
            flags |= MS_NOSYMFOLLOW;
        }
        Self(flags)
    }

    /// The flags as `MOUNT_ATTR_*` (`statmount(2)`).
    #[must_use]
    pub const fn attr(self) -> u64 {
        let mut attr = self.0 & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
        if self.has(Self::NODIRATIME) {
            attr |= MOUNT_ATTR_NODIRATIME;
        }
        if self.has(Self::NOSYMFOLLOW) {
            attr |= MOUNT_ATTR_NOSYMFOLLOW;
        }
        attr | if self.has(Self::NOATIME) {
            MOUNT_ATTR_NOATIME
        } else if self.has(Self::RELATIME) {
            MOUNT_ATTR_RELATIME
        } else {
            MOUNT_ATTR_STRICTATIME
        }
    }

    /// Whether `flag` is set.
    #[must_use]
    pub const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    /// The flags as mountinfo's sixth field shows them.
    #[must_use]
    pub fn text(self) -> String {
        let mut text = String::from(if self.has(Self::RDONLY) { "ro" } else { "rw" });
        for (flag, name) in [
            (Self::NOSUID, ",nosuid"),
            (Self::NODEV, ",nodev"),
            (Self::NOEXEC, ",noexec"),
            (Self::NOATIME, ",noatime"),
            (Self::NODIRATIME, ",nodiratime"),
            (Self::RELATIME, ",relatime"),
            (Self::NOSYMFOLLOW, ",nosymfollow"),
        ] {
            if self.has(flag) {
                text.push_str(name);
            }
        }
        text
    }

    /// The `ST_*` bits `statfs(2)` reports.
    #[must_use]
    pub const fn statfs_bits(self) -> u64 {
        // ST_NOATIME and so on have the MS_* values, except ST_RELATIME (4096) and ST_NOSYMFOLLOW.
        let mut bits = self.0 & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
        bits |= self.0 & (MS_NOATIME | MS_NODIRATIME);
        if self.has(Self::RELATIME) {
            bits |= 4096;
        }
        if self.has(Self::NOSYMFOLLOW) {
            bits |= 8192;
        }
        bits | 32
    }
}
