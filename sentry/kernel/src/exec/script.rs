//! `#!` scripts (`execve(2)`, "Interpreter scripts").

use bevor_abi::Errno;
use bevor_abi::errno::ENOEXEC;

/// Bytes of a file `execve` looks at (`BINPRM_BUF_SIZE`).
pub const HEAD_BYTES: usize = 256;

/// Interpreter and optional argument of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Path of the interpreter.
    pub interpreter: Vec<u8>,
    /// Everything after it on the line, as one argument.
    pub argument: Option<Vec<u8>>,
}

/// Parses the first line of a file; `None` if it is no script.
///
/// # Errors
/// `ENOEXEC` for an empty or cut-off interpreter path.
pub fn parse(head: &[u8]) -> Result<Option<Script>, Errno> {
    let Some(rest) = head.strip_prefix(b"#!") else { return Ok(None) };
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let newline = rest.iter().position(|&byte| byte == b'\n');
    let whole_file = head.len() < HEAD_BYTES;
    let line = match newline {
        Some(end) => &rest[..end],
        None => {
            // Cut off: the path must have ended within what was read.
            let text = trim_start(rest, is_space);
            let ended = text.iter().any(|byte| is_space(byte) || *byte == 0);
            if !whole_file && !ended {
                return Err(ENOEXEC.because("the interpreter's path is cut off"));
            }
            // The last byte of a full buffer becomes the NUL that ends the line.
            if whole_file { rest } else { rest.split_last().map_or(rest, |(_, before)| before) }
        }
    };
    let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let line = trim_start(line, is_space);
    let end = line.iter().rposition(|byte| !is_space(byte)).map_or(0, |last| last + 1);
    let line = &line[..end];
    if line.is_empty() {
        return Err(ENOEXEC.because("no interpreter after #!"));
    }
    let split = line.iter().position(is_space).unwrap_or(line.len());
    let argument = trim_start(&line[split..], is_space);
    Ok(Some(Script {
        interpreter: line[..split].to_vec(),
        argument: (!argument.is_empty()).then(|| argument.to_vec()),
    }))
}

fn trim_start(bytes: &[u8], is_space: impl Fn(&u8) -> bool) -> &[u8] {
    let start = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
    &bytes[start..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn any_first_line_is_refused_or_names_an_interpreter(
            line in prop::collection::vec(
                prop_oneof![Just(b' '), Just(b'\t'), Just(b'\n'), Just(0), Just(b'/'), any::<u8>()],
                0..HEAD_BYTES - 1,
            ),
        ) {
            let head = [b"#!".as_slice(), &line].concat();
            let head = head.get(..HEAD_BYTES).unwrap_or(&head);
            let Ok(Some(script)) = parse(head) else { return Ok(()) };
            let odd = |bytes: &[u8]| bytes.iter().any(|byte| matches!(byte, 0 | b'\n'));
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            prop_assert!(!script.interpreter.is_empty() && !odd(&script.interpreter));
            prop_assert!(!script.interpreter.iter().any(blank));
            if let Some(argument) = script.argument {
                prop_assert!(!odd(&argument) && !argument.first().is_some_and(blank));
                prop_assert!(!argument.is_empty() && !argument.last().is_some_and(blank));
            }
        }
    }

    #[test]
    fn the_rest_of_the_line_is_one_argument() {
        let script = parse(b"#! /usr/bin/env  python3 -u \nprint()").unwrap().unwrap();
        assert_eq!(script.interpreter, b"/usr/bin/env");
        assert_eq!(script.argument.as_deref(), Some(&b"python3 -u"[..]));
        assert_eq!(parse(b"#!/bin/sh").unwrap().unwrap().argument, None);
        assert_eq!(parse(b"\x7fELF").unwrap(), None);
        assert!(parse(b"#!\n").is_err() && parse(b"#!   \t").is_err());
        assert!(parse(&[b"#!/".as_slice(), &[b'x'; 300]].concat()[..HEAD_BYTES]).is_err());
    }
}
