//! Moving a guest: pull its state, destroy the stub, rebuild, go on.

use bevor_platform::{Event, Platform};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{CODE, DATA, DATA_LEN, PAGE, RW, RX, World, guest_code, map};

pub const CASES: &[Case] = cases![a_guest_moves_at_a_system_call, a_guest_moves_in_mid_air];

guest_code!(
    work,
    "pcmpeqd xmm1, xmm1",
    "2:",
    "inc rbx",
    "psubd xmm0, xmm1",
    "mov [rdi], rbx",
    "test rbx, 0x3ff",
    "jnz 2b",
    "movd esi, xmm0",
    "mov eax, 1",
    "syscall",
    "jmp 2b",
);

/// Gives the world a new address space with the same memory and the same state.
fn move_house(platform: &dyn Platform, world: &mut World) {
    use std::os::fd::AsRawFd;
    let fp = world.thread.pull_full_state().expect("a parked thread");
    let space = platform.new_space().expect("a new space");
    let fd = world.file.as_raw_fd();
    let orders = [map(CODE, 4 * PAGE, RX, fd, 0), map(DATA, DATA_LEN, RW, fd, 16 * PAGE)];
    let old = world.space.id();
    world.thread = {
        space.apply(&orders).expect("code and data can be mapped");
        space.clone().new_thread().expect("a new thread")
    };
    world.space = space;
    assert_ne!(world.space.id(), old);
    world.thread.set_fp_state(&fp).expect("a parked thread");
    world.ctx.full = true;
}

fn a_guest_moves_at_a_system_call(platform: &dyn Platform) {
    let mut world = World::new(platform, work());
    world.ctx.regs.rdi = DATA;
    for round in 1..=20 {
        assert_eq!(world.run_to_syscall(), 1);
        assert_eq!(world.ctx.regs.rsi, round << 10, "the vector register kept count");
        assert_eq!(world.ctx.regs.rbx, round << 10);
        world.answer(0);
        move_house(platform, &mut world);
    }
}

fn a_guest_moves_in_mid_air(platform: &dyn Platform) {
    let mut world = World::new(platform, work());
    world.ctx.regs.rdi = DATA;
    let mut syscalls = 0;
    let mut moves = 0;
    while syscalls < 20 || moves < 20 {
        world.resume();
        world.thread.kicker().kick();
        match world.wait() {
            Event::Interrupted => {
                moves += 1;
                move_house(platform, &mut world);
            }
            Event::Syscall => {
                syscalls += 1;
                assert_eq!(world.ctx.regs.rsi, world.ctx.regs.rbx);
                world.answer(0);
            }
            other => panic!("{other:?}"),
        }
    }
}
