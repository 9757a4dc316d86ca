//! Which kind of access an instruction made, for hosts that report only the address of a fault.

use iced_x86::{Decoder, DecoderError, DecoderOptions, InstructionInfoFactory, OpAccess, Register};

use crate::Access;
use crate::arch::UserRegs;

/// Longest x86 instruction, bytes.
pub const MAX_INSTRUCTION: usize = 15;

/// What the instruction at `regs.rip` did to `addr`. `code` holds its bytes, as many as the host
/// could read. `None`: the bytes do not tell.
pub fn data_access(code: &[u8], regs: &UserRegs, addr: u64) -> Option<Access> {
    let bitness = if regs.cs == 0x23 { 32 } else { 64 };
    let mut decoder = Decoder::with_ip(bitness, code, regs.rip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    match decoder.last_error() {
        DecoderError::None => {}
        // The rest of the instruction could not be fetched.
        DecoderError::NoMoreBytes if regs.rip.wrapping_add(code.len() as u64) == addr => {
            return Some(Access::Exec);
        }
        _ => return None,
    }

    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(&instruction);
    let mut exact = Kinds::default();
    let mut any = Kinds::default();
    for memory in info.used_memory() {
        any.add(memory.access());
        let Some(start) = memory.virtual_address(0, |r, _, _| register(regs, r)) else { continue };
        let len = memory.memory_size().size().max(1) as u64;
        if addr.wrapping_sub(start) < len {
            exact.add(memory.access());
        }
    }
    exact.access().or_else(|| any.only())
}

#[derive(Default)]
struct Kinds {
    read: bool,
    write: bool,
}

impl Kinds {
    fn add(&mut self, access: OpAccess) {
        match access {
            OpAccess::Read | OpAccess::CondRead => self.read = true,
            OpAccess::Write | OpAccess::CondWrite => self.write = true,
            OpAccess::ReadWrite | OpAccess::ReadCondWrite => {
                self.read = true;
                self.write = true;
            }
            OpAccess::None | OpAccess::NoMemAccess => {}
        }
    }

    /// An operand that is read and written faults as a write.
    fn access(&self) -> Option<Access> {
        match (self.read, self.write) {
            (_, true) => Some(Access::Write),
            (true, false) => Some(Access::Read),
            (false, false) => None,
        }
    }

    /// The access if all operands agree on one.
    fn only(&self) -> Option<Access> {
        if self.read && self.write { None } else { self.access() }
    }
}

/// Value of a register in an effective address; segment registers stand for their bases.
fn register(regs: &UserRegs, register: Register) -> Option<u64> {
    let value = match register {
        Register::ES | Register::CS | Register::SS | Register::DS => return Some(0),
        Register::FS => return Some(regs.fs_base),
        Register::GS => return Some(regs.gs_base),
        _ => match register.full_register() {
            Register::RAX => regs.rax,
            Register::RBX => regs.rbx,
            Register::RCX => regs.rcx,
            Register::RDX => regs.rdx,
            Register::RSI => regs.rsi,
            Register::RDI => regs.rdi,
            Register::RBP => regs.rbp,
            Register::RSP => regs.rsp,
            Register::R8 => regs.r8,
            Register::R9 => regs.r9,
            Register::R10 => regs.r10,
            Register::R11 => regs.r11,
            Register::R12 => regs.r12,
            Register::R13 => regs.r13,
            Register::R14 => regs.r14,
            Register::R15 => regs.r15,
            Register::RIP => regs.rip,
            _ => return None,
        },
    };
    Some(match register.size() {
        8 => value,
        4 => value & 0xffff_ffff,
        2 => value & 0xffff,
        // Byte registers occur only as the index of `xlat`.
        _ => value & 0xff,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(code: &[u8], regs: &UserRegs, addr: u64) -> Option<Access> {
        let regs = UserRegs { cs: 0x33, rip: 0x1000, ..*regs };
        data_access(code, &regs, addr)
    }

    #[test]
    fn loads_and_stores_differ() {
        let regs = UserRegs { rdi: 0x5000, rsi: 0x9000, rsp: 0x7008, ..UserRegs::default() };
        // mov rax, [rdi]; mov [rdi], rax; add [rdi], eax
        assert_eq!(access(&[0x48, 0x8b, 0x07], &regs, 0x5000), Some(Access::Read));
        assert_eq!(access(&[0x48, 0x89, 0x07], &regs, 0x5007), Some(Access::Write));
        assert_eq!(access(&[0x01, 0x07], &regs, 0x5003), Some(Access::Write));
        // movsb: from rsi, to rdi
        assert_eq!(access(&[0xa4], &regs, 0x9000), Some(Access::Read));
        assert_eq!(access(&[0xa4], &regs, 0x5000), Some(Access::Write));
        // rep stosq
        let rep = UserRegs { rcx: 10, ..regs };
        assert_eq!(access(&[0xf3, 0x48, 0xab], &rep, 0x5000), Some(Access::Write));
        // push rax writes below rsp; push [rdi] reads too
        assert_eq!(access(&[0x50], &regs, 0x7000), Some(Access::Write));
        assert_eq!(access(&[0xff, 0x37], &regs, 0x5000), Some(Access::Read));
        assert_eq!(access(&[0xff, 0x37], &regs, 0x7000), Some(Access::Write));
    }

    #[test]
    fn vector_instructions_are_known() {
        let regs = UserRegs { rdi: 0x5000, ..UserRegs::default() };
        // vmovdqu [rdi], ymm0; vmovdqu ymm0, [rdi]; vmovdqu64 [rdi], zmm0
        assert_eq!(access(&[0xc5, 0xfe, 0x7f, 0x07], &regs, 0x501f), Some(Access::Write));
        assert_eq!(access(&[0xc5, 0xfe, 0x6f, 0x07], &regs, 0x5010), Some(Access::Read));
        let store = [0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x07];
        assert_eq!(access(&store, &regs, 0x503f), Some(Access::Write));
    }

    #[test]
    fn a_cut_instruction_was_being_fetched() {
        assert_eq!(access(&[0x48, 0x8b], &UserRegs::default(), 0x1002), Some(Access::Exec));
        assert_eq!(access(&[0x48, 0x8b], &UserRegs::default(), 0x9000), None);
    }

    #[test]
    fn an_address_outside_all_operands_needs_agreement() {
        let regs = UserRegs { rdi: 0x5000, rsi: 0x9000, ..UserRegs::default() };
        assert_eq!(access(&[0xa4], &regs, 0x6000), None);
        assert_eq!(access(&[0x48, 0x89, 0x07], &regs, 0x6000), Some(Access::Write));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4096))]

        /// Guests choose every byte and register: no code panics, and an answer does not depend on
        /// bytes behind the instruction.
        #[test]
        fn any_code_is_survived(
            code in proptest::collection::vec(proptest::num::u8::ANY, 0..=MAX_INSTRUCTION),
            words in proptest::array::uniform6(proptest::num::u64::ANY),
            near in 0_u64..64,
            compat: bool,
        ) {
            let [rdi, rsi, rsp, rcx, rip, fs_base] = words;
            let cs = if compat { 0x23 } else { 0x33 };
            let regs = UserRegs { rdi, rsi, rsp, rcx, rip, fs_base, cs, ..UserRegs::default() };
            for addr in [rdi, rsi, rsp, rip, rcx, u64::MAX] {
                let addr = addr.wrapping_add(near);
                let answer = data_access(&code, &regs, addr);
                if answer.is_some() && answer != Some(Access::Exec) {
                    let mut longer = code.clone();
                    longer.extend([0x90; MAX_INSTRUCTION]);
                    proptest::prop_assert_eq!(answer, data_access(&longer, &regs, addr));
                }
            }
        }
    }
}
