//! Showing what is typed.

use crate::tty::line::{Line, Outlet};
use bevor_abi::termios::{ECHOCTL, OPOST};

/// Bytes of echo kept while the terminal takes none; the oldest are lost.
const CAPACITY: usize = 4096;

/// Whether a byte is a control character, as the kernel's own table has it.
pub(super) const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Whether a byte is a letter or digit of Latin 1.
pub(super) const fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || (byte >= 0xc0 && byte != 0xd7 && byte != 0xf7)
}

/// The small letter of Latin 1.
pub(super) const fn lower(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde => byte + 0x20,
        _ => byte,
    }
}

/// The capital letter of Latin 1.
pub(super) const fn upper(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | 0xe0..=0xf6 | 0xf8..=0xfe => byte - 0x20,
        _ => byte,
    }
}

impl Line {
    /// Echoes a byte that was typed; control characters as `^X` with `ECHOCTL`.
    pub(super) fn echo_byte(&mut self, byte: u8, out: &mut dyn Outlet) {
        if self.settings.local(ECHOCTL) && is_control(byte) && byte != b'\t' {
            self.column = self.column.saturating_add(2);
            self.emit(&[b'^', byte ^ 0o100], out);
        } else {
            self.echo_raw(byte, out);
        }
    }

    /// Echoes a byte as a program would write it.
    pub(super) fn echo_raw(&mut self, byte: u8, out: &mut dyn Outlet) {
        if self.settings.output(OPOST) {
            let formed = self.form(byte);
            self.emit(formed.bytes(), out);
        } else {
            self.emit(&[byte], out);
        }
    }

    /// Ends the `/` of erased characters.
    pub(super) fn finish_erasing(&mut self, out: &mut dyn Outlet) {
        if std::mem::take(&mut self.erasing) {
            self.echo_raw(b'/', out);
        }
    }

    /// Sends bytes, after what could not be sent before.
    pub(super) fn emit(&mut self, bytes: &[u8], out: &mut dyn Outlet) {
        if !self.stopped && self.echo.is_empty() && out.room() >= bytes.len() {
            return out.put(bytes);
        }
        self.echo.extend(bytes);
        let excess = self.echo.len().saturating_sub(CAPACITY);
        self.echo.drain(..excess);
    }

    /// Sends the echo there was no room for.
    pub fn flush_echo(&mut self, out: &mut dyn Outlet) {
        let count = self.echo.len().min(out.room());
        if count == 0 || self.stopped {
            return;
        }
        let bytes: Vec<u8> = self.echo.drain(..count).collect();
        out.put(&bytes);
    }
}
