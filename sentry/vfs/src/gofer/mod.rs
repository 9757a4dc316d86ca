//! Files of the host, through the gofer.
//!
//! The gofer resolves names and donates descriptors of regular files, or sends small ones whole;
//! contents then move without it. A file system is *exclusive* (only this sandbox changes it: attributes and names are cached)
//! or *shared* (others may change it: names and attributes are asked for again).

mod contents;
mod dir;
mod file;
mod inode;
mod listing;
mod locks;
mod open;
mod room;
#[cfg(test)]
mod tests;

pub use inode::GoferInode;
pub use room::{forget_contents, limit_descriptors};

use crate::gofer::contents::Contents;
use crate::gofer::inode::Way;
use crate::gofer::listing::Listings;
use crate::superblock::{FileSystem, Superblock, next_anonymous_dev};
use bevor_abi::Errno;
use bevor_abi::errno::EIO;
use bevor_base::UserNamespace;
use bevor_gofer_protocol::client::Root;
use bevor_gofer_protocol::wire::RootFlags;
use bevor_gofer_protocol::{Attr as WireAttr, Client, Device};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Who may change the files of a mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// Only this sandbox.
    Exclusive,
    /// Others, too.
    Shared,
}

/// Idle descriptors that are closed at once when descriptors are short.
const CLOSED_AT_ONCE: usize = 256;

/// Identity of a file of the host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct FileKey {
    dev: Device,
    ino: u64,
    mount_id: u64,
}

impl FileKey {
    const fn of(attr: &WireAttr) -> Self {
        Self { dev: attr.dev, ino: attr.ino, mount_id: attr.mount_id }
    }
}

/// One served root.
pub struct GoferFs {
    client: Client,
    sharing: Sharing,
    /// Device numbers of the host's file systems as the guest sees them.
    devices: Mutex<HashMap<Device, u64>>,
    /// Live inodes, so that hard links and repeated look-ups share one.
    inodes: Mutex<HashMap<FileKey, Weak<GoferInode>>>,
    /// What the last listings of directories said.
    listings: Listings,
    /// What small files hold.
    contents: Contents,
    /// Inodes whose descriptor is kept although nothing has them open, each once.
    idle: Mutex<VecDeque<Weak<GoferInode>>>,
    options: String,
    /// Locks reach others on the host.
    host_locks: bool,
    /// What may be done with sockets of the host.
    sockets: RootFlags,
}

impl GoferFs {
    /// Makes the file system of one root.
    ///
    /// # Errors
    /// `EIO` when the root is of a kind no file can have.
    pub fn mount(
        client: Client,
        root: Root,
        sharing: Sharing,
        user_ns: Arc<UserNamespace>,
    ) -> Result<Arc<Superblock>, Errno> {
        let mode = match sharing {
            Sharing::Exclusive => "exclusive",
            Sharing::Shared => "shared",
        };
        let fs = Arc::new(Self {
            client,
            sharing,
            devices: Mutex::default(),
            inodes: Mutex::default(),
            listings: Listings::default(),
            contents: Contents::default(),
            idle: Mutex::default(),
            options: format!("cache={mode}"),
            host_locks: root.flags.contains(RootFlags::LOCKS),
            sockets: root.flags & (RootFlags::CONNECT | RootFlags::BIND),
        });
        room::enlist(&fs);
        let read_only = root.flags.contains(RootFlags::READ_ONLY);
        let inode = fs.adopt(Way::Handle(Arc::new(root.handle)), &root.attr, None)?;
        let superblock = Superblock::new(Box::new(Fs(fs)), inode, user_ns);
        superblock.set_read_only(read_only);
        Ok(superblock)
    }

    /// The inode of a file the gofer named: the one there is already, or a new one.
    fn adopt(
        self: &Arc<Self>,
        way: Way,
        attr: &WireAttr,
        target: Option<Vec<u8>>,
    ) -> Result<Arc<GoferInode>, Errno> {
        let key = FileKey::of(attr);
        let mut inodes = self.inodes.lock();
        // A directory can be reached by one name only: its handle is where it is now.
        if let Some(inode) = inodes.get(&key).and_then(Weak::upgrade)
            && inode.same_birth(attr)
            && !attr.is_dir()
        {
            drop(inodes);
            inode.found_again(way, attr);
            return Ok(inode);
        }
        let dev = self.device(attr.dev);
        let inode = GoferInode::new(self.clone(), way, attr, dev, target)
            .ok_or_else(|| EIO.because("the gofer named a file of no known kind"))?;
        inodes.insert(key, Arc::downgrade(&inode));
        Ok(inode)
    }

    fn forget(&self, key: &FileKey) {
        let mut inodes = self.inodes.lock();
        if inodes.get(key).is_some_and(|inode| inode.strong_count() == 0) {
            inodes.remove(key);
        }
    }

    /// The guest's device number of a host device: the same, so that `stat` shows what it shows
    /// natively.
    fn device(&self, device: Device) -> u64 {
        let number = bevor_abi::stat::makedev(device.major, device.minor);
        if number != 0 {
            return number;
        }
        *self.devices.lock().entry(device).or_insert_with(next_anonymous_dev)
    }

    /// The live inode of a file, by its attributes.
    fn live(&self, attr: &WireAttr) -> Option<Arc<GoferInode>> {
        self.inodes.lock().get(&FileKey::of(attr))?.upgrade()
    }

    /// Gives every file that is open without a descriptor one: the way to it may be about to go.
    fn give_descriptors(&self) {
        if !self.contents.something_goes() {
            return;
        }
        // Not dropped under the lock: the last reference to an inode takes it.
        let inodes: Vec<_> = self.inodes.lock().values().filter_map(Weak::upgrade).collect();
        for inode in inodes.iter().filter(|inode| inode.is_bare()) {
            if let Err(errno) = inode.descriptor(false) {
                tracing::debug!(%errno, "a file that is open can only be read from now on");
            }
        }
    }

    /// Keeps the descriptor of an inode nothing has open any more, in place of one that was not
    /// used for longer.
    fn keep_idle(&self, inode: &Arc<GoferInode>) {
        inode.used.store(true, Ordering::Relaxed);
        if inode.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut idle = self.idle.lock();
        idle.push_back(Arc::downgrade(inode));
        let excess = idle.len() > room::max_idle();
        drop(idle);
        if excess {
            self.close_oldest_idle();
        }
    }

    /// Closes the descriptor of an inode that was not used since it was last looked at here.
    /// Whether there was any.
    fn close_oldest_idle(&self) -> bool {
        loop {
            let Some(oldest) = self.idle.lock().pop_front() else { return false };
            let Some(inode) = oldest.upgrade() else { continue };
            if inode.used.swap(false, Ordering::Relaxed) {
                self.idle.lock().push_back(oldest);
                continue;
            }
            inode.listed.store(false, Ordering::Release);
            inode.close_idle();
            return true;
        }
    }

    /// Closes some descriptors of files nothing has open; whether there were any.
    fn close_some_idle(&self) -> bool {
        let ahead = self.listings.close_ahead();
        (0..CLOSED_AT_ONCE).map(|_| self.close_oldest_idle()).fold(ahead, |any, one| any | one)
    }
}

impl GoferFs {
    /// Drops what small files hold.
    fn forget_contents(&self) {
        self.listings.forget_contents();
        self.contents.forget_all();
    }
}

/// What the superblock holds.
struct Fs(Arc<GoferFs>);

impl FileSystem for Fs {
    fn name(&self) -> &'static str {
        "gofer"
    }

    fn options(&self) -> String {
        self.0.options.clone()
    }

    fn unmounted(&self) {
        let idle = std::mem::take(&mut *self.0.idle.lock());
        for inode in idle.iter().filter_map(Weak::upgrade) {
            inode.close_idle();
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
