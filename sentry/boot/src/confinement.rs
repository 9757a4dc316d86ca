//! The sentry's walls, in the order they go up.

use std::io;
use std::os::fd::OwnedFd;

use bevor_confine::tables::{Features, KILLED, Role, rows};
use bevor_confine::{
    FilterError, Landlock, Options, Threads, Values, compile, empty_root, install,
    large_folio_files, privileges,
};

use crate::config::{Net, PlatformKind, SentryConfig};

/// Files of large folios a sentry has: one for each of its first containers.
const LARGE_FILES: usize = 4;

/// The first walls: namespaces (the network's stays the caller's with `--net host`), an empty root, no identity, no capability, no path, no signal to
/// outsiders. Afterwards the process has nothing left to give up but host calls. Made before the
/// platform: stubs get these walls too. Returns files of large folios, as far as the host has them.
///
/// # Errors
/// The step and the host's refusal.
pub fn leave_the_host(config: &SentryConfig) -> io::Result<Vec<OwnedFd>> {
    let step =
        |what: &'static str| move |e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
    // Needs the host's /proc; a host that hides it only loses the preference.
    let _kept = privileges::first_to_die();
    let limit = privileges::raise_descriptor_limit().map_err(step("descriptor limit"))?;
    bevor_vfs::gofer::limit_descriptors(limit);
    privileges::enter_namespaces(config.net != Net::Host).map_err(step("namespaces"))?;
    let large = large_folio_files(LARGE_FILES).unwrap_or_default();
    empty_root().map_err(step("empty root"))?;
    if config.by_root {
        privileges::become_nobody().map_err(step("identity"))?;
        privileges::enter_user_namespace().map_err(step("user namespace"))?;
    }
    privileges::drop_capabilities().map_err(step("capabilities"))?;
    privileges::no_new_privs().map_err(step("no-new-privs"))?;
    privileges::not_dumpable().map_err(step("dumpable"))?;
    // The changes above have undone what was asked for before the exec.
    privileges::die_with_parent().map_err(step("parent"))?;
    // Before the first stub process and every thread: Landlock lets a process signal only those that
    // are under the same rules, and the sentry must kick and kill its stubs.
    let landlock = match config.net {
        Net::None => Landlock::new(),
        Net::Host => Landlock::with_network(),
    };
    if let Some(nothing) = landlock.map_err(step("landlock"))? {
        nothing.restrict().map_err(step("landlock"))?;
    }
    Ok(large)
}

/// The wall that the first stub process must not inherit, because guests make code of their own: no
/// executable memory.
pub fn close_to_new_code() {
    privileges::refuse_executable_memory();
}

/// The last wall: host calls outside the table end the process, on all its threads.
///
/// # Errors
/// [`FilterError`].
pub fn filter(config: &SentryConfig, values: &Values) -> Result<(), FilterError> {
    let features = Features {
        ptrace: config.platform == PlatformKind::Ptrace,
        net_host: config.net == Net::Host,
        host_unix: config.host_unix,
    };
    let options = Options { killed: KILLED, ..Options::default() };
    let program = compile(rows(Role::Sentry, features), values, &options)?;
    install(&program, Threads::All)
}
