//! The internal roles: what this binary is when a sandbox starts it.

use std::ffi::{CStr, CString, OsStr};
use std::fmt::Display;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use bevor_confine::{
    MountTree, Threads, cover, exit_now, install, private_mounts, privileges, sock_filter, uncover,
    use_one_heap,
};
use bevor_gofer::{Config, Confine, RootConfig, Sharing, Source, config::VERSION};
use caps::Capability;

use crate::view::Export;

/// Word that makes this process a sentry.
pub const SENTRY: &CStr = c"sentry-role";
/// Word that makes this process a gofer.
pub const GOFER: &CStr = c"gofer-role";

/// Word that makes this process one that puts a filter on itself, and ends.
pub const PROBE: &CStr = c"filter-probe";

/// Descriptors of a gofer: its configuration, its channel, then its roots.
const GOFER_CONFIG_FD: i32 = 3;
const GOFER_MEMORY_FD: i32 = 4;
const GOFER_SOCKET_FD: i32 = 5;
const GOFER_FIRST_ROOT_FD: i32 = 6;

/// What a gofer of root's needs while it confines itself, and what its roots need afterwards.
pub const GOFER_CAPABILITIES: &[Capability] = &[
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SETPCAP,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
];

/// Where the gofer finds its own descriptors.
const PROC: &CStr = c"/proc";

/// The role a word names. It does not return.
pub fn of(word: &OsStr) -> Option<fn() -> !> {
    if word.as_encoded_bytes() == SENTRY.to_bytes() {
        Some(bevor_boot::sentry_role)
    } else if word.as_encoded_bytes() == GOFER.to_bytes() {
        Some(gofer_role)
    } else if word.as_encoded_bytes() == PROBE.to_bytes() {
        Some(probe_role)
    } else {
        None
    }
}

/// The configuration of a gofer that serves these exports.
pub fn gofer_config(exports: &[Export], by_root: bool) -> Config {
    let roots = exports.iter().zip(GOFER_FIRST_ROOT_FD..).map(|(export, fd)| {
        // A gofer of root's copies mounts, which it can in its own mount namespace only.
        let source = if by_root { Source::Path(export.path.clone()) } else { Source::Fd(fd) };
        RootConfig {
            sharing: if export.shared { Sharing::Shared } else { Sharing::Exclusive },
            cross_mounts: true,
            locks: export.locks,
            sockets: export.sockets,
            hidden: export.hidden.clone(),
            ..RootConfig::new(source, export.read_only)
        }
    });
    Config {
        version: VERSION,
        memory_fd: GOFER_MEMORY_FD,
        socket_fd: GOFER_SOCKET_FD,
        report_fd: 2,
        roots: roots.collect(),
        confine: if by_root { Confine::OwnNamespaces } else { Confine::Landlock },
        threads: 0,
        max_descriptors: 0,
        max_handles: 0,
    }
}

/// The smallest filter: allows everything.
fn probe_role() -> ! {
    const ALLOW: sock_filter = sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    exit_now(i32::from(install(&[ALLOW], Threads::Caller).is_err()))
}

fn gofer_role() -> ! {
    match gofer() {
        Ok(()) => exit_now(0),
        Err(message) => {
            eprintln!("bevor: gofer: {message}");
            exit_now(125)
        }
    }
}

fn gofer() -> Result<(), String> {
    fn step<E: Display>(what: &'static str) -> impl Fn(E) -> String {
        move |error| format!("{what}: {error}")
    }
    use_one_heap();
    privileges::set_name(c"bevor-gofer");
    privileges::ignore_terminal_signals().map_err(step("signals"))?;
    // A host that hides its /proc only loses the preference.
    let _kept = privileges::first_to_die();
    // The configuration comes when the launcher has mapped our identities.
    let mut config = Config::read(GOFER_CONFIG_FD).map_err(|error| error.to_string())?;
    if config.confine == Confine::OwnNamespaces {
        privileges::enter_namespaces(true).map_err(step("namespaces"))?;
        let trees = copy_trees(&config.roots).map_err(step("cannot copy what is to be served"))?;
        for (root, tree) in config.roots.iter_mut().zip(trees) {
            root.source = Source::Fd(tree.into_raw_fd());
        }
    }
    privileges::die_with_parent().map_err(step("parent"))?;
    bevor_gofer::run(config).map(drop).map_err(|error| error.to_string())
}

/// Copies the mounts of every root, so that what is hidden is not in the copies at all.
fn copy_trees(roots: &[RootConfig]) -> io::Result<Vec<OwnedFd>> {
    private_mounts()?;
    // Roots without hidden parts first, then the deepest: they may lie in what is covered for the
    // others.
    let mut trees: Vec<Option<OwnedFd>> = roots.iter().map(|_| None).collect();
    let mut ordered: Vec<_> = roots.iter().zip(&mut trees).collect();
    ordered.sort_by_key(|(root, _)| {
        let depth = match &root.source {
            Source::Path(path) => path.components().count(),
            Source::Fd(_) => 0,
        };
        (!root.hidden.is_empty(), std::cmp::Reverse(depth))
    });
    for (root, tree) in ordered {
        let Source::Path(path) = &root.source else { continue };
        let hidden = root.hidden.iter().map(|below| c_path(path.join(below).as_os_str()));
        let hidden = hidden.collect::<io::Result<Vec<_>>>()?;
        for hidden in &hidden {
            cover_if_there(hidden)?;
        }
        let copy = MountTree::copy_of(&c_path(path.as_os_str())?)?;
        copy.restrict(root.read_only)?;
        *tree = Some(copy.into());
        if hidden.iter().any(|hidden| hidden.as_c_str() == PROC) {
            // The gofer needs its own descriptors' directory once more.
            uncover(PROC)?;
        }
    }
    trees.into_iter().map(|tree| tree.ok_or_else(|| io::ErrorKind::InvalidInput.into())).collect()
}

fn cover_if_there(path: &CStr) -> io::Result<()> {
    match cover(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn c_path(path: &OsStr) -> io::Result<CString> {
    Ok(CString::new(path.as_bytes())?)
}
