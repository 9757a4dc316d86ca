//! Instructions that are often found after `syscall` and mean the same anywhere, told by a few bytes.
//!
//! The disassembler can tell them, too, but its tables cost a megabyte and half a millisecond when they
//! are first used; most programs need nothing else. A test compares the two.

/// Length of the instruction `code` starts with, if it is one of those: no branch, no operand relative
/// to its address, valid on every processor.
pub fn length(code: &[u8]) -> Option<usize> {
    let (rex, opcode_at) = match *code.first()? {
        rex @ 0x40..=0x4f => (rex, 1),
        _ => (0, 0),
    };
    let wide = rex & 8 != 0;
    let after = opcode_at + 1;
    let len = match *code.get(opcode_at)? {
        // cmp, test with rax and an immediate.
        0x3d | 0xa9 => after + 4,
        // mov of an immediate to a register.
        0xb8..=0xbf => after + if wide { 8 } else { 4 },
        // add, or, and, sub, xor, cmp, test, mov between registers and memory.
        0x01 | 0x03 | 0x09 | 0x0b | 0x21 | 0x23 | 0x29 | 0x2b | 0x31 | 0x33 | 0x39 | 0x3b
        | 0x85 | 0x89 | 0x8b => after + operand(code.get(after..)?)?,
        // The same with an immediate of one byte.
        0x83 => after + operand(code.get(after..)?)? + 1,
        _ => return None,
    };
    (len <= code.len()).then_some(len)
}

/// Length of a ModRM byte with what belongs to it; `None` for an operand relative to the address, and
/// for rarer forms.
fn operand(code: &[u8]) -> Option<usize> {
    let modrm = *code.first()?;
    let sib = usize::from(modrm & 7 == 4);
    match modrm >> 6 {
        1 => Some(1 + sib + 1),
        2 => Some(1 + sib + 4),
        3 => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::length;
    use iced_x86::{Decoder, DecoderOptions, FlowControl};

    #[test]
    fn the_disassembler_agrees() {
        let mut told = 0;
        for rex in [0, 0x40, 0x41, 0x44, 0x48, 0x49, 0x4c, 0x4f, 0x66, 0xf0, 0xf3] {
            for opcode in 0..=255 {
                for modrm in 0..=255 {
                    let mut code =
                        Vec::from([opcode, modrm, 0x24, 0x10, 0xf0, 0xff, 0xff, 0, 0, 0]);
                    if rex != 0 {
                        code.insert(0, rex);
                    }
                    let Some(len) = length(&code) else { continue };
                    told += 1;
                    let decoded =
                        Decoder::with_ip(64, &code, 0x1000, DecoderOptions::NONE).decode();
                    assert!(!decoded.is_invalid(), "{code:x?}");
                    assert_eq!(decoded.len(), len, "{code:x?}");
                    assert_eq!(decoded.flow_control(), FlowControl::Next, "{code:x?}");
                    assert!(!decoded.is_ip_rel_memory_operand(), "{code:x?}");
                    assert_eq!(length(&code[..len - 1]), None, "{code:x?} cut off");
                }
            }
        }
        assert!(told > 10_000, "{told}");
    }
}
