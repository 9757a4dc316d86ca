//! What programs write: `OPOST`.

use crate::tty::line::echo::{is_control, upper};
use crate::tty::line::{Line, Outlet};
use bevor_abi::termios::{IUTF8, OCRNL, OLCUC, ONLCR, ONLRET, ONOCR, OPOST, TABDLY, XTABS};

/// What one byte becomes.
pub(super) struct Formed {
    bytes: [u8; 8],
    len: usize,
}

impl Formed {
    const NOTHING: Self = Self { bytes: [0; 8], len: 0 };

    const fn one(byte: u8) -> Self {
        let mut bytes = [0; 8];
        bytes[0] = byte;
        Self { bytes, len: 1 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Line {
    /// Takes what a program writes, as far as there is room; returns how much.
    pub fn write(&mut self, bytes: &[u8], out: &mut dyn Outlet) -> usize {
        self.flush_echo(out);
        if self.stopped || !self.echo.is_empty() {
            return 0;
        }
        if !self.settings.output(OPOST) {
            let count = bytes.len().min(out.room());
            out.put(bytes.get(..count).unwrap_or_default());
            return count;
        }
        let mut room = out.room();
        let mut formed = Vec::with_capacity(bytes.len());
        let mut taken = 0;
        for &byte in bytes {
            let width = self.width(byte);
            if width > room {
                break;
            }
            formed.extend_from_slice(self.form(byte).bytes());
            room -= width;
            taken += 1;
        }
        out.put(&formed);
        taken
    }

    /// Bytes that output processing makes of `byte`, at most.
    fn width(&self, byte: u8) -> usize {
        match byte {
            b'\n' if self.settings.output(ONLCR) => 2,
            b'\t' if self.settings.oflag & TABDLY == XTABS => self.to_tab_stop(),
            _ => 1,
        }
    }

    /// Columns to the next tab stop.
    fn to_tab_stop(&self) -> usize {
        // At most 8.
        8 - usize::try_from(self.column % 8).unwrap_or(0)
    }

    /// Applies output processing to one byte and follows the column.
    pub(super) fn form(&mut self, byte: u8) -> Formed {
        let settings = self.settings;
        match byte {
            b'\n' => {
                if settings.output(ONLRET) {
                    self.column = 0;
                }
                if settings.output(ONLCR) {
                    self.canon_column = 0;
                    self.column = 0;
                    return Formed { bytes: *b"\r\n\0\0\0\0\0\0", len: 2 };
                }
                self.canon_column = self.column;
            }
            b'\r' => {
                if settings.output(ONOCR) && self.column == 0 {
                    return Formed::NOTHING;
                }
                let becomes_newline = settings.output(OCRNL);
                if !becomes_newline || settings.output(ONLRET) {
                    self.canon_column = 0;
                    self.column = 0;
                }
                return Formed::one(if becomes_newline { b'\n' } else { byte });
            }
            b'\t' => {
                let spaces = self.to_tab_stop();
                self.column = self.column.saturating_add(8 - self.column % 8);
                if settings.oflag & TABDLY == XTABS {
                    return Formed { bytes: [b' '; 8], len: spaces };
                }
            }
            8 => self.column = self.column.saturating_sub(1),
            _ if is_control(byte) => {}
            _ => {
                if !(settings.input(IUTF8) && byte & 0xc0 == 0x80) {
                    self.column = self.column.saturating_add(1);
                }
                if settings.output(OLCUC) {
                    return Formed::one(upper(byte));
                }
            }
        }
        Formed::one(byte)
    }
}
