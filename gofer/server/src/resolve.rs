//! From handles to descriptors, and from names to what they stand for.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, EMFILE, ENFILE, ENOENT, ENOTDIR, ESTALE};
use bevor_gofer_protocol::wire::WireHandle;

use crate::host::{self, Mounts, Name};
use crate::root::{Root, is_mount_root};
use crate::server::Server;
use crate::table::{Found, Identity, NodeInfo};

/// File systems that may be served when they are met at a mount point below a root: those that
/// hold people's files. Kernel file systems (proc, sys, cgroup, debug, …) are not among them.
const SERVED_FILE_SYSTEMS: &[i64] = &[
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs (and devtmpfs, whose devices are never opened)
    0x794c_7630, // overlay
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
    0x6969,      // nfs
    0x0102_1997, // 9p
    0x6573_5546, // fuse, virtiofs
    0xfe53_4d42, // smb2
    0xff53_4d42, // cifs
    0x00c3_6400, // ceph
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // erofs
    0x9660,      // iso9660
    0x1501_3346, // udf
    0x4d44,      // vfat
    0x2011_bab0, // exfat
    0x5346_544e, // ntfs
    0x7366_746e, // ntfs3
    0x3153_464a, // jfs
    0x5265_4973, // reiserfs
    0x3434,      // nilfs
    0xf15f,      // ecryptfs
    0x0116_1970, // gfs2
    0x7461_636f, // ocfs2
    0x0bd0_0bd0, // lustre
    0x8584_58f6, // ramfs
];

/// A name looked up in a directory.
#[derive(Debug)]
pub struct Looked {
    /// What `statx` found.
    pub found: libc::statx,
    /// What a handle for it would stand for.
    pub info: NodeInfo,
    /// Its descriptor, when it was opened on the way.
    pub fd: Option<Arc<OwnedFd>>,
}

impl Server {
    /// The descriptor of a handle: kept, or opened again by walking down from the nearest ancestor
    /// that has one, each step of which must lead to what it led to before.
    ///
    /// # Errors
    /// ESTALE when it does not, EACCES when the walk is not allowed any more.
    pub fn descriptor(&self, found: &Found) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(fd) = &found.fd {
            return Ok(Arc::clone(fd));
        }
        let devices = || {
            let path = self.table.lock().path(found.id);
            let mut devices = vec![found.info.identity.dev];
            devices.extend(path.iter().flat_map(|path| path.steps.iter().map(|step| step.2.dev)));
            devices.sort_unstable();
            devices.dedup();
            devices
        };
        self.despite_moves(|| self.walk_down_once(found), devices)
    }

    /// As [`Self::descriptor`], for those who are moving names, or if need be do it again.
    ///
    /// # Errors
    /// Those of [`Self::descriptor`].
    pub fn walk_down_once(&self, found: &Found) -> Result<Arc<OwnedFd>, Errno> {
        let mounts = self.root_of(found)?.mounts;
        let path = self.table.lock().path(found.id)?;
        let mut at = path.base;
        for (id, name, identity) in path.steps {
            let fd = self.open_name(at.as_fd(), Name::new(&name)?.as_c(), mounts);
            let fd = Arc::new(fd.map_err(gone)?);
            if Identity::of(&host::statx(fd.as_fd(), c"")?) != identity {
                return Err(ESTALE.because("something else is in its place"));
            }
            self.table.lock().keep(id, &fd);
            at = fd;
        }
        Ok(at)
    }

    /// Asks for the attributes of a handle, by its descriptor or by its name in its parent.
    ///
    /// # Errors
    /// ESTALE when something else is in its place.
    pub fn stat(&self, found: &Found) -> Result<libc::statx, Errno> {
        if let Some(fd) = &found.fd {
            return host::statx(fd.as_fd(), c"");
        }
        let by_name = || {
            let parent = self.table.lock().parent(found.id);
            let Some((parent, name)) = parent else { return Ok(None) };
            let stat = host::statx(parent.as_fd(), Name::new(&name)?.as_c()).map_err(gone)?;
            if Identity::of(&stat) != found.info.identity {
                return Err(ESTALE.because("something else is in its place"));
            }
            Ok(Some(stat))
        };
        match self.despite_moves(by_name, || vec![found.info.identity.dev])? {
            Some(stat) => Ok(stat),
            None => host::statx(self.descriptor(found)?.as_fd(), c""),
        }
    }

    /// Looks a handle up that must be a directory of which something is served.
    ///
    /// # Errors
    /// ENOTDIR; EACCES for a boundary; ESTALE.
    pub fn directory(&self, handle: WireHandle) -> Result<(Found, Arc<OwnedFd>), Errno> {
        let found = self.find(handle)?;
        if !found.info.identity.is_dir() {
            return Err(ENOTDIR.into());
        }
        if found.info.boundary {
            return Err(EACCES.because("nothing below this directory is served"));
        }
        let fd = self.descriptor(&found)?;
        Ok((found, fd))
    }

    /// Looks a handle up of which something is served.
    ///
    /// # Errors
    /// EACCES for a boundary; ESTALE.
    pub fn served(&self, handle: WireHandle) -> Result<(Found, Arc<OwnedFd>), Errno> {
        let found = self.find(handle)?;
        if found.info.boundary {
            return Err(EACCES.because("this file is not served"));
        }
        let fd = self.descriptor(&found)?;
        Ok((found, fd))
    }

    /// Looks one name up in a directory; `open` also opens it.
    ///
    /// # Errors
    /// ENOENT, EACCES and those of the host's calls.
    pub fn look(
        &self,
        root: &Root,
        dir: BorrowedFd<'_>,
        parent: &NodeInfo,
        name: &[u8],
        open: bool,
    ) -> Result<Looked, Errno> {
        let c_name = Name::new(name)?;
        let mut fd = None;
        let stat = if open {
            let opened = self.open_name(dir, c_name.as_c(), root.mounts);
            match opened {
                Ok(opened) => {
                    let stat = host::statx(opened.as_fd(), c"")?;
                    fd = Some(Arc::new(opened));
                    stat
                }
                // A mount point that must not be passed: a boundary, see below.
                Err(error) if error == bevor_abi::errno::EXDEV => host::statx(dir, c_name.as_c())?,
                Err(error) => return Err(error),
            }
        } else {
            host::statx(dir, c_name.as_c())?
        };
        let identity = Identity::of(&stat);
        let hidden = parent.hidden.as_ref().and_then(|hidden| hidden.child(name)).cloned();
        let is_hidden = hidden.as_ref().is_some_and(|hidden| hidden.here())
            || root.hidden_files.contains(&(identity.dev, identity.ino));
        let boundary = is_hidden
            || (is_mount_root(&stat) && !self.may_cross(root, dir, c_name.as_c(), fd.as_ref())?);
        let info = NodeInfo { root: parent.root, identity, boundary, hidden };
        Ok(Looked { found: stat, info, fd })
    }

    /// Whether what is mounted at `name` is served.
    fn may_cross(
        &self,
        root: &Root,
        dir: BorrowedFd<'_>,
        name: &CStr,
        fd: Option<&Arc<OwnedFd>>,
    ) -> Result<bool, Errno> {
        if root.mounts == Mounts::Stay {
            return Ok(false);
        }
        let kind = match fd {
            Some(fd) => host::statfs(fd.as_fd())?.kind,
            None => host::statfs(self.open_name(dir, name, root.mounts)?.as_fd())?.kind,
        };
        Ok(SERVED_FILE_SYSTEMS.contains(&kind))
    }

    /// Opens a name with `O_PATH`, making room if the process has run out of descriptors.
    ///
    /// # Errors
    /// Those of `openat2(2)`.
    pub fn open_name(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        mounts: Mounts,
    ) -> Result<OwnedFd, Errno> {
        self.with_room(|| host::open_beneath(dir, name, libc::O_PATH, 0, mounts))
    }

    /// Makes a call that yields a descriptor, and if there is none left once more after dropping
    /// kept ones.
    ///
    /// # Errors
    /// Those of the call; ENFILE when there still is none left.
    pub fn with_room<T>(&self, call: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        match call() {
            Err(error) if error == EMFILE || error == ENFILE => {
                self.table.lock().drop_half();
                self.streams.clear();
                call().map_err(|error| if error == EMFILE { ENFILE.into() } else { error })
            }
            other => other,
        }
    }
}

/// What it means that a name a handle stands for cannot be opened.
fn gone(error: Errno) -> Errno {
    if error == ENOENT || error == ENOTDIR || error == bevor_abi::errno::EXDEV {
        ESTALE.because("no longer where it was found")
    } else {
        error
    }
}
