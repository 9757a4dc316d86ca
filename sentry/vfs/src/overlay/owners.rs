//! Owners that whoever serves a layer cannot give its files, kept in an attribute of theirs: an
//! ordinary user's upper layer holds copies of root's files.
//!
//! The attribute is that of containers/storage and fuse-overlayfs, `UID:GID:MODE` with the mode in
//! octal. The host's file then belongs to the user, who can always reach it. Symbolic links, fifos
//! and sockets have no such attribute and are shown as they are.

use crate::acl::{Acl, AclKind};
use crate::caller::Caller;
use crate::file::{FileOps, OpenFlags};
use crate::inode::{
    Attr, CachePolicy, FileType, FsStat, Inode, InodeRef, NewAttr, NewNode, S_IALLUGO, SetAttr,
};
use crate::meta::AccessTimes;
use bevor_abi::Errno;
use bevor_abi::errno::{EACCES, ENODATA, EPERM, EXDEV};
use bevor_base::Credentials;
use parking_lot::RwLock;
use std::any::Any;
use std::sync::Arc;

/// Where owner and mode are kept.
const OVERRIDE: &[u8] = b"user.containers.override_stat";

/// "Leave it as it is", for an owner.
const NO_CHANGE: u32 = u32::MAX;

/// Owner and mode as guests see them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Owner {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parts = text.split(':');
        let (uid, gid, mode) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            mode: u32::from_str_radix(mode, 8).ok()? & S_IALLUGO,
        })
    }

    fn text(self) -> Vec<u8> {
        format!("{}:{}:{:o}", self.uid, self.gid, self.mode).into_bytes()
    }

    /// Permissions of the host's file: those, and what its owner on the host needs to serve it.
    const fn host_mode(self, kind: FileType) -> u32 {
        let serve = if matches!(kind, FileType::Directory) { 0o700 } else { 0o600 };
        self.mode & 0o1777 | serve
    }
}

/// A file whose owner may be kept in an attribute.
struct Owned {
    inner: InodeRef,
    owner: RwLock<Option<Owner>>,
}

/// Sees the tree below `inode` with the owners and modes its attributes tell, and keeps those there
/// that its file system refuses.
#[must_use]
pub fn with_owners_in_attributes(inode: InodeRef) -> InodeRef {
    let owner = if keeps(inode.file_type()) { inode.get_xattr(OVERRIDE).ok() } else { None };
    let owner = RwLock::new(owner.and_then(|text| Owner::parse(&text)));
    Arc::new(Owned { inner: inode, owner })
}

/// Whether files of this type can have the attribute.
const fn keeps(kind: FileType) -> bool {
    matches!(kind, FileType::Regular | FileType::Directory)
}

impl Owned {
    fn of(inode: &InodeRef) -> Result<&Self, Errno> {
        inode.as_any().downcast_ref().ok_or_else(|| EXDEV.into())
    }

    /// Makes a file as its owner on the host, if it cannot be given to whom it should be.
    fn made(
        &self,
        attr: NewAttr,
        kind: FileType,
        make: impl Fn(NewAttr) -> Result<InodeRef, Errno>,
    ) -> Result<InodeRef, Errno> {
        let owner = Owner { uid: attr.uid, gid: attr.gid, mode: attr.mode & S_IALLUGO };
        match make(attr) {
            Err(errno) if errno == EPERM => {}
            other => return Ok(with_owners_in_attributes(other?)),
        }
        let mode = if keeps(kind) { owner.host_mode(kind) } else { attr.mode };
        let inner = make(NewAttr { mode, uid: NO_CHANGE, gid: NO_CHANGE })?;
        let made = Self { inner, owner: RwLock::new(None) };
        if keeps(kind) {
            made.keep(owner)?;
        }
        Ok(Arc::new(made))
    }

    fn keep(&self, owner: Owner) -> Result<(), Errno> {
        self.inner.set_xattr(OVERRIDE, &owner.text(), 0)?;
        *self.owner.write() = Some(owner);
        Ok(())
    }
}

impl Inode for Owned {
    fn file_type(&self) -> FileType {
        self.inner.file_type()
    }

    fn ino(&self) -> u64 {
        self.inner.ino()
    }

    fn dev(&self) -> u64 {
        self.inner.dev()
    }

    fn attr(&self) -> Result<Attr, Errno> {
        let mut attr = self.inner.attr()?;
        if let Some(owner) = *self.owner.read() {
            (attr.uid, attr.gid) = (owner.uid, owner.gid);
            attr.mode = attr.mode & !S_IALLUGO | owner.mode;
        }
        Ok(attr)
    }

    fn set_attr(&self, change: &SetAttr) -> Result<(), Errno> {
        let owner = *self.owner.read();
        let owned = change.uid.is_some() || change.gid.is_some() || change.mode.is_some();
        if owner.is_none() {
            match self.inner.set_attr(change) {
                Err(errno)
                    if (errno == EPERM || errno == EACCES) && owned && keeps(self.file_type()) => {}
                other => return other,
            }
        } else if !owned {
            return self.inner.set_attr(change);
        }
        let attr = self.attr()?;
        let owner = Owner {
            uid: change.uid.unwrap_or(attr.uid),
            gid: change.gid.unwrap_or(attr.gid),
            mode: change.mode.unwrap_or(attr.mode) & S_IALLUGO,
        };
        self.keep(owner)?;
        let mode = Some(owner.host_mode(self.file_type()));
        self.inner.set_attr(&SetAttr { mode, uid: None, gid: None, ..*change })
    }

    fn permission(&self, cred: &Credentials, want: u32) -> Result<(), Errno> {
        if self.owner.read().is_none() {
            return self.inner.permission(cred, want);
        }
        let attr = self.attr()?;
        let may = cred.may_access(attr.uid, attr.gid, attr.mode, want);
        if may { Ok(()) } else { Err(EACCES.into()) }
    }

    fn flags(&self) -> Option<u32> {
        self.inner.flags()
    }

    fn set_flags(&self, flags: u32) -> Result<(), Errno> {
        self.inner.set_flags(flags)
    }

    fn keeps_acls(&self) -> bool {
        self.inner.keeps_acls()
    }

    fn acl(&self, kind: AclKind) -> Result<Option<Arc<Acl>>, Errno> {
        self.inner.acl(kind)
    }

    fn inherited_acl(&self) -> Result<Option<Arc<Acl>>, Errno> {
        self.inner.inherited_acl()
    }

    fn set_acl(
        &self,
        kind: AclKind,
        acl: Option<Arc<Acl>>,
        mode: Option<u32>,
    ) -> Result<(), Errno> {
        self.inner.set_acl(kind, acl, mode)
    }

    fn accessed(&self, rule: AccessTimes) {
        self.inner.accessed(rule);
    }

    fn cache_policy(&self) -> CachePolicy {
        self.inner.cache_policy()
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        Ok(with_owners_in_attributes(self.inner.lookup(name)?))
    }

    fn create(&self, name: &[u8], node: &NewNode<'_>, attr: NewAttr) -> Result<InodeRef, Errno> {
        let kind = match node {
            NewNode::Regular => FileType::Regular,
            NewNode::Directory => FileType::Directory,
            // None of these can have the attribute.
            _ => FileType::Symlink,
        };
        self.made(attr, kind, |attr| self.inner.create(name, node, attr))
    }

    fn create_unnamed(&self, attr: NewAttr) -> Result<InodeRef, Errno> {
        self.made(attr, FileType::Regular, |attr| self.inner.create_unnamed(attr))
    }

    fn link(&self, name: &[u8], target: &InodeRef) -> Result<(), Errno> {
        self.inner.link(name, &Self::of(target)?.inner)
    }

    fn unlink(&self, name: &[u8]) -> Result<(), Errno> {
        self.inner.unlink(name)
    }

    fn rmdir(&self, name: &[u8]) -> Result<(), Errno> {
        self.inner.rmdir(name)
    }

    fn rename(
        &self,
        name: &[u8],
        new_dir: &InodeRef,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        self.inner.rename(name, &Self::of(new_dir)?.inner, new_name, flags)
    }

    fn read_link(&self, caller: &dyn Caller) -> Result<Vec<u8>, Errno> {
        self.inner.read_link(caller)
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        self.inner.clone().open(flags, caller)
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if name == OVERRIDE {
            return Err(ENODATA.into());
        }
        self.inner.get_xattr(name)
    }

    fn has_file_capabilities(&self) -> bool {
        self.inner.has_file_capabilities()
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        if name == OVERRIDE {
            return Err(EPERM.because("where owners are kept"));
        }
        self.inner.set_xattr(name, value, flags)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = self.inner.list_xattr()?;
        names.retain(|name| name != OVERRIDE);
        Ok(names)
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        self.inner.remove_xattr(name)
    }

    fn statfs(&self) -> Result<FsStat, Errno> {
        self.inner.statfs()
    }

    fn sync_fs(&self) -> Result<(), Errno> {
        self.inner.sync_fs()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Owner;
    use crate::inode::FileType;

    #[test]
    fn owners_are_read_as_they_are_written() {
        let owner = Owner { uid: 0, gid: 12, mode: 0o4755 };
        assert_eq!(owner.text(), b"0:12:4755");
        assert_eq!(Owner::parse(&owner.text()), Some(owner));
        assert_eq!(Owner::parse(b"0:12:755:ignored").map(|owner| owner.mode), Some(0o755));
        for bad in [&b""[..], b"0:12", b"a:0:755", b"0:0:9", b"-1:0:755", b"\xff"] {
            assert_eq!(Owner::parse(bad), None);
        }
        assert_eq!(Owner { mode: 0o4555, ..owner }.host_mode(FileType::Directory), 0o755);
        assert_eq!(Owner { mode: 0, ..owner }.host_mode(FileType::Regular), 0o600);
    }
}
