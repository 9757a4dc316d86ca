//! Calls that are not the 64-bit table's.

use bevor_platform::{Event, Platform};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{CODE, DATA, World, guest_code};

pub const CASES: &[Case] = cases![
    x32_numbers_are_foreign,
    int_0x80_is_a_fault,
    int_0x80_from_32_bit_code_is_a_fault,
    the_vsyscall_page_calls_the_sentry,
];

guest_code!(x32, "mov eax, 0x40000027", "syscall", "mov rdi, rax", "mov eax, 1", "syscall");

fn x32_numbers_are_foreign(platform: &dyn Platform) {
    let mut world = World::new(platform, x32());
    assert_eq!(world.run(), Event::ForeignSyscall { nr: 0x4000_0027 });
    assert_eq!(world.ctx.regs.rip, CODE + 7);
    world.answer(38_u64.wrapping_neg());
    assert_eq!(world.run_to_syscall(), 1);
    assert_eq!(world.ctx.regs.rdi, 38_u64.wrapping_neg());
}

/// A general protection fault at the instruction, as on a host without 32-bit calls.
fn assert_refused(world: &mut World, rip: u64, rax: u64) {
    match world.run() {
        Event::Exception { signo: libc::SIGSEGV, addr: 0, .. } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(world.ctx.regs.rip, rip);
    assert_eq!(world.ctx.regs.rax, rax);
}

guest_code!(int80, "mov eax, 20", "int 0x80", "nop", "int 0x80");

fn int_0x80_is_a_fault(platform: &dyn Platform) {
    let mut world = World::new(platform, int80());
    assert_refused(&mut world, CODE + 5, 20);
    world.jump(8);
    assert_refused(&mut world, CODE + 8, 20);
}

guest_code!(
    compat,
    // A far return to the 32-bit code segment.
    "mov dword ptr [rsp - 8], 0x400020",
    "mov dword ptr [rsp - 4], 0x23",
    "sub rsp, 8",
    ".byte 0xcb", // retf
    ".skip 0x20 - (. - 99b), 0x90",
    ".code32",
    "mov eax, 20",
    "int 0x80",
    ".code64",
);

fn int_0x80_from_32_bit_code_is_a_fault(platform: &dyn Platform) {
    let mut world = World::new(platform, compat());
    world.ctx.regs.r12 = 0x1234_5678_9abc_def0;
    assert_refused(&mut world, CODE + 0x25, 20);
    assert_eq!(world.ctx.regs.cs, 0x23);
    assert_eq!(world.ctx.regs.r12, 0x1234_5678_9abc_def0);
    // And back.
    world.ctx.regs.cs = 0x33;
    world.jump(0x60);
    std::os::unix::fs::FileExt::write_all_at(&world.file, &[0x0f, 0x05], 0x60)
        .expect("a memory file can be written");
    assert_eq!(world.run(), Event::Syscall);
}

guest_code!(
    vsyscall,
    "mov rax, 0xffffffffff600400", // time
    "mov rdi, 0x500000",
    "call rax",
    "mov rdi, rax",
    "mov eax, 1",
    "syscall",
);

fn the_vsyscall_page_calls_the_sentry(platform: &dyn Platform) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    if !maps.contains("[vsyscall]") {
        return;
    }
    let mut world = World::new(platform, vsyscall());
    let rsp = world.ctx.regs.rsp;
    let nr = world.run_to_syscall();
    assert_eq!(nr, libc::SYS_time.cast_unsigned());
    assert_eq!(world.ctx.regs.syscall_args()[0], DATA);
    world.answer(12_345);
    assert_eq!(world.run_to_syscall(), 1);
    assert_eq!(world.ctx.regs.rdi, 12_345);
    assert_eq!(world.ctx.regs.rsp, rsp);
    assert_eq!(world.word(0), 0, "the host has written nothing");
}
