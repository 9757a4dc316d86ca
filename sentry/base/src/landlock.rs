//! Landlock domains: what a task forbade itself (`landlock(7)`).
//!
//! A domain is a chain of layers, each made by one `landlock_restrict_self(2)`. What a layer handles is
//! forbidden unless one of its rules allows it; every layer must allow. Files are named by device and
//! inode, and held by the ruleset, so that no other file gets their number.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `LANDLOCK_ACCESS_FS_REFER`: forbidden by every layer that does not allow it.
pub const REFER: u64 = 0x2000;
/// Most layers (`LANDLOCK_MAX_NUM_LAYERS`).
pub const MAX_LAYERS: usize = 16;

/// A file as rules name it: device and inode number.
pub type FileKey = (u64, u64);

/// What a ruleset says; frozen once it is a layer.
#[derive(Clone, Default)]
pub struct Rules {
    /// File rights it is about.
    pub handled_fs: u64,
    /// Network rights it is about.
    pub handled_net: u64,
    /// `LANDLOCK_SCOPE_*`.
    pub scoped: u64,
    places: HashMap<FileKey, u64>,
    ports: HashMap<u16, u64>,
    held: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Rules {
    /// Rules about these rights that allow nothing yet.
    #[must_use]
    pub fn new(handled_fs: u64, handled_net: u64, scoped: u64) -> Self {
        Self { handled_fs, handled_net, scoped, ..Self::default() }
    }

    /// Allows `access` below a file, which `hold` keeps.
    pub fn allow_beneath(&mut self, file: FileKey, access: u64, hold: Arc<dyn Any + Send + Sync>) {
        *self.places.entry(file).or_insert_with(|| {
            self.held.push(hold);
            0
        }) |= access;
    }

    /// Allows `access` to a port.
    pub fn allow_port(&mut self, port: u16, access: u64) {
        *self.ports.entry(port).or_default() |= access;
    }
}

/// A domain: its newest layer, on top of those it was made in.
pub struct Domain {
    id: u64,
    parent: Option<Arc<Self>>,
    rules: Rules,
}

impl Domain {
    /// Adds a layer; `None` if there are too many.
    #[must_use]
    pub fn enter(parent: Option<&Arc<Self>>, rules: Rules) -> Option<Arc<Self>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let depth = parent.map_or(0, |parent| parent.layers().count());
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let parent = parent.cloned();
        (depth < MAX_LAYERS).then(|| Arc::new(Self { id, parent, rules }))
    }

    fn layers(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |layer| layer.parent.as_deref())
    }

    /// Whether any layer is about files.
    #[must_use]
    pub fn confines_files(&self) -> bool {
        self.layers().any(|layer| layer.rules.handled_fs != 0)
    }

    /// Whether every layer allows network right `access` for a port.
    #[must_use]
    pub fn allows_port(&self, port: u16, access: u64) -> bool {
        self.layers().all(|layer| {
            let granted = layer.rules.ports.get(&port).copied().unwrap_or(0);
            access & layer.rules.handled_net & !granted == 0
        })
    }

    /// Whether `other` is this domain or was entered within it.
    #[must_use]
    pub fn contains(&self, other: Option<&Arc<Self>>) -> bool {
        other.is_some_and(|other| other.layers().any(|layer| layer.id == self.id))
    }

    /// Whether some layer with this scope keeps its tasks from reaching `other`.
    #[must_use]
    pub fn keeps_from(&self, other: Option<&Arc<Self>>, scope: u64) -> bool {
        self.layers().any(|layer| layer.rules.scoped & scope != 0 && !layer.contains(other))
    }

    /// What is allowed where no rule has been looked at yet.
    #[must_use]
    pub fn grants(&self) -> Grants<'_> {
        let layers = self.layers().map(|layer| Layer {
            rules: &layer.rules,
            handled: layer.rules.handled_fs | REFER,
            granted: 0,
        });
        Grants(layers.collect())
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.id)
    }
}

#[derive(Clone, Copy)]
struct Layer<'a> {
    rules: &'a Rules,
    handled: u64,
    granted: u64,
}

/// The file rights the layers of a domain grant on some path, as far as it has been walked.
#[derive(Clone)]
pub struct Grants<'a>(Vec<Layer<'a>>);

impl Grants<'_> {
    /// Walks over a file: rules about it grant what they allow.
    pub fn add(&mut self, file: FileKey) {
        for layer in &mut self.0 {
            layer.granted |= layer.rules.places.get(&file).copied().unwrap_or(0);
        }
    }

    /// The rights of `wanted` that some layer does not grant.
    #[must_use]
    pub fn denied(&self, wanted: u64) -> u64 {
        self.0.iter().fold(0, |denied, layer| denied | (wanted & layer.handled & !layer.granted))
    }

    /// Whether a file that leaves a place with these grants (its own rules are `own`) for one with
    /// those of `to` may be used in no further way there; `kinds` are the rights that mean anything
    /// for it.
    #[must_use]
    pub fn gains_nothing(&self, own: &Self, to: &Self, kinds: u64) -> bool {
        let layers = self.0.iter().zip(&own.0).zip(&to.0);
        layers.into_iter().all(|((from, own), to)| {
            let before = from.granted | own.granted;
            kinds & from.handled & to.granted & !before == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(fs: u64, places: &[(u64, u64)]) -> Rules {
        let mut rules = Rules { handled_fs: fs, scoped: 1, ..Rules::default() };
        for &(ino, access) in places {
            rules.allow_beneath((0, ino), access, Arc::new(()));
        }
        rules
    }

    #[test]
    fn every_layer_must_allow() {
        let outer = Domain::enter(None, rules(0b11, &[(1, 0b11)])).unwrap();
        let inner = Domain::enter(Some(&outer), rules(0b01, &[(2, 0b01)])).unwrap();
        let mut grants = inner.grants();
        grants.add((0, 2));
        assert_eq!(grants.denied(0b111), 0b11);
        grants.add((0, 1));
        assert_eq!((grants.denied(0b111), grants.denied(REFER)), (0, REFER));
    }

    #[test]
    fn domains_nest_and_are_scoped() {
        let outer = Domain::enter(None, rules(1, &[])).unwrap();
        let inner = Domain::enter(Some(&outer), rules(1, &[])).unwrap();
        assert!(outer.contains(Some(&inner)) && !inner.contains(Some(&outer)));
        assert!(inner.keeps_from(Some(&outer), 1) && !outer.keeps_from(Some(&inner), 1));
        assert!(outer.keeps_from(None, 1) && !outer.keeps_from(None, 2));
        let mut top = outer;
        for _ in 1..MAX_LAYERS {
            top = Domain::enter(Some(&top), Rules::default()).unwrap();
        }
        assert!(Domain::enter(Some(&top), Rules::default()).is_none());
    }

    #[test]
    fn moving_may_gain_nothing() {
        let rules = rules(0b111, &[(1, 0b001), (2, 0b011), (3, 0b010)]);
        let domain = Domain::enter(None, rules).unwrap();
        let at = |ino| {
            let mut grants = domain.grants();
            grants.add((0, ino));
            grants
        };
        let none = domain.grants();
        assert!(at(2).gains_nothing(&none, &at(1), 0b111));
        assert!(!at(1).gains_nothing(&none, &at(2), 0b111));
        // Its own rule makes up for it, or the right means nothing for it.
        assert!(at(1).gains_nothing(&at(3), &at(2), 0b111));
        assert!(at(1).gains_nothing(&none, &at(2), 0b101));
    }
}
