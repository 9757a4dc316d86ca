//! Extended attributes of a tmpfs inode.

use bevor_abi::Errno;
use bevor_abi::errno::{EEXIST, ENODATA, ENOSPC};
use bevor_abi::stat::{XATTR_CREATE, XATTR_REPLACE};
use std::collections::BTreeMap;

/// Most bytes of names and values together one inode may have.
const MAX_BYTES: usize = 256 << 10;

type ByName = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Attributes by name; nothing is allocated while there are none.
#[derive(Default)]
pub(super) struct Xattrs(Option<Box<ByName>>);

impl Xattrs {
    pub(super) fn get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let value = self.0.as_ref().and_then(|all| all.get(name));
        value.map(|value| value.to_vec()).ok_or_else(|| ENODATA.into())
    }

    pub(super) fn set(&mut self, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        let all = self.0.get_or_insert_default();
        let exists = all.contains_key(name);
        if exists && flags & XATTR_CREATE != 0 {
            return Err(EEXIST.into());
        }
        if !exists && flags & XATTR_REPLACE != 0 {
            return Err(ENODATA.into());
        }
        let others: usize = all
            .iter()
            .filter(|(other, _)| &other[..] != name)
            .map(|(other, value)| other.len() + value.len())
            .sum();
        if others + name.len() + value.len() > MAX_BYTES {
            return Err(ENOSPC.because("too many extended attributes"));
        }
        all.insert(name.into(), value.into());
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Result<(), Errno> {
        let removed = self.0.as_mut().and_then(|all| all.remove(name));
        removed.map(|_| ()).ok_or_else(|| ENODATA.into())
    }

    pub(super) fn list(&self) -> Vec<Vec<u8>> {
        self.0.iter().flat_map(|all| all.keys().map(|name| name.to_vec())).collect()
    }
}
