//! Landlock: a second wall around paths and signals, where the host has it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// The host's Landlock version; 0 when it has none or it is off.
#[must_use]
pub fn abi() -> u32 {
    const VERSION: libc::c_uint = 1; // LANDLOCK_CREATE_RULESET_VERSION
    // SAFETY: a null attribute of length 0 asks for the version.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    u32::try_from(result).unwrap_or(0)
}

/// What is allowed beneath a path (`LANDLOCK_ACCESS_FS_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LandlockRights(u64);

impl LandlockRights {
    /// Reading files and listing directories.
    pub const READ: Self = Self(1 << 2 | 1 << 3);
    /// Listing directories alone.
    pub const LIST: Self = Self(1 << 3);
    /// All the host knows but executing.
    pub const WRITE: Self = Self(!1);
    /// Reading one file that is no directory.
    pub const READ_FILE: Self = Self(1 << 2);
    /// Reading and writing one file that is no directory: write, read, truncate, device ioctl.
    pub const WRITE_FILE: Self = Self(1 << 1 | 1 << 2 | 1 << 14 | 1 << 15);
}

/// A rule set being put together. Everything that no rule allows is refused.
#[derive(Debug)]
pub struct Landlock {
    ruleset: OwnedFd,
    handled: u64,
}

#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// File system rights a version knows: 13 at first, then REFER, TRUNCATE, IOCTL_DEV.
const fn fs_rights(abi: u32) -> u64 {
    let count = match abi {
        0 => 0,
        1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << count) - 1
}

/// What becomes of binding and connecting TCP sockets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TcpPorts {
    Refused,
    Allowed,
}

impl Landlock {
    /// Starts a rule set that handles all the host can: paths, and from the versions that have
    /// them TCP ports, abstract sockets and signals to outsiders.
    ///
    /// `None`: the host has no Landlock.
    ///
    /// # Errors
    /// The host's: out of memory or descriptors.
    pub fn new() -> io::Result<Option<Self>> {
        Self::handling(TcpPorts::Refused)
    }

    /// The same for a process that uses the host's network: TCP ports are left alone.
    ///
    /// # Errors
    /// As [`Landlock::new`].
    pub fn with_network() -> io::Result<Option<Self>> {
        Self::handling(TcpPorts::Allowed)
    }

    fn handling(ports: TcpPorts) -> io::Result<Option<Self>> {
        let abi = abi();
        if abi == 0 {
            return Ok(None);
        }
        let handled = fs_rights(abi);
        let attr = RulesetAttr {
            handled_access_fs: handled,
            handled_access_net: if abi >= 4 && ports == TcpPorts::Refused { 3 } else { 0 },
            scoped: if abi >= 6 { 3 } else { 0 },
        };
        // Older hosts accept the longer structure while what they do not know is zero.
        let len = size_of::<RulesetAttr>();
        // SAFETY: the structure is live and `len` bytes long.
        let result = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::from_ref(&attr), len, 0)
        };
        Ok(Some(Self { ruleset: super::owned(result)?, handled }))
    }

    /// Allows `rights` on the file, or beneath the directory, behind `path` (an `O_PATH` descriptor).
    ///
    /// # Errors
    /// `EINVAL` for directory rights on another kind of file.
    pub fn allow(&self, path: BorrowedFd<'_>, rights: LandlockRights) -> io::Result<()> {
        let rule =
            PathBeneath { allowed_access: rights.0 & self.handled, parent_fd: path.as_raw_fd() };
        const PATH_BENEATH: libc::c_int = 1;
        // SAFETY: the structure is live and of the type the rule kind wants.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.ruleset.as_raw_fd(),
                PATH_BENEATH,
                &raw const rule,
                0,
            )
        };
        super::done(result)
    }

    /// Puts the rules on the calling thread and all it makes later. Sets no-new-privs.
    ///
    /// # Errors
    /// `E2BIG` beyond 16 nested rule sets.
    pub fn restrict(self) -> io::Result<()> {
        super::no_new_privs()?;
        // SAFETY: no pointers.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.ruleset.as_raw_fd(), 0) };
        super::done(result)
    }
}
