//! Confines the gofer process to its roots.
//!
//! In namespaces of its own: each root becomes a private copy of its mounts (read-only where the
//! root is, never with devices or set-user-id) that no path leads to, and the root directory an
//! empty, read-only one. What is left is reachable through descriptors alone.
//!
//! In the caller's namespaces: landlock allows opening below the roots and nothing else. It does
//! not cover changes of attributes; those go through descriptors that were opened beneath a root.
//!
//! In both: no-new-privs, not dumpable, no capability beyond [`capabilities`], the host-call filter.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bevor_abi::Errno;
use bevor_confine::tables::{KILLED, gofer};
use bevor_confine::{
    FilterError, Landlock, LandlockRights, MountTree, Options, Threads, Values, compile,
    empty_root, install, landlock_abi, privileges,
};
use caps::Capability;

use crate::config::{Confine, RootConfig, Source};
use crate::hidden::Hidden;
use crate::host::{self, SelfFd};

/// What a gofer was doing when its start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Taking over the descriptors it inherited.
    Descriptors,
    /// Mapping the channel.
    Channel,
    /// Opening `/proc/self/fd`.
    Proc,
    /// Opening the root of this number.
    Root(usize),
    /// Making namespaces.
    Namespaces,
    /// Changing to an empty root directory.
    EmptyRoot,
    /// Restricting itself with landlock.
    Landlock,
    /// Giving up privileges.
    Privileges,
    /// Starting threads.
    Threads,
    /// Reading its configuration.
    Config,
}

/// Why a gofer could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A host call failed.
    #[error("the gofer failed at its start ({step:?}): {error}")]
    Host {
        /// What it was doing.
        step: Step,
        /// The host's error.
        error: io::Error,
    },
    /// The host has no landlock, and nothing else could confine an ordinary user's gofer that is
    /// to report owners as they are.
    #[error(
        "this host has no landlock (CONFIG_SECURITY_LANDLOCK, lsm=landlock), which a gofer of an \
         ordinary user needs; enable it, or give the user a subordinate id range for newuidmap"
    )]
    NoLandlock,
    /// The filter could not be put on.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The configuration is from another version.
    #[error("the gofer was given a configuration of version {0}; launcher and gofer must match")]
    Version(u32),
}

impl StartError {
    /// Says that a call of the standard library failed at a step.
    pub(crate) fn io(step: Step) -> impl Fn(io::Error) -> Self {
        move |error| Self::Host { step, error }
    }

    /// Says that a call of [`host`] failed at a step.
    pub(crate) fn host(step: Step) -> impl Fn(Errno) -> Self {
        move |errno| Self::Host { step, error: io::Error::from_raw_os_error(errno.code.0.into()) }
    }
}

/// Opens the roots and confines the calling thread, the only one, to them.
pub fn confine(
    mode: Confine,
    roots: Vec<RootConfig>,
    self_fd: &mut SelfFd,
) -> Result<Vec<(OwnedFd, RootConfig)>, StartError> {
    let mut opened = Vec::new();
    for (number, root) in roots.into_iter().enumerate() {
        let fd = open_root(mode, &root).map_err(StartError::io(Step::Root(number)))?;
        opened.push((fd, root));
    }
    match mode {
        Confine::LeaveNamespaces | Confine::OwnNamespaces => {
            if mode == Confine::LeaveNamespaces {
                host::unshare().map_err(StartError::host(Step::Namespaces))?;
            }
            empty_root().map_err(StartError::io(Step::EmptyRoot))?;
        }
        Confine::Landlock => landlock(&opened)?,
    }
    self_fd.make_current().map_err(StartError::host(Step::EmptyRoot))?;
    let writable = opened.iter().any(|(_, root)| !root.read_only);
    let devices = opened.iter().any(|(_, root)| root.devices && !root.read_only);
    give_up_privileges(writable, devices).map_err(StartError::io(Step::Privileges))?;
    Ok(opened)
}

fn open_root(mode: Confine, root: &RootConfig) -> io::Result<OwnedFd> {
    let fd = match &root.source {
        Source::Fd(fd) => bevor_confine::inherited(*fd)?,
        Source::Path(path) => open_path(path)?,
    };
    if mode == Confine::Landlock {
        return Ok(fd);
    }
    let recursive = root.cross_mounts;
    let tree = match MountTree::copy_at(fd.as_fd(), recursive) {
        // In a user namespace a mount cannot be had without what covers parts of it.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !recursive => {
            MountTree::copy_at(fd.as_fd(), true)
        }
        other => other,
    };
    match tree {
        Ok(tree) => {
            tree.restrict(root.read_only)?;
            Ok(tree.into())
        }
        // From another mount namespace: a clone the launcher made, which it has restricted.
        Err(error)
            if error.raw_os_error() == Some(libc::EINVAL)
                && mode == Confine::OwnNamespaces
                && matches!(root.source, Source::Fd(_)) =>
        {
            Ok(fd)
        }
        Err(error) => Err(error),
    }
}

fn landlock(roots: &[(OwnedFd, RootConfig)]) -> Result<(), StartError> {
    let step = StartError::io(Step::Landlock);
    let Some(rules) = Landlock::new().map_err(&step)? else {
        return Err(StartError::NoLandlock);
    };
    debug_assert!(landlock_abi() > 0, "there is a rule set");
    for (fd, root) in roots {
        let found = host::statx(fd.as_fd(), c"").map_err(StartError::host(Step::Landlock))?;
        let is_dir = u32::from(found.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
        if let (true, Some(hidden)) =
            (is_dir, Hidden::new(root.hidden.iter().map(String::as_bytes)))
        {
            let here = format!("/proc/self/fd/{}", fd.as_raw_fd()).into();
            allow_around(&rules, here, &hidden, root.read_only).map_err(&step)?;
            continue;
        }
        let rights = match (is_dir, root.read_only) {
            (true, true) => LandlockRights::READ,
            (true, false) => LandlockRights::WRITE,
            (false, true) => LandlockRights::READ_FILE,
            (false, false) => LandlockRights::WRITE_FILE,
        };
        rules.allow(fd.as_fd(), rights).map_err(&step)?;
    }
    rules.restrict().map_err(&step)
}

/// Allows what is in a directory, except what is hidden. Names can be listed all the same: landlock
/// knows no right for one directory that does not hold for those below it.
fn allow_around(
    rules: &Landlock,
    directory: PathBuf,
    hidden: &Hidden,
    read_only: bool,
) -> io::Result<()> {
    rules.allow(open_path(&directory)?.as_fd(), LandlockRights::LIST)?;
    for entry in std::fs::read_dir(&directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let rights = match (kind.is_dir(), kind.is_file(), read_only) {
            (true, _, true) => LandlockRights::READ,
            (true, _, false) => LandlockRights::WRITE,
            (_, true, true) => LandlockRights::READ_FILE,
            (_, true, false) => LandlockRights::WRITE_FILE,
            _ => continue,
        };
        match hidden.child(entry.file_name().as_bytes()) {
            Some(child) if child.here() => {}
            Some(child) => allow_around(rules, entry.path(), child, read_only)?,
            None => rules.allow(open_path(&entry.path())?.as_fd(), rights)?,
        }
    }
    Ok(())
}

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    host::open_path(path).map_err(|errno| io::Error::from_raw_os_error(errno.code.0.into()))
}

/// The capabilities a privileged gofer keeps: to see everything, and with a writable root to act
/// for every owner.
pub const fn capabilities(writable: bool, devices: bool) -> &'static [Capability] {
    const ALL: &[Capability] = &[
        Capability::CAP_DAC_READ_SEARCH,
        Capability::CAP_DAC_OVERRIDE,
        Capability::CAP_CHOWN,
        Capability::CAP_FOWNER,
        Capability::CAP_FSETID,
        Capability::CAP_MKNOD,
    ];
    let (read, _) = ALL.split_at(1);
    let (write, _) = ALL.split_at(5);
    match (writable, devices) {
        (false, _) => read,
        (true, false) => write,
        (true, true) => ALL,
    }
}

fn give_up_privileges(writable: bool, devices: bool) -> io::Result<()> {
    privileges::no_new_privs()?;
    // An ordinary user has none, and no right to touch the bounding set, which no-new-privs makes
    // meaningless.
    if privileges::has_capabilities() {
        privileges::keep_capabilities(capabilities(writable, devices))?;
    }
    privileges::not_dumpable()
}

/// The numbers of the descriptors that are written to.
#[derive(Clone, Copy, Debug)]
pub struct Reports {
    /// By [`crate::run`].
    pub faults: RawFd,
    /// By the handler of refused host calls.
    pub refused_calls: RawFd,
}

/// Puts the host-call filter on all threads.
pub fn install_filter(
    self_fd: &SelfFd,
    reports: Reports,
    features: gofer::Features,
) -> Result<(), StartError> {
    let number = |fd: i32| u64::from(fd.cast_unsigned());
    let values = Values::new()
        .with("self_fd", number(self_fd.raw()))
        .with("report", number(reports.faults))
        .with("refused", number(reports.refused_calls));
    let options = Options { killed: KILLED, ..Options::default() };
    let program = compile(gofer::rows(features), &values, &options)?;
    Ok(install(&program, Threads::All)?)
}
