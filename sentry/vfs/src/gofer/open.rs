//! What a regular file is read and written by: descriptors of the host, or its content.

use crate::gofer::contents::Content;
use crate::gofer::inode::{GoferInode, Way};
use crate::gofer::listing::Ahead;
use crate::gofer::room::{self, Kept, Room};
use crate::gofer::{FileKey, Sharing};
use bevor_abi::Errno;
use bevor_abi::errno::{EIO, ENFILE, ENOENT, ESTALE};
use bevor_abi::fcntl::O_RDWR;
use bevor_gofer_protocol::client::AheadOf;
use bevor_gofer_protocol::wire::MAX_CONTENT;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Descriptors of a file, shared by all that have it open, and what else it may be read by.
#[derive(Default)]
pub(super) struct Descriptors {
    pub(super) read: Option<Kept>,
    pub(super) write: Option<Kept>,
    /// What the file holds, while nobody can write it.
    content: Option<Arc<Content>>,
    /// What there is for reading came ahead of its use, which has not come yet.
    is_ahead: bool,
    /// There was a descriptor for writing: mappings may write on without one.
    pub(super) is_written: bool,
    /// The file is open and has but its content.
    is_bare: bool,
}

impl Descriptors {
    /// That of a file that was just made.
    pub(super) fn made(&mut self, kept: Kept) {
        self.write = Some(kept);
        self.is_written = true;
    }

    const fn has_any(&self) -> bool {
        self.read.is_some() || self.write.is_some()
    }

    /// Gives all of them back; a content stays.
    fn close(&mut self) {
        (self.read, self.write) = (None, None);
        self.is_ahead &= self.content.is_some();
    }
}

/// How a file came from the gofer.
enum Came {
    Descriptor(Kept),
    Content(Arc<Content>),
}

impl Came {
    fn descriptor(self) -> Result<Kept, Errno> {
        match self {
            Self::Descriptor(kept) => Ok(kept),
            Self::Content(_) => Err(EIO.because("a content nobody asked for")),
        }
    }
}

impl GoferInode {
    /// Takes what came ahead of its use, if there is nothing to read it by yet.
    pub(super) fn take_ahead(self: &Arc<Self>, ahead: Ahead) {
        // The caller may hold the lock of another inode: whoever holds this one opens the file anyway.
        let Some(mut descriptors) = self.descriptors.try_lock() else { return };
        if descriptors.read.is_some() || descriptors.write.is_some() {
            return;
        }
        match ahead {
            Ahead::Descriptor(kept) => {
                descriptors.read = Some(kept);
                descriptors.is_ahead = true;
                self.is_bare_no_more(&mut descriptors);
                drop(descriptors);
                self.fs.keep_idle(self);
            }
            Ahead::Content(content, as_of) => {
                let is_new = as_of == self.fs.contents.changes();
                if !is_new || descriptors.is_written || descriptors.content.is_some() {
                    return;
                }
                descriptors.content = Some(content);
                descriptors.is_ahead = true;
                drop(descriptors);
                self.fs.contents.keep(self);
            }
        }
    }

    /// Sees to it that a file that was just opened can be read: by its content or a descriptor, which
    /// it answers with.
    pub(super) fn ready(self: &Arc<Self>) -> Result<Option<Arc<OwnedFd>>, Errno> {
        let contents = &self.fs.contents;
        let losses = contents.losses();
        let mut descriptors = self.descriptors.lock();
        if let Some(fd) = self.kept_descriptor(&mut descriptors, false) {
            return Ok(Some(fd));
        }
        let mut most_bytes = 0;
        if self.fs.sharing == Sharing::Exclusive && self.cached_size() <= MAX_CONTENT as u64 {
            contents.was_opened();
            if !descriptors.is_written {
                most_bytes = contents.most_bytes();
            }
        }
        let is_new = descriptors.content.is_none() || most_bytes == 0;
        if is_new {
            match self.open_making_room(0, most_bytes)? {
                Came::Descriptor(kept) => {
                    let fd = kept.fd();
                    descriptors.read = Some(kept);
                    self.is_bare_no_more(&mut descriptors);
                    return Ok(Some(fd));
                }
                Came::Content(content) => descriptors.content = Some(content),
            }
        } else if std::mem::take(&mut descriptors.is_ahead) {
            self.fs.listings.foresaw();
        }
        if !std::mem::replace(&mut descriptors.is_bare, true) {
            contents.one_bare_more();
        }
        drop(descriptors);
        if is_new {
            contents.keep(self);
        }
        if contents.losses() == losses {
            return Ok(None);
        }
        // Names or permissions have changed meanwhile: who did that may have missed this file.
        match self.descriptor(false) {
            Err(errno) if errno == ESTALE => Err(ENOENT.because("it was removed meanwhile")),
            fd => fd.map(Some),
        }
    }

    /// What the file holds, if that is known.
    pub(super) fn content(&self) -> Option<Arc<Content>> {
        self.descriptors.lock().content.clone()
    }

    /// Drops the content of a file that is not open without a descriptor; whether it has none now.
    pub(super) fn forget_content(&self) -> bool {
        // The caller may hold this lock, or that of another inode.
        let Some(mut descriptors) = self.descriptors.try_lock() else { return false };
        if descriptors.is_bare {
            return false;
        }
        descriptors.content.take();
        true
    }

    /// The size has changed, and with it what the file holds.
    pub(super) fn content_changed(&self) {
        self.fs.contents.changed();
        self.descriptors.lock().content.take();
    }

    /// Whether the file is open and has no descriptor.
    pub(super) fn is_bare(&self) -> bool {
        self.descriptors.lock().is_bare
    }

    fn is_bare_no_more(&self, descriptors: &mut Descriptors) {
        if std::mem::take(&mut descriptors.is_bare) {
            self.fs.contents.one_bare_less();
        }
    }

    /// The descriptor of a regular file if there is one.
    fn kept_descriptor(
        &self,
        descriptors: &mut Descriptors,
        writable: bool,
    ) -> Option<Arc<OwnedFd>> {
        let kept = if writable { &descriptors.write } else { &descriptors.read };
        let fd = kept.as_ref().or(descriptors.write.as_ref()).map(Kept::fd)?;
        if std::mem::take(&mut descriptors.is_ahead) {
            self.fs.listings.foresaw();
        }
        Some(fd)
    }

    /// A host descriptor of a regular file, opened if there is none yet.
    pub(super) fn descriptor(&self, writable: bool) -> Result<Arc<OwnedFd>, Errno> {
        let mut descriptors = self.descriptors.lock();
        if writable {
            self.begin_to_write(&mut descriptors);
        }
        if let Some(fd) = self.kept_descriptor(&mut descriptors, writable) {
            return Ok(fd);
        }
        let flags = if writable { O_RDWR } else { 0 };
        let kept = self.open_making_room(flags, 0)?.descriptor()?;
        let fd = kept.fd();
        if writable {
            descriptors.write = Some(kept);
        } else {
            descriptors.read = Some(kept);
        }
        self.is_bare_no_more(&mut descriptors);
        Ok(fd)
    }

    /// From now on the file may be written, and has no content that is known.
    fn begin_to_write(&self, descriptors: &mut Descriptors) {
        if !std::mem::replace(&mut descriptors.is_written, true) {
            descriptors.content.take();
            self.fs.contents.changed();
        }
    }

    fn open_making_room(&self, flags: u32, most_bytes: usize) -> Result<Came, Errno> {
        let room = Room::make()?;
        let came = match self.open_on_host(flags, most_bytes) {
            // The process is out of descriptors: those of files nobody has open go first.
            Err(errno) if errno == ENFILE && room::close_some_idle() => {
                self.open_on_host(flags, most_bytes)
            }
            other => other,
        }?;
        Ok(match came {
            AheadOf::Descriptor(fd) => Came::Descriptor(Kept::new(fd, room)),
            AheadOf::Content(bytes) => Came::Content(Content::new(bytes)),
        })
    }

    fn open_on_host(&self, flags: u32, most_bytes: usize) -> Result<AheadOf, Errno> {
        let way = if flags == 0 { Some(self.way.read().clone()) } else { None };
        if let Some(Way::Name(dir, name)) = way
            && (most_bytes != 0 || self.wants_descriptor())
            && let Some(opened) = self.fs.listings.open(&dir, &name, most_bytes)
        {
            let (came, attr) = opened?;
            if FileKey::of(&attr) != self.key || !self.same_birth(&attr) {
                return Err(ESTALE.because("something else since it was listed"));
            }
            // A content of another length would be news to those that know the attributes.
            if matches!(came, AheadOf::Descriptor(_)) || attr.size == self.cached_size() {
                return Ok(came);
            }
        }
        let (handle, opened) = self.find(Some(flags))?;
        if let Some(fd) = opened {
            return Ok(AheadOf::Descriptor(fd));
        }
        let opened = self.fs.client.open(&handle, flags)?;
        self.refresh(&opened.attr);
        Ok(AheadOf::Descriptor(opened.file))
    }

    /// Whether those that read this file and others like it are better served by descriptors.
    fn wants_descriptor(&self) -> bool {
        self.cached_size() > MAX_CONTENT as u64 || self.fs.contents.most_bytes() == 0
    }

    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    /// A description was closed; the last one makes the descriptors idle.
    pub(super) fn closed(self: &Arc<Self>) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle();
        }
    }

    /// Nothing has the file open, but it may be opened again, unless it has no name any more.
    fn idle(self: &Arc<Self>) {
        let has_descriptor = {
            let mut descriptors = self.descriptors.lock();
            if self.open.load(Ordering::Acquire) == 0 {
                self.is_bare_no_more(&mut descriptors);
            }
            descriptors.has_any()
        };
        if self.attr.read().nlink == 0 {
            self.close_idle();
        } else if has_descriptor {
            self.fs.keep_idle(self);
        }
    }

    /// Gives the descriptors back, unless the file was opened again or is just being opened, perhaps by
    /// whom this makes room for.
    pub(super) fn close_idle(&self) {
        // The caller may hold this lock, or that of another inode: whoever holds it is opening the file.
        let Some(mut descriptors) = self.descriptors.try_lock() else { return };
        if self.open.load(Ordering::Acquire) == 0 {
            descriptors.close();
        }
    }
}
