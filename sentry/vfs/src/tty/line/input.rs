//! What comes from the terminal: signals, flow control, conversion, line editing.

use crate::tty::line::echo::{is_alphanumeric, is_control, lower};
use crate::tty::line::queue::CAPACITY;
use crate::tty::line::{Line, Outlet};
use bevor_abi::signal::{SIGINT, SIGQUIT, SIGTSTP, Signal};
use bevor_abi::termios::{
    ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHONL, ECHOPRT, EXTPROC, ICANON, ICRNL, IEXTEN, IGNCR,
    INLCR, ISIG, ISTRIP, IUCLC, IUTF8, IXANY, IXON, NOFLSH, PARMRK, VEOF, VEOL, VEOL2, VERASE,
    VINTR, VKILL, VLNEXT, VQUIT, VREPRINT, VSTART, VSTOP, VSUSP, VWERASE,
};

/// What an editing character erases.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Erase {
    Character,
    Word,
    Line,
}

impl Line {
    /// Takes what the terminal sent, as far as there is room; returns how much. A line that grows
    /// too long while it is edited loses what does not fit, so that it can still be erased.
    pub fn receive(&mut self, bytes: &[u8], out: &mut dyn Outlet) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let mut free = CAPACITY.saturating_sub(self.queue.len());
            if self.settings.input(PARMRK) {
                // A byte may need three places.
                free = free.div_ceil(3);
            }
            if free <= 1 {
                if !self.settings.local(ICANON) || self.queue.has_line() {
                    break;
                }
                if free == 0 {
                    self.queue.drop_last(1);
                }
            }
            let count = rest.len().min(free.saturating_sub(1).max(1));
            for &byte in rest.iter().take(count) {
                self.receive_byte(byte, out);
            }
            taken += count;
        }
        self.flush_echo(out);
        taken
    }

    fn receive_byte(&mut self, byte: u8, out: &mut dyn Outlet) {
        if self.raw {
            return self.queue.push(byte);
        }
        let literal = std::mem::take(&mut self.lnext);
        let mut byte = byte;
        if self.settings.input(ISTRIP) {
            byte &= 0x7f;
        }
        if self.settings.input(IUCLC) && self.settings.local(IEXTEN) {
            byte = lower(byte);
        }
        if self.settings.local(EXTPROC) {
            return self.queue.push(byte);
        }
        if literal || !self.is_special(byte) {
            self.restart_on_any(out);
            return self.keep(byte, out);
        }
        self.special_byte(byte, out);
    }

    /// With `IXANY` any character ends a stop.
    fn restart_on_any(&mut self, out: &mut dyn Outlet) {
        if self.stopped && !self.stopped_by_call && self.settings.input(IXON | IXANY) {
            self.start(out);
            self.flush_echo(out);
        }
    }

    /// Echoes a byte and queues it.
    fn keep(&mut self, byte: u8, out: &mut dyn Outlet) {
        if self.settings.local(ECHO) {
            self.finish_erasing(out);
            self.note_column();
            self.echo_byte(byte, out);
        }
        self.queue_byte(byte);
    }

    fn queue_byte(&mut self, byte: u8) {
        // A marked stream doubles the byte that marks.
        if byte == 0xff && self.settings.input(PARMRK) {
            self.queue.push(byte);
        }
        self.queue.push(byte);
    }

    /// Remembers where on the screen the line being edited begins.
    fn note_column(&mut self) {
        if self.queue.edited_len() == 0 {
            self.canon_column = self.column;
        }
    }

    fn special_byte(&mut self, byte: u8, out: &mut dyn Outlet) {
        let settings = self.settings;
        if settings.input(IXON) {
            if settings.is(byte, VSTART) {
                self.start(out);
                return self.flush_echo(out);
            }
            if settings.is(byte, VSTOP) {
                return self.stop(out);
            }
        }
        if settings.local(ISIG) {
            let signals = [(VINTR, SIGINT), (VQUIT, SIGQUIT), (VSUSP, SIGTSTP)];
            if let Some((_, signal)) = signals.iter().find(|(index, _)| settings.is(byte, *index)) {
                return self.interrupt(byte, *signal, out);
            }
        }
        self.restart_on_any(out);
        let byte = match byte {
            b'\r' if settings.input(IGNCR) => return,
            b'\r' if settings.input(ICRNL) => b'\n',
            b'\n' if settings.input(INLCR) => b'\r',
            other => other,
        };
        if settings.local(ICANON) && self.edit(byte, out) {
            return;
        }
        if settings.local(ECHO) {
            self.finish_erasing(out);
            if byte == b'\n' {
                self.echo_raw(byte, out);
            } else {
                self.note_column();
                self.echo_byte(byte, out);
            }
        }
        self.queue_byte(byte);
    }

    /// A character that sends a signal; it also ends a stop and, without `NOFLSH`, drops what is
    /// under way in both directions.
    fn interrupt(&mut self, byte: u8, signal: Signal, out: &mut dyn Outlet) {
        out.signal(signal);
        if !self.settings.local(NOFLSH) {
            self.echo.clear();
            self.flush_output(out);
            self.flush_input(out);
        }
        if self.settings.input(IXON) {
            self.start(out);
        }
        if self.settings.local(ECHO) {
            self.echo_byte(byte, out);
        }
        self.flush_echo(out);
    }

    /// Serves a byte of canonical mode; answers whether it meant something.
    fn edit(&mut self, byte: u8, out: &mut dyn Outlet) -> bool {
        let settings = self.settings;
        let (echo, extended) = (settings.local(ECHO), settings.local(IEXTEN));
        if settings.is(byte, VERASE) {
            self.erase(Erase::Character, out);
        } else if settings.is(byte, VKILL) {
            self.kill(out);
        } else if extended && settings.is(byte, VWERASE) {
            self.erase(Erase::Word, out);
        } else if extended && settings.is(byte, VLNEXT) {
            self.lnext = true;
            if echo {
                self.finish_erasing(out);
                if settings.local(ECHOCTL) {
                    self.echo_raw(b'^', out);
                    self.echo_raw(8, out);
                }
            }
        } else if extended && echo && settings.is(byte, VREPRINT) {
            self.finish_erasing(out);
            self.echo_byte(byte, out);
            self.echo_raw(b'\n', out);
            let line: Vec<u8> = self.queue.edited().collect();
            for byte in line {
                self.echo_byte(byte, out);
            }
        } else if byte == b'\n' {
            if echo || settings.local(ECHONL) {
                self.echo_raw(byte, out);
            }
            self.queue.end_line(byte);
        } else if settings.is(byte, VEOF) {
            self.queue.end_line(0);
        } else if settings.is(byte, VEOL) || (extended && settings.is(byte, VEOL2)) {
            if echo {
                self.note_column();
                self.echo_byte(byte, out);
            }
            if byte == 0xff && settings.input(PARMRK) {
                self.queue.push(byte);
            }
            self.queue.end_line(byte);
        } else {
            return false;
        }
        true
    }

    /// `VKILL`.
    fn kill(&mut self, out: &mut dyn Outlet) {
        let settings = self.settings;
        if self.queue.edited_len() == 0 {
            return;
        }
        if settings.local(ECHO | ECHOK | ECHOKE | ECHOE) {
            return self.erase(Erase::Line, out);
        }
        self.queue.drop_last(usize::MAX);
        if settings.local(ECHO) {
            self.finish_erasing(out);
            self.echo_byte(settings.control(VKILL), out);
            if settings.local(ECHOK) {
                self.echo_raw(b'\n', out);
            }
        }
    }

    fn is_continuation(&self, byte: u8) -> bool {
        self.settings.input(IUTF8) && byte & 0xc0 == 0x80
    }

    /// Bytes of the last character of the edited line, if it is whole.
    fn last_character(&self) -> Option<(u8, usize)> {
        for (index, byte) in self.queue.edited_backwards().enumerate() {
            if !self.is_continuation(byte) {
                return Some((byte, index + 1));
            }
        }
        None
    }

    fn erase(&mut self, what: Erase, out: &mut dyn Outlet) {
        let mut in_word = false;
        let had_text = self.queue.edited_len() > 0;
        while let Some((first, len)) = self.last_character() {
            if what == Erase::Word {
                let belongs = is_alphanumeric(first) || first == b'_';
                if !belongs && in_word {
                    break;
                }
                in_word |= belongs;
            }
            let erased = self.queue.drop_last(len);
            if self.settings.local(ECHO) {
                self.show_erased(what, &erased, out);
            }
            if what == Erase::Character {
                break;
            }
        }
        if had_text && self.queue.edited_len() == 0 && self.settings.local(ECHO) {
            self.finish_erasing(out);
        }
    }

    /// Takes one character off the screen.
    fn show_erased(&mut self, what: Erase, erased: &[u8], out: &mut dyn Outlet) {
        let settings = self.settings;
        let Some((&first, more)) = erased.split_first() else { return };
        if settings.local(ECHOPRT) {
            if !self.erasing {
                self.echo_raw(b'\\', out);
                self.erasing = true;
            }
            self.echo_byte(first, out);
            for &byte in more {
                self.echo_raw(byte, out);
                self.column = self.column.saturating_sub(1);
            }
        } else if what == Erase::Character && !settings.local(ECHOE) {
            self.echo_byte(settings.control(VERASE), out);
        } else if first == b'\t' {
            self.erase_tab(out);
        } else {
            let width = match is_control(first) {
                true if settings.local(ECHOCTL) => 2,
                true => 0,
                false => 1,
            };
            for _ in 0..width {
                for byte in [8, b' ', 8] {
                    self.echo_raw(byte, out);
                }
            }
        }
    }

    /// Goes back over the columns a tab took: to the end of what stands before it.
    fn erase_tab(&mut self, out: &mut dyn Outlet) {
        let mut width = 0_u32;
        let mut after_tab = false;
        for byte in self.queue.edited_backwards() {
            if byte == b'\t' {
                after_tab = true;
                break;
            }
            if is_control(byte) {
                width += if self.settings.local(ECHOCTL) { 2 } else { 0 };
            } else if !self.is_continuation(byte) {
                width += 1;
            }
        }
        if !after_tab {
            width += self.canon_column;
        }
        for _ in 0..8 - width % 8 {
            self.emit(&[8], out);
            self.column = self.column.saturating_sub(1);
        }
    }
}
