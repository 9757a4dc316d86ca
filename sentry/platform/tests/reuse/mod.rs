//! Stub processes that serve one guest after another: the next one finds nothing of the last.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::unix::fs::FileExt;

use bevor_platform::{Event, Platform};

use crate::conformance::case::Case;
use crate::conformance::case::cases;
use crate::conformance::world::{DATA, World, eventually, guest_code};

pub const CASES: &[Case] = cases![
    a_process_serves_again,
    nothing_in_the_processor_is_left,
    nothing_in_memory_is_left,
    a_thread_that_only_says_it_waits_is_killed,
    a_process_with_two_threads_dies,
    an_old_kick_reaches_nobody,
    an_old_space_is_gone,
    time_is_counted_anew,
];

/// Worlds that are enough to take every spare process there can be, and more.
const ALL_SPARES: usize = 12;
const PATTERN: u64 = 0x5ec2_e7ab_cdef_0123;

guest_code!(call, "2:", "syscall", "jmp 2b");

/// New worlds, the last of which lives in process `pid`, if that serves again.
fn successor(platform: &dyn Platform, pid: u32, code: &'static [u8]) -> Option<World> {
    let mut others = Vec::new();
    for _ in 0..ALL_SPARES {
        let world = World::new(platform, code);
        if world.stub().pid == pid {
            return Some(world);
        }
        others.push(world);
    }
    None
}

/// Starts `code` in a process that served a world made by `before`. On a busy machine a thread may not
/// get to sleep in time, and its process dies: then it is tried again.
fn after(platform: &dyn Platform, before: impl Fn() -> World, code: &'static [u8]) -> World {
    for _ in 0..50 {
        let world = before();
        let pid = world.stub().pid;
        drop(world);
        if let Some(world) = successor(platform, pid, code) {
            return world;
        }
    }
    panic!("no process serves again");
}

fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| !maps.is_empty())
}

fn a_process_serves_again(platform: &dyn Platform) {
    for nr in 0..100 {
        let before = || {
            let mut world = World::new(platform, call());
            world.ctx.regs.rax = nr;
            assert_eq!(world.run_to_syscall(), nr);
            world
        };
        let mut world = after(platform, before, call());
        world.ctx.regs.rax = nr + 1;
        assert_eq!(world.run_to_syscall(), nr + 1);
    }
}

guest_code!(
    spoil,
    "wrfsbase rdi",
    "mov eax, 0x2b",
    "mov ds, eax",
    "mov es, eax",
    "mov fs, eax",
    "wrfsbase rdi",
    "ldmxcsr [rdi]",
    "fldcw [rdi + 8]",
    "pcmpeqd xmm7, xmm7",
    "fldpi",
    "mov rbx, rdi",
    "mov rbp, rdi",
    "mov r12, rdi",
    // Alignment checks and NT, which the host leaves alone in handlers; `iretq` would fault with NT.
    "std",
    "pushfq",
    "or qword ptr [rsp], 0x44000",
    "popfq",
    "mov eax, 77",
    "syscall",
    "ud2",
);

guest_code!(
    look,
    "mov [rdi + 0x800], rbx",
    "mov [rdi + 0x808], rbp",
    "mov [rdi + 0x810], r12",
    "rdfsbase rax",
    "mov [rdi + 0x818], rax",
    "xor eax, eax",
    "mov eax, ds",
    "mov [rdi + 0x820], rax",
    "mov eax, es",
    "mov [rdi + 0x828], rax",
    "mov eax, fs",
    "mov [rdi + 0x830], rax",
    "mov eax, gs",
    "mov [rdi + 0x838], rax",
    "pushfq",
    "pop [rdi + 0x840]",
    "fxsave [rdi]",
    "mov eax, 78",
    "syscall",
    "ud2",
);

/// What [`look`] sees.
fn seen(world: &mut World) -> (Vec<u8>, Vec<u8>) {
    world.ctx.regs.rdi = DATA;
    assert_eq!(world.run_to_syscall(), 78);
    (world.bytes(0, 416), world.bytes(0x800, 0x48))
}

fn nothing_in_the_processor_is_left(platform: &dyn Platform) {
    let fresh = seen(&mut World::new(platform, look()));
    let before = || {
        let mut world = World::new(platform, spoil());
        world.set_word(0, 0x9fc0);
        world.set_word(8, 0x0c7f);
        world.ctx.regs.rdi = DATA;
        assert_eq!(world.run_to_syscall(), 77);
        world
    };
    assert_eq!(seen(&mut after(platform, before, look())), fresh);
}

// Fills what it can write of its own area with a pattern, then takes faults on a signal stack full of it.
guest_code!(
    scribble,
    "rdgsbase r8",
    "mov rax, r9",
    // The extended state, and the signal stack, in its area.
    "lea rdi, [r8 + 0x1000]",
    "mov ecx, 0x600",
    "rep stosq",
    "lea rdi, [r8 + 0xa000]",
    "mov ecx, 0xc00",
    "rep stosq",
    // The agent's results.
    "mov rdi, r10",
    "mov ecx, 0x800",
    "rep stosq",
    "mov [r8 + 0x800], r9",
    "mov rbx, r9",
    "movq xmm3, r9",
    "mov eax, 79",
    "syscall",
    "ud2",
);

/// Start of the `name` mappings of a process.
fn mappings(pid: u32, name: &str) -> Vec<(u64, u64)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the stub is alive");
    let range = |line: &str| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?))
    };
    maps.lines().filter(|line| line.contains(name)).filter_map(range).collect()
}

/// How often the pattern is in the stub's pages of a process.
fn count_pattern(pid: u32) -> usize {
    let memory = File::open(format!("/proc/{pid}/mem")).expect("the stub is alive");
    let mut count = 0;
    for name in ["bevor-up", "bevor-down", "bevor-stacks"] {
        for (start, end) in mappings(pid, name) {
            let mut bytes = vec![0; usize::try_from(end - start).expect("a few pages")];
            memory.read_exact_at(&mut bytes, start).expect("the pages are readable");
            let words = bytes.chunks_exact(8);
            count += words.filter(|word| **word == PATTERN.to_le_bytes()).count();
        }
    }
    count
}

fn nothing_in_memory_is_left(platform: &dyn Platform) {
    let before = || {
        let mut world = World::new(platform, scribble());
        let pid = world.stub().pid;
        // The agent's results are the higher of the two: the other is the thread's.
        let results = mappings(pid, "bevor-up").last().expect("the agent's results").0;
        world.ctx.regs.r9 = PATTERN;
        world.ctx.regs.r10 = results;
        assert_eq!(world.run_to_syscall(), 79);
        // All registers once more in the page the sentry writes, and the extended state in both.
        let state = world.thread.fp_state().expect("a parked thread");
        world.thread.set_fp_state(&state).expect("a parked thread");
        world.ctx.full = true;
        world.jump(0);
        assert_eq!(world.run_to_syscall(), 79);
        assert!(count_pattern(pid) > 0x1000, "{}", count_pattern(pid));
        world
    };
    let world = after(platform, before, call());
    assert_eq!(count_pattern(world.stub().pid), 0);
    // Its own mappings, and nothing of the last one's: both lie at the same addresses.
    assert_eq!(mappings(world.stub().pid, "bevor-test").len(), 2);
}

guest_code!(
    pretend,
    "rdgsbase rsi",
    "mov edx, [rsi + 0x4000]",
    "mov [rsi], edx",
    "2:",
    "inc qword ptr [rdi]",
    "jmp 2b",
);

fn a_thread_that_only_says_it_waits_is_killed(platform: &dyn Platform) {
    let mut world = World::new(platform, pretend());
    let pid = world.stub().pid;
    world.ctx.regs.rdi = DATA;
    world.resume();
    let event = world.wait();
    assert_ne!(event, Event::Gone);
    eventually("it runs on", || world.word(0) > 1000);
    let World { space, thread, port, file, .. } = world;
    drop(thread);
    drop(space);
    drop(port);
    eventually("the process dies", || !is_alive(pid));
    drop(file);
}

fn a_process_with_two_threads_dies(platform: &dyn Platform) {
    let world = World::new(platform, call());
    let pid = world.stub().pid;
    drop(world.another_thread());
    drop(world);
    eventually("the process dies", || !is_alive(pid));
}

guest_code!(count, "mov ecx, 200000000", "2:", "dec ecx", "jnz 2b", "mov eax, 80", "syscall");

fn an_old_kick_reaches_nobody(platform: &dyn Platform) {
    let kick = RefCell::new(None);
    let before = || {
        let mut world = World::new(platform, call());
        assert_eq!(world.run(), Event::Syscall);
        let kicker = world.thread.kicker();
        kicker.kick();
        kick.replace(Some(kicker));
        world
    };
    let mut next = after(platform, before, count());
    let kick = kick.take().expect("the last guest's");
    kick.kick();
    next.resume();
    for _ in 0..1000 {
        kick.kick();
    }
    assert_eq!(next.wait(), Event::Syscall);
}

fn an_old_space_is_gone(platform: &dyn Platform) {
    let old = Cell::new(None);
    let before = || {
        let world = World::new(platform, call());
        old.set(Some(world.space.id()));
        world
    };
    let mut next = after(platform, before, call());
    assert_ne!(Some(next.space.id()), old.get());
    assert!(!next.space.is_gone());
    next.ctx.regs.rax = 5;
    assert_eq!(next.run_to_syscall(), 5);
}

guest_code!(burn, "mov ecx, 100000000", "2:", "dec ecx", "jnz 2b", "mov eax, 81", "syscall");

fn time_is_counted_anew(platform: &dyn Platform) {
    let before = || {
        let mut world = World::new(platform, burn());
        assert_eq!(world.run_to_syscall(), 81);
        assert!(world.space.cpu_time_ns() > 10_000_000);
        world
    };
    assert!(after(platform, before, call()).space.cpu_time_ns() < 10_000_000);
}
