//! Page faults: address, access, and going on once the page is there.

use std::os::fd::AsRawFd;

use bevor_platform::{Access, Event, Order, Platform};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{
    CODE, DATA, NONE, PAGE, R, RW, RX, World, guest_code, map, memory_file,
};

pub const CASES: &[Case] = cases![
    loads_and_stores_to_nothing,
    a_load_goes_on_once_mapped,
    a_store_to_a_read_only_page,
    an_unreadable_page,
    a_jump_to_nothing,
    a_jump_to_data,
    an_instruction_that_crosses_into_nothing,
    an_instruction_that_crosses_into_data,
    code_that_reads_itself,
    stores_of_every_kind,
    a_copy_on_write_dance,
    beyond_the_end_of_a_file,
    kernel_addresses,
    a_fault_in_the_stack,
    a_bad_stack_pointer_is_no_concern,
];

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRERR: i32 = 2;
/// Nothing is mapped here.
const HOLE: u64 = 0x70_0000;

fn fault(addr: u64, access: Access, code: i32) -> Event {
    Event::PageFault { addr, access, code, bus: false }
}

guest_code!(load, "mov rax, [rdi]", "mov rdi, rax", "mov eax, 1", "syscall");
guest_code!(store, "mov [rdi], rsi", "mov eax, 1", "syscall");

fn loads_and_stores_to_nothing(platform: &dyn Platform) {
    for (code, access) in [(load(), Access::Read), (store(), Access::Write)] {
        let mut world = World::new(platform, code);
        world.ctx.regs.rdi = HOLE + 0x123;
        let regs = world.ctx.regs;
        assert_eq!(world.run(), fault(HOLE + 0x123, access, SEGV_MAPERR));
        // The instruction has not happened.
        assert_eq!(world.ctx.regs.rip, CODE);
        assert_eq!(world.ctx.regs.rsp, regs.rsp);
        assert_eq!(world.ctx.regs.rdi, regs.rdi);
        // Resuming retries.
        assert_eq!(world.run(), fault(HOLE + 0x123, access, SEGV_MAPERR));
    }
}

fn a_load_goes_on_once_mapped(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    world.set_word(0, 0x1122_3344);
    world.ctx.regs.rdi = HOLE;
    assert_eq!(world.run(), fault(HOLE, Access::Read, SEGV_MAPERR));
    world.space.apply(&[world.alias(HOLE, 0, R)]).expect("a page can be mapped");
    assert_eq!(world.run_to_syscall(), 1);
    assert_eq!(world.ctx.regs.rdi, 0x1122_3344);
}

fn a_store_to_a_read_only_page(platform: &dyn Platform) {
    let mut world = World::new(platform, store());
    world.space.apply(&[world.alias(HOLE, 0, R)]).expect("a page can be mapped");
    world.ctx.regs.rdi = HOLE + 8;
    world.ctx.regs.rsi = 77;
    assert_eq!(world.run(), fault(HOLE + 8, Access::Write, SEGV_ACCERR));
    let writable = [Order::Protect { addr: HOLE, len: PAGE, prot: RW }];
    world.space.apply(&writable).expect("rights can be changed");
    assert_eq!(world.run_to_syscall(), 1);
    assert_eq!(world.word(8), 77);
}

fn an_unreadable_page(platform: &dyn Platform) {
    for (code, access) in [(load(), Access::Read), (store(), Access::Write)] {
        let mut world = World::new(platform, code);
        world.space.apply(&[world.alias(HOLE, 0, NONE)]).expect("a page can be mapped");
        world.ctx.regs.rdi = HOLE;
        assert_eq!(world.run(), fault(HOLE, access, SEGV_ACCERR));
    }
}

guest_code!(jump, "jmp rdi");

fn a_jump_to_nothing(platform: &dyn Platform) {
    let mut world = World::new(platform, jump());
    world.ctx.regs.rdi = HOLE + 0x10;
    assert_eq!(world.run(), fault(HOLE + 0x10, Access::Exec, SEGV_MAPERR));
    assert_eq!(world.ctx.regs.rip, HOLE + 0x10);
}

fn a_jump_to_data(platform: &dyn Platform) {
    let mut world = World::new(platform, jump());
    world.ctx.regs.rdi = DATA;
    assert_eq!(world.run(), fault(DATA, Access::Exec, SEGV_ACCERR));
}

guest_code!(
    crossing,
    "jmp 3f",
    ".skip 4 * 4096 - 10 - (. - 99b)",
    "3:",
    "movabs rax, 0x1122334455667788", // ten bytes
    "mov eax, 1",
);

fn an_instruction_that_crosses_into_nothing(platform: &dyn Platform) {
    let mut world = World::new(platform, crossing());
    world.jump(4 * PAGE - 5);
    // The last five bytes before the end of the code: b8 would be "mov eax" of four more bytes.
    let byte = [0xb8];
    std::os::unix::fs::FileExt::write_all_at(&world.file, &byte, 4 * PAGE - 3)
        .expect("a memory file can be written");
    world.jump(4 * PAGE - 3);
    let end = CODE + 4 * PAGE;
    assert_eq!(world.run(), fault(end, Access::Exec, SEGV_MAPERR));
    assert_eq!(world.ctx.regs.rip, end - 3);
}

fn an_instruction_that_crosses_into_data(platform: &dyn Platform) {
    let mut world = World::new(platform, crossing());
    let end = CODE + 4 * PAGE;
    world.space.apply(&[world.alias(end, 0, RW)]).expect("a page can be mapped");
    std::os::unix::fs::FileExt::write_all_at(&world.file, &[0xb8], 4 * PAGE - 3)
        .expect("a memory file can be written");
    world.jump(4 * PAGE - 3);
    assert_eq!(world.run(), fault(end, Access::Exec, SEGV_ACCERR));
    // Made executable, it goes on.
    let order = [Order::Protect { addr: end, len: PAGE, prot: RX }];
    world.set_word(0, 0x050f_0000);
    world.space.apply(&order).expect("rights can be changed");
    assert_eq!(world.run(), Event::Syscall);
}

guest_code!(write_self, "mov byte ptr [rip - 7], 0x90", "syscall");

fn code_that_reads_itself(platform: &dyn Platform) {
    let mut world = World::new(platform, write_self());
    assert_eq!(world.run(), fault(CODE, Access::Write, SEGV_ACCERR));
}

guest_code!(store_rep, "mov ecx, 8", "rep stosq", "syscall");
guest_code!(store_movs, "mov rsi, 0x500000", "movsb", "syscall");
guest_code!(store_xchg, "xchg [rdi], rax", "syscall");
guest_code!(store_lock, "lock inc qword ptr [rdi]", "syscall");
guest_code!(store_cmpxchg, "lock cmpxchg [rdi], rbx", "syscall");
guest_code!(store_sse, "movups [rdi], xmm3", "syscall");
guest_code!(store_push, "mov rsp, rdi", "add rsp, 8", "push rax", "syscall");
guest_code!(store_call, "mov rsp, rdi", "add rsp, 8", "call 3f", "3:", "syscall");
guest_code!(store_fxsave, "fxsave [rdi]", "syscall");
guest_code!(store_avx, "vmovups [rdi], ymm3", "syscall");

fn stores_of_every_kind(platform: &dyn Platform) {
    let mut codes = vec![
        store_rep(),
        store_movs(),
        store_xchg(),
        store_lock(),
        store_cmpxchg(),
        store_sse(),
        store_push(),
        store_call(),
        store_fxsave(),
    ];
    if std::arch::is_x86_feature_detected!("avx") {
        codes.push(store_avx());
    }
    for code in codes {
        let mut world = World::new(platform, code);
        world.space.apply(&[world.alias(HOLE, 0, R)]).expect("a page can be mapped");
        world.ctx.regs.rdi = HOLE;
        // Some instructions probe the last byte first.
        match world.run() {
            Event::PageFault { addr, access: Access::Write, code: SEGV_ACCERR, bus: false }
                if (HOLE..HOLE + 512).contains(&addr) => {}
            other => panic!("{other:?} at {:#x}", world.ctx.regs.rip),
        }
        let order = [Order::Protect { addr: HOLE, len: PAGE, prot: RW }];
        world.space.apply(&order).expect("rights can be changed");
        assert_eq!(world.run(), Event::Syscall);
    }
}

/// What a kernel does on copy-on-write memory: map for reading, then give a page of its own. Whatever
/// the platform reports first, this ends.
fn a_copy_on_write_dance(platform: &dyn Platform) {
    let mut world = World::new(platform, store_xchg());
    world.set_word(0, 0xaaaa);
    world.ctx.regs.rdi = HOLE;
    world.ctx.regs.rax = 0xbbbb;
    for _ in 0..4 {
        match world.run() {
            Event::PageFault { addr: HOLE, access: Access::Read, .. } => {
                world.space.apply(&[world.alias(HOLE, 0, R)]).expect("a page can be mapped");
            }
            Event::PageFault { addr: HOLE, access: Access::Write, .. } => {
                world.set_word(PAGE, world.word(0));
                world.space.apply(&[world.alias(HOLE, 1, RW)]).expect("a page can be mapped");
            }
            Event::Syscall => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.ctx.regs.syscall_nr(), 0xaaaa);
    assert_eq!([world.word(0), world.word(PAGE)], [0xaaaa, 0xbbbb]);
}

fn beyond_the_end_of_a_file(platform: &dyn Platform) {
    for (code, access) in [(load(), Access::Read), (store(), Access::Write)] {
        let mut world = World::new(platform, code);
        let file = memory_file(2 * PAGE);
        let order = map(HOLE, 2 * PAGE, RW, file.as_raw_fd(), 0);
        world.space.apply(&[order]).expect("a file can be mapped");
        file.set_len(PAGE).expect("a memory file can shrink");
        world.ctx.regs.rdi = HOLE + PAGE + 16;
        let event =
            Event::PageFault { addr: HOLE + PAGE + 16, access, code: BUS_ADRERR, bus: true };
        assert_eq!(world.run(), event);
        file.set_len(2 * PAGE).expect("a memory file can grow");
        assert_eq!(world.run_to_syscall(), 1);
    }
}

fn kernel_addresses(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    world.ctx.regs.rdi = 0xffff_ffff_8000_0000;
    match world.run() {
        Event::PageFault {
            addr: 0xffff_ffff_8000_0000, access: Access::Read, bus: false, ..
        } => {}
        other => panic!("{other:?}"),
    }
}

guest_code!(push, "push rax", "mov eax, 1", "syscall");

fn a_fault_in_the_stack(platform: &dyn Platform) {
    let mut world = World::new(platform, push());
    world.ctx.regs.rsp = DATA;
    assert_eq!(world.run(), fault(DATA - 8, Access::Write, SEGV_MAPERR));
    // The stack grows.
    let order = world.alias(DATA - PAGE, 3, RW);
    world.space.apply(&[order]).expect("a page can be mapped");
    assert_eq!(world.run_to_syscall(), 1);
    assert_eq!(world.ctx.regs.rsp, DATA - 8);
}

fn a_bad_stack_pointer_is_no_concern(platform: &dyn Platform) {
    let mut world = World::new(platform, load());
    for rsp in [0, 8, HOLE, u64::MAX, 0x8000_0000_0000] {
        world.jump(0);
        world.ctx.regs.rsp = rsp;
        world.ctx.regs.rdi = HOLE;
        assert_eq!(world.run(), fault(HOLE, Access::Read, SEGV_MAPERR));
        assert_eq!(world.ctx.regs.rsp, rsp);
        world.ctx.regs.rdi = DATA;
        world.ctx.full = true;
        assert_eq!(world.run_to_syscall(), 1);
        assert_eq!(world.ctx.regs.rsp, rsp);
    }
}
