//! Making and changing file systems step by step: what `fsopen(2)` and `fspick(2)` open
//! (`struct fs_context`).

use crate::anon;
use crate::caller::Caller;
use crate::file::{File, FileOps, OpenFlags};
use crate::superblock::{FsType, MountRequest, ParamFault, Superblock};
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::errno::{EBUSY, EINVAL, EMSGSIZE, ENODATA, EPERM};
use bevor_memory::IoDst;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most messages that are kept for readers.
const MAX_MESSAGES: usize = 8;
/// Most bytes of options.
const MAX_OPTIONS: usize = 4096;

/// How far a configuration has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Parameters of a new file system are taken.
    CreateParams,
    /// The file system is there and waits for `fsmount(2)`.
    AwaitingMount,
    /// Mounted or changed; the next command begins a change.
    AwaitingChange,
    /// Parameters of a change are taken.
    ChangeParams,
    /// Something went wrong: nothing more can be done.
    Failed,
}

struct State {
    phase: Phase,
    /// Comma-separated, as `mount(2)` takes them.
    options: Vec<u8>,
    source: Option<Vec<u8>>,
    read_only: Option<bool>,
    superblock: Option<Arc<Superblock>>,
    messages: VecDeque<String>,
}

/// A configuration under way, the operations of its descriptor.
pub struct FsConfig {
    name: String,
    kind: Option<Arc<FsType>>,
    state: Mutex<State>,
}

/// The file system `fsmount(2)` mounts.
pub struct Made {
    /// The file system.
    pub superblock: Arc<Superblock>,
    /// What mountinfo shows as its source.
    pub source: Vec<u8>,
}

impl FsConfig {
    fn open(self) -> Arc<File> {
        anon::file(Box::new(self), "[fscontext]", OpenFlags(bevor_abi::fcntl::O_RDWR))
    }

    fn new(
        name: String,
        kind: Option<Arc<FsType>>,
        phase: Phase,
        superblock: Option<Arc<Superblock>>,
    ) -> Self {
        let state = State {
            phase,
            options: Vec::new(),
            source: None,
            read_only: None,
            superblock,
            messages: VecDeque::new(),
        };
        Self { name, kind, state: Mutex::new(state) }
    }

    /// Begins a new file system of type `kind`, which is called `name`.
    #[must_use]
    pub fn create(name: &[u8], kind: Arc<FsType>) -> Arc<File> {
        let name = String::from_utf8_lossy(name).into_owned();
        Self::new(name, Some(kind), Phase::CreateParams, None).open()
    }

    /// Begins a change of `superblock`.
    #[must_use]
    pub fn change(superblock: Arc<Superblock>) -> Arc<File> {
        let name = superblock.fs().name().to_owned();
        let kind = crate::superblock::fs_type(name.as_bytes()).ok();
        Self::new(name, kind, Phase::ChangeParams, Some(superblock)).open()
    }

    fn fail(&self, state: &mut State, text: String) -> Errno {
        if state.messages.len() == MAX_MESSAGES {
            state.messages.pop_front();
        }
        state.messages.push_back(format!("e {}: {text}\n", self.name));
        EINVAL.into()
    }

    /// A command after the last change begins the next one.
    fn begin(state: &mut State) {
        if state.phase == Phase::AwaitingChange {
            state.phase = Phase::ChangeParams;
        }
    }

    /// Sets a parameter: a flag without `value`, else a string.
    ///
    /// # Errors
    /// `EINVAL` for one that is unknown or bad; `EBUSY` at the wrong time.
    pub fn set(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), Errno> {
        let mut state = self.state.lock();
        Self::begin(&mut state);
        if !matches!(state.phase, Phase::CreateParams | Phase::ChangeParams) {
            return Err(EBUSY.into());
        }
        match key {
            b"ro" => state.read_only = Some(true),
            b"rw" => state.read_only = Some(false),
            // Nothing is ever written later than it is said to be.
            b"sync" | b"async" | b"dirsync" | b"mand" | b"nomand" | b"lazytime" | b"nolazytime" => {
            }
            _ => return self.set_own(&mut state, key, value),
        }
        Ok(())
    }

    fn set_own(&self, state: &mut State, key: &[u8], value: Option<&[u8]>) -> Result<(), Errno> {
        let shown = String::from_utf8_lossy(key);
        let mut option = key.to_vec();
        if let Some(value) = value {
            option.push(b'=');
            option.extend_from_slice(value);
        }
        let plain = !key.contains(&b'=') && !option.contains(&b',');
        let fault = match &self.kind {
            _ if !plain => Err(ParamFault::BadValue),
            Some(kind) => (kind.check)(&option),
            None => Err(ParamFault::Unknown),
        };
        match fault {
            Ok(()) => {}
            Err(ParamFault::BadValue) => {
                return Err(self.fail(state, format!("Bad value for '{shown}'")));
            }
            Err(ParamFault::Unknown) if key == b"source" => {
                let Some(value) = value else {
                    return Err(self.fail(state, "Non-string source".into()));
                };
                if state.source.is_some() {
                    return Err(self.fail(state, "Multiple sources".into()));
                }
                state.source = Some(value.to_vec());
                return Ok(());
            }
            Err(ParamFault::Unknown) => {
                return Err(self.fail(state, format!("Unknown parameter '{shown}'")));
            }
        }
        if state.options.len() + option.len() >= MAX_OPTIONS {
            return Err(EINVAL.because("too many options"));
        }
        if !state.options.is_empty() {
            state.options.push(b',');
        }
        state.options.append(&mut option);
        Ok(())
    }

    /// Makes the file system (`FSCONFIG_CMD_CREATE`).
    ///
    /// # Errors
    /// `EBUSY` at the wrong time; `EPERM`; what the file system says.
    pub fn make(&self, caller: &dyn Caller) -> Result<(), Errno> {
        let mut state = self.state.lock();
        Self::begin(&mut state);
        let (Phase::CreateParams, Some(kind)) = (state.phase, &self.kind) else {
            return Err(EBUSY.into());
        };
        let cred = caller.cred();
        if cred.user_ns.level > 0 && !kind.in_user_ns {
            return Err(EPERM.because("not mountable in a user namespace"));
        }
        if !cred.has_cap(CAP_SYS_ADMIN) {
            return Err(EPERM.because("needs CAP_SYS_ADMIN"));
        }
        let request = MountRequest {
            source: state.source.as_deref().unwrap_or(b"none"),
            options: &state.options,
            user_ns: &cred.user_ns,
            caller,
        };
        match (kind.mount)(&request) {
            Ok(superblock) => {
                if state.read_only == Some(true) {
                    superblock.set_read_only(true);
                }
                state.superblock = Some(superblock);
                state.phase = Phase::AwaitingMount;
                Ok(())
            }
            Err(errno) => {
                state.phase = Phase::Failed;
                Err(errno)
            }
        }
    }

    /// Applies the parameters to the file system there is (`FSCONFIG_CMD_RECONFIGURE`).
    ///
    /// # Errors
    /// `EBUSY` at the wrong time; `EPERM`; what the file system says.
    pub fn apply(&self, caller: &dyn Caller) -> Result<(), Errno> {
        let mut state = self.state.lock();
        Self::begin(&mut state);
        let (Phase::ChangeParams, Some(superblock)) = (state.phase, state.superblock.clone())
        else {
            return Err(EBUSY.into());
        };
        let applied = if caller.cred().has_cap_in(CAP_SYS_ADMIN, superblock.user_ns()) {
            superblock.reconfigure(&state.options, state.read_only)
        } else {
            Err(EPERM.into())
        };
        if applied.is_err() {
            state.phase = Phase::Failed;
            return applied;
        }
        state.phase = Phase::AwaitingChange;
        state.options.clear();
        state.read_only = None;
        Ok(())
    }

    /// Hands the file system over to a mount; afterwards the descriptor changes it.
    ///
    /// # Errors
    /// `EINVAL` if it has not been made; `EBUSY` if it has been mounted.
    pub fn mount(&self) -> Result<Made, Errno> {
        let mut state = self.state.lock();
        let superblock = state.superblock.clone().ok_or(EINVAL)?;
        if state.phase != Phase::AwaitingMount {
            return Err(EBUSY.into());
        }
        state.phase = Phase::AwaitingChange;
        state.options.clear();
        state.read_only = None;
        let source = state.source.take().unwrap_or_else(|| b"none".to_vec());
        Ok(Made { superblock, source })
    }
}

impl FileOps for FsConfig {
    fn is_stream(&self) -> bool {
        true
    }

    /// Reads the oldest message.
    fn read(&self, file: &File, dst: &mut IoDst<'_>, at: u64) -> Result<usize, Errno> {
        let _ = (file, at);
        let mut state = self.state.lock();
        let message = state.messages.front().ok_or(ENODATA)?;
        if dst.remaining() < message.len() as u64 {
            return Err(EMSGSIZE.into());
        }
        let done = dst.put(message.as_bytes())?;
        state.messages.pop_front();
        Ok(done)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
