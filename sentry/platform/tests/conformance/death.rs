//! Killed address spaces.

use parking_lot::Mutex;

use bevor_platform::{Context, Event, Platform, PlatformError, SpaceId, Wake};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{DATA, R, RW, World, eventually, guest_code, now_ns, start_regs};

pub const CASES: &[Case] = cases![
    a_killed_running_guest_is_gone,
    a_killed_space_refuses_everything,
    all_running_threads_hear_of_the_kill,
    a_stub_killed_from_outside_is_reported,
    a_kill_from_outside_of_a_parked_guest,
    an_asked_death_is_not_reported,
    other_spaces_live_on,
    stopped_and_continued_from_outside,
    dropping_a_running_space,
    killing_races_with_orders,
];

static DEAD: Mutex<Vec<SpaceId>> = Mutex::new(Vec::new());

/// The suite's death hook.
pub fn record(id: SpaceId) {
    DEAD.lock().push(id);
}

fn reported(id: SpaceId) -> bool {
    DEAD.lock().contains(&id)
}

guest_code!(spin, "2:", "inc qword ptr [rdi]", "jmp 2b");
guest_code!(call, "2:", "syscall", "jmp 2b");

fn spinning(platform: &dyn Platform) -> World {
    let mut world = World::new(platform, spin());
    world.ctx.regs.rdi = DATA;
    world.resume();
    eventually("the guest runs", || world.word(0) > 0);
    world
}

fn a_killed_running_guest_is_gone(platform: &dyn Platform) {
    let mut world = spinning(platform);
    assert!(!world.space.is_gone());
    world.space.kill();
    assert_eq!(world.wait(), Event::Gone);
    assert!(world.space.is_gone());
    assert_eq!(world.port.nr_running(), 0);
}

fn a_killed_space_refuses_everything(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    world.run_to_syscall();
    let kicker = world.thread.kicker();
    world.space.kill();
    world.space.kill();
    kicker.kick();
    assert!(world.space.is_gone());
    let gone = |answer: Result<(), PlatformError>| {
        assert!(matches!(answer, Err(PlatformError::Gone)), "{answer:?}");
    };
    gone(world.space.apply(&[world.alias(DATA, 0, R)]));
    gone(world.space.clone().new_thread().map(|_| ()));
    gone(world.space.membarrier());
    gone(world.thread.fp_state().map(|_| ()));
    gone(world.thread.set_fp_state(&bevor_platform::FpState::default()));
    gone(world.port.resume(1, world.thread.as_mut(), &world.ctx));
    assert_eq!(world.port.nr_running(), 0);
}

fn all_running_threads_hear_of_the_kill(platform: &dyn Platform) {
    let mut world = World::new(platform, spin());
    let mut threads: Vec<_> = (0..8).map(|_| world.another_thread()).collect();
    for (token, (thread, ctx)) in threads.iter_mut().enumerate() {
        ctx.regs.rdi = DATA;
        world.port.resume(token as u64, thread.as_mut(), ctx).expect("a parked thread runs");
    }
    world.space.kill();
    let mut left: Vec<u64> = (0..8).collect();
    while !left.is_empty() {
        let Wake::Event(token) = world.port.next(Some(now_ns() + 30_000_000_000)) else {
            panic!("{left:?} hear nothing");
        };
        let (thread, ctx) = &mut threads[usize::try_from(token).expect("one of ours")];
        assert_eq!(thread.take_event(ctx), Event::Gone);
        left.retain(|&other| other != token);
    }
}

fn a_stub_killed_from_outside_is_reported(platform: &dyn Platform) {
    let mut world = spinning(platform);
    let id = world.space.id();
    world.stub().signal(libc::SIGKILL);
    assert_eq!(world.wait(), Event::Gone);
    assert!(world.space.is_gone());
    eventually("the death hook is called", || reported(id));
}

fn a_kill_from_outside_of_a_parked_guest(platform: &dyn Platform) {
    let mut world = World::new(platform, call());
    world.run_to_syscall();
    let id = world.space.id();
    world.stub().signal(libc::SIGKILL);
    eventually("the death hook is called", || reported(id));
    assert!(world.space.is_gone());
    let answer = world.port.resume(1, world.thread.as_mut(), &world.ctx);
    assert!(matches!(answer, Err(PlatformError::Gone)), "{answer:?}");
}

fn an_asked_death_is_not_reported(platform: &dyn Platform) {
    let mut world = spinning(platform);
    let asked = world.space.id();
    world.space.kill();
    assert_eq!(world.wait(), Event::Gone);
    let other = World::new(platform, call());
    let dropped = other.space.id();
    drop(other);
    // A death that is reported comes after those two.
    a_stub_killed_from_outside_is_reported(platform);
    assert!(!reported(asked) && !reported(dropped));
}

fn other_spaces_live_on(platform: &dyn Platform) {
    let mut one = World::new(platform, call());
    let two = spinning(platform);
    two.stub().signal(libc::SIGKILL);
    for nr in 0..100 {
        one.ctx.regs.rax = nr;
        assert_eq!(one.run_to_syscall(), nr);
    }
    drop(two);
    assert_eq!(one.run_to_syscall(), one.ctx.regs.syscall_nr());
}

/// Job control of the host, or a freezer that uses signals, must not confuse anybody.
fn stopped_and_continued_from_outside(platform: &dyn Platform) {
    let mut world = spinning(platform);
    let stub = world.stub();
    for signal in [libc::SIGSTOP, libc::SIGCONT, libc::SIGTERM, libc::SIGSEGV, libc::SIGCONT] {
        stub.signal(signal);
    }
    let seen = world.word(0);
    eventually("the guest runs on", || world.word(0) > seen);
    world.thread.kicker().kick();
    assert_eq!(world.wait(), Event::Interrupted);
    assert!(!world.space.is_gone());
    // Orders and new threads go through, too.
    for signal in [libc::SIGSTOP, libc::SIGUSR1, libc::SIGCONT] {
        stub.signal(signal);
    }
    world.space.apply(&[world.alias(0x7000_0000, 0, RW)]).expect("a page can be mapped");
    let (mut thread, mut ctx) = world.another_thread();
    ctx.regs.rdi = 0x7000_0000;
    world.port.resume(1, thread.as_mut(), &ctx).expect("a parked thread runs");
    thread.kicker().kick();
    assert_eq!(world.port.next(Some(now_ns() + 30_000_000_000)), Wake::Event(1));
    assert_eq!(thread.take_event(&mut ctx), Event::Interrupted);
}

fn dropping_a_running_space(platform: &dyn Platform) {
    let World { space, thread, mut port, .. } = spinning(platform);
    space.kill();
    assert!(matches!(port.next(Some(now_ns() + 30_000_000_000)), Wake::Event(_)));
    drop(thread);
    drop(space);
    drop(port);
}

fn killing_races_with_orders(platform: &dyn Platform) {
    for _ in 0..50 {
        let world = World::new(platform, call());
        let space = world.space.clone();
        std::thread::scope(|scope| {
            let killer = scope.spawn(|| space.kill());
            loop {
                match world.space.apply(&[world.alias(
                    0x7000_0000,
                    0,
                    crate::conformance::world::R,
                )]) {
                    Ok(()) => {}
                    Err(PlatformError::Gone) => break,
                    Err(other) => panic!("{other:?}"),
                }
            }
            killer.join().expect("killing does not panic");
        });
        let answer = world.space.clone().new_thread();
        assert!(matches!(answer, Err(PlatformError::Gone)));
        assert_eq!(Context { regs: start_regs(), full: true }, world.ctx);
    }
}
