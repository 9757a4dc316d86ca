//! System calls and general registers.

use bevor_platform::{Event, Platform, UserRegs};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{CODE, DATA, World, guest_code};

pub const CASES: &[Case] = cases![
    a_system_call_is_answered,
    all_registers_are_reported,
    all_registers_are_loaded,
    the_call_leaves_address_and_flags,
    strange_numbers_are_reported,
    many_calls_in_a_row,
    a_call_after_changed_registers,
    segment_bases_set_by_the_guest,
];

guest_code!(getpid_then_exit, "mov eax, 39", "syscall", "mov edi, eax", "mov eax, 60", "syscall");
guest_code!(call_forever, "2:", "syscall", "jmp 2b");

fn a_system_call_is_answered(platform: &dyn Platform) {
    let mut world = World::new(platform, getpid_then_exit());
    assert_eq!(world.run_to_syscall(), 39);
    world.answer(4321);
    assert_eq!(world.run_to_syscall(), 60);
    assert_eq!(world.ctx.regs.syscall_args()[0], 4321);
}

/// Distinct values in all general registers.
fn pattern(seed: u64) -> UserRegs {
    let word = |i: u64| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i << 40 | i);
    UserRegs {
        r15: word(1),
        r14: word(2),
        r13: word(3),
        r12: word(4),
        rbp: word(5),
        rbx: word(6),
        r10: word(7),
        r9: word(8),
        r8: word(9),
        rdx: word(10),
        rsi: word(11),
        rdi: word(12),
        rsp: word(13),
        rax: 1000 + seed,
        fs_base: DATA + 8 * seed,
        gs_base: DATA + 16 * seed,
        // CF PF AF ZF SF IF DF OF
        eflags: 0x202 | if seed.is_multiple_of(2) { 0x0cd5 } else { 0x0401 },
        rip: CODE,
        cs: 0x33,
        ss: 0x2b,
        orig_rax: u64::MAX,
        ..UserRegs::default()
    }
}

/// What a system call leaves of `regs`: number moved, address and flags in rcx and r11.
fn after_call(regs: &UserRegs, seen: &UserRegs) -> UserRegs {
    UserRegs {
        orig_rax: regs.rax,
        rip: CODE + 2,
        rax: seen.rax,
        rcx: CODE + 2,
        r11: seen.eflags,
        ..*regs
    }
}

fn all_registers_are_reported(platform: &dyn Platform) {
    let mut world = World::new(platform, call_forever());
    for seed in 1..=8 {
        let regs = pattern(seed);
        world.ctx.regs = regs;
        world.ctx.full = true;
        assert_eq!(world.run_to_syscall(), regs.rax);
        assert_eq!(world.ctx.regs, after_call(&regs, &world.ctx.regs));
    }
}

guest_code!(
    store_all,
    "mov qword ptr [0x500000], rax",
    "mov qword ptr [0x500008], rcx",
    "mov qword ptr [0x500010], r11",
    "mov qword ptr [0x500018], rbx",
    "mov qword ptr [0x500020], rsp",
    "mov rbx, qword ptr fs:[0]",
    "mov qword ptr [0x500028], rbx",
    "mov rbx, qword ptr gs:[0]",
    "mov qword ptr [0x500030], rbx",
    "mov esp, 0x510000",
    "pushfq",
    "pop rbx",
    "mov qword ptr [0x500038], rbx",
    "syscall",
);

fn all_registers_are_loaded(platform: &dyn Platform) {
    let mut world = World::new(platform, store_all());
    world.set_word(0x808, 0xf5);
    world.set_word(0x810, 0x65);
    let regs = UserRegs {
        rcx: 0x1234_5678_9abc_def0,
        r11: 0x0fed_cba9_8765_4321,
        fs_base: DATA + 0x808,
        gs_base: DATA + 0x810,
        eflags: 0x202 | 0x8d5,
        ..pattern(5)
    };
    world.ctx.regs = regs;
    world.run_to_syscall();
    assert_eq!(world.word(0), regs.rax);
    assert_eq!(world.word(8), regs.rcx);
    assert_eq!(world.word(16), regs.r11);
    assert_eq!(world.word(24), regs.rbx);
    assert_eq!(world.word(32), regs.rsp);
    assert_eq!(world.word(40), 0xf5);
    assert_eq!(world.word(48), 0x65);
    assert_eq!(world.word(56) & 0xcd5, regs.eflags & 0xcd5);
}

fn the_call_leaves_address_and_flags(platform: &dyn Platform) {
    let mut world = World::new(platform, call_forever());
    world.ctx.regs.rcx = 1;
    world.ctx.regs.r11 = 2;
    world.ctx.regs.rax = 7;
    world.run_to_syscall();
    world.answer(8);
    world.run_to_syscall();
    assert_eq!(world.ctx.regs.rcx, CODE + 2);
    assert_eq!(world.ctx.regs.r11 & 0x202, 0x202);
}

fn strange_numbers_are_reported(platform: &dyn Platform) {
    let mut world = World::new(platform, call_forever());
    // The host looks at the lower half of rax, signed.
    for (rax, nr) in [(u64::MAX, u64::MAX), (0x1_0000_0027, 39), (0x3fff_ffff, 0x3fff_ffff)] {
        world.ctx.regs.rax = rax;
        world.ctx.full = true;
        assert_eq!(world.run(), Event::Syscall);
        assert_eq!(world.ctx.regs.syscall_nr(), nr);
    }
}

guest_code!(
    count_calls,
    "xor ebx, ebx",
    "2:",
    "inc rbx",
    "mov rdi, rbx",
    "mov eax, 1",
    "syscall",
    "jmp 2b"
);

fn many_calls_in_a_row(platform: &dyn Platform) {
    let mut world = World::new(platform, count_calls());
    for i in 1..=10_000 {
        assert_eq!(world.run_to_syscall(), 1);
        assert_eq!(world.ctx.regs.rdi, i);
        // Answers the host itself would take for "restart the call".
        world.answer(if i % 2 == 0 { 512_u64.wrapping_neg() } else { i });
    }
}

fn a_call_after_changed_registers(platform: &dyn Platform) {
    let mut world = World::new(platform, count_calls());
    assert_eq!(world.run_to_syscall(), 1);
    // A signal handler's return: everything changes.
    world.ctx.regs.rbx = 99;
    world.ctx.full = true;
    assert_eq!(world.run_to_syscall(), 1);
    assert_eq!(world.ctx.regs.rdi, 100);
}

guest_code!(
    set_bases,
    "mov rax, 0x12345678000",
    "wrfsbase rax",
    "mov eax, 1",
    "syscall",
    "mov rax, 0xffff888000000000", // a kernel address: canonical, so the instruction takes it
    "wrfsbase rax",
    "mov eax, 2",
    "syscall",
    "rdfsbase rdi",
    "mov eax, 3",
    "syscall",
);

fn segment_bases_set_by_the_guest(platform: &dyn Platform) {
    if !fsgsbase() {
        return;
    }
    let mut world = World::new(platform, set_bases());
    assert_eq!(world.run_to_syscall(), 1);
    assert_eq!(world.ctx.regs.fs_base, 0x123_4567_8000);
    assert_eq!(world.run_to_syscall(), 2);
    assert_eq!(world.ctx.regs.fs_base, 0xffff_8880_0000_0000);
    assert_eq!(world.run_to_syscall(), 3);
    assert_eq!(world.ctx.regs.rdi, 0xffff_8880_0000_0000);
}

/// Whether user code may set segment bases (`HWCAP2_FSGSBASE`).
fn fsgsbase() -> bool {
    // SAFETY: takes a number, reads the process's own auxiliary vector.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & 2 != 0 }
}
