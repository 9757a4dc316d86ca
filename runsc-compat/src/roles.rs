//! The internal roles: what this binary is when a sandbox starts it.

use std::ffi::{CStr, OsStr};

use bevor_gofer::config::{Config, Confine, RootConfig, Sharing, VERSION};
use caps::Capability;

use crate::view::Export;

/// Word that makes this process a sentry.
pub const SENTRY: &CStr = c"sentry-role";
/// Word that makes this process a gofer.
pub const GOFER: &CStr = c"gofer-role";

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

/// The role a word names. It does not return.
pub fn of(word: &OsStr) -> Option<fn() -> !> {
    if word.as_encoded_bytes() == SENTRY.to_bytes() {
        Some(bevor_boot::sentry_role)
    } else if word.as_encoded_bytes() == GOFER.to_bytes() {
        Some(gofer_role)
    } else {
        None
    }
}

/// The configuration of a gofer that serves these exports.
pub fn gofer_config(exports: &[Export], by_root: bool) -> Config {
    let roots = exports.iter().zip(GOFER_FIRST_ROOT_FD..).map(|(export, fd)| RootConfig {
        sharing: if export.shared { Sharing::Shared } else { Sharing::Exclusive },
        cross_mounts: true,
        hidden: export.hidden.clone(),
        ..RootConfig::new(fd, export.read_only)
    });
    Config {
        version: VERSION,
        memory_fd: GOFER_MEMORY_FD,
        socket_fd: GOFER_SOCKET_FD,
        report_fd: 2,
        roots: roots.collect(),
        confine: if by_root { Confine::Namespaces } else { Confine::Landlock },
        threads: 0,
        max_descriptors: 0,
        max_handles: 0,
    }
}

fn gofer_role() -> ! {
    bevor_gofer::main(GOFER_CONFIG_FD)
}
