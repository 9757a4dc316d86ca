//! `ioctl(2)` of pseudo-terminals (`ioctl_tty(2)`, `ioctl_console(2)` has none of them).

use crate::caller::Caller;
use crate::devpts::{MasterFile, Pair, PtsInode, SlaveFile};
use crate::file::{File, OpenFlags};
use crate::mount::Path;
use crate::tty::job_control::{self, Side};
use crate::tty::{Outlet, Settings, Terminal};
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::conv::{as_i32, low_u32, saturating_u32, u64_of};
use bevor_abi::errno::{EINVAL, EIO, ENOTTY, EPERM};
use bevor_abi::fcntl::O_CLOEXEC;
use bevor_abi::ioctl::{
    FIONREAD, TCFLSH, TCGETA, TCGETS, TCGETS2, TCSBRK, TCSBRKP, TCSETA, TCSETAF, TCSETAW, TCSETS,
    TCSETS2, TCSETSF, TCSETSF2, TCSETSW, TCSETSW2, TCXONC, TIOCCBRK, TIOCEXCL, TIOCGDEV, TIOCGETD,
    TIOCGEXCL, TIOCGLCKTRMIOS, TIOCGPKT, TIOCGPTLCK, TIOCGPTN, TIOCGPTPEER, TIOCGSOFTCAR,
    TIOCGWINSZ, TIOCNXCL, TIOCOUTQ, TIOCPKT, TIOCSBRK, TIOCSETD, TIOCSIG, TIOCSLCKTRMIOS,
    TIOCSPGRP, TIOCSPTLCK, TIOCSSOFTCAR, TIOCSTI, TIOCSWINSZ, TIOCVHANGUP,
};
use bevor_abi::signal::{SIGINT, SIGQUIT, SIGTSTP, Signal};
use bevor_abi::termios::{
    CLOCAL, N_TTY, TCIFLUSH, TCIOFF, TCIOFLUSH, TCION, TCOFLUSH, TCOOFF, TCOON, Termio, Termios,
    Termios2, VSTART, VSTOP,
};
use bevor_memory::UserAddr;
use std::any::Any;
use std::sync::Arc;

/// A command on its way through the handlers that may know it.
struct Call<'a> {
    pair: &'a Arc<Pair>,
    side: Side,
    file: &'a File,
    caller: &'a dyn Caller,
    cmd: u32,
    arg: u64,
}

/// Serves a command on the master.
pub(super) fn master(
    master: &MasterFile,
    file: &File,
    caller: &dyn Caller,
    cmd: u32,
    arg: u64,
) -> Result<u64, Errno> {
    let call = Call { pair: &master.pair, side: Side::Master, file, caller, cmd, arg };
    let (pair, mm, at) = (&master.pair, caller.mm(), UserAddr(arg));
    match cmd {
        TIOCGPTN => mm.write(at, &pair.number())?,
        TIOCSPTLCK => {
            let locked = mm.read::<i32>(at)? != 0;
            pair.act(|state, _| state.locked = locked);
        }
        TIOCGPTLCK => mm.write(at, &i32::from(pair.look(|state| state.locked)))?,
        TIOCPKT => {
            let packet = mm.read::<i32>(at)? != 0;
            pair.act(|state, _| {
                if packet && !state.packet {
                    state.status = 0;
                }
                state.packet = packet;
            });
        }
        TIOCGPKT => mm.write(at, &i32::from(pair.look(|state| state.packet)))?,
        TIOCSIG => {
            let signal = Signal::new(as_i32(arg)).ok_or(EINVAL)?;
            if ![SIGINT, SIGQUIT, SIGTSTP].contains(&signal) {
                return Err(EINVAL.into());
            }
            pair.signal(signal);
        }
        TIOCGPTPEER => return open_peer(master, file, caller, low_u32(arg)),
        FIONREAD => {
            let count = saturating_u32(u64_of(pair.queued_for_master()));
            mm.write(at, &count)?;
        }
        TCFLSH => match low_u32(arg) {
            TCIFLUSH => pair.flush_to_master(),
            TCOFLUSH => pair.flush_from_master(),
            TCIOFLUSH => {
                pair.flush_to_master();
                pair.flush_from_master();
            }
            _ => return Err(EINVAL.into()),
        },
        TCXONC => return Err(EINVAL.because("the master's own output cannot be held")),
        _ => return call.common(),
    }
    Ok(0)
}

/// Serves a command on the slave.
pub(super) fn slave(
    slave: &SlaveFile,
    file: &File,
    caller: &dyn Caller,
    cmd: u32,
    arg: u64,
) -> Result<u64, Errno> {
    if slave.is_hung_up() {
        return Err(if cmd == TIOCSPGRP { ENOTTY } else { EIO }.into());
    }
    let pair = &slave.pair;
    let call = Call { pair, side: Side::Terminal, file, caller, cmd, arg };
    match cmd {
        FIONREAD => {
            let count = pair.look(|state| state.line.readable_bytes());
            caller.mm().write(UserAddr(arg), &saturating_u32(u64_of(count)))?;
        }
        TCFLSH => {
            job_control::check_change(&**pair, caller)?;
            flush(pair, low_u32(arg))?;
        }
        TCXONC => {
            job_control::check_change(&**pair, caller)?;
            flow(pair, low_u32(arg))?;
        }
        _ => return call.common(),
    }
    Ok(0)
}

/// `TIOCGPTPEER`: opens the slave without a look at its name and permissions.
fn open_peer(
    master: &MasterFile,
    file: &File,
    caller: &dyn Caller,
    flags: u32,
) -> Result<u64, Errno> {
    let mount = master.mount.as_ref().unwrap_or(&file.path().mount);
    let superblock = mount.superblock();
    let name = master.pair.number().to_string();
    let dentry = superblock.root().lookup(name.as_bytes(), superblock.cache())?;
    let inode = dentry.inode().clone() as Arc<dyn Any + Send + Sync>;
    if !inode.is::<PtsInode>() {
        return Err(EIO.into());
    }
    let flags = OpenFlags(flags);
    let ops = master.pair.open_slave(flags, caller)?;
    let path = Path { mount: mount.clone(), dentry };
    let peer = File::new(Box::new(ops), path, flags);
    let fd = caller.install(peer, flags.has(O_CLOEXEC))?;
    Ok(u64::from(fd.cast_unsigned()))
}

/// `TCFLSH` on the slave.
fn flush(pair: &Pair, what: u32) -> Result<(), Errno> {
    if ![TCIFLUSH, TCOFLUSH, TCIOFLUSH].contains(&what) {
        return Err(EINVAL.into());
    }
    if what != TCOFLUSH {
        pair.flush_from_master();
    }
    pair.act(|state, done| {
        let (line, mut way) = state.line(done);
        if what != TCOFLUSH {
            line.flush_input(&mut way);
        }
        if what != TCIFLUSH {
            line.flush_output(&mut way);
        }
    });
    Ok(())
}

/// `TCXONC` on the slave.
fn flow(pair: &Pair, action: u32) -> Result<(), Errno> {
    pair.act(|state, done| {
        let (line, mut way) = state.line(done);
        match action {
            TCOOFF => line.stop_by_call(&mut way),
            TCOON => line.start_by_call(&mut way),
            TCIOFF | TCION => {
                let index = if action == TCIOFF { VSTOP } else { VSTART };
                let byte = line.settings().control(index);
                if byte != 0 && way.room() > 0 {
                    way.put(&[byte]);
                }
            }
            _ => return Err(EINVAL.into()),
        }
        done.to_slave |= bevor_base::Ready::WRITABLE;
        Ok(())
    })
}

impl Call<'_> {
    /// Job control and the caller's rights over the terminal the command is about.
    fn check_change(&self) -> Result<(), Errno> {
        job_control::check_change(&**self.pair, self.caller)
    }

    /// What both ends serve alike.
    fn common(&self) -> Result<u64, Errno> {
        let tty: Arc<dyn Terminal> = self.pair.clone();
        let jobs = job_control::ioctl(&tty, self.side, self.file, self.caller, self.cmd, self.arg);
        if let Some(result) = jobs {
            return result;
        }
        if let Some(result) = self.settings() {
            return result.map(|()| 0);
        }
        self.others().map(|()| 0)
    }

    /// The commands about settings, always those of the slave.
    fn settings(&self) -> Option<Result<(), Errno>> {
        let (mm, at) = (self.caller.mm(), UserAddr(self.arg));
        let current = || self.pair.look(|state| *state.line.settings());
        let done = match self.cmd {
            TCGETS => mm.write(at, &current().termios()),
            TCGETS2 => mm.write(at, &current().termios2()),
            TCGETA => mm.write(at, &current().termio()),
            TCSETS | TCSETSW | TCSETSF => self.set(self.cmd == TCSETSF, || {
                let new: Termios = mm.read(at)?;
                Ok(move |old: &Settings| old.with_termios(&new))
            }),
            TCSETS2 | TCSETSW2 | TCSETSF2 => self.set(self.cmd == TCSETSF2, || {
                let new: Termios2 = mm.read(at)?;
                Ok(move |old: &Settings| old.with_termios2(&new))
            }),
            TCSETA | TCSETAW | TCSETAF => self.set(self.cmd == TCSETAF, || {
                let new: Termio = mm.read(at)?;
                Ok(move |old: &Settings| old.with_termio(&new))
            }),
            TIOCGLCKTRMIOS => mm.write(at, &self.pair.look(|state| state.line.locked().termios())),
            TIOCSLCKTRMIOS => self.lock(at),
            TIOCGSOFTCAR => mm.write(at, &i32::from(current().cflag & CLOCAL != 0)),
            TIOCSSOFTCAR => self.set(false, || {
                let local = mm.read::<i32>(at)? != 0;
                Ok(move |old: &Settings| Settings {
                    cflag: old.cflag & !CLOCAL | if local { CLOCAL } else { 0 },
                    ..*old
                })
            }),
            _ => return None,
        };
        Some(done)
    }

    /// Changes the settings; output has always gone out already.
    fn set<C: FnOnce(&Settings) -> Settings>(
        &self,
        flush: bool,
        read: impl FnOnce() -> Result<C, Errno>,
    ) -> Result<(), Errno> {
        self.check_change()?;
        self.pair.configure(flush, read()?);
        Ok(())
    }

    fn lock(&self, at: UserAddr) -> Result<(), Errno> {
        if !self.caller.cred().has_cap(CAP_SYS_ADMIN) {
            return Err(EPERM.into());
        }
        let locked: Termios = self.caller.mm().read(at)?;
        let locked = Settings::none().with_termios(&locked);
        self.pair.act(|state, _| state.line.lock(locked));
        Ok(())
    }

    fn others(&self) -> Result<(), Errno> {
        let (pair, mm, at) = (self.pair, self.caller.mm(), UserAddr(self.arg));
        let privileged = || self.caller.cred().has_cap(CAP_SYS_ADMIN);
        // The master is a terminal of its own, which controls nobody.
        let check = || match self.side {
            Side::Terminal => self.check_change(),
            Side::Master => Ok(()),
        };
        match self.cmd {
            TIOCGWINSZ => mm.write(at, &pair.look(|state| state.window))?,
            TIOCSWINSZ => pair.resize(mm.read(at)?),
            TIOCEXCL | TIOCNXCL => {
                let exclusive = self.cmd == TIOCEXCL;
                if self.side == Side::Terminal {
                    pair.act(|state, _| state.exclusive = exclusive);
                }
            }
            TIOCGEXCL => {
                let exclusive = self.side == Side::Terminal && pair.look(|state| state.exclusive);
                mm.write(at, &i32::from(exclusive))?;
            }
            TIOCOUTQ => mm.write(at, &0_i32)?,
            TIOCGDEV => mm.write(at, &low_u32(pair.device()))?,
            TIOCGETD => mm.write(at, &N_TTY)?,
            TIOCSETD => {
                let discipline: u32 = mm.read(at)?;
                check()?;
                if discipline != N_TTY {
                    return Err(EINVAL.because("no other line discipline"));
                }
            }
            // Output has gone out, and a pseudo-terminal has no line to break.
            TCSBRK | TCSBRKP | TIOCSBRK | TIOCCBRK => check()?,
            TIOCSTI => {
                let controls = self.side == Side::Terminal
                    && self
                        .caller
                        .terminal()
                        .controlling_tty()
                        .is_some_and(|own| own.id() == pair.id());
                if !controls && !privileged() {
                    return Err(EPERM.because("not the controlling terminal"));
                }
                pair.inject(mm.read(at)?, self.side == Side::Master);
            }
            TIOCVHANGUP => {
                if !privileged() {
                    return Err(EPERM.into());
                }
                pair.hang_up();
            }
            _ => return Err(ENOTTY.into()),
        }
        Ok(())
    }
}
