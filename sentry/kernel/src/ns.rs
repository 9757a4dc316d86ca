//! Namespaces of a task (`namespaces(7)`) other than user, mount and its own pid namespace.

use crate::ipc::IpcNamespace;
use crate::pid::PidNamespace;
use bevor_base::UserNamespace;
use bevor_base::cred::next_namespace_id;
use parking_lot::RwLock;
use std::sync::Arc;

/// `uts_namespaces(7)`: the names `uname` shows.
#[derive(Debug)]
pub struct UtsNamespace {
    /// Inode of `/proc/PID/ns/uts`.
    pub id: u64,
    /// Its owner.
    pub user_ns: Arc<UserNamespace>,
    /// `nodename` and `domainname`, at most 64 bytes each.
    pub names: RwLock<(Vec<u8>, Vec<u8>)>,
}

impl UtsNamespace {
    /// A namespace with these names.
    #[must_use]
    pub fn new(hostname: Vec<u8>, domainname: Vec<u8>, user_ns: Arc<UserNamespace>) -> Arc<Self> {
        let names = RwLock::new((hostname, domainname));
        Arc::new(Self { id: next_namespace_id(), user_ns, names })
    }
}

/// A namespace that so far only has an identity (cgroup, time) or whose contents live in another
/// crate and are found by it (net).
#[derive(Debug)]
pub struct PlainNamespace {
    /// Inode of `/proc/PID/ns/*`.
    pub id: u64,
    /// Its owner.
    pub user_ns: Arc<UserNamespace>,
}

impl PlainNamespace {
    /// A new one.
    #[must_use]
    pub fn new(user_ns: Arc<UserNamespace>) -> Arc<Self> {
        Arc::new(Self { id: next_namespace_id(), user_ns })
    }
}

/// The namespaces of a task. Immutable once shared.
#[derive(Clone, Debug)]
pub struct Namespaces {
    /// Host and domain name.
    pub uts: Arc<UtsNamespace>,
    /// System V IPC and POSIX message queues.
    pub ipc: Arc<IpcNamespace>,
    /// Network.
    pub net: Arc<PlainNamespace>,
    /// Control groups.
    pub cgroup: Arc<PlainNamespace>,
    /// Clocks.
    pub time: Arc<PlainNamespace>,
    /// The pid namespace children are made in.
    pub pid_for_children: Arc<PidNamespace>,
}

impl Namespaces {
    /// A fresh set for a container.
    #[must_use]
    pub fn new(hostname: Vec<u8>, user_ns: &Arc<UserNamespace>) -> Arc<Self> {
        Arc::new(Self {
            uts: UtsNamespace::new(hostname, b"(none)".to_vec(), user_ns.clone()),
            ipc: IpcNamespace::new(user_ns.clone()),
            net: PlainNamespace::new(user_ns.clone()),
            cgroup: PlainNamespace::new(user_ns.clone()),
            time: PlainNamespace::new(user_ns.clone()),
            pid_for_children: PidNamespace::new(None, user_ns.clone()),
        })
    }
}
