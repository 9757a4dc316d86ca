//! The handles: what each stands for, and the descriptors kept for some of them.
//!
//! A handle is (parent, name) and the identity (device, inode, birth time) of what was found there;
//! finding it again yields the same handle, counted. Its `O_PATH` descriptor is kept in a list ordered by last use, of limited length; one that was
//! dropped is opened again by walking down from the nearest ancestor that has one, and what is
//! found must have the same identity.
//!
//! Handles of removed files are *nameless*: there is no way back to them, so that their
//! descriptors are kept apart from the list, up to half of its limit.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bevor_abi::Errno;
use bevor_abi::errno::{ENFILE, ESTALE};
use bevor_gofer_protocol::wire::WireHandle;

use crate::hidden::Hidden;

/// No node.
const NONE: u32 = u32::MAX;

/// Which file a handle was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Birth time, zero where the file system keeps none.
    pub born: (i64, u32),
    /// The `S_IFMT` bits.
    pub kind: u32,
}

impl Identity {
    /// That of what `statx` found.
    pub fn of(found: &libc::statx) -> Self {
        let born = if found.stx_mask & libc::STATX_BTIME == 0 {
            (0, 0)
        } else {
            (found.stx_btime.tv_sec, found.stx_btime.tv_nsec)
        };
        Self {
            dev: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
            ino: found.stx_ino,
            born,
            kind: u32::from(found.stx_mode) & libc::S_IFMT,
        }
    }

    /// Whether this is a directory.
    pub const fn is_dir(&self) -> bool {
        self.kind == libc::S_IFDIR
    }
}

/// A handle: index of a table entry and the entry's generation, so that a number given back is
/// not mistaken for its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    index: u32,
    generation: u32,
}

impl Id {
    /// The handle as it goes over the wire; never 0.
    pub fn to_wire(self) -> WireHandle {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The handle a wire number may stand for.
    pub fn from_wire(wire: WireHandle) -> Self {
        let half = |half: u64| u32::try_from(half & 0xffff_ffff).unwrap_or(NONE);
        Self { index: half(wire), generation: half(wire >> 32) }
    }
}

/// What a new handle stands for.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Number of its root.
    pub root: usize,
    /// Which file.
    pub identity: Identity,
    /// Whether nothing of it is served.
    pub boundary: bool,
    /// Hidden paths that may lie below.
    pub hidden: Option<Arc<Hidden>>,
}

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the top.
    Root,
    /// Below another node.
    Child(u32),
    /// Nowhere any more.
    Nameless,
}

#[derive(Debug)]
struct Node {
    info: NodeInfo,
    generation: u32,
    /// How often the client was given this handle and has not given it back.
    handles: u32,
    /// Nodes whose parent this is: it stays while there are any.
    children: u32,
    place: Place,
    name: Box<[u8]>,
    /// Hash of parent and name, while this is what the name leads to.
    hash: Option<u64>,
    /// The next node of the same hash.
    same_hash: u32,
    fd: Option<Arc<OwnedFd>>,
    newer: u32,
    older: u32,
}

/// A handle looked up.
#[derive(Clone, Debug)]
pub struct Found {
    /// The handle.
    pub id: Id,
    /// What it stands for.
    pub info: NodeInfo,
    /// Its descriptor, if one is kept.
    pub fd: Option<Arc<OwnedFd>>,
}

/// The way down to a node from the nearest ancestor that has a descriptor.
#[derive(Debug)]
pub struct Path {
    /// Descriptor of the ancestor.
    pub base: Arc<OwnedFd>,
    /// Each step down: the node, its name and which file it must be.
    pub steps: Vec<(Id, Box<[u8]>, Identity)>,
}

/// All handles of a connection.
#[derive(Debug)]
pub struct Table {
    nodes: Vec<Node>,
    free: Vec<u32>,
    max_nodes: usize,
    /// First node of each hash of parent and name.
    names: HashMap<u64, u32>,
    hasher: RandomState,
    newest: u32,
    oldest: u32,
    kept: usize,
    nameless: usize,
    max_kept: usize,
}

impl Table {
    /// An empty table of at most `max_nodes` handles and `max_kept` descriptors.
    pub fn new(max_nodes: usize, max_kept: usize) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            max_nodes,
            names: HashMap::new(),
            hasher: RandomState::new(),
            newest: NONE,
            oldest: NONE,
            kept: 0,
            nameless: 0,
            max_kept,
        }
    }

    /// Adds a root, whose descriptor is always kept and whose handle stays for ever.
    ///
    /// # Errors
    /// ENFILE when the table is full.
    pub fn add_root(&mut self, info: NodeInfo, fd: Arc<OwnedFd>) -> Result<Id, Errno> {
        self.add(Place::Root, Box::default(), info, Some(fd))
    }

    /// Sets the hidden paths below a root.
    pub fn set_hidden(&mut self, id: Id, hidden: Option<Arc<Hidden>>) {
        if let Some(node) = self.node_mut(id.index) {
            node.info.hidden = hidden;
        }
    }

    /// The handle of what `name` in `parent` leads to: the one there is, or a new one.
    ///
    /// # Errors
    /// ENFILE when the table is full, ESTALE when the parent was given back.
    pub fn child(&mut self, parent: Id, name: &[u8], info: NodeInfo) -> Result<Id, Errno> {
        let parent = self.index(parent)?;
        if let Some(index) = self.at(parent, name)
            && let Some(node) = self.node_mut(index)
        {
            if node.info.identity == info.identity {
                node.handles = node.handles.checked_add(1).ok_or(ENFILE)?;
                node.info.boundary = info.boundary;
                return Ok(Id { index, generation: node.generation });
            }
            // Someone else put another file there; handles of the old one will be stale.
            self.forget_name(index);
        }
        let id = self.add(Place::Child(parent), name.into(), info, None)?;
        self.adopt(parent, id.index);
        Ok(id)
    }

    /// Adds a file that has no name, whose descriptor is always kept.
    ///
    /// # Errors
    /// ENFILE when the table is full or too many such files are open.
    pub fn add_nameless(&mut self, info: NodeInfo, fd: Arc<OwnedFd>) -> Result<Id, Errno> {
        if self.nameless >= self.max_kept / 2 {
            return Err(ENFILE.because("too many nameless files open in the gofer"));
        }
        let id = self.add(Place::Nameless, Box::default(), info, Some(fd))?;
        self.nameless += 1;
        self.drop_surplus();
        Ok(id)
    }

    /// Looks a handle up, and counts that as use of its descriptor.
    ///
    /// # Errors
    /// ESTALE when the handle was never given out or was given back.
    pub fn get(&mut self, id: Id) -> Result<Found, Errno> {
        let index = self.index(id)?;
        if self.in_list(index) && self.newest != index {
            self.unlist(index);
            self.list(index);
        }
        let node = self.node(index).ok_or(ESTALE)?;
        Ok(Found { id, info: node.info.clone(), fd: node.fd.clone() })
    }

    /// What `name` in `parent` leads to, as far as the table knows.
    pub fn find_child(&self, parent: Id, name: &[u8]) -> Option<Found> {
        let index = self.at(self.index(parent).ok()?, name)?;
        let node = self.node(index)?;
        let id = Id { index, generation: node.generation };
        Some(Found { id, info: node.info.clone(), fd: node.fd.clone() })
    }

    /// The way down to a node that has no descriptor.
    ///
    /// # Errors
    /// ESTALE when there is none (any more).
    pub fn path(&self, id: Id) -> Result<Path, Errno> {
        let mut steps = Vec::new();
        let mut index = self.entry(id)?;
        loop {
            let node = self.node(index).ok_or(ESTALE)?;
            if let Some(base) = &node.fd {
                steps.reverse();
                return Ok(Path { base: Arc::clone(base), steps });
            }
            let Place::Child(parent) = node.place else { return Err(ESTALE.into()) };
            let id = Id { index, generation: node.generation };
            steps.push((id, node.name.clone(), node.info.identity));
            index = parent;
        }
    }

    /// The name of a node and its parent's descriptor, when that is at hand: then one call on the
    /// name does where walking would take two.
    pub fn parent(&self, id: Id) -> Option<(Arc<OwnedFd>, Box<[u8]>)> {
        let node = self.node(self.index(id).ok()?)?;
        let Place::Child(parent) = node.place else { return None };
        Some((Arc::clone(self.node(parent)?.fd.as_ref()?), node.name.clone()))
    }

    /// Keeps a descriptor for a node, dropping the one unused for longest if need be.
    pub fn keep(&mut self, id: Id, fd: &Arc<OwnedFd>) {
        let Ok(index) = self.entry(id) else { return };
        let Some(node) = self.node_mut(index) else { return };
        if node.fd.is_some() || !matches!(node.place, Place::Child(_)) {
            return;
        }
        node.fd = Some(Arc::clone(fd));
        self.list(index);
        self.drop_surplus();
    }

    /// Drops half of the kept descriptors: the process ran out of them.
    pub fn drop_half(&mut self) {
        for _ in 0..self.kept.div_ceil(2) {
            self.drop_oldest();
        }
    }

    /// Takes note that a modification made through the handle may have changed what identifies the
    /// file (overlayfs copies up).
    pub fn refresh(&mut self, id: Id, identity: Identity) {
        if let Ok(index) = self.index(id)
            && let Some(node) = self.node_mut(index)
        {
            node.info.identity = identity;
        }
    }

    /// Takes note that a file lost its name; `fd` is its descriptor.
    pub fn lose_name(&mut self, id: Id, fd: Option<&Arc<OwnedFd>>) {
        let Ok(index) = self.entry(id) else { return };
        let room = self.nameless < self.max_kept / 2;
        self.forget_name(index);
        if self.in_list(index) {
            self.unlist(index);
        }
        let Some(node) = self.node_mut(index) else { return };
        let Place::Child(parent) = node.place else { return };
        node.place = Place::Nameless;
        node.name = Box::default();
        node.fd = fd.filter(|_| room).cloned();
        if node.fd.is_some() {
            self.nameless += 1;
            self.drop_surplus();
        }
        self.release(parent);
        self.free_if_unused(index);
    }

    /// Takes note that a file moved.
    pub fn moved(&mut self, id: Id, parent: Id, name: &[u8]) {
        let (Ok(index), Ok(parent)) = (self.entry(id), self.index(parent)) else { return };
        // The host refuses to move a directory below itself, but what the table knows may be
        // behind. A loop in it must not arise: such a node is lost.
        let mut above = parent;
        while let Some(node) = self.node(above) {
            if above == index {
                return self.lose_name(id, None);
            }
            let Place::Child(next) = node.place else { break };
            above = next;
        }
        self.forget_name(index);
        if let Some(there) = self.at(parent, name) {
            self.forget_name(there);
        }
        let Some(node) = self.node_mut(index) else { return };
        let Place::Child(old) = std::mem::replace(&mut node.place, Place::Child(parent)) else {
            return;
        };
        node.name = name.into();
        self.adopt(parent, index);
        self.release(old);
    }

    /// Two files take each other's place.
    pub fn exchanged(&mut self, one: (Id, Id, &[u8]), other: (Id, Id, &[u8])) {
        // Out of the way first, so that neither finds the other at its new place.
        for (id, _, _) in [one, other] {
            if let Ok(index) = self.entry(id) {
                self.forget_name(index);
            }
        }
        for (id, parent, name) in [one, other] {
            self.moved(id, parent, name);
        }
    }

    /// Gives handles back, once each. One that was never given out is ignored.
    pub fn close(&mut self, ids: impl Iterator<Item = Id>) {
        for id in ids {
            let Ok(index) = self.index(id) else { continue };
            let Some(node) = self.node_mut(index) else { continue };
            if node.place != Place::Root {
                node.handles = node.handles.saturating_sub(1);
                self.free_if_unused(index);
            }
        }
    }

    fn add(
        &mut self,
        place: Place,
        name: Box<[u8]>,
        info: NodeInfo,
        fd: Option<Arc<OwnedFd>>,
    ) -> Result<Id, Errno> {
        let mut node = Node {
            info,
            generation: 1,
            handles: 1,
            children: 0,
            place,
            name,
            hash: None,
            same_hash: NONE,
            fd,
            newer: NONE,
            older: NONE,
        };
        if let Some(index) = self.free.pop() {
            let slot = self.node_mut(index).ok_or(ENFILE)?;
            node.generation = slot.generation;
            let generation = node.generation;
            *slot = node;
            return Ok(Id { index, generation });
        }
        if self.nodes.len() >= self.max_nodes {
            return Err(ENFILE.because("too many handles of the gofer in use"));
        }
        let index = u32::try_from(self.nodes.len()).map_err(|_| ENFILE)?;
        self.nodes.push(node);
        Ok(Id { index, generation: 1 })
    }

    /// The entry of a handle the client holds.
    fn index(&self, id: Id) -> Result<u32, Errno> {
        match self.entry(id) {
            Ok(index) if self.node(index).is_some_and(|node| node.handles > 0) => Ok(index),
            _ => Err(ESTALE.because("no such handle")),
        }
    }

    /// The entry of a handle, or of an ancestor of one.
    fn entry(&self, id: Id) -> Result<u32, Errno> {
        match self.node(id.index) {
            Some(node) if node.generation == id.generation => Ok(id.index),
            _ => Err(ESTALE.because("no such handle")),
        }
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(index).ok()?)
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(index).ok()?)
    }

    fn hash(&self, parent: u32, name: &[u8]) -> u64 {
        self.hasher.hash_one((parent, name))
    }

    /// The node that `name` in `parent` leads to.
    fn at(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let mut index = *self.names.get(&self.hash(parent, name))?;
        loop {
            let node = self.node(index)?;
            if node.place == Place::Child(parent) && *node.name == *name {
                return Some(index);
            }
            index = node.same_hash;
        }
    }

    /// Enters a node, whose place and name are set, below its parent.
    fn adopt(&mut self, parent: u32, index: u32) {
        let Some(name) = self.node_mut(index).map(|node| std::mem::take(&mut node.name)) else {
            return;
        };
        let hash = self.hash(parent, &name);
        let first = match self.names.entry(hash) {
            Entry::Occupied(mut entry) => entry.insert(index),
            Entry::Vacant(entry) => {
                entry.insert(index);
                NONE
            }
        };
        if let Some(node) = self.node_mut(index) {
            node.name = name;
            node.hash = Some(hash);
            node.same_hash = first;
        }
        if let Some(parent) = self.node_mut(parent) {
            parent.children += 1;
        }
    }

    /// No name leads to this node any more; it keeps its parent.
    fn forget_name(&mut self, index: u32) {
        let Some(node) = self.node_mut(index) else { return };
        let Some(hash) = node.hash.take() else { return };
        let next = std::mem::replace(&mut node.same_hash, NONE);
        let Some(&first) = self.names.get(&hash) else { return };
        if first == index {
            if next == NONE {
                self.names.remove(&hash);
            } else {
                self.names.insert(hash, next);
            }
            return;
        }
        let mut before = first;
        while let Some(node) = self.node_mut(before) {
            if node.same_hash == index {
                node.same_hash = next;
                return;
            }
            before = node.same_hash;
        }
    }

    /// A child of `index` is gone.
    fn release(&mut self, index: u32) {
        if let Some(node) = self.node_mut(index) {
            node.children = node.children.saturating_sub(1);
            self.free_if_unused(index);
        }
    }

    fn free_if_unused(&mut self, mut index: u32) {
        while let Some(node) = self.node(index) {
            if node.handles != 0 || node.children != 0 {
                return;
            }
            self.forget_name(index);
            if self.in_list(index) {
                self.unlist(index);
            }
            let Some(node) = self.node_mut(index) else { return };
            let place = std::mem::replace(&mut node.place, Place::Nameless);
            let had_fd = node.fd.take().is_some();
            node.name = Box::default();
            node.info.hidden = None;
            // No handle leads here until the entry is used again.
            node.generation = node.generation.wrapping_add(1).max(1);
            self.free.push(index);
            match place {
                Place::Nameless => {
                    self.nameless -= usize::from(had_fd);
                    return;
                }
                Place::Root => return,
                Place::Child(parent) => {
                    let Some(node) = self.node_mut(parent) else { return };
                    node.children = node.children.saturating_sub(1);
                    index = parent;
                }
            }
        }
    }

    /// Whether the descriptor of a node is in the list by use.
    fn in_list(&self, index: u32) -> bool {
        self.newest == index || self.node(index).is_some_and(|node| node.newer != NONE)
    }

    fn list(&mut self, index: u32) {
        let older = std::mem::replace(&mut self.newest, index);
        if let Some(node) = self.node_mut(index) {
            node.older = older;
            node.newer = NONE;
        }
        match self.node_mut(older) {
            Some(node) => node.newer = index,
            None => self.oldest = index,
        }
        self.kept += 1;
    }

    fn unlist(&mut self, index: u32) {
        let Some(node) = self.node_mut(index) else { return };
        let newer = std::mem::replace(&mut node.newer, NONE);
        let older = std::mem::replace(&mut node.older, NONE);
        match self.node_mut(newer) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        match self.node_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
        self.kept -= 1;
    }

    /// Drops descriptors beyond the limit. The newest stays: nameless ones take half at most.
    fn drop_surplus(&mut self) {
        while self.kept + self.nameless > self.max_kept && self.oldest != self.newest {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self.oldest;
        if oldest != NONE {
            self.unlist(oldest);
            if let Some(node) = self.node_mut(oldest) {
                node.fd = None;
            }
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
