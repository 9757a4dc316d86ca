//! Host calls on the process itself, made before it answers its first request.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use bevor_abi::Errno;

use super::{check, check_long, owned_long};

/// Takes a descriptor over that this process inherited by number.
///
/// # Errors
/// EBADF when it is not open.
pub fn inherited(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers; also keeps the descriptor from outliving an exec.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and the launcher left it to this process for this purpose.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The user new files belong to.
pub fn effective_uid() -> u32 {
    // SAFETY: no pointers.
    unsafe { libc::geteuid() }
}

/// Makes new files have exactly the permissions asked for.
pub fn clear_umask() {
    // SAFETY: no pointers.
    unsafe { libc::umask(0) };
}

/// Raises the soft limit of open descriptors to the hard one and answers with it.
///
/// # Errors
/// Those of `setrlimit(2)`.
pub fn raise_descriptor_limit() -> Result<u64, Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is a live rlimit.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit))?;
    }
    Ok(limit.rlim_cur)
}

/// Leaves the given namespaces (`CLONE_NEW*`) for new ones.
///
/// # Errors
/// Those of `unshare(2)`.
pub fn unshare(namespaces: i32) -> Result<(), Errno> {
    // SAFETY: no pointers.
    check(unsafe { libc::unshare(namespaces) }).map(drop)
}

/// A copy of the mounts at and below a descriptor, or of the one mount, reachable through the new
/// descriptor alone. It is private: later mounts of the host do not show in it.
///
/// # Errors
/// Those of `open_tree(2)` and `mount_setattr(2)`.
pub fn clone_mounts(
    fd: BorrowedFd<'_>,
    recursive: bool,
    read_only: bool,
) -> Result<OwnedFd, Errno> {
    let recursive = if recursive { libc::AT_RECURSIVE } else { 0 }.cast_unsigned();
    let empty = libc::AT_EMPTY_PATH.cast_unsigned();
    let flags = empty | recursive | libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path is a C string.
    let tree = owned_long(unsafe {
        libc::syscall(libc::SYS_open_tree, fd.as_raw_fd(), c"".as_ptr(), flags)
    })?;
    let mut attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    if read_only {
        attr.attr_set |= libc::MOUNT_ATTR_RDONLY;
    }
    // SAFETY: the path is a C string, attr a live mount_attr of the size given.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            empty | recursive,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(tree)
}

/// Makes an empty read-only file system the root of this mount namespace, and lets go of all else.
///
/// # Errors
/// Those of `mount(2)`, `pivot_root(2)` and `umount2(2)`.
pub fn enter_empty_root() -> Result<(), Errno> {
    let none = ptr::null::<libc::c_char>();
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let at = c"/proc".as_ptr();
    let options = c"mode=0555,size=4k,nr_inodes=2".as_ptr();
    // SAFETY: every path, type and option is a C string or null.
    unsafe {
        // Nothing that happens here is to reach other namespaces.
        check(libc::mount(
            none,
            c"/".as_ptr(),
            none,
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null(),
        ))?;
        check(libc::mount(c"none".as_ptr(), at, c"tmpfs".as_ptr(), flags, options.cast()))?;
        check(libc::chdir(at))?;
        // Old and new root in one place: the old one ends up on top and is taken off.
        check_long(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        check(libc::mount(
            none,
            c"/".as_ptr(),
            none,
            libc::MS_REMOUNT | libc::MS_RDONLY | flags,
            ptr::null(),
        ))?;
        check(libc::chdir(c"/".as_ptr()))?;
    }
    Ok(())
}

/// Gives up every capability but those of the `keep` mask, for good.
///
/// # Errors
/// Those of `prctl(2)` and `capset(2)`.
pub fn keep_capabilities(keep: u64) -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;

    // SAFETY: no pointers.
    unsafe {
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
        check(libc::prctl(libc::PR_CAP_AMBIENT, clear, 0, 0, 0))?;
        for capability in 0..64 {
            // EINVAL: the host has no more capabilities. EPERM: nothing to drop, or no right to,
            // and no-new-privs makes the bounding set meaningless.
            if libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) < 0 {
                break;
            }
            if keep & (1 << capability) == 0 {
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
        }
    }
    let half = |shift: u32| {
        let half = u32::try_from(keep >> shift & 0xffff_ffff).unwrap_or(0);
        Data { effective: half, permitted: half, inheritable: 0 }
    };
    let header = Header { version: VERSION_3, pid: 0 };
    let data = [half(0), half(32)];
    // SAFETY: header and two data structs as version 3 wants them.
    check_long(unsafe {
        libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr())
    })
    .map(drop)
}

/// Keeps other processes of the same user from reading this one's memory and descriptors.
///
/// # Errors
/// Those of `prctl(2)`.
pub fn forbid_dumping() -> Result<(), Errno> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

/// Keeps the process from gaining privileges by executing anything.
///
/// # Errors
/// Those of `prctl(2)`.
pub fn no_new_privs() -> Result<(), Errno> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}

/// Writes to a descriptor, ignoring failure: there is nobody else to tell.
pub fn write_best_effort(fd: BorrowedFd<'_>, bytes: &[u8]) {
    // SAFETY: bytes is readable for the length given.
    let _ = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
}

/// A landlock ruleset: rights the process gives up everywhere but below its rules.
#[derive(Debug)]
pub struct Landlock {
    ruleset: OwnedFd,
    handled: u64,
}

impl Landlock {
    /// The version the host has, 0 for none.
    pub fn version() -> i32 {
        const VERSION: u32 = 1;
        let none = ptr::null::<libc::c_void>();
        // SAFETY: asking for the version takes no attributes.
        let version =
            unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, VERSION) };
        i32::try_from(version).unwrap_or(0).max(0)
    }

    /// A ruleset that gives up the rights `fs` on files and `net` on the network, and with `scoped`
    /// on abstract sockets and signals beyond the process (version 6).
    ///
    /// # Errors
    /// Those of `landlock_create_ruleset(2)`.
    pub fn new(fs: u64, net: u64, scoped: u64) -> Result<Self, Errno> {
        let attr: [u64; 3] = [fs, net, scoped];
        // Older hosts take the longer structure when what they do not know is zero.
        // SAFETY: attr is live and of the size given.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                attr.as_ptr(),
                size_of_val(&attr),
                0,
            )
        };
        Ok(Self { ruleset: owned_long(fd)?, handled: fs })
    }

    /// Keeps the rights `allowed` below a descriptor.
    ///
    /// # Errors
    /// Those of `landlock_add_rule(2)`.
    pub fn allow(&self, fd: BorrowedFd<'_>, allowed: u64) -> Result<(), Errno> {
        const PATH_BENEATH: u32 = 1;
        #[repr(C, packed)]
        struct Rule {
            allowed: u64,
            parent: i32,
        }
        let rule = Rule { allowed: allowed & self.handled, parent: fd.as_raw_fd() };
        // SAFETY: rule is a live landlock_path_beneath_attr.
        check_long(unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.ruleset.as_raw_fd(),
                PATH_BENEATH,
                &raw const rule,
                0,
            )
        })
        .map(drop)
    }

    /// Puts the ruleset on the calling thread and those it makes.
    ///
    /// # Errors
    /// Those of `landlock_restrict_self(2)`.
    pub fn enforce(self) -> Result<(), Errno> {
        // SAFETY: no pointers.
        check_long(unsafe {
            libc::syscall(libc::SYS_landlock_restrict_self, self.ruleset.as_raw_fd(), 0)
        })
        .map(drop)
    }
}

/// The error of the last host call of the standard library.
pub fn of_io(error: &io::Error) -> Errno {
    Errno::from_host(error.raw_os_error().unwrap_or(libc::EIO))
}
