//! Extended attributes of a tmpfs inode.

use bevor_abi::Errno;
use bevor_abi::errno::{EEXIST, ENODATA};
use bevor_abi::stat::{XATTR_CREATE, XATTR_REPLACE};
use std::collections::BTreeMap;

/// What an attribute takes of the room for inodes, bytes (`simple_xattr_space`).
pub(super) const fn space(name: &[u8], len: usize) -> u64 {
    40 + (name.len() + len) as u64
}

type ByName = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Attributes by name; nothing is allocated while there are none.
#[derive(Default)]
pub(super) struct Xattrs(Option<Box<ByName>>);

impl Xattrs {
    pub(super) fn get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let value = self.0.as_ref().and_then(|all| all.get(name));
        value.map(|value| value.to_vec()).ok_or_else(|| ENODATA.into())
    }

    /// Sets an attribute; how long the old value was, if there was one.
    pub(super) fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        flags: u32,
    ) -> Result<Option<usize>, Errno> {
        let all = self.0.get_or_insert_default();
        let exists = all.contains_key(name);
        if exists && flags & XATTR_CREATE != 0 {
            return Err(EEXIST.into());
        }
        if !exists && flags & XATTR_REPLACE != 0 {
            return Err(ENODATA.into());
        }
        Ok(all.insert(name.into(), value.into()).map(|old| old.len()))
    }

    /// Removes an attribute; how long its value was.
    pub(super) fn remove(&mut self, name: &[u8]) -> Result<usize, Errno> {
        let removed = self.0.as_mut().and_then(|all| all.remove(name));
        removed.map(|old| old.len()).ok_or_else(|| ENODATA.into())
    }

    pub(super) fn list(&self) -> Vec<Vec<u8>> {
        self.0.iter().flat_map(|all| all.keys().map(|name| name.to_vec())).collect()
    }

    /// What all of them take.
    pub(super) fn space(&self) -> u64 {
        let all = self.0.iter().flat_map(|all| all.iter());
        all.map(|(name, value)| space(name, value.len())).sum()
    }
}
