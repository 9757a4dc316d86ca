//! Paths: a dentry as seen through a mount.

use crate::anon;
use crate::dentry::{Dentry, Name, rename_count};
use crate::inode::InodeRef;
use crate::mount::Mount;
use std::sync::Arc;

/// A place in the file tree: a dentry as seen through a mount.
#[derive(Clone, Debug)]
pub struct Path {
    /// The mount.
    pub mount: Arc<Mount>,
    /// The dentry.
    pub dentry: Arc<Dentry>,
}

/// A path as text, and how far it could be followed upwards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathText {
    /// The name of each directory from the root on, `/` first.
    pub bytes: Vec<u8>,
    /// Whether the root asked for was reached.
    pub reachable: bool,
    /// Whether the name has been removed.
    pub deleted: bool,
}

impl PathText {
    /// The text of `/proc/PID/fd/N` and the like: ` (deleted)` after a removed name.
    #[must_use]
    pub fn for_link(mut self) -> Vec<u8> {
        if self.deleted {
            self.bytes.extend_from_slice(b" (deleted)");
        }
        self.bytes
    }
}

impl Path {
    /// A path outside any tree, for pipes, sockets and anonymous inodes. It shows as `name`, or
    /// `name:[ino]` when `numbered`.
    #[must_use]
    pub fn anonymous(inode: InodeRef, name: Name, numbered: bool) -> Self {
        Self {
            mount: anon::internal_mount().clone(),
            dentry: Dentry::anonymous(inode, name, numbered),
        }
    }

    /// The inode.
    #[must_use]
    pub fn inode(&self) -> &InodeRef {
        self.dentry.inode()
    }

    /// Whether both are the same dentry through the same mount.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dentry, &other.dentry) && Arc::ptr_eq(&self.mount, &other.mount)
    }

    /// Whether it is the root of its mount.
    #[must_use]
    pub fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, self.mount.root())
    }

    /// Goes through every mount stacked on this place.
    #[must_use]
    pub fn topmost(mut self) -> Self {
        while self.dentry.is_mountpoint() {
            let Some(mount) = self.mount.child_at(&self.dentry) else { break };
            self.dentry = mount.root().clone();
            self.mount = mount;
        }
        self
    }

    /// The place one directory up, as `..` means it; `None` at `root` and at the top of a tree.
    #[must_use]
    pub fn up(&self, root: &Self) -> Option<Self> {
        let mut at = self.clone();
        while at.is_mount_root() {
            if at.same(root) {
                return None;
            }
            at = at.mount.parent()?;
        }
        if at.same(root) {
            return None;
        }
        at.dentry = at.dentry.parent()?;
        Some(at)
    }

    /// Whether this place is `top` or below it.
    #[must_use]
    pub fn is_below(&self, top: &Self) -> bool {
        let mut at = self.clone();
        while !Arc::ptr_eq(&at.mount, &top.mount) {
            let Some(parent) = at.mount.parent() else { return false };
            at = parent;
        }
        at.dentry.is_within(&top.dentry)
    }

    /// The path from `root`. Anonymous files have a fixed text.
    #[must_use]
    pub fn text(&self, root: &Self) -> PathText {
        if self.dentry.is_anonymous() {
            let bytes = self.dentry.anonymous_name();
            return PathText { bytes, reachable: true, deleted: false };
        }
        let mut names = Vec::new();
        let mut reachable = false;
        // A rename meanwhile could mix an old and a new place; a guest that renames for ever gets
        // such a mixture, like one that loses a race.
        for _ in 0..16 {
            let before = rename_count();
            names.clear();
            reachable = self.names_from(root, &mut names);
            if before == rename_count() {
                break;
            }
        }
        let mut bytes = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.iter().rev() {
            bytes.push(b'/');
            bytes.extend_from_slice(name);
        }
        if bytes.is_empty() {
            bytes.push(b'/');
        }
        PathText { bytes, reachable, deleted: self.dentry.is_deleted() }
    }

    /// The path from the top of the tree of mounts, whatever anyone's root is.
    #[must_use]
    pub fn absolute_text(&self) -> PathText {
        let mut top = self.mount.clone();
        while let Some(parent) = top.parent() {
            top = parent.mount;
        }
        self.text(&top.root_path())
    }

    fn names_from(&self, root: &Self, names: &mut Vec<Name>) -> bool {
        let mut at = self.clone();
        loop {
            if Arc::ptr_eq(&at.mount, &root.mount) {
                let mark = names.len();
                if at.dentry.ancestry(&root.dentry, names) {
                    return true;
                }
                names.truncate(mark);
            }
            let top = at.mount.root().clone();
            at.dentry.ancestry(&top, names);
            match at.mount.parent() {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }
}
