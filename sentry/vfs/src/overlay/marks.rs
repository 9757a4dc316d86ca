//! How an upper layer marks what it hides: whiteouts and opaque directories.

use crate::inode::{FileType, InodeRef, NewAttr, NewNode};
use crate::overlay::OverlayFs;
use bevor_abi::Errno;
use bevor_abi::errno::{EOPNOTSUPP, EPERM};
use std::sync::atomic::Ordering;

/// Who will read an upper layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Only this mount: it remembers what the layer does not say.
    Private,
    /// Linux's overlayfs, mounted with `userxattr`, and later mounts of ours.
    Linux,
}

/// The attribute names of a format, and what they begin with.
struct Names {
    own: &'static [u8],
    opaque: &'static [u8],
    whiteout: &'static [u8],
}

const PRIVATE: Names = Names {
    own: b"trusted.overlay.",
    opaque: b"trusted.overlay.opaque",
    whiteout: b"trusted.overlay.whiteout",
};

const LINUX: Names = Names {
    own: b"user.overlay.",
    opaque: b"user.overlay.opaque",
    whiteout: b"user.overlay.whiteout",
};

impl OverlayFs {
    fn names(&self) -> &'static Names {
        match self.format() {
            Format::Private => &PRIVATE,
            Format::Linux => &LINUX,
        }
    }

    /// Who will read the upper layer.
    pub(super) fn format(&self) -> Format {
        self.upper.as_ref().map_or(Format::Private, |upper| upper.format)
    }

    /// Whether an attribute is overlay's own; guests do not see those.
    pub(super) fn is_own(&self, name: &[u8]) -> bool {
        name.starts_with(self.names().own) || name.starts_with(PRIVATE.own)
    }

    /// Whether an inode of a layer is a whiteout.
    pub(super) fn is_whiteout(&self, inode: &InodeRef) -> bool {
        match inode.file_type() {
            FileType::CharDevice => inode.attr().is_ok_and(|attr| attr.rdev == 0),
            FileType::Regular if self.format() == Format::Linux => {
                inode.attr().is_ok_and(|attr| attr.size == 0)
                    && inode.get_xattr(self.names().whiteout).is_ok()
            }
            _ => false,
        }
    }

    /// Whether a directory of a layer hides those below it.
    pub(super) fn is_opaque(&self, dir: &InodeRef) -> bool {
        dir.get_xattr(self.names().opaque).is_ok_and(|value| value == b"y")
    }

    /// Whether a directory of a layer may have whiteouts that are regular files.
    pub(super) fn has_file_whiteouts(&self, dir: &InodeRef) -> bool {
        self.format() == Format::Linux
            && dir.get_xattr(self.names().opaque).is_ok_and(|value| value == b"x" || value == b"y")
    }

    /// Makes a directory of the upper layer hide those below it.
    pub(super) fn set_opaque(&self, dir: &InodeRef) -> Result<(), Errno> {
        dir.set_xattr(self.names().opaque, b"y", 0)
    }

    /// Hides `name` of the lower layers; the upper one has nothing of that name.
    pub(super) fn put_whiteout(&self, upper: &InodeRef, name: &[u8]) -> Result<(), Errno> {
        let mut shared = self.whiteout.lock();
        if let Some(whiteout) = &*shared
            && upper.link(name, whiteout).is_ok()
        {
            return Ok(());
        }
        if !self.no_devices.load(Ordering::Relaxed) {
            let attr = NewAttr { mode: 0, ..self.attr_of_marks() };
            match upper.create(name, &NewNode::Device { char: true, rdev: 0 }, attr) {
                Ok(made) => {
                    *shared = Some(made);
                    return Ok(());
                }
                // The host makes no device files there: regular files stand for them, which
                // overlayfs knows as well.
                Err(errno)
                    if self.format() == Format::Linux
                        && (errno == EPERM || errno == EOPNOTSUPP) =>
                {
                    self.no_devices.store(true, Ordering::Relaxed);
                }
                Err(errno) => return Err(errno),
            }
        }
        drop(shared);
        // As its owner must be able to give it an attribute.
        let attr = NewAttr { mode: 0o600, ..self.attr_of_marks() };
        let made = upper.create(name, &NewNode::Regular, attr)?;
        made.set_xattr(self.names().whiteout, b"y", 0)?;
        if !self.has_file_whiteouts(upper) {
            upper.set_xattr(self.names().opaque, b"x", 0)?;
        }
        Ok(())
    }

    /// Whose the marks are: whoever can make files in the layer.
    fn attr_of_marks(&self) -> NewAttr {
        let owner = self.upper.as_ref().and_then(|upper| upper.work.attr().ok());
        let (uid, gid) = owner.map_or((0, 0), |owner| (owner.uid, owner.gid));
        NewAttr { mode: 0, uid, gid }
    }
}
