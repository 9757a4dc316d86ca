//! A terminal of the host, used directly: the host has its line discipline, the sandbox its process
//! groups (`ioctl_tty(2)`).

use crate::caller::Caller;
use crate::file::{File, FileOps, OpenFlags};
use crate::host::calls;
use crate::host::inode::HostInode;
use crate::inode::{FileType, Inode};
use crate::tty::job_control::{self, Side};
use crate::tty::{self, Settings, Terminal};
use bevor_abi::Errno;
use bevor_abi::errno::{EIO, ENOTTY};
use bevor_abi::fcntl::O_ACCMODE;
use bevor_abi::ioctl::{
    FIONREAD, TCFLSH, TCGETS, TCGETS2, TCSBRK, TCSETS, TCSETS2, TCSETSF, TCSETSF2, TCSETSW,
    TCSETSW2, TCXONC, TIOCGDEV, TIOCGWINSZ, TIOCOUTQ, TIOCSWINSZ,
};
use bevor_abi::stat::{major, minor};
use bevor_abi::termios::{ICANON, TOSTOP, Termios, VMIN, VTIME};
use bevor_memory::UserAddr;
use parking_lot::Mutex;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of the kernel's `struct termios`.
const TERMIOS: usize = 36;
/// Bytes of `struct winsize`.
const WINSIZE: usize = 8;

/// What all descriptors of one terminal share.
struct Shared {
    /// The host's device number.
    rdev: u64,
    id: u64,
    /// The settings stop writers in the background, as far as is known here.
    stops_writers: AtomicBool,
    /// The descriptors, for `/dev/tty`.
    inodes: Mutex<Vec<Weak<HostInode>>>,
}

/// The terminals there are; one more per container that was started on one.
static TERMINALS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

impl Shared {
    /// What the descriptors of device `rdev` share.
    fn of(rdev: u64) -> Arc<Self> {
        let mut terminals = TERMINALS.lock();
        terminals.retain(|terminal| terminal.strong_count() > 0);
        let known = terminals.iter().filter_map(Weak::upgrade).find(|shared| shared.rdev == rdev);
        known.unwrap_or_else(|| {
            let shared = Arc::new(Self {
                rdev,
                id: tty::next_id(),
                stops_writers: AtomicBool::new(false),
                inodes: Mutex::default(),
            });
            terminals.push(Arc::downgrade(&shared));
            shared
        })
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostTty({}:{})", major(self.rdev), minor(self.rdev))
    }
}

impl Terminal for Shared {
    fn id(&self) -> u64 {
        self.id
    }

    fn rdev(&self) -> u64 {
        self.rdev
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        let inodes: Vec<_> = self.inodes.lock().iter().filter_map(Weak::upgrade).collect();
        let access = OpenFlags(flags.0 & O_ACCMODE);
        let mut opened = inodes.into_iter().map(|inode| inode.open(access, caller));
        opened.find(Result::is_ok).unwrap_or(Err(EIO.into()))
    }

    fn hang_up(&self) {
        // The terminal is the host's: it hangs up when the host says so.
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
        let tty = Self { fd: fd.clone(), shared: Shared::of(rdev) };
        let settings = tty.settings().ok()?;
        tty.shared.stops_writers.store(settings.local(TOSTOP), Ordering::Relaxed);
        Some(tty)
    }

    /// Makes `inode`, whose terminal this is, one that `/dev/tty` can open.
    pub(super) fn announce(&self, inode: &Arc<HostInode>) {
        let mut inodes = self.shared.inodes.lock();
        inodes.retain(|inode| inode.strong_count() > 0);
        inodes.push(Arc::downgrade(inode));
    }

    /// The terminal as a session has it.
    #[must_use]
    pub fn terminal(&self) -> Arc<dyn Terminal> {
        self.shared.clone()
    }

    /// The number by which it goes.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// The settings the host has for it.
    fn settings(&self) -> Result<Settings, Errno> {
        let bytes: [u8; TERMIOS] = calls::ioctl_get(self.fd.as_fd(), TCGETS)?;
        let termios = Termios::read_from_bytes(&bytes).map_err(|_| EIO)?;
        Ok(Settings::initial().with_termios(&termios))
    }

    /// Job control before a read.
    pub(super) fn check_read(&self, caller: &dyn Caller) -> Result<(), Errno> {
        job_control::check_read(&*self.shared, caller)
    }

    /// Job control before a write.
    pub(super) fn check_write(&self, caller: &dyn Caller) -> Result<(), Errno> {
        if self.shared.stops_writers.load(Ordering::Relaxed) {
            return job_control::check_change(&*self.shared, caller);
        }
        Ok(())
    }

    /// How long a read waits for its first byte, nanoseconds, if it does not wait for ever.
    pub(super) fn patience_ns(&self) -> Option<u64> {
        let settings = self.settings().ok()?;
        let limited = !settings.local(ICANON) && settings.control(VMIN) == 0;
        limited.then(|| u64::from(settings.control(VTIME)) * 100_000_000)
    }

    pub(super) fn ioctl(
        &self,
        file: &File,
        caller: &dyn Caller,
        cmd: u32,
        arg: u64,
    ) -> Result<u64, Errno> {
        let (fd, mm, at) = (self.fd.as_fd(), caller.mm(), UserAddr(arg));
        let check = || job_control::check_change(&*self.shared, caller);
        match cmd {
            TCGETS => mm.write_bytes(at, &calls::ioctl_get::<TERMIOS>(fd, cmd)?)?,
            TCGETS2 => mm.write(at, &self.settings()?.termios2())?,
            TCSETS | TCSETSW | TCSETSF => {
                let new: Termios = mm.read(at)?;
                check()?;
                self.set(cmd, &new)?;
            }
            TCSETS2 | TCSETSW2 | TCSETSF2 => {
                let new = self.settings()?.with_termios2(&mm.read(at)?).termios();
                check()?;
                let cmd = match cmd {
                    TCSETS2 => TCSETS,
                    TCSETSW2 => TCSETSW,
                    _ => TCSETSF,
                };
                self.set(cmd, &new)?;
            }
            TIOCGWINSZ => mm.write_bytes(at, &calls::ioctl_get::<WINSIZE>(fd, cmd)?)?,
            TIOCSWINSZ => {
                let mut size = [0; WINSIZE];
                mm.read_bytes(at, &mut size)?;
                calls::ioctl_set(fd, cmd, &size)?;
            }
            FIONREAD | TIOCOUTQ => mm.write_bytes(at, &calls::ioctl_get::<4>(fd, cmd)?)?,
            TIOCGDEV => mm.write(at, &bevor_abi::conv::low_u32(self.shared.rdev()))?,
            TCSBRK | TCXONC | TCFLSH => {
                check()?;
                calls::ioctl_number(fd, cmd, arg)?;
            }
            _ => {
                let tty = self.terminal();
                let done = job_control::ioctl(&tty, Side::Terminal, file, caller, cmd, arg);
                return done.unwrap_or_else(|| Err(ENOTTY.into()));
            }
        }
        Ok(0)
    }

    fn set(&self, cmd: u32, new: &Termios) -> Result<(), Errno> {
        self.shared.stops_writers.store(new.c_lflag & TOSTOP != 0, Ordering::Relaxed);
        let mut bytes = [0; TERMIOS];
        bytes.copy_from_slice(new.as_bytes());
        calls::ioctl_set(self.fd.as_fd(), cmd, &bytes)
    }
}
