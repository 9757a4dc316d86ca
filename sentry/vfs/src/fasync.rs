//! Signals that tell of readiness (`O_ASYNC`, `fcntl(F_SETOWN)`: `fcntl(2)`, "Managing signals").
//!
//! Lock order: a list's entries, then an owner's state. Neither is held while a signal is sent.

use crate::file::{File, OpenFlags};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What happened: `si_code` and `si_band` of the signal (`sigaction(2)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Band {
    /// Input is there (`POLL_IN`).
    In,
    /// There is room for output (`POLL_OUT`).
    Out,
    /// A directory changed (`POLL_MSG`).
    Message,
    /// An error (`POLL_ERR`).
    Error,
    /// Urgent data (`POLL_PRI`).
    Priority,
    /// The other end is gone (`POLL_HUP`).
    HangUp,
}

impl Band {
    /// `si_code`.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::In => 1,
            Self::Out => 2,
            Self::Message => 3,
            Self::Error => 4,
            Self::Priority => 5,
            Self::HangUp => 6,
        }
    }

    /// `si_band`, bits of `poll(2)`.
    #[must_use]
    pub const fn bits(self) -> i64 {
        match self {
            Self::In => 0x41,
            Self::Out => 0x304,
            Self::Message => 0x441,
            Self::Error => 0x8,
            Self::Priority => 0x82,
            Self::HangUp => 0x18,
        }
    }
}

/// A signal on its way to an owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoSignal {
    /// The signal chosen with `F_SETSIG`; 0 for a `SIGIO` without details.
    pub signo: i32,
    /// What happened.
    pub band: Band,
    /// The descriptor that was made asynchronous.
    pub fd: i32,
}

/// Whom signals go to. Implemented by the kernel crate.
pub trait Receiver: Send + Sync {
    /// Sends `SIGIO`, or the signal asked for.
    fn io(&self, signal: IoSignal);

    /// Sends `SIGURG`.
    fn urgent(&self);

    /// Whether it names anybody.
    fn is_somebody(&self) -> bool;

    /// For the kernel, which knows more of it.
    fn as_any(&self) -> &dyn Any;
}

#[derive(Default)]
struct State {
    receiver: Option<Arc<dyn Receiver>>,
    signo: i32,
}

/// The owner of an open file description.
#[derive(Default)]
pub struct Owner(Mutex<State>);

impl Owner {
    /// Who it is.
    #[must_use]
    pub fn receiver(&self) -> Option<Arc<dyn Receiver>> {
        self.0.lock().receiver.clone()
    }

    /// Changes who it is (`F_SETOWN`).
    pub fn set_receiver(&self, receiver: Option<Arc<dyn Receiver>>) {
        let old = std::mem::replace(&mut self.0.lock().receiver, receiver);
        drop(old);
    }

    /// Makes `receiver` the owner if there is none.
    pub fn set_default(&self, receiver: impl FnOnce() -> Arc<dyn Receiver>) {
        let mut state = self.0.lock();
        if !state.receiver.as_ref().is_some_and(|receiver| receiver.is_somebody()) {
            state.receiver = Some(receiver());
        }
    }

    /// The signal it gets (`F_GETSIG`).
    #[must_use]
    pub fn signo(&self) -> i32 {
        self.0.lock().signo
    }

    /// Changes the signal it gets (`F_SETSIG`).
    pub fn set_signo(&self, signo: i32) {
        self.0.lock().signo = signo;
    }

    /// Sends it `SIGURG`; answers whether it is there.
    pub fn tell_urgent(&self) -> bool {
        let receiver = self.receiver().filter(|receiver| receiver.is_somebody());
        receiver.inspect(|receiver| receiver.urgent()).is_some()
    }

    /// Tells it of `band` on descriptor `fd`.
    pub fn tell(&self, fd: i32, band: Band) {
        let state = self.0.lock();
        let (receiver, signo) = (state.receiver.clone(), state.signo);
        drop(state);
        if let Some(receiver) = receiver {
            receiver.io(IoSignal { signo, band, fd });
        }
    }
}

/// One description with `O_ASYNC`.
struct Entry {
    file: u64,
    fd: i32,
    flags: OpenFlags,
    owner: Arc<Owner>,
}

#[derive(Default)]
struct Inner {
    len: AtomicUsize,
    entries: Mutex<Vec<Entry>>,
}

/// The descriptions of one object whose owners are sent signals (`fasync`). Cloning gives another
/// handle on the same list. While it is empty, telling is one load.
#[derive(Clone, Default)]
pub struct AsyncList(Arc<Inner>);

impl AsyncList {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a description, known to its program as `fd`; one that is there gets the new number.
    pub(crate) fn add(&self, file: &File, fd: i32) {
        let owner = file.owner().clone();
        let mut entries = self.0.entries.lock();
        match entries.iter_mut().find(|entry| entry.file == file.id()) {
            Some(entry) => entry.fd = fd,
            None => entries.push(Entry { file: file.id(), fd, flags: file.flags(), owner }),
        }
        self.0.len.store(entries.len(), Ordering::SeqCst);
    }

    /// Removes a description.
    pub(crate) fn remove(&self, file: &File) {
        let mut entries = self.0.entries.lock();
        entries.retain(|entry| entry.file != file.id());
        self.0.len.store(entries.len(), Ordering::SeqCst);
    }

    /// Whether nobody is to be told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len.load(Ordering::SeqCst) == 0
    }

    /// Tells every owner.
    pub fn tell(&self, band: Band) {
        self.tell_where(band, |_| true);
    }

    /// Tells the owners of descriptions open for reading.
    pub fn tell_readers(&self, band: Band) {
        self.tell_where(band, OpenFlags::readable);
    }

    /// Tells the owners of descriptions open for writing.
    pub fn tell_writers(&self, band: Band) {
        self.tell_where(band, OpenFlags::writable);
    }

    /// Tells the owners that chose a signal of their own of urgent data. Others have had `SIGURG`
    /// ([`Owner::tell_urgent`]), which does not depend on `O_ASYNC`.
    pub fn tell_urgent(&self) {
        for (owner, fd) in self.chosen(|_| true) {
            if owner.signo() != 0 {
                owner.tell(fd, Band::Priority);
            }
        }
    }

    fn tell_where(&self, band: Band, chosen: impl Fn(OpenFlags) -> bool) {
        for (owner, fd) in self.chosen(chosen) {
            owner.tell(fd, band);
        }
    }

    fn chosen(&self, chosen: impl Fn(OpenFlags) -> bool) -> Vec<(Arc<Owner>, i32)> {
        if self.is_empty() {
            return Vec::new();
        }
        let entries = self.0.entries.lock();
        let chosen = entries.iter().filter(|entry| chosen(entry.flags));
        chosen.map(|entry| (entry.owner.clone(), entry.fd)).collect()
    }
}

impl std::fmt::Debug for AsyncList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AsyncList({})", self.0.len.load(Ordering::Relaxed))
    }
}
