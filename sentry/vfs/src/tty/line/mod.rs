//! The line discipline `N_TTY` (`termios(3)`): editing, echo, signals, flow control, output
//! processing.
//!
//! A [`Line`] is plain data between two streams. What the terminal sends comes in through
//! [`Line::receive`] and is read by programs with [`Line::read`]; what programs write goes through
//! [`Line::write`] to an [`Outlet`], which is the way back to the terminal. Nothing here waits or
//! locks: `input` takes bytes apart, `echo` shows them, `output` forms what goes out, `queue` keeps
//! what can be read.

mod echo;
mod input;
mod output;
mod queue;

#[cfg(test)]
mod tests;

use crate::tty::settings::Settings;
use bevor_abi::signal::Signal;
use bevor_abi::termios::{
    ECHO, EXTPROC, ICANON, ICRNL, IEXTEN, IGNCR, INLCR, ISIG, ISTRIP, IUCLC, IXON, PARMRK,
    TIOCPKT_FLUSHREAD, TIOCPKT_START, TIOCPKT_STOP, VEOF, VEOL, VEOL2, VERASE, VINTR, VKILL,
    VLNEXT, VMIN, VQUIT, VREPRINT, VSTART, VSTOP, VSUSP, VTIME, VWERASE,
};
use queue::Queue;
use std::collections::VecDeque;

/// The way from a line to its terminal, and to those who must hear of what came in.
pub trait Outlet {
    /// Bytes that can be put now.
    fn room(&self) -> usize;

    /// Sends bytes to the terminal; no more than [`Outlet::room`].
    fn put(&mut self, bytes: &[u8]);

    /// Sends a signal to the foreground process group.
    fn signal(&mut self, signal: Signal);

    /// Forgets what was put and has not been seen.
    fn flush(&mut self);

    /// Notes `TIOCPKT_*` bits for a terminal that asked for them, in place of `cleared`.
    fn note(&mut self, set: u8, cleared: u8);
}

/// The line discipline of one terminal.
pub struct Line {
    settings: Settings,
    /// Where it is not 0 the settings do not change.
    locked: Settings,
    /// Bytes that mean something at present, a bit each.
    special: [u64; 4],
    /// No byte means anything: input goes straight to the queue.
    raw: bool,
    queue: Queue,
    /// The next byte is literal (`VLNEXT`).
    lnext: bool,
    /// Between the `\` and the `/` of erased characters (`ECHOPRT`).
    erasing: bool,
    column: u32,
    /// The column at which the line being edited begins.
    canon_column: u32,
    /// Output is held (`VSTOP`, `TCOOFF`).
    stopped: bool,
    /// It is held by `TCOOFF`, which only `TCOON` ends.
    stopped_by_call: bool,
    /// Echo for which there was no room.
    echo: VecDeque<u8>,
}

impl Default for Line {
    fn default() -> Self {
        Self::new(Settings::initial())
    }
}

impl Line {
    /// A line without input.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut line = Self {
            settings,
            locked: Settings::none(),
            special: [0; 4],
            raw: false,
            queue: Queue::default(),
            lnext: false,
            erasing: false,
            column: 0,
            canon_column: 0,
            stopped: false,
            stopped_by_call: false,
            echo: VecDeque::new(),
        };
        line.find_special();
        line
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What of the settings is locked (`TIOCGLCKTRMIOS`).
    #[must_use]
    pub const fn locked(&self) -> &Settings {
        &self.locked
    }

    /// Locks settings (`TIOCSLCKTRMIOS`).
    pub fn lock(&mut self, locked: Settings) {
        self.locked = locked;
    }

    /// Whether reads return whole lines.
    #[must_use]
    pub const fn is_canonical(&self) -> bool {
        self.settings.local(ICANON) && !self.settings.local(EXTPROC)
    }

    /// `VMIN`.
    #[must_use]
    pub fn min(&self) -> usize {
        usize::from(self.settings.control(VMIN))
    }

    /// `VTIME`, in nanoseconds.
    #[must_use]
    pub fn time_ns(&self) -> u64 {
        u64::from(self.settings.control(VTIME)) * 100_000_000
    }

    /// Changes the settings (`TCSETS`).
    pub fn configure(&mut self, new: Settings, out: &mut dyn Outlet) {
        let new = new.with_locked(&self.settings, &self.locked);
        let old = std::mem::replace(&mut self.settings, new);
        if (old.lflag ^ new.lflag) & (ICANON | EXTPROC) != 0 {
            self.queue.reform(new.local(ICANON));
            self.erasing = false;
            self.lnext = false;
        }
        self.find_special();
        // What VSTOP stopped would never go on.
        if old.input(IXON) && !new.input(IXON) && !self.stopped_by_call {
            self.start(out);
        }
        self.flush_echo(out);
    }

    /// Goes back to the settings and the state of a new terminal, as after a hang-up.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn find_special(&mut self) {
        let settings = self.settings;
        let input = ISTRIP | IUCLC | IGNCR | ICRNL | INLCR | IXON | PARMRK;
        let local = ICANON | ISIG | ECHO;
        self.special = [0; 4];
        self.raw = settings.iflag & input == 0 && settings.lflag & local == 0;
        if self.raw {
            return;
        }
        if settings.iflag & (IGNCR | ICRNL) != 0 {
            self.mark_special(b'\r');
        }
        if settings.input(INLCR) {
            self.mark_special(b'\n');
        }
        let mut controls: Vec<usize> = Vec::new();
        if settings.local(ICANON) {
            self.mark_special(b'\n');
            controls.extend([VERASE, VKILL, VEOF, VEOL]);
            if settings.local(IEXTEN) {
                controls.extend([VWERASE, VLNEXT, VEOL2]);
                if settings.local(ECHO) {
                    controls.push(VREPRINT);
                }
            }
        }
        if settings.input(IXON) {
            controls.extend([VSTART, VSTOP]);
        }
        if settings.local(ISIG) {
            controls.extend([VINTR, VQUIT, VSUSP]);
        }
        for index in controls {
            self.mark_special(settings.control(index));
        }
        // A character set to 0 is disabled.
        self.special[0] &= !1;
    }

    fn mark_special(&mut self, byte: u8) {
        let (word, bit) = (usize::from(byte / 64), u32::from(byte % 64));
        if let Some(word) = self.special.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    fn is_special(&self, byte: u8) -> bool {
        let word = self.special.get(usize::from(byte / 64)).copied().unwrap_or(0);
        word & (1 << u32::from(byte % 64)) != 0
    }

    /// Whether a program may read: with `polling`, whether enough for `VMIN` is there.
    #[must_use]
    pub fn is_readable(&self, polling: bool) -> bool {
        if self.is_canonical() {
            return self.queue.has_line();
        }
        let wanted = if polling && self.time_ns() == 0 { self.min().max(1) } else { 1 };
        self.queue.len() >= wanted
    }

    /// Reads up to `max` bytes: of one line in canonical mode, else of what there is.
    pub fn read(&mut self, max: usize) -> Vec<u8> {
        if self.is_canonical() {
            return self.queue.take_line(max);
        }
        let bytes = self.queue.take(max);
        let is_eof = matches!(*bytes, [byte] if self.settings.is(byte, VEOF));
        if self.settings.local(EXTPROC | ICANON) && is_eof && self.queue.len() == 0 {
            return Vec::new();
        }
        bytes
    }

    /// Bytes a read could get (`FIONREAD`).
    #[must_use]
    pub fn readable_bytes(&self) -> usize {
        if self.is_canonical() { self.queue.line_bytes() } else { self.queue.len() }
    }

    /// Drops what has come in (`TCIFLUSH`).
    pub fn flush_input(&mut self, out: &mut dyn Outlet) {
        self.queue.clear();
        self.erasing = false;
        out.note(TIOCPKT_FLUSHREAD, 0);
    }

    /// Drops what has been written and not gone out (`TCOFLUSH`).
    pub fn flush_output(&mut self, out: &mut dyn Outlet) {
        out.flush();
    }

    /// Whether output is held.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Holds output (`TCOOFF`).
    pub fn stop_by_call(&mut self, out: &mut dyn Outlet) {
        if !self.stopped_by_call {
            self.stopped_by_call = true;
            self.stop(out);
        }
    }

    /// Lets output go on (`TCOON`).
    pub fn start_by_call(&mut self, out: &mut dyn Outlet) {
        if self.stopped_by_call {
            self.stopped_by_call = false;
            self.start(out);
            self.flush_echo(out);
        }
    }

    fn stop(&mut self, out: &mut dyn Outlet) {
        if !self.stopped {
            self.stopped = true;
            out.note(TIOCPKT_STOP, TIOCPKT_START);
        }
    }

    fn start(&mut self, out: &mut dyn Outlet) {
        if self.stopped && !self.stopped_by_call {
            self.stopped = false;
            out.note(TIOCPKT_START, TIOCPKT_STOP);
        }
    }
}
