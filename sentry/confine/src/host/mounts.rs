//! Mounts: an empty root for the sentry, a view of the host for the gofer.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};

/// A mount, or a tree of mounts, that is not part of any file tree yet.
#[derive(Debug)]
pub struct MountTree(OwnedFd);

impl AsFd for MountTree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<MountTree> for OwnedFd {
    /// The descriptor that keeps the mounts; closing it lets go of them.
    fn from(tree: MountTree) -> Self {
        tree.0
    }
}

impl MountTree {
    /// An empty tmpfs, neither executable nor with devices or set-user-id.
    ///
    /// # Errors
    /// `EPERM` outside a mount namespace of our own.
    pub fn tmpfs(read_only: bool) -> io::Result<Self> {
        const CLOEXEC: libc::c_uint = 1; // FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
        // SAFETY: a NUL-terminated name.
        let context = unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), CLOEXEC) };
        let context = super::owned(context)?;
        configure(&context, libc::FSCONFIG_SET_STRING, Some((c"mode", c"0755")))?;
        configure(&context, libc::FSCONFIG_SET_STRING, Some((c"size", c"1m")))?;
        configure(&context, libc::FSCONFIG_CMD_CREATE, None)?;
        let mut attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
        if read_only {
            attributes |= MOUNT_ATTR_RDONLY;
        }
        // SAFETY: no pointers.
        let mount =
            unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, attributes) };
        Ok(Self(super::owned(mount)?))
    }

    /// A copy of the mounts at and beneath `path`.
    ///
    /// # Errors
    /// The host's for the path; `EPERM` outside a mount namespace of our own.
    pub fn copy_of(path: &CStr) -> io::Result<Self> {
        let flags = libc::OPEN_TREE_CLONE
            | libc::O_CLOEXEC.cast_unsigned()
            | libc::AT_RECURSIVE.cast_unsigned();
        // SAFETY: a NUL-terminated path.
        let tree =
            unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
        Ok(Self(super::owned(tree)?))
    }

    /// A copy of the mount `path` (an `O_PATH` descriptor) lies in, from there on, and with
    /// `recursive` of those beneath it.
    ///
    /// # Errors
    /// `EINVAL` for a path of another mount namespace, and for a mount whose submounts must not be
    /// uncovered unless they are copied too; `EPERM` without the right to mount.
    pub fn copy_at(path: BorrowedFd<'_>, recursive: bool) -> io::Result<Self> {
        let mut flags = libc::OPEN_TREE_CLONE
            | libc::O_CLOEXEC.cast_unsigned()
            | libc::AT_EMPTY_PATH.cast_unsigned();
        if recursive {
            flags |= libc::AT_RECURSIVE.cast_unsigned();
        }
        // SAFETY: an empty path.
        let tree =
            unsafe { libc::syscall(libc::SYS_open_tree, path.as_raw_fd(), c"".as_ptr(), flags) };
        Ok(Self(super::owned(tree)?))
    }

    /// Sets attributes on all its mounts: no set-user-id and no devices always, read-only on demand. Later
    /// mounts of the host do not show in it.
    ///
    /// # Errors
    /// The host's.
    pub fn restrict(&self, read_only: bool) -> io::Result<()> {
        // SAFETY: an all-zero `mount_attr` changes nothing.
        let mut attr: libc::mount_attr = unsafe { std::mem::zeroed() };
        attr.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
        attr.propagation = libc::MS_PRIVATE;
        if read_only {
            attr.attr_set |= MOUNT_ATTR_RDONLY;
        }
        let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
        // SAFETY: an empty path and a live structure of the stated size.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                flags,
                std::ptr::from_ref(&attr),
                size_of::<libc::mount_attr>(),
            )
        };
        super::done(result)
    }

    /// Puts it into the file tree at `path`, relative to `directory`.
    ///
    /// # Errors
    /// The host's for the path.
    pub fn attach(&self, directory: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
        self.attach_at(directory.as_raw_fd(), path)
    }

    fn attach_at(&self, directory: i32, path: &CStr) -> io::Result<()> {
        // SAFETY: NUL-terminated paths.
        let result = unsafe {
            libc::syscall(
                libc::SYS_move_mount,
                self.0.as_raw_fd(),
                c"".as_ptr(),
                directory,
                path.as_ptr(),
                libc::MOVE_MOUNT_F_EMPTY_PATH,
            )
        };
        super::done(result)
    }
}

/// Covers what is at `path` by an empty read-only directory, until [`uncover`].
///
/// # Errors
/// The host's for the path.
pub fn cover(path: &CStr) -> io::Result<()> {
    MountTree::tmpfs(true)?.attach_at(libc::AT_FDCWD, path)
}

/// Takes off what covers `path`.
///
/// # Errors
/// `EINVAL` when nothing does.
pub fn uncover(path: &CStr) -> io::Result<()> {
    // SAFETY: a NUL-terminated path.
    super::check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) })
}

/// Empty files without a name in a tmpfs of their own, with folios as large as a file's length
/// allows. Shared memory has single pages by default (`shmem_enabled`); a mount says so for itself.
///
/// # Errors
/// `EPERM` outside a mount namespace of our own; `EINVAL` on hosts without huge pages.
pub fn large_folio_files(count: usize) -> io::Result<Vec<OwnedFd>> {
    const CLOEXEC: libc::c_uint = 1; // FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
    // SAFETY: a NUL-terminated name.
    let context = unsafe { libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), CLOEXEC) };
    let context = super::owned(context)?;
    configure(&context, libc::FSCONFIG_SET_STRING, Some((c"size", c"0")))?;
    configure(&context, libc::FSCONFIG_SET_STRING, Some((c"huge", c"within_size")))?;
    configure(&context, libc::FSCONFIG_CMD_CREATE, None)?;
    // Guests run programs out of such pages: executable mappings are wanted.
    let attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    // SAFETY: no pointers.
    let mount =
        unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, attributes) };
    let mount = super::owned(mount)?;
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    let make = || {
        // SAFETY: a descriptor and a NUL-terminated path.
        let file = unsafe { libc::openat(mount.as_raw_fd(), c".".as_ptr(), flags, 0o600) };
        super::owned(file.into())
    };
    (0..count).map(|_| make()).collect()
}

fn configure(
    context: &OwnedFd,
    command: libc::fsconfig_command,
    option: Option<(&CStr, &CStr)>,
) -> io::Result<()> {
    let (key, value) = option.map_or((std::ptr::null(), std::ptr::null()), |(key, value)| {
        (key.as_ptr(), value.as_ptr())
    });
    // SAFETY: null or NUL-terminated strings, as the command wants.
    let result =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) };
    super::done(result)
}

/// Cuts the tie of this mount namespace to the one it was copied from.
///
/// # Errors
/// `EPERM` outside a mount namespace of our own.
pub fn private_mounts() -> io::Result<()> {
    // SAFETY: null or NUL-terminated strings.
    super::check(unsafe {
        libc::mount(
            std::ptr::null(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        )
    })
}

/// Makes `root` the root of this mount namespace and lets go of all else.
///
/// # Errors
/// `EINVAL` when the present root is the initial RAM file system, which cannot be replaced.
pub fn pivot_into(root: &MountTree) -> io::Result<()> {
    private_mounts()?;
    root.attach_at(libc::AT_FDCWD, c"/")?;
    let dot = c".".as_ptr();
    // SAFETY: a descriptor and NUL-terminated paths.
    unsafe {
        super::check(libc::fchdir(root.0.as_raw_fd()))?;
        // The old root ends up on top of the new one, where the detaching finds it.
        super::done(libc::syscall(libc::SYS_pivot_root, dot, dot))?;
        super::check(libc::umount2(dot, libc::MNT_DETACH))?;
        super::check(libc::chdir(c"/".as_ptr()))
    }
}

/// Replaces this mount namespace's root by an empty read-only directory.
///
/// # Errors
/// As [`pivot_into`].
pub fn empty_root() -> io::Result<()> {
    pivot_into(&MountTree::tmpfs(true)?)
}
