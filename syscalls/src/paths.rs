//! Path arguments: how every `*at` call reads its path and finds where the look-up starts.

use bevor_abi::Errno;
use bevor_abi::errno::ENOENT;
use bevor_abi::fcntl::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, PATH_MAX};
use bevor_base::Credentials;
use bevor_kernel::Ctx;
use bevor_memory::UserAddr;
use bevor_vfs::{At, FsContext, LastLink, Path};
use std::sync::Arc;

/// Everything a look-up needs, owned, so that [`At`] can borrow it.
pub struct Start {
    fs: Arc<FsContext>,
    cred: Arc<Credentials>,
    /// The descriptor argument's file, none for `AT_FDCWD`. Linux looks at the path first.
    dir: Result<Option<Path>, Errno>,
    /// The path argument.
    pub path: Vec<u8>,
}

/// Reads a path from the caller's memory.
///
/// # Errors
/// `EFAULT`, `ENAMETOOLONG`.
pub fn read(ctx: &Ctx<'_>, path: UserAddr) -> Result<Vec<u8>, Errno> {
    ctx.mm().read_cstr(path, usize::try_from(PATH_MAX).unwrap_or(4096))
}

/// Reads the path argument of an `*at` call and finds its directory.
///
/// # Errors
/// `EFAULT`, `ENAMETOOLONG`.
pub fn start(ctx: &Ctx<'_>, dirfd: i32, path: UserAddr) -> Result<Start, Errno> {
    Ok(start_with(ctx, dirfd, read(ctx, path)?))
}

/// As [`start`] for a path already read.
#[must_use]
pub fn start_with(ctx: &Ctx<'_>, dirfd: i32, path: Vec<u8>) -> Start {
    let dir = if dirfd == AT_FDCWD {
        Ok(None)
    } else {
        ctx.files().get_any(dirfd).map(|file| Some(file.path().clone()))
    };
    Start { fs: ctx.task().fs().context(), cred: ctx.task().cred(), dir, path }
}

impl Start {
    /// The look-up's start.
    #[must_use]
    pub fn at<'a>(&'a self, ctx: &'a Ctx<'_>) -> At<'a> {
        At {
            dir: self.dir.as_ref().map(Option::as_ref).map_err(|errno| *errno),
            ..At::cwd(&self.fs, ctx, &self.cred)
        }
    }

    /// Whose permissions count.
    #[must_use]
    pub const fn cred(&self) -> &Arc<Credentials> {
        &self.cred
    }

    /// Counts with other credentials (`access(2)`).
    #[must_use]
    pub fn as_user(mut self, cred: Arc<Credentials>) -> Self {
        self.cred = cred;
        self
    }

    /// Resolves the path; with `AT_EMPTY_PATH` in `flags` an empty one is the directory descriptor
    /// itself.
    ///
    /// # Errors
    /// As `path_resolution(7)`.
    pub fn resolve(&self, ctx: &Ctx<'_>, flags: u32) -> Result<Path, Errno> {
        if self.path.is_empty() {
            if flags & AT_EMPTY_PATH == 0 {
                return Err(ENOENT.into());
            }
            return Ok(self.dir.clone()?.unwrap_or_else(|| self.fs.cwd.clone()));
        }
        let nofollow = flags & AT_SYMLINK_NOFOLLOW != 0;
        let last = if nofollow { LastLink::Keep } else { LastLink::Follow };
        self.at(ctx).resolve(&self.path, last)
    }
}
