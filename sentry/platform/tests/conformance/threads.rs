//! Many threads in one address space.

use bevor_platform::{Context, Event, Platform, Thread, Token, Wake};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{DATA, PAGE, World, eventually, guest_code, now_ns};

pub const CASES: &[Case] = cases![
    sixty_four_threads_count_together,
    nobody_starves,
    threads_have_registers_of_their_own,
    a_dropped_thread_leaves_nothing_to_the_next,
    guest_threads_hold_no_descriptors,
    a_membarrier_completes,
    cpu_time_is_counted,
];

guest_code!(
    count_thrice,
    "mov ebx, 3",
    "2:",
    "mov eax, 1",
    "lock xadd [rdi], rax",
    "mov rsi, rax",
    "mov eax, 1",
    "syscall",
    "dec ebx",
    "jnz 2b",
    "mov eax, 60",
    "syscall",
);

fn sixty_four_threads_count_together(platform: &dyn Platform) {
    let mut world = World::new(platform, count_thrice());
    let mut threads: Vec<(Box<dyn Thread>, Context)> =
        (0..64).map(|_| world.another_thread()).collect();
    for (token, (thread, ctx)) in threads.iter_mut().enumerate() {
        ctx.regs.rdi = DATA;
        world.port.resume(token as Token, thread.as_mut(), ctx).expect("a parked thread runs");
    }
    assert_eq!(world.port.nr_running(), 64);
    let mut seen = vec![0; 64];
    let mut running = 64;
    while running > 0 {
        let Wake::Event(token) = world.port.next(Some(now_ns() + 30_000_000_000)) else {
            panic!("{running} threads do not stop");
        };
        let index = usize::try_from(token).expect("one of ours");
        let (thread, ctx) = &mut threads[index];
        match thread.take_event(ctx) {
            Event::Syscall if ctx.regs.syscall_nr() == 60 => {
                running -= 1;
                continue;
            }
            Event::Syscall => {
                seen[index] += 1;
                ctx.regs.rax = 0;
            }
            Event::Interrupted => {}
            other => panic!("{other:?}"),
        }
        world.port.resume(token, thread.as_mut(), ctx).expect("a parked thread runs");
    }
    assert_eq!(world.port.nr_running(), 0);
    assert!(seen.iter().all(|&n| n == 3), "{seen:?}");
    assert_eq!(world.word(0), 3 * 64);
}

guest_code!(call_on, "2:", "mov eax, 1", "syscall", "jmp 2b");

fn nobody_starves(platform: &dyn Platform) {
    const WANTED: u32 = 20;
    let mut world = World::new(platform, call_on());
    let mut threads: Vec<_> = (0..8).map(|_| world.another_thread()).collect();
    for (token, (thread, ctx)) in threads.iter_mut().enumerate() {
        world.port.resume(token as Token, thread.as_mut(), ctx).expect("a parked thread runs");
    }
    let mut seen = vec![0; threads.len()];
    for _ in 0..3_000_000 {
        let Wake::Event(token) = world.port.next(Some(now_ns() + 30_000_000_000)) else {
            panic!("the threads do not stop");
        };
        let index = usize::try_from(token).expect("one of ours");
        let (thread, ctx) = &mut threads[index];
        thread.take_event(ctx);
        seen[index] += 1;
        if seen.iter().all(|&n| n >= WANTED) {
            return;
        }
        world.port.resume(token, thread.as_mut(), ctx).expect("a parked thread runs");
    }
    panic!("some are not served: {seen:?}");
}

guest_code!(
    own,
    "mov rdi, fs:[0]",
    "movq xmm0, rdi",
    "mov eax, 1",
    "syscall",
    "movq rsi, xmm0",
    "mov eax, 2",
    "syscall",
);

fn threads_have_registers_of_their_own(platform: &dyn Platform) {
    let mut world = World::new(platform, own());
    let mut threads: Vec<_> = (0..8).map(|_| world.another_thread()).collect();
    let mut step = |world: &mut World, nr: u64| {
        for (i, (thread, ctx)) in threads.iter_mut().enumerate() {
            let i = i as u64;
            world.set_word(8 * i, 1000 + i);
            ctx.regs.fs_base = DATA + 8 * i;
            loop {
                world.port.resume(i, thread.as_mut(), ctx).expect("a parked thread runs");
                assert_eq!(world.port.next(None), Wake::Event(i));
                match thread.take_event(ctx) {
                    Event::Interrupted => {}
                    Event::Syscall => break,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(ctx.regs.syscall_nr(), nr);
            assert_eq!(if nr == 1 { ctx.regs.rdi } else { ctx.regs.rsi }, 1000 + i);
        }
    };
    step(&mut world, 1);
    step(&mut world, 2);
}

guest_code!(
    dirty,
    "pcmpeqd xmm5, xmm5",
    "mov eax, 1",
    "syscall",
    "fxsave [rdi]",
    "mov eax, 2",
    "syscall"
);

fn a_dropped_thread_leaves_nothing_to_the_next(platform: &dyn Platform) {
    let mut world = World::new(platform, dirty());
    assert_eq!(world.run_to_syscall(), 1);
    for _ in 0..100 {
        let (thread, ctx) = world.another_thread();
        let old = std::mem::replace(&mut world.thread, thread);
        drop(old);
        world.ctx = ctx;
        // Past the instruction that sets xmm5: it must be zero again.
        world.jump(11);
        world.ctx.regs.rdi = DATA;
        assert_eq!(world.run_to_syscall(), 2);
        assert_eq!(world.bytes(160 + 80, 16), [0; 16]);
        world.jump(0);
        assert_eq!(world.run_to_syscall(), 1);
    }
    // Host threads are reused or ended, not piled up.
    assert!(world.stub().threads().len() < 50);
}

fn guest_threads_hold_no_descriptors(platform: &dyn Platform) {
    let mut world = World::new(platform, own());
    let _others: Vec<_> = (0..3).map(|_| world.another_thread()).collect();
    world.ctx.regs.fs_base = DATA;
    assert_eq!(world.run_to_syscall(), 1);
    let stub = world.stub();
    let threads = stub.threads();
    assert!(threads.len() > 4, "{threads:?}");
    // A thread that never ran guest code may not have got as far yet.
    eventually("guest threads give their descriptors up", || {
        stub.threads().iter().all(|&(tid, fds)| fds == 0 || tid == stub.pid)
    });
}

guest_code!(spin, "2:", "pause", "inc qword ptr [rdi]", "jmp 2b");

fn a_membarrier_completes(platform: &dyn Platform) {
    let mut world = World::new(platform, spin());
    world.space.membarrier().expect("a space without running threads");
    world.ctx.regs.rdi = DATA;
    world.resume();
    world.space.membarrier().expect("a space with a running thread");
    world.thread.kicker().kick();
    assert_eq!(world.wait(), Event::Interrupted);
}

fn cpu_time_is_counted(platform: &dyn Platform) {
    let mut world = World::new(platform, spin());
    world.ctx.regs.rdi = DATA + PAGE;
    let before = world.space.cpu_time_ns();
    world.resume();
    // A million rounds take a while on any machine.
    eventually("the guest runs", || world.word(PAGE) > 1_000_000);
    world.thread.kicker().kick();
    assert_eq!(world.wait(), Event::Interrupted);
    let thread = world.thread.cpu_time_ns();
    assert!(thread > 100_000, "{thread} ns");
    assert!(world.space.cpu_time_ns() >= before + 100_000);
    assert_eq!(world.thread.cpu_time_ns(), thread, "a parked thread uses nothing");
}
