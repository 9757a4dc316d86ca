//! Directories whose files are made when they are looked up: a table of names and makers costs
//! nothing until somebody asks.

use crate::node::{Dir, Listing, Place, Text};
use bevor_abi::Errno;
use bevor_abi::errno::ENOENT;
use bevor_vfs::inode::{FileType, InodeRef};

/// One name of a directory about a `T`.
pub struct Entry<T: 'static> {
    name: &'static str,
    kind: FileType,
    make: fn(&T, &'static str) -> InodeRef,
}

impl<T> Entry<T> {
    /// A regular file.
    pub const fn file(name: &'static str, make: fn(&T, &'static str) -> InodeRef) -> Self {
        Self { name, kind: FileType::Regular, make }
    }

    /// A directory.
    pub const fn dir(name: &'static str, make: fn(&T, &'static str) -> InodeRef) -> Self {
        Self { name, kind: FileType::Directory, make }
    }

    /// A symbolic link.
    pub const fn link(name: &'static str, make: fn(&T, &'static str) -> InodeRef) -> Self {
        Self { name, kind: FileType::Symlink, make }
    }
}

/// The entries of one or more tables.
pub struct Lazy<T: 'static> {
    of: T,
    tables: &'static [&'static [Entry<T>]],
}

impl<T: Send + Sync> Lazy<T> {
    /// What `tables` list about `of`.
    pub const fn new(of: T, tables: &'static [&'static [Entry<T>]]) -> Self {
        Self { of, tables }
    }

    /// A directory anybody may list.
    pub fn dir(
        place: Place,
        name: &str,
        of: T,
        tables: &'static [&'static [Entry<T>]],
    ) -> InodeRef {
        Dir::inode(place, name, 0o555, Self::new(of, tables))
    }
}

impl<T: Send + Sync> Listing for Lazy<T> {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let mut entries = self.tables.iter().copied().flatten();
        let found = entries.find(|entry| entry.name.as_bytes() == name).ok_or(ENOENT)?;
        Ok((found.make)(&self.of, found.name))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let entries = self.tables.iter().copied().flatten();
        entries.map(|entry| (entry.name.as_bytes().to_vec(), entry.kind)).collect()
    }
}

/// Files of one line that never change.
pub struct Values {
    place: Place,
    table: &'static [(&'static str, &'static str)],
}

impl Values {
    /// Names and lines.
    pub const fn new(place: Place, table: &'static [(&'static str, &'static str)]) -> Self {
        Self { place, table }
    }

    /// A directory of them.
    pub fn dir(
        outside: Place,
        name: &str,
        table: &'static [(&'static str, &'static str)],
    ) -> InodeRef {
        Dir::inode(outside, name, 0o755, Self::new(outside.inside(name), table))
    }
}

impl Listing for Values {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        let found = self.table.iter().find(|(its, _)| its.as_bytes() == name);
        let &(name, value) = found.ok_or(ENOENT)?;
        Ok(Text::public(self.place, name, move |_| Ok(format!("{value}\n").into_bytes())))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let names = self.table.iter();
        names.map(|(name, _)| (name.as_bytes().to_vec(), FileType::Regular)).collect()
    }
}

/// Both lists.
impl<A: Listing, B: Listing> Listing for (A, B) {
    fn find(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        self.0.find(name).or_else(|_| self.1.find(name))
    }

    fn names(&self) -> Vec<(Vec<u8>, FileType)> {
        let mut names = self.0.names();
        names.extend(self.1.names());
        names
    }
}
