//! Paths below a root of which nothing is served.

use std::collections::HashMap;
use std::sync::Arc;

/// A directory that is hidden or has hidden paths below it.
#[derive(Debug, Default)]
pub struct Hidden {
    here: bool,
    below: HashMap<Box<[u8]>, Arc<Self>>,
}

impl Hidden {
    /// The tree of `paths`; `None` when there are none. Empty and `.` components do not count.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Option<Arc<Self>> {
        let mut root = Builder::default();
        for path in paths {
            let mut at = &mut root;
            for name in path.split(|&byte| byte == b'/') {
                if !matches!(name, b"" | b".") {
                    at = at.below.entry(name.into()).or_default();
                }
            }
            at.here = true;
        }
        if root.below.is_empty() { None } else { Some(root.finish()) }
    }

    /// What is known of the entry `name`.
    pub fn child(&self, name: &[u8]) -> Option<&Arc<Self>> {
        self.below.get(name)
    }

    /// Whether nothing of this directory is served.
    pub const fn here(&self) -> bool {
        self.here
    }
}

#[derive(Default)]
struct Builder {
    here: bool,
    below: HashMap<Box<[u8]>, Self>,
}

impl Builder {
    fn finish(self) -> Arc<Hidden> {
        let below = self.below.into_iter().map(|(name, child)| (name, child.finish())).collect();
        Arc::new(Hidden { here: self.here, below })
    }
}

#[cfg(test)]
mod tests {
    use super::Hidden;

    #[test]
    fn only_the_named_paths_are_hidden() {
        let root = Hidden::new([&b"/home"[..], b"var/./run"]).unwrap();
        assert!(!root.here());
        assert!(root.child(b"home").unwrap().here());
        assert!(!root.child(b"var").unwrap().here());
        assert!(root.child(b"var").unwrap().child(b"run").unwrap().here());
        assert!(root.child(b"usr").is_none());
        assert!(Hidden::new([]).is_none());
    }
}
