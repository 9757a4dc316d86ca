//! A terminal of the host, used directly: the host has its line discipline, the sandbox its process
//! groups (`tty_ioctl(4)`).

use crate::caller::Caller;
use crate::host::calls;
use crate::inode::FileType;
use bevor_abi::Errno;
use bevor_abi::errno::{EINVAL, EIO, ENOTTY, EPERM};
use bevor_abi::ioctl::{
    FIONREAD, TCFLSH, TCGETS, TCSBRK, TCSETS, TCSETSF, TCSETSW, TCXONC, TIOCGPGRP, TIOCGSID,
    TIOCGWINSZ, TIOCNOTTY, TIOCOUTQ, TIOCSCTTY, TIOCSPGRP, TIOCSWINSZ,
};
use bevor_memory::UserAddr;
use parking_lot::Mutex;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Bytes of the kernel's `struct termios`.
const TERMIOS: usize = 36;
/// Bytes of `struct winsize`.
const WINSIZE: usize = 8;

/// Who uses the terminal inside the sandbox.
#[derive(Clone, Copy, Default)]
struct Holder {
    /// Its session, 0 while it controls none.
    sid: i32,
    /// The foreground process group.
    foreground: i32,
}

/// What all descriptors of one terminal share.
struct Shared {
    /// The host's device number.
    rdev: u64,
    id: u64,
    holder: Mutex<Holder>,
}

/// The terminals there are; one more per container that was started on one.
static TERMINALS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

impl Shared {
    /// What the descriptors of device `rdev` share.
    fn of(rdev: u64) -> Arc<Self> {
        // Terminals of the sandbox itself count from 1.
        static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
        let mut terminals = TERMINALS.lock();
        terminals.retain(|terminal| terminal.strong_count() > 0);
        let known = terminals.iter().filter_map(Weak::upgrade).find(|shared| shared.rdev == rdev);
        known.unwrap_or_else(|| {
            let id = NEXT.fetch_add(1, Ordering::Relaxed);
            let shared = Arc::new(Self { rdev, id, holder: Mutex::default() });
            terminals.push(Arc::downgrade(&shared));
            shared
        })
    }
}

/// A terminal of the host.
pub struct HostTty {
    fd: Arc<OwnedFd>,
    shared: Arc<Shared>,
}

impl HostTty {
    /// Recognises a terminal.
    pub(super) fn detect(fd: &Arc<OwnedFd>, kind: FileType, rdev: u64) -> Option<Self> {
        if kind != FileType::CharDevice {
            return None;
        }
        let _: [u8; TERMIOS] = calls::ioctl_get(fd.as_fd(), TCGETS).ok()?;
        Some(Self { fd: fd.clone(), shared: Shared::of(rdev) })
    }

    /// The number by which a session names its controlling terminal.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// The foreground process group, which the host's interrupts are meant for; 0 for none.
    #[must_use]
    pub fn foreground(&self) -> i32 {
        self.shared.holder.lock().foreground
    }

    /// Makes it the controlling terminal of session `sid`.
    pub fn control(&self, sid: i32) {
        *self.shared.holder.lock() = Holder { sid, foreground: sid };
    }

    pub(super) fn ioctl(&self, caller: &dyn Caller, cmd: u32, arg: u64) -> Result<u64, Errno> {
        let (fd, mm, at) = (self.fd.as_fd(), caller.mm(), UserAddr(arg));
        match cmd {
            TCGETS => mm.write_bytes(at, &calls::ioctl_get::<TERMIOS>(fd, cmd)?)?,
            TCSETS | TCSETSW | TCSETSF => {
                let mut termios = [0; TERMIOS];
                mm.read_bytes(at, &mut termios)?;
                calls::ioctl_set(fd, cmd, &termios)?;
            }
            TIOCGWINSZ => mm.write_bytes(at, &calls::ioctl_get::<WINSIZE>(fd, cmd)?)?,
            TIOCSWINSZ => {
                let mut size = [0; WINSIZE];
                mm.read_bytes(at, &mut size)?;
                calls::ioctl_set(fd, cmd, &size)?;
            }
            FIONREAD | TIOCOUTQ => mm.write_bytes(at, &calls::ioctl_get::<4>(fd, cmd)?)?,
            TCSBRK | TCXONC | TCFLSH => calls::ioctl_number(fd, cmd, arg)?,
            _ => return self.job_control(caller, cmd, at),
        }
        Ok(0)
    }

    fn job_control(&self, caller: &dyn Caller, cmd: u32, at: UserAddr) -> Result<u64, Errno> {
        let (mm, terminal) = (caller.mm(), caller.terminal());
        let controls = terminal.controlling_tty() == Some(self.id());
        match cmd {
            TIOCSCTTY => {
                let holder = *self.shared.holder.lock();
                if holder.sid == terminal.sid() && controls {
                    return Ok(0);
                }
                if !terminal.is_session_leader()
                    || terminal.controlling_tty().is_some()
                    || holder.sid != 0
                {
                    return Err(EPERM.into());
                }
                terminal.set_controlling_tty(self.id())?;
                self.control(terminal.sid());
            }
            TIOCNOTTY if controls => {
                if terminal.is_session_leader() {
                    *self.shared.holder.lock() = Holder::default();
                }
                terminal.drop_controlling_tty();
            }
            TIOCGPGRP if controls => mm.write(at, &self.foreground())?,
            TIOCGSID if controls => mm.write(at, &self.shared.holder.lock().sid)?,
            TIOCSPGRP if controls => {
                let pgid: i32 = mm.read(at)?;
                if pgid < 0 {
                    return Err(EINVAL.into());
                }
                if !terminal.group_in_session(pgid, terminal.sid()) {
                    return Err(EPERM.into());
                }
                self.shared.holder.lock().foreground = pgid;
            }
            TIOCNOTTY | TIOCGPGRP | TIOCGSID | TIOCSPGRP => return Err(ENOTTY.into()),
            _ => return Err(ENOTTY.into()),
        }
        Ok(0)
    }

    /// Sends a signal the host's terminal made to the foreground group.
    ///
    /// # Errors
    /// `EIO` if there is none.
    pub fn signal_foreground(&self, caller: &dyn Caller, signo: i32) -> Result<(), Errno> {
        match self.foreground() {
            0 => Err(EIO.into()),
            group => {
                caller.terminal().signal_group(group, signo);
                Ok(())
            }
        }
    }
}
