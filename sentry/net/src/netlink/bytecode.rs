//! The filters of `sock_diag(7)`: programs over ports and addresses (`inet_diag.c`). Each step only
//! goes forward, so every program ends.

use bevor_abi::Errno;
use bevor_abi::errno::EINVAL;
use bevor_abi::socket::{AF_INET, AF_INET6};
use std::net::{IpAddr, SocketAddr};

const NOP: u8 = 0;
const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const AUTO: u8 = 6;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;
/// Bytes of an operation, and of a condition's head after it.
const OP: usize = 4;
const COND: usize = 8;

/// What a program looks at.
pub(super) struct Ends {
    pub(super) family: u8,
    pub(super) own: SocketAddr,
    pub(super) other: SocketAddr,
    /// Whether it has a name of its own.
    pub(super) bound: bool,
}

struct Op {
    code: u8,
    yes: usize,
    no: u16,
}

fn op(program: &[u8], at: usize) -> Option<Op> {
    match program.get(at..)? {
        [code, yes, low, high, ..] => {
            let no = u16::from_ne_bytes([*low, *high]);
            Some(Op { code: *code, yes: usize::from(*yes), no })
        }
        _ => None,
    }
}

/// Bytes of the operation at a place with what belongs to it; `None` for one that is not known.
fn length(program: &[u8], at: usize, code: u8) -> Option<usize> {
    match code {
        NOP | JMP | AUTO => Some(OP),
        S_GE | S_LE | D_GE | D_LE | S_EQ | D_EQ => Some(2 * OP),
        S_COND | D_COND => {
            let family = u16::from(*program.get(at + OP)?);
            let prefix = usize::from(*program.get(at + OP + 1)?);
            let bytes = match family {
                0 => 0,
                AF_INET => 4,
                AF_INET6 => 16,
                _ => return None,
            };
            (prefix <= 8 * bytes).then_some(OP + COND + bytes)
        }
        _ => None,
    }
}

/// Checks that a program is one.
///
/// # Errors
/// `EINVAL`.
pub(super) fn check(program: &[u8]) -> Result<(), Errno> {
    let mut at = 0;
    while at < program.len() {
        let op = op(program, at).ok_or(EINVAL)?;
        let left = program.len() - at;
        let length = length(program, at, op.code).ok_or(EINVAL)?;
        let no = usize::from(op.no);
        if left < length
            || (op.code != NOP && (no < OP || no > left + OP || no % OP != 0))
            || op.yes < OP
            || op.yes > left + OP
            || op.yes % OP != 0
        {
            return Err(EINVAL.into());
        }
        at += op.yes;
    }
    if at == program.len() { Ok(()) } else { Err(EINVAL.into()) }
}

/// Whether a checked program takes a socket.
pub(super) fn run(program: &[u8], ends: &Ends) -> bool {
    let mut at = 0;
    while let Some(op) = op(program, at) {
        let operand = program
            .get(at + OP + 2..at + OP + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u16::from_ne_bytes);
        let (own, other) = (ends.own.port(), ends.other.port());
        let yes = match op.code {
            JMP => false,
            S_GE => own >= operand,
            S_LE => own <= operand,
            S_EQ => own == operand,
            D_GE => other >= operand,
            D_LE => other <= operand,
            D_EQ => other == operand,
            AUTO => !ends.bound,
            S_COND => holds(program.get(at + OP..).unwrap_or_default(), ends, ends.own),
            D_COND => holds(program.get(at + OP..).unwrap_or_default(), ends, ends.other),
            _ => true,
        };
        // Both are at least one operation long in a checked program.
        at += if yes { op.yes } else { usize::from(op.no) }.max(OP);
    }
    at == program.len()
}

/// Whether an address fits a condition: family, length of the prefix, port, address.
fn holds(cond: &[u8], ends: &Ends, addr: SocketAddr) -> bool {
    let [family, prefix, _, _, port @ ..] = cond else { return false };
    let Some((port, wanted)) = port.split_first_chunk::<4>() else { return false };
    let port = i32::from_ne_bytes(*port);
    if port != -1 && port != i32::from(addr.port()) {
        return false;
    }
    let ip = match addr.ip() {
        // A v6 socket's address fits a v4 condition if it is a mapped one.
        ip if *family != 0 && *family != ends.family => match ip.to_canonical() {
            IpAddr::V4(ip) if u16::from(*family) == AF_INET => IpAddr::V4(ip),
            _ => return false,
        },
        IpAddr::V4(ip) if u16::from(ends.family) == AF_INET6 => ip.to_ipv6_mapped().into(),
        ip => ip,
    };
    let own = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (whole, rest) = (usize::from(*prefix) / 8, u32::from(*prefix) % 8);
    let mask = !(0xff_u8.checked_shr(rest).unwrap_or(0));
    let same = own.get(..whole) == wanted.get(..whole);
    let byte = |bytes: &[u8]| bytes.get(whole).map_or(0, |byte| byte & mask);
    same && (rest == 0 || byte(&own) == byte(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends() -> Ends {
        let (own, other) = (([127, 0, 0, 1], 80).into(), ([127, 0, 0, 9], 4000).into());
        Ends { family: 2, own, other, bound: true }
    }

    /// One operation with an operand: taken if it holds.
    fn port(code: u8, operand: u16) -> Vec<u8> {
        let [low, high] = operand.to_ne_bytes();
        vec![code, 8, 12, 0, 0, 0, low, high]
    }

    #[test]
    fn ports_and_addresses_are_compared() {
        for (program, expected) in [
            (port(S_EQ, 80), true),
            (port(S_EQ, 81), false),
            (port(D_GE, 4000), true),
            (port(D_LE, 3999), false),
            (vec![AUTO, 4, 8, 0], false),
            (vec![S_COND, 16, 20, 0, 2, 8, 0, 0, 255, 255, 255, 255, 127, 9, 9, 9], true),
            (vec![S_COND, 16, 20, 0, 2, 9, 0, 0, 255, 255, 255, 255, 127, 128, 0, 0], false),
        ] {
            assert!(check(&program).is_ok(), "{program:?}");
            assert_eq!(run(&program, &ends()), expected, "{program:?}");
        }
        assert!(check(&[S_EQ, 8, 12, 0]).is_err());
        assert!(check(&[NOP, 0, 0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn any_program_ends(program in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&program);
            let _ = run(&program, &ends());
        }
    }
}
