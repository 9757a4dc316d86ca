//! Shortens what `Debug` says of a structure to what a trace has room for.
//!
//! `Itimerspec { it_interval: Timespec { tv_sec: 1, tv_nsec: 0 }, pad0: 0 }` becomes
//! `{it_interval={tv_sec=1, tv_nsec=0}}`.

use super::fields;
use super::text::quote;

/// Longest list of numbers shown in full.
const LIST_MAX: usize = 8;

/// Numbers from here on are shown in hexadecimal: they are addresses or masks.
const HEX_FROM: u64 = 1 << 32;

/// Shortens the `Debug` form of a structure, an array or a number.
pub fn compact(debug: &str) -> String {
    let mut out = String::with_capacity(debug.len());
    value(debug, &mut out);
    out
}

/// Copies one value in short form and returns what follows it.
fn value<'a>(rest: &'a str, out: &mut String) -> &'a str {
    if let Some(rest) = rest.strip_prefix('[') {
        return list(rest, out);
    }
    let end = rest.find([',', ' ', ']', '}']).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    if let Some(fields) = after.strip_prefix(" { ") {
        return structure(word, fields, out);
    }
    match word.parse::<u64>() {
        Ok(number) if number >= HEX_FROM => out.push_str(&format!("{number:#x}")),
        _ => out.push_str(word),
    }
    after
}

/// The word a value begins with: all of it, if it is a number.
fn scalar(value: &str) -> &str {
    value.split([',', ' ']).next().unwrap_or(value)
}

/// Copies fields up to and including the closing brace, leaving out padding.
fn structure<'a>(kind: &str, mut rest: &'a str, out: &mut String) -> &'a str {
    out.push('{');
    let mut first = true;
    while let Some((name, after)) = rest.split_once(": ") {
        let mark = out.len();
        if !first {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push('=');
        let number = out.len();
        rest = value(after, out);
        if let Some(words) = fields::shown(kind, name, scalar(after)) {
            out.truncate(number);
            out.push_str(&words);
        }
        if is_padding(name) {
            out.truncate(mark);
        } else {
            first = false;
        }
        match rest.strip_prefix(", ") {
            Some(more) => rest = more,
            None => break,
        }
    }
    out.push('}');
    rest.strip_prefix(" }").unwrap_or(rest)
}

fn is_padding(name: &str) -> bool {
    ["pad", "unused", "reserved", "spare", "resv"].iter().any(|prefix| name.starts_with(prefix))
}

/// Copies elements up to and including the closing bracket; bytes become a string.
fn list<'a>(rest: &'a str, out: &mut String) -> &'a str {
    if let Some(end) = rest.find(']')
        && let Ok(numbers) =
            rest[..end].split(", ").map(str::parse::<u64>).collect::<Result<Vec<_>, _>>()
        && numbers.len() > LIST_MAX
    {
        let after = &rest[end + 1..];
        let bytes: Option<Vec<u8>> = numbers.iter().map(|&n| u8::try_from(n).ok()).collect();
        match bytes {
            Some(bytes) => {
                let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                quote(&bytes[..len], false, out);
            }
            None => out.push_str("[...]"),
        }
        return after;
    }
    out.push('[');
    let mut rest = rest;
    while !rest.is_empty() && !rest.starts_with(']') {
        rest = value(rest, out);
        if let Some(more) = rest.strip_prefix(", ") {
            out.push_str(", ");
            rest = more;
        } else if let Some(more) = rest.strip_prefix(' ') {
            // A signal set: its members are separated by blanks.
            out.push(' ');
            rest = more;
        } else if !rest.starts_with(']') {
            break;
        }
    }
    out.push(']');
    rest.strip_prefix(']').unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::compact;
    use bevor_abi::signal::{SIGHUP, SIGINT, SigSet, Sigaction};
    use bevor_abi::system::Utsname;
    use bevor_abi::time::{Itimerspec, SigeventT, Timespec};

    fn short(value: &impl std::fmt::Debug) -> String {
        compact(&format!("{value:?}"))
    }

    #[test]
    fn structures_nest_and_lose_padding() {
        let value = Timespec { tv_sec: -1, tv_nsec: 5 };
        let timer = Itimerspec { it_interval: Timespec::default(), it_value: value };
        assert_eq!(
            short(&timer),
            "{it_interval={tv_sec=0, tv_nsec=0}, it_value={tv_sec=-1, tv_nsec=5}}"
        );
        assert_eq!(
            short(&SigeventT { sigev_value: 1 << 40, ..SigeventT::default() }),
            "{sigev_value=0x10000000000, sigev_signo=0, sigev_notify=SIGEV_SIGNAL, sigev_tid=0}"
        );
    }

    #[test]
    fn lists_are_shown_cut_or_as_text() {
        assert_eq!(short(&[3_i32, -4]), "[3, -4]");
        assert_eq!(short(b"ab\ncd\0\0\0\0"), r#""ab\ncd""#);
        assert_eq!(short(&[700_u32; 40]), "[...]");
        let mut name = Utsname::default();
        name.sysname[..5].copy_from_slice(b"Linux");
        assert!(short(&name).starts_with("{sysname=\"Linux\", nodename=\"\","), "{}", short(&name));
    }

    #[test]
    fn signal_sets_stay_readable() {
        let sa_mask = SigSet::of(&[SIGHUP, SIGINT]);
        let action = Sigaction { sa_handler: 1, sa_mask, ..Sigaction::default() };
        assert_eq!(
            short(&action),
            "{sa_handler=SIG_IGN, sa_flags=0, sa_restorer=0, sa_mask=[SIGHUP SIGINT]}"
        );
    }
}
