//! The checker says what Linux says, and nothing it lets through can go wrong.

use super::*;
use bevor_abi::seccomp::{BPF_B, BPF_H, BPF_IND, BPF_MOD, BPF_MSH};
use proptest::prelude::*;

const ARCH: u32 = bevor_abi::seccomp::AUDIT_ARCH_X86_64;

const fn stmt(code: u16, k: u32) -> SockFilter {
    SockFilter { code, jt: 0, jf: 0, k }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> SockFilter {
    SockFilter { code, jt, jf, k }
}

const ALLOW: SockFilter = stmt(RET_K, SECCOMP_RET_ALLOW);
const JEQ: u16 = BPF_JMP | BPF_JEQ | BPF_K;

fn run(code: &[SockFilter], data: &SeccompData) -> u32 {
    Program::check(code).expect("a valid program").run(&words(data))
}

/// A program that leaves `a op b` in A, with `b` in X.
fn compute(op: u16, a: u32, b: u32) -> u32 {
    let code = [stmt(LDX_IMM, b), stmt(LD_IMM, a), stmt(BPF_ALU | op | BPF_X, 0), stmt(RET_A, 0)];
    run(&code, &SeccompData::default())
}

#[test]
fn loads_see_every_word_of_the_data() {
    let args = [0x1111_2222_3333_4444, 2, 3, 4, 5, 0x6666_7777_8888_9999];
    let data = SeccompData { nr: 7, arch: ARCH, instruction_pointer: 0xaaaa_bbbb_cccc, args };
    for (at, value) in [
        (0, 7),
        (4, ARCH),
        (8, 0xbbbb_cccc),
        (12, 0xaaaa),
        (16, 0x3333_4444),
        (20, 0x1111_2222),
        (24, 2),
        (56, 0x8888_9999),
        (60, 0x6666_7777),
    ] {
        assert_eq!(run(&[stmt(LD_DATA, at), stmt(RET_A, 0)], &data), value, "at {at}");
    }
    assert_eq!(run(&[stmt(LD_LEN, 0), stmt(RET_A, 0)], &data), 64);
    assert_eq!(run(&[stmt(LDX_LEN, 0), stmt(TXA, 0), stmt(RET_A, 0)], &data), 64);
}

#[test]
fn arithmetic_wraps_shifts_by_five_bits_and_ends_on_division_by_zero() {
    assert_eq!(compute(BPF_ADD, u32::MAX, 2), 1);
    assert_eq!(compute(BPF_SUB, 1, 2), u32::MAX);
    assert_eq!(compute(BPF_MUL, 0x8000_0001, 2), 2);
    assert_eq!(compute(BPF_DIV, 7, 2), 3);
    assert_eq!(compute(BPF_DIV, 7, 0), 0);
    assert_eq!(compute(BPF_OR, 5, 2), 7);
    assert_eq!(compute(BPF_AND, 5, 4), 4);
    assert_eq!(compute(BPF_XOR, 5, 4), 1);
    assert_eq!(compute(BPF_LSH, 1, 33), 2);
    assert_eq!(compute(BPF_RSH, 4, 33), 2);
    assert_eq!(run(&[stmt(LD_IMM, 1), stmt(NEG, 0), stmt(RET_A, 0)], &SeccompData::default()), !0);
}

#[test]
fn cells_keep_what_is_stored() {
    let code = [
        stmt(LD_IMM, 5),
        stmt(BPF_ST, 3),
        stmt(LDX_IMM, 6),
        stmt(BPF_STX, 15),
        stmt(LD_MEM, 15),
        stmt(LDX_MEM, 3),
        stmt(BPF_ALU | BPF_MUL | BPF_X, 0),
        stmt(RET_A, 0),
    ];
    assert_eq!(run(&code, &SeccompData::default()), 30);
}

#[test]
fn what_linux_refuses_is_refused() {
    let load = stmt(LD_IMM, 0);
    let refused: &[&[SockFilter]] = &[
        &[],
        // No return at the end.
        &[load],
        &[ALLOW, load],
        // Loads out of the data or unaligned, and of other kinds.
        &[stmt(LD_DATA, 64), ALLOW],
        &[stmt(LD_DATA, 2), ALLOW],
        &[stmt(LD_DATA, 0xffff_f000), ALLOW],
        &[stmt(BPF_LD | BPF_H | BPF_ABS, 0), ALLOW],
        &[stmt(BPF_LD | BPF_B | BPF_ABS, 0), ALLOW],
        &[stmt(BPF_LD | BPF_W | BPF_IND, 0), ALLOW],
        &[stmt(BPF_LDX | BPF_B | BPF_MSH, 0), ALLOW],
        // Constants.
        &[stmt(BPF_ALU | BPF_DIV | BPF_K, 0), ALLOW],
        &[stmt(BPF_ALU | BPF_LSH | BPF_K, 32), ALLOW],
        &[stmt(BPF_ALU | BPF_RSH | BPF_K, 32), ALLOW],
        &[stmt(BPF_ALU | BPF_MOD | BPF_K, 3), ALLOW],
        &[stmt(BPF_ALU | BPF_NEG | BPF_X, 0), ALLOW],
        // Jumps.
        &[stmt(JA, 1), ALLOW],
        &[stmt(JA, u32::MAX), ALLOW],
        &[jump(JEQ, 0, 1, 0), ALLOW],
        &[jump(JEQ, 0, 0, 1), ALLOW],
        // Cells.
        &[stmt(BPF_ST, 16), ALLOW],
        &[stmt(LD_MEM, 0), ALLOW],
        &[jump(JEQ, 0, 0, 1), stmt(BPF_ST, 1), stmt(LD_MEM, 1), ALLOW],
        // Unknown codes.
        &[stmt(0xffff, 0), ALLOW],
        &[stmt(0x100, 0), ALLOW],
        &[stmt(BPF_RET | BPF_X, 0)],
    ];
    for code in refused {
        assert_eq!(Program::check(code).map(|_| ()), Err(EINVAL.into()), "{code:?}");
    }
    let long = vec![ALLOW; usize_of_u32(BPF_MAXINSNS) + 1];
    assert!(Program::check(&long).is_err());
    assert!(Program::check(&long[1..]).is_ok());
    // Behind both branches the cell is written.
    let both = [
        jump(JEQ, 0, 0, 2),
        stmt(BPF_ST, 1),
        stmt(JA, 1),
        stmt(BPF_STX, 1),
        stmt(LD_MEM, 1),
        ALLOW,
    ];
    assert!(Program::check(&both).is_ok());
}

#[test]
fn a_number_is_surely_allowed_only_if_nothing_else_decides() {
    let by_number = [
        stmt(LD_DATA, 4),
        jump(JEQ, ARCH, 1, 0),
        stmt(RET_K, 0),
        stmt(LD_DATA, 0),
        jump(JEQ, 5, 0, 2),
        stmt(LD_DATA, 16),
        jump(JEQ, 9, 0, 1),
        ALLOW,
        stmt(RET_K, 0x0005_0001),
    ];
    let program = Program::check(&by_number).expect("a valid program");
    assert!(!program.surely_allows(5, ARCH), "the first argument decides");
    assert!(program.surely_allows(6, ARCH), "the number decides");
    assert!(!program.surely_allows(6, 0), "of another architecture");
    let all = Program::check(&[ALLOW]).expect("a valid program");
    assert!(all.surely_allows(6, ARCH));
}

/// Instructions that are more likely to pass than any.
fn likely() -> impl Strategy<Value = SockFilter> {
    let codes = prop::sample::select(vec![
        LD_DATA, LD_LEN, LD_IMM, LD_MEM, LDX_IMM, LDX_MEM, BPF_ST, BPF_STX, NEG, TAX, TXA, JA,
        RET_K, RET_A, JEQ, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x04, 0x0c, 0x14, 0x24,
        0x2c, 0x34, 0x3c, 0x44, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0xa4, 0xac,
    ]);
    (codes, 0..4_u8, 0..4_u8, prop_oneof![0..20_u32, any::<u32>()])
        .prop_map(|(code, jt, jf, k)| SockFilter { code, jt, jf, k })
}

proptest! {
    #[test]
    fn no_program_panics_and_the_cache_tells_the_truth(
        mut code in prop::collection::vec(likely(), 0..40),
        wild in prop::collection::vec(any::<(u16, u8, u8, u32)>(), 0..3),
        nr in 0..600_u32,
        args in any::<[u64; 6]>(),
    ) {
        for (code_of, jt, jf, k) in wild {
            let at = usize_of_u32(k) % (code.len() + 1);
            code.insert(at, SockFilter { code: code_of, jt, jf, k });
        }
        code.push(ALLOW);
        let ip = args[0];
        let data = SeccompData { nr, arch: ARCH, instruction_pointer: ip, args };
        if let Ok(program) = Program::check(&code) {
            let result = program.run(&words(&data));
            if program.surely_allows(nr, ARCH) {
                prop_assert_eq!(result, SECCOMP_RET_ALLOW);
            }
        }
    }
}
