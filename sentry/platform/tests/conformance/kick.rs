//! Interrupting running guests.

use std::sync::atomic::{AtomicBool, Ordering};

use bevor_platform::{Event, Platform};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{CODE, DATA, World, eventually, guest_code};

pub const CASES: &[Case] = cases![
    a_spinning_guest_stops,
    a_guest_goes_on_after_a_kick,
    a_kick_of_a_parked_thread_is_harmless,
    kicks_race_with_system_calls,
    kicks_race_with_faults,
    one_thread_of_several_is_kicked,
    a_kick_outlives_its_thread,
];

guest_code!(spin, "2:", "inc rbx", "mov [rdi], rbx", "jmp 2b");

fn a_spinning_guest_stops(platform: &dyn Platform) {
    let mut world = World::new(platform, spin());
    world.ctx.regs.rdi = DATA;
    let kicker = world.thread.kicker();
    for _ in 0..100 {
        world.resume();
        kicker.kick();
        assert_eq!(world.wait(), Event::Interrupted);
        assert!((CODE..CODE + 8).contains(&world.ctx.regs.rip));
    }
}

fn a_guest_goes_on_after_a_kick(platform: &dyn Platform) {
    let mut world = World::new(platform, spin());
    world.ctx.regs.rdi = DATA;
    let kicker = world.thread.kicker();
    let mut last = 0;
    for _ in 0..50 {
        world.resume();
        eventually("the guest runs on", || world.word(0) > last);
        kicker.kick();
        assert_eq!(world.wait(), Event::Interrupted);
        assert!(world.ctx.regs.rbx > last);
        last = world.ctx.regs.rbx;
    }
}

guest_code!(call, "2:", "inc rbx", "mov eax, 1", "syscall", "jmp 2b");

fn a_kick_of_a_parked_thread_is_harmless(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    let kicker = world.thread.kicker();
    for _ in 0..10 {
        kicker.kick();
    }
    for i in 1..100 {
        kicker.kick();
        assert_eq!(world.run_to_syscall(), 1);
        assert_eq!(world.ctx.regs.rbx, i);
        kicker.kick();
    }
}

fn kicks_race_with_system_calls(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    let kicker = world.thread.kicker();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                kicker.kick();
                std::thread::yield_now();
            }
        });
        for i in 1..=5000 {
            // Answers the host would restart a call for, if it thought there was one.
            world.answer(514_u64.wrapping_neg());
            assert_eq!(world.run_to_syscall(), 1);
            assert_eq!(world.ctx.regs.rbx, i, "no call is lost or repeated");
        }
        done.store(true, Ordering::Relaxed);
    });
}

guest_code!(fault, "2:", "inc rbx", "mov rax, [rdi]", "jmp 2b");

fn kicks_race_with_faults(platform: &dyn Platform) {
    let mut world = World::new(platform, fault());
    let kicker = world.thread.kicker();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                kicker.kick();
                std::thread::yield_now();
            }
        });
        for i in 1..=1000 {
            world.ctx.regs.rdi = 0x70_0000;
            let event = world.run();
            assert!(matches!(event, Event::PageFault { addr: 0x70_0000, .. }), "{event:?}");
            assert_eq!(world.ctx.regs.rbx, i);
            // Past the load: the jump comes next.
            world.jump(6);
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn one_thread_of_several_is_kicked(platform: &dyn Platform) {
    let mut world = World::new(platform, spin());
    let (mut other, mut ctx) = world.another_thread();
    let mut port = platform.new_port().expect("a second port");
    ctx.regs.rdi = DATA + 8;
    world.ctx.regs.rdi = DATA;
    port.resume(1, other.as_mut(), &ctx).expect("a parked thread runs");
    world.resume();
    world.thread.kicker().kick();
    assert_eq!(world.wait(), Event::Interrupted);
    assert_eq!(port.try_next(), None, "the other one runs on");
    let seen = world.word(8);
    eventually("the other one runs on", || world.word(8) > seen);
    other.kicker().kick();
    port.next(None);
    assert_eq!(other.take_event(&mut ctx), Event::Interrupted);
}

fn a_kick_outlives_its_thread(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    assert_eq!(world.run_to_syscall(), 1);
    let kicker = world.thread.kicker();
    drop(world);
    for _ in 0..100 {
        kicker.kick();
    }
    let mut world = World::new(platform, call());
    kicker.kick();
    assert_eq!(world.run_to_syscall(), 1);
}
