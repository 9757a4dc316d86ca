//! Who writes to a file and who runs it: never both (`ETXTBSY`).

use crate::inode::InodeRef;
use bevor_abi::Errno;
use bevor_abi::errno::ETXTBSY;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Device and inode number.
type Key = (u64, u64);

/// Above 0: open for writing so often; below 0: run so often.
static COUNTS: LazyLock<Mutex<HashMap<Key, i64>>> = LazyLock::new(Mutex::default);

/// What a description is counted as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// It may write.
    Write,
    /// A program is run from it.
    Run,
}

impl Use {
    const fn step(self) -> i64 {
        match self {
            Self::Write => 1,
            Self::Run => -1,
        }
    }
}

fn key_of(inode: &InodeRef) -> Key {
    (inode.dev(), inode.ino())
}

/// Counts a use of `inode`.
///
/// # Errors
/// `ETXTBSY` while it is used the other way.
pub(crate) fn begin(inode: &InodeRef, kind: Use) -> Result<(), Errno> {
    let mut counts = COUNTS.lock();
    let count = counts.entry(key_of(inode)).or_default();
    if *count * kind.step() < 0 {
        return Err(ETXTBSY.because(match kind {
            Use::Write => "a program is run from it",
            Use::Run => "open for writing",
        }));
    }
    *count += kind.step();
    Ok(())
}

/// Ends a use that was counted.
pub(crate) fn end(inode: &InodeRef, kind: Use) {
    let mut counts = COUNTS.lock();
    let key = key_of(inode);
    if let Some(count) = counts.get_mut(&key) {
        *count -= kind.step();
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// Whether somebody has `inode` open for writing.
pub(crate) fn is_written(inode: &InodeRef) -> bool {
    COUNTS.lock().get(&key_of(inode)).is_some_and(|&count| count > 0)
}

/// Checks that no program is run from `inode`, before it is truncated by name.
///
/// # Errors
/// `ETXTBSY`.
pub(crate) fn check_idle(inode: &InodeRef) -> Result<(), Errno> {
    match COUNTS.lock().get(&key_of(inode)) {
        Some(..0) => Err(ETXTBSY.because("a program is run from it")),
        _ => Ok(()),
    }
}
