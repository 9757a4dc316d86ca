//! Where a task stands in the file tree (`struct fs_struct`).

use crate::mount::{MountNamespace, Path};
use std::sync::Arc;

/// Root, working directory and mount namespace of a task. Shared by threads (`CLONE_FS`); immutable
/// once shared: a change makes a new one.
#[derive(Clone, Debug)]
pub struct FsContext {
    /// The root directory (`chroot(2)`).
    pub root: Path,
    /// The working directory.
    pub cwd: Path,
    /// The mount namespace.
    pub namespace: Arc<MountNamespace>,
}

impl FsContext {
    /// Stands at the root of `namespace`.
    #[must_use]
    pub fn at_root(namespace: Arc<MountNamespace>) -> Self {
        let root = namespace.root().root_path().topmost();
        Self { cwd: root.clone(), root, namespace }
    }
}
