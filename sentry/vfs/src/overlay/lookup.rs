//! Finding names across the layers.

use crate::inode::{FileType, InodeRef};
use crate::overlay::{OverlayFs, OverlayInode, key_of};
use bevor_abi::Errno;
use bevor_abi::errno::ENOENT;
use std::sync::Arc;

impl OverlayFs {
    /// What the lower layers of a directory have under a name: nothing, one file, or directories to
    /// be merged.
    pub(super) fn find_lower(
        &self,
        lowers: &[InodeRef],
        name: &[u8],
    ) -> Result<Vec<InodeRef>, Errno> {
        let mut found: Vec<InodeRef> = Vec::new();
        for (depth, dir) in lowers.iter().enumerate() {
            let child = match dir.lookup(name) {
                Ok(child) => child,
                Err(errno) if errno == ENOENT => continue,
                Err(errno) => return Err(errno),
            };
            let is_dir = child.file_type() == FileType::Directory;
            if self.is_whiteout(&child) || (!is_dir && !found.is_empty()) {
                break;
            }
            // Only where there is something below can opaqueness matter.
            let last = depth + 1 == lowers.len();
            let ends = !is_dir || (!last && self.is_opaque(&child));
            found.push(child);
            if ends {
                break;
            }
        }
        Ok(found)
    }
}

/// What the upper layer has under a name.
pub(super) enum Above {
    /// Nothing: the lower layers show.
    Nothing,
    /// A whiteout.
    Whiteout,
    /// A file or directory.
    Entry(InodeRef),
}

impl OverlayInode {
    /// Looks in the upper layer of this directory.
    pub(super) fn look_above(&self, name: &[u8]) -> Result<Above, Errno> {
        let Some(upper) = self.layers.read().upper.clone() else { return Ok(Above::Nothing) };
        match upper.lookup(name) {
            Ok(child) if self.fs.is_whiteout(&child) => Ok(Above::Whiteout),
            Ok(child) => Ok(Above::Entry(child)),
            Err(errno) if errno == ENOENT => Ok(Above::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// Looks in the lower layers of this directory.
    pub(super) fn look_below(&self, name: &[u8]) -> Result<Vec<InodeRef>, Errno> {
        let lower = self.layers.read().lower.clone();
        self.fs.find_lower(&lower, name)
    }

    /// Finds a child.
    pub(super) fn child(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Self>, Errno> {
        let place = Some((self.clone(), name.into()));
        match self.look_above(name)? {
            Above::Whiteout => Err(ENOENT.into()),
            Above::Entry(upper) => {
                if let Some(known) = self.fs.find(key_of(&upper)) {
                    known.seen_at(place);
                    return Ok(known);
                }
                let kind = upper.file_type();
                let mut lower = Vec::new();
                if kind == FileType::Directory && !self.fs.is_opaque(&upper) {
                    lower = self.look_below(name)?;
                    lower.retain(|inode| inode.file_type() == FileType::Directory);
                }
                Ok(self.fs.adopt(kind, Some(upper), lower, place))
            }
            Above::Nothing => {
                let lower = self.look_below(name)?;
                let kind = lower.first().ok_or(ENOENT)?.file_type();
                Ok(self.fs.adopt(kind, None, lower, place))
            }
        }
    }
}
