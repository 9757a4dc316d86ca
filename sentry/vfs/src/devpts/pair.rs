//! A pseudo-terminal: the line discipline between its two ends.

use crate::caller::Caller;
use crate::devpts::{DevPts, PTYS, SlaveFile};
use crate::fasync::{AsyncList, Band};
use crate::file::{FileOps, OpenFlags};
use crate::inode::{FileTime, FileType, NewAttr};
use crate::meta::Meta;
use crate::tty::{self, Line, Outlet, Sessions, Settings, Terminal};
use bevor_abi::Errno;
use bevor_abi::cap::CAP_SYS_ADMIN;
use bevor_abi::errno::{EBUSY, EIO};
use bevor_abi::fcntl::O_NOCTTY;
use bevor_abi::signal::{SIGWINCH, Signal};
use bevor_abi::stat::makedev;
use bevor_abi::termios::{
    EXTPROC, IXON, TIOCPKT_DOSTOP, TIOCPKT_FLUSHWRITE, TIOCPKT_IOCTL, TIOCPKT_NOSTOP, VSTART,
    VSTOP, Winsize,
};
use bevor_base::{Ready, WaitQueue};
use bevor_memory::Account;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Bytes one end has read from the other and keeps; what lies behind can still be flushed.
pub(super) const READ_AHEAD: usize = 4095;
/// Bytes under way in one direction before a writer waits.
const UNDER_WAY: usize = 16 << 10;
/// What the sentry's own memory for a pair is charged as, bytes.
const COST: u64 = 64 << 10;

/// What both ends share.
pub(super) struct State {
    pub(super) line: Line,
    /// Written to the master and not yet taken by the line.
    incoming: VecDeque<u8>,
    /// On its way to the master.
    outgoing: VecDeque<u8>,
    pub(super) window: Winsize,
    /// `TIOCPKT`: reads of the master begin with a byte of [`State::status`].
    pub(super) packet: bool,
    pub(super) status: u8,
    /// `TIOCSPTLCK`: the slave cannot be opened.
    pub(super) locked: bool,
    /// `TIOCEXCL`.
    pub(super) exclusive: bool,
    master_open: bool,
    /// How many descriptions of the slave there are, hung up ones included.
    slaves: u32,
    /// The slave was open and is not any more.
    slave_closed: bool,
    /// How often the slave was hung up: descriptions from before are dead.
    hangups: u64,
}

impl State {
    /// Room for what the slave sends.
    fn room(&self) -> usize {
        room(&self.outgoing)
    }

    /// The line and its way out.
    pub(super) fn line<'a>(&'a mut self, done: &'a mut Done) -> (&'a mut Line, Way<'a>) {
        let way = Way {
            settled: self.outgoing.len(),
            outgoing: &mut self.outgoing,
            status: &mut self.status,
            packet: self.packet,
            done,
        };
        (&mut self.line, way)
    }

    /// Lets the line take what the master wrote, as far as it can.
    pub(super) fn pump(&mut self, done: &mut Done) {
        if self.incoming.is_empty() {
            return;
        }
        let was_stopped = self.line.is_stopped();
        let mut incoming = std::mem::take(&mut self.incoming);
        let (line, mut way) = self.line(done);
        let taken = line.receive(incoming.make_contiguous(), &mut way);
        incoming.drain(..taken);
        self.incoming = incoming;
        if taken > 0 {
            done.to_master |= Ready::WRITABLE;
            if self.line.is_readable(false) {
                done.to_slave |= Ready::READABLE;
                done.slave_input = true;
            }
            if was_stopped && !self.line.is_stopped() {
                done.to_slave |= Ready::WRITABLE;
            }
        }
    }
}

fn room(bytes: &VecDeque<u8>) -> usize {
    (UNDER_WAY + READ_AHEAD).saturating_sub(bytes.len())
}

/// What must be told when the state is settled.
#[derive(Default)]
pub(super) struct Done {
    pub(super) to_master: Ready,
    pub(super) to_slave: Ready,
    /// Bytes came that a read would get: listeners are told only of those.
    pub(super) master_input: bool,
    pub(super) slave_input: bool,
    pub(super) signals: Vec<Signal>,
}

/// The way from the line to the master.
pub(super) struct Way<'a> {
    /// How many bytes were there before.
    settled: usize,
    outgoing: &'a mut VecDeque<u8>,
    status: &'a mut u8,
    packet: bool,
    done: &'a mut Done,
}

impl Outlet for Way<'_> {
    fn room(&self) -> usize {
        room(self.outgoing)
    }

    fn put(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.outgoing.extend(bytes);
            self.done.to_master |= Ready::READABLE;
            self.done.master_input = true;
        }
    }

    fn signal(&mut self, signal: Signal) {
        self.done.signals.push(signal);
    }

    fn flush(&mut self) {
        // The master has read ahead what comes first, as far as it has had a chance.
        self.outgoing.truncate(READ_AHEAD.min(self.settled));
        self.done.to_slave |= Ready::WRITABLE;
        self.note(TIOCPKT_FLUSHWRITE, 0);
    }

    fn note(&mut self, set: u8, cleared: u8) {
        if self.packet {
            *self.status = *self.status & !cleared | set;
            self.done.to_master |= Ready::READABLE | Ready::PRI;
        }
    }
}

/// A pseudo-terminal.
pub struct Pair {
    id: u64,
    number: u32,
    fs: Weak<DevPts>,
    sessions: Weak<dyn Sessions>,
    account: Arc<Account>,
    state: Mutex<State>,
    pub(super) master_queue: WaitQueue,
    pub(super) slave_queue: WaitQueue,
    pub(super) master_listeners: AsyncList,
    pub(super) slave_listeners: AsyncList,
    /// Owner, permissions and times of the slave's entry.
    pub(super) meta: Mutex<Meta>,
}

impl Pair {
    pub(super) fn new(
        number: u32,
        fs: &Arc<DevPts>,
        caller: &dyn Caller,
    ) -> Result<Arc<Self>, Errno> {
        let account = caller.mm().account().clone();
        account.charge(COST)?;
        let attr = NewAttr { mode: 0o600, uid: 0, gid: 0 };
        Ok(Arc::new(Self {
            id: tty::next_id(),
            number,
            fs: Arc::downgrade(fs),
            sessions: caller.terminal().sessions(),
            account,
            state: Mutex::new(State {
                line: Line::default(),
                incoming: VecDeque::new(),
                outgoing: VecDeque::new(),
                window: Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 },
                packet: false,
                status: 0,
                locked: true,
                exclusive: false,
                master_open: true,
                slaves: 0,
                slave_closed: false,
                hangups: 0,
            }),
            master_queue: WaitQueue::new(),
            slave_queue: WaitQueue::new(),
            master_listeners: AsyncList::new(),
            slave_listeners: AsyncList::new(),
            meta: Mutex::new(Meta::new(FileType::CharDevice, attr)),
        }))
    }

    /// The number in its name.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The slave's device number.
    #[must_use]
    pub const fn device(&self) -> u64 {
        makedev(tty::PTS_MAJOR, self.number)
    }

    /// Changes the state, then wakes and signals whoever must know.
    pub(super) fn act<R>(&self, change: impl FnOnce(&mut State, &mut Done) -> R) -> R {
        let mut done = Done::default();
        let mut state = self.state.lock();
        let result = change(&mut state, &mut done);
        drop(state);
        if done.to_master.any() {
            self.master_queue.wake(done.to_master);
        }
        if done.to_slave.any() {
            self.slave_queue.wake(done.to_slave);
        }
        if done.master_input {
            self.master_listeners.tell(Band::In);
        }
        if done.slave_input {
            self.slave_listeners.tell(Band::In);
        }
        if !done.signals.is_empty()
            && let Some(sessions) = self.sessions.upgrade()
        {
            for signal in done.signals {
                sessions.signal_foreground(self.id, signal.number());
            }
        }
        result
    }

    /// Looks at the state.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock())
    }

    /// Opens the slave.
    ///
    /// # Errors
    /// `EIO` while it is locked, and once the master is closed; `EBUSY` while it is exclusive.
    pub(super) fn open_slave(
        self: &Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<SlaveFile, Errno> {
        let privileged = caller.cred().has_cap(CAP_SYS_ADMIN);
        let hangups = self.act(|state, done| {
            if state.exclusive && !privileged {
                return Err(Errno::from(EBUSY));
            }
            if !state.master_open || state.locked {
                return Err(EIO.into());
            }
            state.slaves += 1;
            if std::mem::take(&mut state.slave_closed) {
                done.to_master |= Ready::WRITABLE;
            }
            Ok(state.hangups)
        })?;
        if flags.readable() && !flags.has(O_NOCTTY) {
            let tty: Arc<dyn Terminal> = self.clone();
            // Most openers lead no session, or have a terminal already: then nothing changes.
            let _ = caller.terminal().take_free_terminal(&tty);
        }
        Ok(SlaveFile::new(self.clone(), hangups))
    }

    /// A description of the slave is closed.
    pub(super) fn close_slave(&self) {
        self.act(|state, done| {
            state.slaves = state.slaves.saturating_sub(1);
            if state.slaves == 0 {
                state.slave_closed = true;
                done.to_master |= Ready::HUP | Ready::READABLE;
            }
        });
    }

    /// The master is closed: whoever uses the slave is hung up.
    pub(super) fn close_master(&self) {
        self.act(|state, _| {
            state.master_open = false;
            state.packet = false;
            state.outgoing.clear();
        });
        if let Some(fs) = self.fs.upgrade() {
            fs.remove_entry(self.number);
        }
        self.hang_up();
    }

    /// Whether a description of the slave from hang-up `hangups` is dead.
    pub(super) fn is_hung_up(&self, hangups: u64) -> bool {
        self.look(|state| state.hangups != hangups)
    }

    /// What a description of the slave can do.
    pub(super) fn poll_slave(&self, hangups: u64) -> Ready {
        self.look(|state| {
            if state.hangups != hangups {
                return Ready::READABLE | Ready::WRITABLE | Ready::ERR | Ready::HUP;
            }
            let writable = !state.line.is_stopped() && state.room() > 0;
            Ready::READABLE.when(state.line.is_readable(true)) | Ready::WRITABLE.when(writable)
        })
    }

    /// What the master can do.
    pub(super) fn poll_master(&self) -> Ready {
        self.look(|state| {
            let told = state.packet && state.status != 0;
            Ready::READABLE.when(told || !state.outgoing.is_empty())
                | Ready::PRI.when(told)
                | Ready::WRITABLE.when(room(&state.incoming) > 0)
                | Ready::HUP.when(state.slave_closed)
        })
    }

    /// Room for what the master writes.
    pub(super) fn master_room(&self) -> usize {
        self.look(|state| room(&state.incoming))
    }

    /// The master writes.
    pub(super) fn master_wrote(&self, bytes: &[u8]) {
        self.act(|state, done| {
            state.incoming.extend(bytes);
            state.pump(done);
        });
    }

    /// Takes up to `max` bytes for the master.
    pub(super) fn take_for_master(&self, max: usize) -> Result<Vec<u8>, Option<Errno>> {
        self.act(|state, done| {
            if state.packet && state.status != 0 {
                return Ok(vec![std::mem::take(&mut state.status)]);
            }
            if state.outgoing.is_empty() {
                return Err(state.slave_closed.then(|| EIO.into()));
            }
            let mark = usize::from(state.packet);
            let count = max.saturating_sub(mark).min(READ_AHEAD).min(state.outgoing.len());
            let mut bytes = vec![0; mark];
            bytes.extend(state.outgoing.drain(..count));
            let (line, mut way) = state.line(done);
            line.flush_echo(&mut way);
            done.to_slave |= Ready::WRITABLE;
            Ok(bytes)
        })
    }

    /// Bytes that wait for the master (`FIONREAD`).
    pub(super) fn queued_for_master(&self) -> usize {
        self.look(|state| state.outgoing.len().min(READ_AHEAD))
    }

    /// Drops what waits for the master (`TCIFLUSH` on it).
    pub(super) fn flush_to_master(&self) {
        self.act(|state, done| {
            state.outgoing.clear();
            done.to_slave |= Ready::WRITABLE;
        });
    }

    /// Drops what the master wrote and the line has not taken.
    pub(super) fn flush_from_master(&self) {
        self.act(|state, done| {
            state.incoming.clear();
            done.to_master |= Ready::WRITABLE;
        });
    }

    /// Makes a byte look as if the slave had sent it, or as if it came from the terminal
    /// (`TIOCSTI`). It is lost where there is no room.
    pub(super) fn inject(&self, byte: u8, into_master: bool) {
        self.act(|state, done| {
            if into_master {
                if state.room() > 0 {
                    state.outgoing.push_back(byte);
                    done.to_master |= Ready::READABLE;
                    done.master_input = true;
                }
            } else if room(&state.incoming) > 0 {
                state.incoming.push_back(byte);
                state.pump(done);
            }
        });
    }

    /// Changes the settings; with `flush`, drops what has come in first.
    pub(super) fn configure(&self, flush: bool, change: impl FnOnce(&Settings) -> Settings) {
        self.act(|state, done| {
            let (line, mut way) = state.line(done);
            if flush {
                line.flush_input(&mut way);
            }
            let old = *line.settings();
            let new = change(&old).for_pty();
            line.configure(new, &mut way);
            let (before, after) = (controls_flow(&old), controls_flow(line.settings()));
            if before != after {
                let (set, cleared) = if after {
                    (TIOCPKT_DOSTOP, TIOCPKT_NOSTOP)
                } else {
                    (TIOCPKT_NOSTOP, TIOCPKT_DOSTOP)
                };
                way.note(set, cleared);
            }
            if old.local(EXTPROC) || new.local(EXTPROC) {
                way.note(TIOCPKT_IOCTL, 0);
            }
            state.pump(done);
            // Reads and writes that wait may go on under the new settings.
            done.to_slave |= Ready::READABLE | Ready::WRITABLE;
        });
    }

    /// Changes the window's size; the foreground hears of it.
    pub(super) fn resize(&self, window: Winsize) {
        self.act(|state, done| {
            if state.window != window {
                state.window = window;
                done.signals.push(SIGWINCH);
            }
        });
    }

    /// Signals the foreground process group of the slave (`TIOCSIG`).
    pub(super) fn signal(&self, signal: Signal) {
        self.act(|_, done| done.signals.push(signal));
    }

    /// Moves the times of the entry after a transfer, to whole seconds that `w(1)` can show.
    pub(super) fn touch(&self, written: bool) {
        let now = FileTime::now();
        let mut meta = self.meta.lock();
        let time = if written { &mut meta.mtime } else { &mut meta.atime };
        // As Linux, not finer than eight seconds: keystrokes shall not be timed.
        if now.sec & !7 > time.sec {
            *time = now;
        }
    }
}

/// Whether the master may stop and start output itself: `^S` and `^Q` mean what they usually do.
fn controls_flow(settings: &Settings) -> bool {
    settings.input(IXON) && settings.control(VSTOP) == 0x13 && settings.control(VSTART) == 0x11
}

impl Terminal for Pair {
    fn id(&self) -> u64 {
        self.id
    }

    fn rdev(&self) -> u64 {
        self.device()
    }

    fn open(
        self: Arc<Self>,
        flags: OpenFlags,
        caller: &dyn Caller,
    ) -> Result<Box<dyn FileOps>, Errno> {
        Ok(Box::new(self.open_slave(flags, caller)?))
    }

    fn hang_up(&self) {
        self.act(|state, done| {
            state.hangups += 1;
            // As on Linux, the master hears of it only once one description is left.
            if state.slaves == 1 {
                state.slave_closed = true;
                done.to_master |= Ready::HUP | Ready::READABLE;
            }
            state.status = 0;
            state.incoming.clear();
            state.line.reset();
            done.to_master |= Ready::WRITABLE;
            done.to_slave |= Ready::ALL;
        });
        if let Some(sessions) = self.sessions.upgrade() {
            sessions.hung_up(self.id);
        }
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair({})", self.number)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        PTYS.fetch_sub(1, Ordering::Relaxed);
        self.account.uncharge(COST);
        if let Some(fs) = self.fs.upgrade() {
            fs.forget(self.number);
        }
    }
}
