//! Making, removing and moving names.

use crate::inode::{FileType, Inode, InodeRef, NewAttr, NewNode};
use crate::overlay::copy_up::Changing;
use crate::overlay::inode::Place;
use crate::overlay::lookup::Above;
use crate::overlay::{Format, OverlayInode, key_of};
use bevor_abi::Errno;
use bevor_abi::errno::{EEXIST, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY};
use bevor_abi::fcntl::{RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl OverlayInode {
    /// Frees `name` in the upper layer for something new; answers whether a whiteout was there.
    fn make_room(&self, upper: &InodeRef, name: &[u8]) -> Result<bool, Errno> {
        match self.look_above(name)? {
            Above::Nothing => Ok(false),
            Above::Entry(_) => Err(EEXIST.into()),
            Above::Whiteout => {
                upper.unlink(name)?;
                Ok(true)
            }
        }
    }

    /// Runs `make` where `name` is free in the upper layer; puts a whiteout back if it fails.
    fn in_room<R>(
        &self,
        upper: &InodeRef,
        name: &[u8],
        make: impl FnOnce() -> Result<R, Errno>,
    ) -> Result<(R, bool), Errno> {
        let covered = self.make_room(upper, name)?;
        match make() {
            Ok(made) => Ok((made, covered)),
            Err(errno) => {
                if covered {
                    self.fs.put_whiteout(upper, name)?;
                }
                Err(errno)
            }
        }
    }

    /// Counts subdirectories a merged directory gained or lost.
    fn count_subdirs(&self, by: i32) {
        if self.has_lower() {
            self.links.fetch_add(by, Ordering::Relaxed);
        }
    }

    pub(super) fn make(
        self: &Arc<Self>,
        name: &[u8],
        node: &NewNode<'_>,
        attr: NewAttr,
    ) -> Result<Arc<Self>, Errno> {
        let changing = self.fs.change.lock();
        let upper = self.copy_up(&changing)?;
        let (made, covered) = self.in_room(&upper, name, || upper.create(name, node, attr))?;
        let kind = made.file_type();
        if kind == FileType::Directory {
            if covered {
                self.fs.set_opaque(&made)?;
            }
            self.count_subdirs(1);
        }
        let inode = self.fs.adopt(kind, Some(made), Vec::new(), None);
        inode.move_to(self, name, !covered);
        Ok(inode)
    }

    pub(super) fn make_unnamed(self: &Arc<Self>, attr: NewAttr) -> Result<Arc<Self>, Errno> {
        let changing = self.fs.change.lock();
        let upper = self.copy_up(&changing)?;
        let made = upper.create_unnamed(attr)?;
        Ok(self.fs.adopt(FileType::Regular, Some(made), Vec::new(), None))
    }

    pub(super) fn add_link(self: &Arc<Self>, name: &[u8], target: &Arc<Self>) -> Result<(), Errno> {
        target.move_contents_first()?;
        let changing = self.fs.change.lock();
        let upper = self.copy_up(&changing)?;
        let counterpart = target.copy_up(&changing)?;
        self.in_room(&upper, name, || upper.link(name, &counterpart))?;
        target.seen_at(Some((self.clone(), name.into())));
        Ok(())
    }

    /// Notes that the inode's name is now `name` in `dir`.
    fn move_to(self: &Arc<Self>, dir: &Arc<Self>, name: &[u8], clean: bool) {
        let place = Place { dir: dir.clone(), name: name.into(), clean };
        let old = self.place.lock().replace(place);
        drop(old);
    }

    /// Whether `name` in this directory is the place of `child`, and what is known of the layers
    /// below it.
    fn is_place_of(self: &Arc<Self>, child: &Self, name: &[u8]) -> Option<bool> {
        let place = child.place.lock();
        let place = place.as_ref()?;
        (Arc::ptr_eq(&place.dir, self) && *place.name == *name).then_some(place.clean)
    }

    /// Whether removing `name`, which leads to `child`, would uncover something below.
    fn covers(self: &Arc<Self>, child: &Self, name: &[u8]) -> Result<bool, Errno> {
        if !self.has_lower() || self.is_place_of(child, name) == Some(true) {
            return Ok(false);
        }
        Ok(!self.look_below(name)?.is_empty())
    }

    /// Notes that `name` of this directory does not lead to `child` any more. `was_above` says
    /// whether the upper layer counted that name.
    fn name_removed(self: &Arc<Self>, child: &Arc<Self>, name: &[u8], was_above: bool) {
        if self.is_place_of(child, name).is_some() {
            let old = child.place.lock().take();
            drop(old);
        }
        if child.file_type() == FileType::Directory {
            self.count_subdirs(-1);
            self.fs.unkeep(child.keys());
            return;
        }
        if !was_above {
            child.links.fetch_sub(1, Ordering::Relaxed);
        }
        if child.attr().is_ok_and(|attr| attr.nlink > 0) {
            if child.has_lower()
                && let Some(key) = child.keys().first()
            {
                self.fs.keep(*key, child);
            }
        } else {
            child.drop_index();
            self.fs.unkeep(child.keys());
        }
    }

    /// Checks that a directory shows no entries, and removes the whiteouts its upper layer has.
    fn clear(self: &Arc<Self>) -> Result<(), Errno> {
        if !self.entries()?.is_empty() {
            return Err(ENOTEMPTY.into());
        }
        let Some(upper) = self.layers.read().upper.clone() else { return Ok(()) };
        for name in self.names_above(&upper)? {
            upper.unlink(&name)?;
        }
        Ok(())
    }

    pub(super) fn remove(self: &Arc<Self>, name: &[u8], as_dir: bool) -> Result<(), Errno> {
        let changing = self.fs.change.lock();
        let child = self.child(name)?;
        match (as_dir, child.file_type() == FileType::Directory) {
            (true, false) => return Err(ENOTDIR.into()),
            (false, true) => return Err(EISDIR.into()),
            (true, true) => child.clear()?,
            (false, false) => {}
        }
        let covers = self.covers(&child, name)?;
        let upper = self.copy_up(&changing)?;
        let above = matches!(self.look_above(name)?, Above::Entry(_));
        if above {
            if as_dir {
                upper.rmdir(name)?;
            } else {
                upper.unlink(name)?;
            }
        }
        if covers {
            self.fs.put_whiteout(&upper, name)?;
        }
        self.name_removed(&child, name, above);
        Ok(())
    }

    /// Makes sure the upper layer itself has `name`, which leads to `child`.
    pub(super) fn bring_up(
        self: &Arc<Self>,
        name: &[u8],
        child: &Arc<Self>,
        changing: &Changing<'_>,
    ) -> Result<(), Errno> {
        let upper = self.copy_up(changing)?;
        let counterpart = child.copy_up(changing)?;
        if matches!(self.look_above(name)?, Above::Nothing) {
            // Another name of a lower hard link was copied up.
            upper.link(name, &counterpart)?;
            child.links.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn move_child(
        self: &Arc<Self>,
        name: &[u8],
        new_dir: &Arc<Self>,
        new_name: &[u8],
        flags: u32,
    ) -> Result<(), Errno> {
        if self.fs.format() == Format::Linux {
            // What must come up with a name comes up before others are kept from changing.
            self.child(name)?.bring_up_all(None)?;
            if flags & RENAME_EXCHANGE != 0 {
                new_dir.child(new_name)?.bring_up_all(None)?;
            }
        }
        let changing = self.fs.change.lock();
        let source = self.child(name)?;
        let target = match new_dir.child(new_name) {
            Ok(target) => Some(target),
            Err(errno) if errno == ENOENT => None,
            Err(errno) => return Err(errno),
        };
        if target.as_ref().is_some_and(|target| Arc::ptr_eq(target, &source)) {
            return Ok(());
        }
        self.bring_up(name, &source, &changing)?;
        if self.fs.format() == Format::Linux {
            source.bring_up_all(Some(&changing))?;
            if let Some(target) = target.as_ref().filter(|_| flags & RENAME_EXCHANGE != 0) {
                target.bring_up_all(Some(&changing))?;
            }
        }
        let upper = self.copy_up(&changing)?;
        let new_upper = new_dir.copy_up(&changing)?;
        if flags & RENAME_EXCHANGE != 0 {
            let target = target.ok_or(ENOENT)?;
            new_dir.bring_up(new_name, &target, &changing)?;
            upper.rename(name, &new_upper, new_name, RENAME_EXCHANGE)?;
            source.settle(new_dir, new_name, false)?;
            target.settle(self, name, false)?;
            self.count_moved(new_dir, &source, 1);
            self.count_moved(new_dir, &target, -1);
            return Ok(());
        }
        let is_dir = source.file_type() == FileType::Directory;
        if let Some(target) = &target {
            if flags & RENAME_NOREPLACE != 0 {
                return Err(EEXIST.into());
            }
            match (is_dir, target.file_type() == FileType::Directory) {
                (true, true) => target.clear()?,
                (true, false) => return Err(ENOTDIR.into()),
                (false, true) => return Err(EISDIR.into()),
                (false, false) => {}
            }
        }
        let covers = self.covers(&source, name)? || flags & RENAME_WHITEOUT != 0;
        let above = new_dir.look_above(new_name)?;
        let replaced_above = matches!(above, Above::Entry(_));
        let clean = target.is_none() && matches!(above, Above::Nothing);
        if matches!(above, Above::Whiteout) {
            new_upper.unlink(new_name)?;
        }
        if let Err(errno) = upper.rename(name, &new_upper, new_name, 0) {
            if matches!(above, Above::Whiteout) {
                self.fs.put_whiteout(&new_upper, new_name)?;
            }
            return Err(errno);
        }
        if covers {
            self.fs.put_whiteout(&upper, name)?;
        }
        if let Some(target) = &target {
            new_dir.name_removed(target, new_name, replaced_above);
        }
        source.settle(new_dir, new_name, clean)?;
        self.count_moved(new_dir, &source, 1);
        Ok(())
    }

    /// Takes a new place. A directory is kept, or marked opaque, so that what the lower layers have
    /// under the new name does not show in it.
    fn settle(self: &Arc<Self>, dir: &Arc<Self>, name: &[u8], clean: bool) -> Result<(), Errno> {
        self.move_to(dir, name, clean);
        let upper = self.layers.read().upper.clone();
        let Some(upper) = upper.filter(|_| self.file_type() == FileType::Directory) else {
            return Ok(());
        };
        if self.has_lower() {
            self.fs.keep(key_of(&upper), self);
            return Ok(());
        }
        if clean {
            return Ok(());
        }
        self.fs.set_opaque(&upper)
    }

    /// Carries the count of subdirectories from this directory to `new_dir` (or back, by -1).
    fn count_moved(self: &Arc<Self>, new_dir: &Arc<Self>, child: &Self, by: i32) {
        if child.file_type() == FileType::Directory && !Arc::ptr_eq(self, new_dir) {
            self.count_subdirs(-by);
            new_dir.count_subdirs(by);
        }
    }
}
