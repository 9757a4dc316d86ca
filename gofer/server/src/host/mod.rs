//! The host calls of the gofer, each under its own name.
//!
//! Paths are single names relative to a directory descriptor, or a descriptor's own entry in
//! `/proc/self/fd` (see [`SelfFd`]).
#![expect(unsafe_code, reason = "wraps host calls that no safe wrapper exists for")]

mod content;
mod modify;
mod process;

pub use content::*;
pub use modify::*;
pub use process::*;

use std::ffi::CStr;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use bevor_abi::Errno;
use bevor_abi::errno::{EAGAIN, EINTR, ENAMETOOLONG};

/// What [`statx`] asks for.
const STATX_MASK: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_MNT_ID;

/// Nothing outside the directory, no symlink, no `/proc` link.
const RESOLVE: u64 =
    libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;

/// How often a lookup that raced with a rename (EAGAIN) is tried again.
const RETRIES: usize = 128;

/// A file name as C wants it, on the stack.
pub struct Name {
    bytes: [u8; 256],
    len: usize,
}

impl Name {
    /// A name of at most 255 bytes.
    ///
    /// # Errors
    /// ENAMETOOLONG.
    pub fn new(name: &[u8]) -> Result<Self, Errno> {
        if name.len() > 255 || name.contains(&0) {
            return Err(ENAMETOOLONG.into());
        }
        let mut bytes = [0; 256];
        bytes[..name.len()].copy_from_slice(name);
        Ok(Self { bytes, len: name.len() })
    }

    /// The name with its NUL.
    pub fn as_c(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.bytes[..=self.len]).unwrap_or_default()
    }
}

/// Whether a lookup may pass a mount point of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounts {
    /// It may.
    Cross,
    /// EXDEV.
    Stay,
}

/// Opens one name beneath `dir`, a symlink itself rather than its target.
///
/// # Errors
/// Those of `openat2(2)`.
pub fn open_beneath(
    dir: BorrowedFd<'_>,
    name: &CStr,
    flags: i32,
    mode: u32,
    mounts: Mounts,
) -> Result<OwnedFd, Errno> {
    // SAFETY: open_how is plain data.
    let mut how: libc::open_how = unsafe { mem::zeroed() };
    how.flags = u64::from((flags | libc::O_CLOEXEC | libc::O_NOFOLLOW).cast_unsigned());
    how.mode = mode.into();
    how.resolve = RESOLVE | if mounts == Mounts::Stay { libc::RESOLVE_NO_XDEV } else { 0 };
    let mut error = EAGAIN.into();
    for _ in 0..RETRIES {
        // SAFETY: name is a C string and how a live open_how of the size given.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                name.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        match owned_long(fd) {
            Err(raced) if raced == EAGAIN || raced == EINTR => error = raced,
            other => return other,
        }
    }
    Err(error)
}

/// Looks at one name in `dir`, or at `dir` itself for an empty name. Follows no symlink and
/// triggers no automount.
///
/// # Errors
/// Those of `statx(2)`.
pub fn statx(dir: BorrowedFd<'_>, name: &CStr) -> Result<libc::statx, Errno> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
    let mut found = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: name is a C string; found has room for a struct statx and is read after success.
    unsafe {
        check(libc::statx(dir.as_raw_fd(), name.as_ptr(), flags, STATX_MASK, found.as_mut_ptr()))?;
        Ok(found.assume_init())
    }
}

/// Reads the symlink `name` in `dir`, or the symlink `dir` itself for an empty name.
///
/// # Errors
/// Those of `readlinkat(2)`: EINVAL (ENOENT for an empty name) when it is no symlink.
pub fn readlink(dir: BorrowedFd<'_>, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut target = vec![0_u8; 4096];
    // SAFETY: name is a C string, target has room for the length given.
    let len = unsafe {
        libc::readlinkat(dir.as_raw_fd(), name.as_ptr(), target.as_mut_ptr().cast(), target.len())
    };
    let len = usize::try_from(len).map_err(|_| last_error())?;
    target.truncate(len);
    Ok(target)
}

/// Reads directory entries, as many as fit; 0 bytes at the end.
///
/// # Errors
/// Those of `getdents64(2)`.
pub fn getdents(dir: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: buffer has room for the length given.
    let len = unsafe {
        libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
    };
    usize::try_from(len).map_err(|_| last_error())
}

/// Sets the position of a directory stream.
///
/// # Errors
/// Those of `lseek(2)`.
pub fn seek(fd: BorrowedFd<'_>, position: i64) -> Result<(), Errno> {
    // SAFETY: no pointers.
    let at = unsafe { libc::lseek(fd.as_raw_fd(), position, libc::SEEK_SET) };
    if at < 0 { Err(last_error()) } else { Ok(()) }
}

/// `struct statfs` of the kernel, whose flags libc's hides.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StatFs {
    pub kind: i64,
    pub block_size: i64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
    pub fsid: u64,
    pub name_len: i64,
    pub fragment_size: i64,
    pub flags: i64,
    spare: [i64; 4],
}

const _: () = assert!(size_of::<StatFs>() == size_of::<libc::statfs>());

/// Describes the file system of a descriptor.
///
/// # Errors
/// Those of `fstatfs(2)`.
pub fn statfs(fd: BorrowedFd<'_>) -> Result<StatFs, Errno> {
    let mut found = MaybeUninit::<StatFs>::uninit();
    // SAFETY: found has room for a struct statfs and is read after success.
    unsafe {
        check(libc::fstatfs(fd.as_raw_fd(), found.as_mut_ptr().cast()))?;
        Ok(found.assume_init())
    }
}

/// The gofer's own `/proc/self/fd`: the one way to get from an `O_PATH` descriptor to an open file
/// without looking a name up again.
#[derive(Debug)]
pub struct SelfFd {
    dir: OwnedFd,
    /// Whether `dir` is the current directory, for calls that take a path and no descriptor.
    current: bool,
}

/// The name of a descriptor in `/proc/self/fd`.
struct Number([u8; 12]);

impl Number {
    fn new(fd: BorrowedFd<'_>) -> Self {
        use std::io::Write;

        let mut digits = [0; 12];
        // Ten digits and NUL fit; writing to a slice of enough room cannot fail.
        let _ = write!(&mut digits[..11], "{}", fd.as_raw_fd());
        Self(digits)
    }

    fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

impl SelfFd {
    /// Opens `/proc/self/fd` of this process.
    ///
    /// # Errors
    /// Those of `open(2)`; ENOTDIR when it is not a proc file system.
    pub fn open() -> Result<Self, Errno> {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: the path is a C string.
        let dir = owned(unsafe { libc::open(c"/proc/self/fd".as_ptr(), flags) })?;
        if statfs(std::os::fd::AsFd::as_fd(&dir))?.kind != libc::PROC_SUPER_MAGIC {
            return Err(bevor_abi::errno::ENOTDIR.because("/proc is not a proc file system"));
        }
        Ok(Self { dir, current: false })
    }

    /// Makes it the current directory, so that nothing needs an absolute path any more.
    ///
    /// # Errors
    /// Those of `fchdir(2)`.
    pub fn make_current(&mut self) -> Result<(), Errno> {
        // SAFETY: no pointers.
        check(unsafe { libc::fchdir(self.dir.as_raw_fd()) })?;
        self.current = true;
        Ok(())
    }

    /// The number of the directory's descriptor, for the host-call filter.
    pub fn raw(&self) -> RawFd {
        self.dir.as_raw_fd()
    }

    /// Opens the file behind an `O_PATH` descriptor.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn reopen(&self, fd: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd, Errno> {
        let number = Number::new(fd);
        let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY;
        loop {
            // SAFETY: the name is a C string.
            let new = unsafe { libc::openat(self.dir.as_raw_fd(), number.as_c().as_ptr(), flags) };
            match owned(new) {
                Err(error) if error == EINTR => {}
                other => return other,
            }
        }
    }

    /// A path that leads to the file behind a descriptor, and `below` beneath it.
    fn path(&self, fd: BorrowedFd<'_>, below: &CStr) -> std::ffi::CString {
        let mut path = Vec::with_capacity(64);
        if !self.current {
            path.extend_from_slice(b"/proc/self/fd/");
        }
        path.extend_from_slice(Number::new(fd).as_c().to_bytes());
        if !below.is_empty() {
            path.push(b'/');
            path.extend_from_slice(below.to_bytes());
        }
        std::ffi::CString::new(path).unwrap_or_default()
    }
}

fn last_error() -> Errno {
    Errno::from_host(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

fn check_long(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

fn owned(fd: RawFd) -> Result<OwnedFd, Errno> {
    check(fd)?;
    // SAFETY: the kernel just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn owned_long(fd: libc::c_long) -> Result<OwnedFd, Errno> {
    owned(RawFd::try_from(fd).unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_abi::errno::{ELOOP, EXDEV};
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::PathBuf;

    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            // Best effort: what is left is a small folder of temporary ones.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// The checks of names stand before this, and the flags do in part the same: each is a wall of its
    /// own, and must hold by itself.
    #[test]
    fn every_flag_of_an_open_holds_by_itself() {
        let place = Place(std::env::temp_dir().join(format!("bevor-walls-{}", std::process::id())));
        let root = place.0.join("root");
        fs::create_dir_all(root.join("dir")).unwrap();
        for file in ["root/dir/file", "outside"] {
            fs::write(place.0.join(file), "").unwrap();
        }
        symlink("dir", root.join("link")).unwrap();
        symlink("../outside", root.join("dir/out")).unwrap();
        let dir = fs::File::open(&root).unwrap();
        let open = |name: &CStr, flags| {
            open_beneath(dir.as_fd(), name, flags, 0, Mounts::Cross).map(fs::File::from)
        };
        assert!(open(c"dir/file", libc::O_RDONLY).is_ok());
        // RESOLVE_BENEATH.
        for name in [c"..", c"../outside", c"dir/../../outside", c"/"] {
            assert_eq!(open(name, libc::O_PATH).unwrap_err(), EXDEV, "{name:?}");
        }
        // RESOLVE_NO_SYMLINKS: this one leads to what lies beneath.
        assert_eq!(open(c"link/file", libc::O_PATH).unwrap_err(), ELOOP);
        assert_eq!(open(c"dir/out", libc::O_RDONLY).unwrap_err(), ELOOP);
        // O_NOFOLLOW: the link itself, not an error.
        let link = open(c"link", libc::O_PATH).unwrap().metadata().unwrap();
        assert!(link.file_type().is_symlink());
        assert_eq!(link.ino(), fs::symlink_metadata(root.join("link")).unwrap().ino());
        assert_eq!(open(c"link", libc::O_RDONLY).unwrap_err(), ELOOP);
    }
}
