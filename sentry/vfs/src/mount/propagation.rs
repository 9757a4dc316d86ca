//! Shared, slave, private and unbindable mounts (`mount_namespaces(7)`).

use crate::context::FsContext;
use crate::dentry::Dentry;
use crate::mount::ops::{self, Unbindable};
use crate::mount::{Mount, Tree, guard};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// How mount events reach a mount and leave it. Group numbers are 0 for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Propagation {
    /// The peer group it shares events with (`shared:N`).
    pub peers: u64,
    /// The group it receives events from (`master:N`).
    pub master: u64,
    /// Whether bind mounts of it are refused.
    pub unbindable: bool,
}

impl Propagation {
    /// Whether events leave it.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        self.peers != 0
    }

    /// The optional fields of mountinfo, each followed by a space; `from` is the nearest visible
    /// group events come from, where that is not the master.
    #[must_use]
    pub fn text(self, from: Option<u64>) -> String {
        let mut text = String::new();
        if self.peers != 0 {
            text.push_str(&format!("shared:{} ", self.peers));
        }
        if self.master != 0 {
            text.push_str(&format!("master:{} ", self.master));
        }
        if let Some(from) = from {
            text.push_str(&format!("propagate_from:{from} "));
        }
        if self.unbindable {
            text.push_str("unbindable ");
        }
        text
    }
}

/// Every mount that is shared or a slave.
static MEMBERS: Mutex<Vec<Weak<Mount>>> = Mutex::new(Vec::new());

/// Draws the number of a new peer group.
fn next_group() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Sets how events reach and leave `mount`.
pub(super) fn set(mount: &Arc<Mount>, propagation: Propagation) {
    let old = std::mem::replace(&mut *mount.propagation.lock(), propagation);
    let was = old.peers != 0 || old.master != 0;
    let is = propagation.peers != 0 || propagation.master != 0;
    if was == is {
        return;
    }
    let mut members = MEMBERS.lock();
    members.retain(|member| member.strong_count() > 0 && !member.ptr_eq(&Arc::downgrade(mount)));
    if is {
        members.push(Arc::downgrade(mount));
    }
}

/// Makes `mount` shared, in a group of its own if it is in none.
pub(super) fn make_shared(mount: &Arc<Mount>) {
    let old = mount.propagation();
    if !old.is_shared() {
        set(mount, Propagation { peers: next_group(), unbindable: false, ..old });
    }
}

/// Makes `mount` a slave of the group it was a peer in; private if it was the only one.
pub(super) fn make_slave(mount: &Arc<Mount>) {
    let old = mount.propagation();
    if !old.is_shared() {
        return;
    }
    let alone = select(|of| of.peers == old.peers).len() < 2;
    if alone {
        adopt_slaves(old.peers, old.master);
    }
    let master = if alone { old.master } else { old.peers };
    set(mount, Propagation { peers: 0, master, unbindable: false });
}

/// Makes `mount` receive the events it would share; private if it shares none
/// (`CL_SHARED_TO_SLAVE`: what a less privileged namespace gets).
pub(super) fn only_receive(mount: &Arc<Mount>) {
    let Propagation { peers, master, .. } = mount.propagation();
    let master = if peers == 0 { master } else { peers };
    set(mount, Propagation { peers: 0, master, unbindable: false });
}

/// Takes `mount` out of all groups.
pub(super) fn make_private(mount: &Arc<Mount>, unbindable: bool) {
    let old = mount.propagation();
    if old.is_shared() && select(|of| of.peers == old.peers).len() < 2 {
        adopt_slaves(old.peers, old.master);
    }
    set(mount, Propagation { peers: 0, master: 0, unbindable });
}

/// Gives the slaves of a group that ends to that group's own master.
fn adopt_slaves(group: u64, master: u64) {
    for slave in select(|of| of.master == group) {
        let old = slave.propagation();
        set(&slave, Propagation { master, ..old });
    }
}

fn select(wanted: impl Fn(Propagation) -> bool) -> Vec<Arc<Mount>> {
    let members = MEMBERS.lock();
    let live = members.iter().filter_map(Weak::upgrade);
    live.filter(|mount| wanted(mount.propagation())).collect()
}

/// The nearest of the groups `of` receives events from, directly or through others, that has a
/// member below the root of `fs`.
pub(super) fn nearest_master(of: &Mount, fs: &FsContext) -> Option<u64> {
    let mut group = of.propagation().master;
    for _ in 0..MAX_DEPTH {
        if group == 0 {
            return None;
        }
        let members = select(|to| to.peers == group);
        if members.iter().any(|mount| mount.root_path().is_below(&fs.root)) {
            return Some(group);
        }
        group = members.first()?.propagation().master;
    }
    None
}

/// Every mount that receives the events of `of`, except itself.
pub(super) fn receivers(of: &Arc<Mount>) -> Vec<Arc<Mount>> {
    let mut groups = vec![of.propagation().peers];
    let mut found: Vec<Arc<Mount>> = Vec::new();
    let mut next = 0;
    while let Some(&group) = groups.get(next) {
        next += 1;
        if group == 0 {
            continue;
        }
        for mount in select(|to| to.peers == group || to.master == group) {
            let known = found.iter().any(|other| Arc::ptr_eq(other, &mount));
            if known || Arc::ptr_eq(&mount, of) {
                continue;
            }
            let peers = mount.propagation().peers;
            if !groups.contains(&peers) {
                groups.push(peers);
            }
            found.push(mount);
        }
    }
    found
}

/// Attaches copies of `tree`, which was just put on `dentry` of `parent` but is part of nothing yet,
/// wherever events of `parent` go. The topology is locked.
pub(super) fn spread_attach(parent: &Arc<Mount>, dentry: &Arc<Dentry>, tree: &Arc<Mount>) {
    let mut copies = Vec::new();
    spread_group(parent.propagation().peers, parent, dentry, tree, &mut copies, 0);
    let user_ns = |mount: &Mount| mount.namespace().map(|namespace| namespace.user_ns().clone());
    let from = user_ns(parent);
    for copy in copies {
        let Some(place) = copy.parent() else { continue };
        if let (Some(from), Some(into)) = (&from, user_ns(&place.mount))
            && !Arc::ptr_eq(from, &into)
        {
            guard::lock_tree(&copy);
        }
        let owner = place.mount.links.read().tree.clone();
        ops::adopt(&owner, &copy.subtree());
    }
}

/// How deep masters and slaves are followed.
const MAX_DEPTH: usize = 64;

fn spread_group(
    group: u64,
    from: &Arc<Mount>,
    dentry: &Arc<Dentry>,
    tree: &Arc<Mount>,
    copies: &mut Vec<Arc<Mount>>,
    depth: usize,
) {
    if group == 0 || depth > MAX_DEPTH {
        return;
    }
    for peer in select(|to| to.peers == group) {
        if !Arc::ptr_eq(&peer, from) {
            copies.extend(attach_copy(&peer, dentry, tree, Kin::Peer));
        }
    }
    let mut done_groups = Vec::new();
    for slave in select(|to| to.master == group) {
        let own = slave.propagation().peers;
        if own != 0 && done_groups.contains(&own) {
            continue;
        }
        let kin = if own == 0 { Kin::Slave } else { Kin::SharedSlave };
        let Some(copy) = attach_copy(&slave, dentry, tree, kin) else { continue };
        copies.push(copy.clone());
        if own != 0 {
            done_groups.push(own);
            spread_group(own, &slave, dentry, &copy, copies, depth + 1);
        }
    }
}

/// How a copied mount is related to its source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    Peer,
    Slave,
    SharedSlave,
}

fn attach_copy(
    to: &Arc<Mount>,
    dentry: &Arc<Dentry>,
    tree: &Arc<Mount>,
    kin: Kin,
) -> Option<Arc<Mount>> {
    let visible =
        Arc::ptr_eq(to.superblock().root(), &top_of(dentry)) && dentry.is_within(to.root());
    // What is part of nothing is itself being attached.
    if !visible || matches!(to.links.read().tree, Tree::None) {
        return None;
    }
    let (copy, pairs) = ops::copy_tree(tree, tree.root().clone(), Unbindable::Copied);
    guard::unlock(&copy);
    for source in tree.subtree() {
        let Some(mount) = pairs.get(&source.id()) else { continue };
        let group = source.propagation().peers;
        if kin != Kin::Peer {
            set(mount, Propagation { peers: 0, master: group, unbindable: false });
        }
        if kin == Kin::SharedSlave {
            make_shared(mount);
        }
    }
    // What is mounted there already stays on top.
    let above = to.child_at(dentry);
    if let Some(above) = &above {
        ops::disconnect(above);
    }
    ops::connect(to, dentry, &copy);
    if let Some(above) = above {
        let place = copy.root_path().topmost();
        ops::connect(&place.mount, &place.dentry, &above);
    }
    Some(copy)
}

fn top_of(dentry: &Arc<Dentry>) -> Arc<Dentry> {
    let mut at = dentry.clone();
    while let Some(parent) = at.parent() {
        at = parent;
    }
    at
}
