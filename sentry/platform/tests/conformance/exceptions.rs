//! Synchronous exceptions that are no page faults.

use bevor_platform::{Event, Platform};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{CODE, World, guest_code};

pub const CASES: &[Case] = cases![
    invalid_instruction,
    division_by_zero,
    breakpoint,
    single_step,
    single_step_over_a_system_call,
    general_protection,
    privileged_instruction,
    unaligned_access,
    bad_stack_segment,
    sse_exception,
    x87_exception,
];

const SI_KERNEL: i32 = 0x80;
const TF: u64 = 0x100;
const AC: u64 = 0x4_0000;

/// Runs `code` and expects a signal; gives `(code, addr, trapno)` and where it stopped.
fn exception(world: &mut World, expected: i32) -> (i32, u64, u64) {
    match world.run() {
        Event::Exception { signo, code, addr, trapno, .. } => {
            assert_eq!(signo, expected);
            (code, addr, trapno)
        }
        other => panic!("{other:?} at {:#x}", world.ctx.regs.rip),
    }
}

guest_code!(ud2, "ud2");

fn invalid_instruction(platform: &dyn Platform) {
    let mut world = World::new(platform, ud2());
    let (_, addr, trapno) = exception(&mut world, libc::SIGILL);
    assert_eq!((addr, trapno), (CODE, 6));
    assert_eq!(world.ctx.regs.rip, CODE);
}

guest_code!(div, "xor ecx, ecx", "div ecx", "syscall");

fn division_by_zero(platform: &dyn Platform) {
    let mut world = World::new(platform, div());
    assert_eq!(exception(&mut world, libc::SIGFPE), (1, CODE + 2, 0));
    // A handler may repair the operand.
    world.ctx.regs.rcx = 1;
    world.ctx.full = true;
    assert_eq!(world.run(), Event::Syscall);
}

guest_code!(int3, "int3", "syscall");

fn breakpoint(platform: &dyn Platform) {
    let mut world = World::new(platform, int3());
    let (code, _, trapno) = exception(&mut world, libc::SIGTRAP);
    assert_eq!((code, trapno), (SI_KERNEL, 3));
    assert_eq!(world.ctx.regs.rip, CODE + 1);
    assert_eq!(world.run(), Event::Syscall);
}

guest_code!(nops, "nop", "nop", "nop", "syscall", "nop", "nop");

fn single_step(platform: &dyn Platform) {
    let mut world = World::new(platform, nops());
    world.ctx.regs.eflags |= TF;
    for step in 1..=3 {
        let (_, _, trapno) = exception(&mut world, libc::SIGTRAP);
        assert_eq!(trapno, 1);
        assert_eq!(world.ctx.regs.rip, CODE + step);
        assert_eq!(world.ctx.regs.eflags & TF, TF);
    }
}

fn single_step_over_a_system_call(platform: &dyn Platform) {
    let mut world = World::new(platform, nops());
    world.jump(3);
    world.ctx.regs.eflags |= TF;
    assert_eq!(world.run(), Event::Syscall);
    world.answer(0);
    exception(&mut world, libc::SIGTRAP);
    // The trap may come before or after the next instruction, as on hosts.
    assert!([CODE + 5, CODE + 6].contains(&world.ctx.regs.rip), "{:#x}", world.ctx.regs.rip);
    world.ctx.regs.eflags &= !TF;
    world.ctx.full = true;
    world.jump(3);
    assert_eq!(world.run(), Event::Syscall);
}

guest_code!(non_canonical, "movabs rax, 0x8000000000000000", "mov rax, [rax]");

fn general_protection(platform: &dyn Platform) {
    let mut world = World::new(platform, non_canonical());
    assert_eq!(exception(&mut world, libc::SIGSEGV), (SI_KERNEL, 0, 13));
}

guest_code!(hlt, "hlt");

fn privileged_instruction(platform: &dyn Platform) {
    let mut world = World::new(platform, hlt());
    assert_eq!(exception(&mut world, libc::SIGSEGV), (SI_KERNEL, 0, 13));
    assert_eq!(world.ctx.regs.rip, CODE);
}

guest_code!(unaligned, "mov eax, [rsp - 7]", "syscall");

/// Whether the processor is QEMU's emulation, which knows no alignment checks and no stack faults.
fn is_emulated() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0x4000_0000);
    [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).as_flattened() == b"TCGTCGTCGTCG"
}

fn unaligned_access(platform: &dyn Platform) {
    let mut world = World::new(platform, unaligned());
    world.ctx.regs.eflags |= AC;
    if is_emulated() {
        assert_eq!(world.run(), Event::Syscall);
        return;
    }
    let (code, _, trapno) = exception(&mut world, libc::SIGBUS);
    assert_eq!((code, trapno), (1, 17));
    world.ctx.regs.eflags &= !AC;
    world.ctx.full = true;
    assert_eq!(world.run(), Event::Syscall);
}

guest_code!(non_canonical_stack, "movabs rsp, 0x8000000000000000", "push rax");

fn bad_stack_segment(platform: &dyn Platform) {
    let mut world = World::new(platform, non_canonical_stack());
    let expected = if is_emulated() { (libc::SIGSEGV, 13) } else { (libc::SIGBUS, 12) };
    assert_eq!(exception(&mut world, expected.0), (SI_KERNEL, 0, expected.1));
}

guest_code!(
    divide_sse,
    "mov dword ptr [rsp - 8], 0x1d80", // division by zero unmasked
    "ldmxcsr [rsp - 8]",
    "mov eax, 1",
    "cvtsi2sd xmm0, eax",
    "pxor xmm1, xmm1",
    "divsd xmm0, xmm1",
);

fn sse_exception(platform: &dyn Platform) {
    let mut world = World::new(platform, divide_sse());
    let (code, addr, trapno) = exception(&mut world, libc::SIGFPE);
    assert_eq!((code, trapno), (3, 19));
    assert_eq!(addr, world.ctx.regs.rip);
}

guest_code!(
    divide_x87,
    "mov word ptr [rsp - 8], 0x37b", // division by zero unmasked
    "fldcw [rsp - 8]",
    "fld1",
    "fldz",
    "fdivp",
    "fwait",
);

fn x87_exception(platform: &dyn Platform) {
    let mut world = World::new(platform, divide_x87());
    let (code, _, trapno) = exception(&mut world, libc::SIGFPE);
    assert_eq!((code, trapno), (3, 16));
}
