//! Bytes of a guest as a trace shows them: quoted, escaped, cut.

use std::fmt::Write;

/// Bytes of a buffer shown before it is cut.
const BYTES_MAX: usize = 32;

/// Bytes of a path or other string shown before it is cut.
pub const TEXT_MAX: usize = 256;

/// Appends `bytes` in quotes; dots follow where it is cut or `more` is there.
pub fn quote(bytes: &[u8], more: bool, out: &mut String) {
    quote_up_to(bytes, BYTES_MAX, more, out);
}

/// Like [`quote`] with a limit of its own.
pub fn quote_up_to(bytes: &[u8], max: usize, more: bool, out: &mut String) {
    out.push('"');
    for &byte in bytes.iter().take(max) {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            7 => out.push_str("\\a"),
            b' '..=b'~' => out.push(char::from(byte)),
            // Octal in full, so that a digit may follow.
            _ => write!(out, "\\{byte:03o}").expect("writing to a string cannot fail"),
        }
    }
    out.push('"');
    if more || bytes.len() > max {
        out.push_str("...");
    }
}
