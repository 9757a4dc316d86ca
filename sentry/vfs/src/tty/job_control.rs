//! The commands about who uses a terminal (`ioctl_tty(2)`): `TIOCSCTTY`, `TIOCNOTTY`, `TIOCGPGRP`,
//! `TIOCSPGRP`, `TIOCGSID`.

use crate::caller::Caller;
use crate::file::File;
use crate::tty::Terminal;
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::errno::{EIO, ENOTTY, EPERM};
use bevor_abi::ioctl::{TIOCGPGRP, TIOCGSID, TIOCNOTTY, TIOCSCTTY, TIOCSPGRP};
use bevor_abi::signal::{SIGTTIN, SIGTTOU};
use bevor_memory::UserAddr;
use std::sync::Arc;

/// Which end of a terminal a descriptor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The end programs run on.
    Terminal,
    /// The master of a pseudo-terminal, which speaks about the other end.
    Master,
}

/// Stops a reader in the background.
///
/// # Errors
/// `EIO` if it cannot be stopped; `ERESTARTSYS` once it was sent `SIGTTIN`.
pub fn check_read(tty: &dyn Terminal, caller: &dyn Caller) -> Result<(), Errno> {
    caller.terminal().check_background(tty.id(), SIGTTIN.number())
}

/// Stops a writer, or one who changes settings, in the background.
///
/// # Errors
/// `EIO` if its process group is orphaned; `ERESTARTSYS` once it was sent `SIGTTOU`.
pub fn check_change(tty: &dyn Terminal, caller: &dyn Caller) -> Result<(), Errno> {
    caller.terminal().check_background(tty.id(), SIGTTOU.number())
}

/// Serves a command about sessions and groups; `None` for other commands.
pub fn ioctl(
    tty: &Arc<dyn Terminal>,
    side: Side,
    file: &File,
    caller: &dyn Caller,
    cmd: u32,
    arg: u64,
) -> Option<Result<u64, Errno>> {
    let done = match cmd {
        TIOCSCTTY => take(tty, file, caller, arg == 1),
        TIOCNOTTY => give_up(&**tty, side, caller),
        TIOCGPGRP => foreground(&**tty, side, caller, UserAddr(arg)),
        TIOCSPGRP => set_foreground(&**tty, caller, UserAddr(arg)),
        TIOCGSID => session(&**tty, side, caller, UserAddr(arg)),
        _ => return None,
    };
    Some(done.map(|()| 0))
}

fn is_controlling(tty: &dyn Terminal, caller: &dyn Caller) -> bool {
    caller.terminal().controlling_tty().is_some_and(|own| own.id() == tty.id())
}

fn take(
    tty: &Arc<dyn Terminal>,
    file: &File,
    caller: &dyn Caller,
    steal: bool,
) -> Result<(), Errno> {
    let privileged = caller.cred().has_cap(CAP_SYS_ADMIN);
    if !file.flags().readable() && !privileged && !is_controlling(&**tty, caller) {
        return Err(EPERM.because("not open for reading"));
    }
    caller.terminal().take_terminal(tty, steal && privileged)
}

fn give_up(tty: &dyn Terminal, side: Side, caller: &dyn Caller) -> Result<(), Errno> {
    if side == Side::Master || !is_controlling(tty, caller) {
        return Err(ENOTTY.into());
    }
    caller.terminal().give_up_terminal();
    Ok(())
}

fn foreground(
    tty: &dyn Terminal,
    side: Side,
    caller: &dyn Caller,
    at: UserAddr,
) -> Result<(), Errno> {
    if side == Side::Terminal && !is_controlling(tty, caller) {
        return Err(ENOTTY.into());
    }
    caller.mm().write(at, &caller.terminal().foreground(tty.id()))
}

fn set_foreground(tty: &dyn Terminal, caller: &dyn Caller, at: UserAddr) -> Result<(), Errno> {
    check_change(tty, caller).map_err(|errno| if errno == EIO { ENOTTY.into() } else { errno })?;
    let pgid: i32 = caller.mm().read(at)?;
    caller.terminal().set_foreground(tty.id(), pgid)
}

fn session(tty: &dyn Terminal, side: Side, caller: &dyn Caller, at: UserAddr) -> Result<(), Errno> {
    if side == Side::Terminal && !is_controlling(tty, caller) {
        return Err(ENOTTY.into());
    }
    let sid = caller.terminal().session_of(tty.id()).ok_or(ENOTTY)?;
    caller.mm().write(at, &sid)
}
