//! The classic packet filter as seccomp uses it: checker and interpreter (`net/core/filter.c`,
//! `kernel/seccomp.c`).
//!
//! A program is checked once and becomes [`Insn`]s, each of which can be executed as it stands. All
//! jumps go forward, so that a run ends after at most as many steps as the program has instructions.

use bevor_abi::Errno;
use bevor_abi::conv::{u64_of, usize_of_u32};
use bevor_abi::errno::EINVAL;
use bevor_abi::seccomp::{
    BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_DIV, BPF_IMM, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT,
    BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_LEN, BPF_LSH, BPF_MAXINSNS, BPF_MEM,
    BPF_MEMWORDS, BPF_MISC, BPF_MUL, BPF_NEG, BPF_OR, BPF_RET, BPF_RSH, BPF_ST, BPF_STX, BPF_SUB,
    BPF_TAX, BPF_TXA, BPF_W, BPF_X, BPF_XOR, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS,
    SeccompData, SockFilter,
};
use zerocopy::transmute;

/// What a filter loads from: [`SeccompData`] in words.
pub type Words = [u32; 16];

/// Cells of scratch memory.
const NR_CELLS: usize = usize_of_u32(BPF_MEMWORDS);
/// Instructions Linux puts before a program it translates.
const PROLOGUE: u32 = 3;
/// Size of [`SeccompData`], which `BPF_LEN` loads.
const DATA_LEN: u32 = 64;

/// The second operand of arithmetic and comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operand {
    /// The instruction's constant.
    K(u32),
    /// The index register.
    X,
}

/// Arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Alu {
    Add,
    Sub,
    Mul,
    Div,
    Or,
    And,
    Xor,
    Lsh,
    Rsh,
}

/// Comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

/// A checked instruction. Indices of words and cells are in range, jumps stay in the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Insn {
    /// A = word of the data.
    Data(usize),
    /// A = constant.
    Imm(u32),
    /// A = cell.
    Mem(usize),
    /// X = constant.
    ImmX(u32),
    /// X = cell.
    MemX(usize),
    /// Cell = A.
    Store(usize),
    /// Cell = X.
    StoreX(usize),
    /// A = A op operand.
    Alu(Alu, Operand),
    /// A = -A.
    Neg,
    /// X = A.
    Tax,
    /// A = X.
    Txa,
    /// Skips so many instructions.
    Jump(usize),
    /// Skips the first number of instructions if the test holds, else the second.
    Branch(Test, Operand, u8, u8),
    /// Ends with a constant.
    Return(u32),
    /// Ends with A.
    ReturnA,
}

/// A program that passed the checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    code: Box<[Insn]>,
    translated_len: u32,
}

/// The words of what a filter sees.
#[must_use]
pub fn words(data: &SeccompData) -> Words {
    transmute!(*data)
}

impl Program {
    /// Checks a program.
    ///
    /// # Errors
    /// `EINVAL` where Linux has it: length, instructions, constants, jumps, cells read before they were
    /// written, no return at the end.
    pub fn check(filter: &[SockFilter]) -> Result<Self, Errno> {
        if filter.is_empty() || filter.len() > usize_of_u32(BPF_MAXINSNS) {
            return Err(EINVAL.because("length of the filter"));
        }
        let decoded = filter.iter().enumerate();
        let decoded = decoded.map(|(at, insn)| decode(insn, filter.len() - at - 1));
        let code = decoded.collect::<Result<Box<[Insn]>, Errno>>()?;
        if !matches!(code.last(), Some(Insn::Return(_) | Insn::ReturnA)) {
            return Err(EINVAL.because("the filter does not end with a return"));
        }
        check_cells(&code)?;
        let translated_len = code.iter().map(|insn| translated(*insn)).sum::<u32>() + PROLOGUE;
        Ok(Self { code, translated_len })
    }

    /// How many instructions Linux makes of it, which is what its limits count.
    #[must_use]
    pub const fn translated_len(&self) -> u32 {
        self.translated_len
    }

    /// How much memory it takes, bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        u64_of(size_of_val(&*self.code))
    }

    /// What it returns for a call.
    #[must_use]
    pub fn run(&self, data: &Words) -> u32 {
        let (mut a, mut x, mut pc) = (0_u32, 0_u32, 0_usize);
        let mut cells = [0_u32; NR_CELLS];
        while let Some(&insn) = self.code.get(pc) {
            pc += 1;
            match insn {
                Insn::Data(word) => a = data[word % data.len()],
                Insn::Imm(k) => a = k,
                Insn::Mem(cell) => a = cells[cell % NR_CELLS],
                Insn::ImmX(k) => x = k,
                Insn::MemX(cell) => x = cells[cell % NR_CELLS],
                Insn::Store(cell) => cells[cell % NR_CELLS] = a,
                Insn::StoreX(cell) => cells[cell % NR_CELLS] = x,
                Insn::Alu(op, operand) => match op.apply(a, operand.value(x)) {
                    Some(result) => a = result,
                    None => return 0,
                },
                Insn::Neg => a = a.wrapping_neg(),
                Insn::Tax => x = a,
                Insn::Txa => a = x,
                Insn::Jump(skip) => pc += skip,
                Insn::Branch(test, operand, yes, no) => {
                    pc += usize::from(if test.holds(a, operand.value(x)) { yes } else { no });
                }
                Insn::Return(k) => return k,
                Insn::ReturnA => return a,
            }
        }
        // No checked program gets here.
        SECCOMP_RET_KILL_PROCESS
    }

    /// Whether it allows a number whatever the rest of the call: it decides by the number and the
    /// architecture alone, with the few instructions such filters use.
    #[must_use]
    pub fn surely_allows(&self, nr: u32, arch: u32) -> bool {
        let (mut a, mut pc) = (0_u32, 0_usize);
        while let Some(&insn) = self.code.get(pc) {
            pc += 1;
            match insn {
                Insn::Data(0) => a = nr,
                Insn::Data(1) => a = arch,
                Insn::Alu(Alu::And, Operand::K(k)) => a &= k,
                Insn::Jump(skip) => pc += skip,
                Insn::Branch(test, Operand::K(k), yes, no) => {
                    pc += usize::from(if test.holds(a, k) { yes } else { no });
                }
                Insn::Return(k) => return k == SECCOMP_RET_ALLOW,
                _ => return false,
            }
        }
        false
    }
}

impl Operand {
    const fn value(self, x: u32) -> u32 {
        match self {
            Self::K(k) => k,
            Self::X => x,
        }
    }
}

impl Alu {
    /// `None`: a division by zero, which ends the program with 0.
    const fn apply(self, a: u32, b: u32) -> Option<u32> {
        Some(match self {
            Self::Add => a.wrapping_add(b),
            Self::Sub => a.wrapping_sub(b),
            Self::Mul => a.wrapping_mul(b),
            Self::Div => return a.checked_div(b),
            Self::Or => a | b,
            Self::And => a & b,
            Self::Xor => a ^ b,
            Self::Lsh => a.wrapping_shl(b),
            Self::Rsh => a.wrapping_shr(b),
        })
    }
}

impl Test {
    const fn holds(self, a: u32, b: u32) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
            Self::AnyBit => a & b != 0,
        }
    }
}

/// `BPF_LD | BPF_W | BPF_ABS` and its like, in one constant each.
const LD_DATA: u16 = BPF_LD | BPF_W | BPF_ABS;
const LD_LEN: u16 = BPF_LD | BPF_W | BPF_LEN;
const LD_IMM: u16 = BPF_LD | BPF_IMM;
const LD_MEM: u16 = BPF_LD | BPF_MEM;
const LDX_LEN: u16 = BPF_LDX | BPF_W | BPF_LEN;
const LDX_IMM: u16 = BPF_LDX | BPF_IMM;
const LDX_MEM: u16 = BPF_LDX | BPF_MEM;
const NEG: u16 = BPF_ALU | BPF_NEG;
const TAX: u16 = BPF_MISC | BPF_TAX;
const TXA: u16 = BPF_MISC | BPF_TXA;
const JA: u16 = BPF_JMP | BPF_JA;
const RET_K: u16 = BPF_RET | BPF_K;
const RET_A: u16 = BPF_RET | BPF_A;
/// The part of a code that names class and operation, without the source of the operand.
const WITHOUT_SOURCE: u16 = !BPF_X;

/// Checks one instruction; `behind` follow it.
fn decode(insn: &SockFilter, behind: usize) -> Result<Insn, Errno> {
    let &SockFilter { code, jt, jf, k } = insn;
    let cell = || {
        let cell = usize_of_u32(k);
        if cell < NR_CELLS { Ok(cell) } else { Err(EINVAL.because("no such cell")) }
    };
    Ok(match code {
        LD_DATA if k < DATA_LEN && k.is_multiple_of(4) => Insn::Data(usize_of_u32(k / 4)),
        LD_LEN => Insn::Imm(DATA_LEN),
        LD_IMM => Insn::Imm(k),
        LD_MEM => Insn::Mem(cell()?),
        LDX_LEN => Insn::ImmX(DATA_LEN),
        LDX_IMM => Insn::ImmX(k),
        LDX_MEM => Insn::MemX(cell()?),
        BPF_ST => Insn::Store(cell()?),
        BPF_STX => Insn::StoreX(cell()?),
        NEG => Insn::Neg,
        TAX => Insn::Tax,
        TXA => Insn::Txa,
        RET_K => Insn::Return(k),
        RET_A => Insn::ReturnA,
        JA if usize_of_u32(k) < behind => Insn::Jump(usize_of_u32(k)),
        _ => {
            let operand = if code & BPF_X == 0 { Operand::K(k) } else { Operand::X };
            if let Some(op) = arithmetic(code & WITHOUT_SOURCE) {
                check_constant(op, operand)?;
                return Ok(Insn::Alu(op, operand));
            }
            let test = comparison(code & WITHOUT_SOURCE);
            let test = test.ok_or_else(|| EINVAL.because("an instruction filters do not have"))?;
            if usize::from(jt.max(jf)) >= behind {
                return Err(EINVAL.because("a jump out of the filter"));
            }
            Insn::Branch(test, operand, jt, jf)
        }
    })
}

const fn arithmetic(code: u16) -> Option<Alu> {
    const ADD: u16 = BPF_ALU | BPF_ADD;
    const SUB: u16 = BPF_ALU | BPF_SUB;
    const MUL: u16 = BPF_ALU | BPF_MUL;
    const DIV: u16 = BPF_ALU | BPF_DIV;
    const OR: u16 = BPF_ALU | BPF_OR;
    const AND: u16 = BPF_ALU | BPF_AND;
    const XOR: u16 = BPF_ALU | BPF_XOR;
    const LSH: u16 = BPF_ALU | BPF_LSH;
    const RSH: u16 = BPF_ALU | BPF_RSH;
    Some(match code {
        ADD => Alu::Add,
        SUB => Alu::Sub,
        MUL => Alu::Mul,
        DIV => Alu::Div,
        OR => Alu::Or,
        AND => Alu::And,
        XOR => Alu::Xor,
        LSH => Alu::Lsh,
        RSH => Alu::Rsh,
        _ => return None,
    })
}

const fn comparison(code: u16) -> Option<Test> {
    const JEQ: u16 = BPF_JMP | BPF_JEQ;
    const JGT: u16 = BPF_JMP | BPF_JGT;
    const JGE: u16 = BPF_JMP | BPF_JGE;
    const JSET: u16 = BPF_JMP | BPF_JSET;
    Some(match code {
        JEQ => Test::Equal,
        JGT => Test::Greater,
        JGE => Test::GreaterOrEqual,
        JSET => Test::AnyBit,
        _ => return None,
    })
}

/// Constants that divide by zero or shift everything out.
fn check_constant(op: Alu, operand: Operand) -> Result<(), Errno> {
    match (op, operand) {
        (Alu::Div, Operand::K(0)) => Err(EINVAL.because("division by zero")),
        (Alu::Lsh | Alu::Rsh, Operand::K(32..)) => Err(EINVAL.because("shift by 32 or more")),
        _ => Ok(()),
    }
}

/// No path may read a cell that it has not written (`check_load_and_stores`).
fn check_cells(code: &[Insn]) -> Result<(), Errno> {
    // The cells written on every path to an instruction, a bit each.
    let mut on_arrival = vec![u16::MAX; code.len()];
    let mut written = 0_u16;
    for (pc, &insn) in code.iter().enumerate() {
        written &= on_arrival.get(pc).copied().unwrap_or_default();
        let mut arrives = |skip: usize, written: u16| {
            if let Some(cells) = on_arrival.get_mut(pc + 1 + skip) {
                *cells &= written;
            }
        };
        match insn {
            Insn::Store(cell) | Insn::StoreX(cell) => written |= 1 << cell,
            Insn::Mem(cell) | Insn::MemX(cell) if written & (1 << cell) == 0 => {
                return Err(EINVAL.because("a cell is read before it is written"));
            }
            Insn::Jump(skip) => {
                arrives(skip, written);
                written = u16::MAX;
            }
            Insn::Branch(_, _, yes, no) => {
                arrives(usize::from(yes), written);
                arrives(usize::from(no), written);
                written = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

/// How many instructions Linux makes of one (`bpf_convert_filter`).
const fn translated(insn: Insn) -> u32 {
    match insn {
        Insn::Return(_) => 2,
        Insn::Alu(Alu::Div, Operand::X) => 5,
        Insn::Branch(test, operand, yes, no) => {
            // Constants that look negative are loaded first.
            let load = matches!(operand, Operand::K(0x8000_0000..)) as u32;
            let one = no == 0 || (yes == 0 && !matches!(test, Test::AnyBit));
            load + if one { 1 } else { 2 }
        }
        _ => 1,
    }
}

#[cfg(test)]
#[path = "bpf_tests.rs"]
mod tests;
